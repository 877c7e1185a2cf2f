"""How one symbol's records read: the manifest's fields as one numpy dtype, and parameter by parameter as columns.

Used by decode.py, which makes one Layout per symbol and kind, and a Batch of records for each. Rules: everything is
looked up once per symbol; a manifest whose fields do not fit its cells is refused here, with a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from wc_intercept.generator.manifest import Field, Manifest, Return, Symbol, Target

from . import abi
from .blobs import Blobs, Payload, read
from .columns import (
    POINTER,
    VALUE,
    Array,
    Column,
    Lists,
    Nothing,
    Pointed,
    Text,
    Texts,
    Types,
    Varargs,
    compound,
    parse_varargs,
)

_HEAD: list[tuple[str, np.dtype[Any], int]] = [
    ("clock", np.dtype("<u8"), 8),
    ("duration", np.dtype("<u8"), 16),
    ("result", np.dtype("<u8"), 24),
    ("error", np.dtype("<i4"), 32),
]
_PATHS = frozenset({"path", "pathname", "filename", "oldpath", "newpath", "target", "linkpath"})
"""How the man pages call parameters that are paths, which are kept whole and shown whole."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: its field, and the names of its parts in Layout.dtype ("" for a part that is not kept)."""

    field: Field
    name: str
    """As it is shown: varargs are "...". """
    scalar: str
    blob: str


@dataclass(slots=True)
class Rows:
    """Records of one layout: data is (rows,) of Layout.dtype; first and cells say where each lies in its chunk."""

    data: Array
    first: Array
    cells: Array
    payload: Payload


