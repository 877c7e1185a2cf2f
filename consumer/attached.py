"""Processes that wc-run was attached to (-p), as live.py sees them: the place of life.py's program.

Rules: they are nobody's children here, so that their end is what the tracer says; SIGINT, SIGTERM, SIGHUP and SIGQUIT
let them go, and a second one does not wait for that; wc-run's exit status is 0, as strace's.

Absent on purpose: stopping with them (SIGTSTP and its like are left pending: whoever stops wc-run stops its heart).
"""

from __future__ import annotations

import os

from .engine import choose
from .launch import OURS_BLOCKED
from .program import inspect
from .refusal import Refusal
from .signals import calls as signal
from .tracer import Tracer

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Attached:
    """The processes *pids*, traced. The attributes are life.Life's."""

    def __init__(self, pids: list[int], tracer: Tracer) -> None:
        self.pid = pids[0]
        self.pids = pids
        self.status = 0
        self.stopped_by = 0
        self.requests: list[int] = []
        self.hurried = False
        self._tracer = tracer
        self._leaving = False

    @property
    def ended(self) -> bool:
        """Whether all of them have ended or were let go."""
        return self._tracer.ended or self._tracer.gone or self.hurried

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes or *seconds* have passed; act on it and on all others that are pending."""
        found = signal.sigtimedwait(OURS_BLOCKED, seconds)
        while found is not None:
            self._act(found.si_signo)
            found = signal.sigtimedwait(OURS_BLOCKED, 0)

    def _act(self, number: int) -> None:
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            self.requests.append(number)
        elif number in ENDING:
            self.hurried = self._leaving
            if not self._leaving:
                self._tracer.detach()
            self._leaving = True

    def look(self) -> None:
        """Nothing can be asked of what is no child."""

    def stop_with_it(self) -> None:
        """wc-run does not stop with them."""


def program_of(pids: list[int]) -> str:
    """Return the path of the program that *pids* run, "" when they run several.

    Raises Refusal for what clearly cannot be attached to.
    """
    programs = {_check(pid): pid for pid in pids}
    for path, pid in programs.items():
        choose("ptrace", False, f"process {pid}", inspect(path))
    return os.fsdecode(next(iter(programs))) if len(programs) == 1 else ""


def _check(pid: int) -> bytes:
    try:
        status = _status(pid)
    except OSError:
        raise Refusal(f"no process {pid}", "-p", "it has ended, or is in another pid namespace") from None
    if pid in (os.getpid(), os.getppid()) and status.get("Tgid") == str(os.getpid()):
        raise Refusal(f"process {pid} is wc-run itself", "-p")
    if status.get("State", "").startswith("Z"):
        raise Refusal(f"process {pid} has ended", "-p", "its parent has not asked for its exit status yet")
    if status.get("Tgid", str(pid)) != str(pid):
        raise Refusal(f"{pid} is a thread of process {status['Tgid']}", "-p", try_=f"-p {status['Tgid']}")
    tracer = int(status.get("TracerPid", "0"))
    if tracer:
        why = f"process {tracer} ({_name(tracer)}) does, and a process has one tracer"
        raise Refusal(f"process {pid} ({status.get('Name')}) is traced already", "-p", why)
    try:
        path = os.readlink(f"/proc/{pid}/exe".encode())
    except PermissionError as error:
        why = f"{error.strerror}: it runs as user {status['Uid'].split()[0]}, you are {os.geteuid()}"
        raise _denied(pid, why) from None
    except OSError:
        raise Refusal(f"process {pid} ({status.get('Name')}) is a kernel thread", "-p") from None
    return path if _is_same(path, pid) else b"/proc/%d/exe" % pid  # replaced, deleted, or seen from elsewhere


def attach(pids: list[int], tracer: Tracer) -> Attached:
    """Have *tracer* attach to all of *pids*. Raises Refusal."""
    for pid in pids:
        try:
            tracer.attach(pid)
        except Refusal as refusal:
            raise _denied(pid, refusal.what) from None
    return Attached(pids, tracer)


def _denied(pid: int, why: str) -> Refusal:
    hint = f"as the user that runs it, or as root; in a container: --cap-add SYS_PTRACE{_yama()}"
    return Refusal(f"cannot attach to process {pid} ({_name(pid)})", "-p", why, "" if "SYS_PTRACE" in why else hint)


def _yama() -> str:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            scope = file.read().strip()
    except OSError:
        return ""
    return f"; sysctl kernel.yama.ptrace_scope=0 (it is {scope})" if scope != "0" else ""


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", errors="replace") as file:
        parts = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in parts}


def _name(pid: int) -> str:
    try:
        return _status(pid).get("Name", "?")
    except OSError:
        return "gone"


def _is_same(path: bytes, pid: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.stat(f"/proc/{pid}/exe"))
    except OSError:
        return False
