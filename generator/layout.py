"""Where everything of a call stands in its record, and the C that puts it there.

Called by emit.py, once per wrapper. Pure. The record's fixed part begins at byte 36 of its first cell; a field never
straddles a cell (payload is 36..64 of the first cell, 8..64 of the others); what a pointer leads to follows in
continuation cells, described by a ``struct wci_blob`` in the fixed part. Decisions about pointers (rule R7) come from
the annotated table; this file only turns a Role into a capture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .lengths import compile_length
from .manifest import Content, Element, Field, Return, Symbol, ValueType
from .model import CType, Member, Param, Record, Role, TargetPlan, Wrapper

FIRST_ARGS, CELL, HEADER = 36, 64, 8
TEXTS_ROOM = 512
"""Bytes of one argv or envp."""
VALUES_LIMIT = 1024
"""Bytes kept of arrays and structs, whose cut would be meaningless at string_limit."""
LOCALS = frozenset(
    {
        *("ret", "call", "traced", "record", "cells", "room", "args", "first", "ok", "argv", "envp_"),
        *("regs", "stack", "made"),
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


@dataclass(slots=True)
class Layout:
    """The fixed part of one symbol's records: manifest side and C side."""

    symbol: Symbol
    slots: list[Slot] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    cells: int = 1
    room: int = 0
    """Bytes of stack that captures need for what is not contiguous (argv, varargs)."""


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


def success(fail: str, result: CType) -> str:
    """Return C that is true when the call succeeded by its rule. ``ret`` holds the return."""
    if result.kind == "void":
        return "true"
    minus_one = "ret != (__typeof__(ret))-1"
    rules = {
        "-1": minus_one, "EOF": minus_one, "MAP_FAILED": minus_one, "SIG_ERR": minus_one, "<0": "ret >= 0",
        "NULL": "ret != NULL", "nonzero": "ret == 0", "zero": "ret != 0", "errno": "ret == 0",
    }  # fmt: skip
    return rules.get(fail, "true")


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


_FUNCTION_MEMBERS = {"__sigaction_handler": "sa_handler"}
"""Unions of function pointers that programs know by a macro's name."""
_MEMBER_ROLES = {"st_mode": "mode", "st_uid": "uid", "st_gid": "gid", "fd": "fd", "si_pid": "pid"}


def is_character(type_: CType) -> bool:
    return type_.kind == "int" and type_.size == 1 and "char" in type_.name