class Layout:
    """One symbol's records of one kind. id is the symbol's index, SYMBOL_NONE for records that are not calls."""

    def __init__(self, id: int, symbol: Symbol, target: Target, types: Types, exec_record: bool = False) -> None:
        self.id = id
        self.symbol = symbol
        self.target = target
        self.types = types
        syscall = target.kind == "syscall" or symbol.is_syscall  # a function target may stand for system calls too
        self.kind = "syscall" if syscall else "function"
        self.bad = 0
        """Blobs seen that did not fit their records."""
        self.cells = 1 if exec_record else max(symbol.cells, 1)
        members = list(_HEAD)
        self.parameters = _exec_parameters(symbol, members) if exec_record else self._parameters(members)
        if not exec_record:
            self._result(members)
        self.dtype = compound(members, self.cells * abi.CELL_SIZE)
        self.names = frozenset(self.dtype.names or ())

    def _parameters(self, members: list[tuple[str, np.dtype[Any], int]]) -> list[Parameter]:
        parameters = []
        for i, field in enumerate(self.symbol.fields):
            scalar = f"f{i}" if field.size and field.type != "none" else ""
            blob = f"b{i}" if field.blob else ""
            if scalar:
                members.append((scalar, *self.types.placed(field)))
            if blob:
                members.append((blob, abi.BLOB, field.blob))
            name = "..." if field.content == "varargs" else field.name
            parameters.append(Parameter(field, name, scalar, blob))
        return parameters

    def _result(self, members: list[tuple[str, np.dtype[Any], int]]) -> None:
        result = self.symbol.result
        if result.offset:
            members.append(("wide", self.types.dtype(result.type, result.size, result.struct), result.offset))
        if result.blob:
            members.append(("returned", abi.BLOB, result.blob))
        if self.symbol.caller:
            members.append(("caller", np.dtype("<u8"), self.symbol.caller))
        if self.symbol.injected:
            members.append(("injected", np.dtype("u1"), self.symbol.injected))

    def entered(self) -> Layout:
        """Return the layout of calls of which only the first argument is known (struct wci_inside)."""
        layout = Layout(self.id, self.symbol, self.target, self.types)
        for i, p in enumerate(self.parameters):
            known = i == 0 and p.field.type in ("int", "uint", "bool", "pointer")
            layout.parameters[i] = Parameter(p.field, p.name, p.scalar if known else "", "")
        return layout

    def column(self, rows: Rows, parameter: Parameter) -> Column:
        """Return one argument of all *rows*."""
        scalar = rows.data[parameter.scalar] if parameter.scalar else None
        if not parameter.blob:
            return Nothing(len(rows.data)) if scalar is None else self.types.column(scalar, parameter.field)
        if scalar is not None and scalar.dtype.kind != "u":
            scalar = None
        blobs = read(rows.payload, rows.data[parameter.blob], rows.first, rows.cells, scalar)
        return self._pointed(blobs, parameter.field, scalar)

    def returned(self, rows: Rows) -> Pointed | None:
        """Return the strings that the calls returned, when the records keep them."""
        if "returned" not in self.names:
            return None
        pointer = rows.data["result"]
        blobs = read(rows.payload, rows.data["returned"], rows.first, rows.cells, pointer)
        return self._pointed(blobs, Field("", "pointer", 0, 8, content="text"), pointer)

    def _pointed(self, blobs: Blobs, field: Field, pointer: Array | None) -> Pointed:
        self.bad += blobs.bad
        if field.content == "varargs":
            blobs.state[:] = VALUE
        element = field.element
        if field.content == "values" and element is not None and not element.many:
            short = blobs.length < element.size
            if self.kind == "syscall":  # openat2's how: what the caller does not know of is 0
                short &= blobs.truncated | (blobs.length == 0)
            blobs.state[short & (blobs.state == VALUE)] = POINTER
        known = blobs.state == VALUE
        value = self._content(blobs if known.all() else blobs.rows(known), field)
        if pointer is None:
            pointer = np.zeros(len(known), dtype=np.uint64)
        return Pointed(blobs.state, pointer, value, blobs.truncated)

    def _content(self, blobs: Blobs, field: Field) -> Column:
        if field.content == "values" and field.element is not None:
            return self._values(blobs, field)
        texts = blobs.texts()
        if field.content == "texts":
            return Texts([_split(text) for text in texts], blobs.truncated)
        if field.content == "varargs":
            return Varargs([parse_varargs(text.encode("latin-1")) for text in texts])
        return Text(texts, blobs.truncated, role="path" if field.name in _PATHS else field.role)

    def _values(self, blobs: Blobs, field: Field) -> Column:
        element = field.element
        assert element is not None
        size, dtype = element.size, self.types.element(element)
        if size <= 0 or dtype.itemsize != size:
            return Nothing(len(blobs.length))
        if not element.many:
            return self.types.column(blobs.fixed(size).view(dtype).reshape(-1), element)
        flat, counts = blobs.gathered(size)
        return Lists(self.types.column(flat.view(dtype).reshape(-1), element), np.cumsum(counts).tolist())


def _exec_parameters(symbol: Symbol, members: list[tuple[str, np.dtype[Any], int]]) -> list[Parameter]:
    """An EXEC record keeps the path alone, whatever else the function was given."""
    members.append(("path", abi.BLOB, abi.FIRST_ARGS))
    members.append(("child", np.dtype("<u4"), abi.FIRST_ARGS + abi.BLOB.itemsize))
    named = next((i for i, field in enumerate(symbol.fields) if field.content == "text"), None)
    path = Field("path", "none", 0, 0, role="path", content="text")
    parameters = [Parameter(Field(field.name, "none", 0, 0), field.name, "", "") for field in symbol.fields]
    if named is None:
        return [*parameters, Parameter(path, "path", "", "path")]
    parameters[named] = Parameter(path, symbol.fields[named].name, "", "path")
    return parameters


def _split(text: str) -> list[str]:
    return text[:-1].split("\0") if text.endswith("\0") else text.split("\0") if text else []


