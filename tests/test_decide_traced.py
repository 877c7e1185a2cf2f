"""@decide where the tracer serves: system calls, static programs, the program's own functions, running programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import Compile, main

HEAD = "from wc_intercept.consumer import on, decide\n"
Under = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def under(tmp_path: Path, wc_run: Run) -> Under:
    """under(handlers, word...): wc-run's end under these handlers. "mine.py" and "out" are in tmp_path."""

    def run(handlers: str, *words: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        (tmp_path / "mine.py").write_text(HEAD + handlers)
        command = ("--handlers", "mine.py", "--format", "jsonl", "-o", "out", *map(str, words))
        return wc_run(*command, cwd=tmp_path, timeout=timeout)

    return run


def calls(folder: Path, func: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    return [call for call in found if call["func"] == func]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def raw(number: str, *arguments: str) -> str:
    """C: a system call by its instruction, which says whether all argument registers came back as they were."""
    six = [*arguments, *(["0x5151"] * (6 - len(arguments)))]
    names = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
    declared = "".join(f'register long {name} __asm__("{name}") = (long)({value}); ' for name, value in zip(names, six, strict=True))
    operands = ", ".join(f'"+r"({name})' for name in names)
    same = " && ".join(f"{name} == (long)({value})" for name, value in zip(names, six, strict=True))
    return (f'{{ {declared} long ret = {number}; __asm__ volatile("syscall" : "+a"(ret), {operands} : : "rcx", "r11", "memory");'
            f' printf("%ld %s\\n", ret, {same} ? "kept" : "lost"); }}')  # fmt: skip


# --- system calls ----------------------------------------------------------------------------------------------------

def test_a_system_call_does_what_is_answered_and_its_registers_come_back(under: Under, tmp_path: Path, compile_c: Compile) -> None:
    (tmp_path / "there").write_text("seven..")
    body = "".join([
        raw("SYS_lseek", "99", "1", "0"), raw("SYS_dup", "0"), raw("SYS_getppid"), raw("SYS_access", '"/nowhere"', "0"),
        raw("SYS_mmap", "0", "4096", "0", "34", "-1", "0"), raw("SYS_umask", "18"), raw("SYS_umask", "18"),
    ])  # fmt: skip
    program = compile_c(main("stdio.h sys/syscall.h fcntl.h", f'if (open("there", O_RDONLY) != 3) return 1; {body}'))
    done = under("""
@decide("sys:lseek")
def a(call): return call.go(fd=3, offset=5, whence=0) if call.args["fd"] == 99 else None
@decide("sys:dup")
def b(call): return call.fail("EMFILE")
@decide("sys:getppid")
def c(call): return call.returns(4711)
@decide("sys:access")
def d(call): return call.go(pathname="/etc") if call.args["pathname"] == "/nowhere" else None
@decide("sys:mmap", after=True)
def e(call): return call.fail("ENOMEM") if call.args["fd"] == -1 and call.args["flags"] == 34 and call.args["length"] == 4096 else None
@decide("sys:umask", after=True)
def f(call): call.ret = call.ret + 512
""", program)
    lines = ["5 kept", "-24 kept", "4711 kept", "0 kept", "-12 kept"]
    assert (lines, "") == (done.stdout.splitlines()[:5], done.stderr)
    assert [f"{18 + 512} kept"] == done.stdout.splitlines()[6:]
    assert [(5, [3, 5, 0])] == [(c["ret"], list(c["args"].values())) for c in calls(tmp_path, "lseek")]
    assert [("EMFILE", -1)] == [(c["errno"], c["ret"]) for c in calls(tmp_path, "dup")]


def test_a_given_string_is_there_when_the_call_is_made_again(under: Under, tmp_path: Path, compile_c: Compile) -> None:
    """open of a FIFO waits; a signal handler runs on the same stack, and the kernel makes the call again."""
    os.mkfifo(tmp_path / "fifo")
    program = compile_c("""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static volatile int handled;
static void on(int n) { char all[16384]; memset(all, 'x', sizeof all); handled += all[n] == 'x'; }
int main(void)
{
        const struct sigaction action = {.sa_handler = on, .sa_flags = SA_RESTART};
        sigaction(SIGUSR1, &action, NULL);
        if (fork() == 0) {
                for (int i = 0; i < 3; i++) { usleep(30000); kill(getppid(), SIGUSR1); }
                usleep(30000);
                close(open("fifo", O_WRONLY));
                _exit(0);
        }
        const int file = open("nothing", O_RDONLY);
        printf("%d %d\\n", file > 2, handled > 0);
        return 0;
}""")
    done = under('@decide("sys:openat")\ndef f(call): return call.go(pathname="fifo") if call.args["pathname"] == "nothing" else None', program)
    assert ("1 1\n", "") == (done.stdout, done.stderr)
    shown = [call["args"]["pathname"] for call in calls(tmp_path, "openat") if call["args"]["flags"] == os.O_RDONLY]
    assert ["fifo"] == [path for path in shown if path in ("nothing", "fifo")]


def test_a_call_that_a_signal_has_ended_is_asked_about_afterwards(under: Under, compile_c: Compile) -> None:
    program = compile_c("""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
static void on(int n) { (void)n; }
int main(void)
{
        const struct sigaction action = {.sa_handler = on};
        const struct itimerval soon = {{0, 0}, {0, 20000}};
        int ends[2];
        char byte;
        if (pipe(ends) != 0) return 1;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &soon, NULL);
        printf("%zd\\n", read(ends[0], &byte, 1));
        return 0;
}""")
    done = under("""
@decide("sys:read", after=True)
def f(call):
    if call.errno == "EINTR":
        return call.returns(77)
""", program)
    assert ("77\n", "") == (done.stdout, done.stderr)


def test_an_exec_may_be_forbidden(under: Under) -> None:
    done = under('@decide("sys:execve")\ndef f(call): return call.fail("EPERM") if "true" in call.args["pathname"] else None',
                 "/bin/sh", "-c", "/bin/echo a; /bin/true; /bin/echo b")  # fmt: skip
    assert "a\nb\n" == done.stdout and "/bin/true" in done.stderr


# --- functions -------------------------------------------------------------------------------------------------------

OWN = """
#include <stdio.h>
__attribute__((noipa)) double mix(int a, double b, float c, const char *name)
{
        printf("%d %.1f %.1f %s\\n", a, b, (double)c, name);
        return a + b;
}
__attribute__((noipa)) int wide(int a, int b, int c, int d, int e, int f, int g, short h) { return g * 10 + h; }
int main(void)
{
        printf("%.1f\\n", mix(1, 2.5, 3.5f, "four"));
        printf("%.1f\\n", mix(100, 2.5, 3.5f, "skipped"));
        printf("%d\\n", wide(1, 2, 3, 4, 5, 6, 7, 8));
        return 0;
}
"""
OWN_HANDLERS = """
@decide("mix")
def a(call):
    return call.go(a=10, b=20.5, c=30.5, name="other") if call.args["a"] == 1 else call.returns(0.25)
@decide("mix", after=True)
def b(call): call.ret = call.ret + 1000
@decide("wide")
def c(call): return call.go(g=9, h=-1)
"""


@pytest.mark.parametrize("flags", [(), ("-static",), ("-O2", "-no-pie")], ids=["dynamic", "static", "fixed"])
def test_the_programs_own_functions_are_decided_about(under: Under, compile_c: Compile, flags: Sequence[str]) -> None:
    done = under(OWN_HANDLERS, compile_c(OWN, "-g", *flags))
    assert (["10 20.5 30.5 other", "1030.5", "1000.2", "89"], "") == (done.stdout.splitlines(), done.stderr)


def test_a_static_programs_functions_ask_as_the_system_calls_that_they_stand_for(under: Under, compile_c: Compile) -> None:
    program = compile_c(main("unistd.h stdio.h errno.h", 'const int ret = access("/etc", 0); printf("%d %d\\n", ret, errno);'), "-static")
    done = under('@decide("access")\ndef f(call): return call.fail("ELOOP")', program)
    assert ("-1 40\n", "") == (done.stdout, done.stderr)


# --- waiting ---------------------------------------------------------------------------------------------------------

def test_others_go_on_while_one_waits(under: Under, compile_c: Compile) -> None:
    """The main thread's call waits until another thread has made a thousand."""
    program = compile_c("""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
static volatile int made;
static void *others(void *unused) { for (; made < 1000; made++) syscall(SYS_getpgid, 0); return unused; }
int main(void)
{
        pthread_t thread;
        pthread_create(&thread, NULL, others, NULL);
        syscall(SYS_getsid, 0);
        printf("%d\\n", made);
        pthread_join(thread, NULL);
        return 0;
}""", "-pthread")
    done = under('@on("sys:getpgid")\ndef g(event): pass\n@decide("sys:getsid")\ndef f(call): return call.wait(0.7)', program)
    assert ("1000\n", "") == (done.stdout, done.stderr)


def test_who_is_killed_while_it_waits_is_dead(tmp_path: Path, compile_c: Compile) -> None:
    program = compile_c(main("unistd.h sys/syscall.h", "syscall(SYS_getsid, 0);"))
    (tmp_path / "mine.py").write_text(HEAD + 'import os, time\n@decide("sys:getsid")\ndef f(call):\n    os.kill(call.pid, 9)\n    time.sleep(0.1)')
    command = [BIN / "wc-run", "--handlers", "mine.py", "-o", "out", program]
    assert -signal.SIGKILL == subprocess.run(command, cwd=tmp_path, timeout=60).returncode


def test_a_running_program_is_asked_and_let_go(tmp_path: Path, compile_c: Compile) -> None:
    """-p: its calls wait; when wc-run ends while one waits, that one goes on as it was."""
    program = compile_c("""
#include <stdio.h>
#include <unistd.h>
int main(void)
{
        for (int i = 0; i < 3000; i++) {
                printf("%d\\n", access("/etc", 0));
                fflush(stdout);
                usleep(10000);
        }
        return 0;
}""")
    (tmp_path / "mine.py").write_text(HEAD + """
import time
seen = 0
@decide("sys:access")
def f(call):
    global seen
    seen += 1
    open("asked", "w").write(str(seen))
    time.sleep(0 if seen < 3 else 300)
    return call.returns(5)
""")
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None and "0\n" == victim.stdout.readline()
        command = [BIN / "wc-run", "--handlers", "mine.py", "--decide-timeout", "10m", "-o", "out", "-p", str(victim.pid)]
        with subprocess.Popen(command, cwd=tmp_path) as run:
            until(lambda: (tmp_path / "asked").exists() and (tmp_path / "asked").read_text() == "3")
            run.send_signal(signal.SIGTERM)
            run.wait(60)
        lines = [""]
        while lines.count("5\n") < 2 or lines[-5:] != ["0\n"] * 5:
            lines.append(victim.stdout.readline())
            assert lines[-1]
        victim.kill()
    assert 2 == lines.count("5\n")


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_what_comes_while_the_program_runs_is_asked_about(tmp_path: Path, compile_c: Compile, engine: str) -> None:
    program = compile_c("""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
        for (;;) {
                printf("%d %d\\n", access("/etc", 0), rand() != 0);
                fflush(stdout);
                usleep(2000);
        }
}""")
    (tmp_path / "mine.py").write_text(HEAD + '@decide("acce*")\ndef f(call): return call.go(pathname="/no/such/file")\n')
    command = [BIN / "wc-run", "--engine", engine, "--trace", "fn:rand,fn:accept", "--handlers", "mine.py", "-o", "out", program]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline().startswith("0 ")
        subprocess.run([BIN / "wc-ctl", str(run.pid), "add", "fn:access"], check=True, timeout=60)
        line = ""
        while not line.startswith("-1 "):
            line = run.stdout.readline()
            assert line
        run.send_signal(signal.SIGTERM)
        run.stdout.read()
