"""The handlers of ``wc-run --handlers FILE``: what @on and @decide register, and which calls they mean.

Imported by FILE itself (``from wc_intercept.consumer import on, decide``) and by handling.py, which loads it. Rules: a
name is what --trace takes (names, globs, %sets, fn: and sys:); what is no name is an error at its own line.

Absent on purpose: when handlers run, and what they are given (events.py, question.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from wc_intercept.generator.wishes import means

Way = Literal["on", "before", "after"]
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
        return any(means(name, called, syscall) for name in self.names)


_registered: list[Handler] = []


def on(*names: str) -> Callable[[F], F]:
    """Have the function called with each call of *names* (all calls without) once it has ended: ``def f(event)``.

    The event has the keys of a line of jsonl, as items and as attributes: event.func, event.args["pathname"]...
    """
    return _decorator("on", names or ("*",))


def decide(*names: str, after: bool = False) -> Callable[[F], F]:
    """Have the function asked about each call of *names*, before it is made, or (*after*) when it is back.

    ``def f(call)`` returns None, or what call.go(...), call.fail("EACCES"), call.returns(7) and call.wait(0.1) give.
    """
    return _decorator("after" if after else "before", names)


def _decorator(way: Way, names: tuple[str, ...]) -> Callable[[F], F]:
    word = "on" if way == "on" else "decide"
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f'@{word} takes names of functions: @{word}("open", "connect")')
    for name in names:
        if not name or not name.isprintable() or set(name) & set(' ",\\'):
            raise ValueError(f"@{word}: {name!r} is no name")
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
