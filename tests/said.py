"""Lines of strace and ours, parsed into values, so that what they say can be compared and not how they look.

Used by test_raw_calls.py. A value is a number (flags and macros have the headers' values), a Text, a Struct or an Items.
Rules: what one side leaves out ("...") is no difference; a pointer inside a struct that one side follows and the other
does not is none either; everything else must agree.

Absent on purpose: names of ours for anything: constants are read from the headers by the name that the line shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from wc_intercept.generator.headers import Headers
from wc_intercept.generator.preprocessor import include

KERNEL = """
    linux/openat2.h linux/sched.h linux/futex.h linux/mempolicy.h linux/io_uring.h linux/fs.h linux/stat.h linux/keyctl.h
    linux/prctl.h asm/prctl.h linux/landlock.h linux/magic.h linux/capability.h linux/ioprio.h linux/reboot.h
    linux/module.h linux/membarrier.h linux/bpf.h linux/perf_event.h linux/kcmp.h linux/seccomp.h asm/signal.h
    linux/mount.h linux/userfaultfd.h
"""
STRACES = {
    "NULL": 0, "SIG_DFL": 0, "SIG_IGN": 1, "SA_RESTORER": 0x4000000, "FUTEX_BITSET_MATCH_ANY": 0xFFFFFFFF,
    "RLIM64_INFINITY": 2**64 - 1, "RLIM_INFINITY": 2**64 - 1, "UTIME_OMIT": 0x3FFFFFFE, "UTIME_NOW": 0x3FFFFFFF,
}  # fmt: skip
"""Names that strace (and C) have for numbers that no header of ours gives as an integer."""
_ESCAPED = {"n": b"\n", "t": b"\t", "r": b"\r", "v": b"\v", "f": b"\f"}
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (.*)$")


@dataclass(frozen=True)
class Text:
    data: bytes
    cut: bool


@dataclass(frozen=True)
class Struct:
    members: dict[str, Value]
    cut: bool


@dataclass(frozen=True)
class Items:
    items: list[Value]
    cut: bool
    inverted: bool = False


@dataclass(frozen=True)
class Word:
    text: str


Value = Text | Struct | Items | Word


@dataclass(frozen=True)
class Said:
    """One line: a call, its arguments, and what stands behind the equals sign without the error's text."""

    name: str
    arguments: list[Value]
    result: str


def parse(line: str) -> Said:
    """Return what a line says. Raises ValueError for one that is no call."""
    match = _CALL.match(without_comments(line))
    if match is None:
        raise ValueError(f"no call: {line!r}")
    return Said(match[1], _Reader(match[2]).arguments(), match[3].partition(" (")[0].strip())


def without_comments(line: str) -> str:
    return re.sub(r'("(?:\\.|[^"\\])*")|/\*.*?\*/', lambda found: found[1] or "", line)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def arguments(self) -> list[Value]:
        found: list[Value] = []
        while self._skip() < len(self.text):
            if self._take("=>"):
                found.pop()  # what the call made of it
            elif found:
                self._expect(",")
            found.append(self._value())
        return found

    def _skip(self) -> int:
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1
        return self.at

    def _take(self, word: str) -> bool:
        if not self.text.startswith(word, self._skip()):
            return False
        self.at += len(word)
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise ValueError(f"{word!r} expected at {self.text[self.at :]!r}")

    def _value(self) -> Value:
        if self._take('@"') or self._take('"'):
            return self._string()
        if self._take("{"):
            return self._struct()
        if self._take("~["):
            return self._items(inverted=True)
        if self._take("["):
            return self._items(inverted=False)
        return self._word()

    def _string(self) -> Text:
        data = b""
        while not self.text.startswith('"', self.at):
            match = re.compile(r"\\([0-7]{1,3})|\\x([0-9a-f]{2})|\\(.)|(.)").match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            octal, hexadecimal, escaped, plain = match.groups()
            if octal or hexadecimal:
                data += bytes([int(octal, 8) if octal else int(hexadecimal, 16)])
            else:
                data += (
                    _ESCAPED.get(escaped, (escaped or plain).encode("latin-1")) if escaped else plain.encode("latin-1")
                )
        self.at += 1
        return Text(data, self._take("..."))

    def _struct(self) -> Struct:
        members: dict[str, Value] = {}
        cut = False
        while not self._take("}"):
            if self._take("..."):
                cut = True
            else:
                match = re.compile(r"(\w+)=").match(self.text, self._skip())
                self.at = match.end() if match else self.at
                members[match[1] if match else str(len(members))] = self._value()
            self._take(",")
        return Struct(members, cut)

    def _items(self, inverted: bool) -> Items:
        items: list[Value] = []
        cut = False
        while not self._take("]"):
            if self._take("..."):
                cut = True
            elif self._take("=>"):
                items = []
            else:
                items.append(self._value())
            self._take(",")
        return Items(items, cut, inverted)

    def _word(self) -> Word:
        start, depth = self._skip(), 0
        while self.at < len(self.text):
            character = self.text[self.at]
            depth += (character == "(") - (character == ")")
            if depth <= 0 and character in ", ]}":
                break
            self.at += 1
        return Word(self.text[start : self.at])


