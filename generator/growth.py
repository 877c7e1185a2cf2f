"""Targets added to a running session: what they append to its manifest, and the tracer's plan for them.

Made in a child of wc-run (consumer/planning.py), applied by everybody who holds the session's manifest
(manifest.Growth). Rules: ids stay what they are; keys of names and structs that mean something else in the session
already get other names.

Absent on purpose: the shim, which stays as it is: what is added is the tracer's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from .emit import emit
from .manifest import Element, Field, Growth, Manifest, Return, Symbol, Target
from .model import Plan, TargetPlan
from .tracer_plan import pack

Key = tuple[str, str]
"""(name, kind) of a target."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Grown:
    growth: Growth
    words: list[int]
    """Control words that the targets begin with."""
    plan: bytes
    """Of the tracer, for these targets alone; its numbers count from 0."""


def growth_of(base: Manifest, plan: Plan, manifest: int, shim: str) -> Grown:
    """Return what *plan*, of the tracer's targets alone, adds to *base*, whose hash is *manifest*."""
    emission = emit(plan)
    made = emission.manifest
    renamed = _renames(base.names, made.names) | _renames(base.structs, made.structs)
    first_target, first_symbol = len(base.targets), len(base.symbols)
    symbols = [
        msgspec.structs.replace(_renamed(symbol, renamed), target=symbol.target + first_target)
        for symbol in made.symbols
    ]
    growth = Growth(
        first_target,
        first_symbol,
        made.targets,
        symbols,
        {renamed.get(key, key): names for key, names in made.names.items()},
        {renamed.get(key, key): [_field(f, renamed) for f in fields] for key, fields in made.structs.items()},
        made.coverage,
    )
    return Grown(growth, list(emission.words), pack(emission.plan, emission.traced, manifest, shim))


def without(plan: Plan, there: Collection[Key]) -> Plan:
    """Return *plan* without the targets that are *there* already, and without internal ones."""
    kept = [i for i, t in enumerate(plan.targets) if not t.internal and (t.name, t.kind) not in there]
    index = {old: new for new, old in enumerate(kept)}
    traced = tuple(
        replace(one, wrapper=replace(one.wrapper, target=index[one.wrapper.target]))
        for one in plan.traced
        if one.wrapper.target in index
    )
    names = {plan.targets[i].name for i in kept}
    coverage = tuple(line for line in plan.coverage if line.target in names)
    return replace(plan, targets=tuple(plan.targets[i] for i in kept), wrappers=(), traced=traced, coverage=coverage)


def nothing(targets: int, manifest: int, shim: str) -> bytes:
    """Return a plan of *targets* that the tracer does not serve: what one begins with that is there for what comes."""
    return pack(Plan(tuple(TargetPlan("") for _ in range(targets)), ()), (), manifest, shim)


def _renames(base: Mapping[str, Value], more: Mapping[str, Value]) -> dict[str, str]:
    """Return new keys for those of *more* that are in *base* with another meaning."""
    found = {}
    for key in more:
        number, name = 1, key
        while name in base and base[name] != more[key]:
            number += 1
            name = f"{key}#{number}"
        if name != key:
            found[key] = name
    return found


def _renamed(symbol: Symbol, names: Mapping[str, str]) -> Symbol:
    if not names:
        return symbol
    fields = [_field(field, names) for field in symbol.fields]
    return msgspec.structs.replace(symbol, fields=fields, result=_keys(symbol.result, names))


def _field(field: Field, names: Mapping[str, str]) -> Field:
    element: Element | None = _keys(field.element, names) if field.element is not None else None
    return msgspec.structs.replace(_keys(field, names), element=element) if names else field


Keyed = TypeVar("Keyed", Field, Element, Return)


def _keys(value: Keyed, names: Mapping[str, str]) -> Keyed:
    changed: dict[str, Any] = {}
    for key in ("names", "struct"):
        found = getattr(value, key)
        if found in names:
            changed[key] = names[found]
    return msgspec.structs.replace(value, **changed) if changed else value


def keys_of(targets: Sequence[Target]) -> set[Key]:
    return {(target.name, target.kind) for target in targets if not target.internal}
