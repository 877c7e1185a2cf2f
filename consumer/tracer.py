"""The tracer as wc-run sees it: a process beside the program, and the line to it.

Started by run.py and api.py once the session exists. The line is one end of a SOCK_SEQPACKET pair, a text message a
packet: ``launch PID FILTERED``, ``attach PID``, ``handlers``, ``detach``, and what grow.py says, to the tracer; ``ok
PID``, ``error TEXT``, ``warn TEXT``, ``exit PID STATUS`` and ``end`` from it. Rules: the tracer holds no file of the
program's and is in no session of its terminal; it outlives wc-run when it must (programs that it traces could not go on
without it); that it died is noticed by the line's end, and told. While the program starts nobody else reads the line,
so that the program's own process asks to be traced and hears the answer itself.

Absent on purpose: what the tracer does (runtime/tracer/), and the plan's layout but for the system calls' numbers.
"""

from __future__ import annotations

import _socket  # socket itself pulls in enum and selectors: 8 ms that the program would wait for
import os
import struct
import time
from select import POLLIN, poll

from .machine import Native
from .refusal import Refusal
from .signals import calls as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session import SessionDirectory

NAME = "wc-tracer"
PATIENCE_MS = 60_000  # one that has died is noticed at once; one that plants thousands of breakpoints takes its time
REAP_MS = 1000
MOST_DESCRIPTORS = 1 << 20
MOST_BYTES = 4096
AFFINITY = (203, 204)  # sched_setaffinity, sched_getaffinity: what a pinned program asks is answered as if it were not
IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_HEAD = struct.Struct("<QIIQ14I")
_SYMBOL = struct.Struct("<IIiI")
SYMBOL_SIZE, FLAGS_AT, FALLBACK = 56, 25, 2


class Plan:
    """What wc-run has to know of a session's plan (wc_plan.h): which system calls stop, and whether functions do."""

    def __init__(self, data: bytes) -> None:
        head = _HEAD.unpack_from(data)
        self.numbers: list[int] = []
        """System calls of targets that the tracer serves in every program."""
        self.functions = False
        self.fallback = False
        """There are symbols for programs that the shim does not reach."""
        for i in range(head[6]):
            at = head[7] + SYMBOL_SIZE * i
            number, fallback = _SYMBOL.unpack_from(data, at)[2], data[at + FLAGS_AT] & FALLBACK
            self.fallback = self.fallback or bool(fallback)
            if number >= 0 and not fallback:
                self.numbers.append(number)
            self.functions = self.functions or (number < 0 and not fallback)

    @classmethod
    def read(cls, path: str) -> Plan:
        with open(path, "rb", buffering=0) as file:
            return cls(file.read())


