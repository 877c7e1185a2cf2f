"""One entry of a config's funcs, checked: Func, or why no engine of this version covers it.

Called by config.py. Here stands what needs more than one key of a target, and the grammars of what later enters C:
names, globs, length expressions. Absent on purpose: whether a function of that name exists (policy.py).
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from .errors import UserError, nearest
from .manifest import Coverage
from .positions import Document, Path
from .schema import IDENTIFIER, STRING_LIMIT_MOST, File, Syscall, Target

NAME = re.compile(IDENTIFIER)
GLOB = re.compile(r"[A-Za-z0-9_*?\[\]!-]+")
CPLUSPLUS = re.compile(r"[A-Za-z_~][^\"';\x00-\x1f]*(::|\()[^\"';\x00-\x1f]*")
TERM = rf"\s*(?:[0-9]{{1,10}}|(?:\*\s*)?{IDENTIFIER})\s*"
EXPRESSION = re.compile(rf"{TERM}(?:[-+*]{TERM})*")
KEPT = ("set", "prototype", "library", "record", "clock", "frequency", "on_full", "back_enter", "back_exit", "caller")
"""Keys of a target that need no conversion."""
NEEDS_PTRACE = "needs the ptrace engine, which this version does not have"


class Func(msgspec.Struct, frozen=True):
    """One entry of funcs that the preload engine may cover."""

    name: str = ""
    """A C identifier or a glob; empty when set is given."""
    set: str = ""
    """``%memory``."""
    glob: bool = False
    prototype: str = ""
    """Unparsed."""
    library: str = ""
    record: Literal["exit", "entry", "both"] = "exit"
    clock: Literal["two", "one", "none"] = "two"
    frequency: int = 1
    on_full: Literal["", "drop"] = ""
    back_enter: str = ""
    back_exit: str = ""
    caller: bool = False
    capture: tuple[tuple[str, str], ...] = ()
    """(parameter, length expression): ``ret``, integers, parameters, ``+ * -``, ``*param``; "0" keeps nothing."""
    index: int = 0
    """Its place in the file's funcs."""
    at: str = ""
    """``config.json:7:21  funcs[2].func_name``."""

    @property
    def requested(self) -> str:
        """What the config asked for, as it spelled it."""
        return self.name or self.set


def func(document: Document, file: File, index: int) -> Func | Coverage:
    """Return the checked entry *index* of funcs. Raises UserError for what no version could make sense of."""
    entry, path = file.funcs[index], ("funcs", index)
    _require_handlers(document, file, entry, path)
    at = _named(document, entry, path)
    capture = tuple((name, _length(document, entry, path, name)) for name in entry.capture)
    _require_prototype_alone(document, entry, path)
    if not entry.preload:
        return _uncovered(entry.func_name or entry.set, f'"preload": false {NEEDS_PTRACE}', at)
    if entry.func_name and not GLOB.fullmatch(entry.func_name):
        return _uncovered(entry.func_name, "C++ names need demangling, which this version does not have", at)
    kept: dict[str, Any] = {key: getattr(entry, key) for key in KEPT}
    glob = bool(entry.func_name) and not NAME.fullmatch(entry.func_name)
    return Func(name=entry.func_name, glob=glob, capture=capture, index=index, at=at, **kept)


def syscall(document: Document, file: File, index: int) -> Coverage:
    """Return the entry *index* of syscalls as what it is here: a target that no engine covers."""
    entry = file.syscalls[index]
    _require_handlers(document, file, entry, ("syscalls", index))
    at = document.where(("syscalls", index, "syscall_id"))
    return _uncovered(f"syscall {entry.syscall_id}", f"a system call {NEEDS_PTRACE}", at)


def require(grammar: re.Pattern[str], text: str, document: Document, path: Path, needed: str) -> None:
    """Raise the error for a *text* that is not *needed*."""
    if not grammar.fullmatch(text):
        raise UserError(f"bad value for {_last(path)}", document.where(path), f"found '{text}'; needed is {needed}")


def _uncovered(requested: str, reason: str, at: str) -> Coverage:
    return Coverage(requested, status="refused", wrapper="refused", engine="ptrace", reason=reason, where=at)


def _named(document: Document, entry: Target, path: Path) -> str:
    """Check that the entry names one function, glob or set; return where."""
    if bool(entry.func_name) == bool(entry.set):
        what = "a target needs a func_name or a set" if not entry.set else "a target has either a func_name or a set"
        raise UserError(what, document.where(path), "found " + ("both" if entry.set else "neither"))
    key = "func_name" if entry.func_name else "set"
    if entry.func_name and not CPLUSPLUS.fullmatch(entry.func_name):
        require(GLOB, entry.func_name, document, (*path, key), "a C identifier, a glob over names, or a C++ name")
        if entry.func_name[0].isdigit():
            require(NAME, entry.func_name, document, (*path, key), "a C identifier: it starts with a letter or _")
    return document.where((*path, key))


def _require_handlers(document: Document, file: File, entry: Target | Syscall, path: Path) -> None:
    for key in ("back_enter", "back_exit"):
        if getattr(entry, key) and not file.library_path:
            why = "the config has no library_path, so there is no library to find the handler in"
            what = f"{key} '{getattr(entry, key)}' has no library"
            raise UserError(what, document.where((*path, key)), why, '"library_path": "handlers.so"')


def _require_prototype_alone(document: Document, entry: Target, path: Path) -> None:
    if entry.prototype and not NAME.fullmatch(entry.func_name):
        why = f"'{entry.func_name or entry.set}' may stand for several functions"
        raise UserError("a prototype needs a single func_name", document.where((*path, "prototype")), why)


def _length(document: Document, entry: Target, path: Path, name: str) -> str:
    """Return the capture of parameter *name* as a length expression."""
    require(NAME, name, document, (*path, "capture", name), "the name of a parameter")
    kept = entry.capture[name].bytes
    if isinstance(kept, int):
        return str(kept)
    if not EXPRESSION.fullmatch(kept):
        at = document.where((*path, "capture", name, "bytes"))
        why = f"found '{kept}'; needed is \"return\", 0 to {STRING_LIMIT_MOST}, or parameters and numbers with + - *"
        raise UserError("bad value for 'bytes'", at, why, " or ".join(nearest(kept, ["return"])))
    return re.sub(r"\breturn\b", "ret", kept.strip())


def _last(path: Path) -> str:
    return f"'{path[-1]}'" if isinstance(path[-1], str) else f"an entry of '{path[-2]}'"
