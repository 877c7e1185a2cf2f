"""Both engines record the same: one config, run by the shim and by the tracer, gives the same calls.

Compared are all keys of a record but its times, its engine and its symbol, thread by thread, in the order in which calls
ended. Programs are deterministic, and run without address randomisation; addresses still differ (the shim itself takes
some room) and count as equal, as do process ids.

Absent on purpose: what only one engine can see: calls that a callback's tail jump makes seem libc's own (the tracer
misses those), names that share one address (memmove and memcpy), the unwinder's look at a shim's own frames.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from views import lines_of, quiet

ADDRESSES = range(0x5000_0000_0000, 0x8000_0000_0000)
PRESENT = range(1_700_000_000, 2_147_483_647)
CHANGING = frozenset("st_ino st_nlink st_atim st_mtim st_ctim tv_nsec tv_usec tm_sec tm_min tm_hour tm_mday tm_mon tm_yday tm_wday".split())
FUNCTIONS = """
printf fprintf snprintf sscanf fputs fopen fclose fgets open read lseek close stat opendir readdir closedir mkdir unlink
rmdir qsort bsearch strcmp strlen strrchr strstr strtol strtod atoi longjmp pthread_create pthread_join gmtime_r strftime
div ldexp fabs hypot strerror getenv puts write
""".split()
COREUTILS = """
open openat read write close fopen fclose fwrite fputs fstat stat lstat opendir readdir closedir setlocale getenv
bindtextdomain textdomain strncmp strcoll strlen strrchr memcmp mbrtowc iswprint nl_langinfo localtime_r strftime
strtol strtoumax isatty ioctl getopt_long posix_fadvise qsort exit abort atexit
""".split()
LIBRARY = """
open openat read write pread64 pwrite64 close fcntl fstat stat lstat unlink access getcwd getpid fsync fdatasync ftruncate
strcmp strncmp strlen strchr memcmp getenv localtime_r gettimeofday time isatty fopen fgets fputs fflush
setlocale strtol sysconf readlink opendir readdir closedir
""".split()

CXX = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>
#include <algorithm>

static int deep(int n)
{
        struct Guard { ~Guard() { puts("left"); } } guard;
        if (n == 0)
                throw std::runtime_error("thrown");
        return deep(n - 1) + 1;
}

static int comparing(const void *a, const void *b)
{
        if (strcmp(*(const char *const *)a, *(const char *const *)b) > 0)
                throw std::logic_error("from a callback");
        return -1;
}

int main()
{
        for (int i = 0; i < 5; i++) {
                try {
                        printf("%d\n", deep(i));
                } catch (const std::exception &e) {
                        printf("caught %s\n", e.what());
                }
        }
        const char *words[] = {"b", "a", "c"};
        try {
                qsort(words, 3, sizeof *words, comparing);
        } catch (const std::logic_error &e) {
                printf("%s\n", e.what());
        }
        return puts("end") < 0;
}
"""


def recorded(tmp_path: Path, engine: str, functions: Sequence[str], command: Sequence[object]) -> tuple[str, list[list[str]]]:
    """Run *command*; return what it printed, and the calls of each of its threads, each as a text."""
    config, output = tmp_path / "config.json", tmp_path / f"{engine}.jsonl"
    config.write_text(json.dumps({"funcs": [{"func_name": name} for name in functions]}))
    words = ["setarch", "-R", BIN / "wc-run", "--engine", engine, "-c", config, "--format", "jsonl", "-o", output]
    (tmp_path / "empty").mkdir(exist_ok=True)
    done = quiet([*words, *command], cwd=tmp_path / "empty")
    assert 0 == done.returncode, done.stderr
    threads: dict[int, list[str]] = {}
    engines = Counter()  # type: Counter[str]
    for call in lines_of(output):
        engines[call["engine"]] += 1
        if call.get("unfinished"):  # left by a longjmp or an exception: which only the tracer can tell from its being inside
            continue
        threads.setdefault(call["tid"], []).append(comparable(call))
    assert {engine} == set(engines)
    return done.stdout, [threads[tid] for tid in sorted(threads)]


def comparable(call: dict[str, Any]) -> str:
    kept = {key: value for key, value in call.items() if key not in ("time", "duration", "pid", "tid", "engine", "symbol")}
    return json.dumps(placeless(kept, call["pid"]))


