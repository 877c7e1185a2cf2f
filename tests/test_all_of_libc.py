"""Real programs under a shim of all of libc and libm: they do not notice. Same output, same files, same status."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

FAMILIES = ("malloc*", "calloc", "realloc*", "free", "posix_memalign", "aligned_alloc", "mem*", "str*", "wcs*", "stp*")

PYTHON = """
import ctypes, json, math, os, socket, sqlite3, subprocess, tempfile, threading
print(json.dumps({"sin": math.sin(1.0), "pow": math.pow(2, 0.5)}), "%.17g" % math.lgamma(0.3))
print(subprocess.check_output(["sh", "-c", "echo from a child; exit 0"]))
threads = [threading.Thread(target=print, args=(i,)) for i in range(3)]
for thread in threads: thread.start(); thread.join()
a, b = socket.socketpair(); a.sendall(b"through a socket"); print(b.recv(64))
print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchall())
pid = os.fork()
if pid == 0: os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
with tempfile.TemporaryFile("w+") as f: f.write("text"); f.seek(0); print(f.read())
print(ctypes.CDLL(None).getppid() == os.getppid())
"""
PERL = 'my $x=`echo hi`; print $x; printf("%.3f %s\\n",3.14159,"x"); eval { die "oops\\n" }; print $@; print sort 3,1,2'
C_SOURCE = '#include <stdio.h>\\nint main(void) { return puts(\\"compiled\\") < 0; }\\n'
MAKEFILE = "all: one two\\n\\t@cat one two\\none two:\\n\\t@echo $@ > $@\\n"

BASH = "for i in 1 2 3; do echo $i | cat; done; x=$(printf %05d 42); echo $x; trap 'echo bye' EXIT; exit 3"
COREUTILS = "cp /etc/passwd a && mv a b && ls -l --time-style=+ b && sort -r b | head -3 && rm b; touch c; wc c"

WORK: dict[str, tuple[str, list[str]]] = {
    "bash": ("bash", ["-c", BASH]),
    "coreutils": ("sh", ["-c", COREUTILS]),
    "git": ("git", ["-c", "init.defaultBranch=main", "init", "-q", "tree"]),
    "python3": ("python3", ["-c", PYTHON]),
    "perl": ("perl", ["-e", PERL]),
    "sqlite3": ("sqlite3", ["data.db", "create table t(a); insert into t values (1),(2); select sum(a) from t;"]),
    "gcc": ("sh", ["-c", f'printf "{C_SOURCE}" > p.c && gcc -O1 p.c -o p && ./p']),
    "make": ("sh", ["-c", f"printf '{MAKEFILE}' > Makefile && make -j2"]),
    "tar": ("sh", ["-c", "cp /usr/include/stdio.h . && tar czf a.tgz stdio.h && tar tzf a.tgz && rm a.tgz"]),
    "find": ("find", ["/usr/include", "-name", "std*.h", "-size", "-200k"]),
    "awk": ("awk", ['BEGIN { for (i = 0; i < 5; i++) printf "%d %s %.6f\\n", i, toupper("x" i), sin(i) }']),
    "openssl": ("openssl", ["dgst", "-sha256", "/etc/passwd"]),
}  # fmt: skip
"""Name of the test -> the program that must be there, and what it does in an empty directory."""


@pytest.fixture(scope="module", params=[pytest.param("without", marks=pytest.mark.soak), "with"])
def everything(request: pytest.FixtureRequest, wc_gen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shim of every function that libc and libm export, without and with malloc's and the strings' families.

    The one with them has all wrappers of the other, and half of the time goes into compiling.
    """
    names = ("*", *(FAMILIES if request.param == "with" else ()))
    folder = tmp_path_factory.mktemp("everything")
    (folder / "config.json").write_text(json.dumps({"funcs": [{"func_name": name} for name in names]}))
    done = wc_gen(folder / "config.json", "-o", folder / "all.so", timeout=900)
    assert 0 == done.returncode, done.stderr
    return folder / "all.so"


def files(folder: Path) -> dict[str, bytes]:
    """What the program left behind."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("work", WORK)
def test_a_program_does_its_work_as_if_nothing_were_there(
    everything: Path, wc_run: Run, needs: Callable[[str], str], tmp_path: Path, work: str
) -> None:
    needs(work if work != "coreutils" else "cp")
    program, arguments = WORK[work]
    environment = {**os.environ, "LC_ALL": "C", "HOME": str(tmp_path)}
    options = {"env": environment, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 300}
    alone, traced = tmp_path / "alone" / "here", tmp_path / "traced" / "here"
    for folder in (alone, traced):
        folder.mkdir(parents=True)
    native = subprocess.run([needs(program), *arguments], cwd=alone, **options)  # type: ignore[call-overload]
    log = tmp_path / "calls.wc"
    done = wc_run(
        "--preload", everything, "--format", "wc", "-o", log, "--", program, *arguments, cwd=traced, **options
    )
    assert (native.returncode, native.stdout, native.stderr) == (done.returncode, done.stdout, done.stderr)
    assert files(alone) == files(traced)
    assert log.stat().st_size > 0
