"""Changing a target while its program runs: until the first call that obeys, from the store and from wc-ctl's start.

A store is one while the program runs: how long the scheduler leaves it waiting is not ours. A record's time is that of
its call, on the clock that the program and time.time_ns read.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from bisect import bisect_left
from pathlib import Path

from wc_intercept import runtime

from .bench import Figure, Workshop, tool

INCLUDE = Path(next(iter(runtime.__path__))) / "include"
OFF_SECONDS, ON_SECONDS = 0.003, 0.005
TARGET = "rand"


def run(shop: Workshop) -> list[Figure]:
    program = shop.program("steady", f"-I{INCLUDE}", "-pthread")
    out = shop.folder / "steady.jsonl"
    words = [tool("wc-run"), "--engine", "preload", "--trace", TARGET, "--format", "jsonl", "-o", str(out)]
    process = subprocess.Popen(
        [*words, program, str(shop.rounds(100))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    stored = [int(line) for line in iter(process.stdout.readline, "end\n")]
    started = [_command(process.pid) for _ in range(shop.rounds(15))]
    process.communicate()
    calls = sorted(json.loads(line)["time"] for line in out.read_text().splitlines())
    return [
        Figure("control", "store until the first call that obeys", _median(calls, stored) / 1e3, "us", "20"),
        Figure("control", "wc-ctl's start until the first call that obeys", _median(calls, started) / 1e6, "ms", "150"),
    ]


def _command(pid: int) -> int:
    """Switch the target on and off by wc-ctl; return when the first one was started."""
    time.sleep(OFF_SECONDS)
    begun = time.time_ns()
    for action, wait in (("enable", ON_SECONDS), ("disable", OFF_SECONDS)):
        subprocess.run([tool("wc-ctl"), str(pid), action, TARGET], stderr=subprocess.DEVNULL, check=True)
        time.sleep(wait)
    return begun


def _median(calls: list[int], begun: list[int]) -> float:
    first = [bisect_left(calls, moment) for moment in begun]
    return statistics.median(calls[at] - moment for at, moment in zip(first, begun, strict=True) if at < len(calls))
