"""System calls made for real, with arguments good and bad: what our text says of each is what strace says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import document
import pytest
from conftest import Run
from said import Said, Struct, differences, number, parse

CONFIG = '{"syscalls": [{"syscall_id": "*"}]}'
SETARCH = "setarch"
FLAGS = ("-static", "-no-pie", "-Wno-nonnull")

VOLATILE = {"getpid", "gettid", "getppid", "getpgrp", "times", "shmget"}
"""Calls whose results differ from run to run."""
UNLIKE = {
    ("bpf", 1): "strace does not look at attributes of a command that it does not know",
    ("capset", 1): "strace does not look at the sets of a header that it cannot read",
    ("clone3", 0): "strace does not show arguments of a size that nobody has, and of more than it knows only the rest",
    ("execve", 2): "the environment is counted, not shown",
    ("execveat", 3): "the environment is counted, not shown",
    ("modify_ldt", 1): "strace does not read it for a function that it does not know",
    ("msgsnd", 1): "a message is bytes, of which strace cuts off the type",
    ("openat2", 2): "strace does not show a struct that is too short",
    ("ppoll", 3): "strace does not show a set of a size that the kernel refuses",
    ("shmctl", 0): "the number that shmget gave",
    ("signalfd4", 1): "strace does not show a set of a size that the kernel refuses",
}
"""Arguments that are told in another way, and why."""
FEWER = {"vserver"}
"""Calls of which strace shows fewer words: nobody knows how many there are."""


@pytest.fixture(scope="module")
def both(
    compile_c: Callable[..., Path], wc_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Said, Said]]:
    """The calls of two runs of raw_calls.c, as we and as strace tell them."""
    for needed in ("strace", SETARCH):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("raw")
    told_by_both(wc_run, folder, str(compile_c("raw_calls.c", *FLAGS)))
    return pairs(_calls(folder / "ours.txt"), _calls(folder / "straces.txt"))


def told_by_both(wc_run: Run, folder: Path, *command: str) -> None:
    """Run *command* twice in an empty directory, always at the same addresses: ours.txt, straces.txt."""
    (folder / "config.json").write_text(CONFIG)
    options = ("--engine", "ptrace", "-c", folder / "config.json", "-s", "256", "-o", folder / "ours.txt")
    ran = wc_run(*options, SETARCH, "-R", *command, cwd=_emptied(folder / "place"))
    assert ran.returncode == 0, ran.stderr
    strace = ["strace", "-v", "-s", "256", "-o", str(folder / "straces.txt"), SETARCH, "-R", *command]
    subprocess.run(strace, cwd=_emptied(folder / "place"), timeout=60, check=True, capture_output=True)


def _emptied(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def pairs(ours: list[Said], theirs: list[Said]) -> list[tuple[Said, Said]]:
    assert [call.name for call in theirs] == [call.name for call in ours]
    return list(zip(ours, theirs, strict=True))


def _calls(file: Path, first: str = "mmap(0x20000000,") -> list[Said]:
    """Return the program's own calls: those from the one on that begins as *first*."""
    lines = [line for line in file.read_text().splitlines() if "(" in line and not line.startswith("---")]
    begin = next(i for i, line in enumerate(lines) if line.startswith(first))
    return [parse(line) for line in lines[begin:] if not line.startswith("exit_group")]


def test_there_are_enough_calls(both: list[tuple[Said, Said]]) -> None:
    """Of most calls one that succeeds and one that fails."""
    assert len({ours.name for ours, _ in both}) >= 250
    assert len([1 for _, theirs in both if theirs.result.startswith("-1")]) >= 150
    assert len([1 for _, theirs in both if not theirs.result.startswith("-1")]) >= 150


def test_arguments_are_as_strace_tells_them(both: list[tuple[Said, Said]]) -> None:
    wrong = []
    for ours, theirs in both:
        if len(ours.arguments) != len(theirs.arguments) and ours.name not in FEWER:
            wrong.append(f"{ours.name}: {len(ours.arguments)} arguments, strace has {len(theirs.arguments)}")
        for i, (a, b) in enumerate(zip(ours.arguments, theirs.arguments, strict=False)):
            found = differences(a, b, f"{ours.name}: argument {i}")
            wrong += found if (ours.name, i) not in UNLIKE else []
    assert [] == wrong


def test_results_are_as_strace_tells_them(both: list[tuple[Said, Said]]) -> None:
    wrong = []
    for ours, theirs in both:
        if ours.name == "modify_ldt":  # its 32 bits of -errno are a large number to strace
            assert "-1 ENOSYS" == ours.result
        elif ours.name not in VOLATILE and not same_result(ours, theirs):
            wrong.append(f"{ours.name}: {ours.result} / {theirs.result}")
    assert [] == wrong


