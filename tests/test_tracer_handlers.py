"""Handlers in the tracer: they see and change calls as they do in the program itself, system calls besides.

What is parametrized by engine is one handler library and one config, run by both: the effects are the same.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import HANDLERS, Compile, Handled, Ran, handled, libc, main, one, stub, target

__all__ = ["handled", "stub"]  # fixtures

TRACED = ("--engine", "ptrace")
ENGINES = ("preload", "ptrace")


def under(run: Handled, engine: str) -> Handled:
    def by_engine(*words: Any, options: Any = (), **more: Any) -> Ran:
        return run(*words, options=("--engine", engine, *options), **more)

    return by_engine


@pytest.fixture(params=ENGINES)
def both(request: pytest.FixtureRequest, handled: Handled) -> Handled:
    return under(handled, request.param)


@pytest.fixture(params=ENGINES)
def both_stub(request: pytest.FixtureRequest, stub: Handled) -> Handled:
    return under(stub, request.param)


@pytest.fixture
def traced(handled: Handled) -> Handled:
    return under(handled, "ptrace")


def call(name: str | int, enter: str = "", leave: str = "", **more: Any) -> dict[str, Any]:
    """A system call as a config names it."""
    entry = target("", enter, leave, **more)
    del entry["func_name"]
    return {"syscall_id": name} | entry


# --- functions, in both engines --------------------------------------------------------------------------------------


SEEN = {
    "nine": ("seen_nine", "", ["sees 1 2 3 4 5 6, then 7 8 9", "nine 987654321"]),
    "mixed": ("seen_mixed", "", ['sees -1 "four" 200 100000', "mixed 100231"]),
    "swap_longs": ("seen_swap_longs", "after_swap_longs", ["sees 5 6 100", "returns 106 105", "swap_longs 106 1"]),
    "swap_ints": ("", "after_swap_ints", ["returns 8 7", "swap_ints 1 2"]),
    "reverse": ("seen_reverse", "after_reverse", ["sees 1 to 4, and 10", "returns 14 at 1", "reverse -1 13 12 1010"]),
    "half": ("seen_half", "after_half", ["sees 2", "returns 6", "half 0.25"]),
    "third": ("", "after_third", ["returns 3", "third 2.5"]),
    "precise": ("", "after_precise", ["returns 1.1", "precise 1.1000000000000000000"]),
    "fill": ("seen_fill", "after_fill", ["fill 79"]),
    "is_odd": ("", "after_is_odd", ["returns 1", "is_odd 0"]),
    "with_message": ("seen_with_message", "", ["GetRegs 0", "sees 40 1", "SetRegs 0, then 50", "with_message 52"]),
}
CHANGED = {
    "nine": ("other_nine", "", ["nine 187454329"]),
    "swap_longs": ("other_swap_longs", "", ["swap_longs 160 105"]),
}
SKIPPED = {
    "nine": ("skip_with_minus_7", "", ["nine -7"]),
    "swap_longs": ("skip_with_minus_7", "", ["swap_longs -7 8"]),
    "swap_ints": ("skip_with_minus_7", "", ["swap_ints -7 -1"]),
    "fill": ("skip_with_minus_7", "", ["fill 0"]),
    "is_odd": ("skip_with_minus_7", "", ["is_odd 1"]),
    "reverse": ("skip_with_minus_7", "", ["reverse 0 0 0 0"]),
    "half": ("skip", "", ["half 3"]),
    "third": ("skip", "", ["third 3"]),
    "precise": ("skip", "", ["precise 3.0000000000000000000"]),
}


@pytest.mark.parametrize("scene", [SEEN, CHANGED, SKIPPED], ids=["seen", "changed", "skipped"])
def test_what_a_handler_sees_and_changes_is_the_same_in_both_engines(
    both_stub: Handled, scene: dict[str, tuple[str, str, list[str]]]
) -> None:
    """Nine integers, vectors, structs in registers and in memory, floating results, bools, nothing at all."""
    ran = both_stub(*(target(name, enter, leave) for name, (enter, leave, _) in scene.items()))
    assert 0 == ran.status, ran.said
    assert [] == [line for *_, lines in scene.values() for line in lines if line not in ran.lines]
    assert sorted(scene) == sorted(one_call["func"] for one_call in ran.calls), ran.said


def test_what_is_recorded_is_what_the_function_got_and_the_program_gets(both_stub: Handled) -> None:
    nine = both_stub(target("nine", "other_nine"), target("is_odd", leave="after_is_odd"))
    assert [9, 2, 3, 4, 5, 4, 7, 8, 1] == list(nine.of("nine")[0]["args"].values())
    assert [False] == [bool(one_call["ret"]) for one_call in nine.of("is_odd")]


WORDS = """
if (regs->rsi != 1 || PeekChar(pid, (long)regs->rdx) != 't' || regs->r9 != 5)
        return;
