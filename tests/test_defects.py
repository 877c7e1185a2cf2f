"""The fifteen defects that reading the original found, D1 to D15: each a test against the engine that does its work now.

The originals' own sources and configs (tests/data/original, unchanged but for library_path) are used where they show the
defect; elsewhere a program that is no longer than the defect needs. Where both engines could have the defect, both are
asked. test_original.py has what concerns only the preload engine.
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
from handling import HANDLERS, Compile, main, one, target

ORIGINAL = Path(__file__).parent / "data" / "original"
ENGINES = ("preload", "ptrace")
Calls = list[dict[str, Any]]


class Ran:
    """One run of wc-run: exit status, both outputs, and the calls that were recorded."""

    def __init__(self, done: subprocess.CompletedProcess[str], calls: Path) -> None:
        self.status = done.returncode
        self.lines = done.stdout.splitlines()
        self.said = done.stderr
        self.calls: Calls = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def of(self, name: str) -> Calls:
        return [call for call in self.calls if call["func"] == name]


@pytest.fixture
def under(tmp_path: Path, wc_run: Run) -> Callable[..., Ran]:
    """under(engine, config, program, arguments...): run it in tmp_path."""

    def run(engine: str, config: dict[str, Any], *words: Any, options: tuple[Any, ...] = (), **more: Any) -> Ran:
        (tmp_path / "config.json").write_text(json.dumps(config))
        output = tmp_path / "calls.jsonl"
        done = wc_run("--engine", engine, "-c", "config.json", "--format", "jsonl", "-o", output, *options, "--", *words,
                      cwd=tmp_path, **more)  # fmt: skip
        return Ran(done, output)

    return run


Under = Callable[..., Ran]


def functions(*names: str, **config: Any) -> dict[str, Any]:
    return {"funcs": [{"func_name": name} for name in names]} | config


def calls_of(*names: str | int, **config: Any) -> dict[str, Any]:
    return {"syscalls": [{"syscall_id": name} for name in names]} | config


@pytest.fixture
def table(compile_c: Compile) -> Path:
    """The original's handlers; test() is empty."""
    return compile_c((ORIGINAL / "backend_dynamic.c").read_text(), "-shared", "-fPIC")


# --- D1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [39, "getpid"])
def test_d1_a_config_with_only_system_calls_intercepts_them(
    under: Under, compile_c: Compile, name: str | int, table: Path
) -> None:
    """It tested the list of functions instead, and intercepted nothing."""
    config = {"library_path": str(table), "syscalls": [{"syscall_id": name, "back_enter": "test_rand_enter",
                                                        "back_exit": "test_rand_exit"}]}  # fmt: skip
    ran = under("ptrace", config, compile_c(main("unistd.h", "return getpid() < 0;")))
    assert (0, 1, ["rand enter", "rand exit"]) == (ran.status, len(ran.of("getpid")), ran.lines), ran.said


# --- D2 --------------------------------------------------------------------------------------------------------------

