"""Python handlers, @decide: calls that wait until a function has said what is to become of them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import Compile, main

HEAD = "from wc_intercept.consumer import on, decide\n"
ACCESS = main("unistd.h errno.h stdio.h stdlib.h", """
    for (int i = 0; i < (argc > 1 ? 3 * atoi(argv[1]) : 3); i++) {
        errno = 77;
        const int ret = access(i % 3 ? "/etc/passwd" : "/etc", i % 3);
        printf("%d %d\\n", ret, errno);
    }""")


@dataclass
class Ran:
    status: int
    lines: list[str]
    said: str
    calls: list[dict[str, Any]] = field(default_factory=list)

    def of(self, func: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["func"] == func]


Under = Callable[..., Ran]


@pytest.fixture
def under_either(tmp_path: Path, compile_c: Compile, wc_run: Run) -> Under:
    """under_either(handlers, program, option...): what was printed, and the calls as recorded."""

    def run(handlers: str, program: str, *options: str, flags: Sequence[str] = (), arguments: Sequence[str] = ()) -> Ran:
        (tmp_path / "mine.py").write_text(HEAD + handlers)
        command = ("--handlers", "mine.py", "--format", "jsonl", "-o", "out", *options)
        done = wc_run(*command, compile_c(program, *flags), *arguments, cwd=tmp_path)
        out = tmp_path / "out"
        calls = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr, calls)

    return run


@pytest.fixture(params=["preload", "ptrace"])
def under(request: pytest.FixtureRequest, under_either: Under) -> Under:
    """The same, once under each engine."""

    def run(handlers: str, program: str, *options: str, **more: Any) -> Ran:
        return under_either(handlers, program, "--engine", str(request.param), *options, **more)

    return run


def access(body: str) -> str:
    return f"@decide('fn:access')\ndef f(call):\n    {body}\n"


# --- what may be answered --------------------------------------------------------------------------------------------

USUAL = ["0 77", "-1 13", "0 77"]
"""errno stays what it was where the answer does not set it; /etc/passwd is executable for nobody."""
BEFORE = [
    ("return None", USUAL),
    ("return call.go()", USUAL),
    ("return call.go(mode=0)", ["0 77"] * 3),
    ("return call.go(pathname='/nonexistent')", ["-1 2"] * 3),
    ("return call.fail('EXDEV')", ["-1 18"] * 3),
    ("return call.returns(7)", ["7 77"] * 3),
    ("return call.returns(-1)", ["-1 77"] * 3),
    ("return call.wait(0.01)", USUAL),
    ("return call.fail('EIO') if call.args['pathname'] == '/etc' else None", ["-1 5", "-1 13", "0 77"]),
    ("return call.fail('EIO') if call.args['mode'] == 2 else None", ["0 77", "-1 13", "-1 5"]),
    ("call.symbol, call.pid, call.tid; assert call.after is False and call.ret is None", USUAL),
]
AFTER = [
    ("call.ret = 5", ["5 77", "5 13", "5 77"]),
    ("call.ret = -1; call.errno = 'EIO'", ["-1 5"] * 3),
    ("return call.fail('EIO')", ["-1 5"] * 3),
    ("call.ret = 0 if call.errno == 'EACCES' else 9", ["9 77", "0 13", "9 77"]),
    ("return call.wait(0.01)", USUAL),
    ("assert (call.ret, call.errno) in ((0, None), (-1, 'EACCES')) and call.after", USUAL),
]
WRONG = [
    ("return True", "a handler answers None"),
    ("return call.go(nosuch=1)", "access: nosuch is no argument that can be changed; these are: pathname, mode"),
    ("call.args['mode'] = 0", "call.args is only to be read: return call.go(mode=0)"),
    ("return call.go(mode='r')", "access: mode is no string that the call reads"),
    ("return call.go(mode=1 << 40)", "access: mode: 1099511627776 does not fit its 32 bits"),
    ("return call.go(pathname='a\\0b')", "has a NUL in it"),
    ("return call.go(pathname='x' * 20000)", "the new strings have more than"),
    ("return call.fail('ENOSUCH')", "'ENOSUCH' is no error's name"),
    ("return call.returns('x')", "access returns: 'x' cannot be put there"),
    ("return call.wait(-1)", "call.wait(-1): needed are 0 to"),
    ("call.ret = 5", "call.ret may be set for calls that are back: after=True"),
    ("raise SystemExit", "SystemExit"),
]


def in_turn(bodies: Sequence[str], after: bool) -> str:
    """Return handlers of which the first decides about the first three calls, the next about the next..."""
    text = "count = -1\n"
    for i, body in enumerate(bodies):
        number = "global count; count += 1" if i == 0 else "pass"
        text += f"@decide('fn:access', after={after})\ndef f{i}(call):\n    {number}\n    if count // 3 == {i}:\n        {body}\n"
    return text


@pytest.mark.parametrize(("cases", "after"), [(BEFORE, False), (AFTER, True)])
def test_the_call_does_what_is_answered(under: Under, cases: list[tuple[str, list[str]]], after: bool) -> None:
    ran = under(in_turn([body for body, _ in cases], after), ACCESS, arguments=(str(len(cases)),))
    lines = [line for _, lines in cases for line in lines]
    assert (lines, "") == (ran.lines, ran.said)
    assert [int(line.split()[0]) for line in lines] == [call["ret"] for call in ran.calls]


def test_what_cannot_be_answered_is_an_exception_and_the_call_goes_on(under: Under) -> None:
    ran = under(in_turn([body for body, _ in WRONG], False), ACCESS, arguments=(str(len(WRONG)),))
    assert USUAL * len(WRONG) == ran.lines
    assert [] == [error for _, error in WRONG if error not in ran.said]
    assert len(WRONG) == ran.said.count("a handler raised an exception")
    assert "answering.py" not in ran.said


def test_the_first_handler_that_answers_decides(under: Under) -> None:
    more = "@decide('acc*')\ndef g(call): return call.returns(2)\n@decide('fn:access')\ndef h(call): return call.returns(3)\n"
    assert ["1 77", "2 77", "2 77"] == under(access("return call.returns(1) if call.args['mode'] == 0 else None") + more, ACCESS).lines


KINDS = """
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        char out[64];
        volatile double two = 2;
        printf("%.2f %.2f\\n", sqrt(two), sqrtf((float)two));
        printf("%d\\n", pthread_mutex_trylock(&mutex));
        printf("%s\\n", getenv("NO_SUCH_VARIABLE_HERE") ? "there" : "none");
        printf("%d %s\\n", snprintf(out, sizeof out, "%d-%s", 5, "five"), out);
        printf("%d\\n", div(7, 2).quot);
        fclose(fopen("/dev/null", "r"));
        return 0;
}
"""


def test_calls_of_every_kind_are_decided_about(under: Under) -> None:
    handlers = """
