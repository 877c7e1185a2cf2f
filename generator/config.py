"""A config read and checked: what the rest of the generator works from.

Called by build.py, cli.py and wc-run. ``load`` reads a file, ``parse`` a text put together by wc-run (``--trace``).
The steps: positions.py parses, keys are checked against schema.py, msgspec converts, funcs.py checks each target.
Rules: every error names path:line:column and the key; relative paths become absolute (to the config's directory;
logger_path stays as given); nothing gets past this file that could be anything but an identifier, a glob, a header
name, a length expression or a prototype yet to be parsed as C.

Absent on purpose: whether a function exists and can be wrapped (policy.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, TypeVar

import msgspec

from .errors import UserError, nearest
from .funcs import GLOB, MOVED, Call, Func, func, require, syscall
from .mismatch import invalid
from .positions import Document, Path, read
from .positions import parse as parse_json
from .schema import CHUNK, RING_MOST, Capture, File, Inject, Policy, Syscall, Target, size_bytes
from .schema import Ring as RingEntry

__all__ = ["MOVED", "Call", "Config", "Func", "Ring", "load", "parse", "steps_of"]

HEADER = re.compile(r"[A-Za-z0-9_+.,@%~ /-]+")
SONAME = re.compile(r"[A-Za-z0-9_+.,@%~-]+")
Struct = TypeVar("Struct", bound=msgspec.Struct)


class Ring(msgspec.Struct, frozen=True):
    size: int = 1 << 20
    """Bytes, a multiple of 64 KiB."""
    on_full: Policy = "block"
    block_ms: int = 100


class Config(msgspec.Struct, frozen=True):
    """A whole config. Paths are absolute but for sonames and logger_path."""

    name: str
    """The path as the user gave it."""
    funcs: tuple[Func, ...] = ()
    calls: tuple[Call, ...] = ()
    """The system calls asked for."""
    exclude: tuple[str, ...] = ()
    library_path: str = ""
    logger_path: str = ""
    ld_preload: str = ""
    ring: Ring = Ring()
    headers: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    string_limit: int = 64
    wishes: tuple[tuple[str, str], ...] = ()
    """(name, glob or set; "on", "before" or "after"): what Python handlers ask for. In no file: wc-run's --handlers."""
    document: Document = msgspec.field(default_factory=lambda: Document("", ""))
    """The text that it was read from."""

    def where(self, path: str | Path) -> str:
        """Return ``config.json:7:21  funcs[2].func_name`` for a key path; the n of funcs[n] counts Config.funcs."""
        steps = steps_of(path) if isinstance(path, str) else path
        if len(steps) > 1 and steps[0] == "funcs" and isinstance(steps[1], int):
            steps = ("funcs", self.funcs[steps[1]].index, *steps[2:])
        return self.document.where(steps)


def load(path: str | os.PathLike[str]) -> Config:
    """Read a config file. Raises UserError for whatever is wrong with it."""
    name = os.fspath(path)
    try:
        data = FilePath(name).read_bytes()
    except (OSError, ValueError) as bad:
        why = bad.strerror if isinstance(bad, OSError) else str(bad)
        raise UserError(f"cannot read the config {name}", name, why or "") from None
    return _config(read(data, name), FilePath(name).absolute().parent)


def parse(text: str, name: str) -> Config:
    """Read a config from *text*; relative paths in it are relative to the working directory."""
    try:
        base = FilePath.cwd()
    except OSError:  # it was deleted: then nothing is relative to it
        base = FilePath("/")
    return _config(parse_json(text, name), base)


def steps_of(path: str) -> Path:
    """Return ``funcs[2].func_name`` as a tuple of keys and indices."""
    return tuple(int(step[1:-1]) if step[0] == "[" else step for step in re.findall(r"\[\d+\]|[^.\[\]]+", path))


