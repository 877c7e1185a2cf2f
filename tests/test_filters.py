"""What is shown is what was asked for: by process, function, time, outcome and path."""

from __future__ import annotations

import os

import pytest
from record_builder import PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import abi
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.decode import Batch, Decoder
from wc_intercept.consumer.descriptors import Descriptors
from wc_intercept.consumer.filter import Filter
from wc_intercept.consumer.order import in_order
from wc_intercept.consumer.pathfilter import PathFilter
from wc_intercept.generator.manifest import Field, Return, Target

TEXT = Field("pathname", "pointer", 0, 8, content="text")
FD = Field("fd", "int", 0, 4, role="fd")
OPEN = symbol_of("open", TEXT, result=Return("int", 4, "fd", fail="-1"))
READ = symbol_of("read", FD, result=Return("int", 8, fail="-1"))
CLOSE = symbol_of("close", FD, result=Return("int", 4, fail="-1"))
EXIT = symbol_of("_exit", FD, wrapper="noreturn")


def batches_of(recorder: Recorder) -> list[Batch]:
    return Joiner().join(Decoder(recorder.manifest, PlainClock()).decode(recorder.chunk()))


def clocks(batches: list[Batch]) -> list[int]:
    """The times of what is left, in order: each call of these tests has its own."""
    return in_order([(batch.index, batch.time.tolist()) for batch in batches])


def mixed() -> Recorder:
    recorder = Recorder(manifest_of(OPEN, READ, CLOSE, EXIT))
    recorder.call("open", "/a", ret=3, clock=1).call("read", 3, ret=5, clock=2).call("open", "/b", ret=-1, clock=3)
    return recorder.call("close", 3, clock=4).call("read", 3, ret=-1, clock=5).call("_exit", 0, kind=abi.ENTER, clock=6)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(Filter(), [1, 2, 3, 4, 5, 6]), (Filter(successful=True), [1, 2, 4]), (Filter(failed=True), [3, 5]),
     (Filter(pids=[100]), [1, 2, 3, 4, 5, 6]), (Filter(pids=[7]), []), (Filter(functions=["open"]), [1, 3]),
     (Filter(functions=["c*", "_exit"]), [4, 6]), (Filter(since=3), [3, 4, 5, 6]), (Filter(until=3), [1, 2]),
     (Filter(since=2, until=5, functions=["read"], successful=True), [2])],
)  # fmt: skip
def test_a_filter_keeps_what_it_names(wanted, expected):
    assert expected == clocks(wanted.apply(batches_of(mixed())))


def test_by_outcome_a_call_in_two_halves_is_whole():
    recorder = Recorder(manifest_of(READ, targets=[Target("read", record="both")]))
    recorder.call("read", 3, kind=abi.ENTER, clock=1).call("read", 3, ret=5, clock=1)

    assert ["whole"] == [batch.part for batch in Filter(successful=True).apply(batches_of(recorder))]


def test_close_range_closes_what_is_between():
    ranged = symbol_of(
        "close_range", Field("first", "uint", 0, 4, role="fd"), Field("last", "uint", 0, 4, role="fd"),
        Field("flags", "uint", 0, 4), result=Return("int", 4, fail="-1"),
    )  # fmt: skip
    recorder = Recorder(manifest_of(OPEN, READ, ranged)).call("open", "/a", ret=3, clock=1)
    recorder.call("close_range", 3, 0xFFFFFFFF, 4, clock=2).call("read", 3, ret=1, clock=3)  # CLOSE_RANGE_CLOEXEC
    recorder.call("close_range", 3, 0xFFFFFFFF, 0, clock=4).call("read", 3, ret=1, clock=5)

    assert [1, 2, 3, 4] == by_path(recorder, "/a")


def test_a_string_that_is_no_path_names_no_descriptor():
    load = symbol_of("bpf", Field("attr", "pointer", 0, 8, content="bytes"), result=Return("int", 4, "fd", fail="-1"))
    recorder = Recorder(manifest_of(load, READ)).call("bpf", "/a", ret=3, clock=1).call("read", 3, ret=1, clock=2)

    assert [1] == by_path(recorder, "/a")


def by_path(recorder: Recorder, *paths: str) -> list[int]:
    descriptors = Descriptors()
    batches = batches_of(recorder)
    descriptors.follow(batches)
    return clocks(PathFilter(paths, descriptors).apply(batches))


def test_a_path_is_found_by_name_and_through_its_descriptor():
    assert [1, 2, 4] == by_path(mixed(), "/a")
    assert [3] == by_path(mixed(), "/b")
    assert [] == by_path(mixed(), "/")


def test_a_path_matches_as_given_or_as_it_resolves(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    resolved = os.path.realpath(tmp_path / "real")
    recorder = Recorder(manifest_of(OPEN))
    recorder.call("open", resolved, ret=3, clock=1).call("open", str(tmp_path / "link"), ret=4, clock=2)

    assert [1, 2] == by_path(recorder, str(tmp_path / "link"))


def test_what_is_not_a_call_passes_every_filter():
    recorder = mixed().identity(abi.PROCESS, 100, 100, 1, abi.PROCESS_EXEC)
    batches = batches_of(recorder)

    assert [abi.PROCESS] == [batch.kind for batch in Filter(functions=["none"]).apply(batches)]
    assert [abi.PROCESS] == [batch.kind for batch in PathFilter(["/none"], Descriptors()).apply(batches)]
