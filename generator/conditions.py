"""What a ``when`` means in one function: checked for its types, then C for the shim's wrapper and steps for the tracer.

Called by whens.py (the check alone), emit.py and tracer_plan.py. Pure. The rules of the language (docs/config.md):
    - a number has 64 bits, as its C type widens it; it is unsigned only where its type has values that int64_t has not
    - arithmetic wraps; it is unsigned if one side is, and a constant takes the other side's kind where it fits
    - numbers are compared as numbers: a size is never less than -1; what can never or must always hold is an error
    - a text is equal to, or like, a text in quotes; one that cannot be read is like nothing
    - ``and`` ``or`` ``not`` take conditions; a number as a condition means that it is not 0
What stands between ``and``s at the outermost level is a test of its own: those that need nothing of the return come
before the call, the others after it.

Absent on purpose: names (scopes.py), and who asks for what (whens.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from .errors import nearest
from .scopes import SIGNED_64, UNSIGNED_64, Operand, Scope
from .when import Node, WhenError, parse, text_of

Step = tuple[str, int, int | str]
"""(operation, argument, value or text): a struct wct_step, as wc_plan.h's enum wct_condition calls it in lower case."""
MOST_STEPS, MOST_DEPTH = 250, 24
"""Of one program: WCT_MOST_STEPS and WCT_MOST_DEPTH of wct_when.c."""

TESTS = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "unequal"}
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
PLAIN = {"+": "add", "-": "subtract", "*": "multiply", "&": "and", "|": "or", "^": "xor"}
HELPED = {"/": ("divide", "wc_divide"), "%": ("modulo", "wc_modulo"), ">>": ("right", "wc_shift_right")}


@dataclass(frozen=True, slots=True)
class Made:
    """A piece of an expression, translated."""

    type: Literal["number", "condition"]
    c: str
    steps: tuple[Step, ...]
    low: int = 0
    high: int = 1
    """What values it may have."""
    after: bool = False
    """It needs what is known only after the call."""
    constant: bool = False
    deep: int = 1
    """Numbers that its steps have on the stack at once."""

    @property
    def unsigned(self) -> bool:
        return self.high > SIGNED_64[1]


@dataclass(frozen=True, slots=True)
class Condition:
    """A whole expression in one function. "" and () where there is nothing to test."""

    before: str = ""
    after: str = ""
    """C, to be tested before the call and after it."""
    steps_before: tuple[Step, ...] = ()
    steps_after: tuple[Step, ...] = ()
    caller: bool = False
    """It looks at the caller's library."""


def condition(text: str, scope: Scope, constants: Mapping[str, int], *, late: bool = False) -> Condition:
    """Return what the expression *text* means where its names are those of *scope* and *constants*. Raises WhenError.

    *late*: nothing acts before the call, so that a text may be looked at after it, where reading is cheaper.
    """
    asks_caller = False
    before: list[Made] = []
    after: list[Made] = []
    for node in _conjuncts(parse(text)):
        translation = _Translation(scope, constants)
        made = translation.condition(node)
        asks_caller |= translation.asks_caller
        if made.after or (late and translation.provable):
            after.append(_Translation(scope, constants, late=True).condition(node))
        else:
            before.append(made)
    for part in (before, after):
        if sum(len(one.steps) + 1 for one in part) > MOST_STEPS or any(one.deep >= MOST_DEPTH - 1 for one in part):
            raise WhenError("the expression is too long", 0, f"it comes to more than {MOST_STEPS} steps")
    return Condition(
        " && ".join(one.c for one in before),
        " && ".join(one.c for one in after),
        _joined(before),
        _joined(after),
        asks_caller,
    )


def unknown_names(text: str, scope: Scope) -> Iterator[tuple[str, int]]:
    """Yield the names in *text* that *scope* does not have, and where."""

    def walk(node: Node) -> Iterator[Node]:
        yield node
        for part in node.parts:
            yield from walk(part)

    return ((n.text, n.index) for n in walk(parse(text)) if n.kind == "name" and n.text not in scope)


def _conjuncts(node: Node) -> Iterator[Node]:
    if node.kind == "and":
        yield from _conjuncts(node.parts[0])
        yield from _conjuncts(node.parts[1])
    else:
        yield node