def same_result(ours: Said, theirs: Said) -> bool:
    (a, *error), (b, *their_error) = ours.result.split(), theirs.result.split()
    x, y = number(a), number(b)
    return x is not None and y is not None and (x - y) % 2**32 == 0 and error == their_error[:1]


def test_what_differs_on_purpose_still_does(both: list[tuple[Said, Said]]) -> None:
    """A reason that has gone is no reason."""
    found = {
        (ours.name, i)
        for ours, theirs in both
        for i, (a, b) in enumerate(zip(ours.arguments, theirs.arguments, strict=False))
        if differences(a, b, "")
    }
    assert {key for key in UNLIKE if key != ("shmctl", 0)} == found - {("shmctl", 0)}


RANDOM = {"getrandom", "set_tid_address", "gettid", "getpid", "getppid", "sysinfo", "times", "clock_gettime"}
"""Calls whose arguments or results differ from run to run."""


@pytest.mark.parametrize(
    "command",
    [
        ("ls", "-la", "../tree"),
        ("cat", "/etc/hostname", "/etc/passwd"),
        (os.path.realpath(sys.executable), "-I", "-S", "-c", "import json, re; print(json.dumps(list(range(9))))"),
        ("sh", "-c", "cd /; for i in 1 2 3; do echo $i > /dev/null; test -f /etc/passwd; done; umask 077; pwd"),
    ],
    ids=["ls", "cat", "python", "sh"],
)
def test_real_programs_are_told_as_by_strace(
    command: tuple[str, ...], wc_run: Run, needs: Callable[[str], str], tmp_path: Path
) -> None:
    for needed in ("strace", SETARCH):
        needs(needed)
    for name in ("one", "two", "three/deep"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    program = needs(command[0])
    told_by_both(wc_run, tmp_path, program, *command[1:])
    wrong = []
    begin = f'execve("{program}"'
    for ours, theirs in pairs(_calls(tmp_path / "ours.txt", begin), _calls(tmp_path / "straces.txt", begin)):
        if ours.name in RANDOM or ours.name == "execve":
            continue
        found = [f"{len(ours.arguments)} arguments"] if len(ours.arguments) != len(theirs.arguments) else []
        for i, (a, b) in enumerate(zip(ours.arguments, theirs.arguments, strict=False)):
            found += differences(a, b, f"argument {i}")
        wrong += [(ours.name, difference) for difference in found]
        if not same_result(ours, theirs):
            wrong.append((ours.name, f"{ours.result} / {theirs.result}"))
    assert [] == wrong


def test_a_difference_is_seen() -> None:
    """The comparison itself: what it must and must not take for the same."""
    same = [
        ("f({a=1, b=2}) = 0", "f({a=0x1, ...}) = 0"),
        ('f("abc"...) = 0', 'f("abcd") = 0'),
        ("f(O_RDONLY|O_CLOEXEC) = 0", "f(O_CLOEXEC) = 0"),
        ("f(-1) = 0", "f(4294967295) = 0"),
        ("f([1, 2]) = 0", "f([1, 2]) = 0"),
        ("f({a=0x1234}) = 0", "f({a=[USR1]}) = 0"),
    ]
    unlike = [
        ("f({a=1}) = 0", "f({a=2}) = 0"),
        ("f({a=1}) = 0", "f({b=1}) = 0"),
        ('f("abc") = 0', 'f("abcd") = 0'),
        ("f(O_RDONLY) = 0", "f(O_WRONLY) = 0"),
        ("f([1, 2]) = 0", "f([1]) = 0"),
        ("f(0x1234) = 0", "f([USR1]) = 0"),
        ("f([USR1]) = 0", "f(~[USR1]) = 0"),
    ]
    assert [] == [pair for pair in same if _unlike(*pair)]
    assert [] == [pair for pair in unlike if not _unlike(*pair)]
    assert isinstance(parse("f({a=1}) = 0").arguments[0], Struct)


def _unlike(ours: str, theirs: str) -> list[str]:
    pairs = zip(parse(ours).arguments, parse(theirs).arguments, strict=True)
    return [line for a, b in pairs for line in differences(a, b, "")]


def test_the_document_prints_what_it_shows(tmp_path: Path) -> None:
    complaints = document.run(Path(__file__).parent.parent / "docs" / "system-calls.md", tmp_path)
    assert [] == complaints, "\n".join(complaints)
