"""Runs a program under a shim in a session of its own and returns every record of it, with the accounts.

Used by test_runtime_*.py. ``trace(shim, program, ...)`` is all: it makes a session directory, starts the program with
it, reads the rings with ring_reader.py while it runs (or only afterwards), and takes the session away. Rules: what a
Trace holds is a copy; nothing of the session is left when ``trace`` returns.

Absent on purpose: wc-run and the consumer, whose own tests these are not.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ring_reader import Piece, Reader
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.consumer.shim import read_manifest
from wc_intercept.generator.manifest import Field, Manifest, decode

MOST_SECONDS = 120.0


class Bytes(NamedTuple):
    """What a record keeps of what a pointer argument points to."""

    data: bytes
    flags: int

    @property
    def unreadable(self) -> bool:
        return bool(self.flags & abi.BLOB_UNREADABLE)

    @property
    def truncated(self) -> bool:
        return bool(self.flags & abi.BLOB_TRUNCATED)


@dataclass
class Record:
    kind: int
    symbol: str
    """"" for what is no call."""
    pid: int
    tid: int
    result: int
    error: int
    args: dict[str, int]
    kept: dict[str, Bytes]
    ring: tuple[int, int]
    identity: tuple[int, ...] = ()
    """pid, tid, parent, reason of PROCESS and THREAD records; pid of EXEC."""
    clock: int = 0
    duration: int = 0


@dataclass
class RingState:
    """A ring at the end."""

    segment: int
    header: Any
    counts: Any
    torn: list[int]


@dataclass
class Trace:
    status: int
    stdout: str
    stderr: str
    manifest: Manifest
    pieces: list[Piece]
    rings: list[RingState]
    segments: list[Any]
    shared: list[Any]
    """Counts of calls without a ring, per segment."""
    control: dict[str, int]

    @cached_property
    def records(self) -> list[Record]:
        """All records, ring by ring in order. Slow: for tests with some thousands."""
        return list(_decode(self))

    def calls(self, *symbols: str) -> list[Record]:
        """The calls of *symbols*: returned ones, and those whose entry stands for them."""
        kinds = (abi.CALL, abi.ENTER)
        return [record for record in self.records if record.symbol in symbols and record.kind in kinds]

    @cached_property
    def heads(self) -> np.ndarray[Any, Any]:
        """The first cells of all records, as abi.CELL."""
        if not self.pieces:
            return np.zeros(0, abi.CELL)
        cells = np.concatenate([piece.cells for piece in self.pieces])
        return cells[(cells["kind"] != abi.CONTINUATION)]

    def symbol(self, name: str) -> int:
        return next(i for i, symbol in enumerate(self.manifest.symbols) if symbol.name == name)

    def target(self, name: str) -> int:
        return next(i for i, target in enumerate(self.manifest.targets) if target.name == name)

    def recorded(self, target: str) -> int:
        """How many calls of *target* the records show."""
        number, heads = self.target(target), self.heads
        targets = np.array([symbol.target for symbol in self.manifest.symbols])
        kinds = (abi.CALL,) if self.manifest.targets[number].record == "both" else (abi.CALL, abi.ENTER)
        mine = (heads["symbol"] < len(targets)) & np.isin(heads["kind"], kinds)
        return int((targets[heads["symbol"][mine]] == number).sum())

    def counts(self, target: str) -> Counter[str]:
        """The sums of *target*'s counters over all rings and ringless calls."""
        number, total = self.target(target), Counter[str]()
        for counts in [ring.counts for ring in self.rings] + self.shared:
            for name in ("calls", "sampled", "filtered", "suppressed", "lost", "returned"):
                total[name] += int(counts[name][number])
        return total

    def torn(self, target: str) -> int:
        """How many records of *target* were begun and never committed."""
        number = self.target(target)
        symbols = self.manifest.symbols
        seen = [symbol for ring in self.rings for symbol in ring.torn]
        return sum(symbol < len(symbols) and symbols[symbol].target == number for symbol in seen)

    def losses(self) -> Counter[str]:
        total = Counter[str]()
        for values in [ring.header["losses"] for ring in self.rings] + [s["shared_losses"] for s in self.segments]:
            total.update({abi.LOSS_NAMES[i]: int(n) for i, n in enumerate(values) if n and i < len(abi.LOSS_NAMES)})
        return total

    def check_identity(self, *targets: str, overwritten: bool = False) -> None:
        """Every call is recorded, counted as something else, torn, or never came to its commit: none twice, none not.

        A torn record is among the calls that came to their commit, or among those that did not; one whose header was
        never written is nobody's.
        """
        nameless = sum(ring.torn.count(abi.SYMBOL_NONE) for ring in self.rings)
        for target in targets:
            c, recorded, torn = self.counts(target), self.recorded(target), self.torn(target)
            inside = c["calls"] - c["sampled"] - c["filtered"] - c["suppressed"] - c["returned"]
            gone = c["returned"] - c["lost"] - recorded
            what = (target, c, recorded, torn, nameless)
            assert inside >= 0, what
            assert -inside <= gone, what
            assert overwritten or gone <= torn + nameless, what
            assert overwritten or recorded + torn <= c["returned"] - c["lost"] + inside, what


