"""Each role of the annotated table, proved by a real call: tests/data/roles, made by one program, natively and traced.

What the program says of its own calls (results, errno, what it finds in its out-parameters) is what the trace must say.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS, Run
from role_calls import MARK, Described, RoleCall, agrees, expectation, program, read_calls
from wc_intercept.generator.annotations import TABLE, parse_table
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.model import Annotation
from wc_intercept.generator.table import TEXTS

CALLS = read_calls()
REPORT = 3
UNNAMED = re.compile(r"\.\.\.|arg\d|rdi|rsi|rdx|rcx|r8|r9")
"""Arguments beyond the named ones: varargs, words of syscall(), registers."""
NOT_CALLED = {
    "dlsym": "is refused: the wrappers themselves need it",
    "dlvsym": "is refused: the wrappers themselves need it",
    "reboot": "is not for a test to try",
    "daemon": "returns in another process",
    "getpass": "asks at the terminal",
    "res_query": "asks the network",
    "pkey_set": "needs a processor with protection keys",
    "pkey_get": "needs a processor with protection keys",
    "atexit": "is not in libc.so: programs call __cxa_atexit",
    "__cxa_atexit": "would run after the program's own end",
    "pthread_atfork": "is not in libc.so: programs call __register_atfork",
    "__register_atfork": "would stay for all later forks",
}
"""Functions that no test calls, and why."""

Said = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


@pytest.fixture(scope="module")
def roles_program(compile_c: Callable[..., Path], headers: Headers) -> Path:
    source = program(CALLS, headers.functions({call.name for call in CALLS}))
    return compile_c(source, "-w", "-O0", "-fno-builtin", "-U_FORTIFY_SOURCE", f"-I{TESTS / 'c'}", "-lm")


def said(report: Path) -> tuple[str, Said]:
    """Return the working directory and what the program said of each call."""
    first, *lines = map(json.loads, report.read_text().splitlines())
    return first["cwd"], {line["number"]: line for line in lines}


def run_with_report(folder: Path, run: Callable[..., subprocess.CompletedProcess[Any]]) -> tuple[str, Said]:
    """Run the program in *folder*/work, its REPORT a file."""
    work = folder / "work"
    work.mkdir()
    report = os.open(folder / "report", os.O_RDWR | os.O_CREAT, 0o600)
    spare = os.dup(REPORT) if is_open(REPORT) else -1
    os.dup2(report, REPORT, inheritable=True)
    try:
        done = run(cwd=work, pass_fds=(REPORT,), stdin=subprocess.DEVNULL)
    finally:
        os.dup2(spare, REPORT) if spare >= 0 else os.close(REPORT)
    assert done.returncode == 0, done.stderr
    return said(folder / "report")


def is_open(number: int) -> bool:
    return Path(f"/proc/self/fd/{number}").exists()


@pytest.fixture(scope="module")
def native(roles_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    folder = tmp_path_factory.mktemp("native")
    return run_with_report(folder, lambda **o: subprocess.run([roles_program], capture_output=True, **o))[1]


@dataclass
class Traced:
    cwd: str
    said: Said
    found: dict[int, dict[str, Any]]
    """The trace's line of each call."""


