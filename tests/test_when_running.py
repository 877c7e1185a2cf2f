"""``when`` in both engines: what is recorded is what the expression holds of, whoever asks.

Every expression stands beside its meaning in Python. A library has one function per expression; the program calls each
with the same arguments.
"""

from __future__ import annotations

import fnmatch
import json
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
