"""jsonl: one JSON object a line, one line a call. The format is a promise (docs): keys, their order, their types.

Called by wc-run and wc-report: ``JsonLines().render(batches)`` gives the bytes of one chunk's lines. Rules: the output
is ASCII and every line is valid JSON, whatever bytes the program passed; lines stand in the ring's order.

How it is fast: per symbol, one template; per chunk, each argument becomes a list of numbers or of finished strings, and
one ``%`` makes a line of them. Nothing looks at single calls but C code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite
from typing import Any

import numpy as np

from . import abi, columns
from .columns import Column
from .decode import Batch
from .errnos import errno_name
from .order import in_order
from .values import EVENT_NAMES, REASONS, as_str, truncated, values

Cells = Sequence[int | str]
"""One argument of all calls of a batch: numbers, or JSON text."""


class JsonLines:
    """Renders batches. events: lines for what is not a call as well."""

    def __init__(self, events: bool = False) -> None:
        self.events = events
        self._names: dict[int, str] = {}

    def render(self, batches: Iterable[Batch]) -> bytes:
        """Return the lines of one chunk's *batches*; nothing for the first halves of calls."""
        parts = [(batch.index, self._lines(batch)) for batch in batches if self._wanted(batch)]
        lines = in_order(parts)
        return ("\n".join(lines) + "\n").encode("ascii") if lines else b""

    def finish(self) -> bytes:
        """Return what was held back: nothing, a line is written when its call has ended."""
        return b""

    def event(self, event: str, **keys: Any) -> bytes:
        """Return the line of something that is not in the rings (coverage); nothing unless events are wanted."""
        return (json.dumps({"event": event} | keys, separators=(",", ":")) + "\n").encode() if self.events else b""

    def _wanted(self, batch: Batch) -> bool:
        return batch.part != "entered" if batch.is_call else self.events and batch.kind in EVENT_NAMES

    def _lines(self, batch: Batch) -> list[str]:
        return self._calls(batch) if batch.is_call else _events(batch)

    def _calls(self, batch: Batch) -> list[str]:
        inputs: list[Cells] = [batch.time.tolist(), _durations(batch)]
        args = ",".join(f"{_literal(name)}:%s" for name, _ in batch.columns)
        inputs += [cells(column) for _, column in batch.columns]
        ret, error = _returned(batch, inputs)
        template = (
            f'{{"time":%s,"duration":%s,"pid":{batch.pid},"tid":{batch.tid},{self._called(batch)}'
            f'"args":{{{args}}},"ret":{ret},"errno":{error}{_extras(batch, inputs)}}}'
        )
        return list(map(template.__mod__, zip(*inputs, strict=True)))

    def _called(self, batch: Batch) -> str:
        """Return the keys that say what was called, and who caught it."""
        id, symbol = batch.layout.id, batch.symbol
        if id not in self._names:
            keys = {"func": batch.target.name, "symbol": None if symbol.shared else symbol.name}
            keys |= {"kind": batch.layout.kind, "engine": symbol.engine}
            words = ((key, "null" if value is None else _literal(value)) for key, value in keys.items())
            self._names[id] = "".join(f'"{key}":{value},' for key, value in words)
        return self._names[id]


def _literal(name: str) -> str:
    """Return *name* as JSON inside a ``%`` template."""
    return quoted(name).replace("%", "%%")


def _durations(batch: Batch) -> Cells:
    durations: list[Any] = batch.duration.tolist()
    return durations if (batch.duration >= 0).all() else [value if value >= 0 else "null" for value in durations]


def _returned(batch: Batch, inputs: list[Cells]) -> tuple[str, str]:
    """Add the columns of ret and errno to *inputs*; return what the template says in their places."""
    if not batch.returned:
        return "null", "null"
    result = batch.result
    ret = "%s"
    if result.value is not None:
        inputs.append(numbers(result.value))
    elif result.wide is not None:
        inputs.append(cells(result.wide))
    else:
        ret = "null"
    if not result.error.any():
        return ret, "null"
    inputs.append([f'"{errno_name(error)}"' if error else "null" for error in result.error.tolist()])
    return ret, "%s"


_MARKS = ("", ',"injected":true', ',"delayed":true', ',"injected":true,"delayed":true')
"""By abi.INJECTED and abi.DELAYED."""


