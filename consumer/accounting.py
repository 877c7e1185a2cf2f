"""The accounting identity: where every counted call of every target went.

Fed by drain.py with chunks (what was recorded) and with the counts of segments that have ended; asked at the end by
wc-run and wc-report. Rules, per target, exactly:

    calls    = sampled + filtered + suppressed + returned + inside         (counters of the program, per ring)
    returned = recorded + lost + torn  (+ overwritten)                     (recorded is what this reader has seen)
    inside   = unfinished (the program ended in them) + abandoned (longjmp, exception, cancellation, thread exit)

A call counts as returned just behind the commit of its record. So a torn record that a ring showed, begun and never
committed, is among the inside. One among the returned is believed up to what the rings showed and one call per owner of
a ring; what is beyond is ``missing``, which is always 0 unless somebody wrote into our memory (in overwrite mode it is
``overwritten``). A record may be committed, or lost, a moment before its call is counted as returned: then the call is
taken from the inside.

Absent on purpose: time, text. A call recorded at entry and at exit (record "both") counts once, at its exit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from wc_intercept.generator.manifest import Manifest, Symbol

from . import abi
from . import abi_fields as fields
from .chunk import Chunk, headers_of, kinds_of, symbols_of
from .ring import Findings, Ring

NOBODY = 1 << 16
"""The target of a symbol that the manifest does not have."""
MOST_CALLS = 1 << 46
"""Of one ring, believed: months of calls. Sums of hostile counts must not overflow."""
COUNTED = ("calls", "sampled", "filtered", "suppressed", "lost", "returned")


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One target's identity: calls = the sum of all others but name."""

    name: str
    calls: int = 0
    recorded: int = 0
    sampled: int = 0
    filtered: int = 0
    suppressed: int = 0
    lost: int = 0
    torn: int = 0
    unfinished: int = 0
    abandoned: int = 0
    overwritten: int = 0
    missing: int = 0


class Inside(msgspec.Struct, frozen=True):
    """A call that its thread was inside of when it ended, or when the session did."""

    pid: int
    tid: int
    symbol: int
    clock: int
    """Ticks at entry; 0 when the target records no time."""
    argument: int
    """The first one, as 64 bits."""
    segment: int = 0
    ring: int = 0


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """The final account of a session: what a wc file keeps, what --summary and --strict look at."""

    lines: list[Line] = []
    """Targets with at least one call, in the manifest's order."""
    losses: dict[str, int] = {}
    """Records lost, by reason."""
    torn: dict[str, int] = {}
    """Records seen torn, by symbol; "?" where the symbol was not written yet."""
    laps: int = 0
    corrupt: int = 0
    short_reads: int = 0
    no_segment: int = 0
    """Images that ran unrecorded because no segment could be made."""
    refused: dict[str, str] = {}
    """Files that looked like segments and were none: name and reason."""
    inside: list[Inside] = []
    overwrite: bool = False

    @property
    def lost(self) -> int:
        """What fails --strict: calls lost or torn, and programs that nobody saw."""
        calls = sum(line.lost + line.torn + abs(line.missing) for line in self.lines)
        return calls + self.no_segment + len(self.refused)


@dataclass(slots=True)
class RingEnd:
    """A ring when its segment has ended: its counts per target, and the calls it was inside of, outermost first."""

    counts: npt.NDArray[Any]
    inside: list[Inside] = field(default_factory=list)
    owners: int = 1
    left: bool = False
    """Its last owner ended while its process went on."""


def ring_end(ring: Ring, left: bool) -> RingEnd:
    """Read what remains of a ring that nobody writes to any more. The in-flight stack is as hostile as the rest."""
    segment, header = ring.segment, ring.segment.ring_offset(ring.index)
    depth = int(segment.read_array(header + fields.RING.offset("depth"), np.dtype("<u4"), 1)[0])
    claims = int(segment.read_array(header + fields.RING.offset("claims"), np.dtype("<u4"), 1)[0])
    stack = segment.read_array(header + fields.RING.offset("inside"), abi.INSIDE, min(depth, abi.INFLIGHT))
    pid, tid = ring.owner
    inside = [
        Inside(pid, tid, int(one["symbol"]), int(one["clock"]), int(one["argument"]), segment.ordinal, ring.index)
        for one in stack
    ]
    return RingEnd(segment.counts(ring.index), inside, claims, left)


