"""JSON with positions: the value, and where in the text every key and value stands.

Called by config.py alone. Rules: RFC 8259, and what the original configs hold beyond it: trailing commas, and comments
(``//`` and ``/* */``). A byte order mark is skipped; lines end at LF, CR or CRLF; columns count characters from 1.
Everything else is a UserError that names line and column: invalid UTF-8, a key given twice, NUL characters and lone
surrogates (no path and no C name holds them), numbers beyond 64 bits, nesting beyond MOST_DEEP.

Absent on purpose: what the keys mean (config.py).
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from .errors import UserError

MOST_DEEP = 64
MOST_BYTES = 16 << 20
Path = tuple[str | int, ...]
"""The keys and indices from the root to a value: ``("funcs", 2, "func_name")``."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:{}\[\]\"/]+")
_ESCAPED = re.compile(r"\\u[dD][89abAB]..\\u....|\\u....|\\.|.", re.DOTALL)
"""One character of a string, as it is written."""
_NEWLINE = re.compile(r"\r\n|\n|\r")
_WORDS = {"true": True, "false": False, "null": None}
_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Position(NamedTuple):
    line: int
    column: int


@dataclass
class Document:
    """A parsed text. Offsets of keys and values by path; a value in an array has no key."""

    name: str
    text: str
    value: Any = None
    keys: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, int] = field(default_factory=dict)
    _lines: list[int] = field(default_factory=list)

    def position(self, offset: int) -> Position:
        """Return line and column, both from 1, of a character offset."""
        if not self._lines:
            self._lines = [0, *(end.end() for end in _NEWLINE.finditer(self.text))]
        line = bisect_right(self._lines, offset)
        return Position(line, offset - self._lines[line - 1] + 1)

    def at(self, offset: int) -> str:
        line, column = self.position(offset)
        return f"{self.name}:{line}:{column}"

    def where(self, path: Path) -> str:
        """Return ``name:line:column  path`` of a value; of its nearest parent when the path is not in the text."""
        known = path
        while known and known not in self.values:
            known = known[:-1]
        place = self.at(self.values.get(known, 0))
        return f"{place}  {spell(path)}" if path else place

    def inside(self, path: Path, index: int) -> str:
        """Return ``name:line:column  path`` of the character at *index* of a text, whatever escapes stand before it."""
        start = self.values.get(path)
        if start is None or not self.text.startswith('"', start):
            return self.where(path)
        at = start + 1
        for _ in range(index):
            at += _ESCAPED.match(self.text, at).end() - at  # type: ignore[union-attr]
        return f"{self.at(at)}  {spell(path)}"

    def where_key(self, path: Path) -> str:
        """Return the same for the key itself."""
        return f"{self.at(self.keys[path])}  {spell(path)}"