@decide('sqrt', 'sqrtf')
def roots(call): return call.go(x=16.0) if call.func == 'sqrt' else call.returns(1.5)
@decide('pthread_mutex_trylock')
def lock(call): return call.fail('EBUSY')
@decide('getenv')
def variable(call): return call.go(name='PATH')
@decide('snprintf', after=True)
def length(call): call.ret = call.ret + 100
@decide('div')
def division(call): return call.go(numerator=9) if 'numerator' in call.args else call.go(**{next(iter(call.args)): 9})
@decide('fclose', after=True)
def closed(call): print(call, flush=True)
"""
    ran = under(handlers, KINDS, flags=("-fno-builtin", "-U_FORTIFY_SOURCE", "-lm"))
    assert ["4.00 1.50", "16", "there", "106 5-five", "4"] == [line for line in ran.lines if "fclose" not in line], ran.said
    assert 1 == sum(bool(re.fullmatch(r"fclose\(stream=\d+\) = 0", line)) for line in ran.lines)
    assert ["EBUSY"] == [call["errno"] for call in ran.of("pthread_mutex_trylock")]


def test_a_call_shows_what_jsonl_shows(under: Under) -> None:
    """The fast decoder of one record and the one of thousands agree: after the call, on all that records keep."""
    program = main("fcntl.h unistd.h sys/stat.h sys/socket.h netinet/in.h time.h stdio.h string.h stdlib.h poll.h sys/wait.h", """
        struct stat st; char buf[600]; int fds[2], status; struct timespec ts = {0, 1000};
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
        int fd = open("/etc/passwd", O_RDONLY); read(fd, buf, 500); read(-1, buf, 5); stat("/etc", &st); stat("/no\\xffne", &st);
        pipe(fds); write(fds[1], "a\\0b\\xfe", 4); nanosleep(&ts, NULL); struct pollfd p = {fds[0], POLLIN, 0}; poll(&p, 1, 0);
        int s = socket(AF_INET, SOCK_STREAM, 0); connect(s, (struct sockaddr *)&in, sizeof in); open(NULL, 0);
        if (fork() == 0) _exit(3); wait(&status); getcwd(buf, sizeof buf); readlink("/proc/self/exe", buf, 9); lseek(fd, -1, 0);
        strtol("12x", NULL, 10); setenv("A", "B", 1); close(fd); malloc(5);""")
    names = ("open", "read", "stat", "pipe", "write", "nanosleep", "poll", "socket", "connect", "wait", "getcwd", "readlink", "lseek",
             "strtol", "setenv", "close", "malloc")  # fmt: skip
    handlers = f"""
