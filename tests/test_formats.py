"""The whole way, for the formats: a program tells which lines its calls must give, and they do."""

from __future__ import annotations

import json
import re

import pytest

TARGETS = ["open", "openat", "read", "write", "lseek", "fstat", "close", "access", "mkdirat", "umask", "mmap", "munmap",
           "pipe", "poll", "fcntl", "kill", "socket", "connect", "getenv", "strtoul", "sprintf", "fork", "waitpid",
           "_exit"]  # fmt: skip
PREFIX = re.compile(r"^\[pid +(\d+)\] ")


@pytest.fixture
def traced(compile_c, shim, wc_run, tmp_path, monkeypatch):
    """traced(*options) -> (what the program expects, what was written)."""
    program, hooks = compile_c("known_calls.c", "-O0", "-fno-builtin", "-U_FORTIFY_SOURCE"), shim(*TARGETS)
    monkeypatch.setenv("KNOWN_CALLS", "yes")

    def run(*options: str) -> tuple[list[str], list[str]]:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        output = folder.with_suffix(".out")
        result = wc_run("--preload", hooks, "-o", output, *options, program, cwd=folder)
        assert (0, "") == (result.returncode, result.stderr)
        return result.stdout.splitlines(), output.read_text().splitlines()

    return run


def own(lines: list[str], first: str) -> list[str]:
    """What the program did between its *first* call and the output at its end, without the child and stdio's calls."""
    plain = [PREFIX.sub("", line) for line in lines]
    return [line for line in plain[plain.index(first) :] if not re.match(r"_exit\(|(fstat|write)\(1, ", line)]


def test_text_is_what_the_program_expects(traced):
    expected, lines = traced()

    # Protocol 0 has several names, none of which AF_UNIX knows.
    assert expected == [re.sub("IPPROTO_[A-Z]+", "0", line) for line in own(lines, expected[0])]


def test_jsonl_has_the_same_calls(traced):
    expected, lines = traced("--format", "jsonl")
    calls = [json.loads(line) for line in lines]
    start = next(i for i, call in enumerate(calls) if call["args"].get("pathname") == "missing")
    parent = [call for call in calls[start:] if call["pid"] == calls[0]["pid"]]
    names = [call["func"] for call in parent if call["args"].get("fd") != 1]

    assert [line.partition("(")[0] for line in expected] == names
    assert [3] == [call["args"]["status"] for call in calls if call["func"] == "_exit"]
    by_name = {call["func"]: call for call in parent}
    assert "one\0two\udcff\n" == next(call["args"]["buf"] for call in parent if call["func"] == "write")
    assert ("ESRCH", -1) == (by_name["kill"]["errno"], by_name["kill"]["ret"])
    assert [-5, "six", 55] == by_name["sprintf"]["args"]["..."]


def test_paths_stand_behind_descriptors(traced):
    _, lines = traced("-y")
    text = "\n".join(lines)

    assert r'"a \"file\"\n", O_RDWR|O_CREAT|O_EXCL, 0640) = ' in text
    assert re.search(r'write\(\d+<a \\"file\\"\\n>, ', text)
    assert re.search(r'mkdirat\(\d+</>, "/"', text)


def test_the_outcome_selects(traced):
    _, failed = traced("-Z")
    _, done = traced("-z")

    assert {"open", "close", "mkdirat", "mmap", "kill", "connect"} == {
        PREFIX.sub("", line).partition("(")[0] for line in failed if "ENOTTY" not in line
    }
    assert not any(re.search(r"= -1 E", line) for line in done)


def test_a_path_selects(traced):
    _, lines = traced("-P", "/")

    assert {"access", "openat", "mkdirat", "close"} == {PREFIX.sub("", line).partition("(")[0] for line in lines}


def test_times_stand_before_and_behind_every_line(traced):
    _, lines = traced("-ttt", "-T")

    assert all(re.match(r"(\[pid +\d+\] )?\d+\.\d{6} \w+\(.*( <\d+\.\d{6}>|= \?)$", line) for line in lines)
