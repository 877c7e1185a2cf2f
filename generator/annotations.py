"""The annotated table: what libc's types do not tell, parsed from the compact notation of table/*.py.

Called by policy.py (TABLE by function name, CALL_SETS by set name) and emit.py (NAME_SETS through resolve()).

One line is one function, or several with the same parameters (aliases, variants):

    open open64(pathname:path, flags:flags=open, mode:mode) -> fd | -1
    NAME {NAME} "(" [PARAM {"," PARAM}] ")" "->" [ROLE] ["|" FAIL] {%SET}

Parameters bear the man pages' names and stand in the order of the prototype; those of a variadic function may go beyond
it (open's mode), and a trailing "..." may say so. FAIL is one of FAILURES; without it nothing that the function returns
means failure with an error number (readdir, strtol, getpriority). "nonzero" with an enum as result (getaddrinfo) fails
with a code of its own and leaves errno alone. A PARAM is NAME[":" ROLE], and a ROLE is

    KIND[MARK] ["[" LENGTH "]"] ["=" NAMES] ["of" KIND ["=" NAMES]] ["if" LENGTH]

KIND of a plain value: see VALUES. KIND of a pointer, and how what it points to may be read (R7):
    path     NUL-terminated; directly when the call succeeded or failed with an errno that proves that it was read
    str      NUL-terminated, unproven: through a guarded read
    in       bytes or values that the function may have read, unproven
    out      values that the function has written if it succeeded
    outstr   the same, NUL-terminated
    inout    both: after success directly, otherwise unproven
    strv     NULL-terminated vector of strings, unproven
    consumed never looked at: what it pointed to may be gone
MARK changes the proof:
    !   the function has read or written all of it whenever it returns (strlen's s, memcpy's src)
    +   ... whenever it succeeds by its own rule (printf's format)
    ^   ... its first byte, whenever it succeeds: the page it lies in may be read directly (str only: strcmp's s1)
    ~   ... all of it, if the buffer of `stream` is larger: then it was copied there, not given to the kernel (fwrite)
    ?   nothing is proven (an out-parameter that may be left alone); for path: whole like a path, but unproven
[LENGTH] is in bytes (lengths.py has the grammar): without it one pointee, with it as many as fit; a string's limit.
"of KIND" is the meaning of what is pointed to: a value's kind, or sockaddr, sigset, bytes (not the C type's members);
of an outstr, pointer: what is written is the address of the string (getline's lineptr).
"if LENGTH": only when that is positive (fgets' s if ret, futex's timeout if its operation has one).

A line "%set %set:" gives sets to all lines behind it, "%:" to none. "%set += NAME..." puts functions in a set without
annotating them. Names of flags and enums are listed in table/names.py; their values come from the headers.

Absent on purpose: types and sizes (the headers know), and any function that has nothing to be told about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, Protocol

from . import table
from .lengths import LengthError, compile_length
from .manifest import Names
from .model import Annotation, Role
from .table.names import KERNEL_HEADERS, NAME_SETS, Entry

VALUES = frozenset("fd dirfd pid uid gid mode flags enum signal size errno char time clockid".split())
POINTERS = frozenset("path str in out outstr inout strv consumed".split())
POINTEES = frozenset({"sockaddr", "sigset", "bytes", "pointer"})
FAILURES = frozenset({"", "-1", "NULL", "<0", "EOF", "nonzero", "zero", "errno", "MAP_FAILED", "SIG_ERR"})
IMPLIED_NAMES = {"signal": "signal", "clockid": "clockid", "dirfd": "dirfd"}
"""Kinds of value whose set of names follows from the kind."""
_ALL_BITS = 0xFFFFFFFF
"""The mask of a flag that means "none of them" (PROT_NONE)."""

_LINE = re.compile(r"(?P<names>[\w ]+)\((?P<params>.*)\)\s*->(?P<result>[^|%]*)(?:\|(?P<fail>[^%]*))?(?P<sets>%.*)?")
_ROLE = re.compile(
    r"(?P<kind>[a-z]+)(?P<mark>[!+?^~]?)(?:\[(?P<length>.+?)\])?(?:=(?P<names>\w+))?"
    r"(?:\s+of\s+(?P<element>[a-z]+)(?:=(?P<element_names>\w+))?)?(?:\s+if\s+(?P<condition>.+))?"
)


def parse_role(text: str) -> Role:
    """Return the role that *text* describes. Raises ValueError."""
    text = text.strip()
    if not text:
        return Role()
    match = _ROLE.fullmatch(text)
    if match is None:
        raise ValueError(f"role {text!r} is not of the form kind[length]=names of kind if condition")
    kind, mark = match["kind"], match["mark"]
    if kind in VALUES:
        return _value_role(text, kind, match["names"] or IMPLIED_NAMES.get(kind, ""), mark + (match["length"] or ""))
    if kind not in POINTERS:
        raise ValueError(f"role {text!r}: no kind named {kind!r}")
    element = match["element"] or ""
    if element and (element not in VALUES | POINTEES or (element == "pointer") != (kind == "outstr")):
        raise ValueError(f"role {text!r}: nothing points to a {element!r}")
    names = match["element_names"] or IMPLIED_NAMES.get(element, "")
    if match["condition"] and kind not in ("in", "out", "outstr", "inout"):
        raise ValueError(f"role {text!r}: only memory may have a condition")
    rest = Role(length=match["length"] or "", names=names, element=element, condition=match["condition"] or "")
    return _pointer_role(kind, mark, rest)


def _value_role(text: str, kind: str, names: str, rest: str) -> Role:
    if rest:
        raise ValueError(f"role {text!r}: a plain value has neither mark nor length")
    if (kind in ("flags", "enum")) != bool(names) and kind not in IMPLIED_NAMES:
        raise ValueError(f"role {text!r}: flags and enum need a set of names, other values have none")
    return Role(kind=kind, names=names)


def _pointer_role(kind: str, mark: str, rest: Role) -> Role:
    """Return the role with its proof."""
    proven: Literal["", "first", "stdio", "success", "return"] = ""
    if mark == "~":
        proven = "stdio"
    elif mark == "^":
        proven = "first"
    elif mark == "!":
        proven = "return"
    elif mark == "+" or (kind in ("out", "outstr", "inout") and not mark):
        proven = "success"
    if mark == "^" and kind != "str":
        raise ValueError(f"only a str can be proven by its first byte, not {kind}")
    whole = kind == "path"
    if mark and kind in ("path", "str"):
        kind = "str!" if mark == "!" else "str"
    always = mark == "!" and kind in ("out", "outstr", "inout")
    return replace(rest, kind=kind, proven=proven, always=always, whole=whole)


def parse_line(line: str, sets: tuple[str, ...] = ()) -> list[Annotation]:
    """Return the annotations of one line, one for each name it begins with. Raises ValueError."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise ValueError(f"{line!r} is not of the form name(param:role, ...) -> role | failure %set")
    params = tuple(_params(match["params"]))
    fail = (match["fail"] or "").strip()
    if fail not in FAILURES:
        raise ValueError(f"{line!r}: no failure rule {fail!r}")
    result = parse_role(match["result"])
    own = tuple(word.removeprefix("%") for word in (match["sets"] or "").split())
    _check_names(line, params)
    return [Annotation(name, params, result, fail, sets + own) for name in match["names"].split()]


