"""R12 and the accounting identity with many threads: nothing grows with those that are gone, nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Trace, trace
from wc_intercept.consumer import abi

NAMES = ("getppid", "write")
POLICIES = {"block": abi.BLOCK, "drop": abi.DROP, "overwrite": abi.OVERWRITE}


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim({"funcs": [{"func_name": name} for name in NAMES], "string_limit": 256})


@pytest.fixture(scope="module")
def loops(compile_c: Callable[..., Path]) -> Path:
    return compile_c("loops.c", "-pthread")


def mixed(run: Trace) -> list[bytes]:
    """Writes to /dev/null that are not one pair of numbers over and over: records with another's content."""
    symbol, wrong = run.symbol("write"), []
    fields = {field.name: field for field in run.manifest.symbols[symbol].fields}
    for piece in run.pieces:
        cells = piece.cells
        raw = cells.tobytes()
        for at in np.flatnonzero((cells["kind"] == abi.CALL) & (cells["symbol"] == symbol)):
            body = raw[at * 64 : (at + int(cells["count"][at])) * 64]
            count = int.from_bytes(body[fields["count"].offset : fields["count"].offset + 8], "little")
            length = int.from_bytes(body[fields["buf"].blob : fields["buf"].blob + 2], "little")
            data = b"".join(body[i + 8 : i + 64] for i in range(64, len(body), 64))[:length]
            if count == 128 and (len(data) != 128 or data != data[:8] * 16):
                wrong.append(data)
    return wrong


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_identity_holds_exactly(hooks: Path, loops: Path, policy: str, threads: int, soak: bool) -> None:
    calls = 2_000_000 if soak else 100_000
    run = trace(hooks, loops, calls, threads, policy=POLICIES[policy], ring_cells=4096, string_limit=256)
    overwrites = policy == "overwrite"
    run.check_identity(*NAMES, overwritten=overwrites)
    counts = run.counts("getppid")
    assert f"{calls * threads}\n" == run.stdout
    assert (calls * threads, calls * threads) == (counts["calls"], counts["returned"])
    assert overwrites or counts["returned"] == run.recorded("getppid") + counts["lost"]
    assert policy != "block" or counts["lost"] == 0
    assert sum(run.losses().values()) == counts["lost"] + run.counts("write")["lost"]
    assert [] == mixed(run)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("record", ["entry", "both"])
def test_the_identity_holds_for_records_written_at_entry(
    shim: Callable[..., Path], loops: Path, record: str, policy: str
) -> None:
    """A call that is recorded twice counts once, and when its first half is lost, not as lost."""
    hooks = shim({"funcs": [{"func_name": "getppid", "record": record}]})
    run = trace(hooks, loops, 50_000, 2, policy=POLICIES[policy], ring_cells=1024)
    counts = run.counts("getppid")
    assert (100_000, 100_000) == (counts["calls"], counts["returned"])
    run.check_identity("getppid", overwritten=policy == "overwrite")
    assert policy == "overwrite" or 100_000 == run.recorded("getppid") + counts["lost"]
    entered = int((run.heads["kind"] == abi.ENTER).sum())
    assert policy != "block" or (100_000, 0) == (entered, counts["lost"])


@pytest.mark.parametrize("frequency", [3, 1000])
def test_frequency_counts_per_thread_from_its_first_call(
    shim: Callable[..., Path], loops: Path, frequency: int
) -> None:
    """The Nth, the 2Nth... of each thread, also when it has a ring that another thread had."""
    calls, threads, rounds = 2500, 3, 3
    hooks = shim({"funcs": [{"func_name": "getppid", "frequency": frequency}]})
    run = trace(hooks, loops, calls, threads, rounds)
    counts = run.counts("getppid")
    recorded = calls // frequency * threads * rounds
    assert (calls * threads * rounds, recorded) == (counts["calls"], run.recorded("getppid"))
    assert counts["calls"] - recorded == counts["sampled"]
    per_thread = Counter(call.tid for call in run.calls("getppid"))
    assert {calls // frequency} == set(per_thread.values())


def test_threads_come_and_go_in_the_rings_of_a_few(hooks: Path, loops: Path, soak: bool) -> None:
    alive, rounds = 4, 2500 if soak else 500
    run = trace(hooks, loops, 3, alive, rounds)
    assert 3 * alive * rounds == run.recorded("getppid") == run.counts("getppid")["calls"]
    per_thread = Counter(call.tid for call in run.calls("getppid"))
    assert {3} == {count % 3 or 3 for count in per_thread.values()}  # a tid may have been given twice
    assert len(run.rings) <= 16 and run.control["used"] <= 16 * (2 << 20)
    run.check_identity(*NAMES)


def test_each_threads_records_carry_its_tid(hooks: Path, loops: Path) -> None:
    """The write's content has the number of the thread: one number, one tid."""
    run = trace(hooks, loops, 1000, 8)
    pairs = {(call.tid, call.kept["buf"].data[:4]) for call in run.calls("write") if call.args["count"] == 128}
    assert (8, 8, 8) == (len(pairs), len({tid for tid, _ in pairs}), len({number for _, number in pairs}))


@pytest.mark.parametrize("rings", [256, 4])
def test_more_threads_than_rings_are_counted(hooks: Path, loops: Path, rings: int) -> None:
    threads = 300
    run = trace(hooks, loops, 50, threads, rings=rings, ring_cells=1024)
    counts = run.counts("getppid")
    assert (threads * 50, threads * 50) == (counts["calls"], run.recorded("getppid") + counts["lost"])
    assert counts["lost"] >= (threads - rings + 1) * 50 - 50
    assert {abi.LOSS_NAMES[2]} == set(run.losses())
    run.check_identity(*NAMES)


def test_a_target_that_is_off_costs_no_ring(hooks: Path, loops: Path) -> None:
    off: dict[str, Any] = {"words": dict.fromkeys(NAMES, 0)}
    run = trace(hooks, loops, 100, 8, **off)
    assert ([], 0) == (run.calls(*NAMES), run.counts("getppid")["calls"])
    assert 1 == len(run.rings)
