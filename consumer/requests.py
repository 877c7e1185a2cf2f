"""What wc-run is asked for while its program runs: SIGUSR1, the config again; SIGUSR2, its handler library as well.

Called by live.py in its loop; the signals are blocked from wc-run's first instruction on (native/wc_run.c), so that
one which came before the program ran is answered once it does. Rules: every request is answered, in the session's
file ``reloaded``: ``wc-ctl SESSION reload`` waits for it there; what cannot be done is a warning of wc-run's as well.

Absent on purpose: how things change (reload.py, swap.py).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest

from .ask import Reloaded, tell
from .engine import Engine
from .launch import resolve
from .log import Log
from .options import Options
from .reload import Reload
from .session import SessionDirectory

if TYPE_CHECKING:
    from .attached import Attached
    from .grow import Growing
    from .life import Life

NAMES = {10: "SIGUSR1", 12: "SIGUSR2"}


class Requests:
    """Answers what *life* was asked for."""

    def __init__(
        self,
        given: Options,
        session: SessionDirectory,
        log: Log,
        life: Life | Attached,
        manifest: Manifest,
        growing: Growing,
    ) -> None:
        self._given, self._session, self._log, self._life = given, session, log, life
        self._manifest = manifest
        self._reload: Reload | None = None
        self._growing = growing
        self._begun = 0
        self._problems: list[UserError] = []

    @property
    def busy(self) -> bool:
        """Whether a change is under way, which wants to be looked at soon."""
        return self._reload is not None and self._reload.busy

    def answer(self) -> None:
        """Begin what is asked for, and go on with what has begun."""
        asked, self._life.requests[:] = list(self._life.requests), []
        for number in asked:
            self._ask(number)
        if self._begun and self._reload is not None:
            self._go_on(self._reload)

    def close(self) -> None:
        if self._reload is not None:
            self._reload.close()

    def _ask(self, number: int) -> None:
        if self._given.config is None:
            said = f"{NAMES[number]}: this run has no config to read again; nothing changes"
            self._log.line(said)
            tell(self._session.path, Reloaded(time.monotonic_ns(), False, [(said, "", "", "wc-run -c CONFIG")]))
            return
        self._log.note(f"{NAMES[number]}: reading {self._given.config} again")
        self._reload = self._reload or self._make()
        if not self._reload.busy:
            self._begin()
        self._reload.start(anew=number == 12)

    def _begin(self) -> None:
        self._begun, self._problems = time.monotonic_ns(), []

    def _go_on(self, reload: Reload) -> None:
        problems = reload.poll()
        self._session.library = reload.library
        for problem in problems:
            self._log.warn(problem.what, problem.at, problem.why, problem.try_)
            self._problems.append(problem)
        if reload.told:
            self._log.note(reload.told)
            reload.told = ""
        if reload.busy:
            return
        told = [(each.what, each.at, each.why, each.try_) for each in self._problems]
        tell(self._session.path, Reloaded(self._begun, reload.changed, told))
        self._begun = 0
        if reload.again():
            self._begin()

    def _make(self) -> Reload:
        """What reads the config again, for the program that runs."""
        program = f"/proc/{self._life.pid}/exe"
        if self._given.program:
            program = os.fsdecode(resolve(self._given.program[0], dict(os.environb)).image)
        alone = not os.path.lexists(self._session.shim_link)
        engine: Engine = "ptrace" if alone else self._given.engine
        return Reload(self._given.config or "", program, engine, self._session.path, self._manifest,
                      self._given.inject, self._growing)  # fmt: skip
