"""Arguments that only some calls have: open's mode, fcntl's third, futex's timeout.

Used by text.py. A record keeps these words for every call; what they hold means something only when an earlier argument
says so. Rules: in doubt an argument is shown.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .columns import Array
from .decode import Batch

Values = Callable[[str], Array]
"""A parameter's name -> its numbers, (rows,) int64."""
Given = Callable[[Values], Any]
"""Which calls have an argument: (rows,) bool, from the other arguments."""

_CREATES = os.O_CREAT
_NAMELESS = getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY
_QUESTIONS = ("F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETLEASE", "F_GETPIPE_SZ", "F_GET_SEALS")
_WITHOUT = [getattr(fcntl, name) for name in _QUESTIONS if hasattr(fcntl, name)]
_FLAGS = ("flags", "oflag", "oflags")


def _any_of(parameter: str, bits: int) -> Given:
    return lambda values: values(parameter) & bits != 0


def _one_of(parameter: str, numbers: tuple[int, ...], mask: int = -1) -> Given:
    return lambda values: np.isin(values(parameter) & mask, numbers)


_PRCTL = {
    0: (3, 7, 21, 27, 30),  # PR_GET_DUMPABLE, _KEEPCAPS, _SECCOMP, _SECUREBITS, _TIMERSLACK
    1: (1, 2, 4, 8, 15, 16, 23, 24, 25, 26, 28, 29, 36, 37, 0x59616D61),  # PR_SET_PDEATHSIG, _NAME, _PTRACER...
}
"""How many words some of prctl's options take; the rest is whatever the caller's registers held."""


def _words_of_prctl(word: int) -> Given:
    """Whether the option takes its *word*-th word."""
    without = tuple(option for words, options in _PRCTL.items() if words < word for option in options)
    return lambda values: ~np.isin(values("option"), without)


_MAKES = {name: _any_of(name, _CREATES | _NAMELESS) for name in _FLAGS}
_DEVICE = _one_of("mode", (0o020000, 0o060000), 0o170000)
_OPERATION = 0x7F
"""futex's operation without its flags. 0 WAIT 3 REQUEUE 4 CMP_REQUEUE 5 WAKE_OP 6 LOCK_PI 9 WAIT_BITSET 10 WAKE_BITSET
11 WAIT_REQUEUE_PI 12 CMP_REQUEUE_PI 13 LOCK_PI2; the rest (1 WAKE...) take a value alone."""

SYSTEM_CALLS: dict[str, dict[str, Given]] = {
    "open": {"mode": _MAKES["flags"]},
    "openat": {"mode": _MAKES["flags"]},
    "mq_open": {"mode": _MAKES["oflag"], "attr": _MAKES["oflag"]},
    "mknod": {"dev": _DEVICE},
    "mknodat": {"dev": _DEVICE},
    "fcntl": {"arg": lambda values: ~np.isin(values("cmd"), _WITHOUT)},
    "mremap": {"new_address": _any_of("flags", 2 | 4)},  # MREMAP_FIXED, MREMAP_DONTUNMAP
    "clone": {
        "parent_tid": _any_of("flags", 0x00100000 | 0x00001000),  # CLONE_PARENT_SETTID, CLONE_PIDFD
        "child_tid": _any_of("flags", 0x01000000 | 0x00200000),  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
        "tls": _any_of("flags", 0x00080000),  # CLONE_SETTLS
    },
    "futex": {
        "timeout": _one_of("futex_op", (0, 3, 4, 5, 6, 9, 11, 12, 13), _OPERATION),
        "uaddr2": _one_of("futex_op", (3, 4, 5, 11, 12), _OPERATION),
        "val3": _one_of("futex_op", (4, 5, 9, 10, 12), _OPERATION),
    },
    "preadv2": {"pos_h": lambda values: values("pos_h") != 0},
    "pwritev2": {"pos_h": lambda values: values("pos_h") != 0},
    "reboot": {"arg": _one_of("cmd", (0xA1B2C3D4,), 0xFFFFFFFF)},  # LINUX_REBOOT_CMD_RESTART2
    "prctl": {f"arg{i}": _words_of_prctl(i - 1) for i in range(2, 6)},
    "membarrier": {"cpu_id": _any_of("flags", 1)},  # MEMBARRIER_CMD_FLAG_CPU
}
"""System call -> parameter -> which calls have it. The numbers are the kernel's, and cannot change."""


NAMED = frozenset({"clone"})
"""Calls whose arguments of this kind bear their names: nobody could tell which of them is there."""


def given(batch: Batch) -> dict[int, Array]:
    """Return position -> (rows,) bool for the arguments that not all calls of *batch* have, or that bear names."""
    tests = _tests(batch)
    if not tests:
        return {}
    parameters = batch.layout.parameters
    scalars = {p.name: p.scalar for p in parameters if p.scalar}

    def values(name: str) -> Array:
        return batch.rows.data[scalars[name]].astype(np.int64)

    found = {}
    for i, parameter in enumerate(parameters):
        test = tests.get(parameter.name)
        if i and test is not None:
            try:
                mask = np.asarray(test(values))
            except KeyError:
                continue  # what would tell is not recorded
            if not mask.all() or batch.symbol.name in NAMED:
                found[i] = mask
    return found


def _tests(batch: Batch) -> dict[str, Given]:
    """Return what decides about which of the parameters."""
    if batch.layout.kind == "syscall":
        return SYSTEM_CALLS.get(batch.symbol.name, {})
    wrapper, parameters = batch.symbol.wrapper, batch.layout.parameters
    if wrapper == "mode-if-flag":
        at = next((i for i, p in enumerate(parameters) if p.name in _FLAGS), None)
        if at is not None:
            return {p.name: _MAKES[parameters[at].name] for p in parameters[at + 1 :]}
    called = batch.symbol.name.lstrip("_")
    if wrapper == "optional-word" and called.startswith("fcntl") and len(parameters) > 2:
        command = parameters[1].name
        return {p.name: lambda values: ~np.isin(values(command), _WITHOUT) for p in parameters[2:]}
    return {}
