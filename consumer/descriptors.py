"""Which path a descriptor stands for, as far as the records tell (-y, -P).

Used by text.py and filters.py, which show each chunk's batches to ``follow`` before they ask. Opened by a call that
takes a path and returns a descriptor; copied by dup and fcntl; inherited over fork; gone by close. Rules: a wrong path
is worse than none: what a descriptor was before a call that we do not understand is forgotten.

Absent on purpose: /proc (the program has moved on, or is gone), and paths relative to a directory never seen opened.
"""

from __future__ import annotations

import fcntl
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from . import abi, columns
from .columns import Array
from .decode import Batch
from .words import escaped

Change = tuple[int, int, str | None]
"""(record ordinal, descriptor, its path from then on)."""
_COPIES = frozenset({"dup", "dup2", "dup3"})
_FCNTL_COPIES = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
MOST_PROCESSES = 4096


class Descriptors:
    """The descriptor tables of all processes, as of the chunk followed last."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, str | None]] = {}
        self._table: dict[int, str | None] = {}
        self._history: dict[int, tuple[list[int], list[str | None]]] = {}

    def follow(self, batches: Sequence[Batch]) -> None:
        """Take in what one chunk's *batches* do to descriptors."""
        self._history = {}
        if not batches:
            return
        self._table = self._table_of(batches)
        steps: list[tuple[int, Batch, int]] = []
        for batch in batches:
            if batch.returned and _changes_descriptors(batch):
                steps += [(index, batch, row) for row, index in enumerate(batch.index.tolist())]
        for index, batch, row in sorted(steps, key=lambda step: step[0]):
            self._step(index, batch, row)

    def _table_of(self, batches: Sequence[Batch]) -> dict[int, str | None]:
        pid = batches[0].pid
        for batch in batches:
            if batch.kind == abi.PROCESS:
                data = dict(batch.columns)
                parent, reason = data["parent"], data["reason"]
                if isinstance(parent, columns.Scalar) and isinstance(reason, columns.Scalar):
                    forked = int(reason.data[0]) == abi.PROCESS_FORK
                    self._tables[pid] = dict(self._tables.get(int(parent.data[0]) if forked else pid, {}))
        if pid not in self._tables and len(self._tables) >= MOST_PROCESSES:
            self._tables.pop(next(iter(self._tables)))
        return self._tables.setdefault(pid, {})

    def _step(self, index: int, batch: Batch, row: int) -> None:
        result = batch.result
        if result.value is None or result.failed[row]:
            return
        value, name = int(result.value[row]), batch.symbol.name
        if batch.symbol.name == "close":
            self._set(index, _number(batch, 0, row), None)
        elif name in _COPIES or (name.startswith("fcntl") and _number(batch, 1, row) in _FCNTL_COPIES):
            self._set(index, value, self._table.get(_number(batch, 0, row)))
        elif batch.symbol.result.role == "fd" and not name.startswith("fcntl"):
            self._set(index, value, self._opened(batch, row))

    def _opened(self, batch: Batch, row: int) -> str | None:
        """Return the path given to a call that returned a descriptor."""
        for _, column in batch.columns:
            if isinstance(column, columns.Pointed) and isinstance(column.value, columns.Text):
                if column.state[row] != columns.VALUE:
                    return None
                path = column.value.items[int(np.count_nonzero(column.state[:row] == columns.VALUE))]
                return self._absolute(batch, row, path)
        return None

    def _absolute(self, batch: Batch, row: int, path: str) -> str:
        first = batch.layout.parameters[0].field
        folder = self._table.get(_number(batch, 0, row)) if first.role == "dirfd" else None
        return f"{folder.rstrip('/')}/{path}" if folder and not path.startswith("/") else path

    def _set(self, index: int, fd: int, path: str | None) -> None:
        if fd not in self._history:
            self._history[fd] = ([], [self._table.get(fd)])
        indices, paths = self._history[fd]
        indices.append(index)
        paths.append(path)
        if path is None:
            self._table.pop(fd, None)
        else:
            self._table[fd] = path

    def path(self, fd: int, index: int, after: bool = False) -> str | None:
        """Return the path of *fd* when record *index* was called, or *after* it had returned, as latin-1."""
        history = self._history.get(fd)
        if history is None:
            return self._table.get(fd)
        indices, paths = history
        return paths[(bisect_right if after else bisect_left)(indices, index)]

    def cells(self, batch: Batch, fds: Array, shown: Sequence[int | str], after: bool = False) -> list[int | str]:
        """Return *shown* with the paths that are known behind the descriptors: ``3</etc/passwd>``."""
        cells = list(shown)
        if not self._table and not self._history:
            return cells
        for row, (fd, index) in enumerate(zip(fds.tolist(), batch.index.tolist(), strict=True)):
            path = self.path(fd, index, after) if fd >= 0 else None
            if path is not None:
                cells[row] = f"{cells[row]}<{escaped(path)}>"
        return cells


def _changes_descriptors(batch: Batch) -> bool:
    name = batch.symbol.name
    return batch.symbol.result.role == "fd" or name == "close" or name in _COPIES or name.startswith("fcntl")


def _number(batch: Batch, parameter: int, row: int) -> int:
    parameters = batch.layout.parameters
    if parameter >= len(parameters) or not parameters[parameter].scalar:
        return -1
    return int(batch.rows.data[parameters[parameter].scalar][row])


