"""Which processes belong to a session: those that a tracer is attached to when the session gets its first one.

Used by grow.py. A process that was started with a shim has the session in its environment, forked children have their
parent's; who owns a ring has it anyway. Rules: only processes of this user (others cannot be read, nor attached to);
what has ended by now is left out.

Absent on purpose: children that the shim lost sight of (sight.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable


def processes(session: str, main: int, owners: Iterable[int], follow: bool) -> set[int]:
    """Return the pids of the session in the directory *session*: *main*, and with *follow* those of its offspring.

    *owners*: pids that own rings.
    """
    if not follow:
        return {main} if _runs(main) else set()
    mark = b"WC_SESSION=" + os.fsencode(session) + b"\0"
    found = {main, *owners}
    found |= {int(name) for name in os.listdir("/proc") if name.isdecimal() and mark in _environment(name)}
    found.discard(os.getpid())
    return {pid for pid in found if _runs(pid)}


def _environment(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read() + b"\0"
    except OSError:
        return b""


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(512).rpartition(b") ")[2][:1] not in (b"Z", b"X", b"")
    except OSError:
        return False
