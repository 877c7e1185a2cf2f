"""One program, built in many ways, makes the same calls: whatever names they go by, they are caught and decoded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FUNCTIONS = (
    "open read pread lseek fstat stat lstat close openat readlink getcwd realpath fopen fgets fread fseeko fclose"
    " snprintf sscanf printf fprintf poll strtol fflush"
    " memset memcpy strcpy strncpy write"
)
POINTERS = frozenset({"realpath", "fopen", "fgets", "getcwd", "memset", "memcpy", "strcpy", "strncpy"})
"""Functions whose result differs from run to run."""

BUILDS = {
    "plain": ["-O0"],
    "optimised": ["-O2", "-fno-builtin"],
    "fortified 0": ["-O2", "-fno-builtin-printf", "-fno-builtin-fprintf", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0"],
    "fortified 2": ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
    "fortified 3": ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"],
    "large files": ["-O2", "-fno-builtin", "-D_FILE_OFFSET_BITS=64"],
    "without PLT": ["-O2", "-fno-builtin", "-fno-plt"],
    "bound at start": ["-O2", "-fno-builtin", "-Wl,-z,now"],
    "not PIE": ["-O2", "-fno-builtin", "-no-pie"],
    "old C": ["-O2", "-fno-builtin", "-std=c99", "-D_XOPEN_SOURCE=700"],
    "GNU": ["-O2", "-fno-builtin", "-std=gnu17", "-D_GNU_SOURCE"],
}

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def events(shim: Callable[..., Path], wc_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """events(program, *functions) -> the calls it made, as jsonl objects."""
    folder = tmp_path_factory.mktemp("events")

    def run(program: Path, *functions: str, environment: dict[str, str] | None = None, **keys: Any) -> list[Any]:
        config = {"funcs": [{"func_name": name} for name in functions], **keys}
        output = folder / f"{program.name}.jsonl"
        options = {"env": environment} if environment else {}
        arguments = ("--preload", shim(config), "--format", "jsonl", "-o", output, program)
        done = wc_run(*arguments, cwd="/etc", **options)
        assert (0, "") == (done.returncode, done.stderr)
        return [json.loads(line) for line in output.read_text().splitlines()]

    return run


def meaning(event: dict[str, Any]) -> tuple[Any, ...]:
    """What a call means, whatever its name: no pointers, and no parameters that only a variant has."""
    kept = [value for value in event["args"].values() if isinstance(value, str)]
    items = [value for value in event["args"].get("...", []) if not isinstance(value, str)]
    result = event["ret"] if event["func"] not in POINTERS else "pointer"
    return event["func"], kept, items, result, event["errno"]


@pytest.fixture(scope="module")
def expected(events: Run, compile_c: Callable[..., Path]) -> list[tuple[Any, ...]]:
    found = events(compile_c("everyday.c", *BUILDS["plain"]), *FUNCTIONS.split())
    assert set(FUNCTIONS.split()) == {event["func"] for event in found}
    return [meaning(event) for event in found]


@pytest.mark.parametrize("build", BUILDS)
def test_however_a_program_is_built_it_makes_the_same_calls(
    events: Run, compile_c: Callable[..., Path], expected: list[tuple[Any, ...]], build: str
) -> None:
    found = events(compile_c("everyday.c", *BUILDS[build]), *FUNCTIONS.split())
    assert expected == [meaning(event) for event in found]


def test_the_name_that_was_called_is_told(events: Run, compile_c: Callable[..., Path]) -> None:
    found = events(compile_c("everyday.c", *BUILDS["fortified 2"]), *FUNCTIONS.split())
    symbols = {event["func"]: event["symbol"] for event in found}
    expected = ("__open_2", "__read_chk", "__snprintf_chk", "__isoc99_sscanf", "__poll_chk", "close")
    assert expected == tuple(symbols[name] for name in ("open", "read", "snprintf", "sscanf", "poll", "close"))


LATER = """
long __isoc23_strtol(const char *text, char **end, int base) { return text[0] == '2' && !end ? 2 * base + 1 : 0; }
"""
CALLS_LATER = """
extern long later(const char *text, char **end, int base) __asm__("__isoc23_strtol");
int main(void) { return later("21", 0, 10) == 21 ? 0 : 1; }
"""


def test_the_names_of_a_later_libc_are_covered(events: Run, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """glibc 2.38 headers turn strtol into __isoc23_strtol; a library that exports it stands for that libc."""
    library = tmp_path / "liblater.so"
    shutil.copy(compile_c(LATER, "-shared", "-fPIC", "-Wl,-soname,liblater.so"), library)
    program = compile_c(CALLS_LATER, f"-L{tmp_path}", "-llater", f"-Wl,-rpath,{tmp_path}")
    found = events(program, "strtol", libraries=[str(library)])
    assert [("strtol", "__isoc23_strtol", "21", 21)] == [
        (event["func"], event["symbol"], event["args"]["nptr"], event["ret"]) for event in found
    ]


THROWS = """
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
static std::jmp_buf back;
static int compare(const void *, const void *) { throw std::runtime_error("from the callback"); }
static int leave(const void *, const void *) { std::longjmp(back, 1); }
int main() {
    int numbers[] = {3, 1, 2};
    for (int round = 0; round < 3; round++) {
        try { qsort(numbers, 3, sizeof numbers[0], compare); return 2; }
        catch (const std::runtime_error &error) { if (error.what()[0] != 'f') return 3; }
        try { bsearch(numbers, numbers, 3, sizeof numbers[0], compare); return 4; }
        catch (const std::runtime_error &error) { if (error.what()[0] != 'f') return 5; }
        if (setjmp(back) == 0) { qsort(numbers, 3, sizeof numbers[0], leave); return 6; }
        if (setjmp(back) == 0) { bsearch(numbers, numbers, 3, sizeof numbers[0], leave); return 7; }
    }
    return std::fputs("done\\n", stdout) < 0;
}
"""


@pytest.mark.parametrize("build", ["plain", "optimised", "bound at start", "not PIE"])
def test_exceptions_and_long_jumps_pass_through_wrappers(
    events: Run, compile_c: Callable[..., Path], needs: Callable[[str], str], build: str
) -> None:
    found = events(compile_c(THROWS, *BUILDS[build], cc=needs("g++")), "qsort", "bsearch", "fputs", "strtol")
    assert ["fputs"] == [event["func"] for event in found if not event.get("unfinished") and event["ret"] is not None]
