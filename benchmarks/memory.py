"""Memory: of the consumer, of a program under a shim, and of a session in shared memory."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
import time

from .bench import Figure, Workshop, tool
from .generate import TEN


def run(shop: Workshop) -> list[Figure]:
    program = shop.program("tight")
    shims = {
        "10 targets": shop.shim("memory-ten", {"funcs": [{"func_name": name} for name in (*TEN, "abs")]}),
        "all of libc": shop.shim("memory-all", {"funcs": [{"func_name": "*"}]}),
    }
    native = peak_mib([program, "1000"])
    figures = []
    for name, shim in shims.items():
        alone = peak_mib([program, "1000"], {"LD_PRELOAD": shim})
        figures.append(Figure("memory", f"{name}: program's peak, no session", alone - native, "MiB added"))
        peak, shared = session_mib([tool("wc-run"), "--preload", shim, "-o", os.devnull, program, "3000000"])
        figures.append(Figure("memory", f"{name}: session, one thread", shared, "MiB of shared memory"))
        figures.append(Figure("memory", f"{name}: wc-run's peak", peak, "MiB"))
    return figures


def peak_mib(command: list[str], more: dict[str, str] | None = None) -> float:
    """Peak resident memory of *command*, in MiB."""
    child = os.posix_spawn(command[0], command, {**os.environ, **(more or {})},
                           file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])  # fmt: skip
    return os.wait4(child, 0)[2].ru_maxrss / 1024


def session_mib(command: list[str]) -> tuple[float, float]:
    """Run wc-run; return its peak resident memory and the most that its session took, both in MiB."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        process = subprocess.Popen(command, env={**os.environ, "WC_SESSION_ROOT": root}, stdout=subprocess.DEVNULL)
        most = 0
        while process.poll() is None:
            most = max(most, blocks(root))
            time.sleep(0.005)
    return peak_of_children(), most / (1 << 20)


def blocks(root: str) -> int:
    total = 0
    for path in glob.glob(f"{root}/*/*"):
        try:
            total += os.stat(path).st_blocks * 512
        except OSError:
            continue
    return total


def peak_of_children() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
