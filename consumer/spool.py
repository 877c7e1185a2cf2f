"""The spool: raw cells on their way from the drain to the formatter, in an unlinked file.

Used by live.py for text and JSON lines. The program must not wait for formatting, which is slower than recording: so
the drain appends its chunks here, and a second process, forked off when the run lasts longer than START_NS, formats
behind it. A short run never forks: its end formats what there is. Rules: only whole frames are written; the formatter
reads what is there and then waits for the bell (a pipe: a byte says that there is more, its end that there will be
none); what the formatter has read is given back to the file system.

    frame    pid tid segment ring u32, position u64, cells u32, 0 u32; then 64 bytes for each cell
    growth   the same with pid 0, tid 1, and cells: bytes of JSON that say which targets there are from here on
    the end  the same with pid and tid 0 and cells: bytes of a JSON list of the calls that never came back

Absent on purpose: a format that anybody could keep (that is wcfile.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import struct
import time
import traceback
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
from wc_intercept.generator.manifest import Growth

from . import abi
from .accounting import Inside
from .chunk import Chunk
from .render import Output
from .unlinked import unlinked_file

FRAME = struct.Struct("<IIIIQII")
START_NS = 100_000_000
START_BYTES = 4 << 20
RING_NS = 50_000_000
SETTLE_MS, SETTLED_NS = 50, 100_000_000
"""How old a record is that the other engine's reader must have come past; how often that is asked."""
FULL_NS = 5_000_000_000
GROWTH = 1
NOT_WRITTEN = 3
"""Exit status of a formatter that could not write everything, and has said so."""
PUNCH_BYTES = 16 << 20
MOST_PARTS = 512
FALLOC_PUNCH_HOLE = 0x03  # with FALLOC_FL_KEEP_SIZE


class Spool:
    """The drain's side. *output* is used by one side only: by the formatter, once there is one."""

    def __init__(self, output: Output, beat: Callable[[], None], leave: Callable[[], None]) -> None:
        """*beat*: called while waiting for room; *leave*: in the formatter, lets go of what is the drain's."""
        self.output = output
        self._begin(unlinked_file(), beat, leave)

    def _begin(self, file: int, beat: Callable[[], None], leave: Callable[[], None]) -> None:
        self._beat, self._leave = beat, leave
        self._file = file
        self._size = 0
        self._born = time.monotonic_ns()
        self._bell = -1
        self._rung = self._born
        self._quiet = True
        self.formatter = 0

    def take(self, chunks: Sequence[Chunk]) -> None:
        """Append *chunks*."""
        parts: list[bytes | memoryview] = []
        for chunk in chunks:
            cells = len(chunk.cells)
            parts.append(FRAME.pack(chunk.pid, chunk.tid, chunk.segment, chunk.ring, chunk.position, cells, 0))
            parts.append(chunk.cells.view(np.uint8).data)
        for start in range(0, len(parts), MOST_PARTS):
            self._append(parts[start : start + MOST_PARTS])
        self._quiet = self._quiet and not chunks

    def grow(self, growth: Growth) -> None:
        """Tell the formatter of new targets, before their first chunk."""
        text = msgspec.json.encode(growth)
        self._append([FRAME.pack(0, GROWTH, 0, 0, 0, len(text), 0), memoryview(text)])
        self._quiet = False

    def tick(self, now: int) -> None:
        """Start the formatter, or tell it that there is more, when it is time to. *now*: CLOCK_MONOTONIC ns."""
        if self._quiet:
            return
        if self.formatter == 0:
            if now - self._born < START_NS and self._size < START_BYTES:
                return
            self._fork()
        elif now - self._rung < RING_NS:
            return
        self._quiet, self._rung = True, now
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._bell, b".")

    def finish(self, inside: Iterable[Inside]) -> None:
        """Say that this was all. Without a formatter, format it now; else the caller waits for it to end."""
        text = msgspec.json.encode(list(inside))
        self._append([FRAME.pack(0, 0, 0, 0, 0, len(text), 0), memoryview(text)])
        if self.formatter == 0:
            Formatter(self._file, self.output).read()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        os.close(self._bell)

    def _append(self, parts: Sequence[bytes | memoryview]) -> None:
        views = [memoryview(part) for part in parts]
        deadline = time.monotonic_ns() + FULL_NS
        while views:
            try:
                written = os.pwritev(self._file, views, self._size)
            except OSError as error:
                if error.errno != errno.ENOSPC or time.monotonic_ns() > deadline:
                    raise
                written = self._wait_for_room()
            self._size += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views:
                views[0] = views[0][written:]

    def _wait_for_room(self) -> int:
        """The disk is full: the formatter gives back what it has read."""
        if self.formatter == 0:
            self._fork()
        self._beat()
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._bell, b".")
        time.sleep(0.01)
        return 0

    def _fork(self) -> None:
        hear, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.formatter = os.fork()
        if self.formatter == 0:
            status = 1
            try:
                os.close(self._bell)
                self._leave()
                os.set_blocking(hear, True)
                Formatter(self._file, self.output).follow(hear)
                status = NOT_WRITTEN if self.output.failed else 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(hear)


class Formatter:
    """The reader's side: takes frames off the file and gives them to the output."""

    def __init__(self, file: int, output: Output) -> None:
        self._file = file
        self._output = output
        self._at = self._punched = 0
        self._ended = False

    def follow(self, bell: int) -> None:
        """Format until the other side has ended, in whatever way."""
        bells = select.poll()
        bells.register(bell, select.POLLIN)
        more = b"."
        while more:
            if bells.poll(SETTLE_MS if self._output.waits else None):
                more = os.read(bell, 4096)
            self._take_all()
            self._output.settle(time.time_ns() - SETTLED_NS)
            self._output.flush()
        self.read()

    def read(self) -> None:
        """Format all that is there. Without an end frame the drain was killed: nobody knows about the last calls."""
        self._take_all()
        if not self._ended:
            self._output.finish([])

    def _take_all(self) -> None:
        while not self._ended:
            raw = os.pread(self._file, FRAME.size, self._at)
            if len(raw) < FRAME.size:
                return
            pid, tid, segment, ring, position, count, _ = FRAME.unpack(raw)
            if pid == 0 and tid == GROWTH:
                text = os.pread(self._file, count, self._at + FRAME.size)
                if len(text) < count:
                    return
                self._at += FRAME.size + count
                self._output.grow(msgspec.json.decode(text, type=Growth))
                continue
            if pid == 0:
                self._end(os.pread(self._file, count, self._at + FRAME.size))
                return
            cells = np.empty(count, abi.CELL)
            if os.preadv(self._file, [cells.view(np.uint8).data], self._at + FRAME.size) < cells.nbytes:
                return
            self._at += FRAME.size + cells.nbytes
            self._output.take(Chunk(pid, tid, segment, ring, position, cells))
            self._give_back()

    def _end(self, text: bytes) -> None:
        self._ended = True
        self._output.finish(msgspec.json.decode(text, type=list[Inside]))

    def _give_back(self) -> None:
        if self._at - self._punched < PUNCH_BYTES:
            return
        import ctypes

        length = self._at - self._punched
        offsets = ctypes.c_int64(self._punched), ctypes.c_int64(length)
        ctypes.CDLL(None).fallocate(self._file, FALLOC_PUNCH_HOLE, *offsets)
        self._punched = self._at