regs->rsi = 100;
PokeLong(pid, (long)regs->rsp + 8, 600);
PokeLong(pid, (long)regs->rsp + 16, 700);
"""


@pytest.mark.parametrize("flags", [("-O2", "-U_FORTIFY_SOURCE"), ("-O2", "-D_FORTIFY_SOURCE=2")])
def test_the_words_behind_a_format_are_shown_and_changed_whatever_printf_was_called(
    both: Handled, flags: tuple[str, ...]
) -> None:
    ran = libc(both, WORDS, "printf", target("printf", "h"), flags=flags)
    assert ["100 two 3 4 5 600 700"] == ran.lines
    assert [100, "two", 3, 4, 5, 600, 700] == ran.of("printf")[0]["args"]["..."]


def test_optional_words_are_arguments_like_others(both: Handled) -> None:
    assert ["duplicated to 60"] == libc(both, "regs->rdx += 10;", "fcntl", target("fcntl", "h")).lines


def test_an_exec_that_a_handler_skips_is_one_call(both: Handled) -> None:
    ran = libc(both, "regs->orig_rax = -1; regs->rax = -1; errno = EPERM;", "exec", target("execl", "h"))
    assert ["exec failed"] == ran.lines
    assert [-1] == [one_call["ret"] for one_call in ran.of("execl")]


def test_a_function_that_does_not_return_cannot_be_skipped_but_changed(both: Handled) -> None:
    assert 4 == libc(both, "regs->rdi++; regs->orig_rax = -1;", "exit", target("exit", "h")).status


def test_a_handler_that_skips_a_function_gives_its_errno(both: Handled) -> None:
    ran = libc(both, "regs->orig_rax = -1; regs->rax = -1; errno = ENOSPC;", "open", target("open", "h"))
    assert ["opened 0, No space left on device"] == ran.lines
    assert ["ENOSPC"] == [one_call["errno"] for one_call in ran.of("open")]


def test_a_handler_that_changes_a_functions_result_gives_its_errno(both: Handled) -> None:
    handler = "if ((long)regs->rax >= 0) { regs->rax = -1; errno = EIO; }"
    assert ["read -1, Input/output error"] == libc(both, handler, "read", target("read", leave="h")).lines


def test_errno_of_the_call_survives_its_handlers(both: Handled) -> None:
    ran = libc(both, "close(-1); errno = EDOM;", "open", target("open", "h", "h"))
    assert ["opened 0, No such file or directory"] == ran.lines


def test_an_exit_handler_sees_a_skipped_call_as_skipped(both: Handled) -> None:
    handlers = one("stdio.h", 'regs->orig_rax = -1; regs->rax = 41;') + (
        'void after(struct user_regs_struct *regs, int pid)\n{\n(void)pid;\n'
        'dprintf(1, "skipped %d, %lld\\n", (long)regs->orig_rax == -1, regs->rax);\nregs->rax++;\n}\n'
    )
    ran = both(handlers, main("stdio.h stdlib.h", 'dprintf(1, "%d\\n", rand());'), target("rand", "h", "after"))
    assert ["skipped 1, 41", "42"] == ran.lines
    assert [42] == [one_call["ret"] for one_call in ran.of("rand")]


def test_the_arguments_are_shown_once_more_after_the_call(both: Handled) -> None:
    handler = one("stdio.h", 'dprintf(1, "%lld %lld = %lld\\n", regs->rsi, regs->rdx, regs->rax);')
    program = main("string.h", 'const char *volatile text = "text"; return memchr(text, \'x\', 4) != text + 2;')
    ran = both(handler, program, target("memchr", leave="h"), flags=("-fno-builtin",))
    assert (0, ["120 4"]) == (ran.status, [line.partition(" =")[0] for line in ran.lines])


def test_a_small_integer_is_shown_with_its_sign(both: Handled) -> None:
    handler = one("stdio.h", 'dprintf(1, "%lld %lld\\n", regs->rdi, regs->rax);')
    program = main("stdlib.h unistd.h", "volatile int minus = -5; return abs(minus) != 5 || dup2(minus, -6) != -1;")
    ran = both(handler, program, target("abs", leave="h"), target("dup2", leave="h"), flags=("-fno-builtin",))
    assert (0, ["-5 5", "-5 -1"]) == (ran.status, ran.lines)


@pytest.mark.parametrize(("frequency", "times"), [(1, 1000), (3, 333), (300, 3), (2000, 0)])
def test_handlers_run_at_the_frequency_of_the_records(both: Handled, frequency: int, times: int) -> None:
    program = main("stdlib.h unistd.h", "for (int i = 0; i < 1000; i++) rand(); getppid();")
    every = target("rand", "h", frequency=frequency)
    ran = both(one("unistd.h", 'write(1, "h\\n", 2);'), program, every, "getppid")
    assert (0, times) == (ran.status, len(ran.lines)), ran.said
    assert (times, 1) == (len(ran.of("rand")), len(ran.of("getppid")))


def test_handlers_run_for_every_thread(both: Handled) -> None:
    """Each has its own arguments, and each gets its own result, whichever thread comes first."""
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    static void *work(void *number)
    {
            long wrong = 0;
            for (volatile int i = 0; i < 500; i++)
                    wrong += labs((long)number + i) != (long)number + i + 1000000;
            return (void *)wrong;
    }
    int main(void)
    {
            pthread_t threads[4];
            void *wrong;
            for (long i = 0; i < 4; i++)
                    pthread_create(&threads[i], NULL, work, (void *)(i + 1));
            for (int i = 0; i < 4; i++) {
                    pthread_join(threads[i], &wrong);
                    printf("%ld wrong\\n", (long)wrong);
            }
            return 0;
    }
    """
    ran = both(one("", "regs->rax = regs->rdi + 1000000;"), program, target("labs", leave="h"),
               flags=("-pthread", "-fno-builtin"))  # fmt: skip
    assert (0, ["0 wrong"] * 4, 2000) == (ran.status, ran.lines, len(ran.of("labs")))
    assert 4 == len({one_call["tid"] for one_call in ran.of("labs")})


