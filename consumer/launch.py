"""Starts the program under the shim: found, judged, given its environment, exec'd.

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


def check_preloadable(name: str, program: Program) -> None:
    """Raise Refusal when the preload engine cannot reach *program*."""
    found = why_not_preloadable(program)
    if found is None:
        return
    why, try_ = found
    at = os.fsdecode(program.path)
    if program.image != program.path:
        at += f" (run by {os.fsdecode(program.image)})"
    raise Refusal(f"{name} cannot be intercepted by preloading", at, why, try_)


def environment(inherited: Inherited, session: str, preload: list[str], program: Program) -> dict[bytes, bytes]:
    """Return what the program's environ is: inherited, plus WC_SESSION and LD_PRELOAD.

    *preload* are the shim and the config's ld_preload, as paths without spaces and colons. AddressSanitizer's runtime
    insists on being first; the user's own LD_PRELOAD comes last, as it was.
    """
    result = dict(inherited.environment)
    first = [program.asan] if program.asan else []
    user = result.get(b"LD_PRELOAD")
    words = [*first, *map(os.fsencode, preload), *([user] if user else [])]
    result[b"LD_PRELOAD"] = b":".join(words)
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


def start(program: Program, words: list[str], variables: dict[bytes, bytes], inherited: Inherited) -> int:
    """Start *program* with the arguments *words* (argv[0] as typed) and return its pid. Raises Refusal."""
    arguments = [os.fsencode(word) for word in words]
    try:
        return _fork_and_exec(program.path, arguments, variables, inherited)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise cannot_run(words[0], error) from None
    try:  # execvp: a file that the kernel cannot run is the shell's
        return _fork_and_exec(b"/bin/sh", [b"sh", program.path, *arguments[1:]], variables, inherited)
    except OSError as error:
        raise cannot_run(words[0], error) from None


def _fork_and_exec(path: bytes, arguments: list[bytes], variables: dict[bytes, bytes], inherited: Inherited) -> int:
    """Raises OSError with the exec's own error."""
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
            os.execve(path, arguments, variables)
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or errno.ENOEXEC))
        finally:
            os._exit(NOT_FOUND)
    os.close(tell)
    failed = os.read(hear, 16)
    os.close(hear)
    if failed:
        os.waitpid(pid, 0)
        raise OSError(int(failed), os.strerror(int(failed)), path)
    return pid
