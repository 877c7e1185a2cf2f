"""Numbers as words: flags, enums, modes, signals, as strace writes them.

Used by text rendering. Each distinct number is put into words once and remembered: programs use few. Rules: nothing is
left out (bits without a name follow in hexadecimal), and a number reads the same wherever it stands.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from wc_intercept.generator.manifest import Names

from .errnos import clock_name, errno_name, signal_name

MOST_REMEMBERED = 65_536
AT_FDCWD = -100


class Words(dict[Any, str]):
    """A memory of what numbers read as: ``list(map(words.__getitem__, numbers))``."""

    def __init__(self, word: Callable[[Any], str]) -> None:
        super().__init__()
        self._word = word

    def __missing__(self, number: Any) -> str:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        word = self[number] = self._word(number)
        return word


def flags(names: Names, bits: int, octal: bool = False) -> Words:
    """Return the words of a flag set: the names of all bits, in the set's order; *octal*: the others are a mode's."""
    entries = [(name, _unsigned(value, bits), _unsigned(mask, bits)) for name, value, mask in names.entries]
    # A flag that contains another one (O_SYNC and O_DSYNC) is tried first.
    by_size = sorted(range(len(entries)), key=lambda i: -(entries[i][1].bit_count()))

    def word(number: int) -> str:
        number = rest = _unsigned(number, bits)
        found: set[int] = set()
        for i in by_size:
            _, value, mask = entries[i]
            if value and number & (mask or value) == value and rest & value == value:
                rest &= ~(mask or value)
                found.add(i)
            elif not value and number & mask == 0 and (mask or not number):
                found.add(i)
        return _joined([entries[i][0] for i in sorted(found)], f"0{rest:o}" if octal else f"{rest:#x}", rest)

    return Words(word)


def _joined(names: list[str], unnamed: str, rest: int) -> str:
    if rest:
        names.append(unnamed)
    return "|".join(names) or "0"


def enum(names: Names, bits: int) -> Words:
    """Return the words of an enum: one name, or the number."""
    entries = [(name, _unsigned(value, bits), _unsigned(mask or -1, bits)) for name, value, mask in names.entries]

    def word(number: int) -> str:
        plain = _unsigned(number, bits)
        for name, value, mask in entries:
            if plain & mask == value:
                rest = plain & ~mask
                return f"{name}|{rest:#x}" if rest else name
        return str(number) if number <= 0 else f"{number:#x}"

    return Words(word)


def _unsigned(number: int, bits: int) -> int:
    return number & ((1 << bits) - 1)


_FILE_TYPES = {value: name for name, value in vars(stat).items() if name.startswith("S_IF") and isinstance(value, int)
               and name not in ("S_IFMT", "S_IFDOOR", "S_IFPORT", "S_IFWHT")}  # fmt: skip
_TYPE = 0o170000
_SPECIAL = (("S_ISUID", stat.S_ISUID), ("S_ISGID", stat.S_ISGID), ("S_ISVTX", stat.S_ISVTX))


def mode_word(mode: int) -> str:
    """Return "0644", "S_IFREG|0644", "S_IFDIR|S_ISVTX|0777"."""
    kind = mode & _TYPE
    if mode < 0 or mode >> 16:
        return f"{mode:#o}" if mode >= 0 else str(mode)
    if not kind:
        return f"0{mode:02o}" if mode else "000"
    special = [name for name, bit in _SPECIAL if mode & bit]
    return "|".join([_FILE_TYPES.get(kind, f"{kind:#o}"), *special, f"0{mode & 0o777:03o}"])


def char_word(number: int) -> str:
    """Return "'a'" for 97, "EOF" for -1."""
    if number == -1:
        return "EOF"
    if 32 <= number < 127:
        return f"'{chr(number)}'" if chr(number) not in "'\\" else f"'\\{chr(number)}'"
    return f"'{_ESCAPES[number]}'" if number in _ESCAPES else r"'\0'" if number == 0 else str(number)


def signal_set_word(bits: int) -> str:
    """Return "[INT TERM]" for a signal set, "~[KILL]" when that is shorter."""
    present = [number for number in range(1, 65) if bits >> (number - 1) & 1]
    absent = [number for number in range(1, 65) if not bits >> (number - 1) & 1]
    sign, shown = ("", present) if len(present) <= len(absent) else ("~", absent)
    return f"{sign}[{' '.join(signal_name(number).removeprefix('SIG') for number in shown)}]"


def pointer_word(address: int) -> str:
    return f"{address:#x}" if address else "NULL"


def _id_word(number: int) -> str:
    return "-1" if number == 0xFFFFFFFF else str(number)


_ROLES: dict[str, Callable[[int], str]] = {
    "flags": lambda number: f"{number:#x}" if number else "0",
    "mode": mode_word,
    "signal": signal_name,
    "errno": lambda number: errno_name(number) if number > 0 else str(number),
    "char": char_word,
    "clockid": clock_name,
    "dirfd": lambda number: "AT_FDCWD" if number == AT_FDCWD else str(number),
    "uid": _id_word,
    "gid": _id_word,
    "sigset": signal_set_word,
    "word": lambda number: f"{number:#x}" if number > 0xFFFF else str(number),
}


_WITH_MODES = frozenset({"ipcget"})
"""Sets of flags beside which permissions stand in one number (shmget's)."""


class Dictionary:
    """The words of one manifest's numbers."""

    def __init__(self, names: dict[str, Names]) -> None:
        self._names = names
        self._roles = {role: Words(word) for role, word in _ROLES.items()}
        self.pointers = Words(pointer_word)
        self._sets: dict[tuple[str, int], Words] = {}

    def words(self, role: str, names: str, bits: int) -> Words | None:
        """Return the words for a number of that role; None for one that stays a number."""
        if names in self._names and role not in ("dirfd", "signal", "clockid"):
            return self._set(names, bits)
        return self._roles.get(role)

    def _set(self, name: str, bits: int) -> Words:
        key = (name, bits)
        if key not in self._sets:
            names = self._names[name]
            modes = name in _WITH_MODES
            self._sets[key] = flags(names, bits, modes) if names.kind == "flags" else enum(names, bits)
        return self._sets[key]


_PLAIN = set(map(chr, range(32, 127))) - {'"', "\\"}
_ESCAPES = {9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 34: r"\"", 92: r"\\"}


def plain(text: str) -> bool:
    """Whether *text* needs no escapes."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """Return bytes (as latin-1) with C escapes, octal for what has none, as short as the next character allows."""
    if plain(text):
        return text
    pieces = []
    for i, char in enumerate(text):
        if char in _PLAIN:
            pieces.append(char)
        elif ord(char) in _ESCAPES:
            pieces.append(_ESCAPES[ord(char)])
        else:
            digit = text[i + 1 : i + 2].isdigit()
            pieces.append(f"\\{ord(char):03o}" if digit else f"\\{ord(char):o}")
    return "".join(pieces)
