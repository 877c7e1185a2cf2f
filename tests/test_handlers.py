"""Handlers in C, in process: what they see of a call, and what of their changes takes effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from handling import Handled, handled, libc, line_after, stub, target

__all__ = ["handled", "stub"]  # fixtures


# --- registers -------------------------------------------------------------------------------------------------------


def test_nine_arguments_stand_in_six_registers_and_on_the_stack(stub: Handled) -> None:
    ran = stub(target("nine", "seen_nine"))
    assert "sees 1 2 3 4 5 6, then 7 8 9" in ran.lines
    assert "nine 987654321" == line_after(ran, "nine")


def test_what_a_handler_writes_to_registers_and_stack_is_what_the_function_gets(stub: Handled) -> None:
    ran = stub(target("nine", "other_nine"))
    assert "nine 187454329" == line_after(ran, "nine")
    args = ran.of("nine")[0]["args"]
    assert [9, 2, 3, 4, 5, 4, 7, 8, 1] == list(args.values())


def test_floating_arguments_take_no_general_register(stub: Handled) -> None:
    ran = stub(target("mixed", "seen_mixed"))
    assert 'sees -1 "four" 200 100000' in ran.lines
    assert "mixed 100231" == line_after(ran, "mixed")


def test_changed_pointers_and_small_integers_arrive(stub: Handled) -> None:
    ran = stub(target("mixed", "other_mixed"))
    assert f"mixed {-1 + 20 + len('longer than before') + 8 + 255 + 100000}" == line_after(ran, "mixed")


def test_a_small_struct_stands_in_two_registers(stub: Handled) -> None:
    ran = stub(target("swap_longs", "seen_swap_longs", "after_swap_longs"))
    assert "sees 5 6 100" in ran.lines
    assert "returns 106 105" in ran.lines
    assert "swap_longs 106 1" == line_after(ran, "swap_longs")


def test_a_changed_half_of_a_struct_arrives(stub: Handled) -> None:
    assert "swap_longs 160 105" == line_after(stub(target("swap_longs", "other_swap_longs")), "swap_longs")


def test_a_struct_of_eight_bytes_is_returned_in_rax(stub: Handled) -> None:
    ran = stub(target("swap_ints", leave="after_swap_ints"))
    assert "returns 8 7" in ran.lines
    assert "swap_ints 1 2" == line_after(ran, "swap_ints")


def test_a_large_struct_stands_on_the_stack_and_comes_back_where_rdi_says(stub: Handled) -> None:
    ran = stub(target("reverse", "seen_reverse", "after_reverse"))
    assert "sees 1 to 4, and 10" in ran.lines
    assert "returns 14 at 1" in ran.lines
    assert "reverse -1 13 12 1010" == line_after(ran, "reverse")


def test_a_floating_result_is_the_bits_of_a_double(stub: Handled) -> None:
    ran = stub(target("half", "seen_half", "after_half"), target("third", leave="after_third"))
    assert ["sees 2", "returns 6", "half 0.25"] == ran.lines[ran.lines.index("sees 2") :][:3]
    assert ["returns 3", "third 2.5"] == ran.lines[ran.lines.index("returns 3") :][:2]


def test_a_long_double_keeps_its_precision_when_nobody_changes_it(stub: Handled) -> None:
    ran = stub(target("precise", leave="after_precise"))
    assert "returns 1.1" in ran.lines
    assert "precise 1.1000000000000000000" == line_after(ran, "precise")


def test_both_handlers_of_a_void_function_run(stub: Handled) -> None:
    ran = stub(target("fill", "seen_fill", "after_fill"))
    assert "fill 79" == line_after(ran, "fill")


def test_a_bool_comes_back_as_the_handler_says(stub: Handled) -> None:
    ran = stub(target("is_odd", leave="after_is_odd"))
    assert "returns 1" in ran.lines
    assert "is_odd 0" == line_after(ran, "is_odd")


def test_registers_can_be_asked_for_and_set_as_in_a_tracer(stub: Handled) -> None:
    ran = stub(target("with_message", "seen_with_message"))
    assert ["GetRegs 0", "sees 40 1", "SetRegs 0, then 50"] == ran.lines[-4:-1]
    assert "with_message 52" == ran.lines[-1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nine", "nine -7"), ("swap_longs", "swap_longs -7 8"), ("swap_ints", "swap_ints -7 -1"), ("fill", "fill 0"),
        ("is_odd", "is_odd 1"), ("reverse", "reverse 0 0 0 0"),
    ],
)  # fmt: skip
def test_a_skipped_function_returns_what_the_handler_says(stub: Handled, name: str, expected: str) -> None:
    assert expected == line_after(stub(target(name, "skip_with_minus_7")), name)


@pytest.mark.parametrize(("name", "expected"), [("half", "3"), ("third", "3"), ("precise", "3.0000000000000000000")])
def test_a_skipped_floating_function_returns_a_double(stub: Handled, name: str, expected: str) -> None:
    assert f"{name} {expected}" == line_after(stub(target(name, "skip")), name)


# --- libc's functions of every class ---------------------------------------------------------------------------------

WORDS = """
if (regs->rsi != 1 || PeekChar(pid, (long)regs->rdx) != 't' || regs->r9 != 5)
        return;
