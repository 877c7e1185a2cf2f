"""What text says of single arguments of system calls in words of their own: idioms, options, arguments that are not there."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
from typing import Any

import numpy as np
import pytest
from record_builder import PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import columns
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.dependent import OPTIONS
from wc_intercept.consumer.idioms import PARAMETERS, STRUCTS
from wc_intercept.consumer.text import TextLines
from wc_intercept.generator.manifest import Field, Names, Return, Symbol, Target

NOWHERE = np.zeros(1, np.uint64)


def said(name: str, value: columns.Column) -> list[str] | None:
    return PARAMETERS[name](value, NOWHERE)


def lines_of(symbol: Symbol, *calls: tuple[Any, ...], **names: Names) -> list[str]:
    """Return the text of system calls: each is what it was given, and what it returned."""
    targets = [Target(symbol.name, kind="syscall")]
    recorder = Recorder(manifest_of(symbol, targets=targets, names=names))
    for *values, result in calls:
        recorder.call(symbol.name, *values, ret=result)
    batches = Joiner().join(Decoder(recorder.manifest, PlainClock()).decode(recorder.chunk()))
    return TextLines(recorder.manifest).render(batches).decode().splitlines()


def word(name: str, **parts: Any) -> Field:
    return Field(name, "uint", 0, 8, **parts)


def number(name: str, **parts: Any) -> Field:
    return Field(name, "int", 0, 4, **parts)


# --- results ---------------------------------------------------------------------------------------------------------


def test_a_result_without_a_sign_fails_by_its_64_bits():
    """getuid's type has 32, and 4294967295 is a uid like any other."""
    getuid = symbol_of("getuid", result=Return("uint", 4, "uid", fail="-1"))
    assert [
        "getuid() = 0", "getuid() = 1000", "getuid() = -1 EPERM (Operation not permitted)"
    ] == lines_of(getuid, (0,), (1000,), (-1,))  # fmt: skip


def test_an_int_fails_by_its_32_bits():
    """modify_ldt leaves the upper half of the register 0."""
    modify_ldt = symbol_of("modify_ldt", result=Return("int", 4, fail="-1"))
    assert ["modify_ldt() = -1 ENOSYS (Function not implemented)"] == lines_of(modify_ldt, (0xFFFFFFDA,))


# --- arguments that are not always there -----------------------------------------------------------------------------


def test_a_mode_is_shown_where_a_file_may_be_made():
    open_ = symbol_of("open", number("flags"), number("mode", role="mode"), result=Return("int", 4, fail="-1"))
    shown = lines_of(open_, (os.O_RDONLY, 0o123, 3), (os.O_CREAT, 0o640, 3), (os.O_TMPFILE, 0o600, 3))
    assert ["open(0) = 3", "open(64, 0640) = 3", f"open({os.O_TMPFILE}, 0600) = 3"] == shown


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (1, "futex(1, 7) = 0"),  # FUTEX_WAKE
        (129, "futex(129, 7) = 0"),  # FUTEX_WAKE_PRIVATE
        (128, "futex(128, 7, 1) = 0"),  # FUTEX_WAIT_PRIVATE
        (137 | 256, "futex(393, 7, 1, 3) = 0"),  # FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME
        (4, "futex(4, 7, 1, 2, 3) = 0"),  # FUTEX_CMP_REQUEUE
    ],
)
def test_futex_has_the_arguments_of_its_operation(operation: int, expected: str):
    names = [number(name) for name in ("futex_op", "val", "timeout", "uaddr2", "val3")]
    futex = symbol_of("futex", *names, result=Return("int", 8, fail="-1"))
    assert [expected] == lines_of(futex, (operation, 7, 1, 2, 3, 0))


