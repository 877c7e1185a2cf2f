"""wc-report: shows what was recorded, by ``wc-run --format wc`` or by a session whose wc-run was killed.

Entry point of the command. Rules: calls go to standard output, everything about them to standard error; a reader that
goes away is no error; what is damaged or missing is said, and the rest shown. A session stays as it was.

Absent on purpose: following a live session (that is its wc-run's).
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator
from typing import Any

import click
from wc_intercept.generator.errors import UserError, report
from wc_intercept.generator.manifest import Manifest

from .accounting import Account, Inside
from .chunk import Chunk
from .clock import Clock
from .drain import Drain
from .filter import Filter
from .machine import Native
from .render import Look, Output
from .session import SessionDirectory, find
from .told import accounting_lines
from .version import version
from .wcfile import WcReader

TOOL = "wc-report"
OWN_ERROR = 1
YEAR_2001 = 978_307_200


class Recorded:
    """A wc file as a source of chunks."""

    def __init__(self, path: str) -> None:
        self._reader = WcReader(path)
        self.manifest: Manifest = self._reader.manifest
        self.clock: Clock = self._reader.clock

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._reader)

    @property
    def account(self) -> Account | None:
        return self._reader.account

    def inherited(self) -> dict[int, dict[int, str]]:
        """Return what was behind the descriptors that processes began with, by pid. Known with the first chunk."""
        meta = self._reader.meta
        others = meta.get("attached")
        told = {str(meta.get("pid")): meta.get("descriptors"), **(others if isinstance(others, dict) else {})}
        return {
            int(pid): {int(fd): str(path) for fd, path in paths.items() if fd.isdecimal()}
            for pid, paths in told.items()
            if pid.isdecimal() and isinstance(paths, dict)
        }

    def notes(self) -> Iterator[str]:
        if self._reader.account is None:
            yield "the recording ends before its run did: its wc-run was killed"
        if self._reader.damaged:
            yield f"{self._reader.damaged} bytes of the recording are damaged or missing"


class Left:
    """What a session's rings still hold. Clock samples can only be taken now, on the same boot."""

    def __init__(self, path: str) -> None:
        self._session = SessionDirectory.open(path)
        self._drain = Drain(self._session, keep_files=True)
        self.manifest = self._drain.manifest
        self.clock = Clock(self._session.clock, Native())
        self.account: Account | None = None

    def __iter__(self) -> Iterator[Chunk]:
        for chunks in self._drain.finish():
            yield from chunks
        self.account = self._drain.account()

    def inherited(self) -> dict[int, dict[int, str]]:
        return {}  # only its wc-run knew

    def notes(self) -> Iterator[str]:
        yield "the session's wc-run was killed: this is what it had not taken yet"


def source_of(what: str) -> Recorded | Left:
    """Return the recording or session that *what* names. Raises UserError."""
    if os.path.isfile(what):
        return Recorded(what)
    if os.path.isdir(what) or what.isdecimal():
        return Left(find(what))
    raise UserError(f"{what} is neither a recording nor a session", try_="wc-run --format wc -o FILE makes a recording")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", metavar="FILE|SESSION")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", help="What lines look like.")
