"""wc-run's side of the process that runs Python handlers (handling.py): starts it, and notices its end.

Called by run.py before anything is built, because FILE says what to intercept, and by live.py while the program runs.
Imports nothing heavy: the program waits for it. Rules: user code never runs in wc-run; whatever becomes of it, the
program goes on.

Absent on purpose: handlers themselves (handlers.py).
"""

from __future__ import annotations

import errno
import os
import socket

from wc_intercept.generator.errors import text

from .handling import main, read_line
from .inherited import Inherited
from .log import TOOL, say
from .refusal import Refusal
from .signals import calls as signal
from .unlinked import unlinked_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .built import Wish
    from .options import Options
    from .session import SessionDirectory

READY = "ready"
DECIDE_MS = 1000


class Aside:
    """The process *pid*. *wishes* is what its FILE asks for, *spool* the file that it reads calls from."""

    def __init__(self, path: str, pid: int, line: socket.socket, spool: int) -> None:
        self.path, self.pid, self.line, self.spool = path, pid, line, spool
        self.ended = False
        self.wishes: list[Wish] = []

    @classmethod
    def start(cls, path: str, inherited: Inherited) -> Aside:
        """Load the file *path* in a process of its own. Raises Refusal when that fails."""
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise Refusal(f"cannot read {path}: {error.strerror}", "--handlers") from None
        ours, theirs = socket.socketpair()
        spool = unlinked_file()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                signal.pthread_sigmask(signal.SIG_SETMASK, inherited.blocked)
                status = main(path, theirs, spool)
            finally:
                os._exit(status)
        theirs.close()
        aside = cls(path, pid, ours, spool)
        aside._hear_wishes()
        return aside

    def _hear_wishes(self) -> None:
        from .built import Wish

        while (said := read_line(self.line)) != ".":
            if not said or said == "!":
                raise Refusal("cannot load the handlers", self.path, "what it raised is shown above")
            self.wishes.append(Wish(*said.split("\t")))
        if not self.wishes:
            raise Refusal("there is no handler", self.path, "it uses neither @on nor @decide",
                          "from wc_intercept.consumer import on, decide")  # fmt: skip

    @property
    def wants_calls(self) -> bool:
        """Whether there is an @on."""
        return any(wish.way == "on" for wish in self.wishes)

    @property
    def decides(self) -> bool:
        """Whether there is a @decide."""
        return any(wish.way != "on" for wish in self.wishes)

    def begin(self, session: SessionDirectory, given: Options) -> None:
        """Have it serve *session*. Raises Refusal, also for a @decide that could never be asked."""
        if self.decides:
            from .decidable import check

            for warning in check(self.wishes, session.json, given.preload):
                say(text(TOOL, warning))
            wait = given.decide_timeout if given.decide_timeout is not None else DECIDE_MS
            session.decides(wait, errno.EPERM if given.decide_default == "fail" else 0)
        self.line.sendall(os.fsencode(session.path) + b"\n")
        if read_line(self.line) != READY:
            raise Refusal("the process of the handlers ended before the program began", self.path)

    def look(self) -> str:
        """Return how it has ended, if it has just done so; else ""."""
        if self.ended:
            return ""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self.ended = pid != 0
        code = os.waitstatus_to_exitcode(status)
        return (f"by signal {-code}" if code < 0 else f"with status {code}") if self.ended else ""

    def hang_up(self) -> None:
        """There will be no more calls: it ends when it has read what there is."""
        try:
            self.line.shutdown(socket.SHUT_RDWR)  # not close: a child of ours may have the line as well
        except OSError:
            pass

    def kill(self) -> None:
        """Do not wait for it."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """In a child of wc-run's: it is the parent's."""
        self.line.close()
