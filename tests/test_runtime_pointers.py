"""R7: a pointer that cannot be read is an argument like any other: the call does what it would have done, and the
record keeps what could be read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Record, Trace, trace

NAMES = (
    "open", "stat", "read", "write", "writev", "pipe", "readlink", "execve", "execv", "fputs", "mmap", "mprotect",
)  # fmt: skip


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path]) -> Path:
    return compile_c("pointers.c", "-fno-builtin", "-w")


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim(*NAMES)


@pytest.fixture(scope="module")
def run(hooks: Path, program: Path) -> Trace:
    return trace(hooks, program)


def nth(run: Trace, symbol: str, **args: int) -> list[Record]:
    return [call for call in run.calls(symbol) if all(call.args[name] == value for name, value in args.items())]


def test_the_program_sees_what_it_sees_without_a_shim(run: Trace, program: Path) -> None:
    natively = subprocess.run([program], capture_output=True, text=True)
    assert (natively.returncode, natively.stdout) == (run.status, run.stdout)
    run.check_identity(*NAMES)


def test_every_call_is_recorded_whatever_its_pointers(run: Trace) -> None:
    assert {} == dict(run.losses())
    lines = [line.rsplit(" ", 2) for line in run.stdout.splitlines()]
    writes = [(int(result), int(error)) for what, result, error in lines if what.startswith("write ")]
    seen = [(call.result, call.error if call.result < 0 else 0) for call in run.calls("write")]
    assert writes == [call for call in seen if call in writes][: len(writes)]


def test_a_bad_path_is_unreadable(run: Trace) -> None:
    bad = nth(run, "open", pathname=1)
    assert [(-1, 14, b"", True)] == [(c.result, c.error, c.kept["pathname"].data, c.kept["pathname"].unreadable) for c in bad]


def test_writing_nowhere_to_dev_null_succeeds(run: Trace) -> None:
    calls = nth(run, "write", buf=1, count=100)
    assert [(-1, True), (100, True), (-1, True)] == [(call.result, call.kept["buf"].unreadable) for call in calls]


def test_a_path_at_the_end_of_a_page_is_whole(run: Trace) -> None:
    texts = [call.kept["pathname"].data for call in run.calls("open")]
    assert 1 == texts.count(b"/nonexistent")
    assert texts.count(b"/dev/null") == 2


def test_an_unterminated_path_is_kept_as_far_as_it_can_be_read(run: Trace) -> None:
    assert [(-1, 14)] == [(c.result, c.error) for c in run.calls("open") if c.kept["pathname"].data == b"x" * 40]


def test_a_path_longer_than_any_is_cut(run: Trace) -> None:
    calls = [call for call in run.calls("open") if call.kept["pathname"].data.startswith(b"/ppp")]
    assert [(-1, 36, 4096, True)] == [
        (c.result, c.error, len(c.kept["pathname"].data), c.kept["pathname"].truncated) for c in calls
    ]


def test_a_buffer_that_ends_in_nothing_is_kept_up_to_there(run: Trace) -> None:
    calls = [call for call in run.calls("write") if call.kept["buf"].data == b"x" * 40]
    assert [(40, False), (80, True), (-1, True)] == [(call.result, call.kept["buf"].truncated) for call in calls]


def test_failed_execs_are_recorded_once_each(run: Trace) -> None:
    assert [(-1, 14), (-1, 2), (-1, 14)] == [(call.result, call.error) for call in run.calls("execve")]
    assert (1, 1) == (run.counts("execv")["returned"], run.recorded("execv"))
