"""Integer constants of C: expressions, enumerators and macros.

Called by ctype.py (array lengths, bit fields, enumerators) and headers.py (macros by name). Rules: arithmetic is that
of the platform, a value has a width and a sign; what is no integer constant has no value (None, or NotConstantError
inside), and nothing is guessed. Macros are expanded as text, the result is parsed as C.

Absent on purpose: floating constants, ``#`` and strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from pycparser import c_ast

from .declarations import Macro
from .model import CType


class NotConstantError(Exception):
    """An expression is no integer constant; the argument says what stands in the way."""


class Value(NamedTuple):
    number: int
    bits: int = 32
    signed: bool = True


class Environment(Protocol):
    """What an expression may refer to."""

    def type_of(self, typename: c_ast.Node) -> CType: ...

    def enumerator(self, name: str) -> int: ...


def wrap(number: int, bits: int, signed: bool) -> Value:
    """Return *number* as a value of that width."""
    number &= (1 << bits) - 1
    if signed and number >> (bits - 1):
        number -= 1 << bits
    return Value(number, bits, signed)


def evaluate(node: c_ast.Node, environment: Environment) -> Value:
    """Return the value of an expression. Raises NotConstantError."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotConstantError(f"{type(node).__name__} is no constant")
    return handler(node, environment)


_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)([uUlL]*)$")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63, "e": 27}


def literal(text: str) -> Value | None:
    """Return the value of an integer or character literal, None if *text* is neither."""
    if match := _LITERAL.match(text):
        digits, suffix = match.group(1), match.group(2).lower()
        octal = digits[0] == "0" and digits[1:].isdigit() and digits[1:2] not in ("x", "b")
        number = int(digits, 8) if octal else int(digits, 0)
        unsigned, wide = "u" in suffix, "l" in suffix
        hexadecimal = digits[:1] == "0" and len(digits) > 1
        return _literal_type(number, unsigned, wide, hexadecimal)
    if len(text) >= 3 and text[0] == text[-1] == "'":
        return _character(text[1:-1])
    return None


def _literal_type(number: int, unsigned: bool, wide: bool, hexadecimal: bool) -> Value:
    for bits in (64,) if wide else (32, 64):
        if not unsigned and number < 1 << (bits - 1):
            return Value(number, bits, True)
        if (unsigned or hexadecimal) and number < 1 << bits:
            return Value(number, bits, False)
    return Value(number, 64, False)


def _character(inner: str) -> Value | None:
    if len(inner) == 1:
        return Value(ord(inner))
    if inner[0] != "\\":
        return None
    if inner[1:] in _ESCAPES:
        return Value(_ESCAPES[inner[1:]])
    if inner[1] == "x":
        return wrap(int(inner[2:], 16), 8, True)._replace(bits=32)
    return wrap(int(inner[1:], 8), 8, True)._replace(bits=32) if inner[1:].isdigit() else None


def _constant(node: Any, environment: Environment) -> Value:
    value = literal(node.value)
    if value is None:
        raise NotConstantError(f"{node.value} is no integer")
    return value


def _name(node: Any, environment: Environment) -> Value:
    return Value(environment.enumerator(node.name))


def _cast(node: Any, environment: Environment) -> Value:
    value, target = evaluate(node.expr, environment), environment.type_of(node.to_type)
    if target.kind == "bool":
        return Value(int(value.number != 0))
    if target.kind not in ("int", "pointer"):
        raise NotConstantError(f"a cast to {target.declare('')} is no integer")
    return wrap(value.number, 8 * target.size, target.signed)


def _unary(node: Any, environment: Environment) -> Value:
    if node.op in ("sizeof", "_Alignof"):
        if not isinstance(node.expr, c_ast.Typename):
            raise NotConstantError("sizeof of an expression")
        target = environment.type_of(node.expr)
        return Value(target.size if node.op == "sizeof" else target.align, 64, False)
    value = evaluate(node.expr, environment)
    if node.op == "!":
        return Value(int(not value.number))
    operations: dict[str, Callable[[int], int]] = {"+": lambda v: v, "-": lambda v: -v, "~": lambda v: ~v}
    if node.op not in operations:
        raise NotConstantError(f"unary {node.op}")
    return wrap(operations[node.op](value.number), max(value.bits, 32), value.signed or value.bits < 32)


