"""The file that tells the tracer what to intercept: runtime/include/wc_plan.h's bytes.

``traced_layout`` is called by emit.py (what the records of a traced symbol look like), ``pack`` by build.py. Rules: the
same layouts as the shim's, so that a record reads the same whoever wrote it; arguments travel by x86-64's System V
calling convention (a system call's in its six registers); the same plan, the same bytes. tests/test_tracer_plan.py
compares every struct here with the compiler's.

Absent on purpose: which targets are traced (policy.py), and what is kept behind pointers (keep.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from .classes import FORWARDS, replaces_program
from .conditions import Step as WhenStep
from .inject import FORM as RULE
from .inject import given
from .keep import Keep
from .layout import ASK_VALUES, REGISTERS, Layout, Place, Structs, build
from .lengths import Operand, Step, compile_steps
from .manifest import failing
from .model import CType, Function, Plan, TargetPlan, Traced, Wrapper
from .registers import as_called, meaning
from .whens import of_traced

HEAD = struct.Struct("<QIIQ14I")
TARGET = struct.Struct("<IIIBBBx")
SYMBOL = struct.Struct("<IIiIHHHHBBBBHBBHHBB2xQII")
ARGUMENT = struct.Struct("<HHBBBBBBBBIIIIBBBB")
STEP = struct.Struct("<BBHI")
MAGIC, VERSION = 0x31304E414C504357, 5
MOST_ARGUMENTS, MOST_BLOBS = 16, 8
"""WCT_MOST_ARGUMENTS and WCT_MOST_BLOBS of runtime/tracer/wct.h."""
MOST_PLACE = 240
"""Words of stack arguments that are looked at."""
PATH_LIMIT = 4096

RECORD = {"exit": 0, "entry": 1, "both": 2}
CLOCKS = {"two": 0, "one": 1, "none": 2}
ASKS = {"": 0, "before": 1, "after": 2, "both": 3}
NORETURN, FALLBACK, INTERNAL, UNTYPED, PRINTF, SCANF, EXECS = 1, 2, 4, 8, 16, 32, 128
NONE, SIGNED, UNSIGNED, BOOL, FLOAT, LONG_DOUBLE, STRUCT, COMPLEX = range(8)
FAILS = {
    **dict.fromkeys(("-1", "EOF", "MAP_FAILED", "SIG_ERR"), 1),
    "NULL": 2,
    "<0": 3,
    "nonzero": 4,
    "zero": 5,
    "errno": 6,
}
IN_REGISTER, IN_VECTOR, ON_STACK, IN_RESULT, IN_VARIADIC = range(5)
CONTENT = {"text": 1, "bytes": 2, "texts": 3}
VARIADIC = 4
AT_ENTRY, AT_SUCCESS, AT_RETURN, AT_BOTH = range(4)
OPERATIONS = {
    name: number
    for number, name in enumerate(
        "end constant value result_value behind add subtract multiply divide and minimum".split()
    )
}
CONDITIONS = {
    name: number
    for number, name in enumerate(
        "end constant high value result_value error add subtract multiply divide divide_unsigned modulo modulo_unsigned"
        " and or xor left right right_unsigned negate complement order order_unsigned order_mixed less less_equal"
        " greater greater_equal equal unequal text_equals text_matches".split()
    )
}
"""enum wct_condition."""
MODE_GIVEN = "(flags & 64) + (flags & 4259840) / 4259840"
"""Positive when open has a mode: O_CREAT, or all bits of O_TMPFILE."""

VECTORS = 8
NOT_SHOWN = 255
Travel = tuple[int, int, int]
"""(where, place, words) of an argument."""


# --- what the records look like ---------------------------------------------------------------------------------------


def traced_layout(traced: Traced, target: TargetPlan, structs: Structs) -> Layout:
    """Return the layout of *traced*'s records."""
    wrapper = traced.wrapper
    made = build(_returning(traced), target, structs, optional_words(wrapper), bool(_format(wrapper)))
    symbol = msgspec.structs.replace(
        made.symbol, library=traced.library or wrapper.library, engine="ptrace", shared=traced.shared,
        returns=traced.returns and made.symbol.returns,
    )  # fmt: skip
    return replace(made, symbol=symbol)


