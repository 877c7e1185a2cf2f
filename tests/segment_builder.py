"""Writes segments as a program would, from Python: the tests' stand-in for the runtime.

SegmentBuilder makes the file and keeps it mapped (to the kernel it is a living program) until ``die``. RingWriter takes
the steps of a cell's life one by one, so that a test can stop between any two: reserve, open, fill, commit. Rules: the
layout comes from abi_fields.py alone, which tests/test_abi.py compares with the header.

Absent on purpose: blocking (tests/c/ring_writer.c does that), speed but for ``calls``.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from wc_intercept.consumer import abi, position
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.consumer.shim import ManifestHead
from wc_intercept.generator.manifest import Manifest, Platform, Symbol, Target, encode

HASH = 0xFEEDFACECAFE
TARGETS = ["open", "read", "exit", "execve", "nanosleep"]
SHIM = "/bin/true"


def manifest() -> Manifest:
    """Five targets; symbol 5 is an alias of target 0; exit is noreturn."""
    symbols = [Symbol(name, i, "noreturn" if name == "exit" else "plain") for i, name in enumerate(TARGETS)]
    return Manifest(
        tool="test",
        platform=Platform("x86_64", "glibc", "libc.so.6"),
        targets=[Target(name) for name in TARGETS],
        symbols=[*symbols, Symbol("open64", 0, "plain")],
    )


def make_session(monkeypatch: Any, root: Path, **options: Any) -> SessionDirectory:
    """A session below *root*, which need not be in memory."""
    monkeypatch.setenv("WC_SESSION_ROOT", str(root))
    head = ManifestHead(fields.ABI_VERSION, len(TARGETS), HASH, 0)
    stored = head, [fields.WORD_ON] * len(TARGETS), encode(manifest())
    return SessionDirectory.create(SHIM, stored, SessionOptions(any_filesystem=True, **options))


class SegmentBuilder:
    """A segment file, mapped."""

    def __init__(
        self,
        folder: str | Path,
        pid: int | None = None,
        rings: int = 4,
        ring_cells: int = 1024,
        ticks: int = 1,
        header: dict[str, int] | None = None,
    ) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.path = os.path.join(folder, f"seg-{self.pid}-{ticks:x}")
        counts = -(-len(TARGETS) * fields.COUNT.size // fields.PAGE) * fields.PAGE
        cells_offset = fields.PAGE + counts
        stride = cells_offset + ring_cells * fields.CELL_SIZE
        self.first_ring, self.stride, self.cells_offset = fields.PAGE + counts, stride, cells_offset
        self.ring_cells = ring_cells
        size = self.first_ring + rings * stride
        values = {
            "magic": fields.SEGMENT_MAGIC, "abi": fields.ABI_VERSION, "header_size": fields.SEGMENT.size,
            "manifest": HASH, "targets": len(TARGETS), "rings": rings, "size": size, "shared_counts": fields.PAGE,
            "first_ring": self.first_ring, "ring_stride": stride, "counts_offset": fields.PAGE,
            "cells_offset": cells_offset, "ring_cells": ring_cells, "cell_size": fields.CELL_SIZE, "pid": self.pid,
            "parent": 1, "start": 1, "rings_used": 0,
        }  # fmt: skip
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(file, size)
        self.map = mmap.mmap(file, size)
        os.close(file)
        self.map[: fields.SEGMENT.size] = fields.SEGMENT.pack(**{**values, **(header or {})})
        start = fields.SEGMENT.offset("program")
        self.map[start : start + 9] = b"/bin/test"

    def ring(
        self, index: int, pid: int | None = None, tid: int | None = None, first: int | None = abi.PROCESS
    ) -> RingWriter:
        """Claim ring *index*; *first* is the kind of its first record, None for none."""
        used = fields.SEGMENT.offset("rings_used")
        now = int.from_bytes(self.map[used : used + 4], "little")
        self.map[used : used + 4] = max(now, index + 1).to_bytes(4, "little")
        writer = RingWriter(self, index)
        writer.claim(self.pid if pid is None else pid, os.getpid() if tid is None else tid, first)
        return writer

    def shared_count(self, target: int, **more: int) -> None:
        self._add(fields.PAGE + target * fields.COUNT.size, more)

    def _add(self, offset: int, more: dict[str, int]) -> None:
        for name, value in more.items():
            start = offset + fields.COUNT.offset(name)
            now = int.from_bytes(self.map[start : start + 8], "little")
            self.map[start : start + 8] = (now + value).to_bytes(8, "little")

    def die(self) -> None:
        """The program is gone: nobody maps the segment."""
        self.map.close()


class RingWriter:
    """The writer's side of one ring, step by step."""

    def __init__(self, segment: SegmentBuilder, index: int) -> None:
        self.segment = segment
        self.start = segment.first_ring + index * segment.stride
        self.cells_start = self.start + segment.cells_offset
        if self["capacity"] == 0:
            self["capacity"] = self["ready"] = segment.ring_cells
        self.clock = 1000

    def __getitem__(self, name: str) -> int:
        field = fields.RING.fields[name]
        start = self.start + field.offset
        return int.from_bytes(self.segment.map[start : start + field.size], "little")

    def __setitem__(self, name: str, value: int) -> None:
        field = fields.RING.fields[name]
        start = self.start + field.offset
        self.segment.map[start : start + field.size] = value.to_bytes(field.size, "little")

    def claim(self, pid: int, tid: int, first: int | None = abi.THREAD) -> None:
        claims = self["claims"]
        start = self.start + fields.RING.offset("claim") + claims % fields.CLAIMS * fields.CLAIM.size
        claim = fields.CLAIM.pack(position=self["head"], pid=pid, tid=tid)
        self.segment.map[start : start + len(claim)] = claim
        self["owner_pid"], self["owner_tid"], self["claims"], self["depth"] = pid, tid, claims + 1, 0
        if first is not None:
            self.identity(pid, tid, first)

    def identity(self, pid: int, tid: int, kind: int = abi.THREAD) -> int:
        where = self.reserve(1)
        self.open(where, abi.SYMBOL_NONE, kind, 1)
        self.fill(where, args=fields.IDENTITY.pack(pid=pid, tid=tid, parent=1, reason=abi.PROCESS_EXEC))
        self.commit(where, 1)
        return where

    def reserve(self, cells: int) -> int:
        """Return the position of *cells* new cells, closing the lap before them when they do not fit."""
        head = self["head"]
        if (head & position.INDEX) + cells > self["capacity"]:
            head = self.close_lap(head)
        self["head"] = head + cells
        return head

    def close_lap(self, head: int, filled: bool = True) -> int:
        rest = self["capacity"] - (head & position.INDEX)
        self["head"] = position.next_lap(head)
        if rest and filled:
            self.open(head, abi.SYMBOL_NONE, abi.FILLER, 1)
            self.raw(head)[7:8] = bytes([rest])
            self.commit(head, 1)
        return position.next_lap(head)

    def raw(self, where: int) -> memoryview:
        start = self.cells_start + (where & position.INDEX) * fields.CELL_SIZE
        return memoryview(self.segment.map)[start : start + fields.CELL_SIZE]

    def open(self, where: int, symbol: int, kind: int, cells: int) -> None:
        for i in range(cells):
            self.raw(where + i)[:8] = fields.CELL_HEADER.pack(
                symbol=symbol, kind=abi.CONTINUATION if i else kind, count=i or cells
            )

    def fill(self, where: int, clock: int = 0, duration: int = 5, result: int = 0, args: bytes = b"") -> None:
        first = fields.FIRST.pack(clock=clock, duration=duration, result=result)
        self.raw(where)[8:36] = first[8:36]
        self.raw(where)[36:64] = args.ljust(28, b"\0")

    def commit(self, where: int, cells: int) -> None:
        for i in reversed(range(cells)):
            self.raw(where + i)[:4] = position.stamp_of(where).to_bytes(4, "little")

    def call(self, symbol: int = 0, cells: int = 1, kind: int = abi.CALL, result: int = 0, counted: bool = True) -> int:
        """One whole record, and the counts that go with it."""
        if counted:
            self.count(TARGET_OF[symbol], calls=1, returned=1)
        where = self.reserve(cells)
        self.open(where, symbol, kind, cells)
        self.clock += 1
        self.fill(where, self.clock, result=result)
        for i in range(1, cells):
            self.raw(where + i)[8:] = bytes([i]) * fields.CONT_PAYLOAD
        self.commit(where, cells)
        return where

    def calls(self, many: int, symbol: int = 0) -> None:
        """Many single-cell records within the present lap, quickly."""
        where = self["head"]
        cells = np.zeros(many, abi.CELL)
        cells["stamp"], cells["symbol"], cells["kind"], cells["count"] = position.stamp_of(where), symbol, abi.CALL, 1
        cells["clock"] = np.arange(self.clock + 1, self.clock + 1 + many)
        self.clock += many
        start = self.cells_start + (where & position.INDEX) * fields.CELL_SIZE
        self.segment.map[start : start + many * fields.CELL_SIZE] = cells.tobytes()
        self["head"] = where + many
        self.count(TARGET_OF[symbol], calls=many, returned=many)

    def count(self, target: int, **more: int) -> None:
        self.segment._add(self.start + fields.PAGE + target * fields.COUNT.size, more)

    def enter(self, symbol: int, clock: int = 7, argument: int = 3) -> None:
        """Note that the owner is inside of a call, and count it."""
        depth = self["depth"]
        start = self.start + fields.RING.offset("inside") + depth * fields.INSIDE.size
        self.segment.map[start : start + fields.INSIDE.size] = fields.INSIDE.pack(
            clock=clock, argument=argument, symbol=symbol
        )
        self["depth"] = depth + 1
        self.count(TARGET_OF[symbol], calls=1)


TARGET_OF = [0, 1, 2, 3, 4, 0]
