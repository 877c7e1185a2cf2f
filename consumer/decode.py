"""Decoding: a chunk's cells become batches of calls, symbol by symbol, without looking at single records.

Called by wc-run, wc-report and the Python API for each Chunk. Rules: a chunk's bytes are the traced program's and may
be anything: records that cannot be what they say are dropped, sizes are cut to what is there (Decoder.corrupt counts
both), nothing raises; every other record is in exactly one batch. Arrays of a batch are as long as it has records.

Absent on purpose: joining records to calls (calls.py), and all rendering.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from wc_intercept.generator.manifest import Growth, Manifest, Symbol, Target

from . import abi
from .accounting import Inside
from .blobs import Payload
from .chunk import Chunk
from .columns import Array, Column, Pointed
from .layout import Layout, Layouts, Rows, check
from .result import Result, result_of

Part = Literal["whole", "entered", "resumed", "left"]
CALL_KINDS = (abi.CALL, abi.ENTER, abi.EXEC)


class Clock(Protocol):
    """What decoding needs of a clock: ticks to nanoseconds, array to array (clock.py)."""

    def to_epoch_ns(self, ticks: Array) -> Array: ...
    def to_ns(self, ticks: Array) -> Array: ...


@dataclass(eq=False)
class Batch:
    """Records of one symbol and kind, from one chunk, in the order of the ring.

    index: (n,) int64, each record's ordinal among the records of its chunk
    time: (n,) int64, nanoseconds since the epoch at entry; duration: (n,) int64 nanoseconds, -1 when not measured
    """

    layout: Layout
    kind: int
    pid: int
    tid: int
    index: Array
    time: Array
    duration: Array
    rows: Rows
    part: Part = "whole"
    """"entered": the first half of calls whose return comes later; "resumed": the second half; "left": as entered, at
    the end, for calls that never came back (calls.py sets it)."""
    unfinished: bool = False
    """The program ended inside these calls."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def symbol(self) -> Symbol:
        return self.layout.symbol

    @property
    def target(self) -> Target:
        return self.layout.target

    @property
    def is_call(self) -> bool:
        """Whether the records are calls, not PROCESS, THREAD, LOST or CONTROL_SEEN."""
        return self.kind in CALL_KINDS

    @property
    def returned(self) -> bool:
        return self.kind == abi.CALL

    @cached_property
    def result(self) -> Result:
        """Return values and failures: (n,) arrays of CALL records."""
        return result_of(self.layout, self.rows)

    @cached_property
    def columns(self) -> list[tuple[str, Column]]:
        """(name, column) of each argument, in the order of the declaration."""
        return [(p.name, self.layout.column(self.rows, p)) for p in self.layout.parameters]

    @cached_property
    def result_text(self) -> Pointed | None:
        """The strings returned, for functions that return one that is kept."""
        return self.layout.returned(self.rows) if self.returned else None

    @cached_property
    def marks(self) -> Array | None:
        """What was injected into each call (abi.INJECTED, abi.DELAYED); None where nothing was into any."""
        if "injected" not in self.layout.names or not self.returned:
            return None
        marks: Array = self.rows.data["injected"]
        return marks if marks.any() else None

    def take(self, which: Array) -> Batch:
        """Return the records that *which* (a mask, or indices) picks."""
        rows = self.rows
        picked = Rows(rows.data[which], rows.first[which], rows.cells[which], rows.payload)
        return replace(
            self, index=self.index[which], time=self.time[which], duration=self.duration[which], rows=picked
        )

    def detached(self) -> Batch:
        """Return the same single record with bytes of its own, so that it may outlive its chunk."""
        first, cells = int(self.rows.first[0]), int(self.rows.cells[0])
        payload = self.rows.payload.part(first, cells)
        return replace(self, rows=Rows(self.rows.data.copy(), np.zeros(1, np.intp), self.rows.cells, payload))

    @cached_property
    def array(self) -> Array:
        """The batch as one NumPy structured array, (n,), a row per call.

        Fields: time (i8, ns since the epoch), duration (i8, ns, -1 when unknown), pid, tid (u4), then each parameter's
        value as passed, under its name (numbers in their C type; a pointer is its u8 address, even where the record
        keeps what it points to), ret (i8, u8 or f8 as the function returns; absent for void) and error (i4: errno
        of a call that failed, 0 of one that did not).
        """
        return _structured(self)


def _structured(batch: Batch) -> Array:
    parts: list[tuple[str, Any]] = [("time", batch.time), ("duration", batch.duration)]
    parts += [("pid", np.uint32(batch.pid)), ("tid", np.uint32(batch.tid))]
    taken = {name for name, _ in parts} | {"ret", "error"}
    for parameter in batch.layout.parameters:
        if parameter.scalar:
            name = parameter.name if parameter.name not in taken else parameter.name + "_"
            taken.add(name)
            parts.append((name, batch.rows.data[parameter.scalar]))
    if batch.returned and batch.result.value is not None:
        parts.append(("ret", batch.result.value))
    parts.append(("error", batch.result.error if batch.returned else np.int32(0)))
    dtype = np.dtype([(name, part.dtype, part.shape[1:]) for name, part in parts])
    array = np.zeros(len(batch), dtype)
    for name, part in parts:
        array[name] = part
    return array


