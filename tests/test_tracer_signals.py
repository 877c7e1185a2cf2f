"""Signals under the tracer: each arrives as it was sent, stops stay stops, and a call that goes on is one call.

Rules: tests/c/traced_signals.c says what came of each signal; under the tracer it says the same. The filter is made for
the calls in question only, so that restart_syscall is not among them, and once for all calls, so that it is.

Absent on purpose: storms (test_torture.py).
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_tool
from handling import HANDLERS
from harness import Record, Trace
from tracing import SECONDS, Tracing, traced
from wc_intercept.consumer import abi

EINTR = -4
FEW = ("read", "clock_nanosleep", "poll", "pause", "rt_sigreturn")
ALL = ("*",)


@pytest.fixture(scope="session")
def signalled(compile_c: Callable[..., Path]) -> Path:
    return compile_c("traced_signals.c", "-lrt")


@pytest.fixture(params=[FEW, ALL], ids=["few", "all"])
def run(request: pytest.FixtureRequest, signalled: Path) -> Callable[..., Trace]:
    """Run a mode with these calls traced; what it says must be what it says untraced."""

    def run(*words: object) -> Trace:
        command = [str(word) for word in (signalled, *words)]
        trace = traced(*command, calls=request.param)
        alone = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=SECONDS, text=True)
        assert (alone.returncode, alone.stdout) == (trace.status, trace.stdout)
        assert not trace.losses()
        return trace

    return run


def of_first(trace: Trace, name: str) -> list[Record]:
    """The calls of the program's first process."""
    first = next(record.pid for record in trace.records if record.kind == abi.PROCESS)
    return [record for record in trace.records if record.symbol == name and record.pid == first]


def results(trace: Trace, name: str) -> list[int]:
    return [record.result for record in of_first(trace, name)]


# --- calls that are interrupted --------------------------------------------------------------------------------------------


def test_a_call_that_is_made_again_is_one_call(run: Callable[..., Trace]) -> None:
    """SA_RESTART: ten handlers run in the midst of one read."""
    trace = run("restart", 10)
    assert [832, 1] == results(trace, "read")
    assert 10 == len(results(trace, "rt_sigreturn"))


def test_on_a_stack_of_their_own_too(run: Callable[..., Trace]) -> None:
    trace = run("altstack", 10)
    assert [832, 1] == results(trace, "read")
    assert 10 == len(results(trace, "rt_sigreturn"))


def test_a_call_that_is_not_made_again_ends_with_eintr_before_its_handler(run: Callable[..., Trace]) -> None:
    trace = run("interrupt", 5)
    assert [832, *[EINTR] * 5, 1] == results(trace, "read")
    assert [4] * 5 == [record.error for record in of_first(trace, "read")[1:-1]]
    mine = [r.symbol for r in trace.records if r.symbol in ("read", "rt_sigreturn")][1:11]
    assert ["read", "rt_sigreturn"] * 5 == mine


def test_poll_and_nanosleep_end_with_eintr_whatever_the_handler_asks_for(run: Callable[..., Trace]) -> None:
    assert [EINTR] == results(run("poll"), "poll")
    assert EINTR in results(run("caught"), "clock_nanosleep")


def test_a_sleep_goes_on_after_signals_that_nobody_catches(run: Callable[..., Trace]) -> None:
    """It is made again as restart_syscall, which is not in the filter: one call, as long as was asked for."""
    trace = run("ignored")
    assert [0] == results(trace, "clock_nanosleep")
    (sleep,) = of_first(trace, "clock_nanosleep")
    others = [r.duration for r in trace.calls("clock_nanosleep") if r is not sleep]
    assert sleep.duration > 5 * min(others)


def test_a_sleep_goes_on_after_stops(run: Callable[..., Trace]) -> None:
    assert [0] == results(run("asleep"), "clock_nanosleep")


def test_a_call_that_a_handler_jumps_out_of_never_ends(run: Callable[..., Trace]) -> None:
    """It is not taken for the next one, which is made from the same place."""
    trace = run("jump", 5)
    assert [832] == results(trace, "read")
    counts = trace.counts("read")
    assert (6, 1) == (counts["calls"], counts["returned"])


def test_pause_ends_with_each_signal(run: Callable[..., Trace]) -> None:
    """A thousand times a second."""
    assert {EINTR} >= set(results(run("timer", 1000), "pause"))


