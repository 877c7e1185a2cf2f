"""From chunks to what the user reads: decode, join, merge, filter, render, write. One Output per run or report.

Used by spool.py (behind a running program), live.py and report.py. Rules: a reader that goes away ends the writing,
never the run; lines are written whole; what was taken is written when ``flush`` returns.

Absent on purpose: where chunks come from, and what lines look like (text.py, jsonl.py, summary.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from wc_intercept.generator.manifest import Coverage, Growth, Manifest

from .accounting import Inside
from .calls import Joiner
from .chunk import Chunk
from .clock import Clock
from .decode import Batch, Decoder
from .descriptors import Descriptors
from .filter import Filter
from .log import say
from .merge import Merge, needed
from .pathfilter import PathFilter

if TYPE_CHECKING:
    from .jsonl import JsonLines
    from .prefix import Stamp
    from .summary import Summary

STAMPS: tuple[Stamp, ...] = ("", "t", "tt", "ttt")
MOST_PENDING = 1 << 18
"""Bytes that are held back for a larger write."""


@dataclass(frozen=True, slots=True)
class Look:
    """How calls are shown, by wc-run's options of the same names."""

    format: str = "text"
    string_limit: int | None = None
    stamp: int = 0
    relative: bool = False
    spent: bool = False
    paths: bool = False
    color: bool = False
    events: bool = False
    summary: bool = False
    summary_to: int = 2
    """The descriptor that it is printed to."""
    path: tuple[str, ...] = ()
    filter: Filter = field(default_factory=Filter)


class Renderer(Protocol):
    def render(self, batches: Sequence[Batch]) -> bytes: ...

    def finish(self) -> bytes: ...


def renderer_of(look: Look, manifest: Manifest, descriptors: Descriptors | None, pids: bool = False) -> Renderer:
    """Return what makes lines of batches; *pids*: text that names the thread in every line."""
    if look.format == "jsonl":
        return _json_lines(look)
    from .text import TextLines

    stamp: Stamp = "r" if look.relative else STAMPS[min(look.stamp, 3)]
    return TextLines(
        manifest,
        stamp=stamp,
        durations=look.spent,
        string_limit=look.string_limit,
        paths=descriptors or False if look.paths else False,
        color=look.color,
        events=look.events,
        pids=pids,
    )


def _json_lines(look: Look) -> JsonLines:
    from .jsonl import JsonLines

    return JsonLines(events=look.events)


def coverage_lines(look: Look, coverage: Sequence[Coverage]) -> bytes:
    """Return the coverage report as jsonl events, for those who want events."""
    if look.format != "jsonl" or not look.events:
        return b""
    lines = _json_lines(look)
    return b"".join(
        lines.event(
            "coverage",
            requested=entry.requested,
            func=entry.target or None,
            status=entry.status,
            symbols=entry.symbols,
            engine=entry.engine or None,
            reason=entry.reason or None,
            where=entry.where or None,
        )
        for entry in coverage
    )


def _summary() -> Summary:
    from .summary import Summary

    return Summary()


