"""One processor for tracer and program: when they share it, and that the program cannot tell.

tests/c/pinned.c says which processors it may use, by its own view and by /proc's; /proc shows the truth.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BIN

ALL = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(ALL) < 2, reason="needs two processors")
OWN = "own " + " ".join(map(str, ALL))
Traced = Callable[..., list[str]]


def processors(text: str) -> list[int]:
    """Return what a Cpus_allowed_list says: "0-2,4"."""
    ranges = [part.split("-") for part in text.split(",")]
    return [number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)]


def after(lines: list[str], start: str) -> list[list[int]]:
    """Return the processors of every line that starts with *start*."""
    found = [line.removeprefix(start + " ") for line in lines if line.startswith(start + " ")]
    return [processors(text.replace(" ", ",")) for text in found]


@pytest.fixture
def command(tmp_path: Path, compile_c: Callable[..., Path]) -> Callable[..., list[str]]:
    """command(words, options): wc-run over pinned.c, or over another program whose path is the first word."""
    program = compile_c("pinned.c", "-pthread")
    (tmp_path / "config.json").write_text(json.dumps({"syscalls": [{"syscall_id": "getppid"}]}))

    def words(
        *arguments: str, options: tuple[str, ...] = (), before: tuple[str, ...] = (), engine: str = "ptrace"
    ) -> list[str]:
        ours = [BIN / "wc-run", "--engine", engine, "-c", tmp_path / "config.json", "-o", tmp_path / "calls.txt"]
        return [*before, *map(str, ours), *options, "--", str(program), *arguments]

    return words


@pytest.fixture
def traced(command: Callable[..., list[str]]) -> Traced:
    def run(*arguments: str, options: tuple[str, ...] = (), before: tuple[str, ...] = ()) -> list[str]:
        ran = subprocess.run(command(*arguments, options=options, before=before), capture_output=True, text=True,
                             timeout=60, stdin=subprocess.DEVNULL)  # fmt: skip
        assert 0 == ran.returncode, ran.stderr
        return ran.stdout.splitlines()

    return run


def test_program_and_tracer_share_one_processor(traced: Traced) -> None:
    lines = traced("seen", "tracer")
    ((shared,), (tracers,)) = after(lines, "seen") + after(lines, "tracer")
    assert shared == tracers
    assert shared in ALL


def test_the_programs_own_view_is_what_it_was(traced: Traced) -> None:
    assert [OWN, OWN] == [line for line in traced("own", "seen", "own") if line.startswith("own")]


def test_asking_does_not_end_it(traced: Traced) -> None:
    lines = traced("seen", "own", "seen", "tracer")
    assert 1 == len({tuple(one) for one in after(lines, "seen") + after(lines, "tracer")})
    assert 1 == len(after(lines, "tracer")[0])


def test_with_no_pin_nobody_is_moved(traced: Traced) -> None:
    lines = traced("seen", "tracer", "own", options=("--no-pin",))
    assert [ALL, ALL] == after(lines, "seen") + after(lines, "tracer")
    assert OWN in lines


def test_beside_a_shim_it_is_the_same(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    config = {"funcs": [{"func_name": "fork"}], "syscalls": [{"syscall_id": "getppid"}]}
    words = command("own", "seen", "fork", "own", engine="auto")
    (tmp_path / "config.json").write_text(json.dumps(config))
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    lines = ran.stdout.splitlines()
    assert (0, OWN, OWN) == (ran.returncode, lines[0], lines[-1]), ran.stderr
    assert (1, [ALL]) == (len(after(lines, "seen")[0]), after(lines, "child seen"))
    assert "fork() = " in (tmp_path / "calls.txt").read_text()


def test_a_mask_that_the_program_sets_holds(traced: Traced) -> None:
    first, last = ALL[0], ALL[-1]
    for one in (first, last):
        lines = traced(f"set={one}", "own", "seen", "tracer")
        assert ["set 0", f"own {one}", f"seen {one}", f"tracer {one}"] == lines


def test_the_program_may_widen_its_mask_again(traced: Traced) -> None:
    lines = traced(f"set={ALL[-1]}", "set=all", "own", "seen")
    assert ["set 0", "set 0", OWN] == lines[:3]
    assert 1 == len(after(lines, "seen")[0])


def test_what_the_kernel_refuses_it_still_refuses(traced: Traced) -> None:
    assert ["bad 1 1 1", OWN] == traced("bad", "own")


@pytest.mark.parametrize("how", ["fork", "vfork", "thread", "spawn"])
def test_what_is_born_has_the_programs_own_mask_from_its_first_instruction(traced: Traced, how: str) -> None:
    lines = traced("seen", how, "seen", "tracer", "own")
    assert 1 == len(after(lines, "seen")[0])
    assert [ALL] * 3 == after(lines, "child seen") + after(lines, "seen")[1:] + after(lines, "tracer")
    assert OWN == lines[-1]


def test_a_child_of_a_program_that_set_its_mask_inherits_that(traced: Traced) -> None:
    one = ALL[-1]
    lines = traced(f"set={one}", "fork", "own")
    assert ["set 0", f"child seen {one}", f"child own {one}", f"own {one}"] == lines


def test_the_mask_that_wc_run_has_is_the_programs(traced: Traced) -> None:
    one = ALL[-1]
    lines = traced("own", "seen", "fork", before=("taskset", "-c", str(one)))
    assert [f"own {one}", f"seen {one}", f"child seen {one}", f"child own {one}"] == lines


def test_a_program_that_execs_another_stays_where_it_is(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    words = command("own", "seen")
    at = words.index("--") + 1
    words[at:at] = ["/usr/bin/env", "nice"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    lines = ran.stdout.splitlines()
    assert (0, OWN, 1) == (ran.returncode, lines[0], len(after(lines, "seen")[0]))


def test_nproc_and_taskset_say_what_they_say_without_us(command: Callable[..., list[str]]) -> None:
    for tool in (["nproc"], ["taskset", "-c", str(ALL[0]), "nproc"], ["sh", "-c", "taskset -p $$ | cut -d: -f2; nproc"]):
        words = command()
        words[words.index("--") + 1 :] = tool
        alone = subprocess.run(tool, capture_output=True, text=True, timeout=60)
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (alone.returncode, alone.stdout) == (ran.returncode, ran.stdout), tool


def test_a_mask_that_somebody_else_has_set_is_left_alone(command: Callable[..., list[str]]) -> None:
    """taskset -p from outside, while the program is pinned: its child has that mask, not the one before."""
    program = subprocess.Popen(command("seen", "wait", "fork", "seen"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    try:
        assert program.stdout is not None
        ((pinned,),) = after([program.stdout.readline().rstrip()], "seen")
        other = next(number for number in ALL if number != pinned)
        (pid,) = children(program.pid)
        os.sched_setaffinity(pid, {other})
        lines = program.communicate("go\n", timeout=60)[0].splitlines()
        assert (0, [[other], [other]]) == (program.returncode, after(lines, "child seen") + after(lines, "seen"))
    finally:
        program.kill()
        program.communicate()


def children(pid: int) -> list[int]:
    """Return the children of *pid*, but for the tracer."""
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in found if "wc-tracer" not in Path(f"/proc/{child}/cmdline").read_text()]
