"""Which calls are shown: wc-run's -z and -Z, wc-report's --pid, --function, --since and --until.

Called between calls.py and the renderers. Rules: a filter takes whole batches or masks them, never looks at single
calls; what is not a call passes; a call that has not come back neither succeeded nor failed; accounting knows no
filter.

Absent on purpose: -P, which needs what each descriptor stands for (pathfilter.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from .columns import Array
from .decode import Batch


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show. Times are ns since the epoch, of the entry; functions are names or globs."""

    successful: bool = False
    failed: bool = False
    pids: Collection[int] = ()
    functions: Sequence[str] = ()
    since: int | None = None
    until: int | None = None

    def __bool__(self) -> bool:
        """Whether anything is left out at all."""
        by_outcome = self.successful or self.failed
        return bool(by_outcome or self.pids or self.functions or self.since is not None or self.until is not None)

    def apply(self, batches: list[Batch]) -> list[Batch]:
        """Return what *batches* of one chunk have to show."""
        if not self or not batches or (self.pids and batches[0].pid not in self.pids):
            return batches if not self or not batches else []
        return [kept for batch in batches for kept in self._kept(batch)]

    def _kept(self, batch: Batch) -> list[Batch]:
        if batch.is_call and not self._named(batch):
            return []
        mask = self._mask(batch)
        if mask is None or mask.all():
            return [self._whole(batch)]
        return [self._whole(batch.take(mask))] if mask.any() else []

    def _named(self, batch: Batch) -> bool:
        names = {batch.target.name, batch.symbol.name}
        return not self.functions or any(fnmatchcase(name, glob) for glob in self.functions for name in names)

    def _mask(self, batch: Batch) -> Array | None:
        """Return which records to keep, None for all."""
        masks: list[Array] = []
        if self.since is not None:
            masks.append(batch.time >= self.since)
        if self.until is not None:
            masks.append(batch.time < self.until)
        if batch.is_call and (self.successful or self.failed):
            masks.append(_outcome(batch, self.failed))
        return np.logical_and.reduce(masks) if masks else None

    def _whole(self, batch: Batch) -> Batch:
        """By outcome, the first half of a call was not shown: its second half is the whole."""
        return replace(batch, part="whole") if batch.part == "resumed" and (self.successful or self.failed) else batch


def _outcome(batch: Batch, failed: bool) -> Array:
    if not batch.returned:
        return np.zeros(len(batch), bool)
    return batch.result.failed if failed else ~batch.result.failed
