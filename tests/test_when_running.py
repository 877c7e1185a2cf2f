"""``when`` in both engines: what is recorded is what the expression holds of, whoever asks.

Every expression stands beside its meaning in Python. A library has one function per expression; the program calls each
with the same arguments.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Compile = Callable[..., Path]
ENGINES = ("preload", "ptrace")
M = (1 << 64) - 1


def wrap(number: int) -> int:
    """Return *number* as int64_t has it."""
    return (number + (1 << 63) & M) - (1 << 63)


def divided(a: int, b: int) -> int:
    return 0 if b == 0 else wrap(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))


NUMBERS = [(0, 0, 0), (1, 1, 1), (-1, M, -1), (-5, 4096, 7), (7, 3, 0x441), (1 << 40, 1 << 63, 0x40), (-(1 << 63), 5, -1),
           ((1 << 63) - 1, M - 1, 2), (4096, 4095, 0x242)]  # fmt: skip
"""long a, unsigned long b, int c"""
ABOUT_NUMBERS: list[tuple[str, Callable[[int, int, int], Any]]] = [
    ("a > 2", lambda a, b, c: a > 2),
    ("b >= 4096 and a > 2", lambda a, b, c: b >= 4096 and a > 2),
    ("a < b", lambda a, b, c: a < b),
    ("b <= a", lambda a, b, c: b <= a),
    ("a == b", lambda a, b, c: a == b),
    ("a != b", lambda a, b, c: a != b),
    ("not (a < b or c == 1)", lambda a, b, c: not (a < b or c == 1)),
    ("c & 0x40", lambda a, b, c: c & 0x40),
    ("c & 3 == 2", lambda a, b, c: c & 3 == 2),
    ("c & ~0x40 == 1", lambda a, b, c: c & ~0x40 == 1),
    ("b & 3 > a", lambda a, b, c: (b & 3) > a),
    ("c & O_CREAT and c & O_ACCMODE == O_RDWR", lambda a, b, c: c & 0o100 and c & 3 == 2),
    ("a + 1 < a", lambda a, b, c: wrap(a + 1) < a),
    ("b + 2 < b", lambda a, b, c: (b + 2) & M < b),
    ("a - c > 0", lambda a, b, c: wrap(a - c) > 0),
    ("a * 3 == -15", lambda a, b, c: wrap(a * 3) == -15),
    ("a / c == a", lambda a, b, c: divided(a, c) == a),
    ("b / 2 == 2047", lambda a, b, c: b // 2 == 2047),
    ("a % 4 == -1", lambda a, b, c: wrap(a - 4 * divided(a, 4)) == -1),
    ("a % c == 0", lambda a, b, c: c == 0 or wrap(a - c * divided(a, c)) == 0),
    ("b % 10 == 6", lambda a, b, c: b % 10 == 6),
    ("a >> 1 == -3", lambda a, b, c: a >> 1 == -3),
    ("b >> 63", lambda a, b, c: b >> 63),
    ("1 << c == 128", lambda a, b, c: 0 <= c < 64 and 1 << c == 128),
    ("-a == 5", lambda a, b, c: -a == 5),
    ("~a == 4", lambda a, b, c: ~a == 4),
    ("a ^ b == 0", lambda a, b, c: a & M == b),
    ("a | 1 == 7", lambda a, b, c: a | 1 == 7),
    ("b == 0xffffffffffffffff", lambda a, b, c: b == M),
    ("a == -0x8000000000000000", lambda a, b, c: a == -(1 << 63)),
    ("0x10000000000 == a", lambda a, b, c: a == 1 << 40),
    ("a", lambda a, b, c: a),
    ("not c", lambda a, b, c: not c),
    ("ret == -1", lambda a, b, c: wrap(a + c) == -1),
    ("ret < a and c != 0", lambda a, b, c: wrap(a + c) < a and c != 0),
    ("a > 0 or ret == 0", lambda a, b, c: a > 0 or wrap(a + c) == 0),
]
TEXTS = ["", "a", "/etc/passwd", "/etc/ssl/certs", "x" * 300 + "/end", "*", "a*b", "[", "h\u00e9", 'say "x"', "back\\slash", "]", "-"]
ABOUT_TEXTS: list[tuple[str, Callable[[str], bool]]] = [
    ('s == "/etc/passwd"', lambda s: s == "/etc/passwd"),
    ("s != ''", lambda s: s != ""),
    ('s ~ "/etc/*"', lambda s: s.startswith("/etc/")),
    ('s !~ "/etc/*"', lambda s: not s.startswith("/etc/")),
    ("s ~ '*'", lambda s: True),
    ("s ~ '?'", lambda s: len(s.encode()) == 1),
    ("s ~ '*/end'", lambda s: s.endswith("/end")),
    ("s ~ '*x*x*/e?d'", lambda s: fnmatch.fnmatchcase(s, "*x*x*/e?d")),
    ("s ~ '/etc/[a-o]*' or s ~ '[!/x]'", lambda s: fnmatch.fnmatchcase(s, "/etc/[a-o]*") or fnmatch.fnmatchcase(s, "[!/x]")),
    (r"s ~ '\\*'", lambda s: s.startswith("\\")),
    (r"s ~ 'a\*b' or s == '*'", lambda s: s in ("a*b", "*")),
    (r"s ~ '[]-]'", lambda s: s in ("]", "-")),
    ("s == 'h\u00e9'", lambda s: s == "h\u00e9"),
    ('s ~ "say \\"*"', lambda s: s.startswith('say "')),
    (r"s == 'back\\slash'", lambda s: s == "back\\slash"),
    ("s ~ '" + "x" * 300 + "*'", lambda s: s.startswith("x" * 300)),
    ("ret ~ '*ssl*'", lambda s: "ssl" in s),
    ("ret == NULL", lambda s: False),
]


def source() -> str:
    numbers = "\n".join(f"long number{i}(long a, unsigned long b, int c) {{ (void)b; return (long)((unsigned long)a + (unsigned long)c); }}"
                        for i in range(len(ABOUT_NUMBERS)))  # fmt: skip
    texts = "\n".join(f"const char *text{i}(const char *s, int row) {{ (void)row; return s; }}" for i in range(len(ABOUT_TEXTS)))
    return f"{numbers}\n{texts}\n"


def header() -> str:
    lines = [f"long number{i}(long a, unsigned long b, int c);" for i in range(len(ABOUT_NUMBERS))]
    return "\n".join([*lines, *(f"const char *text{i}(const char *s, int row);" for i in range(len(ABOUT_TEXTS)))]) + "\n"


def main() -> str:
    rows = ", ".join(f"{{(long){a & M:#x}ul, {b:#x}ul, {c}}}" for a, b, c in NUMBERS)
    texts = ", ".join(json.dumps(text, ensure_ascii=False) for text in TEXTS)
    calls = "".join(f"number{i}(rows[k].a, rows[k].b, rows[k].c);\n" for i in range(len(ABOUT_NUMBERS)))
    more = "".join(f"text{i}(texts[k], (int)k);\n" for i in range(len(ABOUT_TEXTS)))
    bad = "".join(f"text{i}((const char *)16, -1);\ntext{i}((const char *)0, -2);\n" for i in range(len(ABOUT_TEXTS)))
    return f"""#include "asked.h"