@click.option("--pid", "pids", type=int, multiple=True, metavar="PID", help="Only this process (may be repeated).")
@click.option("--function", "functions", multiple=True, metavar="GLOB", help="Only these functions (may be repeated).")
@click.option("--since", metavar="TIME", help="Only calls from TIME on: 12:00:01.5, an ISO date, or epoch seconds.")
@click.option("--until", metavar="TIME", help="Only calls before TIME.")
@click.option("--sort", type=click.Choice(["thread", "time"]), default="thread", help="Each thread in order, or all.")
@click.option("--summary", is_flag=True, help="The table of calls, errors and times, and no calls.")
@click.option("-s", "--string-limit", type=click.IntRange(0), metavar="N", help="Show at most N bytes of a string.")
@click.option("-t", "stamp", count=True, help="Time of day; -tt with microseconds, -ttt since the epoch.")
@click.option("-r", "relative", is_flag=True, help="Time since the line before.")
@click.option("-T", "spent", is_flag=True, help="Time spent in each call.")
@click.option("-y", "paths", is_flag=True, help="The path behind each file descriptor.")
@click.option("-z", "successful", is_flag=True, help="Only calls that succeeded.")
@click.option("-Z", "failed", is_flag=True, help="Only calls that failed.")
@click.option("-P", "path", multiple=True, metavar="PATH", help="Only calls that name PATH (may be repeated).")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours in text.")
@click.option("--events", is_flag=True, help="Lines for processes and losses too.")
@click.option("-v", "--verbose", is_flag=True, help="The accounting, also when nothing is lost.")
@click.version_option(version(), "-V", "--version", prog_name=TOOL, message="%(prog)s (wc-intercept) %(version)s")
def command(what: str, **given: Any) -> None:
    """Show the calls in FILE, which wc-run --format wc wrote, or what the killed wc-run of SESSION left behind.

    A SESSION is named by its directory, or by the pid of its wc-run or of any program in it.
    """
    source = source_of(what)
    show(source, look_of(given), given["summary"], given["sort"] == "time")
    sys.stdout.flush()
    for note in source.notes():
        click.echo(f"{TOOL}: {note}", err=True)
    account = source.account
    if account is not None and isinstance(source, Recorded) and (account.lost or given["summary"] or given["verbose"]):
        for line in accounting_lines(account):
            click.echo(f"{TOOL}: {line}", err=True)


def look_of(given: dict[str, Any]) -> Look:
    """Return how calls are shown. Raises UserError for what exclude each other."""
    if given["successful"] and given["failed"]:
        raise UserError("-z and -Z exclude each other", why="no call both succeeds and fails")
    color = given["color"] == "always" or (given["color"] == "auto" and _likes_color())
    return Look(
        format=given["form"],
        string_limit=given["string_limit"],
        stamp=given["stamp"],
        relative=given["relative"],
        spent=given["spent"],
        paths=given["paths"],
        color=color,
        events=given["events"],
        summary=given["summary"],
        summary_to=1,
        path=given["path"],
        filter=Filter(
            successful=given["successful"],
            failed=given["failed"],
            pids=given["pids"],
            functions=given["functions"],
            since=_time("--since", given["since"]),
            until=_time("--until", given["until"]),
        ),
    )


def _likes_color() -> bool:
    return os.isatty(1) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _time(option: str, text: str | None) -> int | None:
    """Return ns since the epoch: of a time of day (today), an ISO date and time, or a number of seconds."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        whole, _, part = text.partition(".")
        return int(whole) * 10**9 + int((part + "0" * 9)[:9]) if seconds >= YEAR_2001 else int(seconds * 1e9)
    try:
        day = datetime.date.today()
        moment = datetime.datetime.fromisoformat(text if "-" in text else f"{day} {text}")
    except ValueError:
        try_ = "12:00:01.5, 2026-01-31T12:00:01 or 1767225600.25"
        raise UserError(f"{option} {text}: not a time", try_=try_) from None
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def show(source: Recorded | Left, look: Look, summary: bool, sort: bool) -> None:
    """Write the calls of *source* to standard output, or with *summary* the table alone."""
    shown = Output(look, source.manifest, source.clock, None if summary else 1, sort)
    shown.tool = TOOL
    for number, chunk in enumerate(source):
        if number == 0:
            for pid, paths in source.inherited().items():
                shown.inherit(pid, paths)
        shown.take(chunk)
        if shown.gone and not summary:
            break
    else:
        inside: list[Inside] = source.account.inside if source.account else []
        shown.finish(inside)
    if shown.failed:
        raise SystemExit(OWN_ERROR)  # it has said why


def main() -> int:
    """Run the command and return its exit status."""
    try:
        command(standalone_mode=False)
    except UserError as error:
        report(TOOL, error, sys.stderr)
        return OWN_ERROR
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except BrokenPipeError:
        sys.stdout = None  # or its last flush would complain
    return 0


if __name__ == "__main__":
    sys.exit(main())
