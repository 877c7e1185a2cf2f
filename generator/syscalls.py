"""The system calls of x86-64: their numbers, prototypes, roles and sets.

Called by policy.py and tracer_plan.py (which calls there are, how each reads) and by wc-run --trace (names that libc
does not export). Rules: numbers are the installed asm/unistd_64.h's, through the preprocessor, never typed in; a call
that libc wraps with the kernel's own parameters is described by libc's prototype and annotation; every other one has a
line in table/calls/, and what stands there wins. A call fails by -4095..-1, whatever its type: all have the failure
rule of their result's type. A number that the header does not know is a call named ``sys_NNN`` with six words; a name
that neither libc nor the table describes has them too.

Absent on purpose: x32 and 32-bit calls (other numbers, other types), and how a call is caught (runtime/tracer).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from types import MappingProxyType

from .aliases import variant_base
from .annotations import TABLE, parse_role, split
from .errors import UserError
from .headers import Headers
from .model import Annotation, CType, Function, Param, Platform, Role
from .preprocessor import include
from .table import calls

MOST_NUMBERS = 512
"""Numbers of x86-64 calls are below this: from it on they are x32's."""
TABLE_ORIGIN = "system call table"
NO_ORIGIN = "no prototype"

_LINE = re.compile(r"(?P<name>\w+)\((?P<params>.*)\)\s*->\s*(?P<result>[^:]+?)\s*(?::(?P<role>.*))?")
_DECLARED = re.compile(r"(?P<type>.*?)(?P<name>[A-Za-z_]\w*)", re.S)
_UNNAMED = re.compile(r"sys_(\d+)")
_GIVEN_SIZE = re.compile(r"min\((\w+),sizeof\)")
_TYPE_WORDS = re.compile(r"\b(?:struct|union|enum)\s+\w+|\b\w+")


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call as the kernel takes it: at most six words in registers, a word or an error number back."""

    name: str
    number: int
    function: Function
    annotation: Annotation
    """Of the same parameters, in order; its fail is -1 (MAP_FAILED for an address) for every call that returns."""
    returns: bool = True
    """False: exit and exit_group have no return to wait for."""
    replaces: bool = False
    """A success replaces the program: execve, execveat."""
    sets: frozenset[str] = frozenset()
    """``%file``, ``%desc``...: those of strace, and ours."""
    origin: str = ""
    """Where its prototype is from: ``unistd.h:371``, ``system call table``, or ``no prototype``."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of table/calls/."""

    name: str
    params: tuple[tuple[str, str, Role], ...]
    """(name, C declaration, role)."""
    result: str
    role: Role

    @property
    def prototype(self) -> str:
        return f"{self.result} {self.name}({', '.join(text for _, text, _ in self.params) or 'void'})"


# --- numbers and names -----------------------------------------------------------------------------------------------


def numbers(platform: Platform | None = None) -> Mapping[str, int]:
    """Return name -> number of every call that the installed headers know, by number. Raises UserError."""
    return _numbers((platform or Platform()).compiler)


@lru_cache(maxsize=4)
def _numbers(compiler: str) -> Mapping[str, int]:
    headers = Headers.of_text("#include <asm/unistd_64.h>\n", Platform(compiler=compiler))
    prefix = "__NR_"
    values = {name: headers.constant(name) for name in headers.macros if name.startswith(prefix)}
    found = {name.removeprefix(prefix): value for name, value in values.items() if value is not None}
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1])))


def select(pattern: str | int, platform: Platform | None = None) -> tuple[str, ...]:
    """Return the names of the calls that *pattern* means, in the order of numbers; none when it means none.

    *pattern* is a name, a number (also as text: ``"257"``), a glob (``"*"``: all, those without a name too), or a set
    (``"%file"``).
    """
    known = numbers(platform)
    if isinstance(pattern, int) or pattern.isdecimal():
        return _numbered(int(pattern), known)
    if pattern.startswith("%"):
        members = set(calls.SETS.get(pattern, ()))
        return tuple(name for name in known if name in members)
    if pattern in known:
        return (pattern,)
    if unnamed := _UNNAMED.fullmatch(pattern):
        return _numbered(int(unnamed[1]), known)
    if not set(pattern) & set("*?["):
        return ()
    named = {number: name for name, number in known.items()}
    all_names = (named.get(number, f"sys_{number}") for number in range(MOST_NUMBERS))
    return tuple(name for name in all_names if fnmatchcase(name, pattern))


def _numbered(number: int, known: Mapping[str, int]) -> tuple[str, ...]:
    """Return the call of that number under the name it has, if it has one."""
    name = next((name for name, value in known.items() if value == number), f"sys_{number}")
    return (name,) if 0 <= number < MOST_NUMBERS else ()


def stands_for(function: str, platform: Platform | None = None) -> tuple[str, ...]:
    """Return the calls that a library function's plain name means where the function itself cannot be caught.

    ``open``: open, openat. Empty when no system call does what the function does.
    """
    known = numbers(platform)
    plain = (variant_base(function) or function).removeprefix("__")
    for name in (plain, plain.removesuffix("64"), f"{plain}64", f"rt_{plain}"):
        members = calls.LIBRARY.get(name, (name,) if name in known else ())
        if found := tuple(member for member in members if member in known):
            return found
    return ()


# --- descriptions ----------------------------------------------------------------------------------------------------


