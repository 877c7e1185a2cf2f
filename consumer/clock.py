"""From the programs' clock ticks to nanoseconds.

Used by the decoder. A Clock keeps samples (ticks, monotonic, realtime): a live one takes them itself, one of a wc file
is given those that were recorded. Rules: times never run backwards, in whatever order and however late they are
converted: between two samples they are interpolated, and a live clock takes a sample before it converts ticks that lie
behind its last one. Differences are taken in integers before anything becomes a float, so that no nanosecond is lost.
The distance of realtime from monotonic is that of the first sample: a step of the wall clock in mid-run would otherwise
reorder records.

Absent on purpose: the choice of the clock (machine.py), formatting.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import abi_fields as abi
from .machine import Native, Sample, choose_clock

__all__ = ["Clock", "Sample", "choose_clock"]

KEEP_NS = 1_000_000_000
MOST_SAMPLES = 256
BASELINE_NS = 2_000_000
"""Two samples closer than this would say too little about how fast the ticks run before the first one."""
MOST = 1 << 63
FAR = float(1 << 62)
"""Ticks of a hostile program may be anything: what they convert to stays an int64."""

Ticks = npt.NDArray[Any]
Nanoseconds = npt.NDArray[np.int64]


class Clock:
    """Converts ticks of abi.CLOCK_TSC or abi.CLOCK_MONOTONIC. With *native* it is live, else it has *samples* only."""

    def __init__(self, kind: int, native: Native | None = None, samples: Iterable[Sample] = ()) -> None:
        self.kind = kind
        self._native = native
        self._samples: list[Sample] = []
        self._ticks = np.zeros(0, np.uint64)
        self._monotonic = np.zeros(0, np.int64)
        self._slopes = np.zeros(0)
        self._kept = 0
        for sample in samples:
            self._add(sample)
        if native is not None:
            self.sample()

    @property
    def samples(self) -> list[Sample]:
        """The samples in use, the oldest first: what a wc file records."""
        return list(self._samples)

    def sample(self) -> Sample:
        """Take a sample now. Live clocks only."""
        if self._native is None:
            raise RuntimeError("a recorded clock has no now")
        sample = self._native.sample(self.kind)
        self._add(sample)
        return sample

    def keep(self, now: int) -> Sample | None:
        """Take a sample if a second has passed since the last one taken here; *now* is CLOCK_MONOTONIC ns."""
        if now - self._kept < KEEP_NS:
            return None
        self._kept = now
        return self.sample()

    def to_epoch_ns(self, ticks: Ticks) -> Nanoseconds:
        """Return *ticks* (u64) as ns since the epoch."""
        if len(ticks) == 0 or not self._samples:
            return np.zeros(len(ticks), np.int64)
        offset = self._samples[0].realtime - self._samples[0].monotonic
        if self.kind == abi.CLOCK_MONOTONIC:
            return ticks.astype(np.int64) + offset
        return self._to_monotonic(ticks.astype(np.uint64, copy=False)) + offset

    def to_ns(self, durations: Ticks) -> Nanoseconds:
        """Return *durations* (u64 ticks) in ns, -1 where there is none (NO_DURATION)."""
        if self.kind == abi.CLOCK_MONOTONIC:
            return durations.astype(np.int64)
        self._settle()
        scaled = np.rint(durations * self._mean_slope())
        return np.where(durations == abi.NO_DURATION, -1, np.minimum(scaled, FAR).astype(np.int64))

    def _to_monotonic(self, ticks: npt.NDArray[np.uint64]) -> Nanoseconds:
        self._settle()
        if self._native is not None and ticks.max() > self._ticks[-1]:
            self.sample()
        last = max(len(self._samples) - 2, 0)
        if ticks.min() >= self._ticks[last]:
            index: Any = last
        else:
            index = np.clip(np.searchsorted(self._ticks, ticks, side="right") - 1, 0, last)
        since = (ticks - self._ticks[index]).view(np.int64)
        distance = np.rint(np.clip(since * self._slopes[index], -FAR, FAR)).astype(np.int64)
        return np.asarray(self._monotonic[index] + distance, np.int64)

    def _settle(self) -> None:
        """A live clock needs a second sample before it converts anything, and some distance to the first."""
        if self._native is None or len(self._samples) > 1:
            return
        missing = self._samples[0].monotonic + BASELINE_NS - time.monotonic_ns()
        if missing > 0:
            time.sleep(missing / 1e9)
        self.sample()

    def _mean_slope(self) -> float:
        if len(self._samples) < 2:
            return 1.0
        first, last = self._samples[0], self._samples[-1]
        return (last.monotonic - first.monotonic) / (last.ticks - first.ticks)

    def _add(self, sample: Sample) -> None:
        """A sample that does not lie behind the last one says nothing (a recorded file may be damaged)."""
        last = self._samples[-1] if self._samples else Sample(-1, -1, -1)
        if sample.ticks <= last.ticks or sample.monotonic < last.monotonic:
            return
        if min(sample) < 0 or max(sample) >= MOST:
            return
        self._samples.append(sample)
        if self._native is not None and len(self._samples) > MOST_SAMPLES:
            half = MOST_SAMPLES // 2
            self._samples = self._samples[:half:2] + self._samples[half:]
        self._ticks = np.array([sample.ticks for sample in self._samples], np.uint64)
        self._monotonic = np.array([sample.monotonic for sample in self._samples], np.int64)
        steps = np.diff(self._ticks.view(np.int64)).astype(float)
        self._slopes = np.diff(self._monotonic) / steps if len(steps) else np.ones(1)
