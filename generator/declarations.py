"""Preprocessed C split into top-level declarations, with origin and attributes.

Called by headers.py only. The input is the output of ``cc -E -dD``; the result are its declarations as written, each
with the header and line that it came from, and its macros. Rules: nothing is parsed here, a declaration is text up to
the ``;`` or the ``}`` that ends it; ``plain`` gives the text that a C11 parser without GNU extensions understands;
facts are read from the unstripped text by ``attributes`` and ``redirect``.

Absent on purpose: types, and any judgement about a declaration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Declaration(NamedTuple):
    """One top-level declaration or definition, as the preprocessor left it."""

    text: str
    header: str
    """The file as one includes it: ``bits/stdio.h``, ``unistd.h``."""
    line: int
    owner: str
    """The requested header that brought it in: ``stdio.h`` for what stands in ``bits/stdio.h``."""


_MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"([ \d]*)')
_BREAK = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{};]')


class Splitter:
    """Splits one preprocessed text. ``requested`` and ``include_dirs`` decide how origins are spelt."""

    def __init__(self, requested: Sequence[str], include_dirs: Sequence[str]) -> None:
        self._requested = frozenset(requested)
        self._dirs = sorted((d.rstrip("/") + "/" for d in include_dirs), key=len, reverse=True)
        self._names: dict[str, str] = {}
        self._stack: list[tuple[str, str]] = [("", "")]
        self._line = 0
        self._parts: list[str] = []
        self._start = 0
        self._depth = 0

    def split(self, text: str) -> list[Declaration]:
        """Return the declarations of *text* in order."""
        found: list[Declaration] = []
        for line in text.split("\n"):
            if line.startswith("#"):
                self._directive(line)
                continue
            if line and not line.isspace():
                found.extend(self._text(line))
            self._line += 1
        return found

    def _directive(self, line: str) -> None:
        marker = _MARKER.match(line)
        if marker is None:
            self._line += 1
            return
        number, path, flags = marker.groups()
        self._line = int(number)
        if "2" in flags.split() and len(self._stack) > 1:
            self._stack.pop()
        elif "1" in flags.split():
            name = self._spelling(path)
            self._stack.append((name, name if name in self._requested else self._stack[-1][1] or name))
        else:
            name = self._spelling(path)
            self._stack[-1] = (name, self._stack[-1][1])

    def _spelling(self, path: str) -> str:
        """Return *path* as an include directive would spell it."""
        if path not in self._names:
            known = next((path[len(d) :] for d in self._dirs if path.startswith(d)), None)
            self._names[path] = known or path.rsplit("/", 1)[-1]
        return self._names[path]

    def _text(self, line: str) -> Iterator[Declaration]:
        if not self._parts:
            self._start = self._line
        if self._depth == 0 and "{" not in line:
            semicolon = line.find(";")
            if semicolon < 0:
                self._parts.append(line)
                return
            if not line[semicolon + 1 :].strip():
                self._parts.append(line)
                yield self._finish()
                return
        elif "{" not in line and "}" not in line:
            self._parts.append(line)
            return
        yield from self._slowly(line)

    def _slowly(self, line: str) -> Iterator[Declaration]:
        """A line with braces, or with more than one declaration."""
        begin = 0
        for match in _BREAK.finditer(line):
            token = match.group()
            if token == "{":
                self._depth += 1
            elif token == "}":
                self._depth -= 1
                self._depth = max(self._depth, 0)
            if token not in (";", "}") or self._depth:
                continue
            head = "\n".join([*self._parts, line[begin : match.end()]])
            if token == ";" or _ends_function(head):
                self._parts.append(line[begin : match.end()])
                yield self._finish()
                begin = match.end()
                self._start = self._line
        if line[begin:].strip():
            self._parts.append(line[begin:])

    def _finish(self) -> Declaration:
        text = "\n".join(self._parts).strip()
        self._parts = []
        return Declaration(text, self._stack[-1][0], self._start, self._stack[-1][1])


def _ends_function(text: str) -> bool:
    """Whether *text*, which ends with the brace that closes it, is a function with its body."""
    head = without_attributes(text.split("{", 1)[0]).rstrip()
    return head.endswith(")")


def has_body(text: str) -> bool:
    """Whether a declaration is a function definition."""
    return text.endswith("}") and _ends_function(text)


_DEFINE = re.compile(r"^#(define|undef) ([A-Za-z_]\w*)(\([^)]*\))?[ \t]*(.*)$", re.M)


class Macro(NamedTuple):
    parameters: tuple[str, ...] | None
    """None for an object-like macro."""
    body: str


def macros(text: str) -> dict[str, Macro]:
    """Return the macros that are defined at the end of *text*."""
    found: dict[str, Macro] = {}
    for kind, name, parameters, body in _DEFINE.findall(text):
        if kind == "undef":
            found.pop(name, None)
        elif parameters:
            found[name] = Macro(tuple(p.strip() for p in parameters[1:-1].split(",") if p.strip()), body)
        else:
            found[name] = Macro(None, body)
    return found


# --- attributes ------------------------------------------------------------------------------------------------------

_SPECIFIER = re.compile(r"\b(__attribute__|__attribute|__asm__|__asm|asm)\s*(?:__volatile__|volatile)?\s*\(")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Specifier(NamedTuple):
    """One ``__attribute__ ((...))`` or ``__asm__ ("...")``, with what stands between its parentheses."""

    begin: int
    end: int
    keyword: str
    body: str


def specifiers(text: str) -> Iterator[Specifier]:
    """Yield the attribute and asm specifiers of *text*."""
    position = 0
    while match := _SPECIFIER.search(text, position):
        end = _closing(text, match.end() - 1)
        yield Specifier(match.start(), end, match.group(1).strip("_"), text[match.end() : end - 1])
        position = end


def _closing(text: str, opening: int) -> int:
    """Return the position behind the parenthesis that closes the one at *opening*."""
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)


def without_attributes(text: str) -> str:
    """Return *text* without attribute and asm specifiers."""
    kept, position = [], 0
    for found in specifiers(text):
        kept.append(text[position : found.begin])
        position = found.end
    return " ".join([*kept, text[position:]]) if kept else text


def items(body: str) -> list[str]:
    """Return the attributes in a specifier's body, underscores and blanks removed: ``format(printf,1,2)``."""
    inner = body.strip().removeprefix("(").removesuffix(")")
    found, depth, current = [], 0, ""
    for letter in inner + ",":
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            if current.strip():
                found.append(_normal(current))
            current = ""
        else:
            current += letter
    return found


