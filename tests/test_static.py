"""Programs that no shim can be in: static ones of glibc and of musl, position-independent or not, stripped, Go's.

Their system calls are the kernel's own of the same run; their own functions are recorded, with the types that DWARF has
or as six registers; --engine auto takes the tracer by itself.

Absent on purpose: dynamically linked programs, but for their own functions.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from views import Kernel, Ran, assert_equal_to_kernel, counts, lines_of, our_threads, quiet, why_no_tracefs

Compile = Callable[..., Path]
MANNERS = {
    "glibc, static": ("cc", "-static"),
    "glibc, static-pie": ("cc", "-static-pie"),
    "musl, static": ("musl-gcc", "-static"),
    "musl, dynamic": ("musl-gcc",),
    "glibc, dynamic": ("cc", "-pie"),
    "glibc, at its addresses": ("cc", "-no-pie"),
    "glibc, bound at once": ("cc", "-pie", "-Wl,-z,now", "-fno-plt"),
}
OWN = ("add", "factorial", "greet", "half")
PRINTED = "42\n120\nhello\n1.25\ndone\n"


@pytest.fixture(params=MANNERS, ids=lambda name: name.replace(", ", "-").replace(" ", "-"))
def program(request: pytest.FixtureRequest, compile_c: Compile, needs: Callable[[str], str]) -> Path:
    """torture_own.c in some manner of linking."""
    cc, *flags = MANNERS[request.param]
    return compile_c("torture_own.c", *flags, cc=needs(cc))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ran]:
    """run({config}, program, *arguments): under wc-run, the engine being its own choice."""

    def run_one(config: dict[str, Any], *command: object, options: tuple[object, ...] = (), **more: Any) -> Ran:
        (tmp_path / "config.json").write_text(json.dumps(config))
        words = [BIN / "wc-run", "-c", tmp_path / "config.json", "--format", "jsonl", "-o", tmp_path / "calls", *options]
        done = quiet([*words, *command], **more)
        calls = lines_of(tmp_path / "calls") if (tmp_path / "calls").exists() else []
        return Ran(done.returncode, done.stdout, done.stderr, our_threads(calls), calls)

    return run_one


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    if why := why_no_tracefs():
        pytest.skip(why)
    with Kernel(16) as instance:
        yield instance


def own(*names: str, **more: Any) -> dict[str, Any]:
    return {"funcs": [{"func_name": name, "preload": False} | more for name in names]}


def of(ran: Ran, name: str) -> list[dict[str, Any]]:
    return [call for call in ran.calls if call["func"] == name]


EVERY_CALL = {"syscalls": [{"syscall_id": "*"}]}


def test_system_calls_are_the_kernels(program: Path, run: Callable[..., Ran], kernel: Kernel) -> None:
    ran = run(EVERY_CALL, program, preexec_fn=kernel.watch)
    assert (0, PRINTED) == (ran.status, ran.stdout), ran.stderr
    assert {"ptrace"} == {call["engine"] for call in ran.calls}
    assert_equal_to_kernel(ran, kernel)


def test_own_functions_have_their_types(program: Path, run: Callable[..., Ran]) -> None:
    """Parameter names and types from DWARF; recursion; a double; a string and a string that is returned."""
    ran = run(own(*OWN), program)
    assert (0, PRINTED) == (ran.status, ran.stdout), ran.stderr
    assert [({"first": 1, "second": 41}, 42), ({"first": 1, "second": 1}, 2)] == [(c["args"], c["ret"]) for c in of(ran, "add")]
    assert [({"n": n}, r) for n, r in enumerate((1, 2, 6, 24, 120), 1)] == [(c["args"], c["ret"]) for c in of(ran, "factorial")]
    assert [({"value": 2.5}, 1.25)] == [(c["args"], c["ret"]) for c in of(ran, "half")]
    (greet,) = of(ran, "greet")
    assert ("world", True) == (greet["args"]["name"], isinstance(greet["args"]["place"], int))


def test_own_functions_without_debug_information_have_six_registers(
    tmp_path: Path, program: Path, run: Callable[..., Ran], needs: Callable[[str], str]
) -> None:
    plain = tmp_path / "plain"
    subprocess.run([needs("strip"), "--strip-debug", "-o", plain, program], check=True)
    ran = run(own("add", "factorial"), plain)
    assert (0, PRINTED) == (ran.status, ran.stdout), ran.stderr
    assert {"add": 2, "factorial": 5} == Counter(call["func"] for call in ran.calls)
    assert {6} == {len(call["args"]) for call in ran.calls}
    assert [1, 41] == [value & 0xFFFFFFFF for value in list(of(ran, "add")[0]["args"].values())[:2]]


def test_a_function_that_stripping_took_is_named(
    tmp_path: Path, program: Path, run: Callable[..., Ran], needs: Callable[[str], str]
) -> None:
    """And the system calls of the stripped program are traced."""
    bare = tmp_path / "bare"
    subprocess.run([needs("strip"), "-o", bare, program], check=True)
    ran = run(own("factorial") | EVERY_CALL, bare)
    assert (0, PRINTED) == (ran.status, ran.stdout)
    assert "factorial" in ran.stderr
    assert 5 < counts(ran.threads).total()


def test_a_prototype_of_the_config(tmp_path: Path, program: Path, run: Callable[..., Ran], needs: Callable[[str], str]) -> None:
    plain = tmp_path / "plain"
    subprocess.run([needs("strip"), "--strip-debug", "-o", plain, program], check=True)
    ran = run(own("greet", prototype="const char *greet(const char *name, void *place)"), plain)
    (call,) = of(ran, "greet")
    assert ("world", True) == (call["args"]["name"], isinstance(call["ret"], int))


@pytest.mark.parametrize("flag", ["-static", "-static-pie"])
def test_functions_of_a_static_libc(compile_c: Compile, run: Callable[..., Ran], flag: str) -> None:
    """printf's arguments are decoded; strcmp, which is chosen at the start (IFUNC), is found where it came to be."""
    program = compile_c("torture_own.c", flag, "-fno-builtin")
    ran = run({"funcs": [{"func_name": name} for name in ("printf", "strcmp", "write")]}, program)
    assert (0, PRINTED) == (ran.status, ran.stdout), ran.stderr
    assert [[42], [120], ["hello"], [1.25]] == [call["args"]["..."] for call in of(ran, "printf")]
    assert ("world", "world", 0) in [(*call["args"].values(), call["ret"]) for call in of(ran, "strcmp")]
    assert ["done\n"] == [call["args"]["buf"] for call in of(ran, "write") if call["args"]["buf"] == "done\n"]


