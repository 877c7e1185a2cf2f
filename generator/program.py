"""What a program can tell about a name that libc does not know: its libraries, and its own functions.

Called by build.py, for ``wc-run -c`` and ``wc-gen --list PROG``. Rules: libraries are those that the loader would load
at the start (DT_NEEDED, through RPATH and RUNPATH); a script stands for its interpreter. Nothing is run, not even the
loader.

Absent on purpose: DWARF, and libraries that the program will dlopen.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .elf import Classification, Image, NotElfError, classify, find_library
from .errors import UserError

ALWAYS = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")
"""Read by build.py anyway, or never wrapped."""
_RPATH, _RUNPATH = 15, 29
_UNDEFINED, _FUNCTION = 0, 2


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

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the functions that the program itself defines, as far as it has a symbol table."""
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        names: set[str] = set()
        try:
            with self.path.open("rb") as stream:
                elf = ELFFile(stream)
                for kind in ("SHT_SYMTAB", "SHT_DYNSYM"):
                    for section in elf.iter_sections(kind):
                        names.update(_defined(section))
        except (OSError, ELFError):
            return frozenset()
        return frozenset(names)


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


def _defined(section: object) -> set[str]:
    symbols = getattr(section, "iter_symbols")()  # noqa: B009 - pyelftools declares it on the subclass only
    return {
        symbol.name
        for symbol in symbols
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF" and symbol.name
    }
