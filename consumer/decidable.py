"""Which of the calls that @decide names will really ask, and why others do not. Said before the program starts.

Called by aside.py. Rules: a name that could never be asked is refused; of a glob or a set the calls that cannot ask are
named, and the rest does. Absent on purpose: why something is not intercepted at all (the coverage says it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wc_intercept.generator.errors import UserWarning_
from wc_intercept.generator.manifest import Manifest, Symbol, decode
from wc_intercept.generator.wishes import means

from .refusal import Refusal

if TYPE_CHECKING:
    from .built import Wish

TRACED = "the tracer serves it, and only calls that the shim serves can wait for a decision"
NAMES = 6


def check(wishes: Sequence[Wish], json: bytes, preload: str | None) -> Iterator[UserWarning_]:
    """Yield a warning for each wish of which some calls cannot ask. Raises Refusal when none can.

    *json* is the session's manifest, *preload* the shim that the user gave.
    """
    manifest = decode(json)
    for wish in wishes:
        if wish.way != "on":
            yield from _check(wish, manifest, preload)


def _check(wish: Wish, manifest: Manifest, preload: str | None) -> Iterator[UserWarning_]:
    able: set[str] = set()
    unable: dict[str, str] = {}
    for symbol in manifest.symbols:
        target = manifest.targets[symbol.target]
        syscall = target.kind == "syscall" or (symbol.engine == "ptrace" and not symbol.library)
        if target.internal or not means(wish.name, {target.name, symbol.name}, syscall):
            continue
        why = _why_not(symbol) or ("" if target.asks or preload is None else f"{preload} was made without @decide")
        if why:
            unable.setdefault(target.name, why)
        else:
            able.add(target.name)
    for name in able:
        unable.pop(name, None)
    if not able:
        raise _refusal(wish, unable, manifest)
    if unable:
        names = ", ".join(sorted(unable)[:NAMES]) + (", ..." if len(unable) > NAMES else "")
        yield UserWarning_(f"{_spelled(wish)} is not asked about {names}", wish.at, next(iter(unable.values())), "")


def _refusal(wish: Wish, unable: dict[str, str], manifest: Manifest) -> Refusal:
    reasons = [line.reason for line in manifest.coverage if line.requested == wish.name and line.reason]
    why = next(iter(unable.values()), "") or next(iter(reasons), "nothing that is intercepted is called so")
    try_ = "@on, which gets the calls of both engines" if why == TRACED else ""
    return Refusal(f"{_spelled(wish)} would never be asked", wish.at, why, try_)


def _spelled(wish: Wish) -> str:
    return f'@decide("{wish.name}"{", after=True" if wish.way == "after" else ""})'


def _why_not(symbol: Symbol) -> str:
    if symbol.engine == "ptrace":
        return TRACED
    return "its wrapper does not come back to itself, and cannot take another result" if symbol.enters_only else ""
