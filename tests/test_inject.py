"""Declared faults and delays: what arrives in the program, in which calls, and what the record says; in both engines.

Programs are scenes of tests/c/inject_calls.c. Absent on purpose: --inject (test_inject_option.py), and real programs
(test_inject_real.py).
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS, Run
from handling import HANDLERS, Compile, Ran, one
from wc_intercept.generator import inject
from wc_intercept.generator.config import parse
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.model import Rule

ENGINES = ("preload", "ptrace")
ROUNDS = 100
Injected = Callable[..., Ran]


@pytest.fixture
def injected(tmp_path: Path, compile_c: Compile, wc_run: Run) -> Injected:
    """injected(engine, scene, {function: inject}): run the scene with these faults."""
    program = compile_c("inject_calls.c", "-O1", "-fno-builtin", "-pthread", "-lm")

    def run(engine: str, scene: str, faults: dict[str, Any], *options: str, **config: Any) -> Ran:
        funcs = [{"func_name": name, **({"inject": fault} if fault else {})} for name, fault in faults.items()]
        path, output = tmp_path / "config.json", tmp_path / "calls.jsonl"
        path.write_text(json.dumps({"funcs": funcs} | config))
        words = ("--engine", engine, "-c", path, "--format", "jsonl", "--strict", *options, "-o", output)
        result = wc_run(*words, program, scene, cwd=tmp_path)
        assert 0 == result.returncode, result.stderr
        calls = [json.loads(line) for line in output.read_text().splitlines()]
        return Ran(result.returncode, result.stdout.splitlines(), calls, result.stderr)

    return run


# --- what arrives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_each_function_fails_in_its_own_way(injected: Injected, engine: str) -> None:
    faults = {
        "open": {"errno": "ENOENT"}, "fopen": {"errno": "EMFILE"}, "mmap": {"errno": "EPERM", "first": 1},
        "pthread_create": {"errno": "EAGAIN"}, "getppid": {"return": -7}, "sin": {"return": 2}, "unlink": {"return": 0},
    }  # fmt: skip
    ran = injected(engine, "kinds", faults)
    assert [
        "open -1 ENOENT",
        "fopen 0 EMFILE",
        "mmap 1 EPERM",
        "pthread_create EAGAIN EDOM",
        "getppid -7 EDOM",
        "sin 2",
        "unlink 0, 0",
        "open -1 ENOENT",
    ] == ran.lines
    assert {True} == {call.get("injected") for call in ran.calls}
    told = {call["func"]: (call["ret"], call["errno"]) for call in ran.calls}
    assert (-1, "ENOENT") == told["open"]
    assert (0, "EMFILE") == told["fopen"]
    assert (11, "EAGAIN") == told["pthread_create"]
    assert (2.0, None) == told["sin"]


def expected(rule: dict[str, Any]) -> str:
    """Return what count_failures shows under *rule*."""
    config = parse(json.dumps({"funcs": [{"func_name": "access", "inject": {"errno": 5, **rule}}]}), "config")
    found = config.funcs[0].inject
    assert found is not None
    return "".join("x" if inject.means(found, n) else "." for n in range(1, ROUNDS + 1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        ({"every": 10}, range(10, 101, 10)),
        ({"first": 3, "last": 9, "step": 2}, range(3, 10, 2)),
        ({"probability": 0.25, "seed": 42}, None),
    ],
)
def test_every_thread_and_child_counts_its_own_calls(
    injected: Injected, engine: str, rule: dict[str, Any], failed: range | None
) -> None:
    ran = injected(engine, "threads", {"access": {"errno": "EIO", **rule}})
    shown = expected(rule)
    assert failed is None or [i + 1 for i, c in enumerate(shown) if c == "x"] == [*failed]
    assert [shown] * 6 == ran.lines
    assert 6 * shown.count("x") == sum(bool(call.get("injected")) for call in ran.calls)
    assert 6 * shown.count("x") == sum(call["errno"] == "EIO" for call in ran.calls)


def test_a_rule_counts_what_frequency_leaves(injected: Injected) -> None:
    """As handlers: a call that is sampled out is left alone."""
    fault = {"func_name": "access", "frequency": 10, "inject": {"errno": "EIO", "every": 2}}
    ran = injected("preload", "threads", {}, funcs=[fault])
    shown = "".join("x" if n % 20 == 0 else "." for n in range(1, ROUNDS + 1))
    assert [shown] * 6 == ran.lines


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rule_counts_the_calls_of_which_when_holds(injected: Injected, engine: str) -> None:
    """What depends on the result is asked behind the fault."""
    fault: dict[str, Any] = {"func_name": "access", "inject": {"errno": "EIO", "every": 10}, "when": "mode == 0"}
    ran = injected(engine, "threads", {}, funcs=[fault])
    assert [expected({"every": 10})] * 6 == ran.lines
    fault["when"] = "mode != 0"
    assert ["." * ROUNDS] * 6 == injected(engine, "threads", {}, funcs=[fault]).lines
    fault["when"] = "errno == EIO"
    ran = injected(engine, "threads", {}, funcs=[fault])
    assert [expected({"every": 10})] * 6 == ran.lines
    assert [True] * 60 == [call["injected"] for call in ran.calls]


@pytest.mark.parametrize("engine", ENGINES)
def test_limits_are_about_records_and_not_about_faults(injected: Injected, engine: str) -> None:
    fault = {"func_name": "access", "max_per_second": 1, "inject": {"errno": "EIO", "every": 10}}
    ran = injected(engine, "threads", {}, funcs=[fault])
    assert [expected({"every": 10})] * 6 == ran.lines
    assert len(ran.calls) < 600


@pytest.mark.parametrize("engine", ENGINES)
def test_delays_in_some_threads_cost_no_call_of_the_others(injected: Injected, engine: str) -> None:
    """Each thread stands still at its own calls, at the same breakpoint."""
    delays = {"delay_us": 300, "delay_exit_us": 300, "probability": 0.1, "seed": 5}
    ran = injected(engine, "threads", {"access": delays})
    marks = 6 * expected({"probability": 0.1, "seed": 5}).count("x")
    assert (600, marks) == (len(ran.calls), sum(bool(call.get("delayed")) for call in ran.calls))
    assert ["." * ROUNDS] * 6 == ran.lines


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delay_holds_one_thread_up_and_nobody_else(injected: Injected, engine: str) -> None:
    ran = injected(engine, "delayed", {"access": {"delay_us": 30000, "delay_exit_us": 30000}, "getppid": None})
    assert ["delayed, the other went on"] == ran.lines
    (call,) = ran.of("access")
    assert (True, None, 0) == (call.get("delayed"), call.get("injected"), call["ret"])
    assert 30_000_000 <= call["duration"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_in_a_delay_is_handled_and_the_delay_goes_on(injected: Injected, engine: str) -> None:
    ran = injected(engine, "signals", {"access": {"delay_us": 60000, "errno": "EIO", "last": 2}})
    assert ["delayed, caught 1", "left", "access 0"] == ran.lines


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exec_and_a_fork_can_fail(injected: Injected, engine: str) -> None:
    faults = {"execve": {"errno": "ENOMEM"}, "fork": {"errno": "EAGAIN"}}
    assert ["execve -1 ENOMEM", "fork -1 EAGAIN"] == injected(engine, "execs", faults).lines


def test_a_system_call_fails_by_the_tracer(injected: Injected) -> None:
    calls = [
        {"syscall_id": "execve", "inject": {"errno": "ENOMEM"}},
        {"syscall_id": "clone", "inject": {"errno": "EAGAIN"}},
    ]
    ran = injected("ptrace", "execs", {}, syscalls=calls)
    assert ["execve -1 ENOMEM", "fork -1 EAGAIN"] == ran.lines
    assert [("execve", None), ("execve", True), ("clone", True)] == [(c["func"], c.get("injected")) for c in ran.calls]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", ["both", "entry"])
def test_a_fault_is_the_same_in_every_way_of_recording(injected: Injected, engine: str, record: str) -> None:
    fault = {"func_name": "access", "record": record, "inject": {"errno": "EIO", "every": 10}}
    ran = injected(engine, "threads", {}, funcs=[fault])
    assert [expected({"every": 10})] * 6 == ran.lines
    assert 600 == len(ran.calls)
    assert (60 if record == "both" else 0) == sum(bool(call.get("injected")) for call in ran.calls)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_handler_that_skips_the_call_leaves_nothing_to_inject(
    injected: Injected, engine: str, compile_c: Compile
) -> None:
    skips = "regs->orig_rax = -1; regs->rax = regs->rsi == 0 ? 0 : 1;"
    library = compile_c(one("", skips), *HANDLERS)
    fault = {"func_name": "access", "back_enter": "h", "inject": {"errno": "EIO"}}
    ran = injected(engine, "threads", {}, funcs=[fault], library_path=str(library))
    assert ["." * ROUNDS] * 6 == ran.lines
    assert {None} == {call.get("injected") for call in ran.calls}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_handler_sees_the_result_that_was_injected(injected: Injected, engine: str, compile_c: Compile) -> None:
    library = compile_c(one("", "if ((int)regs->rax == -1) regs->rax = 0;"), *HANDLERS)
    fault = {"func_name": "access", "back_exit": "h", "inject": {"errno": "EIO"}}
    ran = injected(engine, "threads", {}, funcs=[fault], library_path=str(library))
    assert ["." * ROUNDS] * 6 == ran.lines


def test_text_says_it_as_strace_does(injected: Injected, wc_run: Run, compile_c: Compile, tmp_path: Path) -> None:
    program = compile_c("inject_calls.c", "-O1", "-fno-builtin", "-pthread", "-lm")
    fault = {"errno": "ENOSPC", "delay_us": 1}
    (tmp_path / "c.json").write_text(json.dumps({"funcs": [{"func_name": "open", "inject": fault}]}))
    ran = wc_run("-c", tmp_path / "c.json", program, "kinds", cwd=tmp_path)
    line = 'open("/dev/null", O_RDONLY) = -1 ENOSPC (No space left on device) (INJECTED) (DELAYED)'
    assert line in ran.stderr.splitlines()


# --- which calls ------------------------------------------------------------------------------------------------------


def test_c_and_python_mean_the_same_calls(compile_c: Compile) -> None:
    """A thousand random rules, each asked of the calls 1 to 200."""
    dice = random.Random(4)
    rules = [
        Rule(
            first=dice.randint(1, 50), last=dice.choice([10, 100, inject.ENDLESS]), step=dice.randint(1, 5),
            chance=dice.choice([0, inject.ALWAYS, dice.randint(0, inject.ALWAYS)]), seed=dice.getrandbits(63),
        )
        for _ in range(1000)
    ]  # fmt: skip
    tables = ",\n".join(inject.Given(rule).initializer for rule in rules)
    text = f"#include <stdio.h>\n#include <wc_inject.h>\nstatic const struct wc_rule rules[] = {{\n{tables}}};\n"
    text += "int main(void) { for (int i = 0; i < 1000; i++) { for (unsigned n = 1; n <= 200; n++)\n"
    text += "putchar(wc_rule_means(&rules[i], n) ? 'x' : '.'); putchar('\\n'); } return 0; }\n"
    program = compile_c(text, f"-I{TESTS.parent / 'runtime' / 'include'}")
    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    meant = ["".join("x" if inject.means(rule, n) else "." for n in range(1, 201)) for rule in rules]
    assert meant == told


def test_a_chance_is_met() -> None:
    rule = Rule(chance=inject.ALWAYS // 10, seed=1)
    assert 900 <= sum(inject.means(rule, n) for n in range(1, 10001)) <= 1100


# --- what is refused --------------------------------------------------------------------------------------------------


def refusal(engine: str = "preload", **entry: Any) -> UserError:
    from wc_intercept.generator.build import plan, scene_of

    key = "syscalls" if "syscall_id" in entry else "funcs"
    with pytest.raises(UserError) as caught:
        plan(parse(json.dumps({key: [entry]}), "c.json"), scene=scene_of(engine, None))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("fault", "what", "at"),
    [
        ({}, "an inject does nothing", "inject"),
        ({"errno": "ENOSPCE"}, "no error is called 'ENOSPCE'", "inject.errno"),
        ({"errno": 0}, "bad value for 'errno'", "inject.errno"),
        ({"errno": 5, "every": 0}, "bad value for 'every'", "inject.every"),
        ({"errno": 5, "every": 2, "first": 2}, "'every' and first or step exclude each other", "inject.every"),
        ({"errno": 5, "first": 3, "last": 2}, "bad value for 'last'", "inject.last"),
        ({"errno": 5, "probability": 1.5}, "bad value for 'probability'", "inject.probability"),
        ({"delay": 5}, "unknown key 'delay'", "inject.delay"),
        ({"return": 1 << 40}, "nothing can be injected into open", "inject"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(fault: dict[str, Any], what: str, at: str) -> None:
    found = refusal(func_name="open", inject=fault)
    assert what == found.what.partition(" (as")[0]
    assert found.at.startswith("c.json:1:")
    assert f"funcs[0].{at}" == found.at.split()[-1]


@pytest.mark.parametrize(
    ("name", "fault", "why"),
    [
        ("exit", {"errno": 5}, "does not return"),
        ("vfork", {"errno": 5}, "its child goes on in the caller's frame"),
        ("vfork", {"delay_us": 5}, "its child goes on in the caller's frame"),
        ("dlopen", {"return": 0}, "no wrapper can stand in for it"),
        ("getppid", {"errno": 5}, "what it returns when it fails is not known"),
        ("free", {"errno": 5}, "it returns nothing"),
        ("div", {"return": 5}, "it returns div_t"),
        ("regcomp", {"errno": 5}, "codes of its own"),
    ],
)
def test_what_cannot_be_skipped_or_has_no_failure_is_refused_by_name(name: str, fault: dict[str, Any], why: str) -> None:
    found = refusal(func_name=name, inject=fault)
    assert f"nothing can be injected into {name}" == found.what
    assert why in found.why


@pytest.mark.parametrize(("name", "fault"), [("exit_group", {"errno": 5}), ("read", {"errno": 5, "return": 3})])
def test_so_are_system_calls(name: str, fault: dict[str, Any]) -> None:
    assert f"nothing can be injected into {name}" == refusal("auto", syscall_id=name, inject=fault).what


def test_of_a_glob_those_that_cannot_are_left_out_with_the_reason() -> None:
    from wc_intercept.generator.build import plan

    made = plan(parse('{"funcs": [{"func_name": "get*id", "inject": {"errno": "EIO"}}]}', "c.json")).plan
    refused = {line.target: line.reason for line in made.coverage if line.status == "refused"}
    assert "getpgid" in {target.name for target in made.targets if target.inject}
    assert 'say it with "return"' in refused["getppid"]


def test_the_tracer_takes_what_no_wrapper_can(injected: Injected) -> None:
    funcs = [{"func_name": "fork", "preload": False, "inject": {"errno": "EAGAIN"}},
             {"func_name": "vfork", "preload": False, "inject": {"errno": "EAGAIN"}},
             {"func_name": "execve", "inject": {"errno": "ENOMEM"}}]  # fmt: skip
    ran = injected("auto", "execs", {}, funcs=funcs)
    assert ["execve -1 ENOMEM", "fork -1 EAGAIN"] == ran.lines
    assert {"preload", "ptrace"} == {call["engine"] for call in ran.calls}
