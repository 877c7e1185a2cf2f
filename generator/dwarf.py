"""Prototypes of a program's own functions, from its debug information.

Called by program.py. pyelftools reads DWARF; here it becomes Function and CType, as headers.py makes them of headers.
Rules: an address says which function is meant (a name may have several), and what debug information does not tell is
absent, never guessed; a struct has its members, what is not understood is opaque. A char pointer is shown as a string,
through a guarded read.

Absent on purpose: locations (arguments travel by the calling convention at a function's first instruction), and
variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

from .manifest import Names
from .model import CType, Function, Kind, Member, Param, Record

VOID = CType("void @", "void", name="void")
BOOLEAN, FLOAT, COMPLEX, SIGNED, SIGNED_CHAR = 2, 4, 3, 5, 6
"""DW_ATE_*."""
BY_REFERENCE, DEFAULTED_IN_CLASS = 4, 1
"""DW_CC_pass_by_reference, DW_DEFAULTED_in_class."""
TRANSPARENT = {
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
    "DW_TAG_typedef",
}
POINTERS = {
    "DW_TAG_pointer_type",
    "DW_TAG_reference_type",
    "DW_TAG_rvalue_reference_type",
    "DW_TAG_ptr_to_member_type",
    "DW_TAG_subroutine_type",
}
RECORDS = {"DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_union_type"}
_FILLING = {"DW_TAG_member", "DW_TAG_inheritance", "DW_TAG_variant_part"}
DEEPEST = 4
"""Structs within structs that are laid out."""


class DebugInformation:
    """The functions that a file's debug information describes."""

    def __init__(self, info: Any, origin: str) -> None:
        self._info = info
        self._origin = origin
        self.names: dict[str, Names] = {}
        """``enum color`` -> its names, of every enum (and name for it) that a prototype has."""
        self._types: dict[int, CType] = {}
        self._records: dict[str, Record] = {}
        self._units: dict[int, dict[int, Any]] = {}

    @classmethod
    def of(cls, paths: Sequence[str]) -> DebugInformation | None:
        """Return what the first of the files with debug information tells, None when none has any."""
        for path in paths:
            try:
                with open(path, "rb") as file:
                    elf = ELFFile(file)
                    if elf.has_dwarf_info(strict=True):
                        return cls(elf.get_dwarf_info(), path.rsplit("/", 1)[-1])
            except (OSError, ELFError, DWARFError):
                continue
        return None

    def function(self, symbol: str, address: int) -> Function | None:
        """Return the prototype of the function *symbol* at *address*, None when it is not told."""
        try:
            for unit in self._units_at(address):
                if unit.cu_offset not in self._units:
                    self._units[unit.cu_offset] = dict(_starts(unit.get_top_DIE()))
                if address in self._units[unit.cu_offset]:
                    return self._function(symbol, self._units[unit.cu_offset][address])
        except (ELFError, DWARFError, KeyError, AttributeError, IndexError, TypeError, UnicodeDecodeError):
            pass  # pyelftools' ways of saying that it does not understand
        return None

    def _units_at(self, address: int) -> Iterator[Any]:
        """Yield the units that may hold the function at *address*: to read all of them takes minutes for a browser."""
        offset = self._ranges.cu_offset_at_addr(address) if self._ranges is not None else None
        if offset is not None:
            yield self._info.get_CU_at(offset)
            return
        for unit in self._info.iter_CUs():
            top = unit.get_top_DIE().attributes
            low, high = top.get("DW_AT_low_pc"), top.get("DW_AT_high_pc")
            if low is None or high is None or "DW_AT_ranges" in top or _spans(low, high, address):
                yield unit

    @cached_property
    def _ranges(self) -> Any | None:
        return self._info.get_aranges()

    def _function(self, symbol: str, entry: Any) -> Function:
        result = self.type(_origin_of(entry, "DW_AT_type"))
        params: list[Param] = []
        used: set[str] = set()
        variadic = False
        for child in entry.iter_children():
            variadic = variadic or child.tag == "DW_TAG_unspecified_parameters"
            if child.tag == "DW_TAG_formal_parameter":
                name = _name(child).strip("_") or f"arg{len(params) + 1}"
                while name in used or not name.isidentifier() or name == "ret":
                    name = name + "_" if name.isidentifier() else f"arg{len(params) + 1}"
                used.add(name)
                params.append(Param(name, _passed(self.type(_origin_of(child, "DW_AT_type")))))
        noreturn = frozenset({"noreturn"}) if _attribute(entry, "DW_AT_noreturn") else frozenset[str]()
        return Function(symbol, _passed(result), tuple(params), variadic, self._where(entry), noreturn)

    def _where(self, entry: Any) -> str:
        """Return ``main.c:12``."""
        line = _attribute(entry, "DW_AT_decl_line")
        top = entry.cu.get_top_DIE().attributes.get("DW_AT_name")
        name = top.value.decode("utf-8", "replace").rsplit("/", 1)[-1] if top is not None else self._origin
        return f"{name}:{line}" if line else name

    def type(self, entry: Any | None, depth: int = 0) -> CType:
        """Return the type that *entry* describes; None is void."""
        if entry is None:
            return VOID
        key = entry.offset
        if key not in self._types or depth == 0:
            self._types[key] = self._type(entry, depth)
        return self._types[key]

    def _type(self, entry: Any, depth: int) -> CType:
        tag, name = entry.tag, _name(entry)
        if tag in TRANSPARENT:
            return self._transparent(entry, depth)
        if tag in POINTERS or tag == "DW_TAG_unspecified_type":
            return self._pointer(entry, depth)
        if tag == "DW_TAG_base_type":
            return _base(name, _attribute(entry, "DW_AT_byte_size"), _attribute(entry, "DW_AT_encoding"))
        if tag == "DW_TAG_enumeration_type":
            size = _attribute(entry, "DW_AT_byte_size") or 4
            self.names.setdefault(f"enum {name}", _enumerators(entry))
            return CType(f"enum {name} @", "int", size, size, self._is_signed(entry), name=f"enum {name}")
        if tag in RECORDS:
            return self._record(entry, depth)
        if tag == "DW_TAG_array_type":  # as a member only: parameters have decayed
            element = self.type(_reference(entry, "DW_AT_type"), depth)
            return replace(element, array_length=_count(entry))
        return CType(f"{name} @", "struct", _attribute(entry, "DW_AT_byte_size") or 0, name=name)

    def _transparent(self, entry: Any, depth: int) -> CType:
        under = self.type(_reference(entry, "DW_AT_type"), depth)
        if entry.tag == "DW_TAG_const_type":
            return replace(under, const=True)
        if entry.tag == "DW_TAG_typedef" and under.kind != "void":
            if f"enum {under.name.removeprefix('enum ')}" in self.names:
                self.names.setdefault(f"enum {_name(entry)}", self.names[f"enum {under.name.removeprefix('enum ')}"])
            return replace(under, name=_name(entry))  # uint8_t is no character's name, and so points to no text
        return under

    def _pointer(self, entry: Any, depth: int) -> CType:
        word = CType("void *@", "pointer", 8, 8, name="void *")
        if entry.tag not in ("DW_TAG_pointer_type", "DW_TAG_reference_type", "DW_TAG_rvalue_reference_type"):
            return word
        target = _reference(entry, "DW_AT_type")
        if target is None:
            return replace(word, pointee=VOID)
        if _stripped(target).tag in ("DW_TAG_subroutine_type", *RECORDS):
            return word
        pointee = self.type(target, depth + 1)
        return replace(word, text=f"{pointee.name} *@", name=f"{pointee.name} *", pointee=pointee)

    def _is_signed(self, entry: Any) -> bool:
        under = _reference(entry, "DW_AT_type")
        if under is not None:
            return self.type(under, 1).signed
        return any((_attribute(child, "DW_AT_const_value") or 0) < 0 for child in entry.iter_children())

    def _record(self, entry: Any, depth: int) -> CType:
        size = _attribute(entry, "DW_AT_byte_size") or 0
        name = _name(entry) or f"{entry.tag.removeprefix('DW_TAG_').removesuffix('_type')} at {entry.offset:#x}"
        members: tuple[Member, ...] = ()
        if depth < DEEPEST and entry.tag != "DW_TAG_union_type":
            members = tuple(self._members(entry, depth))
        if size <= 1 and not any(child.tag in _FILLING for child in entry.iter_children()):
            return VOID  # an empty class: it travels nowhere
        align = max([1, *(member.type.align for member in members)])
        record = Record(name, size, align, members)
        if depth == 0 and self._records.setdefault(name, record) != record:  # another unit's type of that name
            name = f"{name} at {entry.offset:#x}"
            record = replace(record, name=name)
        spelled = f"{name} &@" if _is_by_reference(entry) else f"{name} @"
        return CType(spelled, "struct", size, align, record=record, name=name)

    def _members(self, entry: Any, depth: int) -> Iterator[Member]:
        for child in entry.iter_children():
            at = _attribute(child, "DW_AT_data_member_location")
            bits = _attribute(child, "DW_AT_bit_size")
            if child.tag == "DW_TAG_inheritance" and isinstance(at, int):
                base = self.type(_reference(child, "DW_AT_type"), depth + 1)
                for member in base.record.members if base.record else ():
                    yield replace(member, offset=at + member.offset)
            elif child.tag == "DW_TAG_member" and isinstance(at, int) and bits is None:
                type_ = self.type(_reference(child, "DW_AT_type"), depth + 1)
                if _name(child) and type_.size:
                    yield Member(_name(child), replace(type_, array_length=None), at, type_.array_length)


