"""Our system calls are those that strace and the kernel see: the same calls, the same returns, in the same order.

strace traces the same program in a run of its own, without address randomisation, so that even addresses are to be
equal. Programs whose processes race make other calls each time; there the kernel's own record of the very same run
(tracefs, views.py) is what ours must equal, call by call, and so in its counts.

Absent on purpose: what calls look like in text, and arguments.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from views import (
    Kernel,
    Ran,
    assert_equal_to_kernel,
    by_place,
    by_strace,
    counts,
    differences,
    lines_of,
    our_threads,
    our_words,
    ours,
    quiet,
    why_no_tracefs,
)

FIXED = ("setarch", "-R")
RACES = 8
"""How often two runs of one program may differ by a race (who is first: the child's end, or its parent's wait)."""

BASH = """
set -e
printf '%s\\n' pear apple fig | sort | tr a-z A-Z
for i in 1 2 3; do (echo "$i"; exit "$i") | cat || true; done
total=$(seq 1 100 | paste -sd+ | sed 's/+/ + /g' | wc -c)
echo "$total" > total
grep -c 1 < total | cat
while read -r line; do echo "<$line>"; done <<< "$(ls /usr/include/asm-generic | head -3)"
trap 'echo bye' EXIT
(kill -TERM $BASHPID) || echo "status $?"
"""
PYTHON = """
import json, os, pathlib, tempfile, threading
with tempfile.TemporaryDirectory() as folder:
    for n in range(20):
        pathlib.Path(folder, str(n)).write_text(json.dumps(list(range(n))))
    print(sum(len(json.loads(p.read_text())) for p in sorted(pathlib.Path(folder).iterdir())))
try:
    open("/nonexistent/file")
except OSError as error:
    print(error.errno)
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"from the child")
    os._exit(7)
print(os.wait()[1], os.read(read, 100))
"""
SQL = """
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) insert into t select i, hex(i) from n;
create index u on t(b); select count(*), sum(a) from t where b like '3%'; vacuum; delete from t where a % 3 = 0; select name from sqlite_master
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of some depth."""
    root = tmp_path / "tree"
    for a in range(5):
        for b in range(6):
            (root / f"a{a}" / f"b{b}").mkdir(parents=True)
            (root / f"a{a}" / f"b{b}" / "file").write_text("x" * a * b)
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Some commits."""
    root = tmp_path / "repository"
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", root], check=True)
    for n in range(12):
        (root / f"file{n}").write_text(f"{n}\n" * 30)
        subprocess.run(["git", "-C", root, "add", "."], check=True)
        subprocess.run(["git", "-C", root, *who, "commit", "-q", "-m", f"commit {n}"], check=True)
    return root


