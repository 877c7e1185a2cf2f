"""Handlers changed in everything that runs: proposed, prepared by every process, then in force, or nothing at all.

Driven by reload.py. ``begin`` writes the change into the session's table and wakes whoever sleeps there: the control
thread of each process under a shim that takes handlers, and the tracer. ``poll`` watches their answers. Rules: a
change is put in force only when nobody has failed to load it; one that does not answer (it is stopped) is waited for
PATIENCE_NS, named, and takes the change when it runs on; every library is loaded from a copy of its own (``copy``),
so that a new file at the same path is really the new one, and one that is overwritten is not torn away under calls
that are inside it.

Absent on purpose: what the handlers are (reload.py), and the table's layout (table.py).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping

from wc_intercept.generator.errors import UserError

from .machine import Native
from .table import ASKED_AT, Answer, Full, Pair, Table
from .tracer import Tracer

PATIENCE_NS = 3_000_000_000
ORIGIN = (b"$ORIGIN", b"${ORIGIN}")
NOEXEC = 8


class Outcome:
    """How a change ended: *failed*, pids where it cannot be made; *late*, those that have not answered."""

    def __init__(self, failed: list[int], late: list[int], acting: int, took_ns: int) -> None:
        self.failed, self.late, self.acting, self.took_ns = failed, late, acting, took_ns


class Swap:
    """Makes one change after the other in the session *path*. Raises UserError when it has no table."""

    def __init__(self, path: str) -> None:
        try:
            self._table = Table(path)
        except OSError as error:
            why = f"the session has no table: {error.strerror}"
            raise UserError("handlers cannot be changed", path, why) from error
        self._native = Native()
        self._tracer: Tracer | None = None
        self._page = self._native.map_page(self._table.file, 0)
        self._number = self._begun = self._deadline = 0
        self._decided = False
        self._late: list[int] = []

    def begin(self, library: str, pairs: Mapping[int, Pair], tracer: Tracer | None) -> None:
        """Propose *library* and the handlers by target. Raises UserError when the names take too much room.

        *tracer*: the session's, if it has one now.
        """
        self._tracer = tracer
        try:
            self._number = self._table.propose(library, pairs)
        except Full:
            raise UserError("the handlers' names take more room than a session has for them") from None
        self._begun = time.monotonic_ns()
        self._deadline = self._begun + PATIENCE_NS
        self._decided, self._late = False, []
        self._wake()

    def poll(self) -> Outcome | None:
        """Return how the change ended, None while it is under way."""
        answers = self._table.answers()
        if not self._decided:
            failed = [one.pid for one in answers if one.failed == self._number]
            if failed:
                self._table.withdraw()
                return self._outcome(answers, failed)
            self._late = [one.pid for one in answers if one.ready != self._number]
            if self._late and time.monotonic_ns() < self._deadline:
                return None
            self._table.decide()
            self._decided = True
            self._wake()
            answers = self._table.answers()
        waited = [one.pid for one in answers if one.acting != self._number and one.pid not in self._late]
        if waited and time.monotonic_ns() < self._deadline + PATIENCE_NS:
            return None
        return self._outcome(answers, [])

    def close(self) -> None:
        self._native.unmap_page(self._page)
        self._table.close()

    def _outcome(self, answers: list[Answer], failed: list[int]) -> Outcome:
        acting = [one.pid for one in answers if one.acting == self._number]
        late = [one.pid for one in answers if one.acting != self._number]
        return Outcome(failed, [] if failed else late, len(acting), time.monotonic_ns() - self._begun)

    def _wake(self) -> None:
        if self._page:
            self._native.wake(self._page + ASKED_AT)
        if self._tracer is not None:
            self._tracer.look()


def copy(library: str, session: str, name: str) -> str:
    """Copy *library* to where it can be loaded from, and return that path. Raises OSError.

    In the session's directory, under *name*; beside the original where that forbids programs, or where the library
    finds others by $ORIGIN, the directory that it lies in.
    """
    with open(library, "rb") as file:
        data = file.read()
    folder = session
    if any(word in data for word in ORIGIN) or os.statvfs(session).f_flag & NOEXEC:
        folder = os.path.dirname(os.path.abspath(library))
        name = f".{os.path.basename(session)}-{name}"
    path = os.path.join(folder, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
    try:
        with open(descriptor, "wb") as made:
            made.write(data)
    except OSError:
        os.unlink(path)
        raise
    shutil.copystat(library, path)
    return path
