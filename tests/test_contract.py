"""What users and their scripts rely on, shown on real programs: names, sets, places of errors, who is followed.

What a single part promises is shown beside that part; here stands what takes the whole way.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

Explain = Callable[..., Any]


@pytest.fixture
def explain(wc_gen: Run, tmp_path: Path) -> Explain:
    """explain({"funcs": ...}) -> what wc-gen --explain did with the config, named config.json."""

    def run(config: dict[str, Any]) -> Any:
        (tmp_path / "config.json").write_text(json.dumps(config))
        return wc_gen("config.json", "--explain", cwd=tmp_path)

    return run


def configured(tmp_path: Path, *funcs: Any, **keys: Any) -> Path:
    path = tmp_path / "config.json"
    entries = [func if isinstance(func, dict) else {"func_name": func} for func in funcs]
    path.write_text(json.dumps({"funcs": entries, **keys}))
    return path


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_system_call_without_a_function_is_named_and_the_rest_runs(wc_run: Run) -> None:
    done = wc_run("--trace", "exit_group,fopen", "sh", "-c", "true")
    assert (0, True) == (done.returncode, "exit_group is not intercepted\n  at:   --trace exit_group\n" in done.stderr)
    assert "ptrace engine" in done.stderr


def test_a_system_call_alone_is_refused_by_name(wc_run: Run) -> None:
    done = wc_run("--trace", "exit_group", "true")
    assert (125, True) == (done.returncode, "exit_group: it is a system call" in done.stderr)


def test_sys_forces_a_system_call_and_fn_a_function(wc_run: Run, needs: Callable[[str], str]) -> None:
    refused = wc_run("--trace", "sys:openat", "true")
    assert (125, True) == (refused.returncode, "sys:openat: system calls are not built yet" in refused.stderr)
    assert "getcwd(" in wc_run("--trace", "fn:getcwd", needs("bash"), "-c", "pwd", env={"PATH": "/bin:/usr/bin"}).stderr


# --- places of errors -------------------------------------------------------------------------------------------------


def test_a_missing_header_is_named_with_its_place(explain: Explain) -> None:
    done = explain({"headers": ["stdio.h", "nope.h"], "funcs": [{"func_name": "open"}]})
    assert (1, True) == (done.returncode, "no header nope.h\n  at:   config.json:1:25  headers[1]\n" in done.stderr)


def test_a_prototype_that_is_none_is_named_with_its_place(explain: Explain) -> None:
    for prototype in ("int open(", "int other(int a)"):
        done = explain({"funcs": [{"func_name": "open", "prototype": prototype}]})
        assert (1, True) == (done.returncode, "config.json:1:47  funcs[0].prototype" in done.stderr)


@pytest.mark.parametrize(
    ("name", "param", "length", "said"),
    [("read", "buf", "retrn", "it has no 'retrn'"), ("read", "buf", "count + n", "it has no 'n'"),
     ("free", "ptr", "return", "it has no 'return'")],
)  # fmt: skip
def test_a_length_over_names_that_are_none_is_an_error(
    explain: Explain, name: str, param: str, length: str, said: str
) -> None:
    done = explain({"funcs": [{"func_name": name, "capture": {param: {"bytes": length}}}]})
    assert (1, True, True) == (
        done.returncode,
        said in done.stderr,
        f"funcs[0].capture.{param}.bytes\n" in done.stderr,
    )


def test_lengths_of_a_glob_apply_where_their_names_are_known(explain: Explain) -> None:
    done = explain({"funcs": [{"func_name": "re[ac][dv]", "capture": {"buf": {"bytes": "count"}}}]})
    assert (0, "") == (done.returncode, done.stderr)
