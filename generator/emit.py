"""Turns a Plan into C, a version script and the manifest. Decides nothing: policy.py, layout.py and classes.py did.

Called by build.py and by ``wc-gen -o x.c``. Same plan, same bytes: sorted, no date, no absolute path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from .asks import change_lines, failure
from .classes import FORWARDS, Forward, Hook, hook
from .inject import Given, described, given
from .layout import Layout, Slot, Structs, build, build_tail_jump, parameter_names, tail_text
from .manifest import Manifest, Symbol, Target
from .manifest import Platform as ManifestPlatform
from .model import CType, Function, Plan, TargetPlan, Traced, Wrapper
from .registers import Registers, double_bits, registers
from .shape import Shape, shape, tail_shape
from .tracer_plan import traced_layout
from .whens import of_wrapper

PARTS, SMALLEST_PART, LARGEST_PART = 4, 16, 220
"""The C comes in several files, which compile side by side: about four, of a size between these."""
VERSION = "0.1.0"
FOR_HANDLERS = {
    "__libc_start_main": "WCI_TAIL_START",
    "ptrace": "WCI_TAIL_PTRACE",
    **dict.fromkeys(("unshare", "setns"), "WCI_TAIL_ALONE"),
    **dict.fromkeys(("longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"), "WCI_TAIL_LONGJMP"),
}
"""Wrapped for the runtime's own sake when a config has handlers: where they are loaded, what answers their questions
about the call they stand in, what may leave them, and what the control thread must not see."""
BEFORE_TAIL = {"vfork": "WCI_TAIL_VFORK", "__vfork": "WCI_TAIL_VFORK", **FOR_HANDLERS}
"""What a tail-jump does besides recording."""


@dataclass(frozen=True, slots=True)
class Emission:
    """What a shim is compiled from."""

    sources: Mapping[str, str]
    """File name -> text of .c, .S and .h files, in the order to read them."""
    version_script: str
    manifest: Manifest
    words: Sequence[int]
    """The targets' control words as the config wants them at the start."""
    symbols: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """(name, version or "") of everything that the shim must export, and nothing else."""
    plan: Plan = field(default_factory=lambda: Plan((), ()))
    """What it was made of, with the internal targets that it needed."""
    traced: Sequence[tuple[Traced, Layout]] = field(default_factory=tuple)
    """The tracer's symbols, and how their records look."""


@dataclass(slots=True)
class _Member:
    """One line of a record's struct: padding or a slot."""

    text: str