class Output:
    """Takes chunks, writes lines to *descriptor*; None: nothing is written (only the summary is wanted)."""

    def __init__(
        self, look: Look, manifest: Manifest, clock: Clock, descriptor: int | None, sort: bool = False
    ) -> None:
        """*sort*: hold all lines back and write them in the order of their calls' entries, across threads."""
        self.look = look
        self.decoder = Decoder(manifest, clock)
        self.summary = _summary() if look.summary else None
        self.gone = descriptor is None
        self.failed = False
        self.tool = "wc-run"
        self._descriptor = -1 if descriptor is None else descriptor
        self._joiner = Joiner()
        self._merge = Merge() if needed(manifest) else None
        self._descriptors = Descriptors() if look.paths or look.path else None
        self._path_filter = PathFilter(look.path, self._descriptors) if look.path and self._descriptors else None
        early = replace(look, relative=False) if sort else look  # the line before is known when they are sorted
        self._renderer = renderer_of(early, manifest, self._descriptors, pids=sort)
        self._sorted: list[tuple[int, bytes]] | None = [] if sort else None
        self._pending = [coverage_lines(look, manifest.coverage)]
        self._size = 0

    def inherit(self, pid: int, paths: Mapping[int, str]) -> None:
        """Say what is behind the descriptors that the program began with."""
        if self._descriptors is not None:
            self._descriptors.inherit(pid, paths)

    def take(self, chunk: Chunk) -> None:
        batches = self._joiner.join(self.decoder.decode(chunk))
        if self._merge is None:
            self._show(batches)
            return
        for ready in self._merge.take(chunk.segment, batches):
            self._show(ready)

    def grow(self, growth: Growth) -> None:
        """There are more targets from here on."""
        self.decoder.grow(growth)
        if self._merge is None and needed(self.decoder.manifest):
            self._merge = Merge()
        if self._sorted is None:
            self._write(coverage_lines(self.look, growth.coverage))

    @property
    def waits(self) -> bool:
        """Whether ``settle`` has to be called again."""
        return self._merge is not None and self._merge.waits

    def settle(self, before: int | None = None) -> None:
        """Show what was held back for its order and completed *before*, ns since the epoch; None: all of it."""
        if self._merge is not None:
            for ready in self._merge.settle(before):
                self._show(ready)

    def finish(self, inside: Iterable[Inside]) -> None:
        """Show the calls that never came back, and write everything; then the summary."""
        self.settle()
        for batches in self._joiner.finish(self.decoder, inside):
            self._show(batches)
        for line in self._in_time_order():
            self._write(line)
        self._write(self._renderer.finish())
        self.flush()
        if self.summary is not None:
            self._print_summary(self.summary)

    def _in_time_order(self) -> Iterator[bytes]:
        """Yield the lines that were held back; text with its thread if there are several, and with -r with its time."""
        held = sorted(self._sorted or [], key=itemgetter(0))
        if not held or self.look.format != "text":
            yield from (line for _, line in held)
            return
        import numpy as np

        from .prefix import Stamps

        times = np.array([time for time, _ in held], np.int64)
        stamps = Stamps("r").of(times) if self.look.relative else [""] * len(held)
        parts = [line.partition(b"] ") for _, line in held]
        several = len({thread for thread, _, _ in parts}) > 1
        for stamp, (thread, end, call) in zip(stamps, parts, strict=True):
            yield (thread + end if several else b"") + stamp.encode() + call

    def _print_summary(self, summary: Summary) -> None:
        from .summary import print_summary

        try:
            with open(self.look.summary_to, "w", closefd=False) as stream:
                print_summary(summary, stream, self.look.color)
        except OSError:
            pass  # nobody reads it

    def _show(self, batches: list[Batch]) -> None:
        if self._descriptors is not None:
            self._descriptors.follow(batches)
        if self._path_filter is not None:
            batches = self._path_filter.apply(batches)
        batches = self.look.filter.apply(batches)
        if self.summary is not None:
            self.summary.add(batches)
        if self.gone or not batches:
            return
        if self._sorted is None:
            self._write(self._renderer.render(batches))
        else:
            self._hold(self._sorted, batches)

    def _hold(self, held: list[tuple[int, bytes]], batches: list[Batch]) -> None:
        """Keep the lines of *batches* with their times. A call is one line then, whatever came between its halves."""
        for batch in batches:
            if batch.part != "entered":
                whole = replace(batch, part="whole")
                lines = self._renderer.render([whole]).splitlines(keepends=True)
                if len(lines) == len(batch):
                    held += zip(batch.time.tolist(), lines, strict=True)

    def _write(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Write what is pending. A reader that went away is no error; a full disk is told once and ends the writing."""
        view = memoryview(b"".join(self._pending))
        self._pending, self._size = [], 0
        while view and not self.gone:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BrokenPipeError:
                self.gone = True
            except OSError as error:
                say(f"{self.tool}: error: cannot go on writing: {error.strerror}\n")
                self.gone = self.failed = True
