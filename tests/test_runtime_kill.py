"""Killed programs and dead consumers: every committed record is read, a torn one is counted, none is invented or mixed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Trace, trace
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.session import SessionDirectory

POLICIES = {"block": abi.BLOCK, "drop": abi.DROP, "overwrite": abi.OVERWRITE}
Process = subprocess.Popen[bytes]
Numbers = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim("write", "getppid", "open")


def killer(after: float) -> Callable[[Process, SessionDirectory], None]:
    """Kills the program *after* seconds from the first time it is asked."""
    began: list[float] = []

    def tick(process: Process, session: SessionDirectory) -> None:
        began[:] = began or [time.monotonic()]
        if time.monotonic() - began[0] >= after:
            process.kill()

    return tick


def numbers_of(run: Trace) -> dict[tuple[int, int], Numbers]:
    """The numbers of the writes in each ring, in order, after a look at every byte of their contents."""
    symbol, found = run.symbol("write"), dict[tuple[int, int], list[Numbers]]()
    offsets = {field.name: field.offset for field in run.manifest.symbols[symbol].fields}
    for piece in run.pieces:
        cells = piece.cells
        raw = cells.view(np.uint8).reshape(len(cells), 64)
        first = np.flatnonzero((cells["kind"] == abi.CALL) & (cells["symbol"] == symbol))
        number, thread = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64)
        for size in np.unique(cells["count"][first]):
            mine = np.flatnonzero(cells["count"][first] == size)
            body = raw[first[mine][:, None] + np.arange(int(size))]
            lengths = body[:, 0, offsets["count"] : offsets["count"] + 8].copy().view("<u8")[:, 0].astype(np.int64)
            pairs = body[:, 1:, 8:].reshape(len(mine), -1).copy().view("<u8")
            inside = np.arange(pairs.shape[1]) < lengths[:, None] // 8
            assert ((pairs == pairs[:, :1]) | ~inside).all(), "a record with another's content"
            thread[mine], number[mine] = pairs[:, 0] & 0xFFFFFFFF, pairs[:, 0] >> 32
            assert (lengths == 8 * (1 + number[mine] % 60)).all()
        assert len(np.unique(thread)) <= 1, "a ring with another thread's record"
        found.setdefault((piece.segment, piece.ring), []).append(number)
    return {ring: np.concatenate(parts) for ring, parts in found.items()}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_kill_at_any_moment_tears_one_record_at_most(
    hooks: Path, compile_c: Callable[..., Path], policy: str, threads: int, soak: bool
) -> None:
    """Of each thread. All that it committed before is there, in its order."""
    program, chance = compile_c("marked.c", "-pthread"), random.Random(threads)
    for _ in range(170 if soak else 10):
        run = trace(
            hooks, program, threads, tick=killer(chance.uniform(0.001, 0.04)), policy=POLICIES[policy],
            ring_cells=2048, string_limit=512,
        )  # fmt: skip
        assert -signal.SIGKILL == run.status
        run.check_identity("write", overwritten=policy == "overwrite")
        assert all(len(ring.torn) <= 1 for ring in run.rings)
        for numbers in numbers_of(run).values():
            steps = np.diff(numbers)
            assert (steps >= 1).all(), "a record twice, or out of order"
            assert policy == "drop" or (steps == 1).all(), "a record is missing"
            assert policy == "overwrite" or len(numbers) == 0 or numbers[0] == 0 or policy == "drop"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_dead_consumer_is_noticed_and_the_program_goes_on(
    hooks: Path, compile_c: Callable[..., Path], policy: str
) -> None:
    """R4. Blocked writers are let go, and recording turns itself off for good."""
    consumer = subprocess.Popen(["sleep", "1000"])

    def pretend(session: SessionDirectory) -> None:
        os.pwrite(session._control, consumer.pid.to_bytes(4, "little"), fields.CONTROL.offset("consumer_pid"))

    polls: list[int] = []

    def lives() -> bool:
        polls.append(1)
        if len(polls) == 5:
            consumer.kill()
            consumer.wait()
        return len(polls) < 5

    try:
        run = trace(
            hooks, compile_c("loops.c", "-pthread"), 6_000_000, 2, policy=POLICIES[policy], prepared=pretend,
            reads=lives, ring_cells=1024, block_ms=100,
        )  # fmt: skip
    finally:
        consumer.kill()
    assert (0, "12000000\n") == (run.status, run.stdout)
    assert (1, [1]) == (run.control["closed"], [int(segment["closed"]) for segment in run.segments])
    run.check_identity("getppid", "write", overwritten=policy == "overwrite")
    assert run.counts("getppid")["calls"] < 12_000_000


def test_threads_that_are_busy_when_the_program_ends_do_not_hinder_its_end(
    wc_run: Callable[..., subprocess.CompletedProcess[str]], hooks: Path, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """A record that an exit cut off is torn, or that of a call which did not return; the program's status is its own."""
    code = """
#include <pthread.h>
#include <unistd.h>
static void *loop(void *unused) {
        char bytes[300] = {1};
        for (;;)
                (void)!write(-1, bytes, sizeof bytes);
        return unused;
}
int main(void) {
        pthread_t thread;
        for (int i = 0; i < 3; i++)
                pthread_create(&thread, 0, loop, 0);
        return usleep(10000);
}
"""
    program = compile_c(code, "-pthread", "-w")
    for _ in range(5):
        done = wc_run("--preload", hooks, "--format", "wc", "-o", tmp_path / "trace.wc", program)
        assert 0 == done.returncode
