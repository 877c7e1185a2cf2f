"""The record of one waiting call, decoded fast: what decode.py does for thousands, for one, without numpy where it can.

Used by answering.py. A program waits meanwhile: numbers are one unpack, strings one slice; what is richer (structs,
lists, varargs) goes through decode.py. Rules: the bytes are the program's and may be anything; names and values are
jsonl's, which tests compare.

Absent on purpose: what is done with it (question.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wc_intercept.generator.manifest import Field, Manifest, Return, Symbol

from . import abi_fields as abi
from .errnos import errno_name

if TYPE_CHECKING:
    from .question import Verdict

NUMBERS = {
    ("int", 1): "b", ("int", 2): "h", ("int", 4): "i", ("int", 8): "q", ("uint", 1): "B", ("uint", 2): "H",
    ("uint", 4): "I", ("uint", 8): "Q", ("bool", 4): "I", ("pointer", 8): "Q", ("float", 4): "f", ("float", 8): "d",
}  # fmt: skip
MOST_ERRNO = 4095
MINUS_ONE = ("-1", "EOF", "MAP_FAILED", "SIG_ERR")
Slow = Callable[[bytes, int, int], dict[str, Any]]
"""(cells, pid, tid) -> arguments, by decode.py."""


class Shape:
    """How one symbol's records read, and what of its calls may be changed."""

    def __init__(self, manifest: Manifest, id: int) -> None:
        self.symbol: Symbol = manifest.symbols[id]
        self.target = manifest.targets[self.symbol.target]
        fields = self.symbol.fields
        self.simple = all(_is_simple(field) for field in fields)
        places = sorted((field.offset, NUMBERS[field.type, field.size], i) for i, field in enumerate(fields)) if (
            self.simple
        ) else []  # fmt: skip
        form, at = "<", 0
        for offset, code, _ in places:
            form += f"{offset - at}x{code}"
            at = offset + struct.calcsize("<" + code)
        self._numbers = struct.Struct(form)
        self._order = [i for _, _, i in places]
        self._names = [field.name for field in fields]
        self._bools = [i for i, field in enumerate(fields) if field.type == "bool"]
        self._kept = [(i, field.blob) for i, field in enumerate(fields) if field.blob]
        self._index = {field.name: i for i, field in enumerate(fields)}

    def arguments(self, cells: bytes) -> dict[str, Any]:
        """Return the arguments of a *simple* symbol's record."""
        values: list[Any] = [None] * len(self._names)
        for i, value in zip(self._order, self._numbers.unpack_from(cells), strict=True):
            values[i] = value
        for i in self._bools:
            values[i] = int(values[i] != 0)
        for i, blob in self._kept:
            values[i] = _text(cells, blob, values[i])
        return dict(zip(self._names, values, strict=True))

    def change(self, verdict: Verdict, name: str, value: Any) -> None:
        """Put *value* in the place of the argument *name*. Raises TypeError, ValueError."""
        from .question import bits, text_bytes

        i = self._index.get(name, -1)
        where = f"{self.target.name}: {name}"
        if not 0 <= i < abi.ASK_VALUES or not _is_changeable(self.symbol.fields[i]):
            can = ", ".join(field.name for field in self.symbol.fields if _is_changeable(field))
            raise TypeError(f"{where} is no argument that can be changed; these are: {can or 'none'}")
        field = self.symbol.fields[i]
        if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
            if not field.given:
                raise TypeError(f"{where} is no string that the call reads")
            text = text_bytes(value, where)
            verdict.changes[i] = sum(map(len, verdict.texts.values()))
            verdict.texts[i] = text
        else:
            verdict.changes[i] = bits(value, field, where)

    def returned(self, value: Any) -> int:
        """Return *value* as the 64 bits of this function's result. Raises TypeError, ValueError."""
        from .question import as_bits

        rule, what = self.symbol.result, f"{self.target.name} returns"
        if rule.type == "none":
            if value is not None:
                raise TypeError(f"{self.target.name} returns nothing")
            return 0
        if rule.offset:
            raise TypeError(f"{what} no number")
        return as_bits(value, rule.type, rule.size, what)


