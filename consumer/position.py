"""Positions in a ring: lap << 32 | index.

Used by ring.py and the tests' writer. Rules: a cell's stamp is its lap plus one; stamp 0 is never valid, so the lap
whose stamp it would be is skipped: there are 2**32 - 1 laps, and differences are taken modulo that; index == capacity
means that the lap is full.
"""

from __future__ import annotations

LAP = 1 << 32
INDEX = LAP - 1
LAPS = LAP - 1
"""How many laps, and stamps, there are before they begin again."""


def make(lap: int, index: int) -> int:
    return lap << 32 | index


def stamp_of(position: int) -> int:
    """Return the stamp of a committed cell at *position*."""
    return ((position >> 32) + 1) & INDEX


def next_lap(position: int) -> int:
    """Return the position of the first cell of the next lap."""
    return ((position >> 32) + 1) % LAPS << 32


def previous_lap(position: int) -> int:
    """Return the position of the same index one lap earlier."""
    return make(((position >> 32) - 1) % LAPS, position & INDEX)


def difference(a: int, b: int) -> int:
    """Return how far *a* lies behind *b*, laps << 32 plus cells; negative when it lies before."""
    return (stamp_difference(a >> 32, b >> 32) << 32) + (a & INDEX) - (b & INDEX)


def stamp_difference(a: int, b: int) -> int:
    """Return a - b, positive when *a* is the newer stamp (or lap)."""
    distance = (a - b) % LAPS
    return distance - LAPS if distance > LAPS // 2 else distance