class Tracer:
    """A running tracer. *gone*: its line has ended; *ended*: it said that nothing is left to trace."""

    def __init__(self, pid: int, line: _socket.socket, session: str, plan: Plan, pin: bool) -> None:
        self.pid = pid
        self.plan = plan
        self.gone = self.ended = False
        self._line, self._session = line, session
        self._heard: list[tuple[str, str]] = []
        self._status: int | None = None
        numbers = set(plan.numbers)
        if pin:
            numbers.update(AFFINITY)
        self._numbers = sorted(numbers)
        self._filter = b""
        self._native: Native | None = None

    @classmethod
    def start(cls, session: SessionDirectory, plan: str, *, beside: bool, pin: bool, handlers: bool) -> Tracer:
        """Start the tracer for *session*. beside: a shim is in the program too. Raises Refusal."""
        path, words = find(), Plan.read(plan)
        pin = pin and bool(words.numbers or words.functions)  # forks and execs alone are not worth a processor
        ours, its = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)  # both close on exec
        command = [path, "--session", session.path, "--line", str(its.fileno())]
        command += ["--beside"] * beside + ["--no-pin"] * (not pin)
        pid = os.fork()
        if pid == 0:
            _become(command, its.fileno(), handlers)
        its.close()
        return cls(pid, ours, session.path, words, pin)

    # In the program's process, before its exec.

    def prepare(self) -> None:
        """Load what ``launch`` needs, before the fork."""
        self._native = Native()
        if self._numbers:
            from . import seccomp

            self._filter = seccomp.program(self._numbers)

    def launch(self) -> None:
        """Have this process traced from its exec on. Raises Refusal with the tracer's words when that cannot be."""
        assert self._native is not None
        try:
            self._native.allow_tracer(self.pid)
            self._ask(f"launch {os.getpid()} {int(bool(self._filter))}")
            if self._filter:
                self._native.install_filter(self._filter)
        except OSError as error:
            raise Refusal(f"its process cannot be made ready for the tracer: {error.strerror}") from None

    # In wc-run.

    def attach(self, pid: int) -> None:
        """Trace the running process *pid*, all its threads. Raises Refusal with the tracer's words."""
        self._ask(f"attach {pid}")

    def detach(self) -> None:
        """Let every process go that can be let go. The message ``end`` says when that is done."""
        self._send("detach")

    def look(self) -> None:
        """Have it look at the session's table of handlers, where it answers."""
        self._send("handlers")

    def tell(self, message: str) -> None:
        """Send *message*, whose answer (``ok`` or ``error``) ``hear`` will have."""
        self._send(message)

    def hear(self) -> list[tuple[str, str]]:
        """Return the messages that have come, each as its first word and the rest."""
        found, self._heard = self._heard, []
        while not self.gone and (message := self._receive(0)) is not None:
            found.append(message)
        return found

    def why_gone(self) -> str:
        """Return how the tracer's process ended, in words. For when the line has ended and nobody asked for it."""
        try:
            self._reap()
        except ChildProcessError:
            return "its exit status is not to be had: SIGCHLD is ignored here"
        if self._status is None:
            return "it closed its line and runs on"
        code = os.waitstatus_to_exitcode(self._status)
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit status {code}"

    def close(self) -> None:
        """Hang up. A tracer that still has programs goes on without recording. May be called twice."""
        self._line.close()
        if self.ended or self.gone:
            try:
                self._reap()
            except ChildProcessError:
                pass  # SIGCHLD is ignored here: nothing is left to wait for
        self.gone = True

    def _reap(self) -> None:
        for _ in range(REAP_MS):
            if self._status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._status = status if pid else None
            if self._status is not None:
                return
            time.sleep(0.001)

    def _ask(self, question: str) -> None:
        """Send *question* and wait for its answer. What else comes is kept for ``hear``; here, warnings are left."""
        self._send(question)
        while True:
            message = self._receive(PATIENCE_MS)
            if message is None:
                raise Refusal("the tracer has ended" if self.gone else "the tracer does not answer")
            if message[0] == "ok":
                return
            if message[0] == "error":
                raise Refusal(message[1])
            if message[0] == "warn":
                self._leave(message[1])
            else:
                self._heard.append(message)

    def _leave(self, warning: str) -> None:
        """This may be the program's process, whose memory is its own: session.warnings() repeats what stands there."""
        with open(os.path.join(self._session, "warnings"), "a") as file:
            file.write(warning + "\n")

    def _send(self, message: str) -> None:
        try:
            self._line.send(message.encode(), _socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it is gone: what it had to say is still to be read, then the line's end

    def _receive(self, patience: int) -> tuple[str, str] | None:
        """Return the next message; None when none came within *patience* ms, or the line has ended (*gone*)."""
        waiting = poll()
        waiting.register(self._line.fileno(), POLLIN)
        if not waiting.poll(patience):
            return None
        try:
            data = self._line.recv(MOST_BYTES)
        except ConnectionResetError:  # it has not read our last word; that is told before what it had to say
            return self._receive(0)
        except OSError:
            data = b""
        if not data:
            self.gone = True
            return None
        word, _, rest = data.decode("utf-8", "replace").strip("\0\n").partition(" ")
        self.ended = self.ended or word == "end"
        return word, rest


def find() -> str:
    """Return the path of the tracer. Raises Refusal where this installation has none."""
    import wc_intercept

    for folder in wc_intercept.__path__:
        path = os.path.join(folder, "_native", NAME)
        if os.access(path, os.X_OK):
            return path
    raise Refusal("this installation has no tracer", "", f"there is no {NAME} in {wc_intercept.__path__[0]}/_native",
                  "--engine preload, or install wc-intercept again with a C compiler at hand")  # fmt: skip


def _become(command: list[str], line: int, handlers: bool) -> None:
    """In the fork: leave terminal, descriptors and signal dispositions of wc-run behind, and exec."""
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        nothing = os.open("/dev/null", os.O_RDWR)
        for standard in (0,) if handlers else (0, 1, 2):  # what handlers print is for whoever reads wc-run
            os.dup2(nothing, standard)
        os.closerange(3, line)
        os.closerange(line + 1, MOST_DESCRIPTORS)
        os.set_inheritable(line, True)
        os.execve(command[0], command, _environment())
    finally:
        os._exit(127)


def _environment() -> dict[bytes, bytes]:
    """Ours, but for what a session around this one preloads: the tracer is nobody's subject."""
    return {name: value for name, value in os.environb.items() if name not in (b"LD_PRELOAD", b"WC_SESSION")}