class _View:
    """Everything that the template asks about one wrapper."""

    like: Function | None = None
    """The target's own prototype, when this is another name of it."""

    def __init__(self, number: int, wrapper: Wrapper, target: TargetPlan, layout: Layout, forward: Forward) -> None:
        assert wrapper.function is not None
        self.number, self.wrapper, self.target, self.layout, self.forward = number, wrapper, target, layout, forward
        self.function = wrapper.function
        self.symbol = wrapper.symbol
        self.names = parameter_names(self.function.params)
        self.hook: Hook = hook(wrapper)
        self.after = [line.replace("@symbol@", str(number)) for line in self.hook.after]
        self.noreturn = wrapper.wrapper == "noreturn" or "noreturn" in self.function.attributes
        self.entry = self.noreturn or target.record in ("entry", "both")
        self.exit = not self.noreturn and target.record in ("exit", "both")
        self.varargs = bool(forward.varargs) and not self.noreturn
        self.when = of_wrapper(target, wrapper)

    @property
    def prototype(self) -> str:
        params = [p.type.declare(n) for p, n in zip(self.function.params, self.names, strict=True)]
        if self.function.variadic:
            params.append("...")
        return self.function.result.declare(f"wrap_{self.symbol}({', '.join(params) or 'void'})")

    @property
    def label(self) -> str:
        return f"wrap_{self.symbol}" if self.wrapper.version else self.symbol

    @property
    def callee(self) -> str:
        """The typeof of the cached pointer when it is not the wrapper's own type: the v* or vector form."""
        return self.forward.callee

    @property
    def own_type(self) -> bool:
        return self.callee == self.symbol

    @property
    def callee_type(self) -> str:
        """C type of a twin: the named parameters with what replaces the ellipsis, or comes behind them."""
        params = [p.type.declare("") for p in self.function.params]
        if self.callee in ("execve", "execvpe"):
            params = [params[0], "char *const *", "char *const *"]
        else:
            params.append("__builtin_va_list")
        return self.function.result.declare(f"wc_{self.callee}_type({', '.join(params)})")

    @property
    def arguments(self) -> str:
        """The call's arguments, with what hooks put in place of some."""
        if self.hook.environment:
            return ", ".join("new_environment" if a == self.hook.environment else self.spawned(a) for a in self.split())
        return self.forward.arguments

    def split(self) -> list[str]:
        return self.forward.arguments.split(", ")

    def spawned(self, argument: str) -> str:
        return "spawned" if self.symbol.startswith("posix_spawn") and argument == self.names[0] else argument

    @property
    def clocks(self) -> str:
        clock = {"two": 3, "one": 1, "none": 0}
        return f"{clock[self.target.clock] | (4 if self.late else 0) | (8 if self.early else 0)}u"

    @property
    def late(self) -> bool:
        """WCI_LIMIT_LATE: the wrapper asks for the target's limits itself, behind all that decides about the call."""
        return self.handled or self.target.inject is not None or self.tests or self.asks

    @property
    def early(self) -> bool:
        """WCI_LIMIT_EARLY: what is written before the call counts."""
        return self.entry or self.noreturn or bool(self.hook.exec_path)

    @property
    def shown(self) -> str:
        """Whether what is written before the call is."""
        return "shown" if self.late and self.early else "traced"

    @property
    def returns(self) -> bool:
        return self.function.result.kind != "void"

    @property
    def result(self) -> str:
        return self.function.result.declare("ret")

    @property
    def argument(self) -> str:
        for param, name in zip(self.function.params, self.names, strict=True):
            if param.type.kind == "pointer":
                return f"(uint64_t)(uintptr_t){name}"
            return f"(uint64_t){name}" if param.type.kind in ("int", "bool") else "0"
        return "0"

    @property
    def result_word(self) -> str:
        type_ = self.function.result
        if type_.kind == "pointer":
            return "(uint64_t)(uintptr_t)ret"
        if type_.kind == "float":
            return double_bits(type_)
        if type_.kind in ("int", "bool") and type_.size <= 8:
            return "(uint64_t)(int64_t)ret" if type_.signed else "(uint64_t)ret"
        return "0"

    @property
    def missing(self) -> str:
        fail = self.wrapper.annotation.fail if self.wrapper.annotation else ""
        return missing(self.function.result, fail, self.noreturn)

    @property
    def far(self) -> str:
        """Suffix of the record path's functions: out of line where a call more does not show."""
        near = not self.layout.captures and self.exit and not self.target.internal
        near = near and not self.target.back_enter and not self.target.inject and not self.asks
        return "" if near else "_far"

    @property
    def enter(self) -> str:
        return "wci_enter_if_on" if self.far else "wci_enter"

    @property
    def tests(self) -> bool:
        """Whether the target has a condition."""
        return bool(self.when.before or self.when.after)

    @property
    def members(self) -> list[str]:
        return list(record_members(self.layout.slots))

    @property
    def stores(self) -> list[str]:
        return list(self.store_lines(entry=False))

    @property
    def entry_stores(self) -> list[str]:
        return list(self.store_lines(entry=True))

    def store_lines(self, entry: bool) -> Iterator[str]:
        kept = {c.blob: c for c in self.layout.captures}
        for slot in self.layout.slots:
            if slot.name in kept:
                capture = kept[slot.name]
                if entry and not capture.before:
                    yield f"args->{slot.name} = (struct wci_blob){{0}};"
                else:
                    yield f"args->{slot.name} = wci_capture_put(args, at_{capture.name}, &kept_{capture.name});"
            elif entry and slot.name == "ret_value":
                continue
            elif slot.copy:
                yield f"__builtin_memcpy(args->{slot.name}, {slot.value}, {slot.size});"
            else:
                yield f"args->{slot.name} = {slot.value};"

    @property
    def handled(self) -> bool:
        """The wrapper looks for handlers at every recorded call: a running session may give it some."""
        return self.target.handled

    @property
    def skippable(self) -> bool:
        """A handler, an inject, or a Python handler may put a result in the call's place."""
        given = self.inject is not None and self.inject.gives
        return (self.handled or given or self.asks_before) and not self.noreturn

    @property
    def inject(self) -> Given | None:
        """What the target's inject is for this function."""
        return given(self.target.inject, self.wrapper) if self.target.inject else None

    @property
    def asks(self) -> bool:
        """A Python handler decides about its calls."""
        return self.asks_before or self.asks_after

    @property
    def asks_before(self) -> bool:
        return self.target.asks in ("before", "both") and not self.noreturn

    @property
    def asks_after(self) -> bool:
        return self.target.asks in ("after", "both") and not self.noreturn

    @property
    def entry_captures(self) -> list[tuple[str, str]]:
        return [(c.name, c.before) for c in self.layout.captures if c.before]

    @property
    def exit_captures(self) -> list[tuple[str, str]]:
        return [(c.name, c.expression) for c in self.layout.captures]

    @property
    def fails(self) -> str:
        return failure(self.layout.symbol.result)[0]

    @property
    def failure(self) -> str:
        return failure(self.layout.symbol.result)[1]

    @property
    def changes(self) -> list[str]:
        """C that puts the answer's arguments in the place of the call's."""
        return [line for change in self.layout.changes for line in change_lines(change)]

    @property
    def registers(self) -> Registers:
        return registers(self.function, self.names, self.forward, self.callee, self.like)

    @property
    def vectors(self) -> str:
        return "vectors" if self.registers.vectors else "NULL"

    @property
    def shape(self) -> Shape:
        shown = self.registers.shown
        optional = iter(self.forward.optional)
        places = self.layout.places
        names = [places[one.parameter].name if one.parameter >= 0 else next(optional) for one in shown]
        fail = self.wrapper.annotation.fail if self.wrapper.annotation else ""
        return shape(self.target.name, self.symbol, shown, names, self.function.result, fail, self.noreturn)


