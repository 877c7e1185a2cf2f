"""A run, from its program's start to its end: drain, show, account, clean up; with -p, from attaching to letting go.

Called by run.py once the program runs; everything heavy is imported here. Rules: the drain never waits for formatting,
nor for whoever reads our output; wc-run ends with its program, and names what still runs; the session directory is
gone afterwards, whatever happens.

Absent on purpose: what calls look like (render.py) and what is inherited (launch.py).
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from wc_intercept.generator.errors import UserError, our_bug
from wc_intercept.generator.manifest import Growth

from .accounting import Account
from .chunk import Chunk
from .clock import Clock
from .drain import Drain
from .engine import Engine
from .feed import Feed
from .filter import Filter
from .grow import Growing
from .inherited import descriptor_paths, descriptor_paths_of
from .launch import resolve
from .life import Life, die_as
from .log import Log
from .machine import Native
from .options import Options
from .recording import Recording
from .refusal import OWN_ERROR
from .render import Look, Output
from .requests import Requests
from .session import SessionDirectory
from .sight import Sight
from .spool import NOT_WRITTEN, Spool
from .told import accounting_lines

if TYPE_CHECKING:
    from .aside import Aside
    from .attached import Attached
    from .tracer import Tracer

LOST = 124
FAREWELL_NS = 100_000_000
SOON = 0.001
"""Seconds between looks while something is being changed."""


class Sink(Protocol):
    """Where chunks go."""

    def take(self, chunks: Sequence[Chunk]) -> None: ...

    def grow(self, growth: Growth) -> None: ...

    def tick(self, now: int) -> None: ...

    def finish(self, account: Account) -> None: ...


class Nowhere:
    """Where chunks go that cannot be written any more."""

    def take(self, chunks: Sequence[Chunk]) -> None:
        pass

    def grow(self, growth: Growth) -> None:
        pass

    def tick(self, now: int) -> None:
        pass

    def finish(self, account: Account) -> None:
        pass


class Lines:
    """Text or JSON lines: spooled, formatted behind the drain."""

    def __init__(self, spool: Spool, life: Life | Attached) -> None:
        self._spool = spool
        self._life = life
        self.failed = False
        """Not everything could be written; whoever wrote has said so."""
        self.take, self.tick, self.grow = spool.take, spool.tick, spool.grow

    def finish(self, account: Account) -> None:
        """Wait until everything is formatted, or until somebody does not want to wait (^C, SIGTERM)."""
        self._spool.finish(account.inside)
        if self._spool.formatter == 0:
            self.failed = self._spool.output.failed
            return
        pid, status = 0, 0
        while pid == 0:
            if self._life.hurried:
                os.kill(self._spool.formatter, 9)
            self._life.wait(0.02)
            pid, status = os.waitpid(self._spool.formatter, os.WNOHANG)
        self.failed = os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_WRITTEN
        if status and not self.failed and not self._life.hurried:
            raise our_bug("the formatter failed: the output is not complete", why=f"its wait status is {status}")


def follow(
    given: Options,
    session: SessionDirectory,
    log: Log,
    life: Life | Attached,
    output: int,
    tracer: Tracer | None,
    aside: Aside | None = None,
) -> int:
    """Follow the program to its end and return the exit status to leave with; a fatal signal is raised again."""
    drain = Drain(session)
    run = _Run(given, session, log, life, drain, output, tracer, aside)
    try:
        lost = run.to_the_end()
    finally:
        run.requests.close()
        run.growing.close()
        drain.close()
        session.remove()
        if run.tracer is not None:
            run.tracer.close()
        atexit._run_exitfuncs()  # neither a signal nor os._exit would: a shim without a cache is a temporary file
    if run.untraced:
        return OWN_ERROR
    return LOST if lost and given.strict and life.status == 0 else die_as(life.status)


class _Run:
    def __init__(
        self,
        given: Options,
        session: SessionDirectory,
        log: Log,
        life: Life | Attached,
        drain: Drain,
        output: int,
        tracer: Tracer | None,
        aside: Aside | None = None,
    ) -> None:
        self.given, self.session, self.log, self.life, self.drain = given, session, log, life, drain
        self.tracer, self.aside = tracer, aside
        self.feed = Feed(aside, session) if aside is not None else None
        self.untraced = False
        """The tracer died, and the program with it (or, attached to, went on alone)."""
        self.homeless = False
        """Its session's directory was deleted, and that is said."""
        self.name = given.program[0] if given.program else f"process {life.pid}"
        self.sight = Sight()
        asks = [(wish.name, wish.way) for wish in aside.wishes] if aside is not None else []
        self.growing = Growing(session, drain, tracer, self._running, self._grow, asks)
        self.requests = Requests(given, session, log, life, drain.manifest, self.growing)
        self.failed = False
        self.sink: Sink = Nowhere()
        try:
            self.sink = self._sink(output)
        except (UserError, OSError) as error:
            self._give_up_writing(error)

    def _sink(self, output: int) -> Sink:
        clock = Clock(self.session.clock, Native())
        look = look_of(self.given, output)
        if self.given.format == "wc":
            meta = {"program": self.given.program, "pid": self.life.pid, "directory": _directory()}
            found = self._inherited()
            meta["descriptors"] = found.pop(self.life.pid, {})
            if found:
                meta["attached"] = {str(pid): paths for pid, paths in found.items()}
            return Recording(output, self.given.output or "", self.session, clock, look, meta)
        shown = Output(look, self.drain.manifest, clock, output)
        for pid, paths in self._inherited().items():
            shown.inherit(pid, paths)
        return Lines(Spool(shown, self.session.beat, self._leave), self.life)

    def _inherited(self) -> dict[int, dict[int, str]]:
        """What is behind the descriptors that processes begin with, by pid."""
        if self.given.attach:
            return {pid: descriptor_paths_of(pid) for pid in self.given.attach}
        return {self.life.pid: descriptor_paths()}

    def _tell_unseen(self) -> None:
        if not self.drain.programs and not self.session.get("no_segment") and not self.tracer:
            self.log.line(f"{self.name} ran without the shim: nothing of it was seen")
        if self.given.follow != "none" and not (self.tracer and self.tracer.plan.fallback):
            cover = "--follow all" if self.given.follow != "all" else ""
            cover = f"-c with {cover}" if cover and self.given.preload is not None else cover
            for line in self.sight.lost(self.drain.programs, self.session.get("no_segment"), cover):
                self.log.line(line)

    def _leave(self) -> None:
        """In the formatter: the session is the drain's."""
        if self.aside is not None:
            self.aside.let_go()
        self.growing.leave()
        self.drain.close()
        self.session.release()

    def to_the_end(self) -> int:
        """Follow the program and return how many calls were lost, at least 1 when not all could be written."""
        self._warn_uncovered()
        self._drain_while_running()
        self._hear()
        self.session.close()
        for chunks in self.drain.finish():
            self._take(chunks)
        self._hear_the_end()
        self._repeat_warnings()
        account = self.drain.account()
        try:
            self.sink.finish(account)
            self.failed = self.failed or getattr(self.sink, "failed", False)
        except (UserError, OSError) as error:
            self._give_up_writing(error)
        if self.feed is not None:
            self.feed.end(account, self.life, self.log)
        self._tell(account)
        return account.lost + self.failed

    def _drain_while_running(self) -> None:
        life = self.life
        while not life.ended or (self.given.wait_all and self._others_run()):
            self._take(self.drain.poll())
            self._hear()
            self.requests.answer()
            self.growing.poll()
            self.tracer = self.growing.tracer
            self._repeat_warnings()
            if self.feed is not None:
                self.feed.look(self.log)
            if life.stopped_by:
                self.sink.tick(time.monotonic_ns())
                life.stop_with_it()
            life.wait(min(self.drain.delay, SOON) if self.requests.busy else self.drain.delay)

    def _hear(self) -> None:
        """Repeat what the tracer has to say, and notice its death: it says goodbye otherwise."""
        tracer = self.tracer
        if tracer is None:
            return
        for word, rest in tracer.hear():
            if self.growing.hears(word, rest):
                continue
            if word == "warn":
                self.log.warn(self.session.by_given_name(rest))
            elif word == "error":
                self.log.fail(UserError(rest))
            elif word == "exit" and self.given.attach:
                self.log.note(f"process {rest.partition(' ')[0]} has ended")
        if tracer.gone and not tracer.ended and not self.untraced:
            self.untraced = True
            attached = self.given.attach or self.growing.is_late
            goes_on = "the process goes on untraced" if attached else "the program was ended with it"
            self.log.fail(UserError(f"the tracer died: {goes_on}", why=tracer.why_gone()))

    def _hear_the_end(self) -> None:
        """Give a tracer without programs the time to say so, and its handlers the time to print what they have."""
        deadline = time.monotonic_ns() + FAREWELL_NS
        while self.tracer and not (self.tracer.ended or self.tracer.gone) and time.monotonic_ns() < deadline:
            self._hear()
            time.sleep(0.001)

    def _grow(self, growth: Growth) -> None:
        """Whoever decodes is to know new targets before their first record comes."""
        try:
            self.sink.grow(growth)
            if self.feed is not None:
                self.feed.grow(growth)
        except (UserError, OSError) as error:
            self._give_up_writing(error)
        names = ", ".join(target.name for target in growth.targets[:10])
        self.log.note(f"{len(growth.targets)} more targets: {names}" + (" ..." if len(growth.targets) > 10 else ""))

    def _running(self) -> tuple[int, Engine, str, bool]:
        """The program's pid, how names are meant for it, its ELF file, and whether its children are followed."""
        program = f"/proc/{self.life.pid}/exe"
        if self.given.program:
            program = os.fsdecode(resolve(self.given.program[0], dict(os.environb)).image)
        engine: Engine = "preload" if self.session.has_shim else "ptrace"
        return self.life.pid, engine, program, self.given.follow != "none"

    def _take(self, chunks: Sequence[Chunk]) -> None:
        try:
            if chunks:
                self.sink.take(chunks)
                self.sight.take(chunks)
            now = time.monotonic_ns()
            self.sink.tick(now)
            self.sight.tick(now)
            if self.feed is not None:
                self.feed.take(chunks)
                self.feed.tick(now)
        except (UserError, OSError) as error:
            self._give_up_writing(error)

    def _give_up_writing(self, error: Exception) -> None:
        """The disk is full, or worse: say so, and follow the program without writing."""
        self.log.fail(error if isinstance(error, UserError) else UserError(f"cannot go on writing: {error}"))
        self.sink = Nowhere()
        self.failed = True

    def _others_run(self) -> bool:
        return self.drain.alive

    def _repeat_warnings(self) -> None:
        """Say what the runtime cannot say itself: the program's standard error is not ours."""
        for warning in self.session.warnings():
            self.log.warn(warning)
        if self.drain.homeless and not self.homeless:
            self.homeless = True
            why = "programs that start from now on are not recorded, and nothing can be changed"
            self.log.warn("the session's directory was deleted", self.session.path, why)

    def _warn_uncovered(self) -> None:
        """Name what the config asks for and this shim does not cover. wc-gen said so of a shim that it made."""
        for entry in self.drain.manifest.coverage:
            by_name = not set(entry.requested) & set("%*?[")  # what a glob or a set leaves out is no surprise
            told = by_name and self.given.preload is None
            if entry.status in ("refused", "pending") and (told or self.log.verbose):
                self.log.warn(entry.complaint, entry.where, entry.reason)

    def _tell(self, account: Account) -> None:
        if account.lost or account.refused or self.given.summary or self.log.verbose:
            for line in accounting_lines(account):
                self.log.line(line)
        self._tell_unseen()
        still = [pid for pid in self.drain.pids() if pid != self.life.pid]
        if still and not self.given.attach:
            names = ", ".join(f"{pid} ({_name(pid)})" for pid in still[:10])
            self.log.line(f"still running, no longer recorded: {names}" + (" ..." if len(still) > 10 else ""))
        if self.given.attach:
            self.log.note(f"let go of {self.name}" if _runs(self.life.pid) else f"{self.name} has ended")
        else:
            self.log.note(f"ended: {self.name}, wait status {self.life.status}")


def look_of(given: Options, output: int) -> Look:
    """Return how calls are shown."""
    color = given.color == "always"
    if given.color == "auto":
        color = os.isatty(output) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Look(
        format=given.format,
        string_limit=given.string_limit,
        stamp=given.stamp,
        relative=given.relative,
        spent=given.spent,
        paths=given.paths,
        color=color,
        events=given.events,
        summary=given.summary,
        path=tuple(given.path),
        filter=Filter(successful=given.successful, failed=given.failed),
    )


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it has been removed


def _runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return "gone"