static const struct {{ long a; unsigned long b; int c; }} rows[] = {{{rows}}};
static const char *const texts[] = {{{texts}}};
int main(void)
{{
for (unsigned k = 0; k < {len(NUMBERS)}; k++) {{
{calls}}}
for (unsigned k = 0; k < {len(TEXTS)}; k++) {{
{more}}}
{bad}return 0;
}}
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, compile_c: Compile, wc_run: Run) -> Callable[[str], list[dict[str, Any]]]:
    """asked(engine): the calls of the program that were recorded, all functions under their expressions."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "asked.h").write_text(header())
    library = folder / "libasked.so"
    library.symlink_to(compile_c(source(), "-shared", "-fPIC", "-Wl,-soname,libasked.so"))
    program = compile_c(main(), f"-I{folder}", f"-L{folder}", "-lasked", f"-Wl,-rpath,{folder}", "-fno-builtin")
    funcs = [{"func_name": f"number{i}", "when": text} for i, (text, _) in enumerate(ABOUT_NUMBERS)]
    funcs += [{"func_name": f"text{i}", "when": text} for i, (text, _) in enumerate(ABOUT_TEXTS)]
    config = folder / "config.json"
    config.write_text(json.dumps({"headers": [str(folder / "asked.h")], "libraries": [str(library)], "funcs": funcs}))
    done: dict[str, list[dict[str, Any]]] = {}

    def run(engine: str) -> list[dict[str, Any]]:
        if engine not in done:
            done[engine] = []
            output = folder / f"{engine}.jsonl"
            ran = wc_run("--engine", engine, "-s", "400", "-c", config, "--format", "jsonl", "-o", output, "--strict", program)
            assert (0, "") == (ran.returncode, ran.stderr)
            done[engine] = [json.loads(line) for line in output.read_text().splitlines()]
        return done[engine]

    return run


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("index", range(len(ABOUT_NUMBERS)), ids=[text for text, _ in ABOUT_NUMBERS])
def test_numbers(asked: Callable[[str], list[dict[str, Any]]], engine: str, index: int) -> None:
    holds = ABOUT_NUMBERS[index][1]
    found = [tuple(call["args"].values()) for call in asked(engine) if call["func"] == f"number{index}"]
    assert [row for row in NUMBERS if holds(*row)] == found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("index", range(len(ABOUT_TEXTS)), ids=[text[:40] for text, _ in ABOUT_TEXTS])
def test_texts(asked: Callable[[str], list[dict[str, Any]]], engine: str, index: int) -> None:
    """A text that cannot be read is equal to nothing and like nothing."""
    text, holds = ABOUT_TEXTS[index]
    found = [call["args"]["row"] for call in asked(engine) if call["func"] == f"text{index}"]
    unreadable = [-1, -2] if "!=" in text or "!~" in text else [-2] if "NULL" in text else []
    assert [row for row, text in enumerate(TEXTS) if holds(text)] + unreadable == found


# --- in a program -----------------------------------------------------------------------------------------------------

SCENE = r"""
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern int through(int fd);
static __thread volatile long sum;
static void *thread(void *unused)
{
        for (int i = 0; i < 1000; i++)
                sum += labs(i);
        return unused;
}
int main(int argc, char **argv)
{
        const int file = open(argv[0], O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 3; i++)
                open(argc > 1 ? argv[1] : "/nowhere/at/all", O_RDONLY);
        char byte;
        read(file, &byte, 1);
        read(-1, &byte, 1);
        sum = strtol("7", NULL, 10);
        isatty(file);
        through(file);
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, thread, NULL);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        const pid_t child = fork();
        if (child == 0) {
                thread(NULL);
                _exit(3);
        }
        waitpid(child, NULL, 0);
        _exit(4);
}
"""
THROUGH = "#include <unistd.h>\nint through(int fd) { return isatty(fd) + 1; }\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, compile_c: Compile) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    library = folder / "libthrough.so"
    shutil.copy(compile_c(THROUGH, "-shared", "-fPIC", "-Wl,-soname,libthrough.so", "-fno-builtin"), library)
    flags = (f"-L{folder}", "-lthrough", f"-Wl,-rpath,{folder}", "-fno-builtin", "-pthread", "-fno-optimize-sibling-calls")
    return compile_c(SCENE, *flags)


def ran(
    wc_run: Run, tmp_path: Path, scene: Path, engine: str, config: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """Return the calls that were recorded, and the accounting line."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    output = tmp_path / "calls.jsonl"
    words = ("--engine", engine, "-v", "--strict", "-c", tmp_path / "config.json", "--format", "jsonl", "-o", output)
    done = wc_run(*words, scene)
    assert 4 == done.returncode, done.stderr
    line = next(line for line in done.stderr.splitlines() if " calls = " in line)
    return [json.loads(line) for line in output.read_text().splitlines()], line.removeprefix("wc-run: ")


