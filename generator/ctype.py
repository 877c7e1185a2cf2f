"""C types as facts: what a declaration's syntax tree says, by the platform's rules (x86-64 System V).

Called by headers.py, which finds declarations by name; this file turns their pycparser trees into CType, Record and
Function. Rules: the spelling of a type is kept (typedef names, tags), its facts are exact or absent: what is not
understood raises NotUnderstoodError with a sentence about it. Layouts are tested against the compiler's.

Absent on purpose: C++, vector types, bit fields as members (a record's size counts them, its members leave them out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pycparser import c_ast

from .constants import NotConstantError, evaluate
from .declarations import ALIGNED, COMPLEX, PACKED, PREVIOUS
from .model import CType, Kind, Member, Param, Record


class NotUnderstoodError(Exception):
    """A type that is not understood; the argument is a clause such as "uses a vector type"."""


@dataclass(frozen=True, slots=True)
class ArrayType:
    text: str
    element: Shape
    count: int | None


@dataclass(frozen=True, slots=True)
class CodeType:
    """A function type."""

    text: str
    result: CType
    params: tuple[tuple[str, CType], ...] | None
    """None: declared with empty parentheses."""
    variadic: bool


Shape = CType | ArrayType | CodeType


def _base(words: str, kind: Kind, size: int, signed: bool = False) -> CType:
    return CType(words + " @", kind, size, max(min(size, 16), 1), signed, name=words)


_FLOATS: dict[str, tuple[Kind, int]] = {
    "float": ("float", 4),
    "double": ("float", 8),
    "long double": ("longdouble", 16),
    "_Float16": ("float", 2),
    "_Float32": ("float", 4),
    "_Float64": ("float", 8),
    "_Float32x": ("float", 8),
    "_Float64x": ("longdouble", 16),
    "_Float128": ("float", 16),
    "__float128": ("float", 16),
}
_INTEGERS = {"char": 1, "short": 2, "int": 4, "long": 8, "long long": 8, "__int128": 16}
VA_LIST = CType("__builtin_va_list @", "va_list", 24, 8, name="__builtin_va_list")
_EXTENDED = sorted(set(_FLOATS) - {"float", "double", "long double"})
BUILTIN_NAMES = frozenset([*_EXTENDED, *(COMPLEX + f for f in _EXTENDED), "__builtin_va_list"])
"""Type names that a parser must be told of as if they were typedefs."""


def arithmetic(words: list[str]) -> CType | None:
    """Return the type that *words* spell (``unsigned long int``), None if they spell no arithmetic type."""
    spelled = " ".join(words)
    if spelled == "void":
        return CType("void @", "void", name="void")
    if spelled == "_Bool":
        return _base(spelled, "bool", 1)
    if spelled.startswith(COMPLEX):
        kind, size = _FLOATS[real := spelled.removeprefix(COMPLEX)]
        return CType(f"_Complex {real} @", "complex", 2 * size, size, name=f"_Complex {real}")
    rest = [w for w in words if w not in ("signed", "unsigned", "_Complex")]
    if (key := " ".join(sorted(rest, reverse=True))) in _FLOATS:  # "long double", also when spelt the other way round
        kind, size = _FLOATS[key]
        if "_Complex" in words:
            return CType(spelled + " @", "complex", 2 * size, size, name=spelled)
        return _base(spelled, kind, size)
    key = " ".join(w for w in rest if w != "int" or len(rest) == 1) or "int"
    if key not in _INTEGERS:
        return None
    return _base(spelled, "int", _INTEGERS[key], "unsigned" not in words)


class Reader:
    """Turns syntax trees into types. ``typedef`` and ``tag`` look names up in the headers."""

    def __init__(
        self,
        typedef: Callable[[str], tuple[c_ast.Node, str]],
        tag: Callable[[str, str], c_ast.Node | None],
        enumerator: Callable[[str], int],
    ) -> None:
        self._typedef = typedef
        self._tag = tag
        self._enumerator = enumerator
        self._typedefs: dict[tuple[str, bool], Shape] = {}
        self._records: dict[str, Record] = {}
        self._unfinished: set[str] = set()

    # Environment of constant expressions.
    def type_of(self, typename: c_ast.Node) -> CType:
        shape = self.shape(typename.type)
        if isinstance(shape, ArrayType):
            element = _element(shape)
            return replace(element, size=element.size * _count(shape))
        if isinstance(shape, CodeType):
            raise NotConstantError("the size of a function")
        return shape

    def enumerator(self, name: str) -> int:
        return self._enumerator(name)

    def number(self, node: c_ast.Node) -> int:
        """Return an integer constant expression's value."""
        return evaluate(node, self).number

    def shape(self, node: Any, layout: bool = True, name: str = "") -> Shape:
        """Return the type of a declarator's tree. Without *layout* records stay opaque (as behind pointers)."""
        match node:
            case c_ast.Typename() | c_ast.Decl():
                return self.shape(node.type, layout)
            case c_ast.TypeDecl():
                return _qualified(self._specified(node.type, layout, name), node.quals)
            case c_ast.PtrDecl():
                return self._pointer(node, layout)
            case c_ast.ArrayDecl():
                return self._array(node, layout)
            case c_ast.FuncDecl():
                return self._code(node, layout)
        raise NotUnderstoodError(f"uses {type(node).__name__}, which is not understood")

    def _specified(self, node: Any, layout: bool, name: str) -> Shape:
        match node:
            case c_ast.IdentifierType():
                found = arithmetic(node.names)
                return found if found is not None else self.named(" ".join(node.names), layout)
            case c_ast.Enum():
                spelled = f"enum {node.name}" if node.name else name
                return replace(_base(spelled, "int", 4), signed=self._has_negatives(node))
            case c_ast.Struct() | c_ast.Union():
                return self._record_type(node, layout, name)
        raise NotUnderstoodError(f"uses {type(node).__name__}, which is not understood")

    def named(self, name: str, layout: bool = True) -> Shape:
        """Return the type behind a typedef name, spelt by that name."""
        if name == "__builtin_va_list":
            return VA_LIST
        key = (name, layout)
        if key not in self._typedefs:
            node, text = self._typedef(name)
            self._typedefs[key] = self._typedef_shape(name, node, text, layout)
        return self._typedefs[key]

    def _typedef_shape(self, name: str, node: Any, text: str, layout: bool) -> Shape:
        if "transparent_union" in text:
            first = self._members_node(node.type.type).decls[0]
            member = self.shape(first.type, layout)
            assert isinstance(member, CType)
            return replace(member, text=member.text.replace("__restrict ", ""))
        if "vector_size" in text:
            raise NotUnderstoodError(f"uses {name}, a vector type")
        shape = self.shape(node.type, layout, name)
        if isinstance(shape, CType):
            return replace(shape, text=f"{name} @", name=name)
        return replace(shape, text=f"{name} @")

    def _pointer(self, node: c_ast.PtrDecl, layout: bool) -> CType:
        target = self.shape(node.type, layout and not isinstance(node.type, c_ast.FuncDecl))
        star = _star(target)
        qualifiers = "".join(f"{_QUALIFIERS.get(q, q)} " for q in node.quals)
        if qualifiers:
            star = star.replace("@", qualifiers + "@")
        pointee = target if isinstance(target, CType) and (target.size or target.kind == "void") else None
        text = target.text.replace("@", star)
        return CType(text, "pointer", 8, 8, pointee=pointee, const="const" in node.quals)

    def _array(self, node: c_ast.ArrayDecl, layout: bool) -> ArrayType:
        element = self.shape(node.type, layout)
        try:
            count = self.number(node.dim) if node.dim is not None else None
        except NotConstantError:
            count = None
        return ArrayType(element.text.replace("@", f"@[{'' if count is None else count}]"), element, count)

    def _code(self, node: c_ast.FuncDecl, layout: bool) -> CodeType:
        result = self.shape(node.type, layout)
        if not isinstance(result, CType):
            raise NotUnderstoodError("returns an array or a function")
        params, variadic = self._params(node, layout)
        spelled = ", ".join(t.declare("") for _, t in params) if params is not None else ""
        if params == ():
            spelled = "void"
        text = result.text.replace("@", f"@({spelled}{', ...' if variadic else ''})")
        return CodeType(text, result, params, variadic)

    def _params(self, node: c_ast.FuncDecl, layout: bool) -> tuple[tuple[tuple[str, CType], ...] | None, bool]:
        if node.args is None:
            return None, False
        found: list[tuple[str, CType]] = []
        for param in node.args.params:
            if isinstance(param, c_ast.EllipsisParam):
                return tuple(found), True
            if isinstance(param, c_ast.ID):
                raise NotUnderstoodError("is declared in the old style, without parameter types")
            kind = decay(self.shape(param.type, layout))
            if kind.kind == "void" and param.name is None:
                return (), False
            found.append((param.name or "", kind))
        return tuple(found), False

    # --- records -----------------------------------------------------------------------------------------------------

    def _has_negatives(self, node: c_ast.Enum) -> bool:
        definition = node if node.values else self._tag("enum", node.name or "")
        if definition is None or definition.values is None:
            return False
        return any(e.value is not None and self._negative(e.value) for e in definition.values.enumerators)

    def _negative(self, node: c_ast.Node) -> bool:
        try:
            return self.number(node) < 0
        except NotConstantError:
            return False

    def _members_node(self, node: Any) -> Any:
        """Return the definition of a struct or union, or the node itself when it is one (or nobody defines it)."""
        if node.decls is not None or not node.name:
            return node
        keyword = "struct" if isinstance(node, c_ast.Struct) else "union"
        return self._tag(keyword, node.name) or node

    def _record_type(self, node: Any, layout: bool, name: str) -> CType:
        keyword = "struct" if isinstance(node, c_ast.Struct) else "union"
        spelled = f"{keyword} {node.name}" if node.name else name
        opaque = CType(f"{spelled} @", "struct", name=spelled)
        definition = self._members_node(node)
        if definition.decls is None or (not layout and spelled):
            return opaque
        key = spelled or f"@{id(definition)}"
        if key in self._unfinished:  # it is a member of itself, behind something that hid the pointer
            return opaque
        if key not in self._records or not spelled:
            self._unfinished.add(key)
            try:
                self._records[key] = self._layout(definition, spelled)
            finally:
                self._unfinished.remove(key)
        record = self._records[key]
        return replace(opaque, size=record.size, align=record.align, record=record)

    def _layout(self, node: Any, name: str) -> Record:
        marks = {d.name: d for d in node.decls if isinstance(d, c_ast.Decl)}
        place = _Layout(isinstance(node, c_ast.Union), PACKED in marks)
        for index, decl in enumerate(node.decls):
            if not isinstance(decl, c_ast.Decl) or decl.name in (PACKED, ALIGNED, PREVIOUS):
                continue
            place.add(decl.name, *self._member(decl), self._alignment(node.decls, index))
        if ALIGNED in marks:
            place.align = max(place.align, self.number(marks[ALIGNED].type.dim))
        return place.finish(name)

    def _alignment(self, decls: list[Any], index: int) -> int:
        """Return the alignment that an attribute asks for the member at *index*, 0 without one."""
        behind = decls[index + 1] if index + 1 < len(decls) else None
        if isinstance(behind, c_ast.Decl) and behind.name == PREVIOUS:
            return self.number(behind.type.dim)
        return 0

    def _member(self, decl: c_ast.Decl) -> tuple[CType, int | None, int | None]:
        """Return a member's type, its number of elements (None: no array) and its bits (None: no bit field)."""
        anonymous = isinstance(decl.type, (c_ast.Struct, c_ast.Union))
        shape = self._record_type(decl.type, True, "") if anonymous else self._member_shape(decl.type)
        bits = self.number(decl.bitsize) if decl.bitsize is not None else None
        if isinstance(shape, ArrayType):
            return _element(shape), _count(shape), bits
        if isinstance(shape, CodeType) or (shape.kind == "struct" and shape.record is None):
            raise NotUnderstoodError(f"has a member {decl.name} of an incomplete type")
        return shape, None, bits

    def _member_shape(self, node: Any) -> Shape:
        """A member's type; what pointers point to is not laid out (it may be this very record)."""
        if isinstance(node, c_ast.PtrDecl):
            return self.shape(node, layout=False)
        if isinstance(node, c_ast.ArrayDecl):
            element = self._member_shape(node.type)
            count = self.number(node.dim) if node.dim is not None else 0
            return ArrayType(element.text.replace("@", f"@[{count}]"), element, count)
        if isinstance(node, c_ast.TypeDecl) and isinstance(node.type, c_ast.IdentifierType):
            shallow = self.shape(node, layout=False)
            return shallow if _is_pointer(shallow) else self.shape(node)
        return self.shape(node)


