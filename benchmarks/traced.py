"""The tracer's cost: per system call beside strace's, per function beside ltrace's, and on the original's workload.

strace and ltrace are measured twice where placement matters: on one processor with their program (taskset), which is
the best they can do, and as a user starts them. wc-run places its tracer and the program itself. All records go into a
wc file, in block mode; what strace and ltrace write goes to /dev/null. What other system calls pay while one is traced
is shown for the cheapest there is (getuid), which feels the filter most, and for a read of one byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from .bench import Figure, Workshop, interleave, output_of, tool

ONE_PROCESSOR = ("taskset", "-c", "0")
FUNCTIONS = ("malloc", "memset", "fopen", "fgets", "fwrite", "fclose", "free")
CALLS, UNTRACED, ROUNDS = "50000", "1000000", "10000"

Cases = dict[str, Callable[[], float]]


def run(shop: Workshop) -> list[Figure]:
    return [*per_call(shop), *workload(shop)]


def ours(shop: Workshop, trace: str, *options: str) -> list[str]:
    """Return wc-run's words for tracing *trace* into a wc file."""
    target = str(shop.folder / "traced.wc")
    return [tool("wc-run"), "--engine", "ptrace", "--trace", trace, "--format", "wc", "-o", target, *options]


def per_call(shop: Workshop) -> list[Figure]:
    program = shop.program("traced")

    def case(words: Sequence[str], kind: str, calls: str = CALLS) -> Callable[[], float]:
        return lambda: output_of([*words, program, kind, calls])

    cases: Cases = {
        "native": case([], "syscall", UNTRACED),
        "traced": case(ours(shop, "sys:getppid"), "syscall"),
        "traced, one processor for all": case([*ONE_PROCESSOR, *ours(shop, "sys:getppid")], "syscall"),
        "traced, --no-pin": case(ours(shop, "sys:getppid", "--no-pin"), "syscall"),
        "untraced getuid, native": case([], "other", UNTRACED),
        "untraced getuid": case(ours(shop, "sys:getppid"), "other", UNTRACED),
        "untraced read, native": case([], "read", UNTRACED),
        "untraced read": case(ours(shop, "sys:getppid"), "read", UNTRACED),
        "function": case(ours(shop, "fn:abs"), "function"),
    }
    strace = ["strace", "-e", "trace=getppid", "-o", "/dev/null"]
    if shutil.which("strace"):
        cases["strace, one processor"] = case([*ONE_PROCESSOR, *strace], "syscall")
        cases["strace"] = case(strace, "syscall")
    ltrace = ["ltrace", "-e", "abs", "-o", "/dev/null"]
    if shutil.which("ltrace"):
        cases["ltrace, one processor"] = case([*ONE_PROCESSOR, *ltrace], "function", "5000")
        cases["ltrace"] = case(ltrace, "function", "5000")
    times = interleave(cases, shop.rounds(7))
    figures = [Figure("traced call", name, times[name], "ns") for name in times]
    return figures + [
        Figure("traced call", f"{one} / {other}", times[one] / times[other], "ratio", aim)
        for one, other, aim in RATIOS
        if other in times
    ]


RATIOS = (
    ("traced", "strace, one processor", "0.9"),
    ("traced, one processor for all", "strace, one processor", ""),
    ("traced", "strace", "0.2"),
    ("untraced getuid", "untraced getuid, native", "1.2"),
    ("untraced read", "untraced read, native", "1.2"),
    ("function", "ltrace, one processor", "0.12"),
)


def workload(shop: Workshop) -> list[Figure]:
    """The original took 238 times native for its system calls, 872 for its functions."""
    program = shop.program("original")
    (shop.folder / "read.txt").write_text("a line to read\n")
    functions = ",".join(f"fn:{name}" for name in FUNCTIONS)

    def fresh(words: Sequence[str]) -> Callable[[], float]:
        def once() -> float:
            (shop.folder / "write.txt").unlink(missing_ok=True)
            return output_of([*words, program, ROUNDS], cwd=shop.folder)

        return once

    cases: Cases = {
        "native": fresh([]),
        "system calls": fresh(ours(shop, "sys:*")),
        "functions": fresh(ours(shop, functions)),
    }
    times = interleave(cases, shop.rounds(5))
    aims = {"system calls": "the original: 238", "functions": "the original: 872"}
    figures = [Figure("original's, traced", name, times[name], "ms") for name in times]
    return figures + [
        Figure("original's, traced", f"{name} / native", times[name] / times["native"], "ratio", aim)
        for name, aim in aims.items()
    ]
