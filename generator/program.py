"""What a program can tell about a name that libc does not know: its libraries, and its own functions.

Called by build.py, for ``wc-run -c`` and ``wc-gen --list PROG``; policy.py asks it for prototypes. Rules: libraries are
those that the loader would load at the start (DT_NEEDED, through RPATH and RUNPATH); a script stands for its
interpreter. Nothing is run, not even the loader. A name is looked for in a library's exports before the program's own
functions.

Absent on purpose: libraries that the program will dlopen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .demangle import names_matching, symbols_of
from .elf import Classification, Image, Library, NotElfError, classify, find_library, functions_of
from .engines import PROGRAM
from .errors import UserError
from .manifest import Names
from .model import CType, Export, Function

if TYPE_CHECKING:
    from .dwarf import DebugInformation
    from .headers import Headers

ALWAYS = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")
"""Read by build.py anyway, or never wrapped."""
_RPATH, _RUNPATH = 15, 29
GO = "a Go function: its entry is recorded alone, as Go has a calling convention and stacks of its own"


@dataclass(frozen=True)
class Program:
    path: Path
    """Of the ELF file: of a script, its interpreter's."""
    kind: Classification

    @classmethod
    def read(cls, path: Path) -> Program:
        """Raises UserError when the file cannot be read."""
        kind = classify(path)
        if kind.kind == "script" and kind.interpreter:
            return cls.read(Path(kind.interpreter)) if Path(kind.interpreter) != path else cls(path, kind)
        return cls(path, kind)

    @cached_property
    def libraries(self) -> dict[str, str]:
        """soname -> path of every library loaded at the start, in the loader's order, without ALWAYS."""
        found: dict[str, str] = {}
        waiting = deque([str(self.path)])
        while waiting:
            image = _image(waiting.popleft())
            for soname in image.needed if image else ():
                if soname not in found and soname not in ALWAYS:
                    found[soname] = path = self._search(soname)
                    waiting.extend([path] if path else [])
        return {soname: path for soname, path in found.items() if path}

    def _search(self, soname: str) -> str:
        for folder in self._run_path if "/" not in soname else ():
            if (Path(folder) / soname).is_file():
                return str(Path(folder) / soname)
        return find_library(soname) or ""

    @cached_property
    def _run_path(self) -> list[str]:
        image = _image(str(self.path))
        texts = [*image.dynamic_strings(_RUNPATH), *image.dynamic_strings(_RPATH)] if image else []
        origin = str(self.path.absolute().parent)
        folders = (folder for text in texts for folder in text.split(":") if folder)
        return [folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for folder in folders]

    # --- its own functions -------------------------------------------------------------------------------------------

    @property
    def is_static(self) -> bool:
        return self.kind.kind in ("static", "static-pie")

    @cached_property
    def functions(self) -> Mapping[str, Export]:
        """The functions that the program itself defines, as far as it has a symbol table."""
        try:
            return functions_of(self.path)
        except UserError:
            return {}

    def library(self, names: Collection[str] | None = None) -> Library:
        """Return the program's own functions (those of *names*) as if it were a library, whose soname is "."."""
        chosen = {name: export for name, export in self.functions.items() if names is None or name in names}
        return Library(str(self.path), PROGRAM, "", chosen)

    def defining(self, wanted: Collection[str]) -> list[Library]:
        """Return the libraries, and the program, that define some of the *wanted* names, which may be globs."""
        found = [library for library in self._readable if self._matching(library.exports, wanted)]
        exported = {name for library in found for name in library.exports}
        own = self._matching(self.functions, wanted) - exported
        return [*found, self.library(own)] if own else found

    @cached_property
    def _readable(self) -> list[Library]:
        found = []
        for path in self.libraries.values():
            with suppress(UserError):
                found.append(Library.read(path))
        return found

    def _matching(self, names: Collection[str], wanted: Collection[str]) -> set[str]:
        globs = [name for name in wanted if set(name) & set("*?[") and not _is_spelled(name)]
        exact = {name for name in wanted if name in names}
        found = exact | {name for name in names for glob in globs if fnmatchcase(name, glob)}
        for name in wanted:
            if _is_spelled(name):
                found.update(symbols_of(name, names))
        return found

    def spelled(self, name: str) -> Sequence[str]:
        """Return the symbols, here and in its libraries, of a name that is no C identifier."""
        for names in (self.functions, *(library.exports for library in self._readable)):
            found = [name] if name in names else symbols_of(name, names)
            if found:
                return found
        return ()

    def matching(self, glob: str) -> Sequence[str]:
        """Return the own functions that a glob over names of C++ or Go means, as a config may spell them."""
        own = (name for name in self.functions if name.startswith("_Z") or not name.isidentifier())
        return names_matching(glob, own)

    def function(self, symbol: str, headers: Headers) -> Function | None:
        """Return the prototype that the debug information has of an own function."""
        export = self.functions.get(symbol)
        if export is None:
            return None
        if self.is_go:
            return go_function(symbol)
        return self._debug.function(symbol, export.address) if self._debug else None

    @property
    def names(self) -> Mapping[str, Names]:
        """The enums in the prototypes that ``function`` has given so far."""
        return self._debug.names if self._debug else {}

    @cached_property
    def is_go(self) -> bool:
        image = _image(str(self.path))
        return image is not None and ".gopclntab" in image.sections

    @cached_property
    def _debug(self) -> DebugInformation | None:
        from .dwarf import DebugInformation

        return DebugInformation.of([str(self.path), *self.debug_files])

    @cached_property
    def debug_files(self) -> list[str]:
        """The separate files of its debug information that are there."""
        image = _image(str(self.path))
        mark = image.build_id if image else ""
        path = f"/usr/lib/debug/.build-id/{mark[:2]}/{mark[2:]}.debug"
        return [path] if mark and Path(path).is_file() else []


def go_function(symbol: str) -> Function:
    """Return a prototype of no arguments: Go passes them by a convention of its own, and its stacks move."""
    nothing = CType("void @", "void", name="void")
    return Function(symbol, nothing, (), origin=GO, attributes=frozenset({"noreturn"}))


def find_program(name: str) -> Path:
    """Return the file that running *name* would run."""
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(":")
    for folder in folders:
        path = Path(folder or ".") / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    if Path(name).is_file():
        return Path(name)
    raise UserError(f"no program '{name}'", name, "there is no such file" + ("" if "/" in name else " on PATH"))


def _image(path: str) -> Image | None:
    try:
        return Image(path)
    except (OSError, NotElfError):
        return None


def _is_spelled(name: str) -> bool:
    """Whether a name is no C identifier and no glob over such: C++'s, or Go's."""
    return bool(set(name) & set(":(.<~ "))
