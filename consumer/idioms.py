"""What text writes in a way of its own: descriptor sets, signal sets, poll's events, wait's status, environments.

Used by textcells.py; jsonl gives the same things as the numbers that they are. Rules: a table from the
names that C has for them to a function of one column; data of another shape than expected is left to the usual way.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable

import numpy as np

from . import columns
from .columns import Array
from .errnos import signal_name
from .words import Words, escaped, signal_set_word


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


def _signal_info(column: columns.Members) -> list[str] | None:
    """What siginfo_t's union holds depends on the signal, and on who sent it: a process, or the kernel."""
    found = dict(column.members)
    union = found.get("_sifields", found.get("sifields"))
    numbers = [found.get(name) for name in ("si_signo", "si_code")]
    if not isinstance(union, columns.Raw) or not all(isinstance(number, columns.Scalar) for number in numbers):
        return None
    signals, codes = (number.data.tolist() for number in numbers if isinstance(number, columns.Scalar))
    return [_signal_info_word(*row) for row in zip(signals, codes, union.items, strict=True)]


def _signal_info_word(number: int, code: int, union: bytes) -> str:
    if not number:
        return "{}"
    pid, uid, status = (int.from_bytes(union[i : i + 4], "little", signed=True) for i in (0, 4, 8))
    told = f"si_signo={signal_name(number)}, si_code={_signal_code(number, code)}"
    if number == signal.SIGCHLD and code > 0:
        shown = signal_name(status) if code in _BY_SIGNAL else status
        return f"{{{told}, si_pid={pid}, si_uid={uid}, si_status={shown}, ...}}"
    if code <= 0:
        return f"{{{told}, si_pid={pid}, si_uid={uid}, ...}}"
    if number in _AT_ADDRESSES:
        return f"{{{told}, si_addr={int.from_bytes(union[:8], 'little'):#x}, ...}}"
    return f"{{{told}, ...}}"


_BY_SIGNAL = (2, 3, 4, 5)
"""CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED: their status is a signal."""
_AT_ADDRESSES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
_CHILD_CODES = ("", "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED")
_SENDERS = {0: "SI_USER", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO", -5: "SI_SIGIO",
            -6: "SI_TKILL", 0x80: "SI_KERNEL"}  # fmt: skip


def _signal_code(number: int, code: int) -> str:
    if number == signal.SIGCHLD and 0 < code < len(_CHILD_CODES):
        return _CHILD_CODES[code]
    return _SENDERS.get(code, str(code))


STRUCTS: dict[str, Callable[[columns.Members], list[str] | None]] = {
    "fd_set": _descriptor_set,
    "__sigset_t": _signal_set,
    "sigset_t": _signal_set,
    "siginfo_t": _signal_info,
}


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


def _byte_sets(column: columns.Column, _: Array) -> list[str] | None:
    """A set of processors, as it is found in the bytes that the call took or gave."""
    if not isinstance(column, columns.Text) or (column.cut is not None and column.cut.any()):
        return None
    words = [int.from_bytes(item.encode("latin-1"), "little") for item in column.items]
    return ["[" + " ".join(str(bit) for bit in range(word.bit_length()) if word >> bit & 1) + "]" for word in words]


_ENTRY = struct.Struct("<QqHB")
_ENTRY_TYPES = {0: "UNKNOWN", 1: "FIFO", 2: "CHR", 4: "DIR", 6: "BLK", 8: "REG", 10: "LNK", 12: "SOCK", 14: "WHT"}


def _directory_entries(column: columns.Column, _: Array) -> list[str] | None:
    """The entries that are there as a whole: getdents64's buffer is kept up to a limit."""
    if not isinstance(column, columns.Text):
        return None
    cut = column.cut.tolist() if column.cut is not None else [False] * len(column.items)
    return [_entries(item.encode("latin-1"), more) for item, more in zip(column.items, cut, strict=True)]


def _entries(data: bytes, more: bool) -> str:
    told, at = [], 0
    while at + _ENTRY.size < len(data):
        inode, _, length, kind = _ENTRY.unpack_from(data, at)
        name, end, _ = data[at + _ENTRY.size : at + max(length, _ENTRY.size + 1)].partition(b"\0")
        if not end or length <= _ENTRY.size:
            break
        shown = f"DT_{_ENTRY_TYPES[kind]}" if kind in _ENTRY_TYPES else str(kind)
        told.append(f'{{d_ino={inode}, d_type={shown}, d_name="{escaped(name.decode("latin-1"))}", ...}}')
        at += length
    return "[" + ", ".join([*told, "..."] if more or at < len(data) else told) + "]"


_UTIMES = {0x3FFFFFFF: "UTIME_NOW", 0x3FFFFFFE: "UTIME_OMIT"}


def _file_times(column: columns.Column, _: Array) -> list[str] | None:
    """Two times, of which nanoseconds that are none say: now, or as it is."""
    if not isinstance(column, columns.Lists) or not isinstance(column.items, columns.Members):
        return None
    if column.items.struct != "struct timespec":
        return None
    parts = [member.data.tolist() for _, member in column.items.members if isinstance(member, columns.Scalar)]
    words = [_UTIMES.get(ns) or f"{{tv_sec={s}, tv_nsec={ns}}}" for s, ns in zip(*parts, strict=True)]
    return ["[" + ", ".join(words[a:b]) + "]" for a, b in zip([0, *column.ends], column.ends, strict=False)]


def _option_values(column: columns.Column, _: Array) -> list[str] | None:
    """Most options of sockets are an int."""
    if not isinstance(column, columns.Text) or (column.cut is not None and column.cut.any()):
        return None
    return [_option_value(item.encode("latin-1")) for item in column.items]


def _option_value(data: bytes) -> str:
    if len(data) == 4:
        return f"[{int.from_bytes(data, 'little', signed=True)}]"
    return f'"{escaped(data.decode("latin-1"))}"'


_CAPABILITIES = ("effective", "permitted", "inheritable")


def _capabilities(column: columns.Column, _: Array) -> list[str] | None:
    """Two structs hold the lower and the upper halves of three sets of bits."""
    if not isinstance(column, columns.Lists) or not isinstance(column.items, columns.Members):
        return None
    members = [member.data.tolist() for _, member in column.items.members if isinstance(member, columns.Scalar)]
    if len(members) != 3 or column.ends != list(range(2, 2 * len(column.ends) + 1, 2)):
        return None
    rows = []
    for low in range(0, 2 * len(column.ends), 2):
        sets = (member[low] | member[low + 1] << 32 for member in members)
        told = (f"{name}={bits:#x}" if bits else f"{name}=0" for name, bits in zip(_CAPABILITIES, sets, strict=True))
        rows.append("{" + ", ".join(told) + "}")
    return rows


PARAMETERS: dict[str, Callable[[columns.Column, Array], list[str] | None]] = {
    "envp": _environments,
    "wstatus": _statuses,
    "stat_loc": _statuses,
    "cpuset": _byte_sets,
    "times": _file_times,
    "optval": _option_values,
    "sched_getaffinity.mask": _byte_sets,
    "sched_setaffinity.mask": _byte_sets,
    "capget.datap": _capabilities,
    "capset.datap": _capabilities,
    "getdents64.dirp": _directory_entries,
}
"""What a pointer parameter of that name (of any function, or of one) leads to, and the pointers themselves."""
