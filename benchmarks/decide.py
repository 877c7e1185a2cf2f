"""A decision by a Python handler: how long the call waits, beside two C programs that wake each other in turn.

Side by side in one run, with the same placement: once all on one processor, once on any.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .bench import Figure, Workshop, interleave, output_of, tool

HANDLERS = """
from wc_intercept.consumer import decide

@decide("close", "access")
def nothing(call):
    pass
"""
LOOKING = HANDLERS.replace("    pass", "    return call.fail('EACCES') if call.args.get('pathname') == '' else None")


def run(shop: Workshop) -> list[Figure]:
    pingpong, asking = shop.program("pingpong"), shop.program("asking")
    for name, text in (("nothing.py", HANDLERS), ("looking.py", LOOKING)):
        (shop.folder / name).write_text(text)
    rounds = "10000"

    def asked(handlers: str, *more: str, engine: str = "preload") -> float:
        command = [tool("wc-run"), "--engine", engine, "--handlers", str(shop.folder / handlers), "-o", os.devnull]
        return output_of([*command, asking, rounds, *more]) / 1000

    times = interleave(
        {
            "pingpong": lambda: on_one(lambda: output_of([pingpong, rounds]) / 1000),
            "nothing": lambda: on_one(lambda: asked("nothing.py")),
            "looking": lambda: on_one(lambda: asked("looking.py", "path")),
            "pingpong on any": lambda: output_of([pingpong, rounds]) / 1000,
            "nothing on any": lambda: asked("nothing.py"),
            "traced": lambda: on_one(lambda: asked("nothing.py", engine="ptrace")),
            "traced on any": lambda: asked("nothing.py", engine="ptrace"),
        },
        shop.rounds(9),
    )
    return [
        Figure("decide", "one processor: two C processes, a round trip", times["pingpong"], "us"),
        Figure("decide", "a call that a handler lets go on", times["nothing"], "us"),
        Figure("decide", "the same, in such round trips", times["nothing"] / times["pingpong"], "times", "3"),
        Figure("decide", "a call with a path that the handler reads", times["looking"], "us"),
        Figure("decide", "any processor: two C processes, a round trip", times["pingpong on any"], "us"),
        Figure("decide", "a call that a handler lets go on", times["nothing on any"], "us"),
        Figure("decide", "in such round trips", times["nothing on any"] / times["pingpong on any"], "times", "3"),
        Figure("decide", "the tracer, one processor: a system call that a handler lets go on", times["traced"], "us"),
        Figure("decide", "in such round trips", times["traced"] / times["pingpong"], "times"),
        Figure("decide", "the tracer, any processor", times["traced on any"], "us"),
        Figure("decide", "in such round trips", times["traced on any"] / times["pingpong on any"], "times"),
    ]


def on_one(measure: Callable[[], float]) -> float:
    """Return what *measure* does while all that it starts shares one processor."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        return measure()
    finally:
        os.sched_setaffinity(0, allowed)
