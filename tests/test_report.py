"""wc-report: what a recording and a killed consumer's session show."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BIN, Run

PROGRAM = """
import os, sys, threading
def work(name):
    os.close(os.open(name, os.O_RDONLY))
work("/etc/passwd")
thread = threading.Thread(target=work, args=("/etc/group",))
thread.start()
thread.join()
try:
    os.open("/nonexistent", os.O_RDONLY)
except OSError:
    pass
pid = os.fork()
if pid == 0:
    work("/etc/hosts")
    os._exit(0)
os.waitpid(pid, 0)
print(pid)
"""


class Trace:
    """A recording, and the pid of the program's child."""

    def __init__(self, path: Path, child: int) -> None:
        self.path, self.child = path, child


@pytest.fixture(scope="module")
def trace(wc_run: Run, shim: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("trace") / "trace.wc"
    done = wc_run("--preload", shim("open", "close"), "--format", "wc", "-o", path, "python3", "-S", "-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    return Trace(path, int(done.stdout))


@pytest.fixture
def calls(wc_report: Run, trace: Trace) -> Callable[..., list[dict[str, object]]]:
    """calls("--pid", 12) -> the calls as dicts."""

    def report(*options: object) -> list[dict[str, object]]:
        done = wc_report(trace.path, "--format", "jsonl", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return report


def paths(calls: list[dict[str, object]]) -> list[str]:
    names = ("/etc/passwd", "/etc/group", "/etc/hosts", "/nonexistent")
    found = [call["args"]["pathname"] for call in calls if call["func"] == "open"]  # type: ignore[index]
    return [path for path in found if path in names]


def test_a_recording_shows_every_call(calls: Callable[..., list[dict[str, object]]]) -> None:
    assert sorted(paths(calls())) == ["/etc/group", "/etc/hosts", "/etc/passwd", "/nonexistent"]


def test_text_shows_the_same_calls(wc_report: Run, trace: Trace) -> None:
    out = wc_report(trace.path).stdout
    assert out.count('"/etc/passwd"') == out.count('"/nonexistent", O_RDONLY|O_CLOEXEC) = -1 ENOENT') == 1


def test_processes_are_selected_by_pid(calls: Callable[..., list[dict[str, object]]], trace: Trace) -> None:
    assert paths(calls("--pid", trace.child)) == ["/etc/hosts"]


def test_functions_are_selected_by_glob(calls: Callable[..., list[dict[str, object]]]) -> None:
    assert {call["func"] for call in calls("--function", "cl*")} == {"close"}


def test_time_selects_by_entry(calls: Callable[..., list[dict[str, object]]]) -> None:
    times = sorted(int(str(call["time"])) for call in calls())
    middle = f"{times[len(times) // 2] // 10**9}.{times[len(times) // 2] % 10**9:09d}"
    before, after = calls("--until", middle), calls("--since", middle)
    assert (len(before) + len(after), max(int(str(c["time"])) for c in before) < times[len(times) // 2]) == (
        len(times), True,
    )  # fmt: skip


def test_sorting_by_time_orders_across_threads(calls: Callable[..., list[dict[str, object]]]) -> None:
    times = [int(str(call["time"])) for call in calls("--sort", "time")]
    assert times == sorted(times)


def test_outcomes_select(calls: Callable[..., list[dict[str, object]]]) -> None:
    failed, successful = calls("-Z"), calls("-z")
    assert (paths(failed), {call["errno"] for call in successful}) == (["/nonexistent"], {None})


def test_a_path_selects_also_by_descriptor(calls: Callable[..., list[dict[str, object]]]) -> None:
    assert [call["func"] for call in calls("-P", "/etc/group")] == ["open", "close"]


def test_the_summary_comes_alone(wc_report: Run, trace: Trace) -> None:
    done = wc_report(trace.path, "--summary")
    assert ("open" in done.stdout, "open(" in done.stdout, "recorded" in done.stderr) == (True, False, True)


def test_a_reader_that_goes_away_is_no_error(trace: Trace) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"{BIN}/wc-report" {trace.path} | head -n 1; exit ${{PIPESTATUS[0]}}'],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_a_cut_recording_shows_what_is_there(wc_report: Run, trace: Trace, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wc"
    cut.write_bytes(trace.path.read_bytes()[:-100])
    done = wc_report(cut)
    assert (done.returncode, "/etc/passwd" in done.stdout, "was killed" in done.stderr) == (0, True, True)


def test_what_is_no_recording_is_said_to_be_none(wc_report: Run, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("hello")
    assert [wc_report(what).returncode for what in (tmp_path / "other", tmp_path / "missing", "999999999")] == [1, 1, 1]


@pytest.mark.parametrize("option", [("--since", "noon"), ("-z", "-Z")])
def test_options_that_cannot_be_are_refused(wc_report: Run, trace: Trace, option: tuple[str, ...]) -> None:
    done = wc_report(trace.path, *option)
    assert (done.returncode, done.stdout, "error" in done.stderr) == (1, "", True)


@pytest.fixture
def killed(shim: Callable[..., Path], tmp_path: Path) -> Iterator[int]:
    """The pid of a program whose wc-run was killed before it could take the program's last calls."""
    # The program tells us when wc-run is stopped, then makes calls that nobody takes.
    calls = "os.close(os.open('/etc/passwd', 0))"
    code = f"import os; print(os.getpid(), flush=True); input(); {calls}; print('done', flush=True); input()"
    process = subprocess.Popen(
        [str(BIN / "wc-run"), "--preload", str(shim("open", "close")), "python3", "-S", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    pid = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGSTOP)
    process.stdin.write("go\n")
    process.stdin.flush()
    process.stdout.readline()
    process.kill()
    process.wait()
    yield pid
    process.stdin.close()
    process.stdout.read()


def test_a_killed_consumers_session_is_read_by_the_programs_pid(killed: int, wc_report: Run) -> None:
    """And as often as wanted: reading changes nothing."""
    first, second = wc_report(killed), wc_report(killed)
    assert ('open("/etc/passwd"' in first.stdout, first.stdout) == (True, second.stdout), first.stderr


def test_lines_in_time_order_know_their_threads_and_the_line_before(
    wc_run: Run, wc_report: Run, shim: Callable[..., Path], tmp_path: Path
) -> None:
    trace = tmp_path / "t.wc"
    wc_run(
        "--preload",
        shim("open", "read"),
        "--format",
        "wc",
        "-o",
        trace,
        "sh",
        "-c",
        "cat /etc/hostname & cat /etc/passwd; wait",
    )
    plain, timed = (wc_report(trace, "--sort", "time", *more).stdout.splitlines() for more in ((), ("-r",)))
    assert all(re.match(r"\[pid +\d+\] \w+\(", text) for text in plain)
    assert [re.sub(r"^(\[pid +\d+\] ) *\d+\.\d{6} ", r"\1", text) for text in timed] == plain
    assert timed != plain
