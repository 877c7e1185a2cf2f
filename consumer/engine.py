"""Which engine serves a run: the shim (preload), the tracer (ptrace), or each target by the one that can (auto).

Called by run.py and api.py before anything is built. ``choose`` decides what the program allows; which target of an
auto run goes by which engine is generator/build.py's, target by target, and ``explanation`` tells both with the
reasons. Rules: an engine that the user named is used or refused, never replaced; a refusal names the way that works.

Absent on purpose: how either engine works, and what a config says of single targets ("preload": false).
"""

from __future__ import annotations

import os

from .program import Program, why_not_preloadable, why_not_traceable
from .refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from wc_intercept.generator.manifest import Coverage, Manifest

    Engine: TypeAlias = Literal["auto", "preload", "ptrace"]
else:
    Engine = str

STATUSES = {"wrapped": "preload", "traced": "ptrace", "pending": "pending", "refused": "refused"}


def choose(engine: Engine, shim: bool, name: str, program: Program) -> Engine:
    """Return what to build for *program*, called *name*: *engine* is the user's word, *shim*: one is given already.

    Raises Refusal when that engine cannot reach the program.
    """
    if shim:
        check_preloadable(name, program, "-c CONFIG (or --trace LIST) in its place: the tracer reaches this program")
        return "preload"
    if engine == "preload":
        check_preloadable(name, program)
        return engine
    if engine == "auto" and why_not_preloadable(program) is None:
        return engine
    found = why_not_traceable(program)
    if found is not None:
        raise Refusal(f"{name} cannot be traced", _place(program), *found)
    return "ptrace"


def check_preloadable(name: str, program: Program, instead: str = "--engine auto, which traces such programs") -> None:
    """Raise Refusal when the preload engine cannot reach *program*; *instead*: what to try where the tracer can."""
    found = why_not_preloadable(program)
    if found is not None:
        why, try_ = found
        try_ = f"{instead}; or {try_}" if why_not_traceable(program) is None else try_
        raise Refusal(f"{name} cannot be intercepted by preloading", _place(program), why, try_)


def _place(program: Program) -> str:
    at = os.fsdecode(program.path)
    return at if program.image == program.path else f"{at} (run by {os.fsdecode(program.image)})"


def explanation(manifest: Manifest, engine: Engine, name: str, program: Program | None) -> str:
    """Return the lines of --explain: why the program goes by this engine, then each target's engine and reason."""
    found = why_not_preloadable(program) if program is not None else None
    if program is None:
        why = "it runs already, and nothing can be preloaded into it"
    elif engine == "ptrace":
        why = found[0] if found else "--engine ptrace says so"
    elif engine == "preload":
        why = "a shim can be preloaded into it, and nothing else was asked for"
    else:
        why = "it is dynamically linked: a shim can be preloaded, and the tracer serves what that does not reach"
    lines = [f"{name}: {engine}: {why}"]
    names = [_name(line) for line in manifest.coverage]
    width = max(map(len, names), default=0)
    lines += [f"  {name:<{width}}  {_told(line)}" for name, line in zip(names, manifest.coverage, strict=True)]
    return "\n".join(lines) + "\n"


def _name(line: Coverage) -> str:
    """What is intercepted, and in parentheses what asked for it when that is a glob or a set."""
    return line.requested if line.target in ("", line.requested) else f"{line.target} ({line.requested})"


def _told(line: Coverage) -> str:
    engine = STATUSES.get(line.status, line.status)
    symbols = [symbol for symbol in line.symbols if symbol not in (line.requested, line.target)]
    names = f" ({', '.join(symbols[:8])}{', ...' if len(symbols) > 8 else ''})" if symbols else ""
    return f"{engine}{names}" + (f": {line.reason}" if line.reason else "")