@contextmanager
def session_root(root: Path | str | None) -> Iterator[None]:
    if root is None:
        yield
        return
    before = os.environ.get("WC_SESSION_ROOT")
    os.environ["WC_SESSION_ROOT"] = str(root)
    try:
        yield
    finally:
        del os.environ["WC_SESSION_ROOT"]
        if before is not None:
            os.environ["WC_SESSION_ROOT"] = before


@dataclass
class Plan:
    """How a program is to be run; see the fields of wc_control."""

    policy: int = abi.BLOCK
    block_ms: int = 10_000  # the reader is slow, and the machine shared
    ring_cells: int = 16384
    rings: int = 256
    string_limit: int = 64
    follow: int = fields.FOLLOW_DEFAULT
    clock: int = abi.CLOCK_TSC
    budget: int | None = None
    root: Path | str | None = None
    live: bool = True
    """Read while it runs; else once, afterwards."""
    words: dict[str, int] = field(default_factory=dict)
    """Control words of targets, where they shall not be the shim's own."""
    env: dict[str, str] = field(default_factory=dict)
    preload_before: str = ""
    preload_after: str = ""
    reads: Callable[[], bool] = lambda: True
    """Whether the reader still lives: it neither reads nor beats when not."""
    wait_all: bool = False
    """Wait for what the program leaves running."""
    cwd: Path | str | None = None
    before_exec: Callable[[], None] | None = None
    prepared: Callable[[SessionDirectory], None] | None = None
    """Called with the session before the program starts."""
    started: Callable[[subprocess.Popen[bytes], SessionDirectory], None] | None = None
    tick: Callable[[subprocess.Popen[bytes], SessionDirectory], None] | None = None
    """Called between polls while the program runs."""


def open_session(shim: Path | str, plan: Plan) -> tuple[SessionDirectory, Manifest]:
    head, words, text = read_manifest(shim)
    manifest = decode(text)
    names = [target.name for target in manifest.targets]
    words = [plan.words.get(name, word) for name, word in zip(names, words, strict=True)]
    options = SessionOptions(
        policy=plan.policy, block_ms=plan.block_ms, ring_cells=plan.ring_cells, rings=plan.rings,
        string_limit=plan.string_limit, follow=plan.follow, clock=plan.clock, budget=plan.budget,
    )  # fmt: skip
    with session_root(plan.root):
        session = SessionDirectory.create(shim, (head, words, text), options)
    if manifest.handlers:
        os.symlink(manifest.handlers, f"{session.path}/handlers.so")
    return session, manifest


def environment(session: SessionDirectory, plan: Plan) -> dict[str, str]:
    preload = [plan.preload_before, session.shim_link, plan.preload_after]
    return os.environ | plan.env | {"WC_SESSION": session.path, "LD_PRELOAD": ":".join(filter(None, preload))}


def trace(shim: Path | str, *command: Any, **plan: Any) -> Trace:
    """Run *command* under *shim*; the keywords are Plan's fields."""
    asked = Plan(**plan)
    session, manifest = open_session(shim, asked)
    try:
        if asked.prepared:
            asked.prepared(session)
        return _run(session, manifest, [str(word) for word in command], asked)
    finally:
        session.remove()


def _run(session: SessionDirectory, manifest: Manifest, command: Sequence[str], plan: Plan) -> Trace:
    reader = Reader(session.path, plan.policy == abi.OVERWRITE)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, env=environment(session, plan), stdout=out, stderr=err, stdin=subprocess.DEVNULL, cwd=plan.cwd,
            preexec_fn=plan.before_exec,
        )  # fmt: skip
        try:
            if plan.started:
                plan.started(process, session)
            _follow(process, session, reader, plan)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        reader.poll(final=True)
        texts = [_text(out), _text(err)]
    trace = _collect(reader, session, manifest, process.returncode, texts)
    reader.close()
    return trace


