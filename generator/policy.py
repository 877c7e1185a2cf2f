"""What becomes of each function that a config asks for: the plan that the emitter follows.

Called by build.py and cli.py. ``plan`` is pure: config, headers and libraries in, Plan out; the same in, the same out.
Rules: every requested name is answered in the coverage, wrapped, traced, or with a sentence why not.

Absent on purpose: C, record layouts, reading of files; which engine (engines.py), which class (wrapping.py), and what
the tracer's symbols are (tracing.py, calls.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from . import limits
from .aliases import Aliases
from .annotations import CALL_SETS, TABLE, names_of, resolve
from .calls import fallbacks, plan_calls
from .config import Config, Func
from .elf import Library
from .engines import ONLY_TRACED, PROGRAM, Scene, why_traced
from .errors import UserError, nearest
from .headers import Headers
from .inject import why_not
from .libc_rules import INTERNAL
from .manifest import Coverage, Names, WrapperClass
from .model import Annotation, Function, Plan, Platform, TargetPlan, Traced, When, Wrapper
from .selection import Answer, Chosen, Selection, select
from .syscalls import stands_for
from .tracing import anywhere, traced_functions
from .when import WhenError
from .whens import Place, Whens, located, of_traced
from .wishes import asks_of
from .wrapping import Choice, choose


class OwnFunctions(Protocol):
    """What a program tells of the functions that it defines itself."""

    def function(self, symbol: str, headers: Headers) -> Function | None:
        """Return the prototype of a symbol that its debug information has."""

    def spelled(self, name: str) -> Sequence[str]:
        """Return the symbols of a C++ name."""

    @property
    def names(self) -> Mapping[str, Names]:
        """The enums in its prototypes, as ``enum color``."""


def plan(
    config: Config,
    headers: Headers,
    libraries: Sequence[Library],
    platform: Platform,
    scene: Scene = Scene(),  # noqa: B008 - frozen
    own: OwnFunctions | None = None,
) -> Plan:
    """Return what to generate for *config*. *libraries*: libc, libm, then those that the config names.

    *own* is the program that will run, as far as it was asked; a library called "." holds its own functions.

    Names that nothing knows are coverage lines too, of status "unknown": the caller may know more libraries. Raises
    UserError for a prototype that is none, for a capture of a parameter and an exclude of a set that do not exist.
    """
    return _Planner(config, headers, libraries, platform, scene, own).run()


# --- the plan --------------------------------------------------------------------------------------------------------


class _Any(Collection[str]):
    """Every name: a breakpoint needs no form with a va_list to be exported."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(slots=True)
class _Found:
    """One target with its names as they are wrapped, or traced for the reason *why*."""

    chosen: Chosen
    wrappers: list[Wrapper] = field(default_factory=list)
    why: str = ""
    refused: str = ""
    """Why it has no names."""
    when: When | None = None
    misfit: WhenError | None = None
    """Why its entry's ``when`` does not fit it."""


