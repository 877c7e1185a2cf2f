"""Lossless live consumption of a tight loop in block mode: counted through the Python API, and into a wc file.

The rate is that of the program's own loop, which the reader holds back: nothing is lost, or the figure is 0.
"""

from __future__ import annotations

import statistics
import subprocess

from .bench import Figure, Workshop, tool

CALLS = 20_000_000


def run(shop: Workshop) -> list[Figure]:
    program = shop.program("tight")
    shim = shop.shim("throughput", {"funcs": [{"func_name": "abs"}]})
    rounds = shop.rounds(5)
    live = statistics.median(counted(shim, program) for _ in range(rounds))
    recorded = statistics.median(into_file(shop, shim, program) for _ in range(rounds))
    return [
        Figure("throughput", "live, counted, block mode", live, "M events/s", "10"),
        Figure("throughput", "into a wc file, block mode", recorded, "M events/s", "8"),
    ]


def rate(ns_per_call: float, recorded: int) -> float:
    return 1e3 / ns_per_call if recorded == CALLS else 0.0


def counted(shim: str, program: str) -> float:
    """Iterate over batches as a user of the Python API would, and count their calls."""
    from wc_intercept.consumer.api import Session

    with Session(program, str(CALLS), shim=shim, stdout=subprocess.PIPE) as session:
        recorded = sum(len(batch.index) for batch in session.batches())
        printed = session.process.stdout.read() if session.process.stdout else b"0"
    return rate(float(printed.split()[-1]), recorded)


def into_file(shop: Workshop, shim: str, program: str) -> float:
    words = [tool("wc-run"), "--preload", shim, "--format", "wc", "--strict", "-o", str(shop.folder / "t.wc")]
    done = subprocess.run([*words, program, str(CALLS)], capture_output=True, text=True)
    return rate(float(done.stdout.split()[-1]), CALLS if done.returncode == 0 else 0)
