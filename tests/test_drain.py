"""Whole sessions: segments that come and go, many rings, real writers in C, SIGKILL, budgets, two consumers.

Programs are tests/segment_builder.py's fakes or tests/c/ring_writer.c; the runtime's own are in test_runtime_*.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from segment_builder import HASH, TARGETS, SegmentBuilder, make_session
from wc_intercept import runtime
from wc_intercept.consumer import abi, drain
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.accounting import Account, Line
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.drain import Drain
from wc_intercept.consumer.segment import Segment
from wc_intercept.consumer.session import SessionDirectory

INCLUDE = Path(next(iter(runtime.__path__))) / "include"
DEADLINE = 60.0


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionDirectory]:
    made = make_session(monkeypatch, tmp_path, ring_cells=1024)
    yield made
    made.remove()


@pytest.fixture
def writer(compile_c: Callable[..., Path]) -> Path:
    return compile_c("ring_writer.c", f"-I{INCLUDE}", "-O2")


@contextlib.contextmanager
def running(command: list[object]) -> Iterator[subprocess.Popen[bytes]]:
    """A writer that has ended when the test has, whatever the test found."""
    program = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def collect(reader: Drain, enough: Callable[[list[Chunk]], bool] = lambda chunks: False) -> list[Chunk]:
    """Poll until *enough*, or else finish; return all chunks."""
    chunks: list[Chunk] = []
    end = time.monotonic() + DEADLINE
    while not enough(chunks):
        assert time.monotonic() < end
        chunks += reader.poll()
        reader.pause()
    return chunks


def finished(reader: Drain) -> list[Chunk]:
    return [chunk for chunks in reader.finish() for chunk in chunks]


def clocks_of(chunks: list[Chunk]) -> list[int]:
    return [int(c) for chunk in chunks for c in chunk.cells["clock"][chunk.cells["kind"] == abi.CALL]]


def line_of(account: Account, name: str = "open") -> Line:
    """A target that was never called has none: then all of it is 0."""
    return next((line for line in account.lines if line.name == name), Line(name))


def test_segments_are_found_read_and_accounted_for(session: SessionDirectory) -> None:
    reader = Drain(session)
    builder = SegmentBuilder(session.path)
    for index in range(3):
        ring = builder.ring(index, tid=100 + index)
        for _ in range(5):
            ring.call(0)
        ring.call(1)
    chunks = reader.poll()
    assert {(100, 7), (101, 7), (102, 7)} == {(chunk.tid, len(chunk.cells)) for chunk in chunks}
    builder.die()
    assert [] == finished(reader)
    account = reader.account()
    assert [Line("open", calls=15, recorded=15), Line("read", calls=3, recorded=3)] == account.lines
    assert 0 == account.lost


def test_a_segment_that_nobody_maps_is_deleted_and_its_memory_given_back(session: SessionDirectory) -> None:
    reader = Drain(session)
    before = session.budget
    builder = SegmentBuilder(session.path)
    builder.ring(0).call(0)
    used = os.stat(builder.path).st_blocks * 512
    reader.poll()
    assert reader.alive
    builder.die()
    finished(reader)
    assert not os.path.exists(builder.path)
    assert not reader.alive
    assert before + used <= session.get("budget") <= before + used + 64 * fields.PAGE


def test_a_segment_whose_writer_was_woken_is_deleted_as_well(session: SessionDirectory) -> None:
    """To wake it, its page was mapped: by us, which must not look like a living program."""
    reader = Drain(session)
    builder = SegmentBuilder(session.path)
    ring = builder.ring(0)
    ring["waiting"] = 1
    reader.poll()
    assert 1 == ring["wake"]
    builder.die()
    finished(reader)
    assert not os.path.exists(builder.path)


def test_ten_thousand_short_programs_need_the_room_of_a_few(session: SessionDirectory, soak: bool) -> None:
    """Segments come and go while the session lasts; what they counted is kept."""
    rounds = 10000 if soak else 300
    reader = Drain(session)
    most = 0
    for ticks in range(1, rounds + 1):
        builder = SegmentBuilder(session.path, pid=100000 + ticks, ring_cells=64, rings=1, ticks=ticks)
        builder.ring(0).call(0)
        builder.die()
        reader._patient = False  # no waiting until a segment has been idle for long
        reader.poll()
        reader.poll()
        most = max(most, len(os.listdir(session.path)))
    finished(reader)
    assert Line("open", calls=rounds, recorded=rounds) == line_of(reader.account())
    assert most < 20
    assert rounds == len(reader.programs)


def test_a_live_program_is_not_waited_for_at_the_end(session: SessionDirectory) -> None:
    reader = Drain(session)
    builder = SegmentBuilder(session.path)
    ring = builder.ring(0)
    ring.call(0)
    ring.enter(4)
    session.close()
    assert [1001] == clocks_of(finished(reader))
    assert [os.getpid()] == reader.pids()
    assert [Line("open", 1, 1), Line("nanosleep", 1, unfinished=1)] == reader.account().lines
    assert [(os.getpid(), 4, 7, 3)] == [(i.pid, i.symbol, i.clock, i.argument) for i in reader.account().inside]
    builder.die()


def test_a_writer_that_never_stops_does_not_keep_the_end_from_coming(
    session: SessionDirectory, writer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "FINISH_NS", 200_000_000)
    reader = Drain(session)
    builder = SegmentBuilder(session.path, rings=1)
    command = [writer, builder.path, "0", str(1 << 40), "0", "block"]
    with running(command) as program:
        collect(reader, lambda chunks: len(chunks) > 0)
        assert finished(reader)
        program.kill()
    builder.die()


def test_a_writer_that_never_pauses_is_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Path
) -> None:
    """Overwrite: a reader that is always lapped keeps less and less of the ring, until it keeps up."""
    session = make_session(monkeypatch, tmp_path, ring_cells=16384, policy=2)
    reader = Drain(session)
    builder = SegmentBuilder(session.path, rings=1, ring_cells=16384)
    with running([writer, builder.path, "0", str(1 << 40), "0", "overwrite"]) as program:
        for _ in range(5):
            assert collect(reader, lambda chunks: len(chunks) > 0)
        program.kill()
    builder.die()
    finished(reader)
    session.remove()


def test_the_heartbeat_goes_on(session: SessionDirectory) -> None:
    reader = Drain(session)
    reader.poll()
    first = session.get("heartbeat")
    assert abs(time.monotonic_ns() - first) < DEADLINE * 1e9
    end = time.monotonic() + DEADLINE
    while session.get("heartbeat") == first:
        reader.poll()
        reader.pause()
        assert time.monotonic() < end


def test_one_poll_is_bounded_and_the_next_begins_with_other_segments(session: SessionDirectory) -> None:
    reader = Drain(session)
    builders = [SegmentBuilder(session.path, rings=1, ring_cells=16384, ticks=i) for i in range(1, 40)]
    for builder in builders:
        builder.ring(0).calls(16000)
    sizes = []
    while chunks := reader.poll():
        sizes.append(sum(len(chunk.cells) for chunk in chunks))
        if len(sizes) > 1:
            assert 0 not in {chunk.segment for chunk in chunks}
    assert 39 * 16001 == sum(sizes)
    assert max(sizes) <= drain.POLL_CELLS + 16384
    for builder in builders:
        builder.die()


def test_idle_sessions_are_polled_less_and_busy_ones_at_once(session: SessionDirectory) -> None:
    reader = Drain(session)
    for _ in range(50):
        reader.poll()
    assert drain.LONGEST_DELAY == reader.delay
    builder = SegmentBuilder(session.path, ring_cells=16384)
    builder.ring(0).calls(10000)
    reader.poll()
    assert 0.0 == reader.delay
    builder.die()


def test_what_is_no_segment_is_named_and_the_rest_goes_on(session: SessionDirectory) -> None:
    reader = Drain(session)
    good = SegmentBuilder(session.path, ticks=1)
    good.ring(0).call(0)
    bad = SegmentBuilder(session.path, ticks=2, header={"abi": 7})
    Path(session.path, "seg-fifo").mkdir()
    os.mkfifo(os.path.join(session.path, "seg-3-3"))
    os.symlink("/etc/passwd", os.path.join(session.path, "seg-4-4"))
    assert [1001] == clocks_of(reader.poll())
    good.die()
    finished(reader)
    account = reader.account()
    assert {os.path.basename(bad.path), "seg-fifo", "seg-3-3", "seg-4-4"} == set(account.refused)
    assert "abi" in account.refused[os.path.basename(bad.path)]
    assert 4 == account.lost
    bad.die()
    Path(session.path, "seg-fifo").rmdir()


def test_a_segment_in_the_making_is_waited_for_and_one_left_in_the_making_is_deleted(
    session: SessionDirectory,
) -> None:
    reader = Drain(session)
    builder = SegmentBuilder(session.path, header={"magic": 0})
    builder.ring(0).call(0)
    assert [] == reader.poll()
    builder.map[:8] = fields.SEGMENT_MAGIC.to_bytes(8, "little")
    assert [1001] == clocks_of(reader.poll())
    builder.die()
    dead = SegmentBuilder(session.path, ticks=2, header={"magic": 0})
    dead.die()
    finished(reader)
    assert [] == [name for name in os.listdir(session.path) if name.startswith("seg-")]
    assert {} == reader.account().refused


def test_a_program_that_is_faster_than_two_looks_at_its_segment_is_seen(
    session: SessionDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look finds a segment in the making; before the second one, its program has made it, and ended."""
    reader = Drain(session)
    builder = SegmentBuilder(session.path, header={"magic": 0})
    builder.ring(0).call(0)

    def ended_meanwhile(path: str) -> bool:
        builder.map[:8] = fields.SEGMENT_MAGIC.to_bytes(8, "little")
        builder.die()
        return True

    monkeypatch.setattr(drain, "is_abandoned", ended_meanwhile)
    assert [1001] == clocks_of(reader.poll())
    assert 1 == len(reader.programs)


