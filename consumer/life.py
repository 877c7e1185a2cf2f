"""The program's life as wc-run sees it: its end, its stops, and the signals that wc-run gets meanwhile.

Called by live.py in its loop; attached.py is its like for processes that ran before. All signals that matter are
blocked (launch.block_signals) and taken one by one with sigtimedwait, which is also how wc-run sleeps: no handler runs
anywhere, nothing is lost between a look and a sleep.

    SIGINT, SIGQUIT   not for us: a terminal sends them to the program as well; once it has ended, they mean hurry up
    SIGTERM, SIGHUP   passed on to the program (but for what the terminal sent to both); wc-run goes on draining
    SIGTSTP, SIGTTIN, SIGTTOU   not for us: wc-run stops when the program has stopped, so that the shell sees it stop
    SIGCHLD           the program ended, stopped or went on
    SIGUSR1, SIGUSR2  given to whoever runs the session

Absent on purpose: draining and output.
"""

from __future__ import annotations

import os

from .launch import OURS_BLOCKED
from .signals import calls as signal

FROM_KERNEL = 0x80  # si_code SI_KERNEL: the terminal's own signals


class Life:
    """The program *pid*. *status* is its wait status once *ended*; *stopped_by* the signal that it stopped at, or 0."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.status = 0
        self.stopped_by = 0
        self.requests: list[int] = []
        self.hurried = False
        """Somebody asked wc-run to end after its program has ended: what is left to do is not wanted."""

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes or *seconds* have passed; act on it and on all others that are pending."""
        found = signal.sigtimedwait(OURS_BLOCKED, seconds)
        while found is not None:
            self._act(found.si_signo, found.si_code)
            found = signal.sigtimedwait(OURS_BLOCKED, 0)

    def _act(self, number: int, code: int) -> None:
        if number == signal.SIGCHLD:
            self.look()
        elif number in (signal.SIGUSR1, signal.SIGUSR2):
            self.requests.append(number)
        elif number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            if self.ended:
                self.hurried = True
            elif number in (signal.SIGTERM, signal.SIGHUP) and not self._had_it(code):
                self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        os.kill(self.pid, number)
        if self.stopped_by:
            os.kill(self.pid, signal.SIGCONT)

    def _had_it(self, code: int) -> bool:
        """Whether the terminal sent this, and so to the program as well."""
        try:
            return code == FROM_KERNEL and os.getpgid(self.pid) == os.getpgrp()
        except ProcessLookupError:
            return True

    def look(self) -> None:
        """Ask what became of the program; SIGCHLDs merge, so that one may stand for several changes."""
        while not self.ended:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                self.stopped_by = os.WSTOPSIG(status)
            elif os.WIFCONTINUED(status):
                self.stopped_by = 0
            else:
                self.ended = True
                self.status = status

    def stop_with_it(self) -> None:
        """Stop as the program did; return when continued. Whoever continued wc-run alone meant the program too."""
        number, self.stopped_by = self.stopped_by, 0
        if number not in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            number = signal.SIGSTOP
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WCONTINUED)
        if pid != 0 and not os.WIFCONTINUED(status):
            self.ended, self.status = True, status
        elif pid == 0:
            os.kill(self.pid, signal.SIGCONT)


def exit_code(status: int) -> int:
    """The exit code in the wait *status*, or -N for death by signal N."""
    return os.waitstatus_to_exitcode(status)


def die_as(status: int) -> int:
    """Return the exit status to leave with; where a signal ended the program, end by the same, without a core file."""
    code = exit_code(status)
    if code >= 0:
        return code
    number = -code
    _forbid_core()
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    os.kill(os.getpid(), number)
    return 128 + number


def _forbid_core() -> None:
    """No core of ours: by the limit for files, by dumpable for a core_pattern that is a pipe."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
