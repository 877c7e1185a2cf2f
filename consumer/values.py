"""Python values and events: what the API hands out, and what jsonl says, as objects.

Used by api.py. Rules: the same names, values and nulls as jsonl, except that numbers that JSON lacks stay floats.

Absent on purpose: speed. For millions of calls take Batch.array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import abi, columns
from .columns import Column
from .decode import Batch
from .errnos import errno_name

REASONS = {abi.PROCESS_EXEC: "exec", abi.PROCESS_FORK: "fork", abi.PROCESS_VFORK: "vfork"}
EVENT_NAMES = {abi.PROCESS: "process", abi.THREAD: "thread", abi.LOST: "loss", abi.CONTROL_SEEN: "control"}


@dataclass(slots=True)
class Event:
    """One call. time: ns since the epoch at entry; duration: ns, None when not measured or never returned."""

    time: int
    duration: int | None
    pid: int
    tid: int
    func: str
    symbol: str
    kind: str
    args: dict[str, Any]
    ret: Any
    """The number returned; None for void and for calls that never returned."""
    errno: str | None
    """Name of the error when the call failed by its own rule."""
    truncated: list[str] = field(default_factory=list)
    """Names of arguments of which there was more."""
    unfinished: bool = False
    """The program ended inside the call."""
    caller: int | None = None
    """Return address, when the target asked for it."""
    injected: bool = False
    """The config's inject gave the result: the call was not made."""
    delayed: bool = False
    """The config's inject delayed the call."""


def events(batch: Batch) -> Iterator[Event]:
    """Yield the calls of *batch* as Event objects; nothing for batches that are not calls, or first halves of calls."""
    if not batch.is_call or batch.part == "entered":
        return
    names = [name for name, _ in batch.columns]
    args = [values(column) for _, column in batch.columns]
    rets, errors = _returns(batch)
    cut = truncated(batch)
    callers = batch.rows.data["caller"].tolist() if "caller" in batch.layout.names else None
    marks = batch.marks.tolist() if batch.marks is not None else [0] * len(batch)
    times, durations = batch.time.tolist(), batch.duration.tolist()
    for i in range(len(batch)):
        yield Event(
            times[i], durations[i] if durations[i] >= 0 else None, batch.pid, batch.tid, batch.target.name,
            batch.symbol.name, batch.target.kind, {name: arg[i] for name, arg in zip(names, args, strict=True)},
            rets[i], errors[i], cut[i] if cut else [], batch.unfinished, callers[i] if callers else None,
            bool(marks[i] & abi.INJECTED), bool(marks[i] & abi.DELAYED),
        )  # fmt: skip


def _returns(batch: Batch) -> tuple[list[Any], list[str | None]]:
    rows = len(batch)
    if not batch.returned:
        return [None] * rows, [None] * rows
    result = batch.result
    rets = [None] * rows
    if result.value is not None:
        rets = result.value.tolist()
    elif result.wide is not None:
        rets = values(result.wide)
    return rets, [errno_name(error) if error else None for error in result.error.tolist()]


def truncated(batch: Batch) -> list[list[str]] | None:
    """Return per call the names of the arguments that were cut; None when none was."""
    cut = [(name, c.truncated) for name, c in batch.columns if isinstance(c, columns.Pointed) and c.truncated.any()]
    if not cut:
        return None
    lists: list[list[str]] = [[] for _ in range(len(batch))]
    for name, mask in cut:
        for row in np.flatnonzero(mask).tolist():
            lists[row].append(name)
    return lists


def values(column: Column) -> list[Any]:
    """Return a column's rows as Python values: int, float, complex, str, bytes (raw), dict, list or None."""
    match column:
        case columns.Scalar():
            return [int(v) for v in column.data.tolist()] if column.type == "bool" else column.data.tolist()
        case columns.Text():
            return [as_str(item) for item in column.items]
        case columns.Pointed():
            return _pointed(column)
        case columns.Members():
            names = [name for name, _ in column.members]
            rows = zip(*(values(member) for _, member in column.members), strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows] if names else [{} for _ in range(column.rows)]
        case columns.Lists():
            items, ends = values(column.items), column.ends
            return [items[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
        case columns.Texts():
            return [[as_str(item) for item in row] for row in column.items]
        case columns.Varargs():
            return [[as_str(v) if isinstance(v, str) else v for _, v in row] for row in column.items]
        case columns.Raw():
            return [item.hex() for item in column.items]
    return [None] * column.rows


def _pointed(column: columns.Pointed) -> list[Any]:
    found = values(column.value)
    if not column.state.any():
        return found
    rows: list[Any] = column.pointer.tolist()
    for row, value in zip(np.flatnonzero(column.state == columns.VALUE).tolist(), found, strict=True):
        rows[row] = value
    for row in np.flatnonzero(column.state == columns.NULL).tolist():
        rows[row] = None
    return rows


def as_str(latin1: str) -> str:
    """Return bytes given as latin-1 as the str that they are in UTF-8, other bytes as surrogateescape does."""
    return latin1 if latin1.isascii() else latin1.encode("latin-1").decode("utf-8", "surrogateescape")
