"""wc-run with a tracer beside the program: what is shown, what the program inherits, and how all of them end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from wc_intercept.consumer import tracer as tracers
from wc_intercept.consumer.refusal import Refusal
from wc_intercept.consumer.session import SessionDirectory
from wc_intercept.consumer.tracer import Tracer

WC_RUN = str(BIN / "wc-run")
STARTED: list[subprocess.Popen[str]] = []
Calls = list[dict[str, Any]]

STATIC = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int own(int n) { return n + 1; }
int main(int argc, char **argv) {
        char text[8];
        int fd = open("/etc/hostname", O_RDONLY);
        (void)!read(fd, text, sizeof text);
        close(fd);
        open(argv[0][0] ? "/nonexistent" : "", O_RDONLY);
        return own(argc) == 2 ? 0 : 1;
}
"""


@pytest.fixture(autouse=True)
def nothing_is_left_over() -> Iterator[None]:
    """A test that fails leaves no wc-run behind; its tracer and program end with it."""
    yield
    for process in STARTED:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if not process.stdin or not process.stdin.closed:
            process.communicate()
    STARTED.clear()


@pytest.fixture
def traced(wc_run: Run, tmp_path: Path) -> Callable[..., tuple[Calls, subprocess.CompletedProcess[str]]]:
    """traced("open", "ls", "/") -> the calls as jsonl has them, and how wc-run ended."""

    def run(names: str, *words: Any, options: tuple[str, ...] = (), **more: Any) -> Any:
        out = tmp_path / "calls.jsonl"
        what = ("--engine", "ptrace", "--trace", names, "--format", "jsonl", "-o", out)
        done = wc_run(*what, *options, *words, **more)
        return [json.loads(line) for line in out.read_text().splitlines()], done

    return run


def start(*words: str, **more: Any) -> subprocess.Popen[str]:
    """Start wc-run in a process group of its own, with pipes."""
    more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    process = subprocess.Popen([WC_RUN, *words], process_group=0, **more)
    STARTED.append(process)
    return process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def natively(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 60} | options
    return subprocess.run(words, **options)


def eventually(what: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)
    return what()


