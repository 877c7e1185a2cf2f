"""A decision by a Python handler: how long the call waits, beside two C programs that wake each other in turn.

Side by side in one run, with the same placement: both pairs of processes may use every processor.
"""

from __future__ import annotations

import os

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

    def asked(handlers: str, *more: str) -> float:
        command = [tool("wc-run"), "--handlers", str(shop.folder / handlers), "-o", os.devnull]
        return output_of([*command, asking, rounds, *more]) / 1000

    times = interleave(
        {
            "pingpong": lambda: output_of([pingpong, rounds]) / 1000,
            "nothing": lambda: asked("nothing.py"),
            "looking": lambda: asked("looking.py", "path"),
        },
        shop.rounds(9),
    )
    return [
        Figure("decide", "two C processes in turn, a round trip", times["pingpong"], "us", ""),
        Figure("decide", "a call that a handler lets go on", times["nothing"], "us", ""),
        Figure("decide", "the same, in such round trips", times["nothing"] / times["pingpong"], "times", "3"),
        Figure("decide", "a call with a path that the handler reads", times["looking"], "us", ""),
    ]
