"""Which calls touch a path: -P. By name, or through a descriptor that stands for it.

Used by the owner of a renderer, before the other filters: ``descriptors.follow(batches)`` with everything that one
chunk holds, then ``PathFilter(paths, descriptors).apply(batches)``; ``TextLines(paths=descriptors)`` shares them, so
that an open that is not shown still names its descriptor. Rules: a path matches as it was given or as it resolves;
what is not a call passes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from . import columns
from .columns import Array
from .decode import Batch
from .descriptors import Descriptors


class PathFilter:
    """Keeps the calls that name one of *paths*."""

    def __init__(self, paths: Iterable[str | bytes], descriptors: Descriptors) -> None:
        given = [os.fsencode(path) for path in paths]
        wanted = {*given, *(os.path.realpath(path) for path in given)}
        self._paths = frozenset(path.decode("latin-1") for path in wanted)
        self._descriptors = descriptors

    def apply(self, batches: Sequence[Batch]) -> list[Batch]:
        """Return what *batches* of one chunk have to do with the paths."""
        kept = []
        for batch in batches:
            mask = self._mask(batch) if batch.is_call else None
            if mask is None or mask.all():
                kept.append(batch)
            elif mask.any():
                kept.append(batch.take(mask))
        return kept

    def _mask(self, batch: Batch) -> Array:
        mask = np.zeros(len(batch), bool)
        for parameter, (_, column) in zip(batch.layout.parameters, batch.columns, strict=True):
            if isinstance(column, columns.Pointed) and isinstance(column.value, columns.Text):
                rows = np.flatnonzero(column.state == columns.VALUE)
                mask[rows] |= np.fromiter((item in self._paths for item in column.value.items), bool, len(rows))
            elif isinstance(column, columns.Scalar) and parameter.field.role in ("fd", "dirfd"):
                mask |= self._through(batch, column.data)
        return mask

    def _through(self, batch: Batch, fds: Array) -> Array:
        calls = zip(fds.tolist(), batch.index.tolist(), strict=True)
        found = (fd >= 0 and self._descriptors.path(fd, index) in self._paths for fd, index in calls)
        return np.fromiter(found, bool, len(fds))