class _Builder:
    """Builds one Layout. Kept as a class because slots, fields and captures grow together."""

    def __init__(self, wrapper: Wrapper, target: TargetPlan, structs: Structs) -> None:
        assert wrapper.function is not None
        self.wrapper, self.target, self.function, self.structs = wrapper, target, wrapper.function, structs
        self.space = _Space()
        self.slots: list[Slot] = []
        self.captures: list[Capture] = []
        self.fields: list[Field] = []
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
        self.handled = bool(target.back_enter or target.back_exit)
        self.fail = annotation.fail if annotation else ""
        self.lengths = {"ret": "ret"}
        for c_name, name, param in zip(self.c_names, self.names, self.function.params, strict=True):
            self.lengths[name] = self.lengths[param.name] = c_name

    def slot(self, name: str, c_type: str, size: int, value: str, copy: bool = False) -> int:
        offset = self.space.place(size)
        self.slots.append(Slot(name, c_type, offset, size, value, copy))
        return offset

    def parameter(self, index: int) -> None:
        param, c_name = self.function.params[index], self.c_names[index]
        kind, size = value_type(param.type)
        if kind == "none":
            return
        role = self.roles[index]
        offset = self.value_slot(c_name, param.type, kind, size)
        blob, content, element = self.capture(index, role) if kind == "pointer" else (0, "", None)
        struct = self.structs.add(param.type.record) if kind == "struct" and param.type.record else ""
        meaning = role.kind if role.kind in VALUE_ROLES else ""
        if role.element == "sockaddr" and blob:
            meaning = "sockaddr"
        if blob and (role.whole or role.kind == "path"):
            meaning = "path"
        self.fields.append(
            Field(self.names[index], kind, offset, size, role=meaning, names=role.names if not blob else "",
                  blob=blob, content=content, element=element, struct=struct)
        )  # fmt: skip

    def value_slot(self, c_name: str, type_: CType, kind: ValueType, size: int) -> int:
        c_type = _C_TYPES.get((kind, size))
        if c_type is None:
            return self.slot(c_name, f"unsigned char @[{size}]", size, f"&{c_name}", copy=True)
        value = f"(uint64_t)(uintptr_t){c_name}" if kind == "pointer" else f"({c_type}){c_name}"
        return self.slot(c_name, c_type, size, value)

    def proof(self, proven: str) -> str:
        """A handler may have put another result in the call's place: then that proves nothing."""
        return "false" if self.handled else proven

    def capture(self, index: int, role: Role) -> tuple[int, Content, Element | None]:
        name, param, c_name = self.names[index], self.function.params[index], self.c_names[index]
        override = self.overrides.get(name, self.overrides.get(param.name))
        made = None
        if override is not None:
            made = capture_override(override, role, c_name, self.lengths, self.proof("true"))
        if made is None and override is None:
            made = self.capture_role(role, param.type, c_name)
        if made is None:
            return 0, "", None
        content, element, expression, before = made
        blob = f"{c_name}_kept"
        offset = self.slot(blob, "struct wci_blob", 4, "")
        self.captures.append(Capture(c_name, blob, expression, before))
        return offset, content, element

    def capture_role(self, role: Role, type_: CType, c: str) -> tuple[Content, Element | None, str, str] | None:
        succeeded = self.written(role)
        limit = "WCI_PATH_LIMIT" if role.whole else "wci_string_limit"
        if role.kind == "path":
            proven = f"{succeeded} || wci_errno_proves_path(call.error)" if self.fail else "false"
            return "text", None, text(c, limit, self.proof(proven)), text(c, limit, "false")
        if role.kind in ("str", "str!"):
            return self.capture_string(role, c, limit, succeeded)
        if role.kind == "strv":
            made = f"wci_capture_texts((char *const *){c}, wci_string_limit, room + {self.room}, {TEXTS_ROOM})"
            self.room += TEXTS_ROOM
            return "texts", None, made, made
        if role.kind == "outstr":
            string = f"*{c}" if role.element == "pointer" else c
            made = text(string, limit, self.proof("true") if role.proven else "false", self.within(role))
            return "text", None, after_success(made, c, "true" if role.always else succeeded), ""
        if role.kind in ("in", "out", "inout"):
            return self.capture_memory(role, type_, c, succeeded)
        return None

    def written(self, role: Role) -> str:
        """Return C that is true when the call succeeded and has written what *role* says."""
        succeeded = success(self.fail, self.function.result)
        if not role.condition:
            return succeeded
        condition = f"(int64_t){compile_length(role.condition, self.lengths)} > 0"
        return condition if succeeded == "true" else f"{succeeded} && {condition}"

    def capture_string(
        self, role: Role, c: str, limit: str, succeeded: str
    ) -> tuple[Content, Element | None, str, str] | None:
        proofs = {"return": "true", "success": succeeded, "first": first_byte(succeeded)}
        within = self.within(role)
        before = "" if "ret" in role.length else text(c, limit, "false", within)
        return "text", None, text(c, limit, self.proof(proofs.get(role.proven, "false")), within), before

    def within(self, role: Role) -> str:
        """Return C for the bytes that a string's buffer has, "" where only its NUL ends it."""
        return compile_length(role.length, self.lengths, 1) if role.length else ""

    def capture_memory(
        self, role: Role, type_: CType, c: str, succeeded: str
    ) -> tuple[Content, Element | None, str, str] | None:
        pointee = type_.pointee
        plain = pointee is None or pointee.kind == "void" or is_character(pointee)
        if plain and not role.length and not (pointee is not None and is_character(pointee)):
            return None
        sizeof = 1 if pointee is None or pointee.kind == "void" else pointee.size
        if sizeof == 0 and not role.length:
            return None
        length = compile_length(role.length, self.lengths, sizeof) if role.length else f"{sizeof}u"
        element = None if plain or role.element in ("bytes", "sockaddr") else self.element(role, pointee)
        if role.element == "sigset":
            length, element = "8u", Element("uint", 8, role="sigset")
        limit = "wci_string_limit" if element is None else f"{VALUES_LIMIT}u"
        if role.element == "sockaddr":
            limit = "128u"
        always = role.always or role.kind == "in"
        proofs = {"return": "true", "success": succeeded if role.kind == "in" else "true"}
        if role.proven == "stdio":
            proofs["stdio"] = f"wci_stdio_took({self.lengths['stream']}, {length}, {self.took_all(role)})"
        made = f"wci_capture_bytes({c}, {length}, {limit}, {self.proof(proofs.get(role.proven, 'false'))})"
        if "!= NULL ?" in length:  # recvfrom looks at addrlen only when there is an address to fill
            succeeded = f"{c} != NULL && {succeeded}"
        made = after_success(made, c, "true" if always else succeeded)
        unknown = role.kind == "out" or "ret" in role.length
        before = "" if unknown else f"wci_capture_bytes({c}, {length}, {limit}, false)"
        return ("bytes" if element is None else "values"), element, made, before

    def took_all(self, role: Role) -> str:
        """Return C that is true when fwrite has taken every element: it returns how many."""
        count = self.lengths[role.length.rpartition("*")[2]]
        return f"ret == {count}"

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
        many = bool(role.length) and role.length != "sizeof"
        return Element(kind, pointee.size, names=role.names, role=role.element, struct=struct, many=many)

    def varargs(self) -> None:
        self.room = max(self.room, 256)
        offset = self.slot("varargs_kept", "struct wci_blob", 4, "")
        self.captures.append(Capture("varargs", "varargs_kept", "wci_capture_room(room, varargs_length)", ""))
        self.fields.append(Field("...", "none", 0, 0, blob=offset, content="varargs"))

    def result(self) -> Return:
        type_ = self.function.result
        role = self.wrapper.annotation.result if self.wrapper.annotation else Role()
        if type_.kind == "void":
            return Return()
        if type_.kind == "float":
            return Return("float", 8, fail=self.fail)
        if type_.kind in ("longdouble", "complex", "struct"):
            return self.wide_result(type_)
        kind, _ = value_type(type_)
        blob = 0
        if role.kind in ("str", "str!", "outstr", "path") and kind == "pointer" and type_.pointee is not None:
            blob = self.slot("ret_kept", "struct wci_blob", 4, "")
            proof = self.proof("false" if role.kind == "str" else "true")
            self.captures.append(Capture("ret", "ret_kept", text("ret", "wci_string_limit", proof), ""))
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


