"""One segment, one ring: what the reader does in each state of a cell's life (wc_abi.h), step by step.

The writer is tests/segment_builder.py, which can stop between any two of its steps. ``now`` is given by hand: nothing
here waits for a clock.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from segment_builder import HASH, TARGETS, SegmentBuilder
from wc_intercept.consumer import abi, position
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.machine import Native
from wc_intercept.consumer.ring import PIECE, TORN_NS, Findings, Ring, thread_is_dead
from wc_intercept.consumer.segment import NotReady, Refused, Segment

DEAD = 0x7FFFFFFF
"""No process has this pid: the kernel's limit is 2**22."""


class Reader:
    """A ring's reader, its scratch and its time."""

    def __init__(self, segment: Segment, index: int = 0, overwrite: bool = False) -> None:
        self.findings = Findings()
        self.ring = Ring(segment, index, self.findings, Native(), overwrite)
        self.now = 0

    def take(self, final: bool = False) -> list[Chunk]:
        return self.ring.take(np.empty(PIECE, abi.CELL), self.now, final)

    def clocks(self, final: bool = False) -> list[int]:
        """Entry clocks of the calls that a visit brings."""
        chunks = self.take(final)
        return [int(c) for chunk in chunks for c in chunk.cells["clock"][chunk.cells["kind"] == abi.CALL]]


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[SegmentBuilder]:
    yield SegmentBuilder(tmp_path, ring_cells=64)


def opened(builder: SegmentBuilder) -> Segment:
    return Segment(builder.path, 0, HASH, len(TARGETS))


def reader_of(builder: SegmentBuilder, overwrite: bool = False) -> Reader:
    return Reader(opened(builder), overwrite=overwrite)


# What is a segment.


def test_an_open_segment_tells_whose_it_is(builder: SegmentBuilder) -> None:
    segment = opened(builder)
    assert (os.getpid(), 1, "/bin/test", 0) == (segment.pid, segment.parent, segment.program, segment.rings_used())


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"magic": 1}, "magic"),
        ({"abi": 2}, "abi"),
        ({"manifest": 3}, "manifest"),
        ({"targets": 6}, "targets"),
        ({"targets": 0xFFFFFFFF}, "targets"),
        ({"header_size": 8}, "header_size"),
        ({"cell_size": 32}, "cell_size"),
        ({"rings": 0}, "rings"),
        ({"rings": 5}, "cut short"),
        ({"rings": 0xFFFFFFFF}, "rings"),
        ({"ring_cells": 0}, "cells"),
        ({"ring_cells": 65}, "overlap"),
        ({"ring_cells": 0xFFFFFFFF}, "cells"),
        ({"shared_counts": 8}, "shared counts"),
        ({"first_ring": 4096}, "shared counts"),
        ({"first_ring": (1 << 64) - 4096}, "cut short"),
        ({"first_ring": 8193}, "pages"),
        ({"ring_stride": 4096}, "overlap"),
        ({"ring_stride": (1 << 64) - 4096}, "cut short"),
        ({"counts_offset": 64}, "counts overlap"),
        ({"cells_offset": 4096}, "counts overlap"),
        ({"cells_offset": (1 << 64) - 64}, "overlap"),
    ],
)
def test_a_header_that_contradicts_itself_or_the_session_is_refused(
    tmp_path: Path, header: dict[str, int], word: str
) -> None:
    builder = SegmentBuilder(tmp_path, ring_cells=64, header=header)
    with pytest.raises(Refused, match=word):
        opened(builder)


def test_a_segment_without_its_magic_is_not_ready_yet(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        opened(SegmentBuilder(tmp_path, header={"magic": 0}))


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "seg-1-1")
    with pytest.raises(Refused, match="regular"):
        Segment(str(tmp_path / "seg-1-1"), 0, HASH, len(TARGETS))


def test_a_link_is_not_followed(tmp_path: Path, builder: SegmentBuilder) -> None:
    os.symlink(builder.path, tmp_path / "seg-2-2")
    with pytest.raises(OSError):
        Segment(str(tmp_path / "seg-2-2"), 0, HASH, len(TARGETS))


def test_the_kernel_knows_whether_a_segment_is_still_mapped(builder: SegmentBuilder) -> None:
    segment = opened(builder)
    if segment.is_mapped() is None:
        pytest.skip("this file system grants no leases")
    assert segment.is_mapped() is True
    builder.die()
    assert segment.is_mapped() is False


# Committed records.