class Layouts:
    """The layouts of a manifest's symbols, each made when its first record comes: a shim may have thousands."""

    def __init__(self, manifest: Manifest) -> None:
        """Raises ValueError when *manifest* contradicts itself."""
        check(manifest.symbols, len(manifest.targets))
        self._manifest = manifest
        self._types = Types(manifest.structs)
        self._events = event_layouts(self._types)
        self._known: dict[tuple[bool, int], Layout | None] = {}
        self._changes: dict[int, Layout] = {}

    @property
    def bad(self) -> int:
        """Blobs seen that did not fit their records."""
        return sum(layout.bad for layout in self._known.values() if layout is not None)

    def of(self, kind: int, symbol: int) -> Layout | None:
        """Return the layout of records of that kind and symbol; None when there are none such."""
        if kind == abi.CONTROL_SEEN:
            return self._change_of(symbol)
        if kind in self._events:
            return self._events[kind]
        if kind not in (abi.CALL, abi.ENTER, abi.EXEC) or symbol >= len(self._manifest.symbols):
            return None
        key = (kind == abi.EXEC, symbol)
        if key not in self._known:
            self._known[key] = self._made(*key)
        return self._known[key]

    def _change_of(self, symbol: int) -> Layout | None:
        """CONTROL_SEEN records bear the name of the target that changed."""
        if symbol >= len(self._manifest.symbols):
            return None
        number = self._manifest.symbols[symbol].target
        if number not in self._changes:
            self._changes[number] = event_layout(self._manifest.targets[number].name, _SEEN, self._types)
        return self._changes[number]

    def _made(self, exec_record: bool, id: int) -> Layout | None:
        symbol = self._manifest.symbols[id]
        try:
            return Layout(id, symbol, self._manifest.targets[symbol.target], self._types, exec_record)
        except ValueError:
            return None  # members of a struct that lie outside it


def check(symbols: Iterable[Symbol], targets: int) -> None:
    """Raise ValueError when one of *symbols* reaches beyond its record, or belongs to none of so many *targets*."""
    for symbol in symbols:
        _check(symbol, targets)


def _check(symbol: Symbol, targets: int) -> None:
    size = max(symbol.cells, 1) * abi.CELL_SIZE
    parts = [(field.offset, field.size) for field in symbol.fields] + [(field.blob, 4) for field in symbol.fields]
    parts += [(symbol.result.offset, symbol.result.size), (symbol.result.blob, 4)]
    parts += [(symbol.caller, 8), (symbol.injected, 1)]
    if not all(offset >= 0 and length >= 0 and offset + length <= size for offset, length in parts):
        raise ValueError(f"an argument of {symbol.name} lies outside its record of {size} bytes")
    if not 0 <= symbol.target < targets:
        raise ValueError(f"symbol {symbol.name} belongs to target {symbol.target} of {targets}")


def event_layout(name: str, fields: list[Field], types: Types) -> Layout:
    """Return the layout of a record that is not a call."""
    return Layout(abi.SYMBOL_NONE, Symbol(name, 0, "plain", fields=fields, result=Return()), Target(name), types)


_SEEN = [
    *(Field(name, "uint", abi.FIRST_ARGS + 4 * i, 4) for i, name in enumerate(abi.SEEN.names or ()) if 0 < i < 4),
    Field("max_per_second", "uint", abi.FIRST_ARGS + 16, 4),
    Field("min_duration", "uint", abi.FIRST_ARGS + 20, 8),
]
"""Of struct wci_seen, without the target: the layout bears its name."""


def event_layouts(types: Types) -> dict[int, Layout]:
    """Return the layouts of the record kinds that are not calls."""
    words = ("pid", "tid", "parent", "reason")
    identity = [Field(word, "uint", abi.FIRST_ARGS + 4 * i, 4) for i, word in enumerate(words)]
    return {
        abi.PROCESS: event_layout("process", identity, types),
        abi.THREAD: event_layout("thread", identity[:2], types),
        abi.LOST: event_layout("loss", [Field("lost", "uint", 24, 8)], types),
    }
