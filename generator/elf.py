"""What libraries export and programs import, from their ELF files.

Called by policy.py through build.py (libraries), by ``wc-gen --list`` (programs). Rules: a name stands for its default
version; what belongs to GLIBC_PRIVATE is nobody's business; equal addresses are reported, not judged (aliases.py
judges). The tables are read with ``struct``: pyelftools needs longer to be imported than libc's 3,000 symbols take.

Absent on purpose: DWARF, relocations, 32-bit and big-endian files (classify names them, nothing else reads them).
"""

from __future__ import annotations

import os
import re
import stat
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from .errors import UserError
from .model import Export

_X86_64 = 62
_FUNCTION, _IFUNC = 2, 10
_PRIVATE = "GLIBC_PRIVATE"
_HIDDEN = 0x8000


class NotElfError(Exception):
    """A file is no ELF file that this host runs; the argument says why."""


class _Section(NamedTuple):
    kind: int
    offset: int
    size: int
    link: int


class _Symbol(NamedTuple):
    name: str
    info: int
    other: int
    section: int
    address: int
    version: int
    """Index into the version definitions or needs, with the hidden bit."""


class Image:
    """A 64-bit little-endian ELF file: its headers, sections and dynamic tables."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()
        if self.data[:4] != b"\x7fELF" or len(self.data) < 64:
            raise NotElfError("it is not an ELF file")
        if self.data[4:6] != b"\x02\x01":
            raise NotElfError("it is not a 64-bit little-endian ELF file")
        header = struct.unpack_from("<HHIQQQIHHHHHH", self.data, 16)
        self.type, self.machine = header[0], header[1]
        self._segments_at, self._sections_at = header[4], header[5]
        self._segments, self._sections, self._names = header[9], header[11], header[12]

    @cached_property
    def segments(self) -> list[tuple[int, int, int]]:
        """(type, file offset, file size) of each program header."""
        found = (struct.unpack_from("<IIQQQQQQ", self.data, self._segments_at + 56 * i) for i in range(self._segments))
        return [(kind, offset, size) for kind, _, offset, _, _, size, _, _ in found]

    @cached_property
    def sections(self) -> dict[str, _Section]:
        rows = [struct.unpack_from("<IIQQQQIIQQ", self.data, self._sections_at + 64 * i) for i in range(self._sections)]
        if not rows:
            return {}
        names = rows[self._names][4]
        return {self.string(names + r[0]): _Section(r[1], r[4], r[5], r[6]) for r in rows}

    def string(self, offset: int) -> str:
        return self.data[offset : self.data.index(b"\0", offset)].decode("utf-8", "surrogateescape")

    @cached_property
    def _strings(self) -> int:
        return self.sections[".dynstr"].offset

    @cached_property
    def dynamic(self) -> list[tuple[int, int]]:
        """(tag, value) of each entry of the dynamic section."""
        found = self.sections.get(".dynamic")
        if found is None:
            return []
        end = found.offset + found.size // 16 * 16
        return list(struct.iter_unpack("<QQ", self.data[found.offset : end]))

    def dynamic_strings(self, tag: int) -> list[str]:
        return [self.string(self._strings + value) for kind, value in self.dynamic if kind == tag]

    @property
    def symbols(self) -> Iterator[_Symbol]:
        """The dynamic symbols, but for the empty first one."""
        table, versions = self.sections.get(".dynsym"), self.sections.get(".gnu.version")
        if table is None:
            return
        count = table.size // 24
        numbers = struct.unpack_from(f"<{count}H", self.data, versions.offset) if versions else (1,) * count
        rows = struct.iter_unpack("<IBBHQQ", self.data[table.offset : table.offset + 24 * count])
        strings, data = self._strings, self.data
        for version, (name, info, other, section, address, _) in zip(numbers, rows, strict=True):
            begin = strings + name
            text = data[begin : data.index(b"\0", begin)].decode("utf-8", "surrogateescape")
            if text:
                yield _Symbol(text, info, other, section, address, version)

    @property
    def static_symbols(self) -> Iterator[_Symbol]:
        """The symbols of .symtab, which strip takes away."""
        table, strings = self.sections.get(".symtab"), self.sections.get(".strtab")
        if table is None or strings is None:
            return
        for row in struct.iter_unpack("<IBBHQQ", self.data[table.offset : table.offset + table.size // 24 * 24]):
            if row[0]:
                yield _Symbol(self.string(strings.offset + row[0]), row[1], row[2], row[3], row[4], 1)

    @cached_property
    def defined_versions(self) -> dict[int, str]:
        """Names of the versions that this file defines, by index."""
        found, section = {}, self.sections.get(".gnu.version_d")
        position = section.offset if section else 0
        while section:
            _, flags, index, _, _, auxiliary, following = struct.unpack_from("<HHHHIII", self.data, position)
            name = struct.unpack_from("<I", self.data, position + auxiliary)[0]
            found[index] = "" if flags & 1 else self.string(self._strings + name)
            if not following:
                break
            position += following
        return found

    @cached_property
    def needed_versions(self) -> dict[int, str]:
        """Names of the versions that this file needs, by index."""
        found, section = {}, self.sections.get(".gnu.version_r")
        position = section.offset if section else 0
        while section:
            _, count, _, auxiliary, following = struct.unpack_from("<HHIII", self.data, position)
            at = position + auxiliary
            for _ in range(count):
                _, _, index, name, step = struct.unpack_from("<IHHII", self.data, at)
                found[index] = self.string(self._strings + name)
                at += step
            if not following:
                break
            position += following
        return found

    @property
    def soname(self) -> str:
        return next(iter(self.dynamic_strings(14)), "")

    @property
    def needed(self) -> list[str]:
        return self.dynamic_strings(1)

    @property
    def build_id(self) -> str:
        section = self.sections.get(".note.gnu.build-id")
        if section is None:
            return ""
        name, size, _ = struct.unpack_from("<III", self.data, section.offset)
        begin = section.offset + 12 + (name + 3) // 4 * 4
        return self.data[begin : begin + size].hex()


@contextmanager
def _reading(path: str, purpose: str) -> Iterator[None]:
    """Turn whatever a file makes go wrong into the error for a file that the user gave for *purpose*."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {path}", why=error.strerror or str(error)) from error
    except NotElfError as error:
        raise UserError(f"{path} cannot be used as {purpose}", why=str(error)) from error
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} cannot be used as {purpose}", why=f"it is damaged ({error})") from error