def placeless(value: Any, pid: int) -> Any:
    """Replace addresses, the process's id, the present time, and the numbers of files."""
    if isinstance(value, dict):
        return {key: placeless(inner, pid) for key, inner in value.items() if key not in CHANGING}
    if isinstance(value, list):
        return [placeless(inner, pid) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return "address" if value in ADDRESSES else "now" if value in PRESENT else "pid" if value == pid else value
    return value


def agree(tmp_path: Path, functions: Sequence[str], command: Sequence[object], clean: Callable[[], Any] = lambda: 0) -> int:
    """Compare both engines; return how many calls there were."""
    clean()
    preload = recorded(tmp_path, "preload", functions, command)
    clean()
    ptrace = recorded(tmp_path, "ptrace", functions, command)
    assert preload[0] == ptrace[0]
    assert len(preload[1]) == len(ptrace[1])
    for theirs, mine in zip(preload[1], ptrace[1], strict=True):
        said = [f"only by {who}: {n} times {line}" for who, a, b in (("preload", theirs, mine), ("ptrace", mine, theirs))
                for line, n in (Counter(a) - Counter(b)).items()]  # fmt: skip
        if said:
            pytest.fail("\n".join(sorted(said)[:40]), pytrace=False)
        if theirs != mine:
            at = next(i for i, (a, b) in enumerate(zip(theirs, mine, strict=True)) if a != b)
            pytest.fail("in another order:\n" + "\n".join([*theirs[at : at + 3], *mine[at : at + 3]]), pytrace=False)
    return sum(map(len, preload[1]))


def test_calls_of_every_manner(tmp_path: Path, compile_c: Callable[..., Path]) -> None:
    """Formats both ways, callbacks, recursion through libc, threads, longjmp, failures, results of every type."""
    folder = tmp_path / "folder"
    folder.mkdir()
    program = compile_c("torture_calls.c", "-fno-builtin", "-pthread", "-lm")
    assert 250 < agree(tmp_path, FUNCTIONS, [program, folder])


def test_exceptions(tmp_path: Path, needs: Callable[[str], str]) -> None:
    """Through frames of the program's own, and through libc's qsort."""
    source, program = tmp_path / "thrower.cc", tmp_path / "thrower"
    source.write_text(CXX)
    subprocess.run([needs("g++"), "-O1", "-g", "-fno-builtin", "-o", program, source], check=True)
    assert 25 < agree(tmp_path, ["puts", "printf", "qsort", "strcmp"], [program])


@pytest.mark.parametrize(
    "command",
    ["ls -la /usr/include/asm-generic", "sort -r /etc/passwd", "sha256sum /etc/passwd /etc/group", "wc /etc/passwd",
     "cat -A /etc/hostname", "seq 3 5", "od -c /etc/hostname", "cut -d: -f1 /etc/passwd", "expr 6 * 7",
     "stat -c %s /etc/passwd", "date -u -d @0", "printf %d-%s 5 x", "dd if=/etc/passwd of=/dev/null bs=64 status=none"],
)  # fmt: skip
def test_coreutils(tmp_path: Path, command: str) -> None:
    assert 10 < agree(tmp_path, COREUTILS, command.split())


def test_sqlite3(tmp_path: Path, needs: Callable[[str], str]) -> None:
    database, own = tmp_path / "d.sqlite", [name for name in LIBRARY if name != "read"]  # of /dev/urandom
    sql = "pragma journal_mode=off; create table t(a, b); insert into t values (1, 'x'), (2, 'y'); select * from t; delete from t; vacuum"
    assert 100 < agree(tmp_path, own, [needs("sqlite3"), database, sql], lambda: database.unlink(missing_ok=True))


def test_python(tmp_path: Path) -> None:
    own = [name for name in LIBRARY if not name.startswith(("mem", "str"))]  # objects are ordered by their addresses
    code = "import json, os; print(json.dumps([len(os.listdir('/etc/apt')), os.path.exists('/nonexistent')]))"
    command = ["env", "PYTHONHASHSEED=0", "/usr/bin/python3", "-s", "-S", "-B", "-c", code]
    assert 200 < agree(tmp_path, own, command)
