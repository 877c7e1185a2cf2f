"""Where everything of a call stands in its record, and the C that puts it there.

Called by emit.py, once per symbol of either engine. Pure. The record's fixed part begins at byte 36 of its first cell;
a field never straddles a cell (payload is 36..64 of the first cell, 8..64 of the others); what a pointer leads to
follows in continuation cells, described by a ``struct wci_blob`` in the fixed part. What is kept behind a pointer is
keep.py's decision; captures.py makes C of it for the shim, tracer_plan.py reads Layout.places for the tracer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .captures import TEXTS_ROOM, Captures, success
from .keep import Keep, is_character, is_plain, keep, keep_result
from .manifest import Content, Element, Field, Return, Symbol, ValueType
from .model import CType, Member, Param, Record, Role, TargetPlan, Wrapper

FIRST_ARGS, CELL, HEADER = 36, 64, 8
ASK_VALUES = 32
"""WCI_ASK_VALUES of wc_abi.h."""
LOCALS = frozenset(
    {
        *("ret", "call", "traced", "record", "cells", "room", "args", "first", "ok", "argv", "envp_"),
        *("regs", "stack", "vectors", "made", "injected", "ask", "answer"),
    }
)
VALUE_ROLES = frozenset(
    {"fd", "dirfd", "pid", "uid", "gid", "mode", "flags", "enum", "signal", "size", "errno", "char", "time", "clockid"}
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One member of the record's fixed part: ``c_type name`` at *offset*, stored as *value* (C)."""

    name: str
    c_type: str
    offset: int
    size: int
    value: str
    copy: bool = False
    """Stored by copying *size* bytes from the address *value* (structs, long double)."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What is kept behind a pointer: *expression* makes the ``struct wci_capture``, *blob* describes it."""

    name: str
    blob: str
    expression: str
    before: str = ""
    """Expression for a record written before the call (nothing is proven then); empty: not captured there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter, an optional word, "..." or the result ("ret") stands, and what is kept behind it."""

    name: str
    type: ValueType
    size: int
    offset: int = 0
    blob: int = 0
    keep: Keep | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An argument that whoever decides about a call may change: the symbol's field, and the C variable *name*."""

    field: int
    name: str
    type: CType
    text: bool = False
    """Another string may be put in its place."""


@dataclass(slots=True)
class Layout:
    """The fixed part of one symbol's records: manifest side, C side, and the tracer's."""

    symbol: Symbol
    slots: list[Slot] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    """In declaration order; parameters that are not kept are of type "none"."""
    cells: int = 1
    room: int = 0
    """Bytes of stack that captures need for what is not contiguous (argv, varargs)."""
    changes: list[Change] = field(default_factory=list)
    """Of a target that asks."""


class _Space:
    """Allocates bytes of the fixed part, first fit, never across a cell."""

    def __init__(self) -> None:
        self.used: list[tuple[int, int]] = [(0, FIRST_ARGS)]
        self.cells = 1

    def place(self, size: int) -> int:
        align = min(8, size) if size in (1, 2, 4, 8) else 8
        for cell in range(200):
            start = FIRST_ARGS if cell == 0 else cell * CELL + HEADER
            start += -start % align
            while start + size <= (cell + 1) * CELL:
                clash = next((end for begin, end in self.used if begin < start + size and start < end), None)
                if clash is None:
                    self.used.append((start, start + size))
                    self.cells = max(self.cells, cell + 1)
                    return start
                start = clash + (-clash % align)
        raise ValueError("record too large")


def parameter_names(params: Sequence[Param]) -> list[str]:
    """Return the C names of the parameters in generated code: unlike the wrapper's own locals."""
    return [f"{param.name}_" if param.name in LOCALS else param.name for param in params]


def value_type(type_: CType) -> tuple[ValueType, int]:
    """Return how a value of *type_* stands in a record: (type, bytes). ``("none", 0)`` when it is not kept."""
    if type_.kind == "pointer":
        return "pointer", 8
    if type_.kind == "bool":
        return "bool", 4
    if type_.kind == "int":
        return ("int" if type_.signed else "uint"), (8 if type_.size == 8 else 4) if type_.size <= 8 else 0
    if type_.kind == "float":
        return "float", type_.size
    if type_.kind == "longdouble":
        return "longdouble", 16
    if type_.kind in ("complex", "struct") and type_.size <= CELL - HEADER:
        return ("complex" if type_.kind == "complex" else "struct"), type_.size
    return "none", 0


