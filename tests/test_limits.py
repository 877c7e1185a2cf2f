"""max_per_second and min_duration: what is not recorded is counted as filtered, and nothing else changes."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handling import HANDLERS
from test_control import ROUND, changes, counted, ctl, loop, running
from wc_intercept.consumer.api import Session
from wc_intercept.generator.config import parse
from wc_intercept.generator.errors import UserError

__all__ = ["loop"]
ENGINES = pytest.mark.parametrize("engine", ["preload", "ptrace"])
Compile = Callable[..., Path]
MOST = 5
LONG = 10_000_000
"""ns: between the program's two sleeps."""


@pytest.fixture
def calls(compile_c: Compile) -> str:
    return str(compile_c("limit_calls.c", "-fno-builtin", "-pthread"))


def run(engine: str, program: str, *arguments: str, **config: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the calls that were recorded, and the lines of the account by target."""
    with Session(program, *arguments, config=config, engine=engine) as session:  # type: ignore[arg-type]
        events = list(session.events())
    assert session.accounting is not None and 0 == session.accounting.lost
    return events, {line.name: line for line in session.accounting.lines}


def at_most(begun: float) -> int:
    """How many records MOST a second allows since *begun*: the seconds that it touched."""
    return MOST * (math.floor(time.monotonic() - begun) + 2)


def asked(events: list[dict[str, Any]]) -> Counter[int]:
    """How often each time was slept for; a machine that has much to do makes short sleeps long."""
    return Counter(next(iter(event["args"].values())) for event in events)


@ENGINES
@pytest.mark.parametrize("more", [{}, {"record": "both"}, {"record": "entry"}, {"clock": "none"}, {"min_duration": "1ns"}])
def test_no_second_has_more_records_than_asked_for(calls: str, engine: str, more: dict[str, Any]) -> None:
    begun = time.monotonic()
    func = {"func_name": "labs", "max_per_second": MOST, **more}
    events, account = run(engine, calls, "3", "0.02", "0", funcs=[func])
    assert MOST <= len(events) <= at_most(begun)
    line = account["labs"]
    assert (len(events), line.calls - len(events)) == (line.recorded, line.filtered)


@ENGINES
@pytest.mark.parametrize("clock", ["tsc", "monotonic"])
def test_calls_that_are_short_are_not_recorded(
    calls: str, engine: str, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if clock == "monotonic":
        monkeypatch.setattr("wc_intercept.consumer.run.choose_clock", lambda: 1)
    funcs = [{"func_name": "usleep", "min_duration": "10ms"}, {"func_name": "labs", "min_duration": "10s"}]
    events, account = run(engine, calls, "1", "0.001", "4", funcs=funcs)
    assert 4 == asked(events)[20000]
    assert LONG <= min(e["duration"] for e in events)
    assert (8, 8 - len(events)) == (account["usleep"].calls, account["usleep"].filtered)
    assert account["labs"].calls == account["labs"].filtered > 0


@ENGINES
def test_handlers_run_for_calls_that_are_not_recorded(calls: str, compile_c: Compile, engine: str) -> None:
    text = "#include <wc_ptrace.h>\nvoid longer(struct user_regs_struct *regs, int pid) { (void)pid; regs->rdi += 1; }\n"
    func = {"func_name": "usleep", "back_enter": "longer", "min_duration": "10ms"}
    library = str(compile_c(text, *HANDLERS))
    events, account = run(engine, calls, "0", "0", "3", funcs=[func], library_path=library)
    assert 3 == asked(events)[20001] and 6 - len(events) == account["usleep"].filtered
    func = {"func_name": "usleep", "back_enter": "longer", "max_per_second": 1, "record": "both"}
    begun = time.monotonic()
    events, account = run(engine, calls, "0", "0", "3", funcs=[func], library_path=library)
    assert {2, 20001} >= set(asked(events))
    assert 1 <= len(events) <= at_most(begun) and 6 - len(events) == account["usleep"].filtered


@ENGINES
@pytest.mark.parametrize("when", ["j <= -50", "ret >= 50"])
def test_calls_that_a_condition_leaves_out_use_up_no_second(calls: str, engine: str, when: str) -> None:
    begun = time.monotonic()
    func = {"func_name": "labs", "max_per_second": MOST, "when": when}
    events, account = run(engine, calls, "2", "0.02", "0", funcs=[func])
    assert 50 <= min(event["ret"] for event in events)
    assert MOST <= len(events) <= at_most(begun)
    assert account["labs"].calls == len(events) + account["labs"].filtered


@ENGINES
def test_what_is_injected_is_limited_as_a_record_and_happens_all_the_same(calls: str, engine: str) -> None:
    begun = time.monotonic()
    func = {"func_name": "usleep", "max_per_second": 1, "inject": {"errno": "EINTR"}}
    events, account = run(engine, calls, "0", "0", "50", funcs=[func])
    assert {("EINTR", True)} == {(event["errno"], event["injected"]) for event in events}
    assert time.monotonic() - begun < 60 and 1 <= len(events) <= at_most(begun)
    assert 100 == account["usleep"].calls == len(events) + account["usleep"].filtered


def test_limits_of_system_calls(calls: str) -> None:
    syscalls = [{"syscall_id": "clock_nanosleep", "min_duration": "10ms"}]
    events, account = run("ptrace", calls, "0", "0", "3", syscalls=syscalls)
    assert LONG <= min(e["duration"] for e in events) and 3 <= len(events)
    assert (6, 6 - len(events)) == (account["clock_nanosleep"].calls, account["clock_nanosleep"].filtered)


@ENGINES
def test_limits_are_set_and_taken_back_while_it_runs(loop: Path, tmp_path: Path, engine: str) -> None:
    with running(loop, tmp_path, "--trace", "rand,labs", "--engine", engine, "--strict") as one:
        one.round()
        begun = time.monotonic()
        ctl(one.session, "set", "rand", f"max_per_second={MOST}", "min_duration=0")
        shown = ctl(one.session, "set", "labs", "min_duration=10s", "--json")
        assert [(0, 10_000_000_000, 1)] == [
            (x["max_per_second"], x["min_duration"], x["generation"]) for x in json.loads(shown)
        ]
        said = ctl(one.session, "show")
        assert "at most 5 records a second" in said and "calls of 10s and longer" in said
        one.round()
        ended = at_most(begun)
        ctl(one.session, "set", "*", "max_per_second=0", "min_duration=0")
        one.round()
        lines = one.end()
    found = counted(lines)
    assert 2 * ROUND == found["labs"] and 2 * ROUND + MOST <= found["rand"] <= 2 * ROUND + ended
    assert {("rand", 1, 1), ("rand", 2, 1), ("labs", 1, 1), ("labs", 2, 1)} == set(changes(lines))
    seen = [(x["max_per_second"], x["min_duration"]) for x in lines if x.get("event") == "control"]
    assert Counter({(0, 0): 2, (MOST, 0): 1, (0, 10_000_000_000): 1}) == Counter(seen)


def test_what_cannot_be_limited_is_refused_by_name_and_left_out_of_a_glob(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand,exit,execve") as one:
        one.round()
        assert "min_duration is not for exit" in ctl(one.session, "set", "exit", "min_duration=1us", status=1)
        assert "min_duration is not for execve" in ctl(one.session, "set", "execve", "min_duration=1us", status=1)
        assert "no setting" in ctl(one.session, "set", "rand", "min_duration=1 year", status=1)
        shown = json.loads(ctl(one.session, "set", "*", "min_duration=1.5us", "--json"))
        assert {"rand": 1500, "exit": 0, "execve": 0} == {x["name"]: x["min_duration"] for x in shown}
        one.end()


@pytest.mark.parametrize(
    ("func", "what"),
    [
        ({"min_duration": "soon"}, "bad value for 'min_duration'"),
        ({"min_duration": 3}, "bad value for 'min_duration'"),
        ({"max_per_second": -1}, "bad value for 'max_per_second'"),
        ({"min_duration": "1us", "clock": "one"}, "min_duration needs calls with a duration"),
        ({"min_duration": "1us", "record": "both"}, "min_duration needs calls with a duration"),
    ],
)
def test_limits_that_make_no_sense_are_errors(func: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError) as found:
        parse(json.dumps({"funcs": [{"func_name": "read", **func}]}), "c.json")
    assert what == found.value.what


@pytest.mark.parametrize("entry", [{"func_name": "exit"}, {"func_name": "execve"}, {"syscall_id": "exit_group"}])
def test_what_has_no_duration_is_an_error_in_a_config(tmp_path: Path, wc_gen: Any, entry: dict[str, str]) -> None:
    key = "syscalls" if "syscall_id" in entry else "funcs"
    (tmp_path / "c.json").write_text(json.dumps({key: [{**entry, "min_duration": "1us"}]}))
    found = wc_gen(tmp_path / "c.json", "--explain")
    assert 0 != found.returncode and f"{next(iter(entry.values()))} has no duration" in found.stderr


@ENGINES
def test_a_config_that_is_read_again_brings_its_limits(loop: Path, tmp_path: Path, engine: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"funcs": [{"func_name": "rand"}, {"func_name": "labs"}]}))
    with running(loop, tmp_path, "-c", str(path), "--engine", engine) as one:
        one.round()
        limited = {"func_name": "rand", "max_per_second": MOST}, {"func_name": "labs", "min_duration": "10s"}
        path.write_text(json.dumps({"funcs": limited}))
        begun = time.monotonic()
        ctl(one.session, "reload")
        one.round()
        lines = one.end()
    found = counted(lines)
    assert ROUND == found["labs"] and ROUND + MOST <= found["rand"] <= ROUND + at_most(begun)