CASES: list[dict[str, tuple[str, list[Any]]]] = [
    {
        "open": ("errno == ENOENT and pathname ~ '/no*'", [(-1, "ENOENT")] * 3),
        "read": ("ret == -1 and errno == EBADF", [(-1, "EBADF")]),
        "strtol": ("nptr == '7' and ret == 7 and base == 10", [(7, None)]),
        "isatty": ("caller ~ '*/libthrough.so' and fd == 3", [(0, "ENOTTY")]),
        "_exit": ("status == 4", [(None, None)]),
        "pthread_create": ("ret == 0 and errno == 0", [(0, None)] * 2),
    },
    {
        "open": ("flags & O_CLOEXEC and not mode & 0777", [(3, None)]),
        "read": ("ret < count", [(-1, "EBADF")]),
        "strtol": ("ret == 8", []),
        "isatty": ("caller !~ '*/libthrough.so' and caller ~ '/*' or fd == 4", [(0, "ENOTTY")]),
        "_exit": ("status == 5", []),
        "pthread_create": ("errno == EAGAIN or start_routine == NULL", []),
    },
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_a_call_is_recorded_when_the_expression_holds(
    wc_run: Run, tmp_path: Path, scene: Path, engine: str, case: int
) -> None:
    config = {"funcs": [{"func_name": name, "when": when} for name, (when, _) in CASES[case].items()]}
    calls, _ = ran(wc_run, tmp_path, scene, engine, config)
    found: dict[str, list[Any]] = {name: [] for name in CASES[case]}
    for call in calls:
        found[call["func"]].append((call["ret"], call["errno"]))
    assert {name: expected for name, (_, expected) in CASES[case].items()} == found


def test_of_system_calls(wc_run: Run, tmp_path: Path, scene: Path) -> None:
    whens = {"openat": "errno == ENOENT and pathname ~ '/no*'", "read": "ret == -1", "exit_group": "status == 4"}
    config = {"syscalls": [{"syscall_id": name, "when": when} for name, when in whens.items()]}
    calls, _ = ran(wc_run, tmp_path, scene, "auto", config)
    expected = [("openat", "ENOENT")] * 3 + [("read", "EBADF"), ("exit_group", None)]
    assert expected == [(call["func"], call["errno"]) for call in calls]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("when", ["j % 4 == 1", "ret % 4 == 1"])
def test_every_call_is_accounted_for(wc_run: Run, tmp_path: Path, scene: Path, engine: str, when: str) -> None:
    """Two threads and a child make 1,000 calls each. frequency comes first: of every second call, half are filtered."""
    config = {"funcs": [{"func_name": "labs", "when": when, "frequency": 2}]}
    calls, line = ran(wc_run, tmp_path, scene, engine, config)
    assert "3,000 calls = 750 recorded + 1,500 sampled out + 750 filtered out" == line
    assert 750 == len(calls) and {1} == {call["ret"] % 4 for call in calls}


@pytest.mark.parametrize("engine", ENGINES)
def test_handlers_run_for_calls_of_which_it_holds(wc_run: Run, tmp_path: Path, scene: Path, compile_c: Compile, engine: str) -> None:
    """back_enter where the part before the call does, back_exit where all of it does."""
    library = compile_c(
        "#include <stdio.h>\n#include <sys/user.h>\n"
        'void in(struct user_regs_struct *r, int p) { (void)r; (void)p; fputs("in\\n", stderr); }\n'
        'void out(struct user_regs_struct *r, int p) { (void)r; (void)p; fputs("out\\n", stderr); }\n',
        "-shared", "-fPIC",
    )  # fmt: skip
    target = {"func_name": "open", "when": "flags & O_CLOEXEC == 0 and ret >= 0", "back_enter": "in", "back_exit": "out"}
    config = {"library_path": str(library), "funcs": [target]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = wc_run("--engine", engine, "-c", tmp_path / "config.json", scene, "/nowhere")
    assert (4, 3, 0) == (done.returncode, done.stderr.count("in\n"), done.stderr.count("out\n"))
    done = wc_run("--engine", engine, "-c", tmp_path / "config.json", scene, "/dev/null")
    assert (4, 3, 3) == (done.returncode, done.stderr.count("in\n"), done.stderr.count("out\n"))
    assert 3 == done.stderr.count('open("/dev/null", O_RDONLY) = ')


@pytest.mark.parametrize("engine", ENGINES)
def test_faults_are_for_calls_of_which_it_holds(wc_run: Run, tmp_path: Path, scene: Path, engine: str) -> None:
    target = {"func_name": "open", "when": "pathname ~ '/nowhere/*'", "inject": {"errno": "EIO", "first": 2}}
    calls, _ = ran(wc_run, tmp_path, scene, engine, {"funcs": [target]})
    assert ["ENOENT", "EIO", "EIO"] == [call["errno"] for call in calls]


@pytest.mark.parametrize("engine", ENGINES)
def test_limits_are_for_records_that_it_leaves(wc_run: Run, tmp_path: Path, scene: Path, engine: str) -> None:
    target = {"func_name": "labs", "when": "j >= 998", "max_per_second": 1000}
    calls, line = ran(wc_run, tmp_path, scene, engine, {"funcs": [target]})
    assert [998, 998, 998, 999, 999, 999] == sorted(call["args"]["j"] for call in calls)
    assert "3,000 calls = 6 recorded + 2,994 filtered out" == line
