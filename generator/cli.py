"""wc-gen: turns a config into a preload library, and explains what it would do.

The entry point of the command. Results go to standard output, errors and warnings to standard error. Exit status: 0
done (a known function that is refused is a warning), 1 an error of the user's, 2 wrong usage. Absent on purpose:
everything that can be decided without a command line; it is in build.py, listing.py and coverage.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .errors import UserError, report

if TYPE_CHECKING:
    from .build import Planned
    from .config import Config

F = TypeVar("F", bound=Callable[..., Any])
TOOL = "wc-gen"
EPILOG = "Handlers in C include <wc_ptrace.h>, preload libraries <wc_preload.h>: cc -I$(wc-gen --include-dir)."


class _ReaderGoneError(Exception):
    """Whoever read our output has gone. Not an OSError: click would end us with status 1."""


def main() -> None:
    """Run wc-gen and exit."""
    try:
        status = command(standalone_mode=False) or 0
    except click.ClickException as wrong:
        wrong.show()
        status = wrong.exit_code
    except UserError as error:
        report(TOOL, error, sys.stderr)
        status = 1
    except _ReaderGoneError:  # their choice, not an error
        status = 0
    except (KeyboardInterrupt, click.Abort):
        status = 130
    sys.exit(status)


def say(text: str) -> None:
    """Write *text* to standard output."""
    if sys.stdout is None:  # it was closed when we started
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more at its end
        if isinstance(error, BrokenPipeError):
            raise _ReaderGoneError from None
        raise UserError("cannot write to standard output", why=error.strerror or "") from None


def _printing(name: str, make: Callable[[], str], help_text: str) -> Callable[[F], F]:
    """Return the decorator for an option that prints one text and ends."""

    def done(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            say(make())
            context.exit()

    return click.option(name, is_flag=True, is_eager=True, expose_value=False, callback=done, help=help_text)


def _version() -> str:
    from importlib.metadata import version

    return f"{TOOL} {version('wc-intercept')}\n"


def _schema() -> str:
    from .schema import json_schema

    return json_schema().decode()


def _include_dir() -> str:
    return f"{Path(__file__).parent.parent / 'runtime' / 'include'}\n"


def _cmake_dir() -> str:
    import wc_intercept  # what CMake has installed lies in its own folder of the package

    folders = (Path(folder) / "_native" / "cmake" for folder in wc_intercept.__path__)
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        raise UserError("the CMake package is not installed", try_="pip install wc-intercept")
    return f"{found}\n"


@click.command(TOOL, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", metavar="[CONFIG|PROG]", required=False)
@click.option("-o", "--output", metavar="FILE", help="Write the library; FILE.c: its source (and FILE_*).")
@click.option("--explain", is_flag=True, help="Print for each target which engine catches it, how, or why not.")
@click.option("--program", metavar="PROG", help="The program to come: --explain chooses engines for it.")
@click.option("--list", "listing", is_flag=True, help="Print what could be intercepted, in PROG or at all, and how.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Of --explain and --list.")
@_printing("--schema", _schema, "Print the JSON Schema of a config.")
@_printing("--include-dir", _include_dir, "Print where the headers for handlers are.")
@_printing("--cmake-dir", _cmake_dir, "Print where the CMake package is, for find_package(wc_intercept).")
@_printing("--version", _version, "Print the version.")
def command(
    what: str | None, output: str | None, explain: bool, program: str | None, listing: bool, form: str
) -> int:
    """Generate a preload library that records the calls named in CONFIG."""
    if listing:
        if output or explain or program:
            raise click.UsageError("--list goes alone: it takes a program, not a config")
        return _list(what, form)
    if what is None:
        raise click.UsageError("no CONFIG given")
    if not (output or explain):
        raise click.UsageError("nothing to do: give -o FILE, --explain or --list")
    return _generate(what, output, explain, program, form)


def _generate(name: str, output: str | None, explain: bool, program: str | None, form: str) -> int:
    from . import build, config, coverage, handlers
    from .program import Program, find_program

    read = config.load(name)
    asked = Program.read(find_program(program)) if program else None
    planned = build.plan(read, program=asked, scene=build.scene_of("preload" if output else "auto", asked))
    if explain:
        lines = planned.plan.coverage
        say(coverage.json(lines) if form == "json" else coverage.text(lines))
    for error in planned.unknown:
        report(TOOL, error, sys.stderr)
    if planned.unknown:
        return 1
    for warning in (*handlers.missing(read), *(() if explain else coverage.warnings(planned.plan.coverage))):
        report(TOOL, warning, sys.stderr)
    if output:
        _write(read, planned, Path(output))
    return 0


def _write(read: Config, planned: Planned, output: Path) -> None:
    from . import build

    if not read.funcs:  # with funcs, all of them may be refused, and the library then does nothing
        for error in build.nothing_left(read, planned.plan):
            raise error
    if output.suffix != ".c":
        build.write_shim(planned.plan, output)
        return
    from .emit import emit
    from .toolchain import write_c

    write_c(emit(planned.plan), output)


def _list(name: str | None, form: str) -> int:
    from . import coverage, listing
    from .program import Program, find_program

    if name is None:
        lines = listing.everything()
    else:
        path = find_program(name)
        program = Program.read(path)
        nothing = listing.why_nothing(program, path)
        if nothing:
            say(nothing)
            return 0
        lines = listing.of_program(program)
    say(coverage.json(lines) if form == "json" else coverage.text(lines))
    return 0