SIGNALS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile sig_atomic_t seen[65];
static void note(int number) { seen[number]++; }
int main(void)
{
        const int numbers[] = {SIGINT, SIGALRM, SIGCHLD, SIGUSR1, SIGTRAP, SIGTERM, 40};
        for (int i = 0; i < 7; i++)
                signal(numbers[i], note);
        for (int i = 0; i < 7; i++) {
                raise(numbers[i]);
                rand();
        }
        if (fork() == 0)
                _exit(0);
        wait(NULL);
        for (int i = 0; i < 7; i++)
                printf("%d:%d ", numbers[i], seen[numbers[i]]);
        printf("\\n");
        return 0;
}
"""


@pytest.mark.parametrize("config", [functions("rand"), calls_of("tgkill", "wait4"), functions("rand") | calls_of("tgkill")])
def test_d2_signals_arrive(under: Under, compile_c: Compile, config: dict[str, Any]) -> None:
    """It swallowed all but its own."""
    ran = under("ptrace", config, compile_c(SIGNALS))
    assert (0, ["2:1 14:1 17:2 10:1 5:1 15:1 40:1 "]) == (ran.status, ran.lines), ran.said


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGTRAP, signal.SIGKILL, signal.SIGABRT])
@pytest.mark.parametrize("config", [functions("rand"), calls_of("getppid")], ids=["functions", "calls"])
def test_d2_a_signal_that_kills_kills(
    under: Under, compile_c: Compile, config: dict[str, Any], number: signal.Signals
) -> None:
    """SIGSEGV came again and again, for good."""
    body = 'rand(); getppid(); if (argv[1][0] == \'c\') *(volatile int *)8 = 1; raise(atoi(argv[1])); for (;;) pause();'
    word = "crash" if number == signal.SIGSEGV else str(int(number))
    ran = under("ptrace", config, compile_c(main("signal.h stdlib.h unistd.h", body)), word)
    assert -number == ran.status, ran.said
    assert 1 == len(ran.calls)


# --- D3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_d3_children_and_threads_of_a_program_with_breakpoints_live(
    under: Under, compile_c: Compile, engine: str
) -> None:
    """A child died of the breakpoints that it inherited, a second thread killed the process."""
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static void *work(void *nothing)
    {
            for (int i = 0; i < 100; i++)
                    rand();
            return nothing;
    }
    int main(void)
    {
            pthread_t threads[4];
            int status = 0, bad = 0;
            for (int i = 0; i < 4; i++)
                    pthread_create(&threads[i], NULL, work, NULL);
            for (int i = 0; i < 4; i++)
                    pthread_join(threads[i], NULL);
            for (int i = 0; i < 5; i++) {
                    if (fork() == 0) {
                            rand();
                            _exit(7);
                    }
                    wait(&status);
                    bad += !WIFEXITED(status) || WEXITSTATUS(status) != 7;
            }
            printf("%d bad\\n", bad);
            return 0;
    }
    """
    ran = under(engine, functions("rand"), compile_c(program, "-pthread"))
    assert (0, ["0 bad"], 405) == (ran.status, ran.lines, len(ran.of("rand"))), ran.said
    assert (6, 9) == (len({call["pid"] for call in ran.calls}), len({call["tid"] for call in ran.calls}))


@pytest.mark.parametrize("follow", ["none", "default"])
def test_d3_a_child_that_is_not_followed_has_no_breakpoints(under: Under, compile_c: Compile, follow: str) -> None:
    body = "rand(); int s; if (fork() == 0) { rand(); _exit(7); } wait(&s); return WEXITSTATUS(s);"
    program = compile_c(main("stdlib.h sys/wait.h unistd.h", body))
    ran = under("ptrace", functions("rand"), program, options=("--follow", follow))
    assert (7, 1 if follow == "none" else 2) == (ran.status, len(ran.of("rand"))), ran.said


# --- D4 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [functions("rand"), calls_of("getppid"), functions("rand") | calls_of("getppid")],
                         ids=["functions", "calls", "both"])  # fmt: skip
def test_d4_a_program_that_execs_goes_on_intercepted(
    under: Under, compile_c: Compile, config: dict[str, Any]
) -> None:
    """It killed the program at its exec, or took entries for exits from there on."""
    body = """
    rand();
    getppid();
    if (argc > 1 && argv[1][0] > '0') {
            argv[1][0]--;
            execv(argv[0], argv);
    }
    return 5;
    """
    ran = under("ptrace", config, compile_c(main("stdlib.h unistd.h", body)), "3")
    assert 5 == ran.status, ran.said
    for name in ("rand", "getppid"):
        assert (4 if name in json.dumps(config) else 0) == len(ran.of(name)), ran.said
    assert {os.getpid()} != {call["ret"] for call in ran.of("getppid")}
    assert len({call["ret"] for call in ran.of("getppid")}) <= 1


# --- D5 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", ["mine.rdi += 2; ptrace(PTRACE_SETREGS, pid, 0, &mine);", "regs->rdi += 2;"])
def test_d5_an_entry_handler_stands_before_the_first_instruction(
    under: Under, compile_c: Compile, engine: str, way: str
) -> None:
    """It ran behind it, with old registers; setting them ran the instruction once more, and the handler, and so on."""
    handler = one("wc_ptrace.h", f"struct user_regs_struct mine; ptrace(PTRACE_GETREGS, pid, 0, &mine); {way}")
    program = main("stdio.h stdlib.h", 'for (int i = 0; i < 3; i++) printf("%d\\n", abs(i));')
    config = {"library_path": str(compile_c(handler, *HANDLERS)), "funcs": [target("abs", "h")]}
    ran = under(engine, config, compile_c(program, "-fno-builtin"))
    assert ["2", "3", "4"] == ran.lines, ran.said
    assert [2, 3, 4] == [next(iter(call["args"].values())) for call in ran.of("abs")]


