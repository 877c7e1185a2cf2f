"""How a handler of wc_call.h sees a call in the shim: its arguments by name and type, as constant data of the wrapper.

Called by emit.py for wrappers and tail-jumps whose target may have a handler. Pure. registers.py says in which register
or word each argument is shown; the tracer is told the same by its plan (tracer_plan.py). A shape holds offsets instead
of pointers, so that hundreds of them cost the start of a program nothing.

Absent on purpose: the C of it (templates/shape.c.j2) and what it is read by (runtime/shim/wci_call.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .model import CType, Wrapper
from .registers import REGISTERS, Shown, meaning
from .tracer_plan import FAILS, IN_REGISTER, NONE, UNSIGNED, value_of

HEAD, ARGUMENT = 10, 8
"""Bytes of struct wci_shape and struct wci_shape_argument."""
MOST_PLACE = 255


@dataclass(frozen=True, slots=True)
class Shape:
    """A struct wci_shape with what follows it: rows of numbers, and the texts that they point into."""

    head: tuple[int, ...]
    arguments: tuple[tuple[int, ...], ...]
    texts: str
    """C: string literals one behind another."""
    texts_size: int


def shape(
    target: str, symbol: str, shown: Sequence[Shown], names: Sequence[str], result: CType, fail: str, noreturn: bool
) -> Shape:
    """Return the shape of *symbol*, a name of *target*; *names* are those of the arguments *shown*."""
    texts = [target, symbol]
    rows = []
    for one, name in zip(shown, names, strict=True):
        place, words = (one.place, one.words) if one.place <= MOST_PLACE else (0, 0)
        rows.append((_size(texts), *_value(one.type, words), meaning(one.type), one.where, place))
        texts.append(name)
    at = HEAD + ARGUMENT * max(len(rows), 1)
    head = (at, len(target) + 1, len(rows), *_value(result, 1), meaning(result), FAILS.get(fail, 0), int(noreturn))
    return Shape(head, tuple(rows), " ".join(f'"{text}\\0"' for text in texts), _size(texts) + 1)


def tail_shape(target: str, wrapper: Wrapper, names: Sequence[str], fail: str) -> Shape:
    """Return the shape of a tail-jump: of its arguments, *names*, only registers are shown."""
    function = wrapper.function
    integers = [p.type for p in function.params if p.type.kind in ("pointer", "int", "bool")] if function else []
    shown = [Shown(integers[i] if i < len(integers) else WORD, IN_REGISTER, i, 1) for i in range(len(names))]
    noreturn = function is not None and "noreturn" in function.attributes
    return shape(target, wrapper.symbol, shown, names, function.result if function else RESULT, fail, noreturn)


WORD = CType("unsigned long @", "int", 8, 8)
RESULT = CType("long @", "int", 8, 8, signed=True)
"""Of a function without a prototype."""


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) + 1 for text in texts)


def _value(type_: CType, words: int) -> tuple[int, int]:
    """Return (enum wct_value, bytes of the C type); NONE with a size is a value that no handler is given."""
    kind, size = value_of(type_)
    if type_.kind == "void":
        return NONE, 0
    return (kind, size) if kind != NONE and words else (NONE, min(max(type_.size, 1), 255))


assert len(REGISTERS) == 6 and UNSIGNED == 2
