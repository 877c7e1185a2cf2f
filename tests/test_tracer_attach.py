"""-p: a running program is taken hold of, whatever it is doing, and let go unharmed.

Rules: tests/c/traced_life.c lives until its input ends and then says whether anything was wrong; it must not be, however
often it is attached to and let go. Every refusal is one sentence that names its cause.

Absent on purpose: wc-run's own part of it (test_run_attach.py), breakpoints (test_tracer_breaks.py).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tracing import SECONDS, Tracing, by_call
from wc_intercept.consumer import abi, tracer
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.refusal import Refusal

Program = subprocess.Popen[bytes]
Live = Callable[[str], Program]
LIVES = ("busy", "threads", "asleep", "napping", "vforking", "forking", "leaderless")
ALL = ("*",)


@pytest.fixture
def live(compile_c: Callable[..., Path]) -> Iterator[Live]:
    """Start traced_life in a mode; it is gone afterwards."""
    programs: list[Program] = []

    def live(mode: str) -> Program:
        program = subprocess.Popen(
            [compile_c("traced_life.c", "-pthread"), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        programs.append(program)
        assert program.stdout is not None
        assert b"ready\n" == program.stdout.readline()
        return program

    yield live
    for program in programs:
        program.kill()
        program.communicate()


def end(program: Program) -> None:
    """It ends by itself, and nothing was wrong."""
    output, _ = program.communicate(timeout=SECONDS)
    assert (b"1 0\n", 0) == (output, program.returncode)


def status_of(pid: int, key: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line.split(":", 1)[1].split()[0] for line in text.splitlines() if line.startswith(key + ":"))


# --- taking hold ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", LIVES)
def test_a_program_is_traced_from_then_on_and_ends_by_itself(live: Live, mode: str) -> None:
    program = live(mode)
    with Tracing(ALL) as t:
        t.attach(program)
        if mode not in ("asleep", "vforking"):
            t.until(lambda: len(t.trace().pieces) > 3, "some calls")
        assert program.stdin is not None
        program.stdin.close()
        t.until_end()
        assert ("exit", f"{program.pid} 0") in t.said
        assert 1 == by_call(t.records())["exit_group"] if mode != "forking" else t.records()
    program.stdin = None
    end(program)


def test_all_threads_are_traced(live: Live) -> None:
    """Those that were there, and those that come."""
    program = live("threads")
    with Tracing(("getppid",)) as t:
        t.attach(program)
        t.until(lambda: len({record.tid for record in t.records()}) > 12, "calls of many threads")
        traced = {int(task.name) for task in Path(f"/proc/{program.pid}/task").iterdir()}
        tracers = {status_of(program.pid, "TracerPid")}
        assert {str(t.tracer.pid)} == tracers
        assert len(traced) >= 9
        t.detach()
    end(program)


def test_a_call_that_it_sleeps_in_goes_on(live: Live) -> None:
    """poll is made again by the kernel, with what is left of its time, and its record says what it was."""
    program = live("asleep")
    with Tracing(ALL) as t:
        t.attach(program)
        assert program.stdin is not None
        program.stdin.close()
        t.until_end()
        names = [record.symbol for record in t.records()]
        assert names[0] in ("poll", "restart_syscall")
        assert 1 == t.records()[0].result
    program.stdin = None
    end(program)


def test_the_clock_of_a_sleep_is_not_set_back() -> None:
    program = subprocess.Popen(["sleep", "2"])
    began = time.monotonic()
    for _ in range(5):
        with Tracing(ALL) as t:
            t.attach(program)
            t.detach()
    assert 0 == program.wait(SECONDS)
    assert 1.9 < time.monotonic() - began < 30


def test_calls_of_32_bit_code_are_passed_on_and_that_is_said_once(live: Live) -> None:
    program = live("foreign")
    with Tracing(ALL) as t:
        t.attach(program)
        t.until(lambda: by_call(t.records())["getppid"] > 10, "calls of its own")
        t.detach()
        assert ["system calls of 32-bit code (int 0x80, x32) are not recorded"] == [w for k, w in t.said if k == "warn"]
        # restart_syscall: it slept in poll when the tracer came
        assert {"getppid", "getpid", "poll", "restart_syscall"} >= set(by_call(t.records()))
    end(program)


def test_children_are_followed(live: Live) -> None:
    program = live("forking")
    with Tracing(("exit_group", "wait4")) as t:
        t.attach(program)
        t.until(lambda: by_call(t.records())["exit_group"] > 5, "children")
        children = {record.pid for record in t.records() if record.symbol == "exit_group"}
        assert len(children) > 5
        assert program.pid not in children
        t.detach()
    end(program)


def test_children_are_let_go_where_they_are_not_followed(live: Live) -> None:
    program = live("forking")
    with Tracing(("exit_group", "wait4"), follow=fields.FOLLOW_NONE) as t:
        t.attach(program)
        t.until(lambda: by_call(t.records())["wait4"] > 5, "calls of the parent")
        assert {"wait4"} == set(by_call(t.records()))
        t.detach()
    end(program)


def test_a_stopped_program_stays_stopped(live: Live) -> None:
    """While it is traced, and when it is let go; SIGCONT sets it going in both cases."""
    program = live("busy")
    program.send_signal(signal.SIGSTOP)
    os.waitpid(program.pid, os.WUNTRACED)
    with Tracing(("getppid",)) as t:
        t.attach(program)
        before = len(t.records())
        time.sleep(0.05)
        assert before == len(t.records())
        t.detach()
    assert "T" == status_of(program.pid, "State")
    with Tracing(("getppid",)) as t:
        t.attach(program)
        program.send_signal(signal.SIGCONT)
        t.until(lambda: t.records(), "calls after SIGCONT")
        program.send_signal(signal.SIGSTOP)
        t.until(lambda: status_of(program.pid, "State") in "tT", "the stop")
        t.detach()
    assert "T" == status_of(program.pid, "State")
    program.send_signal(signal.SIGCONT)
    end(program)


# --- letting go ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("functions", [(), ("turn",)], ids=["calls", "functions"])
@pytest.mark.parametrize("mode", LIVES)
def test_a_program_that_is_let_go_lives_on(live: Live, mode: str, functions: tuple[str, ...], soak: bool) -> None:
    """Again and again, at whatever moment."""
    program = live(mode)
    for turn in range(100 if soak else 8):
        with Tracing(ALL, functions=functions) as t:
            t.attach(program)
            deadline = time.monotonic() + 0.003 * turn
            while time.monotonic() < deadline:
                t.turn()
            t.detach()
            assert "it ended with exit status 0" == t.tracer.why_gone()
        assert "0" == status_of(program.pid, "TracerPid")
    end(program)


@pytest.mark.parametrize("mode", LIVES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_lives_on_when_the_tracer_is_ended(live: Live, mode: str, number: int) -> None:
    """By a signal that it can catch, or by one that it cannot: system calls alone leave nothing behind."""
    program = live(mode)
    with Tracing(ALL) as t:
        t.attach(program)
        t.turn()
        os.kill(t.tracer.pid, number)
        t.until(lambda: t.tracer.gone or t.tracer.ended, "the tracer's end")
    assert "0" == status_of(program.pid, "TracerPid")
    end(program)


@pytest.mark.parametrize("mode", LIVES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV, signal.SIGABRT])
def test_its_code_is_whole_again_when_the_tracer_is_ended(live: Live, mode: str, number: int) -> None:
    """By whatever it can catch, a crash of its own included: no breakpoint stays behind."""
    program = live(mode)
    with Tracing(("getppid",), functions=("turn",)) as t:
        t.attach(program)
        if mode in ("busy", "threads", "forking"):
            t.until(lambda: by_call(t.records())["turn"] > 5, "calls of the function")
        os.kill(t.tracer.pid, number)
        t.until(lambda: t.tracer.gone or t.tracer.ended, "the tracer's end")
    assert "0" == status_of(program.pid, "TracerPid")
    end(program)


@pytest.mark.parametrize("mode", LIVES)
def test_it_lives_on_when_wc_run_is_gone(live: Live, mode: str) -> None:
    program = live(mode)
    with Tracing(ALL) as t:
        t.attach(program)
        t.turn()
        t.hang_up()
        deadline = time.monotonic() + SECONDS
        while status_of(program.pid, "TracerPid") != "0":
            assert time.monotonic() < deadline
            time.sleep(0.001)
    end(program)


def test_the_keyboards_signals_are_not_the_tracers(live: Live) -> None:
    program = live("busy")
    with Tracing(("getppid",)) as t:
        t.attach(program)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            os.kill(t.tracer.pid, number)
        seen = len(t.records())
        t.until(lambda: len(t.records()) > seen, "calls after them")
        t.detach()
    end(program)


# --- launched ones ---------------------------------------------------------------------------------------------------------------


def test_a_launched_program_is_passed_on_when_it_cannot_be_let_go(compile_c: Callable[..., Path]) -> None:
    """Its filter stops for calls that would fail without a tracer: it goes on with one that records nothing."""
    with Tracing(("getppid",)) as t:
        program = t.launch(compile_c("traced_life.c", "-pthread"), "threads", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        t.until(lambda: len(t.records()) > 20, "calls")
        t.tracer.detach()
        before = 0
        while before != (now := len(t.records())):
            before = now
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:
                t.turn()
        output, _ = program.communicate(timeout=SECONDS)
        assert (b"ready\n1 0\n", 0) == (output, program.returncode)
        t.until_end()
        assert before == len(t.records())


def test_and_when_wc_run_is_gone(compile_c: Callable[..., Path]) -> None:
    with Tracing(("getppid",)) as t:
        program = t.launch(compile_c("traced_life.c", "-pthread"), "busy", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        t.until(lambda: t.records(), "calls")
        t.hang_up()
        output, _ = program.communicate(timeout=SECONDS)
        assert (b"ready\n1 0\n", 0) == (output, program.returncode)


def test_a_launched_program_ends_with_a_tracer_that_is_killed(compile_c: Callable[..., Path]) -> None:
    with Tracing(("getppid",)) as t:
        program = t.launch(compile_c("traced_life.c", "-pthread"), "forking", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        t.until(lambda: t.records() or by_call(t.records()) is not None, "its start")
        os.kill(t.tracer.pid, signal.SIGKILL)
        assert -signal.SIGKILL == program.wait(SECONDS)


# --- refusals --------------------------------------------------------------------------------------------------------------------


@contextmanager
def refused(*parts: str) -> Iterator[Tracing]:
    """The tracer says why not in a sentence with *parts*, and can be asked again."""
    with Tracing() as t:
        with pytest.raises(Refusal) as caught:
            yield t
        assert all(part in caught.value.what for part in parts), caught.value.what
        with subprocess.Popen(["sleep", "60"]) as other:
            t.tracer.attach(other.pid)
            other.kill()
        t.until_end()


def test_a_process_that_is_not_there() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    with refused(f"there is no process {gone.pid}") as t:
        t.tracer.attach(gone.pid)


def test_a_process_that_has_ended() -> None:
    with subprocess.Popen(["true"]) as ended:
        while status_of(ended.pid, "State") != "Z":
            time.sleep(0.001)
        with refused(f"process {ended.pid} has ended") as t:
            t.tracer.attach(ended.pid)


def test_a_process_that_somebody_traces() -> None:
    with Tracing() as first, subprocess.Popen(["sleep", "60"]) as program:
        first.attach(program)
        with refused(f"process {program.pid} is already traced by {first.tracer.pid} (wc-tracer)") as t:
            t.attach(program)
        first.detach()
        program.kill()


def test_a_process_that_this_tracer_traces() -> None:
    with Tracing() as t, subprocess.Popen(["sleep", "60"]) as program:
        t.attach(program)
        with pytest.raises(Refusal, match="is traced already"):
            t.attach(program)
        t.detach()
        program.kill()


def test_a_thread_of_a_process(live: Live) -> None:
    program = live("threads")
    deadline = time.monotonic() + SECONDS
    while len(tasks := os.listdir(f"/proc/{program.pid}/task")) < 9:
        assert time.monotonic() < deadline
    thread = sorted(int(task) for task in tasks)[1]
    with refused(f"{thread} is a thread of process {program.pid}") as t:
        t.tracer.attach(thread)
    end(program)


def test_a_thread_of_the_kernel() -> None:
    if status_of(2, "Name") != "kthreadd":
        pytest.skip("this machine shows no threads of the kernel")
    with refused("process 2 is a thread of the kernel") as t:
        t.tracer.attach(2)


def test_the_tracer_and_its_parent() -> None:
    with refused("does the tracing itself") as t:
        t.tracer.attach(t.tracer.pid)
    with refused("does the tracing itself") as t:
        t.tracer.attach(os.getpid())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_a_process_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer without privileges, and a process of root. The environment of the tests may be root's alone to read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        everybodys = shutil.copy(tracer.find(), folder)
        monkeypatch.setattr(tracer, "find", lambda: everybodys)
        attach_to_a_process_of_root()


def attach_to_a_process_of_root() -> None:
    with subprocess.Popen(["sleep", "60"]) as program, Tracing(user=65534) as t:
        with pytest.raises(Refusal, match=f"process {program.pid} belongs to user 0"):
            t.tracer.attach(program.pid)
        program.kill()


def test_where_a_container_forbids_ptrace() -> None:
    """A filter as those of containers: ptrace fails with EPERM, whoever is asked for."""
    hear, tell = os.pipe()
    with subprocess.Popen(["sleep", "60"]) as program:
        child = os.fork()
        if child == 0:
            forbid_ptrace()
            try:
                with Tracing() as t:
                    t.attach(program)
            except Refusal as refusal:
                os.write(tell, refusal.what.encode())
            finally:
                os._exit(0)
        os.close(tell)
        said = os.read(hear, 4096).decode()
        os.close(hear)
        os.waitpid(child, 0)
        program.kill()
    assert "ptrace is forbidden here by a seccomp filter: in a container, start it with --cap-add SYS_PTRACE" == said


def forbid_ptrace() -> None:
    """In a process of its own: have ptrace fail with EPERM from here on."""
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    code = [(load, 0, 0, 0), (equal, 0, 1, 101), (give, 0, 0, 0x50001), (give, 0, 0, 0x7FFF0000)]
    steps = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in code))
    program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    assert 0 == libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    assert 0 == libc.prctl(22, 2, program, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def test_several_processes_one_after_the_other(live: Live) -> None:
    programs = [live("busy"), live("threads"), live("napping")]
    with Tracing(("getppid", "clock_nanosleep")) as t:
        for program in programs:
            t.attach(program)
        pids = {program.pid for program in programs}
        t.until(lambda: {r.pid for r in t.records()} == pids, "calls of all")
        t.detach()
    for program in programs:
        end(program)


def test_an_attached_program_that_execs(compile_c: Callable[..., Path]) -> None:
    script = "import os, sys; print('ready', flush=True); sys.stdin.readline(); os.execvp('true', ['true'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        with Tracing(("execve", "exit_group")) as t:
            t.attach(program)
            program.communicate(b"\n", timeout=SECONDS)
            t.until_end()
            done = [(r.symbol, r.result, r.kind) for r in t.records() if r.result == 0]
        assert [("execve", 0, abi.CALL), ("exit_group", 0, abi.ENTER)] == done
        assert 0 == program.returncode