def test_arguments_of_clone_bear_their_names():
    fields = [word("flags", role="flags"), word("stack"), word("parent_tid"), word("child_tid"), word("tls")]
    clone = symbol_of("clone", *fields, result=Return("int", 8, "pid", fail="-1"))
    shown = lines_of(clone, (17, 0, 1, 2, 3, 5), (0x01200000, 0, 1, 2, 3, 5), (0x01180000, 0, 1, 2, 3, 5))
    assert [
        "clone(0x11, 0) = 5", "clone(0x1200000, 0, child_tid=2) = 5",
        "clone(0x1180000, 0, parent_tid=1, child_tid=2, tls=3) = 5",
    ] == shown  # fmt: skip


def test_what_cannot_be_told_is_shown():
    """open's flags are not recorded here."""
    open_ = symbol_of("open", word("pathname"), number("mode", role="mode"), result=Return("int", 4, fail="-1"))
    assert ["open(0, 0640) = 3"] == lines_of(open_, (0, 0o640, 3))


# --- numbers beside others -------------------------------------------------------------------------------------------


def test_options_of_sockets_are_named_by_their_level():
    fields = [number("level", names="sockopt_level", role="enum"), number("optname")]
    symbol = symbol_of("setsockopt", *fields, result=Return("int", 4, fail="-1"))
    names = Names("enum", [("SOL_SOCKET", 1, 0), ("SOL_IP", 0, 0)])
    calls = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0), (0, socket.IP_TTL, 0), (0, 9999, 0), (77, 1, 0)]
    assert [
        "setsockopt(SOL_SOCKET, SO_KEEPALIVE) = 0", "setsockopt(SOL_IP, IP_TTL) = 0", "setsockopt(SOL_IP, 9999) = 0",
        "setsockopt(0x4d, 1) = 0",
    ] == lines_of(symbol, *calls, sockopt_level=names)  # fmt: skip


def test_names_of_options_are_options():
    """The socket module has constants of other levels that begin like them."""
    shown = {name for options in OPTIONS.values() for name in options.values()}
    assert {"SO_REUSEADDR", "SO_LINGER", "IP_TTL", "IPV6_V6ONLY", "TCP_NODELAY"} <= shown
    assert not {name for name in shown if "VM_SOCKETS" in name or "DEFAULT" in name or "J1939" in name}


def test_what_fcntl_sets_is_named_by_its_command():
    fields = [number("fd", role="fd"), number("cmd", names="fcntl", role="enum"), word("arg")]
    symbol = symbol_of("fcntl", *fields, result=Return("int", 4, fail="-1"))
    names = Names("enum", [("F_SETFD", fcntl.F_SETFD, 0), ("F_SETFL", fcntl.F_SETFL, 0), ("F_DUPFD", fcntl.F_DUPFD, 0)])
    calls = [(3, fcntl.F_SETFD, 1, 0), (3, fcntl.F_SETFL, os.O_RDWR | os.O_NONBLOCK, 0), (3, fcntl.F_DUPFD, 10, 10)]
    assert [
        "fcntl(3, F_SETFD, FD_CLOEXEC) = 0", "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0", "fcntl(3, F_DUPFD, 10) = 10"
    ] == lines_of(symbol, *calls, fcntl=names)  # fmt: skip


# --- what pointers lead to -------------------------------------------------------------------------------------------