def test_a_segment_taken_away_under_the_reader_is_read_to_its_end(session: SessionDirectory) -> None:
    reader = Drain(session)
    builder = SegmentBuilder(session.path)
    builder.ring(0).call(0)
    reader.poll()
    os.unlink(builder.path)
    builder.ring(0).call(0)
    builder.die()
    assert 1 == len(finished(reader))
    assert {} == reader.account().refused


def test_a_directory_swept_under_the_reader_ends_quietly(session: SessionDirectory) -> None:
    reader = Drain(session)
    for name in os.listdir(session.path):
        os.unlink(os.path.join(session.path, name))
    os.rmdir(session.path)
    assert [] == reader.poll()
    assert [] == finished(reader)


def test_open_files_are_those_of_live_segments_only(session: SessionDirectory) -> None:
    before = len(os.listdir("/proc/self/fd"))
    reader = Drain(session)
    builders = [SegmentBuilder(session.path, ticks=i) for i in range(1, 30)]
    for builder in builders:
        builder.ring(0).call(0)
    reader.poll()
    for builder in builders:
        builder.die()
    finished(reader)
    assert before == len(os.listdir("/proc/self/fd"))


# Writers in C.


@pytest.mark.parametrize("most_cells", [0, 1, 5, 40])
def test_a_blocked_writer_loses_nothing_and_nothing_is_mixed(
    session: SessionDirectory, writer: Path, most_cells: int, soak: bool
) -> None:
    many = 3_000_000 if soak else 60_000
    reader = Drain(session)
    builder = SegmentBuilder(session.path, rings=1)
    command = [writer, builder.path, "0", str(many), str(most_cells), "block"]
    with running(command) as program:
        expected = 1
        for chunk in read_all(reader, lambda: line_so_far(reader) == many):
            expected = check(chunk, expected, most_cells)
        assert many + 1 == expected
        program.communicate()
    builder.die()
    finished(reader)
    assert Line("open", calls=many, recorded=many) == line_of(reader.account())


