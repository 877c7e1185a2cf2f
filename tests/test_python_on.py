"""Python handlers, @on: calls as events in a process beside wc-run, which may do what it likes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import BIN, Run
from handling import Compile, main

HEAD = "from wc_intercept.consumer import on\n"
OPENS = main("fcntl.h unistd.h", 'int fd = open("/etc/passwd", O_RDONLY); close(fd); open("/nonexistent", O_RDONLY);')


@dataclass
class Ran:
    status: int
    lines: list[str]
    said: str


With = Callable[..., Ran]


@pytest.fixture
def under(tmp_path: Path, compile_c: Compile, wc_run: Run) -> With:
    """under(handlers, program, option...): what was printed with the calls themselves in ``out``."""

    def run(handlers: str, program: str, *options: str, flags: Sequence[str] = (), arguments: Sequence[str] = ()) -> Ran:
        (tmp_path / "mine.py").write_text(HEAD + handlers)
        done = wc_run("--handlers", "mine.py", "-o", "out", *options, compile_c(program, *flags), *arguments, cwd=tmp_path)
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr)

    return run


def test_an_event_has_the_keys_of_jsonl_as_items_and_as_attributes(under: With) -> None:
    ran = under("@on('open')\ndef f(e): print(e.func, e['args']['pathname'], e.ret, e.errno, e.engine, e.pid == e['tid'])", OPENS)
    assert ["open /etc/passwd 3 None preload True", "open /nonexistent -1 ENOENT preload True"] == ran.lines
    assert (0, "") == (ran.status, ran.said)


def test_what_handlers_name_is_added_to_what_is_traced(under: With, tmp_path: Path) -> None:
    ran = under("@on('close')\ndef f(e): print(e.func)", OPENS, "--trace", "open")
    assert ["close"] == ran.lines
    assert ["open(", "close", "open("] == [line[:5] for line in (tmp_path / "out").read_text().splitlines()]


def test_a_glob_picks_from_what_is_traced(under: With) -> None:
    ran = under("@on('*')\ndef f(e): print(e.func)\n@on('*o*e*')\ndef g(e): print('g')", OPENS, "--trace", "close,getpid")
    assert ["close", "g"] == ran.lines


def test_a_glob_alone_says_what_is_traced(under: With) -> None:
    assert ["open", "open"] == under("@on('ope[n]')\ndef f(e): print(e.func)", OPENS).lines


def test_a_config_keeps_what_it_says_of_a_target(under: With, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"funcs": [{"func_name": "open*", "frequency": 2}]}')
    ran = under("@on('open', 'close')\ndef f(e): print(e.func)", OPENS, "-c", "config.json")
    assert ["close", "open"] == ran.lines


def test_traced_programs_have_their_system_calls_by_the_same_names(under: With) -> None:
    handlers = "@on('open')\ndef f(e):\n    if e.args['pathname'].startswith('/etc/pas'): print(e.func, e.kind, e.engine)"
    assert ["openat syscall ptrace"] == under(handlers, OPENS, "--engine", "ptrace").lines


def test_handlers_get_every_call_before_wc_run_ends(under: With) -> None:
    program = main("stdlib.h", "for (int i = 0; i < 100000; i++) rand();")
    handlers = "n = 0\n@on('rand')\ndef f(e):\n    global n\n    n += 1\nimport atexit\natexit.register(lambda: print(n))"
    assert ["100000"] == under(handlers, program).lines


def test_children_are_followed(under: With) -> None:
    program = main("unistd.h sys/wait.h", "if (fork() == 0) { getppid(); _exit(0); } wait(0); getppid();")
    ran = under("pids = set()\n@on('getppid')\ndef f(e):\n    pids.add(e.pid)\n    print(len(pids))", program)
    assert ["1", "2"] == ran.lines


def test_an_exception_is_shown_once_and_the_rest_goes_on(under: With) -> None:
    ran = under("@on('open')\ndef f(e): print(e.ret); 1 / 0", OPENS)
    assert ["3", "-1"] == ran.lines
    assert 1 == ran.said.count("ZeroDivisionError")
    assert "mine.py:2" in ran.said and "events.py" not in ran.said


@pytest.mark.parametrize(("end", "how"), [("os._exit(3)", "with status 3"), ("os.kill(os.getpid(), 9)", "by signal 9")])
def test_a_dead_process_of_handlers_is_told_and_the_program_goes_on(under: With, end: str, how: str) -> None:
    program = main("stdlib.h unistd.h stdio.h", 'rand(); usleep(300000); rand(); puts("done");')
    ran = under(f"import os\n@on('rand')\ndef f(e): {end}", program)
    assert ["done"] == ran.lines and ran.status == 0
    assert f"the process of the handlers ended {how}" in ran.said


def test_a_file_that_cannot_be_loaded_stops_everything(under: With) -> None:
    ran = under("import nosuchmodule", OPENS)
    assert (125, True, True) == (ran.status, "ModuleNotFoundError" in ran.said, "cannot load the handlers" in ran.said)
    assert "handlers.py" not in ran.said


def test_a_file_that_is_not_there_is_refused(wc_run: Run) -> None:
    done = wc_run("--handlers", "/nonexistent.py", "true")
    assert (125, True) == (done.returncode, "cannot read /nonexistent.py" in done.stderr)


def test_a_file_without_handlers_is_refused(under: With) -> None:
    ran = under("", OPENS)
    assert (125, True) == (ran.status, "there is no handler" in ran.said)


def test_an_unknown_name_is_an_error_at_its_handler(under: With) -> None:
    ran = under("\n\n@on('opne')\ndef f(e): pass", OPENS)
    assert ran.status == 125 and "no function named 'opne'" in ran.said and "mine.py:4" in ran.said, ran.said


def test_what_is_no_name_is_an_error(under: With) -> None:
    ran = under("@on\ndef f(e): pass", OPENS)
    assert ran.status == 125 and '@on takes names of functions' in ran.said


def test_an_interrupt_of_the_terminal_is_the_programs(tmp_path: Path, compile_c: Compile) -> None:
    """^C goes to the whole group: a program that ignores it still has its handlers."""
    program = compile_c(main("signal.h stdlib.h unistd.h", 'signal(SIGINT, SIG_IGN); write(1, ".", 1); usleep(300000); rand();'))
    (tmp_path / "mine.py").write_text(HEAD + "@on('rand')\ndef f(e): print('called')")
    command = [BIN / "wc-run", "--handlers", "mine.py", "-o", "out", program]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True) as run:
        assert run.stdout is not None and b"." == run.stdout.read(1)
        os.killpg(run.pid, signal.SIGINT)
        assert b"called\n" == run.stdout.read()
    assert 0 == run.returncode
