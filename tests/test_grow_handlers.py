"""C handlers of targets that came while the program ran: run by the tracer, changed and gone with their config.

Absent on purpose: what handlers see and may do (test_tracer_handlers.py), targets that come without any (test_grow.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from handling import HANDLERS
from test_control import DEADLINE, ROUND, counted, ctl, running
from test_grow import EVERYBODY, loop, told, tracer_of

__all__ = ["loop"]  # fixture
ENGINES = pytest.mark.parametrize("engine", ["auto", "ptrace"])
BOTH_KINDS = """
#include <sys/user.h>
#include <wc_call.h>
void gives(struct user_regs_struct *regs, int pid) {{ (void)pid; regs->rax = {0}; }}
WC_HANDLER(answers) {{ wc_call_return_int(call, {0} + 1); }}
WC_HANDLER(fails) {{ wc_call_fail(call, 13); }}
"""


class Library:
    """handlers.so beside a config, in versions that give different numbers."""

    def __init__(self, folder: Path, compile_c: Callable[..., Path]) -> None:
        self._folder, self._compile = folder, compile_c
        self.config = folder / "config.json"

    def version(self, number: int) -> None:
        made = self._compile(BOTH_KINDS.format(number), *HANDLERS)
        (self._folder / "handlers.so").write_bytes(made.read_bytes())

    def targets(self, *funcs: dict[str, Any], **more: Any) -> None:
        self.config.write_text(json.dumps({"library_path": "handlers.so", "funcs": funcs} | more))


@pytest.fixture
def library(tmp_path: Path, compile_c: Callable[..., Path]) -> Library:
    made = Library(tmp_path, compile_c)
    made.version(1001)
    return made


def given(lines: list[dict[str, Any]], func: str) -> list[int]:
    """What the calls of *func* returned; those of one kind in a row are one."""
    values = [line["ret"] for line in lines if line.get("func") == func and "args" in line]
    return [value for before, value in pairwise([None, *values]) if value != before]


def func(name: str, **more: Any) -> dict[str, Any]:
    return {"func_name": name} | more


@ENGINES
def test_handlers_of_targets_that_came_run(loop: Path, library: Library, tmp_path: Path, engine: str) -> None:
    """Of both kinds, from the first call on; other names, another library; and what goes takes them with it."""
    library.targets(func("rand"))
    with running(loop, tmp_path, "-c", str(library.config), "--engine", engine, "--strict") as one:
        one.round()
        library.targets(func("rand"), func("getppid", back_exit="gives"), func("own", back_enter="answers"))
        assert "" == ctl(one.session, "reload")
        one.round()
        library.version(2001)
        library.targets(func("rand"), func("getppid", back_enter="answers"), func("own", back_enter="answers"))
        assert "" == ctl(one.session, "reload", "library")
        one.round()
        library.targets(func("rand"), func("getppid"))
        assert "" == ctl(one.session, "reload")
        one.round()
        lines = one.end()
    assert [1001, 2002] == given(lines, "getppid")[:2]
    assert not {1001, 2001, 2002} & set(given(lines, "getppid")[2:])
    assert [1002, 2002] == given(lines, "own")
    calls = EVERYBODY * ROUND
    assert {"rand": 4 * calls, "getppid": 3 * calls, "own": 2 * calls} == counted(lines)


def test_a_system_call_that_came_fails_as_its_handler_says(loop: Path, library: Library, tmp_path: Path) -> None:
    library.targets(func("rand"))
    with running(loop, tmp_path, "-c", str(library.config)) as one:
        one.round()
        library.targets(func("rand"), syscalls=[{"syscall_id": "getppid", "back_enter": "answers"}])
        ctl(one.session, "reload")
        one.round()
        lines = one.end()
    assert [1002] == given(lines, "getppid")


def test_beside_handlers_of_the_shims_own(loop: Path, library: Library, tmp_path: Path) -> None:
    """One library, loaded by the programs and by the tracer; one change for both."""
    library.targets(func("rand", back_exit="gives"))
    with running(loop, tmp_path, "-c", str(library.config), "--strict") as one:
        one.round()
        library.targets(func("rand", back_exit="gives"), func("own", back_exit="gives"))
        assert "" == ctl(one.session, "reload")
        one.round()
        library.version(2001)
        assert "" == ctl(one.session, "reload", "library")
        one.round()
        lines = one.end()
    assert [1001, 2001] == given(lines, "own")
    calls = [line for line in lines if "args" in line]
    (pid,) = {line["pid"] for line in calls if line["pid"] != line["tid"]}  # its child takes them a call later
    for tid in {line["tid"] for line in calls if line["pid"] == pid}:
        assert [1001, 2001] == given([line for line in lines if line.get("tid") == tid], "rand")


def test_a_tracer_that_comes_again_has_the_handlers(loop: Path, library: Library, tmp_path: Path) -> None:
    library.targets(func("rand"))
    with running(loop, tmp_path, "-c", str(library.config)) as one:
        library.targets(func("rand"), func("own", back_exit="gives"))
        ctl(one.session, "reload")
        one.round()
        told("drop", one, "own")
        assert 0 == tracer_of(one)
        told("add", one, "fn:own")
        one.round()
        assert [1001] == given(one.end(), "own")


def test_a_library_that_the_tracer_cannot_load_changes_nothing(
    loop: Path, library: Library, tmp_path: Path, compile_c: Callable[..., Path]
) -> None:
    """Not even that targets come."""
    library.targets(func("rand"))
    missing = "extern int no_such_function_anywhere(void); int (*kept)(void) = no_such_function_anywhere;"
    made = compile_c(BOTH_KINDS.format(1) + missing, *HANDLERS)
    with running(loop, tmp_path, "-c", str(library.config)) as one:
        (tmp_path / "handlers.so").write_bytes(made.read_bytes())
        library.targets(func("own", back_exit="gives"))
        assert "nothing changes" in ctl(one.session, "reload", status=1)
        assert 0 == tracer_of(one)
        one.round()
        library.version(1003)
        assert "" == ctl(one.session, "reload")
        one.round()
        _, said = one.process.communicate(timeout=DEADLINE)
        lines = [json.loads(line) for line in one.out.read_text().splitlines()]
    assert b"no_such_function_anywhere" in said and b"No such file" not in said
    assert {"rand": EVERYBODY * ROUND, "own": EVERYBODY * ROUND} == counted(lines)
    assert [1003] == given(lines, "own")


def test_what_they_print_is_read_where_wc_run_is(loop: Path, tmp_path: Path, compile_c: Callable[..., Path]) -> None:
    says = '#include <stdio.h>\n#include <wc_call.h>\nWC_HANDLER(says) { (void)call; puts("here"); }'
    (tmp_path / "handlers.so").write_bytes(compile_c(says, *HANDLERS).read_bytes())
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"funcs": [func("rand")]}))
    command = [BIN / "wc-run", "-c", config, "-o", tmp_path / "out", loop, "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None and run.stdout is not None
        run.stdin.write(".")
        run.stdin.flush()
        assert "done\n" == run.stdout.readline()
        config.write_text(json.dumps({"library_path": "handlers.so", "funcs": [func("own", back_enter="says")]}))
        ctl(str(run.pid), "reload")
        said, _ = run.communicate(".", timeout=60)
    assert ["done", *["here"] * EVERYBODY] == sorted(said.splitlines())