def missing(result: CType, fail: str, noreturn: bool) -> str:
    """Return what a wrapper does when its function exists nowhere."""
    if noreturn:
        return "wci_syscall3(SYS_exit_group, 127, 0, 0)"
    if result.kind == "void":
        return "return"
    if result.kind in ("struct", "complex"):
        return f"return ({result.declare('')}){{0}}"
    if result.kind == "int" and fail in ("-1", "<0", "EOF"):
        return "return -1"
    return "return ENOSYS" if fail == "errno" else "return 0"


def record_members(slots: Sequence[Slot]) -> Iterator[str]:
    """Yield the members of the struct that lies over a record, padding included."""
    at, pads = 36, 0
    yield "uint8_t head[36];"
    for slot in slots:
        if slot.offset > at:
            yield f"uint8_t pad{pads}[{slot.offset - at}];"
            pads += 1
        declared = slot.c_type.replace("@", slot.name) if "@" in slot.c_type else f"{slot.c_type} {slot.name}"
        yield f"{declared}; /* {slot.offset} */"
        at = slot.offset + slot.size


@cache
def environment() -> jinja2.Environment:
    """Return the template environment. Undefined names are errors: a template may not guess."""
    loader = jinja2.FunctionLoader(lambda name: (resources.files("wc_intercept.templates") / name).read_text())
    return jinja2.Environment(
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )


def emit(plan: Plan) -> Emission:
    """Return the C, the version script and the manifest of *plan*."""
    plan = with_handlers(plan)
    structs = Structs()
    prototypes = {wrapper.symbol: wrapper.function for wrapper in plan.wrappers}
    views: list[_View] = []
    symbols: list[Symbol] = []
    tails: list[dict[str, Any]] = []
    for number, wrapper in enumerate(plan.wrappers):
        target = plan.targets[wrapper.target]
        if wrapper.wrapper == "tail-jump" or wrapper.function is None:
            layout = build_tail_jump(wrapper, target)
            tails.append(tail_view(number, wrapper, target, layout))
        else:
            forward = FORWARDS[wrapper.wrapper](wrapper)
            noreturn = wrapper.wrapper == "noreturn" or "noreturn" in wrapper.function.attributes
            layout = build(wrapper, target, structs, forward.optional, bool(forward.varargs) and not noreturn)
            views.append(_View(number, wrapper, target, layout, forward))
            views[-1].like = prototypes.get(target.name) if target.name != wrapper.symbol else None
        symbols.append(layout.symbol)
    traced = [(one, traced_layout(one, plan.targets[one.wrapper.target], structs)) for one in plan.traced]
    symbols += (layout.symbol for _, layout in traced)
    return Emission(
        sources=sources(plan, views, tails),
        version_script=version_script(plan.wrappers),
        manifest=make_manifest(plan, symbols, structs),
        words=[control_word(target) for target in plan.targets],
        symbols=sorted((wrapper.symbol, wrapper.version) for wrapper in plan.wrappers),
        plan=plan,
        traced=traced,
    )


def with_handlers(plan: Plan) -> Plan:
    """Return *plan* with the internal wrappers that C handlers need."""
    wrapped = {wrapper.target for wrapper in plan.wrappers}
    taken = [target for i, target in enumerate(plan.targets) if i in wrapped]
    wanted: list[str] = []
    if any(target.handled for target in taken):
        wanted = [*FOR_HANDLERS]
    elif any(target.asks for target in taken):
        wanted = [name for name, what in FOR_HANDLERS.items() if what == "WCI_TAIL_LONGJMP"]
    there = {wrapper.symbol for wrapper in plan.wrappers}
    names = [name for name in wanted if name not in there]
    if not names:
        return plan
    targets = [TargetPlan(name, internal=True) for name in names]
    first, why = len(plan.targets), "for the handlers' sake"
    wrappers = [Wrapper(name, first + i, "tail-jump", detail=why) for i, name in enumerate(names)]
    return replace(plan, targets=(*plan.targets, *targets), wrappers=(*plan.wrappers, *wrappers))


