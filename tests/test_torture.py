"""The tracer under load: many threads, storms of processes, stops, timers, and death at any moment.

Rules: programs (tests/c/torture_*.c) say what they did, and the records must be exactly that; every wait is bounded; what
a test started is gone when it ends. ``make soak`` runs the full counts.

Absent on purpose: what records look like, and the shim's own torture (test_runtime_*.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from views import lines_of, quiet

Compile = Callable[..., Path]
OWN = {"func_name": "work", "preload": False}
SECONDS = 60.0
"""More than anything here takes on a busy machine; a hang, for sure."""


def config(tmp_path: Path, *functions: str, syscalls: tuple[str, ...] = (), record: str = "exit") -> Path:
    funcs = [{"func_name": name, "preload": False, "record": record} for name in functions]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"funcs": funcs, "syscalls": [{"syscall_id": name} for name in syscalls]}))
    return path


def words(tmp_path: Path, *options: object, engine: str = "ptrace") -> list[str]:
    output = ["--format", "jsonl", "-o", tmp_path / "calls"]
    return [str(word) for word in [BIN / "wc-run", "--engine", engine, "-c", tmp_path / "config.json", *output, *options]]


def traced(
    tmp_path: Path, *command: object, engine: str = "ptrace"
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    done = quiet([*words(tmp_path, engine=engine), *command])
    assert 0 == done.returncode, done.stderr
    return done, lines_of(tmp_path / "calls")


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


# --- what programs did is what is recorded ------------------------------------------------------------------------------


def test_many_threads_and_recursion_and_longjmp(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """Each thread's calls are its own; those that a longjmp left have no result."""
    threads, each = 64, 2000 if soak else 50
    config(tmp_path, "work", syscalls=("getppid",), record="both")
    done, calls = traced(tmp_path, compile_c("torture_threads.c", "-pthread"), threads, each)
    entered, returned = numbers(done.stdout)
    work = [call for call in calls if call["func"] == "work"]
    assert entered == len(work)
    assert returned == sum(call["ret"] is not None for call in work)
    assert all(call["ret"] in (None, call["args"]["number"] + call["args"]["level"]) for call in work)
    assert {each} == set(Counter(call["tid"] for call in calls if call["func"] == "getppid").values())
    assert {3 * each} == set(Counter(call["tid"] for call in work).values())
    assert threads == len({call["tid"] for call in work})


