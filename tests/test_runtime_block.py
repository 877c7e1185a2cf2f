"""Block policy: a program waits for a reader that lives, even one that has not begun to read; R4: no longer than that."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import trace
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.session import SessionDirectory

CALLS = """
#include <unistd.h>
#include <stdlib.h>
int main(int argc, char **argv) {
        for (long i = atol(argv[argc - 1]); i > 0; i--)
                (void)getppid();
        return 0;
}
"""


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim("getppid")


def test_nothing_is_lost_before_the_reader_begins(hooks: Path, compile_c: Callable[..., Path]) -> None:
    """The first time that a ring is full its tail is still where it began."""
    begun = []

    def read_late(process: subprocess.Popen[bytes], session: SessionDirectory) -> None:
        if not begun:  # the program fills its ring meanwhile, and waits: its consumer's heart beats
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                session.beat()
                time.sleep(0.01)
        begun.append(True)

    done = trace(hooks, compile_c(CALLS), 20_000, ring_cells=1024, tick=read_late)
    assert (20_000, {}) == (done.recorded("getppid"), dict(done.losses()))


def test_a_reader_that_stands_still_is_not_waited_for_longer_than_block_ms(
    hooks: Path, compile_c: Callable[..., Path]
) -> None:
    """The first stall costs block_ms; afterwards the ring drops until its tail moves."""
    stopped = {"after": lambda process, session: process.wait()}
    done = trace(hooks, compile_c(CALLS), 200_000, ring_cells=1024, block_ms=50, tick=stopped["after"], live=False)
    counts = done.counts("getppid")
    assert (200_000, 200_000) == (counts["calls"], done.recorded("getppid") + counts["lost"])
    assert {abi.LOSS_NAMES[0]: counts["lost"]} == dict(done.losses())
    assert [1] == [int(ring.header["stalls"]) for ring in done.rings]


def test_a_consumer_that_cannot_be_seen_is_alive_while_its_heart_beats(
    hooks: Path, compile_c: Callable[..., Path]
) -> None:
    """In a pid namespace of its own a program finds nobody under the consumer's pid; a late heartbeat proves nothing."""
    nobody = 4194304  # more than any pid

    def hide(session: SessionDirectory) -> None:
        os.pwrite(session._control, nobody.to_bytes(4, "little"), fields.CONTROL.offset("consumer_pid"))
        session.beat()

    late: list[float] = []

    def lives() -> bool:
        late[:] = late or [time.monotonic() + 0.6]
        return time.monotonic() > late[0]

    run = trace(hooks, compile_c(CALLS), 20_000, ring_cells=1024, prepared=hide, reads=lives)
    assert (20_000, 0) == (run.recorded("getppid"), run.control["closed"])
