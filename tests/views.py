"""Three views of the system calls of a program: strace's, the kernel's own (tracefs), and ours, made comparable.

Used by test_agreement.py, test_torture.py and test_static.py. A view is, for every thread, the calls that it made in the
order in which they ended, each a name and what it returned. Threads of two runs are matched by their place in the tree
of who created whom; what differs by nature is replaced: thread and process ids by such places.

A call that a signal interrupted and that went on is one call, as it is in our records: strace and the kernel show each
attempt (ERESTARTSYS, restart_syscall), and here they are joined.

Absent on purpose: arguments (other tests), and anything of ours that reads system calls: the numbers' names are taken
from the kernel's header once more.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from conftest import BIN

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
CREATORS = ("fork", "vfork", "clone", "clone3")
PID_RESULTS = frozenset((*CREATORS, "getpid", "gettid", "getppid", "wait4", "set_tid_address", "getpgrp", "getpgid",
                         "getsid", "setsid"))  # fmt: skip
RESTARTS = range(-516, -511)
"""The kernel's own ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, (ENOIOCTLCMD,) ERESTART_RESTARTBLOCK."""
ERESTART = {"ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514, "ERESTART_RESTARTBLOCK": 516}


class Call(NamedTuple):
    """A system call and what it returned: -errno if it failed, None if it never returned."""

    name: str
    result: int | str | None


Threads = dict[int, list[Call]]
"""By thread id, in the order in which the threads were first seen."""
Place = tuple[int, ...]
"""() for the first thread, (2,) for the third that it created, (2, 0) for the first that that one created."""


@cache
def number_of() -> Mapping[str, int]:
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", HEADER.read_text(), re.M)
    return {name: int(number) for name, number in found}


@cache
def name_of() -> Mapping[int, str]:
    return {number: name for name, number in number_of().items()}


def counts(threads: Threads) -> Counter[str]:
    return Counter(call.name for calls in threads.values() for call in calls)


def by_place(threads: Threads) -> dict[Place, list[Call]]:
    """Name the threads by their places in the tree, and the ids that they returned as well."""
    first = next(iter(threads))
    places: dict[int, Place] = {first: ()}
    waiting = [first]
    while waiting:
        parent = waiting.pop()
        born = [c.result for c in threads.get(parent, []) if c.name in CREATORS and isinstance(c.result, int)]
        for n, child in enumerate(tid for tid in born if tid > 0):
            places[child] = (*places[parent], n)
            waiting.append(child)
    strangers = threads.keys() - places.keys()
    assert not strangers, f"threads that nobody created: {sorted(strangers)}"
    return {places[tid]: [_placed(call, places) for call in calls] for tid, calls in threads.items()}


def _placed(call: Call, places: Mapping[int, Place]) -> Call:
    if call.name in PID_RESULTS and isinstance(call.result, int) and call.result > 0:
        return Call(call.name, f"thread {places[call.result]}" if call.result in places else "a stranger")
    return call


def differences(ours: Mapping[Place, Sequence[Call]], theirs: Mapping[Place, Sequence[Call]]) -> list[str]:
    """Say where two views differ: at most one line a thread."""
    said = [f"{place}: a thread that we do not have" for place in theirs.keys() - ours.keys()]
    said += [f"{place}: a thread that only we have" for place in ours.keys() - theirs.keys()]
    for place in ours.keys() & theirs.keys():
        mine, other = ours[place], theirs[place]
        at = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), min(len(mine), len(other)))
        if at < max(len(mine), len(other)):
            near = slice(max(0, at - 2), at + 3)
            said.append(f"{place} at {at} of {len(mine)}, {len(other)}: ours {_said(mine[near])}, theirs {_said(other[near])}")
    return said


def _said(calls: Iterable[Call]) -> str:
    return " ".join(f"{name}={result}" for name, result in calls) or "(end)"


# --- interrupted calls ---------------------------------------------------------------------------------------------


def join_restarts(calls: Iterable[Call]) -> list[Call]:
    """Make one call of the attempts of an interrupted one: where it ended, or at its EINTR.

    What a signal handler called stands between the attempts; the handler's rt_sigreturn tells which it became: it
    "returns" what the interrupted call returns, EINTR, or the call's number where the kernel makes it once more.
    """
    done: list[Call | None] = []
    open_: list[tuple[int, str]] = []  # where in `done` an interrupted call stands, and its name
    for call in calls:
        if open_ and call.name in (open_[-1][1], "restart_syscall"):
            place, name = open_.pop()
            done[place] = None
            call = Call(name, call.result)
        if isinstance(call.result, int) and call.result in RESTARTS:
            open_.append((len(done), call.name))
            done.append(call)
            continue
        done.append(call)
        if call.name == "rt_sigreturn" and open_ and call.result == -errno.EINTR:
            place, name = open_.pop()
            done[place] = Call(name, -errno.EINTR)
    last: list[Call] = []
    for place, name in open_:  # it died in there
        done[place] = None
        last.append(Call(name, None))
    return [call for call in done if call is not None] + last


