"""wc-run's command line: the table of options, and the few lines that read it.

Called by run.py before anything else. Rules: options end at the first word that is not one, or at ``--``; short ones
may be joined (``-Ty``) and carry their value (``-s64``), long ones take ``--name=value`` or the next word; an option
that is not built yet is refused by name. Imports nothing: the program waits for it (getopt alone pulls in gettext and
re, and click takes 30 ms).

Absent on purpose: what the values mean beyond their spelling (run.py), and wc-report's options (report.py, by click).
"""

from __future__ import annotations

from .refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine import Engine

HELP = "wc-run --help"
FORMATS = ("text", "jsonl", "wc")
ENGINES = ("auto", "preload", "ptrace")
COLORS = ("auto", "always", "never")
FOLLOWS = ("none", "default", "all")
FULL = ("block", "drop", "overwrite")
DEFAULTS = ("go", "fail")

# (spellings, attribute, value: "" flag, "+" counted flag, a word: takes a value, help)
TABLE: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("--preload",), "preload", "FILE", "a shim that wc-gen built"),
    (("-c", "--config"), "config", "FILE", "intercept what this config says (shims are cached by content)"),
    (("--trace",), "trace", "LIST", "no config: names, globs and %sets, as in open,read,%memory,fn:dup,sys:dup"),
    (("--inject",), "inject", "LIST:WHAT*", "faults and delays, as in open:error=ENOENT:when=3+ (may be repeated)"),
    (("-e",), "e", "PROG", "the program to run; -e trace=... and -e inject=... are those options"),
    (("--handlers",), "handlers", "FILE", "Python functions that get calls (@on) or decide about them (@decide)"),
    (("--decide-timeout",), "decide_timeout", "TIME", "how long a call waits for its decision, as 100ms (default 1s)"),
    (("--decide-default",), "decide_default", "|".join(DEFAULTS), "what it does without one (default: it goes on)"),
    (("-o", "--output"), "output", "FILE", "write to FILE instead of standard error"),
    (("--format",), "format", "|".join(FORMATS), "text (default), JSON lines, or recorded cells (needs -o)"),
    (("--summary",), "summary", "", "a table of calls, errors and times at the end"),
    (("-s", "--string-limit"), "string_limit", "N", "show at most N bytes of a string (paths whole)"),
    (("-t",), "stamp", "+", "time of day; -tt with microseconds, -ttt seconds since the epoch"),
    (("-r",), "relative", "", "time since the line before"),
    (("-T",), "spent", "", "time spent in each call"),
    (("-y",), "paths", "", "the path behind each file descriptor"),
    (("-z",), "successful", "", "only calls that succeeded"),
    (("-Z",), "failed", "", "only calls that failed"),
    (("-P",), "path", "PATH*", "only calls that name PATH (may be repeated)"),
    (("-f",), "follow_forks", "", "follow children: --follow default, which is the default"),
    (("--follow",), "follow", "|".join(FOLLOWS), "which children are followed"),
    (("--color",), "color", "|".join(COLORS), "colours in text"),
    (("--events",), "events", "", "with jsonl: lines for processes, losses and coverage too"),
    (("--strict",), "strict", "", "exit with 124 if anything was lost and the program gave 0"),
    (("--wait-all",), "wait_all", "", "stay until every process of the session has ended"),
    (("--on-full",), "on_full", "|".join(FULL), "what a thread does when its ring is full"),
    (("--ring-size",), "ring_size", "SIZE", "of each thread's ring, as 256KiB or 4MiB"),
    (("--engine",), "engine", "|".join(ENGINES), "how calls are caught (auto: by whatever reaches them)"),
    (("-l",), "l", "", "--engine preload"),
    (("-p", "--attach"), "attach", "PID*", "attach to a running process (may be repeated); ^C lets it go"),
    (("--no-pin",), "no_pin", "", "with a tracer: leave the program on any processor"),
    (("--explain",), "explain", "", "say which engine serves what, and why; run nothing"),
    (("-v", "--verbose"), "verbose", "", "say what is done: session, shim, coverage, accounting"),
    (("-V", "--version"), "version", "", "print the version"),
    (("-h", "--help"), "help", "", "print this"),
)
CHOICES = {"format": FORMATS, "engine": ENGINES, "color": COLORS, "follow": FOLLOWS, "on_full": FULL,
           "decide_default": DEFAULTS}  # fmt: skip
