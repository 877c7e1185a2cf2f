"""Joins records to calls, so that one call is one line.

Called by the renderers' owners between decode and render: ``batches = joiner.join(decoder.decode(chunk))``, and
``joiner.finish()`` at the end. What it decides is each batch's ``part``:

    whole     the record is the call: CALL without ENTER; ENTER that no return follows (record "entry", noreturn,
              tail-jump); EXEC that succeeded
    entered   ENTER whose CALL is still to come: text may show it, jsonl waits
    resumed   the CALL that completes it
    left      at the end: an entered call that never came back (killed inside, or left by longjmp)

Rules: a thread's chunks arrive in order; an ENTER and its CALL share thread, symbol and entry clock (calls without a
clock pair up innermost first); an EXEC is withheld until it is known to have replaced the program, because a failed one
is followed by a CALL. Memory is bounded: of one thread at most MOST_PENDING calls are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from . import abi
from .accounting import Inside
from .decode import Batch, Decoder

MOST_PENDING = 4096
Thread = tuple[int, int]
_REMEMBERED = {abi.ENTER, abi.EXEC, abi.PROCESS}
Keys = frozenset[tuple[int, int, int, int]]
"""(pid, tid, symbol, clock) of calls."""


class Joiner:
    """Remembers the calls that each thread is inside of."""

    def __init__(self) -> None:
        self._entered: dict[Thread, list[Batch]] = {}
        self._execs: dict[Thread, list[Batch]] = {}

    def join(self, batches: list[Batch]) -> list[Batch]:
        """Return *batches* (of one chunk) with their parts set, and before them what the chunk shows to be over."""
        if not batches:
            return batches
        thread = (batches[0].pid, batches[0].tid)
        kinds = {batch.kind for batch in batches}
        if kinds.isdisjoint(_REMEMBERED) and thread not in self._entered and thread not in self._execs:
            return batches
        over = self._replaced(thread[0]) if abi.PROCESS in kinds else []
        kept = self._execs_of(thread, batches)
        symbols = {batch.layout.id for batch in batches if _returns(batch)}
        symbols |= {batch.layout.id for batch in self._entered.get(thread, ())}
        for symbol in sorted(symbols):
            own = [batch for batch in kept if batch.layout.id == symbol]
            if own:
                kept = [batch for batch in kept if batch.layout.id != symbol] + self._paired(thread, own)
        return over + kept

    def _replaced(self, pid: int) -> list[Batch]:
        """An image begins: calls remembered under its pid were the one's before it."""
        return self._ended([thread for thread in {*self._entered, *self._execs} if thread[0] == pid])

    def _ended(self, threads: Iterable[Thread], inside: Keys | None = None) -> list[Batch]:
        over: list[Batch] = []
        for thread in sorted(threads):
            execs = {_key(batch): batch for batch in self._execs.pop(thread, [])}
            for batch in self._entered.pop(thread, []):
                key = _key(batch)
                replaced = execs.pop(key, None) is not None
                unfinished = not replaced and (inside is None or key in inside)
                over.append(_at_front(replace(batch, part="left", unfinished=unfinished)))
            over += map(_at_front, execs.values())
        return over

    def _execs_of(self, thread: Thread, batches: list[Batch]) -> list[Batch]:
        """Withhold EXEC records; forget those whose CALL says that they failed. Others' EXEC (spawn) are no calls."""
        called = {batch.layout.id for batch in batches if batch.kind == abi.CALL}
        waiting = [batch for batch in self._execs.pop(thread, []) if batch.layout.id not in called]
        kept = []
        for batch in batches:
            if batch.kind != abi.EXEC:
                kept.append(batch)
            elif (last := _last_exec(batch, batches)) is not None:
                waiting.append(last)
        if waiting:
            self._execs[thread] = waiting[-MOST_PENDING:]
        return kept

    def _paired(self, thread: Thread, own: list[Batch]) -> list[Batch]:
        """Pair ENTER with CALL records of one symbol; what stays open is remembered."""
        symbol = own[0].layout.id
        pending = self._entered.get(thread, [])
        open_before = [batch for batch in pending if batch.layout.id == symbol]
        others = [batch for batch in pending if batch.layout.id != symbol]
        enter = next((batch for batch in own if batch.kind == abi.ENTER), None)
        call = next((batch for batch in own if batch.kind == abi.CALL), None)
        left, done, resumed = _pair(open_before, enter, call)
        still = [batch for i, batch in enumerate(open_before) if i not in done]
        if enter is not None:
            still += [enter.take(np.array([row])).detached() for row in left]
        self._remember(thread, others + still)
        parts = [replace(enter, part="entered")] if enter is not None else []
        if call is not None:
            parts += _split(call, resumed)
        return parts + [batch for batch in own if batch is not enter and batch is not call]

    def _remember(self, thread: Thread, pending: list[Batch]) -> None:
        if pending:
            self._entered[thread] = pending[-MOST_PENDING:]
        else:
            self._entered.pop(thread, None)

    def finish(self, decoder: Decoder, inside: Iterable[Inside] | None = None) -> list[list[Batch]]:
        """Return what is left at the end of the session, in lists to be rendered one by one.

        *inside*: the calls that programs ended in, as accounting.py has them; None when nobody knows. Of the calls that
        an ENTER record showed, those are unfinished; those without any record become batches of their own.
        """
        calls = {(call.pid, call.tid, call.symbol, call.clock): call for call in inside or ()}
        shown = {_key(batch) for batches in self._entered.values() for batch in batches}
        threads = {*self._entered, *self._execs}
        over = [[batch] for batch in self._ended(threads, None if inside is None else frozenset(calls))]
        silent = [decoder.unfinished(call) for key, call in calls.items() if key not in shown]
        return over + [[batch] for batch in silent if batch is not None]


