"""What the tracer knows of instructions: how long they are, and how to run them elsewhere.

objdump says how long the instructions of real programs are; the processor says what they do: each is run where it was
written and from a slot, and done on registers by wct_emulate.c, from random registers (tests/c/insn_run.c).

Absent on purpose: instructions in which the kernel sees where they stand; they are never moved.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRACER = ROOT / "runtime" / "tracer"
MEASURED = ("libc", "libcrypto", "python3", "git", "go")
LINE = re.compile(r"^ +[0-9a-f]+:\t([0-9a-f ]+)\t(.*)$")
UNREPEATABLE = re.compile(
    r"rdtsc|rdrand|rdseed|cpuid|rdpid|xgetbv|xsave|[rw][dr][fg]sbase|syscall|fn?st|fxsave|fnsave|stmxcsr|xbegin|%[fg]s:"
)
"""Instructions that give something else each time, or change what insn_run.c does not put back."""
LENGTHS = """
#include "wct_insn.h"
#include <stdio.h>
#include <string.h>
/* Lines of hex digits: each must be one instruction, to its last byte. */
int main(void)
{
        char line[128];
        long all = 0, wrong = 0;
        while (fgets(line, sizeof line, stdin) != NULL) {
                unsigned char code[32];
                size_t size = 0;
                for (char *at = line; size < sizeof code && sscanf(at, "%2hhx", &code[size]) == 1; at += 2)
                        size++;
                struct wct_insn insn;
                all++;
                if (!wct_insn_decode(&insn, code, size) || insn.length != size) {
                        wrong++;
                        printf("wrong: %s", line);
                }
        }
        printf("%ld\\n", all);
        return wrong != 0;
}
"""


def of_tracer(*names: str) -> list[str]:
    return [str(TRACER / f"wct_{name}.c") for name in names] + [f"-I{TRACER}", f"-I{ROOT / 'runtime' / 'include'}"]


def object_named(name: str) -> Path | None:
    if name in ("libc", "libcrypto"):
        found = sorted(Path("/lib/x86_64-linux-gnu").glob(f"{name}.so.*"))
        return found[0] if found else None
    if name == "go":
        found = sorted(Path("/usr/lib").glob("go-*/bin/gofmt"))
        return found[0] if found else None
    program = shutil.which(name, path="/usr/bin")
    return Path(program).resolve() if program else None


def disassembled(path: Path) -> Iterator[tuple[str, str]]:
    """(bytes in hex, text) of every instruction in *path*, without what objdump itself finds bad or incomplete."""
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump")
    command = ["objdump", "-dw", "--insn-width=16", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as objdump:
        assert objdump.stdout is not None
        for line in objdump.stdout:
            match = LINE.match(line)
            code = match[1].replace(" ", "") if match else ""
            if match and not is_data(code, match[2]):
                yield code, match[2]


def is_data(code: str, text: str) -> bool:
    """Data among the code: prefixes without an instruction; fwait and the next shown as one; 16-bit jumps as AMD has them."""
    if "(bad)" in text or text.startswith((".byte", "jmpw")) or (code.startswith("9b") and len(code) > 2):
        return True
    return all(
        re.fullmatch(r"rex(\.[WRXB]+)?|data16|addr32|lock|repn?z|[c-gs]s|bnd|notrack", word) for word in text.split()
    )


@pytest.fixture(scope="session")
def measure(compile_c: Callable[..., Path]) -> Path:
    return compile_c(LENGTHS, *of_tracer("insn"))


@pytest.fixture(scope="session")
def run_here_and_there(compile_c: Callable[..., Path]) -> Callable[[list[str]], list[int]]:
    """[runs, emulated, wrong] of instructions in hex."""
    program = compile_c("insn_run.c", *of_tracer("insn", "move", "emulate"))

    def run(instructions: list[str]) -> list[int]:
        text = "\n".join(instructions) + "\n"
        done = subprocess.run([program], input=text, stdout=subprocess.PIPE, text=True, timeout=300)
        if done.returncode == 77:
            pytest.skip("ptrace is not permitted")
        *wrong, last = done.stdout.splitlines() or [""]
        assert [] == wrong
        return [int(number) for number in re.findall(r"\d+", last)]

    return run


@pytest.mark.parametrize("name", MEASURED)
def test_instructions_are_as_long_as_objdump_says(measure: Path, name: str) -> None:
    path = object_named(name)
    if path is None:
        pytest.skip(f"no {name} here")
    lines = [code for code, _ in disassembled(path)]
    done = subprocess.run([measure], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, timeout=120)
    *wrong, count = done.stdout.splitlines()
    assert [] == wrong
    assert len(lines) == int(count)
    assert int(count) > 100_000


def test_instructions_of_libc_do_the_same_in_a_slot(
    run_here_and_there: Callable[[list[str]], list[int]], soak: bool
) -> None:  # fmt: skip
    """One of every kind that begins differently; emulated ones are compared as well."""
    path = object_named("libc")
    if path is None:
        pytest.skip("no libc.so.6 in its usual place")
    kinds: dict[str, str] = {}
    for code, text in disassembled(path):
        if not UNREPEATABLE.search(text):
            kinds.setdefault(text.split()[0] + code[:8], code)
    chosen = list(kinds.values()) if soak else list(kinds.values())[::12]
    ran, emulated, wrong = run_here_and_there(chosen)
    assert 0 == wrong
    assert ran > 4 * len(chosen)
    assert emulated > len(chosen)


FIRST = {
    "endbr64": "f30f1efa", "push rbp": "55", "push r12": "4154", "mov rbp,rsp": "4889e5", "sub rsp,8": "4883ec08",
    "sub rsp,0x1000": "4881ec00100000", "add rsp,8": "4883c408", "lea rax,[rip+x]": "488d0500010000",
    "lea rdi,[rsp+8]": "488d7c2408", "mov eax,[rip+x]": "8b0500010000", "mov [rip+x],imm32": "c7050001000078563412",
    "cmp byte [rip+x],0": "803d0001000000", "xor eax,eax": "31c0", "test rdi,rdi": "4885ff", "test eax,eax": "85c0",
    "cmp rdi,rsi": "4839f7", "cmp edi,5": "83ff05", "mov eax,5": "b805000000", "movabs rax": "48b81122334455667788",
    "movsxd rdi,edi": "4863ff", "cdqe": "4898", "jmp rel8": "eb20", "jmp rel32": "e900010000", "je rel8": "7420",
    "jg rel8": "7f20", "jbe rel32": "0f8600010000", "js rel32": "0f8800010000", "jp rel8": "7a20", "loop": "e220",
    "loopne": "e020", "jrcxz": "e320", "jecxz": "67e320", "call rel32": "e800010000", "call rax": "ffd0", "call r11": "41ffd3",
    "call [rip+x]": "ff1500010000", "call [rbx+8]": "ff5308", "call [rsp]": "ff1424", "call [rsp+8]": "ff542408",
    "call [rsp+rax*8+0x100]": "ff94c400010000", "call [r12]": "41ff1424", "jmp rax": "ffe0", "jmp [rip+x]": "ff2500010000",
    "jmp [rsp+8]": "ff642408", "ret": "c3", "ret 16": "c21000", "leave": "c9", "enter 16": "c8100000", "nop": "90", "pause": "f390",
    "nop [rax+rax]": "660f1f440000", "movups [rip+x],xmm0": "0f110500010000", "movdqa xmm0,[rip+x]": "660f6f0500010000",
    "vmovdqu ymm0,[rip+x]": "c5fe6f0500010000", "pshufd xmm0,[rip+x],4": "660f700500010000" "04",
    "lock xadd [rip+x],rax": "f0480fc10500010000", "rep stosb": "f3aa", "rep movsq": "f348a5", "repne scasb": "f2ae",
    "xchg rax,rbx": "4893", "xchg r8,rax": "4990", "cmovle eax,ecx": "0f4ec1", "sete al": "0f94c0", "imul eax,[rip+x],7": "6b050001000007",
    "pushfq": "9c", "popfq": "9d", "push [rip+x]": "ff3500010000", "push imm": "6878563412", "sub eax,imm": "2d78563412",
    "and rsp,-16": "4883e4f0", "sbb eax,eax": "19c0", "adc rax,5": "4883d005", "notrack jmp rax": "3effe0", "ud2": "0f0b",
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_an_instruction_that_begins_functions_does_the_same_in_a_slot(
    run_here_and_there: Callable[[list[str]], list[int]], name: str
) -> None:  # fmt: skip
    ran, _, wrong = run_here_and_there([FIRST[name]] * 4)
    assert (0, 24) == (wrong, ran)
