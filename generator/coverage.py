"""The coverage report as text or JSON: for each requested name, which engine catches it and how, or why none does.

Called by cli.py (``--explain``, ``--list``). Absent on purpose: colours and line breaking, so that it can be grepped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from .errors import UserWarning_
from .manifest import Coverage

WIDEST = 48
"""Columns of a name before it pushes its line's rest to the right."""


def text(lines: Sequence[Coverage]) -> str:
    """Return a line per target: name, engine, how, and the names it is caught under or the reason why it is not."""
    rows = [("TARGET", "ENGINE", "HOW", "NAMES, OR WHY NOT"), *(_row(line) for line in lines)]
    widths = [min(max(len(row[i]) for row in rows), WIDEST) for i in range(3)]
    table = "".join("  ".join(map(str.ljust, row, [*widths, 0])).rstrip() + "\n" for row in rows)
    return f"{table}{total(lines)}\n"


def total(lines: Iterable[Coverage]) -> str:
    """Return ``12 targets: 10 wrapped, 2 refused``."""
    counts = Counter(line.status for line in lines)
    number = counts.total()
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"{number} {'target' if number == 1 else 'targets'}" + (f": {parts}" if parts else "")


def json(lines: Iterable[Coverage]) -> str:
    """Return one JSON array; each entry has all keys."""
    full = [{key: getattr(line, key) for key in line.__struct_fields__} for line in lines]
    return msgspec.json.format(msgspec.json.encode(full), indent=2).decode() + "\n"


def warnings(lines: Iterable[Coverage]) -> list[UserWarning_]:
    """Return a warning for every name that was asked for as such and is not wrapped."""
    return [
        UserWarning_(line.complaint, line.where, line.reason)
        for line in lines
        if line.status in ("refused", "pending") and not set(line.requested) & set("%*?[")
    ]


def _row(line: Coverage) -> tuple[str, str, str, str]:
    name = line.target or line.requested
    if line.requested not in (name, ""):
        name += f" ({line.requested})"
    names = " ".join(line.symbols)
    if line.status == "wrapped":
        return name, "preload", line.wrapper, f"{names}; {line.reason}" if line.reason else names
    if line.status == "traced":
        return name, "ptrace", "traced", f"{names}; {line.reason}"
    return name, "-", line.status, line.reason
