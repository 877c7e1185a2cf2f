"""What Python handlers ask for (``wc-run --handlers``): which calls a name means, and which targets ask them.

Used by policy.py, and by the consumer to give each handler its calls: both sides must mean the same by a name. A name
is what --trace takes: a function's, a glob, a %set, with fn: or sys: in front where only one kind is meant.

Absent on purpose: adding targets (the consumer's built.py), and handlers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

Asks = Literal["", "before", "after", "both"]


def means(name: str, called: Collection[str], syscall: bool) -> bool:
    """Whether *name* is for a call that is *called* so; *syscall*: it is a system call."""
    kind, _, plain = name.rpartition(":") if name.startswith(("fn:", "sys:")) else ("", "", name)
    if (kind == "fn" and syscall) or (kind == "sys" and not syscall):
        return False
    if plain in called or any(fnmatchcase(one, plain) for one in called):
        return True
    return not _members(plain, syscall).isdisjoint(called)


def asks_of(wishes: Iterable[tuple[str, str]], called: Collection[str], syscall: bool = False) -> Asks:
    """Return when the function or system call *called* so has to ask what is to become of its calls."""
    ways = {way for name, way in wishes if way != "on" and means(name, called, syscall)}
    if len(ways) == 2:
        return "both"
    return "before" if "before" in ways else "after" if "after" in ways else ""


@cache
def _members(name: str, syscall: bool) -> frozenset[str]:
    """Return what a set means, or a plain name where system calls are traced: open is openat as well."""
    if syscall:
        from .syscalls import select, stands_for

        return frozenset(select(name) if name.startswith("%") else stands_for(name))
    from .annotations import CALL_SETS

    return frozenset(CALL_SETS.get(name, ()))
