"""The config read again while its program runs: SIGUSR1 to wc-run.

Driven by live.py: ``start`` forks a child that reads and plans the new config (0.2 s, in which the drain goes on),
``poll`` takes its answer and changes the control page: targets that the config names now are switched on, with their
frequency and on_full, before those that it names no more are switched off, so that there is no moment without any.
Rules: a config with an error changes nothing; what a running session cannot change (targets that it began without,
handlers) is named, and the rest is changed.

Absent on purpose: control words (control.py), and what a config means (the generator).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest, Target

from .control import Control
from .engine import Engine


class Wanted(msgspec.Struct, frozen=True):
    """One target of the new config."""

    name: str
    frequency: int
    drop: bool
    max_per_second: int
    min_duration: int
    back_enter: str
    back_exit: str
    inject: str


class Answer(msgspec.Struct, frozen=True):
    """What the child found: the targets, or what is wrong with the config (the fields of a UserError)."""

    targets: list[Wanted] = []
    errors: list[tuple[str, str, str, str]] = []


class Reload:
    """Reads one config again, as often as it is asked."""

    def __init__(
        self,
        config: str,
        program: str,
        engine: Engine,
        session: str,
        manifest: Manifest,
        injects: Sequence[str] = (),
    ) -> None:
        """*program*: the ELF file that runs, "" for any. *session*: the directory whose control page is changed.

        *injects*: what --inject adds to the config.
        """
        self._injects = injects
        self._config, self._program, self._engine = config, program, engine
        self._session, self._manifest = session, manifest
        self._child, self._pipe, self._heard = 0, -1, b""
        self._again = False

    def start(self) -> None:
        """Begin to read the config; once more after that if it is being read already."""
        if self._child:
            self._again = True
            return
        hear, tell = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.write(tell, msgspec.json.encode(self._read()))
            finally:
                os._exit(0)
        os.close(tell)
        os.set_blocking(hear, False)
        self._pipe, self._heard = hear, b""

    def poll(self) -> Iterator[UserError]:
        """Change what the new config asks for once it has been read; yield what could not be done."""
        if not self._child or not self._has_answered():
            return
        os.waitpid(self._child, 0)
        os.close(self._pipe)
        self._child, self._pipe = 0, -1
        try:
            answer = msgspec.json.decode(self._heard, type=Answer)
        except msgspec.MsgspecError:
            answer = Answer(errors=[("the config could not be read again", self._config, "its reader died", "")])
        if answer.errors:
            yield from (UserError(f"{what}; nothing changes", *rest) for what, *rest in answer.errors)
        else:
            yield from self._change(answer.targets)
        if self._again:
            self._again = False
            self.start()

    def close(self) -> None:
        """Forget a reading that has not ended."""
        if self._child:
            os.kill(self._child, 9)
            os.waitpid(self._child, 0)
            os.close(self._pipe)
            self._child = 0

    def _has_answered(self) -> bool:
        while True:
            try:
                piece = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return False
            if not piece:
                return True
            self._heard += piece

    def _read(self) -> Answer:
        """In the child: read and plan the config."""
        from wc_intercept.generator import build, config
        from wc_intercept.generator.inject import described
        from wc_intercept.generator.program import Program

        from .injected import with_injects

        try:
            program = Program.read(Path(self._program)) if self._program else None
            new = with_injects(config.load(self._config), self._injects, self._engine)
            planned = build.plan(new, program=program, scene=build.scene_of(self._engine, program))
            errors = [*planned.unknown, *build.nothing_left(new, planned.plan)]
        except UserError as error:
            errors = [error]
        if errors:
            return Answer(errors=[(error.what, error.at, error.why, error.try_) for error in errors])
        return Answer([
            Wanted(
                t.name, t.frequency, t.on_full == "drop", t.max_per_second, t.min_duration, t.back_enter, t.back_exit,
                described(t.inject),
            )
            for t in planned.plan.targets if not t.internal
        ])  # fmt: skip

    def _change(self, targets: Sequence[Wanted]) -> Iterator[UserError]:
        known = {target.name: target for target in self._manifest.targets if not target.internal}
        wanted = {target.name: target for target in targets}
        control = Control(self._session, self._manifest)
        missing = sorted(name for name in wanted if name not in known)
        for name, target in wanted.items():
            if name in known:
                try:
                    control.set(name, on=True, frequency=target.frequency, drop=target.drop,
                                max_per_second=target.max_per_second, min_duration=target.min_duration)  # fmt: skip
                except UserError as error:  # its records have no duration in this session
                    yield error
        gone = [name for name in known if name not in wanted]
        if gone:
            control.disable(*gone)
        if missing:
            why = "the program began without them: a running session has the targets that it began with"
            yield UserError(f"not intercepted: {', '.join(missing)}", self._config, why, "start the program again")
        faults = sorted(name for name in wanted if name in known and wanted[name].inject != known[name].inject)
        if faults:
            why = "what is injected stands in the code that the program began with"
            what = f"another inject of {', '.join(faults)} is not in force"
            yield UserError(what, self._config, why, "start it again")
        changed = sorted(name for name in wanted if name in known and _handlers(wanted[name]) != _handlers(known[name]))
        if changed:
            why = "handlers are those that the program began with"
            yield UserError(f"other handlers for {', '.join(changed)} do not run", self._config, why, "start it again")


def _handlers(target: Wanted | Target) -> tuple[str, str]:
    return target.back_enter, target.back_exit
