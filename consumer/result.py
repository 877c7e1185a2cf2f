"""Return values: what a call gave back, and whether that means it failed.

Used by Batch.result. Rules: errno is stored raw, and counts only when the call failed by its function's own rule
(manifest.Return.fail); -1 is how every failed system call and every failed address reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wc_intercept.generator.manifest import Element, Return

from .columns import Array, Column
from .layout import Layout, Rows

_WIDE = ("struct", "longdouble", "complex", "raw")
_MAX_ERRNO = 4095
_MINUS_ONE = ("-1", "EOF", "MAP_FAILED", "SIG_ERR")


@dataclass(slots=True)
class Result:
    value: Array | None
    """(rows,) int64, uint64 or float64 as the function returns; None for void and for what wide holds."""
    wide: Column | None
    """A struct, long double or complex."""
    failed: Array
    """(rows,) bool."""
    error: Array
    """(rows,) int32: errno of the calls that failed, else 0. May be 0 for a failure that set none."""


def result_of(layout: Layout, rows: Rows) -> Result:
    """Return the results of *rows*, which must be CALL records."""
    rule = layout.symbol.result
    if "wide" in layout.names:
        return _wide(layout, rows)
    value = _value(rule, rows.data["result"])
    count = len(rows.data)
    error = rows.data["error"]
    if value is None or value.dtype.kind == "f":
        return Result(value, None, np.zeros(count, bool), np.zeros(count, np.int32))
    if layout.kind == "syscall":
        return _syscall(rule, value, np.ascontiguousarray(rows.data["result"]).view(np.int64))
    failed = _failed(rule, value)
    if rule.fail == "errno":
        error = np.where(value == value.astype(np.int32), value, 0).astype(np.int32)
    elif rule.fail == "nonzero" and rule.names:  # a code of the function's own says why: errno is someone else's
        error = np.zeros(count, np.int32)
    elif value.dtype.kind == "u" and rule.fail in _MINUS_ONE and failed.any():
        value = np.where(failed, -1, value.view(np.int64))
    return Result(value, None, failed, np.where(failed, error, 0))


def _wide(layout: Layout, rows: Rows) -> Result:
    result = layout.symbol.result
    data = rows.data["wide"]
    element = Element(result.type, result.size, result.role, result.names, result.struct)
    column = layout.types.column(data, element)
    return Result(None, column, np.zeros(len(data), bool), np.zeros(len(data), np.int32))


def _value(rule: Return, bits: Array) -> Array | None:
    """Return the 64 bits as the C type's numbers; a result narrower than 64 bits is cut to its size first."""
    if rule.type == "none" or (rule.type in _WIDE and not rule.size):
        return None
    if rule.type == "float":
        return np.ascontiguousarray(bits).view(np.float64)
    if rule.type == "int":
        narrow = {1: np.int8, 2: np.int16, 4: np.int32}.get(rule.size)
        return np.ascontiguousarray(bits).view(np.int64) if narrow is None else bits.astype(narrow).astype(np.int64)
    if rule.type == "bool":
        return np.asarray(bits & np.uint64(0xFF) != 0).astype(np.uint64)
    return np.asarray(bits & np.uint64(_mask(rule.size)))


def _failed(rule: Return, value: Array) -> Array:
    if rule.fail in _MINUS_ONE:
        minus_one = np.uint64(_mask(rule.size)) if value.dtype.kind == "u" else np.int64(-1)
        return np.asarray(value == minus_one)
    if rule.fail in ("NULL", "zero"):
        return np.asarray(value == 0)
    if rule.fail == "<0":
        return np.asarray(value.view(np.int64) < 0)
    if rule.fail in ("nonzero", "errno"):
        return np.asarray(value != 0)
    return np.zeros(len(value), bool)


def _mask(size: int) -> int:
    return (1 << 8 * size) - 1 if 0 < size < 8 else 0xFFFFFFFFFFFFFFFF


def _syscall(rule: Return, value: Array, raw: Array) -> Result:
    """The kernel's own returns: -errno becomes -1 and an errno. Of an int 32 bits count: modify_ldt gives no more."""
    told = value if rule.type == "int" else raw
    failed = (told < 0) & (told >= -_MAX_ERRNO)
    error = np.where(failed, -told, 0).astype(np.int32)
    return Result(np.where(failed, -1, value.view(np.int64)), None, failed, error)
