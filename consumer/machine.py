"""Ticks, futex wake-ups and a child to be traced: the consumer's native library, and what to do without it.

Called by clock.py, ring.py and launch.py; ``choose_clock`` by wc-run before the program is exec'd (so ctypes is only
imported when something is called). Rules: an address of shared memory goes from mmap to the system call and is never
looked through. Without the library (not built, another architecture) the clock is CLOCK_MONOTONIC and blocked writers
wake by themselves, every few milliseconds.

Absent on purpose: layouts, and any decision but the choice of the clock.
"""

from __future__ import annotations

import errno
import os
import time

from . import abi_fields as abi

TYPE_CHECKING = False  # typing costs wc-run 5 ms before its program starts
if TYPE_CHECKING:
    import ctypes

LIBRARY = "libwc_consumer.so"
MEASURED_SECONDS = 0.002


class Sample(tuple[int, int, int]):
    """One moment on three clocks, (ticks, monotonic, realtime); the last two in ns."""

    __slots__ = ()

    def __new__(cls, ticks: int, monotonic: int, realtime: int) -> Sample:
        return super().__new__(cls, (ticks, monotonic, realtime))

    @property
    def ticks(self) -> int:
        return self[0]

    @property
    def monotonic(self) -> int:
        return self[1]

    @property
    def realtime(self) -> int:
        return self[2]


def library_path() -> str | None:
    """Return where the native library is installed, or None."""
    import wc_intercept

    for folder in wc_intercept.__path__:
        path = os.path.join(folder, "_native", LIBRARY)
        if os.path.exists(path):
            return path
    return None


def choose_clock() -> int:
    """Return CLOCK_TSC where the counter is one clock for all CPUs that never stops, else CLOCK_MONOTONIC."""
    if library_path() is None or os.uname().machine != "x86_64":
        return abi.CLOCK_MONOTONIC
    try:
        with open("/sys/devices/system/clocksource/clocksource0/current_clocksource", "rb") as source:
            stable = source.read(16).strip() == b"tsc"
        with open("/proc/cpuinfo", "rb") as processors:
            flags = processors.read(8192).split()  # the first processor's lines; all are alike
    except OSError:
        return abi.CLOCK_MONOTONIC
    return abi.CLOCK_TSC if stable and b"constant_tsc" in flags and b"nonstop_tsc" in flags else abi.CLOCK_MONOTONIC


def ticks_per_second(clock: int) -> int:
    """Return how fast the session's clock (abi.CLOCK_*) runs; measured, in 2 ms, where it is the counter."""
    if clock == abi.CLOCK_MONOTONIC:
        return 1_000_000_000
    native = Native()
    first = native.sample(clock)
    time.sleep(MEASURED_SECONDS)
    last = native.sample(clock)
    return (last.ticks - first.ticks) * 1_000_000_000 // (last.monotonic - first.monotonic)


class Native:
    """The loaded library. Every method works without it as well, as the module says."""

    def __init__(self, path: str | None = None) -> None:
        path = path or library_path()
        self._library = None if path is None else _load(path)

    def sample(self, clock: int) -> Sample:
        """Return one moment on the session's clock (abi.CLOCK_*), monotonic and realtime."""
        if clock == abi.CLOCK_MONOTONIC:
            monotonic = time.monotonic_ns()
            realtime = time.time_ns()
            return Sample(monotonic, monotonic, realtime)
        if self._library is None:
            raise RuntimeError("a session on the time stamp counter needs the native library")
        three = (_u64() * 3)()
        self._library.wc_clock_sample(three)
        return Sample(*three)

    def map_page(self, descriptor: int, offset: int) -> int:
        """Map one page of a shared file; 0 when that is impossible."""
        return 0 if self._library is None else self._library.wc_map_page(descriptor, offset) or 0

    def unmap_page(self, page: int) -> None:
        if self._library is not None and page:
            self._library.wc_unmap_page(page)

    def wake(self, word: int) -> None:
        """Wake who sleeps on the futex at the address *word*."""
        if self._library is not None:
            self._library.wc_futex_wake(word)

    def start_heart(self, descriptor: int, offset: int, period_ns: int) -> bool:
        """Beat into the file from a thread of its own, whatever the interpreter does. False: it cannot."""
        return self._library is not None and self._library.wc_heart_start(descriptor, offset, period_ns) == 0

    def stop_heart(self) -> None:
        """End the thread. May be called without one."""
        if self._library is not None:
            self._library.wc_heart_stop()

    def install_filter(self, program: bytes) -> None:
        """Put the seccomp filter *program* in force in this process, for good. Raises OSError; for a forked child."""
        _raise_for(errno.ENOSYS if self._library is None else self._library.wc_filter_install(program, len(program)))

    def allow_tracer(self, pid: int) -> None:
        """Let the process *pid*, which is no ancestor of this one, trace it. Raises OSError; for a forked child."""
        _raise_for(errno.ENOSYS if self._library is None else self._library.wc_tracer_allow(pid))


def _raise_for(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))


def _u64() -> type[ctypes.c_uint64]:
    import ctypes

    return ctypes.c_uint64


def _load(path: str) -> ctypes.CDLL | None:
    import ctypes

    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None
    library.wc_clock_sample.argtypes = [ctypes.POINTER(ctypes.c_uint64)]
    library.wc_clock_sample.restype = ctypes.c_uint64
    library.wc_map_page.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.wc_map_page.restype = ctypes.c_void_p
    library.wc_unmap_page.argtypes = [ctypes.c_void_p]
    library.wc_futex_wake.argtypes = [ctypes.c_void_p]
    library.wc_futex_wake.restype = ctypes.c_long
    library.wc_heart_start.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    library.wc_filter_install.argtypes = [ctypes.c_char_p, ctypes.c_int64]
    library.wc_tracer_allow.argtypes = [ctypes.c_int]
    return library