def tracer_of(process: subprocess.Popen[str]) -> int:
    """The pid of the tracer that *process*, a wc-run, has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "wc-tracer\n")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_gone(pid: int) -> bool:
    try:
        return state_of(pid) == "Z"
    except OSError:
        return True


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_system_calls_are_shown_as_strace_shows_them(wc_run: Run, tmp_path: Path) -> None:
    wc_run("--engine", "ptrace", "--trace", "openat,read,exit_group", "-o", tmp_path / "out", "cat", "/etc/hostname")
    text = Path("/etc/hostname").read_text()
    lines = (tmp_path / "out").read_text().splitlines()
    quoted = json.dumps(text)
    assert 'openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3' in lines
    assert f"read(3, {quoted}, 131072) = {len(text)}" in lines
    assert lines[-1] == "exit_group(0) = ?"


def test_a_system_call_is_a_line_of_jsonl(traced: Any) -> None:
    calls, _ = traced("openat,exit_group", "cat", "/etc/hostname", "/nonexistent")
    failed = next(
        call for call in calls if call["args"].get("filename", call["args"].get("pathname")) == "/nonexistent"
    )
    assert {key: failed[key] for key in ("func", "symbol", "kind", "engine", "ret", "errno")} == {
        "func": "openat", "symbol": "openat", "kind": "syscall", "engine": "ptrace", "ret": -1, "errno": "ENOENT",
    }  # fmt: skip
    assert (calls[-1]["func"], calls[-1]["ret"], calls[-1]["duration"]) == ("exit_group", None, None)
    assert "unfinished" not in calls[-1]


def test_nothing_of_the_launch_is_shown_but_the_programs_own_exec(traced: Any) -> None:
    calls, _ = traced("*", "true")
    assert (calls[0]["func"], calls[0]["ret"], calls[-1]["func"]) == ("execve", 0, "exit_group")
    assert [call["func"] for call in calls].count("execve") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("ls", "-la", "/etc"),
        ("git", "--version"),
        ("python3", "-S", "-E", "-c", "import json; print(json.dumps([1]))"),
        ("bash", "-c", "echo one | cat | tr o 0; (exit 3); echo $?"),
        ("sqlite3", ":memory:", "create table t(x); insert into t values (1), (2); select sum(x) from t;"),
    ],
    ids=lambda words: words[0],
)
def test_a_real_program_does_what_it_does_alone(
    words: tuple[str, ...], traced: Any, needs: Callable[[str], str]
) -> None:
    needs(words[0])
    native = natively(*words)
    calls, done = traced("*", *words, options=("--strict",))
    assert (done.returncode, done.stdout, done.stderr) == (native.returncode, native.stdout, native.stderr)
    ends = Counter(call["pid"] for call in calls if call["func"] == "exit_group")
    assert set(ends.values()) == {1}
    assert {call["pid"] for call in calls} == set(ends)


def test_children_are_followed_through_pipes(traced: Any) -> None:
    calls, _ = traced("execve", "bash", "-c", "/bin/true | /bin/cat; /bin/ls / >/dev/null")
    done = [call for call in calls if call["ret"] == 0]
    assert sorted(call["args"]["pathname"] for call in done)[:3] == ["/bin/cat", "/bin/ls", "/bin/true"]
    assert len({call["pid"] for call in done}) == 4


@pytest.mark.parametrize("flags", [("-static",), ("-static-pie",), ()], ids=["static", "static-pie", "dynamic"])
def test_a_program_of_any_linkage_is_traced(
    flags: tuple[str, ...], traced: Any, compile_c: Callable[..., Path]
) -> None:
    calls, done = traced("open,read,fn:own", compile_c(STATIC, *flags))
    assert done.returncode == 0, done.stderr
    seen = [call for call in calls if call["func"] in ("openat", "read", "own") or call["symbol"] == "openat"]
    tail = [(call["symbol"], call["kind"], call["ret"]) for call in seen][-4:]
    assert tail == [
        ("openat", "syscall", 3), ("read", "syscall", len(Path("/etc/hostname").read_text()[:8])),
        ("openat", "syscall", -1), ("own", "function", 2),
    ]  # fmt: skip


def test_auto_traces_a_static_program_instead_of_refusing_it(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    done = wc_run("--trace", "open", compile_c(STATIC, "-static"))
    assert (done.returncode, 'openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3' in done.stderr) == (0, True)


def test_engine_preload_refuses_a_static_program_and_names_the_way(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    done = wc_run("--engine", "preload", "--trace", "open", compile_c(STATIC, "-static"))
    assert (done.returncode, "statically linked" in done.stderr, "--engine auto" in done.stderr) == (125, True, True)


def test_a_shim_for_a_static_program_is_refused_naming_c(
    wc_run: Run, compile_c: Callable[..., Path], shim: Callable[..., Path]
) -> None:
    done = wc_run("--preload", shim("open"), compile_c(STATIC, "-static"))
    assert (done.returncode, "statically linked" in done.stderr, "-c CONFIG" in done.stderr) == (125, True, True)


def test_both_engines_serve_one_run(wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(
        json.dumps({"funcs": [{"func_name": "open"}, {"func_name": "own"}], "syscalls": [{"syscall_id": "openat"}]})
    )
    done = wc_run("-c", tmp_path / "c.json", "--strict", "--format", "jsonl", "-o", tmp_path / "out", compile_c(STATIC))
    calls = [json.loads(text) for text in (tmp_path / "out").read_text().splitlines()]
    assert done.returncode == 0, done.stderr
    mine = Counter((call["func"], call["kind"], call["engine"]) for call in calls)
    assert mine["open", "function", "preload"] == 2
    assert mine["own", "function", "ptrace"] == 1
    assert mine["openat", "syscall", "ptrace"] >= 4  # the program's two, and the dynamic linker's
    assert len({call["pid"] for call in calls}) == 1
    ended = [call["time"] + (call["duration"] or 0) for call in calls]
    assert ended == sorted(ended)
    mains = [call for call in calls if call["args"].get("pathname") in ("/etc/hostname", "/nonexistent")]
    assert [call["func"] for call in mains] == ["openat", "open", "openat", "open"]


def test_calls_of_both_engines_stand_in_order_while_they_run(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Long enough for the formatter; one engine is silent at times."""
    code = """
    #include <fcntl.h>
    #include <stdio.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    int main(void) {
            for (int i = 0; i < 3000; i++) {
                    close(open("/dev/null", O_RDONLY));
                    if (i % 1000 == 0) usleep(200000);
                    if (i % 7 == 0) syscall(SYS_close, -1);
            }
            puts("done");
            fflush(stdout);
            getchar();
            return 0;
    }"""
    (tmp_path / "c.json").write_text('{"funcs": [{"func_name": "open"}], "syscalls": [{"syscall_id": "close"}]}')
    out = tmp_path / "out"
    process = start("-c", str(tmp_path / "c.json"), "--format", "jsonl", "-o", str(out), str(compile_c(code)))
    assert line(process) == "done\n"
    assert eventually(lambda: out.read_text().count('"open"') == 6000)  # func and symbol
    assert eventually(lambda: out.read_text().count('"func":"close"') >= 3429)
    process.communicate("\n", timeout=60)
    calls = [json.loads(text) for text in out.read_text().splitlines()]
    ended = [call["time"] + (call["duration"] or 0) for call in calls]
    assert (process.returncode, ended == sorted(ended)) == (0, True)


