"""Runs programs under wc-tracer in a session of their own, without wc-run, and returns every record.

Used by test_tracer_*.py. ``traced(program, ..., calls=(...))`` launches; ``Tracing`` is its parts, for tests that attach,
kill or detach. Rules: a plan made here by hand, in which every system call has six words and keeps nothing behind
pointers, so that the loop is tested without the generator; every wait is bounded; what a test started is gone when it
ends.

Absent on purpose: what functions of libraries need (test_tracer_breaks.py), what records hold (test_tracer_records.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import Record, Trace, _collect, _text
from ring_reader import Reader
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.consumer.shim import ManifestHead
from wc_intercept.consumer.tracer import Tracer
from wc_intercept.generator.manifest import Field, Manifest, Platform, Return, Symbol, Target, encode
from wc_intercept.generator.syscalls import numbers
from wc_intercept.generator.tracer_plan import ARGUMENT, HEAD, MAGIC, STEP, SYMBOL, TARGET, VERSION

SECONDS = 60.0
"""More than anything here takes on a busy machine; a hang, for sure."""
OFFSETS = (40, 48, 56, 72, 80, 88)
"""Where six words stand in a record: a field never straddles a cell, whose first 8 bytes are its header."""
HASH = 0x7472616365
NORETURN, EXECS = 1, 128
ENDLESS = ("exit", "exit_group")
EXECUTING = ("execve", "execveat")


def manifest_of(names: Sequence[str], functions: Sequence[str]) -> Manifest:
    words = [Field(f"a{i}", "uint", offset, 8) for i, offset in enumerate(OFFSETS)]
    symbols = [
        Symbol(name, i, "syscall", "", fields=words, result=Return("int", 8, fail="-1"), cells=2, engine="ptrace")
        for i, name in enumerate([*names, *functions])
    ]
    targets = [Target(name, "syscall") for name in names] + [Target(name) for name in functions]
    return Manifest("test", Platform("x86_64", "glibc", "libc.so.6"), targets, symbols)


def plan_of(names: Sequence[str], functions: Sequence[str]) -> bytes:
    """The bytes of wc_plan.h for the system calls *names* and the program's own *functions*."""
    text = b"\0.\0"
    places = []
    every = [*((name, numbers()[name], 0) for name in names), *((name, -1, 1) for name in functions)]
    for name, _, _ in every:
        places.append(len(text))
        text += name.encode() + b"\0"
    targets = b"".join(TARGET.pack(place, 0, 0, 0, 0, 0) for place in places)
    symbols, arguments = b"", b""
    for i, ((name, number, library), place) in enumerate(zip(every, places, strict=True)):
        flags = NORETURN * (name in ENDLESS) | EXECS * (name in EXECUTING)
        symbols += SYMBOL.pack(place, library, number, 6 * i, i, i, 2, 0, 6, flags, 1, 8, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0)
        for word, offset in enumerate(OFFSETS):
            arguments += ARGUMENT.pack(offset, 0, 2, 8, 0, word, 1, 0, 0, 0, 0, 0, 0, 0, word, 0, 8, word + 1)
    parts, at, places_of = [targets, symbols, arguments, STEP.pack(0, 0, 0, 0), b"", text], HEAD.size, []
    for part in parts:
        places_of.append(at)
        at += len(part) + -len(part) % 8
    body = b"".join(part + bytes(-len(part) % 8) for part in parts)
    counts = len(every), len(every), 6 * len(every), 1, 0, len(text)
    placed = [number for pair in zip(counts, places_of, strict=True) for number in pair]
    return HEAD.pack(MAGIC, VERSION, at, HASH, *placed, 0, 0) + body


@contextmanager
def as_user(user: int | None) -> Iterator[None]:
    """Be *user* meanwhile; None: stay who we are."""
    if user is None:
        yield
        return
    before = os.getresuid()
    os.setresuid(user, user, before[0])
    try:
        yield
    finally:
        os.setresuid(*before)