def test_a_storm_of_processes(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """fork, vfork, posix_spawn, clone with and without shared memory."""
    width, depth = (6, 4) if soak else (5, 3)
    config(tmp_path, "work", syscalls=("exit_group",))
    done, calls = traced(tmp_path, compile_c("torture_forks.c"), width, depth)
    processes, works = numbers(done.stdout)
    ends = Counter(call["pid"] for call in calls if call["func"] == "exit_group")
    assert (processes, {1}) == (len(ends), set(ends.values()))
    assert works == sum(call["func"] == "work" for call in calls)
    assert ends.keys() == {call["pid"] for call in calls if call["func"] == "work"}


def test_exec_by_threads_that_are_not_the_first(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """The new image has the process's id, and its own breakpoints; the others' calls end unfinished."""
    images = 200 if soak else 15
    config(tmp_path, "work", syscalls=("execve",))
    done, calls = traced(tmp_path, compile_c("torture_execs.c", "-pthread"), images)
    first, last = numbers(done.stdout)
    assert first == last
    assert images + 1 == sum(call["func"] == "execve" and call["ret"] == 0 for call in calls)
    work = [call for call in calls if call["func"] == "work"]
    assert list(range(images, -1, -1)) == [call["args"]["number"] for call in work]
    assert {first} == {call["pid"] for call in calls} == {call["tid"] for call in work}


def test_stops_and_continuations(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """SIGSTOP stops the group, its parent sees it; SIGCONT sets it going; no signal is lost on the way."""
    rounds = 500 if soak else 25
    config(tmp_path, syscalls=("getppid",))
    done, calls = traced(tmp_path, compile_c("torture_stops.c", "-pthread"), rounds)
    assert [rounds, rounds, 2 * rounds, 2 * rounds] == numbers(done.stdout)
    assert 4 <= len({call["tid"] for call in calls} | {0})


@pytest.mark.parametrize("record", ["exit", "entry"])
def test_timers_of_ten_kilohertz(tmp_path: Path, compile_c: Compile, soak: bool, record: str) -> None:
    """Signals arrive at breakpoints, in slots and in system calls: none is lost, and every call is counted once."""
    calls_of_work = 100_000 if soak else 4_000
    config(tmp_path, "work", "inside", syscalls=("getppid", "rt_sigreturn"), record=record)
    done, calls = traced(tmp_path, compile_c("torture_timers.c", "-lrt"), calls_of_work)
    alarms, handled, queued, sent = numbers(done.stdout)
    found = Counter(call["func"] for call in calls)
    assert (sent, sent) == (queued, calls_of_work // 10)
    assert calls_of_work // 4 <= alarms + handled
    assert (calls_of_work, calls_of_work) == (found["work"], found["getppid"])
    assert alarms + handled + queued == found["inside"] == found["rt_sigreturn"]
    results = {call["ret"] is not None and call["ret"] == 2 * call["args"]["number"] for call in calls if call["func"] == "work"}
    assert {record == "exit"} == results


def test_a_child_that_is_not_followed_has_no_breakpoint_in_it(tmp_path: Path, compile_c: Compile) -> None:
    config(tmp_path, "work", "printf")
    done = quiet([*words(tmp_path, "--follow", "none"), compile_c("torture_text.c")])
    assert (0, "0\n") == (done.returncode, done.stdout)
    assert 1 == sum(call["func"] == "work" for call in lines_of(tmp_path / "calls"))


def test_breakpoints_are_in_the_code_of_the_traced(tmp_path: Path, compile_c: Compile) -> None:
    """So that the test above means something."""
    config(tmp_path, "work")
    done = quiet([*words(tmp_path), compile_c("torture_text.c"), "self"])
    assert (0, True) == (done.returncode, 1 <= int(done.stdout))


def test_a_shim_beside_the_tracer_in_a_storm_of_processes(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """Each target is served by one engine, in every process and image; the shim's own system calls are not shown."""
    width, depth = (6, 4) if soak else (5, 3)
    funcs = [OWN, {"func_name": "fork"}, {"func_name": "posix_spawn"}]
    calls_of_system = [{"syscall_id": name} for name in ("exit_group", "execve", "openat")]
    (tmp_path / "config.json").write_text(json.dumps({"funcs": funcs, "syscalls": calls_of_system}))
    done, calls = traced(tmp_path, compile_c("torture_forks.c"), width, depth, engine="auto")
    processes, works = numbers(done.stdout)
    found = Counter((call["func"], call["engine"]) for call in calls)
    assert (works, processes) == (found["work", "ptrace"], found["exit_group", "ptrace"])
    spawned, forked = found["posix_spawn", "preload"], found["fork", "preload"]
    assert (True, spawned + 1) == (0 < forked, found["execve", "ptrace"])
    assert {"work", "exit_group", "execve", "openat", "posix_spawn", "fork"} == {func for func, _ in found}
    opened = Counter(call["args"]["pathname"].rsplit("/", 1)[-1] for call in calls if call["func"] == "openat")
    assert {"libc.so.6", "ld.so.cache", "shim.so"} == set(opened)  # the dynamic linker's, not the shim's own


# --- death at any moment -----------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path, compile_c: Compile) -> Iterator[Path]:
    """torture_busy under a name of its own, by which its processes are found; those are gone afterwards."""
    program = tmp_path / "busy"
    shutil.copy(compile_c("torture_busy.c", "-pthread"), program)
    yield program
    kill_all(program)


def running(program: Path) -> list[int]:
    """Return the processes of *program*."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "exe") == str(program):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def kill_all(program: Path) -> None:
    for pid in running(program):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def status_of(task: Path) -> dict[str, str]:
    """Return /proc/.../status; nothing when it is gone."""
    try:
        lines = (task / "status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").glob("*"))


def tracer_of(parent: int) -> int | None:
    """Return the tracer that wc-run, process *parent*, has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        status = status_of(folder)
        if status.get("Name") == "wc-tracer" and status.get("PPid") == str(parent):
            return int(folder.name)
    return None


def eventually(what: Callable[[], Any], seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ended(process: subprocess.Popen[str]) -> int:
    """Return the status of wc-run, which ends soon."""
    try:
        return process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail("wc-run hangs")


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_until_traced(pid: int, wc_run: subprocess.Popen[str]) -> None:
    """Wait until process *pid* has a tracer, or wc-run has given up."""
    folder = Path(f"/proc/{pid}")
    assert eventually(lambda: status_of(folder).get("TracerPid") != "0" or wc_run.poll() is not None)


def is_gone(tracer: int | None) -> bool:
    """Whether a tracer ends, soon."""
    folder = Path(f"/proc/{tracer}")

    def ended_() -> bool:
        status = status_of(folder)
        return status.get("Name") != "wc-tracer" or status["State"][0] == "Z"

    return eventually(ended_)


def works(pid: int) -> bool:
    """Whether a process uses its processor, now."""

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[11:13]))

    before = ticks()
    return eventually(lambda: ticks() > before + 2, 20)


def is_free(pid: int) -> bool:
    """Whether no thread of a process is traced or stopped."""
    found = [status_of(task) for task in tasks(pid)]
    return all(status.get("TracerPid", "0") == "0" and status.get("State", "R")[0] not in "Tt" for status in found)


def changed_code(pid: int) -> list[str]:
    """Return where the machine code of a process is not that of the files it comes from."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, bits, offset, _, _, *path = line.split()
            if "x" not in bits or not path or not path[0].startswith("/"):
                continue
            start, end_ = (int(word, 16) for word in span.split("-"))
            memory.seek(start)
            code = memory.read(end_ - start)
            with open(path[0], "rb") as file:
                file.seek(int(offset, 16))
                original = file.read(end_ - start)
            found += [f"{path[0]}+{at:#x}" for at, (a, b) in enumerate(zip(code, original, strict=False)) if a != b]
    return found


@pytest.mark.parametrize("victim", ["tracer", "program", "wc-run"])
def test_sigkill_at_any_moment(tmp_path: Path, busy: Path, victim: str, soak: bool) -> None:
    """Nothing hangs, and nothing stays behind: a launched program ends with its tracer, and goes on without wc-run."""
    config(tmp_path, "work", syscalls=("getppid", "clone", "wait4"))
    chance = random.Random(victim)
    for _ in range(170 if soak else 8):
        process = start([*words(tmp_path), str(busy)])
        try:
            tracer = kill_one(process, victim, busy, chance)
            if victim == "wc-run":
                assert all(map(goes_on_or_is_gone, running(busy)))
                kill_all(busy)
            assert eventually(lambda: not running(busy)), [status_of(Path(f"/proc/{pid}")) for pid in running(busy)]
            assert is_gone(tracer), "the tracer stays behind"
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stderr
            process.stderr.close()


def kill_one(process: subprocess.Popen[str], victim: str, program: Path, chance: random.Random) -> int | None:
    """Kill it some time after it has come to be; see that wc-run ends as it should. Return the tracer's id."""
    found: dict[str, Callable[[], int | None]] = {
        "tracer": lambda: tracer_of(process.pid),
        "program": lambda: min(running(program), default=None),
        "wc-run": lambda: process.pid if running(program) else None,
    }
    assert eventually(lambda: found[victim]() or process.poll() is not None)
    time.sleep(chance.choice((0, chance.uniform(0, 0.05), chance.uniform(0, 0.4))))
    pid, tracer = found[victim](), tracer_of(process.pid)
    assert pid, (process.poll(), process.stderr and process.stderr.read())
    os.kill(pid, signal.SIGKILL)
    status = ended(process)
    assert status in {"tracer": (-9, 125), "program": (-9,), "wc-run": (-9,)}[victim], process.stderr and process.stderr.read()
    return tracer


def goes_on_or_is_gone(pid: int) -> bool:
    try:
        return works(pid)
    except OSError:
        return True


def test_attach_and_leave_at_any_moment(tmp_path: Path, busy: Path, soak: bool) -> None:
    """Again and again to one program: every thread is let go, and its code is as before."""
    config(tmp_path, "work", syscalls=("getppid", "clone"))
    chance = random.Random(7)
    program = launched(busy)
    try:
        for number in range(100 if soak else 8):
            process = start(words(tmp_path, "-p", program.pid))
            wait_until_traced(program.pid, process)
            time.sleep(chance.choice((0.0, 0.05, 0.3)) * chance.random())
            process.send_signal(signal.SIGINT if number % 2 else signal.SIGTERM)
            assert ended(process) not in (125, 126, 127), process.stderr and process.stderr.read()
            assert eventually(lambda: is_free(program.pid)), "it is still traced, or stopped"
            assert [] == changed_code(program.pid)
            assert works(program.pid)
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def test_no_signal_is_lost_by_attaching_and_leaving(tmp_path: Path, compile_c: Compile, soak: bool) -> None:
    """10 kHz of timers and queued signals meet breakpoints that come and go."""
    config(tmp_path, "work", "inside", syscalls=("getppid", "rt_sigreturn"))
    calls_of_work, attached = 200_000 if soak else 40_000, 0
    chance = random.Random(9)
    program = subprocess.Popen(
        [compile_c("torture_timers.c", "-lrt"), str(calls_of_work)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        while program.poll() is None and attached < (40 if soak else 4):
            process = start(words(tmp_path, "-p", program.pid))
            wait_until_traced(program.pid, process)
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGINT)
            ended(process)
            attached += 1
        output = program.communicate(timeout=SECONDS * 2)[0]
    finally:
        program.kill()
        program.wait()
    alarms, handled, queued, sent = numbers(output)
    assert (0, sent) == (program.returncode, queued)
    assert (True, True) == (0 < attached, min(alarms, handled) >= calls_of_work // 8)


def test_an_attached_program_outlives_its_tracer(tmp_path: Path, busy: Path, soak: bool) -> None:
    """SIGKILL of the tracer, system calls only: there is no breakpoint to fall over."""
    config(tmp_path, syscalls=("getppid", "clone", "wait4"))
    chance = random.Random(8)
    program = launched(busy)
    try:
        for _ in range(60 if soak else 5):
            process = start(words(tmp_path, "-p", program.pid))
            wait_until_traced(program.pid, process)
            time.sleep(chance.uniform(0, 0.3))
            tracer = tracer_of(process.pid)
            assert tracer, process.stderr and process.stderr.read()
            os.kill(tracer, signal.SIGKILL)
            ended(process)
            assert eventually(lambda: is_free(program.pid)), "it is still traced, or stopped"
            assert works(program.pid)
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def launched(program: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert "ready\n" == process.stdout.readline()
    return process