def control_word(target: TargetPlan) -> int:
    """Return the target's control word at the start (wc_abi.h: bit 0 on, 1 drop, 2 limited, 32..63 frequency)."""
    on = 0 if target.internal else 1
    limited = 4 if target.max_per_second or target.min_duration else 0
    return on | (2 if target.on_full == "drop" else 0) | limited | (target.frequency << 32)


def tail_view(number: int, wrapper: Wrapper, target: TargetPlan, layout: Layout) -> dict[str, Any]:
    fail = wrapper.annotation.fail if wrapper.annotation else ""
    names = [field.name for field in layout.symbol.fields]
    return {
        "shape": tail_shape(target.name, wrapper, names, fail) if target.handled else None,
        "number": number, "symbol": wrapper.symbol, "target": wrapper.target, "text": tail_text(wrapper),
        "library": wrapper.library, "version": wrapper.version, "before": BEFORE_TAIL.get(wrapper.symbol, "0"),
        "label": f"wrap_{wrapper.symbol}" if wrapper.version else wrapper.symbol, "handled": target.handled,
        "origin": wrapper.function.origin if wrapper.function else wrapper.detail,
    }  # fmt: skip


def sources(plan: Plan, views: Sequence[_View], tails: Sequence[dict[str, Any]]) -> dict[str, str]:
    size = min(LARGEST_PART, max(SMALLEST_PART, -(-len(views) // PARTS)))
    parts = [views[at : at + size] for at in range(0, len(views), size)] or [[]]
    texts: dict[str, str] = {}
    for index, part in enumerate(parts):
        texts[f"hooks_{index:02d}.c"] = environment().get_template("wrappers.c.j2").render(
            plan=plan, views=part, part=index, slots=part_slots(part)
        )
    texts["hooks_tail.S"] = environment().get_template("tail.S.j2").render(tails=tails)
    texts["hooks_main.c"] = environment().get_template("main.c.j2").render(
        plan=plan, parts=range(len(parts)), tails=tails,
        handlers=first_handlers(plan), takes_handlers=any(target.handled for target in plan.targets),
        samples=any(target.frequency > 1 or target.inject for target in plan.targets),
        asks=any(view.asks for view in views),
    )  # fmt: skip
    return texts


def part_slots(part: Sequence[_View]) -> list[_View]:
    """One view per cached pointer: vprintf serves both printf and itself."""
    own = {view.callee: view for view in part if view.own_type}
    twins = {view.callee: view for view in part if not view.own_type and view.callee not in own}
    return [view for _, view in sorted({**twins, **own}.items())]


def first_handlers(plan: Plan) -> list[dict[str, Any]]:
    """Return the handlers that the shim's targets begin with. What only the tracer serves has its handlers there."""
    wrapped = {wrapper.target for wrapper in plan.wrappers}
    return [
        {"target": number, "enter": target.back_enter, "leave": target.back_exit}
        for number, target in enumerate(plan.targets)
        if number in wrapped and (target.back_enter or target.back_exit)
    ]


def version_script(wrappers: Sequence[Wrapper]) -> str:
    """Return the version script: one empty node per version; hidden visibility does the hiding."""
    versions = sorted({wrapper.version for wrapper in wrappers if wrapper.version})
    return "".join(f"{version} {{ }};\n" for version in versions)


def make_manifest(plan: Plan, symbols: list[Symbol], structs: Structs) -> Manifest:
    targets = [
        Target(t.name, t.kind, internal=t.internal, record=t.record, clock=t.clock, frequency=t.frequency,
               on_full=t.on_full, max_per_second=t.max_per_second, min_duration=t.min_duration,
               back_enter=t.back_enter, back_exit=t.back_exit, caller=t.caller,
               inject=described(t.inject), when=t.when.text if t.when else "", asks=t.asks)
        for t in plan.targets
    ]  # fmt: skip
    platform = ManifestPlatform(plan.platform.machine, plan.platform.libc, "libc.so.6", plan.platform.compiler)
    return Manifest(
        tool=VERSION,
        platform=platform,
        targets=targets,
        symbols=symbols,
        names=dict(plan.names),
        structs=structs.layouts,
        coverage=list(plan.coverage), handlers=plan.handlers, preload=plan.preload, logger=plan.logger,
        ring_size=plan.ring_size, on_full=plan.on_full, block_ms=plan.block_ms, string_limit=plan.string_limit,
    )  # fmt: skip