SPELLINGS = {spelling: row for row in TABLE for spelling in row[0]}


class Options:
    """The values as given. Strings are None where absent; flags are False; program is the command line to run."""

    def __init__(self) -> None:
        self.preload: str | None = None
        self.config: str | None = None
        self.trace: str | None = None
        self.inject: list[str] = []
        self.e: str | None = None
        self.handlers: str | None = None
        self.decide_timeout: int | None = None
        """ms"""
        self.decide_default: str | None = None
        self.output: str | None = None
        self.format = "text"
        self.summary = False
        self.string_limit: int | None = None
        self.stamp = 0
        self.relative = False
        self.spent = False
        self.paths = False
        self.successful = False
        self.failed = False
        self.path: list[str] = []
        self.follow_forks = False
        self.follow = "default"
        self.color = "auto"
        self.events = False
        self.strict = False
        self.wait_all = False
        self.on_full: str | None = None
        self.ring_size: int | None = None
        self.engine: Engine = "auto"
        self.l = False
        self.attach: list[int] = []
        self.no_pin = False
        self.explain = False
        self.verbose = False
        self.version = False
        self.help = False
        self.program: list[str] = []


def parse(words: list[str]) -> Options:
    """Return the options in *words* (without argv[0]); the rest is the program. Raises Refusal."""
    options = Options()
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        at += 1
        if word == "--":
            break
        at = _long(options, word, words, at) if word.startswith("--") else _short(options, word, words, at)
    options.program = words[at:]
    _original(options)
    _refuse(options)
    return options


def _long(options: Options, word: str, words: list[str], at: int) -> int:
    name, equals, value = word.partition("=")
    row = SPELLINGS.get(name)
    if row is None:
        raise Refusal(f"no option {name}", "", _meant(name), HELP)
    if row[2] in ("", "+"):
        if equals:
            raise Refusal(f"{name} takes no value", try_=HELP)
        _store(options, row, name, None)
        return at
    if not equals:
        if at == len(words):
            raise Refusal(f"{name} needs a value: {row[2].rstrip('*')}", try_=HELP)
        value = words[at]
        at += 1
    _store(options, row, name, value)
    return at


def _short(options: Options, word: str, words: list[str], at: int) -> int:
    place = 1
    while place < len(word):
        name = "-" + word[place]
        row = SPELLINGS.get(name)
        place += 1
        if row is None:
            raise Refusal(f"no option {name}", "", f"in {word}" if len(word) > 2 else "", HELP)
        if row[2] in ("", "+"):
            _store(options, row, name, None)
            continue
        value = word[place:]
        if not value:
            if at == len(words):
                raise Refusal(f"{name} needs a value: {row[2].rstrip('*')}", try_=HELP)
            value = words[at]
            at += 1
        _store(options, row, name, value)
        break
    return at


def _store(options: Options, row: tuple[tuple[str, ...], str, str, str], name: str, value: str | None) -> None:
    attribute = row[1]
    if value is None:
        setattr(options, attribute, getattr(options, attribute) + 1 if row[2] == "+" else True)
        return
    if attribute in CHOICES and value not in CHOICES[attribute]:
        raise Refusal(f"{name} {value}: not one of {', '.join(CHOICES[attribute])}", try_=HELP)
    if attribute in ("path", "inject"):
        getattr(options, attribute).append(value)
    elif attribute == "attach":
        options.attach += [_number(name, word) for word in value.replace(",", " ").split() or [value]]
    elif attribute == "string_limit":
        options.string_limit = _number(name, value)
    elif attribute == "ring_size":
        options.ring_size = _size(name, value)
    elif attribute == "decide_timeout":
        options.decide_timeout = _time(name, value)
    elif attribute == "e" and value.startswith("trace="):
        options.trace = value.removeprefix("trace=")
    elif attribute == "e" and value.startswith("inject="):
        options.inject.append(value.removeprefix("inject="))
    else:
        setattr(options, attribute, value)


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise Refusal(f"{name} {value}: not a number", try_=HELP)
    return int(value)