@pytest.fixture(scope="module")
def traced(
    roles_program: Path, shim: Callable[..., Path], wc_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Traced:
    names = sorted({call.name for call in CALLS} | {"getauxval"})
    ring = {"size": "16MiB", "block_ms": 60000}
    hooks = shim({"ring": ring, "funcs": [{"func_name": name} for name in names]})
    folder = tmp_path_factory.mktemp("traced")
    words = ("--preload", hooks, "--format", "jsonl", "-o", folder / "trace", roles_program)
    cwd, said_of = run_with_report(folder, lambda **options: wc_run(*words, errors="replace", **options))
    return Traced(cwd, said_of, find_calls((folder / "trace").read_text()))


def find_calls(trace: str) -> dict[int, dict[str, Any]]:
    """Return per call the first line of its function behind its mark, in the thread that made it."""
    names = {call.number: call.name for call in CALLS}
    wanted: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    found: dict[int, dict[str, Any]] = {}
    for line in map(json.loads, trace.splitlines()):
        where = (line["pid"], line["tid"])
        mark = line["args"].get("type", 0) if line["func"] == "getauxval" else 0
        if mark >= MARK:
            wanted[where] = mark - MARK
        elif names.get(wanted[where]) in (line["symbol"], line["func"]):
            found[wanted[where]] = line
            wanted[where] = -1
    return found


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_function_that_is_called_is_annotated() -> None:
    assert set() == {call.name for call in CALLS} - TABLE.keys()


def test_every_annotated_line_is_called_or_says_why_not() -> None:
    """One name of each line: its aliases have the same roles."""
    called = {call.name for call in CALLS} | NOT_CALLED.keys()
    lines: dict[Any, set[str]] = defaultdict(set)
    for text in TEXTS:
        for name, annotation in parse_table(text)[0].items():
            lines[annotation.params, annotation.result, annotation.fail].add(name)
    assert [] == [sorted(names) for names in lines.values() if not names & called]


def test_at_least_a_thousand_calls_prove_their_roles() -> None:
    assert len(CALLS) >= 1000
    assert len({call.name for call in CALLS}) >= 900


# --- natively --------------------------------------------------------------------------------------------------------


def test_every_call_is_made_and_comes_back(native: Said) -> None:
    away = {
        "execve",
        "err",
        "errx",
        "exit",
        "_exit",
        "_Exit",
        "quick_exit",
        "abort",
        "pthread_exit",
        "verr",
        "thrd_exit",
        "fcloseall",
    }
    missing = [call.where for call in CALLS if call.number not in native and call.name not in away]
    assert [] == missing


# --- traced ----------------------------------------------------------------------------------------------------------


def test_every_call_is_in_the_trace(traced: Traced) -> None:
    assert [] == [(call.where, call.call) for call in CALLS if call.number not in traced.found]


def test_results_are_those_that_the_program_saw(traced: Traced) -> None:
    wrong = []
    for call, line in pairs(traced):
        expected = traced.said.get(call.number, {}).get("ret")
        if expected is not None and line["ret"] is not None and expected % 2**64 != line["ret"] % 2**64:
            wrong.append((call.where, call.call, expected, line["ret"]))
    assert [] == wrong


def test_errno_is_named_when_the_call_failed_by_its_rule_and_only_then(traced: Traced) -> None:
    wrong = []
    for call, line in pairs(traced):
        if call.number not in traced.said or has_code_of_its_own(TABLE[call.name]):
            continue
        expected = error_of(TABLE[call.name].fail, traced.said[call.number])
        if expected != (os_error(line["errno"]) if line["errno"] else 0):
            wrong.append((call.where, call.call, expected, line["errno"]))
    assert [] == wrong


def failed(rule: str, said_: dict[str, Any]) -> bool:
    ret = said_["ret"]
    if ret is None or rule == "":
        return False
    special = {"NULL": ret == 0, "zero": ret == 0, "nonzero": ret != 0, "errno": ret != 0, "<0": ret < 0}
    return bool(special.get(rule, ret == -1))


def error_of(rule: str, said_: dict[str, Any]) -> int:
    """Return the error number that a call failed with by its rule, 0 if it succeeded."""
    return int(said_["ret" if rule == "errno" else "errno"]) if failed(rule, said_) else 0


def has_code_of_its_own(annotation: Annotation) -> bool:
    """Whether a failure is told by the result alone, as getaddrinfo's is."""
    return annotation.fail == "nonzero" and bool(annotation.result.names)


def os_error(name: str) -> int:
    import errno

    return int(getattr(errno, name))


def pairs(traced: Traced) -> list[tuple[RoleCall, dict[str, Any]]]:
    return [(call, traced.found[call.number]) for call in CALLS if call.number in traced.found]


@pytest.mark.parametrize("file", sorted({call.where.partition(":")[0] for call in CALLS}))
def test_arguments_read_as_the_table_says(file: str, traced: Traced, headers: Headers) -> None:
    wrong = []
    for call, line in pairs(traced):
        if not call.where.startswith(file + ":"):
            continue
        said_ = traced.said.get(call.number, {})
        known = {"ret": said_.get("ret") or 0, "WITH": said_.get("with", []), "CWD": traced.cwd}
        unwritten = unwritten_parameters(call, said_)
        for name, expected in expectation(call, headers.constant, **known).items():
            if name in unwritten:
                expected = NOT_FOLLOWED
            found = line["args"].get(name, Described("no such argument", lambda _: False))
            if not agrees(expected, found):
                wrong.append(f"{call.where} {call.call}: {name} is {found!r}, expected {expected!r}")
    assert [] == wrong


NOT_FOLLOWED = Described("a pointer that is not followed", lambda value: value is None or isinstance(value, int))


def unwritten_parameters(call: RoleCall, said_: dict[str, Any]) -> set[str]:
    """Return what the call would have written had it succeeded (here, now: no message queues, no terminals...)."""
    annotation = TABLE[call.name]
    if not said_ or not failed(annotation.fail, said_):
        return set()
    return {name for name, role in annotation.params if role.kind in ("out", "outstr") and not role.always}


def test_arguments_have_the_tables_names(traced: Traced) -> None:
    wrong = []
    for call, line in pairs(traced):
        names = [name for name in line["args"] if not UNNAMED.fullmatch(name)]
        table = [name for name, _ in TABLE[call.name].params]
        if names != table[: len(names)]:
            wrong.append((call.where, names, table))
    assert [] == wrong


def test_a_failure_with_a_code_of_its_own_has_no_errno(traced: Traced) -> None:
    """errno is then what an earlier call left."""
    lines = [line for call, line in pairs(traced) if has_code_of_its_own(TABLE[call.name])]
    assert [] == [line for line in lines if line["errno"] is not None]
    assert {True} == {
        line["ret"] != 0 for line in lines if line["func"] == "getaddrinfo" and line["args"]["node"] == "x"
    }
