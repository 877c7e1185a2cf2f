"""Ticks to nanoseconds: no nanosecond lost, no step backwards, no harm by hostile numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wc_intercept.consumer import abi, machine
from wc_intercept.consumer.clock import KEEP_NS, MOST_SAMPLES, Clock, Sample
from wc_intercept.consumer.machine import Native

EPOCH = 1_700_000_000_000_000_000


def ticks(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def recorded(*samples: tuple[int, int]) -> Clock:
    """A clock of (ticks, monotonic) whose monotonic began at EPOCH."""
    return Clock(abi.CLOCK_TSC, samples=[Sample(t, m, m + EPOCH) for t, m in samples])


class FakeNative(Native):
    """Three ticks a nanosecond; time goes on by *step* ns with every look."""

    def __init__(self, step: int = 10_000_000) -> None:
        self.now = 10**9  # long ago: nobody waits for it
        self.step = step
        self.looks = 0

    def sample(self, clock: int) -> Sample:
        self.now += self.step
        self.looks += 1
        return Sample(3 * self.now + self.looks % 3, self.now, self.now + EPOCH)


@pytest.fixture
def native() -> Iterator[Native]:
    found = Native()
    if machine.library_path() is None:
        pytest.skip("the native library is not built")
    yield found


def test_a_monotonic_clock_keeps_every_nanosecond() -> None:
    clock = Clock(abi.CLOCK_MONOTONIC, samples=[Sample(5, 5, 5 + EPOCH)])
    assert [EPOCH + 123456789123456789, EPOCH] == clock.to_epoch_ns(ticks(123456789123456789, 0)).tolist()
    assert [17, -1] == clock.to_ns(ticks(17, abi.NO_DURATION)).tolist()


def test_ticks_between_two_samples_are_interpolated() -> None:
    clock = recorded((3000, 1000), (6000, 2000), (12000, 3000))
    assert [EPOCH + n for n in (1000, 1500, 2000, 2500, 3000)] == clock.to_epoch_ns(
        ticks(3000, 4500, 6000, 9000, 12000)
    ).tolist()


def test_ticks_outside_of_the_samples_are_extrapolated() -> None:
    clock = recorded((3000, 1000), (6000, 2000), (12000, 3000))
    assert [EPOCH + 500, EPOCH + 4000] == clock.to_epoch_ns(ticks(1500, 18000)).tolist()


def test_nanoseconds_survive_ticks_beyond_what_a_double_holds() -> None:
    base = 1 << 62
    clock = recorded((base, 10**18), (base + 3_000_000_000, 10**18 + 1_000_000_000))
    assert [10**18 + EPOCH + n for n in (0, 1, 2, 999_999_999)] == clock.to_epoch_ns(
        ticks(base, base + 3, base + 6, base + 2_999_999_997)
    ).tolist()


def test_durations_are_scaled_by_the_whole_run() -> None:
    clock = recorded((0, 0), (1, 0), (3_000_000, 1_000_000))
    assert [1, 333, -1] == clock.to_ns(ticks(3, 1000, abi.NO_DURATION)).tolist()


def test_a_step_of_the_wall_clock_moves_no_record() -> None:
    clock = Clock(abi.CLOCK_TSC, samples=[Sample(0, 0, EPOCH), Sample(100, 100, EPOCH + 10**9)])
    assert [EPOCH + 150] == clock.to_epoch_ns(ticks(150)).tolist()


def test_samples_that_run_backwards_are_ignored() -> None:
    clock = recorded((100, 100), (50, 200), (200, 50), (100, 100), (200, 200))
    assert [(100, 100), (200, 200)] == [tuple(sample)[:2] for sample in clock.samples]


def test_a_live_clock_never_runs_backwards() -> None:
    """Converted late or early, in one batch or in many: a later tick is never an earlier time."""
    native = FakeNative(step=1000)
    clock = Clock(abi.CLOCK_TSC, native)
    last = 0
    for _ in range(1000):
        now = 3 * native.now
        times = clock.to_epoch_ns(np.arange(now - 6000, now + 3000, 7, dtype=np.uint64))
        assert (np.diff(times) >= 0).all()
        assert times[-1] >= last
        last = int(clock.to_epoch_ns(ticks(now))[0])
    assert MOST_SAMPLES >= len(clock.samples)


def test_a_tick_is_the_same_time_however_often_it_is_converted() -> None:
    native = FakeNative(step=1_000_000)
    clock = Clock(abi.CLOCK_TSC, native)
    tick = ticks(3 * native.now - 5_000_000)
    first = clock.to_epoch_ns(tick).tolist()
    for _ in range(20):
        clock.to_epoch_ns(ticks(3 * native.now))
    assert first == clock.to_epoch_ns(tick).tolist()


def test_a_kept_sample_is_taken_once_a_second() -> None:
    clock = Clock(abi.CLOCK_TSC, FakeNative())
    now = 5 * KEEP_NS
    assert clock.keep(now) is not None
    assert clock.keep(now + KEEP_NS - 1) is None
    assert clock.keep(now + KEEP_NS) is not None


def test_a_recorded_clock_has_no_now() -> None:
    with pytest.raises(RuntimeError):
        recorded((0, 0)).sample()


def test_without_samples_nothing_fails() -> None:
    clock = Clock(abi.CLOCK_TSC)
    assert [0] == clock.to_epoch_ns(ticks(77)).tolist()
    assert [77] == clock.to_ns(ticks(77)).tolist()
    assert [] == recorded((0, 0)).to_epoch_ns(ticks()).tolist()


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=1), st.lists(st.tuples(*[st.integers(0, (1 << 64) - 1)] * 3)))
def test_hostile_ticks_and_samples_do_no_harm(values: list[int], samples: list[tuple[int, int, int]]) -> None:
    clock = Clock(abi.CLOCK_TSC, samples=[Sample(*sample) for sample in samples])
    assert len(values) == len(clock.to_epoch_ns(ticks(*values))) == len(clock.to_ns(ticks(*values)))


def test_the_native_library_reads_three_clocks_at_once(native: Native) -> None:
    first, second = native.sample(abi.CLOCK_TSC), native.sample(abi.CLOCK_TSC)
    assert first[0] < second[0]
    assert first[1] < second[1] <= time.monotonic_ns()
    assert abs((second[2] - second[1]) - (first[2] - first[1])) < 1_000_000


def test_a_live_clock_on_the_time_stamp_counter_tells_the_time(native: Native) -> None:
    if machine.choose_clock() != abi.CLOCK_TSC:
        pytest.skip("no stable time stamp counter here")
    clock = Clock(abi.CLOCK_TSC, native)
    before = time.time_ns()
    now = native.sample(abi.CLOCK_TSC)
    after = time.time_ns()
    (told,) = clock.to_epoch_ns(ticks(now[0])).tolist()
    assert before - 1_000_000 <= told <= after + 1_000_000


def test_without_the_native_library_the_clock_is_monotonic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "library_path", lambda: None)
    assert abi.CLOCK_MONOTONIC == machine.choose_clock()
    without = Native()
    sample = without.sample(abi.CLOCK_MONOTONIC)
    assert sample[0] == sample[1]
    assert 0 == without.map_page(0, 0)
    without.unmap_page(0)
    without.wake(0)
    with pytest.raises(RuntimeError):
        without.sample(abi.CLOCK_TSC)