_C_TYPES: dict[tuple[str, int], str] = {
    ("pointer", 8): "uint64_t", ("bool", 4): "uint32_t", ("int", 4): "int32_t", ("uint", 4): "uint32_t",
    ("int", 8): "int64_t", ("uint", 8): "uint64_t", ("float", 4): "float", ("float", 8): "double",
}  # fmt: skip


class Structs:
    """Collects the struct layouts that the manifest must carry."""

    def __init__(self) -> None:
        self.layouts: dict[str, list[Field]] = {}

    def add(self, record: Record) -> str:
        if record.name not in self.layouts:
            self.layouts[record.name] = []
            public = [m for m in record.members if not m.name.startswith("__") or m.name in _FUNCTION_MEMBERS]
            self.layouts[record.name] = [self._member(member) for member in public or record.members]
        return record.name

    def _member(self, member: Member) -> Field:
        type_ = member.type
        kind: ValueType = "raw"
        if type_.kind in ("int", "bool"):
            kind = "int" if type_.signed else "uint"
        elif type_.kind in ("pointer", "float", "longdouble", "complex", "struct"):
            kind = type_.kind
        content: Content = ""
        if kind == "struct" and (type_.record is None or not type_.record.members):
            kind = "raw"
        name = _FUNCTION_MEMBERS.get(member.name, member.name)
        if name != member.name:
            kind = "pointer"
        many = member.array_length or 0
        if many and is_character(type_):
            kind, content, many = "raw", "text", 0
        size = type_.size * (member.array_length if member.array_length is not None else 1)
        struct = self.add(type_.record) if kind == "struct" and type_.record is not None else ""
        return Field(name, kind, member.offset, size, content=content, struct=struct, many=many,
                     role=_MEMBER_ROLES.get(member.name, ""))  # fmt: skip


_ONE = re.compile(r"min\(\s*\w+\s*,\s*sizeof\s*\)")
"""The length of a struct whose size the caller gives: one value, of which as much as is there is kept."""
_FUNCTION_MEMBERS = {"__sigaction_handler": "sa_handler"}
"""Unions of function pointers that programs know by a macro's name."""
_MEMBER_ROLES = {"st_mode": "mode", "st_uid": "uid", "st_gid": "gid", "fd": "fd", "si_pid": "pid"}