@pytest.mark.parametrize("policy", ["block", "drop", "overwrite"])
def test_a_killed_writer_leaves_every_committed_record_and_an_exact_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Path, policy: str, soak: bool
) -> None:
    """SIGKILL at random moments: what arrives is whole, in order, and the identity holds."""
    chance = random.Random(7)
    for round_ in range(1000 if soak else 12):
        session = make_session(
            monkeypatch, tmp_path, ring_cells=1024, policy={"block": 0, "drop": 1, "overwrite": 2}[policy]
        )
        reader = Drain(session)
        builder = SegmentBuilder(session.path, rings=1)
        command = [writer, builder.path, "0", str(1 << 40), "9", policy]
        with running(command) as program:
            chunks = collect(reader, lambda chunks, found=reader.findings: len(chunks) > 0 or found.laps > 0)
            for _ in range(chance.randrange(20)):
                chunks += reader.poll()
            program.kill()
        builder.die()
        chunks += finished(reader)
        expected = 1
        for chunk in chunks:
            expected = check(chunk, expected, 9, gaps=policy != "block")
        account = reader.account()
        line = line_of(account)
        assert line.calls == sum(getattr(line, name) for name in line.__struct_fields__[2:]), round_
        assert (0, 0, 0) == (line.missing, account.corrupt, account.short_reads), (round_, account)
        assert line.torn <= 1
        assert (line.lost == 0 or policy == "drop") and (line.overwritten == 0 or policy == "overwrite")
        session.remove()


