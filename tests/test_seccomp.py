"""The seccomp filter of a traced program: what it decides for every number, and that the kernel agrees.

The program is run by an interpreter of our own over all numbers, so that no subset is trusted; the kernel runs it in
tests/c/seccomp_tries.c, where RET_TRACE without a tracer is ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from wc_intercept.consumer import seccomp
from wc_intercept.consumer.machine import Native

ALLOW, TRACE = 0x7FFF0000, 0x7FF00000 | seccomp.MARK
X86_64, I386 = seccomp.ARCH_X86_64, 0x40000003
X32 = 0x40000000
NUMBERS = range(601)


def run(filter_: bytes, number: int, arch: int = X86_64) -> int:
    """Run the filter as the kernel does: what it returns."""
    data = struct.pack("=II", number, arch)
    code = list(struct.iter_unpack("=HBBI", filter_))
    at, accumulator = 0, 0
    while True:
        word, yes, no, operand = code[at]
        at += 1
        if word == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif word == 0x05:
            at += operand
        elif word == 0x15:
            at += yes if accumulator == operand else no
        elif word == 0x35:
            at += yes if accumulator >= operand else no
        else:
            assert 0x06 == word
            return operand


def stopped(filter_: bytes) -> list[int]:
    return [number for number in NUMBERS if run(filter_, number) == TRACE]


def subsets() -> Iterable[list[int]]:
    chance = random.Random(1)
    yield []
    yield list(NUMBERS)
    yield list(NUMBERS[::2])
    yield list(NUMBERS[1::2])
    yield [0]
    yield [600]
    for _ in range(100):
        share = chance.random()
        yield [number for number in NUMBERS if chance.random() < share]


def test_every_subset_stops_at_its_numbers_and_at_no_other() -> None:
    for wanted in subsets():
        filter_ = seccomp.program(wanted)
        assert wanted == stopped(filter_)
        assert {ALLOW, TRACE} >= {run(filter_, number) for number in NUMBERS}


def test_every_number_alone_stops() -> None:
    for number in NUMBERS:
        assert [number] == stopped(seccomp.program([number]))


def test_every_subset_fits_the_kernels_limit() -> None:
    longest = max(len(seccomp.program(wanted)) // seccomp.INSTRUCTION.size for wanted in subsets())
    assert longest < seccomp.MOST
    assert longest > 600  # the worst case was among them: every other number


def test_jumps_only_go_forward_and_stay_inside() -> None:
    for wanted in subsets():
        code = list(struct.iter_unpack("=HBBI", seccomp.program(wanted)))
        for at, (word, yes, no, operand) in enumerate(code):
            furthest = operand if word == 0x05 else max(yes, no)
            assert at + 1 + furthest < len(code) or word == 0x06


def test_other_architectures_and_x32_go_on_unseen() -> None:
    filter_ = seccomp.program(NUMBERS)
    assert {ALLOW} == {run(filter_, number, I386) for number in NUMBERS}
    assert {ALLOW} == {run(filter_, number | X32) for number in NUMBERS}
    assert {ALLOW} == {run(filter_, number) for number in (2**32 - 1, 2**31, X32 - 1)}


def test_order_and_repetition_make_no_difference() -> None:
    assert seccomp.program([3, 1, 2]) == seccomp.program([1, 2, 3, 3, 2])


def test_a_number_that_is_none_is_refused() -> None:
    for wrong in (-1, X32, 2**40):
        with pytest.raises(ValueError, match="number"):
            seccomp.program([1, wrong])


def test_more_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        seccomp.program(range(0, 10000, 2))


def test_only_words_that_the_kernel_evaluates_beforehand_are_used() -> None:
    """Else it would keep no bitmap of allowed calls, and run the filter for each."""
    for wanted in subsets():
        assert {0x20, 0x05, 0x15, 0x35, 0x06} >= {code for code, *_ in struct.iter_unpack("=HBBI", seccomp.program(wanted))}


# --- in force --------------------------------------------------------------------------------------------------------

CHILD = """
import ctypes, os, sys
from wc_intercept.consumer import seccomp
from wc_intercept.consumer.machine import Native
native = Native()
filter_ = seccomp.program(map(int, sys.argv[2].split(",")))
native.install_filter(filter_)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def tries(compile_c: Callable[..., Path]) -> Callable[..., list[str]]:
    """tries([numbers]): install the filter, exec a program that makes calls, and return what it says."""
    program = compile_c("seccomp_tries.c")

    def start(wanted: Iterable[int], *before: str) -> list[str]:
        words = [*before, sys.executable, "-c", CHILD, str(program), ",".join(map(str, wanted))]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert 0 == ran.returncode, ran.stderr
        return ran.stdout.splitlines()

    return start


def found(lines: list[str]) -> set[int]:
    return {int(line.split()[1]) for line in lines if line.startswith("stopped ")}


def test_the_kernel_stops_at_what_is_wanted_and_at_nothing_else(tries: Callable[..., list[str]]) -> None:
    """getppid, getuid, geteuid, getgid and getegid are called by number; the wanted ones find no tracer."""
    for wanted in ([110], [102, 108], [110, 102, 107, 104, 108], [500]):
        assert set(wanted) - {500} == found(tries(wanted))


def test_a_long_filter_is_taken(tries: Callable[..., list[str]]) -> None:
    """Every other number from 600 to 1798: none of them is a call, and the filter is as long as they come."""
    assert set() == found(tries(range(600, 1800, 2)))


def test_int_0x80_is_not_stopped(tries: Callable[..., list[str]]) -> None:
    """getppid is 110 here and 64 there: the 32-bit call with the number of a wanted one goes on."""
    assert "int 0x80: as it was" in tries([64, 110])


def test_privileges_are_kept_by_who_may_filter_without_giving_them_up(tries: Callable[..., list[str]]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs CAP_SYS_ADMIN")
    assert "no_new_privs 0" in tries([110])


def test_who_may_not_gives_them_up(tries: Callable[..., list[str]]) -> None:
    before = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin") if os.geteuid() == 0 else ()
    assert "no_new_privs 1" in tries([110], *before)


def test_a_filter_that_is_none_is_an_error() -> None:
    native = Native()
    for wrong in (b"", b"1234567", bytes(8), bytes(8 * 5000)):
        with pytest.raises(OSError) as raised:
            native.install_filter(wrong)
        assert errno.EINVAL == raised.value.errno


def test_without_the_native_library_it_says_so() -> None:
    native = Native(path="/nowhere/libwc_consumer.so")
    for use in (lambda: native.install_filter(seccomp.program([1])), lambda: native.allow_tracer(1)):
        with pytest.raises(OSError) as raised:
            use()
        assert errno.ENOSYS == raised.value.errno


def test_a_tracer_is_allowed_whether_or_not_the_system_asks_for_it() -> None:
    """Where Yama is not, prctl(PR_SET_PTRACER) is an error, and no permission is needed."""
    Native().allow_tracer(os.getpid())
    assert 0 == ctypes.CDLL(None).prctl(0x59616D61, 0, 0, 0, 0) or not Path("/proc/sys/kernel/yama").exists()
