"""wc-run as a command: what the program inherits, how both end, signals and job control.

The shim here is an empty library with a manifest: what it would intercept is not the subject.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from wc_intercept.consumer.shim import ManifestHead, pack_manifest
from wc_intercept.generator import manifest

WC_RUN = str(BIN / "wc-run")
STARTED: list[subprocess.Popen[str]] = []
STATUS = "import re; print(re.findall(r'Sig(?:Blk|Ign|Cgt):\\t(\\w+)', open('/proc/self/status').read()))"


@pytest.fixture(scope="session")
def empty_shim(compile_c: Callable[..., Path]) -> str:
    """A library with the manifest of one target, and no wrapper."""
    platform = manifest.Platform("x86_64", "glibc", "libc.so.6")
    text = manifest.encode(
        manifest.Manifest("0", platform, [manifest.Target("open")], [manifest.Symbol("open", 0, "plain")])
    )
    section = pack_manifest(ManifestHead(1, 1, 0x1234, len(text)), [1], text)
    numbers = ",".join(map(str, section))
    code = f'__attribute__((section(".wc_manifest"), used)) static const unsigned char wc[] = {{{numbers}}};'
    return str(compile_c(code, "-shared", "-fPIC"))


@pytest.fixture
def run(empty_shim: str, wc_run: Run) -> Run:
    """run("prog", "arg") under the empty shim."""
    return lambda *words, **options: wc_run("--preload", empty_shim, *words, **options)


def natively(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 30} | options
    return subprocess.run(words, **options)


def both(empty_shim: str, script: str, *, before: str = "", **options: Any) -> tuple[str, str]:
    """Return what ``sh -c`` *script* prints natively and under wc-run, both started by a shell that ran *before*."""
    out = []
    for prefix in ("", f"{WC_RUN} --preload {empty_shim} "):
        done = natively("bash", "-c", f"{before}\nexec {prefix}sh -c {script!r}", **options)
        assert done.returncode == 0, done.stderr
        out.append(done.stdout)
    return out[0], out[1]


def test_the_exit_status_is_the_programs(run: Run) -> None:
    assert [run("sh", "-c", f"exit {code}").returncode for code in (0, 1, 3, 124, 255)] == [0, 1, 3, 124, 255]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGUSR1])
def test_a_fatal_signal_is_raised_again(run: Run, number: signal.Signals) -> None:
    assert run("sh", "-c", f"kill -{int(number)} $$").returncode == -number


def test_no_core_file_of_ours_is_left(run: Run, tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    done = run(
        "sh", "-c", "ulimit -c 0; kill -SEGV $$", cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1])),
    )  # fmt: skip
    assert (done.returncode, os.listdir(tmp_path)) == (-signal.SIGSEGV, [])


def test_not_found_is_127(run: Run) -> None:
    done = run("no-such-program-here")
    assert (done.returncode, done.stderr) == (127, "wc-run: error: no-such-program-here: No such file or directory\n")


def test_not_executable_is_126(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    done = run(tmp_path / "data")
    assert (done.returncode, done.stderr) == (126, f"wc-run: error: {tmp_path}/data: Permission denied\n")


def test_own_errors_are_125(run: Run) -> None:
    assert run("--no-such-option", "true").returncode == 125


def test_a_static_program_is_refused_before_it_runs(run: Run, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    code = '#include <stdio.h>\nint main(void) { return fopen("ran", "w") == NULL; }'
    done = run(compile_c(code, "-static"), cwd=tmp_path)
    assert (done.returncode, "statically linked" in done.stderr, os.listdir(tmp_path)) == (125, True, [])


def test_what_is_no_shim_is_said_to_be_none(wc_run: Run) -> None:
    done = wc_run("--preload", "/bin/ls", "true")
    assert (done.returncode, "not a shim" in done.stderr) == (125, True)


def test_a_file_without_a_first_line_is_run_by_the_shell(run: Run, tmp_path: Path) -> None:
    """As execvp does."""
    (tmp_path / "tool").write_text("echo ran $1\n")
    (tmp_path / "tool").chmod(0o755)
    assert run(tmp_path / "tool", "it").stdout == "ran it\n"


@pytest.mark.parametrize("before", ["", "trap '' PIPE", "trap '' PIPE XFSZ INT QUIT TERM HUP USR1 USR2 CHLD TSTP"])
def test_signal_dispositions_are_inherited(empty_shim: str, before: str) -> None:
    native, ours = both(empty_shim, "grep ^Sig.*[IB] /proc/self/status", before=before)
    assert native == ours


def test_the_signal_mask_is_inherited(run: Run) -> None:
    masked = {signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD}
    block = lambda: signal.pthread_sigmask(signal.SIG_BLOCK, masked)  # noqa: E731
    words = (sys.executable, "-c", STATUS)
    assert natively(*words, preexec_fn=block).stdout == run(*words, preexec_fn=block).stdout


@pytest.mark.parametrize("before", ["", "exec <&-", "exec 7</dev/null 9>&1", "exec 2>&-", "exec 0<&- 2>&-"])
def test_descriptors_are_inherited(empty_shim: str, before: str) -> None:
    native, ours = both(empty_shim, "for f in /proc/$$/fd/*; do readlink $f; done; true", before=before)
    assert [line.partition("[")[0] for line in native.split()] == [line.partition("[")[0] for line in ours.split()]


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", ""])
def test_the_environment_is_inherited(empty_shim: str, locale: str) -> None:
    """But for the two variables that the shim needs; Python's coercion of the C locale does not show."""
    variables = {"PATH": os.environ["PATH"], "LC_ALL": locale, "ODD": "a=b", "LD_PRELOAD": ""}
    native, ours = both(empty_shim, "env | sort | grep -v -e ^LD_PRELOAD= -e ^WC_SESSION=", env=variables)
    assert native == ours


