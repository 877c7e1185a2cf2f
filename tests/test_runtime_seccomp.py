"""R9: before a seccomp filter is installed the runtime turns quiet: from then on no system call of its own, ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import trace
from wc_intercept.consumer import abi

QUIET = abi.LOSS_NAMES[3]


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim("read", "write", "open", "getppid")


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path]) -> Path:
    return compile_c("sandboxed.c")


@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP, abi.OVERWRITE])
@pytest.mark.parametrize("how", ["strict", "filter", "syscall"])
def test_a_sandboxed_program_lives_and_is_recorded(hooks: Path, program: Path, how: str, policy: int) -> None:
    run = trace(hooks, program, how, 10, 100, policy=policy)
    assert (0, "done\n") == (run.status, run.stdout)
    assert (111, 100) == (run.recorded("write"), run.recorded("read"))
    assert [1] == [int(segment["quiet"]) for segment in run.segments]


@pytest.mark.parametrize("how", ["strict", "filter", "syscall"])
def test_unproven_pointers_are_not_read_any_more(hooks: Path, program: Path, how: str) -> None:
    """A write that succeeded proves nothing of its buffer, and the kernel may not be asked."""
    run = trace(hooks, program, how, 1, 1)
    kept = [call.kept["buf"].flags & abi.BLOB_KEPT for call in run.calls("write")]
    assert [1, 0, 0] == kept


@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP, abi.OVERWRITE])
@pytest.mark.parametrize("how", ["strict", "filter"])
def test_a_full_ring_costs_no_system_call_either(hooks: Path, program: Path, how: str, policy: int) -> None:
    """More calls than the pages hold that are there already: the ring goes round in those; block waits by spinning."""
    run = trace(hooks, program, how, 10, 30_000, policy=policy, ring_cells=16384)
    assert (0, "done\n") == (run.status, run.stdout)
    run.check_identity("read", "write", overwritten=policy == abi.OVERWRITE)
    assert [1024] == [int(ring.header["capacity"]) for ring in run.rings]
    if policy == abi.BLOCK:
        assert 30_000 == run.recorded("read")


def test_a_first_call_after_the_filter_is_counted(hooks: Path, compile_c: Callable[..., Path]) -> None:
    """A thread that begins its life sandboxed cannot have a ring: nobody may be asked who it is."""
    code = """
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>
#include <unistd.h>
static int go[2];
static void *thread(void *unused) {
        char byte;
        (void)!syscall(SYS_read, go[0], &byte, 1); /* not a wrapped call: this thread has no ring yet */
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        for (int i = 0; i < 50; i++)
                (void)!write(1, "x", 1);
        syscall(SYS_exit, 0);
        return unused;
}
int main(void) {
        pthread_t other;
        (void)!pipe(go);
        pthread_create(&other, 0, thread, 0);
        (void)!write(go[1], "x", 1);
        pthread_join(other, 0);
        return 0;
}
"""
    run = trace(hooks, compile_c(code, "-pthread"))
    assert (0, "x" * 50) == (run.status, run.stdout)
    counts = run.counts("write")
    assert (51, 51) == (counts["calls"], run.recorded("write") + counts["lost"])
    assert {QUIET: counts["lost"]} == {QUIET: 0} | dict(run.losses())


def test_a_program_that_forbids_reading_the_clock_is_not_killed_by_ours(
    hooks: Path, compile_c: Callable[..., Path]
) -> None:
    """As strict seccomp does: rdtsc raises SIGSEGV, in the vDSO as well. Records go on, without times."""
    code = """
#include <sys/prctl.h>
#include <unistd.h>
int main(void) {
        prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
        for (int i = 0; i < 20000; i++)
                (void)getppid();
        return 0;
}
"""
    run = trace(hooks, compile_c(code), ring_cells=1024)
    assert (0, 20_000, {}) == (run.status, run.recorded("getppid"), dict(run.losses()))
    assert {0} == set(run.heads["duration"][run.heads["symbol"] == run.symbol("getppid")].tolist())
