"""wc-run -p: attach to what runs, show its calls, let it go as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BIN, Run
from wc_intercept.generator.errors import UserError

WC_RUN = str(BIN / "wc-run")
STARTED: list[subprocess.Popen[str]] = []

LOOP = """
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
volatile int sink;
__attribute__((noinline)) int own(int n) { return n + 1; }
static void *rounds(void *nothing) {
        for (int i = 0;; i++) {
                int fd = open("/etc/hostname", O_RDONLY);
                close(fd);
                sink = own(i);
                usleep(2000);
        }
        return nothing;
}
int main(int argc, char **argv) {
        pthread_t thread;
        (void)argv;
        if (argc > 1)
                pthread_create(&thread, NULL, rounds, NULL);
        puts("ready");
        fflush(stdout);
        rounds(NULL);
}
"""


@pytest.fixture(autouse=True)
def nothing_is_left_over() -> Iterator[None]:
    yield
    for process in STARTED:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    STARTED.clear()


def start(*words: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(word) for word in words], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    STARTED.append(process)
    return process


def looping(compile_c: Callable[..., Path], *flags: str, threads: bool = False) -> subprocess.Popen[str]:
    process = start(compile_c(LOOP, "-pthread", *flags), *(["2"] if threads else []))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def eventually(what: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)
    return what()


def field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


def calls(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def attach(out: Path, *pids: int, names: str = "open,close", more: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    where = [word for pid in pids for word in ("-p", str(pid))]
    return start(WC_RUN, "--trace", names, "--format", "jsonl", "-o", out, *more, *where)


def lives(process: subprocess.Popen[str]) -> bool:
    """Whether *process* runs, untraced, and makes progress."""
    if process.poll() is not None or field(process.pid, "TracerPid") != "0":
        return False
    before = int(field(process.pid, "voluntary_ctxt_switches"))
    return eventually(lambda: int(field(process.pid, "voluntary_ctxt_switches")) > before + 10, 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_calls_come_and_a_signal_lets_the_program_go(
    compile_c: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid, more=("--summary",))
    assert eventually(lambda: len(calls(out)) > 20)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert (run.returncode, "openat" in said or "open" in said, lives(program)) == (0, True, True)
    seen = calls(out)
    assert {call["engine"] for call in seen} == {"ptrace"}
    assert {call["kind"] for call in seen} == {"syscall"}
    opened = [call for call in seen if call["symbol"] == "openat"]
    assert {call["args"]["pathname"] for call in opened} == {"/etc/hostname"}  # type: ignore[index]


def test_all_threads_are_attached_to(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c, threads=True), tmp_path / "out"
    run = attach(out, program.pid)
    assert eventually(lambda: len({call["tid"] for call in calls(out)}) == 2)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert (run.returncode, lives(program)) == (0, True)


def test_functions_of_a_running_program_are_shown_and_its_code_is_restored(
    compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid, names="fn:own")
    assert eventually(lambda: len(calls(out)) > 20)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert (run.returncode, "breakpoints" in said, lives(program)) == (0, True, True)
    seen = calls(out)
    assert {(call["func"], call["kind"]) for call in seen} == {("own", "function")}


def test_several_processes_are_attached_to_at_once(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    programs, out = [looping(compile_c), looping(compile_c, "-static")], tmp_path / "out"
    pids = {program.pid for program in programs}
    run = attach(out, *pids)
    assert eventually(lambda: {call["pid"] for call in calls(out)} == pids)
    programs[0].kill()
    programs[0].wait()
    more = len(calls(out))
    assert eventually(lambda: len(calls(out)) > more + 20)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert (run.returncode, lives(programs[1])) == (0, True)


def test_wc_run_ends_when_its_process_ends(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid, more=("-v",))
    assert eventually(lambda: len(calls(out)) > 5)
    program.kill()
    _, said = run.communicate(timeout=30)
    assert (run.returncode, f"process {program.pid} has ended" in said) == (0, True)


def test_the_account_adds_up(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid, names="close", more=("--summary", "--strict"))
    assert eventually(lambda: len(calls(out)) > 20)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    count = len([call for call in calls(out) if not call.get("unfinished")])
    assert (run.returncode, f"{count:,} recorded" in said) == (0, True)


def test_a_killed_tracer_leaves_an_attached_program_alone(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid)
    assert eventually(lambda: len(calls(out)) > 5)
    os.kill(int(field(program.pid, "TracerPid")), signal.SIGKILL)
    _, said = run.communicate(timeout=30)
    assert (run.returncode, "the process goes on untraced" in said, lives(program)) == (125, True, True)


def test_a_killed_wc_run_lets_an_attached_program_go(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid, names="fn:own,close")
    assert eventually(lambda: len(calls(out)) > 5)
    run.kill()
    assert eventually(lambda: field(program.pid, "TracerPid") == "0")
    assert lives(program)


def test_descriptors_that_it_has_open_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    code = "import os, sys, time\nfile = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\nprint('ready', flush=True)\n"
    program = start("python3", "-c", code + "while True: os.write(file, b'line'), time.sleep(0.01)", path)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    run = start(WC_RUN, "--trace", "write", "-y", "-o", tmp_path / "out", "-p", program.pid)
    wanted = f"<{path}>, "
    assert eventually(lambda: (tmp_path / "out").exists() and wanted in (tmp_path / "out").read_text())
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 0


def test_what_cannot_be_attached_to_is_told(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = wc_run("--trace", "open", "-p", gone.pid)
    assert (done.returncode, f"no process {gone.pid}" in done.stderr) == (125, True)
    thread = wc_run("--trace", "open", "-p", 2)  # the kernel's, where pid 2 is to be seen
    assert thread.returncode == 125


def test_a_process_that_is_traced_already_is_told(wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, out = looping(compile_c), tmp_path / "out"
    run = attach(out, program.pid)
    assert eventually(lambda: len(calls(out)) > 5)
    done = wc_run("--trace", "open", "-p", program.pid)
    assert (done.returncode, "traced already" in done.stderr, "wc-tracer" in done.stderr) == (125, True, True)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert lives(program)


def test_the_python_api_attaches(compile_c: Callable[..., Path]) -> None:
    from wc_intercept.consumer.api import Session

    program = looping(compile_c)
    seen = 0
    with Session(attach=program.pid, trace=["close"]) as session:
        for batch in session.batches():
            seen += len(batch)
            if seen > 20:
                session.detach()
    assert (session.pid, session.returncode, seen > 20, lives(program)) == (program.pid, None, True, True)
    assert session.accounting is not None
    assert session.accounting.lost == 0


def test_the_python_api_says_what_it_needs() -> None:
    from wc_intercept.consumer.api import Session

    with pytest.raises(TypeError, match="either a program"):
        Session("ls", attach=1, trace=["open"])
    with pytest.raises(UserError, match="no process"):
        Session(attach=(1 << 22) - 3, trace=["open"])
