"""The handlers of ``wc-run --handlers FILE``: what @on registers, and which calls it means.

Imported by FILE itself (``from wc_intercept.consumer import on``) and by handling.py, which loads it. Rules: a
name is what --trace takes (names, globs, %sets, fn: and sys:); what is no name is an error at its own line.

Absent on purpose: when handlers run, and what they are given (events.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal, TypeVar

Way = Literal["on"]
F = TypeVar("F", bound=Callable[..., Any])


class Handler:
    """One function of FILE: *way* says when it runs, *at* is FILE:line of its decorator."""

    __slots__ = ("at", "failed", "names", "run", "way")

    def __init__(self, way: Way, names: tuple[str, ...], at: str, run: Callable[..., Any]) -> None:
        self.way, self.names, self.at, self.run = way, names, at, run
        self.failed = False
        """It has raised before: a traceback once is enough."""

    def means(self, target: str, symbol: str | None, syscall: bool) -> bool:
        """Whether it is for calls of *symbol*, a name of *target*."""
        called = {target, symbol or target}
        return any(_means(name, called, syscall) for name in self.names)


_registered: list[Handler] = []


def on(*names: str) -> Callable[[F], F]:
    """Have the function called with each call of *names* (all calls without) once it has ended: ``def f(event)``.

    The event has the keys of a line of jsonl, as items and as attributes: event.func, event.args["pathname"]...
    """
    return _decorator("on", names or ("*",))


def _decorator(way: Way, names: tuple[str, ...]) -> Callable[[F], F]:
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError('@on takes names of functions: @on("open", "connect")')
    for name in names:
        if not name or not name.isprintable() or set(name) & set(' ",\\'):
            raise ValueError(f"@on: {name!r} is no name")
    frame = sys._getframe(2)
    at = f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno}"

    def register(function: F) -> F:
        _registered.append(Handler(way, names, at, function))
        return function

    return register


def load(path: str) -> list[Handler]:
    """Run the file *path* and return what it registers. Raises whatever it raises."""
    from types import ModuleType

    name = os.path.splitext(os.path.basename(path))[0]
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return _registered


def wishes(handlers: Iterable[Handler]) -> list[tuple[str, Way, str]]:
    """Return (name, way, FILE:line) of all that *handlers* ask for."""
    return [(name, handler.way, handler.at) for handler in handlers for name in handler.names]


def _means(name: str, called: set[str], syscall: bool) -> bool:
    kind, _, plain = name.rpartition(":") if name.startswith(("fn:", "sys:")) else ("", "", name)
    if (kind == "fn" and syscall) or (kind == "sys" and not syscall):
        return False
    if plain in called or any(fnmatchcase(one, plain) for one in called):
        return True
    return not called.isdisjoint(_members(plain, syscall))


@cache
def _members(name: str, syscall: bool) -> frozenset[str]:
    """Return what a set means, or a plain name where system calls are traced: open is openat as well."""
    if syscall:
        from wc_intercept.generator.syscalls import select, stands_for

        return frozenset(select(name) if name.startswith("%") else stands_for(name))
    from wc_intercept.generator.annotations import CALL_SETS

    return frozenset(CALL_SETS.get(name, ()))