def _returning(traced: Traced) -> Wrapper:
    """A breakpoint sees returns that a tail-jump's stub cannot. A result in registers of two kinds is not kept."""
    wrapper = traced.wrapper
    function = wrapper.function
    if function is not None and is_mixed(function.result):
        wrapper = replace(wrapper, function=replace(function, result=replace(function.result, kind="void")))
    return replace(wrapper, wrapper="plain") if wrapper.wrapper == "tail-jump" else wrapper


def optional_words(wrapper: Wrapper) -> tuple[str, ...]:
    """Return the names of the words behind the named parameters that are recorded: mode, arg..., or registers."""
    assert wrapper.function is not None
    if not wrapper.function.variadic:
        return ()
    if wrapper.wrapper == "tail-jump":
        used = sum(1 for param in wrapper.function.params if param.type.kind in ("pointer", "int", "bool"))
        return REGISTERS[used:]
    return FORWARDS[wrapper.wrapper](wrapper).optional


def _format(wrapper: Wrapper) -> int:
    """Return the flag of a function whose variadic arguments are decoded after its format: PRINTF, SCANF or 0."""
    assert wrapper.function is not None
    if wrapper.wrapper != "v-twin" or "noreturn" in wrapper.function.attributes:
        return 0
    varargs = FORWARDS["v-twin"](wrapper).varargs
    return PRINTF if "wci_varargs_printf" in varargs else SCANF if "wci_varargs_scanf" in varargs else 0


# --- where arguments travel -------------------------------------------------------------------------------------------


