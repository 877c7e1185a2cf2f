"""Functions by breakpoints: found wherever they are, run as they would be, returns matched whatever the way back.

Rules: a program of tests/c/breaks_*.c checks itself (its exit status is the number of its errors) and prints "expect NAME
CALLS RETURNS", which is compared with what was recorded. Everything runs through wc-run, as a user has it.

Absent on purpose: what records hold (test_tracer_records.py), storms and kills (test_torture.py), instructions one by one
(test_tracer_insn.py).
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, TESTS

Compile = Callable[..., Path]
SECONDS = 120
COUNTED = r"(\d[\d,]*) (calls|recorded|abandoned|unfinished)\b"
SHAPES = (
    "push endbr return lea load store call call_memory jump_memory jump jump_short branch loop test compare vector string "
    "atomic flags kernel enter stack_argument return_more"
).split()
MANNERS = {
    "pie": ("cc", "-pie"),
    "fixed": ("cc", "-no-pie"),
    "static": ("cc", "-static"),
    "static-pie": ("cc", "-static-pie"),
}


class Traced:
    """What a program did, and what was recorded of it."""

    def __init__(self, done: subprocess.CompletedProcess[str], calls: Path) -> None:
        lines = calls.read_text().splitlines() if calls.exists() else []
        self.status, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.records: list[dict[str, Any]] = [entry for entry in map(json.loads, lines) if "func" in entry]

    def calls(self) -> Counter[str]:
        return Counter(record["func"] for record in self.records)

    def expected(self) -> dict[str, tuple[int, int]]:
        found = re.findall(r"^expect (\w+) (\d+) (\d+)$", self.stdout, re.M)
        return {name: (int(calls), int(returns)) for name, calls, returns in found}

    def counted(self) -> tuple[int, int, int]:
        """Calls, recorded, and those that never returned, as wc-run sums them up."""
        numbers = {word: int(number.replace(",", "")) for number, word in re.findall(COUNTED, self.stderr)}
        left = numbers.get("abandoned", 0) + numbers.get("unfinished", 0)
        return numbers.get("calls", 0), numbers.get("recorded", 0), left


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., Traced]:
    """trace([names or entries of funcs], program, *arguments)."""

    def run(funcs: Sequence[str | dict[str, Any]], *command: object, **options: Any) -> Traced:
        entries = [{"func_name": func} if isinstance(func, str) else func for func in funcs]
        (tmp_path / "config.json").write_text(json.dumps({"funcs": entries} | options))
        words = [BIN / "wc-run", "--engine", "ptrace", "-c", tmp_path / "config.json", "--format", "jsonl"]
        words += ["-o", tmp_path / "calls", "-v", *command]
        done = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SECONDS
        )
        return Traced(done, tmp_path / "calls")

    return run


def assert_as_expected(traced: Traced) -> None:
    """Each function was called as often as the program says, and returned as often."""
    expected = traced.expected()
    assert (0, True) == (traced.status, bool(expected)), traced.stderr
    returned = Counter(
        record["func"] for record in traced.records if record["ret"] is not None or returns_nothing(record)
    )
    assert {name: returns for name, (_, returns) in expected.items() if returns} == dict(returned)
    calls, _, left = traced.counted()
    assert sum(calls for calls, _ in expected.values()) == calls
    assert sum(calls - returns for calls, returns in expected.values()) == left


def returns_nothing(record: dict[str, Any]) -> bool:
    return bool(record["func"] == "f_handler")


@pytest.fixture(params=MANNERS)
def manner(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return MANNERS[request.param]


# --- where functions are -----------------------------------------------------------------------------------------------------


def test_whatever_a_function_begins_with_is_done(
    trace: Callable[..., Traced], compile_c: Compile, manner: tuple[str, ...]
) -> None:
    """Emulated or from a slot: what the program prints is what it prints alone, and each call is recorded."""
    cc, *flags = manner
    program = compile_c("breaks_shapes.c", str(TESTS / "c" / "breaks_shapes.S"), *flags, cc=cc)
    alone = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True)
    traced = trace([f"shape_{name}" for name in SHAPES], program)
    assert (0, alone.stdout) == (traced.status, traced.stdout)
    wanted = {f"shape_{name}": 3 for name in SHAPES} | {"shape_branch": 6, "shape_loop": 6, "shape_lea": 12}
    assert wanted == traced.calls()


def test_a_function_that_a_resolver_chooses_is_found(
    trace: Callable[..., Traced], compile_c: Compile, manner: tuple[str, ...]
) -> None:
    cc, *flags = manner
    assert_as_expected(trace(["f_chosen"], compile_c("breaks_chosen.c", *flags, cc=cc)))


def test_a_chosen_function_of_libc_that_is_in_the_vdso_is_found(
    trace: Callable[..., Traced], compile_c: Compile
) -> None:
    program = compile_c(
        "#include <time.h>\nint main(void) { time_t t; return time(&t) != t || time(0) < t; }\n", "-fno-builtin"
    )
    assert {"time": 2} == trace(["time"], program).calls()


@pytest.mark.parametrize("library", ["libc", "own"])
def test_functions_of_a_stripped_program_that_it_exports_are_found(
    trace: Callable[..., Traced], compile_c: Compile, library: str
) -> None:  # fmt: skip
    text = '#include <stdio.h>\nint f_own(int n) { return puts("x") + n; }\nint main(void) { return f_own(0) != 2; }\n'
    program = compile_c(text, "-rdynamic", "-s", "-fno-inline")
    name = "puts" if library == "libc" else "f_own"
    assert {name: 1} == trace([name], program).calls()


def test_a_library_that_is_loaded_later_is_planted_each_time(trace: Callable[..., Traced], compile_c: Compile) -> None:
    """Ten times dlopen and dlclose. The call of f_inner from inside its own library does not count."""
    library = compile_c("breaks_library.c", "-shared", "-fPIC")
    names = ("f_outer", "f_inner", "f_chosen")
    traced = trace(
        [{"func_name": name, "library": library.name} for name in names], compile_c("breaks_loads.c"), library
    )
    assert_as_expected(traced)


def test_calls_from_inside_a_library_count_when_they_are_wanted(
    trace: Callable[..., Traced], compile_c: Compile
) -> None:
    library = compile_c("breaks_library.c", "-shared", "-fPIC")
    func = {"func_name": "f_inner", "library": library.name, "internal": True}
    assert {"f_inner": 20} == trace([func], compile_c("breaks_loads.c"), library).calls()


JUMPS = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
static void handler(int number) { (void)number; ((int (*)(const char *))puts)("handled"); }
int main(void)
{
        int status;
        free(canonicalize_file_name("/etc")); /* which jumps to realpath, in glibc */
        free(realpath("/etc", NULL));
        wait3(&status, 0, NULL); /* to wait4 */
        wait4(-1, &status, 0, NULL);
        signal(SIGUSR1, handler); /* which jumps to puts, and so returns to the signal frame's code in libc */
        return raise(SIGUSR1);
}
"""


