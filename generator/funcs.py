"""One entry of a config's funcs or syscalls, checked: Func, Call.

Called by config.py. Here stands what needs more than one key of a target, and the grammars of what later enters C:
names, globs, length expressions. Absent on purpose: whether a function of that name exists (policy.py).
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from msgspec import UnsetType

from .duration import duration_ns
from .errors import UserError, nearest
from .inject import rule
from .model import Rule
from .positions import Document, Path
from .schema import IDENTIFIER, STRING_LIMIT_MOST, File, Syscall, Target
from .when import WhenError
from .when import parse as parse_when

NAME = re.compile(IDENTIFIER)
GLOB = re.compile(r"[A-Za-z0-9_*?\[\]!-]+")
SPELLED = re.compile(r"[A-Za-z_~][^\"';\x00-\x1f]*(::|\(|[^.]\.)[^\"';\x00-\x1f]*")
"""A name that is no C identifier: of C++ as c++filt spells it, of Go as its symbol table does."""
TERM = rf"\s*(?:[0-9]{{1,10}}|(?:\*\s*)?{IDENTIFIER})\s*"
EXPRESSION = re.compile(rf"{TERM}(?:[-+*]{TERM})*")
WISHES = ("record", "clock", "frequency", "on_full", "max_per_second", "back_enter", "back_exit", "caller", "when")
"""Keys that a function and a system call have alike, and that need no conversion."""
MOVED = (*WISHES, "min_duration", "capture", "at", "inject", "inject_at", "overlay")
"""What a function's entry is, once it turns out to mean system calls."""
KEPT = ("set", "prototype", "library", "preload", "internal", *WISHES)
"""Keys of a function that need no conversion."""


class Func(msgspec.Struct, frozen=True):
    """One entry of funcs."""

    name: str = ""
    """A C identifier, a glob, or a C++ name as it is spelled there; empty when set is given."""
    set: str = ""
    """``%memory``."""
    glob: bool = False
    prototype: str = ""
    """Unparsed."""
    library: str = ""
    preload: bool = True
    """False: never by the shim."""
    internal: bool = False
    """Calls from inside the defining library count as well: by the tracer."""
    record: Literal["exit", "entry", "both"] = "exit"
    clock: Literal["two", "one", "none"] = "two"
    frequency: int = 1
    on_full: Literal["", "drop"] = ""
    max_per_second: int = 0
    min_duration: int = 0
    """ns; calls that take less are not recorded."""
    back_enter: str = ""
    back_exit: str = ""
    caller: bool = False
    capture: tuple[tuple[str, str], ...] = ()
    """(parameter, length expression): ``ret``, integers, parameters, ``+ * -``, ``*param``; "0" keeps nothing."""
    when: str = ""
    """An expression (when.py)."""
    index: int = 0
    """Its place in the file's funcs."""
    at: str = ""
    """``config.json:7:21  funcs[2].func_name``."""
    inject: Rule | None = None
    inject_at: str = ""
    """As at, of its inject."""
    overlay: bool = False
    """From --inject: where another entry decides about a target, this one only adds its inject."""
    plain: bool = True
    """Where there is no such function, the name means system calls; False where --trace says fn:."""

    @property
    def requested(self) -> str:
        """What the config asked for, as it spelled it."""
        return self.name or self.set


    @property
    def cplusplus(self) -> bool:
        """Whether the name is one that only demangling gives."""
        return bool(self.name) and not GLOB.fullmatch(self.name)


    @property
    def spelled_glob(self) -> bool:
        """Whether it is a glob over such names: ``ns::*``, ``main.*``."""
        return self.cplusplus and bool(set(self.name) & set("*?")) and not re.search(r"\(|\boperator\b", self.name)


class Call(msgspec.Struct, frozen=True):
    """One entry of syscalls."""

    name: str
    """A name, a number as text, a glob, or a ``%set``."""
    record: Literal["exit", "entry", "both"] = "exit"
    clock: Literal["two", "one", "none"] = "two"
    frequency: int = 1
    on_full: Literal["", "drop"] = ""
    max_per_second: int = 0
    min_duration: int = 0
    """ns; calls that take less are not recorded."""
    back_enter: str = ""
    back_exit: str = ""
    caller: bool = False
    capture: tuple[tuple[str, str], ...] = ()
    inject: Rule | None = None
    inject_at: str = ""
    overlay: bool = False
    when: str = ""
    index: int = 0
    """Its place in the file's syscalls."""
    at: str = ""
    key: str = "syscalls"
    """The list that it stands in: funcs, when a func_name turned out to be a system call's."""

    @property
    def requested(self) -> str:
        return self.name

    @property
    def wide(self) -> bool:
        """Whether it may mean several: a glob or a set."""
        return bool(set(self.name) & set("%*?["))