def _divide(a: int, b: int) -> int:
    if b == 0:
        raise NotConstantError("a division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a - b * _divide(a, b),
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}
_COMPARISON: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "&&": lambda a, b: bool(a and b),
    "||": lambda a, b: bool(a or b),
}


def _binary(node: Any, environment: Environment) -> Value:
    left, right = evaluate(node.left, environment), evaluate(node.right, environment)
    if node.op in ("<<", ">>"):
        shift = right.number if 0 <= right.number < 128 else 0
        number = left.number << shift if node.op == "<<" else left.number >> shift
        return wrap(number, max(left.bits, 32), left.signed)
    bits = max(left.bits, right.bits, 32)
    signed = all(v.signed or v.bits < bits for v in (left, right))
    a, b = wrap(left.number, bits, signed).number, wrap(right.number, bits, signed).number
    if node.op in _COMPARISON:
        return Value(int(_COMPARISON[node.op](a, b)))
    return wrap(_ARITHMETIC[node.op](a, b), bits, signed)


def _ternary(node: Any, environment: Environment) -> Value:
    condition = evaluate(node.cond, environment)
    return evaluate(node.iftrue if condition.number else node.iffalse, environment)


_HANDLERS: dict[type, Callable[[Any, Environment], Value]] = {
    c_ast.Constant: _constant,
    c_ast.ID: _name,
    c_ast.Cast: _cast,
    c_ast.UnaryOp: _unary,
    c_ast.BinaryOp: _binary,
    c_ast.TernaryOp: _ternary,
}


# --- macros ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"[A-Za-z_]\w*|\.?\d[\w.]*|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|##|\s+|.", re.S)
_MOST_TOKENS = 4000


def expand(text: str, macros: Mapping[str, Macro], hidden: frozenset[str] = frozenset()) -> str:
    """Return *text* with its macros expanded. Raises NotConstantError where that needs more than integers need."""
    tokens = _TOKEN.findall(text)
    if len(tokens) > _MOST_TOKENS:
        raise NotConstantError("the expansion is too long")
    result: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        macro = macros.get(token)
        if macro is None or token in hidden:
            result.append(token)
        elif macro.parameters is None:
            result.append(expand(macro.body, macros, hidden | {token}))
        else:
            arguments, position = _arguments(tokens, position)
            expanded = [expand(a, macros, hidden) for a in arguments]
            result.append(expand(_substitute(macro, arguments, expanded), macros, hidden | {token}))
    return "".join(result)


def _arguments(tokens: list[str], position: int) -> tuple[list[str], int]:
    """Return the arguments of the macro call whose name stands before *position*, and the position behind it."""
    while position < len(tokens) and tokens[position].isspace():
        position += 1
    if position >= len(tokens) or tokens[position] != "(":
        raise NotConstantError("a function-like macro without arguments")
    depth, arguments = 0, [""]
    for index in range(position, len(tokens)):
        token = tokens[index]
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            return arguments, index + 1
        if token == "," and depth == 1:
            arguments.append("")
        elif index > position:
            arguments[-1] += token
    raise NotConstantError("a macro call without its end")


def _substitute(macro: Macro, raw: list[str], expanded: list[str]) -> str:
    """Return the macro's body with its parameters replaced and ``##`` applied."""
    parameters = macro.parameters or ()
    if len(parameters) != len(raw) or "..." in parameters:
        raise NotConstantError("a macro with other arguments than parameters")
    if re.search(r"(?<!#)#(?!#)", macro.body):
        raise NotConstantError("a macro that makes strings")
    pasted = re.sub(r"\s*##\s*", "##", macro.body)
    tokens = _TOKEN.findall(pasted)
    result = []
    for index, token in enumerate(tokens):
        if token in parameters:
            beside_paste = "##" in tokens[max(index - 1, 0) : index + 2]
            which = parameters.index(token)
            token = raw[which].strip() if beside_paste else expanded[which]
        result.append("" if token == "##" else token)
    return "".join(result)
