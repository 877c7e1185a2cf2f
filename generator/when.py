"""The expressions of a config's ``when``: from their text to a tree.

Called by funcs.py (is it one?) and conditions.py (what it means). The grammar, from what binds least on:

    or            and           not
    == != < <= > >= ~ !~        (one of them: comparisons do not chain)
    |   ^   &   << >>   + -   * / %
    - ~ (in front)              (...)  123 0x7f 0o644 0644 0b1  name  "text"  'text'

So bits are taken before they are compared, unlike in C: ``flags & O_ACCMODE == O_RDWR`` means what it says. Rules:
every node knows its column; whatever is wrong is a WhenError with the index of the character where it is wrong; nothing
here knows what a name stands for.

Absent on purpose: types, and C (conditions.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

MOST_TEXT = 4096
MOST_DEEP = 40
WORDS = frozenset(("and", "or", "not"))
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "~", "!~")
LEVELS = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
"""Binary operators over numbers, those that bind least first."""
INSTEAD = {
    "=": "==", "&&": "and", "||": "or", "!": "not", "===": "==", "=~": "~", "<>": "!=", "**": "*", "//": "/",
}  # fmt: skip
"""What somebody may have meant by what is no operator here."""

_TOKEN = re.compile(
    r"""(?P<blank>\s+)|(?P<name>[A-Za-z_]\w*)|(?P<number>\d\w*)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"|(?P<wrong>===|=~|<>|\*\*|//|&&|\|\|)"
    r"|(?P<sign><<|>>|<=|>=|==|!=|!~|[-+*/%&|^~<>()])|(?P<other>.)",
    re.ASCII | re.DOTALL,
)
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9]\d*)[uUlL]*")


class WhenError(ValueError):
    """What is wrong with an expression: *what* it is, and the *index* of the character where."""

    def __init__(self, what: str, index: int, why: str = "", try_: str = "") -> None:
        super().__init__(what)
        self.what, self.index, self.why, self.try_ = what, index, why, try_


@dataclass(frozen=True, slots=True)
class Node:
    """``number`` (value), ``name``, ``text`` (as it is written, without its quotes), or an operator of its parts."""

    kind: str
    index: int
    """Where in the text it stands; of a binary operator, the operator."""
    text: str = ""
    value: int = 0
    parts: tuple[Node, ...] = ()

    @property
    def start(self) -> int:
        """Where its first character stands."""
        return self.parts[0].start if len(self.parts) == 2 else self.index


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    index: int


def parse(text: str) -> Node:
    """Return the tree of an expression. Raises WhenError."""
    if len(text) > MOST_TEXT:
        raise WhenError("the expression is too long", MOST_TEXT, f"it has at most {MOST_TEXT} characters")
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind in ("wrong", "other"):
            _refuse_sign(text, match[0], match.start())
        if kind != "blank":
            found.append(_Token("word" if kind == "name" and match[0] in WORDS else kind, match[0], match.start()))
    return [*found, _Token("end", "", len(text))]


def _refuse_sign(text: str, sign: str, index: int) -> NoReturn:
    if sign in "\"'":
        raise WhenError("the text that begins here does not end", index, f"its {sign} is missing")
    raise WhenError(f"'{sign}' means nothing here", index, "", INSTEAD.get(sign, ""))