@pytest.mark.parametrize(
    "flags", [("-O2",), ("-O2", "-fno-plt"), ("-O2", "-no-pie")], ids=["table", "pointer", "fixed"]
)
def test_jumps_inside_a_library_are_not_calls_of_the_program(
    trace: Callable[..., Traced], compile_c: Compile, flags: tuple[str, ...]
) -> None:
    traced = trace(["realpath", "wait4", "puts"], compile_c(JUMPS, *flags))
    assert (0, {"realpath": 1, "wait4": 1, "puts": 1}) == (traced.status, traced.calls())


def test_errno_of_a_failed_function_is_read(
    trace: Callable[..., Traced], compile_c: Compile, manner: tuple[str, ...]
) -> None:
    cc, *flags = manner
    text = '#include <fcntl.h>\n#include <errno.h>\nint main(void) { return open("/no/such", O_RDONLY) != -1 || errno != ENOENT; }\n'
    traced = trace(["open"], compile_c(text, *flags, cc=cc))
    assert (0, ["ENOENT"]) == (
        traced.status,
        [record["errno"] for record in traced.records if record["args"]["pathname"] == "/no/such"],
    )


# --- the way back -----------------------------------------------------------------------------------------------------------------

WAYS = {
    "recursion": ["f_deep"], "jumps": ["f_leaves", "f_stays"], "tails": ["f_first", "f_second"], "threads": ["f_shared"],
    "coroutines": ["f_waits"], "handlers": ["f_handler", "f_raises"], "forks": ["f_counted"], "vforks": ["f_counted"],
    "never": ["f_ends"],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flags", [("-pthread",), ("-pthread", "-static")], ids=["dynamic", "static"])
def test_returns_are_matched(
    trace: Callable[..., Traced], compile_c: Compile, way: str, flags: tuple[str, ...]
) -> None:
    program = compile_c("breaks_returns.c", *flags)
    traced = trace(WAYS[way], program, way)
    if way == "never":
        assert (0, Counter(f_ends=1), [None]) == (
            traced.status,
            traced.calls(),
            [record["ret"] for record in traced.records],
        )
        assert (1, 1) == (traced.counted()[0], sum(traced.counted()[1:]))
    else:
        assert_as_expected(traced)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("never", "threads")])
def test_returns_are_matched_where_the_tracer_may_not_map_memory(
    trace: Callable[..., Traced], compile_c: Compile, way: str
) -> None:
    """Without slots what is displaced is stepped over, by its thread alone."""
    traced = trace(WAYS[way], compile_c("breaks_returns.c", "-pthread"), "crowded", way)
    if traced.status == 77:
        pytest.skip("no seccomp filter here")
    assert_as_expected(traced)