def _extras(batch: Batch, inputs: list[Cells]) -> str:
    """The keys that appear only when they apply."""
    extras = ""
    cut = truncated(batch)
    if cut is not None:
        inputs.append([',"truncated":' + json.dumps(names, separators=(",", ":")) if names else "" for names in cut])
        extras += "%s"
    if batch.unfinished:
        extras += ',"unfinished":true'
    if batch.marks is not None:
        inputs.append([_MARKS[mark & 3] for mark in batch.marks.tolist()])
        extras += "%s"
    if "caller" in batch.layout.names:
        inputs.append(batch.rows.data["caller"].tolist())
        extras += ',"caller":%s'
    return extras


def _events(batch: Batch) -> list[str]:
    """Lines of PROCESS, THREAD, LOST and CONTROL_SEEN records."""
    names = [name for name, _ in batch.columns]
    rows = zip(*(values(column) for _, column in batch.columns), strict=True)
    lines = []
    for time, row in zip(batch.time.tolist(), rows, strict=True):
        keys = {"event": EVENT_NAMES[batch.kind], "time": time, "pid": batch.pid, "tid": batch.tid}
        if batch.kind == abi.CONTROL_SEEN:
            keys["func"] = batch.target.name
        keys |= dict(zip(names, row, strict=True))
        if "reason" in keys:
            keys["reason"] = REASONS.get(keys["reason"])
        lines.append(json.dumps(keys, separators=(",", ":")))
    return lines


def cells(column: Column) -> Cells:
    """Return a column's rows as numbers or JSON text."""
    return _RENDERERS[type(column)](column)


def numbers(data: columns.Array) -> Cells:
    """Return numbers; floats as JSON text, since JSON has no NaN, and complex numbers as [real, imaginary]."""
    if data.dtype.kind == "f":
        return list(map(_number, data.tolist()))
    if data.dtype.kind == "c":
        return [f"[{_number(v.real)},{_number(v.imag)}]" for v in data.tolist()]
    return data.astype(np.uint8).tolist() if data.dtype.kind == "b" else data.tolist()  # type: ignore[no-any-return]


def _number(value: float) -> str:
    if isfinite(value):
        return repr(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'


def _text(column: columns.Text) -> Cells:
    if all(map(str.isascii, column.items)):
        return list(map(quoted, column.items))
    return [quoted(as_str(item)) for item in column.items]


def _pointed(column: columns.Pointed) -> Cells:
    found = cells(column.value)
    if not column.state.any():
        return found
    rows: list[int | str] = column.pointer.tolist()
    for row, cell in zip(np.flatnonzero(column.state == columns.VALUE).tolist(), found, strict=True):
        rows[row] = cell
    for row in np.flatnonzero(column.state == columns.NULL).tolist():
        rows[row] = "null"
    return rows


def _members(column: columns.Members) -> Cells:
    if not column.members:
        return ["{}"] * column.rows
    template = "{" + ",".join(f"{_literal(name)}:%s" for name, _ in column.members) + "}"
    return list(map(template.__mod__, zip(*(cells(member) for _, member in column.members), strict=True)))


def _lists(column: columns.Lists) -> Cells:
    items = [str(item) for item in cells(column.items)]
    ends = column.ends
    return ["[" + ",".join(items[a:b]) + "]" for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []


def _texts(column: columns.Texts) -> Cells:
    return ["[" + ",".join([quoted(as_str(item)) for item in row]) + "]" for row in column.items]


def _varargs(column: columns.Varargs) -> Cells:
    return ["[" + ",".join([_vararg(value) for _, value in row]) + "]" for row in column.items]


def _vararg(value: int | float | str | None) -> str:
    if isinstance(value, str):
        return quoted(as_str(value))
    if isinstance(value, float):
        return _number(value)
    return "null" if value is None else str(value)


_RENDERERS: dict[type, Callable[[Any], Cells]] = {
    columns.Scalar: lambda column: numbers(column.data),
    columns.Raw: lambda column: [f'"{item.hex()}"' for item in column.items],
    columns.Nothing: lambda column: ["null"] * column.rows,
    columns.Text: _text,
    columns.Texts: _texts,
    columns.Varargs: _varargs,
    columns.Members: _members,
    columns.Lists: _lists,
    columns.Pointed: _pointed,
}