# --- D6 --------------------------------------------------------------------------------------------------------------

RECURSES = """
#include <setjmp.h>
#include <pthread.h>
#include <stdio.h>
static jmp_buf back;
__attribute__((noinline)) long deep(long n) { return n == 0 ? 0 : deep(n - 1) + 1; }
__attribute__((noinline)) long leap(long n)
{
        if (n == 0)
                longjmp(back, 1);
        return leap(n - 1) + 1;
}
static void *work(void *number)
{
        long wrong = 0;
        for (int i = 0; i < 50; i++)
                wrong += deep((long)number) != (long)number;
        return (void *)wrong;
}
int main(void)
{
        pthread_t threads[3];
        void *wrong;
        for (long i = 0; i < 3; i++)
                pthread_create(&threads[i], NULL, work, (void *)(i + 2));
        for (int i = 0; i < 3; i++) {
                pthread_join(threads[i], &wrong);
                printf("%ld wrong\\n", (long)wrong);
        }
        if (setjmp(back) == 0) {
                leap(4);
                return 9;
        }
        printf("%ld\\n", deep(6));
        return 0;
}
"""


def test_d6_recursion_threads_and_longjmp_keep_their_returns(under: Under, compile_c: Compile) -> None:
    """One breakpoint per function was taken for every return, whosever it was."""
    funcs = [{"func_name": "deep", "prototype": "long deep(long n);", "internal": True},
             {"func_name": "leap", "prototype": "long leap(long n);", "internal": True}]  # fmt: skip
    ran = under("ptrace", {"funcs": funcs}, compile_c(RECURSES, "-pthread", "-O0"))
    assert (0, ["0 wrong"] * 3 + ["6"]) == (ran.status, ran.lines), ran.said
    deep = ran.of("deep")
    assert 50 * (3 + 4 + 5) + 7 == len(deep)
    assert [] == [call for call in deep if call["args"]["n"] != call["ret"]]
    assert [] == [call for call in ran.of("leap") if call.get("ret") is not None]


def test_d6_exceptions_keep_their_returns(under: Under, compile_c: Compile) -> None:
    program = """
    #include <cstdio>
    extern "C" __attribute__((noinline)) long thrower(long n)
    {
            if (n == 0)
                    throw 1;
            return thrower(n - 1) + 1;
    }
    extern "C" __attribute__((noinline)) long quiet(long n) { return n + 1; }
    int main()
    {
            long caught = 0;
            for (int i = 0; i < 20; i++) {
                    try {
                            thrower(3);
                    } catch (int) {
                            caught += quiet(i) == i + 1;
                    }
            }
            std::printf("%ld caught\\n", caught);
    }
    """
    funcs = [{"func_name": name, "prototype": f"long {name}(long n);", "internal": True} for name in ("thrower", "quiet")]
    ran = under("ptrace", {"funcs": funcs}, compile_c(program, "-x", "c++", "-O0", cc="c++"))
    assert (0, ["20 caught"]) == (ran.status, ran.lines), ran.said
    assert [(n, n + 1) for n in range(20)] == [(call["args"]["n"], call["ret"]) for call in ran.of("quiet")]
    assert [] == [call for call in ran.of("thrower") if call.get("ret") is not None]


# --- D7, D8 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        (), ("-fno-plt",), ("-Wl,-z,now",), ("-Wl,-z,lazy",), ("-no-pie",), ("-no-pie", "-Wl,-z,now"), ("-static",),
        ("-static-pie",), ("-no-pie", "-fno-plt"), ("-Wl,--hash-style=sysv",),
    ],
    ids=lambda flags: " ".join(flags) or "plain",
)  # fmt: skip
def test_d7_d8_however_a_program_is_linked_its_calls_and_its_own_functions_are_seen(
    under: Under, compile_c: Compile, flags: tuple[str, ...]
) -> None:
    """It read relocation -1, dereferenced NULL, added the base twice, and never hooked local functions."""
    program = """
    #include <stdio.h>
    #include <stdlib.h>
    __attribute__((noinline)) int own(int n) { return n + 1; }
    int main(void) { printf("%d %d\\n", rand(), own(4)); return 0; }
    """
    config = {"funcs": [{"func_name": "rand"}, {"func_name": "own", "prototype": "int own(int n);"}]}
    ran = under("ptrace", config, compile_c(program, *flags))
    assert (0, ["1804289383 5"]) == (ran.status, ran.lines), ran.said
    assert [[1804289383], [5]] == [[call["ret"] for call in ran.of(name)] for name in ("rand", "own")], ran.said