# --- ours --------------------------------------------------------------------------------------------------------------


@dataclass
class Ran:
    """What a traced program did: seen from outside, and call by call."""

    status: int
    stdout: str
    stderr: str
    threads: Threads
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Ours only: the lines of jsonl."""


def quiet(command: Sequence[object], timeout: float = 120, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run *command*; should it take too long, it is killed with all that it started."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = [str(word) for word in command]
    process = subprocess.Popen(words, **pipes, errors="surrogateescape", start_new_session=True, **more)
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def our_words(output: Path, *options: object, trace: str = "sys:*") -> list[str]:
    words = [BIN / "wc-run", "--engine", "ptrace", "--trace", trace, "--format", "jsonl", "-o", output, *options]
    return [str(word) for word in words]


def ours(output: Path, command: Sequence[object], *options: object, before: Sequence[str] = (), **more: Any) -> Ran:
    """Run *command* under our tracer, all its system calls."""
    done = quiet([*before, *our_words(output, *options), *command], **more)
    assert output.exists(), done.stderr
    calls = lines_of(output)
    return Ran(done.returncode, done.stdout, done.stderr, our_threads(calls), calls)


def lines_of(output: Path) -> list[dict[str, Any]]:
    with open(output, errors="surrogateescape") as lines:
        return [json.loads(line) for line in lines]


def our_threads(calls: Iterable[Mapping[str, Any]]) -> Threads:
    threads: Threads = {}
    for call in calls:
        if call.get("kind") == "syscall":
            threads.setdefault(call["tid"], []).append(Call(call["func"], _our_result(call)))
    return threads


def _our_result(call: Mapping[str, Any]) -> int | None:
    if call["ret"] is None or call["errno"] is None:
        return signed(call["ret"])
    assert call["ret"] == -1, call
    return -int(getattr(errno, call["errno"]))


def signed(value: int | None) -> int | None:
    return value - (1 << 64) if value is not None and value >= 1 << 63 else value


# --- strace's ----------------------------------------------------------------------------------------------------------

LINE = re.compile(r"^(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)(.*)$")
RESULT = re.compile(r"\) += (\?|-?\w+)(?: (E\w+))?[^=]*$")


def by_strace(output: Path, command: Sequence[object], before: Sequence[str] = (), **more: Any) -> Ran:
    """Run *command* under strace: everything raw, so that results are numbers."""
    words = ["strace", "-f", "-qq", "-X", "raw", "-e", "raw=all", "-e", "signal=none", "-o", output]
    done = quiet([*before, *words, *command], **more)
    threads = {tid: join_restarts(calls) for tid, calls in _strace_threads(output).items()}
    return Ran(done.returncode, done.stdout, done.stderr, threads)


def _strace_threads(output: Path) -> Threads:
    threads: Threads = {}
    unfinished: dict[int, str] = {}
    with open(output, errors="surrogateescape") as lines:
        for line in lines:
            found = LINE.match(line.rstrip("\n"))
            assert found, line
            tid, begun, resumed, rest = int(found[1]), found[2], found[3], found[4]
            calls = threads.setdefault(tid, [])
            if rest.endswith("<unfinished ...>"):
                unfinished[tid] = begun
                continue
            unfinished.pop(tid, None)
            calls.append(Call(begun or resumed, _strace_result(line, rest)))
    for tid, name in unfinished.items():
        threads[tid].append(Call(name, None))
    return threads


def _strace_result(line: str, rest: str) -> int | None:
    found = RESULT.search(rest)
    assert found, line
    value, name = found[1], found[2]
    if name:
        return -(ERESTART.get(name) or int(getattr(errno, name)))
    return None if value == "?" else signed(int(value, 0))


# --- the kernel's ------------------------------------------------------------------------------------------------------

TRACEFS = Path("/sys/kernel/tracing")
EVENT = re.compile(r"^.*?-(\d+) +\[\d+\] \S+ +[\d.]+: (\w+): (.*)$")
EVENTS = ("raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_process_fork")


def why_no_tracefs() -> str | None:
    """Return why the kernel's own view cannot be had here, or None."""
    if os.geteuid() != 0:
        return "reading the kernel's own events needs root"
    if not (TRACEFS / "instances").exists():
        subprocess.run(["mount", "-t", "tracefs", "nodev", TRACEFS], capture_output=True)
    if not (TRACEFS / "instances").exists():
        return "tracefs cannot be mounted here"
    if not (TRACEFS / "events" / "raw_syscalls").exists():
        return "this kernel has no raw_syscalls events"
    try:
        with Kernel(1) as kernel:
            kernel.watch()
    except OSError as error:
        return f"a trace instance cannot be made here: {error}"
    return None


