"""R3: a signal handler may record in the middle of a record, and may leave by siglongjmp; a thread may be cancelled
there. Recording goes on, every call is accounted for, and nobody waits for a record that will never be finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import Trace, trace
from wc_intercept.consumer import abi

NAMES = ("open", "read", "write", "writev", "getppid", "getpgid")
NESTED = abi.LOSS_NAMES[4]
POLICIES = {"block": abi.BLOCK, "drop": abi.DROP, "overwrite": abi.OVERWRITE}


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim({"funcs": [{"func_name": name} for name in NAMES], "string_limit": 256})


def foreign_content(run: Trace) -> list[tuple[int, bytes]]:
    """Writes whose content is not that of their own call: every 4 bytes are the length."""
    wrong = []
    symbol = run.symbol("write")
    fields = {field.name: field for field in run.manifest.symbols[symbol].fields}
    blob, count_at = fields["buf"].blob, fields["count"].offset
    for piece in run.pieces:
        cells = piece.cells
        for at in np.flatnonzero((cells["kind"] == abi.CALL) & (cells["symbol"] == symbol)):
            body = cells[at : at + int(cells["count"][at])].tobytes()
            count = int.from_bytes(body[count_at : count_at + 8], "little")
            length, flags = int.from_bytes(body[blob : blob + 2], "little"), body[blob + 2]
            data = b"".join(body[i + 8 : i + 64] for i in range(64, len(body), 64))[:length]
            if (count, flags) != (length, abi.BLOB_KEPT) or data != count.to_bytes(4, "little") * (count // 4):
                wrong.append((count, data))
    return wrong


@pytest.mark.parametrize("where", [(), ("stack",), ("thread",), ("thread", "stack")], ids=" ".join)
@pytest.mark.parametrize("policy", POLICIES)
def test_recording_survives_handlers_that_leave_by_siglongjmp(
    hooks: Path, compile_c: Callable[..., Path], policy: str, where: tuple[str, ...], soak: bool
) -> None:
    jumps = 50_000 if soak else 1_000
    done = trace(
        hooks, compile_c("jumping.c", "-pthread"), jumps, *where, policy=POLICIES[policy], ring_cells=2048,
        string_limit=256,
    )  # fmt: skip
    assert (0, True) == (done.status, int(done.stdout) >= jumps), done.stderr
    overwrites = policy == "overwrite"
    done.check_identity(*NAMES, overwritten=overwrites)
    assert 100 == done.counts("getpgid")["calls"]
    assert [] == foreign_content(done)
    if policy == "block":
        assert set(done.losses()) <= {NESTED}  # by handlers that interrupted a record with the ring full
        assert 100 == done.recorded("getpgid")
        assert "stack" in where or sum(done.losses().values()) <= 2 * jumps


@pytest.mark.parametrize("calls", [1, 3000])
def test_handlers_that_return_record_in_the_middle_of_a_record(
    hooks: Path, compile_c: Callable[..., Path], calls: int, soak: bool
) -> None:
    """With a ring that is always full: a handler that interrupted an open record must not wait for itself."""
    signals = (20_000 if soak else 2_000) // (1 + calls // 50)
    done = trace(hooks, compile_c("interrupting.c"), signals, calls, ring_cells=1024, string_limit=256)
    outside, inside = map(int, done.stdout.split())
    done.check_identity(*NAMES)
    counts = done.counts("getppid")
    assert (outside, inside) == (done.counts("write")["calls"], counts["calls"])
    assert inside == done.recorded("getppid") + counts["lost"]
    assert set(done.losses()) <= {NESTED}


def test_cancelled_threads_leave_a_call_that_never_returned(
    hooks: Path, compile_c: Callable[..., Path], soak: bool
) -> None:
    threads = 2_000 if soak else 200
    done = trace(hooks, compile_c("cancelled.c", "-pthread"), threads)
    assert f"{threads}\n" == done.stdout
    reads = done.counts("read")
    assert threads >= reads["calls"] - reads["returned"] >= threads // 2
    assert 10 * threads == done.recorded("getppid") == done.counts("getppid")["calls"]
    done.check_identity(*NAMES)


def test_a_small_signal_stack_is_enough(hooks: Path, compile_c: Callable[..., Path]) -> None:
    done = trace(hooks, compile_c("small_stack.c", "-pthread", "-w", "-Wl,-z,now"))
    assert (0, "2\n", "") == (done.status, done.stdout, done.stderr)
    assert 2 == done.recorded("writev") == done.recorded("getppid")
