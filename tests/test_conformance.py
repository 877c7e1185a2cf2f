"""Every function that can be called with generated arguments does the same under the shim as without it.

The program of conformance.py is run natively until it is known which of its calls can be compared at all, then under a
shim of every function, with recording on. Same result, errno, floating-point flags, buffers, files and output, call by
call; and the result in the trace is the one that the program got.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from conformance import MARK, Program, generate
from conftest import BIN, TESTS
from wc_intercept.generator import build, config

ENOUGH = 1500
"""Functions compared; there are about 2,200 here, and an older libc has fewer."""
NATIVE_LIMIT, SHIM_LIMIT = 300, 20_000
"""Milliseconds of one call. What takes longer natively is not made again."""


@dataclasses.dataclass(frozen=True)
class Line:
    """What the program told about one call."""

    name: str
    told: str
    """All that must be the same."""
    values: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> tuple[int, Line]:
        number, name, *words = text.split(" ")
        told = " ".join(word for word in words if not word.startswith("raw="))
        return int(number), cls(name, told, dict(word.split("=", 1) for word in words))


@dataclasses.dataclass(frozen=True)
class Conformance:
    """The program, and the directory that it always runs in."""

    program: Program
    binary: Path
    folder: Path

    def run(self, limit: int, *before: object) -> dict[int, Line]:
        """Run the program, below *before* if that is given; return what it told."""
        work = self.folder / "work"
        work.mkdir()
        command = [*map(str, before), self.binary, self.folder / "report", str(limit), self.folder / "skip"]
        try:
            with open(self.folder / "said", "wb") as said:
                subprocess.run(
                    command, cwd=work, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=True, timeout=500
                )
        finally:
            shutil.rmtree(work)
        return dict(map(Line.parse, (self.folder / "report").read_text(errors="replace").splitlines()))

    @cached_property
    def natural(self) -> dict[int, Line]:
        """The calls that end, and tell the same each time. The others are not made again."""
        first = self.run(NATIVE_LIMIT)
        bad = {number for number, line in first.items() if "signal" in line.values}
        (self.folder / "skip").write_text("".join("01"[n in bad] for n in range(len(self.program.calls))))
        runs = [self.run(NATIVE_LIMIT) for _ in range(2)]
        return {
            n: line
            for n, line in runs[0].items()
            if "signal" not in line.values and line == _like(runs[1].get(n), line)
        }


def _like(other: Line | None, line: Line) -> Line | None:
    """Return *line* when *other* tells the same (addresses may differ)."""
    return line if other is not None and (other.name, other.told) == (line.name, line.told) else None


@pytest.fixture(scope="module")
def conformance(tmp_path_factory: pytest.TempPathFactory, every_function: Path) -> Conformance:
    folder = tmp_path_factory.mktemp("conformance")
    names = {symbol.name for symbol in build.Shim(every_function).manifest.symbols}
    text = json.dumps({"funcs": [{"func_name": name} for name in sorted(names)]})
    program = generate(build.plan(config.parse(text, "config.json")).plan)
    (folder / "calls.c").write_text(program.text)
    flags = ["-w", "-O0", "-fno-builtin", "-I", str(TESTS / "c")]
    command = ["cc", *flags, "-o", str(folder / "calls"), str(folder / "calls.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    (folder / "skip").write_text("")
    return Conformance(program, folder / "calls", folder)


@pytest.fixture(scope="module")
def traced(conformance: Conformance, every_function: Path) -> tuple[dict[int, Line], Path]:
    """The same calls under the shim: what they told, and the trace."""
    assert conformance.natural
    trace = conformance.folder / "trace.wc"
    return under(conformance, every_function, trace), trace


def under(conformance: Conformance, shim: Path, trace: Path) -> dict[int, Line]:
    return conformance.run(SHIM_LIMIT, BIN / "wc-run", "--preload", shim, "--format", "wc", "-o", trace)


def test_calls_do_the_same_under_the_shim(
    conformance: Conformance, every_function: Path, traced: tuple[dict[int, Line], Path]
) -> None:
    natural, calls = conformance.natural, conformance.program.calls
    runs = [traced[0]]
    different = [n for n, line in natural.items() if told(traced[0], n) != line.told]
    expected = {n: {natural[n].told} for n in different}
    if different:  # by chance, natively too: only what is never the same counts
        again = conformance.run(SHIM_LIMIT)
        expected = {n: {natural[n].told, told(again, n)} for n in different}
        runs.append(under(conformance, every_function, conformance.folder / "again.wc"))
    wrong = {
        f"{natural[n].name}({', '.join(calls[n].arguments)})": (expected[n], [told(run, n) for run in runs])
        for n in different
        if not {told(run, n) for run in runs} & expected[n]
    }
    assert {} == wrong


def told(run: dict[int, Line], number: int) -> str:
    return run[number].told if number in run else "nothing"


def test_most_of_libc_and_libm_is_compared(conformance: Conformance) -> None:
    assert ENOUGH <= len({line.name for line in conformance.natural.values()})


def test_traces_hold_the_results_that_the_program_got(
    conformance: Conformance, traced: tuple[dict[int, Line], Path], wc_report: Callable[..., Any]
) -> None:
    run, trace = traced
    found = {}
    for number, event in announced(wc_report, trace):
        name = conformance.program.calls[number].wrapper.symbol
        if number in conformance.natural and number in run and event["symbol"] == name and number not in found:
            found[number] = event["ret"]
    got = {n: result(conformance, run[n], n) for n in conformance.natural if n in run}
    expected = {n: value for n, value in got.items() if value is not None}
    assert [] == [run[n].name for n in expected if n not in found]
    wrong = {run[n].name: (value, found[n]) for n, value in expected.items() if not same(value, found[n])}
    assert {} == wrong


def announced(wc_report: Callable[..., Any], trace: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the events of a trace, each with the number of the call that its process announced last."""
    output = trace.with_suffix(".jsonl")
    with open(output, "wb") as stream:
        done = wc_report("--format", "jsonl", trace, stdout=stream, stderr=subprocess.PIPE, capture_output=False)
    assert 0 == done.returncode, done.stderr
    current: dict[int, int] = {}
    with open(output, errors="surrogateescape") as lines:
        for line in lines:
            event = json.loads(line)
            if event["symbol"] == "getauxval" and event["args"]["type"] >= MARK:
                current[event["pid"]] = event["args"]["type"] - MARK
            elif event["pid"] in current:
                yield current[event["pid"]], event


def result(conformance: Conformance, line: Line, number: int) -> Any:
    """Return what the program printed as its call's result, if a trace has it as a number."""
    function = conformance.program.calls[number].wrapper.function
    assert function is not None
    kind, value = function.result.kind, line.values.get("raw", line.values.get("ret"))
    if value is None or kind in ("struct", "longdouble", "complex") or value.startswith(("bytes", "words")):
        return None
    if kind == "float":
        return struct.unpack("<d", int(value, 16).to_bytes(8, "little"))[0]
    return int(value)


def same(expected: Any, shown: Any) -> bool:
    if isinstance(expected, float):
        return repr(expected).lstrip("-") == repr(float(shown)).lstrip("-")
    return expected == shown or (shown == -1 and expected in (2**32 - 1, 2**64 - 1))  # (size_t)-1 is shown as -1