def _config(document: Document, base: FilePath) -> Config:
    _check_keys(document)
    file = _convert(document, document.value, File, ())
    for i, name in enumerate(file.exclude):
        require(GLOB, name.lstrip("%"), document, ("exclude", i), "a name, a glob or a set")
    return Config(
        name=document.name,
        funcs=tuple(func(document, file, i) for i in range(len(file.funcs))),
        calls=tuple(syscall(document, file, i) for i in range(len(file.syscalls))),
        exclude=tuple(file.exclude),
        library_path=_path(file.library_path, base),
        logger_path=file.logger_path,
        ld_preload=_path(file.ld_preload, base),
        ring=Ring(_ring_size(document, file), file.ring.on_full, file.ring.block_ms),
        headers=tuple(_header(document, name, i)[1] for i, name in enumerate(file.headers)),
        libraries=tuple(_library(document, name, i, base) for i, name in enumerate(file.libraries)),
        include=_include(file, document, base),
        string_limit=file.string_limit,
        document=document,
    )


def _objects(value: Any) -> Iterator[tuple[Path, Any, type[msgspec.Struct]]]:
    """Yield every object that has keys of ours; values may still be of any type."""
    yield (), value, File
    root = value if isinstance(value, dict) else {}
    yield ("ring",), root.get("ring"), RingEntry
    entries: tuple[tuple[str, type[msgspec.Struct]], ...] = (("funcs", Target), ("syscalls", Syscall))
    for key, struct in entries:
        found = root.get(key)
        for i, entry in enumerate(found if isinstance(found, list) else ()):
            yield (key, i), entry, struct
            captures = entry.get("capture") if isinstance(entry, dict) else None
            for name, capture in captures.items() if isinstance(captures, dict) else ():
                yield (key, i, "capture", name), capture, Capture
            yield (key, i, "inject"), entry.get("inject") if isinstance(entry, dict) else None, Inject


def _check_keys(document: Document) -> None:
    for path, value, struct in _objects(document.value):
        known = struct.__struct_encode_fields__
        for key in value if isinstance(value, dict) else ():
            if key not in known:
                raise _unknown_key(document, (*path, key), key, known)
        if struct is Capture:  # here, because msgspec does not name the key of a dict
            _convert(document, value, Capture, path)


def _unknown_key(document: Document, path: Path, key: str, known: tuple[str, ...]) -> UserError:
    at = document.where_key(path)
    close = nearest(key, known)
    return UserError(f"unknown key '{key}'", at, f"keys here are {', '.join(known)}", " or ".join(close))


def _convert(document: Document, value: Any, struct: type[Struct], path: Path) -> Struct:
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as bad:
        raise invalid(document, value, struct, path, str(bad)) from None


def _ring_size(document: Document, file: File) -> int:
    """Return ring.size in bytes. The schema has checked the range of numbers, not of texts."""
    size = size_bytes(file.ring.size)
    if size % CHUNK or not CHUNK <= size <= RING_MOST:
        why = f"found {size} bytes; needed is a multiple of 64 KiB from 64 KiB to 1 GiB"
        fit = min(max(size // CHUNK * CHUNK, CHUNK), RING_MOST)
        raise UserError("bad value for 'size'", document.where(("ring", "size")), why, f'"{fit >> 10}KiB"')
    return size


def _path(name: str, base: FilePath) -> str:
    return os.path.normpath(base / name) if name else ""


def _header(document: Document, name: str, index: int) -> tuple[str, str]:
    """Return (directory, header): one that is given as a path is included by its last part."""
    require(HEADER, name, document, ("headers", index), "a header as #include <...> names it")
    return os.path.split(name) if name.startswith(("/", "./", "../")) else ("", name)


def _include(file: File, document: Document, base: FilePath) -> tuple[str, ...]:
    """Return where to look for headers: include, the directories of headers given as paths, then the config's own."""
    found = [_path(name, base) for name in file.include]
    for i, name in enumerate(file.headers):
        directory, header = _header(document, name, i)
        if directory or (base / header).is_file():
            found.append(os.path.normpath(base / directory))
    return tuple(dict.fromkeys(found))


def _library(document: Document, name: str, index: int, base: FilePath) -> str:
    """Return an absolute path, or a soname to be searched for as the loader does."""
    if "/" in name or (base / name).is_file():
        return os.path.normpath(base / name)
    require(SONAME, name, document, ("libraries", index), "a soname as libz.so.1, or a path")
    return name
