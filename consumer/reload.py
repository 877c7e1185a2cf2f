"""What a config that was read again asks for, put in force while its program runs: SIGUSR1 to wc-run.

Driven by requests.py: ``start`` has the config read (reread.py), ``poll`` goes on with what follows. First come the
targets that the session lacks, switched off, by the tracer (grow.py); then handlers change, in everything at once
(swap.py); then targets are switched on, with their frequency and limits, before those that the config names no more go,
so that there is no moment without any. Rules: a config with an error, or a library that cannot be loaded, changes
nothing; what a running session cannot change (handlers where no wrapper looks for any, what stands in code) is named,
and the rest is changed.

Absent on purpose: control words (control.py), and what a config means (the generator).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest, Target

from . import swap
from .control import Control
from .engine import Engine
from .planning import Source
from .reread import Answer, InForce, Reader, Wanted, forget
from .table import Pair

if TYPE_CHECKING:
    from .grow import Growing, Wish

Steps = Generator[None, None, None]
Tried = Generator[None, None, bool]


class Reload:
    """Puts one config in force again, as often as it is asked."""

    def __init__(
        self,
        config: str,
        program: str,
        engine: Engine,
        session: str,
        manifest: Manifest,
        injects: Sequence[str],
        growing: Growing,
    ) -> None:
        """*program*: the ELF file that runs, "" for any. *session*: the directory whose control page is changed.

        *injects*: what --inject adds to the config. *growing*: who gets the session the targets that it lacks.
        """
        self._config, self._session, self._manifest = config, session, manifest
        self._injects, self._growing = injects, growing
        self._reader = Reader(config, program, engine, session, manifest, injects)
        self._now = InForce(session, manifest)
        self._targets: dict[str, Wanted] = {}
        """What the config that was read last names."""
        self._again = self._anew_again = False
        self._copies: list[str] = []
        self._swap: swap.Swap | None = None
        self._steps: Steps | None = None
        self._problems: list[UserError] = []
        self.library = manifest.handlers
        """library_path as the config that was read last has it."""
        self.number = 0
        """Of the reading that is under way, or was the last."""
        self.changed = False
        """Whether that one is in force."""
        self.told = ""
        """What the last change of handlers came to, for the log."""

    @property
    def busy(self) -> bool:
        """Whether a change is under way."""
        return self._reader.busy or self._steps is not None

    def start(self, anew: bool = False) -> None:
        """Begin to read the config; once more after that if it is being read already. *anew*: its library, too."""
        if self.busy:
            self._again, self._anew_again = True, self._anew_again or anew
            return
        self.number += 1
        self.changed = False
        self._reader.start(self._now, self.number, anew)

    def poll(self) -> list[UserError]:
        """Go on with the change; return what could not be done."""
        if self._reader.busy and (answer := self._reader.poll()) is not None:
            self._steps = self._change(answer)
        if self._steps is not None:
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
        problems, self._problems = self._problems, []
        return problems

    def again(self) -> bool:
        """Begin what was asked for while something was under way; return whether anything was."""
        anew, wanted = self._anew_again, self._again
        self._again = self._anew_again = False
        if wanted:
            self.start(anew)
        return wanted

    def close(self) -> None:
        """Forget a change that has not ended."""
        self._reader.close()
        if self._swap is not None:
            self._swap.close()
        for path in self._copies:
            forget(path)

    # Steps: they yield while something is awaited.

    def _change(self, answer: Answer) -> Steps:
        if answer.errors:
            self._problems += [UserError(f"{what}; nothing changes", *rest) for what, *rest in answer.errors]
            return
        if answer.copy and answer.copy != self._now.copy:
            self._copies.append(answer.copy)
        self.library = answer.library or self.library
        self._targets = {target.name: target for target in answer.targets}
        brought = yield from self._bring(sorted(self._targets.keys() - self._known().keys()))
        if not (yield from self._have_handlers(answer)):
            if brought:
                yield from self._answered(self._growing.wish(self._source, [], brought))
            return
        known = self._known()
        self._switch_on([name for name in self._targets if name in known])
        self._name_compiled_in(known, brought)
        gone = self._growing.added(name for name in known if name not in self._targets)
        if gone:
            yield from self._answered(self._growing.wish(self._source, [], gone))
        self._switch_off()

    def _bring(self, missing: list[str]) -> Generator[None, None, list[str]]:
        """Get the session what it lacks, switched off; return which of it there is."""
        if not missing:
            return []
        wish = self._growing.wish(self._source, missing, [])
        yield from self._answered(wish)
        known = self._known()
        left = [name for name in missing if name not in known]
        error = wish.outcome.error if wish.outcome is not None else None
        if left:
            said = f"{error[0]}: {error[2]}" if error and error[2] else error[0] if error else ""
            why = said or "the tracer, who serves what comes while a program runs, finds none"
            self._warn(f"not intercepted: {', '.join(left)}", why, "start the program again")
        return [name for name in missing if name in known]

    def _answered(self, wish: Wish) -> Steps:
        while wish.outcome is None:
            yield

    def _have_handlers(self, answer: Answer) -> Tried:
        """Change the handlers everywhere; return whether that could be done."""
        pairs = self._pairs()
        copied = answer.copy if pairs else ""
        if pairs == self._now.pairs and copied in ("", self._now.copy):
            return True
        try:
            self._swap = self._swap or swap.Swap(self._session)
            self._swap.begin(copied, pairs, self._growing.tracer)
        except UserError as error:
            self._warn(f"{error.what}; nothing changes", error.why, error.try_, error.at)
            return False
        while (outcome := self._swap.poll()) is None:
            yield
        return self._have_swapped(outcome, answer.library, copied, pairs)

    def _have_swapped(self, outcome: swap.Outcome, library: str, copied: str, pairs: dict[int, Pair]) -> bool:
        now = self._now
        if outcome.failed:
            self._drop_copies(now.copy)
            self._warn(f"the new handlers cannot be loaded in process {_list(outcome.failed)}; nothing changes")
            return False
        now.pairs, now.library, now.copy = pairs, library, copied or now.copy
        if not outcome.late:
            self._drop_copies(now.copy)
        self.told = f"handlers in force in {outcome.acting} processes after {outcome.took_ns / 1e6:.1f} ms"
        if outcome.late:
            why = "it has not answered: it takes them when it runs on"
            self._warn(f"the new handlers are not in force yet in process {_list(outcome.late)}", why)
        return True

    # What there is.

    @property
    def _source(self) -> Source:
        return Source(self._config, tuple(self._injects))

    def _pairs(self) -> dict[int, Pair]:
        """Return the handlers by target; name the targets that cannot have those that they ask for."""
        fixed = {symbol.target for symbol in self._manifest.symbols if symbol.engine == "preload"}
        if self._manifest.handlers:
            fixed = set()  # every wrapper looks for handlers
        pairs, without = {}, []
        for number, target in enumerate(self._manifest.targets):
            wanted = self._targets.get(target.name)
            if wanted is None or wanted.pair == ("", "") or target.internal or number in self._growing.dropped:
                continue
            if number in fixed:
                without.append(target.name)
            else:
                pairs[number] = wanted.pair
        if without:
            why = "the program began without library_path: no wrapper looks for handlers"
            self._warn(f"other handlers for {', '.join(sorted(without))} do not run", why, "start it again")
        return pairs

    def _known(self) -> dict[str, Target]:
        """What can be switched on, by name."""
        dropped = self._growing.dropped
        targets = enumerate(self._manifest.targets)
        return {target.name: target for number, target in targets if not target.internal and number not in dropped}

    def _switch_on(self, names: Sequence[str]) -> None:
        control = Control(self._session, self._manifest)
        for name in names:
            target = self._targets[name]
            try:
                control.set(name, on=True, frequency=target.frequency, drop=target.drop,
                            max_per_second=target.max_per_second, min_duration=target.min_duration)  # fmt: skip
            except UserError as error:  # its records have no duration in this session
                self._problems.append(error)

    def _switch_off(self) -> None:
        gone = [name for name in self._known() if name not in self._targets]
        if gone:
            Control(self._session, self._manifest).disable(*gone)
        self.changed = True

    def _name_compiled_in(self, known: dict[str, Target], brought: Sequence[str]) -> None:
        """Name what stays as it was, of targets that were there."""
        for key, what in (("inject", "what is injected"), ("when", "a condition")):
            both = [name for name in sorted(self._targets) if name in known and name not in brought]
            other = [name for name in both if getattr(self._targets[name], key) != getattr(known[name], key)]
            if other:
                why = f"{what} stands in the code that the program began with"
                self._warn(f"another {key} of {', '.join(other)} is not in force", why, "start it again")

    def _drop_copies(self, keep: str) -> None:
        """Delete copies that nobody will load any more; what is mapped stays."""
        for path in self._copies:
            if path != keep:
                forget(path)
        self._copies = [path for path in self._copies if path == keep]

    def _warn(self, what: str, why: str = "", try_: str = "", at: str = "") -> None:
        self._problems.append(UserError(what, at or self._config, why, try_))


def _list(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids))