def _follow(process: subprocess.Popen[bytes], session: SessionDirectory, reader: Reader, plan: Plan) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while process.poll() is None or (plan.wait_all and _is_mapped(reader)):
        assert time.monotonic() < deadline, "the program hangs"
        if plan.tick:
            plan.tick(process, session)
        lives = plan.reads()
        if lives:
            session.beat()
        if lives and plan.live and plan.policy != abi.OVERWRITE and reader.poll() > 1000:
            continue
        time.sleep(0.0005)
    if plan.wait_all:
        reader.poll()


def _is_mapped(reader: Reader) -> bool:
    """Whether any process still maps a segment."""
    names = {str(Path(segment.path).resolve()) for segment in reader.segments.values()}
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text()
        except OSError:
            continue
        if any(name in text for name in names):
            return True
    return False


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", "surrogateescape"))


def _collect(
    reader: Reader, session: SessionDirectory, manifest: Manifest, status: int, texts: Sequence[str]
) -> Trace:
    targets = len(manifest.targets)
    rings, shared, segments = [], [], []
    for segment in reader.segments.values():
        header = segment.header()
        segments.append(header.copy())
        shared.append(segment.counts(int(header["shared_counts"]), targets).copy())
        for ring in segment.rings:
            counts = segment.counts(ring.offset + int(header["counts_offset"]), targets)
            rings.append(RingState(segment.ordinal, segment.ring_header(ring).copy(), counts.copy(), ring.torn))
    control = {name: session.get(name) for name in ("used", "no_segment", "closed", "budget")}
    return Trace(status, texts[0], texts[1], manifest, reader.pieces, rings, segments, shared, control)


def _decode(trace: Trace) -> Iterator[Record]:
    """Records in the order of (segment, ring, position); pid and tid from the identity records."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    pieces = sorted(enumerate(trace.pieces), key=lambda item: (item[1].segment, item[1].ring, item[0]))
    for _, piece in pieces:
        place = piece.segment, piece.ring
        raw, at = piece.cells.tobytes(), 0
        while at < len(piece.cells):
            cell = piece.cells[at]
            body = raw[at * 64 : (at + int(cell["count"])) * 64]
            record = _record(trace.manifest, cell, body, place, owner.get(place, (0, 0)))
            if record.kind in (abi.PROCESS, abi.THREAD):
                owner[place] = record.identity[0], record.identity[1]
                record.pid, record.tid = owner[place]
            yield record
            at += int(cell["count"])


def _record(manifest: Manifest, cell: Any, body: bytes, place: tuple[int, int], owner: tuple[int, int]) -> Record:
    number, kind = int(cell["symbol"]), int(cell["kind"])
    record = Record(
        kind, manifest.symbols[number].name if number < len(manifest.symbols) else "", *owner,
        int(np.uint64(cell["result"]).astype(np.int64)), int(cell["error"]), {}, {}, place,
        clock=int(cell["clock"]), duration=int(cell["duration"]),
    )  # fmt: skip
    if kind in (abi.PROCESS, abi.THREAD):
        record.identity = abi.identity_of(cell)
    elif kind == abi.EXEC:
        record.kept["path"] = _kept(body, fields.FIRST_ARGS)
        record.identity = (int.from_bytes(body[fields.FIRST_ARGS + 4 : fields.FIRST_ARGS + 8], "little"),)
    elif kind in (abi.CALL, abi.ENTER):
        for entry in manifest.symbols[number].fields:
            record.args[entry.name] = _value(entry, body)
            if entry.blob:
                record.kept[entry.name] = _kept(body, entry.blob)
    return record


def _value(entry: Field, body: bytes) -> int:
    raw = body[entry.offset : entry.offset + entry.size]
    return int.from_bytes(raw, "little", signed=entry.type == "int")


def _kept(body: bytes, offset: int) -> Bytes:
    length = int.from_bytes(body[offset : offset + 2], "little")
    flags, cell = body[offset + 2], body[offset + 3]
    payload = b"".join(body[i + 8 : i + 64] for i in range(cell * 64, len(body), 64)) if cell else b""
    return Bytes(payload[:length], flags)