def test_a_handler_gets_the_pid_of_its_process_in_threads_and_children(both: Handled) -> None:
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static void *work(void *nothing) { rand(); return nothing; }
    int main(void)
    {
            pthread_t thread;
            pthread_create(&thread, NULL, work, NULL);
            pthread_join(thread, NULL);
            const pid_t child = fork();
            if (child == 0) {
                    rand();
                    _exit(0);
            }
            wait(NULL);
            dprintf(1, "is %d\\nis %d\\n", getpid(), child);
            return 0;
    }
    """
    ran = both(one("stdio.h", 'dprintf(1, "pid %d\\n", pid);'), program, target("rand", "h"), flags=("-pthread",))
    assert [line.replace("is", "pid") for line in ran.lines[2:]] == ran.lines[:2]


# --- system calls ----------------------------------------------------------------------------------------------------


def test_a_system_calls_arguments_are_changed_before_it(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "if (regs->rdi == 1) regs->rdx = 3;")
    program = main("stdio.h unistd.h", 'dprintf(2, "wrote %zd\\n", write(1, "abcdef", 6));')
    ran = traced(handler, program, syscalls=[call("write", "h")])
    assert ["abc"] == ran.lines
    assert "wrote 3" in ran.said
    assert [(1, 3, 3)] == [(c["args"]["fd"], c["args"]["count"], c["ret"]) for c in ran.of("write") if c["args"]["fd"] == 1]


def test_the_fourth_argument_of_a_system_call_stands_in_r10(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "if (regs->r10 == 4) regs->r10 = 2;")
    program = main("stdio.h unistd.h fcntl.h", """
    char room[9] = "";
    const int file = open("/proc/self/comm", O_RDONLY);
    dprintf(1, "%zd\\n", pread(file, room, 2, 4));
    dprintf(1, "%s\\n", room);
    """)  # fmt: skip
    ran = traced(handler, program, syscalls=[call("pread64", "h")])
    assert "2" == ran.lines[0]
    assert [2, 2] == list(ran.of("pread64")[-1]["args"].values())[-2:]


def test_what_a_handler_sees_of_a_system_call_is_what_the_kernel_has(traced: Handled) -> None:
    handlers = one("wc_ptrace.h", 'dprintf(2, "%lld %lld %lld\\n", regs->orig_rax, regs->rdi, regs->rax);')
    ran = traced(handlers, main("unistd.h", "close(-7);"), syscalls=[call("close", "h", "h")])
    number, enosys, ebadf, there = 3, -38, -9, 0xFFFFFFF9
    seen = [line.split() for line in ran.said.splitlines() if line.split()[1:2] == [str(there)]]
    assert [[number, there, enosys], [number, there, ebadf]] == [[int(word) for word in words] for words in seen]


def test_a_system_calls_result_is_changed_after_it(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "regs->rax = 4711;")
    program = main("stdio.h unistd.h", 'dprintf(1, "%d\\n", getppid());')
    ran = traced(handler, program, syscalls=[call("getppid", leave="h")])
    assert ["4711"] == ran.lines
    assert [4711] == [one_call["ret"] for one_call in ran.of("getppid")]


def test_a_system_call_is_skipped_with_the_handlers_result(traced: Handled, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("still here")
    handler = one("wc_ptrace.h", "regs->orig_rax = -1; regs->rax = -EROFS;")
    body = 'const int done = unlink("kept"); dprintf(1, "%d %s\\n", done, strerror(errno));'
    program = main("stdio.h unistd.h errno.h string.h", body)
    ran = traced(handler, program, syscalls=[call("unlink", "h")])
    assert ["-1 Read-only file system"] == ran.lines
    assert "still here" == (tmp_path / "kept").read_text()
    assert [(-1, "EROFS")] == [(one_call["ret"], one_call["errno"]) for one_call in ran.of("unlink")]


def test_a_skipped_system_call_may_succeed(traced: Handled) -> None:
    handler = one("wc_ptrace.h", """
    if (regs->rdi != 99)
            return;
    PokeLong(pid, (long)regs->rsi, 0x6b6c61746b6cl);
    regs->orig_rax = -1;
    regs->rax = 6;
    """)  # fmt: skip
    program = main("stdio.h unistd.h", 'char room[9] = ""; dprintf(1, "%zd %s\\n", read(99, room, 8), room);')
    ran = traced(handler, program, syscalls=[call("read", "h")])
    assert ["6 lktalk"] == ran.lines


def test_exit_group_cannot_be_skipped_but_changed(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "regs->rdi = 9; regs->orig_rax = -1;")
    assert 9 == traced(handler, main("stdlib.h", "exit(3);"), syscalls=[call("exit_group", "h")]).status


@pytest.mark.parametrize(("frequency", "times"), [(1, 600), (7, 85), (300, 2)])
def test_handlers_of_system_calls_run_at_the_frequency_of_the_records(
    traced: Handled, frequency: int, times: int
) -> None:
    handler = one("wc_ptrace.h", "regs->rax = 5;")
    program = main("stdio.h unistd.h", """
    int changed = 0;
    for (int i = 0; i < 600; i++)
            changed += getppid() == 5;
    dprintf(1, "%d\\n", changed);
    """)  # fmt: skip
    ran = traced(handler, program, syscalls=[call("getppid", leave="h", frequency=frequency)])
    assert ([str(times)], times) == (ran.lines, len(ran.of("getppid")))


def test_system_calls_of_all_threads_are_handled(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "if (regs->rdi >= 76 && regs->rdi < 80) regs->rax = regs->rdi == 77 ? 1 : 2;")
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <unistd.h>
    static void *work(void *number)
    {
            long wrong = 0;
            for (int i = 0; i < 500; i++)
                    wrong += close((int)(long)number) != ((long)number == 77 ? 1 : 2);
            return (void *)wrong;
    }
    int main(void)
    {
            pthread_t threads[4];
            void *wrong;
            for (long i = 0; i < 4; i++)
                    pthread_create(&threads[i], NULL, work, (void *)(76 + i));
            for (int i = 0; i < 4; i++) {
                    pthread_join(threads[i], &wrong);
                    dprintf(1, "%ld wrong\\n", (long)wrong);
            }
            return 0;
    }
    """
    ran = traced(handler, program, syscalls=[call("close", leave="h")], flags=("-pthread",))
    assert (0, ["0 wrong"] * 4) == (ran.status, ran.lines)