def test_d7_a_program_without_a_single_relocation_is_no_trouble(under: Under, compile_c: Compile) -> None:
    source = """
    __attribute__((noinline, used)) long own(long n) { return n + 1; }
    void _start(void)
    {
            long status = own(6);
            __asm__ volatile("syscall" : : "a"(231), "D"(status) : "memory");
            __builtin_unreachable();
    }
    """
    program = compile_c(source, "-static", "-nostdlib", "-fno-stack-protector")
    ran = under("ptrace", {"funcs": [{"func_name": "own", "prototype": "long own(long n);"}]}, program)
    assert (7, [7]) == (ran.status, [call["ret"] for call in ran.of("own")]), ran.said


# --- D9 --------------------------------------------------------------------------------------------------------------


def test_d9_functions_of_libraries_loaded_later_and_ifuncs_are_seen(
    under: Under, compile_c: Compile, tmp_path: Path
) -> None:
    """Only what the program itself imported or defined was."""
    library = compile_c("int plugged(int n) { return n * 2; }", "-shared", "-fPIC")
    body = f"""
    void *handle = dlopen("{library}", RTLD_NOW);
    int (*plugged)(int) = (int (*)(int))dlsym(handle, "plugged");
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    char room[8] = "";
    copy(room, "copied", 7);
    printf("%d %s %s\\n", plugged(21), room, realpath("/", NULL));
    """
    funcs = [{"func_name": "plugged", "prototype": "int plugged(int n);", "library": str(library)},
             {"func_name": "memcpy"}, {"func_name": "realpath"}]  # fmt: skip
    program = compile_c(main("dlfcn.h stdio.h stdlib.h string.h", body), "-fno-builtin", "-rdynamic")
    ran = under("ptrace", {"funcs": funcs}, program)
    assert (0, ["42 copied /"]) == (ran.status, ran.lines), ran.said
    assert [42] == [call["ret"] for call in ran.of("plugged")], ran.said
    assert 7 in [call["args"]["n"] for call in ran.of("memcpy")], ran.said
    assert ["/"] == [call["args"].get("name", call["args"].get("path")) for call in ran.of("realpath")]


# --- D10 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"syscalls": 1}', '{"syscalls": [{"syscall_id": "no_such_call"}]}', '{"syscalls": [{"syscall_id": -4}]}',
     '{"syscalls": [{"func_name": "rand"}]}', '{"syscalls": [{"syscall_id": 1, "back_enter": "h"}]}'],
)  # fmt: skip
def test_d10_errors_of_a_config_are_errors(tmp_path: Path, wc_run: Run, engine: str, text: str) -> None:
    """They were constructed and not thrown."""
    (tmp_path / "config.json").write_text(text)
    ran = wc_run("--engine", engine, "-c", "config.json", "touch", "ran", cwd=tmp_path)
    assert 125 == ran.returncode
    assert "config.json:1:" in ran.stderr
    assert not (tmp_path / "ran").exists()


def test_d10_a_program_that_cannot_be_traced_is_an_error(under: Under) -> None:
    assert 127 == under("ptrace", calls_of("getpid"), "/nowhere/at/all").status
    assert 126 == under("ptrace", calls_of("getpid"), "/etc/passwd").status


# --- D11 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_d11_a_library_built_anew_under_the_same_path_is_the_new_one(
    under: Under, compile_c: Compile, tmp_path: Path, engine: str
) -> None:
    """Handlers of the same name stayed those of the library that was no longer there."""
    program = compile_c(main("stdlib.h", "rand();"))
    config = {"library_path": str(tmp_path / "h.so"), "funcs": [target("rand", "h")]}
    for generation in ("first", "second"):
        built = compile_c(one("stdio.h", f'printf("{generation}\\n"); fflush(stdout);'), *HANDLERS)
        (tmp_path / "new.so").write_bytes(built.read_bytes())
        (tmp_path / "new.so").replace(tmp_path / "h.so")
        assert [generation] == under(engine, config, program).lines


