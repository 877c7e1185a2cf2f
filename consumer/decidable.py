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
        if target.internal or not means(wish.name, {target.name, symbol.name}, symbol.is_syscall):
            continue
        unmade = preload is not None and symbol.engine == "preload" and not target.asks
        why = _why_not(symbol) or (f"{preload} was made without @decide" if unmade else "")
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
    return Refusal(f"{_spelled(wish)} would never be asked", wish.at, why)


def _spelled(wish: Wish) -> str:
    return f'@decide("{wish.name}"{", after=True" if wish.way == "after" else ""})'


def _why_not(symbol: Symbol) -> str:
    if not symbol.enters_only:
        return ""
    if symbol.engine == "ptrace":
        return "it does not come back"
    return "its wrapper does not come back to itself, and cannot take another result"