def test_a_static_program_is_handled(traced: Handled) -> None:
    handler = one("wc_ptrace.h", "regs->rax = regs->orig_rax == 110 ? 12 : 24;")
    program = main("stdio.h unistd.h stdlib.h", 'dprintf(1, "%d %d\\n", getppid(), abs(5));')
    flags = ("-static", "-fno-builtin")
    ran = traced(handler, program, target("abs", leave="h"), syscalls=[call(110, leave="h")], flags=flags)
    assert ["12 24"] == ran.lines


def test_functions_and_system_calls_share_a_library(traced: Handled) -> None:
    handlers = one("wc_ptrace.h", 'dprintf(1, "%s\\n", regs->orig_rax == SYS_getppid ? "call" : "function");')
    ran = traced(handlers, main("unistd.h", "getppid();"), target("getppid", "h"), syscalls=[call("getppid", "h")])
    assert ["function", "call"] == ran.lines


def test_one_library_serves_both_engines_in_one_run(handled: Handled) -> None:
    """The function's handler runs in the program, the system call's in the tracer; each call has one."""
    handlers = one("wc_ptrace.h", 'dprintf(1, "%s in %s\\n", regs->orig_rax == SYS_getppid ? "call" : "function",\n'
                   'getpid() == pid ? "the program" : "the tracer");')  # fmt: skip
    program = main("unistd.h stdlib.h", "rand(); getppid();")
    ran = handled(handlers, program, target("rand", "h"), syscalls=[call("getppid", "h")])
    assert ["function in the program", "call in the tracer"] == ran.lines, ran.said
    assert [("rand", "preload"), ("getppid", "ptrace")] == [(c["func"], c["engine"]) for c in ran.calls]


