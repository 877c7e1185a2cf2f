"""How a handler sees a call: which argument stands in which register, and the C that puts it there and takes it back.

Called by emit.py for wrappers whose target has a handler. Pure. x86-64's System V calling convention, as far as a
struct user_regs_struct shows it: integers and pointers in rdi rsi rdx rcx r8 r9, then on the stack from rsp + 8 on;
rsp leads to the return address, rip to the function. What travels in vector registers is not shown. A result stands in
rax, one of up to 16 bytes in rax and rdx, a floating one in rax as the bits of a double.

Absent on purpose: whether there is a handler, and when it runs (the template).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .classes import Forward
from .keep import is_character
from .model import CType, Function

REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
VECTORS = 8
"""Floating arguments that registers hold."""
IN_REGISTER, IN_VECTOR, ON_STACK = range(3)
"""enum wct_where of wc_plan.h."""
SCALARS = ("pointer", "int", "bool")
DOUBLE_BITS = {4: "wci_float_bits", 8: "wci_double_bits", 16: "wci_quad_bits"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One argument as handlers of wc_call.h see it."""

    type: CType
    where: int
    """IN_REGISTER, IN_VECTOR or ON_STACK, as in wc_plan.h."""
    place: int
    words: int
    """0: it is shown nowhere."""
    parameter: int = -1
    """Which of the function's; -1: a word behind them."""


@dataclass(frozen=True, slots=True)
class Registers:
    """C statements around a handler. ``regs`` is the struct, ``stack`` the words from the return address on."""

    load: tuple[str, ...]
    """From the arguments into regs and stack, before either handler."""
    store: tuple[str, ...]
    """Back into the arguments, after back_enter."""
    load_result: tuple[str, ...]
    """From ret into regs, before back_exit."""
    store_result: tuple[str, ...]
    """Back into ret, after back_exit, or instead of the call."""
    words: int
    """Of stack."""
    vectors: int = 0
    """Words for floating arguments."""
    shown: tuple[Shown, ...] = ()


class _Places:
    """Gives out registers and stack words in the order of the parameters."""

    def __init__(self) -> None:
        self.general = 0
        self.vectors = 0
        self.words = 1

    def take(self, words: int, align: int = 1) -> list[str]:
        """Return lvalues for *words* of an integer class argument: all in registers, or all on the stack."""
        if self.general + words <= len(REGISTERS):
            self.general += words
            return [f"regs.{name}" for name in REGISTERS[self.general - words : self.general]]
        return self.on_stack(words, align)

    def on_stack(self, words: int, align: int = 1) -> list[str]:
        self.words += (1 - self.words) % align
        self.words += words
        return [f"stack[{i}]" for i in range(self.words - words, self.words)]

    def vector(self, words: int, shown: bool) -> list[str]:
        """While vector registers hold it: words of ``vectors``, for handlers of wc_call.h, if it is shown to them."""
        if self.vectors + words <= VECTORS:
            self.vectors += words
            return [f"vectors[{i}]" for i in range(self.vectors - words, self.vectors)] if shown else []
        return self.on_stack(words)


def registers(
    function: Function, names: Sequence[str], forward: Forward, callee: str, like: Function | None = None
) -> Registers:
    """Return how *function*'s arguments, called *names* in the wrapper, and its result stand in registers.

    *like* is the target when *function* is another name of it with other parameters (__printf_chk for printf): a
    handler sees the call as if the target had been called.
    """
    places = _Places()
    load: list[str] = ["regs.rsp = (unsigned long)(uintptr_t)stack;"]
    store: list[str] = []
    if in_memory(function.result):
        load += [f"{place} = (unsigned long)(uintptr_t)&ret;" for place in places.take(1)]
    shown = as_called(function, like) if like else range(len(function.params))
    seen: list[Shown] = []
    for index in shown:
        moved = _argument(function.params[index].type, names[index], places)
        load += (line for _, line, _ in moved)
        store += (line for _, _, line in moved if line)
        seen.append(_shown(function.params[index].type, [place for place, _, _ in moved], index))
    for name in forward.optional:
        for place in places.take(1):
            load.append(f"{place} = (unsigned long){name};")
            store.append(f"{name} = (__typeof__({name})){place};")
            seen.append(_shown(_OPTIONAL.get(name, _WORD), [place], -1))
    more = tuple(_varargs(forward, len(function.params) - len(shown)))
    load += (line for line, _ in more)
    store += (line for _, line in more)
    load.append("stack[0] = (unsigned long)(uintptr_t)__builtin_return_address(0);")
    load.append(f"regs.rip = (unsigned long)(uintptr_t)wc_{callee};")
    vectors = places.vectors if any(one.where == IN_VECTOR for one in seen) else 0
    return Registers(tuple(load), tuple(store), *_result(function.result), places.words, vectors, tuple(seen))


_WORD = CType("unsigned long @", "int", 8, 8)
_OPTIONAL = {"mode": CType("mode_t @", "int", 4, 4)}
"""Types of the words behind the named parameters."""