class Accounting:
    """Sums up one session."""

    def __init__(self, manifest: Manifest, overwrite: bool = False) -> None:
        self._manifest, self._overwrite = manifest, overwrite
        self._recorded = np.zeros(0, np.int64)
        self._execs: dict[tuple[int, int], tuple[int, Counter[int]]] = {}
        self._counts = {name: np.zeros(0, np.int64) for name in COUNTED}
        self._unfinished = np.zeros(0, np.int64)
        self.grow()
        self._owners = 0
        self.inside: list[Inside] = []
        self.losses: Counter[str] = Counter()
        self.unknown = 0
        """Records whose symbol the manifest does not have."""

    def grow(self) -> None:
        """Look at the manifest again: it may have more symbols and targets than before."""
        symbols, targets = self._manifest.symbols, len(self._manifest.targets)
        self._targets = np.array([s.target if 0 <= s.target < targets else targets for s in symbols], np.intp)
        self._entered = np.array([_stands_at_entry(self._manifest, symbol) for symbol in symbols], bool)
        self._recorded = _longer(self._recorded, len(symbols))
        self._counts = {name: _longer(counts, targets) for name, counts in self._counts.items()}
        self._unfinished = _longer(self._unfinished, targets)

    @property
    def recorded(self) -> npt.NDArray[np.int64]:
        """Calls recorded so far, by symbol."""
        return self._recorded

    def chunk(self, chunk: Chunk) -> None:
        """Count the records of *chunk*."""
        headers = headers_of(chunk.cells)
        kinds, symbols = kinds_of(headers), symbols_of(headers)
        calls = self._count(symbols[kinds == abi.CALL])
        if (kinds == abi.CALL).all():
            self._recorded += np.where(self._entered, 0, calls) if self._entered.any() else calls
        else:
            enters = self._count(symbols[kinds == abi.ENTER])
            self._recorded += np.where(self._entered, enters, calls)
        if self._execs or (kinds == abi.EXEC).any():
            self._join_execs(chunk)

    def _count(self, symbols: npt.NDArray[np.uint16]) -> npt.NDArray[np.intp]:
        known = len(self._recorded)
        counted = np.bincount(symbols, minlength=known)
        self.unknown += int(counted[known:].sum())
        return counted[:known]

    def _join_execs(self, chunk: Chunk) -> None:
        """An EXEC with result 1 stands for its call; a CALL of the symbol behind it, in that ring, is the same call."""
        key = chunk.segment, chunk.ring
        pid, open_ = self._execs.pop(key, (chunk.pid, Counter[int]()))
        if pid != chunk.pid:
            open_ = Counter()
        cells = chunk.cells
        for index in np.flatnonzero((cells["kind"] == abi.EXEC) | (cells["kind"] == abi.CALL)):
            symbol = int(cells[index]["symbol"])
            if symbol >= len(self._recorded):
                continue
            if cells[index]["kind"] == abi.EXEC:
                if cells[index]["result"] == 1:
                    self._recorded[symbol] += 1
                    open_[symbol] += 1
            elif open_[symbol]:
                open_[symbol] -= 1
                self._recorded[symbol] -= 1
        open_ = +open_
        if open_:
            self._execs[key] = chunk.pid, open_

    def ring_ended(self, end: RingEnd) -> None:
        """Add the counts of one ring (or of a segment's calls without a ring) that nobody writes to any more."""
        targets = len(self._manifest.targets)  # a segment may have counts for fewer, or for those that may still come
        own = end.counts[:targets]
        counts = {name: _longer(np.minimum(own[name], MOST_CALLS).astype(np.int64), targets) for name in COUNTED}
        for name, values in counts.items():
            self._counts[name] += values
        left = counts["calls"] - sum(counts[name] for name in ("sampled", "filtered", "suppressed", "returned"))
        self._owners += end.owners
        for entry in reversed(end.inside):
            target = self._target_of(entry.symbol)
            if target is None or left[target] <= 0:
                continue  # its ENTER or EXEC record stands for it, or nobody knows what this is
            left[target] -= 1
            if not end.left:
                self._unfinished[target] += 1
                self.inside.append(entry)

    def _target_of(self, symbol: int) -> int | None:
        target = int(self._targets[symbol]) if symbol < len(self._targets) else NOBODY
        return target if target < len(self._manifest.targets) else None

    def lost(self, losses: npt.NDArray[np.uint64]) -> None:
        """Add records lost, by enum wci_loss."""
        for reason, count in enumerate(losses.tolist()):
            if count:
                name = abi.LOSS_NAMES[reason] if reason < len(abi.LOSS_NAMES) else f"reason {reason}"
                self.losses[name] += count

    def account(self, findings: Findings, no_segment: int = 0, refused: dict[str, str] | None = None) -> Account:
        """Return the account as it stands."""
        return Account(
            lines=[line for line in self._lines(findings) if line.calls or line.recorded],
            losses=dict(self.losses),
            torn={self._name(symbol): count for symbol, count in sorted(findings.torn.items())},
            laps=findings.laps,
            corrupt=findings.corrupt + self.unknown,
            short_reads=findings.short,
            no_segment=no_segment,
            refused=refused or {},
            inside=self.inside,
            overwrite=self._overwrite,
        )

    def _lines(self, findings: Findings) -> list[Line]:
        counts, targets = self._counts, len(self._manifest.targets)
        recorded = np.bincount(self._targets, self._recorded, minlength=targets).astype(np.int64)[:targets]
        seen = self._seen_torn(findings)
        gap = counts["returned"] - recorded - counts["lost"]
        believed = seen if self._overwrite else seen + findings.torn[abi.SYMBOL_NONE] + self._owners
        returned_torn = np.clip(gap, 0, believed)
        left = counts["calls"] - self._outcomes("returned") - self._unfinished
        lost_early = np.clip(-gap, 0, np.maximum(left, 0))
        inside_torn = np.clip(seen - returned_torn, 0, np.maximum(left - lost_early, 0))
        columns = {
            "recorded": recorded,
            **{name: counts[name] for name in ("sampled", "filtered", "suppressed", "lost")},
            "torn": returned_torn + inside_torn,
            "unfinished": self._unfinished,
            "abandoned": np.maximum(left - lost_early - inside_torn, 0),
            "overwritten": np.maximum(gap - returned_torn, 0) if self._overwrite else np.zeros_like(gap),
        }
        columns["missing"] = counts["calls"] - sum(columns.values())
        columns["calls"] = counts["calls"]
        return [
            Line(target.name, **{name: int(column[index]) for name, column in columns.items()})
            for index, target in enumerate(self._manifest.targets)
        ]

    def _outcomes(self, *more: str) -> npt.NDArray[np.int64]:
        """Calls per target that were not to be recorded, and those of the columns in *more*."""
        names = ("sampled", "filtered", "suppressed", *more)
        return np.asarray(sum(self._counts[name] for name in names), np.int64)

    def _seen_torn(self, findings: Findings) -> npt.NDArray[np.int64]:
        """Torn records that a ring showed, per target."""
        seen = np.zeros(len(self._manifest.targets), np.int64)
        for symbol, count in findings.torn.items():
            target = self._target_of(symbol)
            if target is not None:
                seen[target] += count
        return seen

    def _name(self, symbol: int) -> str:
        symbols = self._manifest.symbols
        return symbols[symbol].name if symbol < len(symbols) else "?"


def _longer(values: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    return np.pad(values, (0, size - len(values))) if len(values) < size else values


def _stands_at_entry(manifest: Manifest, symbol: Symbol) -> bool:
    """Whether the symbol's ENTER record stands for its call: there is no CALL, or none that counts."""
    in_range = symbol.target < len(manifest.targets)
    return symbol.enters_only or (in_range and manifest.targets[symbol.target].record == "entry")