# --- wc_ptrace.h -----------------------------------------------------------------------------------------------------


def test_the_helpers_read_and_write_the_program(traced: Handled) -> None:
    handler = one("wc_ptrace.h", """
    char text[5] = "";
    if (regs->rdi != 1)
            return;
    PeekData(pid, (long)regs->rsi, 4, text);
    const long first = PeekLong(pid, (long)regs->rsi);
    errno = 0;
    const int bad = PeekInt(pid, 8);
    dprintf(2, "%s %d, bad %d %d\\n", text, (char)first == text[0], bad, errno == EFAULT);
    PokeChar(pid, (long)regs->rsi, 'X');
    """)  # fmt: skip
    program = main("unistd.h", 'char text[] = "text\\n"; write(1, text, 5);')
    ran = traced(handler, program, syscalls=[call("write", "h")])
    assert ["Xext"] == ran.lines
    assert "text 1, bad -1 1" in ran.said


def test_the_helpers_work_when_the_first_thread_has_ended(traced: Handled) -> None:
    """Under the number of the process there is no memory then."""
    program = """
    #include <pthread.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void *work(void *first)
    {
            pthread_join(*(pthread_t *)first, NULL);
            int sum = 0;
            for (int i = 0; i < 3; i++)
                    sum += atoi("77");
            exit(sum - 231);
    }
    int main(void)
    {
            static pthread_t first, second;
            first = pthread_self();
            pthread_create(&second, NULL, work, &first);
            pthread_exit(NULL);
    }
    """
    handler = one("wc_ptrace.h", 'dprintf(1, "%c\\n", PeekChar(pid, (long)regs->rdi));')
    ran = traced(handler, program, target("atoi", "h"), flags=("-pthread", "-fno-builtin", "-O0"))
    assert (0, ["7"] * 3) == (ran.status, ran.lines), ran.said


def test_a_tracer_also_writes_where_the_program_itself_may_not(traced: Handled) -> None:
    handler = one("wc_ptrace.h", 'if (regs->rdi == 1) dprintf(2, "poked %d\\n", PokeInt(pid, (long)regs->rsi, 0x21212121));')
    program = main("unistd.h", 'write(1, "constant\\n", 9);')
    ran = traced(handler, program, syscalls=[call("write", "h")])
    assert ["!!!!tant"] == ran.lines
    assert "poked 1" in ran.said


