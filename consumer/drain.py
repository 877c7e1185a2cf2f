"""Drains a session: finds its segments, visits their rings in turn, and lets go of segments that have ended.

Driven by wc-run's loop and by the Python API: poll() until the program has ended, then finish(). Rules: one poll does a
bounded amount of work and is fair between rings; the heartbeat goes on inside a poll; an idle ring costs one read; a
segment that nobody maps any more is read to its end, accounted for, deleted, and its memory given back to the session's
budget, so that ten thousand short processes need the room of a few. Whatever a segment holds, nothing here raises.

Absent on purpose: what a record means, output, and the program itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from wc_intercept.generator.manifest import Growth, Manifest, decode

from . import abi
from .accounting import Account, Accounting, RingEnd, ring_end
from .chunk import Chunk
from .machine import Native
from .ring import PIECE, Findings, Ring, thread_is_dead
from .segment import NotReady, Refused, Segment, is_abandoned
from .session import SessionDirectory

POLL_CELLS = 16 * PIECE
"""Cells that one poll hands out, give or take a ring."""
BEAT_NS = 20_000_000
SHORTEST_DELAY, LONGEST_DELAY = 0.0002, 0.005
FIRST_QUESTION_NS, LAST_QUESTION_NS = 20_000_000, 1_000_000_000
"""How long a segment is idle before the kernel is asked who maps it; doubles with each answer."""
QUIET_NS, FINISH_NS = 100_000_000, 5_000_000_000
"""finish() ends when programs that go on have written nothing for so long, or have not stopped for so long."""
BUSY_CELLS = 2048
LISTING_NS = 20_000_000
"""Files may come without a change of the directory's time for as long as a tick of the kernel's clock."""
MOST_REFUSED = 1000


@dataclass(slots=True)
class Program:
    """An executed image that made a segment; its forked children share it."""

    segment: int
    pid: int
    parent: int
    path: str


@dataclass(slots=True)
class _Open:
    """A segment being read."""

    segment: Segment
    rings: list[Ring] = field(default_factory=list)
    asked: int = 0
    """When its end was last asked for, or it last had something to read."""
    patience: int = FIRST_QUESTION_NS
    ended: bool = False
    """Nobody maps it any more: what is in it now is all there will be."""
    left: set[tuple[int, int]] = field(default_factory=set)
    """Owners of rings whose thread ended while its process went on."""


class Stillborn(Exception):
    """A program died while making its segment: nothing is in it."""


class Drain:
    """The reader of one session."""

    def __init__(
        self,
        session: SessionDirectory,
        manifest: Manifest | None = None,
        native: Native | None = None,
        keep_files: bool = False,
    ) -> None:
        """*manifest* is decoded from the session when None. With *keep_files*, nothing is
        changed: ended segments are not deleted, and whoever reads the session next finds it as it was."""
        self.session = session
        self.manifest = manifest or decode(session.json)
        self.native = native or Native()
        self.overwrite = session.policy == abi.OVERWRITE
        self.accounting = Accounting(self.manifest, self.overwrite)
        self.findings = Findings()
        self.programs: list[Program] = []
        """Every image seen, by ordinal of its segment."""
        self.refused: dict[str, str] = {}
        self.delay = SHORTEST_DELAY
        """Seconds that the caller may sleep before the next poll; 0 when there is more to read."""
        self.homeless = False
        """The session's directory was deleted: what is open is read on, programs that start now find no session."""
        self._keep_files = keep_files
        self._open: dict[str, _Open] = {}
        self._known: set[str] = set()
        self._scratch = np.empty(PIECE, abi.CELL)
        self._turn = self._beaten = 0
        self._changed = self._listed = -1
        self._pending = False
        self._patient = True
        _raise_file_limit()

    def poll(self) -> list[Chunk]:
        """Return what has been recorded since the last poll, at most about POLL_CELLS cells of it."""
        now = self._beat()
        self._discover()
        chunks: list[Chunk] = []
        cells = 0
        names = list(self._open)
        start = self._turn % max(len(names), 1)
        for place, name in enumerate(names[start:] + names[:start]):
            taken = self._visit(name, self._open[name], now)
            cells += sum(len(chunk.cells) for chunk in taken)
            chunks += taken
            if cells >= POLL_CELLS:
                self._turn = start + place + 1
                break
            now = self._beat()
        self._pace(cells)
        return chunks

    def pause(self) -> None:
        """Sleep as long as the last poll advises."""
        if self.delay:
            time.sleep(self.delay)

    def finish(self) -> Iterator[list[Chunk]]:
        """Read everything that is left; afterwards ``account`` is final. Call session.close() first.

        Segments of programs that go on are read as far as those have got when they notice the end of the session.
        """
        self._patient = False
        last = first = time.monotonic_ns()
        before = -1
        while self._open or before < 0:
            before = len(self._open)
            chunks = self.poll()
            now = time.monotonic_ns()
            if chunks or before != len(self._open):
                last = now
            if chunks:
                yield chunks
            tired = now - last > QUIET_NS or now - first > FINISH_NS
            if tired and not any(entry.ended for entry in self._open.values()):
                break
            self.pause()
        for entry in self._open.values():
            self._sum_up(entry)

    def account(self) -> Account:
        """Return the accounts as they stand: exact after finish()."""
        return self.accounting.account(self.findings, self.session.get("no_segment"), self.refused)

    @property
    def alive(self) -> bool:
        """Whether, as far as the last poll could tell, a process of this session still runs."""
        return bool(self._open)

    def pids(self) -> list[int]:
        """Return the pids that own rings of segments still open: after finish(), what still runs."""
        owners = {ring.owner for entry in self._open.values() for ring in entry.rings}
        return sorted({pid for pid, tid in owners if pid and not thread_is_dead(pid, tid)})

    def grow(self, growth: Growth) -> bool:
        """The session has got targets: they are known from here on. Return whether that is news."""
        grown = growth.apply(self.manifest)
        if grown:
            self.accounting.grow()
        return grown

    def close(self) -> None:
        """Let go of every file. The session itself is its maker's to remove."""
        for entry in self._open.values():
            _close(entry)
        self._open.clear()

    def _beat(self) -> int:
        now = time.monotonic_ns()
        if now - self._beaten >= BEAT_NS:
            self.session.beat(now)
            self._beaten = now
        return now

    def _pace(self, cells: int) -> None:
        """Many cells: come back at once. Few: sleep longer each time, so that an idle session costs next to nothing."""
        if cells >= BUSY_CELLS:
            self.delay = 0.0
        elif cells >= BUSY_CELLS // 8:
            self.delay = SHORTEST_DELAY
        else:
            self.delay = min(max(self.delay, SHORTEST_DELAY) * 1.5, LONGEST_DELAY)

    # Segments come.

    def _discover(self) -> None:
        """Open the segments that are new. The directory's time of change says whether there can be any."""
        try:
            changed = os.stat(self.session.path).st_mtime_ns
            if changed == self._changed and self._listed - changed > LISTING_NS and not self._pending:
                return
            self._changed, self._listed = changed, time.time_ns()
            names = [name for name in os.listdir(self.session.path) if name.startswith("seg-")]
        except OSError as error:
            self.homeless = error.errno == errno.ENOENT
            return
        self._known.intersection_update(names)
        self._pending = False
        for name in sorted(set(names) - self._known, key=_age):
            if not self._admit(name):
                self._pending = True

    def _admit(self, name: str) -> bool:
        """Open the segment *name*. Returns False when it has to be tried again."""
        path = os.path.join(self.session.path, name)
        try:
            segment = self._opened(path)
            if segment is None:
                return False
        except Stillborn:
            with contextlib.suppress(OSError):
                os.unlink(path)
        except Refused as error:
            self._refuse(name, str(error))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return False
            if error.errno != errno.ENOENT:
                self._refuse(name, error.strerror or str(error))
        else:
            self.programs.append(Program(segment.ordinal, segment.pid, segment.parent, segment.program))
            self._open[name] = _Open(segment)
        self._known.add(name)
        return True

    def _opened(self, path: str) -> Segment | None:
        """Return the segment at *path*; None while it is being made. Raises Stillborn, Refused, OSError."""
        try:
            return self._look(path)
        except NotReady:
            if not is_abandoned(path):
                return None
        try:
            return self._look(path)  # its program may have finished it, and ended, since the first look
        except NotReady:
            raise Stillborn from None

    def _look(self, path: str) -> Segment:
        return Segment(path, len(self.programs), self.session.head.hash, self.session.targets, self.session.room)

    def _refuse(self, name: str, why: str) -> None:
        if len(self.refused) < MOST_REFUSED:
            self.refused[name] = why

    # Segments are read.

    def _visit(self, name: str, entry: _Open, now: int) -> list[Chunk]:
        """Take what the rings of one segment have; notice when it has ended."""
        try:
            before = [ring.tail for ring in entry.rings]
            chunks = self._take(entry, now)
            if chunks or before != [ring.tail for ring in entry.rings]:
                entry.asked, entry.patience = now, FIRST_QUESTION_NS
            elif entry.ended:
                self._retire(name, entry)
            elif now - entry.asked >= (entry.patience if self._patient else 0):
                self._ask(entry, now)
        except OSError as error:  # its file was taken away or cannot be read any more
            self._refuse(name, error.strerror or str(error))
            with contextlib.suppress(OSError):
                self._sum_up(entry)
            _close(self._open.pop(name))
            return []
        return chunks

    def _take(self, entry: _Open, now: int) -> list[Chunk]:
        for index in range(len(entry.rings), entry.segment.rings_used()):
            entry.rings.append(
                Ring(entry.segment, index, self.findings, self.native, self.overwrite, not self._keep_files)
            )
        chunks: list[Chunk] = []
        for ring in entry.rings:
            chunks += ring.take(self._scratch, now, entry.ended)
            now = self._beat()
        for chunk in chunks:
            self.accounting.chunk(chunk)
        return chunks

    # Segments go.

    def _ask(self, entry: _Open, now: int) -> None:
        """Has the last process of this segment ended? What it wrote before is all there, then."""
        for ring in entry.rings:
            ring.let_go()  # our own mappings would answer for the program
        mapped = entry.segment.is_mapped()
        if mapped is None:
            mapped = not all(thread_is_dead(*ring.owner) for ring in entry.rings) or not _is_gone(entry.segment.pid)
        entry.ended = not mapped
        entry.asked = now
        entry.patience = min(2 * entry.patience, LAST_QUESTION_NS)
        if mapped:
            owners = {ring.owner for ring in entry.rings}
            entry.left = {owner for owner in owners if thread_is_dead(*owner) and not _is_gone(owner[0])}

    def _retire(self, name: str, entry: _Open) -> None:
        """Everything of this segment has been read: keep its counts, give back its memory."""
        self._sum_up(entry)
        del self._open[name]
        if not self._keep_files:
            self.session.give_back(entry.segment.unlink())
        _close(entry)

    def _sum_up(self, entry: _Open) -> None:
        segment = entry.segment
        self.accounting.ring_ended(RingEnd(segment.shared_counts(), owners=0))
        self.accounting.lost(segment.losses(None))
        for ring in entry.rings:
            self.accounting.ring_ended(ring_end(ring, ring.owner in entry.left))
            self.accounting.lost(segment.losses(ring.index))


def _is_gone(pid: int) -> bool:
    return thread_is_dead(pid, pid)


def _close(entry: _Open) -> None:
    for ring in entry.rings:
        ring.let_go()
    entry.segment.close()


def _age(name: str) -> tuple[int, str, str]:
    """Order seg-PID-TICKS by the ticks, which are hexadecimal."""
    ticks = name.rpartition("-")[2]
    return len(ticks), ticks, name


def _raise_file_limit() -> None:
    """A segment is an open file, and a build has hundreds of processes. The program was started before this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
