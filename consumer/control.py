"""The control page of a session, changed while its programs run: what each target does from the next call on.

Used by wc-ctl (ctl.py) and by the Python API (Session.control). A target's word is one aligned u64 that wrappers and
the tracer read at every call: a change is one store, no program stops for it, and every change has its own generation,
which comes back in a CONTROL record of each ring that acts on it. Rules: one writer at a time (flock on the control
file); nothing is changed unless every name is understood; a session that has ended says so.

Absent on purpose: targets that the session's shim does not have.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from wc_intercept.generator.errors import UserError, nearest
from wc_intercept.generator.manifest import Manifest, decode

from . import abi_fields as abi
from .shim import parse_manifest

FREQUENCY_MOST = (1 << 32) - 1
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
    generation: int
    """Changes with every change of the word, modulo 65536."""


class Control:
    """The control page of the session in directory *path*. Raises UserError when it is none, or not of this version."""

    def __init__(self, path: str, manifest: Manifest | None = None) -> None:
        self.path = path
        self._name = os.path.join(path, "control")
        self._head = self._checked()
        self.manifest = manifest or decode(self._manifest())

    def states(self) -> list[State]:
        """Return what every target does now, internal ones that nobody asked for left out."""
        with open(self._name, "rb") as file:
            targets = self.manifest.targets
            file.seek(abi.CONTROL_WORDS)
            raw = file.read(8 * len(targets)).ljust(8 * len(targets), b"\0")
        words = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
        return [_state(t.name, t.kind, w) for t, w in zip(targets, words, strict=True) if not t.internal]

    def enable(self, *names: str) -> list[str]:
        """Switch the targets that *names* (exact, or globs) stand for on; return which those are. Raises UserError."""
        return self._change(names, on=True)

    def disable(self, *names: str) -> list[str]:
        """Switch targets off: their next call is neither recorded nor counted."""
        return self._change(names, on=False)

    def set(
        self, *names: str, on: bool | None = None, frequency: int | None = None, drop: bool | None = None
    ) -> list[str]:
        """Change whether and how often targets are recorded, and whether they wait for room: all in one store each."""
        if frequency is not None and not 1 <= frequency <= FREQUENCY_MOST:
            raise UserError(f"frequency {frequency}: not from 1 to {FREQUENCY_MOST}")
        return self._change(names, on=on, frequency=frequency, drop=drop)

    def stop(self) -> None:
        """Close the session: from their next call on, programs pass everything through."""
        with self._page() as page:
            ctypes.c_uint64.from_buffer(page, abi.CONTROL.offset("closed")).value = 1
            for number in range(len(self.manifest.targets)):
                _Word(page, number).change(on=False)

    @property
    def consumer(self) -> int:
        """The pid of the session's wc-run."""
        return self._head["consumer_pid"]

    @property
    def hash(self) -> int:
        """The manifest's, which every segment of the session has."""
        return self._head["manifest"]

    def _change(self, names: Sequence[str], **what: Any) -> list[str]:
        chosen = self._select(names)
        with self._page() as page:
            for number in chosen:
                _Word(page, number).change(**what)
        return [self.manifest.targets[number].name for number in chosen]

    def _select(self, names: Sequence[str]) -> list[int]:
        known = {t.name: number for number, t in enumerate(self.manifest.targets) if not t.internal}
        chosen: dict[int, None] = {}
        for name in names:
            found = [name] if name in known else [target for target in known if fnmatchcase(target, name)]
            if not found:
                close = nearest(name, known)
                raise UserError(f"no target '{name}' in this session", self.path, "wc-ctl SESSION show lists them",
                                " or ".join(close))  # fmt: skip
            chosen.update(dict.fromkeys(known[target] for target in found))
        return list(chosen)

    @contextmanager
    def _page(self) -> Iterator[mmap.mmap]:
        """The control file, mapped, with nobody else changing it."""
        with open(self._name, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if size < abi.CONTROL_WORDS + 8 * len(self.manifest.targets):
                raise UserError("the session's control page is cut short", self._name)
            page = mmap.mmap(file.fileno(), size)
            if int.from_bytes(page[(at := abi.CONTROL.offset("closed")) : at + 8], "little"):
                raise UserError("the session has ended", self.path, "its programs pass everything through")
            yield page

    def _checked(self) -> dict[str, int]:
        try:
            with open(self._name, "rb") as file:
                head: dict[str, int] = abi.CONTROL.unpack(file.read(abi.CONTROL.size).ljust(abi.CONTROL.size, b"\0"))
        except OSError as error:
            raise UserError(f"cannot open the session: {error.strerror}", self.path) from error
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


class _Word:
    """One target's word in the mapped page: read, changed and stored in one piece."""

    def __init__(self, page: mmap.mmap, number: int) -> None:
        self._cell = ctypes.c_uint64.from_buffer(page, abi.CONTROL_WORDS + 8 * number)

    def change(self, on: bool | None = None, frequency: int | None = None, drop: bool | None = None) -> None:
        word = self._cell.value
        new = abi.word_with(word, on=bool(word & abi.WORD_ON) if on is None else on)
        if frequency is not None:
            new = new & ((1 << _FREQUENCY) - 1) | frequency << _FREQUENCY
        if drop is not None:
            new = new & ~abi.WORD_DROP | (abi.WORD_DROP if drop else 0)
        if new & ~_GENERATION != word & ~_GENERATION:
            self._cell.value = new


def _state(name: str, kind: str, word: int) -> State:
    return State(name, kind, on=bool(word & abi.WORD_ON), frequency=max(word >> _FREQUENCY, 1),
                 drop=bool(word & abi.WORD_DROP), generation=abi.word_generation(word))  # fmt: skip