def test_the_later_of_regs_and_setregs_counts(traced: Handled) -> None:
    handlers = one("wc_ptrace.h", """
    struct user_regs_struct mine;
    GetRegs(pid, &mine);
    mine.rax = 1;
    regs->rax = 2;
    SetRegs(pid, &mine);
    """) + """
    void last(struct user_regs_struct *regs, int pid)
    {
            struct user_regs_struct mine;
            GetRegs(pid, &mine);
            mine.rax = 1;
            SetRegs(pid, &mine);
            regs->rax = 2;
    }
    """  # fmt: skip
    program = main("stdio.h unistd.h", 'dprintf(1, "%d %d\\n", getppid(), (int)getuid());')
    ran = traced(handlers, program, syscalls=[call("getppid", leave="h"), call("getuid", leave="last")])
    assert ["1 2"] == ran.lines


def test_a_handler_cannot_let_its_tracee_go(traced: Handled) -> None:
    handler = one("wc_ptrace.h", """
    const long to[] = {PTRACE_CONT, PTRACE_DETACH, PTRACE_SYSCALL, PTRACE_KILL, PTRACE_SINGLESTEP};
    for (int i = 0; i < 5; i++)
            if (ptrace((enum __ptrace_request)to[i], pid, 0, 0) != -1 || errno != EPERM)
                    dprintf(1, "allowed %ld\\n", to[i]);
    """)  # fmt: skip
    program = main("unistd.h", "for (int i = 0; i < 20; i++) getppid();")
    ran = traced(handler, program, syscalls=[call("getppid", "h", "h")])
    assert (0, [], 20) == (ran.status, ran.lines, len(ran.of("getppid"))), ran.said


def test_only_arguments_and_results_take_effect(traced: Handled) -> None:
    """A handler that clears its registers breaks nothing: rip, rsp and segments are the program's own."""
    handler = one("wc_ptrace.h", """
    const unsigned long long rdi = regs->rdi, rax = regs->rax;
    memset(regs, 0, sizeof *regs);
    regs->rdi = rdi;
    regs->rax = rax;
    """)  # fmt: skip
    program = main("stdio.h stdlib.h unistd.h", 'dprintf(1, "%d %d\\n", abs(-4), close(-1));')
    ran = traced(handler, program, target("abs", "h", "h"), syscalls=[call("close", "h", "h")], flags=("-fno-builtin",))
    assert (0, ["4 -1"]) == (ran.status, ran.lines)


# --- handlers that go wrong ------------------------------------------------------------------------------------------

COUNT = main("stdio.h unistd.h", """
int unchanged = 0;
for (int i = 0; i < 50; i++)
        unchanged += getppid() > 0;
dprintf(1, "%d\\n", unchanged);
""")  # fmt: skip
CRASHES = {
    "SIGSEGV": "regs->rax = -5; *(volatile int *)8 = 1;",
    "SIGBUS": "regs->rax = -5; raise(SIGBUS);",
    "SIGFPE": "volatile int zero = 0; regs->rax = -5; regs->rax = 100 / zero;",
    "SIGILL": "regs->rax = -5; __builtin_trap();",
    "SIGABRT": "regs->rax = -5; abort();",
}


@pytest.mark.parametrize("crash", list(CRASHES))
def test_a_handler_that_crashes_is_named_and_switched_off(traced: Handled, crash: str) -> None:
    """Its call goes on as if it had not run; the program, its records and other handlers never know."""
    handlers = one("wc_ptrace.h signal.h", CRASHES[crash]) + (
        "void fine(struct user_regs_struct *regs, int pid) { (void)pid; regs->rax = 99; }\n"
    )
    ran = traced(handlers, COUNT, syscalls=[call("getppid", leave="h"), call("getpgrp", leave="fine")])
    assert (0, ["50"], 50) == (ran.status, ran.lines, len(ran.of("getppid"))), ran.said
    assert 1 == ran.said.count(f"the handler h crashed ({crash})"), ran.said


def test_other_handlers_go_on_after_one_has_crashed(traced: Handled) -> None:
    handlers = one("wc_ptrace.h", CRASHES["SIGSEGV"]) + (
        "void fine(struct user_regs_struct *regs, int pid) { (void)pid; regs->rax = 99; }\n"
    )
    program = main("stdio.h unistd.h", 'dprintf(1, "%d %d\\n", getppid() > 0, (int)getuid());')
    ran = traced(handlers, program, syscalls=[call("getppid", "h", "h"), call("getuid", leave="fine")])
    assert ["1 99"] == ran.lines


