"""Handlers changed while the program runs: their names, their library, in both engines; and what does not change then."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from handling import HANDLERS
from test_control import DEADLINE, ROUND, counted, ctl, loop, running
from wc_intercept.consumer import ask, table
from wc_intercept.consumer.session import find

__all__ = ["loop"]  # fixture
Compile = Callable[..., Path]
ENGINES = pytest.mark.parametrize("engine", ["preload", "ptrace"])
HANDLER = """
#include <sys/user.h>
void gives(struct user_regs_struct *regs, int pid) {{ (void)pid; regs->rax = {0}; }}
void negative(struct user_regs_struct *regs, int pid) {{ (void)pid; regs->rax = -{0}; }}
void answers(struct user_regs_struct *regs, int pid) {{ (void)pid; regs->orig_rax = -1; regs->rax = {0}; }}
"""


class Library:
    """handlers.so beside a config: versions of it, and targets that name its handlers."""

    def __init__(self, folder: Path, compile_c: Compile) -> None:
        self.folder, self._compile = folder, compile_c
        self.config, self.path = folder / "config.json", folder / "handlers.so"

    def version(self, number: int) -> None:
        """Put a library there whose handlers give *number*; over the old one, as cp does."""
        self.path.write_bytes(self._compile(HANDLER.format(number), *HANDLERS).read_bytes())

    def targets(self, *funcs: dict[str, Any], **more: Any) -> None:
        self.config.write_text(json.dumps({"library_path": "handlers.so", "funcs": funcs} | more))


@pytest.fixture
def library(tmp_path: Path, compile_c: Compile) -> Library:
    made = Library(tmp_path, compile_c)
    made.version(1001)
    return made


def rand(**more: Any) -> dict[str, Any]:
    return {"func_name": "rand"} | more


def given(lines: list[dict[str, Any]], func: str = "rand") -> list[int]:
    """What the calls of *func* returned, in rounds: those of one kind in a row are one."""
    values = [line["ret"] for line in lines if line.get("func") == func and "event" not in line]
    return [value for before, value in pairwise([None, *values]) if value != before]


@ENGINES
def test_a_library_loaded_anew_is_in_force_at_the_next_call(loop: Path, library: Library, engine: str) -> None:
    library.targets(rand(back_exit="gives"))
    with running(loop, library.folder, "-c", str(library.config), "--engine", engine) as one:
        one.round()
        library.version(1002)
        one.round()
        ctl(one.session, "reload", "library")
        one.round()
        lines = one.end()
    assert ([1001, 1002], 3 * ROUND) == (given(lines), counted(lines)["rand"])


@ENGINES
def test_names_and_frequency_change_and_the_library_stays(loop: Path, library: Library, engine: str) -> None:
    library.targets(rand(back_exit="gives"), {"func_name": "labs"})
    with running(loop, library.folder, "-c", str(library.config), "--engine", engine) as one:
        one.round()
        library.version(1002)
        library.targets(rand(back_exit="negative"), {"func_name": "labs", "back_enter": "answers", "frequency": 10})
        ctl(one.session, "reload")
        one.round()
        lines = one.end()
    assert [1001, -1001] == given(lines)
    assert [1001] == given(lines, "labs")[-1:]
    assert {"rand": 2 * ROUND, "labs": ROUND + ROUND // 10} == counted(lines)


@ENGINES
def test_targets_go_off_and_come_back_with_others(loop: Path, library: Library, engine: str) -> None:
    library.targets(rand(back_exit="gives"), {"func_name": "labs"})
    with running(loop, library.folder, "-c", str(library.config), "--engine", engine) as one:
        ctl(one.session, "disable", "*")
        one.round()
        library.targets(rand(back_exit="negative"))
        ctl(one.session, "reload")
        one.round()
        library.targets({"func_name": "labs", "back_exit": "gives"})
        ctl(one.session, "reload")
        one.round()
        lines = one.end()
    assert ([-1001], [1001]) == (given(lines), given(lines, "labs"))
    assert {"rand": ROUND, "labs": ROUND} == counted(lines)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("garbage", "it is not an ELF file"),
        ("nothing", "cannot copy"),
        ("needs", "no_such_function_anywhere"),
        ("name", "no handler 'giveth'"),
        ("key", "unknown key 'back_entre'"),
    ],
)
@ENGINES
def test_what_is_wrong_changes_nothing_and_is_said(
    loop: Path, library: Library, compile_c: Compile, engine: str, what: str, said: str
) -> None:
    library.targets(rand(back_exit="gives"))
    with running(loop, library.folder, "-c", str(library.config), "--engine", engine) as one:
        one.round()
        spoil(library, compile_c, what)
        answer = ctl(one.session, "reload", "library", status=1)
        assert "nothing changes" in answer
        one.round()
        library.version(1003)
        library.targets(rand(back_exit="gives"))
        ctl(one.session, "reload", "library")
        one.round()
        _, heard = one.process.communicate(timeout=DEADLINE)
    assert said in answer + heard.decode()
    assert str(library.folder / "handlers.so") in answer + heard.decode() or what == "key"
    assert [1001, 1003] == given([json.loads(line) for line in one.out.read_text().splitlines()])


def spoil(library: Library, compile_c: Compile, what: str) -> None:
    if what == "garbage":
        library.path.write_text("garbage")
    elif what == "nothing":
        library.path.unlink()
    elif what == "needs":
        missing = "extern int no_such_function_anywhere(void); int (*kept)(void) = no_such_function_anywhere;"
        library.path.write_bytes(compile_c(HANDLER.format(1002) + missing, *HANDLERS).read_bytes())
    else:
        library.targets(rand(back_exit="giveth") if what == "name" else rand(back_entre="gives"))


@ENGINES
def test_a_call_ends_with_the_handlers_that_it_began_with(
    loop: Path, library: Library, compile_c: Compile, engine: str
) -> None:
    """rand_loop waits in read while its handlers change; the new one ends the loop, at the next read."""
    says = "#include <sys/user.h>\nvoid says(struct user_regs_struct *regs, int pid) { (void)pid; regs->rax = %s; }"
    library.path.write_bytes(compile_c(says % "regs->rax", *HANDLERS).read_bytes())
    library.targets({"func_name": "read", "back_exit": "says"})
    with running(loop, library.folder, "-c", str(library.config), "--engine", engine) as one:
        one.round()
        library.path.write_bytes(compile_c(says % "0", *HANDLERS).read_bytes())
        ctl(one.session, "reload", "library")
        one.round()  # its read began under the old library
        assert one.process.stdin is not None
        one.process.stdin.write(b".")
        one.process.stdin.flush()
        lines = one.end()
    assert [1, 1, 0] == [line["ret"] for line in lines if line.get("func") == "read" and "event" not in line]


def _let_all_call(run: subprocess.Popen[str]) -> None:
    assert run.stdin is not None and run.stdout is not None
    run.stdin.write(".")
    run.stdin.flush()
    assert "on\n" == run.stdout.readline()


@ENGINES
def test_swaps_under_load_lose_nothing(compile_c: Compile, library: Library, engine: str, soak: bool) -> None:
    swaps = (1000 if engine == "preload" else 200) if soak else (30 if engine == "preload" else 6)
    program = compile_c("swap_load.c", "-pthread", "-fno-builtin")
    library.targets(rand(back_exit="gives"))
    out = library.folder / "calls.jsonl"
    command = [BIN / "wc-run", "-c", library.config, "--engine", engine, "--format", "jsonl", "-o", out, program, "8"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None and run.stdout is not None
        _let_all_call(run)
        session = find(str(run.pid))
        for number in range(swaps):
            library.version(2001 + number % 2)
            assert ask.reload(session, run.pid, anew=True).changed
            _let_all_call(run)
        run.stdin.close()
        calls = int(run.stdout.readline())
        assert 0 == run.wait(DEADLINE)
    seen: dict[int, list[int]] = {}
    count = 0
    with out.open() as lines:  # many, in a soak
        for line in map(json.loads, lines):
            count += 1
            values = seen.setdefault(line["tid"], [])
            if values[-1:] != [line["ret"]]:
                values.append(line["ret"])
    assert (calls, 8) == (count, len(seen))
    assert {swaps + 1} == {len(values) for values in seen.values()}


@ENGINES
def test_a_signal_that_comes_before_the_program_is_answered_when_it_runs(
    loop: Path, library: Library, engine: str
) -> None:
    library.targets(rand(back_exit="gives"))
    out = library.folder / "calls.jsonl"
    command = [BIN / "wc-run", "-v", "-c", library.config, "--engine", engine, "-o", out, loop, "5"]
    block = {signal.SIGUSR1, signal.SIGUSR2}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, block)  # inherited: Popen returns before its first instruction
    try:
        run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    run.send_signal(signal.SIGUSR2)
    run.send_signal(signal.SIGUSR1)
    assert run.stderr is not None
    while "handlers in force" not in (said := run.stderr.readline()):
        assert said, "it has ended"
    run.communicate(timeout=DEADLINE)
    assert 0 == run.returncode


# What a program does that a thread of ours in it must not be noticed by.


@pytest.mark.parametrize("what", ["main ends", "seccomp", "plain"])
def test_a_program_does_not_notice_the_control_thread(compile_c: Compile, library: Library, what: str) -> None:
    program = compile_c("swap_lives.c", "-pthread", "-D_GNU_SOURCE", "-fno-builtin")
    library.targets(rand(back_exit="gives"))
    command = [BIN / "wc-run", "-c", library.config, "-o", library.folder / "calls", program, what]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (0, "last\n" if what == "main ends" else "", "") == (ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("what", ["fork", "unshare"])
def test_a_process_without_control_thread_gets_one_when_it_needs_it(
    compile_c: Compile, library: Library, what: str
) -> None:
    program = compile_c("swap_lives.c", "-pthread", "-D_GNU_SOURCE", "-fno-builtin")
    library.targets(rand(back_exit="gives"))
    command = [BIN / "wc-run", "-c", library.config, "-o", library.folder / "calls", program, what, "1002"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert "ready\n" == run.stdout.readline()
        library.version(1002)
        library.targets(rand(back_exit="gives", on_full="drop"))
        ctl(str(run.pid), "reload", "library")
        assert 0 == run.wait(DEADLINE)


def test_a_program_that_is_executed_later_begins_with_what_is_in_force(loop: Path, library: Library) -> None:
    library.targets(rand(back_exit="gives"))
    script = f'read go; printf . | "{loop}" 5'
    out = library.folder / "calls.jsonl"
    command = [BIN / "wc-run", "-c", library.config, "--format", "jsonl", "-o", out, "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        until_reloaded(run.pid, library)
        assert "done\n" == run.communicate("go\n", timeout=DEADLINE)[0]
    assert [1002] == given([json.loads(line) for line in out.read_text().splitlines()])


def until_reloaded(session: int, library: Library) -> None:
    library.version(1002)
    done = 1
    while done:
        done = subprocess.run([BIN / "wc-ctl", str(session), "reload", "library"], capture_output=True).returncode


def test_everybody_who_asks_at_once_is_answered(loop: Path, library: Library) -> None:
    library.targets(rand(back_exit="gives"))
    with running(loop, library.folder, "-c", str(library.config)) as one:
        one.round()
        library.version(1002)
        words = [BIN / "wc-ctl", one.session, "reload", "library"]
        asking = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        assert [(0, "")] * 4 == [(each.returncode, said) for each in asking for said in [each.communicate()[1]]]
        one.round()
        assert [1001, 1002] == given(one.end())


def test_a_run_without_a_config_says_so(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        assert "has no config to read again" in ctl(one.session, "reload", status=1)
        assert "reload takes no" in ctl(one.session, "reload", "everything", status=1)


def test_a_session_without_a_library_takes_no_handlers_in_the_program(loop: Path, library: Library) -> None:
    library.config.write_text(json.dumps({"funcs": [rand()]}))
    with running(loop, library.folder, "-c", str(library.config), "--engine", "preload") as one:
        one.round()
        library.targets(rand(back_exit="gives"))
        result = subprocess.run([BIN / "wc-ctl", one.session, "reload"], capture_output=True, text=True)
        assert (0, True) == (result.returncode, "other handlers for rand do not run" in result.stderr)


def test_the_table_is_the_one_that_programs_read(compile_c: Compile) -> None:
    fields = "size proposed current asked answers".split()
    offsets = "".join(f'printf("%zu ", offsetof(struct wci_table, {name}));' for name in fields)
    sizes = "".join(f'printf("%zu ", sizeof(struct {name}));' for name in ("wci_answer", "wci_half", "wci_named"))
    program = f"""#include "wc_table.h"
    #include <stddef.h>
    #include <stdio.h>
    int main(void) {{ {offsets} {sizes} printf("%llu %u %u", WCI_TABLE_MAGIC, WCI_ANSWERS, WCI_TABLE_TEXTS); }}"""
    said = subprocess.run([compile_c(program, HANDLERS[2])], capture_output=True, text=True).stdout
    expected = [8, table.PROPOSED_AT, table.CURRENT_AT, table.ASKED_AT, table.HEAD.size, table.ANSWER.size]
    expected += [table.HALF.size, table.NAMED.size, table.MAGIC, table.ANSWERS, table.TEXTS]
    assert expected == [int(word) for word in said.split()]


def test_what_is_done_for_handlers_is_no_system_call_of_the_programs(compile_c: Compile, library: Library) -> None:
    """Nor a reason for the tracer to let the program run on another processor."""
    body = r"""
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    int main(void) {
            char line[200];
            FILE *status = fopen("/proc/self/status", "r");
            printf("%d\n", rand());
            while (fgets(line, sizeof line, status) != NULL)
                    if (strncmp(line, "Cpus_allowed_list:", 18) == 0 || strncmp(line, "Threads:", 8) == 0)
                            fputs(line, stdout);
            return 0;
    }"""
    library.targets(rand(back_exit="gives"), syscalls=[{"syscall_id": "*"}])
    out = library.folder / "calls.jsonl"
    command = [BIN / "wc-run", "-c", library.config, "--format", "jsonl", "-o", out, compile_c(body, "-fno-builtin")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    value, allowed, threads = sorted(ran.stdout.split("\n")[:-1])
    assert ("1001", "Threads:\t2", True) == (value, threads, allowed.split()[1].isdigit())
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {1} == {len({line["tid"] for line in lines})}
    assert not {"clone", "clone3", "futex"} & {line["func"] for line in lines}
