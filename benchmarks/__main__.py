"""Runs the benchmarks and prints a table; the same as JSON in build/benchmarks.json.

python -m benchmarks [--quick] [NAME ...]

names: cost workload generate start throughput render memory traced control when grow decide
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from .bench import Figure, Workshop, write_json

NAMES = (
    "cost", "throughput", "workload", "traced", "control", "when", "grow", "generate", "start", "render", "memory",
    "decide",
)  # fmt: skip


def main(words: list[str]) -> int:
    quick = "--quick" in words
    chosen = [word for word in words if not word.startswith("-")] or list(NAMES)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wc-bench-") as folder:
        for name in chosen:
            module = importlib.import_module(f"benchmarks.{name}")
            found = module.run(Workshop(Path(folder), quick))
            figures += found
            for figure in found:
                aim = f"   aim {figure.aim}" if figure.aim else ""
                print(f"{figure.benchmark:22} {figure.name:44} {figure.value:12.3f} {figure.unit}{aim}", flush=True)
    write_json(figures, Path("build") / "benchmarks.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