def test_committed_records_arrive_once_with_their_threads_identity(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, pid=100, tid=101)
    writer.call(0)
    writer.call(1, cells=3)
    reader = reader_of(builder)
    (chunk,) = reader.take()
    assert (100, 101, 0, 0, 0, 5) == (
        chunk.pid, chunk.tid, chunk.segment, chunk.ring, chunk.position, len(chunk.cells)
    )  # fmt: skip
    assert [0, 1, 2] == chunk.firsts.tolist()
    assert [abi.PROCESS, abi.CALL, abi.CALL] == chunk.cells["kind"][chunk.firsts].tolist()
    assert bytes([2]) * fields.CONT_PAYLOAD == bytes(abi.bytes_of(chunk.cells)[4, 8:])
    assert [] == reader.take()


def test_the_tail_that_the_writer_sees_is_what_was_taken(builder: SegmentBuilder) -> None:
    writer = builder.ring(0)
    writer.call(0, cells=7)
    reader_of(builder).take()
    assert (8, 8) == (writer["head"], writer["tail"])


def test_a_chunk_is_a_private_copy(builder: SegmentBuilder) -> None:
    writer = builder.ring(0)
    where = writer.call(0)
    (chunk,) = reader_of(builder).take()
    before = chunk.cells.copy()
    writer.fill(where, clock=99)
    assert np.array_equal(before, chunk.cells)