class _Builder:
    """Builds one Layout. Kept as a class because slots, fields and captures grow together."""

    def __init__(self, wrapper: Wrapper, target: TargetPlan, structs: Structs) -> None:
        assert wrapper.function is not None
        self.wrapper, self.target, self.function, self.structs = wrapper, target, wrapper.function, structs
        self.space = _Space()
        self.slots: list[Slot] = []
        self.captures: list[Capture] = []
        self.fields: list[Field] = []
        self.places: list[Place] = []
        self.result_place: Place | None = None
        self.room = 0
        self.c_names = parameter_names(self.function.params)
        annotation = wrapper.annotation
        named = [name for name, _ in annotation.params] if annotation else []
        self.names = [
            named[i] if i < len(named) else param.name.rstrip("_") or param.name
            for i, param in enumerate(self.function.params)
        ]
        self.roles = [role for _, role in annotation.params] if annotation else []
        self.roles += [Role()] * (len(self.function.params) - len(self.roles))
        self.overrides = dict(target.capture)
        self.fail = annotation.fail if annotation else ""
        lengths = {"ret": "ret"}
        for c_name, name, param in zip(self.c_names, self.names, self.function.params, strict=True):
            lengths[name] = lengths[param.name] = c_name
        succeeded = success(self.fail, self.function.result)
        self.c = Captures(lengths, succeeded, own_result(target))
        self.changes: list[Change] = []

    def slot(self, name: str, c_type: str, size: int, value: str, copy: bool = False) -> int:
        offset = self.space.place(size)
        self.slots.append(Slot(name, c_type, offset, size, value, copy))
        return offset

    def parameter(self, index: int) -> None:
        param, c_name = self.function.params[index], self.c_names[index]
        kind, size = value_type(param.type)
        if kind == "none":
            self.places.append(Place(self.names[index], "none", 0))
            return
        role = self.roles[index]
        offset = self.value_slot(c_name, param.type, kind, size)
        kept = self.kept(index, role) if kind == "pointer" else None
        blob, content, element = self.capture(c_name, kept, role, param.type) if kept else (0, "", None)
        struct = self.structs.add(param.type.record) if kind == "struct" and param.type.record else ""
        meaning = role.kind if role.kind in VALUE_ROLES else ""
        if role.element == "sockaddr" and blob:
            meaning = "sockaddr"
        if blob and (role.whole or role.kind == "path"):
            meaning = "path"
        given = bool(self.target.asks and blob and content == "text" and self.captures[-1].before)
        self.fields.append(
            Field(self.names[index], kind, offset, size, role=meaning, names=role.names if not blob else "",
                  blob=blob, content=content, element=element, struct=struct, given=given)
        )  # fmt: skip
        self.change(c_name, param.type, given)
        self.places.append(Place(self.names[index], kind, size, offset, blob, kept))

    def change(self, c_name: str, type_: CType, text: bool = False) -> None:
        """Note that the field made last may be changed by an answer, which has room for ASK_VALUES of them."""
        scalar = type_.kind in ("pointer", "int", "bool", "float") and type_.size <= 8
        if self.target.asks in ("before", "both") and scalar and len(self.fields) <= ASK_VALUES:
            self.changes.append(Change(len(self.fields) - 1, c_name, type_, text))

    def value_slot(self, c_name: str, type_: CType, kind: ValueType, size: int) -> int:
        c_type = _C_TYPES.get((kind, size))
        if c_type is None:
            return self.slot(c_name, f"unsigned char @[{size}]", size, f"&{c_name}", copy=True)
        value = f"(uint64_t)(uintptr_t){c_name}" if kind == "pointer" else f"({c_type}){c_name}"
        return self.slot(c_name, c_type, size, value)

    def kept(self, index: int, role: Role) -> Keep | None:
        param = self.function.params[index]
        override = self.overrides.get(self.names[index], self.overrides.get(param.name))
        return keep(role, param.type, override, self.fail)

    def capture(self, c: str, kept: Keep, role: Role, type_: CType) -> tuple[int, Content, Element | None]:
        element = None
        if kept.content == "values":
            element = None if is_plain(role, type_) else self.element(role, type_.pointee)
            element = Element("uint", 8, role="sigset") if role.element == "sigset" else element
        blob = f"{c}_kept"
        offset = self.slot(blob, "struct wci_blob", 4, "")
        self.captures.append(Capture(c, blob, self.c.after(kept, c, self.room), self.c.before(kept, c, self.room)))
        self.room += TEXTS_ROOM if kept.reads == "texts" else 0
        return offset, kept.content, element

    def element(self, role: Role, pointee: CType | None) -> Element | None:
        if pointee is None:
            return None
        kind, _ = value_type(pointee)
        struct = ""
        if pointee.kind == "struct":
            kind = "raw"
            if pointee.record is not None and pointee.record.members:
                kind, struct = "struct", self.structs.add(pointee.record)
        elif kind == "none":
            kind = "raw"
        many = bool(role.length) and role.length != "sizeof" and not _ONE.fullmatch(role.length)
        return Element(kind, pointee.size, names=role.names, role=role.element, struct=struct, many=many)

    def varargs(self) -> None:
        self.room = max(self.room, 256)
        offset = self.slot("varargs_kept", "struct wci_blob", 4, "")
        self.captures.append(Capture("varargs", "varargs_kept", "wci_capture_room(room, varargs_length)", ""))
        self.fields.append(Field("...", "none", 0, 0, blob=offset, content="varargs"))
        self.places.append(Place("...", "none", 0, blob=offset))

    def result(self) -> Return:
        type_ = self.function.result
        role = self.wrapper.annotation.result if self.wrapper.annotation else Role()
        if type_.kind == "void" or (type_.kind == "int" and type_.size > 8):
            return Return()
        if type_.kind == "float":
            return Return("float", 8, fail=self.fail)
        if type_.kind in ("longdouble", "complex", "struct"):
            return self.wide_result(type_)
        kind, _ = value_type(type_)
        blob = 0
        kept = keep_result(role, type_) if kind == "pointer" else None
        if kept is not None:
            blob = self.slot("ret_kept", "struct wci_blob", 4, "")
            self.captures.append(Capture("ret", "ret_kept", self.c.after(kept, "ret"), ""))
            self.result_place = Place("ret", kind, type_.size, blob=blob, keep=kept)
        meaning = role.kind if role.kind in VALUE_ROLES else ""
        return Return(kind, type_.size, role=meaning, names=role.names, fail=self.fail, blob=blob)

    def wide_result(self, type_: CType) -> Return:
        kind, size = value_type(type_)
        if kind == "none":
            return Return()
        offset = self.slot("ret_value", f"unsigned char @[{size}]", size, "&ret", copy=True)
        struct = ""
        if kind == "struct":
            if type_.record is not None and type_.record.members:
                struct = self.structs.add(type_.record)
            else:
                kind = "raw"
        return Return(kind, size, fail="", offset=offset, struct=struct)

    def all_places(self) -> list[Place]:
        return [*self.places, *([self.result_place] if self.result_place else [])]


