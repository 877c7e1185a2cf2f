"""Text in strace's look: ``openat(AT_FDCWD, "x", O_RDONLY|O_CLOEXEC) = 3``, one line a call.

Called by wc-run and wc-report: ``TextLines(manifest, ...).render(batches)`` gives one chunk's lines, ``finish()`` what
was held back. Rules: output is ASCII, and nothing that a program passes can disturb a terminal; a call is one line, but
for record "both", where it is two when other lines came between; lines stand in the ring's order.

How it is fast: as in jsonl.py, a template per symbol and a column of words per argument.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, TextIO

import numpy as np
from wc_intercept.generator.manifest import Manifest

from . import abi, columns
from .columns import Array, Column
from .decode import Batch
from .dependent import word_of
from .descriptors import Descriptors
from .errnos import errno_text
from .halves import Halves, Key, Line
from .members import HANDLERS
from .order import in_order
from .prefix import Stamp, Stamps, Threads
from .tail import NAMED, given
from .textcells import Cells, TextCells
from .values import EVENT_NAMES, REASONS, values
from .words import Dictionary, Words

_WORDY = ("optional-word", "syscall", "tail-jump")
RED, PLAIN = "\x1b[31m", "\x1b[0m"


def wants_color(when: str, stream: TextIO) -> bool:
    """Return whether to color: *when* is always, never or auto (a terminal, and NO_COLOR not set)."""
    if when != "auto":
        return when == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


class TextLines:
    """Renders batches as text.

    stamp: "t", "tt", "ttt" or "r" as strace's options; durations: <0.000042> behind each line (-T); string_limit: -s;
    paths: descriptors with their path behind them (-y), by the given Descriptors (whose owner lets them follow what a
    filter may have taken away), or True for our own; pids: name the thread on every line; events: lines for processes
    and losses as well.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        stamp: Stamp = "",
        durations: bool = False,
        string_limit: int | None = None,
        paths: bool | Descriptors = False,
        color: bool = False,
        pids: bool = False,
        events: bool = False,
    ) -> None:
        self._manifest = manifest
        self._aliases: dict[int, frozenset[str]] = {}
        self._cells = TextCells(Dictionary(manifest.names), string_limit)
        self._stamps = Stamps(stamp) if stamp else None
        self._threads = Threads(pids)
        self._durations = durations
        self._descriptors = Descriptors() if paths is True else paths or None
        self._follows = paths is True
        self._errors = Words(lambda number: f" {errno_text(number)}" if number else "")
        self._color = color
        self._events = events
        self._halves = Halves()

    def render(self, batches: Sequence[Batch]) -> bytes:
        """Return the lines of one chunk's *batches*."""
        if self._descriptors is not None and self._follows:
            self._descriptors.follow(batches)
        shown = [batch for batch in batches if self._wanted(batch)]
        if not shown:
            return b""
        if self._halves.waiting or any(batch.part != "whole" for batch in shown):
            return self._written(*self._in_halves(shown))
        times = in_order([(batch.index, batch.time.tolist()) for batch in shown]) if self._stamps else []
        lines = in_order([(batch.index, self._lines(batch)) for batch in shown])
        return self._written([shown[0].tid] * len(lines), times, lines)

    def finish(self) -> bytes:
        """Return the line that was held back: a call entered last, whose return never came."""
        held = self._halves.flush()
        return self._written([line.tid for line in held], [line.time for line in held], [line.half for line in held])

    def _wanted(self, batch: Batch) -> bool:
        return batch.part != "left" if batch.is_call else self._events and batch.kind in EVENT_NAMES

    def _written(self, tids: list[int], times: list[int], lines: list[str]) -> bytes:
        """Return *lines* with their prefixes."""
        if not lines:
            return b""
        if self._stamps is not None:
            stamps = self._stamps.of(np.array(times, np.int64))
            lines = [stamp + line for stamp, line in zip(stamps, lines, strict=True)]
        threads = {tid: self._threads.of(tid) for tid in dict.fromkeys(tids)}
        if any(threads.values()):
            if len(threads) == 1:
                prefix = threads[tids[0]]
                return (prefix + ("\n" + prefix).join(lines) + "\n").encode("ascii", "replace")
            lines = [threads[tid] + line for tid, line in zip(tids, lines, strict=True)]
        return ("\n".join(lines) + "\n").encode("ascii", "replace")

    def _lines(self, batch: Batch) -> list[str]:
        return self._calls(batch) if batch.is_call else self._others(batch)

    def _calls(self, batch: Batch) -> list[str]:
        args = self._arguments(batch)
        if batch.unfinished:
            return [f"{_name(batch)}({line} <unfinished ...>" for line in args.lines(unfinished=True)]
        inputs, returned = [*args.inputs], "?"
        if batch.returned:
            inputs.append(self._returns(batch))
            returned = "%s"
        template = f"{_literal(_name(batch))}({args.template}) = {returned}"
        if self._durations and batch.returned:
            inputs.append(_durations(batch.duration))
            template += "%s"
        return list(map(template.__mod__, zip(*inputs, strict=True))) if inputs else [template % ()] * len(batch)

    def _arguments(self, batch: Batch) -> Arguments:
        """Return the arguments' columns and the template that joins them."""
        arguments = Arguments(len(batch))
        optional = given(batch)
        hidden = self._hidden(batch)
        for i, (name, column) in enumerate(batch.columns):
            if name in hidden:
                continue
            cells = self._argument(batch, i, column)
            if i in optional:
                words = zip(optional[i].tolist(), cells, strict=True)
                label = f", {name}=" if batch.symbol.name in NAMED else ", "
                arguments.add([f"{label}{word}" if shown else "" for shown, word in words], separated=True)
            else:
                arguments.add(cells, separated=_pointed_varargs(column),
                              nothing=isinstance(column, columns.Nothing))  # fmt: skip
        return arguments

    def _argument(self, batch: Batch, i: int, column: Column) -> Cells:
        field = batch.layout.parameters[i].field
        if isinstance(column, columns.Scalar) and field.name == "handler" and batch.symbol.result.fail == "SIG_ERR":
            return list(map(HANDLERS.__getitem__, column.data.tolist()))
        if isinstance(column, columns.Scalar):
            word = field.type == "uint" and field.size == 8 and not field.role and _wordy(batch)
            cells = self._cells.numbers(column.data, column.type, "word" if word else field.role, field.names)
            beside = word_of(batch, i)
            if beside is not None:
                cells = [cell if told is None else told for cell, told in zip(cells, beside, strict=True)]
            follow = self._descriptors is not None and field.role in ("fd", "dirfd")
            return self._descriptors.cells(batch, column.data, cells) if self._descriptors and follow else cells
        return self._cells.parameter(batch.symbol.name, field.name, column)

    def _hidden(self, batch: Batch) -> frozenset[str]:
        """Return the parameters that only the called alias has: __printf_chk's flag, when shown as printf."""
        id, name = batch.layout.id, batch.target.name
        if id not in self._aliases:
            function = batch.layout.kind != "syscall"  # a system call is shown as itself
            own = [s for s in self._manifest.symbols if function and s.name == name and s.target == batch.symbol.target]
            known = {field.name for symbol in own for field in symbol.fields}
            given = {field.name for field in batch.symbol.fields}
            self._aliases[id] = frozenset(given - known if own and known <= given else ())
        return self._aliases[id]

    def _returns(self, batch: Batch) -> Cells:
        """Return what stands behind the equals sign."""
        result, rule = batch.result, batch.symbol.result
        if result.value is None:
            told = self._cells.cells(result.wide) if result.wide is not None else ["<void>"] * len(batch)
            return _marked(told, batch.marks)
        text = batch.result_text
        if text is not None:
            shown = self._cells.cells(text)
        elif rule.fail == "SIG_ERR":
            shown = list(map(HANDLERS.__getitem__, result.value.tolist()))
        elif result.value.dtype.kind == "i" and rule.type != "int":
            shown = list(self._cells.numbers(result.value, rule.type, rule.role, rule.names))
            for row in np.flatnonzero(result.value == -1).tolist():
                shown[row] = "-1"
        else:
            size = rule.size if rule.type != "float" else 8
            value = result.value.astype(f"<i{size}") if rule.type == "int" and size in (1, 2, 4) else result.value
            shown = self._cells.numbers(value, rule.type, "" if rule.fail == "errno" else rule.role, rule.names)
        if self._descriptors is not None and rule.role == "fd":
            shown = self._descriptors.cells(batch, result.value, shown, after=True)
        shown = self._failures(batch, shown) if result.failed.any() else shown
        return _marked(shown, batch.marks)

    def _failures(self, batch: Batch, shown: Cells) -> Cells:
        """Add the errors' names and texts to the calls that failed."""
        rows = list(shown)
        result = batch.result
        failed = np.flatnonzero(result.failed)
        for row, error in zip(failed.tolist(), result.error[failed].tolist(), strict=True):
            told = f"{rows[row]}{self._errors[error]}"
            rows[row] = f"{RED}{told}{PLAIN}" if self._color else told
        return rows

    def _others(self, batch: Batch) -> list[str]:
        """Lines of PROCESS, THREAD, LOST and CONTROL_SEEN records."""
        names = [name for name, _ in batch.columns]
        rows = zip(*(values(column) for _, column in batch.columns), strict=True)
        name = batch.target.name if batch.kind == abi.CONTROL_SEEN else EVENT_NAMES[batch.kind]
        return [_event(name, dict(zip(names, row, strict=True))) for row in rows]

    def _in_halves(self, shown: list[Batch]) -> tuple[list[int], list[int], list[str]]:
        """Return thread, time and text of a chunk's lines when calls have two halves, or a line is held back."""
        parts = []
        for batch in shown:
            lines = self._lines(batch) if batch.part != "entered" else [""] * len(batch)
            halves = self._half_lines(batch) if batch.part in ("entered", "resumed") else lines
            rows = zip(_keys(batch), batch.time.tolist(), lines, halves, strict=True)
            parts.append((batch.index, [Line(batch.part, batch.tid, *row) for row in rows]))
        written = self._halves.join(in_order(parts))
        return [w[0] for w in written], [w[1] for w in written], [w[2] for w in written]

    def _half_lines(self, batch: Batch) -> list[str]:
        args = self._arguments(batch)
        name = _name(batch)
        keys = _keys(batch)
        if batch.part == "entered":
            known = _known(batch, self._hidden(batch))
            self._halves.remember(keys, known)
            return [f"{name}({line} <unfinished ...>" for line in args.lines(stop=known, unfinished=True)]
        starts = self._halves.recall(keys)
        rests = {start: args.lines(start=start) for start in set(starts)}
        durations = _durations(batch.duration) if self._durations else [""] * len(batch)
        ends = zip(starts, self._returns(batch), durations, strict=True)
        return [f"<... {name} resumed>{rests[start][row]}) = {ret}{spent}"
                for row, (start, ret, spent) in enumerate(ends)]  # fmt: skip


