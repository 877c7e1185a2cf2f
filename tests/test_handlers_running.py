"""Handlers in C, in process: what goes on while they run, and how they are loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Run
from handling import HANDLERS, Compile, Handled, handled, libc, main, one, target

__all__ = ["handled"]  # a fixture

COUNTED, REPORTED = target("rand", "enter", "leave"), target("getppid", "report")
RAND = main("stdlib.h unistd.h", "rand(); getppid();")


# --- what goes on meanwhile ------------------------------------------------------------------------------------------

def test_calls_that_a_handler_makes_are_suppressed_and_counted(handled: Handled) -> None:
    """Those of the library's constructor, and of loading it, are no calls of the program's either."""
    program = main("stdlib.h unistd.h", "for (int i = 0; i < 5; i++) rand(); getppid();")
    ran = handled("handler_counter.c", program, target("rand", "enter"), "getppid", "malloc", options=("--summary",))
    assert 5 == len(ran.of("rand"))
    assert 1 == len(ran.of("getppid"))
    assert [] == ran.of("malloc")
    assert "suppressed" in ran.said


@pytest.mark.parametrize(("frequency", "times"), [(1, 1000), (3, 333), (10, 100), (300, 3), (2000, 0)])
def test_handlers_run_at_the_frequency_of_the_records(handled: Handled, frequency: int, times: int) -> None:
    """A frequency above 255 is none of a byte's."""
    program = main("stdlib.h unistd.h", "for (int i = 0; i < 1000; i++) rand(); getppid();")
    counted = target("rand", "enter", "leave", frequency=frequency)
    ran = handled("handler_counter.c", program, counted, REPORTED)
    assert [f"entered {times}, left {times}"] == ran.lines
    assert times == len(ran.of("rand"))


def test_handlers_run_in_every_thread_at_once(handled: Handled) -> None:
    ran = handled("handler_counter.c", "handler_threads.c", COUNTED, REPORTED, flags=("-pthread",))
    assert ["entered 2000, left 2000"] * 4 == ran.lines
    assert 8000 == len(ran.of("rand"))


def test_a_handler_in_a_fork_child_gets_the_childs_pid(handled: Handled) -> None:
    ran = handled("handler_counter.c", "handler_forks.c", COUNTED, REPORTED)
    assert ["entered 2, left 2", "entered 1, left 1"] == ran.lines
    assert 2 == len({call["pid"] for call in ran.of("rand")})


def test_one_handler_serves_many_targets(handled: Handled) -> None:
    others = (target("fork", "enter"), target("wait", "enter"))
    ran = handled("handler_counter.c", "handler_forks.c", COUNTED, *others, REPORTED)
    assert "entered 3, left 1" == ran.lines[-1]


def test_a_handler_that_forks_leaves_both_processes_right(handled: Handled) -> None:
    handlers = """
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/user.h>
    #include <sys/wait.h>
    #include <unistd.h>
    void h(struct user_regs_struct *regs, int pid)
    {
            (void)regs;
            (void)pid;
            const pid_t child = fork();
            if (child == 0)
                    return;
            waitpid(child, NULL, 0);
    }
    """
    ran = handled(handlers, RAND, target("rand", "h"), "getppid")
    assert (0, 1, 2) == (ran.status, len(ran.of("rand")), len(ran.of("getppid")))


def test_a_handler_may_leave_by_siglongjmp(handled: Handled) -> None:
    """R3: calls from deeper frames than the handler's were are not taken for the handler's."""
    ran = handled("handler_jumper.c", "handler_jumps.c", target("rand", "h"), "getppid", flags=("-rdynamic",))
    assert ["jumped 10 times, 1"] == ran.lines
    assert 1 == len(ran.of("getppid"))


def test_a_handler_may_jump_within_itself(handled: Handled) -> None:
    handlers = """
    #include <setjmp.h>
    #include <sys/user.h>
    #include <unistd.h>
    void h(struct user_regs_struct *regs, int pid)
    {
            jmp_buf here;
            (void)regs;
            (void)pid;
            if (setjmp(here) == 0)
                    longjmp(here, 1);
            getppid();
    }
    """
    assert 1 == len(handled(handlers, RAND, target("rand", "h"), "getppid").of("getppid"))


def test_handlers_survive_a_storm_of_signals_that_jump_out_of_them(handled: Handled, soak: bool) -> None:
    """R3: 10,000 jumps a second, most of them out of a handler; nothing is silenced, the account still holds."""
    handler = one("unistd.h", "for (int i = 0; i < 20; i++) getppid();")
    jumps = "20000" if soak else "1000"
    drop = {"ring": {"on_full": "drop"}}
    watched = (target("rand", "h", "h"), "getppid")
    ran = handled(handler, "handler_storm.c", *watched, arguments=(jumps,), options=("--summary",), **drop)
    assert [f"{jumps} jumps, 1"] == ran.lines
    assert 1 == len(ran.of("getppid")), ran.said
    assert "suppressed" in ran.said


