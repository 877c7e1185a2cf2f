"""The system calls that a config asks for, as targets of the tracer.

Called by policy.py. Pure but for the headers that syscalls.py reads. Rules as for functions: exclude first; a name or a
number over a glob over a set, then the later over the earlier; a target is called as asm/unistd_64.h names it.

Absent on purpose: which calls there are, and how each reads (syscalls.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from msgspec.structs import replace as replaced

from . import limits
from .config import Call, Config
from .errors import UserError, nearest
from .headers import Headers
from .inject import why_not
from .manifest import Coverage
from .model import Platform, TargetPlan, Traced, When, Wrapper
from .syscalls import SystemCall, describe, numbers, select
from .when import WhenError
from .whens import Place, Whens, located
from .wishes import asks_of

SCENE_ALWAYS = "it is a system call"


@dataclass(frozen=True, slots=True)
class Calls:
    """What the syscalls of a config came to."""

    targets: tuple[TargetPlan, ...] = ()
    traced: tuple[Traced, ...] = ()
    coverage: tuple[Coverage, ...] = ()


def plan_calls(
    config: Config, headers: Headers, platform: Platform, first: int, why_not: str, whens: Whens
) -> Calls:
    """Return the targets of config.calls, numbered from *first*; with *why_not* they are refused for that reason.

    Raises UserError for a capture of a parameter that a named call does not have.
    """
    if not config.calls:
        return Calls()
    entries, coverage = _chosen(config, platform)
    if why_not:
        entries, coverage = {}, [*(_refused(line, why_not) for line in coverage)]
    described = describe(list(entries), headers, platform) if entries else []
    refused = {call.name: why for call in described if (why := _check_inject(entries[call.name], _traced(call, 0)))}
    described = [call for call in described if call.name not in refused]
    coverage = [_refused(line, refused[line.target]) if line.target in refused else line for line in coverage]
    fitting = _fitting(config, entries, described, whens)
    unfit = {call.name for call in described} - {call.name for call, _ in fitting}
    targets = tuple(_target(config, entries[call.name], call, when) for call, when in fitting)
    traced = tuple(_traced(call, first + i) for i, (call, _) in enumerate(fitting))
    return Calls(targets, traced, tuple(_misfit(line) if line.target in unfit else line for line in coverage))


def fallbacks(
    targets: Sequence[TargetPlan], meant: Mapping[str, Sequence[str]], headers: Headers, platform: Platform
) -> list[Traced]:
    """Return what serves function targets where no shim is: the system calls that each is *meant* to be.

    A call that is a target of its own, or another function's by name, is not taken twice.
    """
    owner: dict[str, int] = {}
    taken = {target.name for target in targets if target.kind == "syscall"}
    named = {target.name: i for i, target in enumerate(targets) if target.name in meant}
    for name, calls in meant.items():
        for call in calls:
            if call not in taken:
                owner.setdefault(call, named.get(call, named[name]))
    return [replace(_traced(call, owner[call.name]), fallback=True) for call in describe(owner, headers, platform)]


def _chosen(config: Config, platform: Platform) -> tuple[dict[str, Call], list[Coverage]]:
    """Return name -> the entry that decides about it, in the order of numbers, and the report's lines."""
    exact: dict[str, Call] = {}
    wide: dict[str, Call] = {}
    lines: list[Coverage] = []
    ordered = [c for c in config.calls if not c.wide]
    ordered += [c for c in config.calls if c.name.startswith("%")]
    ordered += [c for c in config.calls if c.wide and not c.name.startswith("%")]
    for call in ordered:
        found = select(call.name, platform)
        if not found:
            lines.append(_unknown(call, platform))
        for name in found:
            if call.overlay:
                continue
            if _excluded(config, name):
                reason = "the config's exclude names it"
                lines.append(Coverage(call.requested, name, "excluded", engine="", reason=reason, where=call.at))
            elif not call.wide:
                exact[name] = call
            elif name not in exact:
                wide[name] = call
    entries = _laid_over({**wide, **exact}, config, platform)
    for name, call in entries.items():
        lines.append(
            Coverage(call.requested, name, "traced", "plain", [name], "ptrace", reason=SCENE_ALWAYS, where=call.at)
        )
    order = {name: i for i, name in enumerate(numbers(platform))}
    return dict(sorted(entries.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))), lines