@pytest.mark.parametrize("engine", ENGINES)
def test_d11_signals_to_change_the_config_end_nobody(
    tmp_path: Path, compile_c: Compile, table: Path, engine: str
) -> None:
    """SIGUSR1 and SIGUSR2 left dangling pointers, by handlers that were not safe in a signal's."""
    body = 'puts("ready"); fflush(stdout); fgets(room, 9, stdin); for (int i = 0; i < 9; i++) printf("%d\\n", rand()); return 3;'
    program = compile_c(main("stdio.h stdlib.h", "char room[9];" + body))
    config = {"library_path": str(table), "funcs": [target("rand", "test_rand_enter", "test_rand_exit")]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with running(tmp_path, engine, str(program)) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert "ready\n" == run.stdout.readline()
        for number in (signal.SIGUSR1, signal.SIGUSR2) * 5:
            run.send_signal(number)
        out, said = run.communicate("go\n", timeout=60)
        assert (3, 9, 9) == (run.returncode, out.count("rand enter"), out.count("rand exit")), said


@contextmanager
def running(folder: Path, engine: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(BIN / "wc-run"), "--engine", engine, "-c", "config.json", "--format", "jsonl", "-o", "calls.jsonl", *words]
    run = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)  # fmt: skip
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


# --- D12 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_d12_peek_and_poke_read_and_write_what_they_say(under: Under, compile_c: Compile, engine: str) -> None:
    """-1 was an error, the source never advanced, and what was poked was the tracer's own pointer."""
    handler = one("wc_ptrace.h", """
    unsigned char data[16] = {0};
    const long at = (long)regs->rdi;
    errno = 7;
    const long minus = PeekLong(pid, at);
    printf("%ld %d, %d:", minus, errno, PeekData(pid, at + 8, 13, (char *)data));
    for (int i = 0; i < 16; i++)
            printf(" %d", data[i]);
    bool done = PokeChar(pid, at + 8, 0x11) && PokeInt(pid, at + 10, -1) && PokeLong(pid, at + 16, 77);
    printf("\\n%d %lx %ld, %d\\n", done, PeekLong(pid, at + 8), PeekLong(pid, at + 16), PeekData(pid, 8, 4, (char *)data));
    fflush(stdout);
    """)  # fmt: skip
    program = main("stdlib.h string.h", """
    long words[6] = {-1, 0x0807060504030201, 0x100f0e0d0c0b0a09, 3, 4, 5};
    void *volatile place = memcpy(malloc(sizeof words), words, sizeof words);
    free(place);
    """)  # fmt: skip
    config = {"library_path": str(compile_c(handler, *HANDLERS)), "funcs": [target("free", "h")]}
    ran = under(engine, config, compile_c(program, "-fno-builtin"))
    assert ["-1 0, 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 0 0 0", "1 807ffffffff0211 77, -1"] == ran.lines[:2], ran.said


# --- D13 -------------------------------------------------------------------------------------------------------------


def test_d13_a_traced_programs_environment_and_descriptors_are_its_own(under: Under, tmp_path: Path) -> None:
    """LD_PRELOAD was emptied whether or not it was used."""
    script = 'echo "${LD_PRELOAD-unset} $(env | grep -c WC_)"; exec ls /proc/self/fd'
    alone = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                           stdin=subprocess.DEVNULL)  # fmt: skip
    ran = under("ptrace", calls_of("getppid"), "sh", "-c", script)
    assert alone.stdout.splitlines() == ran.lines, ran.said
    environment = {**os.environ, "LD_PRELOAD": "libm.so.6"}
    assert "libm.so.6 0" == under("ptrace", calls_of("getppid"), "sh", "-c", script, env=environment).lines[0]


def test_d13_the_tracer_keeps_no_descriptors(tmp_path: Path, compile_c: Compile) -> None:
    """/proc/PID/maps was left open each time it was read. 30 execs and 30 libraries later it has as many as before."""
    body = """
    char line[99];
    for (int i = 0; i < 30; i++) {
            dlclose(dlopen("libm.so.6", RTLD_NOW));
            if (fork() == 0)
                    execlp("true", "true", (char *)NULL);
            wait(NULL);
            rand();
            if (i == 4 || i == 29) {
                    puts("now");
                    fflush(stdout);
                    fgets(line, sizeof line, stdin);
            }
    }
    """
    program = compile_c(main("dlfcn.h stdio.h stdlib.h sys/wait.h unistd.h", body))
    (tmp_path / "config.json").write_text(json.dumps(functions("rand") | calls_of("getppid")))
    with running(tmp_path, "ptrace", str(program)) as run:
        counts = []
        for _ in range(2):
            assert run.stdout is not None
            assert run.stdin is not None
            assert "now\n" == run.stdout.readline()
            counts.append(len(os.listdir(f"/proc/{tracer_of(run.pid)}/fd")))
            run.stdin.write("go\n")
            run.stdin.flush()
        assert 0 == run.wait(60)
    assert counts[0] == counts[1]


