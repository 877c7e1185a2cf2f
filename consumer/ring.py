"""Reads one ring: turns committed cells into chunks, and decides what to do at a cell that is not committed.

Called by drain.py, once per poll. The life of a cell is told in runtime/include/wc_abi.h; what the reader does:

    stamp is this lap's     accept: copy again, compare again, hand out the second copy only
    stamp 0, count set      open: wait; torn when its owner is gone, or after TORN_NS with a valid first cell behind it
    stamp older             not yet written: the same, but nobody knows whose record it would have been
    stamp newer             lapped (overwrite): go on where the writer has not been yet, count the lap

Rules: ``head`` is a hint: it bounds what is looked at, and where to go after a lap, never what is accepted. A visit
does a bounded amount of work whatever the bytes are, and every step either moves ``tail`` forward or ends the visit.

Absent on purpose: discovery and pace (drain.py), the meaning of records (accounting.py, decode.py).
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from . import abi
from . import abi_fields as fields
from . import position as at
from .chunk import FIRST_KINDS, Chunk, counts_of, headers_of, kinds_of, stamps_of, symbols_of, whole_records
from .machine import Native
from .segment import Segment

PIECE = 16384
"""Cells that are copied at a time: 1 MiB."""
STEPS = 8
"""Pieces, fillers and gaps that one visit handles at most."""
TORN_NS = 50_000_000
MOST_HALVINGS = 5
MOST_TORN = 256
"""Records that one gap is searched for: more than signal handlers nest."""

_LINES = struct.Struct("<QIIIIIIII24xQ56xII")
"""The writer's line, tail, and the meeting line's waiting and wake."""


@dataclass(slots=True)
class Findings:
    """What the rings of a session showed besides records."""

    torn: Counter[int] = field(default_factory=Counter)
    """Records begun and never committed, by symbol; SYMBOL_NONE where not even that was written."""
    laps: int = 0
    """Times that a writer overtook the reader."""
    corrupt: int = 0
    """Places where the bytes were none that a writer leaves."""
    short: int = 0
    """Reads that found the file truncated."""


class Ring:
    """The reader's side of one ring."""

    def __init__(
        self,
        segment: Segment,
        index: int,
        findings: Findings,
        native: Native,
        overwrite: bool = False,
        publishes: bool = True,
    ) -> None:
        """*publishes* false: neither the writer nor the next reader learns how far we have read."""
        self._publishes = publishes
        self.segment, self.index = segment, index
        self.pid, self.tid = segment.pid, segment.pid
        self._findings, self._native, self._overwrite = findings, native, overwrite
        self._header = segment.ring_offset(index)
        self._cells = segment.cells_offset(index)
        self._claims = 0
        self._switches: list[tuple[int, int, int]] = []
        self._stuck_at, self._stuck_since = -1, 0
        self._seeking = False
        self._fruitless = 0
        self._page = 0
        self.owner = (0, 0)
        self.head = self.tail = 0
        self._adopt()

    def _adopt(self) -> None:
        """Begin where the last consumer stopped; where nobody did, tail is 0."""
        lines = self._read_lines()
        tail = 0 if lines is None else lines[-3]
        self.tail = tail if tail & at.INDEX <= self.segment.geometry.ring_cells else 0

    def take(self, scratch: abi.Cells, now: int, final: bool = False) -> list[Chunk]:
        """Return what has been committed since the last visit. *now*: CLOCK_MONOTONIC ns.

        *final* says that nobody can write any more: what is not committed now never will be.
        """
        lines = self._read_lines()
        if lines is None:
            return []
        self.head, capacity = lines[0], min(lines[5], self.segment.geometry.ring_cells)
        self.owner = lines[1], lines[2]
        if self.head == self.tail and lines[7] == self._claims:
            return []
        if lines[7] != self._claims:
            self._load_claims(lines[7])
        before = self.tail
        chunks: list[Chunk] = []
        for _ in range(STEPS):
            if capacity == 0 or not self._step(scratch, capacity, now, final, chunks):
                break
        if self.tail != before and self._publishes:
            self._publish()
        return chunks

    def _read_lines(self) -> tuple[int, ...] | None:
        raw = os.pread(self.segment.fileno(), _LINES.size, self._header)
        if len(raw) == _LINES.size:
            return _LINES.unpack(raw)
        self._findings.short += 1
        return None

    def _step(self, scratch: abi.Cells, capacity: int, now: int, final: bool, chunks: list[Chunk]) -> bool:
        """Take one piece. Returns whether there may be more to do."""
        if at.difference(self.head, self.tail) <= 0:
            return False
        if self.tail & at.INDEX >= capacity:
            self.tail = at.next_lap(self.tail)
            return True
        if at.difference(self.head, self.tail) > at.LAP:
            self._resync(capacity, final)
            return True
        piece = scratch[: self._copy(scratch[: self._readable(capacity)])]
        if len(piece) == 0:
            return False
        headers = headers_of(piece)
        accepted = self._accept(headers)
        if accepted:
            self._seeking = False
            return self._hand_out(headers[:accepted], chunks) > 0
        return self._obstacle(headers, capacity, now, final)

    def _readable(self, capacity: int) -> int:
        """Return how many cells from tail on may be worth a look: up to head, or to the end of the lap."""
        same_lap = self.head >> 32 == self.tail >> 32
        end = min(self.head & at.INDEX, capacity) if same_lap else capacity
        return min(end - (self.tail & at.INDEX), PIECE)

    def _copy(self, into: abi.Cells, offset: int = 0) -> int:
        """Copy cells from tail (plus *offset*) on; return how many there were."""
        start = self._cells + ((self.tail & at.INDEX) + offset) * fields.CELL_SIZE
        got = os.preadv(self.segment.fileno(), [into.view(np.uint8).data], start) // fields.CELL_SIZE
        if got < len(into):
            self._findings.short += 1
        return got

    def _accept(self, headers: npt.NDArray[np.uint64]) -> int:
        """Return how many cells from the start are committed whole records of this lap."""
        good = stamps_of(headers) == at.stamp_of(self.tail)
        end = len(good) if good.all() else int(good.argmin())
        return whole_records(kinds_of(headers)[:end], counts_of(headers)[:end])

    def _hand_out(self, headers: npt.NDArray[np.uint64], chunks: list[Chunk]) -> int:
        """Copy the accepted cells again into memory of their own and hand them out, if they are still the same."""
        cells = np.empty(len(headers), abi.CELL)
        cells = cells[: self._copy(cells)]
        again = headers_of(cells)
        same = again == headers[: len(again)]
        count = len(same) if same.all() else int(same.argmin())
        count = whole_records(kinds_of(again)[:count], counts_of(again)[:count])
        skip = self._overtaken(again[:count]) if self._overwrite and count else 0
        if skip < count:
            self._fruitless = 0
            self._split(cells[skip:count], again[skip:count], self.tail + skip, chunks)
        self.tail += count
        return count

    def _overtaken(self, headers: npt.NDArray[np.uint64]) -> int:
        """Overwrite only: return how many of the copied cells the writer may have touched while we copied.

        It moves head before it touches a cell, so a head read after the copy bounds what it can have touched.
        """
        raw = os.pread(self.segment.fileno(), 8, self._header)
        touched = at.difference(int.from_bytes(raw, "little"), self.tail) - at.LAP
        if touched <= 0:
            return 0
        self._findings.laps += 1
        begins = np.flatnonzero(FIRST_KINDS[kinds_of(headers)])
        safe = begins[begins >= touched]
        return int(safe[0]) if len(safe) else len(headers)

    def _split(
        self, cells: abi.Cells, headers: npt.NDArray[np.uint64], position: int, chunks: list[Chunk]
    ) -> None:
        """Cut *cells* where another thread's records begin: at identity records and at claims."""
        self._apply_switches(position)
        cuts = self._claims_within(position, len(cells))
        kinds = kinds_of(headers)
        for mark in np.flatnonzero((kinds == abi.PROCESS) | (kinds == abi.THREAD)):
            cuts[int(mark)] = abi.identity_of(cells[mark])[:2]
        start = 0
        for cut in sorted(cuts):
            if cut > start:
                chunks.append(self._chunk(cells[start:cut], position + start))
            self.pid, self.tid = cuts[cut]
            start = cut
        chunks.append(self._chunk(cells[start:], position + start))

    def _chunk(self, cells: abi.Cells, position: int) -> Chunk:
        return Chunk(self.pid, self.tid, self.segment.ordinal, self.index, position, cells)

    # What stands in the way.

    def _obstacle(self, headers: npt.NDArray[np.uint64], capacity: int, now: int, final: bool) -> bool:
        """The cell at tail begins no committed record. Returns whether tail has moved."""
        if self._seeking:
            return self._seek(headers)
        stamp, kind = int(stamps_of(headers)[0]), int(kinds_of(headers)[0])
        order = at.stamp_difference(stamp, at.stamp_of(self.tail))
        if order == 0 and kind == abi.FILLER:
            return self._skip_filler(capacity)
        if stamp != 0 and order > 0:
            self._resync(capacity, final)
            return True
        if stamp != 0 and order == 0:
            self._findings.corrupt += 1
            return self._step_over(now, capacity, gone=True)
        return self._wait(now, capacity, final)

    def _skip_filler(self, capacity: int) -> bool:
        raw = os.pread(self.segment.fileno(), 8, self._cells + (self.tail & at.INDEX) * fields.CELL_SIZE)
        count = raw[7] if len(raw) == 8 else 0
        if count == 0:
            self._findings.corrupt += 1
        self.tail = at.make(self.tail >> 32, min((self.tail & at.INDEX) + max(count, 1), capacity))
        return True

    def _wait(self, now: int, capacity: int, final: bool) -> bool:
        """Nothing is committed here yet. Step over it when nobody will come back to it, or nobody has for too long."""
        if self._stuck_at != self.tail:
            self._stuck_at, self._stuck_since = self.tail, now
        waited = now - self._stuck_since >= TORN_NS
        gone = final or any(at.difference(claim, self.tail) > 0 for claim, _, _ in self._switches)
        if not gone and not waited:
            return False
        return self._step_over(now, capacity, gone or thread_is_dead(*self.owner))

    def _step_over(self, now: int, capacity: int, gone: bool) -> bool:
        """Go on at the next committed record behind tail; with nobody left to commit, at head."""
        behind = self._next_committed(capacity)
        if behind is None and not gone:
            self._stuck_since = now - TORN_NS * 9 // 10  # look again soon, not at every poll
            return False
        target = self.head if behind is None else behind
        self._count_torn(target, capacity)
        self.tail = target
        return True

    def _next_committed(self, capacity: int) -> int | None:
        """Return the position of the next first cell or filler behind tail and before head, if there is one."""
        for position, headers in self._headers_to(self.head, capacity, self.tail + 1):
            good = stamps_of(headers) == at.stamp_of(position)
            kinds = kinds_of(headers)
            found = np.flatnonzero(good & (FIRST_KINDS[kinds] | (kinds == abi.FILLER)))
            if len(found):
                return position + int(found[0])
        return None

    def _count_torn(self, target: int, capacity: int) -> None:
        """Count what lies between tail and *target*: the open records, or one unknown where no header says more."""
        symbols: list[int] = []
        for _, headers in self._headers_to(target, capacity, self.tail):
            index = 0
            while index < len(headers) and int(stamps_of(headers)[index]) == 0 and len(symbols) < MOST_TORN:
                count = int(counts_of(headers)[index])
                if count == 0 or not FIRST_KINDS[kinds_of(headers)[index]]:
                    break
                symbols.append(int(symbols_of(headers)[index]))
                index += count
            if index < len(headers):
                break
        self._findings.torn.update(symbols or [abi.SYMBOL_NONE])

    def _headers_to(
        self, end: int, capacity: int, start: int
    ) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        """Yield the headers from position *start* to *end*, piece by piece, over at most one lap's end."""
        for lap_start in (start, at.next_lap(start)):
            index, same = lap_start & at.INDEX, lap_start >> 32 == end >> 32
            stop = min(end & at.INDEX, capacity) if same else capacity
            for first in range(index, stop, PIECE):
                cells = np.empty(min(PIECE, stop - first), abi.CELL)
                got = self._copy(cells, first - (self.tail & at.INDEX))
                yield at.make(lap_start >> 32, first), headers_of(cells[:got])
            if same:
                return

    def _resync(self, capacity: int, final: bool) -> None:
        """The writer has overtaken us: go on a little in front of the oldest cell that it has not touched.

        Each lap that came to nothing halves what is kept, so that a writer that never pauses is caught up with.
        """
        self._findings.laps += 1
        margin = 0 if final else capacity - (capacity * 7 // 8 >> min(self._fruitless, MOST_HALVINGS))
        self._fruitless += 1
        raw = os.pread(self.segment.fileno(), 8, self._header)
        head = int.from_bytes(raw, "little")
        if at.difference(head, self.head) > 0:
            self.head = head
        target = at.previous_lap(self.head)
        if (target & at.INDEX) + margin >= capacity:
            target = at.make(at.next_lap(target) >> 32, (target & at.INDEX) + margin - capacity)
        else:
            target += margin
        self.tail = target if at.difference(target, self.tail) > 0 else self.head
        self._seeking = True

    def _seek(self, headers: npt.NDArray[np.uint64]) -> bool:
        """After a lap, tail may stand inside a record: go to the next first cell of this lap in the piece."""
        kinds = kinds_of(headers)
        good = (stamps_of(headers) == at.stamp_of(self.tail)) & (FIRST_KINDS[kinds] | (kinds == abi.FILLER))
        found = np.flatnonzero(good)
        self._seeking = len(found) == 0
        self.tail += int(found[0]) if len(found) else len(headers)
        return True

    # Whose records these are.

    def _load_claims(self, claims: int) -> None:
        """Remember the claims that are new: the fallback for identity records that were lost or overwritten."""
        raw = self.segment.read_array(self._header + fields.RING.offset("claim"), abi.CLAIM, fields.CLAIMS)
        new = min((claims - self._claims) & at.INDEX, fields.CLAIMS)
        self._claims = claims
        for number in range(claims - new, claims):
            claim = raw[number % fields.CLAIMS]
            self._switches.append((int(claim["position"]), int(claim["pid"]), int(claim["tid"])))
        self._switches = self._switches[-fields.CLAIMS :]

    def _apply_switches(self, position: int) -> None:
        """Take over the claims that begin at *position* or before."""
        while self._switches and at.difference(self._switches[0][0], position) <= 0:
            _, self.pid, self.tid = self._switches.pop(0)

    def _claims_within(self, position: int, count: int) -> dict[int, tuple[int, int]]:
        """Return the claims inside the next *count* cells, by offset, and forget them."""
        inside = [claim for claim in self._switches if 0 < at.difference(claim[0], position) < count]
        self._switches = [claim for claim in self._switches if claim not in inside]
        return {at.difference(claim, position): (pid, tid) for claim, pid, tid in inside}

    # Telling the writer.

    def _publish(self) -> None:
        """Write tail, then wake the writer if it sleeps. It looks at tail again between saying so and sleeping."""
        file = self.segment.fileno()
        os.pwrite(file, self.tail.to_bytes(8, "little"), self._header + _TAIL)
        raw = os.pread(file, 8, self._header + _WAITING)
        if raw[:4] in (b"", b"\0\0\0\0"):
            return
        wake = (int.from_bytes(raw[4:], "little") + 1) & at.INDEX
        os.pwrite(file, wake.to_bytes(4, "little"), self._header + _WAITING + 4)
        if self._page == 0:
            self._page = self._native.map_page(file, self._header)
        if self._page:
            self._native.wake(self._page + _WAITING + 4)

    def let_go(self) -> None:
        """Unmap the page with the futex; it is mapped again when a writer waits."""
        self._native.unmap_page(self._page)
        self._page = 0


_TAIL = fields.RING.offset("tail")
_WAITING = fields.RING.offset("waiting")


def thread_is_dead(pid: int, tid: int) -> bool:
    """Whether the thread is known to be gone; a zombie writes no more."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", "rb") as status:
            state = status.read(512).rpartition(b") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
    return state in (b"Z", b"X")
