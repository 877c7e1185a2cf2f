"""Shared memory that nobody honest wrote: counted and survived, within a bounded amount of work.

Bytes are hypothesis's or a seeded generator's; the time is given by hand. What must hold, whatever the bytes: no
exception but those that say what is wrong, no more cells than a ring has laps visited, an end.
"""

from __future__ import annotations

import os
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from segment_builder import HASH, TARGETS, SegmentBuilder, make_session, manifest
from wc_intercept.consumer import abi, position
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.accounting import Accounting, ring_end
from wc_intercept.consumer.chunk import Chunk, counts_of, headers_of, kinds_of, whole_records
from wc_intercept.consumer.drain import Drain
from wc_intercept.consumer.machine import Native
from wc_intercept.consumer.ring import TORN_NS, Findings, Ring
from wc_intercept.consumer.segment import NotReady, Refused, Segment

CELLS = 64
VISITS = 60
U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
NEAR = st.integers(0, 3).flatmap(lambda lap: st.integers(0, CELLS + 2).map(lambda index: position.make(lap, index)))
"""Positions that are nearly right: these reach further into the code than random ones."""

CELL = st.builds(
    lambda stamp, symbol, kind, count, body: struct.pack("<IHBB", stamp, symbol, kind, count) + body * 56,
    st.integers(0, 5) | U32,
    st.integers(0, 7) | st.integers(0, 65535),
    st.integers(0, 10) | st.integers(0, 255),
    st.integers(0, 5) | st.integers(0, 255),
    st.binary(min_size=1, max_size=1),
)


def sound(chunk: Chunk) -> bool:
    """What chunk.py promises of a chunk."""
    headers = headers_of(chunk.cells)
    whole = whole_records(kinds_of(headers), counts_of(headers)) == len(chunk.cells) > 0
    marks = np.flatnonzero((chunk.cells["kind"] == abi.PROCESS) | (chunk.cells["kind"] == abi.THREAD))
    return whole and marks.tolist() in ([], [0])


@contextmanager
def hostile_segment(folder: Path) -> Iterator[SegmentBuilder]:
    builder = SegmentBuilder(folder, ring_cells=CELLS, rings=1)
    try:
        yield builder
    finally:
        builder.die()
        os.unlink(builder.path)


def visit(builder: SegmentBuilder, overwrite: bool = False) -> Findings:
    """Read the ring often enough that everything which can be waited for has been."""
    findings = Findings()
    segment = Segment(builder.path, 0, HASH, len(TARGETS))
    ring = Ring(segment, 0, findings, Native(), overwrite)
    accounting = Accounting(manifest(), overwrite)
    scratch = np.empty(CELLS, abi.CELL)
    total = 0
    for number in range(VISITS):
        for chunk in ring.take(scratch, number * TORN_NS, final=number > VISITS // 2):
            assert sound(chunk)
            total += len(chunk.cells)
            accounting.chunk(chunk)
    assert total <= VISITS * 8 * CELLS
    assert [] == ring.take(scratch, VISITS * TORN_NS, final=True)
    accounting.ring_ended(ring_end(ring, left=False))
    for line in accounting.account(findings).lines:
        assert line.calls == sum(getattr(line, name) for name in line.__struct_fields__[2:])
    ring.let_go()
    segment.close()
    return findings


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    cells=st.lists(CELL, min_size=1, max_size=12),
    head=NEAR | U64,
    tail=NEAR | U64,
    capacity=st.sampled_from([0, 1, 7, CELLS, CELLS + 1]) | U32,
    claims=st.integers(0, 12) | U32,
    claim=st.lists(st.tuples(NEAR | U64, U32, U32), max_size=8),
    overwrite=st.booleans(),
)
def test_any_cells_with_any_header_are_survived(
    tmp_path: Path,
    cells: list[bytes],
    head: int,
    tail: int,
    capacity: int,
    claims: int,
    claim: list[tuple[int, int, int]],
    overwrite: bool,
) -> None:
    with hostile_segment(tmp_path) as builder:
        writer = builder.ring(0, first=None)
        for index in range(CELLS):
            writer.raw(index)[:] = cells[index % len(cells)]
        for number, (where, pid, tid) in enumerate(claim):
            start = writer.start + fields.RING.offset("claim") + number * fields.CLAIM.size
            builder.map[start : start + fields.CLAIM.size] = fields.CLAIM.pack(position=where, pid=pid, tid=tid)
        writer["head"], writer["tail"], writer["capacity"], writer["claims"] = head, tail, capacity, claims
        visit(builder, overwrite)