class Arguments:
    """Columns of words and how they are joined."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.inputs: list[Cells] = []
        self._pieces: list[tuple[str, bool]] = []

    def add(self, cells: Cells, separated: bool = False, nothing: bool = False) -> None:
        """Add a column; *separated*: its cells bring their own comma; *nothing*: all that is left are dots."""
        if nothing and self._pieces and self._pieces[-1][1]:
            return
        self.inputs.append(cells)
        self._pieces.append(("%s" if separated or not self._pieces else ", %s", nothing))

    @property
    def template(self) -> str:
        return "".join(piece for piece, _ in self._pieces)

    def lines(self, start: int = 0, stop: int | None = None, unfinished: bool = False) -> list[str]:
        """Return the arguments from *start* to *stop* as text; unfinished: a comma shows that there are more."""
        pieces, inputs = self._pieces[start:stop], self.inputs[start:stop]
        if unfinished and stop is None and pieces and pieces[-1][1]:
            pieces, inputs = pieces[:-1], inputs[:-1]
        template = "".join(piece for piece, _ in pieces)
        if unfinished and pieces and len(pieces) < len(self._pieces):
            template += ", "
        template = template.removeprefix(", ") if start else template
        return list(map(template.__mod__, zip(*inputs, strict=True))) if inputs else [template] * self.rows


def _name(batch: Batch) -> str:
    """Return what a call is shown as: a system call is itself, even where a function's name asked for it."""
    return batch.symbol.name if batch.layout.kind == "syscall" else batch.target.name


