"""The tracer's loop: every process and thread is followed, none is lost, none is left stopped.

Rules: tests/c/traced_processes.c says how many it made; as many are in the records, and it says the same traced or not.

Absent on purpose: signals (test_tracer_signals.py), attaching (test_tracer_attach.py), storms (test_torture.py).
"""

from __future__ import annotations

import _socket
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Record, Trace
from tracing import SECONDS, Tracing, by_call, plan_of, traced
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.tracer import Plan, Tracer

ALL = ("*",)
FEW = ("getppid", "exit", "exit_group", "execve")


@pytest.fixture(scope="session")
def program(compile_c: Callable[..., Path]) -> Path:
    return compile_c("traced_processes.c", "-pthread")


@pytest.fixture(params=[FEW, ALL], ids=["few", "all"])
def run(request: pytest.FixtureRequest, program: Path) -> Callable[..., Trace]:
    """Run a mode with these calls traced; what it says must be what it says untraced."""

    def run(*words: object, **tracing: object) -> Trace:
        command = [str(word) for word in (program, *words)]
        trace = traced(*command, calls=request.param, **tracing)
        alone = subprocess.run(command, stdout=subprocess.PIPE, timeout=SECONDS, text=True)
        assert (alone.returncode, alone.stdout) == (trace.status, trace.stdout)
        assert not trace.losses()
        return trace

    return run


def calls_of(trace: Trace) -> list[Record]:
    return [record for record in trace.records if record.kind in (abi.CALL, abi.ENTER)]


def identities(trace: Trace, kind: int) -> list[tuple[int, ...]]:
    return [record.identity for record in trace.records if record.kind == kind]


# --- processes -----------------------------------------------------------------------------------------------------------------


def test_the_first_record_is_the_exec_that_began_it(run: Callable[..., Trace]) -> None:
    """What its process did before, on wc-run's behalf, is nobody's business."""
    trace = run("int80")
    assert [abi.PROCESS, abi.CALL] == [record.kind for record in trace.records[:2]]
    assert ("execve", 0) == (trace.records[1].symbol, trace.records[1].result)
    assert fields.PROCESS_EXEC == trace.records[0].identity[3]
    assert 1 == by_call(trace.records)["execve"]


def test_a_storm_of_forks(run: Callable[..., Trace]) -> None:
    trace = run("storm", 4)
    found = by_call(calls_of(trace))
    assert (84, 85) == (found["getppid"], found["exit_group"])
    assert 85 == len({record.pid for record in calls_of(trace)})


def test_children_name_their_parents(program: Path) -> None:
    trace = traced(program, "storm", 3, calls=("exit_group",))
    parents = {pid: parent for pid, _, parent, reason in identities(trace, abi.PROCESS) if reason == fields.PROCESS_FORK}
    assert [3] * 13 == list(Counter(parents.values()).values())
    assert 12 == sum(parent in parents for parent in set(parents.values()))
    assert {fields.PROCESS_EXEC: 1, fields.PROCESS_FORK: 39} == Counter(r for *_, r in identities(trace, abi.PROCESS))


def test_vfork_and_exec_do_not_deadlock(run: Callable[..., Trace]) -> None:
    """Half of the execs fail, and are the children's records."""
    trace = run("vforks", 40)
    execs = Counter(record.result for record in trace.records if record.symbol == "execve")
    assert {0: 21, -2: 20} == execs
    assert 40 == by_call(trace.records)["getppid"]


@pytest.mark.parametrize("mode", ["clones", "clone3s"])
def test_clones_of_every_kind(run: Callable[..., Trace], mode: str) -> None:
    trace = run(mode, 20)
    assert 20 == by_call(trace.records)["getppid"]
    assert 21 == len({record.pid for record in calls_of(trace)})


def test_threads_are_of_their_process(run: Callable[..., Trace]) -> None:
    trace = run("threads", 64)
    per_thread = Counter(record.tid for record in trace.records if record.symbol == "getppid")
    assert [100] * 64 == list(per_thread.values())
    assert 1 == len({record.pid for record in calls_of(trace)})


def test_an_exec_by_a_thread_that_is_not_the_first(run: Callable[..., Trace]) -> None:
    """The others vanish, and the thread goes on under the process's number."""
    trace = run("execs", 10)
    execs = [record for record in trace.records if record.symbol == "execve"]
    assert [0] * 11 == [record.result for record in execs]
    assert all(record.tid != record.pid for record in execs[1:])
    assert 1 == len({record.pid for record in calls_of(trace)})
    assert 11 == len(trace.segments)
    assert (1, 1) == (by_call(trace.records)["exit_group"], int(trace.stdout))


def test_a_process_whose_first_thread_has_left(run: Callable[..., Trace]) -> None:
    trace = run("leader")
    assert 5 == trace.status
    assert {"exit": 1, "exit_group": 1} == {k: n for k, n in by_call(trace.records).items() if k.startswith("exit")}


def test_children_that_are_not_followed_are_passed_on_in_silence(program: Path) -> None:
    """They have the filter, which fails without a tracer: they run, and nothing of them is shown."""
    for mode, count in (("storm", "84"), ("vforks", "4"), ("clones", "4")):
        trace = traced(program, mode, 4, calls=ALL, follow=fields.FOLLOW_NONE)
        assert (0, count) == (trace.status, trace.stdout.strip())
        assert 1 == len({record.pid for record in calls_of(trace)})


def test_its_own_exec_is_followed_whatever_becomes_of_children() -> None:
    script = "import os; os.execvp('true', ['true'])"
    trace = traced(sys.executable, "-c", script, calls=("execve", "exit_group"), follow=fields.FOLLOW_NONE)
    assert {"execve": 2, "exit_group": 1} == by_call([r for r in calls_of(trace) if r.result == 0])


