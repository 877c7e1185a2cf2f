"""Where cells go under --format wc: straight into the file, as they were drained.

Used by live.py. Rules: nothing is decoded while the program runs; the file is readable up to its last write whatever
happens to us. Absent on purpose: the format itself (wcfile.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wc_intercept.generator.manifest import Growth

from .accounting import Account
from .chunk import Chunk
from .clock import Clock
from .render import Look, Output
from .session import SessionDirectory
from .wcfile import WcReader, WcWriter


class Recording:
    """Writes to the descriptor *output*, the file *path*. *look* says what to show of it at the end."""

    def __init__(
        self, output: int, path: str, session: SessionDirectory, clock: Clock, look: Look, meta: dict[str, Any]
    ) -> None:
        self._path, self._session = path, session
        self._clock = clock
        self._look = look
        self._writer = WcWriter(output, path, session.json, session.head.hash)
        self._writer.meta(meta)
        self._writer.clock(clock.kind, clock.samples)

    def take(self, chunks: Sequence[Chunk]) -> None:
        self._writer.chunks(chunks)

    def grow(self, growth: Growth) -> None:
        self._writer.manifest(self._session.json)

    def tick(self, now: int) -> None:
        sample = self._clock.keep(now)
        if sample is not None:
            self._writer.clock(self._clock.kind, [sample])

    def finish(self, account: Account) -> None:
        self._writer.clock(self._clock.kind, [self._clock.sample()])
        self._writer.account(account)
        if self._look.summary:
            sum_up(self._path, self._look)


def sum_up(path: str, look: Look) -> None:
    """Print the summary of the recording at *path*."""
    with WcReader(path) as reader:
        shown = Output(look, reader.manifest, reader.clock, None)
        for chunk in reader:
            shown.take(chunk)
        shown.finish(reader.account.inside if reader.account else [])