def entry(inode: int, name: bytes, kind: int) -> bytes:
    """A struct linux_dirent64, padded as the kernel does."""
    length = -(-(19 + len(name) + 1) // 8) * 8
    return (struct.pack("<QqHB", inode, 0, length, kind) + name).ljust(length, b"\0")


def test_a_directory_is_the_entries_that_were_kept_whole():
    data = (entry(2, b".", 4) + entry(3, b'a"b', 8) + entry(4, b"odd", 99)).decode("latin-1")
    rows = [data, data[:-3], data[:10], "", "\0" * 40]
    first = '{d_ino=2, d_type=DT_DIR, d_name=".", ...}, {d_ino=3, d_type=DT_REG, d_name="a\\"b", ...}'
    expected = [f'[{first}, {{d_ino=4, d_type=99, d_name="odd", ...}}]', f"[{first}, ...]", "[...]", "[]", "[...]"]
    assert expected == said("getdents64.dirp", columns.Text(rows))


def siginfo(number: int, code: int, union: bytes) -> columns.Members:
    members: list[tuple[str, columns.Column]] = [
        ("si_signo", columns.Scalar(np.array([number]), "int")),
        ("si_errno", columns.Scalar(np.array([0]), "int")),
        ("si_code", columns.Scalar(np.array([code]), "int")),
        ("_sifields", columns.Raw([union.ljust(112, b"\0")])),
    ]
    return columns.Members(members, 1, "siginfo_t")


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (siginfo(0, 0, b""), "{}"),
        (siginfo(signal.SIGCHLD, 1, struct.pack("3i", 42, 7, 3)),
         "{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_uid=7, si_status=3, ...}"),
        (siginfo(signal.SIGCHLD, 2, struct.pack("3i", 42, 7, 9)),
         "{si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=42, si_uid=7, si_status=SIGKILL, ...}"),
        (siginfo(signal.SIGUSR1, 0, struct.pack("2i", 42, 7)),
         "{si_signo=SIGUSR1, si_code=SI_USER, si_pid=42, si_uid=7, ...}"),
        (siginfo(signal.SIGSEGV, 1, struct.pack("Q", 0x1234)), "{si_signo=SIGSEGV, si_code=1, si_addr=0x1234, ...}"),
        (siginfo(signal.SIGALRM, 0x80, b""), "{si_signo=SIGALRM, si_code=SI_KERNEL, ...}"),
    ],
)  # fmt: skip
def test_a_signal_info_shows_what_its_signal_brings(info: columns.Members, expected: str):
    idiom = STRUCTS["siginfo_t"]
    assert [expected] == idiom(info)


def test_a_signal_info_of_another_shape_is_left_to_the_usual_way():
    assert STRUCTS["siginfo_t"](columns.Members([("si_signo", columns.Scalar(np.array([1]), "int"))], 1)) is None


def test_processors_are_listed():
    assert ["[0 1 9]", "[]"] == said("sched_getaffinity.mask", columns.Text(["\x03\x02", ""]))
    assert said("sched_getaffinity.mask", columns.Text(["\x03"], cut=np.array([True]))) is None


def test_capabilities_of_two_halves_are_whole():
    halves = [columns.Scalar(np.array(pair, np.uint32), "uint") for pair in ([1, 0x100], [2, 0], [0, 0])]
    names = ("effective", "permitted", "inheritable")
    items = columns.Members(list(zip(names, halves, strict=True)), 2)
    expected = ["{effective=0x10000000001, permitted=0x2, inheritable=0}"]
    assert expected == said("capget.datap", columns.Lists(items, [2]))
    assert said("capget.datap", columns.Lists(items, [1, 2])) is None


def test_times_of_files_may_be_words():
    parts = [columns.Scalar(np.array(values), "int") for values in ([1, 0, 5, 0], [2, 0x3FFFFFFF, 6, 0x3FFFFFFE])]
    items = columns.Members([("tv_sec", parts[0]), ("tv_nsec", parts[1])], 4, "struct timespec")
    expected = ["[{tv_sec=1, tv_nsec=2}, UTIME_NOW]", "[{tv_sec=5, tv_nsec=6}, UTIME_OMIT]"]
    assert expected == said("times", columns.Lists(items, [2, 4]))
    items.struct = "struct timeval"
    assert said("times", columns.Lists(items, [2, 4])) is None


def test_values_of_options_are_numbers_when_they_are_as_long_as_one():
    rows = ["\x01\0\0\0", "\xff\xff\xff\xff", "\x01\0\0\0\x02\0\0\0", "cubic"]
    assert ["[1]", "[-1]", '"\\1\\0\\0\\0\\2\\0\\0\\0"', '"cubic"'] == said("optval", columns.Text(rows))
