"""A second reader of segments, written from runtime/include/wc_abi.h alone: what the runtime's tests judge it by.

Used by harness.py. It trusts nothing that the consumer's own reader does, so that the two check each other; it is
simple where that one is fast. Rules: preadv only; a record counts when its first cell carries its lap's stamp and all
cells behind it do; what was reserved and never committed is counted as torn when a committed record stands behind it,
or at the end.

Absent on purpose: hostile segments, and overwriting while it reads (then it reads at the end, once).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.machine import Native

INDEX = 0xFFFFFFFF
PATIENCE = 0.05
MOST_CELLS = 1 << 15
MOST_STEPS = 4


def next_lap(position: int) -> int:
    lap = (position >> 32) + 1
    return (0 if lap == INDEX else lap) << 32


def lap_before(position: int) -> int:
    lap = (position >> 32) - 1
    return (INDEX - 1 if lap < 0 else lap) << 32 | position & INDEX


@dataclass
class Piece:
    """Consecutive whole records of one ring."""

    segment: int
    ring: int
    position: int
    cells: np.ndarray[Any, Any]


@dataclass
class Ring:
    offset: int
    tail: int = 0
    stuck: float = 0.0
    stuck_at: int = -1
    seeking: bool = False
    torn: list[int] = field(default_factory=list)
    """Symbols of records that were begun and never committed; SYMBOL_NONE where not even that is known."""
    lapped: int = 0


class Segment:
    def __init__(self, path: str, ordinal: int) -> None:
        self.path, self.ordinal = path, ordinal
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.rings: list[Ring] = []
        self._page: dict[int, int] = {}

    def header(self) -> Any:
        return np.frombuffer(os.pread(self.file, abi.SEGMENT.itemsize, 0), abi.SEGMENT)[0]

    def ring_header(self, ring: Ring) -> Any:
        return np.frombuffer(os.pread(self.file, abi.RING.itemsize, ring.offset), abi.RING)[0]

    def cells(self, header: Any, ring: Ring, index: int, count: int) -> np.ndarray[Any, Any]:
        start = ring.offset + int(header["cells_offset"]) + index * 64
        raw = os.pread(self.file, count * 64, start)
        return np.frombuffer(raw, abi.CELL)

    def counts(self, offset: int, targets: int) -> np.ndarray[Any, Any]:
        raw = os.pread(self.file, targets * abi.COUNT.itemsize, offset)
        return np.frombuffer(raw, abi.COUNT)


class Reader:
    """All segments of one session."""

    def __init__(self, session: str, overwrite: bool = False) -> None:
        self.session, self.overwrite = session, overwrite
        self.segments: dict[str, Segment] = {}
        self.pieces: list[Piece] = []
        self._native = Native()

    def poll(self, final: bool = False) -> int:
        """Take what is there; return how many cells that was. *final*: nobody writes any more."""
        for name in sorted(os.listdir(self.session)):
            path = f"{self.session}/{name}"
            if name.startswith("seg-") and name not in self.segments and _has_magic(path):
                self.segments[name] = Segment(path, len(self.segments))
        return sum(self._poll_segment(segment, final) for segment in self.segments.values())

    def close(self) -> None:
        for segment in self.segments.values():
            os.close(segment.file)

    def _poll_segment(self, segment: Segment, final: bool) -> int:
        header = segment.header()
        for i in range(len(segment.rings), int(header["rings_used"])):
            segment.rings.append(Ring(int(header["first_ring"]) + i * int(header["ring_stride"])))
        return sum(self._poll_ring(segment, header, i, final) for i in range(len(segment.rings)))

    def _poll_ring(self, segment: Segment, header: Any, number: int, final: bool) -> int:
        ring, taken = segment.rings[number], 0
        for _ in range(1 << 30 if final else MOST_STEPS):  # a writer that waits for each cell would hold us here
            before, lines = ring.tail, segment.ring_header(ring)
            if self.overwrite:
                self._skip_overwritten(ring, lines)
            taken += self._step(segment, header, number, lines, final)
            if ring.tail == before:
                return taken
            if not self.overwrite:
                self._publish(segment, ring)
        return taken

    def _step(self, segment: Segment, header: Any, number: int, lines: Any, final: bool) -> int:
        """Move tail over one run of records, one filler, or one gap."""
        ring, head, capacity = segment.rings[number], int(lines["head"]), int(lines["capacity"])
        if ring.tail == head:
            return 0
        if ring.tail & INDEX >= capacity:
            ring.tail = next_lap(ring.tail)
            return 0
        end = head & INDEX if head >> 32 == ring.tail >> 32 else capacity
        index = ring.tail & INDEX
        cells = segment.cells(header, ring, index, min(end - index, MOST_CELLS))
        whole = _whole(cells, (ring.tail >> 32) + 1)
        if whole:
            self.pieces.append(Piece(segment.ordinal, number, ring.tail, cells[:whole].copy()))
            ring.tail, ring.stuck_at, ring.seeking = ring.tail + whole, -1, False
            return whole
        first = cells[0]
        if first["stamp"] == (ring.tail >> 32) + 1 and first["kind"] == abi.FILLER:
            assert 0 < int(first["count"]) <= capacity - index
            ring.tail, ring.seeking = ring.tail + int(first["count"]), False
        else:
            assert first["stamp"] != (ring.tail >> 32) + 1 or ring.seeking or first["count"] > len(cells)
            self._wait(segment, header, ring, head, capacity, final)
        return 0

    def _wait(self, segment: Segment, header: Any, ring: Ring, head: int, capacity: int, final: bool) -> None:
        """At tail stands no committed record: go to the next one behind it, if there is one and it has waited."""
        now = time.monotonic()
        if ring.stuck_at != ring.tail:
            ring.stuck_at, ring.stuck = ring.tail, now
        if not (final or now - ring.stuck > PATIENCE):
            return
        behind = self._next(segment, header, ring, head, capacity)
        if behind is None and not final:
            return
        if not ring.seeking:
            self._note_torn(segment, header, ring, behind if behind is not None else head, capacity)
        ring.tail, ring.seeking = (head if behind is None else behind), False

    def _next(self, segment: Segment, header: Any, ring: Ring, head: int, capacity: int) -> int | None:
        at = ring.tail + 1
        while True:
            same = at >> 32 == head >> 32
            end = head & INDEX if same else capacity
            cells = segment.cells(header, ring, at & INDEX, max(end - (at & INDEX), 0))
            stamp = (at >> 32) + 1
            for i in np.flatnonzero(cells["stamp"] == stamp):
                if cells["kind"][i] != abi.CONTINUATION:
                    return at + int(i)
            if same:
                return None
            at = next_lap(at)

    def _note_torn(self, segment: Segment, header: Any, ring: Ring, until: int, capacity: int) -> None:
        at, found = ring.tail, 0
        while at < until and at & INDEX < capacity:
            cell = segment.cells(header, ring, at & INDEX, 1)[0]
            if cell["stamp"] != 0 or cell["count"] == 0 or cell["kind"] in (abi.CONTINUATION, abi.FILLER):
                break
            ring.torn.append(int(cell["symbol"]))
            found += 1
            at += int(cell["count"])
        if not found:
            ring.torn.append(abi.SYMBOL_NONE)

    def _skip_overwritten(self, ring: Ring, lines: Any) -> None:
        """Overwrite mode, read at the end: begin one lap behind head, at the first record found there."""
        head = int(lines["head"])
        if ring.lapped == 0 and head >> 32 != ring.tail >> 32 and lap_before(head) > ring.tail:
            ring.tail, ring.lapped, ring.seeking = lap_before(head), 1, True

    def _publish(self, segment: Segment, ring: Ring) -> None:
        os.pwrite(segment.file, ring.tail.to_bytes(8, "little"), ring.offset + fields.RING.offset("tail"))
        at = ring.offset + fields.RING.offset("waiting")
        raw = os.pread(segment.file, 8, at)
        if raw[:4] == b"\0\0\0\0":
            return
        wake = (int.from_bytes(raw[4:], "little") + 1) & INDEX
        os.pwrite(segment.file, wake.to_bytes(4, "little"), at + 4)
        page = self._native.map_page(segment.file, ring.offset)
        if page:
            self._native.wake(page + fields.RING.offset("waiting") + 4)
            self._native.unmap_page(page)


def _has_magic(path: str) -> bool:
    with Path(path).open("rb") as file:
        return int.from_bytes(file.read(8), "little") == fields.SEGMENT_MAGIC


def _whole(cells: np.ndarray[Any, Any], stamp: int) -> int:
    """Return how many cells from the start are whole committed records of this lap."""
    good = cells["stamp"] == stamp
    end = len(good) if good.all() else int(good.argmin())
    kinds, counts = cells["kind"][:end], cells["count"][:end]
    if ((kinds >= abi.CALL) & (kinds <= abi.LOST) & (counts == 1)).all():
        return end
    starts = np.flatnonzero(kinds != abi.CONTINUATION)
    if len(starts) == 0 or starts[0] != 0:
        return 0
    lengths = np.diff(starts, append=end)
    ordinals = np.arange(end) - np.repeat(starts, lengths)
    right = (kinds[starts] >= abi.CALL) & (kinds[starts] <= abi.LOST) & (lengths == counts[starts])
    right &= np.logical_and.reduceat((ordinals == 0) | (ordinals == counts), starts)
    return end if right.all() else int(starts[right.argmin()])