def spell(path: Path) -> str:
    """Return a path as people write it: ``funcs[2].func_name``."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(parts).removeprefix(".")


def read(data: bytes, name: str) -> Document:
    """Parse UTF-8 JSON. *name* is the path as the user gave it, for messages."""
    if len(data) > MOST_BYTES:
        raise UserError(f"{name} is too large", name, f"{len(data)} bytes; a config has at most {MOST_BYTES}")
    return parse(_decode(data, name), name)


def parse(text: str, name: str) -> Document:
    """Parse JSON *text*."""
    document = Document(name, text)
    document.value = _Parser(document).whole()
    return document


def _decode(data: bytes, name: str) -> str:
    if data.startswith(_WIDE_MARKS):
        raise UserError(f"{name} is not UTF-8", name, "it starts with the mark of UTF-16 or UTF-32", "save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as bad:
        before = Document(name, data[: bad.start].decode())
        why = f"byte 0x{data[bad.start]:02x} does not belong there"
        raise UserError(f"{name} is not UTF-8", before.at(len(before.text)), why, "save it as UTF-8") from None


class _Parser:
    """Recursive descent, one method per rule of the grammar; self.here is the offset of the next character."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.here = 0

    def whole(self) -> Any:
        self.skip()
        if self.here == len(self.text):
            self.fail("the file is empty", "a config is a JSON object: { ... }")
        value = self.value(())
        self.skip()
        if self.here < len(self.text):
            self.fail(f"unexpected {self.found()} after the end of the value")
        return value

    def value(self, path: Path) -> Any:
        self.document.values[path] = self.here
        if len(path) > MOST_DEEP:
            self.fail("the value is nested too deeply", f"more than {MOST_DEEP} levels")
        start = self.text[self.here : self.here + 1]
        if start == "{":
            return self.object(path)
        if start == "[":
            return self.array(path)
        if start == '"':
            return self.string()
        return self.number() if start == "-" or start.isdecimal() else self.word()

    def object(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        opened = self.here
        self.here += 1
        while not self.closes("}", opened):
            place = self.here
            key = self.key()
            if key in found:
                first = self.document.position(self.document.keys[(*path, key)])
                self.fail(f'the key "{key}" is given twice', f"first in line {first.line}", place)
            self.document.keys[(*path, key)] = place
            self.expect(":", f'after the key "{key}"')
            self.skip()
            found[key] = self.value((*path, key))
            self.comma("}", opened)
        return found

    def array(self, path: Path) -> list[Any]:
        found: list[Any] = []
        opened = self.here
        self.here += 1
        while not self.closes("]", opened):
            found.append(self.value((*path, len(found))))
            self.comma("]", opened)
        return found

    def closes(self, bracket: str, opened: int) -> bool:
        """Skip to the next item; take *bracket* when it stands there instead."""
        self.skip()
        if self.here == len(self.text):
            line, column = self.document.position(opened)
            self.fail(f"the file ends where '{bracket}' is missing", f"opened at line {line}, column {column}")
        if self.text[self.here] != bracket:
            return False
        self.here += 1
        return True

    def comma(self, bracket: str, opened: int) -> None:
        """Take the comma behind an item. It may stand before the bracket, and only there may it be missing."""
        self.skip()
        if self.text.startswith(",", self.here):
            self.here += 1
        elif self.here < len(self.text) and self.text[self.here] != bracket:
            line, column = self.document.position(opened)
            why = f"in what was opened at line {line}, column {column}"
            self.fail(f"expected ',' or '{bracket}', found {self.found()}", why)

    def key(self) -> str:
        if not self.text.startswith('"', self.here):
            self.fail(f"expected a key in double quotes, found {self.found()}")
        return self.string()

    def expect(self, mark: str, why: str) -> None:
        self.skip()
        if not self.text.startswith(mark, self.here):
            self.fail(f"expected '{mark}', found {self.found()}", why)
        self.here += 1

    def string(self) -> str:
        start = self.here
        try:
            found, self.here = scanstring(self.text, start + 1, True)
        except JSONDecodeError as bad:
            self.fail("this string is not valid JSON", bad.msg.removesuffix(" at").lower(), bad.pos)
        if "\0" in found or any("\ud800" <= letter <= "\udfff" for letter in found):
            self.fail("this string holds a NUL character or half a surrogate pair", place=start)
        return str(found)

    def number(self) -> int | float:
        start = self.here
        token = _WORD.match(self.text, start)
        assert token is not None
        match = _NUMBER.fullmatch(token[0])
        if match is None:
            self.fail(f"'{_cut(token[0])}' is not a number")
        self.here = token.end()
        if match[1] or match[2]:
            number = float(token[0])
            bad = number in (float("inf"), float("-inf"))
            return number if not bad else self.fail(f"the number {_cut(token[0])} is too large", place=start)
        if len(token[0]) > 20 or not -(1 << 63) <= int(token[0]) < 1 << 64:
            self.fail(f"the number {_cut(token[0])} is too large", "a number has at most 64 bits", start)
        return int(token[0])

    def word(self) -> bool | None:
        match = _WORD.match(self.text, self.here)
        if match is None or match[0] not in _WORDS:
            self.fail(f"expected a value, found {self.found()}")
        self.here = match.end()
        return _WORDS[match[0]]

    def skip(self) -> None:
        match = _BLANK.match(self.text, self.here)
        assert match is not None
        self.here = match.end()
        if self.text.startswith("/*", self.here):
            self.fail("the comment that starts here does not end", "'*/' is missing")

    def found(self) -> str:
        """Say what stands here."""
        if self.here == len(self.text):
            return "the end of the file"
        match = _WORD.match(self.text, self.here)
        return f"'{_cut(match[0] if match else self.text[self.here])}'"

    def fail(self, what: str, why: str = "", place: int | None = None) -> NoReturn:
        at = self.document.at(self.here if place is None else place)
        raise UserError(what, at, why)


def _cut(text: str) -> str:
    return text if len(text) <= 32 else text[:29] + "..."