def _spans(low: Any, high: Any, address: int) -> bool:
    end = high.value if high.form == "DW_FORM_addr" else low.value + high.value
    return bool(low.value <= address < end)


def _starts(top: Any) -> Iterator[tuple[int, Any]]:
    """Yield (first address, entry) of a unit's functions that have code."""
    for entry in _functions(top):
        low = entry.attributes.get("DW_AT_low_pc")
        if low is not None and low.value:
            yield low.value, entry


def _functions(top: Any) -> Iterator[Any]:
    """Yield the functions of a unit, those in namespaces and classes too."""
    for child in top.iter_children():
        if child.tag == "DW_TAG_subprogram":
            yield child
        elif child.tag in ("DW_TAG_namespace", "DW_TAG_module", *RECORDS):
            yield from _functions(child)


def _origin(entry: Any) -> Any | None:
    """Return what *entry* is an instance or the definition of."""
    for key in ("DW_AT_abstract_origin", "DW_AT_specification"):
        if key in entry.attributes:
            return entry.get_DIE_from_attribute(key)
    return None


def _attribute(entry: Any, key: str) -> Any | None:
    seen: Any | None = entry
    while seen is not None:
        if key in seen.attributes:
            return seen.attributes[key].value
        seen = _origin(seen)
    return None


