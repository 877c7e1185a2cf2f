"""Targets added to a running program: how long it stands still for that, beside how long it does without.

The program has a thread that reads the clock all the time and eight that sleep; each target is added and dropped again,
so that every time a tracer comes, takes hold of all threads, and lets go of them.
"""

from __future__ import annotations

import subprocess
import time

from .bench import Figure, Workshop, tool

ADDED = (("a function", "getppid"), ("a system call", "sys:getppid"))
AIM = "50"


def run(shop: Workshop) -> list[Figure]:
    program = shop.program("gaps", "-pthread")
    words = [tool("wc-run"), "--engine", "preload", "--trace", "labs", "-o", "/dev/null", program]
    figures = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        _longest(process)
        for what, name in ADDED:
            pairs = [_pair(process, name) for _ in range(shop.rounds(10))]
            alone, added = (max(each) / 1e6 for each in zip(*pairs, strict=True))
            figures.append(Figure("grow", f"longest standstill while {what} comes and goes", added, "ms", AIM))
            figures.append(Figure("grow", "the same without", alone, "ms"))
        process.communicate()
    return figures


def _pair(process: subprocess.Popen[str], name: str) -> tuple[int, int]:
    """Return the longest standstill in ns without and with a change, over the same time."""
    _longest(process)
    begun = time.monotonic()
    for action in ("add", "drop"):
        subprocess.run([tool("wc-ctl"), str(process.pid), action, name], stderr=subprocess.DEVNULL, check=True)
    took = time.monotonic() - begun
    added = _longest(process)
    time.sleep(took)
    return _longest(process), added


def _longest(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())