def own_result(target: TargetPlan) -> str:
    """Return C that is true when a wrapper's result is the call's own, "" where it always is."""
    given = ["handlers == NULL"] if target.handled else []
    given += ["!(injected & WCI_INJECTED)"] if target.inject else []
    given += ["made"] if target.asks == "before" else ["false"] if target.asks else []
    return " && ".join(given)


def optional_fields(builder: _Builder, words: Sequence[str]) -> None:
    """Add the optional words of a variadic wrapper (mode, arg...) as fields of their own."""
    for name in words:
        size, c_type = (4, "uint32_t") if name == "mode" else (8, "uint64_t")
        offset = builder.slot(name, c_type, size, f"({c_type}){name}")
        builder.fields.append(Field(name, "uint", offset, size, role="mode" if name == "mode" else ""))
        builder.change(name, CType("", "int", size))
        builder.places.append(Place(name, "uint", size, offset))


def build(
    wrapper: Wrapper, target: TargetPlan, structs: Structs, optional: Sequence[str] = (), varargs: bool = False
) -> Layout:
    """Return the layout of *wrapper*'s records. *optional*: names of words behind the named parameters."""
    builder = _Builder(wrapper, target, structs)
    result = builder.result()
    for index in range(len(builder.function.params)):
        builder.parameter(index)
    optional_fields(builder, optional)
    if varargs:
        builder.varargs()
    address = "(uint64_t)(uintptr_t)__builtin_return_address(0)"
    caller = builder.slot("caller", "uint64_t", 8, address) if target.caller else 0
    injected = builder.slot("injected", "uint8_t", 1, "(uint8_t)injected") if target.inject else 0
    noreturn = wrapper.wrapper == "noreturn" or "noreturn" in builder.function.attributes
    symbol = Symbol(
        wrapper.symbol, wrapper.target, wrapper.wrapper, library=wrapper.library, version=wrapper.version,
        origin=builder.function.origin, fields=builder.fields, result=result, cells=builder.space.cells, caller=caller,
        injected=injected,
        variadic=builder.function.variadic, returns=not noreturn,
    )  # fmt: skip
    slots = sorted(builder.slots, key=lambda slot: slot.offset)
    places, cells = builder.all_places(), builder.space.cells
    return Layout(symbol, slots, builder.captures, places, cells, builder.room, builder.changes)


REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
REGISTER_OFFSETS = (40, 48, 56, 72, 80, 88)


def build_tail_jump(wrapper: Wrapper, target: TargetPlan) -> Layout:
    """Return the layout of a tail-jump's ENTER record: six integer registers at fixed places, one string at most."""
    fields: list[Field] = []
    params = wrapper.function.params if wrapper.function else ()
    roles = [role for _, role in wrapper.annotation.params] if wrapper.annotation else []
    names = [name for name, _ in wrapper.annotation.params] if wrapper.annotation else []
    integers = [i for i, param in enumerate(params) if param.type.kind in ("pointer", "int", "bool")]
    for register, i in enumerate(integers[:6]):
        kind, size = value_type(params[i].type)
        role = roles[i] if i < len(roles) else Role()
        is_text = tail_text(wrapper) == register
        fields.append(
            Field(names[i] if i < len(names) else params[i].name, kind, REGISTER_OFFSETS[register], size,
                  role=role.kind if role.kind in VALUE_ROLES else "", names=role.names,
                  blob=36 if is_text else 0, content="text" if is_text else "")
        )  # fmt: skip
    if wrapper.function is None or wrapper.function.variadic:
        fields += [
            Field(REGISTERS[i], "uint", REGISTER_OFFSETS[i], 8) for i in range(len(integers), 6)
        ]  # fmt: skip
    symbol = Symbol(
        wrapper.symbol, wrapper.target, "tail-jump", library=wrapper.library, version=wrapper.version,
        origin=wrapper.function.origin if wrapper.function else wrapper.detail or "no prototype",
        fields=fields,
        cells=2,
        variadic=bool(wrapper.function and wrapper.function.variadic),
    )  # fmt: skip
    return Layout(symbol, cells=2)


def tail_text(wrapper: Wrapper) -> int:
    """Return the register number of the one string that a tail-jump keeps, or -1."""
    params = wrapper.function.params if wrapper.function else ()
    roles = [role for _, role in wrapper.annotation.params] if wrapper.annotation else []
    register = -1
    for i, param in enumerate(params[:6]):
        if param.type.kind in ("pointer", "int", "bool"):
            register += 1
            if i < len(roles) and roles[i].kind in ("path", "str", "str!"):
                return register
    return -1