import json
@decide(*{names!r}, after=True)
def f(call): print(json.dumps([call.func, call.args, call.ret, call.errno, call.pid, call.tid]), flush=True)
"""
    ran = under(handlers, program, flags=("-D_GNU_SOURCE", "-fno-builtin"))
    told = [json.loads(line) for line in ran.lines]
    shown = [[call[key] for key in ("func", "args", "ret", "errno", "pid", "tid")] for call in ran.calls]
    assert len(told) >= 20, ran.said
    assert shown == told


# --- signals, threads, children, jumps -------------------------------------------------------------------------------

def test_threads_and_children_wait_for_their_own_answers(under: Under) -> None:
    program = """
    #include <errno.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static void *
    ask(void *from)
    {
            long wrong = 0;
            for (int i = 0; i < 300; i++)
                    wrong += access("/", (int)(long)from * 1000 + i) != (int)(long)from * 1000 + i;
            return (void *)wrong;
    }
    int
    main(void)
    {
            pthread_t threads[4];
            long wrong = 0;
            int status;
            for (int child = 0; child < 3; child++)
                    if (fork() == 0)
                            _exit(ask((void *)(long)(child + 10)) != NULL);
            for (long i = 0; i < 4; i++)
                    pthread_create(&threads[i], NULL, ask, (void *)i);
            for (int i = 0; i < 4; i++) {
                    void *result;
                    pthread_join(threads[i], &result);
                    wrong += (long)result;
            }
            while (wait(&status) > 0)
                    wrong += status != 0;
            printf("%ld\\n", wrong);
            return 0;
    }
    """
    ran = under(access("return call.returns(call.args['mode'])"), program, flags=("-pthread",))
    assert (["0"], "") == (ran.lines, ran.said)
    assert 2100 == len(ran.of("access"))


def test_signal_handlers_ask_while_the_call_that_they_interrupt_waits(under: Under) -> None:
    """Each question has its own answer, and a handler may leave one for good by siglongjmp."""
    program = """
    #include <setjmp.h>
    #include <signal.h>
    #include <stdio.h>
    #include <sys/time.h>
    #include <unistd.h>
    static sigjmp_buf back;
    static volatile int wrong, handled, jumps, jumping;
    static void
    alarmed(int number)
    {
            (void)number;
            handled++;
            wrong += access("/inner", 4) != 4;
            if (jumping)
                    siglongjmp(back, 1);
    }
    int
    main(void)
    {
            const struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
            signal(SIGALRM, alarmed);
            setitimer(ITIMER_REAL, &often, NULL);
            while (handled < 100)
                    wrong += access("/outer", 3) != 3;
            jumping = 1;
            for (jumps = 0; jumps < 100; jumps++)
                    if (sigsetjmp(back, 1) == 0)
                            for (;;)
                                    wrong += access("/outer", 3) != 3;
            jumping = 0;
            setitimer(ITIMER_REAL, &never, NULL);
            wrong += access("/outer", 3) != 3;
            printf("%d wrong\\n", wrong);
            return 0;
    }
    """
    ran = under(access("return call.returns({'/inner': 4, '/outer': 3}[call.args['pathname']])"), program)
    assert ["0 wrong"] == ran.lines
    assert "warning" not in ran.said


def test_a_fork_in_a_signal_handler_leaves_both_with_the_answer(under: Under) -> None:
    program = main("signal.h unistd.h stdio.h sys/wait.h sys/time.h", """
        struct sigaction action = {.sa_handler = (void (*)(int))fork};
        const struct itimerval soon = {{0, 0}, {0, 50000}};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &soon, NULL);
        printf("%d\\n", access("/", 0));
        fflush(stdout);
        wait(NULL);""")
    ran = under("import time\n" + access("time.sleep(0.2); return call.returns(6)"), program)
    assert ["6", "6"] == ran.lines


def test_a_vfork_child_asks_before_it_becomes_another_program(under: Under) -> None:
    program = main("unistd.h stdio.h sys/wait.h", """
        if (vfork() == 0) { execl("/bin/echo", "echo", "one", NULL); _exit(1); }
        wait(NULL);""")
    handlers = "@decide('execl')\ndef f(call): return call.go(pathname='/bin/printf') if call.args['pathname'] == '/bin/echo' else None"
    ran = under(handlers, program)
    assert ["one"] == ran.lines and ran.status == 0, ran.said


# --- nobody answers in time ------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("options", "lines"), [((), ["0 77"]), (("--decide-default", "fail"), ["-1 1"])])
def test_a_call_goes_on_or_fails_when_the_answer_is_late(under: Under, options: Sequence[str], lines: list[str]) -> None:
    program = main("unistd.h errno.h stdio.h", 'errno = 77; int ret = access("/", 0); printf("%d %d\\n", ret, errno);')
    ran = under("import time\n" + access("time.sleep(0.5); return call.returns(9)"), program, "--decide-timeout", "50ms", *options)
    assert lines == ran.lines


def test_a_late_answer_is_not_the_next_calls(under: Under) -> None:
    program = main("unistd.h stdio.h", 'for (int i = 0; i < 40; i++) { int r = access("/", i); if (r > 0 && r != i) printf("%d got %d\\n", i, r); }')
    body = "time.sleep(0.03 if call.args['mode'] % 4 == 1 else 0); return call.returns(call.args['mode'])"
    assert [] == under("import time\n" + access(body), program, "--decide-timeout", "10ms").lines


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.kill(os.getppid(), 9)"])
def test_whoever_dies_the_program_goes_on(tmp_path: Path, compile_c: Compile, end: str, engine: str) -> None:
    """The handlers' process, or wc-run: calls do not wait for the dead, however long they might."""
    program = compile_c(main("unistd.h stdio.h", 'for (int i = 0; i < 3; i++) access("/", 0); puts("done");'))
    (tmp_path / "mine.py").write_text(HEAD + "import os, time\n" + access(f"{end}; time.sleep(60)"))
    command = [BIN / "wc-run", "--handlers", "mine.py", "--decide-timeout", "60m", "--engine", engine, "-o", "out", program]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and "done\n" == run.stdout.readline()
    assert time.monotonic() - began < 30


