"""wc-run: runs a program under a shim, a tracer or both, and shows its calls. The command, up to the program's start.

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
from . import engine, launch, options
from .inherited import Inherited, occupy_standard_descriptors, read
from .log import TOOL, Log, say
from .machine import Native, choose_clock
from .program import Program
from .refusal import OWN_ERROR, Refusal
from .session import SessionDirectory, SessionOptions
from .settings import Settings
from .settings import read as read_settings
from .signals import calls as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aside import Aside
    from .attached import Attached
    from .built import Made
    from .life import Life
    from .tracer import Tracer

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
    if not given.program and not given.attach:
        raise Refusal("no program to run", try_="wc-run --trace open,read ls    (wc-run --help for more)")
    status = attach(given, inherited) if given.attach else run(given, inherited)
    # Python's own end takes 20 ms of freeing what the kernel frees at once, and there is nothing left to write.
    os._exit(status)


def run(given: options.Options, inherited: Inherited) -> int:
    """Run the program that *given* names to its end and return the exit status to leave with."""
    name = given.program[0]
    program = launch.resolve(name, inherited.environment)
    chosen = engine.choose(given.engine, given.preload is not None, name, program)
    aside = start_aside(given, inherited)
    made = make(given, chosen, os.fsdecode(program.image), aside)
    if given.explain:
        return explain(made, chosen, name, program)
    with Run(given, made, aside) as this:
        if made.plan and program.privileged and os.geteuid() != 0:
            why = f"it is {program.privileged}: the kernel grants that to no program that its own user traces"
            this.log.warn(f"{name} runs without the privileges of its file", "", why, "wc-run as that user")
        pid = start(this, inherited, program)
        from .life import Life

        return this.follow(Life(pid))


def attach(given: options.Options, inherited: Inherited) -> int:
    """Attach to the processes of -p, until they end or somebody interrupts, and return the exit status."""
    from . import attached

    name = "process " + ", ".join(map(str, given.attach))
    aside = start_aside(given, inherited)
    made = make(given, "ptrace", attached.program_of(given.attach), aside)
    if given.explain:
        return explain(made, "ptrace", name, None)
    launch.block_signals()
    with Run(given, made, aside) as this:
        assert this.tracer is not None
        if this.tracer.plan.functions:
            this.log.line("until it is let go, its code has breakpoints: it would not survive a kill -9 of wc-tracer")
        life = attached.attach(given.attach, this.tracer)
        this.log.note(f"attached to {name}, session {this.session.path}")
        return this.follow(life)


class Run:
    """What every run has: settings, log, output, session, and a tracer where the plan wants one."""

    def __init__(self, given: options.Options, made: Made, aside: Aside | None = None) -> None:
        self.given, self.made, self.aside = given, made, aside
        stored = made.manifest()
        self.settings = read_settings(stored[2])
        override(self.settings, given)
        self.log = Log(self.settings.logger, given.verbose)
        self.output = open_output(given.output)
        asked = session_options(self.settings, given)
        self.session = SessionDirectory.create(made.shim or None, stored, asked, made.plan or None)
        self.tracer: Tracer | None = None

    def start_tracer(self) -> Tracer | None:
        """Start the tracer, if the plan wants one. Raises Refusal."""
        if not self.made.plan:
            return None
        from .tracer import Tracer

        # A config that is read again may bring handlers, and what they print is for whoever reads us.
        pin, handlers = not self.given.no_pin, bool(self.settings.handlers or self.given.config)
        return Tracer.start(self.session, self.made.plan, beside=bool(self.made.shim), pin=pin, handlers=handlers)

    def variables(self, inherited: Inherited, program: Program) -> dict[bytes, bytes]:
        """Return the environment for *program*, with what is to be preloaded."""
        preload = [launch.check_preload_path(self.session.shim_link)] if self.made.shim else []
        if self.settings.preload:
            preload.append(link_preload(self.session, self.settings.preload))
        if program.asan and preload:
            asan = os.fsdecode(program.asan)
            self.log.line(f"{os.fsdecode(program.path)} uses AddressSanitizer: {asan} is loaded before the shim")
        return launch.environment(inherited, self.session.path if self.made.shim else "", preload, program)

    def __enter__(self) -> Run:
        try:
            if self.aside is not None:
                self.aside.begin(self.session, self.given)
            self.tracer = self.start_tracer()
        except BaseException:
            self.session.remove()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.session.remove()

    def follow(self, life: Life | Attached) -> int:
        """Follow what runs to its end; the program runs: from here on imports cost nobody."""
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's, not the program's: no thread is to wait for nothing
        with Pulse(self.session):
            from .live import follow

            return follow(self.given, self.session, self.log, life, self.output, self.tracer, self.aside)


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


def start_aside(given: options.Options, inherited: Inherited) -> Aside | None:
    """Start the process that runs the Python handlers of --handlers, if there are any. Raises Refusal."""
    if given.handlers is None:
        return None
    from .aside import Aside

    return Aside.start(given.handlers, inherited)


def make(given: options.Options, chosen: engine.Engine, program: str, aside: Aside | None = None) -> Made:
    """Return what is needed for the run, generated if need be; *program*: an ELF file, "" for several."""
    from .built import Made, Wanted, absolute, made_for_config, made_for_list, made_for_wishes

    if given.preload is not None:
        return Made(absolute(given.preload), "", "")
    if given.config is None and given.trace is None and aside is None and not given.inject:
        ways = "--preload SHIM, -c CONFIG, --trace LIST, --inject or --handlers FILE (see --help)"
        raise Refusal("nothing says what to intercept", try_=ways)
    wanted = Wanted(program, chosen, given.follow == "all" and chosen == "auto", aside.wishes if aside else (),
                    given.inject)  # fmt: skip
    if given.config is not None:
        return made_for_config(given.config, wanted)
    if given.trace is None:
        return made_for_wishes(wanted)
    return made_for_list(given.trace or "", wanted)


def explain(made: Made, chosen: engine.Engine, name: str, program: Program | None) -> int:
    """Say which engine serves what, and run nothing."""
    from wc_intercept.generator.manifest import decode

    return _print(engine.explanation(decode(made.manifest()[2]), chosen, name, program))


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


def start(run: Run, inherited: Inherited, program: Program) -> int:
    """Start the program and return its pid."""
    words = run.given.program
    variables = run.variables(inherited, program)
    launch.block_signals()
    pid = launch.start(program, words, variables, inherited, run.tracer)
    run.log.note(f"started {words[0]} as process {pid}, session {run.session.path}")
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
