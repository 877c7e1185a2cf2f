"""Length expressions of the annotated table and of a config's ``capture``, turned into C.

Called by layout.py. The grammar: parameter names, ``ret``, integers, ``sizeof`` (one pointee), ``+ - * / &``,
``min(a, b)``, parentheses, and ``*name`` for a length that stands behind a pointer (value-result). Only names of the
function's own parameters become C: nothing else from a config does. Behind ``/`` and ``&`` stands a positive integer:
``/`` rounds down (sizes in bits or pages), ``&`` looks at flags. All arithmetic is unsigned, modulo 2**64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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

    def __init__(self, expression: str, names: Mapping[str, str], sizeof: int) -> None:
        self.expression, self.names, self.sizeof = expression, names, sizeof
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

    def chain(self, operators: str, part: str) -> str:
        text = self.sum_part(part)
        while self.peek() and self.peek() in operators:
            operator = self.take()
            if operator in "/&" and not self.peek().strip("0").isdigit():
                raise LengthError(f"expected a positive integer behind {operator!r} in length {self.expression!r}")
            text = f"({text} {operator} {self.sum_part(part)})"
        return text

    def sum_part(self, part: str) -> str:
        return self.chain("*/&", "factor") if part == "product" else self.factor()

    def factor(self) -> str:
        token = self.take()
        if token.isdigit():
            return f"{token}u"
        if token == "(":
            text = self.chain("+-", "product")
            self.take(")")
            return text
        if token == "*":
            name = self.name(self.take())
            return f"({name} != NULL ? (uint64_t)*{name} : 0)"
        if token == "min" and self.peek() == "(":
            return self.minimum()
        return f"{self.sizeof}u" if token == "sizeof" else f"(uint64_t)({self.name(token)})"

    def minimum(self) -> str:
        self.take("(")
        first = self.chain("+-", "product")
        self.take(",")
        second = self.chain("+-", "product")
        self.take(")")
        return f"wci_min({first}, {second})"

    def name(self, token: str) -> str:
        if token == "return":
            token = "ret"
        if token not in self.names:
            raise LengthError(f"no parameter named {token!r} in length {self.expression!r}")
        return self.names[token]


def compile_length(expression: str, names: Mapping[str, str], sizeof: int = 1) -> str:
    """Return *expression* as C of type uint64_t.

    *names* maps the names that may occur (parameters, ``ret``) to C expressions. Raises LengthError.
    """
    parser = _Parser(expression, names, sizeof)
    text = parser.chain("+-", "product")
    if parser.peek():
        raise LengthError(f"unexpected {parser.peek()!r} in length {expression!r}")
    return text