def _params(text: str) -> Iterator[tuple[str, Role]]:
    for part in split(text):
        name, _, role = part.partition(":")
        if name == "...":
            return
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no parameter's name in {text!r}")
        yield name, parse_role(role)


def split(text: str) -> list[str]:
    """Return the parts between top-level commas."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _check_names(line: str, params: tuple[tuple[str, Role], ...]) -> None:
    """Refuse a length that names something which is no parameter: it would be found at a user's, in C."""
    known = {name for name, _ in params}
    if len(known) != len(params):
        raise ValueError(f"{line!r}: a parameter's name occurs twice")
    for _, role in params:
        for length in filter(None, (role.length, role.condition)):
            try:
                compile_length(length, {name: name for name in known | {"ret"}})
            except LengthError as error:
                raise ValueError(f"{line!r}: {error}") from error
        if role.names and role.names not in NAME_SETS:
            raise ValueError(f"{line!r}: no set of names {role.names!r}")


def parse_table(text: str) -> tuple[dict[str, Annotation], dict[str, list[str]]]:
    """Return the annotations and the sets of calls of one table file. Raises ValueError."""
    annotations: dict[str, Annotation] = {}
    sets: dict[str, list[str]] = {}
    section: tuple[str, ...] = ()
    for line in _lines(text):
        if line.startswith("%") and line.endswith(":"):
            section = tuple(word.removeprefix("%") for word in line[:-1].split() if word != "%")
        elif line.startswith("%"):
            name, _, members = line.partition("+=")
            sets.setdefault(name.strip(), []).extend(members.split())
        else:
            for annotation in parse_line(line, section):
                if annotation.name in annotations:
                    raise ValueError(f"{annotation.name} is annotated twice")
                annotations[annotation.name] = annotation
    return annotations, sets


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = line.partition("#")[0].strip()
        if stripped:
            yield stripped