class _Planner:
    def __init__(
        self,
        config: Config,
        headers: Headers,
        libraries: Sequence[Library],
        platform: Platform,
        scene: Scene,
        own: OwnFunctions | None,
    ) -> None:
        self._config = config
        self._headers = headers
        self._platform = platform
        self._scene = scene
        self._program = own
        self._aliases = Aliases(libraries, headers, TABLE)
        self._sonames = _names(libraries)
        self._own = {f.name: self._own_prototype(f) for f in config.funcs if f.prototype}
        self._whens = Whens(headers, own.names if own else {}, "_dl_find_object" in self._aliases.exports)

    def run(self) -> Plan:
        self._check_exclude()
        spelled = {f.name: self._program.spelled(f.name) for f in self._config.funcs if f.cplusplus and self._program}
        selection = select(self._config, self._aliases, self._sonames, CALL_SETS, spelled)
        self._headers.functions(s for chosen in selection.targets.values() for s in chosen.symbols)
        found = {name: self._found(chosen) for name, chosen in selection.targets.items()}
        self._check_misfits(found.values())
        kept = sorted(
            (one for one in [*found.values(), *self._internal_beside(found.values())] if one.wrappers),
            key=lambda one: (one.chosen.func is None, one.chosen.name),
        )
        if self._scene.engine != "preload" and not any(one.chosen.func and not one.why for one in kept):
            kept = [one for one in kept if one.chosen.func]  # without a shim nobody needs its own wrappers
        for number, one in enumerate(kept):
            one.wrappers = [replace(wrapper, target=number) for wrapper in one.wrappers]
        targets = [self._target(one) for one in kept]
        why_not = ONLY_TRACED if self._scene.engine == "preload" else ""
        calls = plan_calls(self._config, self._headers, self._platform, len(targets), why_not, self._whens)
        targets += calls.targets
        coverage = [*self._coverage(selection, found), *calls.coverage]
        return self._assembled(targets, kept, [*calls.traced, *self._fallbacks(targets, kept)], coverage)

    def _assembled(
        self,
        targets: Sequence[TargetPlan],
        kept: Sequence[_Found],
        more: Sequence[Traced],
        coverage: Sequence[Coverage],
    ) -> Plan:
        config = self._config
        wrappers = sorted((w for one in kept if not one.why for w in one.wrappers), key=lambda w: w.symbol)
        traced = [*(one for found in kept if found.why for one in self._traced(found)), *more]
        return Plan(
            targets=tuple(targets),
            wrappers=tuple(wrappers),
            traced=tuple(traced),
            headers=self._needed_headers(wrappers),
            include_dirs=config.include,
            libraries=tuple(sorted({w.library for w in wrappers} - {"libc.so.6"})),
            names=self._used_names([*wrappers, *(one.wrapper for one in traced)]),
            coverage=tuple(coverage),
            handlers=config.library_path,
            preload=config.ld_preload,
            logger=config.logger_path,
            ring_size=config.ring.size,
            on_full=config.ring.on_full,
            block_ms=config.ring.block_ms,
            string_limit=config.string_limit,
            platform=self._platform,
        )

    # --- the tracer's side -------------------------------------------------------------------------------------------

    def _traced(self, found: _Found) -> Iterator[Traced]:
        func = found.chosen.func
        yield from traced_functions(
            found.chosen.name,
            found.wrappers,
            self._aliases.exports,
            self._aliases.several,
            self._program.names if self._program else (),
            [name for name, _ in func.capture] if func else (),
            internal=func is not None and func.internal,
        )

    def _internal_beside(self, found: Iterable[_Found]) -> Iterator[_Found]:
        """Yield what the shim wraps for its own sake although the tracer records it."""
        taken = [one.chosen for one in found if one.why]
        for name in INTERNAL if taken else ():
            members = set(self._aliases.members(name)) if name in self._aliases.exports else set()
            symbols = [symbol for chosen in taken for symbol in chosen.symbols if symbol in members]
            if symbols:
                yield self._found(Chosen(name, None, symbols))

    def _fallbacks(self, targets: Sequence[TargetPlan], kept: Sequence[_Found]) -> Iterator[Traced]:
        """Yield what serves the shim's targets where no shim is: the system calls they stand for, else breakpoints."""
        if not self._scene.fallback:
            return
        shims = [one for one in kept if not one.why and one.chosen.func]
        meant = {one.chosen.name: stands_for(one.chosen.name, self._platform) for one in shims}
        called = {name: calls for name, calls in meant.items() if calls}
        found = [*fallbacks(targets, called, self._headers, self._platform)]
        for one in shims:
            if one.chosen.name not in called:
                found += map(anywhere, self._traced(one))
        yield from (one for one in found if self._fits(targets, one))

    def _fits(self, targets: Sequence[TargetPlan], traced: Traced) -> bool:
        """Whether the target's ``when`` can be asked of what stands in for it."""
        target = targets[traced.wrapper.target]
        try:
            of_traced(target, traced)
        except WhenError:
            return False
        return True

    def _check_exclude(self) -> None:
        """Refuse sets that do not exist; names and globs may well stand for nothing that is requested."""
        for index, name in enumerate(self._config.exclude):
            if name.startswith("%") and name not in CALL_SETS:
                why = f"the sets are {', '.join(sorted(CALL_SETS))}"
                where = self._config.where(("exclude", index))
                raise UserError(f"no set named '{name}'", where, why, " or ".join(nearest(name, CALL_SETS)))

    # --- wrappers ----------------------------------------------------------------------------------------------------

    def _own_prototype(self, func: Func) -> Function:
        """Return the prototype that the config gives. Raises UserError."""
        at = self._config.where(("funcs", self._config.funcs.index(func), "prototype"))
        try:
            function = self._headers.prototype(func.prototype)
        except UserError as error:
            raise UserError(error.what, at, error.why, error.try_) from error
        if function.name != func.name:
            why = f"it declares {function.name}"
            raise UserError(f"the prototype of '{func.name}' is another function's", at, why)
        return function

    def _found(self, chosen: Chosen) -> _Found:
        """Return the names of a target as its engine takes them; of a refused one, why."""
        library = self._library(chosen)
        found = _Found(chosen, why=why_traced(chosen.func, library, self._scene))
        if not found.why:
            self._wrap(found, traced=False)
        if found.why and self._scene.engine == "preload":
            found.wrappers, found.refused = [], f"{found.why}: {ONLY_TRACED}"
        elif found.why:
            self._wrap(found, traced=True)
        self._check_inject(found)
        if chosen.func is not None and chosen.func.when and found.wrappers:
            self._fit(found, chosen.func)
        return found

    def _fit(self, found: _Found, func: Func) -> None:
        """Check the entry's ``when`` against the target, which a glob or a set does not take where it does not fit."""
        traced = list(self._traced(found)) if found.why else []
        places = [Place(one.wrapper, one) for one in traced] or [Place(wrapper) for wrapper in found.wrappers]
        try:
            found.when = self._whens.of(func.when, places, func.record)
        except WhenError as error:
            if not func.glob and not func.set:
                raise self._misfit(func, error, found.chosen.name) from error
            found.misfit, found.wrappers = error, []
            found.refused = f"its 'when' does not fit: {error.what}" + (f" ({error.why})" if error.why else "")

    def _misfit(self, func: Func, error: WhenError, target: str) -> UserError:
        return located(self._config.document, ("funcs", func.index, "when"), error, target)

    def _check_misfits(self, found: Collection[_Found]) -> None:
        """Refuse a glob's or a set's ``when`` that fits nothing. Raises UserError."""
        for func in self._config.funcs:
            of_func = [one for one in found if one.chosen.func is func]
            bad = [one for one in of_func if one.misfit]
            if bad and not any(one.when for one in of_func) and bad[0].misfit:
                raise self._misfit(func, bad[0].misfit, bad[0].chosen.name)

    def _check_inject(self, found: _Found) -> None:
        """Refuse a target at which its inject cannot be done. Of a named target: UserError."""
        func = found.chosen.func
        if func is None or func.inject is None:
            return
        own_first = sorted(found.wrappers, key=lambda wrapper: wrapper.symbol != func.name)
        answers = ((w, why_not(func.inject, w, traced=bool(found.why))) for w in own_first)
        wrapper, why = next(((w, why) for w, why in answers if why), (None, ""))
        if wrapper is None:
            return
        if func.glob or func.set:
            found.wrappers, found.refused = [], f"nothing can be injected: {why}"
            return
        named = f"{func.name} (as {wrapper.symbol})" if wrapper.symbol != func.name else func.name
        raise UserError(f"nothing can be injected into {named}", func.inject_at, why)

    def _library(self, chosen: Chosen) -> str:
        exports = (self._aliases.exports.get(symbol) for symbol in sorted(chosen.symbols))
        return next((export.library for export in exports if export), "")

    def _wrap(self, found: _Found, traced: bool) -> None:
        """Fill in the wrappers of a target, or why it has none."""
        chosen = found.chosen
        for symbol in sorted(chosen.symbols) or [chosen.name]:
            function = self._function(symbol)
            exported: Collection[str] = _Any() if traced else self._aliases.exports
            choice = choose(symbol, function, self._headers.why_not(symbol), exported, traced=traced)
            if choice.wrapper == "refused":
                found.refused = f"{symbol}: {choice.detail}" if symbol != chosen.name else choice.detail
            elif chosen.symbols:
                found.wrappers.append(self._wrapper(chosen, symbol, function, choice))

    def _function(self, symbol: str) -> Function | None:
        """Return the prototype of a symbol: the config's, the program's own, or the headers'."""
        if symbol in self._own:
            return self._own[symbol]
        export = self._aliases.exports.get(symbol)
        if export is not None and export.library == PROGRAM and self._program is not None:
            function = self._program.function(symbol, self._headers)
            if function is not None:
                return function
        return self._aliases.function(symbol)

    def _wrapper(self, chosen: Chosen, symbol: str, function: Function | None, choice: Choice) -> Wrapper:
        export = self._aliases.exports.get(symbol)
        library = export.library if export else chosen.func.library if chosen.func else ""
        return Wrapper(
            symbol=symbol,
            target=0,
            wrapper=choice.wrapper,
            library=library,
            version=export.version if export and export.distinct_versions else "",
            function=function,
            annotation=self._aliases.annotation(symbol) if symbol not in self._own else TABLE.get(symbol),
            twin=choice.twin,
            detail=choice.detail,
        )

    def _target(self, found: _Found) -> TargetPlan:
        func = found.chosen.func
        if func is None:
            return TargetPlan(found.chosen.name, internal=True)
        return TargetPlan(
            found.chosen.name,
            record=func.record,
            clock=func.clock,
            frequency=func.frequency,
            on_full=func.on_full,
            max_per_second=func.max_per_second,
            min_duration=limits.of_function(self._config, func, found.wrappers, bool(found.why)),
            back_enter=func.back_enter,
            back_exit=func.back_exit,
            handled=bool(self._config.library_path),
            asks=asks_of(self._config.wishes, {found.chosen.name, *found.chosen.symbols}),
            caller=func.caller,
            capture=self._capture(func, found.wrappers),
            inject=func.inject,
            when=found.when,
        )

    def _capture(self, func: Func, wrappers: Sequence[Wrapper]) -> tuple[tuple[str, str], ...]:
        """Return the captures of *func* that fit; of a named target all must. Raises UserError."""
        known = {name for wrapper in wrappers for name in _parameter_names(wrapper)}
        wrong = [name for name, _ in func.capture if name not in known]
        if wrong and not func.glob and not func.set:
            raise UserError(
                f"{func.name} has no parameter '{wrong[0]}'",
                self._config.where(("funcs", self._config.funcs.index(func), "capture", wrong[0])),
                f"its parameters are {', '.join(sorted(known))}" if known else "no prototype of it is known",
                " or ".join(nearest(wrong[0], known)),
            )
        kept = tuple((name, length) for name, length in func.capture if name in known)
        usable = [(name, length) for name, length in kept if not self._strangers(func, name, length, wrappers)]
        return tuple(usable)

    def _strangers(self, func: Func, name: str, length: str, wrappers: Sequence[Wrapper]) -> list[str]:
        """Return what in a length every name of the function cannot know. Of a named target nothing may: UserError."""
        shared = set.intersection(*(_length_names(wrapper) for wrapper in wrappers if wrapper.function))
        wrong = [word for word in re.findall(r"[A-Za-z_]\w*", length) if word not in shared]
        if wrong and not func.glob and not func.set:
            shown = "return" if wrong[0] == "ret" else wrong[0]
            text = re.sub(r"\bret\b", "return", length)
            raise UserError(
                f"the length '{text}' is none in {func.name}",
                self._config.where(("funcs", self._config.funcs.index(func), "capture", name, "bytes")),
                f"it has no '{shown}'; a length may use {', '.join(sorted(shared - {'ret'}))}"
                + (" and return" if "ret" in shared else ""),
                " or ".join(nearest(shown, {"return" if word == "ret" else word for word in shared})),
            )
        return wrong

    # --- what the C needs --------------------------------------------------------------------------------------------

    def _needed_headers(self, wrappers: Iterable[Wrapper]) -> tuple[str, ...]:
        """Return the headers that define the types of the wrapped functions, and the flags of mode-if-flag ones."""
        words: set[str] = set()
        found: set[str] = set()
        for wrapper in wrappers:
            if wrapper.function is not None:
                types = [wrapper.function.result, *(p.type for p in wrapper.function.params)]
                words.update(word for t in types for word in re.findall(r"[A-Za-z_]\w*", t.text))
                if re.search(r"\b(?:struct|union) ", " ".join(t.text for t in types)):  # it may be defined nowhere
                    found |= self._headers.owners([wrapper.symbol])
            if wrapper.wrapper == "mode-if-flag":
                found |= self._headers.owners([wrapper.symbol, "open"])
        return tuple(sorted(found | self._headers.type_owners(words)))

    def _used_names(self, wrappers: Iterable[Wrapper]) -> tuple[tuple[str, Names], ...]:
        """Return the sets of flag and enum names that the parameters use."""
        used = frozenset().union(*(names_of(w.annotation) for w in wrappers if w.annotation is not None))
        own = {name: names for name, names in (self._program.names if self._program else {}).items() if name in used}
        return tuple(sorted({**resolve(self._headers, used - own.keys()), **own}.items()))

    # --- coverage ----------------------------------------------------------------------------------------------------

    def _coverage(self, selection: Selection, found: dict[str, _Found]) -> Iterator[Coverage]:
        for answer in selection.answers:
            if answer.unknown:
                func = answer.func
                yield Coverage(
                    func.requested, "", "unknown", "refused", engine="", reason=answer.unknown, where=func.at
                )
            for name in answer.targets:
                yield self._covered(answer.func, found[name])
            for name in answer.excluded:
                reason = "the config's exclude names it"
                yield Coverage(answer.func.requested, name, "excluded", reason=reason, where=answer.func.at)
            if answer.left_out:
                yield _left_out(answer)

    def _covered(self, func: Func, one: _Found) -> Coverage:
        requested, name, wrappers = func.requested, one.chosen.name, one.wrappers
        if not wrappers:
            reason = one.refused or "no library exports it"
            if one.misfit:
                return Coverage(requested, name, "excluded", reason=reason, where=func.at)
            return Coverage(
                requested, name, "refused", "refused", engine="ptrace" if one.why else "", reason=reason, where=func.at
            )
        main = next((w for w in wrappers if w.symbol == name), wrappers[0])
        symbols = [w.symbol for w in wrappers]
        if one.chosen.pending:
            reason = f"{func.library} is not there now: it is looked for when the function is first called"
            if one.why:
                where = f"{func.library}, when that is loaded" if func.library else "the program and all that it loads"
                reason = f"{one.why}; it is looked for in {where}"
            return Coverage(
                requested, name, "pending", main.wrapper, symbols, "ptrace" if one.why else "preload", reason, func.at
            )
        if one.why:
            return self._covered_by_tracer(func, one, main, symbols)
        return Coverage(requested, name, "wrapped", main.wrapper, symbols, reason=_remark(main), where=func.at)

    def _covered_by_tracer(self, func: Func, one: _Found, main: Wrapper, symbols: list[str]) -> Coverage:
        kind: WrapperClass = "noreturn" if main.wrapper == "noreturn" else "plain"
        remarks = [one.why] if main.function is not None else [one.why, "no prototype is known: six integer registers"]
        reason = "; ".join([*remarks, *([_remark(main)] if kind == "noreturn" else [])])
        return Coverage(func.requested, one.chosen.name, "traced", kind, symbols, "ptrace", reason, func.at)


