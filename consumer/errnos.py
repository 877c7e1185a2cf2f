"""Names of error numbers, signals and clocks, as strace spells them.

Used by the renderers. The numbers are this machine's, as Python's errno and signal modules know them: records come
from programs on it, or from one of the same architecture.
"""

from __future__ import annotations

import errno
import os
import signal
from functools import lru_cache

_PREFERRED = ("EAGAIN", "EDEADLK", "EOPNOTSUPP")
"""Of two names for one number, the one that strace shows."""
_NAMES: dict[int, str] = dict(errno.errorcode) | {getattr(errno, name): name for name in _PREFERRED}
_CLOCKS = (
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
    "CLOCK_SGI_CYCLE",
    "CLOCK_TAI",
)
_FIRST_REALTIME = 32
"""The kernel's first real-time signal; glibc keeps two of them to itself, so its SIGRTMIN is 34."""


@lru_cache(maxsize=512)
def errno_name(number: int) -> str:
    """Return "ENOENT" for 2, "ERRNO_4000" for a number without a name."""
    return _NAMES.get(number, f"ERRNO_{number}")


@lru_cache(maxsize=512)
def errno_text(number: int) -> str:
    """Return "ENOENT (No such file or directory)" for 2."""
    text = os.strerror(number) if 0 <= number < 1 << 31 else f"Unknown error {number}"
    return f"{errno_name(number)} ({text})"


@lru_cache(maxsize=512)
def signal_name(number: int) -> str:
    """Return "SIGINT" for 2, "SIGRT_2" for 34, "SIGRTMIN" for 32, the number for what is no signal."""
    if _FIRST_REALTIME <= number <= 64:
        return f"SIGRT_{number - _FIRST_REALTIME}" if number > _FIRST_REALTIME else "SIGRTMIN"
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def clock_name(number: int) -> str:
    """Return "CLOCK_MONOTONIC" for 1; the clock of a process or thread stays a number."""
    return _CLOCKS[number] if 0 <= number < len(_CLOCKS) else str(number)
