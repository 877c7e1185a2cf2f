"""What is kept of what a pointer leads to: decided here, once, for both engines.

Called by layout.py. A Keep is data: captures.py makes C of it for the shim, tracer_plan.py a ``struct wct_argument``
for the tracer. Decisions about pointers come from the annotated table (a Role), the C type, and the config's
``capture``, which overrules both. Names in lengths and conditions are the annotation's or the header's.

Absent on purpose: where anything stands in the record (layout.py), and how it is read (R7 is captures.py's to keep).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .manifest import Content
from .model import CType, Role

VALUES_LIMIT = 1024
"""Bytes kept of arrays and structs, whose cut would be meaningless at string_limit."""
ADDRESS_LIMIT = 128
"""Bytes kept of a socket's address: struct sockaddr_storage."""

Limit = int | Literal["string", "path"]
"""Most bytes: a number, the session's string_limit, or what a path may have."""
Proof = Literal["", "success", "return", "first", "stdio", "path"]
"""When it may be read directly (R7): "path": after success, or an errno that only a read path leads to; else as
Role.proven."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept behind one pointer."""

    content: Content
    reads: Literal["text", "bytes", "texts"]
    """text: up to a NUL; bytes: *length*; texts: a NULL-terminated vector of strings."""
    length: str = ""
    """Bytes, an expression (lengths.py); of a text: what its buffer has, "" where only its NUL ends it."""
    sizeof: int = 1
    """Bytes of one pointee, for *length*."""
    limit: Limit = "string"
    proof: Proof = ""
    success: bool = False
    """Only after the call has succeeded by its own rule."""
    condition: str = ""
    """And only if this expression is positive."""
    written: bool = False
    """The function writes it, so that before the call there is nothing to see."""
    updated: bool = False
    """The function reads and writes it."""
    indirect: bool = False
    """The text's address stands where the pointer points."""

    @property
    def before(self) -> bool:
        """Whether it can be read before the call as well."""
        condition = "" if self.success else self.condition
        return not self.written and "ret" not in f"{self.length} {condition}"


def is_character(type_: CType) -> bool:
    return type_.kind == "int" and type_.size == 1 and "char" in type_.name


def keep(role: Role, type_: CType, override: str | None, fail: str) -> Keep | None:
    """Return what is kept behind an argument of pointer *type_*; None for nothing.

    *override* is the length that the config's ``capture`` gives ("0": nothing), *fail* the function's failure rule.
    """
    if override is not None:
        return _overridden(role, override)
    limit: Limit = "path" if role.whole else "string"
    if role.kind == "path":
        return Keep("text", "text", limit=limit, proof="path" if fail else "")
    if role.kind in ("str", "str!"):
        proof = role.proven if role.proven in ("return", "success", "first") else ""
        return Keep("text", "text", role.length, limit=limit, proof=proof)
    if role.kind == "strv":
        return Keep("texts", "texts")
    if role.kind == "outstr":
        return Keep(
            "text", "text", role.length, limit=limit, proof="return" if role.proven else "",
            success=not role.always, condition="" if role.always else role.condition, written=True,
            indirect=role.element == "pointer",
        )  # fmt: skip
    return _memory(role, type_) if role.kind in ("in", "out", "inout") else None


def is_plain(role: Role, type_: CType) -> bool:
    """Whether what is pointed to has no elements to show: a buffer of bytes."""
    pointee = type_.pointee
    return pointee is None or pointee.kind == "void" or is_character(pointee) or role.element in ("bytes", "sockaddr")


def _memory(role: Role, type_: CType) -> Keep | None:
    pointee = type_.pointee
    sizeof = 1 if pointee is None or pointee.kind == "void" else pointee.size
    if not role.length and (pointee is None or pointee.kind == "void" or sizeof == 0):
        return None
    length, values = role.length or "sizeof", not is_plain(role, type_)
    if role.element == "sigset":
        length, values = "8", True
    always = role.always or role.kind == "in"
    condition = "" if role.always else role.condition
    return Keep(
        "values" if values else "bytes",
        "bytes",
        length,
        sizeof,
        VALUES_LIMIT if values else ADDRESS_LIMIT if role.element == "sockaddr" else "string",
        _memory_proof(role),
        success=not always,
        condition=condition,
        written=role.kind == "out",
        updated=role.kind == "inout",
    )


def _memory_proof(role: Role) -> Proof:
    """What the function has written is there; what it was to read may be left unread when it fails."""
    if role.proven == "success":
        return "success" if role.kind == "in" else "return"
    return role.proven if role.proven in ("return", "stdio") else ""


def _overridden(role: Role, override: str) -> Keep | None:
    if override == "0":
        return None
    limit: Limit = int(override) if override.isdigit() else "string"
    if role.kind in ("path", "str", "str!"):
        return Keep("text", "text", limit=limit, proof="return" if role.kind == "str!" else "")
    length = role.length if override.isdigit() and role.length else override
    proof: Proof = "return" if role.kind == "out" and override.isdigit() else ""
    return Keep("bytes", "bytes", length, limit=limit, proof=proof, written=role.kind == "out")


def keep_result(role: Role, type_: CType) -> Keep | None:
    """Return what is kept of a string that the call returns."""
    if role.kind in ("str", "str!", "outstr", "path") and type_.pointee is not None:
        return Keep("text", "text", proof="" if role.kind == "str" else "return")
    return None
