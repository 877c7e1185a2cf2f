"""wc-run with real shims: where output goes and when, losses, policies, logs, children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BIN, Run

OPENS = "import os\nfor i in range({}): os.close(os.open('/etc/passwd', os.O_RDONLY))"
LOOP = """
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int main(int n, char **words)
{
    int fd = open("/dev/null", O_WRONLY);
    for (long i = atol(words[n - 1]); i > 0; i--)
        if (write(fd, "x", 1) != 1) return 1;
    return 0;
}
"""
Shim = Callable[..., Path]


def python(calls: int) -> tuple[str, ...]:
    return "python3", "-S", "-c", OPENS.format(calls)


@pytest.fixture
def files(shim: Shim) -> Path:
    return shim("open", "close", "read", "write")


@pytest.fixture(scope="session")
def loop(compile_c: Callable[..., Path]) -> Path:
    """loop N: opens /dev/null and writes N bytes to it."""
    return compile_c(LOOP)


def test_calls_go_to_standard_error_and_the_programs_output_is_its_own(wc_run: Run, files: Path) -> None:
    done = wc_run("--preload", files, "sh", "-c", "echo hello; exec 3</etc/passwd")
    assert (done.stdout, 'open("/etc/passwd", O_RDONLY' in done.stderr) == ("hello\n", True)


def test_o_takes_the_calls(wc_run: Run, files: Path, tmp_path: Path) -> None:
    done = wc_run("--preload", files, "-o", tmp_path / "out", *python(5))
    assert (done.stderr, (tmp_path / "out").read_text().count('open("/etc/passwd"')) == ("", 5)


def test_jsonl_has_a_line_per_call(wc_run: Run, files: Path, tmp_path: Path) -> None:
    wc_run("--preload", files, "--format", "jsonl", "-o", tmp_path / "out", *python(50))
    calls = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert sum(call["func"] == "open" and call["args"]["pathname"] == "/etc/passwd" for call in calls) == 50


def test_output_is_live(files: Path) -> None:
    """A line appears while the program that made the call still runs."""
    process = subprocess.Popen(
        [str(BIN / "wc-run"), "--preload", str(files), "sh", "-c", "exec 3</etc/passwd; read x"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any('"/etc/passwd"' in line for line in lines)
    assert process.poll() is None
    process.communicate("go\n")


def test_a_million_calls_are_all_there_in_either_format(wc_run: Run, files: Path, loop: Path, tmp_path: Path) -> None:
    """Long enough for the formatter to run behind; nothing is lost in block mode."""
    for form in ("text", "jsonl"):
        done = wc_run("--preload", files, "--strict", "--format", form, "-o", tmp_path / form, loop, 1_000_000)
        with open(tmp_path / form, "rb") as file:
            count = sum(b"write" in line for line in file)
        assert (done.returncode, done.stderr, count) == (0, "", 1_000_000)


def test_the_summary_and_the_accounting_hold_no_call(wc_run: Run, files: Path, loop: Path) -> None:
    done = wc_run("--preload", files, "--summary", "-o", "/dev/null", loop, 1000)
    assert ("1,001 calls = 1,001 recorded" in done.stderr, "write(" in done.stderr) == (True, False)


def test_what_is_dropped_is_counted_and_fails_strict(wc_run: Run, files: Path, loop: Path, tmp_path: Path) -> None:
    """A stopped consumer loses nothing in its account: calls = recorded + lost."""
    options = ("--preload", files, "--on-full", "drop", "--ring-size", "64KiB", "--format", "wc", "-o", tmp_path / "t")
    done = wc_run(*options, "--strict", loop, 3_000_000)
    assert (done.returncode, "lost because: ring full" in done.stderr) == (124, True)


def test_strict_leaves_a_failing_programs_status(wc_run: Run, files: Path, loop: Path) -> None:
    options = ("--preload", files, "--on-full", "drop", "--ring-size", "64KiB", "--strict", "-o", "/dev/null")
    done = wc_run(*options, "sh", "-c", f"{loop} 3000000; exit 3")
    assert (done.returncode, "lost" in done.stderr) == (3, True)


def test_a_full_disk_is_told_and_does_not_touch_the_program(wc_run: Run, files: Path) -> None:
    done = wc_run("--preload", files, "-o", "/dev/full", *python(5))
    assert (done.returncode, "cannot go on writing: No space left on device" in done.stderr) == (0, True)


def test_a_full_disk_does_not_touch_the_program_while_recording(wc_run: Run, files: Path, loop: Path) -> None:
    done = wc_run("--preload", files, "--format", "wc", "-o", "/dev/full", loop, 100_000)
    assert (done.returncode, "No space left on device" in done.stderr) == (0, True)


def test_a_reader_that_goes_away_does_not_touch_the_program(files: Path, loop: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{BIN}/wc-run --preload {files} {loop} 200000 2> >(head -n 1 >/dev/null); echo $?"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout == "0\n"


def test_a_closed_standard_error_gets_no_file_of_ours(files: Path, tmp_path: Path) -> None:
    """Where 2 is closed, no session file may take its number and be written to."""
    command = f"{BIN}/wc-run --preload {files} sh -c 'exec 3</etc/passwd; exit 6' 0<&- 2>&-"
    assert subprocess.run(["sh", "-c", command]).returncode == 6


def test_paths_with_spaces_and_colons_work(wc_run: Run, files: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a b:c"
    odd.mkdir()
    (odd / "hooks.so").write_bytes(files.read_bytes())
    assert wc_run("--preload", odd / "hooks.so", *python(3)).stderr.count('open("/etc/passwd"') == 3


def test_a_hand_written_library_is_loaded_behind_the_shim(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    odd = tmp_path / "mine too.so"
    odd.write_bytes(compile_c("int getpagesize(void) { return 12345; }", "-shared", "-fPIC").read_bytes())
    (tmp_path / "c.json").write_text(json.dumps({"ld_preload": str(odd), "funcs": [{"func_name": "getpagesize"}]}))
    program = compile_c('#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d", getpagesize()); }')
    done = wc_run("-c", tmp_path / "c.json", program)
    assert (done.stdout, "getpagesize() = 12345" in done.stderr) == ("12345", True)


def test_an_asan_program_runs_and_that_is_said(wc_run: Run, files: Path, compile_c: Callable[..., Path]) -> None:
    try:
        program = compile_c(LOOP, "-fsanitize=address")
    except AssertionError:
        pytest.skip("no AddressSanitizer here")
    done = wc_run("--preload", files, program, 3)
    assert (done.returncode, "AddressSanitizer" in done.stderr, done.stderr.count("write(")) == (0, True, 3)


def test_the_log_is_appended_in_the_working_directory(wc_run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"logger_path": "log.txt", "funcs": [{"func_name": "open"}]}')
    for _ in range(2):
        wc_run("-c", "c.json", "true", cwd=tmp_path)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [word for line in lines for word in ("started", "ended") if word in line] == ["started", "ended"] * 2


def test_what_no_engine_covers_is_named_and_the_rest_runs(wc_run: Run, tmp_path: Path) -> None:
    config = '{"funcs": [{"func_name": "open"}, {"func_name": "dlsym"}]}'
    (tmp_path / "c.json").write_text(config)
    done = wc_run("-c", tmp_path / "c.json", *python(2))
    assert ("dlsym is not intercepted" in done.stderr, done.stderr.count('open("/etc/passwd"')) == (True, 2)


def test_a_list_of_names_needs_no_config(wc_run: Run) -> None:
    assert wc_run("--trace", "open,fn:close", *python(4)).stderr.count('open("/etc/passwd"') == 4


@pytest.mark.parametrize(
    ("names", "what"), [("sys:opne", "no system call 'opne'"), ("open,", "is no name"), ("fopne", "fopen")]
)
def test_names_that_cannot_be_are_refused(wc_run: Run, names: str, what: str) -> None:
    done = wc_run("--trace", names, "true")
    assert (done.returncode, what in done.stderr) == (125, True)


def test_a_changed_config_is_read_again(wc_run: Run, tmp_path: Path) -> None:
    """What the last run noted about the shim holds only while nothing has changed."""
    config, seen = tmp_path / "c.json", []
    for name in ("open", "close", "open"):
        config.write_text(json.dumps({"funcs": [{"func_name": name}]}))
        done = wc_run("-c", config, "--format", "jsonl", "-o", tmp_path / "out", *python(1))
        assert done.returncode == 0, done.stderr
        seen.append({json.loads(line)["func"] for line in (tmp_path / "out").read_text().splitlines()})
    assert seen == [{"open"}, {"close"}, {"open"}]


def test_s_keeps_and_shows_as_much_as_it_says(wc_run: Run, files: Path) -> None:
    done = wc_run("--preload", files, "-s", 200, "sh", "-c", "echo " + "y" * 300)
    assert f'write(1, "{"y" * 200}"..., 301) = 301' in done.stderr


def test_options_of_strace_mean_what_they_mean_there(wc_run: Run, files: Path, tmp_path: Path) -> None:
    wc_run("--preload", files, "-Z", "-T", "-o", tmp_path / "out", "cat", "/etc/passwd", "/nonexistent")
    failed = (tmp_path / "out").read_text()
    assert ("ENOENT" in failed, '"/etc/passwd"' in failed, failed.splitlines()[0].endswith(">")) == (True, False, True)


def test_children_are_followed(wc_run: Run, files: Path, tmp_path: Path) -> None:
    script = "cat /etc/passwd >/dev/null; (cat /etc/group >/dev/null) & wait"
    done = wc_run("--preload", files, "--format", "jsonl", "-o", tmp_path / "out", "sh", "-c", script)
    calls = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    opened = {c["args"]["pathname"]: c["pid"] for c in calls if c["func"] == "open" and "etc" in c["args"]["pathname"]}
    assert (done.stderr, len({opened["/etc/passwd"], opened["/etc/group"]})) == ("", 2)


def test_a_program_out_of_sight_is_named_with_the_reason(
    wc_run: Run, files: Path, compile_c: Callable[..., Path]
) -> None:
    static = compile_c("int main(void) { return 0; }", "-static")
    said = wc_run("--preload", files, "-o", "/dev/null", "sh", "-c", f"{static}; env -i /bin/true; true").stderr
    assert (f"lost sight of {static}: it is statically linked" in said, "lost sight of /bin/true: its env" in said) == (
        True, True,
    )  # fmt: skip


def test_a_reason_is_given_only_where_it_is_known(wc_run: Run, files: Path) -> None:
    """Seen while it ran, the environment is the reason; of one that was gone at once, or had no room, it may be."""
    said = [
        wc_run("--preload", files, "-o", "/dev/null", "sh", "-c", f"{script}; true").stderr
        for script in ("env -i /bin/sleep 2", "(ulimit -f 0; exec /bin/true)")
    ]
    lines = [next(line for line in text.splitlines() if "lost sight" in line) for text in said]
    assert [" or it " in line for line in lines] == [False, True]
    assert ("no LD_PRELOAD" in lines[0], "RLIMIT_FSIZE" in lines[1]) == (True, True)


def test_follow_all_keeps_programs_with_a_stripped_environment(wc_run: Run, files: Path, tmp_path: Path) -> None:
    code = "import os; os.execve('/bin/cat', ['cat', '/etc/passwd'], {})"
    done = wc_run("--preload", files, "--follow", "all", "-o", tmp_path / "out", "python3", "-S", "-c", code)
    assert (done.stderr, '"/etc/passwd"' in (tmp_path / "out").read_text()) == ("", True)


def test_wc_run_ends_with_its_program_and_names_who_stays(wc_run: Run, files: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = wc_run("--preload", files, "-o", "/dev/null", "sh", "-c", f"cat {fifo} >/dev/null 2>&1 & cat </dev/null")
    with open(fifo, "w"):
        pass
    assert (done.returncode, "still running" in done.stderr) == (0, True)


def test_wait_all_stays_until_the_last_process_ends(files: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    out = tmp_path / "out"
    command = f"(read x <{fifo}; exec cat /etc/group >/dev/null) & cat </dev/null"
    options = ["--preload", str(files), "--wait-all", "-o", str(out)]
    process = subprocess.Popen([str(BIN / "wc-run"), *options, "sh", "-c", command], stderr=subprocess.PIPE, text=True)
    with open(fifo, "w") as file:
        file.write("go\n")
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said, '"/etc/group"' in out.read_text()) == (0, "", True)


def test_sigterm_to_wc_run_ends_the_program_and_keeps_its_calls(files: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(BIN / "wc-run"), "--preload", str(files), "-o", str(tmp_path / "out"),
         "sh", "-c", "exec 3</etc/passwd; echo ready; read x"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    process.communicate()
    assert '"/etc/passwd"' in (tmp_path / "out").read_text()


def test_a_killed_consumers_output_keeps_what_was_drained(files: Path, tmp_path: Path) -> None:
    """The formatter finishes what is spooled, although nobody is left to wait for it."""
    process = subprocess.Popen(
        [str(BIN / "wc-run"), "--preload", str(files), "sh", "-c", "exec 3</etc/passwd; read x; exec 3</etc/group"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    seen = next(line for line in iter(process.stderr.readline, "") if '"/etc/passwd"' in line)
    process.kill()
    process.communicate("go\n")
    assert "= 3" in seen


def test_events_tell_coverage_and_processes_as_lines_of_their_own(wc_run: Run, tmp_path: Path) -> None:
    options = ("--trace", "open,dlsym", "--format", "jsonl", "-o", tmp_path / "out")
    for events, expected in (("--events", {"coverage", "process"}), ("--strict", set())):
        wc_run(*options, events, *python(1))
        lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
        assert {line["event"] for line in lines if "event" in line} == expected


def test_an_interrupt_after_the_programs_end_ends_the_formatting(files: Path, loop: Path, tmp_path: Path) -> None:
    """The program has written its calls and ended; whoever was to read them does not."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [str(BIN / "wc-run"), "--preload", str(files), "-o", str(fifo), "sh", "-c", f"{loop} 300000; echo $$"],
        stdout=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    with open(fifo, "rb"):
        assert process.stdout is not None
        program = int(process.stdout.readline())
        while os.path.exists(f"/proc/{program}"):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    process.stdout.close()


def test_a_shim_without_a_cache_leaves_nothing_behind(wc_run: Run, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "cache").write_text("no directory")
    variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    done = wc_run("--trace", "open", "-o", "/dev/null", "sh", "-c", "kill $$", env=variables)
    assert (done.returncode, done.stderr, os.listdir(tmp_path / "tmp")) == (-signal.SIGTERM, "", [])
