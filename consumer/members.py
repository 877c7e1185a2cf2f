"""Members of structs that text writes in words: events, modes, flags, handlers, limits; and which members it shows.

Used by textcells.py; jsonl gives the numbers. Rules: by the struct's name and the member's; the kernel's values stand
here only where no module of Python's has them, and cannot change: they are its interface.
"""

from __future__ import annotations

import os
import select

from wc_intercept.generator.manifest import Names

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
HANDLERS = Words(lambda address: {0: "SIG_DFL", 1: "SIG_IGN", -1: "SIG_ERR"}.get(address) or f"{address:#x}")
"""Signal handlers, as arguments, members and results."""
_SA_FLAGS = flags(
    Names("flags", [("SA_NOCLDSTOP", 1, 0), ("SA_NOCLDWAIT", 2, 0), ("SA_SIGINFO", 4, 0), ("SA_RESTORER", 1 << 26, 0),
                    ("SA_ONSTACK", 1 << 27, 0), ("SA_RESTART", 1 << 28, 0), ("SA_NODEFER", 1 << 30, 0),
                    ("SA_RESETHAND", 1 << 31, 0)]),
    32,
)  # fmt: skip
"""The kernel's values: there is no module that has them."""
_OPEN_FLAGS = ("TMPFILE", "SYNC", "DSYNC", "CREAT", "EXCL", "NOCTTY", "TRUNC", "APPEND", "NONBLOCK", "ASYNC", "DIRECT",
               "DIRECTORY", "NOFOLLOW", "NOATIME", "CLOEXEC", "PATH")  # fmt: skip
_ACCESS = [("O_RDONLY", os.O_RDONLY, os.O_ACCMODE), ("O_WRONLY", os.O_WRONLY, os.O_ACCMODE),
           ("O_RDWR", os.O_RDWR, os.O_ACCMODE)]  # fmt: skip
_LARGE = [("O_LARGEFILE", 0o100000, 0)]  # the kernel's: to libc's programs for 64 bits it is 0
OPEN_FLAGS = flags(
    Names("flags", [*_ACCESS, *((f"O_{n}", getattr(os, f"O_{n}"), 0) for n in _OPEN_FLAGS), *_LARGE]), 64
)
_RESOLVING = ("NO_XDEV", "NO_MAGICLINKS", "NO_SYMLINKS", "BENEATH", "IN_ROOT", "CACHED")
_RESOLVE = flags(Names("flags", [(f"RESOLVE_{name}", 1 << bit, 0) for bit, name in enumerate(_RESOLVING)]), 64)
_CLONING = {7: "NEWTIME", 8: "VM", 9: "FS", 10: "FILES", 11: "SIGHAND", 12: "PIDFD", 13: "PTRACE", 14: "VFORK",
            15: "PARENT", 16: "THREAD", 17: "NEWNS", 18: "SYSVSEM", 19: "SETTLS", 20: "PARENT_SETTID",
            21: "CHILD_CLEARTID", 22: "DETACHED", 23: "UNTRACED", 24: "CHILD_SETTID", 25: "NEWCGROUP", 26: "NEWUTS",
            27: "NEWIPC", 28: "NEWUSER", 29: "NEWPID", 30: "NEWNET", 31: "IO", 32: "CLEAR_SIGHAND",
            33: "INTO_CGROUP"}  # fmt: skip
_CLONE = flags(Names("flags", [(f"CLONE_{name}", 1 << bit, 0) for bit, name in _CLONING.items()]), 64)
_ADDRESS = Words(lambda address: f"{address:#x}" if address else "NULL")
_POLICIES = {getattr(os, name): name for name in ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_IDLE")}
_FILE_SYSTEMS = {
    0xEF53: "EXT2_SUPER_MAGIC", 0x01021994: "TMPFS_MAGIC", 0x9FA0: "PROC_SUPER_MAGIC", 0x62656572: "SYSFS_MAGIC",
    0x794C7630: "OVERLAYFS_SUPER_MAGIC", 0x9123683E: "BTRFS_SUPER_MAGIC", 0x58465342: "XFS_SUPER_MAGIC",
    0x63677270: "CGROUP2_SUPER_MAGIC", 0x1CD1: "DEVPTS_SUPER_MAGIC", 0x6969: "NFS_SUPER_MAGIC",
    0x65735546: "FUSE_SUPER_MAGIC", 0x73717368: "SQUASHFS_MAGIC", 0x858458F6: "RAMFS_MAGIC",
    0x50495045: "PIPEFS_MAGIC", 0x534F434B: "SOCKFS_MAGIC",
}  # fmt: skip
_NO_LIMIT = (1 << 64) - 1


def _limit(infinity: str) -> Words:
    return Words(lambda limit: infinity if limit == _NO_LIMIT else str(limit))


MEMBERS: dict[tuple[str, str], Words] = {
    ("struct sigaction", "__sigaction_handler"): HANDLERS,
    ("struct sigaction", "sa_handler"): HANDLERS,
    ("struct sigaction", "sa_flags"): _SA_FLAGS,
    ("struct kernel_sigaction", "sa_handler"): HANDLERS,
    ("struct kernel_sigaction", "sa_flags"): _SA_FLAGS,
    ("struct kernel_sigaction", "sa_mask"): Words(signal_set_word),
    ("struct open_how", "flags"): OPEN_FLAGS,
    ("struct open_how", "resolve"): _RESOLVE,
    ("struct clone_args", "flags"): _CLONE,
    **dict.fromkeys((("struct clone_args", name) for name in ("child_tid", "parent_tid", "stack", "tls")), _ADDRESS),
    ("struct clone_args", "exit_signal"): Words(lambda number: signal_name(number) if number else "0"),
    ("struct rlimit", "rlim_cur"): _limit("RLIM_INFINITY"),
    ("struct rlimit", "rlim_max"): _limit("RLIM_INFINITY"),
    ("struct rlimit64", "rlim_cur"): _limit("RLIM64_INFINITY"),
    ("struct rlimit64", "rlim_max"): _limit("RLIM64_INFINITY"),
    ("struct sched_attr", "sched_policy"): Words(lambda number: _POLICIES.get(number, str(number))),
    ("struct statfs", "f_type"): Words(lambda number: _FILE_SYSTEMS.get(number, f"{number:#x}")),
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
    "exit_signal": (("flags", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"), True),
    "sa_mask": (("__sigaction_handler", "sa_handler", "sa_mask", "sa_flags"), False),
}
"""Structs that have this member are shown by these, and dots unless what is left out says nothing."""