def _read_tables(texts: Iterable[str]) -> tuple[dict[str, Annotation], dict[str, tuple[str, ...]]]:
    annotations: dict[str, Annotation] = {}
    members: dict[str, set[str]] = {}
    for text in texts:
        own, sets = parse_table(text)
        twice = annotations.keys() & own.keys()
        if twice:
            raise ValueError(f"annotated in two files: {', '.join(sorted(twice))}")
        annotations |= own
        for name, functions in sets.items():
            members.setdefault(name, set()).update(functions)
        for annotation in own.values():
            for name in annotation.sets:
                members.setdefault(f"%{name}", set()).add(annotation.name)
    return annotations, {name: tuple(sorted(functions)) for name, functions in sorted(members.items())}


_annotations, _sets = _read_tables(table.TEXTS)
TABLE: Mapping[str, Annotation] = MappingProxyType(_annotations)
"""Function name -> what is known of it."""
CALL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(_sets)
"""``%file`` -> names of library functions, sorted; not all of them are exported by every libc."""


class Constants(Protocol):
    """What resolve() needs of Headers."""

    def constant(self, name: str) -> int | None: ...


def resolve(headers: Constants, sets: Iterable[str] = NAME_SETS) -> dict[str, Names]:
    """Return the named *sets* with the values that *headers* give; names that they lack are left out."""
    wanted = sorted(sets)
    kernel = _kernel_headers(frozenset(KERNEL_HEADERS).intersection(wanted))
    both = _Both(headers, kernel) if kernel is not None else headers
    return {name: _resolve_set(*NAME_SETS[name], both if name in KERNEL_HEADERS else headers) for name in wanted}


class _Both:
    """Constants of libc's headers, and of the kernel's where libc's have none."""

    def __init__(self, first: Constants, second: Constants) -> None:
        self.first, self.second = first, second

    def constant(self, name: str) -> int | None:
        value = self.first.constant(name)
        return self.second.constant(name) if value is None else value


def _kernel_headers(sets: frozenset[str]) -> Constants | None:
    """Return the constants of the kernel's headers that *sets* need, read together; None when they need none."""
    if not sets:
        return None
    from .headers import Headers  # only here: they cost what all of libc's constants cost
    from .preprocessor import include

    wanted = dict.fromkeys(header for name in sorted(sets) for header in KERNEL_HEADERS[name].split())
    return Headers.of_text(include(wanted))


def names_of(annotation: Annotation) -> frozenset[str]:
    """Return the sets of names that *annotation* refers to."""
    return frozenset(role.names for role in (annotation.result, *(role for _, role in annotation.params)) if role.names)


def _resolve_set(kind: str, entries: list[Entry], headers: Constants) -> Names:
    found: list[tuple[str, int, int]] = []
    for entry in entries:
        if isinstance(entry, str):
            found += _with_values([entry], 0, headers)
        else:
            mask_name, names = entry
            mask = _mask(mask_name, headers)
            found += _with_values(names, mask, headers) if mask else []
    if kind == "flags":
        found = [(name, value, mask if value or mask else _ALL_BITS) for name, value, mask in found]
    return Names(kind="flags" if kind == "flags" else "enum", entries=_first_of_each(found))


def _mask(name: str, headers: Constants) -> int:
    if not name.startswith("~"):
        return headers.constant(name) or 0
    bits = 0
    for other in name[1:].split():
        bits |= headers.constant(other) or 0
    return ~bits & _ALL_BITS


def _with_values(names: list[str], mask: int, headers: Constants) -> list[tuple[str, int, int]]:
    values = ((name, headers.constant(name)) for name in names)
    return [(name, value, mask) for name, value in values if value is not None]


def _first_of_each(entries: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Drop later names of the same value: they are synonyms (EWOULDBLOCK, O_NDELAY)."""
    seen: set[tuple[int, int]] = set()
    kept = []
    for name, value, mask in entries:
        if (value, mask) not in seen:
            seen.add((value, mask))
            kept.append((name, value, mask))
    return kept