def test_handlers_that_stop_are_no_reason_to_wait_longer_than_the_limit(under: Under) -> None:
    program = main("unistd.h stdio.h", 'access("/", 0); access("/", 0); puts("done"); fflush(stdout); _exit(0);')
    handlers = "import os, signal, threading\n" + access(
        "threading.Timer(1, os.system, [f'kill -CONT {os.getpid()}']).start(); os.system(f'(sleep 1; kill -CONT {os.getpid()}) & "
        "kill -STOP {os.getpid()}')")
    assert ["done"] == under(handlers, program, "--decide-timeout", "100ms").lines


def test_calls_are_answered_whose_session_was_deleted(under: Under) -> None:
    program = main("unistd.h stdio.h", 'for (int i = 0; i < 4; i++) printf("%d\\n", access("/", 0));')
    handlers = """
import glob, os, shutil, time
seen = 0
@decide("fn:access")
def f(call):
    global seen
    seen += 1
    if seen == 2:
        (session,) = glob.glob(f"/dev/shm/wc-{os.getppid()}-*")
        while not os.path.exists(session + "/ask"):  # wc-run is still busy beginning
            time.sleep(0.01)
        shutil.rmtree(session)
    return call.returns(seen)
"""
    assert ["1", "2", "3", "4"] == under(handlers, program, "--decide-timeout", "10m").lines


