"""Real programs do the same under a shim of all of libc, and under the tracer, as without: output, files, exit status.

Each piece of work is a shell script of tests/real/, run in the same directory: once as it is, once under the full shim,
once traced. What may differ anyhow (pids, inode numbers, times of day) the scripts do not write. Rules: a script whose
programs are not installed is skipped; what a script prints is the proof that its program worked, so a script that
prints nothing proves nothing. Absent on purpose: what the records say (other tests), and speed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import BIN, TESTS

SCRIPTS = sorted((TESTS / "real").glob("*.sh"))
DIFFERENT_ANYHOW = re.compile(r"\.git/index$")
"""Files that hold inode numbers or times."""


@dataclass(frozen=True)
class Outcome:
    """What can be seen of a program from outside."""

    status: int
    stdout: str
    stderr: str
    files: dict[str, tuple[int, bytes]]


def outcome(command: list[str], folder: Path) -> Outcome:
    """Run *command* in the fresh directory *folder*; it is gone afterwards."""
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            errors="surrogateescape",
            timeout=240,
        )
        return Outcome(done.returncode, done.stdout, done.stderr, files(folder))
    finally:
        shutil.rmtree(folder)


def environment(folder: Path) -> dict[str, str]:
    """A small environment that is the same everywhere; the scripts see nothing of ours."""
    path = os.pathsep.join(["/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    dates = {"GIT_AUTHOR_DATE": "2001-02-03T04:05:06Z", "GIT_COMMITTER_DATE": "2001-02-03T04:05:06Z"}
    return dates | {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of everything below *folder*; of a link what it points to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if DIFFERENT_ANYHOW.search(name):
            continue
        mode = path.lstat().st_mode
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = (mode, content)
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all scripts run, one after the other: the same path, for it may get into what programs write."""
    return tmp_path_factory.mktemp("real") / "work"


@pytest.fixture(scope="session", params=SCRIPTS, ids=lambda path: path.stem)
def script(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    first = path.read_text().splitlines()[0]
    for program in first.removeprefix("# needs:").split():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture(scope="session")
def natural(script: Path, folder: Path) -> Outcome:
    """What the script does without us."""
    found = outcome(["/bin/sh", "-e", str(script)], folder)
    assert (0, "") == (found.status, found.stderr), "the script itself fails here"
    assert found.stdout, "the script proves nothing"
    return found


def under(shim: Path, script: Path, folder: Path) -> Outcome:
    trace = folder.with_name("trace.wc")
    wc_run = [str(BIN / "wc-run"), "--preload", str(shim), "--on-full", "overwrite", "--format", "wc", "-o", str(trace)]
    found = outcome([*wc_run, "/bin/sh", "-e", str(script)], folder)
    assert trace.stat().st_size > 100_000, "nothing was recorded"
    trace.unlink()
    return found


def test_work_is_the_same_under_a_shim_of_all_but_the_hottest_functions(
    script: Path, natural: Outcome, folder: Path, all_but_the_hottest: Path
) -> None:
    """``*`` leaves malloc's family and mem*, str*, wcs* out."""
    assert natural == under(all_but_the_hottest, script, folder)


TRACED = """
open openat read write close fopen fclose fwrite fputs puts printf stat lstat fstat opendir readdir closedir setlocale getenv
fork vfork execve waitpid pipe dup2 qsort pthread_create sigaction setjmp longjmp exit time localtime_r strtol atoi
"""


def test_work_is_the_same_under_the_tracer(script: Path, natural: Outcome, folder: Path, soak: bool) -> None:
    """All system calls, and some functions by breakpoints; with full counts all that ``*`` means."""
    names = ["*"] if soak else TRACED.split()
    config, trace = folder.with_name("config.json"), folder.with_name("traced.wc")
    wanted = {"funcs": [{"func_name": name} for name in names], "syscalls": [{"syscall_id": "*"}]}
    config.write_text(json.dumps(wanted))
    cache = f"XDG_CACHE_HOME={os.environ['XDG_CACHE_HOME']}"
    wc_run = [str(BIN / "wc-run"), "--engine", "ptrace", "-c", str(config), "--format", "wc", "-o", str(trace)]
    assert natural == outcome(["env", cache, *wc_run, "/bin/sh", "-e", str(script)], folder)
    assert trace.stat().st_size > 100_000, "nothing was recorded"
    trace.unlink()


def test_work_is_the_same_under_a_shim_of_every_function(
    script: Path, natural: Outcome, folder: Path, every_function: Path
) -> None:
    """malloc's family and mem*, str*, wcs* are in, each by its name."""
    assert natural == under(every_function, script, folder)
