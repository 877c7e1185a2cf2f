"""Targets that a running session gets and drops: wc-ctl's add and drop, answered by wc-run.

Driven by live.py: ``poll`` in its loop, ``hears`` with what the tracer says. What is added is the tracer's, whatever
serves the rest: it is planned in a child (planning.py), the session's manifest and control file grow, and the tracer
plants it in the programs that run. A session without a tracer gets one, attached to all its processes, and loses it
when the last target that it was there for is dropped. Rules: nothing here waits (the drain goes on: steps are a
generator, resumed at each poll); one question after another; what fails leaves everything switched on as it was.

Absent on purpose: the socket (desk.py), control words of targets that are there (control.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Growth, encode

from . import abi_fields as abi
from .belonging import processes
from .control import Control, ended
from .desk import Answer, Desk, Question, answer
from .planning import Found, Planning, Source
from .refusal import Refusal
from .tracer import Tracer

if TYPE_CHECKING:
    from socket import socket

    from .drain import Drain
    from .engine import Engine
    from .session import SessionDirectory

MOST_NUMBERS = 60
"""Targets that one message to the tracer names."""
ROUNDS = 5
"""Looks for processes that were born while others were attached to."""
STOPS_AT_ALL = (
    "system calls that are added stop the program at each of its system calls: "
    "no filter for them can be added while it runs"
)
Steps = Generator[None, None, Answer]


class Wish(msgspec.Struct):
    """What a config that was read again asks for: *names* of its targets are added, off; *gone* are dropped."""

    source: Source
    names: list[str]
    gone: list[str]
    outcome: Answer | None = None
    """Once it is answered."""


class Growing:
    """One session's targets that come and go. *tracer*: the one that it has, None when it has none now."""

    def __init__(
        self,
        session: SessionDirectory,
        drain: Drain,
        tracer: Tracer | None,
        main: Callable[[], tuple[int, Engine, str, bool]],
        tell: Callable[[Growth], None],
        asks: Sequence[tuple[str, str]] = (),
    ) -> None:
        """*main* gives the program's pid, how plain names are meant, its ELF file, and whether children are followed.

        *tell* is called with each growth before any record of it is drained.
        *asks*: (name, way) of what Python handlers decide about.
        """
        self.tracer = tracer
        self._session, self._drain, self._main, self._tell = session, drain, main, tell
        self._late, self._asks = tracer is None, asks
        self._desk = Desk(session.path)
        self._plans: list[tuple[int, int, str]] = []
        self._dropped: set[int] = set()
        self._steps: Steps | None = None
        self._asker: socket | None = None
        self._wishes: list[Wish] = []
        self._wish: Wish | None = None
        self._planning: Planning | None = None
        self._said: tuple[str, str] | None = None
        self._waits = False

    def poll(self) -> None:
        """Take the next step of what is asked, if anything is."""
        self._steps = self._steps or self._next()
        if self._steps is None:
            return
        try:
            next(self._steps)
        except StopIteration as end:
            if self._asker is not None:
                answer(self._asker, end.value)
            if self._wish is not None:
                self._wish.outcome = end.value
            self._steps = self._asker = self._wish = None

    def wish(self, source: Source, names: list[str], gone: list[str]) -> Wish:
        """Ask for targets of a config as wc-ctl asks for names; the wish that is returned will have its outcome."""
        wish = Wish(source, names, gone)
        self._wishes.append(wish)
        return wish

    @property
    def dropped(self) -> frozenset[int]:
        """Numbers of the targets that nobody intercepts now."""
        return frozenset(self._dropped)

    def added(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that came while the programs ran and are intercepted."""
        targets = self._drain.manifest.targets
        there = {targets[number].name for number in range(self._session.targets, len(targets))} - {
            targets[number].name for number in self._dropped
        }
        return [name for name in names if name in there]

    def hears(self, word: str, rest: str) -> bool:
        """Whether a message of the tracer is the answer that is awaited here."""
        if self._waits and word in ("ok", "error"):
            self._said, self._waits = (word, rest), False
            return True
        return False

    @property
    def is_late(self) -> bool:
        """Whether the tracer, if there is one, came for added targets, and the programs can go on without it."""
        return self._late

    def leave(self) -> None:
        """In a child of wc-run's: questions are not for it."""
        self._desk.close()

    def close(self) -> None:
        """Answer no more questions."""
        self._desk.close()
        if self._planning is not None:
            self._planning.close()

    # Steps: they yield while something is awaited.

    def _next(self) -> Steps | None:
        if self._wishes:
            self._wish = self._wishes.pop(0)
            return self._granted(self._wish)
        taken = self._desk.take()
        if taken is None:
            return None
        question, self._asker = taken
        return self._answered(question)

    def _granted(self, wish: Wish) -> Steps:
        given = Answer()
        try:
            if wish.names:
                given = yield from self._add(wish.names, wish.source)
            if wish.gone:
                yield from self._drop(wish.gone)
        except UserError as error:
            return Answer(error=(error.what, error.at, error.why, error.try_))
        return given

    def _answered(self, question: Question) -> Steps:
        try:
            if question.what == "add":
                return (yield from self._add(question.targets))
            if question.what == "drop":
                return (yield from self._drop(question.targets))
        except UserError as error:
            return Answer(error=(error.what, error.at, error.why, error.try_))
        return Answer(error=(f"there is no '{question.what}'", "", "", "add or drop"))

    def _add(self, names: list[str], source: Source | None = None) -> Steps:
        pid, engine, program, follow = self._main()
        if not names:
            raise UserError("add needs targets", try_="wc-ctl SESSION add sys:openat")
        if self._session.get("closed"):
            raise UserError(*ended(self._session.path))
        found = yield from self._planned(names, engine, program, source)
        there = self._numbers_of(found.there)
        meant = [self._drain.manifest.targets[number].name for number in there]
        new = found.growth
        if new is not None:
            self._check_room(len(new.targets))
        wanted = [number for number in there if number in self._dropped]
        if new is not None or wanted:
            yield from self._have_tracer(pid, follow)
        if wanted:
            yield from self._want(wanted)
        if there and source is None:
            self._control().enable(*meant)
        if new is not None:
            yield from self._append(new, found, on=source is None)
        return Answer([*meant, *(target.name for target in new.targets if new)] if new else meant, self._notes(new))

    def _planned(
        self, names: list[str], engine: Engine, program: str, source: Source | None
    ) -> Generator[None, None, Found]:
        session = self._session
        shim = os.path.basename(session.shim_link) if session.has_shim else ""
        self._planning = Planning(engine, program, self._drain.manifest, session.head.hash, shim, self._asks)
        self._planning.start(names, os.path.join(session.path, f"plan-{len(self._plans) + 1}"), source)
        while (found := self._planning.poll()) is None:
            yield
        self._planning = None
        for error in found.errors:
            raise UserError(*error)
        return found

    def _append(self, growth: Growth, found: Found, on: bool) -> Generator[None, None, None]:
        """The session first, then the programs: a record is never before its meaning.

        What a config brings is switched *on* by who has read it, when its handlers are there.
        """
        numbers = range(growth.first_target, growth.first_target + len(growth.targets))
        self._drain.grow(growth)
        words = found.words if on else [word & ~abi.WORD_ON for word in found.words]
        self._session.grow(words, encode(self._drain.manifest))
        self._tell(growth)
        plan = growth.first_target, growth.first_symbol, found.plan
        said = yield from self._ask(_plan_message(plan))
        if said is not None:
            self._switch_off(numbers)
            self._dropped.update(numbers)
            raise UserError("the tracer cannot take these targets", why=said)
        self._plans.append(plan)

    def _drop(self, names: list[str]) -> Steps:
        numbers = self._control().select(names)
        for number in numbers:
            self._check_traced(number)
        numbers = [number for number in numbers if number not in self._dropped]
        self._switch_off(numbers)
        self._dropped.update(numbers)
        if self.tracer is not None and not self.tracer.gone and numbers:
            if self._late and not self._served():
                yield from self._let_go(self.tracer)
            else:
                yield from self._each("drop", numbers)
        return Answer([self._drain.manifest.targets[number].name for number in numbers])

    def _want(self, numbers: list[int]) -> Generator[None, None, None]:
        yield from self._each("want", numbers)
        self._dropped.difference_update(numbers)

    def _each(self, word: str, numbers: list[int]) -> Generator[None, None, None]:
        for start in range(0, len(numbers), MOST_NUMBERS):
            said = yield from self._ask(f"{word} {','.join(map(str, numbers[start : start + MOST_NUMBERS]))}")
            if said is not None:
                raise UserError(f"the tracer cannot {word} targets", why=said)

    def _let_go(self, tracer: Tracer) -> Generator[None, None, None]:
        """Nothing is left for the tracer to do: the programs run without it again."""
        tracer.detach()
        while not tracer.ended and not tracer.gone:
            yield
        tracer.close()
        self.tracer = None

    # The tracer.

    def _have_tracer(self, pid: int, follow: bool) -> Generator[None, None, None]:
        if self.tracer is not None and not (self.tracer.gone or self.tracer.ended):
            return
        if not self._late:
            raise UserError("the tracer has ended, and its programs cannot be given to another")
        tracer = self._started()
        self.tracer = tracer
        for plan in self._plans:
            yield from self._ask(_plan_message(plan))
        if self._dropped & self._traced():
            yield from self._each("drop", sorted(self._dropped & self._traced()))
        tracer.look()  # handlers that have changed since, of targets that came
        attached = set[int]()
        for _ in range(ROUNDS):
            more = processes(self._session.path, pid, self._drain.pids(), follow) - attached
            if not more:
                break
            for one in sorted(more, key=lambda other: other != pid):
                yield from self._attach(tracer, one, pid)
            attached |= more

    def _started(self) -> Tracer:
        from wc_intercept.generator.growth import nothing

        session = self._session
        path = os.path.join(session.path, "plan")
        shim = os.path.basename(session.shim_link) if session.has_shim else ""
        with open(path, "wb") as file:
            file.write(nothing(session.targets, session.head.hash, shim))
        return Tracer.start(session, path, beside=session.has_shim, pin=False, handlers=True)

    def _attach(self, tracer: Tracer, pid: int, main: int) -> Generator[None, None, None]:
        said = yield from self._ask(f"attach {pid}")
        if said is not None and pid == main:
            yield from self._let_go(tracer)
            raise Refusal(f"cannot attach to process {pid}", "", said)

    def _ask(self, message: str) -> Generator[None, None, str | None]:
        """Ask the tracer; return None, or why it cannot."""
        tracer = self.tracer
        assert tracer is not None
        self._waits, self._said = True, None
        tracer.tell(message)
        while self._said is None:
            if tracer.gone or tracer.ended:
                self._waits = False
                return "it has ended"
            yield
        word, rest = self._said
        return rest if word == "error" else None

    # What there is.

    def _control(self) -> Control:
        return Control(self._session.path, self._drain.manifest)

    def _numbers_of(self, keys: Iterable[tuple[str, str]]) -> list[int]:
        targets = self._drain.manifest.targets
        known: dict[tuple[str, str], int] = {}
        known.update(((t.name, t.kind), number) for number, t in enumerate(targets) if not t.internal)
        return [known[key] for key in keys]

    def _traced(self) -> set[int]:
        """Targets that the tracer serves everywhere, and nobody else serves."""
        symbols = self._drain.manifest.symbols
        return {one.target for one in symbols if one.engine == "ptrace"} - {
            one.target for one in symbols if one.engine == "preload"
        }

    def _served(self) -> set[int]:
        return self._traced() - self._dropped

    def _check_traced(self, number: int) -> None:
        name = self._drain.manifest.targets[number].name
        if number not in self._traced():
            raise UserError(f"{name} cannot be dropped", "", "the shim has it for as long as its programs run",
                            f"wc-ctl SESSION disable {name}")  # fmt: skip

    def _check_room(self, more: int) -> None:
        left = self._session.targets + self._session.room - len(self._drain.manifest.targets)
        if more > left:
            raise UserError(f"there is no room for {more} more targets", self._session.path,
                            f"a session can get {self._session.room}, and {left} are left")  # fmt: skip

    def _switch_off(self, numbers: Iterable[int]) -> None:
        self._control().switch_off(numbers)

    def _notes(self, growth: Growth | None) -> list[str]:
        calls = growth is not None and any(target.kind == "syscall" for target in growth.targets)
        return [STOPS_AT_ALL] if calls else []


def _plan_message(plan: tuple[int, int, str]) -> str:
    target, symbol, path = plan
    return f"plan {target} {symbol} {path}"
