"""Arguments that only some calls have: open's mode, fcntl's third argument.

Used by text.py. A wrapper records these words in every call; what they hold means something only when an earlier
argument says so. Rules: in doubt an argument is shown.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass

import numpy as np

from . import columns
from .decode import Batch
from .textcells import Cells, TextCells

_CREATES = os.O_CREAT
_NAMELESS = getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY
_QUESTIONS = ("F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETLEASE", "F_GETPIPE_SZ", "F_GET_SEALS")
_WITHOUT = np.array([getattr(fcntl, name) for name in _QUESTIONS if hasattr(fcntl, name)])
_FLAGS = frozenset({"flags", "oflag", "oflags"})


@dataclass(slots=True)
class Tail:
    """The arguments from start on, with the commas before them."""

    start: int
    cells: list[Cells]


def tail_of(batch: Batch, cells: TextCells) -> Tail | None:
    """Return the arguments of *batch* that not all of its calls have; None when all calls have all."""
    present = _present(batch)
    if present is None:
        return None
    start, given = present
    if given.all():
        return None
    tail = Tail(start, [])
    for _, column in batch.columns[start:]:
        words = zip(given.tolist(), cells.cells(column), strict=True)
        tail.cells.append([f", {word}" if shown else "" for shown, word in words])
    return tail


def _present(batch: Batch) -> tuple[int, columns.Array] | None:
    """Return (first argument concerned, mask of the calls that have it)."""
    wrapper, fields = batch.symbol.wrapper, batch.layout.parameters
    if wrapper == "mode-if-flag":
        at = next((i for i, p in enumerate(fields) if p.name in _FLAGS and p.scalar), None)
        if at is not None:
            flags = batch.rows.data[fields[at].scalar].astype(np.int64)
            return at + 1, (flags & _CREATES != 0) | ((flags & _NAMELESS != 0) if _NAMELESS else False)
    called = batch.symbol.name.lstrip("_")
    if wrapper == "optional-word" and called.startswith("fcntl") and len(fields) > 2 and fields[1].scalar:
        return 2, ~np.isin(batch.rows.data[fields[1].scalar], _WITHOUT)
    return None
