"""How long wc-gen takes: for ten functions, and for every function that libc and libm export."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from .bench import Figure, Workshop, interleave, tool

TEN = ("open", "openat", "read", "write", "close", "stat", "fopen", "fclose", "unlink", "rename")


def run(shop: Workshop) -> list[Figure]:
    ten = {"funcs": [{"func_name": name} for name in TEN]}
    times = interleave({"ten": lambda: seconds(shop, "ten", ten)}, shop.rounds(5))
    everything = {"funcs": [{"func_name": "*"}]}
    return [
        Figure("wc-gen", "10 functions", times["ten"], "s", "0.9"),
        Figure("wc-gen", "all of libc and libm", seconds(shop, "all", everything), "s", "60"),
    ]


def seconds(shop: Workshop, name: str, config: dict[str, object]) -> float:
    """Time one run of the command. The runtime's objects are in the cache, as after any first run."""
    source = Path(shop.folder) / f"{name}.json"
    import json

    source.write_text(json.dumps(config))
    start = time.perf_counter()
    command = [tool("wc-gen"), str(source), "-o", str(shop.folder / f"{name}.so")]
    subprocess.run(command, check=True, env=dict(os.environ), stderr=subprocess.DEVNULL)
    return time.perf_counter() - start