def _laid_over(entries: dict[str, Call], config: Config, platform: Platform) -> dict[str, Call]:
    """Add what --inject adds: to a call that is a target its inject alone."""
    for call in config.calls:
        for name in select(call.name, platform) if call.overlay else ():
            if not _excluded(config, name):
                own = entries.get(name)
                entries[name] = replaced(own, inject=call.inject, inject_at=call.inject_at) if own else call
    return entries


def _check_inject(entry: Call, traced: Traced) -> str:
    """Return why the entry's inject cannot be done at a call, "" if it can. Of a named one: UserError."""
    why = why_not(entry.inject, traced.wrapper, syscall=True, traced=True) if entry.inject else ""
    if why and not entry.wide:
        raise UserError(f"nothing can be injected into {traced.wrapper.symbol}", entry.inject_at, why)
    return why


def _unknown(call: Call, platform: Platform) -> Coverage:
    known = numbers(platform)
    close = " or ".join(nearest(call.name, known))
    why = f"asm/unistd_64.h has no system call of that {'number' if call.name.isdigit() else 'name'}"
    reason = f"{why}; there is {close}" if close else why
    return Coverage(f"sys:{call.name}", "", "unknown", "refused", engine="", reason=reason, where=call.at)


def _refused(line: Coverage, why_not: str) -> Coverage:
    if line.status != "traced":
        return line
    return Coverage(
        line.requested, line.target, "refused", "refused", engine="ptrace", reason=f"{line.reason}: {why_not}",
        where=line.where,
    )  # fmt: skip


def _excluded(config: Config, name: str) -> bool:
    return any(
        name in select(pattern) if pattern.startswith("%") else fnmatchcase(name, pattern) for pattern in config.exclude
    )


def _fitting(
    config: Config, entries: Mapping[str, Call], described: Sequence[SystemCall], whens: Whens
) -> list[tuple[SystemCall, When | None]]:
    """Return the calls with their entries' ``when``; without those of a glob or a set that it does not fit.

    Raises UserError where it fits none, or not the call that is named.
    """
    found: list[tuple[SystemCall, When | None]] = []
    bad: dict[int, UserError] = {}
    for call in described:
        entry = entries[call.name]
        try:
            place = Place(_traced(call, 0).wrapper, _traced(call, 0))
            found.append((call, whens.of(entry.when, [place], entry.record) if entry.when else None))
        except WhenError as error:
            at = (entry.key, entry.index, "when")
            bad.setdefault(entry.index, located(config.document, at, error, call.name))
            if not entry.wide:
                raise bad[entry.index] from error
    for index, refusal in bad.items():
        if not any(entries[call.name].index == index for call, _ in found):
            raise refusal
    return found


def _misfit(line: Coverage) -> Coverage:
    if line.status != "traced":
        return line
    return Coverage(line.requested, line.target, "excluded", reason="its 'when' does not fit", where=line.where)


def _target(config: Config, entry: Call, call: SystemCall, when: When | None) -> TargetPlan:
    return TargetPlan(
        call.name,
        kind="syscall",
        record=entry.record,
        clock=entry.clock,
        frequency=entry.frequency,
        on_full=entry.on_full,
        max_per_second=entry.max_per_second,
        min_duration=limits.of_call(config, entry, call.name, call.returns),
        back_enter=entry.back_enter,
        back_exit=entry.back_exit,
        caller=entry.caller,
        capture=tuple(_captures(config, entry, call)),
        asks=asks_of(config.wishes, {call.name}, syscall=True),
        inject=entry.inject,
        when=when,
    )


def _captures(config: Config, entry: Call, call: SystemCall) -> Iterator[tuple[str, str]]:
    """Yield the captures that fit the call; of a named one all must."""
    known = {param.name for param in call.function.params} | {name for name, _ in call.annotation.params}
    for name, length in entry.capture:
        strangers = [word for word in re.findall(r"[A-Za-z_]\w*", length) if word not in known | {"ret"}]
        wrong = name if name not in known else strangers[0] if strangers else ""
        if not wrong:
            yield name, length
        elif not entry.wide:
            raise UserError(
                f"{call.name} has no parameter '{wrong}'",
                config.document.where((entry.key, entry.index, "capture", name)),
                f"its parameters are {', '.join(sorted(known))}" if known else "it has none",
                " or ".join(nearest(wrong, known)),
            )


def _traced(call: SystemCall, target: int) -> Traced:
    wrapper = Wrapper(
        call.name,
        target,
        "plain" if call.returns else "noreturn",
        library="",
        function=replace(call.function, name=call.name, variadic=False, origin=call.origin),
        annotation=call.annotation,
    )
    return Traced(wrapper, number=call.number, returns=call.returns, replaces=call.replaces)
