"""What wc-run inherited from whoever started it, so that the program can inherit the same.

Called by run.py first of all. The note is written by native/wc_run.c, before Python changed anything; without one
(``python -m wc_intercept.consumer.run``) the usual is assumed: nothing ignored that Python ignores. Reading it removes
every trace of it from the environment.
"""

from __future__ import annotations

import os

from .signals import calls as signal

PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


class Inherited:
    """*ignored*: signals that were ignored; *blocked*: the signal mask; *environment*: without our note."""

    __slots__ = ("blocked", "environment", "ignored")

    def __init__(self, ignored: set[int], blocked: set[int], environment: dict[bytes, bytes]) -> None:
        self.ignored = ignored
        self.blocked = blocked
        self.environment = environment

    def default_again(self) -> list[int]:
        """Signals that Python ignores of its own and the program must not."""
        return [number for number in PYTHON_IGNORES if number not in self.ignored]


def read() -> Inherited:
    """Return what was inherited, and clean our own environment of the note."""
    note = os.environb.pop(b"WC_RUN", b"").split(b":")
    blocked = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
    ignored = {number for number in range(1, 32) if signal.getsignal(number) == signal.SIG_IGN} - {*PYTHON_IGNORES}
    if len(note) == 4 and note[0] == b"%d" % os.getpid():
        ignored, blocked = _members(int(note[1], 16)), _members(int(note[2], 16))
        if note[3] == b"1":
            os.environb.pop(b"PYTHONCOERCECLOCALE", None)
    return Inherited(ignored, blocked, dict(os.environb))


def _members(mask: int) -> set[int]:
    return {number + 1 for number in range(64) if mask >> number & 1}


def descriptor_paths() -> dict[int, str]:
    """Return what is behind the descriptors that the program inherits, as latin-1. Ours close on exec."""
    found = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            if os.get_inheritable(int(name)):
                found[int(name)] = os.readlink(b"/proc/self/fd/" + name.encode()).decode("latin-1")
        except OSError:
            continue  # the listing's own
    return found


def descriptor_paths_of(pid: int) -> dict[int, str]:
    """Return what is behind the descriptors of the running process *pid*, as latin-1; nothing when it has ended."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}".encode()).decode("latin-1")
    except OSError:
        pass  # it ended meanwhile
    return found


def occupy_standard_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 are closed, so that no file of ours gets their number.

    The program sees them closed, as it would have.
    """
    while True:
        descriptor = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if descriptor > 2:
            os.close(descriptor)
            return
