"""Packs Python values into cells as a shim would, so that the consumer can be tested without one.

``Recorder(manifest)`` collects records; ``chunk()`` returns them as the Chunk that a drain would hand out. Values are
given per parameter: a number for a plain field, and for one with a blob a Python value (str or bytes for text and
bytes, a list for texts, bytes for values, a list of (tag, value) for varargs), None for NULL, or a Blob.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from wc_intercept.consumer import abi
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.generator.manifest import Field, Manifest, Platform, Return, Symbol, Target

PLATFORM = Platform("x86_64", "glibc 2.36", "libc.so.6")
POINTER = 0x7F0000001000


@dataclass
class Blob:
    """A blob as it is, for what Python values cannot say."""

    data: bytes = b""
    flags: int = abi.BLOB_KEPT
    pointer: int = POINTER
    length: int | None = None
    cell: int | None = None


class PlainClock:
    """Ticks are nanoseconds since the epoch."""

    def to_epoch_ns(self, ticks: Any) -> Any:
        return ticks.astype(np.int64)

    def to_ns(self, ticks: Any) -> Any:
        return ticks.astype(np.int64)


def manifest_of(*symbols: Symbol, targets: Sequence[Target] = (), **parts: Any) -> Manifest:
    """Return a manifest with these symbols; without *targets*, one target per symbol."""
    given = list(targets) or [Target(symbol.name) for symbol in symbols]
    if not targets:
        symbols = tuple(msgspec.structs.replace(symbol, target=i) for i, symbol in enumerate(symbols))
    return Manifest("test", PLATFORM, given, list(symbols), **parts)


def symbol_of(name: str, *fields: Field, result: Return | None = None, **parts: Any) -> Symbol:
    """Return a symbol whose fields are laid out in order from the first cell on (offsets given are replaced)."""
    parts = {"wrapper": "plain", "target": 0} | parts
    at, placed = abi.FIRST_ARGS, []
    for field in fields:
        at, offset = _place(at, field.size, min(field.size, 8) or 1)
        blob = 0
        if field.content:
            at, blob = _place(at, 4, 4)
        placed.append(msgspec.structs.replace(field, offset=offset, blob=blob))
    return Symbol(name, fields=placed, result=result or Return(), cells=-(-at // 64), **parts)


def _place(at: int, size: int, align: int) -> tuple[int, int]:
    """Return (end, offset) of the next *size* bytes that do not straddle a cell or meet a cell's header."""
    offset = -(-at // align) * align
    if offset % 64 < 8 and offset >= 64:
        offset = offset // 64 * 64 + 8
    if size and offset % 64 + size > 64:
        offset = (offset // 64 + 1) * 64 + 8
    return offset + size, offset


class Recorder:
    """Collects the records of one thread."""

    def __init__(self, manifest: Manifest, pid: int = 100, tid: int = 0) -> None:
        self.manifest = manifest
        self.pid, self.tid = pid, tid or pid
        self.data = bytearray()
        self.clock = 1_000
        self.ids = {symbol.name: i for i, symbol in enumerate(manifest.symbols)}

    def call(self, name: str, *values: Any, ret: int | float = 0, error: int = 0, kind: int = abi.CALL,
             clock: int | None = None, duration: int | None = 42, caller: int = 0) -> Recorder:  # fmt: skip
        """Add one call; its clock is 10 ticks after the last one's."""
        symbol = self.manifest.symbols[self.ids[name]]
        fixed = bytearray(symbol.cells * 64)
        blobs: list[bytes] = []
        for field, value in zip(symbol.fields, values, strict=True):
            _store(fixed, field, value, symbol.cells, blobs)
        if symbol.caller:
            struct.pack_into("<Q", fixed, symbol.caller, caller)
        if kind == abi.ENTER:
            duration = None
        return self.record(kind, self.ids[name], fixed, blobs, clock, duration, ret, error)

    def record(self, kind: int, symbol: int, fixed: bytearray, blobs: Sequence[bytes] = (), clock: int | None = None,
               duration: int | None = None, ret: int | float = 0, error: int = 0) -> Recorder:  # fmt: skip
        """Add any record: *fixed* is its first cells, whose headers are filled in here."""
        self.clock += 10
        bits = struct.pack("<d", ret) if isinstance(ret, float) else struct.pack("<Q", ret & 0xFFFFFFFFFFFFFFFF)
        ticks = self.clock if clock is None else clock
        struct.pack_into("<QQ8si", fixed, 8, ticks, abi.NO_DURATION if duration is None else duration, bits, error)
        cells = [bytes(fixed[i : i + 64]) for i in range(0, len(fixed), 64)]
        for blob in blobs:
            cells += [bytes(8) + blob[i : i + 56].ljust(56, b"\0") for i in range(0, len(blob), 56)]
        for ordinal, cell in enumerate(cells):
            head = (kind, len(cells)) if ordinal == 0 else (abi.CONTINUATION, ordinal)
            self.data += struct.pack("<IHBB", 1, symbol, *head) + cell[8:]
        return self

    def identity(self, kind: int, pid: int, tid: int, parent: int = 0, reason: int = 0) -> Recorder:
        """Add a PROCESS or THREAD record."""
        fixed = bytearray(64)
        struct.pack_into("<IIII", fixed, abi.FIRST_ARGS, pid, tid, parent, reason)
        return self.record(kind, abi.SYMBOL_NONE, fixed)

    def exec(self, name: str, path: bytes, wanted: bool = True, pid: int = 0, clock: int | None = None
             ) -> Recorder:  # fmt: skip
        """Add an EXEC record."""
        fixed = bytearray(64)
        struct.pack_into("<HBBI", fixed, abi.FIRST_ARGS, len(path), abi.BLOB_KEPT, 1 if path else 0, pid or self.pid)
        return self.record(abi.EXEC, self.ids[name], fixed, [path] if path else [], clock, ret=int(wanted))

    def chunk(self, segment: int = 0, ring: int = 0) -> Chunk:
        """Return what was added as a chunk, and start anew."""
        cells = np.frombuffer(bytes(self.data), dtype=abi.CELL).copy()
        self.data.clear()
        return Chunk(self.pid, self.tid, segment, ring, 0, cells)


_CODES = {("int", 1): "b", ("int", 2): "h", ("int", 4): "i", ("int", 8): "q", ("uint", 1): "B", ("uint", 2): "H",
          ("uint", 4): "I", ("uint", 8): "Q", ("pointer", 8): "Q", ("float", 4): "f", ("float", 8): "d",
          ("bool", 1): "B"}  # fmt: skip


def _store(fixed: bytearray, field: Field, value: Any, fixed_cells: int, blobs: list[bytes]) -> None:
    number = value
    if field.content:
        blob = value if isinstance(value, Blob) else blob_of(field, value)
        cell = fixed_cells + sum(-(-len(b) // 56) for b in blobs) if blob.data else 0
        struct.pack_into("<HBB", fixed, field.blob, len(blob.data) if blob.length is None else blob.length,
                         blob.flags, cell if blob.cell is None else blob.cell)  # fmt: skip
        blobs.append(blob.data)
        number = blob.pointer
    if isinstance(number, bytes):
        fixed[field.offset : field.offset + field.size] = number.ljust(field.size, b"\0")
    elif field.size and field.type != "none":
        struct.pack_into("<" + _CODES[field.type, field.size], fixed, field.offset, number)


def blob_of(field: Field, value: Any) -> Blob:
    """Return the blob that a shim would keep for *value*."""
    if value is None:
        return Blob(b"", abi.BLOB_NULL, 0)
    if isinstance(value, int):
        return Blob(b"", 0, value)
    if field.content == "texts":
        return Blob(b"".join(_bytes(item) + b"\0" for item in value))
    if field.content == "varargs":
        return Blob(b"".join(_vararg(tag, item) for tag, item in value))
    return Blob(_bytes(value))


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _vararg(tag: str, value: Any) -> bytes:
    if tag in "iucp":
        body = struct.pack("<q" if tag in "ic" else "<Q", value)
    else:
        body = struct.pack("<d", value) if tag == "f" else b"" if value is None else _bytes(value)
    return tag.encode() + bytes([len(body)]) + body