def _size(name: str, value: str) -> int:
    for suffix, unit in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)):
        if value.endswith(suffix):
            size = _number(name, value.removesuffix(suffix)) * unit
            if not 1 << 16 <= size <= 1 << 30:
                raise Refusal(f"{name} {value}: a ring has 64KiB to 1GiB", try_=HELP)
            return size
    raise Refusal(f"{name} {value}: not a size", try_=HELP)


def _time(name: str, value: str) -> int:
    """Return milliseconds."""
    for suffix, unit in (("ms", 1), ("s", 1000), ("m", 60_000)):
        if value.endswith(suffix):
            time = _number(name, value.removesuffix(suffix)) * unit
            if not 1 <= time <= 3_600_000:
                raise Refusal(f"{name} {value}: 1ms to 60m", try_=HELP)
            return time
    raise Refusal(f"{name} {value}: not a time, as 100ms, 2s or 1m", try_=HELP)


def _original(options: Options) -> None:
    """The first wc-intercept's ``-e PROG -c CONFIG [-l]``: the program needs no further word."""
    if options.e is not None:
        options.program.insert(0, options.e)
    if options.l:
        options.engine = "preload"


def _refuse(options: Options) -> None:
    """Combinations that make no sense."""
    other = "--preload" if options.preload is not None else "--engine preload" if options.engine == "preload" else ""
    if options.attach and other:
        raise Refusal(f"-p and {other} exclude each other", "", "nothing can be preloaded into a running program",
                      "-c CONFIG or --trace LIST")  # fmt: skip
    if options.attach and options.program:
        raise Refusal("-p and a program exclude each other", f"-p {options.attach[0]} ... {options.program[0]}",
                      try_="wc-run twice")  # fmt: skip
    if options.engine == "ptrace" and options.preload is not None:
        raise Refusal("--engine ptrace and --preload exclude each other", "", "a shim is what --engine preload runs",
                      "-c CONFIG, with the config that the shim was made from")  # fmt: skip
    if options.preload is not None and options.inject:
        raise Refusal("--inject and --preload exclude each other", f"--inject {options.inject[0]}",
                      "what a shim injects was decided when it was built", "-c CONFIG, or --trace LIST")  # fmt: skip
    if options.handlers is None and (options.decide_timeout is not None or options.decide_default is not None):
        name = "--decide-timeout" if options.decide_timeout is not None else "--decide-default"
        raise Refusal(f"{name} needs --handlers FILE", "", "without handlers nobody decides about calls")
    if options.format == "wc" and options.output is None:
        try_ = "wc-run --format wc -o trace.wc ..."
        raise Refusal("--format wc needs -o FILE", "", "recorded cells are no text", try_)
    given = [name for name in ("preload", "config", "trace") if getattr(options, name) is not None]
    if len(given) > 1:
        raise Refusal(f"--{given[0]} and --{given[1]} exclude each other", "", "both say what to intercept")
    if options.successful and options.failed:
        raise Refusal("-z and -Z exclude each other", "", "no call both succeeds and fails")


def _meant(name: str) -> str:
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(name, [spelling for spelling in SPELLINGS if spelling.startswith("--")], n=1)
    return f"{near[0]} is the nearest" if near else ""


def usage() -> str:
    """Return the text of --help."""
    lines = [
        "Usage: wc-run --preload SHIM [options] PROGRAM [argument...]",
        "       wc-run -c CONFIG [options] PROGRAM [argument...]",
        "       wc-run --trace LIST [options] PROGRAM [argument...]",
        "       wc-run -c CONFIG | --trace LIST [options] -p PID",
        "",
        "Runs PROGRAM and shows the library and system calls that it makes, typed and timed.",
        "",
    ]
    for spellings, _, value, text in TABLE:
        left = ", ".join(spellings) + (f" {value.rstrip('*')}" if value not in ("", "+") else "")
        lines.append(f"  {left:<29} {text}" if len(left) < 30 else f"  {left}\n{'':<32}{text}")
    lines += [
        "",
        "The exit status is the program's. Own errors: 125; not executable: 126; not found: 127; lost records under",
        "--strict where the program gave 0: 124.",
    ]
    return "\n".join(lines) + "\n"