# --- libraries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Library:
    """One shared library and the functions that it exports."""

    path: str
    soname: str
    build_id: str
    exports: Mapping[str, Export]
    """By name: default versions outside GLIBC_PRIVATE."""
    needed: tuple[str, ...] = ()
    hidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that have old versions besides or instead of a default one, with these versions."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Library:
        """Return the library at *path*. Raises UserError if it is none."""
        name = os.fspath(path)
        with _reading(name, "a library"):
            image = Image(name)
            if image.machine != _X86_64:
                raise NotElfError("it is for another machine")
            soname = image.soname or Path(name).name
            exports, hidden = _exports(image, soname)
            return cls(name, soname, image.build_id, exports, tuple(image.needed), hidden)

    def aliases(self, name: str) -> tuple[str, ...]:
        """Return the names exported with the address of *name*, itself included, sorted."""
        export = self.exports.get(name)
        return self._groups[export.address] if export else ()

    @cached_property
    def _groups(self) -> dict[int, tuple[str, ...]]:
        found: dict[int, list[str]] = defaultdict(list)
        for export in self.exports.values():
            found[export.address].append(export.name)
        return {address: tuple(sorted(names)) for address, names in found.items()}


def functions_of(path: str | os.PathLike[str]) -> dict[str, Export]:
    """Return every function that a program's file defines, exported or not, as far as its symbol tables tell.

    Of several local functions of one name the first. Raises UserError.
    """
    found: dict[str, Export] = {}
    with _reading(os.fspath(path), "a program"):
        image = Image(os.fspath(path))
        for symbol in (*image.static_symbols, *image.symbols):
            if symbol.section and symbol.info & 15 in (_FUNCTION, _IFUNC) and symbol.address:
                found.setdefault(
                    symbol.name, Export(symbol.name, ".", "", symbol.address, symbol.info & 15 == _IFUNC)
                )
    return found


def _exports(image: Image, soname: str) -> tuple[dict[str, Export], dict[str, tuple[str, ...]]]:
    versions = image.defined_versions
    defaults: dict[str, _Symbol] = {}
    others: dict[str, list[_Symbol]] = defaultdict(list)
    for symbol in image.symbols:
        exported = symbol.section and symbol.info & 15 in (_FUNCTION, _IFUNC) and symbol.info >> 4 and symbol.version
        if not exported or symbol.other & 3 in (1, 2) or versions.get(symbol.version & ~_HIDDEN) == _PRIVATE:
            continue
        if symbol.version & _HIDDEN:
            others[symbol.name].append(symbol)
        else:
            defaults[symbol.name] = symbol
    exports = {
        name: Export(
            name,
            soname,
            versions.get(s.version, ""),
            s.address,
            s.info & 15 == _IFUNC,
            any(o.address != s.address for o in others.get(name, ())),
        )
        for name, s in sorted(defaults.items())
    }
    hidden = {n: tuple(versions.get(s.version & ~_HIDDEN, "") for s in found) for n, found in sorted(others.items())}
    return exports, hidden


