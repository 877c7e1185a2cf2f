"""Targets that a running session gets and drops: wc-ctl add and drop, in programs under either engine and attached to.

tests/c/grow_loop.c makes a round of calls when it is told to, in five threads of two processes that were there
before, so that it is known exactly which calls are to be recorded.

Absent on purpose: how long programs stand still (benchmarks/grow.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BIN
from test_control import DEADLINE, ROUND, Running, counted, ctl, running
from wc_intercept.consumer import abi_fields as abi
from wc_intercept.consumer.session import find
from wc_intercept.generator.growth import nothing
from wc_intercept.generator.manifest import Growth, Manifest, Names, Platform, Symbol, Target
from wc_intercept.generator.tracer_plan import HEAD

EVERYBODY = 5
"""Threads that make a round of calls."""


@pytest.fixture
def loop(compile_c: Callable[..., Path]) -> Path:
    return compile_c("grow_loop.c", "-fno-builtin", "-pthread")


def tracer_of(one: Running) -> int:
    """Who traces the program of *one*: 0 for nobody."""
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    status = [Path(f"/proc/{pid}/status").read_text() for pid in children]
    (program,) = (text for text in status if text.startswith("Name:\tgrow_loop"))
    return int(program.split("TracerPid:")[1].split()[0])


def test_a_function_that_the_shim_lacks_is_there_from_the_next_call_on(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand", "--strict") as one:
        one.round()
        assert "getppid: on" in told("add", one, "getppid")
        one.round()
        one.round()
        lines = one.end()
    assert {"rand": 3 * EVERYBODY * ROUND, "getppid": 2 * EVERYBODY * ROUND} == counted(lines)
    calls = [line for line in lines if "args" in line]
    assert {("rand", "preload"), ("getppid", "ptrace")} == {(call["func"], call["engine"]) for call in calls}
    assert EVERYBODY == len({call["tid"] for call in calls if call["func"] == "getppid"})


def test_it_stands_among_the_others_in_the_order_of_the_calls(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand", "--strict") as one:
        one.round()
        told("add", one, "getppid")
        one.round()
        lines = [line for line in one.end() if "args" in line]
    for tid in {line["tid"] for line in lines}:
        own = [line["func"] for line in lines if line["tid"] == tid]
        assert ["rand"] * ROUND + ["rand", "getppid"] * ROUND == own


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
@pytest.mark.parametrize("name", ["strlen", "own", "sys:getppid"])
def test_every_kind_of_target_comes_and_goes(loop: Path, tmp_path: Path, engine: str, name: str) -> None:
    """An IFUNC of libc, a function of the program alone, a system call; beside a shim, and beside other traced ones."""
    plain = name.removeprefix("sys:")
    with running(loop, tmp_path, "--engine", engine, "--trace", "fn:rand", "--strict") as one:
        one.round()
        told("add", one, name if name == "sys:getppid" else f"fn:{name}")
        one.round()
        assert f"{plain}: off" in told("drop", one, name)
        assert (tracer_of(one) == 0) == (engine == "preload")
        one.round()
        told("add", one, name if name == "sys:getppid" else f"fn:{name}")
        one.round()
        lines = one.end()
    assert {"rand": 4 * EVERYBODY * ROUND, plain: 2 * EVERYBODY * ROUND} == counted(lines)


def test_a_system_call_that_no_filter_has_stops_in_a_program_that_has_one(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "sys:write", "--strict") as one:
        one.round()
        assert "at each of its system calls" in told("add", one, "sys:getppid")
        one.round()
        told("drop", one, "getppid")
        one.round()
        lines = one.end()
    assert {"getppid": EVERYBODY * ROUND, "write": 3 * 3} == counted(lines)


@pytest.mark.parametrize("engine", ["auto", "ptrace"])
def test_a_config_that_is_read_again_brings_what_the_session_lacks(loop: Path, tmp_path: Path, engine: str) -> None:
    """getppid and write come before rand goes; then they go, and rand is back; then getppid comes once more."""
    path = tmp_path / "config.json"
    rand = '{"funcs": [{"func_name": "rand"}]}'
    path.write_text(rand)
    with running(loop, tmp_path, "-c", str(path), "--engine", engine) as one:
        one.round()
        path.write_text('{"funcs": [{"func_name": "getppid", "frequency": 5}], "syscalls": [{"syscall_id": "write"}]}')
        assert "" == ctl(one.session, "reload")
        one.round()
        path.write_text(rand)
        assert "" == ctl(one.session, "reload")
        assert engine == "ptrace" or tracer_of(one) == 0
        one.round()
        path.write_text('{"funcs": [{"func_name": "getppid"}]}')
        assert "" == ctl(one.session, "reload")
        one.round()
        lines = one.end()
    calls = EVERYBODY * ROUND
    assert {"rand": 2 * calls, "getppid": calls // 5 + calls, "write": 3} == counted(lines)


def test_two_targets_one_after_the_other(loop: Path, tmp_path: Path) -> None:
    """The tracer that came for the first takes the second, and goes with the last."""
    with running(loop, tmp_path, "--trace", "rand", "--strict") as one:
        told("add", one, "getppid")
        first = tracer_of(one)
        one.round()
        told("add", one, "strlen", "own")
        assert first == tracer_of(one) > 0
        one.round()
        told("drop", one, "getppid", "own")
        one.round()
        told("drop", one, "strlen")
        assert 0 == tracer_of(one)
        one.round()
        told("add", one, "own")
        assert tracer_of(one) not in (0, first)
        one.round()
        lines = one.end()
    expected = {"rand": 5, "getppid": 2, "strlen": 2, "own": 2}
    assert {name: rounds * EVERYBODY * ROUND for name, rounds in expected.items()} == counted(lines)


def test_what_is_there_is_switched_on(loop: Path, tmp_path: Path) -> None:
    """No tracer comes for it."""
    with running(loop, tmp_path, "--trace", "rand") as one:
        ctl(one.session, "disable", "rand")
        one.round()
        assert "rand: on" in told("add", one, "rand")
        assert 0 == tracer_of(one)
        one.round()
        assert {"rand": EVERYBODY * ROUND} == counted(one.end())


def test_added_targets_are_like_others_to_wc_ctl(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand", "--strict") as one:
        told("add", one, "getppid")
        ctl(one.session, "set", "getppid", "frequency=10")
        one.round()
        targets = json.loads(ctl(one.session, "show", "--json"))["targets"]
        assert [("rand", 1), ("getppid", 10)] == [(target["name"], target["frequency"]) for target in targets]
        lines = one.end()
    assert EVERYBODY * ROUND // 10 == counted(lines)["getppid"]
    assert {("getppid", 1, 10)} == {
        (x["func"], x["generation"], x["frequency"]) for x in lines if x.get("event") == "control"
    }


def test_what_is_refused_changes_nothing(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        wait_for(lambda: (Path(find(one.session)) / "ask").exists())
        assert "no function named 'getpid_' in" in ctl(one.session, "add", "getppid", "getpid_", status=1)
        assert "rand cannot be dropped" in ctl(one.session, "drop", "rand", status=1)
        assert "no target 'getppid'" in ctl(one.session, "drop", "getppid", status=1)
        assert "add needs targets" in ctl(one.session, "add", status=1)
        assert ["rand"] == [t["name"] for t in json.loads(ctl(one.session, "show", "--json"))["targets"]]
        assert 0 == tracer_of(one)
        one.round()
        assert {"rand": EVERYBODY * ROUND} == counted(one.end())


def test_only_the_owner_asks(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        folder = Path(find(one.session))
        wait_for(lambda: (folder / "ask").exists())
        assert (0o700, os.geteuid()) == (folder.stat().st_mode & 0o777, folder.stat().st_uid)
        one.end()


def test_a_recording_has_the_targets_that_came(loop: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "run.wc"
    with Recorded(loop, recorded, "--trace", "rand", "--strict") as one:
        one.round()
        told("add", one, "getppid")
        one.round()
        told("add", one, "strlen")
        one.round()
        one.finish()
    shown = subprocess.run([BIN / "wc-report", "--format", "jsonl", recorded], capture_output=True, text=True, check=True)
    found = counted([json.loads(line) for line in shown.stdout.splitlines()])
    assert {"rand": 3, "getppid": 2, "strlen": 1} == {name: n // (EVERYBODY * ROUND) for name, n in found.items()}


def test_text_and_summary_have_them(loop: Path, tmp_path: Path) -> None:
    with Recorded(loop, tmp_path / "text", "--trace", "rand", "--summary", form="text") as one:
        told("add", one, "strlen")
        one.round()
        said = one.finish()
    assert 'strlen("seven..") = 7' in (tmp_path / "text").read_text()
    assert [f"{EVERYBODY * ROUND:,}"] == [line.split()[3] for line in said.splitlines() if line.split()[-1:] == ["strlen"]]


class Recorded(Running):
    """A run whose output is not jsonl."""

    def __init__(self, loop: Path, out: Path, *options: str, form: str = "wc") -> None:
        command = [BIN / "wc-run", "--format", form, "-o", out, *options, loop, str(ROUND)]
        self.out = out
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> Recorded:
        self.begun()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def finish(self) -> str:
        _, said = self.process.communicate(timeout=DEADLINE)
        assert 0 == self.process.returncode, said
        return said.decode()


def told(action: str, one: Running, *names: str) -> str:
    """What wc-ctl says of it."""
    done = subprocess.run([BIN / "wc-ctl", one.session, action, *names], capture_output=True, text=True, timeout=DEADLINE)
    assert 0 == done.returncode, done.stderr
    return done.stderr


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- the manifest -----------------------------------------------------------------------------------------------------


def small(*targets: str) -> Manifest:
    symbols = [Symbol(name, i, "plain") for i, name in enumerate(targets)]
    return Manifest("test", Platform("x86_64", "glibc", "libc.so.6"), [Target(name) for name in targets], symbols)


def test_a_manifest_grows_once_and_in_place() -> None:
    held = small("a", "b")
    names = held.names
    growth = Growth(2, 2, [Target("c")], [Symbol("c", 2, "plain")], {"flags": Names("flags", [("ONE", 1, 0)])})
    assert [True, False] == [growth.apply(held), growth.apply(held)]
    assert (["a", "b", "c"], ["flags"]) == ([target.name for target in held.targets], list(names))


def test_a_plan_of_nothing_is_one_for_so_many_targets() -> None:
    head = HEAD.unpack_from(nothing(3, 7, "shim.so"))
    assert (7, 3, 0) == (head[3], head[4], head[6])


def test_the_abi_has_room(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        raw = (Path(find(one.session)) / "control").read_bytes()
        assert abi.CONTROL_ROOM == abi.CONTROL.unpack(raw)["room"]
        one.end()
