"""The Python API: Session and Trace. The example of docs/python-api.md is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BIN, TESTS, Run
from wc_intercept.consumer.api import Session, Trace
from wc_intercept.generator.errors import UserError

OPENS = "import os\nfor i in range(100): os.close(os.open('/etc/passwd', os.O_RDONLY))"
PYTHON = ("python3", "-S", "-c", OPENS)


def count(events: list[dict[str, object]]) -> int:
    return sum(event["func"] == "open" and event["args"]["pathname"] == "/etc/passwd" for event in events)  # type: ignore[index]


def test_a_session_yields_batches_as_structured_arrays(shim: Callable[..., Path]) -> None:
    with Session(*PYTHON, shim=shim("open", "close")) as session:
        closes = sum(len(batch.array) for batch in session if batch.target.name == "close")
    assert (closes >= 100, session.returncode) == (True, 0)


def test_a_sessions_account_is_exact(shim: Callable[..., Path]) -> None:
    with Session(*PYTHON, shim=shim("open", "close")) as session:
        calls = sum(len(batch) for batch in session.batches())
    assert session.accounting is not None
    lines = session.accounting.lines
    assert (sum(line.calls for line in lines), session.accounting.lost) == (calls, 0)


def test_events_have_the_keys_of_jsonl(shim: Callable[..., Path]) -> None:
    with Session(*PYTHON, shim=shim("open", "close")) as session:
        events = list(session.events())
    keys = {"time", "duration", "pid", "tid", "func", "args", "ret", "errno"}
    assert (count(events), keys <= events[0].keys()) == (100, True)


def test_a_list_of_names_or_a_config_says_what_to_intercept() -> None:
    for what in ({"trace": ["open"]}, {"config": {"funcs": [{"func_name": "open"}]}}):
        with Session(*PYTHON, **what) as session:  # type: ignore[arg-type]
            assert count(list(session.events())) == 100


def test_a_config_file_says_what_to_intercept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"funcs": [{"func_name": "open"}]}')
    with Session(*PYTHON, config=tmp_path / "config.json") as session:
        assert count(list(session.events())) == 100


def test_popen_options_are_the_programs(shim: Callable[..., Path], tmp_path: Path) -> None:
    with Session("sh", "-c", "pwd; exit 3", shim=shim("open"), stdout=subprocess.PIPE, cwd=tmp_path) as session:
        assert session.process.stdout is not None
        out = session.process.stdout.read()
    session.process.stdout.close()
    assert (out, session.returncode) == (f"{tmp_path}\n".encode(), 3)


def test_a_session_that_nobody_iterates_ends_well(shim: Callable[..., Path]) -> None:
    with Session(*PYTHON, shim=shim("open")) as session:
        pass
    assert session.returncode == 0


def test_an_exception_ends_the_program(shim: Callable[..., Path]) -> None:
    with pytest.raises(ZeroDivisionError), Session("sleep", "1000", shim=shim("open")) as session:
        raise ZeroDivisionError
    assert session.returncode == -15


def test_what_wc_run_refuses_is_refused(shim: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="No such file"):
        Session("no-such-program", shim=shim("open"))
    with pytest.raises(TypeError):
        Session("true")


def test_a_trace_is_read_as_often_as_wanted(shim: Callable[..., Path], wc_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "trace.wc"
    wc_run("--preload", shim("open", "close"), "--format", "wc", "-o", path, *PYTHON)
    with Trace(path) as trace:
        first, second = list(trace.events()), list(trace.events())
        assert (count(first), first, trace.meta["program"]) == (100, second, list(PYTHON))
        assert trace.accounting is not None and trace.accounting.lost == 0


def test_the_documented_example_runs(tmp_path: Path) -> None:
    """Every block of Python in docs/python-api.md, in order, as one program."""
    text = (TESTS.parent / "docs" / "python-api.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120, env=variables
    )
    assert done.returncode == 0, done.stderr