def _remark(wrapper: Wrapper) -> str:
    """Return what about a wrapped function cannot be seen, as a sentence, or nothing."""
    if wrapper.wrapper == "tail-jump":
        return f"its return is not seen: {wrapper.detail}"
    return "it is recorded before the call" if wrapper.wrapper == "noreturn" else ""


def _left_out(answer: Answer) -> Coverage:
    names = list(answer.left_out)
    reason = "malloc's family and mem*, str*, wcs* are taken only by name, or by a glob that begins so"
    return Coverage(answer.func.requested, "", "excluded", symbols=names, reason=reason, where=answer.func.at)


def _names(libraries: Iterable[Library]) -> frozenset[str]:
    """Return what a config may call these libraries: sonames, paths and file names."""
    found: set[str] = set()
    for library in libraries:
        found |= {library.soname, library.path, library.path.rsplit("/", 1)[-1]} - {PROGRAM}
    return frozenset(found)


def _parameter_names(wrapper: Wrapper) -> list[str]:
    """Return all names that a config may give to the parameters of a wrapper."""
    own = [param.name for param in wrapper.function.params] if wrapper.function else []
    annotation: Annotation | None = wrapper.annotation
    return own + ([name for name, _ in annotation.params] if annotation else [])


def _length_names(wrapper: Wrapper) -> set[str]:
    """Return what a length may be computed from: the parameters, and the result where there is one."""
    returns = wrapper.function is not None and wrapper.function.result.kind != "void"
    return {*_parameter_names(wrapper), *(["ret"] if returns else [])}