class Tracing:
    """A session, its tracer and its reader. Used as a context manager: nothing of them is left afterwards."""

    def __init__(
        self, calls: Sequence[str] = ("getppid",), *, pin: bool = True, follow: int = fields.FOLLOW_DEFAULT,
        policy: int = abi.BLOCK, block_ms: int = 10_000, user: int | None = None, functions: Sequence[str] = (),
    ) -> None:  # fmt: skip
        options = SessionOptions(policy=policy, block_ms=block_ms, follow=follow, clock=abi.CLOCK_TSC)
        with as_user(user):
            self._start(list(numbers()) if "*" in calls else list(calls), functions, pin, options)

    def _start(self, names: Sequence[str], functions: Sequence[str], pin: bool, options: SessionOptions) -> None:
        self.manifest = manifest_of(names, functions)
        text = encode(self.manifest)
        stored = ManifestHead(1, len(self.manifest.targets), HASH, len(text)), [1] * len(self.manifest.targets), text
        self._folder = tempfile.TemporaryDirectory()
        plan = Path(self._folder.name) / "plan"
        plan.write_bytes(plan_of(names, functions))
        self.session = SessionDirectory.create(None, stored, options, plan)
        self.reader = Reader(self.session.path, False)
        self.tracer = Tracer.start(self.session, str(plan), beside=False, pin=pin, handlers=False)
        self.said: list[tuple[str, str]] = []
        self.programs: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for program in self.programs:
            if program.poll() is None:
                program.kill()
        with suppress(ChildProcessError):
            self.tracer.close()
            if os.waitpid(self.tracer.pid, os.WNOHANG) == (0, 0):
                os.kill(self.tracer.pid, signal.SIGKILL)
                os.waitpid(self.tracer.pid, 0)
        for program in self.programs:
            program.wait(SECONDS)
        self.reader.close()
        self.session.remove()
        self._folder.cleanup()

    def launch(self, *command: object, **popen: Any) -> subprocess.Popen[bytes]:
        """Start *command* traced."""
        self.tracer.prepare()
        program = subprocess.Popen([str(word) for word in command], preexec_fn=self.tracer.launch, **popen)
        self.programs.append(program)
        return program

    def untraced(self, *command: object, **popen: Any) -> subprocess.Popen[bytes]:
        """Start *command* on its own, to be attached to."""
        program = subprocess.Popen([str(word) for word in command], **popen)
        self.programs.append(program)
        return program

    def attach(self, program: subprocess.Popen[bytes]) -> None:
        self.tracer.attach(program.pid)

    def turn(self) -> None:
        """Read what has come, and say that we live."""
        self.session.beat()
        self.said += self.tracer.hear()
        if self.reader.poll() < 1000:
            time.sleep(0.0005)

    def until(self, condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Read until *condition* holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}; the tracer said {self.said}"
            self.turn()

    def until_end(self) -> None:
        """Read until the tracer has nothing left to trace."""
        self.until(lambda: self.tracer.ended or self.tracer.gone, "the tracer's end")
        assert self.tracer.ended, "the tracer died: " + self.tracer.why_gone()

    def hang_up(self) -> None:
        """As if wc-run were gone: the line ends."""
        self.tracer.close()

    def detach(self) -> None:
        self.tracer.detach()
        self.until_end()

    def trace(self, status: int = 0, out: str = "", err: str = "") -> Trace:
        """Everything recorded so far."""
        self.reader.poll(final=True)
        return _collect(self.reader, self.session, self.manifest, status, [out, err])

    def records(self) -> list[Record]:
        return [record for record in self.trace().records if record.kind in (abi.CALL, abi.ENTER)]


def traced(*command: object, calls: Sequence[str], seconds: float = SECONDS, **tracing: Any) -> Trace:
    """Run *command* to its end with *calls* traced; the keywords are Tracing's. What it prints is in the Trace."""
    with Tracing(calls, **tracing) as t, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        program = t.launch(*command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        t.until(lambda: program.poll() is not None, "the program's end", seconds)
        t.until_end()
        trace = t.trace(program.returncode, _text(out), _text(err))
        assert [] == [rest for word, rest in t.said if word in ("warn", "error")]
        return trace


def by_call(records: Sequence[Record]) -> Counter[str]:
    return Counter(record.symbol for record in records)
