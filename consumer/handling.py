"""The process that runs the handlers of ``wc-run --handlers FILE``, beside wc-run: user code, which may do anything.

Forked by aside.py before wc-run does anything else. Rules: FILE is loaded here and nowhere else, so that all handlers
share its variables; nothing that a handler does (sleep, raise, exit, crash) holds up or ends wc-run or its program; the
terminal's signals are the program's, not ours.

    line     what wc-run and this process say to each other, in this order: a line "name\\tway\\tplace" for each thing
             that FILE asks for, then "." (or "!": it could not be loaded); the session's path; "ready"; then a byte
             whenever the spool has more, until wc-run closes its side

Absent on purpose: what handlers are given (events.py, question.py).
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import traceback
from collections.abc import Sequence

from .handlers import Handler, load, wishes
from .signals import calls as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wc_intercept.generator.manifest import Manifest

    from .answering import Answerer
    from .clock import Clock

SWITCH_SECONDS = 0.0002
NOT_OURS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP)


def main(path: str, line: socket.socket, spool: int) -> int:
    """Serve until wc-run has closed its side; return the exit status. *spool*: the file of raw cells (spool.py)."""
    atexit._clear()  # wc-run's
    for number in NOT_OURS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which what a handler starts would inherit
    try:
        handlers = load(path)
    except BaseException as error:
        sys.stderr.write(told(error, 2))
        line.sendall(b"!\n")
        return 1
    line.sendall("".join(f"{name}\t{way}\t{at}\n" for name, way, at in wishes(handlers)).encode() + b".\n")
    session = read_line(line)
    if session:
        serve(handlers, session, line, spool)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return 0


def told(error: BaseException, ours: int) -> str:
    """Return the traceback of *error* without its first *ours* frames, which are not the user's."""
    frames = error.__traceback__
    for _ in range(ours):
        frames = frames.tb_next if frames is not None else None
    return "".join(traceback.format_exception(type(error), error, frames))


def serve(handlers: Sequence[Handler], session: str, line: socket.socket, spool: int) -> None:
    """Run *handlers* for the session in the directory *session* until there is nothing more to come."""
    from wc_intercept.generator.manifest import decode

    from .clock import Clock
    from .events import Events
    from .machine import Native
    from .shim import parse_manifest
    from .spool import Formatter

    with open(os.path.join(session, "manifest"), "rb") as file:
        manifest = decode(parse_manifest(file.read(), file.name)[2])
    control = os.open(os.path.join(session, "control"), os.O_RDWR | os.O_CLOEXEC)
    clock = Clock(clock_of(control), Native())
    answerer = answering(session, control, manifest, handlers, clock)
    line.sendall(b"ready\n")
    Formatter(spool, Events(handlers, manifest, clock)).follow(line.fileno())
    if answerer is not None:
        answerer.end()


def answering(
    session: str, control: int, manifest: Manifest, handlers: Sequence[Handler], clock: Clock
) -> Answerer | None:
    """Start the thread that answers, if a handler decides about anything."""
    if all(handler.way == "on" for handler in handlers):
        return None
    import threading

    from .answering import Answerer

    answerer = Answerer(session, control, manifest, handlers, clock)
    answerer.begin()
    sys.setswitchinterval(SWITCH_SECONDS)  # a program waits for this thread, and not for those that get events
    threading.Thread(target=answerer.serve, name="decide", daemon=True).start()
    return answerer


def clock_of(control: int) -> int:
    from . import abi_fields as abi

    return abi.CONTROL.unpack(os.pread(control, abi.CONTROL.size, 0))["clock"]


def read_line(line: socket.socket) -> str:
    """Return the next line without its end; "" at the end of all."""
    read = bytearray()
    while not read.endswith(b"\n"):
        byte = line.recv(1)  # what follows is another reader's
        if not byte:
            return ""
        read += byte
    return os.fsdecode(bytes(read[:-1]))
