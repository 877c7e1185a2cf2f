"""Added cost per call: cached pointer only, target off, recorded; ring not full (bursts with pauses), and sustained.

uftrace, where it is installed, traces the same program in the same rounds.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from .bench import Figure, Workshop, interleave, output_of, tool

BURST = ("4000", "150", "2000")
TIGHT = "4000000"


def run(shop: Workshop) -> list[Figure]:
    burst, tight = shop.program("burst"), shop.program("tight")
    shims = {clock: shop.shim(f"abs-{clock}", config(clock)) for clock in ("two", "one", "none")}
    pointer = shop.library("pointer")
    shims["looking"] = shop.shim("abs-looking", config("none") | {"library_path": "none.so"})
    cases: dict[str, Callable[[], float]] = {
        "native": lambda: output_of([burst, *BURST]),
        "cached pointer only": lambda: output_of([burst, *BURST], {"LD_PRELOAD": pointer}),
        "target off": lambda: output_of([burst, *BURST], {"LD_PRELOAD": shims["two"]}),
        "recorded, two clocks": lambda: recorded(shop, shims["two"], [burst, *BURST]),
        "recorded, one clock": lambda: recorded(shop, shims["one"], [burst, *BURST]),
        "recorded, no clock": lambda: recorded(shop, shims["none"], [burst, *BURST]),
        "the same, looking for handlers": lambda: recorded(shop, shims["looking"], [burst, *BURST]),
    }
    if shutil.which("uftrace"):
        cases["uftrace"] = lambda: uftrace(shop, [burst, *BURST])
    times = interleave(cases, shop.rounds(7))
    figures = [Figure("cost per call", name, times[name] - times["native"], "ns added", AIMS.get(name, ""))
               for name in cases if name != "native"]  # fmt: skip
    if "uftrace" in times:
        ratio = (times["recorded, two clocks"] - times["native"]) / (times["uftrace"] - times["native"])
        figures.append(Figure("cost per call", "recorded with two clocks / uftrace", ratio, "ratio", "0.3"))
    sustained = {
        "native": lambda: output_of([tight, TIGHT]),
        "block": lambda: recorded(shop, shims["two"], [tight, TIGHT]),
        "overwrite": lambda: recorded(shop, shims["two"], [tight, TIGHT], "--on-full", "overwrite"),
    }
    steady = interleave(sustained, shop.rounds(5))
    figures += [Figure("cost per call", f"sustained, {name}", steady[name] - steady["native"], "ns added")
                for name in ("block", "overwrite")]  # fmt: skip
    figures.append(Figure("cost per call", "rdtsc, for comparison", rdtsc(shop), "ns"))
    return figures


AIMS = {"cached pointer only": "1.5", "target off": "2.5", "recorded, two clocks": "30 (rdtsc at 10)"}


def config(clock: str) -> dict[str, object]:
    return {"funcs": [{"func_name": "abs", "clock": clock}]}


def recorded(shop: Workshop, shim: str, command: list[str], *options: str) -> float:
    """Run under wc-run into a wc file; nothing may be lost."""
    target = shop.folder / "cost.wc"
    words = [tool("wc-run"), "--preload", shim, "--format", "wc", "-o", str(target), *options, *command]
    return output_of(words)


def uftrace(shop: Workshop, command: list[str]) -> float:
    folder = shop.folder / "uftrace"
    shutil.rmtree(folder, ignore_errors=True)
    return output_of(["uftrace", "record", "--force", "-d", str(folder), "-F", "abs", *command])


def rdtsc(shop: Workshop) -> float:
    source = Path(shop.folder) / "rdtsc.c"
    source.write_text(RDTSC)
    program = shop.folder / "rdtsc"
    subprocess.run(["cc", "-O2", str(source), "-o", str(program)], check=True)
    return statistics.median(output_of([str(program)]) for _ in range(5))


RDTSC = """
#include <stdio.h>
#include <time.h>
int main(void)
{
        struct timespec a, b;
        unsigned long s = 0;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < 10000000; i++) {
                unsigned lo, hi;
                __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
                s += lo;
        }
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (s == 42)
                puts("");
        printf("%f\\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 1e7);
}
"""
