"""The wc format: what a session's rings held, cell by cell, in a file that is readable wherever it was cut.

Written by wc-run --format wc, read by wc-report and Trace. docs/wc-format.md is its description and its promise: old
files stay readable. Rules: append only, each chunk in one write; nothing at the end is needed to read what is before
it; a reader believes no length that the file does not bear out, skips what is damaged, says how much, and never raises
for what follows the file's header and manifest.

Absent on purpose: compression, an index, and any interpretation of cells.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest, decode

from . import abi
from .accounting import Account
from .chunk import Chunk, counts_of, headers_of, kinds_of, whole_records
from .clock import Clock, Sample

VERSION = 1
MAGIC = b"WCTRACE\n"
MARKER = b"WC\x1ek"

MANIFEST, CLOCK, CELLS, META, ACCOUNT = range(1, 6)
"""Types of chunks. A reader skips those that it does not know."""

MOST = {MANIFEST: 1 << 26, CLOCK: 1 << 20, CELLS: 1 << 26, META: 1 << 26, ACCOUNT: 1 << 26}
"""Longest payload that a reader believes, so that a hostile length costs no memory."""
PIECES = 512
"""Buffers that one writev takes; the kernel's limit is 1024."""

_FILE = struct.Struct("<8sIIQ")
_CHUNK = struct.Struct("<4sIQII")
_CELLS = struct.Struct("<IIIIQII")
_CLOCK = struct.Struct("<II")
_SAMPLE = struct.Struct("<QQQ")


