"""Which path a descriptor stands for, as far as the records tell (-y, -P).

Used by text.py and filters.py, which show each chunk's batches to ``follow`` before they ask. Opened by a call that
takes a path and returns a descriptor; copied by dup and fcntl; inherited over fork; gone by close. Rules: a wrong path
is worse than none: what a descriptor was before a call that we do not understand is forgotten.

Absent on purpose: /proc (the program has moved on, or is gone), paths relative to a directory never seen opened, and
symbolic links (".." is what stands before it in the path).
"""

from __future__ import annotations

import fcntl
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import itemgetter
from posixpath import normpath

import numpy as np

from . import abi, columns
from .columns import Array
from .decode import Batch
from .words import escaped

Step = tuple[int, int, str | None, int]
"""(record ordinal, descriptor, path, descriptor that the path is relative to, or without a path is copied from; -1)."""
_BIRTH = -2
"""As the descriptor that a step copies from: the step's descriptor is the pid of a child that was born."""
_CREATORS = frozenset({"fork", "_Fork", "vfork", "clone", "clone3"})
_COPIES = frozenset({"dup", "dup2", "dup3"})
_FCNTL_COPIES = (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
_CLONE_THREAD = np.uint64(0x10000)
_CLOEXEC = 4
"""CLOSE_RANGE_CLOEXEC: the descriptors stay until the next exec."""
MOST_CLOSED = 1023
"""Descriptors above it are taken for closed only when they are opened again: close_range is often called for all."""
MOST_PROCESSES = 4096


class Descriptors:
    """The descriptor tables of all processes, as of the chunk followed last."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, str | None]] = {}
        self._table: dict[int, str | None] = {}
        self._born: set[int] = set()
        """Children that their parents have told of, and that have said nothing yet."""
        self._orphans: set[int] = set()
        """Children that have spoken first."""
        self._history: dict[int, tuple[list[int], list[str | None]]] = {}

    def inherit(self, pid: int, paths: Mapping[int, str]) -> None:
        """Take *paths* (latin-1) as those of the descriptors that the process *pid* begins with."""
        self._tables[pid] = dict(paths)

    def follow(self, batches: Sequence[Batch]) -> None:
        """Take in what one chunk's *batches* do to descriptors."""
        self._history = {}
        if not batches:
            return
        self._table = self._table_of(batches)
        steps: list[Step] = []
        for batch in batches:
            if batch.returned and batch.result.value is not None:
                steps += _steps(batch)
                steps += _births(batch)
        for step in sorted(steps, key=itemgetter(0)):
            self._take(*step)

    def _table_of(self, batches: Sequence[Batch]) -> dict[int, str | None]:
        pid = batches[0].pid
        for batch in batches:
            if batch.kind == abi.PROCESS:
                data = dict(batch.columns)
                parent, reason = data["parent"], data["reason"]
                if isinstance(parent, columns.Scalar) and isinstance(reason, columns.Scalar):
                    self._begin(pid, int(parent.data[0]), int(reason.data[0]))
        if pid not in self._tables and len(self._tables) >= MOST_PROCESSES:
            self._tables.pop(next(iter(self._tables)))
        return self._tables.setdefault(pid, {})

    def _begin(self, pid: int, parent: int, reason: int) -> None:
        if pid in self._born:
            self._born.discard(pid)
        elif reason != abi.PROCESS_EXEC or pid not in self._tables:
            self._orphans.add(pid)
            self._tables[pid] = dict(self._tables.get(parent, {}))

    def _bear(self, pid: int) -> None:
        """A child begins with what its parent has now; what its parent does later, before we hear of it, is not its."""
        if pid in self._orphans:
            self._orphans.discard(pid)  # it was heard of before, and has gone on since
        else:
            self._born.add(pid)
            self._tables[pid] = dict(self._table)

    def _take(self, index: int, fd: int, path: str | None, source: int) -> None:
        if source == _BIRTH:
            self._bear(fd)
            return
        if path is None:
            path = self._table.get(source)
        elif source >= 0 and not path.startswith("/"):
            path = _joined(self._table.get(source), path)
        self._set(index, fd, path)

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


def _joined(folder: str | None, path: str) -> str | None:
    """Return *path* below *folder*; None below one that nobody knows. Walks up and down again are taken out by name."""
    if folder is None:
        return None
    joined = f"{folder.rstrip('/')}/{path}"
    return normpath(joined) if path.startswith(("..", "./")) or "/.." in path else joined


def _steps(batch: Batch) -> list[Step]:
    """Return what the calls of *batch* that succeeded do to descriptors."""
    name = batch.symbol.name.lstrip("_")
    if name == "close" or name in _COPIES or name.startswith("fcntl"):
        return _copied(batch, name)
    if name == "close_range":
        return _closed(batch)
    if batch.symbol.result.role != "fd":
        return []
    done = ~batch.result.failed
    paths = _paths(batch)
    folders = [folder if path is not None else -1 for folder, path in zip(_folders(batch), paths, strict=True)]
    rows = zip(batch.index.tolist(), _value(batch).tolist(), paths, folders, strict=True)
    return list(compress(rows, done.tolist()))


def _births(batch: Batch) -> list[Step]:
    """Return the processes that the calls of *batch* have made."""
    if batch.symbol.name not in _CREATORS:
        return []
    threads = _flags_of_clone(batch) & _CLONE_THREAD != 0
    rows = zip(batch.index.tolist(), _value(batch).tolist(), threads.tolist(), strict=True)
    return [(index, pid, None, _BIRTH) for index, pid, thread in rows if pid > 0 and not thread]


def _flags_of_clone(batch: Batch) -> Array:
    """Return the flags of each call; 0 where there are none, or where they were not kept (clone3)."""
    found = np.zeros(len(batch), np.uint64)
    for name, column in batch.columns:
        if name == "flags" and isinstance(column, columns.Scalar):
            found[:] = column.data
        if isinstance(column, columns.Pointed) and isinstance(column.value, columns.Members):
            for member, value in column.value.members:
                if member == "flags" and isinstance(value, columns.Scalar):
                    found[column.state == columns.VALUE] = value.data
    return found


def _copied(batch: Batch, name: str) -> list[Step]:
    """close, dup and fcntl: the first argument is the descriptor that they start from."""
    first, second = _numbers(batch, 0), _numbers(batch, 1)
    if first is None:
        return []
    done = ~batch.result.failed
    if name == "close":
        closed = zip(batch.index[done].tolist(), first[done].tolist(), strict=True)
        return [(index, fd, None, -1) for index, fd in closed]
    if name.startswith("fcntl"):
        done &= np.isin(second, _FCNTL_COPIES) if second is not None else False
    rows = zip(batch.index[done].tolist(), _value(batch)[done].tolist(), first[done].tolist(), strict=True)
    return [(index, fd, None, source) for index, fd, source in rows]


def _closed(batch: Batch) -> list[Step]:
    """close_range, of which descriptors that are kept small are enough: those that have a path."""
    first, last, flags = (_numbers(batch, i) for i in range(3))
    if first is None or last is None or flags is None:
        return []
    done = ~batch.result.failed & (flags & _CLOEXEC == 0)
    ranges = zip(batch.index[done].tolist(), first[done].tolist(), last[done].tolist(), strict=True)
    return [(index, fd, None, -1) for index, a, b in ranges for fd in range(a, min(b % 2**32, MOST_CLOSED) + 1)]


def _value(batch: Batch) -> Array:
    assert batch.result.value is not None
    return batch.result.value


def _numbers(batch: Batch, parameter: int) -> Array | None:
    parameters = batch.layout.parameters
    if parameter >= len(parameters) or not parameters[parameter].scalar:
        return None
    return np.asarray(batch.rows.data[parameters[parameter].scalar])


def _paths(batch: Batch) -> list[str | None]:
    """Return the path given to each call that returned a descriptor: bpf and fsopen take strings that are none."""
    for _, column in batch.columns:
        text = column.value if isinstance(column, columns.Pointed) else None
        if isinstance(column, columns.Pointed) and isinstance(text, columns.Text) and text.role == "path":
            paths: list[str | None] = [None] * len(batch)
            rows = np.flatnonzero(column.state == columns.VALUE).tolist()
            for row, path in zip(rows, text.items, strict=True):
                paths[row] = path
            return paths
    return [None] * len(batch)


def _folders(batch: Batch) -> list[int]:
    """Return what the paths are relative to, -1 for the working directory."""
    folders = _numbers(batch, 0)
    relative = folders is not None and batch.layout.parameters[0].field.role == "dirfd"
    return np.asarray(folders).tolist() if relative else [-1] * len(batch)