class Record:
    """A question's record: *raw* is a private copy of the question, its cells behind ASK_CELLS."""

    __slots__ = ("_ids", "_raw", "_slow", "after", "shape")

    def __init__(self, shape: Shape, raw: bytes, after: bool, slow: Slow, pid: int, tid: int) -> None:
        self.shape, self._raw, self.after, self._slow, self._ids = shape, raw, after, slow, (pid, tid)

    @property
    def _cells(self) -> bytes:
        return self._raw[abi.ASK_CELLS :]

    def arguments(self) -> dict[str, Any]:
        return self.shape.arguments(self._cells) if self.shape.simple else self._slow(self._cells, *self._ids)

    def result(self) -> tuple[Any, str | None]:
        """Return what the call returned, and the name of its error if it failed."""
        bits, error = struct.unpack_from("<Qi", self._cells, abi.FIRST.offset("result"))
        symbol = self.shape.symbol
        return kernel_result_of(symbol.result, bits) if symbol.is_syscall else result_of(symbol.result, bits, error)


def result_of(rule: Return, bits: int, error: int) -> tuple[Any, str | None]:
    """Return the value of *bits* and the error's name, as result.py does for many."""
    if rule.type == "none" or rule.offset:
        return None, None
    if rule.type == "float":
        return struct.unpack("<d", bits.to_bytes(8, "little"))[0], None
    width = 8 * rule.size if 0 < rule.size < 8 else 64
    value = bits & ((1 << width) - 1)
    if rule.type == "bool":
        return int(bits & 0xFF != 0), None
    signed = value - (1 << width) if value >> (width - 1) else value
    failed = _failed(rule, value, signed)
    if rule.fail == "errno":
        return signed, errno_name(signed) if failed else None
    if rule.type == "int" or (failed and rule.fail in MINUS_ONE):
        value = signed
    own_code = rule.fail == "nonzero" and rule.names
    return value, errno_name(error) if failed and error and not own_code else None


def kernel_result_of(rule: Return, bits: int) -> tuple[Any, str | None]:
    """Return what a system call gave back: -1 and the error's name for -4095 to -1. Of an int 32 bits count."""
    value, error = result_of(Return(rule.type, rule.size), bits, 0)
    told = bits - (1 << 64) if rule.type != "int" and bits >> 63 else value
    return (-1, errno_name(-told)) if isinstance(told, int) and -MOST_ERRNO <= told < 0 else (value, error)


def _failed(rule: Return, value: int, signed: int) -> bool:
    if rule.fail in MINUS_ONE:
        return signed == -1
    if rule.fail in ("NULL", "zero"):
        return value == 0
    if rule.fail == "<0":
        return signed < 0
    return value != 0 if rule.fail in ("nonzero", "errno") else False


def _is_simple(field: Field) -> bool:
    """A number, or a string or buffer of which no more is known."""
    known = (field.type, field.size) in NUMBERS and not field.many and not field.struct
    return known and (not field.blob or field.content in ("text", "bytes"))


def _is_changeable(field: Field) -> bool:
    return (field.type, field.size) in NUMBERS


def _text(cells: bytes, blob: int, pointer: int) -> Any:
    """Return the string behind *pointer*, None for NULL, or the pointer where nothing was kept."""
    length, flags, cell = struct.unpack_from("<HBB", cells, blob)
    if pointer == 0 or flags & abi.BLOB_NULL:
        return None
    if not flags & abi.BLOB_KEPT or flags & abi.BLOB_UNREADABLE:
        return pointer
    start, parts = cell * abi.CELL_SIZE, []
    while length > 0 and cell > 0 and start + abi.CELL_SIZE <= len(cells):
        parts.append(cells[start + 8 : start + 8 + min(length, abi.CONT_PAYLOAD)])
        start += abi.CELL_SIZE
        length -= abi.CONT_PAYLOAD
    return b"".join(parts).decode("utf-8", "surrogateescape")