def test_random_bytes_in_a_good_ring_are_survived(tmp_path: Path, soak: bool) -> None:
    chance = random.Random(5)
    for _ in range(20000 if soak else 150):
        with hostile_segment(tmp_path) as builder:
            writer = builder.ring(0)
            for _ in range(chance.randrange(100)):
                writer.call(chance.randrange(6), cells=chance.choice((1, 1, 1, 2, 9)))
            for _ in range(chance.choice((1, 3, 20))):
                place = chance.randrange(writer.start, len(builder.map))
                builder.map[place] = chance.randrange(256)
            visit(builder, chance.random() < 0.5)


def test_a_ring_of_nothing_but_noise_is_survived(tmp_path: Path) -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed)
        with hostile_segment(tmp_path) as builder:
            builder.ring(0, first=None)
            start = builder.first_ring
            builder.map[start:] = noise.bytes(len(builder.map) - start)
            visit(builder, seed % 2 == 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([n for n, f in fields.SEGMENT.fields.items() if f.count == 1]), U64 | NEAR))
def test_any_segment_header_is_refused_or_read(tmp_path: Path, header: dict[str, int]) -> None:
    sizes = {name: (1 << 8 * fields.SEGMENT.fields[name].size) - 1 for name in header}
    values = {name: value & sizes[name] for name, value in header.items()}
    path = SegmentBuilder(tmp_path, ring_cells=CELLS, rings=1, header=values).path
    try:
        segment = Segment(path, 0, HASH, len(TARGETS))
        assert segment.rings_used() <= segment.geometry.rings
        ring = Ring(segment, segment.geometry.rings - 1, Findings(), Native())
        assert [] == ring.take(np.empty(CELLS, abi.CELL), 0)
        segment.close()
    except (Refused, NotReady):
        pass
    finally:
        os.unlink(path)


@pytest.mark.parametrize("size", [0, 1, 8, 100, 1000, 4095, 4096, 8192, 8193, 12288, 20000])
def test_a_segment_of_any_size_is_refused_or_read(tmp_path: Path, size: int) -> None:
    builder = SegmentBuilder(tmp_path, ring_cells=CELLS, rings=1)
    builder.ring(0).call(0)
    os.truncate(builder.path, size)
    with pytest.raises((Refused, NotReady)):
        Segment(builder.path, 0, HASH, len(TARGETS))


def test_a_session_full_of_hostile_segments_ends_and_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make_session(monkeypatch, tmp_path)
    reader = Drain(session)
    noise = np.random.default_rng(1)
    for ticks in range(1, 30):
        builder = SegmentBuilder(session.path, ring_cells=CELLS, rings=2, ticks=ticks)
        builder.ring(0).call(0)
        builder.ring(1).calls(10)
        start = 0 if ticks % 3 == 0 else builder.first_ring if ticks % 3 == 1 else 300
        builder.map[start:] = noise.bytes(len(builder.map) - start)
        builder.die()
        if ticks % 5 == 0:
            os.truncate(builder.path, 7000 * ticks % 20000)
        for chunk in reader.poll():
            assert sound(chunk)
    for chunks in reader.finish():
        assert all(sound(chunk) for chunk in chunks)
    account = reader.account()
    assert len(account.refused) > 5
    assert not reader.alive
    session.remove()


def test_a_segment_truncated_again_and_again_while_it_is_read_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(monkeypatch, tmp_path)
    reader = Drain(session)
    builder = SegmentBuilder(session.path, ring_cells=1024, rings=1)
    builder.ring(0).calls(1000)
    path, size, stop = builder.path, len(builder.map), threading.Event()
    builder.die()

    def harass() -> None:
        chance = random.Random(2)
        with open(path, "r+b") as file:
            while not stop.is_set():
                file.truncate(chance.randrange(size))
                file.truncate(size)

    thread = threading.Thread(target=harass)
    thread.start()
    try:
        for _ in range(300):
            assert all(sound(chunk) for chunk in reader.poll())
    finally:
        stop.set()
        thread.join()
    for chunks in reader.finish():
        assert all(sound(chunk) for chunk in chunks)
    session.remove()


def test_a_control_file_that_a_program_truncated_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(monkeypatch, tmp_path)
    reader = Drain(session)
    os.truncate(os.path.join(session.path, "control"), 0)
    assert [] == reader.poll()
    assert 0 == session.get("used")
    session.close()
    assert [] == list(reader.finish())
    session.remove()


def test_a_million_files_in_the_session_cost_no_more_than_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soak: bool
) -> None:
    """Here two thousand: each is looked at once, and the list of refused ones is bounded."""
    session = make_session(monkeypatch, tmp_path)
    for number in range(100000 if soak else 2000):
        Path(session.path, f"seg-{number}-zz").write_bytes(b"\xff" * 700)
    reader = Drain(session)
    for _ in range(3):
        assert [] == reader.poll()
    assert 1000 == len(reader.account().refused)
    session.remove()
