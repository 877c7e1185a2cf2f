"""A chunk: consecutive records of one thread, in private memory. What the drain and a wc file hand to the decoder.

Rules: whole committed records only, no FILLER, no torn cells; exactly one (pid, tid); a PROCESS or THREAD record is
the first record of the chunk that it begins; every later cell of a record has kind CONTINUATION, and nothing else has
(so that ``firsts`` is exact). Symbols and arguments are the program's and may be anything: the decoder checks them.

Absent on purpose: time and names, which need the clock and the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import abi


@dataclass(slots=True)
class Chunk:
    pid: int
    tid: int
    segment: int
    """Ordinal of the segment in the session, from 0, as Drain.segments and META of a wc file list them."""
    ring: int
    """Index of the ring in its segment: the order of chunks of one (segment, ring) is the order of the calls."""
    position: int
    """Of the first cell: lap << 32 | index."""
    cells: abi.Cells
    """Shape (n,) of abi.CELL; a private copy, contiguous."""

    @property
    def firsts(self) -> npt.NDArray[np.intp]:
        """Index of each record's first cell."""
        kinds = self.cells["kind"]
        return np.flatnonzero(kinds != abi.CONTINUATION)


def whole_records(kinds: npt.NDArray[np.uint8], counts: npt.NDArray[np.uint8]) -> int:
    """Return how many cells from the start are whole records that follow each other, by the *kinds* and *counts* of
    their headers.

    A record is a first cell (a kind of its own, count 1..255) and count - 1 CONTINUATION cells behind it.
    """
    first = FIRST_KINDS[kinds]
    if first.all() and (counts == 1).all():
        return len(kinds)
    strange = np.flatnonzero(~first & (kinds != abi.CONTINUATION))
    end = int(strange[0]) if len(strange) else len(kinds)
    starts = np.flatnonzero(first[:end])
    if len(starts) == 0 or starts[0] != 0:
        return 0
    lengths = np.diff(starts, append=end)
    wrong = np.flatnonzero(lengths != counts[starts])
    return int(starts[wrong[0]]) if len(wrong) else end


def headers_of(cells: abi.Cells) -> npt.NDArray[np.uint64]:
    """Return the 8 bytes of each cell's header, gathered: stamp, symbol, kind, count from the low end up."""
    return np.ascontiguousarray(cells.view(np.uint64)[:: abi.CELL_SIZE // 8])


def stamps_of(headers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    return headers.view(np.uint32)[::2]


def symbols_of(headers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    return headers.view(np.uint16)[2::4]


def kinds_of(headers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return headers.view(np.uint8)[6::8]


def counts_of(headers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return headers.view(np.uint8)[7::8]


FIRST_KINDS = np.zeros(256, dtype=bool)
FIRST_KINDS[abi.CALL : abi.LOST + 1] = True
"""Which kinds begin a record."""