regs->rsi = 100;
PokeLong(pid, (long)regs->rsp + 8, 600);
PokeLong(pid, (long)regs->rsp + 16, 700);
"""
FORTIFIED = ("-O2", "-D_FORTIFY_SOURCE=2")


def test_a_handler_of_printf_sees_and_changes_the_words_behind_the_format(handled: Handled) -> None:
    ran = libc(handled, WORDS, "printf", target("printf", "h"))
    assert ["100 two 3 4 5 600 700"] == ran.lines
    assert [100, "two", 3, 4, 5, 600, 700] == ran.of("printf")[0]["args"]["..."]


def test_a_fortified_printf_looks_as_printf_does(handled: Handled) -> None:
    """__printf_chk has a parameter more, which no handler of printf knows of."""
    ran = libc(handled, WORDS, "printf", target("printf", "h"), flags=FORTIFIED)
    assert "__printf_chk" == ran.of("printf")[0]["symbol"]
    assert ["100 two 3 4 5 600 700"] == ran.lines


def test_a_fortified_read_looks_as_read_does(handled: Handled) -> None:
    handler = 'printf("%lld bytes into %d\\n", regs->rdx, regs->rsi > 4096); fflush(stdout); regs->rdx = 2;'
    ran = libc(handled, handler, "read", target("read", "h"), flags=FORTIFIED)
    assert "__read_chk" == ran.of("read")[0]["symbol"]
    assert "4 bytes into 1" == ran.lines[0]
    assert 2 == ran.of("read")[0]["args"]["count"]


def test_a_handler_redirects_an_open(handled: Handled) -> None:
    ran = libc(handled, 'regs->rdi = (unsigned long)"/dev/null";', "open", target("open", "h"))
    assert "opened 1" == ran.lines[0].split(",")[0]
    assert ["/dev/null"] == [call["args"]["pathname"] for call in ran.of("open")]


def test_the_mode_of_open_is_an_argument_like_others(handled: Handled, tmp_path: Path) -> None:
    libc(handled, "regs->rdx = regs->rdx == 0600 ? 0400 : 0;", "create", target("open", "h"))
    assert 0o400 == (tmp_path / "made").stat().st_mode & 0o777


def test_the_optional_word_of_fcntl_is_an_argument_like_others(handled: Handled) -> None:
    assert ["duplicated to 60"] == libc(handled, "regs->rdx += 10;", "fcntl", target("fcntl", "h")).lines


def test_the_words_of_syscall_are_arguments_like_others(handled: Handled) -> None:
    assert ["syscall 0"] == libc(handled, "regs->rdi = SYS_getpid;", "syscall", target("syscall", "h")).lines


def test_an_exec_that_a_handler_skips_is_one_call(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = -1; errno = EPERM;", "exec", target("execl", "h"))
    assert ["exec failed"] == ran.lines
    assert [(-1, "EPERM")] == [(call["ret"], call["errno"]) for call in ran.of("execl")]


def test_an_exec_gets_the_path_that_the_handler_says(handled: Handled) -> None:
    assert 0 == libc(handled, 'regs->rdi = (unsigned long)"/bin/true";', "exec", target("execl", "h")).status


def test_a_function_that_does_not_return_cannot_be_skipped_but_changed(handled: Handled) -> None:
    assert 4 == libc(handled, "regs->rdi++; regs->orig_rax = -1;", "exit", target("exit", "h")).status


def test_a_tail_jump_runs_its_enter_handler(handled: Handled) -> None:
    handler = 'puts((char *)regs->rdi); regs->rdi = (unsigned long)"libnowhere.so";'
    ran = libc(handled, handler, "dlopen", target("dlopen", "h"))
    assert ["libm.so.6", "dlopen 0"] == ran.lines
    assert ["libnowhere.so"] == [call["args"]["filename"] for call in ran.of("dlopen")]


def test_a_tail_jump_can_be_skipped(handled: Handled) -> None:
    assert ["dlopen 1"] == libc(handled, "regs->orig_rax = -1; regs->rax = 1;", "dlopen", target("dlopen", "h")).lines


def test_a_handler_of_memset_may_use_memset(handled: Handled) -> None:
    handler = "char room[99]; memset(room, 'y', regs->rdx + 90); regs->rsi = room[97];"
    ran = libc(handled, handler, "memset", target("memset", "h"))
    assert ["memset yyyyyyyy"] == ran.lines


def test_a_transparent_union_is_a_pointer(handled: Handled) -> None:
    handler = 'printf("%lld %d %lld\\n", regs->rdi, PeekChar(pid, (long)regs->rsi), regs->rdx);'
    ran = libc(handled, handler, "connect", target("connect", "h"))
    assert ["99 2 16", "connect -1, Bad file descriptor"] == ran.lines


def test_a_result_that_the_handler_invented_is_no_proof_of_the_buffer(handled: Handled) -> None:
    """R7: read says that it filled a gigabyte; the capture reads what there is, and nobody dies."""
    ran = libc(handled, "regs->rax = 1 << 30;", "read", target("read", leave="h"))
    assert 0 == ran.status
    assert [1 << 30] == [call["ret"] for call in ran.of("read")]


def test_a_skipped_call_never_reads_what_its_pointers_lead_to(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = 9; regs->rsi = 1;", "read", target("read", "h"))
    assert (0, [9]) == (ran.status, [call["ret"] for call in ran.of("read")])


# --- errno -----------------------------------------------------------------------------------------------------------


def test_errno_of_the_call_survives_its_handlers(handled: Handled) -> None:
    """R2, though the handler's own calls fail."""
    ran = libc(handled, 'close(-1); errno = EDOM;', "open", target("open", "h", "h"))
    assert ["opened 0, No such file or directory"] == ran.lines
    assert ["ENOENT"] == [call["errno"] for call in ran.of("open")]


def test_a_handler_that_skips_a_call_also_gives_its_errno(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = -1; errno = ENOSPC;", "open", target("open", "h"))
    assert ["opened 0, No space left on device"] == ran.lines
    assert ["ENOSPC"] == [call["errno"] for call in ran.of("open")]


def test_a_handler_that_changes_the_result_also_gives_its_errno(handled: Handled) -> None:
    ran = libc(handled, "if ((long)regs->rax >= 0) { regs->rax = -1; errno = EIO; }", "read", target("read", leave="h"))
    assert ["read -1, Input/output error"] == ran.lines
    assert [(-1, "EIO")] == [(call["ret"], call["errno"]) for call in ran.of("read")]