class Decoder:
    """Decodes the chunks of one session."""

    def __init__(self, manifest: Manifest, clock: Clock) -> None:
        """Raises ValueError when *manifest* contradicts itself."""
        self.manifest = manifest
        self.clock = clock
        self.dropped = 0
        """Records that cannot be what their cells say they are."""
        self._layouts = Layouts(manifest)
        self._last: dict[tuple[int, int], int] = {}

    def grow(self, growth: Growth) -> bool:
        """The session has got targets, as *growth* says. Raises ValueError when that contradicts itself."""
        check(growth.symbols, growth.first_target + len(growth.targets))
        return growth.apply(self.manifest)

    def decode(self, chunk: Chunk) -> list[Batch]:
        """Return the chunk's records as batches, one per symbol and kind."""
        first = chunk.firsts
        if len(first) == 0:
            return []
        cells = chunk.cells
        lengths = np.diff(first, append=len(cells))
        heads = cells[first]
        time = self._times(chunk, heads["clock"])
        payload = Payload(abi.bytes_of(cells))
        batches = []
        for kind, symbol, which in _groups(heads):
            layout = self._layouts.of(kind, symbol)
            if layout is not None:
                which = which[lengths[which] >= layout.cells] if layout.cells > 1 else which
                rows = _rows(layout, cells, first[which], lengths[which], payload)
                duration = self._durations(rows.data)
                batches.append(Batch(layout, kind, chunk.pid, chunk.tid, which, time[which], duration, rows))
        batches = [batch for batch in batches if len(batch)]
        self.dropped += len(first) - sum(map(len, batches))
        return batches

    @property
    def corrupt(self) -> int:
        """Records dropped, and arguments cut because their sizes did not fit their record (known once rendered)."""
        return self.dropped + self._layouts.bad

    def unfinished(self, call: Inside) -> Batch | None:
        """Return a call that its program ended in as a batch; None when its symbol is unknown."""
        layout = self._layouts.of(abi.ENTER, call.symbol)
        if layout is None:
            return None
        layout = layout.entered()
        data = np.zeros(1, layout.dtype)
        data["clock"] = call.clock
        if layout.parameters and layout.parameters[0].scalar:
            column = data[layout.parameters[0].scalar]
            column[:] = np.array([call.argument], np.uint64).astype(column.dtype)
        ticks = np.array([call.clock or max(self._last.values(), default=0)], np.uint64)
        rows = Rows(data, np.zeros(1, np.intp), np.full(1, layout.cells), Payload(np.zeros((0, 64), np.uint8)))
        time = np.asarray(self.clock.to_epoch_ns(ticks)).astype(np.int64)
        return Batch(layout, abi.ENTER, call.pid, call.tid, np.full(1, -1), time, np.full(1, -1), rows,
                     unfinished=True)  # fmt: skip

    def _times(self, chunk: Chunk, ticks: Array) -> Array:
        """Return epoch nanoseconds; a record without a clock has the time of the one before it in its ring."""
        ring = (chunk.segment, chunk.ring)
        missing = ticks == 0
        if missing.any():
            before = np.where(missing, -1, np.arange(len(ticks)))
            np.maximum.accumulate(before, out=before)
            ticks = np.where(before >= 0, ticks[before], np.uint64(self._before(ring, ticks[~missing])))
        self._last[ring] = int(ticks[-1])
        return np.asarray(self.clock.to_epoch_ns(ticks)).astype(np.int64, copy=False)

    def _before(self, ring: tuple[int, int], known: Array) -> int:
        """Return ticks for records that no record with a clock precedes."""
        if ring in self._last:
            return self._last[ring]
        return int(known[0]) if len(known) else max(self._last.values(), default=0)

    def _durations(self, data: Array) -> Array:
        ticks = data["duration"]
        unknown = (ticks == abi.NO_DURATION) | (data["clock"] == 0)
        if not unknown.any():
            return np.asarray(self.clock.to_ns(ticks)).astype(np.int64, copy=False)
        known = np.asarray(self.clock.to_ns(np.where(unknown, np.uint64(0), ticks))).astype(np.int64, copy=False)
        return np.where(unknown, -1, known)


def _groups(heads: Array) -> Iterable[tuple[int, int, Array]]:
    """Yield (kind, symbol, record ordinals) of all records, ordinals ascending."""
    key = heads["kind"].astype(np.int32) << 16 | heads["symbol"]
    if (key == key[0]).all():
        yield int(key[0]) >> 16, int(key[0]) & 0xFFFF, np.arange(len(key))
        return
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    for which in np.split(order, cuts):
        yield int(key[which[0]]) >> 16, int(key[which[0]]) & 0xFFFF, which


def _rows(layout: Layout, cells: Array, first: Array, lengths: Array, payload: Payload) -> Rows:
    if layout.cells == 1:
        data = cells if len(first) == len(cells) else cells[first]
        return Rows(data.view(layout.dtype), first, lengths, payload)
    index = (first[:, None] + np.arange(layout.cells)).reshape(-1)
    return Rows(cells[index].view(np.uint8).view(layout.dtype), first, lengths, payload)
