"""Starts the program under the shim, the tracer or both: found, judged, given its environment, exec'd.

Called by run.py and api.py. Rules: nothing runs before everything that can be refused has been looked at; the program
gets the signal dispositions, mask, affinity, descriptors and terminal that it would have had without us; every file
of ours is close-on-exec. It is a fork: glibc's posix_spawn leaves two signals ignored in the program, and as little as
Python has loaded here, a fork takes half a millisecond.

Absent on purpose: waiting for the program (life.py) and the session (session.py).
"""

from __future__ import annotations

import errno
import os

from .inherited import Inherited
from .program import Program, find, inspect, why_not_preloadable
from .refusal import NOT_EXECUTABLE, NOT_FOUND, Refusal
from .signals import calls as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .tracer import Tracer

TRACER_REFUSED = b"!"
OURS_BLOCKED = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGTSTP, signal.SIGTTIN,
    signal.SIGTTOU, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def resolve(name: str, environment: dict[bytes, bytes]) -> Program:
    """Return the program that *name* stands for. Raises Refusal with exit status 126 or 127."""
    try:
        return inspect(find(os.fsencode(name), environment.get(b"PATH")))
    except OSError as error:
        raise cannot_run(name, error) from None


def cannot_run(name: str, error: OSError) -> Refusal:
    """The system's own words for why *name* does not run."""
    status = NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE
    return Refusal(f"{name}: {error.strerror}", status=status)


def environment(inherited: Inherited, session: str, preload: list[str], program: Program) -> dict[bytes, bytes]:
    """Return what the program's environ is: inherited, plus LD_PRELOAD, and WC_SESSION when there is a shim to read it.

    *session* is "" without a shim. *preload* are the shim and the config's ld_preload, as paths without spaces and
    colons. AddressSanitizer's runtime insists on being first; the user's own LD_PRELOAD comes last, as it was.
    """
    result = dict(inherited.environment)
    if not preload:
        return result
    first = [program.asan] if program.asan else []
    user = result.get(b"LD_PRELOAD")
    words = [*first, *map(os.fsencode, preload), *([user] if user else [])]
    result[b"LD_PRELOAD"] = b":".join(words)
    if session:
        result[b"WC_SESSION"] = os.fsencode(session)
    return result


def check_preload_path(path: str) -> str:
    """Return *path*; ld.so splits LD_PRELOAD at spaces and colons, so that it must have neither."""
    if any(sign in path for sign in " :\t\n"):
        raise Refusal("the session directory's path has a space or a colon", path, "the dynamic linker splits there",
                      "WC_SESSION_ROOT=/dev/shm")  # fmt: skip
    return path


def block_signals() -> None:
    """Keep our signals pending from before the program exists until life.py waits for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS_BLOCKED)


def start(
    program: Program,
    words: list[str],
    variables: dict[bytes, bytes],
    inherited: Inherited,
    tracer: Tracer | None = None,
) -> int:
    """Start *program* with the arguments *words* (argv[0] as typed), traced by *tracer*, and return its pid.

    Raises Refusal.
    """
    arguments = [os.fsencode(word) for word in words]
    if tracer is not None:
        tracer.prepare()
    try:
        return _fork_and_exec(program.path, arguments, variables, inherited, tracer)
    except OSError as error:
        raise cannot_run(words[0], error) from None


def _fork_and_exec(
    path: bytes, arguments: list[bytes], variables: dict[bytes, bytes], inherited: Inherited, tracer: Tracer | None
) -> int:
    """Raises OSError with the exec's own error, Refusal with the tracer's."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, the program's end would go unseen
    hear, tell = os.pipe()  # both close on exec
    pid = os.fork()
    if pid == 0:
        try:
            for number in inherited.default_again():
                signal.signal(number, signal.SIG_DFL)
            if signal.SIGCHLD in inherited.ignored:
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, inherited.blocked)
            if tracer is not None:
                tracer.launch()
            _exec(path, arguments, variables)
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or errno.ENOEXEC))
        except Refusal as refusal:
            os.write(tell, TRACER_REFUSED + os.fsencode(refusal.what))
        finally:
            os._exit(NOT_FOUND)
    os.close(tell)
    failed = os.read(hear, 4096)
    os.close(hear)
    if failed:
        os.waitpid(pid, 0)
        if failed.startswith(TRACER_REFUSED):
            raise cannot_trace(path, os.fsdecode(failed[1:]))
        raise OSError(int(failed), os.strerror(int(failed)), path)
    return pid


def _exec(path: bytes, arguments: list[bytes], variables: dict[bytes, bytes]) -> None:
    """Exec as execvp does: a file that the kernel cannot run is the shell's. Raises OSError."""
    try:
        os.execve(path, arguments, variables)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    os.execve(b"/bin/sh", [b"sh", path, *arguments[1:]], variables)


def cannot_trace(path: bytes, why: str) -> Refusal:
    """The tracer's words for why the program at *path* cannot be traced, and what may help."""
    preload = why_not_preloadable(inspect(path)) is None
    return Refusal(f"cannot trace {os.fsdecode(path)}", "", why, "--engine preload, for library functions" * preload)