def test_a_handler_that_uses_up_its_stack_is_a_handler_that_crashed(traced: Handled) -> None:
    handlers = """
    #include <sys/user.h>
    __attribute__((noinline)) static int deep(volatile char *above)
    {
            volatile char room[4096];
            room[0] = above[0];
            return deep(room) + room[0];
    }
    void h(struct user_regs_struct *regs, int pid) { (void)pid; volatile char top = 1; regs->rax = deep(&top); }
    """
    ran = traced(handlers, COUNT, syscalls=[call("getppid", leave="h")], flags=())
    assert (0, ["50"]) == (ran.status, ran.lines), ran.said
    assert "the handler h crashed (SIGSEGV)" in ran.said


@pytest.mark.parametrize("way", ["exit(5)", "_exit(5)"])
def test_a_handler_that_calls_exit_does_not_end_the_program(traced: Handled, way: str) -> None:
    ran = traced(one("stdlib.h unistd.h", f"{way};"), COUNT, syscalls=[call("getppid", "h")])
    assert (0, ["50"], 50) == (ran.status, ran.lines, len(ran.of("getppid"))), ran.said
    assert 1 == ran.said.count("the handler h called exit")


def test_a_handler_may_fork_and_wait(traced: Handled) -> None:
    handler = one("stdlib.h unistd.h sys/wait.h", """
    const pid_t child = fork();
    if (child == 0)
            exit(3);
    int status = 0;
    waitpid(child, &status, 0);
    regs->rax = WEXITSTATUS(status) + 10;
    """)  # fmt: skip
    program = main("stdio.h unistd.h", 'dprintf(1, "%d\\n", getppid());')
    ran = traced(handler, program, syscalls=[call("getppid", leave="h")])
    assert (0, ["13"]) == (ran.status, ran.lines), ran.said


def test_a_child_that_a_handler_forks_and_lets_return_is_no_second_tracer(traced: Handled) -> None:
    handler = one("stdlib.h unistd.h sys/wait.h", "const pid_t child = fork(); if (child > 0) waitpid(child, 0, 0);")
    ran = traced(handler, COUNT, syscalls=[call("getppid", "h")])
    assert (0, ["50"], 50) == (ran.status, ran.lines, len(ran.of("getppid"))), ran.said


BREAKS_THE_HEAP = """
volatile char *volatile place = malloc(2000), *volatile other = malloc(2000);
for (int i = -16; i < 4000; i++)
        place[i] = 0x41;
free((void *)other);
free((void *)place);
place = malloc(4000);
"""


def test_a_handler_that_breaks_the_heap_never_leaves_the_program_stopped(traced: Handled) -> None:
    """The heap is the tracer's own: the tracer may end for it, and the program with it; neither may hang."""
    ran = traced(one("stdlib.h", BREAKS_THE_HEAP), COUNT, syscalls=[call("getppid", "h")])
    assert ran.status in (0, -signal.SIGKILL, 125), ran.said
    assert "the handler h " in ran.said


# --- output and loading ----------------------------------------------------------------------------------------------


def test_what_handlers_print_stands_between_what_the_program_prints(traced: Handled) -> None:
    handlers = one("stdio.h", 'printf("before\\n");') + (
        'void after(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; printf("after\\n"); }\n'
    )
    program = main("stdio.h stdlib.h", 'for (int i = 0; i < 2; i++) { dprintf(1, "%d\\n", i); rand(); }')
    ran = traced(handlers, program, target("rand", "h", "after"))
    assert ["0", "before", "after", "1", "before", "after"] == ran.lines


def test_what_a_library_prints_at_its_end_appears(traced: Handled) -> None:
    handlers = one("stdio.h", "") + '__attribute__((destructor)) static void end(void) { printf("at the end\\n"); }\n'
    assert ["at the end"] == traced(handlers, main("stdlib.h", "rand();"), target("rand", "h")).lines