def _joined(parts: list[Made]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for i, one in enumerate(parts):
        steps += one.steps
        if i:
            steps.append(("and", 0, 0))
    return tuple(steps)


class _Translation:
    """Translates one test. *late*: it is made after the call, where some texts may be read directly."""

    def __init__(self, scope: Scope, constants: Mapping[str, int], late: bool = False) -> None:
        self.scope, self.constants, self.late = scope, constants, late
        self.asks_caller = False
        self.provable = False
        """Some text in it may be read directly after the call."""

    # --- conditions ---------------------------------------------------------------------------------------------------

    def condition(self, node: Node) -> Made:
        if node.kind in ("and", "or"):
            return self.joined(node)
        if node.kind == "not":
            made = self.condition(node.parts[0])
            return _test(f"!{_in(made.c)}", (*made.steps, ("equal", 0, 0)), made)
        if node.kind in ("~", "!~") or (node.kind in ("==", "!=") and self.is_about_text(node)):
            return self.text_test(node)
        if node.kind in TESTS:
            return self.comparison(node)
        if node.kind == "text":
            raise WhenError("a text is no condition", node.index, "it can be compared: path == '...', path ~ '...*'")
        made = self.number(node)
        if made.constant:
            raise WhenError("this is always true" if made.low else "this is never true", node.start)
        return _test(f"{made.c} != 0", (*made.steps, ("unequal", 0, 0)), made)

    def joined(self, node: Node) -> Made:
        left, right = self.condition(node.parts[0]), self.condition(node.parts[1])
        sign = "&&" if node.kind == "and" else "||"
        c = f"({_in(left.c)} {sign} {_in(right.c)})"
        return _test(c, (*left.steps, *right.steps, (node.kind, 0, 0)), left, right)

    def comparison(self, node: Node) -> Made:
        a, b = (self.number(part) for part in node.parts)
        operator = node.kind
        if a.constant and not b.constant:
            a, b, operator = b, a, FLIPPED[operator]
        _refuse_decided(node, a, b, operator)
        a, b = _alike(a, b)
        if a.unsigned and not b.unsigned:
            a, b, operator = b, a, FLIPPED[operator]
        mixed = b.unsigned and not a.unsigned
        order = "order_mixed" if mixed else "order_unsigned" if a.unsigned else "order"
        c = f"wc_order_mixed({a.c}, {b.c}) {operator} 0" if mixed else f"{a.c} {operator} {b.c}"
        return _test(c, (*a.steps, *b.steps, (order, 0, 0), (TESTS[operator], 0, 0)), a, b)

    # --- texts --------------------------------------------------------------------------------------------------------

    def is_about_text(self, node: Node) -> bool:
        return any(part.kind == "text" for part in node.parts)

    def text_test(self, node: Node) -> Made:
        left, right = node.parts
        if right.kind != "text" and left.kind == "text" and node.kind in ("==", "!="):
            left, right = right, left
        if right.kind != "text":
            raise WhenError("a text in quotes is missing", right.start, f"'{node.kind}' compares with a glob")
        if left.kind != "name":
            what = "only a parameter, ret or caller is compared with a text"
            raise WhenError(what, left.start, f"found {_said(left)}")
        operand = self.operand(left)
        if operand.not_text:
            raise WhenError(f"'{left.text}' is no text", left.index, operand.not_text)
        return self.compared(node, operand, text_of(right, node.kind.endswith("~")))

    def compared(self, node: Node, operand: Operand, text: str) -> Made:
        like, negative = node.kind.endswith("~"), node.kind.startswith("!")
        self.asks_caller |= operand.name == "caller"
        self.provable |= operand.proof != "false"
        name = "wci_caller" if operand.name == "caller" else "wci_text"
        proof = "" if operand.name == "caller" else f", {operand.proof if self.late else 'false'}"
        address = operand.c if operand.name == "caller" else operand.c.removeprefix("(uint64_t)(uintptr_t)")
        c = f"{'!' * negative}{name}_{'matches' if like else 'equals'}({address}, {literal(text)}{proof})"
        steps: list[Step] = [("text_matches" if like else "text_equals", operand.place, text)]
        if negative:
            steps.append(("equal", 0, 0))
        return Made("condition", c, tuple(steps), after=operand.text_after)

    # --- numbers ------------------------------------------------------------------------------------------------------

    def number(self, node: Node) -> Made:
        if node.kind == "number":
            return _constant(node.value)
        if node.kind == "name":
            return self.name(node)
        if node.kind == "text":
            raise WhenError("a text is no number", node.index, "texts are compared alone: name == '...'")
        if node.kind in ("and", "or", "not", "~", "!~", *TESTS):
            raise WhenError("a condition is no number", node.start, f"found {_said(node)}")
        if len(node.parts) == 1:
            return self.signed(node)
        a, b = (self.number(part) for part in node.parts)
        return _arithmetic(node, a, b)

    def name(self, node: Node) -> Made:
        if node.text in self.constants and node.text not in self.scope:
            return _constant(self.constants[node.text])
        operand = self.operand(node)
        if operand.not_number:
            raise WhenError(f"'{node.text}' is no number", node.index, operand.not_number)
        source = "constant" if operand.source == "nothing" else operand.source
        step: Step = (source, operand.place if source == "value" else 0, 0)
        return Made("number", operand.c, (step,), operand.low, operand.high, operand.after)

    def operand(self, node: Node) -> Operand:
        found = self.scope.get(node.text)
        if found is None:
            names = list(dict.fromkeys(operand.name for operand in self.scope.values()))
            why = f"there are {', '.join(names)}, and the headers' constants"
            meant = "ret" if node.text == "return" else " or ".join(nearest(node.text, [*names, *self.constants]))
            raise WhenError(f"nothing is named '{node.text}' here", node.index, why, meant)
        return found

    def signed(self, node: Node) -> Made:
        made = self.number(node.parts[0])
        if node.kind == "plus":
            return made
        if made.constant and (value := -made.low if node.kind == "minus" else ~made.low) >= SIGNED_64[0]:
            return _constant(value)
        if node.kind == "minus":
            c, low, high = f"(int64_t)(0 - (uint64_t){_in(made.c)})", *SIGNED_64
        else:
            c, (low, high) = f"~{_in(made.c)}", UNSIGNED_64 if made.unsigned else SIGNED_64
        return Made("number", c, (*made.steps, (_UNARY[node.kind], 0, 0)), low, high, made.after, deep=made.deep)


def _test(c: str, steps: tuple[Step, ...], *of: Made) -> Made:
    """Return the condition that is made of one or two pieces."""
    deep = max(i + one.deep for i, one in enumerate(of))
    return Made("condition", c, steps, after=any(one.after for one in of), deep=deep)


_UNARY = {"minus": "negate", "complement": "complement"}


def _constant(value: int) -> Made:
    bits = value & UNSIGNED_64[1]
    steps: list[Step] = [("constant", 0, bits & 0xFFFFFFFF)]
    if bits >> 32:
        steps.append(("high", 0, bits >> 32))
    if value > SIGNED_64[1]:
        c = f"{value:#x}ull"
    elif value == SIGNED_64[0]:
        c = "INT64_MIN"
    else:
        c = str(value) if abs(value) < 1 << 31 else f"{value}ll"
    return Made("number", c, tuple(steps), value, value, constant=True)


def _alike(a: Made, b: Made) -> tuple[Made, Made]:
    """Give a constant that fits the other side's kind, and a number that is never negative an unsigned one's."""
    if a.unsigned == b.unsigned:
        return a, b
    if a.unsigned:
        return a, _as_unsigned(b)
    return _as_unsigned(a), b


def _as_unsigned(made: Made) -> Made:
    if made.low < 0:
        return made
    c = f"{made.low}u" if made.constant and made.low < 1 << 32 else f"(uint64_t){_in(made.c)}"
    return Made("number", c, made.steps, made.low, UNSIGNED_64[1], made.after, made.constant, made.deep)


def _arithmetic(node: Node, a: Made, b: Made) -> Made:
    if node.kind in ("/", "%") and b.constant and b.low == 0:
        raise WhenError("this divides by zero", node.index)
    if node.kind in ("<<", ">>") and b.constant and not 0 <= b.low < 64:
        raise WhenError("this shifts by more than there is", node.index, "a number has 64 bits: 0 to 63")
    shift = node.kind in ("<<", ">>")
    unsigned = a.unsigned if shift else a.unsigned or b.unsigned
    low, high = UNSIGNED_64 if unsigned else SIGNED_64
    if node.kind == "&":  # a mask that is not negative leaves no more than it has
        low, high = _masked(a, b, low, high)
    type_ = "uint64_t" if unsigned else "int64_t"
    left, right = _in(a.c), _in(b.c)
    suffix = "_unsigned" if unsigned else ""
    if node.kind in PLAIN:
        operation = PLAIN[node.kind]
        c = f"((uint64_t){left} {node.kind} (uint64_t){right})"
        if not unsigned:  # only bits cannot overflow
            c = f"({left} {node.kind} {right})" if node.kind in "&|^" else f"(int64_t){c}"
        elif high <= SIGNED_64[1]:
            c = f"(int64_t){c}"
    elif node.kind == "<<":
        operation, c = "left", f"({type_})wc_shift_left((uint64_t){left}, (uint64_t){right})"
    else:
        operation, function = HELPED[node.kind]
        operation += suffix
        c = f"{function}{suffix}({left}, {'(uint64_t)' if shift else ''}{right})"
    return Made("number", c, (*a.steps, *b.steps, (operation, 0, 0)), low, high, a.after or b.after,
                deep=max(a.deep, 1 + b.deep))  # fmt: skip


def _masked(a: Made, b: Made, low: int, high: int) -> tuple[int, int]:
    most = [made.high for made in (a, b) if made.low >= 0 and made.constant]
    return (0, min(most)) if most else (low, high)


def _refuse_decided(node: Node, a: Made, b: Made, operator: str) -> None:
    """Refuse a comparison whose outcome the types tell already."""
    if a.constant and b.constant:
        _always(node, "both sides are constants")
    outcomes = {
        "==": (a.low == a.high == b.low == b.high, a.high < b.low or b.high < a.low),
        "<": (a.high < b.low, a.low >= b.high),
        ">": (a.low > b.high, a.high <= b.low),
        "<=": (a.high <= b.low, a.low > b.high),
        ">=": (a.low >= b.high, a.high < b.low),
    }
    outcomes["!="] = outcomes["=="][1], outcomes["=="][0]
    always, never = outcomes[operator]
    if always or never:
        side = node.parts[0] if node.parts[0].kind == "name" else node.parts[1]
        which = a if not a.constant else b
        name = f"'{side.text}'" if side.kind == "name" else "what is compared"
        said = f"{name} is {which.low} to {which.high}"
        _always(node, said, "always true" if always else "never true")


def _always(node: Node, why: str, how: str = "decided already") -> NoReturn:
    raise WhenError(f"this is {how}", node.start, why)


def _said(node: Node) -> str:
    if node.kind == "text":
        return "a text"
    return f"'{node.text}'" if node.kind in ("name", "number") else f"'{node.kind}'"


_NAMED = re.compile(r"(\(u?int64_t\))?(\(uintptr_t\))?\w+")


def _in(c: str) -> str:
    """Return *c* in parentheses unless it binds as closely as a name."""
    simple = _NAMED.fullmatch(c) is not None or (c.startswith("(") and _closes_at_end(c)) or _is_call(c)
    return c if simple else f"({c})"


def _is_call(c: str) -> bool:
    name, _, rest = c.partition("(")
    return bool(rest) and name.replace("_", "").isalnum() and _closes_at_end(f"({rest}")


def _closes_at_end(c: str) -> bool:
    depth = 0
    quoted = False
    for i, letter in enumerate(c):
        if letter == '"' and c[i - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return i == len(c) - 1
    return False


def literal(text: str) -> str:
    """Return *text* as a C string: what is no plain sign becomes octal."""
    plain = frozenset(b" !#$%&'()*+,-./:;<=>@[]^_`{|}~")
    letters = (chr(b) if b in plain or (b < 128 and chr(b).isalnum()) else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(letters)}"'