_DIRECTORIES = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/usr/lib",
)


def find_library(soname: str) -> str | None:
    """Return the path of the library that the loader would take for *soname* (or a path), None if there is none."""
    if "/" in soname:
        return soname if Path(soname).exists() else None
    searched = [d for d in os.environ.get("LD_LIBRARY_PATH", "").split(":") if d]
    for directory in [*searched, *_DIRECTORIES]:
        path = f"{directory}/{soname}"
        if _is_native(path):
            return path
    return next((path for path in _cached(soname) if _is_native(path)), None)


def _is_native(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return False
    return head[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", head, 18)[0] == _X86_64


def _cached(soname: str) -> list[str]:
    """Return the paths that the loader's cache has for *soname*."""
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"):
        try:
            done = subprocess.run([program, "-p"], capture_output=True, text=True, errors="replace")
        except OSError:
            continue
        return re.findall(rf"^\s*{re.escape(soname)} \(.*?\) => (.+)$", done.stdout, re.M)
    return []


# --- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Imports:
    """What a program or library takes from others."""

    symbols: Mapping[str, str]
    """Undefined dynamic symbols; the version asked for, or an empty string."""
    needed: tuple[str, ...]
    """DT_NEEDED, in order."""


def imports(path: str | os.PathLike[str]) -> Imports:
    """Return the undefined symbols and needed libraries of a program. Raises UserError."""
    name = os.fspath(path)
    with _reading(name, "a program"):
        image = Image(name)
        versions = image.needed_versions
        undefined = {s.name: versions.get(s.version & ~_HIDDEN, "") for s in image.symbols if not s.section}
        return Imports(dict(sorted(undefined.items())), tuple(image.needed))


ProgramKind = Literal["dynamic", "static", "static-pie", "library", "script", "other-machine", "not-elf"]
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv", 21: "ppc64", 22: "s390x"}
_LOADABLE, _DYNAMIC, _INTERPRETER = 1, 2, 3
_PROGRAM_FLAGS, _FLAG_PIE = 0x6FFFFFFB, 0x08000000


@dataclass(frozen=True, slots=True)
class Classification:
    """What kind of file a program is, and whether a library can be preloaded into it."""

    kind: ProgramKind
    machine: str = ""
    interpreter: str = ""
    """The dynamic loader of a program, the interpreter of a script."""
    setuid: bool = False
    setgid: bool = False

    @property
    def why_not_preload(self) -> str | None:
        """Why a shim cannot be preloaded, None if it can (of a script: look at its interpreter)."""
        if self.setuid or self.setgid:
            return f"it is set{'uid' if self.setuid else 'gid'}: the loader ignores LD_PRELOAD there"
        return {
            "static": "it is statically linked: there is no loader that could preload anything",
            "static-pie": "it is statically linked (PIE): there is no loader that could preload anything",
            "other-machine": f"it is for another machine ({self.machine})",
            "not-elf": "it is neither an ELF file nor a script",
        }.get(self.kind)


def classify(path: str | os.PathLike[str]) -> Classification:
    """Return what kind of file *path* is. Raises UserError if it cannot be read."""
    name = os.fspath(path)
    with _reading(name, "a program"):
        mode = Path(name).stat().st_mode
        with open(name, "rb") as file:
            head = file.read(256)
    setuid, setgid = bool(mode & stat.S_ISUID), bool(mode & stat.S_ISGID and mode & stat.S_IXGRP)
    if head[:2] == b"#!":
        words = head[2:].split(b"\n", 1)[0].decode("utf-8", "surrogateescape").split()
        return Classification("script", interpreter=words[0] if words else "")
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return Classification("not-elf")
    order = "<" if head[5] == 1 else ">"
    machine = _MACHINES.get(struct.unpack_from(order + "H", head, 18)[0], "unknown")
    if machine != "x86_64" or head[4] != 2:
        return Classification("other-machine", "x32" if machine == "x86_64" else machine, "", setuid, setgid)
    with _reading(name, "a program"):
        kind, interpreter = _program_kind(Image(name))
    return Classification(kind, machine, interpreter, setuid, setgid)


def _program_kind(image: Image) -> tuple[ProgramKind, str]:
    kinds = {kind: offset for kind, offset, _ in image.segments}
    if _INTERPRETER in kinds:
        return "dynamic", image.string(kinds[_INTERPRETER])
    if image.type == 2 or _DYNAMIC not in kinds:
        return "static", ""
    pie = any(tag == _PROGRAM_FLAGS and value & _FLAG_PIE for tag, value in image.dynamic)
    return ("static-pie", "") if pie else ("library", "")