def agree(tmp_path: Path, command: Sequence[object], clean: Callable[[], None] = lambda: None, **more: Any) -> Ran:
    """Run *command* under us and under strace until a run of ours is one of strace's; return it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    theirs = []
    for _ in range(RACES):
        clean()
        theirs.append(by_strace(tmp_path / "strace", command, FIXED, **more))
        clean()
        run = ours(tmp_path / "calls", command, before=FIXED, **more)
        assert (theirs[-1].status, theirs[-1].stdout, theirs[-1].stderr) == (run.status, run.stdout, run.stderr)
        found = [differences(by_place(run.threads), by_place(other.threads)) for other in theirs]
        if [] in found:
            return run
    pytest.fail("\n".join(["strace sees other calls", *min(found, key=len)]))


def test_ls_of_a_tree(tmp_path: Path, tree: Path) -> None:
    run = agree(tmp_path, ["ls", "-lR", tree])
    assert 100 < sum(counts(run.threads).values())


def test_find_and_remove(tmp_path: Path, tree: Path) -> None:
    kept = tmp_path / "kept"
    tree.rename(kept)
    agree(tmp_path, ["rm", "-rv", tree], lambda: _again(kept, tree))


def test_git_log(tmp_path: Path, repository: Path, needs: Callable[[str], str]) -> None:
    run = agree(tmp_path, [needs("git"), "-C", repository, "log", "--stat", "-p"])
    assert 12 == run.stdout.count("Author:")


def test_python(tmp_path: Path) -> None:
    run = agree(tmp_path, ["/usr/bin/python3", "-s", "-S", "-B", "-c", PYTHON], env=os.environ | {"PYTHONHASHSEED": "1"})
    assert "190\n2\n1792 b'from the child'\n" == run.stdout
    assert 2 == len(run.threads)


def test_sqlite3(tmp_path: Path, needs: Callable[[str], str]) -> None:
    database = tmp_path / "d.sqlite"
    run = agree(tmp_path, [needs("sqlite3"), database, SQL], lambda: database.unlink(missing_ok=True))
    assert "500|125250\nt\nu\n" == run.stdout
    assert 1 < counts(run.threads)["fdatasync"] + counts(run.threads)["fsync"]


def test_a_shell_script_with_pipes(tmp_path: Path) -> None:
    run = agree(tmp_path, ["bash", "-c", BASH], cwd=tmp_path)
    assert "APPLE\nFIG\nPEAR\n" == run.stdout[:15]
    assert 15 < len(run.threads)


def test_interrupted_calls_are_one_call_each(tmp_path: Path, compile_c: Callable[..., Path]) -> None:
    """Restarted ones, those that end with EINTR, and those that no handler was called for."""
    run = agree(tmp_path, [compile_c("torture_restarts.c")])
    assert 0 == run.status
    (thread, *_) = run.threads.values()
    told = {tuple(line.split()) for line in run.stdout.splitlines()}
    assert told <= {(call.name, str(call.result)) for call in thread}
    assert 0 == counts(run.threads)["restart_syscall"]


def _again(source: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to)


# --- the kernel's own count of the same run ---------------------------------------------------------------------------


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    if why := why_no_tracefs():
        pytest.skip(why)
    with Kernel() as instance:
        yield instance


def test_a_parallel_make(tmp_path: Path, kernel: Kernel, needs: Callable[[str], str]) -> None:
    for n in range(6):
        (tmp_path / f"f{n}.c").write_text(f"#include <stdio.h>\nint f{n}(void) {{ return printf(\"%d\", {n}); }}\n")
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    objects = " ".join(f"f{n}.o" for n in range(6))
    (tmp_path / "Makefile").write_text(f"all: main\nmain: main.o {objects}\n\t$(CC) -o $@ $^\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    run = ours(tmp_path / "calls", [needs("make"), "-j2", "-C", tmp_path], preexec_fn=kernel.watch, env=environment)
    assert (0, True) == (run.status, (tmp_path / "main").exists())
    assert_equal_to_kernel(run, kernel)


def test_a_java_program(tmp_path: Path, kernel: Kernel, needs: Callable[[str], str]) -> None:
    """Two dozen threads, which use SIGSEGV for their own ends."""
    (tmp_path / "Hello.java").write_text(JAVA)
    subprocess.run([needs("javac"), "Hello.java"], cwd=tmp_path, check=True)
    run = ours(tmp_path / "calls", [needs("java"), "-cp", tmp_path, "Hello"], preexec_fn=kernel.watch)
    assert (0, "4950 caught\n") == (run.status, run.stdout)
    assert 10 < len(run.threads)
    assert_equal_to_kernel(run, kernel)


JAVA = """
public class Hello {
    static int length(String s) { return s.length(); }
    public static void main(String[] a) throws Exception {
        int[] sums = new int[4];
        Thread[] threads = new Thread[4];
        for (int t = 0; t < 4; t++) {
            final int n = t;
            threads[t] = new Thread(() -> { for (int i = n; i < 100; i += 4) sums[n] += i; });
            threads[t].start();
        }
        int sum = 0;
        for (int t = 0; t < 4; t++) { threads[t].join(); sum += sums[t]; }
        String said = "nothing";
        try { length(null); } catch (NullPointerException e) { said = "caught"; }
        System.gc();
        System.out.println(sum + " " + said);
    }
}
"""


def test_redis_under_load(tmp_path: Path, kernel: Kernel, needs: Callable[[str], str], soak: bool) -> None:
    requests = 20_000 if soak else 2_000
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = [needs("redis-server"), "--port", port, "--dir", tmp_path, "--save", "", "--appendonly", "no"]
    output = tmp_path / "calls"
    process = subprocess.Popen(
        [str(word) for word in [*our_words(output), *server]],
        preexec_fn=kernel.watch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(int(port), process)
        load = quiet([needs("redis-benchmark"), "-p", port, "-q", "-n", requests, "-c", 20, "-t", "set,get,lpush,lrange_100"])
        assert 0 == load.returncode, load.stderr
        quiet(["redis-cli", "-p", port, "shutdown", "nosave"])
        process.wait(timeout=60)
    finally:
        end(process)
    calls = lines_of(output)
    run = Ran(process.returncode, "", "", our_threads(calls), calls)
    assert (0, 4) == (run.status, min(4, len(run.threads)))
    assert requests < counts(run.threads)["read"]
    assert_equal_to_kernel(run, kernel)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("the server did not come up")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