def describe(
    names: Iterable[str], headers: Headers | None = None, platform: Platform | None = None
) -> list[SystemCall]:
    """Return the calls *names* (also ``sys_NNN``), in that order. Raises KeyError for a name that is none.

    *headers* are libc's public ones, when the caller has read them; without, they are read if a call needs them.
    """
    wanted = {name: _number(name, numbers(platform)) for name in names}
    described = lines()
    functions = _own([described[name] for name in wanted if name in described], platform)
    shared = [name for name in wanted if name not in described and name in TABLE]
    if shared:
        headers = headers or Headers.read(platform=platform)
        functions |= headers.functions(shared)
    return [_made(name, number, functions.get(name)) for name, number in wanted.items()]


def _number(name: str, known: Mapping[str, int]) -> int:
    if name in known:
        return known[name]
    unnamed = _UNNAMED.fullmatch(name)
    if unnamed is None or int(unnamed[1]) >= MOST_NUMBERS:
        raise KeyError(name)
    return int(unnamed[1])


def _made(name: str, number: int, function: Function | None) -> SystemCall:
    if function is None or function.variadic:
        function, annotation = _words(name)
    elif name in lines():
        line = lines()[name]
        roles = (_known(role, param.type) for (_, _, role), param in zip(line.params, function.params, strict=True))
        annotation = Annotation(name, tuple(zip((known for known, _, _ in line.params), roles, strict=True)), line.role)
    else:
        annotation = _of_kernel(TABLE[name])
    sets = tuple(sorted(set_ for set_, members in calls.SETS.items() if name in members))
    returns = name not in calls.NO_RETURN
    fail = ("MAP_FAILED" if function.result.kind == "pointer" else "-1") if function.result.kind != "void" else ""
    annotation = replace(annotation, fail=fail, sets=tuple(set_.removeprefix("%") for set_ in sets))
    if not returns:
        function = replace(function, attributes=function.attributes | {"noreturn"})
    return SystemCall(
        name, number, function, annotation, returns, name in calls.REPLACING, frozenset(sets), function.origin
    )


def _known(role: Role, type_: CType) -> Role:
    """Return *role* for a struct whose header may not be installed: bytes of a given length are left, or nothing."""
    complete = type_.pointee is not None and type_.pointee.size
    if complete or "sizeof" not in role.length:
        return role
    match = _GIVEN_SIZE.fullmatch(role.length)
    return replace(role, length=match[1], element="bytes") if match else Role()


def _of_kernel(annotation: Annotation) -> Annotation:
    """A library function that returns an error number returns 0, or fails as all calls do, in the kernel."""
    return replace(annotation, result=Role()) if annotation.fail == "errno" else annotation


def _words(name: str) -> tuple[Function, Annotation]:
    """Return a call of which nothing but its number is known: six words, and a word back."""
    word = CType("unsigned long @", "int", 8, 8, name="unsigned long")
    result = replace(word, text="long @", signed=True, name="long")
    params = tuple(Param(f"arg{i}", word) for i in range(1, 7))
    annotation = Annotation(name, tuple((param.name, Role()) for param in params))
    return Function(name, result, params, origin=NO_ORIGIN), annotation


# --- the table -------------------------------------------------------------------------------------------------------


@cache
def lines() -> Mapping[str, Line]:
    """Return the lines of table/calls/, by name. Raises ValueError for one that is not of the form."""
    found: dict[str, Line] = {}
    for text in calls.TEXTS:
        for raw in text.splitlines():
            stripped = raw.partition("#")[0].strip()
            if not stripped:
                continue
            line = parse(stripped)
            if line.name in found:
                raise ValueError(f"{line.name} stands twice in the table of system calls")
            found[line.name] = line
    return MappingProxyType(found)


def parse(text: str) -> Line:
    """Return one line: ``NAME(TYPE NAME:ROLE, ...) -> TYPE:ROLE``. Raises ValueError."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form name(type name:role, ...) -> type:role")
    params = []
    for part in split(match["params"]):
        declaration, _, role = part.partition(":")
        declared = _DECLARED.fullmatch(declaration.strip())
        if declared is None or not declared["type"].strip():
            raise ValueError(f"{text!r}: {declaration!r} declares no parameter")
        params.append((declared["name"], declaration.strip(), parse_role(role)))
    if len(params) > 6:
        raise ValueError(f"{text!r}: the kernel takes six words at most")
    return Line(match["name"], tuple(params), match["result"], parse_role(match["role"] or ""))


def _own(wanted: list[Line], platform: Platform | None) -> dict[str, Function]:
    """Return the functions that lines of the table declare: one run of the preprocessor, on what they need."""
    if not wanted:
        return {}
    text = " ".join(line.prototype for line in wanted)
    words = {re.sub(r"\s+", " ", word) for word in _TYPE_WORDS.findall(text)}
    needed = dict.fromkeys(header for word, header in calls.TYPE_HEADERS.items() if word in words)
    included = include(["sys/types.h", "stdint.h", *needed])
    headers = Headers.of_text(calls.TYPES + included, platform)  # first: a member may be named as a macro is
    return {line.name: function for line in wanted if (function := _declared(line, headers)) is not None}


def _declared(line: Line, headers: Headers) -> Function | None:
    """Return the function of one line; None where a header defines its types in a way that is not understood."""
    try:
        return replace(headers.prototype(line.prototype), origin=TABLE_ORIGIN)
    except UserError:
        return None