# --- numbers ---------------------------------------------------------------------------------------------------------


@cache
def _headers() -> tuple[Headers, Headers]:
    return Headers.read(), Headers.of_text(include(KERNEL.split()))


@cache
def number(word: str) -> int | None:
    """Return the value of a number, a macro, or several of them joined by | or *; None for what is neither."""
    word = re.sub(r"^\w+=", "", word)
    total = 0
    for part in word.split("|"):
        product = 1
        for factor in part.split("*"):
            value = _one(factor)
            if value is None:
                return None
            product *= value
        total |= product
    return total


def _one(word: str) -> int | None:
    if re.fullmatch(r"-?0[0-7]+", word):
        return int(word, 8)
    if re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)", word):
        return int(word, 0)
    if shift := re.fullmatch(r"1<<(\w+)", word):
        places = _one(shift[1])
        return None if places is None else 1 << places
    if function := re.fullmatch(r"(makedev|QCMD|IOPRIO_PRIO_VALUE)\((.*), (.*)\)", word):
        high, low = _one(function[2].strip()), _one(function[3].strip())
        return None if high is None or low is None else high << _SHIFTS[function[1]] | low
    if word in STRACES:
        return STRACES[word]
    libc, kernel = _headers()
    value = libc.constant(word)
    return kernel.constant(word) if value is None else value


_SHIFTS = {"makedev": 8, "QCMD": 8, "IOPRIO_PRIO_VALUE": 13}


# --- comparing -------------------------------------------------------------------------------------------------------


def differences(ours: Value, theirs: Value, where: str, inside: bool = False) -> list[str]:
    """Return what the two say differently, a line each. *inside*: they stand in a struct or a list."""
    match ours, theirs:
        case Word(), Word():
            return [] if _equal(ours.text, theirs.text) else [f"{where}: {ours.text} / {theirs.text}"]
        case Text(), Text():
            length = min(len(ours.data), len(theirs.data)) if ours.cut or theirs.cut else None
            return [] if ours.data[:length] == theirs.data[:length] else [f"{where}: {ours.data!r} / {theirs.data!r}"]
        case Struct(), Struct():
            return _of_structs(ours, theirs, where)
        case Items(), Items():
            return _of_items(ours, theirs, where)
        case Text(), Items():  # bytes, which strace takes for numbers
            return [] if _bytes_of(theirs, len(ours.data)) == ours.data else [f"{where}: {ours} / {theirs}"]
        case Struct(), Items() if len(ours.members) == len(theirs.items) == 1:
            return differences(*ours.members.values(), theirs.items[0], where, inside)
        case Word(), _ if inside:
            return []
    return [f"{where}: {ours} / {theirs}"]


def _equal(ours: str, theirs: str) -> bool:
    a, b = number(ours), number(theirs)
    if a is None or b is None:
        return ours == theirs
    return (a - b) % 2**64 == 0 or (a - b) % 2**32 == 0


def _of_structs(ours: Struct, theirs: Struct, where: str) -> list[str]:
    both = [name for name in ours.members if name in theirs.members]
    if not both and (ours.members or theirs.members):
        return [f"{where}: no member in common, {list(ours.members)} / {list(theirs.members)}"]
    return [
        line
        for name in both
        for line in differences(ours.members[name], theirs.members[name], f"{where}.{name}", inside=True)
    ]


def _of_items(ours: Items, theirs: Items, where: str) -> list[str]:
    cut = ours.cut or theirs.cut
    if ours.inverted != theirs.inverted or (len(ours.items) != len(theirs.items) and not cut):
        return [f"{where}: {ours} / {theirs}"]
    pairs = enumerate(zip(ours.items, theirs.items, strict=False))
    return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}[{i}]", inside=True)]


def _bytes_of(items: Items, size: int) -> bytes:
    """Return a list of numbers as the bytes that it was."""
    each = size // len(items.items) if items.items else 1
    numbers = [number(item.text) if isinstance(item, Word) else None for item in items.items]
    return b"".join((n or 0).to_bytes(each, "little") for n in numbers)