_QUALIFIERS = {"restrict": "__restrict"}


def _qualified(shape: Shape, qualifiers: Iterable[str]) -> Shape:
    spelled = "".join(f"{_QUALIFIERS.get(q, q)} " for q in qualifiers)
    if not spelled:
        return shape
    if isinstance(shape, CType):
        const = shape.const or "const" in spelled
        if shape.kind == "pointer" and "*" in shape.text:
            return replace(shape, text=shape.text.replace("@", spelled + "@"), const=const)
        return replace(shape, text=spelled + shape.text, const=const)
    if isinstance(shape, ArrayType):
        return replace(shape, element=_qualified(shape.element, qualifiers), text=spelled + shape.text)
    return shape


def _is_pointer(shape: Shape) -> bool:
    """Whether a member of this type consists of pointers."""
    if isinstance(shape, ArrayType):
        return _is_pointer(shape.element)
    return isinstance(shape, CType) and shape.kind == "pointer"


def _element(shape: ArrayType) -> CType:
    inner = shape.element
    if isinstance(inner, ArrayType):
        return _element(inner)
    if isinstance(inner, CodeType):
        raise NotUnderstoodError("has an array of functions")
    return inner


def _count(shape: ArrayType) -> int:
    inner = _count(shape.element) if isinstance(shape.element, ArrayType) else 1
    return (shape.count or 0) * inner


