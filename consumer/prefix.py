"""What stands before a text line: the thread and the time, by strace's options -t, -tt, -ttt and -r.

Used by text.py. Times are local as in strace, but for -ttt, which counts seconds since the epoch.
"""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from .columns import Array
from .words import Words

Stamp = Literal["", "t", "tt", "ttt", "r"]


class Stamps:
    """Makes time prefixes of lines in the order in which they are printed."""

    def __init__(self, kind: Stamp) -> None:
        self.kind = kind
        self._last: int | None = None
        self._clock = Words(lambda second: time.strftime("%H:%M:%S", time.localtime(second)))

    def of(self, times: Array) -> list[str]:
        """Return the prefix of each line; *times*: ns since the epoch."""
        if self.kind == "r":
            return self._relative(times)
        seconds, micros = times // 1_000_000_000, times % 1_000_000_000 // 1000
        if self.kind == "t":
            return [f"{word} " for word in map(self._clock.__getitem__, seconds.tolist())]
        words = map(self._clock.__getitem__, seconds.tolist()) if self.kind == "tt" else seconds.tolist()
        return list(map("%s.%06d ".__mod__, zip(words, micros.tolist(), strict=True)))

    def _relative(self, times: Array) -> list[str]:
        """Seconds since the line before; negative never, because a clock may step."""
        if len(times) == 0:
            return []
        passed = np.diff(times, prepend=times[0] if self._last is None else self._last).clip(0) // 1000
        self._last = int(times[-1])
        pairs = zip((passed // 1_000_000).tolist(), (passed % 1_000_000).tolist(), strict=True)
        return list(map("%6d.%06d ".__mod__, pairs))


class Threads:
    """Names the thread before a line as soon as there has been more than one."""

    def __init__(self, always: bool = False) -> None:
        self._seen: set[int] = set()
        self._always = always

    def of(self, tid: int) -> str:
        if len(self._seen) < 2:
            self._seen.add(tid)
        return f"[pid {tid:5d}] " if self._always or len(self._seen) > 1 else ""