class WcWriter:
    """Writes a recording to an open file. Raises UserError when it cannot."""

    def __init__(self, file: int, name: str, manifest: bytes, hash_: int) -> None:
        """*manifest* is the JSON of the session's manifest, *hash_* its hash; *name* is for messages."""
        self._file, self._name = file, name
        self._write([_FILE.pack(MAGIC, VERSION, abi.ABI_VERSION, hash_)])
        self._put(MANIFEST, _padded(manifest))

    def chunk(self, chunk: Chunk) -> None:
        self.chunks([chunk])

    def chunks(self, chunks: Sequence[Chunk]) -> None:
        """Append *chunks* with as few system calls as they take."""
        for start in range(0, len(chunks), PIECES // 2):
            parts: list[Any] = []
            for chunk in chunks[start : start + PIECES // 2]:
                parts += _cells_chunks(chunk)
            self._write(parts)

    def clock(self, kind: int, samples: Iterable[Sample]) -> None:
        """Append clock samples (kind: abi.CLOCK_*). Two at the start, one a second, one at the end are enough."""
        self._put(CLOCK, _CLOCK.pack(kind, 0) + b"".join(_SAMPLE.pack(*sample) for sample in samples))

    def manifest(self, manifest: bytes) -> None:
        """Append the manifest as it is now: targets have been added behind those that it had."""
        self._put(MANIFEST, _padded(manifest))

    def meta(self, meta: dict[str, Any]) -> None:
        """Append facts about the run; later ones replace earlier ones of the same key."""
        self._put(META, _padded(msgspec.json.encode(meta)))

    def account(self, account: Account) -> None:
        self._put(ACCOUNT, _padded(msgspec.json.encode(account)))

    def _put(self, type_: int, payload: bytes) -> None:
        self._write([_chunk_header(type_, len(payload), payload), payload])

    def _write(self, parts: list[Any]) -> None:
        """Write all of *parts*; a short write goes on where it stopped."""
        for start in range(0, len(parts), PIECES):
            views = [memoryview(part).cast("B") for part in parts[start : start + PIECES]]
            while views:
                try:
                    written = os.writev(self._file, views)
                except OSError as error:
                    raise UserError(f"cannot write the recording: {error.strerror}", at=self._name) from error
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]


def _padded(json: bytes) -> bytes:
    return json + b" " * (-len(json) % 8)


def _chunk_header(type_: int, length: int, checked: bytes) -> bytes:
    """A chunk's header. *checked* is the payload, or of cells the 32 bytes before them."""
    start = MARKER + struct.pack("<IQ", type_, length)
    return start + struct.pack("<II", zlib.crc32(start), zlib.crc32(checked))


def _cells_chunks(chunk: Chunk) -> Iterator[Any]:
    """Yield the buffers of one CELLS chunk, or of several when a ring's piece was larger than a chunk may be."""
    most = (MOST[CELLS] - _CELLS.size) // abi.CELL_SIZE
    firsts = chunk.firsts if len(chunk.cells) > most else None
    start = 0
    while start < len(chunk.cells):
        end = min(start + most, len(chunk.cells))
        if firsts is not None and end < len(chunk.cells):
            end = int(firsts[np.searchsorted(firsts, end, side="right") - 1])
        cells = chunk.cells[start:end]
        ids = chunk.pid, chunk.tid, chunk.segment, chunk.ring, chunk.position + start
        described = _CELLS.pack(*ids, len(cells), 0)
        yield _chunk_header(CELLS, len(described) + cells.nbytes, described) + described
        yield cells.view(np.uint8).data
        start = end


class WcReader:
    """Reads a recording: what it is at once, its chunks by iteration, as often as wanted."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises UserError when *path* is no recording, or one without its manifest."""
        self.path = os.fspath(path)
        self.meta: dict[str, Any] = {}
        self.account: Account | None = None
        """None when the consumer died before the session ended."""
        self.damaged = 0
        """Bytes that are missing or could not be used: a cut end, or damage. Complete after an iteration."""
        self.hash = 0
        self._manifest: Manifest | None = None
        self._torn: set[int] = set()
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"cannot open the recording: {error.strerror}", at=self.path) from error
        try:
            self._read_index()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WcReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the recorded chunks in the order in which they were drained."""
        for type_, offset, length in self._walk():
            if type_ == CELLS:
                chunk = self._cells(offset, length)
                if chunk is not None:
                    yield chunk

    @property
    def manifest(self) -> Manifest:
        assert self._manifest is not None  # __init__ has seen to it
        return self._manifest

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _read_index(self) -> None:
        """Read everything but the cells."""
        try:
            self._size = os.fstat(self._file).st_size
            self._check_header(os.pread(self._file, _FILE.size, 0))
            kind, samples = abi.CLOCK_MONOTONIC, list[Sample]()
            for type_, offset, length in self._walk(counting=True):
                if type_ == CLOCK:
                    kind, more = _parse_clock(os.pread(self._file, length, offset))
                    samples += more
                elif type_ in (MANIFEST, META, ACCOUNT):
                    self._take_json(type_, os.pread(self._file, length, offset))
        except OSError as error:
            raise UserError(f"cannot read the recording: {error.strerror}", at=self.path) from error
        if self._manifest is None:
            raise UserError("this recording has no usable manifest", at=self.path, why="it is cut or damaged there")
        self.clock = Clock(kind, samples=samples)

    def _check_header(self, raw: bytes) -> None:
        if len(raw) < _FILE.size or not raw.startswith(MAGIC):
            raise UserError(
                "this is no recording of wc-run",
                at=self.path,
                why="it does not begin as one",
                try_="wc-run --format wc -o FILE makes one",
            )
        _, version, abi_version, self.hash = _FILE.unpack(raw)
        if version > VERSION or abi_version != abi.ABI_VERSION:
            raise UserError(
                "this recording was made by another version of wc-intercept",
                at=self.path,
                why=f"its format is {version} (ABI {abi_version}), this reads up to {VERSION} (ABI {abi.ABI_VERSION})",
            )

    def _take_json(self, type_: int, raw: bytes) -> None:
        """A chunk whose JSON is not what it should be is worth nothing, and costs nothing but itself."""
        try:
            if type_ == MANIFEST:
                self._take_manifest(decode(raw))
            elif type_ == META:
                self.meta.update(msgspec.json.decode(raw, type=dict[str, Any]))
            else:
                self.account = msgspec.json.decode(raw, type=Account)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.damaged += len(raw)

    def _take_manifest(self, manifest: Manifest) -> None:
        """A later one counts when it is the earlier one, grown."""
        known = self._manifest
        if known is None or manifest.symbols[: len(known.symbols)] == known.symbols:
            self._manifest = manifest

    def _walk(self, counting: bool = False) -> Iterator[tuple[int, int, int]]:
        """Yield (type, offset of the payload, length) of each chunk that holds together."""
        offset = _FILE.size
        while offset < self._size:
            found = self._chunk_at(offset)
            if found is None:
                after = self._next_marker(offset + 1)
                if counting:
                    self.damaged += after - offset
                offset = after
                continue
            type_, length = found
            yield type_, offset + _CHUNK.size, length
            offset += _CHUNK.size + length
        if counting and offset > self._size:
            self.damaged += offset - self._size

    def _chunk_at(self, offset: int) -> tuple[int, int] | None:
        """Return type and length of the payload of the chunk at *offset*, None when it does not hold together."""
        raw = os.pread(self._file, _CHUNK.size, offset)
        if len(raw) < _CHUNK.size:
            return None
        marker, type_, length, crc, crc_payload = _CHUNK.unpack(raw)
        left = self._size - offset - _CHUNK.size
        if marker != MARKER or zlib.crc32(raw[:16]) != crc or length > MOST.get(type_, left):
            return None
        if type_ in MOST:
            checked = os.pread(self._file, _CELLS.size if type_ == CELLS else length, offset + _CHUNK.size)
            if zlib.crc32(checked) != crc_payload:
                return None
        return type_, length

    def _next_marker(self, offset: int) -> int:
        """Return where the next chunk may begin, at *offset* or behind it; the file's end when there is none."""
        window = 1 << 20
        while offset < self._size:
            raw = os.pread(self._file, window + len(MARKER) - 1, offset)
            place = raw.find(MARKER)
            if place >= 0:
                return offset + place
            if len(raw) < window:
                break
            offset += window
        return self._size

    def _cells(self, offset: int, length: int) -> Chunk | None:
        """Read one CELLS chunk: its whole records, up to where it is cut or contradicts itself."""
        raw = os.pread(self._file, _CELLS.size, offset)
        if len(raw) < _CELLS.size:
            return None
        pid, tid, segment, ring, position, count, _ = _CELLS.unpack(raw)
        cells = np.empty(min(count, (length - _CELLS.size) // abi.CELL_SIZE), abi.CELL)
        got = os.preadv(self._file, [cells.view(np.uint8).data], offset + _CELLS.size) if len(cells) else 0
        headers = headers_of(cells[: got // abi.CELL_SIZE])
        whole = whole_records(kinds_of(headers), counts_of(headers))
        if whole < len(headers) and offset not in self._torn:
            self._torn.add(offset)
            self.damaged += (len(headers) - whole) * abi.CELL_SIZE
        return Chunk(pid, tid, segment, ring, position, cells[:whole]) if whole else None


def _parse_clock(raw: bytes) -> tuple[int, list[Sample]]:
    if len(raw) < _CLOCK.size:
        return abi.CLOCK_MONOTONIC, []
    whole = (len(raw) - _CLOCK.size) // _SAMPLE.size * _SAMPLE.size
    samples = [Sample(*sample) for sample in _SAMPLE.iter_unpack(raw[_CLOCK.size : _CLOCK.size + whole])]
    return _CLOCK.unpack_from(raw)[0], samples
