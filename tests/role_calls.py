"""The calls that prove the annotated table: tests/data/roles/*.txt, and the C program that makes them.

A line is  [before ;;] call => name=value, ... [;; after]  and may begin with @child or @thread: the call is made there.
The values are what a trace must show for the call's arguments, in Python: C's constants have their values, ``ret`` is
the call's result, CWD the working directory, WITH(c) what the C expression is after the call; ADDRESS, STRUCT, BYTES,
LENGTH(n) and IF(condition, value) describe a value. An argument that is not named may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wc_intercept.generator.model import Function

DATA = Path(__file__).parent / "data" / "roles"
MARK = 1000000000
_WITH = re.compile(r"\b(?:WITH|OUT)\(((?:[^()]|\([^()]*\))*)\)")


@dataclass(frozen=True)
class RoleCall:
    """One line: *number* finds it in a trace."""

    number: int
    where: str
    place: str
    before: str
    call: str
    after: str
    expected: str
    """Python for a dict; WITH(c) has become WITH[i]."""
    with_: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the function that it calls."""
        return re.search(r"\w+", self.call)[0].removeprefix("via_")  # type: ignore[index]


def read_calls() -> list[RoleCall]:
    """Return all lines of all files."""
    return [_parse(number, where, line) for number, (where, line) in enumerate(_lines()) if "=>" in line]


def _lines() -> Iterator[tuple[str, str]]:
    for path in sorted(DATA.glob("*.txt")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                yield f"{path.name}:{number}", line.strip()


def _parse(number: int, where: str, line: str) -> RoleCall:
    left, _, right = line.partition("=>")
    place = ""
    if left.startswith("@"):
        place, _, left = left[1:].partition(" ")
    before, _, call = left.rpartition(";;")
    expected, _, after = right.partition(";;")
    with_: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        with_.append(match[1])
        return f"WITH[{len(with_) - 1}]"

    expected = _WITH.sub(numbered, expected)
    return RoleCall(number, where, place, before.strip(), call.strip(), after.strip(), expected.strip(), tuple(with_))


# --- the program -----------------------------------------------------------------------------------------------------


def program(calls: list[RoleCall], functions: dict[str, Function]) -> str:
    """Return C that makes all *calls*; *functions* tells which return nothing."""
    parts = ['#include "roles.h"\n']
    parts += [_function(call, functions.get(call.name)) for call in calls]
    table = "".join(f"        call_{call.number}();\n" for call in calls)
    parts.append(
        f'int\nmain(void)\n{{\n        prepare();\n        say("{{\\"cwd\\": "), say_text(buf), say("}}\\n");\n{table}'
        "        fflush(NULL);\n        _exit(0);\n}\n"
    )
    return "\n".join(parts)


def _function(call: RoleCall, function: Function | None) -> str:
    body = [f"getauxval(MARK + {call.number});", "errno = 0;"]
    kind = function.result.kind if function is not None and not call.call.startswith("via_") else "int"
    if kind == "void":
        body += [f"{call.call};", "const int error = errno;", _say(call.number, "null")]
    elif kind in ("int", "pointer", "bool"):
        body += [f"const long long result = (long long)({call.call});", "const int error = errno;"]
        body += [_say(call.number, "", "say_number(result);")]
    else:
        body += [f"__typeof__({call.call}) result = {call.call};", "const int error = errno;", "(void)result;"]
        body += [_say(call.number, "null")]
    body += ['say(", \\"with\\": [");', *_values(call.with_), 'say("]}\\n");']
    lines = _placed(call, body)
    before = [f"{call.before};"] if call.before else []
    after = [f"{call.after};"] if call.after else []
    text = "\n".join(f"        {line}" for line in [*before, *lines, *after])
    return f"/* {call.where} */\nstatic void\ncall_{call.number}(void)\n{{\n{text}\n}}\n"


def _say(number: int, literal: str, code: str = "") -> str:
    result = f'say("{{\\"number\\": {number}, \\"ret\\": {literal}"); {code}'
    return result + ' say(", \\"errno\\": "); say_number(error);'


def _values(with_: tuple[str, ...]) -> list[str]:
    lines = []
    for index, expression in enumerate(with_):
        lines += ['say(", ");'] if index else []
        lines.append(f"SAY({expression});")
    return lines


def _placed(call: RoleCall, body: list[str]) -> list[str]:
    """Return *body* where the call is to be made: here, in a child, in a thread (by a nested function)."""
    if call.place == "child":
        return ["const pid_t pid = fork();", "if (pid == 0) {", *body, "_exit(0);", "}", "waitpid(pid, NULL, 0);"]
    if call.place == "thread":
        start = f"void *start(void *argument) {{ {' '.join(body)} return argument; }}"
        return [start, "pthread_t other;", "pthread_create(&other, NULL, start, NULL);", "pthread_join(other, NULL);"]
    return body


# --- what a trace must show ------------------------------------------------------------------------------------------


class Described:
    """A value known only by its kind; compares equal to all that are of it."""

    def __init__(self, what: str, test: Any) -> None:
        self.what, self.test = what, test

    def __eq__(self, other: object) -> bool:
        return bool(self.test(other))

    def __hash__(self) -> int:
        return hash(self.what)

    def __repr__(self) -> str:
        return self.what


ANYTHING = Described("anything", lambda _: True)
DESCRIPTIONS: dict[str, Any] = {
    "ADDRESS": Described("an address", lambda v: isinstance(v, int) and v > 0),
    "STRUCT": Described("a struct", lambda v: isinstance(v, dict) and v),
    "BYTES": Described("bytes", lambda v: isinstance(v, str) and v),
    "LENGTH": lambda n: Described(f"{n} elements", lambda v: isinstance(v, list) and len(v) == n),
    "IF": lambda condition, value: value if condition else ANYTHING,
    "SIZE": lambda n: Described(f"{n} bytes", lambda v: isinstance(v, str) and len(raw(v)) == n),
    "ANY_OF": lambda *values: Described(f"any of {values}", lambda v: v in values),
    "ANYTHING": ANYTHING,
}


def raw(text: str) -> bytes:
    """Return the bytes that jsonl shows as *text*."""
    return text.encode("utf-8", "surrogateescape")


class Constants(dict[str, Any]):
    """The names in an expectation: descriptions first, then what the headers define."""

    def __init__(self, constant: Any, **known: Any) -> None:
        super().__init__(DESCRIPTIONS, **known)
        self.constant = constant

    def __missing__(self, name: str) -> Any:
        value = self.constant(name)
        if value is None:
            raise KeyError(name)
        return value


def expectation(call: RoleCall, constant: Any, **known: Any) -> dict[str, Any]:
    """Return the arguments that a trace of *call* must show."""
    expected: dict[str, Any] = eval(f"dict({call.expected})", {}, Constants(constant, dict=dict, **known))
    return expected


def agrees(expected: Any, found: Any) -> bool:
    """Return whether *found* is what is *expected*: of a struct, the members named."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(agrees(v, found.get(k, KeyError)) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(agrees, expected, found))
    return bool(expected == found)
