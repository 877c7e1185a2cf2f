"""One call that waits for a decision, as a @decide handler sees it, and what the handler may answer.

Made by answering.py for each question. Rules: names and values of arguments are jsonl's; arguments are decoded when
they are asked for, since many handlers look at none; what cannot be put into the call is an exception in the
handler, at the line that tried.

Absent on purpose: how a question comes and its answer goes (answering.py), and which bytes are what (asked.py).
"""

from __future__ import annotations

import errno as errnos
import os
import struct
from typing import Any

from wc_intercept.generator.manifest import Field, failing

from . import abi_fields as abi
from .asked import Record

MOST_SECONDS = 86400.0
TEXT_ROOM = abi.ASK_SIZE - abi.ASK_TEXT
_BITS = {"float": "<d", "int": "<q", "uint": "<Q", "pointer": "<Q", "bool": "<Q"}


class Verdict:
    """What is to become of a call. Made by the methods of Call."""

    __slots__ = ("changes", "delay_ns", "error", "result", "texts")

    def __init__(self) -> None:
        self.result: int | None = None
        """The 64 bits that it returns in place of being made (or of what it has returned); None: as it is."""
        self.error = 0
        self.changes: dict[int, int] = {}
        """Field -> its new 64 bits; of a text, where in texts it begins."""
        self.texts: dict[int, bytes] = {}
        self.delay_ns = 0


GO = Verdict()


class Arguments(dict[str, Any]):
    """By name. To be read: what a call is made with is said by its answer."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError(f"call.args is only to be read: return call.go({name}={value!r})")


class Call:
    """A call that waits: before it is made, or (*after*) when it is back."""

    __slots__ = ("_args", "_changed", "_errno", "_record", "_ret", "after", "func", "pid", "symbol", "tid")

    def __init__(self, record: Record, pid: int, tid: int) -> None:
        self._record = record
        self.func: str = record.shape.target.name
        self.symbol: str = record.shape.symbol.name
        self.pid, self.tid = pid, tid
        self.after: bool = record.after
        self._args: dict[str, Any] | None = None
        self._changed = False
        self._ret: Any = None
        self._errno: str | None = None
        if record.after:
            self._ret, self._errno = record.result()

    def __repr__(self) -> str:
        args = ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        return f"{self.func}({args})" + (f" = {self._ret!r}" if self.after else "")

    @property
    def args(self) -> dict[str, Any]:
        """The arguments by name, as jsonl has them. They are changed by an answer: return call.go(name=value)."""
        if self._args is None:
            self._args = Arguments(self._record.arguments())
        return self._args

    @property
    def ret(self) -> Any:
        """What the call returned; after it, another value may be put here."""
        return self._ret

    @ret.setter
    def ret(self, value: Any) -> None:
        self._only(after=True, what="call.ret may be set")
        self._ret, self._changed = value, True

    @property
    def errno(self) -> str | None:
        """The name of the error of a call that failed; after it, another may be put here."""
        return self._errno

    @errno.setter
    def errno(self, name: str | None) -> None:
        self._only(after=True, what="call.errno may be set")
        _number_of(name or "EPERM")
        self._errno, self._changed = name, True

    def go(self, **changes: Any) -> Verdict:
        """Make the call, with other values for the arguments that are named."""
        self._only(after=False, what="call.go() is")
        verdict = Verdict()
        for name, value in changes.items():
            self._record.shape.change(verdict, name, value)
        if sum(map(len, verdict.texts.values())) > TEXT_ROOM:
            raise ValueError(f"{self.func}: the new strings have more than {TEXT_ROOM} bytes")
        return verdict

    def fail(self, error: str) -> Verdict:
        """Do not make the call: it fails with *error* ("EACCES"). After it: have it fail."""
        symbol = self._record.shape.symbol
        number, failure = _number_of(error), -1 if symbol.is_syscall else failing(symbol.result)
        if failure is None:
            raise ValueError(f"{self.func} cannot fail by what it returns: call.returns(VALUE)")
        verdict = Verdict()
        verdict.result = number if failure == "errno" else failure & 0xFFFFFFFFFFFFFFFF
        verdict.error = 0 if failure == "errno" else number
        return verdict

    def returns(self, value: Any = None) -> Verdict:
        """Do not make the call: it returns *value*, and errno stays. After it: have it return that."""
        verdict = Verdict()
        verdict.result = self._record.shape.returned(value)
        return verdict

    def wait(self, seconds: float) -> Verdict:
        """Make the call, but only after *seconds*; other calls do not wait."""
        if not 0 <= seconds <= MOST_SECONDS:
            raise ValueError(f"call.wait({seconds!r}): needed are 0 to {MOST_SECONDS:.0f} seconds")
        verdict = Verdict()
        verdict.delay_ns = int(seconds * 1e9)
        return verdict

    def changed(self) -> Verdict | None:
        """Return what call.ret and call.errno were set to, if they were."""
        if not self._changed:
            return None
        verdict = self.returns(self._ret)
        verdict.error = _number_of(self._errno) if self._errno else 0
        return verdict

    def _only(self, after: bool, what: str) -> None:
        if self.after != after:
            raise TypeError(f"{what} for calls that {'are back: after=True' if after else 'are not made yet'}")


def _number_of(error: str) -> int:
    number = getattr(errnos, error, None) if isinstance(error, str) and error.startswith("E") else None
    if not isinstance(number, int):
        raise ValueError(f"{error!r} is no error's name, as 'EACCES'")
    return number


def bits(value: Any, field: Field, name: str) -> int:
    """Return *value* as the 64 bits that an answer has for *field*. Raises TypeError, ValueError."""
    return as_bits(value, field.type, field.size, name)


def as_bits(value: Any, kind: str, size: int, name: str) -> int:
    """Return a number as 64 bits, checked against its C type: *kind* of the manifest, *size* bytes."""
    if kind == "float":
        return int.from_bytes(struct.pack("<d", value), "little")
    if value is None and kind == "pointer":
        return 0
    if kind not in _BITS or not isinstance(value, int):
        raise TypeError(f"{name}: {value!r} cannot be put there")
    width = 8 * min(size or 8, 8)
    if not -(1 << width - 1) <= value < 1 << width:
        raise ValueError(f"{name}: {value} does not fit its {width} bits")
    return value & 0xFFFFFFFFFFFFFFFF


def text_bytes(value: str | bytes | os.PathLike[str], name: str) -> bytes:
    """Return a string with its NUL. Raises ValueError for one that C would cut."""
    raw = os.fsencode(value)
    if b"\0" in raw:
        raise ValueError(f"{name}: {value!r} has a NUL in it")
    return raw + b"\0"