# --- Go ------------------------------------------------------------------------------------------------------------------

GO = """
package main

import (
	"fmt"
	"os"
	"sync"
)

//go:noinline
func work(number int) int { return number * 2 }

//go:noinline
func deep(level int) int {
	var room [512]byte
	room[level%512] = 1
	if level == 0 {
		return int(room[0])
	}
	return deep(level-1) + int(room[level%512])
}

func main() {
	var group sync.WaitGroup
	var sums [8]int
	for g := 0; g < 8; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 50; i++ {
				sums[g] += work(i)
			}
		}(g)
	}
	group.Wait()
	total := 0
	for _, sum := range sums {
		total += sum
	}
	names, _ := os.ReadDir("/etc/apt")
	fmt.Println(total, deep(200), len(names) > 0)
}
"""
GO_PRINTED = "19600 201 true\n"


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    environment = os.environ | {"GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    try:
        subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=folder, env=environment, check=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("go is not installed")
    return folder / "program"


def test_system_calls_of_go_are_the_kernels(go_program: Path, run: Callable[..., Ran], kernel: Kernel) -> None:
    """Its runtime's threads preempt each other by signals."""
    ran = run(EVERY_CALL, go_program, preexec_fn=kernel.watch)
    assert (0, GO_PRINTED) == (ran.status, ran.stdout), ran.stderr
    assert 2 < len(ran.threads)
    assert_equal_to_kernel(ran, kernel)


def test_functions_of_go(go_program: Path, run: Callable[..., Ran]) -> None:
    """Stacks move, and calls go on in other threads: no call is missed, and the program is not disturbed.

    A function whose stack must grow first is begun anew on the larger one: that is one call, unless it gave way just then.
    """
    ran = run(own("main.work", "main.deep"), go_program)
    assert (0, GO_PRINTED) == (ran.status, ran.stdout), ran.stderr
    found = Counter(call["func"] for call in ran.calls)
    # One that gave way to another when its stack had grown begins once more: docs/limits.md.
    assert (True, True) == (found["main.work"] in range(400, 408), found["main.deep"] in range(201, 201 + 8))
