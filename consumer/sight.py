"""Programs that were started and never seen: "lost sight of PATH", with the reason.

Fed by live.py with every chunk; asked once, at the end. Every shim writes an EXEC record before exec* and after
posix_spawn*; an image that loads the shim makes a segment. So an EXEC whose process made no segment afterwards, and
whose thread wrote nothing more (then the exec would have failed), is a program that the session did not reach. Rules:
what is said of a file is looked up when it is said; a reason is given only where it is known, else the ones that are
left; an exec that cannot have worked is no loss.

Absent on purpose: children that merely end early, --follow none, where nothing is expected, and --follow all with a
tracer: what the shim does not reach is the tracer's then.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import abi
from .chunk import Chunk, headers_of, kinds_of
from .drain import Program
from .program import find, inspect, why_not_preloadable, why_not_traceable

MOST_LINES = 10
MOST_PENDING = 100_000
FIRST_LOOK_NS, LAST_LOOK_NS = 10_000_000, 500_000_000
"""When a new image's environment is looked at; doubles with each look. Its exec may still be under way."""
STRIPPED = "its environment had no LD_PRELOAD and WC_SESSION any more"
UNKNOWN = "it ended before the shim could begin"
NO_ROOM = "it could make no segment (no room, or its RLIMIT_FSIZE)"


@dataclass(slots=True)
class Exec:
    """One exec that may have succeeded, by *thread* of the image *segment*."""

    path: bytes
    thread: tuple[int, int]
    segment: int
    stripped: bool = False
    """Its environment was seen, and had nothing of ours."""
    due: int = 0
    """When to look at its environment next; CLOCK_MONOTONIC ns."""
    patience: int = FIRST_LOOK_NS


class Sight:
    """What was exec'd and has not been seen since, by pid."""

    def __init__(self) -> None:
        self._pending: dict[int, Exec] = {}
        self._undecided: dict[int, Exec] = {}

    def take(self, chunks: Sequence[Chunk]) -> None:
        """Look for EXEC records, and for signs of life from who wrote one."""
        for chunk in chunks:
            if self._pending:
                self._returned(chunk)
            kinds = kinds_of(headers_of(chunk.cells))
            if abi.EXEC in kinds:
                self._note(chunk, kinds)

    def tick(self, now: int) -> None:
        """Look at the environments of what was exec'd lately. *now*: CLOCK_MONOTONIC ns."""
        for pid, entry in list(self._undecided.items()) if self._undecided else ():
            if self._pending.get(pid) is not entry:
                del self._undecided[pid]
            elif now >= entry.due:
                entry.stripped = _is_stripped(pid)
                entry.due, entry.patience = now + entry.patience, 2 * entry.patience
                if entry.stripped or entry.patience > LAST_LOOK_NS:
                    del self._undecided[pid]

    def _returned(self, chunk: Chunk) -> None:
        """A thread that goes on in its ring has not become another program."""
        entry = self._pending.get(chunk.pid)
        if entry is not None and entry.thread == (chunk.pid, chunk.tid) and entry.segment == chunk.segment:
            del self._pending[chunk.pid]

    def _note(self, chunk: Chunk, kinds: npt.NDArray[np.uint8]) -> None:
        firsts = np.flatnonzero(kinds != abi.CONTINUATION)
        for index in np.flatnonzero(kinds == abi.EXEC).tolist():
            pid, path = _read(chunk, index)
            own = pid == chunk.pid
            if (own and index != firsts[-1]) or len(self._pending) >= MOST_PENDING:
                continue  # the thread went on: it failed
            thread = (chunk.pid, chunk.tid) if own else (pid, 0)
            self._pending[pid] = self._undecided[pid] = Exec(path, thread, chunk.segment)

    def lost(self, programs: Sequence[Program], unrecorded: int = 0, cover: str = "") -> Iterator[str]:
        """Yield what to say of the programs that were never seen, given all images that were.

        *unrecorded*: how many images found the shim and could make no segment; *cover*: the option that reaches such
        programs.
        """
        seen: dict[int, int] = {}
        for program in programs:
            seen[program.pid] = program.segment
        found: Counter[tuple[str, str]] = Counter()
        for pid, entry in self._pending.items():
            if seen.get(pid, -1) > entry.segment:
                continue
            why = _why(entry.path, entry.stripped, unrecorded > 0, cover)
            if why is not None:
                found[os.fsdecode(entry.path), why] += 1
        for (path, why), count in found.most_common(MOST_LINES):
            yield f"lost sight of {path}" + (f" ({count} times)" if count > 1 else "") + f": {why}"
        if len(found) > MOST_LINES:
            yield f"lost sight of {len(found) - MOST_LINES} more programs"


def _read(chunk: Chunk, index: int) -> tuple[int, bytes]:
    """Return pid and path of the EXEC record at cell *index*; both are the program's word."""
    raw = chunk.cells[index : index + abi.RECORD_CELLS].view(np.uint8).reshape(-1, abi.CELL_SIZE)
    args = raw[0, abi.FIRST_ARGS :].tobytes()
    length, cell, pid = int.from_bytes(args[:2], "little"), args[3], int.from_bytes(args[4:8], "little")
    count = int(raw[0, 7])
    if not 0 < cell < count:
        return pid, b""
    payload = raw[cell:count, abi.CELL_SIZE - abi.CONT_PAYLOAD :].tobytes()
    return pid, payload[:length].rstrip(b"\0")


def _is_stripped(pid: int) -> bool:
    """Whether *pid* runs an image whose environment has no session. False when it is gone, or nobody may know."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read()
        os.stat(f"/proc/{pid}/exe")  # of one that has ended nothing is left, and reads as empty
    except OSError:
        return False
    return b"WC_SESSION=" not in variables


def _why(path: bytes, stripped: bool, unrecorded: bool, cover: str) -> str | None:
    """Return why the program at *path* did not load the shim; None when it cannot have been started at all."""
    try:
        program = inspect(find(path, os.environb.get(b"PATH")))
    except OSError:
        return None
    found = why_not_preloadable(program)
    covered = f" ({cover} covers it)" if cover and why_not_traceable(program) is None else ""
    if found is not None:
        return found[0] + covered
    other = "" if stripped else f", or {NO_ROOM if unrecorded else UNKNOWN}"
    return STRIPPED + covered + other
