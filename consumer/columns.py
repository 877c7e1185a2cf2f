"""Columns: the arguments of many calls of one symbol, ready to be rendered.

decode.py cuts a chunk into batches; this module turns one parameter of a batch into a tree of columns that values.py,
jsonl.py and text.py each walk in their own way. Rules: one row per call, in the batch's order; whatever shared memory
says about lengths has been clamped before (blobs.py), so that nothing here can fail on hostile bytes; a column is
built once, rendered once.

Absent on purpose: anything that looks at single calls, except for varargs, whose items have no common layout.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from wc_intercept.generator.manifest import Element, Field

Array: TypeAlias = NDArray[Any]

VALUE, NULL, POINTER = 0, 1, 2
"""What is known of a pointer argument in one row: what it points to, that it is NULL, or its number only."""


@dataclass(slots=True)
class Scalar:
    """Numbers: data is (rows,) of an integer, float or complex dtype."""

    data: Array
    type: str
    role: str = ""
    names: str = ""


@dataclass(slots=True)
class Raw:
    """Bytes that no type describes: one bytes object per row."""

    items: list[bytes]


@dataclass(slots=True)
class Nothing:
    """A parameter of which the record keeps nothing."""

    rows: int


@dataclass(slots=True)
class Text:
    """Strings and buffers. items are the bytes as latin-1 (a character is a byte); cut is None or (rows,) bool."""

    items: list[str]
    cut: Array | None = None
    role: str = ""
    """"path": never cut by a renderer; "sockaddr": the bytes of a socket address; "" for what is neither."""


@dataclass(slots=True)
class Texts:
    """Lists of strings (argv, envp), as latin-1; cut as in Text."""

    items: list[list[str]]
    cut: Array | None = None


@dataclass(slots=True)
class Varargs:
    """Lists of (tag, value); tags as manifest.Content says; values int, float, latin-1 str or None."""

    items: list[list[tuple[str, int | float | str | None]]]


@dataclass(slots=True)
class Members:
    """Structs: each member is a column of as many rows."""

    members: list[tuple[str, Column]]
    rows: int
    struct: str = ""


@dataclass(slots=True)
class Lists:
    """Arrays: row i holds items[ends[i - 1]:ends[i]] of one long column."""

    items: Column
    ends: list[int]


@dataclass(slots=True)
class Pointed:
    """What pointers point to. value has a row for each row whose state is VALUE, in order."""

    state: Array
    pointer: Array
    value: Column
    truncated: Array
    """(rows,) bool: there was more than was kept."""


Column: TypeAlias = Scalar | Raw | Nothing | Text | Texts | Varargs | Members | Lists | Pointed

_NUMBERS = {
    "int": {1: "<i1", 2: "<i2", 4: "<i4", 8: "<i8"},
    "uint": {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"},
    "bool": {1: "<u1", 4: "<u4"},
    "pointer": {8: "<u8", 4: "<u4"},
    "float": {2: "<f2", 4: "<f4", 8: "<f8"},
    "complex": {8: "<c8", 16: "<c16"},
}
_X87 = struct.Struct("<QH")


class Types:
    """numpy dtypes for the manifest's types. Raises ValueError for a manifest whose offsets do not fit its sizes."""

    def __init__(self, structs: Mapping[str, Sequence[Field]]) -> None:
        self.structs = structs
        self._known: dict[tuple[str, int], np.dtype[Any]] = {}

    def dtype(self, kind: str, size: int, struct_name: str = "") -> np.dtype[Any]:
        """Return the dtype of one value: *size* bytes, opaque when no number type has that size."""
        if kind == "struct" and struct_name in self.structs:
            return self._struct(struct_name, size)
        return np.dtype(_NUMBERS.get(kind, {}).get(size, f"V{size}"))

    def _struct(self, name: str, size: int) -> np.dtype[Any]:
        known = self._known.get((name, size))
        if known is None:
            members = [(str(i), *self.placed(field)) for i, field in enumerate(self.structs[name]) if field.size]
            known = self._known[name, size] = compound(members, size)
        return known

    def placed(self, field: Field) -> tuple[np.dtype[Any], int]:
        """Return dtype and offset of a field; an array member has the shape of its elements."""
        if not field.many:
            return self.dtype(field.type, field.size, field.struct), field.offset
        one = self.dtype(field.type, field.size // field.many, field.struct)
        return np.dtype((one, (field.many,))), field.offset

    def element(self, element: Element) -> np.dtype[Any]:
        return self.dtype(element.type, element.size, element.struct)

    def column(self, data: Array, field: Field | Element) -> Column:
        """Return the column of values that *data* (of dtype(field)) holds."""
        if data.ndim > 1:
            return self._array(data, field)
        if field.type == "struct" and data.dtype.names is not None:
            return self._members(data, field.struct)
        if data.dtype.kind == "V":
            return _opaque(data, field)
        return Scalar(data != 0 if field.type == "bool" else data, field.type, field.role, field.names)

    def _members(self, data: Array, name: str) -> Members:
        columns: list[tuple[str, Column]] = []
        for i, field in enumerate(self.structs[name]):
            column = self.column(data[str(i)], field) if field.size else Nothing(len(data))
            columns.append((field.name, column))
        return Members(columns, len(data), name)

    def _array(self, data: Array, field: Field | Element) -> Column:
        rows, many = data.shape
        if field.role == "char" and data.dtype.itemsize == 1:
            return _characters(data, many)
        items = self.column(np.ascontiguousarray(data).reshape(-1), field)
        return Lists(items, list(range(many, rows * many + 1, many)))


def compound(members: list[tuple[str, np.dtype[Any], int]], size: int) -> np.dtype[Any]:
    """Return a structured dtype of *size* bytes with (name, dtype, offset) *members*."""
    names, formats, offsets = (list(part) for part in zip(*members, strict=True)) if members else ([], [], [])
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def _opaque(data: Array, field: Field | Element) -> Column:
    size = data.dtype.itemsize
    if field.type == "none" or size == 0:
        return Nothing(len(data))
    if isinstance(field, Field) and field.content == "text":
        return _characters(data, size)
    raw = np.ascontiguousarray(data).tobytes()
    parts = [raw[i : i + size] for i in range(0, len(raw), size)]
    if field.type == "longdouble" and size >= 10:
        return Scalar(np.array([x87(part) for part in parts], dtype=np.float64), "float", field.role)
    if field.type == "complex" and size == 32:
        return Scalar(np.array([complex(x87(part), x87(part[16:])) for part in parts], np.complex128), "complex")
    return Raw(parts)


def _characters(data: Array, size: int) -> Text:
    """An array of characters is a string up to its NUL, if it has one."""
    flat = np.ascontiguousarray(data).tobytes().decode("latin-1")
    return Text([flat[i : i + size].partition("\0")[0] for i in range(0, len(flat), size)])


def x87(data: bytes) -> float:
    """Return an x87 extended number as the nearest double."""
    mantissa, tail = _X87.unpack_from(data)
    sign = -1.0 if tail & 0x8000 else 1.0
    exponent = tail & 0x7FFF
    if exponent == 0x7FFF:
        return sign * float("inf") if mantissa << 1 & (1 << 64) - 1 == 0 else float("nan")
    try:
        # Two steps, because a mantissa of 64 bits times a large power would overflow on the way.
        return sign * _scaled(mantissa, exponent - 16383 - 63)
    except OverflowError:
        return sign * float("inf")


def _scaled(mantissa: int, exponent: int) -> float:
    if exponent >= 0:
        return float(mantissa << exponent) if exponent < 1100 else float("inf") if mantissa else 0.0
    return mantissa / (1 << -exponent) if exponent > -1300 else 0.0


def parse_varargs(data: bytes) -> list[tuple[str, int | float | str | None]]:
    """Return the items of a varargs blob; stops at the first item that does not fit."""
    items: list[tuple[str, int | float | str | None]] = []
    at = 0
    while at + 2 <= len(data):
        tag, length = chr(data[at]), data[at + 1]
        body = data[at + 2 : at + 2 + length]
        if len(body) < length:
            break
        value = _vararg(tag, body)
        if value is not _BAD:
            items.append((tag, value))
        at += 2 + length
    return items


_BAD: Any = object()
_WORDS = {"i": "<q", "c": "<q", "u": "<Q", "p": "<Q", "f": "<d"}


def _vararg(tag: str, body: bytes) -> Any:
    if tag in _WORDS:
        return struct.unpack(_WORDS[tag], body)[0] if len(body) == 8 else _BAD
    if tag in "st":
        return body.decode("latin-1")
    return None if tag == "z" else _BAD