# --- what programs do that a tracer may break ---------------------------------------------------------------------------------------


def test_int80_works_and_is_not_recorded(run: Callable[..., Trace]) -> None:
    assert "1\n" == run("int80").stdout


def test_a_filter_of_its_own_decides_as_without_a_tracer(run: Callable[..., Trace]) -> None:
    """Its errors are its own, and what asks for a tracer is answered as if there were none."""
    assert "-1 42 -1 1\n" == run("filter").stdout


def test_the_mask_of_processors_is_its_own(run: Callable[..., Trace]) -> None:
    run("affinity")


def test_who_wants_to_be_traced_hears_that_it_is(program: Path) -> None:
    assert "-1 1\n" == traced(program, "traceme", calls=ALL).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("ls", "-R", "/usr/include/linux"),
        ("bash", "-c", "for i in 1 2 3; do echo $i | tr 1 2 | wc -c; done; (exit 3) || true; echo $(echo x)"),
        ("python3", "-c", "import subprocess as s; print(s.run(['echo', 'x'], stdout=s.PIPE).stdout)"),
        ("find", "/usr/include/linux", "-name", "*.h", "-exec", "cat", "{}", "+"),
    ],
    ids=["ls", "bash", "python", "find"],
)
def test_real_programs_print_what_they_print(words: tuple[str, ...]) -> None:
    alone = subprocess.run(words, stdout=subprocess.PIPE, timeout=SECONDS)
    trace = traced(*words, calls=ALL)
    assert (alone.returncode, alone.stdout.decode()) == (trace.status, trace.stdout)
    counts = by_call(calls_of(trace))
    assert 1 <= sum(1 for r in calls_of(trace) if r.symbol == "execve" and r.result == 0)
    assert len({r.pid for r in calls_of(trace)}) == counts["exit_group"]


def test_make_with_two_jobs(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    rules = "".join(f"f{i}:\n\tsh -c 'echo {i} > $@; cat $@ >> all'\n" for i in range(20))
    (tmp_path / "Makefile").write_text(f"all: {' '.join(f'f{i}' for i in range(20))}\n{rules}")
    trace = traced("make", "-s", "-j2", "-C", tmp_path, calls=("execve", "exit_group"))
    assert 0 == trace.status
    assert list(range(20)) == sorted(int((tmp_path / f"f{i}").read_text()) for i in range(20))
    ends = [record.pid for record in trace.records if record.symbol == "exit_group"]
    assert len(ends) == len(set(ends)) >= 41


def test_output_that_somebody_waits_for_comes_at_once() -> None:
    """A program that is asked and answers, again and again."""
    with Tracing(ALL) as t:
        program = t.launch("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert program.stdin is not None
        assert program.stdout is not None
        for i in range(100):
            program.stdin.write(b"%d\n" % i)
            program.stdin.flush()
            assert b"%d\n" % i == program.stdout.readline()
            t.turn()
        program.stdin.close()
        t.until_end()
        assert 0 == program.wait(SECONDS)


# --- death -----------------------------------------------------------------------------------------------------------------------


def test_a_killed_program_is_gone_and_so_is_its_tracer(program: Path, soak: bool) -> None:
    """At random moments of a storm: nobody is left stopped."""
    source = random.Random(3)
    for _ in range(200 if soak else 10):
        with Tracing(ALL) as t:
            storm = t.launch(program, "storm", 5, stdout=subprocess.DEVNULL, start_new_session=True)
            deadline = time.monotonic() + source.random() * 0.05
            while time.monotonic() < deadline:
                t.turn()
            storm.kill()
            assert storm.wait(SECONDS) in (0, -signal.SIGKILL)
            t.until_end()
            assert [] == in_session(storm.pid)


def test_a_killed_tracer_takes_what_it_launched_with_it(program: Path, soak: bool) -> None:
    source = random.Random(4)
    for _ in range(200 if soak else 10):
        with Tracing(ALL) as t:
            storm = t.launch(program, "storm", 5, stdout=subprocess.DEVNULL, start_new_session=True)
            deadline = time.monotonic() + source.random() * 0.03
            while time.monotonic() < deadline:
                t.turn()
            os.kill(t.tracer.pid, signal.SIGKILL)
            assert storm.wait(SECONDS) in (0, -signal.SIGKILL)
            t.until(lambda: [] == in_session(storm.pid), "the end of all processes")  # noqa: B023


def test_what_a_killed_thread_was_inside_of_is_known() -> None:
    with Tracing(("clock_nanosleep",)) as t:
        program = t.launch("sleep", 100)
        t.until(lambda: any(int(ring.header["depth"]) for ring in t.trace().rings), "the sleep")
        program.kill()
        program.wait(SECONDS)
        t.until_end()
        (ring,) = t.trace().rings
        assert 1 == int(ring.header["depth"])
        assert "clock_nanosleep" == t.manifest.symbols[int(ring.header["inside"][0]["symbol"])].name


def in_session(leader: int) -> list[int]:
    """Return the processes, not yet ended, of the session that *leader* made."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            state, _, _, session = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(entry))
    return found


def test_what_the_tracer_said_is_heard_also_when_it_has_ended_without_hearing_us(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(plan_of(["getppid"], []))
    ours, its = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    tracer = Tracer(0, ours, "", Plan.read(str(tmp_path / "plan")), pin=False)
    its.send(b"error the plan is none")
    ours.send(b"launch 1 0")
    its.close()
    assert [("error", "the plan is none")] == tracer.hear()
    assert tracer.gone
    ours.close()