def test_many_rings_at_once_lose_nothing(session: SessionDirectory, writer: Path) -> None:
    reader = Drain(session)
    rings, many = 6, 8000
    builder = SegmentBuilder(session.path, rings=rings)
    commands = [[writer, builder.path, str(i), str(many), "3", "block"] for i in range(rings)]
    programs = [subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for c in commands]
    expected = dict.fromkeys(range(rings), 1)
    for chunk in read_all(reader, lambda: line_so_far(reader) == rings * many):
        assert chunk.pid == programs[chunk.ring].pid
        expected[chunk.ring] = check(chunk, expected[chunk.ring], 3)
    for program in programs:
        program.communicate()
    builder.die()
    finished(reader)
    assert {many + 1} == set(expected.values())
    assert Line("open", calls=rings * many, recorded=rings * many) == line_of(reader.account())


def test_a_writer_that_fills_its_ring_sleeps_and_is_woken(session: SessionDirectory, writer: Path) -> None:
    """It sleeps in slices of 10 ms at most, so it would go on anyhow: what is tested is that the word changes."""
    reader = Drain(session)
    builder = SegmentBuilder(session.path, rings=1)
    command = [writer, builder.path, "0", "20000", "0", "block"]
    with running(command) as program:
        segment = Segment(builder.path, 9, HASH, len(TARGETS))
        wake = segment.ring_offset(0) + fields.RING.offset("waiting")
        while not np.frombuffer(os.pread(segment.fileno(), 8, wake), "<u4")[0]:
            os.sched_yield()
        list(read_all(reader, lambda: line_so_far(reader) == 20000))
        assert np.frombuffer(os.pread(segment.fileno(), 8, wake), "<u4")[1] > 0
        program.communicate()
        segment.close()
    builder.die()


def read_all(reader: Drain, enough: Callable[[], bool]) -> Iterator[Chunk]:
    end = time.monotonic() + DEADLINE
    while not enough():
        assert time.monotonic() < end
        yield from reader.poll()
        reader.pause()


def line_so_far(reader: Drain) -> int:
    return int(reader.accounting.recorded[0])


def check(chunk: Chunk, expected: int, most_cells: int, gaps: bool = False) -> int:
    """Every record of ring_writer.c carries its ordinal everywhere. Return the next ordinal."""
    raw = abi.bytes_of(chunk.cells)
    for first in chunk.firsts.tolist():
        cell = chunk.cells[first]
        if cell["kind"] != abi.CALL:
            continue
        ordinal = int(cell["clock"])
        assert ordinal >= expected if gaps else ordinal == expected
        count = ordinal * 2654435761 % (1 << 64) % most_cells + 1 if most_cells else 1
        assert (count & 0xFFFFFFFF, ordinal) == (cell["count"], int(cell["args"][:8].view("<u8")[0]))
        assert (raw[first + 1 : first + count, 8:] == ordinal & 0xFF).all()
        expected = ordinal + 1
    return expected
