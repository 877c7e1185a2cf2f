"""What every benchmark needs: a place to work, programs, shims, and runs taken in turn.

Rules: figures that are compared come from interleaved runs (A B C A B C ...), and each is the median of its runs, for
machines are noisy. Absent on purpose: judgement. A figure is printed beside its aim; nobody fails.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Figure:
    """One line of the table. *value* in *unit*; *aim* is a text."""

    benchmark: str
    name: str
    value: float
    unit: str
    aim: str = ""


class Workshop:
    """A folder with compiled programs and generated shims."""

    def __init__(self, folder: Path, quick: bool = False) -> None:
        self.folder, self.quick = folder, quick

    def program(self, name: str, *flags: str) -> str:
        """Compile programs/NAME.c; return the program's path."""
        output = self.folder / name
        source = PROGRAMS / f"{name}.c"
        subprocess.run(["cc", "-O2", "-fno-builtin", *flags, str(source), "-o", str(output)], check=True)
        return str(output)

    def library(self, name: str) -> str:
        return self.program(name, "-shared", "-fPIC")

    def shim(self, name: str, config: Mapping[str, object]) -> str:
        """Generate a shim from *config*; return its path."""
        source, output = self.folder / f"{name}.json", self.folder / f"{name}.so"
        source.write_text(json.dumps(config))
        subprocess.run([tool("wc-gen"), str(source), "-o", str(output)], check=True, cwd=self.folder)
        return str(output)

    def rounds(self, full: int) -> int:
        return max(1, full // 5) if self.quick else full


def tool(name: str) -> str:
    """Return the command of this installation."""
    return str(BIN / name) if (BIN / name).exists() else shutil.which(name) or name


def output_of(command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> float:
    """Run *command*; return the number in the last line that it printed."""
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=True, cwd=cwd
    )
    return float(done.stdout.split()[-1])


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run every case once per round, in turn; return the median of each."""
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            seen[name].append(case())
    return {name: statistics.median(values) for name, values in seen.items()}


def write_json(figures: Sequence[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
