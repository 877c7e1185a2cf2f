"""A session's control page changed while its program runs: by wc-ctl, and what the program's rings say of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from wc_intercept.consumer import room
from wc_intercept.consumer.desk import Desk
from wc_intercept.consumer.session import list_sessions

ROUND = 500
DEADLINE = 60.0


class Running:
    """tests/c/rand_loop.c under wc-run: one round of calls at a time."""

    def __init__(self, loop: Path, out: Path, *options: str) -> None:
        command = [BIN / "wc-run", "--format", "jsonl", "--events", "-o", out, *options, loop, str(ROUND)]
        self.out = out
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @property
    def session(self) -> str:
        return str(self.process.pid)

    def begun(self) -> None:
        """Wait until wc-run has made its session."""
        end = time.monotonic() + DEADLINE
        while not any(f"wc-{self.session}-" in path for root in room.roots() for path in list_sessions(root)):
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.01)

    def round(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b".")
        self.process.stdin.flush()
        assert b"done\n" == self.process.stdout.readline()

    def end(self) -> list[dict[str, Any]]:
        _, said = self.process.communicate(timeout=DEADLINE)
        assert (0, b"") == (self.process.returncode, said)
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@pytest.fixture
def loop(compile_c: Callable[..., Path]) -> Path:
    return compile_c("rand_loop.c", "-fno-builtin")


@contextmanager
def running(loop: Path, tmp_path: Path, *options: str) -> Iterator[Running]:
    one = Running(loop, tmp_path / "calls.jsonl", *options)
    try:
        one.begun()
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


def ctl(*words: str, status: int = 0) -> str:
    """Run wc-ctl; return its output, or what it complained of."""
    done = subprocess.run([BIN / "wc-ctl", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert status == done.returncode, done.stderr
    return done.stderr if status else done.stdout


def counted(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["func"] for line in lines if "event" not in line)


def changes(lines: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(x["func"], x["generation"], x["frequency"]) for x in lines if x.get("event") == "control"]


def test_a_change_is_in_force_at_the_next_call(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand,random,labs") as one:
        one.round()
        ctl(one.session, "disable", "rand")
        one.round()
        ctl(one.session, "set", "random", "frequency=10")
        one.round()
        ctl(one.session, "enable", "rand")
        one.round()
        lines = one.end()
    assert {"rand": 2 * ROUND, "random": 2 * ROUND + 2 * ROUND // 10, "labs": 4 * ROUND} == counted(lines)
    assert [("random", 1, 10), ("rand", 2, 1)] == changes(lines)


def test_the_records_stand_behind_the_change_that_they_obey(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        one.round()
        ctl(one.session, "set", "rand", "frequency=100")
        one.round()
        lines = [line for line in one.end() if line.get("event", "control") == "control"]
    at = [line.get("event") for line in lines].index("control")
    assert (ROUND, ROUND // 100) == (at, len(lines) - at - 1)


THREADS = r"""
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *call(void *unused)
{
        volatile long sum = 0;
        for (long i = 1; i <= 5; i++)
                sum += labs(i);
        return unused;
}
int main(void)
{
        char order;
        while (read(0, &order, 1) == 1) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, call, NULL) != 0 || pthread_join(thread, NULL) != 0 ||
                    write(1, "done\n", 5) != 5)
                        return 1;
        }
        return 0;
}
"""


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_a_frequency_counts_from_each_threads_first_call(
    compile_c: Callable[..., Path], tmp_path: Path, engine: str
) -> None:
    program = compile_c(THREADS, "-fno-builtin", "-pthread")
    with running(program, tmp_path, "--trace", "labs", "--engine", engine) as one:
        ctl(one.session, "set", "labs", "frequency=3")
        for _ in range(4):  # threads that follow one another have the same ring
            one.round()
        numbers = [next(iter(line["args"].values())) for line in one.end() if "event" not in line]
    assert [3] * 4 == numbers


def test_nothing_enabled_and_then_all(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand,labs") as one:
        one.round()
        ctl(one.session, "disable", "*")
        one.round()
        assert {False} == {target["on"] for target in json.loads(ctl(one.session, "show", "--json"))["targets"]}
        ctl(one.session, "enable", "rand")
        one.round()
        lines = one.end()
    assert {"rand": 2 * ROUND, "labs": ROUND} == counted(lines)


def test_the_accounts_hold_through_many_changes(loop: Path, tmp_path: Path, soak: bool) -> None:
    with running(loop, tmp_path, "--trace", "rand,random,labs", "--strict") as one:
        for number in range(200 if soak else 6):
            ctl(one.session, ("enable", "disable")[number % 2], ("rand", "random", "labs")[number % 3])
            ctl(one.session, "set", "*", f"frequency={number % 4 + 1}")
            one.round()
        assert one.end()


def test_a_session_is_found_by_the_pid_of_its_program_too(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        one.round()
        mine = next(s for s in json.loads(ctl("ls", "--json")) if s["pid"] == one.process.pid)
        assert (True, 1, 1) == (mine["alive"], mine["targets"], mine["on"])
        (program,) = mine["programs"]
        assert one.session in ctl("ls")
        assert "rand  on" in ctl(loop.name)
        assert ["rand"] == [t["name"] for t in json.loads(ctl(str(program), "disable", "rand", "--json"))]
        one.round()
        assert {"rand": ROUND} == counted(one.end())


def test_a_session_is_found_by_the_name_that_its_program_was_started_by(loop: Path, tmp_path: Path) -> None:
    """As wc-ctl ls and ps show it: redis-server is a link to redis-check-rdb, python3 to python3.11."""
    name = "a-name-longer-than-the-kernel-keeps"
    (tmp_path / name).symlink_to(loop)
    with running(tmp_path / name, tmp_path, "--trace", "rand") as one:
        one.round()
        assert f"({name[:15]})" in ctl("ls")
        assert ["rand  on\n"] * 2 == [ctl(given).splitlines(keepends=True)[0] for given in (name, name[:15])]
        one.end()


def test_a_name_that_two_sessions_run_is_no_name(loop: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running(loop, tmp_path, "--trace", "rand") as one, running(loop, tmp_path / "other", "--trace", "rand") as two:
        one.round()
        two.round()
        said = ctl(loop.name, status=1)
        assert "2 sessions run" in said and one.session in said and two.session in said


def test_a_session_directory_that_somebody_deletes_costs_no_record(loop: Path, tmp_path: Path) -> None:
    """What runs keeps its memory; what starts later finds no session, which is said."""
    with running(loop, tmp_path, "--trace", "rand", "--summary") as one:
        one.round()
        (path,) = [path for root in room.roots() for path in list_sessions(root) if f"wc-{one.session}-" in path]
        end = time.monotonic() + DEADLINE
        while one.out.read_bytes().count(b'"rand"') < ROUND:
            assert time.monotonic() < end
            time.sleep(0.01)
        shutil.rmtree(path)
        time.sleep(0.3)  # the drain asks who maps a segment when that was quiet for a while
        one.round()
        _, said = one.process.communicate(timeout=DEADLINE)
    assert b"the session's directory was deleted" in said and b"are not recorded" in said
    assert f"{2 * ROUND:,} calls = {2 * ROUND:,} recorded\n".encode() in said
    assert {"rand": 2 * ROUND} == counted([json.loads(line) for line in one.out.read_text().splitlines()])


def test_a_session_that_cannot_listen_has_no_questions(tmp_path: Path) -> None:
    desk = Desk(str(tmp_path / "gone"))
    assert desk.take() is None
    desk.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_another_users_session_is_left_alone(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        (path,) = [path for root in room.roots() for path in list_sessions(root) if f"wc-{one.session}-" in path]
        os.chown(path, 65534, -1)
        assert "no session named" in ctl(one.session, status=1)
        assert "another user's" in ctl(path, "disable", "rand", status=1)
        os.chown(path, 0, -1)
        one.round()
        assert {"rand": ROUND} == counted(one.end())


def test_show_says_what_every_thread_is_inside_of(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "read") as one:
        one.round()
        end = time.monotonic() + DEADLINE
        while not (inside := json.loads(ctl(one.session, "show", "--json"))["inside"]):
            assert time.monotonic() < end
        first = inside[0]
        assert ("read", 0) == (first["func"], first["argument"])
        assert 0 <= first["seconds"] < DEADLINE
        assert "is inside read(0x0...)" in ctl(one.session)
        one.end()


def test_show_leaves_out_what_is_not_named(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand,random,read") as one:
        one.round()
        assert "rand    on\nrandom  on\n" == ctl(one.session, "show", "rand*")
        one.end()


def test_ls_takes_no_session() -> None:
    complaint = ctl("ls", "game", status=1)
    assert "ls takes no 'game'" in complaint
    assert not complaint.endswith("\n\n")


def test_stop_ends_the_recording_and_the_program_goes_on(loop: Path, tmp_path: Path) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        one.round()
        ctl(one.session, "stop")
        one.round()
        for action in ("enable", "add"):
            assert "the session has ended" in ctl(one.session, action, "rand", status=1)
        assert {"rand": ROUND} == counted(one.end())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["disable", "ramd"], "no target 'ramd'"),
        (["disable", "rand", "ramd"], "try:  rand"),
        (["disable"], "disable needs targets"),
        (["set", "rand"], "set needs a setting"),
        (["set", "rand", "frequency=often"], "frequency=often is no setting"),
        (["set", "rand", "frequency=0"], "not from 1 to"),
        (["enable", "rand", "frequency=2"], "enable takes no settings"),
        (["stop", "rand"], "stop takes no 'rand'"),
        (["show", "ramd"], "try:  rand"),
        (["explode"], "no action 'explode'"),
        (["--explode"], "no option --explode"),
    ],
)
def test_what_is_refused_changes_nothing(loop: Path, tmp_path: Path, words: list[str], said: str) -> None:
    with running(loop, tmp_path, "--trace", "rand") as one:
        assert said in ctl(one.session, *words, status=1)
        one.round()
        lines = one.end()
    assert ({"rand": ROUND}, []) == (counted(lines), changes(lines))


def test_a_session_that_is_none(tmp_path: Path) -> None:
    assert "no session named" in ctl("4194305", status=1)  # no pid is as high
    assert "cannot open the session" in ctl(str(_with_control(tmp_path)), status=1)


def _with_control(folder: Path) -> Path:
    (folder / "control").mkdir()
    return folder


# The config read again: SIGUSR1.


def config(path: Path, *funcs: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"funcs": list(funcs)}))
    return path


def until(one: Running, name: str, frequency: int, on: bool = True) -> None:
    """Wait until the session has the target *name* as given."""
    end = time.monotonic() + DEADLINE
    while (frequency, on) not in [(t["frequency"], t["on"]) for t in targets(one) if t["name"] == name]:
        assert time.monotonic() < end


def targets(one: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ctl(one.session, "show", "--json"))["targets"]
    return found


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_a_signal_makes_wc_run_read_its_config_again(loop: Path, tmp_path: Path, engine: str) -> None:
    path = config(tmp_path / "config.json", {"func_name": "rand"}, {"func_name": "labs"})
    with running(loop, tmp_path, "-c", str(path), "--engine", engine) as one:
        one.round()
        config(path, {"func_name": "labs", "frequency": 10})
        one.process.send_signal(signal.SIGUSR1)
        until(one, "rand", 1, on=False)
        one.round()
        config(path, {"func_name": "rand", "frequency": 5})
        one.process.send_signal(signal.SIGUSR1)
        until(one, "labs", 10, on=False)
        one.round()
        lines = one.end()
    assert {"rand": ROUND + ROUND // 5, "labs": ROUND + ROUND // 10} == counted(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"funcs": [{"func_name": "rand", "frequencey": 3}]}', "unknown key 'frequencey'; nothing changes"),
        ('{"funcs": [{"func_name": "no_such_function"}]}', "no function named 'no_such_function'"),
        ('{"funcs": [', "nothing changes"),
        ('{"funcs": [{"func_name": "rand"}, {"func_name": "labs", "when": "j > 3"}]}',
         "another when of labs is not in force"),
    ],
)
def test_what_a_new_config_cannot_change_is_said(loop: Path, tmp_path: Path, text: str, said: str) -> None:
    path = config(tmp_path / "config.json", {"func_name": "rand"}, {"func_name": "labs"})
    with running(loop, tmp_path, "-c", str(path)) as one:
        one.round()
        path.write_text(text)
        one.process.send_signal(signal.SIGUSR1)
        assert one.process.stderr is not None
        heard = one.process.stderr.readline().decode()
        assert said in heard
        one.round()
        one.process.communicate(timeout=DEADLINE)
        assert 0 == one.process.returncode
        assert {"rand": 2 * ROUND, "labs": 2 * ROUND} == counted(
            [json.loads(line) for line in one.out.read_text().splitlines()]
        )