def test_records_go_on_over_many_laps(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    seen: list[int] = []
    for cells in (1, 3, 30, 5, 25, 32, 1, 31, 17, 31) * 8:
        writer.call(0, cells=cells)
        seen += reader.clocks()
    assert list(range(1001, 1001 + len(seen))) == seen
    assert writer["head"] >> 32 > 20
    assert Findings() == reader.findings


def test_a_filler_is_skipped_whatever_lies_behind_it(builder: SegmentBuilder) -> None:
    """The skipped cells carry stamps of an old lap, or of a hostile writer."""
    writer, reader = builder.ring(0), reader_of(builder)
    writer.call(0, cells=60)
    reader.clocks()
    for index in range(61, 64):
        writer.open(index, 0, abi.CALL, 1)
        writer.commit(index, 1)
    writer.call(0, cells=10)
    assert [1002] == reader.clocks()
    assert Findings() == reader.findings


def test_a_full_lap_without_filler_goes_on_in_the_next(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    writer.call(0, cells=63)
    assert [1001] == reader.clocks()
    assert writer["head"] == writer["tail"] == 64
    writer.call(0)
    assert [1002] == reader.clocks()
    assert position.make(1, 1) == writer["tail"]


def test_a_ring_that_shrank_in_its_first_lap_is_read_to_its_new_end(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    writer.call(0, cells=31)
    assert [1001] == reader.clocks()
    writer["capacity"] = writer["ready"] = 32
    for _ in range(5):
        writer.call(0, cells=16)
        assert 1 == len(reader.clocks())
    assert position.make(3, 16) == writer["tail"]


def test_laps_are_counted_past_the_one_whose_stamp_would_be_zero(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, first=None)
    last = position.LAPS - 1
    writer["head"] = writer["tail"] = position.make(last, 60)
    reader = reader_of(builder)
    for _ in range(2):
        writer.call(0, cells=30)
    assert [1001, 1002] == reader.clocks()
    assert position.make(0, 60) == writer["tail"]
    assert Findings() == reader.findings


def test_a_reader_goes_on_where_a_dead_one_stopped(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, tid=77)
    writer.call(0)
    reader_of(builder).take()
    writer.call(0)
    (chunk,) = reader_of(builder).take()
    assert (77, [1002]) == (chunk.tid, chunk.cells["clock"].tolist())


# Threads.


def test_chunks_are_cut_where_another_thread_begins(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, pid=100, tid=100)
    writer.call(0)
    writer.identity(200, 200, abi.PROCESS)  # a vfork child
    writer.call(0)
    writer.call(0)
    writer.identity(100, 100)
    writer.call(0)
    chunks = reader_of(builder).take()
    assert [(100, 0, 2), (200, 2, 3), (100, 5, 2)] == [(c.pid, c.position, len(c.cells)) for c in chunks]


def test_a_claim_names_the_thread_when_its_own_record_was_lost(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, pid=100, tid=100)
    writer.call(0)
    writer.claim(100, 105, first=None)
    writer.call(0)
    chunks = reader_of(builder).take()
    assert [(100, [0, 1001]), (105, [1002])] == [(c.tid, c.cells["clock"].tolist()) for c in chunks]


def test_many_claims_between_two_visits_still_name_the_right_threads(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, pid=100, tid=100)
    for tid in range(101, 121):
        writer.claim(100, tid)
        writer.call(0)
    chunks = reader_of(builder).take()
    assert [(tid, [abi.THREAD, abi.CALL]) for tid in range(101, 121)] == [
        (c.tid, c.cells["kind"].tolist()) for c in chunks[1:]
    ]


# Open records.


def test_an_open_record_is_waited_for(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.reserve(2)
    writer.open(where, 1, abi.CALL, 2)
    assert [] == reader.clocks()
    reader.now += 10 * TORN_NS
    assert [] == reader.clocks()
    writer.fill(where, clock=5)
    writer.commit(where, 2)
    assert [5] == reader.clocks()
    assert Findings() == reader.findings


def test_a_reservation_without_a_header_is_waited_for(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.reserve(1)
    reader.take()
    reader.now += 10 * TORN_NS
    assert [] == reader.take()
    assert writer["tail"] == where


def test_an_open_record_is_torn_when_a_valid_one_has_stood_behind_it_for_50_ms(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.reserve(3)
    writer.open(where, 1, abi.CALL, 3)
    writer.call(0)
    assert [] == reader.clocks()
    reader.now += TORN_NS - 1
    assert [] == reader.clocks()
    reader.now += 1
    assert [1001] == reader.clocks()
    assert Counter({1: 1}) == reader.findings.torn


def test_a_record_that_a_signal_handler_interrupted_commits_in_time(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.reserve(1)
    writer.open(where, 1, abi.CALL, 1)
    writer.call(0)
    assert [] == reader.clocks()
    writer.fill(where, clock=5)
    writer.commit(where, 1)
    assert [5, 1001] == reader.clocks()
    assert not reader.findings.torn


def test_continuations_committed_before_their_first_cell_do_not_count_as_records(builder: SegmentBuilder) -> None:
    """Killed between the stamps of a record: its later cells carry this lap's stamp, its first does not."""
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.reserve(4)
    writer.open(where, 1, abi.CALL, 4)
    for offset in (3, 2, 1):
        writer.raw(where + offset)[:4] = position.stamp_of(where).to_bytes(4, "little")
    writer.call(0)
    reader.take()
    reader.now += TORN_NS
    assert [1001] == reader.clocks()
    assert Counter({1: 1}) == reader.findings.torn


def test_handlers_that_jumped_out_of_each_other_leave_each_record_torn(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    for symbol, cells in ((1, 2), (0, 1), (4, 3)):
        writer.open(writer.reserve(cells), symbol, abi.CALL, cells)
    writer.call(0)
    reader.take()
    reader.now += TORN_NS
    assert [1001] == reader.clocks()
    assert Counter({0: 1, 1: 1, 4: 1}) == reader.findings.torn


def test_a_dead_owners_open_record_is_torn_with_nothing_behind_it(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0, pid=DEAD, tid=DEAD), reader_of(builder)
    writer.open(writer.reserve(2), 1, abi.CALL, 2)
    reader.take()
    reader.now += TORN_NS
    reader.take()
    assert (Counter({1: 1}), writer["head"]) == (reader.findings.torn, writer["tail"])


def test_what_a_dead_owner_reserved_and_never_began_is_one_torn_record_of_unknown_symbol(
    builder: SegmentBuilder,
) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    writer.reserve(5)
    reader.take(final=True)
    assert (Counter({abi.SYMBOL_NONE: 1}), writer["head"]) == (reader.findings.torn, writer["tail"])


def test_a_record_left_open_by_the_last_owner_is_torn_as_soon_as_another_has_claimed(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    writer.open(writer.reserve(1), 1, abi.CALL, 1)
    assert [] == reader.clocks()
    writer.claim(100, 107)
    writer.call(0)
    chunks = reader.take()
    assert [(107, [abi.THREAD, abi.CALL])] == [(c.tid, c.cells["kind"].tolist()) for c in chunks[-1:]]
    assert Counter({1: 1}) == reader.findings.torn


def test_a_torn_record_at_the_end_of_a_lap_is_stepped_over_into_the_next(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    writer.call(0, cells=60)
    reader.take()
    writer.open(writer.reserve(2), 1, abi.CALL, 2)
    writer.call(0, cells=5)
    reader.take()
    reader.now += TORN_NS
    assert [1002] == reader.clocks()
    assert Counter({1: 1}) == reader.findings.torn


def test_a_lap_that_was_closed_without_its_filler_is_stepped_over(builder: SegmentBuilder) -> None:
    """Killed between moving head to the next lap and writing the filler; a forked sibling then took the ring."""
    writer, reader = builder.ring(0), reader_of(builder)
    writer.call(0, cells=60)
    reader.take()
    writer.close_lap(writer["head"], filled=False)
    writer.claim(100, 107)
    writer.call(0)
    assert [1002] == reader.clocks()


def test_old_stamps_of_the_last_lap_are_not_mistaken_for_records(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    for _ in range(63):
        writer.call(0)
    reader.take()
    where = writer.reserve(10)
    assert [] == reader.clocks()
    writer.open(where, 1, abi.CALL, 2)
    assert [] == reader.clocks()
    assert where == writer["tail"]


# Laps.


def test_a_lapped_reader_goes_on_with_the_newest_lap_and_says_so(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0, pid=100, tid=103), reader_of(builder, overwrite=True)
    for _ in range(300):
        writer.call(0)
    (chunk, *more) = reader.take()
    clocks = [int(clock) for one in (chunk, *more) for clock in one.cells["clock"]]
    assert list(range(clocks[0], 1301)) == clocks
    assert 40 <= len(clocks) <= 64
    assert (103, 1) == (chunk.tid, reader.findings.laps)


def test_at_the_end_every_record_that_was_not_overwritten_is_read(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder, overwrite=True)
    for _ in range(300):
        writer.call(0)
    assert list(range(1301 - 64, 1301)) == reader.clocks(final=True)


def test_a_lapped_reader_begins_at_a_records_first_cell(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder, overwrite=True)
    for i in range(100):
        writer.call(0, cells=1 + i * 7 % 11)
    clocks = reader.clocks(final=True)
    assert list(range(clocks[0], 1101)) == clocks
    assert 5 <= len(clocks) <= 64


def test_a_record_that_is_overwritten_while_it_is_copied_is_not_handed_out(
    builder: SegmentBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two copies the writer laps the reader: what it may have touched is not believed."""
    writer, reader = builder.ring(0), reader_of(builder, overwrite=True)
    for _ in range(63):
        writer.call(0)
    real, calls = os.preadv, []

    def preadv(file: int, buffers: list[memoryview], offset: int) -> int:
        got = real(file, buffers, offset)
        calls.append(offset)
        if len(calls) == 2:  # the second copy is made: now head moves over its first half
            writer["head"] = position.make(1, 32)
        return got

    monkeypatch.setattr(os, "preadv", preadv)
    assert list(range(1032, 1064)) == reader.clocks()[:32]


def test_a_lost_identity_is_taken_from_the_claims_after_a_lap(builder: SegmentBuilder) -> None:
    writer = builder.ring(0, pid=100, tid=100)
    for tid in (101, 102):
        writer.claim(100, tid)
        for _ in range(200):
            writer.call(0)
    chunks = reader_of(builder, overwrite=True).take()
    assert {102} == {chunk.tid for chunk in chunks}


# Hostile hints.


@pytest.mark.parametrize("head", [0, 3, 1 << 31, 1 << 32, (5 << 32) + 9, (1 << 64) - 1, 1 << 63, 0xFFFFFFFF << 32])
@pytest.mark.parametrize("tail", [0, 63, 64, 65, 7 << 32, (1 << 64) - 1])
@pytest.mark.parametrize("capacity", [0, 1, 64, 1 << 31])
def test_no_head_tail_or_capacity_stops_the_reader(
    builder: SegmentBuilder, head: int, tail: int, capacity: int
) -> None:
    writer = builder.ring(0)
    for _ in range(50):
        writer.call(0)
    writer["head"], writer["tail"], writer["capacity"] = head, tail, capacity
    for overwrite in (False, True):
        reader = reader_of(builder, overwrite)
        cells = 0
        for _ in range(40):
            reader.now += TORN_NS
            cells += sum(len(chunk.cells) for chunk in reader.take(final=True))
        assert cells <= 2 * 64


def test_a_record_whose_cells_contradict_its_count_is_stepped_over(builder: SegmentBuilder) -> None:
    writer, reader = builder.ring(0), reader_of(builder)
    where = writer.call(0, cells=3)
    writer.raw(where)[7:8] = bytes([200])
    writer.call(0)
    assert [1002] == reader.clocks()
    assert 1 == reader.findings.corrupt


def test_a_truncated_segment_is_noticed_and_does_no_harm(builder: SegmentBuilder) -> None:
    writer = builder.ring(0)
    writer.call(0)
    reader = reader_of(builder)
    os.truncate(builder.path, builder.first_ring + builder.cells_offset + fields.CELL_SIZE)
    assert 1 == sum(len(chunk.cells) for chunk in reader.take())
    assert 1 <= reader.findings.short
    os.truncate(builder.path, 0)
    assert [] == reader.take()
    assert 0 == reader.ring.segment.counts(0)["calls"].sum()


def test_a_waiting_writer_is_told_to_look_again(builder: SegmentBuilder) -> None:
    writer = builder.ring(0)
    writer["waiting"], writer["wake"] = 1, 0xFFFFFFFF
    reader_of(builder).take()
    assert 0 == writer["wake"]


def test_a_thread_is_dead_when_it_is_gone_or_a_zombie() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert thread_is_dead(child.pid, child.pid)
    child.wait()
    assert thread_is_dead(child.pid, child.pid)
    assert not thread_is_dead(os.getpid(), os.getpid())