def test_a_reader_that_has_gone_ends_nobody(tmp_path: Path, compile_c: Compile) -> None:
    """SIGPIPE would be the tracer's, and the program would end with it."""
    library = compile_c(one("stdio.h", 'for (int i = 0; i < 9; i++) printf("%01000d\\n", 1);'), *HANDLERS)
    program = compile_c(main("unistd.h", "close(1); for (int i = 0; i < 99; i++) getppid(); return 6;"))
    config = {"library_path": str(library), "syscalls": [call("getppid", "h")]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = f"{BIN / 'wc-run'} --engine ptrace -c config.json -o calls.txt {program}; echo $? >status"
    subprocess.run(["bash", "-c", f"({words}) | true"], cwd=tmp_path, timeout=60, stdin=subprocess.DEVNULL, check=True)
    assert "6\n" == (tmp_path / "status").read_text()


def test_a_missing_handler_is_named_once_and_the_rest_runs(both: Handled) -> None:
    ran = both(one("stdio.h", 'dprintf(1, "h\\n");'), main("stdlib.h", "rand(); srand(1);"), target("rand", "none", "h"),
               target("srand", "none"))  # fmt: skip
    assert (0, ["h"]) == (ran.status, ran.lines)
    assert 1 == ran.said.count("the handler library has no function named none")
    assert (1, 1) == (len(ran.of("rand")), len(ran.of("srand")))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_library_that_does_not_load_is_told_and_the_program_runs(
    engine: str, tmp_path: Path, compile_c: Compile, wc_run: Run
) -> None:
    """It needs a function that exists nowhere: dlopen says so, in both engines with the same words."""
    source = "extern int nowhere_at_all(void);\n" + one("", "nowhere_at_all();")
    library = compile_c(source, *HANDLERS)
    config = {"library_path": str(library), "funcs": [target("rand", "h")]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    program = compile_c(main("stdlib.h", "rand(); return 7;"))
    ran = wc_run("--engine", engine, "-c", "config.json", "-o", "calls.txt", program, cwd=tmp_path)
    assert 7 == ran.returncode
    assert "no handler runs: " in ran.stderr
    assert "undefined symbol: nowhere_at_all" in ran.stderr
    assert "rand()" in (tmp_path / "calls.txt").read_text()


# --- programs that run already ---------------------------------------------------------------------------------------

ANSWERS = main("stdio.h stdlib.h unistd.h", """
char line[9];
while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%d %d\\n", getppid(), atoi(line));
        fflush(stdout);
}
""")  # fmt: skip


@contextmanager
def attached(
    folder: Path, compile_c: Compile, handler: str, *funcs: str
) -> Iterator[tuple[Callable[[], str], subprocess.Popen[str]]]:
    """A program that answers, and wc-run attached to it: h is the exit handler of its getppid and of *funcs*."""
    config = {"library_path": str(compile_c(handler, *HANDLERS)), "syscalls": [call("getppid", leave="h")],
              "funcs": [target(name, leave="h") for name in funcs]}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    program = compile_c(ANSWERS, "-fno-builtin", "-O0")
    running = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    words = [str(BIN / "wc-run"), "-p", str(running.pid), "-c", "config.json", "-o", "calls.txt"]

    def answer() -> str:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("5\n")
        running.stdin.flush()
        return running.stdout.readline().rstrip()

    try:
        assert f"{os.getpid()} 5" == answer()
        with (folder / "said").open("w") as said:
            tracing = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stderr=said, text=True)
        try:
            yield answer, tracing
        finally:
            tracing.kill()
            tracing.wait()
    finally:
        running.kill()
        running.communicate()


def until(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not (done := what()) and time.monotonic() < end:
        pass
    return done


def test_handlers_of_an_attached_program_run_until_it_is_let_go(tmp_path: Path, compile_c: Compile) -> None:
    handler = one("", "if (regs->orig_rax != 0) regs->rax = 4711; else regs->rax++;")
    with attached(tmp_path, compile_c, handler, "atoi") as (answer, tracing):
        assert until(lambda: answer() == "4711 6")
        assert "4711 6" == answer()
        tracing.send_signal(signal.SIGINT)
        tracing.wait(30)
        assert f"{os.getpid()} 5" == answer()


def test_an_attached_program_outlives_a_handler_that_breaks_the_tracers_heap(tmp_path: Path, compile_c: Compile) -> None:
    """Whether the tracer can go on or has to end, nobody stays stopped. Breakpoints would stay behind: none here."""
    with attached(tmp_path, compile_c, one("stdlib.h", BREAKS_THE_HEAP)) as (answer, _):
        assert until(lambda: answer() != "" and "handler h" in (tmp_path / "said").read_text())
        assert [f"{os.getpid()} 5"] * 20 == [answer() for _ in range(20)]
