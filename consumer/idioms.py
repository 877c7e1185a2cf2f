"""What text writes in a way of its own: descriptor sets, signal sets, poll's events, wait's status, environments.

Used by textcells.py; jsonl gives the same things as the numbers that they are. Rules: a table from the
names that C has for them to a function of one column; data of another shape than expected is left to the usual way.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import numpy as np
from wc_intercept.generator.manifest import Names

from . import columns
from .columns import Array
from .errnos import signal_name
from .words import Words, flags, mode_word, signal_set_word

_POLL = flags(
    Names("flags", [(name, getattr(select, name), 0) for name in ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP",
                                                                  "POLLNVAL", "POLLRDNORM", "POLLRDBAND", "POLLWRNORM",
                                                                  "POLLWRBAND", "POLLRDHUP")]),
    16,
)  # fmt: skip
_EPOLL_EVENTS = ("IN", "PRI", "OUT", "ERR", "HUP", "RDNORM", "RDBAND", "WRNORM", "WRBAND", "MSG", "RDHUP", "EXCLUSIVE",
                 "ONESHOT", "ET")  # fmt: skip
_EPOLL = flags(Names("flags", [(f"EPOLL{name}", getattr(select, f"EPOLL{name}"), 0) for name in _EPOLL_EVENTS]), 32)


def _words_of(column: columns.Members) -> Array | None:
    """Return a struct that is one array of 64-bit words as (rows, words) uint64."""
    if len(column.members) != 1 or not isinstance(column.members[0][1], columns.Lists):
        return None
    items = column.members[0][1].items
    if not isinstance(items, columns.Scalar) or items.data.dtype.itemsize != 8 or column.rows == 0:
        return None
    return np.ascontiguousarray(items.data).view(np.uint64).reshape(column.rows, -1)


def _descriptor_set(column: columns.Members) -> list[str] | None:
    words = _words_of(column)
    if words is None:
        return None
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    return ["[" + " ".join(map(str, np.flatnonzero(row).tolist())) + "]" for row in bits]


def _signal_set(column: columns.Members) -> list[str] | None:
    words = _words_of(column)
    return None if words is None else [signal_set_word(word) for word in words[:, 0].tolist()]


STRUCTS: dict[str, Callable[[columns.Members], list[str] | None]] = {
    "fd_set": _descriptor_set,
    "__sigset_t": _signal_set,
    "sigset_t": _signal_set,
}
HANDLERS = Words(lambda address: {0: "SIG_DFL", 1: "SIG_IGN", -1: "SIG_ERR"}.get(address) or f"{address:#x}")
"""Signal handlers, as arguments, members and results."""
_SA_FLAGS = flags(
    Names("flags", [("SA_NOCLDSTOP", 1, 0), ("SA_NOCLDWAIT", 2, 0), ("SA_SIGINFO", 4, 0), ("SA_RESTORER", 1 << 26, 0),
                    ("SA_ONSTACK", 1 << 27, 0), ("SA_RESTART", 1 << 28, 0), ("SA_NODEFER", 1 << 30, 0),
                    ("SA_RESETHAND", 1 << 31, 0)]),
    32,
)  # fmt: skip
"""The kernel's values: there is no module that has them."""
MEMBERS: dict[tuple[str, str], Words] = {
    ("struct sigaction", "__sigaction_handler"): HANDLERS,
    ("struct sigaction", "sa_handler"): HANDLERS,
    ("struct sigaction", "sa_flags"): _SA_FLAGS,
    ("struct statx", "stx_mode"): Words(mode_word),
    ("struct epoll_event", "events"): _EPOLL,
    ("struct pollfd", "events"): _POLL,
    ("struct pollfd", "revents"): _POLL,
}
MEMBER_NAMES = {"__sigaction_handler": "sa_handler"}
SHORT: dict[str, tuple[tuple[str, ...], bool]] = {
    "st_mode": (("st_mode", "st_size"), True),
    "stx_mode": (("stx_mode", "stx_size"), True),
    "sysname": (("sysname", "nodename"), True),
    "sa_mask": (("__sigaction_handler", "sa_handler", "sa_mask", "sa_flags"), False),
}
"""Structs that have this member are shown by these, and dots unless what is left out says nothing."""


def _status_word(status: int) -> str:
    """Return what wait's status says, in the words of its macros."""
    if os.WIFSTOPPED(status):
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(os.WSTOPSIG(status))}}}]"
    if os.WIFCONTINUED(status):
        return "[{WIFCONTINUED(s)}]"
    if os.WIFEXITED(status):
        return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {os.WEXITSTATUS(status)}}}]"
    dumped = " && WCOREDUMP(s)" if os.WCOREDUMP(status) else ""
    return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(os.WTERMSIG(status))}{dumped}}}]"


_STATUS = Words(_status_word)


def _statuses(column: columns.Column, _: Array) -> list[str] | None:
    if not isinstance(column, columns.Scalar) or column.data.dtype.itemsize != 4:
        return None
    return [_STATUS[status] for status in column.data.tolist()]


def _environments(column: columns.Column, pointers: Array) -> list[str] | None:
    """The variables are counted: nobody wants to read them in every exec."""
    if not isinstance(column, columns.Texts):
        return None
    cut = column.cut if column.cut is not None else np.zeros(len(column.items), bool)
    counted = zip(pointers.tolist(), column.items, cut.tolist(), strict=True)
    return [f"{pointer:#x} /* {len(row)}{'+' if more else ''} vars */" for pointer, row, more in counted]


PARAMETERS: dict[str, Callable[[columns.Column, Array], list[str] | None]] = {
    "envp": _environments,
    "wstatus": _statuses,
    "stat_loc": _statuses,
}
"""What a pointer parameter of that name leads to, and the pointers themselves."""