def _normal(attribute: str) -> str:
    """Return an attribute in its one spelling; ``format(printf,1,2)``, ``noreturn``, ``aligned(16)``."""
    name, bracket, arguments = attribute.strip().partition("(")
    name = name.strip().removeprefix("__").removesuffix("__")
    if name == "aligned":  # an expression
        return name + bracket + arguments
    arguments = re.sub(r"\b__(\w+?)__\b", r"\1", arguments)
    return name + bracket + re.sub(r"\s+", "", arguments)


def attributes(text: str) -> frozenset[str]:
    """Return the attributes of a function's declaration; of one with arguments also the bare name."""
    found: set[str] = set()
    for specifier in specifiers(text):
        if specifier.keyword == "attribute":
            for item in items(specifier.body):
                found.update((item, item.split("(")[0]))
    if re.search(r"\b_Noreturn\b", text):
        found.add("noreturn")
    return frozenset(found)


def redirect(text: str) -> str:
    """Return the assembler name that a declaration carries, or an empty string."""
    for specifier in specifiers(text):
        if specifier.keyword == "asm":
            return "".join(_STRING.findall(specifier.body))
    return ""


# --- what a parser without extensions understands --------------------------------------------------------------------

PACKED = "wci__packed"
ALIGNED = "wci__aligned"
PREVIOUS = "wci__align_previous"
COMPLEX = "wci_complex"
"""Prefix of the name that stands for ``_Complex _Float32`` and its like."""
_COMPLEX = re.compile(r"\b_Complex\s+(_Float\w+)|\b(_Float\w+)\s+_Complex\b")
_MODES = {"QI": "char", "byte": "char", "HI": "short", "SI": "int", "DI": "long", "word": "long", "pointer": "long"}
_SPELLINGS = {
    "__restrict": "restrict",
    "__restrict__": "restrict",
    "__inline": "inline",
    "__inline__": "inline",
    "__const": "const",
    "__const__": "const",
    "__volatile__": "volatile",
    "__volatile": "volatile",
    "__signed__": "signed",
    "__signed": "signed",
    "__complex__": "_Complex",
    "__complex": "_Complex",
    "__alignof__": "_Alignof",
    "__alignof": "_Alignof",
    "__extension__": "",
    "__thread": "",
    "_Thread_local": "",
    "_Noreturn": "",
}
_SPELLING = re.compile(r"\b(?:" + "|".join(_SPELLINGS) + r")\b")


def plain(text: str) -> str:
    """Return a declaration in C11 proper: a function's body is dropped, layout attributes become marker members.

    ``packed`` and ``aligned`` of a struct turn into a member named PACKED or ALIGNED (an array as long as the
    alignment) at its end, ``aligned`` of a member into one named PREVIOUS behind it.
    """
    if has_body(text):
        text = text.split("{", 1)[0].rstrip() + ";"
    if "__attribute" in text or "asm" in text:
        text = _layout_marks(text)
    text = _SPELLING.sub(lambda m: _SPELLINGS[m.group()], text)
    return _COMPLEX.sub(lambda m: COMPLEX + (m.group(1) or m.group(2)), text) if "_Complex" in text else text


def _layout_marks(text: str) -> str:
    for specifier in reversed(list(specifiers(text))):
        before, behind = text[: specifier.begin], text[specifier.end :]
        marks = [] if specifier.keyword == "asm" else [_mark(item) for item in items(specifier.body)]
        if any(marks) and before.rstrip().endswith("}"):
            inner = before.rstrip()[:-1] + "".join(f" char {m};" for m in marks if m)
            text = inner + "} " + behind
        elif any(marks) and re.search(r"\b(?:struct|union)\s*$", before) and "{" in behind:
            text = before + behind.replace("{", "{" + "".join(f" char {m};" for m in marks if m), 1)
        elif any(marks) and _inside_braces(before) and ";" in behind:
            mark = next(m for m in marks if m).replace(ALIGNED, PREVIOUS)
            text = before + behind.replace(";", f"; char {mark};", 1)
        else:
            text = before + " " + behind
    return text


def _inside_braces(text: str) -> bool:
    return text.count("{") > text.count("}")


def _mark(item: str) -> str:
    if item == "packed":
        return PACKED
    if item == "aligned":
        return f"{ALIGNED}[16]"
    if item.startswith("aligned("):
        return ALIGNED + "[" + item[len("aligned(") : -1] + "]"
    return ""


def mode(text: str) -> str:
    """Return the integer type that a ``mode`` attribute of a declaration stands for, or an empty string."""
    for specifier in specifiers(text):
        for item in items(specifier.body):
            if item.startswith("mode("):
                return _MODES.get(item[len("mode(") : -1], "")
    return ""