class _Parser:
    """Recursive descent, one method per level of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def is_one_of(self, *texts: str) -> bool:
        return self.next.kind in ("sign", "word") and self.next.text in texts

    def whole(self) -> Node:
        node = self.either()
        if self.next.kind != "end":
            self.fail(f"'{self.next.text}' was not expected here", "an operator is missing in front of it")
        return node

    def either(self) -> Node:
        node = self.both()
        while self.is_one_of("or"):
            node = Node("or", self.take().index, parts=(node, self.both()))
        return node

    def both(self) -> Node:
        node = self.negated()
        while self.is_one_of("and"):
            node = Node("and", self.take().index, parts=(node, self.negated()))
        return node

    def negated(self) -> Node:
        if not self.is_one_of("not"):
            return self.comparison()
        index = self.take().index
        self.deeper(index)
        node = Node("not", index, parts=(self.negated(),))
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        node = self.level(0)
        if not self.is_one_of(*COMPARISONS):
            return node
        operator = self.take()
        node = Node(operator.text, operator.index, parts=(node, self.level(0)))
        if self.is_one_of(*COMPARISONS):
            self.fail(f"'{self.next.text}' compares what is a comparison already", "comparisons do not chain", "and")
        return node

    def level(self, number: int) -> Node:
        if number == len(LEVELS):
            return self.signed()
        node = self.level(number + 1)
        while self.is_one_of(*LEVELS[number]):
            operator = self.take()
            node = Node(operator.text, operator.index, parts=(node, self.level(number + 1)))
        return node

    def signed(self) -> Node:
        if not self.is_one_of("-", "~", "+"):
            return self.atom()
        operator = self.take()
        self.deeper(operator.index)
        kind = {"-": "minus", "~": "complement", "+": "plus"}[operator.text]
        node = Node(kind, operator.index, parts=(self.signed(),))
        self.depth -= 1
        return node

    def atom(self) -> Node:
        token = self.take()
        if token.kind == "name":
            return Node("name", token.index, token.text)
        if token.kind == "number":
            return Node("number", token.index, token.text, _number(token))
        if token.kind == "text":
            return Node("text", token.index, token.text[1:-1])
        if token.text == "(":
            self.deeper(token.index)
            node = self.either()
            if not self.is_one_of(")"):
                self.fail("')' is missing", f"its '(' stands at character {token.index + 1}")
            self.take()
            self.depth -= 1
            return node
        found = f"found '{token.text}'" if token.text else "the expression ends"
        raise WhenError(f"{found} where a name, a number or a text is missing", token.index)

    def deeper(self, index: int) -> None:
        self.depth += 1
        if self.depth > MOST_DEEP:
            raise WhenError("the expression is nested too deeply", index, f"more than {MOST_DEEP} levels")

    def fail(self, what: str, why: str = "", try_: str = "") -> NoReturn:
        raise WhenError(what, self.next.index, why, try_)


def _number(token: _Token) -> int:
    match = _NUMBER.fullmatch(token.text)
    if match is None:
        raise WhenError(f"'{token.text}' is not a number", token.index)
    digits = match[1]
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    value = int(digits, 8) if octal else int(digits, 0)
    if value >= 1 << 64:
        raise WhenError(f"the number {token.text} is too large", token.index, "a number has at most 64 bits")
    return value


# --- texts ------------------------------------------------------------------------------------------------------------

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
GLOB_SIGNS = "*?[]-!"


def text_of(node: Node, glob: bool) -> str:
    r"""Return what a text node stands for; of a glob its signs still escaped by ``\``. Raises WhenError."""
    result, at = [], 0
    raw = node.text
    while at < len(raw):
        letter = raw[at]
        if letter == "\0":
            raise WhenError("a text has no NUL", node.index + 1 + at)
        if letter != "\\":
            result.append(letter)
            at += 1
            continue
        piece, at = _escaped(node, at, glob)
        result.append(piece)
    text = "".join(result)
    if glob:
        _check_sets(node, text)
    return text


def _escaped(node: Node, at: int, glob: bool) -> tuple[str, int]:
    """Return what the escape at *at* of a text node means, and the place behind it."""
    sign = node.text[at + 1]
    if glob and (sign in GLOB_SIGNS or sign == "\\"):
        return f"\\{sign}", at + 2
    if sign in _ESCAPES:
        return _ESCAPES[sign], at + 2
    if (match := re.compile(r"x([0-7][0-9a-fA-F])").match(node.text, at + 1)) and match[1] != "00":
        return chr(int(match[1], 16)), match.end()
    known = r"\n \t \r \" \' \\ and \x01 to \x7f" + (r", and in a glob \* \? \[ \] \- \!" if glob else "")
    raise WhenError(f"'\\{sign}' means nothing in a text", node.index + 1 + at, f"there are {known}")


def _check_sets(node: Node, glob: str) -> None:
    """Refuse a glob with a '[' that does not end."""
    at = 0
    while at < len(glob):
        if glob[at] == "\\":
            at += 2
            continue
        if glob[at] == "[":
            match = re.compile(r"\[[!^]?(?:\\.|[^\\])(?:\\.|[^\]\\])*\]", re.DOTALL).match(glob, at)
            if match is None:
                raise WhenError("the set of a glob that begins with '[' does not end", node.index, "']' is missing",
                                r"\[ is the bracket itself")  # fmt: skip
            at = match.end()
            continue
        at += 1