# --- what cannot be asked --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "why"), [
    ("_exit", "does not come back"),
    ("vfork", "does not come back"),
    ("sys:exit_group", "does not come back"),
])
def test_a_name_that_could_never_be_asked_is_refused(under_either: Under, name: str, why: str) -> None:
    ran = under_either(f"@decide({name!r})\ndef f(call): pass", ACCESS)
    assert 125 == ran.status and why in ran.said, ran.said


def test_a_shim_made_without_questions_is_refused(under_either: Under, shim: Callable[..., Path]) -> None:
    ran = under_either(access("pass"), ACCESS, "--preload", str(shim("access")))
    assert 125 == ran.status and "was made without @decide" in ran.said


def test_calls_are_asked_that_a_config_samples_or_records_at_both_ends(under: Under, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"funcs": [{"func_name": "access", "record": "both", "frequency": 2}]}')
    ran = under(access("return call.returns(5)"), ACCESS, "-c", "config.json")
    assert ["0 77", "5 77", "0 77"] == ran.lines
    assert [5] == [call["ret"] for call in ran.calls]


def test_it_stays_right_for_long(under: Under, soak: bool) -> None:
    """Questions and withdrawals in turn, of 8 threads: every answer that comes is the call's own."""
    rounds = "20000" if soak else "400"
    program = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static int rounds, answered;
    static void *
    ask(void *from)
    {
            for (int i = 0; i < rounds; i++) {
                    const int mode = (int)(long)from << 20 | i | 1 << 30, ret = access("/", mode);
                    if (ret == mode)
                            __atomic_fetch_add(&answered, 1, __ATOMIC_RELAXED);
                    else if (ret != -1)
                            printf("%x got %x\\n", mode, ret);
            }
            return NULL;
    }
    int
    main(int argc, char **argv)
    {
            pthread_t threads[8];
            rounds = argc > 1 ? atoi(argv[1]) : 1;
            for (long i = 0; i < 8; i++)
                    pthread_create(&threads[i], NULL, ask, (void *)i);
            for (int i = 0; i < 8; i++)
                    pthread_join(threads[i], NULL);
            puts(answered > 8 * rounds / 4 ? "enough" : "too few");
            return 0;
    }
    """
    handlers = "import time\nn = 0\n" + access(
        "global n; n += 1; time.sleep(0.003 if n % 50 == 0 else 0); return call.returns(call.args['mode'])")
    ran = under(handlers, program, "--decide-timeout", "2ms", flags=("-pthread",), arguments=(rounds,))
    assert ["enough"] == ran.lines, ran.lines[:5]