GO = """
package main

import "fmt"

//go:noinline
func deep(n int) int {
	var room [64]int
	room[n%64] = n
	if n == 0 {
		return room[0]
	}
	return deep(n-1) + 1
}

func main() {
	out, sum := make(chan int), 0
	for i := 0; i < 20; i++ {
		go func(n int) { out <- deep(n) }(i * 50)
	}
	for i := 0; i < 20; i++ {
		sum += <-out
	}
	fmt.Println(sum)
}
"""


def test_a_go_function_that_begins_anew_on_a_larger_stack_is_one_call(
    trace: Callable[..., Traced], needs: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 20 stacks grows some eight times: what is left over is a few goroutines that gave way just then."""
    (tmp_path / "main.go").write_text(GO)
    monkeypatch.setenv("GO111MODULE", "off")
    subprocess.run([needs("go"), "build", "-o", "deep", "main.go"], cwd=tmp_path, check=True, timeout=SECONDS)
    monkeypatch.setenv("GOMAXPROCS", "1")
    traced = trace(["main.deep"], tmp_path / "deep")
    assert (0, "9500\n") == (traced.status, traced.stdout)
    assert 9520 <= traced.calls()["main.deep"] < 9560


def test_a_tail_call_ends_with_the_function_that_it_jumped_to(trace: Callable[..., Traced], compile_c: Compile) -> None:
    """The inner one first, both with its result."""
    traced = trace(WAYS["tails"], compile_c("breaks_returns.c", "-pthread"), "tails")
    pairs = [(record["func"], record["ret"]) for record in traced.records]
    assert [(name, 2 * n + 2) for n in range(20) for name in ("f_second", "f_first")] == pairs


@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["dynamic", "static"])
def test_exceptions_leave_functions_behind(
    trace: Callable[..., Traced], compile_c: Compile, flags: tuple[str, ...]
) -> None:
    program = compile_c((TESTS / "c" / "breaks_throws.cc").read_text(), "-xc++", *flags, cc="g++")
    assert_as_expected(trace(["f_throws", "f_passes", "f_catches"], program))


def test_a_method_is_found_by_its_demangled_name(trace: Callable[..., Traced], compile_c: Compile) -> None:
    program = compile_c((TESTS / "c" / "breaks_throws.cc").read_text(), "-xc++", cc="g++")
    assert {"own::Counter::add": 30} == trace(["own::Counter::add"], program).calls()


# --- signals ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["faults", "trap", "timer"])
@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["dynamic", "static"])
def test_signals_never_find_a_slot(
    trace: Callable[..., Traced], compile_c: Compile, way: str, flags: tuple[str, ...]
) -> None:
    """A fault shows the function's address; the program's own int3 is its own; a timer sees the program's code only."""
    program = compile_c("breaks_signals.c", *flags)
    names = {"faults": "f_faults", "trap": "f_traps", "timer": "f_busy"}
    assert_as_expected(trace([names[way]], program, way))


# --- letting go ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 6])
def test_nothing_is_left_in_a_program_that_is_let_go(compile_c: Compile, tmp_path: Path, threads: int) -> None:
    """Attached to and let go three times while it runs: its code is then what it was, and no memory of ours is in it."""
    names = "fn:f_busy,fn:f_sleeps,fn:clock_nanosleep"
    with subprocess.Popen(
        [compile_c("breaks_lives.c", "-pthread"), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin and program.stdout
        try:
            assert "ready\n" == program.stdout.readline()
            recorded = [attach(program.pid, names, tmp_path / "calls") for _ in range(3)]
            out, _ = program.communicate("over\n", timeout=SECONDS)
        finally:
            program.kill()
    said = dict(line.split() for line in out.splitlines())
    assert ("same", "same", "0") == (said["code"], said["executable"], said["errors"])
    assert all(calls > 0 for calls in recorded)
    assert 0 == program.returncode


def attach(pid: int, names: str, calls: Path) -> int:
    """Watch a process until some calls have come, and let it go. Returns how many came."""
    calls.unlink(missing_ok=True)
    words = [BIN / "wc-run", "--engine", "ptrace", "--trace", names, "-p", pid, "-o", calls, "--format", "jsonl"]
    with subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True) as watcher:
        try:
            deadline = time.monotonic() + SECONDS
            while not (calls.exists() and calls.read_bytes().count(b"\n") > 20):
                assert watcher.poll() is None and time.monotonic() < deadline, "no calls came"
                time.sleep(0.02)
            watcher.send_signal(signal.SIGINT)
            _, said = watcher.communicate(timeout=SECONDS)
        finally:
            watcher.kill()
    assert 0 == watcher.returncode, said
    return calls.read_bytes().count(b"\n")
