"""wc-run: runs a program under a shim and shows its calls. Entry point of the command, up to the program's start.

Started by native/wc_run.c. Rules: the program is exec'd within 40 ms, so that nothing heavy is imported before (os, the
ELF reader, the session); whatever can be refused is refused before anything runs; errors are printed here and nowhere
else. What happens from the program's start to its end is live.py.

Absent on purpose: click (30 ms), and any knowledge of records.
"""

from __future__ import annotations

import os
import sys

from wc_intercept.generator.errors import UserError, text

from . import abi_fields as abi
from . import launch, options
from .inherited import Inherited, occupy_standard_descriptors, read
from .log import TOOL, Log, say
from .machine import Native, choose_clock
from .program import Program
from .refusal import OWN_ERROR, Refusal
from .session import SessionDirectory, SessionOptions
from .settings import Settings
from .settings import read as read_settings
from .shim import read_manifest
from .signals import calls as signal

MOST_STRING = 4096
POLICIES = {"block": abi.BLOCK, "drop": abi.DROP, "overwrite": abi.OVERWRITE}
FOLLOWS = {"none": abi.FOLLOW_NONE, "default": abi.FOLLOW_DEFAULT, "all": abi.FOLLOW_ALL}


def main() -> int:
    """Run the command and return its exit status."""
    inherited = read()
    occupy_standard_descriptors()
    try:
        return _main(sys.argv[1:], inherited)
    except UserError as error:
        say(text(TOOL, error))
        return error.status if isinstance(error, Refusal) else OWN_ERROR
    except KeyboardInterrupt:
        return _interrupted()


def _main(words: list[str], inherited: Inherited) -> int:
    given = options.parse(words)
    if given.help:
        return _print(options.usage())
    if given.version:
        from .version import version

        return _print(f"wc-run (wc-intercept) {version()}\n")
    if not given.program:
        raise Refusal("no program to run", try_="wc-run --trace open,read ls    (wc-run --help for more)")
    status = run(given, inherited)
    # Python's own end takes 20 ms of freeing what the kernel frees at once, and there is nothing left to write.
    os._exit(status)


def run(given: options.Options, inherited: Inherited) -> int:
    """Run the program that *given* names to its end and return the exit status to leave with."""
    program = launch.resolve(given.program[0], inherited.environment)
    launch.check_preloadable(given.program[0], program)
    shim = choose_shim(given, program)
    stored = read_manifest(shim)
    settings = read_settings(stored[2])
    override(settings, given)
    log = Log(settings.logger, given.verbose)
    output = open_output(given.output)
    session = SessionDirectory.create(shim, stored, session_options(settings, given))
    try:
        pid = start(given, inherited, program, settings, session, log)
    except BaseException:
        session.remove()
        raise
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's, not the program's: no thread is to wait for nothing
    with Pulse(session):
        from .live import follow  # the program runs: from here on imports cost nobody

        return follow(given, session, log, pid, output)


class Pulse:
    """Keeps the session's heartbeat going whatever the interpreter does: programs that wait for room look at it."""

    PERIOD_NS = 20_000_000

    def __init__(self, session: SessionDirectory) -> None:
        self._native = Native()
        self._session = session

    def __enter__(self) -> None:
        self._native.start_heart(*self._session.pulse(), self.PERIOD_NS)

    def __exit__(self, *_: object) -> None:
        self._native.stop_heart()


def choose_shim(given: options.Options, program: Program) -> str:
    """Return the absolute path of the shim to preload, generating it if need be."""
    if given.preload is not None:
        return os.path.abspath(given.preload)
    if given.config is None and given.trace is None:
        raise Refusal("nothing says what to intercept", try_="--preload SHIM, -c CONFIG or --trace LIST (see --help)")
    from .built import shim_for_config, shim_for_list

    path = os.fsdecode(program.image)
    if given.config is not None:
        return shim_for_config(given.config, path)
    return shim_for_list(given.trace or "", path)


def override(settings: Settings, given: options.Options) -> None:
    """The command line wins over the config. What is shown of a string has to be kept."""
    if given.string_limit is not None:
        settings.string_limit = min(given.string_limit, MOST_STRING)
    settings.on_full = given.on_full or settings.on_full
    settings.ring_size = given.ring_size or settings.ring_size


def session_options(settings: Settings, given: options.Options) -> SessionOptions:
    """What the session is asked for; a ring has whole chunks of 64 KiB."""
    chunks = max(1, settings.ring_size // (abi.CHUNK_CELLS * abi.CELL_SIZE))
    return SessionOptions(
        policy=POLICIES[settings.on_full],
        block_ms=settings.block_ms,
        ring_cells=chunks * abi.CHUNK_CELLS,
        string_limit=settings.string_limit,
        follow=FOLLOWS[given.follow],
        clock=choose_clock(),
    )


def open_output(path: str | None) -> int:
    """Return a descriptor to write calls to: FILE of -o, emptied, or standard error."""
    if path is None:
        return 2
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise Refusal(f"cannot write to {path}: {error.strerror}", "-o") from None


def start(
    given: options.Options,
    inherited: Inherited,
    program: Program,
    settings: Settings,
    session: SessionDirectory,
    log: Log,
) -> int:
    """Start the program and return its pid."""
    preload = [launch.check_preload_path(session.shim_link)]
    if settings.preload:
        preload.append(link_preload(session, settings.preload))
    if program.asan:
        log.line(f"{given.program[0]} uses AddressSanitizer: {os.fsdecode(program.asan)} is loaded before the shim")
    variables = launch.environment(inherited, session.path, preload, program)
    launch.block_signals()
    pid = launch.start(program, given.program, variables, inherited)
    log.note(f"started {given.program[0]} as process {pid}, session {session.path}")
    return pid


def link_preload(session: SessionDirectory, path: str) -> str:
    """Return a path for the config's ld_preload that the dynamic linker does not split."""
    if not os.path.exists(path):
        raise Refusal("the config's ld_preload does not exist", path)
    link = os.path.join(session.path, "preload.so")
    os.symlink(os.path.abspath(path), link)
    return link


def _print(message: str) -> int:
    os.write(1, message.encode())
    return 0


def _interrupted() -> int:
    """^C before the program ran: end as any program would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 130


if __name__ == "__main__":
    sys.exit(main())
