"""System calls made for real, with arguments good and bad: what our text says of each is what strace says."""

from __future__ import annotations

import shutil
import subprocess
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
    ("clone3", 0): "strace does not show arguments of a size that nobody has",
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
    program, folder = compile_c("raw_calls.c", *FLAGS), tmp_path_factory.mktemp("raw")
    command = [SETARCH, "-R", str(program)]
    (folder / "config.json").write_text(CONFIG)
    place = folder / "place"
    place.mkdir()
    options = ("--engine", "ptrace", "-c", folder / "config.json", "-s", "256", "-o", folder / "ours.txt")
    ran = wc_run(*options, *command, cwd=place)
    assert ran.returncode == 0, ran.stderr
    shutil.rmtree(place)
    place.mkdir()
    strace = ["strace", "-v", "-s", "256", "-o", str(folder / "straces.txt"), *command]
    subprocess.run(strace, cwd=place, timeout=60, check=True, capture_output=True)
    ours, theirs = (_calls(folder / name) for name in ("ours.txt", "straces.txt"))
    assert [call.name for call in theirs] == [call.name for call in ours]
    return list(zip(ours, theirs, strict=True))


def _calls(file: Path) -> list[Said]:
    """Return the program's own calls: those from the mapping at its place on."""
    lines = [line for line in file.read_text().splitlines() if "(" in line]
    first = next(i for i, line in enumerate(lines) if line.startswith("mmap(0x20000000,"))
    return [parse(line) for line in lines[first:] if not line.startswith("exit_group")]


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
        (a, *error), (b, *their_error) = ours.result.split(), theirs.result.split()
        same = number(a) is not None and ((number(a) or 0) - (number(b) or 0)) % 2**32 == 0
        if ours.name == "modify_ldt":  # its 32 bits of -errno are a large number to strace
            same = a == "-1"
        if ours.name not in VOLATILE and not (same and error == their_error[:1]):
            wrong.append(f"{ours.name}: {ours.result} / {theirs.result}")
    assert [] == wrong


def test_what_differs_on_purpose_still_does(both: list[tuple[Said, Said]]) -> None:
    """A reason that has gone is no reason."""
    found = {
        (ours.name, i)
        for ours, theirs in both
        for i, (a, b) in enumerate(zip(ours.arguments, theirs.arguments, strict=False))
        if differences(a, b, "")
    }
    assert {key for key in UNLIKE if key != ("shmctl", 0)} == found - {("shmctl", 0)}


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
