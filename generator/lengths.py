"""Length expressions of the annotated table and of a config's ``capture``, as C and as programs of the tracer.

Called by captures.py (C) and tracer_plan.py (steps). The grammar: parameter names, ``ret``, integers, ``sizeof`` (one
pointee), ``+ - * / &``, ``min(a, b)``, parentheses, and ``*name`` for a length that stands behind a pointer
(value-result). Only names of the function's own parameters become C: nothing else from a config does. Behind ``/`` and
``&`` stands a positive integer: ``/`` rounds down (sizes in bits or pages), ``&`` looks at flags. All arithmetic is
unsigned, modulo 2**64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|([-+*/&(),]))")


class LengthError(ValueError):
    """The expression is not one; the message says what was found."""


def tokens(expression: str) -> list[str]:
    """Return the tokens of *expression*. Raises LengthError on anything else."""
    found: list[str] = []
    at = 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise LengthError(f"unexpected {expression[at:].strip()[:1]!r} in length {expression!r}")
        found.append(match.group().strip())
        at = match.end()
    return found


class _Parser:
    """Recursive descent over sum := product (+|- product)*, product := factor (*|/|& factor)*."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = tokens(expression)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise LengthError(f"expected {expected or 'a name or a number'} in length {self.expression!r}")
        self.at += 1
        return token

    def chain(self, operators: str, part: str) -> Node:
        node = self.sum_part(part)
        while self.peek() and self.peek() in operators:
            operator = self.take()
            if operator in "/&" and not self.peek().strip("0").isdigit():
                raise LengthError(f"expected a positive integer behind {operator!r} in length {self.expression!r}")
            node = Node(operator, parts=(node, self.sum_part(part)))
        return node

    def sum_part(self, part: str) -> Node:
        return self.chain("*/&", "factor") if part == "product" else self.factor()

    def factor(self) -> Node:
        token = self.take()
        if token.isdigit():
            return Node("number", token)
        if token == "(":
            node = self.chain("+-", "product")
            self.take(")")
            return node
        if token == "*":
            return Node("behind", self.name(self.take()))
        if token == "min" and self.peek() == "(":
            return self.minimum()
        return Node("sizeof") if token == "sizeof" else Node("name", self.name(token))

    def minimum(self) -> Node:
        self.take("(")
        first = self.chain("+-", "product")
        self.take(",")
        second = self.chain("+-", "product")
        self.take(")")
        return Node("min", parts=(first, second))

    def name(self, token: str) -> str:
        return "ret" if token == "return" else token


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: a number, a name, what stands "behind" a name, "sizeof", or an operator (or "min") of parts."""

    kind: str
    text: str = ""
    parts: tuple[Node, ...] = ()


def parse_length(expression: str) -> Node:
    """Return *expression* as a tree. Raises LengthError."""
    parser = _Parser(expression)
    node = parser.chain("+-", "product")
    if parser.peek():
        raise LengthError(f"unexpected {parser.peek()!r} in length {expression!r}")
    return node


def compile_length(expression: str, names: Mapping[str, str], sizeof: int = 1) -> str:
    """Return *expression* as C of type uint64_t.

    *names* maps the names that may occur (parameters, ``ret``) to C expressions. Raises LengthError.
    """

    def c(node: Node) -> str:
        if node.kind == "number":
            return f"{node.text}u"
        if node.kind == "sizeof":
            return f"{sizeof}u"
        if node.kind == "min":
            return f"wci_min({c(node.parts[0])}, {c(node.parts[1])})"
        if node.parts:
            return f"({c(node.parts[0])} {node.kind} {c(node.parts[1])})"
        if node.text not in names:
            raise LengthError(f"no parameter named {node.text!r} in length {expression!r}")
        name = names[node.text]
        return f"({name} != NULL ? (uint64_t)*{name} : 0)" if node.kind == "behind" else f"(uint64_t)({name})"

    return c(parse_length(expression))


@dataclass(frozen=True, slots=True)
class Operand:
    """A parameter as a tracer finds it."""

    ordinal: int
    behind: int = 0
    """Bytes of the integer that it points to; 0 where it points to none."""


Step = tuple[str, int, int]
"""(operation, size, value): a struct wct_step, its operation as wc_plan.h calls it without WCT_, in lower case."""
_OPERATORS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "&": "and", "min": "minimum"}
_MOST = 0xFFFFFFFF


def compile_steps(expression: str, names: Mapping[str, Operand], sizeof: int = 1) -> list[Step]:
    """Return *expression* as a program of the tracer, without its END. Raises LengthError."""

    def steps(node: Node) -> Iterator[Step]:
        if node.kind in ("number", "sizeof"):
            yield "constant", 0, min(int(node.text) if node.text else sizeof, _MOST)
        elif node.parts:
            for part in node.parts:
                yield from steps(part)
            yield _OPERATORS[node.kind], 0, 0
        elif node.text == "ret" and node.kind == "name":
            yield "result_value", 0, 0
        else:
            yield _operand(node, expression, names)

    return list(steps(parse_length(expression)))


def _operand(node: Node, expression: str, names: Mapping[str, Operand]) -> Step:
    found = names.get(node.text)
    if found is None or (node.kind == "behind" and not found.behind):
        raise LengthError(f"no parameter named {node.text!r} in length {expression!r}")
    return ("behind", found.behind, found.ordinal) if node.kind == "behind" else ("value", 0, found.ordinal)