def _key(batch: Batch) -> tuple[int, int, int, int]:
    return batch.pid, batch.tid, batch.layout.id, int(batch.rows.data["clock"][0])


def _returns(batch: Batch) -> bool:
    """Whether *batch* holds ENTER records whose calls come back with a CALL record."""
    never = batch.target.record == "entry" or batch.symbol.enters_only
    return batch.kind == abi.ENTER and not never


def _at_front(batch: Batch) -> Batch:
    """What ended before a chunk began is shown before the chunk's own lines."""
    return replace(batch, index=np.full(len(batch), -1))


def _last_exec(batch: Batch, batches: list[Batch]) -> Batch | None:
    """Return the EXEC of *batch* that may have succeeded: asked for, the caller's own, and no CALL behind it."""
    data = batch.rows.data
    wanted = np.flatnonzero((data["result"] == 1) & (data["child"] == batch.pid))
    if len(wanted) == 0:
        return None
    failed = [other.index[-1] for other in batches if other.kind == abi.CALL and other.layout.id == batch.layout.id]
    last = batch.take(wanted[-1:])
    return None if failed and failed[0] > last.index[0] else last.detached()


def _pair(before: list[Batch], enter: Batch | None, call: Batch | None) -> tuple[list[int], set[int], list[int]]:
    """Return the rows of *enter* that stay open, the ordinals of *before* closed, and the rows of *call* resumed."""
    waiting: dict[int, list[int]] = {}
    for i, earlier in enumerate(before):
        waiting.setdefault(int(earlier.rows.data["clock"][0]), []).append(-1 - i)
    steps: list[tuple[int, bool, int, int]] = []
    for batch in (enter, call):
        if batch is not None:
            rows = zip(batch.index.tolist(), batch.rows.data["clock"].tolist(), strict=True)
            steps += [(index, batch is call, row, clock) for row, (index, clock) in enumerate(rows)]
    resumed, closed = [], set()
    for _, returned, row, clock in sorted(steps):
        stack = waiting.setdefault(clock, [])
        if not returned:
            stack.append(row)
        elif stack:
            closed.add(stack.pop())
            resumed.append(row)
    left = sorted(row for stack in waiting.values() for row in stack if row >= 0)
    return left, {-1 - row for row in closed if row < 0}, resumed


def _split(call: Batch, resumed: list[int]) -> list[Batch]:
    mask = np.zeros(len(call), bool)
    mask[resumed] = True
    parts = [replace(call.take(mask), part="resumed"), call.take(~mask)]
    return [part for part in parts if len(part)]
