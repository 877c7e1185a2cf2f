"""What the names of a ``when`` stand for in one function or system call: parameters, ``ret``, ``errno``, ``caller``.

Called by whens.py. Pure: prototype and annotation in, operands out. A name is the man page's or the header's; both mean
the same. Rules: what cannot be compared (a double, a struct, a buffer that does not end with
a NUL) has a reason instead of a place; a text that the call writes, and its result, are there after the call.

Absent on purpose: constants (the headers have them), and what is done with operands (conditions.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .captures import Captures, success
from .keep import is_character, keep
from .layout import parameter_names
from .model import CType, Role, Wrapper

MOST_PLACES = 16
"""Arguments that the tracer sees: MOST_ARGUMENTS of tracer_plan.py."""
RESULT, CALLER = 0xFF, 0xFE
"""In place of an argument's ordinal: WCT_OF_RESULT and WCT_OF_CALLER of wc_plan.h."""
TEXTS = frozenset(("path", "str", "str!", "outstr"))
RESERVED = ("ret", "errno", "caller")
SIGNED_64, UNSIGNED_64 = (-(1 << 63), (1 << 63) - 1), (0, (1 << 64) - 1)


@dataclass(frozen=True, slots=True)
class Operand:
    """One name. It is a number, a text, or both (the pointer and what it leads to), or neither, for a reason."""

    name: str
    c: str = ""
    """C of type int64_t or uint64_t; of a text alone its address."""
    place: int = 0
    """The argument's ordinal; of a text perhaps RESULT or CALLER."""
    source: Literal["value", "result_value", "error", "nothing"] = "value"
    """The tracer's step that pushes the number; nothing: 0 is pushed."""
    low: int = SIGNED_64[0]
    high: int = SIGNED_64[1]
    """What values the number may have."""
    after: bool = False
    """Known only after the call."""
    text_after: bool = False
    """The text is there only after the call."""
    proof: str = "false"
    """C that is true when the text may be read directly after the call (R7)."""
    not_number: str = ""
    not_text: str = ""
    """Why it cannot be taken as such."""


Scope = Mapping[str, Operand]


def scope_of(
    wrapper: Wrapper, optional: Sequence[str] = (), *, made: str = "", traced: bool = False,
    call: bool = False, returns: bool = True
) -> Scope:
    """Return the names of *wrapper*'s function.

    *optional*: names of the words behind its parameters. *made*: C that is true when the result is the call's own, ""
    where it always is (Captures). *traced*: the tracer serves it; *call*: it is a system call; *returns*: its
    return is seen.
    """
    function = wrapper.function
    assert function is not None
    roles = [role for _, role in wrapper.annotation.params] if wrapper.annotation else []
    named = [name for name, _ in wrapper.annotation.params] if wrapper.annotation else []
    fail = wrapper.annotation.fail if wrapper.annotation else ""
    proofs = Captures({"ret": "ret"}, success(fail, function.result), made)
    found: dict[str, Operand] = {}
    c_names = parameter_names(function.params)
    for i, param in enumerate(function.params):
        role = roles[i] if i < len(roles) else Role()
        operand = _parameter(named[i] if i < len(named) else param.name, param.type, c_names[i], i, role, proofs, fail)
        found[param.name] = found[operand.name] = operand
    for i, name in enumerate(optional, len(function.params)):
        found[name] = _word(name, i)
    if traced:
        found = {name: _seen(operand) for name, operand in found.items()}
    found |= _of_the_call(wrapper, fail, proofs, call)
    if not returns or wrapper.wrapper == "noreturn" or "noreturn" in function.attributes:
        why = "the call does not return"
        found |= {name: replace(found[name], not_number=why, not_text=why) for name in ("ret", "errno")}
    return found