def test_the_affinity_is_inherited(empty_shim: str) -> None:
    native, ours = both(empty_shim, "grep Cpus_allowed: /proc/self/status", before="taskset -p 1 $$ >/dev/null; true")
    assert native == ours


def test_argv_0_is_as_typed(run: Run) -> None:
    assert run("sh", "-c", "cat /proc/$$/cmdline | tr '\\0' ' '").stdout.split()[0] == "sh"


def test_standard_input_reaches_the_program(run: Run) -> None:
    assert run("cat", stdin=None, input="hello").stdout == "hello"


def test_the_session_is_removed_at_the_end(run: Run, tmp_path: Path) -> None:
    run("true", env=os.environ | {"WC_SESSION_ROOT": str(tmp_path)})
    assert os.listdir(tmp_path) == []


def test_nothing_is_said_when_nothing_was_called(wc_run: Run, shim: Callable[..., Path]) -> None:
    assert wc_run("--preload", shim("socketpair"), "true").stderr == ""


def test_a_program_that_never_loaded_the_shim_is_named(run: Run) -> None:
    """The empty shim makes no segment: to wc-run, it looks as if it had not been loaded."""
    assert run("true").stderr == "wc-run: true ran without the shim: nothing of it was seen\n"


def start(empty_shim: str, *words: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
    """Start wc-run in a process group of its own, with pipes."""
    more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    process = subprocess.Popen([WC_RUN, "--preload", empty_shim, *options, *words], process_group=0, **more)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_is_left_over() -> Iterator[None]:
    """A test that fails leaves no wc-run behind."""
    yield
    for process in STARTED:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if not process.stdin or not process.stdin.closed:
            process.communicate()
    STARTED.clear()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


READY = "echo $$; read x"


def test_sigint_is_left_to_the_program(empty_shim: str) -> None:
    process = start(empty_shim, "sh", "-c", READY + "; exit 5")
    line(process)
    process.send_signal(signal.SIGINT)
    process.communicate("go\n")
    assert process.returncode == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_are_passed_on(empty_shim: str, number: signal.Signals) -> None:
    process = start(empty_shim, "sh", "-c", READY)
    line(process)
    process.send_signal(number)
    assert process.wait(30) == -number


def test_a_program_that_survives_sigterm_is_followed_to_its_end(empty_shim: str) -> None:
    process = start(empty_shim, "sh", "-c", "trap 'echo caught' TERM; echo ready; read x; read y; exit 4")
    line(process)
    process.send_signal(signal.SIGTERM)
    assert line(process) == "caught\n"
    process.communicate("a\nb\n")
    assert process.returncode == 4


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_user_signals_say_that_there_is_no_config(empty_shim: str, number: signal.Signals) -> None:
    process = start(empty_shim, "sh", "-c", READY)
    line(process)
    process.send_signal(number)
    assert process.stderr is not None
    said = process.stderr.readline()
    process.communicate("go\n")
    assert (number.name in said, process.returncode) == (True, 0)


def test_user_signals_are_survived_from_the_first_instruction(empty_shim: str) -> None:
    for _ in range(5):
        process = start(empty_shim, "true")
        process.send_signal(signal.SIGUSR1)
        process.communicate()
        # Before the exec of wc-run itself the signal is Python's child's: that one may die of it.
        assert process.returncode in (0, -signal.SIGUSR1)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP])
def test_wc_run_stops_and_goes_on_with_its_program(empty_shim: str, number: signal.Signals) -> None:
    process = start(empty_shim, "sh", "-c", READY)
    program = int(line(process))
    os.kill(program, number)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    stopped = os.WIFSTOPPED(status)
    os.killpg(process.pid, signal.SIGCONT)
    process.communicate("go\n")
    assert (stopped, process.returncode) == (True, 0)


def test_continuing_wc_run_alone_continues_the_program(empty_shim: str) -> None:
    process = start(empty_shim, "sh", "-c", READY)
    os.kill(int(line(process)), signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0


def test_the_program_lives_on_when_wc_run_is_killed(empty_shim: str) -> None:
    process = start(empty_shim, "sh", "-c", READY + "; echo alive")
    line(process)
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert line(process) == "alive\n"
    process.communicate()