class _Places:
    """Gives out registers and stack words in the order of the parameters."""

    def __init__(self, system_call: bool) -> None:
        self.system_call = system_call
        self.general = 0
        self.vectors = 0
        self.words = 0

    def general_words(self, words: int, align: int = 1) -> Travel:
        if self.general + words <= len(REGISTERS):
            self.general += words
            return IN_REGISTER, self.general - words, words
        return self.stack(words, align)

    def vector_words(self, words: int) -> Travel:
        if self.vectors + words <= VECTORS:
            self.vectors += words
            return IN_VECTOR, self.vectors - words, words
        return self.stack(words)

    def stack(self, words: int, align: int = 1) -> Travel:
        self.words += -self.words % align
        self.words += words
        return ON_STACK, self.words - words, words

    def of(self, type_: CType) -> tuple[Travel, ...]:
        """Return where an argument of *type_* is: in one place, nowhere, or each half of it in a place of its own."""
        if type_.kind == "void":  # an empty class of C++
            return ()
        return self._halves(type_) if self._is_split(type_) else (self._whole(type_),)

    def _is_split(self, type_: CType) -> bool:
        free = self.general < len(REGISTERS) and self.vectors < VECTORS
        return free and is_mixed(type_) and not self.system_call

    def _halves(self, type_: CType) -> tuple[Travel, ...]:
        return tuple(self.vector_words(1) if _is_vector(type_, at) else self.general_words(1) for at in (0, 8))

    def _whole(self, type_: CType) -> Travel:
        words = max(1, -(-type_.size // 8))
        kinds = {kind for _, kind in _leaves(type_)}
        if type_.kind == "longdouble" or "longdouble" in kinds or (type_.kind in ("struct", "complex") and words > 2):
            return self.stack(words, 2 if type_.align == 16 else 1)
        if type_.kind in ("float", "complex"):
            return self.vector_words(words)
        if type_.kind != "struct":
            return self.general_words(1 if type_.kind == "va_list" else words)
        if is_mixed(type_):  # there is no room for both halves
            return self.stack(words)
        return self.vector_words(words) if _is_vector(type_, 0) else self.general_words(words)


def is_mixed(type_: CType) -> bool:
    """Whether one half of a small struct travels in a general register, the other in a vector register."""
    small = type_.kind == "struct" and 8 < type_.size <= 16
    return small and _is_vector(type_, 0) != _is_vector(type_, 8)


def _in_memory(result: CType) -> bool:
    """Whether the caller says where the result goes: large structs, and what C++ returns by reference."""
    return (result.kind == "struct" and result.size > 16) or result.text.endswith(" &@")


def _is_vector(type_: CType, word: int) -> bool:
    """Whether the 8 bytes at *word* of a struct of up to 16 bytes travel in a vector register: nothing but floats."""
    found = [kind for at, kind in _leaves(type_) if word <= at < word + 8]
    return bool(found) and all(kind in ("float", "complex") for kind in found)


def _leaves(type_: CType, at: int = 0) -> Iterator[tuple[int, str]]:
    for member in type_.record.members if type_.record else ():
        for i in range(1 if member.array_length is None else member.array_length):
            place = at + member.offset + i * member.type.size
            if member.type.kind == "struct":
                yield from _leaves(member.type, place)
            else:
                yield place, member.type.kind


# --- the file ---------------------------------------------------------------------------------------------------------


def pack(plan: Plan, traced: Sequence[tuple[Traced, Layout]], manifest: int, shim: str = "") -> bytes:
    """Return the plan for the tracer. *plan* is the Emission's; *manifest* the hash; *shim* its file's name, or ""."""
    return _Packer(plan).file(traced, manifest, shim)


@dataclass(slots=True)
class _Arguments:
    """A symbol's arguments with what its record says of them."""

    traced: Traced
    layout: Layout
    target: TargetPlan
    like: Function | None = None
    """The target's own prototype, when this is another name of it."""

    @property
    def function(self) -> Function:
        assert self.traced.wrapper.function is not None
        return self.traced.wrapper.function

    @property
    def operands(self) -> Mapping[str, Operand]:
        """Every name of a parameter -> where the tracer finds it."""
        found: dict[str, Operand] = {}
        for i, (param, place) in enumerate(zip(self.function.params, self.layout.places, strict=False)):
            pointee = param.type.pointee
            behind = pointee.size if pointee is not None and pointee.kind in ("int", "bool", "pointer") else 0
            found[param.name] = found[place.name] = Operand(i, behind if behind in (1, 2, 4, 8) else 0)
        return found

    @property
    def shown(self) -> Mapping[int, int]:
        """Parameter, or optional word behind them -> which argument it is for a handler, as in the shim."""
        params = self.function.params
        named = as_called(self.function, self.like) if self.like else range(len(params))
        behind = range(len(params), len(self.layout.places))
        words = [i for i in behind if self.layout.places[i].name not in ("...", "ret")]
        return {index: order for order, index in enumerate([*named, *words])}

    def when(self, keep: Keep) -> int:
        """A function's arguments are looked at after it, as the shim does; a system call's before."""
        early = self.target.record != "exit" or self.target.asks in ("before", "both")
        entry = self.traced.number >= 0 or early or not self.layout.symbol.returns
        if keep.success:
            return AT_BOTH if keep.updated and entry else AT_SUCCESS
        return AT_ENTRY if keep.before and entry else AT_RETURN


class _Packer:
    """Collects the tables; kept as a class because they refer to each other."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.texts = {"": 0}
        self.text_bytes = bytearray(b"\0")
        self.programs: dict[tuple[Step, ...], int] = {(): 0}
        self.steps = bytearray(STEP.pack(0, 0, 0, 0))
        self.arguments = bytearray()
        self.injects: dict[bytes, int] = {}
        self.prototypes: dict[str, Function | None] = {}

    def text(self, text: str) -> int:
        if text not in self.texts:
            self.texts[text] = len(self.text_bytes)
            self.text_bytes += text.encode("utf-8", "surrogateescape") + b"\0"
        return self.texts[text]

    def program(self, steps: Sequence[Step]) -> int:
        key = tuple(steps)
        if key not in self.programs:
            self.programs[key] = len(self.steps) // STEP.size
            for operation, size, value in (*steps, ("end", 0, 0)):
                self.steps += STEP.pack(OPERATIONS[operation], size, 0, value)
        return self.programs[key]

    def condition(self, steps: Sequence[WhenStep]) -> int:
        """Return the number of a program of enum wct_condition."""
        if not steps:
            return 0
        at = len(self.steps) // STEP.size
        for operation, place, value in (*steps, ("end", 0, 0)):
            number = self.text(value) if isinstance(value, str) else value
            self.steps += STEP.pack(CONDITIONS[operation], place, 0, number)
        return at

    def file(self, traced: Sequence[tuple[Traced, Layout]], manifest: int, shim: str) -> bytes:
        targets = b"".join(
            TARGET.pack(self.text(t.name), self.text(t.back_enter), self.text(t.back_exit), RECORD[t.record],
                        CLOCKS[t.clock], ASKS[t.asks])
            for t in self.plan.targets
        )  # fmt: skip
        first = len(self.plan.wrappers)
        named = [w for w in (*self.plan.wrappers, *(one.wrapper for one, _ in traced)) if w.function is not None]
        self.prototypes = {wrapper.symbol: wrapper.function for wrapper in named}
        symbols = b"".join(self.symbol(first + i, one, layout) for i, (one, layout) in enumerate(traced))
        library, shim_at = self.text(self.plan.handlers), self.text(shim)
        rules, texts = b"".join(self.injects), bytes(self.text_bytes)
        tables = (targets, symbols, bytes(self.arguments), bytes(self.steps), rules, texts)
        sizes = (TARGET.size, SYMBOL.size, ARGUMENT.size, STEP.size, RULE.size, 1)
        at, counts = HEAD.size, []
        for table, size in zip(tables, sizes, strict=True):
            counts += [len(table) // size, at]
            at += len(table)
        return HEAD.pack(MAGIC, VERSION, at, manifest, *counts, library, shim_at) + b"".join(tables)

    def inject(self, one: _Arguments) -> int:
        """Return 1 + the number of a symbol's rule, 0 without one."""
        if one.target.inject is None:
            return 0
        found = given(one.target.inject, one.traced.wrapper, syscall=one.traced.number >= 0)
        return self.injects.setdefault(RULE.pack(*found.members), len(self.injects)) + 1

    def symbol(self, id: int, traced: Traced, layout: Layout) -> bytes:
        wrapper = traced.wrapper
        target = self.plan.targets[wrapper.target]
        other = traced.number < 0 and target.name != wrapper.symbol
        one = _Arguments(traced, layout, target, self.prototypes.get(target.name) if other else None)
        first = len(self.arguments) // ARGUMENT.size
        count = self.add_arguments(one)
        result, size = value_of(one.function.result, by_result=True)
        when = of_traced(one.target, traced)
        return SYMBOL.pack(
            self.text(traced.elf_name or wrapper.symbol), self.text(traced.library), traced.number, first, id,
            wrapper.target, layout.cells, layout.symbol.caller, count, _flags(one), result, size,
            layout.symbol.result.offset, FAILS.get(layout.symbol.result.fail, 0),
            max(len(one.function.params) - 1, 0) if _format(wrapper) else 0,
            layout.symbol.injected, self.inject(one), meaning(one.function.result), can_fail(traced, layout),
            traced.address,
            self.condition(when.steps_before), self.condition(when.steps_after),
        )  # fmt: skip

    def add_arguments(self, one: _Arguments) -> int:
        """Append a symbol's arguments, and behind them the second halves of split ones; return how many."""
        places = _Places(one.traced.number >= 0)
        if _in_memory(one.function.result):
            places.general_words(1)  # where the result is to be written
        params = one.function.params
        rows: list[bytes] = []
        halves: list[bytes] = []
        blobs, shown = 0, one.shown
        layout_fields = [field.name for field in one.layout.symbol.fields]
        for i, place in enumerate(one.layout.places):
            type_ = params[i].type if i < len(params) else None
            travels = places.of(type_) if type_ else (_special(place) or places.general_words(1),)
            blobs += place.blob != 0
            if len(travels) == 2:
                rows.append(_half(place.offset, 8, travels[0], self.text(place.name), shown.get(i, NOT_SHOWN)))
                halves.append(_half(place.offset + 8, place.size - 8, travels[1]))
                continue
            kept = place if blobs <= MOST_BLOBS else replace(place, blob=0, keep=None)  # or its pointer alone
            told = (shown.get(i, NOT_SHOWN), meaning(type_) if type_ else 0, _own_size(place, type_),
                    _changeable(place, layout_fields) if len(travels) == 1 else 0)
            rows.append(self.argument(one, kept, type_, travels[0] if travels else None, told))
        taken = [*rows, *halves][:MOST_ARGUMENTS]
        self.arguments += b"".join(taken)
        return len(taken)

    def argument(
        self, one: _Arguments, place: Place, type_: CType | None, travel: Travel | None, told: tuple[int, int, int, int]
    ) -> bytes:
        kind, size = (value_of(type_)[0], place.size) if type_ else (UNSIGNED if place.size else NONE, place.size)
        where, at, words = travel or (IN_REGISTER, 0, 0)
        if travel is None or at > MOST_PLACE or place.type == "none" or place.name == "ret":
            kind, size = NONE, 0
        if at > MOST_PLACE or (kind == NONE and words > 7):
            at = words = 0
        offset = place.offset if kind != NONE else 0
        content = when = limit = length = condition = 0
        keep = place.keep
        if place.name == "...":
            content, when = VARIADIC, AT_RETURN
            if one.function.result.kind == "int" and _format(one.traced.wrapper) == PRINTF:
                condition = self.program(compile_steps("ret + 1", {}))
        elif keep is not None and place.blob:
            content, when = CONTENT[keep.reads], AT_RETURN if place.name == "ret" else one.when(keep)
            limit = keep.limit if isinstance(keep.limit, int) else PATH_LIMIT if keep.limit == "path" else 0
            if keep.length:
                length = self.program(compile_steps(keep.length, one.operands, keep.sizeof))
            if keep.condition:
                condition = self.program(compile_steps(keep.condition, one.operands))
        elif place.name == "mode" and one.traced.wrapper.wrapper == "mode-if-flag":
            flags = {"flags": Operand(len(one.function.params) - 1)}
            condition = self.program(compile_steps(MODE_GIVEN, flags))
        return ARGUMENT.pack(
            offset, place.blob, kind, size, where, at, words, content, when, int(bool(keep and keep.indirect)), limit,
            length, condition, self.text(place.name), *told,
        )  # fmt: skip


def _half(offset: int, size: int, travel: Travel, name: int = 0, shown: int = NOT_SHOWN) -> bytes:
    """Half of a struct. own_size 16 tells that it is no number, whatever travels here."""
    return ARGUMENT.pack(offset, 0, UNSIGNED, size, *travel, 0, 0, 0, 0, 0, 0, name, shown, 0, 16, 0)


def _changeable(place: Place, fields: Sequence[str]) -> int:
    """Return 1 + the index of the manifest's field that an answer may change, 0 for what stands in no record."""
    at = fields.index(place.name) if place.offset and place.name in fields else ASK_VALUES
    return at + 1 if at < ASK_VALUES else 0


def can_fail(traced: Traced, layout: Layout) -> bool:
    """Whether a call can be made to fail with an error: a system call always can."""
    return traced.number >= 0 or failing(layout.symbol.result) is not None


def _own_size(place: Place, type_: CType | None) -> int:
    return min(type_.size if type_ else place.size, 255)


def _special(place: Place) -> Travel | None:
    """Return where what is no argument of its own stands: the variadic ones, the returned string."""
    return {"...": (IN_VARIADIC, 0, 0), "ret": (IN_RESULT, 0, 1)}.get(place.name)


def _flags(one: _Arguments) -> int:
    traced = one.traced
    return (
        NORETURN * (not one.layout.symbol.returns or traced.wrapper.wrapper == "noreturn")
        | FALLBACK * traced.fallback
        | INTERNAL * traced.internal
        | UNTYPED * traced.untyped
        | EXECS * (traced.replaces or (traced.number < 0 and replaces_program(traced.wrapper.symbol)))
        | _format(traced.wrapper)
    )


def value_of(type_: CType, by_result: bool = False) -> tuple[int, int]:
    """Return (enum wct_value, bytes of the C type) for an argument or a result of *type_*."""
    kinds = {"pointer": UNSIGNED, "bool": BOOL, "float": FLOAT, "longdouble": LONG_DOUBLE, "complex": COMPLEX}
    if type_.kind == "int":
        return (SIGNED if type_.signed else UNSIGNED, type_.size) if type_.size <= 8 else (NONE, 0)
    if type_.kind == "struct" and type_.size <= 56:
        return _struct_value(type_, by_result)
    if type_.kind not in kinds or (type_.kind == "float" and type_.size not in (4, 8)):
        return NONE, 0
    return kinds[type_.kind], type_.size


def _struct_value(type_: CType, by_result: bool) -> tuple[int, int]:
    """A small struct of floats comes back in vector registers, as a complex number does; one of both kinds is lost."""
    if not by_result or type_.size > 16:
        return STRUCT, type_.size
    classes = {_is_vector(type_, at) for at in range(0, type_.size, 8)}
    return (NONE, 0) if len(classes) != 1 else (COMPLEX if classes.pop() else STRUCT, type_.size)