def text(c_name: str, limit: str, proven: str, within: str = "") -> str:
    if within:
        return f"wci_capture_text_within({c_name}, {within}, {limit}, {proven})"
    return f"wci_capture_text({c_name}, {limit}, {proven})"


def first_byte(succeeded: str) -> str:
    """Return C for the proof that a string's first byte gives: its page may be read."""
    return "WCI_PROVEN_FIRST" if succeeded == "true" else f"({succeeded} ? WCI_PROVEN_FIRST : 0u)"


def after_success(made: str, c_name: str, succeeded: str) -> str:
    """Return C that captures only when the call succeeded."""
    return made if succeeded == "true" else f"{succeeded} ? {made} : wci_capture_none({c_name})"


def capture_override(
    override: str, role: Role, c: str, names: dict[str, str], proof: str = "true"
) -> tuple[Content, Element | None, str, str] | None:
    """Return the capture that a config's ``capture`` asks for; None when it keeps nothing."""
    if override == "0":
        return None
    limit = override + "u" if override.isdigit() else "wci_string_limit"
    if role.kind in ("path", "str", "str!"):
        made = text(c, limit, proof if role.kind == "str!" else "false")
        return "text", None, made, text(c, limit, "false")
    length = compile_length(role.length if override.isdigit() and role.length else override, names)
    proven = proof if role.kind == "out" and override.isdigit() else "false"
    made = f"wci_capture_bytes({c}, {length}, {limit}, {proven})"
    return "bytes", None, made, "" if "ret" in names and "ret" in override else made


def optional_fields(builder: _Builder, words: Sequence[str]) -> None:
    """Add the optional words of a variadic wrapper (mode, arg...) as fields of their own."""
    for name in words:
        size, c_type = (4, "uint32_t") if name == "mode" else (8, "uint64_t")
        offset = builder.slot(name, c_type, size, f"({c_type}){name}")
        builder.fields.append(Field(name, "uint", offset, size, role="mode" if name == "mode" else ""))


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
    noreturn = wrapper.wrapper == "noreturn" or "noreturn" in builder.function.attributes
    symbol = Symbol(
        wrapper.symbol, wrapper.target, wrapper.wrapper, library=wrapper.library, version=wrapper.version,
        origin=builder.function.origin, fields=builder.fields, result=result, cells=builder.space.cells, caller=caller,
        variadic=builder.function.variadic, returns=not noreturn,
    )  # fmt: skip
    slots = sorted(builder.slots, key=lambda slot: slot.offset)
    return Layout(symbol, slots, builder.captures, builder.space.cells, builder.room)


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
