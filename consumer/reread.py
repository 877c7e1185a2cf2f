"""A config read again in a child of wc-run: 0.2 s in which the drain goes on.

Used by reload.py. ``start`` forks; the child reads and plans the config, copies its handler library if that is to be
loaded anew, looks whether it has the handlers, and tells through a pipe what it has found; ``poll`` takes that. Rules:
wc-run's memory is copied, nothing of the session is changed; a config with any error is answered with the errors alone.

Absent on purpose: what is done about it (reload.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest

from . import swap
from .engine import Engine
from .session import HANDLERS_LINK
from .table import Pair

if TYPE_CHECKING:
    from wc_intercept.generator.config import Config
    from wc_intercept.generator.model import TargetPlan


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
    when: str

    @property
    def pair(self) -> Pair:
        return self.back_enter, self.back_exit


class Answer(msgspec.Struct, frozen=True):
    """What the child found: the targets, or what is wrong with the config (the fields of a UserError)."""

    targets: list[Wanted] = []
    library: str = ""
    """library_path of the config."""
    copy: str = ""
    """What is to be loaded: a copy of it, or what is loaded already; "" when no target has handlers."""
    errors: list[tuple[str, str, str, str]] = []


class InForce:
    """The handlers that a session's programs have now: *pairs* by target, of *library*, by way of its *copy*."""

    def __init__(self, session: str, manifest: Manifest) -> None:
        self.pairs: dict[int, Pair] = {
            number: (target.back_enter, target.back_exit)
            for number, target in enumerate(manifest.targets)
            if target.back_enter or target.back_exit
        }
        self.library = manifest.handlers
        self.copy = _first_copy(session) if self.pairs else ""


class Reader:
    """Reads *config* for the ELF file *program* ("" for any), with what --inject adds to it, whenever it is asked."""

    def __init__(
        self, config: str, program: str, engine: Engine, session: str, manifest: Manifest, injects: Sequence[str]
    ) -> None:
        self._config, self._program, self._engine = config, program, engine
        self._session, self._manifest, self._injects = session, manifest, injects
        self._child, self._pipe, self._heard = 0, -1, b""

    @property
    def busy(self) -> bool:
        return bool(self._child)

    def start(self, now: InForce, number: int, anew: bool) -> None:
        """Begin. *number*: of this reading; *anew*: the library, too."""
        hear, tell = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.write(tell, msgspec.json.encode(self._read(now, number, anew)))
            finally:
                os._exit(0)
        os.close(tell)
        os.set_blocking(hear, False)
        self._pipe, self._heard = hear, b""

    def poll(self) -> Answer | None:
        """Return what was found once it is known."""
        while True:
            try:
                piece = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return None
            if not piece:
                break
            self._heard += piece
        self._reap()
        try:
            return msgspec.json.decode(self._heard, type=Answer)
        except msgspec.MsgspecError:
            return Answer(errors=[("the config could not be read again", self._config, "its reader died", "")])

    def close(self) -> None:
        """Forget a reading that has not ended."""
        if self._child:
            os.kill(self._child, 9)
            self._reap()

    def _reap(self) -> None:
        os.waitpid(self._child, 0)
        os.close(self._pipe)
        self._child, self._pipe = 0, -1

    # In the child.

    def _read(self, now: InForce, number: int, anew: bool) -> Answer:
        """Read and plan the config."""
        from wc_intercept.generator import build, config
        from wc_intercept.generator.inject import described
        from wc_intercept.generator.program import Program

        from .injected import with_injects

        errors: Sequence[UserError]
        copied = ""
        try:
            program = Program.read(Path(self._program)) if self._program else None
            new = with_injects(config.load(self._config), self._injects, self._engine)
            planned = build.plan(new, program=program, scene=build.scene_of(self._engine, program))
            errors = [*planned.unknown, *build.nothing_left(new, planned.plan)]
            targets = [target for target in planned.plan.targets if not target.internal]
            if not errors and any(target.back_enter or target.back_exit for target in targets):
                copied = self._library_of(new, now, number, anew)
                errors = _missing(new, copied) if copied != now.copy or self._are_other(targets, now) else []
        except UserError as error:
            errors = [error]
        if errors:
            if copied and copied != now.copy:
                forget(copied)
            return Answer(errors=[(error.what, error.at, error.why, error.try_) for error in errors])
        return Answer([
            Wanted(
                t.name, t.frequency, t.on_full == "drop", t.max_per_second, t.min_duration, t.back_enter, t.back_exit,
                described(t.inject), t.when.text if t.when else "",
            )
            for t in targets
        ], new.library_path, copied)  # fmt: skip

    def _library_of(self, new: Config, now: InForce, number: int, anew: bool) -> str:
        """Return what to load: what is loaded, or a copy of what the config names. Raises UserError."""
        if now.copy and new.library_path == now.library and not anew:
            return now.copy
        try:
            return swap.copy(new.library_path, self._session, f"handlers-{number}.so")
        except OSError as error:
            at = new.where("library_path")
            what = f"cannot copy {new.library_path}: {error.strerror}"
            raise UserError(what, at, "it is loaded from a copy") from error

    def _are_other(self, targets: Sequence[TargetPlan], now: InForce) -> bool:
        """Whether handlers have changed: those that were missing from the start have been told."""
        known = {self._manifest.targets[number].name: pair for number, pair in now.pairs.items()}
        return any(known.get(t.name, ("", "")) != (t.back_enter, t.back_exit) for t in targets)


def forget(path: str) -> None:
    """Delete a copy that nobody will load any more; what is mapped stays."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _missing(new: Config, copied: str) -> list[UserError]:
    from wc_intercept.generator import handlers

    return [UserError(each.what, each.at, each.why, each.try_) for each in handlers.missing(new, copied)]


def _first_copy(session: str) -> str:
    """Return the path of the library that programs load when they start."""
    try:
        return os.readlink(os.path.join(session, HANDLERS_LINK))
    except OSError:
        return ""
