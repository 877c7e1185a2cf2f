"""Puts a thread's calls in order where both engines serve a run: the shim and the tracer write rings of their own.

Used by render.py between joining and showing, only when the manifest has symbols of both engines. Order is that of
completion, as within a ring. What makes it exact: a thread writes nothing while the tracer writes for it, so that the
records of both are written in the order of their completion, and whatever is still to come from one ring completes
after what it has given. So a record is passed on once the other engine's last one is not older; or when it is old
enough that the reader must have come by (``settle``), since one of both may be silent for ever; or when much waits.

Absent on purpose: order across threads (there is none), and anything about single records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from wc_intercept.generator.manifest import Manifest

from .columns import Array
from .decode import Batch

MOST_RECORDS, MOST_CHUNKS = 200_000, 2_000
"""What may wait, over all threads."""
Thread = tuple[int, int]


@dataclass(slots=True)
class _Stream:
    """What one engine has given of one thread. Completions are in ns, ascending."""

    held: list[tuple[Array, int, Batch]] = field(default_factory=list)
    """Completions, ordinal of the chunk, records."""
    last: int = 0


def needed(manifest: Manifest) -> bool:
    """Whether records of one thread can be in two rings."""
    return len({symbol.engine for symbol in manifest.symbols}) > 1


class Merge:
    """Holds back what may have to stand behind something that was not read yet."""

    def __init__(self) -> None:
        self._threads: dict[Thread, dict[str, _Stream]] = {}
        self._engines: dict[int, str] = {}
        self._held = self._chunks = self._waiting = 0

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return self._held > 0

    def take(self, segment: int, batches: Sequence[Batch]) -> Iterator[list[Batch]]:
        """Yield what can be shown now that one chunk's joined *batches*, of *segment*, have come."""
        if not batches:
            return
        thread = (batches[0].pid, batches[0].tid)
        engine = self._engine(segment, batches)
        if not engine:  # a thread has begun, and nothing more
            yield list(batches)
            return
        streams = self._threads.setdefault(thread, {"preload": _Stream(), "ptrace": _Stream()})
        stream = streams[engine]
        completions = _completions(batches, stream.last)
        stream.last = max(int(done[-1]) for done in completions)
        self._chunks += 1
        stream.held += [(done, self._chunks, batch) for done, batch in zip(completions, batches, strict=True)]
        self._held += sum(map(len, batches))
        yield from self._ready(streams, min(stream.last for stream in streams.values()))
        self._waiting += 1
        if self._held > MOST_RECORDS or self._waiting > MOST_CHUNKS:
            yield from self.settle()

    def settle(self, before: int | None = None) -> Iterator[list[Batch]]:
        """Yield what completed *before* (ns since the epoch), or all that is held, thread by thread."""
        self._waiting = 0
        for streams in list(self._threads.values()) if self._held else ():
            yield from self._ready(streams, before)

    def _engine(self, segment: int, batches: Sequence[Batch]) -> str:
        """A segment is one engine's; its first records may be no calls, and then say nothing."""
        found = next((batch.symbol.engine for batch in batches if batch.is_call), None)
        if found is not None:
            self._engines[segment] = found
        return self._engines.get(segment, "")

    def _ready(self, streams: dict[str, _Stream], bound: int | None) -> Iterator[list[Batch]]:
        parts: list[tuple[Array, int, Batch]] = []
        for stream in streams.values():
            kept = []
            for done, chunk, batch in stream.held:
                count = len(done) if bound is None else int(np.searchsorted(done, bound, side="right"))
                if count:
                    parts.append((done[:count], chunk, batch if count == len(done) else batch.take(np.arange(count))))
                if count < len(done):
                    kept.append((done[count:], chunk, batch.take(np.arange(count, len(done)))))
            stream.held = kept
        if parts:
            self._held -= sum(len(done) for done, _, _ in parts)
            yield _ranked(parts)


def _completions(batches: Sequence[Batch], floor: int) -> list[Array]:
    """Return each batch's completions; in the order of the chunk they never fall, nor below *floor*."""
    done = np.concatenate([batch.time + np.maximum(batch.duration, 0) for batch in batches])
    order = np.argsort(np.concatenate([batch.index for batch in batches]), kind="stable")
    done[order] = np.maximum.accumulate(np.maximum(done[order], floor))
    cuts = np.cumsum([len(batch) for batch in batches])[:-1]
    return list(np.split(done, cuts))


def _ranked(parts: Sequence[tuple[Array, int, Batch]]) -> list[Batch]:
    """Return the batches of *parts* with their records numbered in the order of completion, then as they came."""
    done = np.concatenate([part for part, _, _ in parts])
    chunk = np.concatenate([np.full(len(part), number) for part, number, _ in parts])
    index = np.concatenate([batch.index for _, _, batch in parts])
    rank = np.empty(len(done), np.int64)
    rank[np.lexsort((index, chunk, done))] = np.arange(len(done))
    cuts = np.cumsum([len(part) for part, _, _ in parts])[:-1]
    ranks = np.split(rank, cuts)
    return [replace(batch, index=own) for own, (_, _, batch) in zip(ranks, parts, strict=True)]