def _wordy(batch: Batch) -> bool:
    """Whether arguments are words of any meaning, addresses among them."""
    return batch.layout.kind == "syscall" or batch.symbol.wrapper in _WORDY


def _literal(name: str) -> str:
    return name.replace("%", "%%")


def _keys(batch: Batch) -> list[Key]:
    """Return what tells each call from all others."""
    return [(batch.tid, batch.layout.id, clock) for clock in batch.rows.data["clock"].tolist()]


def _known(batch: Batch, hidden: Collection[str]) -> int:
    """Return how many arguments are known before the call: up to the first pointer that nothing is kept of yet."""
    shown = [column for name, column in batch.columns if name not in hidden]
    for i, column in enumerate(shown):
        if isinstance(column, columns.Pointed) and (column.state == columns.POINTER).any():
            return i
    return len(shown)


def _pointed_varargs(column: Column) -> bool:
    return isinstance(column, columns.Pointed) and isinstance(column.value, columns.Varargs)


_MARKS = ("", " (INJECTED)", " (DELAYED)", " (INJECTED) (DELAYED)")
"""By abi.INJECTED and abi.DELAYED, as strace has them."""


def _marked(shown: Cells, marks: Array | None) -> Cells:
    """Say behind a result what was injected."""
    if marks is None:
        return shown
    return [f"{told}{_MARKS[mark & 3]}" for told, mark in zip(shown, marks.tolist(), strict=True)]


def _durations(durations: Array) -> list[str]:
    """Return " <0.000042>" for each, "" for those not measured."""
    micros = (durations // 1000).tolist()
    return [f" <{us // 1_000_000}.{us % 1_000_000:06d}>" if us >= 0 else "" for us in micros]


def _event(name: str, keys: dict[str, Any]) -> str:
    if name == "loss":
        return f"--- {keys['lost']} records lost here ---"
    if "reason" in keys:
        return f"+++ process {keys['pid']} by {REASONS.get(keys['reason'], '?')} from {keys['parent']} +++"
    return f"+++ {name} {' '.join(f'{key} {value}' for key, value in keys.items())} +++"