def test_handlers_in_a_vfork_child_get_its_pid(handled: Handled) -> None:
    handler = one("stdio.h", 'dprintf(1, "%d in %d\\n", (int)regs->rax, pid);')
    ran = handled(handler, "handler_vfork.c", target("execl", "h", "h"))
    child = ran.lines[-1].split()[1].rstrip(",")
    assert [f"0 in {child}", f"-1 in {child}", f"0 in {child}", f"child {child}, status 9"] == ran.lines
    assert [int(child)] * 2 == [call["pid"] for call in ran.of("execl")]


def test_a_vfork_child_may_end_in_a_handler(handled: Handled) -> None:
    """It shares its parent's thread-local storage, in which the handler still seems to run."""
    program = """
    #include <stdio.h>
    #include <sys/wait.h>
    #include <unistd.h>
    __attribute__((noinline)) static int deep(int n)
    {
            volatile char room[512];
            room[n] = 1;
            return n ? deep(n - 1) + room[n] : getppid();
    }
    int main(void)
    {
            int status = 0;
            if (vfork() == 0)
                    execl("/bin/true", "true", (char *)NULL);
            wait(&status);
            printf("%d %d\\n", WEXITSTATUS(status), deep(20) != 0);
            return 0;
    }
    """
    ran = handled(one("unistd.h", "_exit(7);"), program, target("execl", "h"), "getppid")
    assert ["7 1"] == ran.lines
    assert 1 == len(ran.of("getppid"))


@pytest.mark.parametrize("clock", ["two", "one", "none"])
@pytest.mark.parametrize("record", ["exit", "entry", "both"])
def test_handlers_run_whatever_is_recorded(handled: Handled, record: str, clock: str) -> None:
    counted = target("rand", "enter", "leave", record=record, clock=clock)
    ran = handled("handler_counter.c", RAND, counted, REPORTED, options=("--strict",))
    assert (0, ["entered 1, left 1"]) == (ran.status, ran.lines)
    assert 1 == len(ran.of("rand"))


