"""Real programs with injected faults: the errno arrives in what they say, at exactly the declared rate.

Absent on purpose: how well they take it; that is for whoever injects to find out (examples/).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import Compile
from wc_intercept.consumer.injected import with_injects
from wc_intercept.generator.config import parse
from wc_intercept.generator.inject import means

SQL = "create table t(a); " + "".join(f"insert into t values({i}); " for i in range(200)) + "select count(*) from t;"
Needs = Callable[[str], str]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def marked(calls: list[dict[str, Any]]) -> list[bool]:
    return [call.get("injected", False) for call in calls]


def meant(text: str, calls: int) -> list[bool]:
    """Return which of so many calls of one thread the option means."""
    config = with_injects(parse("{}", "config"), [text], "preload")
    rule = config.funcs[0].inject or config.calls[0].inject if config.funcs else config.calls[0].inject
    assert rule is not None
    return [means(rule, n) for n in range(1, calls + 1)]


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_sqlite3_says_that_the_disk_is_full(wc_run: Run, needs: Needs, tmp_path: Path, engine: str) -> None:
    output = tmp_path / "calls"
    words = ("--engine", engine, "--inject", "pwrite64:error=ENOSPC:when=9+", "--format", "jsonl", "-o", output)
    ran = wc_run(*words, needs("sqlite3"), "-batch", tmp_path / "db", SQL)
    calls = lines_of(output)
    assert 0 != ran.returncode
    assert "disk is full" in ran.stderr
    assert meant("pwrite64:error=ENOSPC:when=9+", len(calls)) == marked(calls)
    assert ["ENOSPC"] * (len(calls) - 8) == [call["errno"] for call in calls[8:]]


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_a_chance_with_a_seed_means_the_same_calls_of_sqlite3_in_every_run(
    wc_run: Run, needs: Needs, tmp_path: Path, engine: str
) -> None:
    """fsync fails in one of ten calls; the shell goes on with the next statement."""
    text, runs = "fdatasync,fsync:error=EIO:probability=0.1:seed=11", []
    for run in ("first", "second"):
        output = tmp_path / run
        words = ("--engine", engine, "--inject", text, "--format", "jsonl", "-o", output)
        wc_run(*words, needs("sqlite3"), tmp_path / f"{run}.db", input=SQL.replace("; ", ";\n"), stdin=None)
        calls = lines_of(output)
        for name in ("fdatasync", "fsync"):
            own = [call for call in calls if call["func"] == name]
            assert meant(text, len(own)) == marked(own)
            assert {"EIO" if mark else None for mark in marked(own)} == {call["errno"] for call in own}
        runs.append([(call["func"], call.get("injected")) for call in calls])
    assert runs[0] == runs[1]
    assert True in {mark for _, mark in runs[0]}


def test_git_and_its_children_meet_the_faults(wc_run: Run, needs: Needs, tmp_path: Path) -> None:
    git, output = needs("git"), tmp_path / "calls"
    ran = wc_run("--inject", "mkdir:error=ENOSPC:when=1", git, "init", "-q", tmp_path / "none")
    assert 0 != ran.returncode
    assert "No space left on device" in ran.stderr.partition("mkdir(")[0]
    subprocess.run([git, "init", "-q", tmp_path / "tree"], check=True)
    words = ("--inject", "getcwd:error=EACCES:when=1", "--format", "jsonl", "-o", output, git)
    wc_run(*words, "clone", "-q", f"file://{tmp_path}/tree", tmp_path / "copy")
    calls = lines_of(output)
    by_process = {call["pid"]: marked([c for c in calls if c["pid"] == call["pid"]]) for call in calls}
    assert len(by_process) > 1
    assert {(True, 1)} == {(marks[0], sum(marks)) for marks in by_process.values()}


def test_redis_meets_every_second_accept_that_fails(needs: Needs, tmp_path: Path) -> None:
    """A client whose accept has failed stays in the queue, and is accepted by the next call."""
    server, client = needs("redis-server"), needs("redis-cli")
    socket, output = str(tmp_path / "socket"), tmp_path / "calls"
    words = [BIN / "wc-run", "--inject", "accept,accept4:error=EMFILE:when=2+2", "--format", "jsonl", "-o", output]
    options = ["--port", "0", "--unixsocket", socket, "--save", "", "--logfile", "log", "--daemonize", "no"]
    with subprocess.Popen([*words, server, *options], cwd=tmp_path, stdout=subprocess.DEVNULL) as run:
        wait_for(lambda: os.path.exists(socket))
        said = [subprocess.run([client, "-s", socket, "ping"], capture_output=True, text=True) for _ in range(10)]
        subprocess.run([client, "-s", socket, "shutdown", "nosave"], capture_output=True)
        assert 0 == run.wait(60)
    assert {"PONG\n"} == {one.stdout for one in said}
    tried = [call for call in lines_of(output) if call["func"] in ("accept", "accept4")]
    accepts = [call for call in tried if call["func"] == tried[0]["func"]]
    assert [n % 2 == 0 for n in range(1, len(accepts) + 1)] == marked(accepts)
    failures = (tmp_path / "log").read_text().count("Too many open files")
    assert sum(marked(accepts)) == failures
    assert 10 <= failures


# --- whose program is let go ------------------------------------------------------------------------------------------

LOOP = """
#include <fcntl.h>
#include <unistd.h>
int main(void)
{
        char order;
        while (read(0, &order, 1) == 1) {
                const int result = access("/", F_OK);
                if (write(1, result == 0 ? "0" : "x", 1) != 1)
                        return 1;
        }
        return 0;
}
"""


@pytest.mark.parametrize("name", ["fn:access", "sys:access"])
def test_a_process_that_is_let_go_in_a_delay_goes_on_at_once(compile_c: Compile, tmp_path: Path, name: str) -> None:
    """What was injected is in force, and the rest of its calls are its own."""
    output = tmp_path / "calls"
    loop = subprocess.Popen([compile_c(LOOP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert loop.stdin is not None and loop.stdout is not None
    text = f"{name}:error=EIO:delay_enter=3000s:when=2+"
    with loop, subprocess.Popen([BIN / "wc-run", "-p", str(loop.pid), "--inject", text, "-v", "-o", output],
                                stderr=subprocess.PIPE, text=True) as run:  # fmt: skip
        assert run.stderr is not None
        while "attached" not in (line := run.stderr.readline()):
            assert line != ""
        loop.stdin.write(b"ab")
        assert b"0" == loop.stdout.read(1)
        wait_for(lambda: state(loop.pid) == "t")
        run.send_signal(signal.SIGINT)
        run.communicate()
        assert loop.stdout.read(1) in b"x0"
        loop.stdin.write(b"c")
        assert b"0" == loop.stdout.read(1)
        loop.stdin.close()
        assert 0 == loop.wait(60)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
