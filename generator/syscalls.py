"""The system calls of x86-64: their numbers, prototypes, roles and sets.

Called by policy.py and tracer_plan.py (which calls there are, how each reads) and by wc-run --trace (names that libc
does not export). Rules: numbers are the installed asm/unistd_64.h's, through the preprocessor, never typed in; a call
that libc wraps with the kernel's own parameters is described by libc's prototype and annotation; every other one has a
line in table/calls/. A call fails by -4095..-1, whatever its type: all have the failure rule of their result's type.
A number that the header does not know is a call named ``sys_NNN`` with six words.

Absent on purpose: x32 and 32-bit calls (other numbers, other types), and how a call is caught (runtime/tracer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from .headers import Headers
from .model import Annotation, Function, Platform

MOST_NUMBERS = 512
"""Numbers of x86-64 calls are below this: from it on they are x32's."""


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call as the kernel takes it: at most six words in registers, a word or an error number back."""

    name: str
    number: int
    function: Function
    annotation: Annotation
    """Of the same parameters, in order; its fail is -1 (MAP_FAILED for an address) for every call that returns."""
    returns: bool = True
    """False: exit, exit_group, rt_sigreturn have no return to wait for."""
    replaces: bool = False
    """A success replaces the program: execve, execveat."""
    sets: frozenset[str] = frozenset()
    """``%file``, ``%desc``...: those of strace, and ours."""
    origin: str = ""
    """Where its prototype is from: ``unistd.h:371``, ``system call table``, or ``unknown``."""


def numbers(platform: Platform | None = None) -> Mapping[str, int]:
    """Return name -> number of every call that the installed headers know, in the order of numbers. Raises UserError."""
    return _numbers((platform or Platform()).compiler)


@lru_cache(maxsize=4)
def _numbers(compiler: str) -> Mapping[str, int]:
    headers = Headers.of_text("#include <asm/unistd_64.h>\n", Platform(compiler=compiler))
    prefix = "__NR_"
    values = {name: headers.constant(name) for name in headers.macros if name.startswith(prefix)}
    found = {name.removeprefix(prefix): value for name, value in values.items() if value is not None}
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1])))


def describe(
    names: Iterable[str], headers: Headers | None = None, platform: Platform | None = None
) -> list[SystemCall]:
    """Return the system calls called *names* (also ``sys_NNN``), in that order. Raises KeyError for a name that is none.

    *headers* are libc's public ones, when the caller has read them; without, they are read if a call needs them.
    """
    raise NotImplementedError


def select(pattern: str | int, platform: Platform | None = None) -> tuple[str, ...]:
    """Return the names of the calls that *pattern* means, in the order of numbers; none when it means none.

    *pattern* is a name, a number (also as text: ``"257"``), a glob (``"*"``: all, those without a name too), or a set
    (``"%file"``).
    """
    raise NotImplementedError


def stands_for(function: str, platform: Platform | None = None) -> tuple[str, ...]:
    """Return the calls that a library function's plain name means where the function itself cannot be caught.

    ``open``: open, openat. Empty when no system call does what the function does.
    """
    raise NotImplementedError
