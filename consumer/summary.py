"""The summary: calls, errors and times per function, in bounded memory, however long the run.

Called by wc-run and wc-report: ``add(batches)`` per chunk, at the end ``rows()`` for programs, ``print_summary`` for
people. Rules: calls, errors, total and max are exact; percentiles come from a histogram and are off by less than one
percent; nothing printed here contains a name followed by a parenthesis (a summary must not look like calls).

Durations stand for the calls that were measured: those of a target without a clock, and calls that never returned,
count as calls only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np

from .columns import Array
from .decode import Batch

STEPS = 64
"""Buckets per power of two: a bucket's middle is at most 1 / 128 away from what fell into it."""
_BITS = STEPS.bit_length() - 1


class Histogram:
    """Counts of durations (ns) in buckets that grow with the value: exact below 128 ns."""

    def __init__(self) -> None:
        self._counts = np.zeros(16 * STEPS, np.int64)

    def add(self, values: Array) -> None:
        """Count *values*, (n,) int64, none negative."""
        counts = np.bincount(bucket_of(values), minlength=len(self._counts))
        if len(counts) > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(len(counts) - len(self._counts), np.int64)])
        self._counts += counts

    def quantile(self, share: float) -> int:
        """Return the value that *share* of all values do not exceed; 0 when there are none."""
        sums = np.cumsum(self._counts)
        if sums[-1] == 0:
            return 0
        rank = max(1, int(np.ceil(share * int(sums[-1]))))
        return value_of(int(np.searchsorted(sums, rank)))


def bucket_of(values: Array) -> Array:
    """Return each value's bucket."""
    exponent = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
    shift = np.maximum(exponent - _BITS, 0)
    return np.where(values < STEPS, values, shift * STEPS + (values >> shift))


def value_of(bucket: int) -> int:
    """Return the middle of a bucket."""
    shift = max(bucket // STEPS - 1, 0)
    low = (bucket - shift * STEPS) << shift
    return low + ((1 << shift) - 1) // 2


@dataclass(slots=True)
class Row:
    """One function. Times are ns; None where no call was measured. share: of all functions' total, 0 to 1."""

    func: str
    calls: int
    errors: int
    measured: int
    total: int
    share: float
    mean: float | None
    p50: int | None
    p99: int | None
    max: int | None


class _Function:
    def __init__(self) -> None:
        self.calls = self.errors = self.measured = self.total = self.max = 0
        self.histogram = Histogram()

    def add(self, batch: Batch) -> None:
        self.calls += len(batch)
        if batch.returned:
            self.errors += int(np.count_nonzero(batch.result.failed))
        durations = batch.duration[batch.duration >= 0]
        if len(durations):
            self.measured += len(durations)
            longest = int(durations.max())
            fits = longest < (1 << 63) // len(durations)
            self.total += int(durations.sum()) if fits else sum(durations.tolist())
            self.max = max(self.max, longest)
            self.histogram.add(durations)

    def row(self, name: str, total: int) -> Row:
        row = Row(name, self.calls, self.errors, self.measured, self.total, 0.0, None, None, None, None)
        if self.measured:
            row.share = self.total / total if total else 0.0
            row.mean = self.total / self.measured
            row.p50 = min(self.histogram.quantile(0.50), self.max)
            row.p99 = min(self.histogram.quantile(0.99), self.max)
            row.max = self.max
        return row


class Summary:
    """Adds up calls per function."""

    def __init__(self) -> None:
        self._functions: dict[str, _Function] = {}

    def add(self, batches: Iterable[Batch]) -> None:
        """Count one chunk's *batches*; the first halves of calls, and what is no call, are left out."""
        for batch in batches:
            if batch.is_call and batch.part != "entered":
                self._functions.setdefault(batch.target.name, _Function()).add(batch)

    def rows(self) -> list[Row]:
        """Return the functions, those that took most time first."""
        total = sum(function.total for function in self._functions.values())
        rows = [function.row(name, total) for name, function in self._functions.items()]
        return sorted(rows, key=lambda row: (-row.total, -row.calls, row.func))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rows as dicts, for json.dumps."""
        return [asdict(row) for row in self.rows()]


def print_summary(summary: Summary, stream: TextIO, color: bool = False) -> None:
    """Print the table on *stream*."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold" if color else "")
    for title in ("% time", "total", "calls", "errors", "mean", "p50", "p99", "max"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("function", no_wrap=True)
    rows = summary.rows()
    for row in rows:
        table.add_row(*_cells(row))
    if len(rows) > 1:
        table.add_section()
        table.add_row(*_total(rows))
    print_table(table, stream, color)


def print_table(table: Any, stream: TextIO, color: bool) -> None:
    """Print a rich table as wide as it needs to be: a table that is cut is of no use to a script."""
    from rich.console import Console

    console = Console(file=stream, force_terminal=color, no_color=not color, width=10_000, highlight=False)
    with console.capture() as capture:
        console.print(table)
    stream.write("\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n")
    stream.flush()


def _cells(row: Row) -> list[Any]:
    from rich.text import Text

    times = [duration_text(value) for value in (row.mean, row.p50, row.p99, row.max)]
    share = f"{100 * row.share:.2f}" if row.measured else ""
    total = duration_text(row.total if row.measured else None)
    return [share, total, f"{row.calls:,}", f"{row.errors:,}" if row.errors else "", *times, Text(row.func)]


def _total(rows: list[Row]) -> list[str]:
    calls, errors = sum(row.calls for row in rows), sum(row.errors for row in rows)
    total = sum(row.total for row in rows)
    return ["100.00" if total else "", duration_text(total), f"{calls:,}", f"{errors:,}" if errors else "",
            "", "", "", "", "all"]  # fmt: skip


def duration_text(ns: float | None) -> str:
    """Return a duration in the unit that suits it: "42 ns", "1.23 us", "4.50 ms", "12.3 s"; "" for None."""
    if ns is None:
        return ""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000)):
        if ns >= size:
            value = ns / size
            return f"{value:.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"
    return f"{ns:.0f} ns"
