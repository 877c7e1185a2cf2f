"""C++ names: what a mangled symbol is called in the program's source.

Called by program.py. The C++ runtime's own __cxa_demangle does it, through ctypes, as c++filt would. Rules: a name that
is given with its parameters means one function, one without all that are called so; spaces do not count.

Absent on purpose: a demangler of our own, Rust's newer mangling, and D's.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

from .errors import UserError

LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1")
_SPACES = re.compile(r"\s+")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
"""What Rust's legacy mangling, otherwise C++'s, appends."""


@cache
def _demangler() -> ctypes.CDLL | None:
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.__cxa_demangle.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
            library.__cxa_demangle.restype = ctypes.c_void_p
        except (OSError, AttributeError):
            continue
        return library
    return None


def demangle(symbol: str) -> str:
    """Return the C++ name of *symbol*, an empty string when it is none. Raises UserError without a C++ runtime."""
    if not symbol.startswith("_Z"):
        return ""
    library = _demangler()
    if library is None:
        why = f"a C++ name is understood with the help of {LIBRARIES[0]}, which is not installed"
        raise UserError(f"cannot read the name {symbol}", "", why, "apt-get install libstdc++6, or the mangled name")
    status = ctypes.c_int()
    text = library.__cxa_demangle(symbol.encode(), None, None, ctypes.addressof(status))
    if not text or status.value:
        return ""
    found = ctypes.string_at(text).decode("utf-8", "replace")
    ctypes.CDLL(None).free(ctypes.c_void_p(text))
    return _RUST_HASH.sub("", found)


def without_parameters(name: str) -> str:
    """Return a demangled function's name alone: ``ns::f<int>(int) const`` -> ``ns::f<int>``."""
    name = re.sub(r"(?:\s*\[[^]]*\]|\s+const|\s+volatile|\s*&{1,2})+$", "", name)
    if not name.endswith(")"):
        return name
    depth = 0
    for at in range(len(name) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(name[at], 0)
        if depth == 0:
            return name[:at].rstrip()
    return name


def _own_name(name: str) -> str:
    """Return *name* without the result type that a template's symbol has before it."""
    depth, start = 0, 0
    operator = name.find("operator")
    for at, letter in enumerate(name if operator < 0 else name[:operator]):
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(letter, 0)
        if letter == " " and depth == 0:
            start = at + 1
    return name[start:]


def _without_template(name: str) -> str:
    """Return *name* without the template arguments at its end."""
    if not name.endswith(">") or "operator" in name:
        return name
    depth = 0
    for at in range(len(name) - 1, -1, -1):
        depth += {">": 1, "<": -1}.get(name[at], 0)
        if depth == 0:
            return name[:at]
    return name


def symbols_of(wanted: str, symbols: Iterable[str]) -> list[str]:
    """Return those of *symbols* that the C++ name *wanted* means, sorted: one, or all overloads and instances."""
    tight = _SPACES.sub("", wanted)
    whole = "(" in tight and tight.endswith((")", "const", "&"))
    found = []
    last = re.findall(r"\w+", re.split(r"[(<]", wanted, maxsplit=1)[0])
    for symbol in symbols:
        if last and last[-1] not in symbol and "operator" not in wanted:
            continue  # an identifier stands in its mangled name as it is
        name = demangle(symbol)
        if name and tight in _spellings(name, whole):
            found.append(symbol)
    return sorted(found)


def _spellings(name: str, whole: bool) -> set[str]:
    """Return the names by which a config may mean the function that is demangled as *name*."""
    if whole:
        alone = without_parameters(name)
        return {_SPACES.sub("", text) for text in (name, _own_name(alone) + name[len(alone) :])}
    alone = _own_name(without_parameters(name))
    return {_SPACES.sub("", text) for text in (alone, _without_template(alone))}


def names_matching(glob: str, symbols: Iterable[str]) -> list[str]:
    """Return the names without parameters of *symbols* that *glob* matches, sorted: C++'s, or as they are (Go)."""
    found = set()
    for symbol in symbols:
        name = _own_name(without_parameters(demangle(symbol))) if symbol.startswith("_Z") else symbol
        if name and fnmatchcase(name, glob):
            found.add(name)
    return sorted(found)