class Kernel:
    """The kernel's record of the system calls of one run: a trace instance of its own, gone at the end.

    ``with Kernel() as kernel: run(..., preexec_fn=kernel.watch); kernel.threads(root)``: all that descends from the
    process that called ``watch`` is recorded; *root* is the program's first process.
    """

    def __init__(self, megabytes: int = 64) -> None:
        self.path = TRACEFS / "instances" / f"wc-test-{os.getpid()}"
        self.kilobytes = megabytes << 10

    def __enter__(self) -> Kernel:
        for left in self.path.parent.glob("wc-test-*"):  # by a test that was killed
            if not Path(f"/proc/{left.name.removeprefix('wc-test-')}").exists():
                left.rmdir()
        self.path.mkdir()
        self._set("buffer_size_kb", str(self.kilobytes))
        self._set("options/event-fork", "1")
        self._set("trace_clock", "mono")
        for event in EVENTS:
            self._set(f"events/{event}/enable", "1")
        return self

    def __exit__(self, *_: object) -> None:
        self._set("tracing_on", "0")
        for event in EVENTS:
            self._set(f"events/{event}/enable", "0")
        self.path.rmdir()

    def watch(self) -> None:
        """Record this process and what descends from it: called in the child, before its exec."""
        self._set("set_event_pid", str(os.getpid()))

    def _set(self, name: str, value: str) -> None:
        with open(self.path / name, "w") as file:
            file.write(value)

    def threads(self, root: int) -> Threads:
        """Return the calls of *root*, from its first successful execve on, and of what descends from it."""
        self._set("tracing_on", "0")
        overrun = [stats for stats in self.path.glob("per_cpu/*/stats") if "overrun: 0\n" not in stats.read_text()]
        assert not overrun, "the kernel's buffer was too small for this run"
        seen: dict[int, list[Call]] = {root: []}
        entered: dict[int, int] = {}
        with open(self.path / "trace", errors="surrogateescape") as lines:
            for line in lines:
                if found := EVENT.match(line):
                    self._take(seen, entered, int(found[1]), found[2], found[3])
        for tid, number in entered.items():  # died inside, or exit
            seen[tid].append(Call(name_of().get(number, str(number)), None))
        first = next(i for i, call in enumerate(seen[root]) if call == Call("execve", 0))
        seen[root] = seen[root][first:]
        return {tid: join_restarts(calls) for tid, calls in seen.items() if calls}  # it may end before its first

    @staticmethod
    def _take(seen: dict[int, list[Call]], entered: dict[int, int], tid: int, event: str, text: str) -> None:
        if event == "sched_process_fork":
            child = int(re.search(r"child_pid=(\d+)", text)[1])  # type: ignore[index]
            if tid in seen:
                seen[child] = []
        elif tid not in seen:
            return
        elif event == "sys_enter":
            entered[tid] = int(text.split()[1])
        elif tid in entered:
            number = entered.pop(tid)  # that of the exit is -1 after rt_sigreturn
            seen[tid].append(Call(name_of().get(number, str(number)), int(text.split("=")[1])))


def assert_equal_to_kernel(run: Ran, kernel: Kernel) -> None:
    """Every thread's calls, and so the sums, are the kernel's.

    But for a call in which a thread was killed: it may have been stopped before the kernel took note of it, or after.
    """
    theirs = kernel.threads(next(iter(run.threads)))
    ours_, theirs_ = by_place(run.threads), by_place(theirs)
    for place, calls in ours_.items():
        last = calls[-1]
        if last.result is None and last.name not in ("exit", "exit_group"):
            before = len(calls) - 1
            more = theirs_.get(place, [])[before:]
            if not more or (len(more) == 1 and more[0].name == last.name):
                theirs_[place] = [*theirs_.get(place, [])[:before], last]
    assert _sum(theirs_) == _sum(ours_)
    assert [] == differences(ours_, theirs_)


def _sum(threads: Mapping[Place, Sequence[Call]]) -> Counter[str]:
    return Counter(call.name for calls in threads.values() for call in calls)