def tracer_of(pid: int) -> int:
    """Return the tracer among the children of wc-run, *pid*; it is asked for while the program waits."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if "wc-tracer" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
    raise AssertionError("there is no tracer")


# --- D14 -------------------------------------------------------------------------------------------------------------


def test_d14_the_build_makes_a_tracer_that_runs() -> None:
    """The Makefile's rule removed the old one, and linked nothing."""
    import wc_intercept

    (tracer,) = [path for folder in wc_intercept.__path__ if (path := Path(folder, "_native", "wc-tracer")).exists()]
    ran = subprocess.run([tracer], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert ran.returncode > 0, "without a session it says so and ends"


def test_d14_the_log_has_no_line_per_event(under: Under, compile_c: Compile, tmp_path: Path) -> None:
    program = compile_c(main("stdlib.h unistd.h", "for (int i = 0; i < 500; i++) { rand(); getppid(); }"))
    config = functions("rand", logger_path="logger.txt") | calls_of("getppid")
    assert 1000 == len(under("ptrace", config, program).calls)
    assert len((tmp_path / "logger.txt").read_text().splitlines()) < 20


# --- D15 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frequency", "records"), [(1, 900), (300, 3), (256, 3), (1000, 0)])
def test_d15_a_frequency_counts_beyond_a_byte(
    under: Under, compile_c: Compile, frequency: int, records: int
) -> None:
    """It was a byte, and unused."""
    program = compile_c(main("stdlib.h unistd.h", "for (int i = 0; i < 900; i++) { rand(); getppid(); }"))
    config = {"funcs": [{"func_name": "rand", "frequency": frequency}],
              "syscalls": [{"syscall_id": "getppid", "frequency": frequency}]}  # fmt: skip
    ran = under("ptrace", config, program)
    assert (records, records) == (len(ran.of("rand")), len(ran.of("getppid"))), ran.said


def test_d15_the_key_preload_chooses_the_engine_of_a_target(under: Under, compile_c: Compile) -> None:
    """It was unused as well. One run, both engines, and nothing is recorded twice."""
    config = {"funcs": [{"func_name": "rand", "preload": True}, {"func_name": "srand", "preload": False}]}
    program = compile_c(main("stdlib.h", "for (int i = 0; i < 5; i++) { rand(); srand(i); }"))
    ran = under("auto", config, program, options=("--explain",))
    assert "not intercepted" not in ran.said
    again = under("auto", config, program)
    assert (5, 5) == (len(again.of("rand")), len(again.of("srand"))), again.said


# --- and what the list left out --------------------------------------------------------------------------------------


def test_the_program_gets_its_arguments_and_gives_its_status(under: Under) -> None:
    """There was no way to pass any, not even argv[0]."""
    ran = under("ptrace", calls_of("getppid"), "sh", "-c", 'echo "$0 $#"; exit 9', "name", "b", "c d")
    assert (9, ["name 2"]) == (ran.status, ran.lines)


@pytest.mark.parametrize("config", ["usage", "dynamic-before", "dynamic-after"])
def test_its_own_configs_run_in_the_engine_that_took_its_place(
    tmp_path: Path, compile_c: Compile, table: Path, config: str
) -> None:
    """As documented, but for the author's home; the program takes three minutes, and is watched for two numbers."""
    text = (ORIGINAL / f"{config}.json").read_text()
    before = text.index('"/home/huomax')
    (tmp_path / "config.json").write_text(text[:before] + json.dumps(str(table)) + text[text.index('"', before + 1) + 1 :])
    source = (ORIGINAL / "test_dynamic.c").read_text().replace("sleep(1)", "fflush(stdout); sleep(0)")
    with running(tmp_path, "ptrace", str(compile_c(source))) as run:
        out, said = run.communicate(timeout=60)
    lines = out.splitlines()
    assert (0, 180) == (run.returncode, sum(line.startswith("num: ") for line in lines)), said
    expected = ["rand enter", "rand exit", "num: 1804289383"]
    if config == "dynamic-before":
        expected += ["sleep enter", "sleep exit"]
    assert [*expected, "rand enter", "rand exit", "num: 846930886"] == lines[: len(expected) + 3]