def _star(target: Shape) -> str:
    """Return what the declarator of a pointer to *target* looks like: a typedef's name needs no parentheses."""
    return "*@" if isinstance(target, CType) or target.text.endswith(" @") else "(*@)"


def decay(shape: Shape) -> CType:
    """Return the type of a parameter that is declared with *shape*: arrays and functions become pointers."""
    if isinstance(shape, ArrayType):
        target = shape.element
        pointee = target if isinstance(target, CType) and (target.size or target.kind == "void") else None
        text = target.text.replace("@", _star(target))
        return CType(text, "pointer", 8, 8, pointee=pointee, array_length=shape.count)
    if isinstance(shape, CodeType):
        return CType(shape.text.replace("@", _star(shape)), "pointer", 8, 8)
    return replace(shape, text=shape.text.replace("__restrict @", "@"))


_RESERVED = re.compile(r"_+(?:\w*reserved\w*|pad\d*|unused\d*|spare\d*|dummy\d*)$")
"""Members that fill space and mean nothing: counted in the layout, left out of the members."""


class _Layout:
    """Places members one after another, as the psABI and gcc do."""

    def __init__(self, union: bool, packed: bool) -> None:
        self._union = union
        self._packed = packed
        self._bits = 0
        self._end = 0
        self.align = 1
        self._members: list[Member] = []
        self._hidden = union

    def add(self, name: str | None, kind: CType, count: int | None, bits: int | None, aligned: int) -> None:
        align = max(1 if self._packed else kind.align, aligned)
        if self._union:
            self._bits = 0
        if bits is not None:
            self._add_bits(name, kind, bits, align)
        else:
            self._add_bytes(name, kind, count, align)
        self._end = max(self._end, self._bits)

    def _add_bytes(self, name: str | None, kind: CType, count: int | None, align: int) -> None:
        self._bits = _up(self._bits, 8 * align)
        self.align = max(self.align, align)
        offset = self._bits // 8
        if name and not _RESERVED.match(name):
            self._members.append(Member(name, kind, offset, count))
        elif not name:
            self._members.extend(_promoted(kind, offset))
        self._bits += 8 * kind.size * (1 if count is None else count)

    def _add_bits(self, name: str | None, kind: CType, bits: int, align: int) -> None:
        unit = 8 * kind.size
        if bits == 0:
            self._bits = _up(self._bits, unit)
            return
        if not self._packed and self._bits // unit != (self._bits + bits - 1) // unit:
            self._bits = _up(self._bits, unit)
        if name:
            self.align = max(self.align, align)
        self._bits += bits

    def finish(self, name: str) -> Record:
        size = _up(_up(self._end, 8) // 8, self.align)
        return Record(name, size, self.align, () if self._union else tuple(self._members))


def _promoted(kind: CType, offset: int) -> Iterator[Member]:
    """The members of an anonymous struct are members of the struct around it; those of a union stay unnamed."""
    for member in kind.record.members if kind.record else ():
        yield replace(member, offset=member.offset + offset)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def parameters(code: CodeType, taken: Callable[[str], bool]) -> tuple[Param, ...]:
    """Return a function type's parameters with usable names (see Param.name). *taken* tells names in use."""
    found: list[Param] = []
    used: set[str] = set()
    for ordinal, (spelled, kind) in enumerate(code.params or (), 1):
        name = spelled.lstrip("_") or f"arg{ordinal}"
        if name[0].isdigit():
            name = f"arg{name}"
        while taken(name) or name in used:
            name += "_"
        used.add(name)
        found.append(Param(name, kind))
    return tuple(found)
