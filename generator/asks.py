"""The C of wrappers whose target asks a Python handler: how it fails without an answer, and what an answer changes.

Called by emit.py; templates/asks.c.j2 has the rest. Absent on purpose: which targets ask (wishes.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from .layout import Change
from .manifest import Return, failing


def failure(rule: Return) -> tuple[str, str]:
    """Return how a function fails, and what it returns then, in C (wci_ask.h)."""
    found = failing(rule)
    if found is None:
        return "WCI_FAILS_NEVER", "0"
    return ("WCI_FAILS_ERRNO", f"(uint64_t){found}") if found != "errno" else ("WCI_FAILS_NUMBER", "0")


def change_lines(change: Change) -> Iterator[str]:
    """Yield C that takes one argument from an answer."""
    name, field = change.name, change.field
    number = f"wci_ask_number(&ask, {field})"
    if change.type.kind == "float":
        number = f"wci_bits_double({number})"
    as_type = f"({change.type.declare('')})" if change.type.text else f"(__typeof__({name}))"
    if change.text:
        size = f"wci_ask_size(&ask, {field})"
        yield f"if (ask.texts & 1u << {field})"
        yield f"        {name} = wci_ask_text(&ask, {field}, __builtin_alloca({size}), {size});"
        yield f"else if (ask.changed & 1u << {field})"
    else:
        yield f"if (ask.changed & 1u << {field})"
    yield f"        {name} = {as_type}{number};"
