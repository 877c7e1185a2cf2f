"""Columns as text: each argument of all calls of a batch, as strace writes it.

Used by text.py. The same walk as jsonl.py's, with words for numbers. Rules: a cell never holds a byte that could
disturb a terminal; long lists, long structs and (by option) long strings are cut, and say so with "...".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import columns
from .columns import Column
from .idioms import PARAMETERS, STRUCTS
from .members import MEMBER_NAMES, MEMBERS, SHORT
from .sockets import address
from .words import Dictionary, char_word, escaped, plain

Cells = Sequence[int | str]

MOST_ITEMS = 32
"""Elements of a list that are shown."""
MOST_MEMBERS = 6
"""Members up to which a struct is shown whole."""
FILLING = ("pad", "unused", "reserved", "spare", "glibc_reserved")


class TextCells:
    """Renders columns. string_limit: characters of a string that are shown, None for all that were kept."""

    def __init__(self, dictionary: Dictionary, string_limit: int | None = None) -> None:
        self.dictionary = dictionary
        self._limit = string_limit
        self._renderers: dict[type, Callable[[Any], Cells]] = {
            columns.Scalar: self._scalar,
            columns.Raw: lambda column: list(map(_raw, column.items)),
            columns.Nothing: lambda column: ["..."] * column.rows,
            columns.Text: self._text,
            columns.Texts: self._texts,
            columns.Varargs: self._varargs,
            columns.Members: self._members,
            columns.Lists: self._lists,
            columns.Pointed: self._pointed,
        }

    def cells(self, column: Column) -> Cells:
        return self._renderers[type(column)](column)

    def _scalar(self, column: columns.Scalar) -> Cells:
        return self.numbers(column.data, column.type, column.role, column.names)

    def numbers(self, data: columns.Array, type_: str, role: str = "", names: str = "") -> Cells:
        """Return numbers in the words of their role."""
        if type_ == "pointer":
            return list(map(self.dictionary.pointers.__getitem__, data.tolist()))
        if type_ == "bool":
            return ["true" if value else "false" for value in data.tolist()]
        if data.dtype.kind == "c":
            return [f"{v.real:g}{v.imag:+g}*I" for v in data.tolist()]
        if data.dtype.kind == "f":
            return list(map(repr, data.tolist()))
        words = self.dictionary.words(role, names, 8 * data.dtype.itemsize)
        return data.tolist() if words is None else list(map(words.__getitem__, data.tolist()))

    def _text(self, column: columns.Text) -> Cells:
        items, limit = column.items, self._limit
        if column.role == "sockaddr":
            return [address(item.encode("latin-1")) for item in items]
        if limit is None or column.role == "path" or max(map(len, items), default=0) <= limit:
            if plain("".join(items)):
                quoted: list[int | str] = [f'"{item}"' for item in items]
            else:
                quoted = [f'"{escaped(item)}"' for item in items]
        else:
            quoted = [f'"{escaped(item)}"' if len(item) <= limit else f'"{escaped(item[:limit])}"...' for item in items]
        for row in np.flatnonzero(column.cut).tolist() if column.cut is not None else ():
            quoted[row] = str(quoted[row]).removesuffix("...") + "..."
        return quoted

    def _texts(self, column: columns.Texts) -> Cells:
        rows = ["[" + _listed([self._string(item) for item in row]) + "]" for row in column.items]
        for row in np.flatnonzero(column.cut).tolist() if column.cut is not None else ():
            rows[row] = rows[row].removesuffix("]").removesuffix(", ...") + ", ...]"
        return rows

    def _string(self, item: str, cut: bool = False) -> str:
        over = self._limit is not None and len(item) > self._limit
        return f'"{escaped(item[: self._limit] if over else item)}"' + ("..." if over or cut else "")

    def _varargs(self, column: columns.Varargs) -> Cells:
        """Varargs come with the comma that separates them, since there may be none."""
        return ["".join([", " + self._vararg(tag, value) for tag, value in row]) for row in column.items]

    def _vararg(self, tag: str, value: Any) -> str:
        if isinstance(value, str):
            return self._string(value, cut=tag == "t")
        if tag == "p":
            return self.dictionary.pointers[value]
        return "NULL" if value is None else char_word(value) if tag == "c" else str(value)

    def _members(self, column: columns.Members) -> Cells:
        idiom = STRUCTS.get(column.struct)
        told = idiom(column) if idiom is not None else None
        if told is not None:
            return told
        shown, more = _shown([name for name, _ in column.members])
        kept = [(name, member) for name, member in column.members if name in shown]
        members = [(name, self._member(column.struct, name, member)) for name, member in kept]
        if not members:
            return ["{...}"] * column.rows
        names = [MEMBER_NAMES.get(name, name.lstrip("_")).replace("%", "%%") for name, _ in members]
        template = "{" + ", ".join(f"{name}=%s" for name in names)
        template += ", ...}" if more else "}"
        return list(map(template.__mod__, zip(*(cells for _, cells in members), strict=True)))

    def _member(self, struct: str, name: str, column: Column) -> Cells:
        words = MEMBERS.get((struct, name))
        if words is not None and isinstance(column, columns.Raw):
            return [words[int.from_bytes(item, "little")] for item in column.items]
        if words is None or not isinstance(column, columns.Scalar):
            return self.cells(column)
        return list(map(words.__getitem__, column.data.tolist()))

    def _lists(self, column: columns.Lists) -> Cells:
        items, ends = [str(cell) for cell in self.cells(column.items)], column.ends
        return ["[" + _listed(items[a:b]) + "]" for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []

    def parameter(self, function: str, name: str, column: Column) -> Cells:
        """Return an argument's cells, in the idiom of its name if there is one."""
        idiom = PARAMETERS.get(f"{function}.{name}") or PARAMETERS.get(name)
        if idiom is None or not isinstance(column, columns.Pointed):
            return self.cells(column)
        return self._pointed(column, idiom(column.value, column.pointer[column.state == columns.VALUE]))

    def _pointed(self, column: columns.Pointed, found: Cells | None = None) -> Cells:
        found = self._behind(column.value) if found is None else found
        if not column.state.any():
            return found
        rows: list[int | str] = list(map(self.dictionary.pointers.__getitem__, column.pointer.tolist()))
        for row, cell in zip(np.flatnonzero(column.state == columns.VALUE).tolist(), found, strict=True):
            rows[row] = cell
        for row in np.flatnonzero(column.state == columns.NULL).tolist():
            rows[row] = "NULL"
        return rows

    def _behind(self, column: Column) -> Cells:
        """What a pointer leads to: a single number stands in brackets, as a list of one."""
        cells = self.cells(column)
        if isinstance(column, columns.Scalar) and column.role != "sigset":
            return [f"[{cell}]" for cell in cells]
        return cells


def _listed(items: list[str]) -> str:
    return ", ".join(items) if len(items) <= MOST_ITEMS else ", ".join(items[:MOST_ITEMS]) + ", ..."


def _raw(data: bytes) -> str:
    """Bytes of unknown meaning: a number when they are as long as one."""
    if len(data) in (1, 2, 4, 8):
        return f"{int.from_bytes(data, 'little'):#x}"
    return f'"{escaped(data.decode("latin-1"))}"'


def _shown(names: list[str]) -> tuple[set[str], bool]:
    """Return which members of a struct are shown, and whether that leaves some out."""
    telling = [name for name in names if not name.lstrip("_").startswith(FILLING)]
    for key, (short, more) in SHORT.items():
        if key in names:
            return set(short), more
    telling = telling or names
    return (set(telling), False) if len(telling) <= MOST_MEMBERS else (set(telling[: MOST_MEMBERS - 2]), True)