def test_a_thread_may_be_cancelled_in_a_handler(handled: Handled) -> None:
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void *work(void *arg) { rand(); return arg; }
    int main(void)
    {
            void *result = NULL;
            for (int i = 0; i < 50; i++) {
                    pthread_t thread;
                    pthread_create(&thread, NULL, work, NULL);
                    pthread_cancel(thread);
                    pthread_join(thread, &result);
                    getppid();
            }
            printf("cancelled %d\\n", result == PTHREAD_CANCELED);
            return 0;
    }
    """
    handler = one("unistd.h", "pause();")
    ran = handled(handler, program, target("rand", "h"), "getppid", flags=("-pthread",))
    assert ["cancelled 1"] == ran.lines
    assert 50 == len(ran.of("getppid"))


def test_a_handler_that_crashes_is_the_programs_crash(handled: Handled) -> None:
    ran = handled(one("", "*(volatile int *)8 = pid;"), RAND, target("rand", "h"))
    assert -signal.SIGSEGV == ran.status
    assert [(None, True)] == [(call["ret"], call.get("unfinished")) for call in ran.of("rand")]


def test_a_handler_may_exit(handled: Handled) -> None:
    handlers = one("stdlib.h", "exit(5);")
    program = """
    #include <stdio.h>
    #include <stdlib.h>
    static void last(void) { puts("last"); }
    int main(void) { atexit(last); rand(); return 0; }
    """
    ran = handled(handlers, program, target("rand", "h"))
    assert (5, ["last"]) == (ran.status, ran.lines)


def test_a_signal_handler_that_interrupts_a_handler_does_no_harm(handled: Handled) -> None:
    handlers = one("signal.h", "raise(SIGUSR1);")
    program = """
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <unistd.h>
    static volatile int seen;
    static void on_signal(int number) { (void)number; seen += getppid() != 0; }
    int main(void)
    {
            stack_t stack = {.ss_size = 1 << 16};
            stack.ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            sigaltstack(&stack, NULL);
            struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
            sigaction(SIGUSR1, &action, NULL);
            rand();
            getppid();
            printf("seen %d\\n", seen);
            return 0;
    }
    """
    ran = handled(handlers, program, target("rand", "h"), "getppid")
    assert ["seen 1"] == ran.lines
    assert (1, 1) == (len(ran.of("rand")), len(ran.of("getppid")))


def test_the_time_of_handlers_is_not_the_calls(handled: Handled) -> None:
    handlers = one("time.h", "nanosleep(&(struct timespec){0, 300000000}, 0);")
    (call,) = handled(handlers, RAND, target("rand", "h", "h")).of("rand")
    assert call["duration"] < 300_000_000


def test_record_both_with_a_handler_is_still_one_call(handled: Handled) -> None:
    ran = libc(handled, "regs->rdx += 10;", "fcntl", target("fcntl", "h", record="both"))
    (call,) = ran.of("fcntl")
    assert ["duplicated to 60"] == ran.lines
    assert (60, 60) == (call["ret"], call["args"]["arg"])


# --- asking ptrace ---------------------------------------------------------------------------------------------------

def test_a_handler_written_with_ptrace_itself_works_in_process(handled: Handled) -> None:
    program = '#include <unistd.h>\nint main(void) { return write(1, "abcdefgh", 8) != 4; }'
    ran = handled("handler_tracer.c", program, target("write", "h"))
    assert ["rdi 1, getregs 0, same 1", "word abcdefgh", "bad address -1, errno 1", "abcd"] == ran.lines
    assert 0 == ran.status


def test_ptrace_may_be_a_target_at_the_same_time(handled: Handled) -> None:
    program = """
    #include <errno.h>
    #include <stdio.h>
    #include <sys/ptrace.h>
    #include <unistd.h>
    int main(void)
    {
            write(1, "abcdefgh", 8);
            const long outside = ptrace(PTRACE_PEEKDATA, getpid(), main, NULL);
            printf("\\n%ld %d\\n", outside, errno == ESRCH);
            return 0;
    }
    """
    ran = handled("handler_tracer.c", program, target("write", "h"), "ptrace")
    assert ["word abcdefgh", "bad address -1, errno 1", "abcd", "-1 1"] == ran.lines[-4:]
    assert 1 == len(ran.of("ptrace"))


# --- loading ---------------------------------------------------------------------------------------------------------


def test_a_handler_library_finds_its_own_libraries_beside_it(tmp_path: Path, compile_c: Compile, wc_run: Run) -> None:
    """$ORIGIN is where the library lies, not where the session links to it."""
    (tmp_path / "lib").mkdir()
    side = compile_c("int side(void) { return 7; }", "-shared", "-fPIC", "-Wl,-soname,libside.so")
    (tmp_path / "lib" / "libside.so").write_bytes(side.read_bytes())
    (tmp_path / "h.c").write_text(one("", "int side(void);\nregs->rax = side();"))
    command = ["cc", "-shared", "-fPIC", "h.c", "-o", "lib/h.so", "-Llib", "-lside", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "config.json").write_text(
        json.dumps({"library_path": "lib/h.so", "funcs": [{"func_name": "rand", "back_exit": "h"}]})
    )
    program = compile_c(main("stdio.h stdlib.h", 'printf("%d\\n", rand());'))
    ran = wc_run("-c", tmp_path / "config.json", program, cwd="/")
    assert ("7\n", 0) == (ran.stdout, ran.returncode)


def test_main_has_its_environment_and_arguments_when_handlers_were_loaded(handled: Handled) -> None:
    program = main("stdio.h stdlib.h", 'rand(); printf("%d %s %d\\n", argc, argv[1], getenv("PATH") != NULL);')
    ran = handled("handler_counter.c", program, target("rand", "enter"), arguments=("first",))
    assert ["2 first 1"] == ran.lines


def test_a_library_that_is_gone_is_a_warning_and_the_program_runs(
    tmp_path: Path, compile_c: Compile, wc_gen: Run, wc_run: Run
) -> None:
    library = tmp_path / "h.so"
    library.write_bytes(compile_c("handler_counter.c", *HANDLERS).read_bytes())
    config = {"library_path": "h.so", "funcs": [target("rand", "enter")]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert 0 == wc_gen(tmp_path / "config.json", "-o", tmp_path / "hooks.so").returncode
    os.unlink(library)
    ran = wc_run("--preload", tmp_path / "hooks.so", compile_c(RAND))
    assert 0 == ran.returncode
    assert f"warning: no handler runs: {library}" in ran.stderr
    assert "rand() = 1804289383" in ran.stderr


def test_handlers_on_hundreds_of_functions_change_nothing(
    tmp_path: Path, compile_c: Compile, wc_gen: Run, wc_run: Run
) -> None:
    """malloc's family and the functions that handlers and the runtime use themselves are among them."""
    counting = one("", "static long calls; __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);")
    library = compile_c(counting, *HANDLERS)
    sets = ("%file", "%stdio", "%process", "%memory")
    names = ("malloc", "calloc", "realloc", "free", "memcpy", "memset", "strlen", "strcmp", "getenv", "rand")
    funcs = [{"set": name} for name in sets] + [{"func_name": name} for name in names]
    config = {
        "library_path": str(library),
        "ring": {"on_full": "drop"},
        "funcs": [func | {"back_enter": "h", "back_exit": "h"} for func in funcs],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert 0 == wc_gen(tmp_path / "config.json", "-o", tmp_path / "hooks.so").returncode
    (tmp_path / "work.py").write_text(WORK)
    for command in (["sh", "-c", "ls -a / | sort | head -n 5; (exit 3) || echo $?"], ["python3", "-S", "work.py"]):
        plain = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        ran = wc_run("--preload", "hooks.so", "--format", "wc", "-o", "/dev/null", *command, cwd=tmp_path)
        assert (plain.returncode, plain.stdout) == (ran.returncode, ran.stdout)


WORK = """
import subprocess, tempfile, threading
def work(out, i):
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000 * i)
        file.seek(0)
        out.append(len(file.read()))
sizes = []
threads = [threading.Thread(target=work, args=(sizes, i)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(sizes), subprocess.run(["sh", "-c", "echo sub; exit 4"], capture_output=True))
"""