def test_follow_all_covers_a_static_child_of_a_preloaded_program(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    static = compile_c(STATIC, "-static")
    script = f"cat /etc/hostname >/dev/null; {static}; env -i /bin/cat /etc/hostname >/dev/null"
    done = wc_run(
        "--trace", "open", "--follow", "all", "--format", "jsonl", "-o", tmp_path / "out", "bash", "-c", script
    )
    calls = [json.loads(text) for text in (tmp_path / "out").read_text().splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    hits = [call for call in calls if "/etc/hostname" in call["args"].values()]
    assert [call["engine"] for call in sorted(hits, key=lambda call: call["time"])] == ["preload", "ptrace", "preload"]
    assert {call["func"] for call in hits} == {"open"}


def test_without_it_such_a_child_is_named_with_the_option(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    static = compile_c(STATIC, "-static")
    done = wc_run("--trace", "socketpair", "sh", "-c", f"{static}; env -i /bin/true; true")
    assert f"lost sight of {static}: it is statically linked: " in done.stderr
    assert done.stderr.count("--follow all covers it") == 2


def test_explain_says_which_engine_and_why_and_runs_nothing(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    dynamic = wc_run("--explain", "--trace", "open,sys:futex", "touch", tmp_path / "ran")
    static = wc_run("--explain", "--trace", "open", compile_c(STATIC, "-static"))
    assert not (tmp_path / "ran").exists()
    told = {words[0]: words[1] for words in map(str.split, dynamic.stdout.splitlines()[1:])}
    assert {name: told[name].rstrip(":") for name in ("open",)} == {"open": "preload"}
    assert "ptrace" in {engine.rstrip(":") for engine in told.values()}
    assert "ptrace: it is statically linked" in static.stdout.splitlines()[0]


def test_a_recording_reads_the_same(wc_run: Run, wc_report: Run, tmp_path: Path) -> None:
    what = ("--engine", "ptrace", "--trace", "openat,read,close,exit_group")
    wc_run(*what, "-o", tmp_path / "text", "cat", "/etc/hostname")
    wc_run(*what, "--format", "wc", "-o", tmp_path / "t.wc", "cat", "/etc/hostname")
    shown = wc_report(tmp_path / "t.wc")
    assert (shown.stdout, shown.stderr) == ((tmp_path / "text").read_text(), "")
    table = wc_report(tmp_path / "t.wc", "--summary")
    assert [row.split()[-1] for row in table.stdout.splitlines() if "close" in row or "openat" in row] != []


def test_filters_and_paths_work_on_system_calls(wc_run: Run, tmp_path: Path) -> None:
    what = ("--engine", "ptrace", "--trace", "openat,read,close")
    named = wc_run(*what, "-y", "-P", "/etc/hostname", "cat", "/etc/hostname", "/nonexistent").stderr
    lines = [text for text in named.splitlines() if not text.startswith("cat:")]
    assert lines[0] == 'openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3</etc/hostname>'
    assert (lines[1].startswith("read(3</etc/hostname>, "), lines[-1]) == (True, "close(3</etc/hostname>) = 0")
    failed = wc_run(*what, "-Z", "-o", tmp_path / "failed", "cat", "/etc/hostname", "/nonexistent")
    assert failed.returncode == 1
    assert {text.rpartition("= ")[2] for text in (tmp_path / "failed").read_text().splitlines()} == {
        "-1 ENOENT (No such file or directory)"
    }


def test_the_account_adds_up(wc_run: Run, tmp_path: Path) -> None:
    done = wc_run("--engine", "ptrace", "--trace", "*", "-v", "-o", tmp_path / "out", "ls", "/")
    calls = len((tmp_path / "out").read_text().splitlines())
    assert f"wc-run: {calls:,} calls = {calls:,} recorded" in done.stderr


def test_the_python_api_takes_an_engine() -> None:
    from wc_intercept.consumer.api import Session

    with Session("cat", "/etc/hostname", trace=["openat"], engine="ptrace", stdout=subprocess.DEVNULL) as session:
        events = list(session.events())
    assert (session.returncode, {event["engine"] for event in events}) == (0, {"ptrace"})
    assert [event["ret"] for event in events if event["args"]["pathname"] == "/etc/hostname"] == [3]
    assert session.accounting is not None
    assert session.accounting.lost == 0


# --- what the program inherits ----------------------------------------------------------------------------------------

UNDER = "--engine ptrace --trace openat -o /dev/null"


def both(script: str, *, before: str = "", **options: Any) -> tuple[str, str]:
    """Return what ``sh -c`` *script* prints natively and traced, both started by a shell that ran *before*."""
    out = []
    for prefix in ("", f"{WC_RUN} {UNDER} "):
        done = natively("bash", "-c", f"{before}\nexec {prefix}sh -c {script!r}", **options)
        assert done.returncode == 0, done.stderr
        out.append(done.stdout)
    return out[0], out[1]


@pytest.mark.parametrize(
    "script",
    [
        "grep ^Sig.*[IB] /proc/self/status",
        "for f in /proc/$$/fd/*; do readlink $f; done; true",
        "env | sort",
        "taskset -p $$ | cut -d: -f2",
        "ps -o pgid=,tpgid= -p $$ | wc -l; echo $PPID | wc -l",
        "ulimit -a",
    ],
    ids=["signals", "descriptors", "environment", "affinity", "groups", "limits"],
)
def test_the_program_inherits_what_it_would_have(script: str) -> None:
    native, ours = both(script)
    assert [line.partition("[")[0] for line in ours.splitlines()] == [
        line.partition("[")[0] for line in native.splitlines()
    ]


def test_the_tracer_holds_neither_terminal_nor_descriptors_of_the_program() -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo ready; read x")
    assert line(process) == "ready\n"
    tracer = tracer_of(process)
    open_files = {os.readlink(f"/proc/{tracer}/fd/{fd}") for fd in os.listdir(f"/proc/{tracer}/fd")}
    assert os.getsid(tracer) != os.getsid(process.pid)
    assert [name for name in open_files if name.startswith("pipe:")] == []
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0


def test_a_closed_output_reaches_its_reader_although_a_child_runs_on() -> None:
    """Nothing of ours keeps the program's standard output open."""
    process = start(*UNDER.split(), "sh", "-c", "echo ready; exec >/dev/null 2>&1; read x")
    assert process.stdout is not None
    assert line(process) == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.stdout.read() == ""


def test_main_is_reached_soon(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    """The figure that is promised (40 ms) is benchmarks'; this catches what would be another order."""
    code = (
        "#include <stdio.h>\n#include <time.h>\nint main(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);"
        ' printf("%lld\\n", t.tv_sec * 1000000000ll + t.tv_nsec); return 0; }'
    )
    program, spent = compile_c(code), []
    for _ in range(6):
        begin = time.monotonic_ns()
        done = wc_run(*UNDER.split(), program)
        spent.append(int(done.stdout) - begin)
    assert min(spent[1:]) < 200_000_000


# --- how they end -----------------------------------------------------------------------------------------------------


def test_exit_status_and_fatal_signal_are_the_programs(wc_run: Run) -> None:
    seen = [wc_run(*UNDER.split(), "sh", "-c", end).returncode for end in ("exit 3", "kill -TERM $$", "kill -KILL $$")]
    assert seen == [3, -signal.SIGTERM, -signal.SIGKILL]


def test_not_found_and_not_executable_are_said_in_the_systems_words(wc_run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\x7fELF" + b"\0" * 100)
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "tool").write_text("echo ran $1\n")
    (tmp_path / "tool").chmod(0o755)
    assert wc_run(*UNDER.split(), "no-such-program-here").returncode == 127
    assert wc_run(*UNDER.split(), tmp_path / "tool", "it").stdout == "ran it\n"
    done = wc_run(*UNDER.split(), tmp_path / "data")
    assert (done.returncode != 0, done.stdout) == (True, "")


def test_strict_is_content_when_nothing_is_lost(wc_run: Run) -> None:
    assert wc_run("--engine", "ptrace", "--trace", "*", "--strict", "-o", "/dev/null", "ls", "/").returncode == 0


def test_sigint_is_left_to_the_program() -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo ready; read x; exit 5")
    line(process)
    process.send_signal(signal.SIGINT)
    process.communicate("go\n", timeout=60)
    assert process.returncode == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_are_passed_on(number: signal.Signals) -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo ready; read x")
    line(process)
    process.send_signal(number)
    assert process.wait(30) == -number


def test_wc_run_stops_and_goes_on_with_its_program() -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo $$; read x")
    os.kill(int(line(process)), signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.killpg(process.pid, signal.SIGCONT)
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0


def test_a_killed_tracer_ends_the_program_and_is_told() -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo $$; read x")
    program = int(line(process))
    os.kill(tracer_of(process), signal.SIGKILL)
    assert process.wait(30) == 125
    assert process.stderr is not None
    said = process.stderr.read()
    assert ("the tracer died: the program was ended with it" in said, "killed by signal 9" in said) == (True, True)
    assert eventually(lambda: is_gone(program))


def test_a_killed_wc_run_leaves_a_program_that_goes_on() -> None:
    process = start(*UNDER.split(), "sh", "-c", "echo $$; read x; cat /etc/hostname; echo alive")
    line(process)
    tracer = tracer_of(process)
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert (line(process), line(process)) == (Path("/etc/hostname").read_text(), "alive\n")
    process.communicate(timeout=60)
    assert eventually(lambda: is_gone(tracer))


def test_a_program_killed_in_a_call_leaves_it_unfinished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("--engine", "ptrace", "--trace", "read", "-o", str(out), "sh", "-c", "echo $$; read x")
    program = int(line(process))
    assert eventually(lambda: state_of(program) == "S")  # in read, and not stopped on its way into it
    os.kill(program, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert out.read_text().splitlines()[-1].startswith("read(0") and "<unfinished ...>" in out.read_text()


def test_the_session_is_removed_at_the_end(wc_run: Run, tmp_path: Path) -> None:
    wc_run(*UNDER.split(), "true", env=os.environ | {"WC_SESSION_ROOT": str(tmp_path)})
    assert os.listdir(tmp_path) == []


def test_wc_run_ends_with_its_program_and_the_tracer_with_the_last_child(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = start(*UNDER.split(), "sh", "-c", f"cat {fifo} >/dev/null 2>&1 & echo $!; read x; exit 0")
    assert process.stderr is not None and process.stdin is not None
    child, tracer = int(line(process)), tracer_of(process)
    assert eventually(lambda: Path(f"/proc/{child}/comm").read_text() == "cat\n")
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.wait(30) == 0
    assert f"still running, no longer recorded: {child} (cat)" in process.stderr.read()
    assert not is_gone(tracer)
    with open(fifo, "w"):
        assert eventually(lambda: not is_gone(child))
    assert eventually(lambda: is_gone(child) and is_gone(tracer))


# --- what wc-run reads of the plan ------------------------------------------------------------------------------------


def test_the_plan_is_read_as_the_generator_packs_it() -> None:
    from wc_intercept.generator import tracer_plan

    assert (tracers._HEAD.size, tracers.SYMBOL_SIZE) == (tracer_plan.HEAD.size, tracer_plan.SYMBOL.size)
    assert tracers.FALLBACK == tracer_plan.FALLBACK


def test_only_system_calls_of_every_program_stop_by_the_filter() -> None:
    from wc_intercept.generator.build import build
    from wc_intercept.generator.config import parse

    config = parse('{"funcs": [{"func_name": "open"}], "syscalls": [{"syscall_id": "getppid"}]}', "config")
    beside, alone = (build(config, Path("/bin/true"), engine="auto", fallback=wanted).plan for wanted in (True, False))
    assert beside is not None and alone is not None
    plans = [tracers.Plan.read(str(path)) for path in (beside, alone)]
    assert [(plan.numbers, plan.functions, plan.fallback) for plan in plans] == [
        ([110], False, True),
        ([110], False, False),
    ]


# --- the line, with a tracer that is none -----------------------------------------------------------------------------


@pytest.fixture
def odd_tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """odd_tracer("...Python...") stands in for wc-tracer; ``line`` is its end."""

    def make(code: str) -> None:
        path = tmp_path / "wc-tracer"
        head = "import socket, sys\nline = socket.socket(fileno=int(sys.argv[sys.argv.index('--line') + 1]))\n"
        path.write_text(f"#!{sys.executable}\n{head}{code}\n")
        path.chmod(0o755)
        monkeypatch.setattr(tracers, "find", lambda: str(path))

    return make


@pytest.fixture
def session(shim: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionDirectory]:
    from wc_intercept.consumer.session import SessionOptions
    from wc_intercept.consumer.shim import read_manifest

    monkeypatch.setenv("WC_SESSION_ROOT", str(tmp_path))
    path = shim("open")
    made = SessionDirectory.create(path, read_manifest(path), SessionOptions(any_filesystem=True))
    yield made
    made.remove()


@pytest.fixture
def empty_plan(tmp_path: Path) -> str:
    path = tmp_path / "plan"
    path.write_bytes(tracers._HEAD.pack(*[0] * 18))
    return str(path)


def odd(session: SessionDirectory, plan: str) -> Tracer:
    return Tracer.start(session, plan, beside=False, pin=False, handlers=False)


def test_the_tracers_refusal_is_passed_on(odd_tracer: Any, session: SessionDirectory, empty_plan: str) -> None:
    odd_tracer("line.recv(100); line.send(b'error it is not permitted'); line.recv(100)")
    tracer = odd(session, empty_plan)
    with pytest.raises(Refusal, match="it is not permitted"):
        tracer.attach(1)
    tracer.close()


def test_a_tracer_that_ends_at_once_is_told(odd_tracer: Any, session: SessionDirectory, empty_plan: str) -> None:
    odd_tracer("sys.exit(3)")
    tracer = odd(session, empty_plan)
    with pytest.raises(Refusal, match="the tracer has ended"):
        tracer.attach(1)
    assert tracer.why_gone() == "it ended with exit status 3"
    tracer.close()


def test_what_comes_between_question_and_answer_is_kept(
    odd_tracer: Any, session: SessionDirectory, empty_plan: str
) -> None:
    odd_tracer(
        "line.recv(100)\nfor text in (b'warn odd', b'exit 7 0', b'ok 1', b'end'): line.send(text)\nline.recv(100)"
    )
    tracer = odd(session, empty_plan)
    tracer.attach(1)
    heard = list(tracer.hear())
    assert eventually(lambda: tracer.ended or bool(heard.extend(tracer.hear())))
    assert [word for word, _ in heard + tracer.hear()] == ["exit", "end"]
    assert session.warnings() == ["odd"]
    tracer.close()
