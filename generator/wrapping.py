"""How a function can be wrapped: the class of its wrapper, from its name and prototype.

Called by policy.py. Pure. The class follows from the closed tables of libc_rules.py and the prototype, in the order
that ``choose`` shows; what no class can do in C and no table refuses is a tail-jump. A traced function has no wrapper,
but its class says where its arguments are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .aliases import bare, variant_base
from .libc_rules import EXEC_LISTS, MODE_IF_FLAG, OPTIONAL_WORD, REFUSED, TAIL_JUMPS, V_TWINS
from .manifest import WrapperClass
from .model import Function

FORMATS = frozenset({"format", "fmt", "fmtstr", "fstring", "template"})
"""How programs call the parameter that says what follows it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The class of one exported name; see Wrapper for twin and detail (of a refused one: why)."""

    wrapper: WrapperClass
    twin: str = ""
    detail: str = ""


def choose(
    symbol: str, function: Function | None, why_not: str | None, exported: Collection[str], *, traced: bool = False
) -> Choice:
    """Return the wrapper class of an exported name with its prototype, or with the reason why it has none.

    A *traced* one has no wrapper: its class says where its arguments are.
    """
    if symbol in REFUSED and not traced:
        return Choice("refused", detail=REFUSED[symbol])
    if symbol in TAIL_JUMPS:
        return Choice("tail-jump", detail=TAIL_JUMPS[symbol])
    if function is None:
        return Choice("tail-jump", detail=why_not or "no header declares it")
    if "returns_twice" in function.attributes:
        return Choice("tail-jump", detail="it returns twice")
    if function.variadic:
        return _variadic(symbol, function, exported) if not traced else _traced_variadic(symbol, function, exported)
    if "noreturn" in function.attributes:
        return Choice("noreturn")
    return Choice("plain")


def _variadic(symbol: str, function: Function, exported: Collection[str]) -> Choice:
    if symbol == "syscall":
        return Choice("syscall")
    if symbol in MODE_IF_FLAG:
        return Choice("mode-if-flag", detail=function.params[-1].name)
    if symbol in OPTIONAL_WORD:
        return Choice("optional-word")
    if symbol in EXEC_LISTS:
        twin, detail = EXEC_LISTS[symbol]
        return Choice("exec-list", twin, detail)
    twin = v_twin(symbol)
    if twin and twin in exported:
        return Choice("v-twin", twin)
    missing = f" that is exported ({twin} is not)" if twin else ""
    return Choice("tail-jump", detail=f"it is variadic and has no form with a va_list{missing}")


def _traced_variadic(symbol: str, function: Function, exported: Collection[str]) -> Choice:
    """A program's own function may be like printf: its last parameter is a string, and called a format."""
    choice = _variadic(symbol, function, exported)
    last = function.params[-1] if function.params else None
    pointee = last.type.pointee if last else None
    if choice.wrapper == "tail-jump" and last and pointee and pointee.name == "char" and last.name in FORMATS:
        return Choice("v-twin", f"v{symbol}")
    return choice


def v_twin(symbol: str) -> str:
    """Return the name of the function that takes a va_list where *symbol* takes ``...``, or an empty string."""
    base = variant_base(symbol)
    if base in V_TWINS:
        return symbol.replace(base, V_TWINS[base])
    return V_TWINS.get(symbol) or V_TWINS.get(bare(symbol), "")
