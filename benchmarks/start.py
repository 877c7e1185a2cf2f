"""A program's start under a shim, and wc-run's own: until the program is exec'd, and in all."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from .bench import Figure, Workshop, interleave, tool
from .generate import TEN

STAMP = """
#include <stdio.h>
#include <time.h>
int main(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        printf("%ld\\n", t.tv_sec * 1000000000L + t.tv_nsec);
}
"""


def run(shop: Workshop) -> list[Figure]:
    stamp = shop.folder / "stamp"
    (shop.folder / "stamp.c").write_text(STAMP)
    subprocess.run(["cc", "-O2", str(shop.folder / "stamp.c"), "-o", str(stamp)], check=True)
    ten = shop.shim("start-ten", {"funcs": [{"func_name": name} for name in TEN]})
    everything = shop.shim("start-all", {"funcs": [{"func_name": "*"}]})
    times = interleave(
        {
            "native": lambda: exec_ms([str(stamp)]),
            "10 targets": lambda: exec_ms([str(stamp)], ten),
            "all of libc": lambda: exec_ms([str(stamp)], everything),
            "wc-run until main": lambda: exec_ms([tool("wc-run"), "--preload", ten, "-o", os.devnull, str(stamp)]),
            "wc-run /bin/true": lambda: wall_ms([tool("wc-run"), "--preload", ten, "-o", os.devnull, "/bin/true"]),
            "/bin/true": lambda: wall_ms(["/bin/true"]),
        },
        shop.rounds(21),
    )
    return [
        Figure("start", "10 targets, without a session", times["10 targets"] - times["native"], "ms added", "1"),
        Figure("start", "all of libc, without a session", times["all of libc"] - times["native"], "ms added", "3"),
        Figure(
            "start", "wc-run until the program's main", times["wc-run until main"] - times["native"], "ms added", "40"
        ),
        Figure("start", "wc-run /bin/true in all", times["wc-run /bin/true"] - times["/bin/true"], "ms added", "150"),
    ]


def exec_ms(command: list[str], preload: str | None = None) -> float:
    """Milliseconds from our fork to the program's main, by its own clock."""
    environment = dict(os.environ, LD_PRELOAD=str(Path(preload))) if preload else dict(os.environ)
    start = time.monotonic_ns()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return (int(done.stdout.split()[-1]) - start) / 1e6


def wall_ms(command: list[str]) -> float:
    start = time.monotonic_ns()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic_ns() - start) / 1e6
