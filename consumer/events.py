"""Calls as the @on handlers of ``wc-run --handlers`` get them: decoded as they arrive, one Event a call.

Used by handling.py, in the process of the handlers. Rules: an event is the object that the line of jsonl would be, so
that a handler and a script over jsonl read alike; only calls that a handler means are rendered; a handler that raises
is told about once, and the next call comes all the same.

Absent on purpose: where chunks come from (spool.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from wc_intercept.generator.manifest import Manifest

from .clock import Clock
from .decode import Batch
from .handlers import Handler
from .handling import told
from .jsonl import JsonLines
from .log import say
from .render import Look, Output


class Event(dict[str, Any]):
    """A call, with the keys of its line of jsonl; each key is an attribute too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"an event has no {name!r}: its keys are {', '.join(self)}") from None


class Events(Output):
    """Takes chunks as any output does, and calls handlers where others write lines."""

    def __init__(self, handlers: Sequence[Handler], manifest: Manifest, clock: Clock) -> None:
        super().__init__(Look(format="jsonl"), manifest, clock, None)
        self._handlers = [handler for handler in handlers if handler.way == "on"]
        self._lines = JsonLines()
        self._meant: dict[tuple[str, str | None, bool], list[Handler]] = {}

    def _show(self, batches: list[Batch]) -> None:
        calls = [batch for batch in batches if batch.is_call]
        wanted = [one for one in calls if self._of(one.target.name, one.symbol.name, one.layout.kind == "syscall")]
        for line in self._lines.render(wanted).splitlines():
            event = Event(json.loads(line))
            for handler in self._of(event["func"], event["symbol"], event["kind"] == "syscall"):
                run(handler, event)

    def _of(self, func: str, symbol: str | None, syscall: bool) -> list[Handler]:
        """Return the handlers that mean these calls."""
        key = func, symbol, syscall
        if key not in self._meant:
            self._meant[key] = [handler for handler in self._handlers if handler.means(*key)]
        return self._meant[key]


def run(handler: Handler, argument: Any, ask: Callable[[Handler, Any], Any] | None = None) -> Any:
    """Return what *handler* (asked by *ask*) says of *argument*, None if it raised; its first exception is printed."""
    try:
        return handler.run(argument) if ask is None else ask(handler, argument)
    except BaseException as error:
        if not handler.failed:
            handler.failed = True
            what = "a handler raised an exception; what it raises from now on is not shown"
            say(f"wc-run: warning: {what}\n  at:   {handler.at}\n{told(error, 1 if ask is None else 2)}")
        return None
