"""A function target for the tracer: one symbol for each place where its code begins.

Called by policy.py. Pure. The names under which a target is exported are grouped by address: a breakpoint cannot tell
which of them was called, so that a group is one symbol, marked as shared. A function without any prototype is recorded
as six integer registers; of the program's own, a pointer to char is taken for a string, unproven.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from .ctype import arithmetic
from .engines import PROGRAM
from .model import Annotation, CType, Export, Function, Param, Role, Traced, Wrapper
from .registers import REGISTERS


def untyped(symbol: str) -> Function:
    """Return the stand-in for the prototype of a function without one: six integer registers."""
    word = arithmetic(["unsigned", "long"])
    result = arithmetic(["long"])
    assert word is not None and result is not None
    origin = "no prototype: the six integer registers"
    return Function(symbol, result, tuple(Param(name, word) for name in REGISTERS), origin=origin)


def traced_functions(
    name: str,
    wrappers: Sequence[Wrapper],
    exports: Mapping[str, Export],
    several: Collection[str] = (),
    enums: Collection[str] = (),
    captured: Collection[str] = (),
    *,
    internal: bool = False,
) -> Iterator[Traced]:
    """Yield the symbols of the target *name*, whose names *wrappers* are, as *exports* say where they stand.

    What *several* libraries export is looked for in all of them: a program may be bound to any. *enums* are the
    program's own that have names, *captured* the parameters of which the config says what is kept.
    """
    groups: dict[tuple[str, int], list[Wrapper]] = {}
    for i, wrapper in enumerate(wrappers):
        export = exports.get(wrapper.symbol)
        groups.setdefault((export.library, export.address) if export else ("", -i), []).append(wrapper)
    for (library, _), group in groups.items():
        chosen = next((w for w in group if w.symbol == name), None) or min(group, key=_plainness)
        function = chosen.function
        if function is None:
            chosen = replace(chosen, function=untyped(chosen.symbol))
        elif library == PROGRAM and chosen.annotation is None:
            chosen = replace(chosen, annotation=inferred(function, enums, captured))
        yield Traced(
            chosen,
            library="" if chosen.symbol in several else library or chosen.library or "*",
            internal=internal,
            shared=len(group) > 1,
            untyped=function is None,
        )


def inferred(function: Function, enums: Collection[str] = (), captured: Collection[str] = ()) -> Annotation:
    """Return what the types of a program's own function tell: enums; a pointer to char is a string, perhaps."""
    params = tuple(
        (param.name, Role() if param.name in captured else _role(param.type, enums)) for param in function.params
    )
    return Annotation(function.name, params, _role(function.result, enums))


def _role(type_: CType, enums: Collection[str]) -> Role:
    pointee = type_.pointee
    if type_.kind == "int" and f"enum {type_.name.removeprefix('enum ')}" in enums:
        return Role("enum", names=f"enum {type_.name.removeprefix('enum ')}")
    return Role("str") if type_.kind == "pointer" and pointee is not None and pointee.name == "char" else Role()


def anywhere(traced: Traced) -> Traced:
    """Return *traced* for images without the shim, whichever object has it there."""
    return replace(traced, library="*", fallback=True)


def _plainness(wrapper: Wrapper) -> tuple[bool, bool, int, str]:
    return wrapper.function is None, wrapper.symbol.startswith("_"), len(wrapper.symbol), wrapper.symbol
