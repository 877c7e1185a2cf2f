"""R8: processes, however they are made: every record once, with the pid of the process that made the call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Trace, trace
from wc_intercept.consumer import abi

WAYS = (
    "fork", "double fork", "vfork", "spawn", "shell", "threads", "callback", "raw clone", "clone", "daemon",
)  # fmt: skip


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim("getpgid", "fork", "vfork", "qsort", "waitpid", "execve", "execl", "posix_spawn", "system", "daemon")


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path]) -> Path:
    return compile_c("processes.c", "-pthread")


def expected(run: Trace) -> Counter[int]:
    """Calls of getpgid by pid, as the processes themselves say."""
    calls = Counter[int]()
    for line in run.stdout.splitlines():
        pid, count = map(int, line.split())
        calls[pid] += count
    return calls


def attributed(run: Trace) -> Counter[int]:
    """The same by the records; pid argument and record must agree."""
    calls = run.calls("getpgid")
    assert [] == [call for call in calls if call.args["pid"] != call.pid]
    return Counter(call.pid for call in calls)


def check_identities(run: Trace) -> None:
    """The first record of a process in a ring is PROCESS, of a later thread THREAD; each tells who it is."""
    firsts = {record.ring: record for record in reversed(run.records)}
    assert {abi.PROCESS, abi.THREAD} >= {record.kind for record in firsts.values()}
    processes = [record.identity for record in run.records if record.kind == abi.PROCESS]
    assert set(expected(run)) <= {pid for pid, *_ in processes}
    assert {tid for pid, tid, *_ in processes} == {pid for pid, *_ in processes}


@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP])
@pytest.mark.parametrize("way", WAYS)
def test_every_process_has_its_own_records(hooks: Path, program: Path, way: str, policy: int) -> None:
    run = trace(hooks, program, way, policy=policy, wait_all=True, ring_cells=65536)
    assert (0, "") == (run.status, run.stderr)
    assert expected(run) == attributed(run)
    assert sum(expected(run).values()) == run.counts("getpgid")["calls"]
    run.check_identity("getpgid", "fork", "qsort", "waitpid")
    check_identities(run)


def test_a_fork_is_recorded_once_in_the_parent(hooks: Path, program: Path) -> None:
    run = trace(hooks, program, "fork")
    forks = run.calls("fork")
    main = run.records[0].pid
    assert [main] * 3 == [call.pid for call in forks]
    children = [r.identity[0] for r in run.records if r.kind == abi.PROCESS and r.identity[3] == abi.PROCESS_FORK]
    assert sorted(call.result for call in forks) == sorted(children)
    assert {main} == {r.identity[2] for r in run.records if r.kind == abi.PROCESS and r.identity[0] != main}


def test_an_exec_tells_its_path_and_who_runs_it(hooks: Path, program: Path) -> None:
    run = trace(hooks, program, "vfork")
    execs = [record for record in run.records if record.kind == abi.EXEC]
    assert [str(program).encode()] * 3 == [record.kept["path"].data for record in execs]
    images = [r.identity[0] for r in run.records if r.kind == abi.PROCESS and r.identity[3] == abi.PROCESS_EXEC]
    assert sorted(images[1:]) == sorted(record.identity[0] for record in execs)
    assert [record.pid for record in execs] == [record.identity[0] for record in execs]


@pytest.mark.skipif(os.geteuid() != 0, reason="setuid needs root")
def test_a_vfork_child_that_has_dropped_its_privileges_reads_its_own_memory(hooks: Path, program: Path) -> None:
    """R7: not its parent's, by the pid that it has inherited."""
    run = trace(hooks, program, "dropping")
    paths = [record.kept["path"] for record in run.records if record.kind == abi.EXEC]
    assert [(b"/nonexistent/program", 1), (b"/bin/true", 1)] == [(path.data, path.flags) for path in paths]


def test_a_spawn_tells_the_childs_pid(hooks: Path, program: Path) -> None:
    run = trace(hooks, program, "spawn")
    spawned = [record.identity[0] for record in run.records if record.kind == abi.EXEC]
    assert set(expected(run)) - {run.records[0].pid} == set(spawned)


def test_a_thousand_short_processes_share_a_few_rings(hooks: Path, program: Path, soak: bool) -> None:
    run = trace(hooks, program, "many", 1000 if soak else 300)
    assert expected(run) == attributed(run)
    assert len(run.rings) <= 4


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot and setuid need root")
@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP])
def test_a_child_is_recorded_after_chroot_and_setuid(hooks: Path, program: Path, policy: int) -> None:
    run = trace(hooks, program, "jailed", policy=policy)
    assert 0 == run.status, run.stderr
    assert [5, 2] == sorted(expected(run).values(), reverse=True)
    assert expected(run) == attributed(run)


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root")
@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP])
def test_processes_in_pid_namespaces_share_no_ring(hooks: Path, program: Path, policy: int) -> None:
    """Where a process cannot see the owners of rings, and two have the same pid, it may take over none."""
    run = trace(hooks, program, "namespaces", policy=policy, ring_cells=65536)
    if run.status == 77:
        pytest.skip("no pid namespaces here")
    assert (0, "") == (run.status, run.stderr)
    run.check_identity("getpgid")
    calls = 7 * 20_000 + 3
    assert (calls, calls) == (run.counts("getpgid")["calls"], run.recorded("getpgid") + run.counts("getpgid")["lost"])
    assert len(run.rings) >= 7
    assert [] == [ring.torn for ring in run.rings if ring.torn]