def _origin_of(entry: Any, key: str) -> Any | None:
    """Return the entry that *key* refers to, of *entry* or of what it is an instance of."""
    seen: Any | None = entry
    while seen is not None:
        if key in seen.attributes:
            return seen.get_DIE_from_attribute(key)
        seen = _origin(seen)
    return None


def _reference(entry: Any, key: str) -> Any | None:
    return entry.get_DIE_from_attribute(key) if key in entry.attributes else None


def _stripped(entry: Any) -> Any:
    while entry.tag in TRANSPARENT and "DW_AT_type" in entry.attributes:
        entry = entry.get_DIE_from_attribute("DW_AT_type")
    return entry


def _name(entry: Any) -> str:
    name = _attribute(entry, "DW_AT_name")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else ""


def _enumerators(entry: Any) -> Names:
    values = ((_name(child), _attribute(child, "DW_AT_const_value")) for child in entry.iter_children())
    return Names("enum", [(name, value, 0) for name, value in values if name and isinstance(value, int)])


def _count(entry: Any) -> int:
    total = 1
    for child in entry.iter_children():
        if child.tag == "DW_TAG_subrange_type":
            count = child.attributes.get("DW_AT_count") or child.attributes.get("DW_AT_upper_bound")
            value = count.value if count is not None and isinstance(count.value, int) else -1
            total *= value if "DW_AT_count" in child.attributes else value + 1
    return total


def _base(name: str, size: int | None, encoding: int | None) -> CType:
    size = size or 0
    kind: Kind = "int"
    if encoding == BOOLEAN:
        kind = "bool"
    elif encoding == FLOAT:
        kind = "longdouble" if size == 16 and "128" not in name else "float"
    elif encoding == COMPLEX:
        kind = "complex"
    return CType(f"{name} @", kind, size, max(min(size, 16), 1), encoding in (SIGNED, SIGNED_CHAR), name=name)


def _is_by_reference(entry: Any, depth: int = 0) -> bool:
    """Whether C++ passes a class by the address of a copy: a destructor or a copying constructor sees to it.

    gcc does not say it (DW_AT_calling_convention), but declares such members; trivial ones are declared as defaulted,
    if at all.
    """
    if _attribute(entry, "DW_AT_calling_convention") == BY_REFERENCE:
        return True
    for child in entry.iter_children() if depth < DEEPEST else ():
        if child.tag == "DW_TAG_subprogram" and _attribute(child, "DW_AT_defaulted") != DEFAULTED_IN_CLASS:
            if _name(child).startswith("~") or _attribute(child, "DW_AT_virtuality") or _is_copying(child, entry):
                return True
        elif child.tag in ("DW_TAG_member", "DW_TAG_inheritance") and "DW_AT_type" in child.attributes:
            inner = _stripped(child.get_DIE_from_attribute("DW_AT_type"))
            while inner.tag == "DW_TAG_array_type":
                inner = _stripped(inner.get_DIE_from_attribute("DW_AT_type"))
            static = child.tag == "DW_TAG_member" and "DW_AT_data_member_location" not in child.attributes
            if inner.tag in RECORDS and not static and _is_by_reference(inner, depth + 1):
                return True
    return False


def _is_copying(function: Any, record: Any) -> bool:
    """Whether a member function is the constructor that copies, or moves, its class."""
    if not _name(record) or _name(function) != _name(record):
        return False
    params = [child for child in function.iter_children() if child.tag == "DW_TAG_formal_parameter"]
    if len(params) != 2 or "DW_AT_type" not in params[1].attributes:
        return False
    type_ = params[1].get_DIE_from_attribute("DW_AT_type")
    if type_.tag not in ("DW_TAG_reference_type", "DW_TAG_rvalue_reference_type"):
        return False
    target = _reference(type_, "DW_AT_type")
    return target is not None and _stripped(target).offset == record.offset


def _passed(type_: CType) -> CType:
    """Return *type_* as it is passed: C++ passes what has a copy constructor of its own by reference."""
    if type_.kind == "struct" and "&" in type_.text:
        return CType(type_.text, "pointer", 8, 8, name=type_.name)
    if type_.kind == "struct" and type_.size == 0:
        return replace(type_, kind="int", size=8, record=None)
    return type_
