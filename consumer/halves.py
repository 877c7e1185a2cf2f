"""Calls in two lines: ``read(3, <unfinished ...>`` and ``<... read resumed>"x", 5) = 1``.

Used by text.py for record "both". An entered call is held back until the next line: if that is its own return, both
become one line. Rules: at most one line is held back, the last one; what was printed of a call is remembered, so that
its two halves add up to the whole call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .decode import Part

MOST_REMEMBERED = 65_536
Key = tuple[int, int, int]
"""Thread, symbol and entry clock: one call."""


class Line(NamedTuple):
    part: Part
    tid: int
    key: Key
    time: int
    whole: str
    half: str


class Halves:
    """Remembers what has been shown of calls that are still to return."""

    def __init__(self) -> None:
        self._held: Line | None = None
        self._shown: dict[Key, int] = {}

    @property
    def waiting(self) -> bool:
        """Whether a line is held back."""
        return self._held is not None

    def remember(self, keys: Sequence[Key], arguments: int) -> None:
        """*arguments* of these calls stand in their first half."""
        if len(self._shown) > MOST_REMEMBERED:
            self._shown.clear()
        self._shown.update(dict.fromkeys(keys, arguments))

    def recall(self, keys: Sequence[Key]) -> list[int]:
        """Return how many arguments the first halves of these calls have shown."""
        return [self._shown.pop(key, 0) for key in keys]

    def flush(self) -> list[Line]:
        """Return the line held back, which is none any longer."""
        held, self._held = self._held, None
        return [held] if held is not None else []

    def join(self, lines: Sequence[Line]) -> list[tuple[int, int, str]]:
        """Return (tid, time, text) of what is to be printed of *lines*, which are in order."""
        written: list[tuple[int, int, str]] = []
        for line in lines:
            held, self._held = self._held, None
            if held is not None and line.part == "resumed" and held.key == line.key:
                written.append((line.tid, line.time, line.whole))
                continue
            if held is not None:
                written.append((held.tid, held.time, held.half))
            if line.part == "entered":
                self._held = line
            else:
                written.append((line.tid, line.time, line.half))
        return written