def _word(name: str, place: int) -> Operand:
    """Return a word behind the parameters: open's mode, fcntl's arg."""
    why = "it is a word of no known type"
    if name == "mode":
        return Operand(name, f"(int64_t){name}", place, "value", 0, 0xFFFFFFFF, not_text=why)
    return Operand(name, f"(uint64_t){name}", place, "value", *UNSIGNED_64, not_text=why)


def _seen(operand: Operand) -> Operand:
    why = f"the tracer sees a call's first {MOST_PLACES} arguments"
    return replace(operand, not_number=why, not_text=why) if operand.place >= MOST_PLACES else operand


def _parameter(name: str, type_: CType, c: str, place: int, role: Role, proofs: Captures, fail: str) -> Operand:
    operand = _number(name, type_, c, place)
    if type_.kind != "pointer":
        return replace(operand, not_text=f"its type is {_spelled(type_)}")
    why_not = _why_no_text(type_, role)
    if why_not:
        return replace(operand, not_text=why_not)
    kept = keep(role, type_, None, fail)
    proof = proofs.proof(kept) if kept is not None and role.proven not in ("first", "stdio") else "false"
    return replace(operand, text_after=role.kind == "outstr", proof=proof)


def _number(name: str, type_: CType, c: str, place: int) -> Operand:
    if type_.kind == "pointer":
        return Operand(name, f"(uint64_t)(uintptr_t){c}", place, "value", *UNSIGNED_64)
    if type_.kind == "bool":
        return Operand(name, f"(int64_t){c}", place, "value", 0, 1)
    if type_.kind == "int" and type_.size <= 8:
        bits = 8 * type_.size
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if type_.signed else (0, (1 << bits) - 1)
        wide = high > SIGNED_64[1]
        return Operand(name, f"({'uint64_t' if wide else 'int64_t'}){c}", place, "value", low, high)
    return Operand(name, not_number=f"its type is {_spelled(type_)}")


def _why_no_text(type_: CType, role: Role) -> str:
    """Return why a pointer leads to no text; nothing if it does to one."""
    pointee = type_.pointee
    if role.kind in TEXTS:
        return "it points to the text's address" if role.element == "pointer" else ""
    if role.kind:
        return "what it points to does not end with a NUL" if role.kind in ("in", "out", "inout") else "it is no text"
    if pointee is None or not is_character(pointee) or pointee.size != 1:
        return f"its type is {_spelled(type_)}"
    return ""


def _of_the_call(wrapper: Wrapper, fail: str, proofs: Captures, call: bool) -> dict[str, Operand]:
    """Return what every call has beside its parameters."""
    function = wrapper.function
    assert function is not None
    role = wrapper.annotation.result if wrapper.annotation else Role()
    result = _number("ret", function.result, "ret", RESULT)
    if function.result.kind == "void":
        result = Operand("ret", not_number="it returns nothing")
    not_text = result.not_number or f"its type is {_spelled(function.result)}"
    if function.result.kind == "pointer":
        not_text = _why_no_text(function.result, role)
    proof = "false" if role.kind in ("", "str") else proofs.made or "true"
    caller = Operand("caller", "__builtin_return_address(0)", CALLER, not_number="it is a text: a library's path")
    return {
        "ret": replace(result, source="result_value", after=True, text_after=True, not_text=not_text, proof=proof),
        "errno": replace(_errno(fail, proofs, call), after=True),
        "caller": caller,
    }


def _errno(fail: str, proofs: Captures, call: bool) -> Operand:
    not_text = "it is a number"
    if fail == "errno" and not call:
        return Operand("errno", "(int64_t)ret", 0, "result_value", 0, 4095, not_text=not_text)
    if not fail and not call:
        why = "nothing is known of how it fails"
        return Operand("errno", not_number=why, not_text=why)
    c = f"({proofs.succeeded} ? (int64_t)0 : (int64_t)call.error)"
    return Operand("errno", c, 0, "error", 0, 4095, not_text=not_text)


def _spelled(type_: CType) -> str:
    return " ".join(type_.declare("").split()) or type_.kind