def func(document: Document, file: File, index: int) -> Func:
    """Return the checked entry *index* of funcs. Raises UserError for what no version could make sense of."""
    entry, path = file.funcs[index], ("funcs", index)
    _require_handlers(document, file, entry, path)
    _require_expression(document, entry, path)
    at = _named(document, entry, path)
    capture = tuple((name, _length(document, entry, path, name)) for name in entry.capture)
    _require_prototype_alone(document, entry, path)
    kept: dict[str, Any] = {key: getattr(entry, key) for key in KEPT}
    glob = bool(entry.func_name) and not NAME.fullmatch(entry.func_name) and bool(GLOB.fullmatch(entry.func_name))
    least = _min_duration(document, entry, path)
    injected = _inject(document, entry, path)
    return Func(name=entry.func_name, glob=glob, capture=capture, min_duration=least, index=index, at=at, **kept,
                **injected)  # fmt: skip


def syscall(document: Document, file: File, index: int) -> Call:
    """Return the checked entry *index* of syscalls. Raises UserError."""
    entry, path = file.syscalls[index], ("syscalls", index)
    _require_handlers(document, file, entry, path)
    _require_expression(document, entry, path)
    capture = tuple((name, _length(document, entry, path, name)) for name in entry.capture)
    kept: dict[str, Any] = {key: getattr(entry, key) for key in WISHES}
    at = document.where((*path, "syscall_id"))
    least = _min_duration(document, entry, path)
    injected = _inject(document, entry, path)
    return Call(name=str(entry.syscall_id), capture=capture, min_duration=least, index=index, at=at, **kept,
                **injected)  # fmt: skip


def _inject(document: Document, entry: Target | Syscall, path: Path) -> dict[str, Any]:
    """Return what Func and Call have of an inject."""
    if isinstance(entry.inject, UnsetType):
        return {}
    where = (*path, "inject")
    return {"inject": rule(document, entry.inject, where), "inject_at": document.where(where)}


def require(grammar: re.Pattern[str], text: str, document: Document, path: Path, needed: str) -> None:
    """Raise the error for a *text* that is not *needed*."""
    if not grammar.fullmatch(text):
        raise UserError(f"bad value for {_last(path)}", document.where(path), f"found '{text}'; needed is {needed}")


def _named(document: Document, entry: Target, path: Path) -> str:
    """Check that the entry names one function, glob or set; return where."""
    if bool(entry.func_name) == bool(entry.set):
        what = "a target needs a func_name or a set" if not entry.set else "a target has either a func_name or a set"
        raise UserError(what, document.where(path), "found " + ("both" if entry.set else "neither"))
    key = "func_name" if entry.func_name else "set"
    if entry.func_name and not SPELLED.fullmatch(entry.func_name):
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


def _min_duration(document: Document, entry: Target | Syscall, path: Path) -> int:
    """Return min_duration in ns. Raises UserError where the entry's records have no duration."""
    found = duration_ns(entry.min_duration)
    at = document.where((*path, "min_duration"))
    if found is None:
        raise UserError("bad value for 'min_duration'", at, f"found '{entry.min_duration}'; needed is a time", '"10us"')
    if found and (entry.clock != "two" or entry.record != "exit"):
        key = f'"clock": "{entry.clock}"' if entry.clock != "two" else f'"record": "{entry.record}"'
        why = f"how long a call took is known when it ends, and with {key} its record does not say it"
        raise UserError("min_duration needs calls with a duration", at, why, f"leave out {key}, or min_duration")
    return found


def _require_expression(document: Document, entry: Target | Syscall, path: Path) -> None:
    """Refuse a ``when`` that no function could have."""
    try:
        if entry.when:
            parse_when(entry.when)
    except WhenError as bad:
        raise UserError(bad.what, document.inside((*path, "when"), bad.index), bad.why, bad.try_) from None


def _require_prototype_alone(document: Document, entry: Target, path: Path) -> None:
    if entry.prototype and not NAME.fullmatch(entry.func_name):
        why = f"'{entry.func_name or entry.set}' may stand for several functions"
        raise UserError("a prototype needs a single func_name", document.where((*path, "prototype")), why)


def _length(document: Document, entry: Target | Syscall, path: Path, name: str) -> str:
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
