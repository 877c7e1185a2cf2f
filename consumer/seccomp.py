"""The seccomp filter of a traced program: only the system calls that somebody asked about stop.

Called by launch.py in wc-run before the program is forked (``program``); machine.Native.install_filter puts the result
in force in the forked child, directly before its execve. Rules: whatever is not a 64-bit system call of x86-64 goes on
unseen (int 0x80 by its architecture, x32 by its number, which lies above all others); wanted calls stop in the tracer
with MARK, all others are allowed. The words used are those that the kernel can evaluate beforehand for a number alone
(since 5.11 it keeps a bitmap of calls that are always allowed), so that calls nobody asked about cost next to nothing.

Absent on purpose: which calls are wanted, and taking a filter back: the kernel cannot. Without a tracer a wanted call
fails with ENOSYS.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # typing costs wc-run 5 ms before its program starts
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST = 4096  # instructions: BPF_MAXINSNS
MARK = 0x5743  # what PTRACE_GETEVENTMSG says at a stop of this filter
ARCH_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
NUMBER_AT, ARCH_AT = 0, 4  # in struct seccomp_data

# struct sock_filter: code, jump if true, jump if false, operand
LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP = 0x05  # BPF_JMP | BPF_JA
IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K
INSTRUCTION = struct.Struct("=HBBI")

ALLOW = INSTRUCTION.pack(RETURN, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
TRACE = INSTRUCTION.pack(RETURN, 0, 0, 0x7FF00000 | MARK)  # SECCOMP_RET_TRACE
FAR = 255  # a conditional jump skips no more instructions


def program(numbers: Iterable[int]) -> bytes:
    """Return the filter, an array of struct sock_filter, that stops at the system calls *numbers*.

    Raises ValueError for a number that is not one of x86-64's, and when the filter would be too long for the kernel.
    """
    wanted = sorted(set(numbers))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < 1 << 30:
        raise ValueError("a system call's number is from 0 to 2**30 - 1")
    head = [
        INSTRUCTION.pack(LOAD_WORD, 0, 0, ARCH_AT),
        INSTRUCTION.pack(IF_EQUAL, 1, 0, ARCH_X86_64),
        ALLOW,
        INSTRUCTION.pack(LOAD_WORD, 0, 0, NUMBER_AT),
    ]
    body = _tree(_edges(wanted), ALLOW)
    if len(head) + len(body) > MOST:
        raise ValueError(f"a filter for {len(wanted)} system calls is longer than the kernel's {MOST} instructions")
    return b"".join(head + body)


def _edges(wanted: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return where ranges begin, ascending, each with what is done from there on."""
    edges: list[tuple[int, bytes]] = []
    for number in wanted:
        if edges and edges[-1] == (number, ALLOW):
            edges.pop()
        else:
            edges.append((number, TRACE))
        edges.append((number + 1, ALLOW))
    return edges


def _tree(edges: Sequence[tuple[int, bytes]], below: bytes) -> list[bytes]:
    """Return instructions that decide between *below*, for numbers before the first edge, and what the edges say."""
    if not edges:
        return [below]
    middle = len(edges) // 2
    edge, above = edges[middle]
    lower = _tree(edges[:middle], below)
    upper = _tree(edges[middle + 1 :], above)
    if len(lower) <= FAR:
        return [INSTRUCTION.pack(IF_AT_LEAST, len(lower), 0, edge), *lower, *upper]
    return [INSTRUCTION.pack(IF_AT_LEAST, 0, 1, edge), INSTRUCTION.pack(JUMP, 0, 0, len(lower)), *lower, *upper]