def _shown(type_: CType, places: Sequence[str], parameter: int) -> Shown:
    """Return where an argument that is moved through *places* (C lvalues) stands."""
    if not places:
        return Shown(type_, IN_REGISTER, 0, 0, parameter)
    first = places[0]
    if first.startswith("regs."):
        return Shown(type_, IN_REGISTER, REGISTERS.index(first.removeprefix("regs.")), len(places), parameter)
    place = int(first[first.index("[") + 1 : -1])
    if first.startswith("vectors"):
        return Shown(type_, IN_VECTOR, place, len(places), parameter)
    return Shown(type_, ON_STACK, place - 1, len(places), parameter)


def meaning(type_: CType) -> int:
    """Return the enum wct_means of a value: a number, a pointer, or a pointer to characters that are not written."""
    if type_.kind != "pointer":
        return 0
    pointee = type_.pointee
    return 2 if pointee is not None and pointee.const and is_character(pointee) else 1


def as_called(function: Function, like: Function) -> Sequence[int]:
    """Return which of *function*'s parameters are those of *like*, in its order; all of them when that is not clear."""
    own = {param.name.strip("_"): index for index, param in enumerate(function.params)}
    by_name = [own[param.name.strip("_")] for param in like.params if param.name.strip("_") in own]
    if len(by_name) == len(like.params):
        return by_name
    rest = iter(enumerate(function.params))
    by_type = [next((i for i, param in rest if param.type.text == wanted.type.text), -1) for wanted in like.params]
    return range(len(function.params)) if -1 in by_type else by_type


def in_memory(result: CType) -> bool:
    """A result that the callee writes where a hidden first argument says."""
    return result.kind == "struct" and result.size > 16


def words_of(type_: CType) -> int:
    return -(-type_.size // 8)


def _argument(type_: CType, name: str, places: _Places) -> list[tuple[str, str, str]]:
    """Return places, each with two statements: into it, and back."""
    if type_.kind in SCALARS and type_.size <= 8:
        (place,) = places.take(1)
        return [(place, f"{place} = (unsigned long){name};", f"{name} = ({type_.declare('')}){place};")]
    if type_.kind == "va_list":  # an array: as a parameter, a pointer that cannot be given back
        (place,) = places.take(1)
        return [(place, f"{place} = (unsigned long)(uintptr_t){name};", "")]
    return _copied(_wide(type_, places), name, type_.size)


def _wide(type_: CType, places: _Places) -> list[str]:
    words = words_of(type_)
    align = 2 if type_.align == 16 else 1
    if type_.kind == "longdouble" or type_.size > 16:
        return places.on_stack(words, align)
    if type_.kind in ("float", "complex") or (type_.kind == "struct" and _is_floating(type_)):
        return places.vector(words, type_.kind == "float" and type_.size <= 8)
    return places.take(words, align)


def _is_floating(type_: CType) -> bool:
    """A small struct of nothing but floats and doubles. One that mixes counts as integers: libc has none."""
    members = type_.record.members if type_.record else ()
    return bool(members) and all(
        m.type.kind == "float" or (m.type.kind == "struct" and _is_floating(m.type)) for m in members
    )


def _copied(places: Sequence[str], name: str, size: int) -> list[tuple[str, str, str]]:
    lines = []
    for i, place in enumerate(places):
        part, count = f"(char *)&{name} + {8 * i}", min(8, size - 8 * i)
        there, back = f"&{place}, {part}, {count}", f"{part}, &{place}, {count}"
        lines.append((place, f"__builtin_memcpy({there});", f"__builtin_memcpy({back});"))
    return lines


def _varargs(forward: Forward, hidden: int) -> Iterator[tuple[str, str]]:
    """A v-twin's words stand where the caller has put them, *hidden* registers later than for the function shown.

    Of an exec list only argv[0] is shown.
    """
    if any("__builtin_va_copy(seen, args);" in line for line in forward.before):
        back, there = (f"wci_handler_varargs(&regs, seen, {hidden}, {way});" for way in ("true", "false"))
        yield there, back
    if any(line == "char *argv[count];" for line in forward.before):
        yield "regs.rsi = (unsigned long)argv[0];", "argv[0] = (char *)regs.rsi;"


def double_bits(type_: CType) -> str:
    """Return the expression for a floating result as the bits of a double; it raises no exception flags."""
    return f"{DOUBLE_BITS[type_.size]}(ret)"


def _result(type_: CType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return statements that take ret into rax (and rdx), and back."""
    if type_.kind == "void":
        return (), ()
    if type_.kind in SCALARS and type_.size <= 8:
        return ("regs.rax = (unsigned long)ret;",), (f"ret = ({type_.declare('')})regs.rax;",)
    if type_.kind in ("float", "longdouble"):
        bits = double_bits(type_)
        back = f"        ret = ({type_.declare('')})wci_bits_double(regs.rax);"
        return (f"regs.rax = {bits};",), (f"if (regs.rax != {bits})", back)
    if type_.size > 16:
        return ("regs.rax = (unsigned long)(uintptr_t)&ret;",), ()
    moved = _copied([f"regs.{name}" for name in ("rax", "rdx")[: words_of(type_)]], "ret", type_.size)
    return tuple(line for _, line, _ in moved), tuple(line for _, _, line in moved)
