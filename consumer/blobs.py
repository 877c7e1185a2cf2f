"""Blobs: the bytes that records keep behind pointers, gathered for many records at once.

A blob is described by struct wci_blob in a record's fixed part; its bytes stand in the payloads of continuation cells.
The payloads of one chunk laid end to end make one long string of bytes, in which every blob is contiguous: each cell
carries 56 bytes of it. Rules: what a record says about lengths and cells is checked here, once, against the cells that
the record has; what does not fit is cut and reported as bad, and nothing behind this module checks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import abi
from .columns import NULL, POINTER, VALUE, Array


class Payload:
    """The bytes of a chunk's cells without their headers."""

    def __init__(self, cells: Array) -> None:
        """*cells*: (n, 64) uint8."""
        self._cells = cells

    def part(self, first: int, count: int) -> Payload:
        """Return a copy of *count* cells."""
        return Payload(self._cells[first : first + count].copy())

    @cached_property
    def flat(self) -> Array:
        """(n * 56,) uint8."""
        return self._cells[:, abi.CELL_SIZE - abi.CONT_PAYLOAD :].reshape(-1)

    @cached_property
    def latin1(self) -> str:
        """The same as a str, one character a byte: slices of it are the strings."""
        return self.flat.tobytes().decode("latin-1")


@dataclass(slots=True)
class Blobs:
    """One parameter's blobs, a row per record. start is an index into Payload.flat."""

    payload: Payload
    start: Array
    length: Array
    state: Array
    truncated: Array
    bad: int
    """Rows whose description did not fit their record."""

    def rows(self, mask: Array) -> Blobs:
        """Return the blobs of the rows in *mask*."""
        picked = (self.start[mask], self.length[mask], self.state[mask], self.truncated[mask])
        return Blobs(self.payload, *picked, bad=0)

    def texts(self) -> list[str]:
        """Return each row's bytes as latin-1."""
        text = self.payload.latin1
        return [text[a:b] for a, b in zip(self.start.tolist(), (self.start + self.length).tolist(), strict=True)]

    def fixed(self, size: int) -> Array:
        """Return the first *size* bytes of each row, (rows, size) uint8, zeros behind those that are shorter."""
        index = np.arange(size)
        if (self.length >= size).all():
            return self.payload.flat[self.start[:, None] + index]
        there = index < self.length[:, None]
        return np.where(there, self.payload.flat[np.where(there, self.start[:, None] + index, 0)], 0).astype(np.uint8)

    def gathered(self, size: int) -> tuple[Array, Array]:
        """Return whole elements of *size* bytes: (elements, size) uint8 of all rows, and each row's element count."""
        counts = self.length // size
        lengths = counts * size
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        index = np.arange(total) + np.repeat(self.start - (ends - lengths), lengths)
        return self.payload.flat[index].reshape(-1, size), counts


def read(payload: Payload, blob: Array, first: Array, cells: Array, pointer: Array | None) -> Blobs:
    """Return the blobs that *blob* (rows of struct wci_blob) describes.

    first and cells: (rows,) the records' first cells in the chunk and their number of cells; pointer: the pointers'
    numbers, or None when the blob stands for itself.
    """
    flags, length = blob["flags"], blob["length"].astype(np.int64)
    cell = blob["cell"].astype(np.int64)
    room = np.where(cell > 0, (cells - cell) * abi.CONT_PAYLOAD, 0).clip(0)
    bad = length > room
    state = np.where(flags & abi.BLOB_KEPT, VALUE, POINTER)
    state[(flags & abi.BLOB_UNREADABLE) != 0] = POINTER
    state[(flags & abi.BLOB_NULL) != 0] = NULL
    if pointer is not None:
        state[pointer == 0] = NULL
    length = np.minimum(length, room)
    start = np.where(length > 0, (first + cell) * abi.CONT_PAYLOAD, 0)
    truncated = ((flags & abi.BLOB_TRUNCATED) != 0) | bad
    return Blobs(payload, start, length, state, truncated & (state == VALUE), int(bad.sum()))
