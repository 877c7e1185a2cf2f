"""Answers the questions of waiting calls: a thread of the handlers' process (handling.py) that calls @decide functions.

A call that waits has put its record into a level of its ring (struct wci_question in wc_abi.h) and counted `asking` up.
native/wc_answer.c finds it, and writes what is decided. Rules: segments are the programs' and may hold anything: a
record is a private copy, and checked; a question that was withdrawn is nobody's; a handler that raises lets the call go
on.

Absent on purpose: what a handler sees (question.py).
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
import traceback
from collections.abc import Sequence

from wc_intercept.generator.manifest import Manifest

from . import abi
from . import abi_fields as fields
from .asked import Record, Shape, Slow
from .clock import Clock
from .events import run
from .handlers import Handler
from .machine import library_path
from .question import GO, Call, Verdict
from .refusal import OWN_ERROR
from .segment import Geometry, Refused

LOOK_NS = 50_000_000
"""How long to sleep: programs that may make no system call wake nobody."""
RESCAN_NS = 200_000_000
GROWTH_NS = 500_000_000
"""A question about a symbol that is none yet waits so long for the news of it."""
LOOK_EVERYWHERE = -1
HEAD = struct.Struct("<IIIII")
CELL = struct.Struct("<IHBB")
ANSWER = struct.Struct("<iIIIQQ")
NO_ANSWER = -1
VALUE = fields.QUESTION.offset("value")
LEVELS_SIZE = fields.ASK_LEVELS * fields.ASK_SIZE


class Native:
    """native/wc_answer.c for one session. Raises OSError where the library is not there."""

    def __init__(self, control: int) -> None:
        path = library_path()
        if path is None:
            raise OSError("the native library of wc-intercept is missing")
        library = ctypes.CDLL(path)
        library.wc_answerer_new.restype = ctypes.c_void_p
        library.wc_answerer_question.restype = ctypes.c_void_p
        library.wc_answerer_question.argtypes = [ctypes.c_void_p]
        library.wc_answerer_scan.argtypes = [ctypes.c_void_p]
        library.wc_answerer_drop.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        library.wc_answerer_add.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint32,
        ]  # fmt: skip
        library.wc_answerer_next.argtypes = [
            ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64,
        ]  # fmt: skip
        library.wc_answerer_extra.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64]
        self.library = library
        self.all = library.wc_answerer_new(control)
        if not self.all:
            raise MemoryError
        self.question: int = library.wc_answerer_question(self.all)

    def add(self, path: str, manifest: int, targets: int) -> None:
        """Look at the segment *path* from now on. Raises OSError, Refused."""
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            header = fields.SEGMENT.unpack(os.pread(file, fields.SEGMENT.size, 0))
            possible = range(targets, targets + fields.CONTROL_ROOM + 1)
            g = Geometry.check(header, os.fstat(file).st_size, manifest, possible)
        finally:
            os.close(file)
        asks = g.ring_stride >= g.cells_offset + g.ring_cells * fields.CELL_SIZE + LEVELS_SIZE
        rings = g.rings if asks else 0
        error = self.library.wc_answerer_add(
            self.all, os.fsencode(path), header["pid"], g.first_ring, g.ring_stride, rings
        )
        if error:
            raise OSError(error, os.strerror(error), path)

    def drop(self, path: str) -> None:
        self.library.wc_answerer_drop(self.all, os.fsencode(path))

    def scan(self) -> None:
        """Have all segments looked at."""
        self.library.wc_answerer_scan(self.all)


class Answerer:
    """Serves one session. *control* is its control file, open for writing."""

    def __init__(
        self, session: str, control: int, manifest: Manifest, handlers: Sequence[Handler], clock: Clock
    ) -> None:
        """Raises OSError."""
        self._session, self._control, self._manifest = session, control, manifest
        self._hash = int.from_bytes(os.pread(control, 8, fields.CONTROL.offset("manifest")), "little")
        self._handlers = [handler for handler in handlers if handler.way != "on"]
        self._native = Native(control)
        self._slow = slow(manifest, clock)
        self._segments: set[str] = set()
        self._shapes: dict[int, Shape] = {}
        self._meant: dict[tuple[int, bool], list[Handler]] = {}
        self._scanned = 0

    def begin(self) -> None:
        """From here on calls wait for us."""
        self._put_control("asked_by", os.getpid())

    def end(self) -> None:
        self._put_control("asked_by", 0)

    def serve(self) -> None:
        """Answer until the session is over. An error of our own ends the process: calls must not wait for nobody."""
        try:
            self._serve()
        except BaseException:
            traceback.print_exc()
            os._exit(OWN_ERROR)

    def _serve(self) -> None:
        native = self._native
        next_, all_, question = native.library.wc_answerer_next, native.all, native.question
        answer: tuple[int, bytes | None, int] = (NO_ANSWER, None, 0)
        while True:
            cells = next_(all_, *answer, LOOK_NS)
            answer = (NO_ANSWER, None, 0)
            if cells > 0:
                verdict = self._verdict(ctypes.string_at(question, fields.ASK_CELLS + cells * fields.CELL_SIZE))
                answer = (fields.GO, None, 0) if verdict is GO else self._answer(verdict)
            elif cells == LOOK_EVERYWHERE:
                self._rescan()
                native.scan()
            elif self._is_over():
                return
            elif time.monotonic_ns() - self._scanned > RESCAN_NS:
                self._rescan()

    def _is_over(self) -> bool:
        return os.pread(self._control, 8, fields.CONTROL.offset("closed")) != bytes(8)

    def _rescan(self) -> None:
        """Look at the segments that are new, let go of those that are gone."""
        self._scanned = time.monotonic_ns()
        try:
            names = {name for name in os.listdir(self._session) if name.startswith("seg-")}
        except OSError:  # somebody has deleted it: those that wait are still to be answered
            return
        for name in self._segments - names:
            self._native.drop(os.path.join(self._session, name))
        self._segments &= names
        for name in names - self._segments:
            try:
                self._native.add(os.path.join(self._session, name), self._hash, len(self._manifest.targets))
                self._segments.add(name)
            except (OSError, Refused):
                continue  # not ready, or none of ours; the drain says which

    def _verdict(self, raw: bytes) -> Verdict:
        """Return what the handlers say of the call in *raw*; the first that says something decides."""
        _, _, _, pid, tid = HEAD.unpack_from(raw)
        _, symbol, kind, _ = CELL.unpack_from(raw, fields.ASK_CELLS)
        after = kind == fields.CALL
        handlers = self._meant.get((symbol, after))
        if handlers is None:
            if not self._is_known(symbol) or kind not in (fields.CALL, fields.ENTER):
                return GO
            handlers = self._handlers_of(symbol, after)
        shape = self._shapes[symbol]
        if len(raw) < fields.ASK_CELLS + shape.symbol.cells * fields.CELL_SIZE:
            return GO
        call = Call(Record(shape, raw, after, self._slow, pid, tid), pid, tid)
        for handler in handlers:
            said: Verdict | None = run(handler, call, decided)
            if said is not None:
                return said
        return GO

    def _is_known(self, symbol: int) -> bool:
        """Whether it is a symbol. Of one that has just come we may be asked before the other thread hears of it."""
        end = time.monotonic_ns() + GROWTH_NS
        while symbol >= len(self._manifest.symbols) and time.monotonic_ns() < end:
            time.sleep(0.001)
        return symbol < len(self._manifest.symbols)

    def _handlers_of(self, symbol: int, after: bool) -> list[Handler]:
        """Return the handlers that decide about calls of *symbol*."""
        shape = self._shapes.setdefault(symbol, Shape(self._manifest, symbol))
        names = shape.target.name, shape.symbol.name
        way = "after" if after else "before"
        syscall = shape.symbol.is_syscall
        found = [one for one in self._handlers if one.way == way and one.means(*names, syscall=syscall)]
        self._meant[symbol, after] = found
        return found

    def _answer(self, verdict: Verdict) -> tuple[int, bytes | None, int]:
        """Return the verdict and what stands behind it in struct wci_question; its arguments are written already."""
        if verdict.changes:
            values = bytearray(8 * fields.ASK_VALUES)
            for i, value in verdict.changes.items():
                values[8 * i : 8 * i + 8] = value.to_bytes(8, "little")
            texts = b"".join(verdict.texts.values())
            for data, offset in ((bytes(values), VALUE), (texts, fields.ASK_TEXT)):
                if data and self._native.library.wc_answerer_extra(self._native.all, data, len(data), offset):
                    return NO_ANSWER, None, 0
        kind = fields.CHANGED if verdict.result is None else fields.RESULT
        changed, texts_ = (sum(1 << i for i in which) for which in (verdict.changes, verdict.texts))
        rest = ANSWER.pack(verdict.error, changed, texts_, 0, verdict.result or 0, verdict.delay_ns)
        return kind, rest, len(rest)

    def _put_control(self, name: str, value: int) -> None:
        os.pwrite(self._control, value.to_bytes(4, "little"), fields.CONTROL.offset(name))


def decided(handler: Handler, call: Call) -> Verdict | None:
    """Return what *handler* says of *call*. Raises what it raises, and TypeError for what is no answer."""
    said = handler.run(call)
    if said is None:
        return call.changed()
    if not isinstance(said, Verdict):
        raise TypeError(f"a handler answers None, call.go(), call.fail(), call.returns() or call.wait(), not {said!r}")
    return said


def slow(manifest: Manifest, clock: Clock) -> Slow:
    """Return what decodes the arguments of any record (asked.py does the simple ones)."""
    import numpy as np

    from .chunk import Chunk
    from .decode import Decoder
    from .values import values

    decoder = Decoder(manifest, clock)

    def arguments(cells: bytes, pid: int, tid: int) -> dict[str, object]:
        array = np.frombuffer(bytearray(cells), abi.CELL)
        array["kind"][1:] = abi.CONTINUATION
        for batch in decoder.decode(Chunk(pid, tid, 0, 0, 0, array)):
            return {name: values(column)[0] for name, column in batch.columns}
        return {}

    return arguments
