"""The config read again while its program runs: SIGUSR1 to wc-run.

Driven by requests.py: ``start`` forks a child that reads and plans the new config and copies its handler library if
that is to be loaded anew (0.2 s, in which the drain goes on), ``poll`` takes its answer. Then handlers change, in
every process at once (swap.py); then the control page: targets that the config names now are switched on, with their
frequency and on_full, before those that it names no more are switched off, so that there is no moment without any.
Rules: a config with an error, or a library that cannot be loaded, changes nothing; what a running session cannot
change (handlers where no wrapper looks for any, what stands in code) is named, and the rest is changed. Targets that
the session lacks come by the tracer (grow.py) before those that go are switched off.

Absent on purpose: control words (control.py), and what a config means (the generator).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest, Target

from . import swap
from .control import Control
from .engine import Engine
from .planning import Source
from .session import HANDLERS_LINK
from .table import Pair

if TYPE_CHECKING:
    from wc_intercept.generator.config import Config
    from wc_intercept.generator.model import TargetPlan

    from .grow import Growing, Wish
    from .tracer import Tracer


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


class Answer(msgspec.Struct, frozen=True):
    """What the child found: the targets, or what is wrong with the config (the fields of a UserError)."""

    targets: list[Wanted] = []
    library: str = ""
    """library_path of the config."""
    copy: str = ""
    """What is to be loaded: a copy of it, or what is loaded already; "" when no target has handlers."""
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
        tracer: Tracer | None,
        injects: Sequence[str],
        growing: Growing,
    ) -> None:
        """*program*: the ELF file that runs, "" for any. *session*: the directory whose control page is changed.

        *injects*: what --inject adds to the config. *growing*: who gets the session the targets that it lacks.
        """
        self._injects, self._growing = injects, growing
        self._wish: Wish | None = None
        self._targets: dict[str, Wanted] = {}
        """What the config that was read last names."""
        self._config, self._program, self._engine = config, program, engine
        self._session, self._manifest, self._tracer = session, manifest, tracer
        self._child, self._pipe, self._heard = 0, -1, b""
        self._again = self._anew = self._anew_again = False
        self._copies: list[str] = []
        self._pairs = _first_pairs(manifest)
        self._library = self.library = manifest.handlers
        """That in force, and the one that was asked for last: library_path as the config has it."""
        self._copy = _first_copy(session) if self._pairs else ""
        self.number = 0
        """Of the reading that is under way, or was the last."""
        self.changed = False
        """Whether that one is in force."""
        self._swap: swap.Swap | None = None
        self._answer: Answer | None = None
        self.told = ""
        """What the last change of handlers came to, for the log."""

    @property
    def busy(self) -> bool:
        """Whether a change is under way."""
        return bool(self._child) or self._answer is not None or self._wish is not None

    def start(self, anew: bool = False) -> None:
        """Begin to read the config; once more after that if it is being read already. *anew*: its library, too."""
        if self.busy:
            self._again, self._anew_again = True, self._anew_again or anew
            return
        self._anew = anew
        self.number += 1
        self.changed = False
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
        if self._child and self._has_answered():
            yield from self._take(self._answered())
        if self._answer is not None:
            yield from self._follow_swap()
        if self._wish is not None and self._wish.outcome is not None:
            yield from self._finish(self._wish)

    def again(self) -> bool:
        """Begin what was asked for while something was under way; return whether anything was."""
        anew, wanted = self._anew_again, self._again
        self._again = self._anew_again = False
        if wanted:
            self.start(anew)
        return wanted

    def close(self) -> None:
        """Forget a reading that has not ended."""
        if self._child:
            os.kill(self._child, 9)
            os.waitpid(self._child, 0)
            os.close(self._pipe)
            self._child = 0
        if self._swap is not None:
            self._swap.close()
        for path in self._copies:
            _forget(path)

    def _has_answered(self) -> bool:
        while True:
            try:
                piece = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return False
            if not piece:
                return True
            self._heard += piece

    def _answered(self) -> Answer:
        os.waitpid(self._child, 0)
        os.close(self._pipe)
        self._child, self._pipe = 0, -1
        try:
            return msgspec.json.decode(self._heard, type=Answer)
        except msgspec.MsgspecError:
            return Answer(errors=[("the config could not be read again", self._config, "its reader died", "")])

    # In the child.

    def _read(self) -> Answer:
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
                copied = self._library_of(new)
                errors = self._missing(new, copied) if copied != self._copy or self._are_other(targets) else []
        except UserError as error:
            errors = [error]
        if errors:
            if copied and copied != self._copy:
                _forget(copied)
            return Answer(errors=[(error.what, error.at, error.why, error.try_) for error in errors])
        return Answer([
            Wanted(
                t.name, t.frequency, t.on_full == "drop", t.max_per_second, t.min_duration, t.back_enter, t.back_exit,
                described(t.inject), t.when.text if t.when else "",
            )
            for t in targets
        ], new.library_path, copied)  # fmt: skip

    def _library_of(self, new: Config) -> str:
        """Return what to load: what is loaded, or a copy of what the config names. Raises UserError."""
        if self._copy and new.library_path == self._library and not self._anew:
            return self._copy
        try:
            return swap.copy(new.library_path, self._session, f"handlers-{self.number}.so")
        except OSError as error:
            at = new.where("library_path")
            what = f"cannot copy {new.library_path}: {error.strerror}"
            raise UserError(what, at, "it is loaded from a copy") from error

    def _missing(self, new: Config, copied: str) -> list[UserError]:
        from wc_intercept.generator import handlers

        return [UserError(each.what, each.at, each.why, each.try_) for each in handlers.missing(new, copied)]

    def _are_other(self, targets: Sequence[TargetPlan]) -> bool:
        """Whether handlers have changed: those that were missing from the start have been told."""
        known = {self._manifest.targets[number].name: pair for number, pair in self._pairs.items()}
        return any(known.get(t.name, ("", "")) != (t.back_enter, t.back_exit) for t in targets)

    # In wc-run.

    def _take(self, answer: Answer) -> Iterator[UserError]:
        if answer.errors:
            yield from (UserError(f"{what}; nothing changes", *rest) for what, *rest in answer.errors)
            return
        if answer.copy and answer.copy != self._copy:
            self._copies.append(answer.copy)
        self.library = answer.library or self.library
        pairs, without = self._pairs_of(answer.targets)
        if without:
            why = "the program began without library_path: no wrapper looks for handlers"
            yield UserError(f"other handlers for {', '.join(without)} do not run", self._config, why, "start it again")
        copied = answer.copy if any(pair != ("", "") for pair in pairs.values()) else ""
        if pairs == self._pairs and copied in ("", self._copy):
            yield from self._change(answer.targets)
            return
        try:
            self._swap = self._swap or swap.Swap(self._session, self._tracer)
            self._swap.begin(copied, pairs)
        except UserError as error:
            yield UserError(f"{error.what}; nothing changes", error.at, error.why, error.try_)
            return
        self._answer = msgspec.structs.replace(answer, copy=copied)

    def _follow_swap(self) -> Iterator[UserError]:
        """Go on when the handlers have changed everywhere, or cannot."""
        assert self._swap is not None and self._answer is not None
        outcome = self._swap.poll()
        if outcome is None:
            return
        answer, self._answer = self._answer, None
        if outcome.failed:
            self._drop_copies(self._copy)
            where = ", ".join(map(str, outcome.failed))
            yield UserError(f"the new handlers cannot be loaded in process {where}; nothing changes", self._config)
            return
        self._pairs, self._library = self._pairs_of(answer.targets)[0], answer.library
        self._copy = answer.copy or self._copy
        if not outcome.late:
            self._drop_copies(self._copy)
        self.told = f"handlers in force in {outcome.acting} processes after {outcome.took_ns / 1e6:.1f} ms"
        if outcome.late:
            late = ", ".join(map(str, outcome.late))
            why = "it has not answered: it takes them when it runs on"
            yield UserError(f"the new handlers are not in force yet in process {late}", self._config, why)
        yield from self._change(answer.targets)

    def _pairs_of(self, targets: Sequence[Wanted]) -> tuple[dict[int, Pair], list[str]]:
        """Return the handlers by target, and the names of targets that cannot have those that they ask for."""
        wanted = {target.name: (target.back_enter, target.back_exit) for target in targets}
        fixed = {symbol.target for symbol in self._manifest.symbols if symbol.engine == "preload"}
        if self._manifest.handlers:
            fixed = set()  # every wrapper looks for handlers
        pairs, without = {}, []
        for number, target in enumerate(self._manifest.targets[: self._growing.base]):
            pair = wanted.get(target.name, ("", "")) if not target.internal else ("", "")
            if number in fixed and pair != ("", ""):
                without.append(target.name)
            elif pair != ("", ""):
                pairs[number] = pair
        return pairs, sorted(without)

    def _drop_copies(self, keep: str) -> None:
        """Delete copies that nobody will load any more; what is mapped stays."""
        for path in self._copies:
            if path != keep:
                _forget(path)
        self._copies = [path for path in self._copies if path == keep]

    def _change(self, targets: Sequence[Wanted]) -> Iterator[UserError]:
        """Switch on what the session has, and ask for what it lacks."""
        known = self._known()
        self._targets = {target.name: target for target in targets}
        yield from self._switch_on([name for name in self._targets if name in known])
        yield from self._compiled_in(known)
        missing = sorted(name for name in self._targets if name not in known)
        gone = self._growing.added(name for name in known if name not in self._targets)
        if missing or gone:
            self._wish = self._growing.wish(Source(self._config, tuple(self._injects)), missing, gone)
            return
        self._switch_off()

    def _finish(self, wish: Wish) -> Iterator[UserError]:
        """What the session lacked is there, or cannot be: now what the config names no more goes off."""
        self._wish = None
        known = self._known()
        yield from self._switch_on([name for name in wish.names if name in known])
        self._switch_off()
        missing = [name for name in wish.names if name not in known]
        error = wish.outcome.error if wish.outcome is not None else None
        if missing:
            said = f"{error[0]}: {error[2]}" if error and error[2] else error[0] if error else ""
            why = said or "the tracer, who serves what comes while a program runs, finds none"
            yield UserError(f"not intercepted: {', '.join(missing)}", self._config, why, "start the program again")
        without = [name for name in wish.names if name in known and self._pair(name) != ("", "")]
        if without:
            why = "targets that come while the program runs have none"
            said = f"the handlers of {', '.join(without)} do not run"
            yield UserError(said, self._config, why, "start the program again")

    def _pair(self, name: str) -> Pair:
        return self._targets[name].back_enter, self._targets[name].back_exit

    def _known(self) -> dict[str, Target]:
        """What can be switched on, by name."""
        dropped = self._growing.dropped
        return {t.name: t for t in self._manifest.targets if not t.internal and t.name not in dropped}

    def _switch_on(self, names: Sequence[str]) -> Iterator[UserError]:
        control = Control(self._session, self._manifest)
        for name in names:
            target = self._targets[name]
            try:
                control.set(name, on=True, frequency=target.frequency, drop=target.drop,
                            max_per_second=target.max_per_second, min_duration=target.min_duration)  # fmt: skip
            except UserError as error:  # its records have no duration in this session
                yield error

    def _switch_off(self) -> None:
        gone = [name for name in self._known() if name not in self._targets]
        if gone:
            Control(self._session, self._manifest).disable(*gone)
        self.changed = True

    def _compiled_in(self, known: Mapping[str, Target]) -> Iterator[UserError]:
        for key, what in (("inject", "what is injected"), ("when", "a condition")):
            both = (name for name in sorted(self._targets) if name in known)
            other = [name for name in both if getattr(self._targets[name], key) != getattr(known[name], key)]
            if other:
                why = f"{what} stands in the code that the program began with"
                said = f"another {key} of {', '.join(other)} is not in force"
                yield UserError(said, self._config, why, "start it again")


def _first_pairs(manifest: Manifest) -> dict[int, Pair]:
    return {
        number: (target.back_enter, target.back_exit)
        for number, target in enumerate(manifest.targets)
        if target.back_enter or target.back_exit
    }


def _first_copy(session: str) -> str:
    """Return the path of the library that programs load when they start."""
    try:
        return os.readlink(os.path.join(session, HANDLERS_LINK))
    except OSError:
        return ""


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
