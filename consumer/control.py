"""The control page of a session, changed while its programs run: what each target does from the next call on.

Used by wc-ctl (ctl.py) and by the Python API (Session.control). A target's word is one aligned u64 that wrappers and
the tracer read at every call: a change is one store, no program stops for it, and every change has its own generation,
which comes back in a CONTROL record of each ring that acts on it. Rules: one writer at a time (flock on the control
file); nothing is changed unless every name is understood; a session that has ended says so.

Absent on purpose: targets that the session does not have (grow.py).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, BinaryIO

import msgspec
from wc_intercept.generator.duration import NS_MOST, duration_ns
from wc_intercept.generator.errors import UserError, nearest
from wc_intercept.generator.manifest import Manifest, Target, decode

from . import abi_fields as abi
from .machine import ticks_per_second
from .shim import parse_manifest

MOST = (1 << 32) - 1
_KINDS = {"fn": "function", "sys": "syscall"}
_FREQUENCY, _GENERATION = 32, 0xFFFF << 16


class State(msgspec.Struct, frozen=True):
    """What one target does now."""

    name: str
    kind: str
    """"function" or "syscall"."""
    on: bool
    frequency: int
    """Every Nth call of a thread is recorded and handled; 1: each."""
    drop: bool
    """Whether its records are dropped when a ring is full, in a session that blocks."""
    max_per_second: int
    """Records a second, of all threads together; 0: any number."""
    min_duration: int
    """ns: calls that take less are not recorded."""
    generation: int
    """Changes with every change of any of these, modulo 65536."""


class Control:
    """The control page of the session in directory *path*. Raises UserError when it is none, or not of this version."""

    def __init__(self, path: str, manifest: Manifest | None = None) -> None:
        self.path = path
        self._name = os.path.join(path, "control")
        self.head = self._checked()
        """The fields of its head."""
        self.manifest = manifest or decode(self._manifest())

    def states(self) -> list[State]:
        """Return what every target does now, internal ones that nobody asked for left out."""
        targets = self.manifest.targets
        with open(self._name, "rb") as file:
            words, limits = _read(file, abi.CONTROL_WORDS, 8, len(targets)), list[bytes]()
            if any(int.from_bytes(word, "little") & abi.WORD_LIMITED for word in words):
                limits = _read(file, self.head["limits_at"], abi.LIMIT.size, len(targets))
        return [
            _state(target, int.from_bytes(words[number], "little"), limits[number] if limits else b"")
            for number, target in enumerate(targets)
            if not target.internal
        ]

    def enable(self, *names: str) -> list[str]:
        """Switch the targets that *names* (exact, or globs) stand for on; return which those are. Raises UserError."""
        return self._change(names, on=True)

    def disable(self, *names: str) -> list[str]:
        """Switch targets off: their next call is neither recorded nor counted."""
        return self._change(names, on=False)

    def set(
        self,
        *names: str,
        on: bool | None = None,
        frequency: int | None = None,
        drop: bool | None = None,
        max_per_second: int | None = None,
        min_duration: int | str | None = None,
    ) -> list[str]:
        """Change whether and how often targets are recorded, and whether they wait for room: all in one store each.

        *min_duration* is ns, or a text as "10us"; 0 takes a limit back. Of a glob, targets whose records have no
        duration stay without one; by name they are refused.
        """
        if frequency is not None and not 1 <= frequency <= MOST:
            raise UserError(f"frequency {frequency}: not from 1 to {MOST}")
        if max_per_second is not None and not 0 <= max_per_second <= MOST:
            raise UserError(f"max_per_second {max_per_second}: not from 0 to {MOST}")
        least = _least(min_duration)
        if least:
            self._check_durations(names)
        return self._change(names, on=on, frequency=frequency, drop=drop, most=max_per_second, least=least)

    def stop(self) -> None:
        """Close the session: from their next call on, programs pass everything through."""
        with self._page() as page:
            ctypes.c_uint64.from_buffer(page, abi.CONTROL.offset("closed")).value = 1
            for number in range(len(self.manifest.targets)):
                _Word(page, self.head, number).change(on=False)

    @property
    def consumer(self) -> int:
        """The pid of the session's wc-run."""
        return self.head["consumer_pid"]

    def _change(self, names: Sequence[str], **what: Any) -> list[str]:
        chosen = self.select(names)
        with self._page() as page:
            for number in chosen:
                given = what if not what.get("least") or self._timed[number] else {**what, "least": None}
                _Word(page, self.head, number).change(**given)
        return [self.manifest.targets[number].name for number in chosen]

    @cached_property
    def _timed(self) -> list[bool]:
        """Of each target, whether its records say how long a call took."""
        timed = [False] * len(self.manifest.targets)
        for symbol in self.manifest.symbols:
            timed[symbol.target] |= symbol.has_duration
        targets = self.manifest.targets
        return [yes and t.clock == "two" and t.record == "exit" for yes, t in zip(timed, targets, strict=True)]

    def _check_durations(self, names: Sequence[str]) -> None:
        for number in self.select(names):
            name = self.manifest.targets[number].name
            if not self._timed[number] and name in names:
                why = "its records do not say how long a call took"
                raise UserError(f"min_duration is not for {name}", self.path, why, "max_per_second, or frequency")

    def switch_off(self, numbers: Iterable[int]) -> None:
        """Switch the targets of these *numbers* off."""
        with self._page() as page:
            for number in numbers:
                _Word(page, self.head, number).change(on=False)

    def select(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of the targets that *names*, exact or globs, stand for. Raises UserError."""
        known: dict[str, list[int]] = {}
        for number, target in enumerate(self.manifest.targets):
            if not target.internal:
                known.setdefault(target.name, []).append(number)  # a function's and a system call's may be the same
        chosen: dict[int, None] = {}
        for name in names:
            kind, _, plain = name.rpartition(":") if name.startswith(("fn:", "sys:")) else ("", "", name)
            found = [plain] if plain in known else [target for target in known if fnmatchcase(target, plain)]
            if not found:
                close = nearest(name, known)
                raise UserError(f"no target '{name}' in this session", self.path, "wc-ctl SESSION show lists them",
                                " or ".join(close))  # fmt: skip
            numbers = [number for target in found for number in known[target]]
            if kind:
                numbers = [one for one in numbers if self.manifest.targets[one].kind == _KINDS[kind]]
            chosen.update(dict.fromkeys(numbers))
        return list(chosen)

    @contextmanager
    def _page(self) -> Iterator[mmap.mmap]:
        """The control file, mapped, with nobody else changing it."""
        with open(self._name, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if size < self.head["limits_at"] + abi.LIMIT.size * len(self.manifest.targets):
                raise UserError("the session's control page is cut short", self._name)
            page = mmap.mmap(file.fileno(), size)
            if int.from_bytes(page[(at := abi.CONTROL.offset("closed")) : at + 8], "little"):
                raise UserError(*ended(self.path))
            yield page

    def _checked(self) -> dict[str, int]:
        try:
            owner = os.stat(self.path).st_uid
            with open(self._name, "rb") as file:
                head: dict[str, int] = abi.CONTROL.unpack(file.read(abi.CONTROL.size).ljust(abi.CONTROL.size, b"\0"))
        except OSError as error:
            raise UserError(f"cannot open the session: {error.strerror}", self.path) from error
        if owner != os.geteuid():
            raise UserError("this is another user's session", self.path, "only who began it may touch it")
        if head["magic"] != abi.CONTROL_MAGIC or head["abi"] != abi.ABI_VERSION:
            raise UserError("this is not a session of this wc-intercept", self.path, "its control file differs")
        return head

    def _manifest(self) -> bytes:
        path = os.path.join(self.path, "manifest")
        try:
            with open(path, "rb") as file:
                return parse_manifest(file.read(), path)[2]
        except OSError as error:
            raise UserError(f"cannot read the session's manifest: {error.strerror}", path) from error


def ended(path: str) -> tuple[str, str, str]:
    """Say that nothing of the session in *path* can be changed any more."""
    return "the session has ended", path, "its programs pass everything through"


class _Word:
    """One target's word and limits in the mapped page: read, changed, and the word stored last, in one piece."""

    def __init__(self, page: mmap.mmap, head: dict[str, int], number: int) -> None:
        self._word = ctypes.c_uint64.from_buffer(page, abi.CONTROL_WORDS + 8 * number)
        self._page, self._at = page, head["limits_at"] + abi.LIMIT.size * number
        self._clock = head["clock"]

    def change(
        self,
        on: bool | None = None,
        frequency: int | None = None,
        drop: bool | None = None,
        most: int | None = None,
        least: int | None = None,
    ) -> None:
        word = self._word.value
        new = abi.word_with(word, on=bool(word & abi.WORD_ON) if on is None else on)
        if frequency is not None:
            new = new & ((1 << _FREQUENCY) - 1) | frequency << _FREQUENCY
        if drop is not None:
            new = new & ~abi.WORD_DROP | (abi.WORD_DROP if drop else 0)
        limited = self._limit(word, most, least)
        if limited is not None:
            new = new & ~abi.WORD_LIMITED | (abi.WORD_LIMITED if limited else 0)
        if limited is not None or new & ~_GENERATION != word & ~_GENERATION:
            self._word.value = new

    def _limit(self, word: int, most: int | None, least: int | None) -> bool | None:
        """Store the limits; return whether there are any, None when they are what they were."""
        raw = self._page[self._at : self._at + abi.LIMIT.size]
        old = abi.LIMIT.unpack(raw) if word & abi.WORD_LIMITED else dict.fromkeys(abi.LIMIT.fields, 0)
        most = old["most"] if most is None else most
        least = old["shortest_ns"] if least is None else least
        if (most, least) == (old["most"], old["shortest_ns"]):
            return None
        second = old["second"] or ticks_per_second(self._clock)
        new = abi.LIMIT.unpack(abi.limit(second, most, least))
        for name in ("second", "most", "shortest", "shortest_ns"):
            ctypes.c_uint64.from_buffer(self._page, self._at + abi.LIMIT.offset(name)).value = new[name]
        return bool(most or least)


def _least(given: int | str | None) -> int | None:
    found = duration_ns(given) if isinstance(given, str) else given
    if given is not None and (found is None or not 0 <= found <= NS_MOST):
        raise UserError(f"{given!r} is no time", why="a number with ns, us, ms or s is needed", try_="10us")
    return found


def _read(file: BinaryIO, at: int, size: int, count: int) -> list[bytes]:
    """Return *count* pieces of *size* bytes; what a program has cut off reads as zero."""
    file.seek(at)
    raw = file.read(size * count).ljust(size * count, b"\0")
    return [raw[i : i + size] for i in range(0, len(raw), size)]


def _state(target: Target, word: int, limit: bytes) -> State:
    limits = abi.LIMIT.unpack(limit if word & abi.WORD_LIMITED else b"")
    return State(
        target.name,
        target.kind,
        on=bool(word & abi.WORD_ON),
        frequency=max(word >> _FREQUENCY, 1),
        drop=bool(word & abi.WORD_DROP),
        max_per_second=limits["most"],
        min_duration=limits["shortest_ns"],
        generation=abi.word_generation(word),
    )