@pytest.mark.parametrize("hertz", [1000, 10_000])
def test_no_expiry_of_a_timer_is_lost(signalled: Path, hertz: int, soak: bool) -> None:
    """Each handler's run has its rt_sigreturn, and each call of the loop is there once."""
    calls = 200_000 if soak else 5_000
    trace = traced(signalled, "timer", hertz, calls, calls=("getppid", "rt_sigreturn"))
    assert (0, "0 1\n") == (trace.status, trace.stdout)
    assert calls == len(trace.calls("getppid"))
    assert int(trace.stderr) == len(trace.calls("rt_sigreturn"))


def test_queued_signals_are_each_delivered_once(run: Callable[..., Trace]) -> None:
    trace = run("queue", 2000)
    assert "2000 2001000\n" == trace.stdout
    assert 2000 == len(results(trace, "rt_sigreturn"))


def test_an_exit_handler_changes_what_a_signal_made_of_a_call(
    tmp_path: Path, compile_c: Callable[..., Path], signalled: Path
) -> None:
    """The result lies in the signal's frame by then: the program gets it when its own handler has returned."""
    source = "#include <wc_ptrace.h>\nvoid h(struct user_regs_struct *r, int p) {" + (
        'printf("%lld %lld %lld\\n", (long long)r->orig_rax, (long long)r->rax, r->rdx + 0 * p); r->rax = -ETIMEDOUT; }'
    )
    library = compile_c(source, *HANDLERS)
    call = {"syscall_id": "poll", "back_exit": "h"}
    (tmp_path / "config.json").write_text(json.dumps({"library_path": str(library), "syscalls": [call]}))
    output = ["--format", "jsonl", "-o", tmp_path / "calls"]
    ran = run_tool("wc-run", "-c", tmp_path / "config.json", *output, signalled, "poll")
    assert (0, {"7 -4 5000", "-1 110"}) == (ran.returncode, set(ran.stdout.splitlines()))
    (record,) = map(json.loads, (tmp_path / "calls").read_text().splitlines())
    assert (-1, "ETIMEDOUT") == (record["ret"], record["errno"])


# --- what a signal says --------------------------------------------------------------------------------------------------------


def test_a_signal_keeps_what_the_kernel_said_with_it(run: Callable[..., Trace]) -> None:
    """Value, sender, code; a SIGTRAP that is the program's own, int3 included."""
    assert "int3 128 4\n" in run("info").stdout


def test_faults_are_the_programs_own(run: Callable[..., Trace]) -> None:
    assert -signal.SIGSEGV == run("fault").status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM, signal.SIGTRAP])
def test_the_signal_that_ends_it_is_the_parents_to_see(run: Callable[..., Trace], number: int) -> None:
    assert -number == run("die", int(number)).status


def test_the_tracer_says_the_same_status(signalled: Path) -> None:
    with Tracing() as t:
        program = t.launch(signalled, "die", int(signal.SIGTERM))
        t.until_end()
        assert [f"{program.pid} {int(signal.SIGTERM)}"] == [rest for word, rest in t.said if word == "exit"]
        assert -signal.SIGTERM == program.wait(SECONDS)


# --- stops ---------------------------------------------------------------------------------------------------------------------


def test_a_stopped_child_is_seen_and_set_going_by_its_parent(run: Callable[..., Trace]) -> None:
    assert "10 1 7\n" == run("stop", 10).stdout


def test_a_stopped_program_stays_stopped(signalled: Path) -> None:
    """The tracer does not set it going, and its parent sees T in /proc, as without a tracer."""
    with Tracing(("getppid", "read")) as t:
        program = t.launch("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        t.until(lambda: t.records(), "its first call")
        program.send_signal(signal.SIGSTOP)
        t.until(lambda: state(program.pid) in "tT", "the stop")
        for _ in range(50):
            t.turn()
            assert state(program.pid) in "tT"
        program.send_signal(signal.SIGCONT)
        output, _ = program.communicate(b"on\n", SECONDS)
        assert (b"on\n", 0) == (output, program.returncode)
        t.until_end()


def test_a_shell_stops_and_continues_its_jobs() -> None:
    script = "set -m; sleep 60 & kill -STOP %1; wait -f %1 & sleep 0.1; jobs; kill -CONT %1; kill %1; wait %1; echo $?"
    assert "143" in traced("bash", "-c", script, calls=ALL).stdout


def state(pid: int) -> str:
    """Return the letter of the process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
