"""What becomes of each function that a config asks for: the plan that the emitter follows.

Called by build.py and cli.py. ``plan`` is pure: config, headers and libraries in, Plan out; the same in, the same out.
Rules: every requested name is answered in the coverage, wrapped or with a sentence why not; the wrapper class follows
from the closed tables of libc_rules.py and the prototype, in the order that ``choose`` shows; what no class can do in C
and no table refuses is a tail-jump.

Absent on purpose: C, record layouts, reading of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .aliases import Aliases, bare, variant_base
from .annotations import CALL_SETS, TABLE, names_of, resolve
from .config import Config, Func
from .elf import Library
from .errors import UserError, nearest
from .headers import Headers
from .libc_rules import EXEC_LISTS, MODE_IF_FLAG, OPTIONAL_WORD, REFUSED, TAIL_JUMPS, V_TWINS
from .manifest import Coverage, Names, WrapperClass
from .model import Annotation, Function, Plan, Platform, TargetPlan, Wrapper
from .selection import Answer, Chosen, Selection, select


@dataclass(frozen=True, slots=True)
class Choice:
    """The class of one exported name; see Wrapper for twin and detail (of a refused one: why)."""

    wrapper: WrapperClass
    twin: str = ""
    detail: str = ""


def plan(config: Config, headers: Headers, libraries: Sequence[Library], platform: Platform) -> Plan:
    """Return what to generate for *config*. *libraries*: libc, libm, then those that the config names.

    Names that nothing knows are coverage lines too, of status "unknown": the caller may know more libraries. Raises
    UserError for a prototype that is none, for a capture of a parameter and an exclude of a set that do not exist.
    """
    return _Planner(config, headers, libraries, platform).run()


# --- wrapper classes -------------------------------------------------------------------------------------------------


def choose(symbol: str, function: Function | None, why_not: str | None, exported: Collection[str]) -> Choice:
    """Return the wrapper class of an exported name with its prototype, or with the reason why it has none."""
    if symbol in REFUSED:
        return Choice("refused", detail=REFUSED[symbol])
    if symbol in TAIL_JUMPS:
        return Choice("tail-jump", detail=TAIL_JUMPS[symbol])
    if function is None:
        return Choice("tail-jump", detail=why_not or "no header declares it")
    if "returns_twice" in function.attributes:
        return Choice("tail-jump", detail="it returns twice")
    if function.variadic:
        return _variadic(symbol, function, exported)
    if "noreturn" in function.attributes:
        return Choice("noreturn")
    return Choice("plain")


def _variadic(symbol: str, function: Function, exported: Collection[str]) -> Choice:
    if symbol == "syscall":
        return Choice("syscall")
    if symbol in MODE_IF_FLAG:
        return Choice("mode-if-flag", detail=function.params[-1].name)
    if symbol in OPTIONAL_WORD:
        return Choice("optional-word")
    if symbol in EXEC_LISTS:
        twin, detail = EXEC_LISTS[symbol]
        return Choice("exec-list", twin, detail)
    twin = v_twin(symbol)
    if twin in exported:
        return Choice("v-twin", twin)
    missing = f" that is exported ({twin} is not)" if twin else ""
    return Choice("tail-jump", detail=f"it is variadic and has no form with a va_list{missing}")


def v_twin(symbol: str) -> str:
    """Return the name of the function that takes a va_list where *symbol* takes ``...``, or an empty string."""
    base = variant_base(symbol)
    if base in V_TWINS:
        return symbol.replace(base, V_TWINS[base])
    return V_TWINS.get(symbol) or V_TWINS.get(bare(symbol), "")


# --- the plan --------------------------------------------------------------------------------------------------------


class _Planner:
    def __init__(self, config: Config, headers: Headers, libraries: Sequence[Library], platform: Platform) -> None:
        self._config = config
        self._headers = headers
        self._platform = platform
        self._aliases = Aliases(libraries, headers, TABLE)
        self._sonames = _names(libraries)
        self._own = {f.name: self._own_prototype(f) for f in config.funcs if f.prototype}
        self._reasons: dict[str, str] = {}

    def run(self) -> Plan:
        self._check_exclude()
        selection = select(self._config, self._aliases, self._sonames, CALL_SETS)
        self._headers.functions(s for chosen in selection.targets.values() for s in chosen.symbols)
        found = {name: self._wrappers(chosen) for name, chosen in selection.targets.items()}
        kept = [selection.targets[name] for name in sorted(found, key=_order(selection)) if found[name]]
        wrappers = sorted(
            (replace(wrapper, target=number) for number, chosen in enumerate(kept) for wrapper in found[chosen.name]),
            key=lambda wrapper: wrapper.symbol,
        )
        targets = tuple(self._target(chosen, found[chosen.name]) for chosen in kept)
        return self._assembled(targets, tuple(wrappers), tuple(self._coverage(selection, found)))

    def _assembled(
        self, targets: tuple[TargetPlan, ...], wrappers: tuple[Wrapper, ...], coverage: tuple[Coverage, ...]
    ) -> Plan:
        config = self._config
        return Plan(
            targets=targets,
            wrappers=wrappers,
            headers=self._needed_headers(wrappers),
            include_dirs=config.include,
            libraries=tuple(sorted({w.library for w in wrappers} - {"libc.so.6"})),
            names=_used_names(wrappers, self._headers),
            coverage=coverage,
            handlers=config.library_path,
            preload=config.ld_preload,
            logger=config.logger_path,
            ring_size=config.ring.size,
            on_full=config.ring.on_full,
            block_ms=config.ring.block_ms,
            string_limit=config.string_limit,
            platform=self._platform,
        )

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

    def _wrappers(self, chosen: Chosen) -> list[Wrapper]:
        """Return the wrappers of a target; what is refused is remembered with its reason."""
        found = []
        for symbol in sorted(chosen.symbols) or [chosen.name]:
            function = self._own.get(symbol) or self._aliases.function(symbol)
            choice = choose(symbol, function, self._headers.why_not(symbol), self._aliases.exports)
            if choice.wrapper == "refused":
                self._reasons[chosen.name] = f"{symbol}: {choice.detail}" if symbol != chosen.name else choice.detail
            elif chosen.symbols:
                found.append(self._wrapper(chosen, symbol, function, choice))
        return found

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

    def _target(self, chosen: Chosen, wrappers: Sequence[Wrapper]) -> TargetPlan:
        func = chosen.func
        if func is None:
            return TargetPlan(chosen.name, internal=True)
        return TargetPlan(
            chosen.name,
            record=func.record,
            clock=func.clock,
            frequency=func.frequency,
            on_full=func.on_full,
            back_enter=func.back_enter,
            back_exit=func.back_exit,
            caller=func.caller,
            capture=self._capture(func, wrappers),
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

    # --- coverage ----------------------------------------------------------------------------------------------------

    def _coverage(self, selection: Selection, found: Mapping[str, Sequence[Wrapper]]) -> Iterator[Coverage]:
        for answer in selection.answers:
            if answer.unknown:
                func = answer.func
                yield Coverage(
                    func.requested, "", "unknown", "refused", engine="", reason=answer.unknown, where=func.at
                )
            for name in answer.targets:
                yield self._covered(answer.func, selection.targets[name], found[name])
            for name in answer.excluded:
                reason = "the config's exclude names it"
                yield Coverage(answer.func.requested, name, "excluded", reason=reason, where=answer.func.at)
            if answer.left_out:
                yield _left_out(answer)
        yield from self._config.uncovered

    def _covered(self, func: Func, chosen: Chosen, wrappers: Sequence[Wrapper]) -> Coverage:
        requested, name = func.requested, chosen.name
        if not wrappers:
            reason = self._reasons.get(name, "no library exports it")
            return Coverage(requested, name, "refused", "refused", engine="", reason=reason, where=func.at)
        main = next((w for w in wrappers if w.symbol == name), wrappers[0])
        symbols = [w.symbol for w in wrappers]
        if chosen.pending:
            reason = f"{func.library} is not there now: it is looked for when the function is first called"
            return Coverage(requested, name, "pending", main.wrapper, symbols, reason=reason, where=func.at)
        return Coverage(requested, name, "wrapped", main.wrapper, symbols, reason=_remark(main), where=func.at)


def _remark(wrapper: Wrapper) -> str:
    """Return what about a wrapped function cannot be seen, as a sentence, or nothing."""
    if wrapper.wrapper == "tail-jump":
        return f"its return is not seen: {wrapper.detail}"
    return "it is recorded before the call" if wrapper.wrapper == "noreturn" else ""


def _left_out(answer: Answer) -> Coverage:
    names = list(answer.left_out)
    reason = "malloc's family and mem*, str*, wcs* are taken only by name, or by a glob that begins so"
    return Coverage(answer.func.requested, "", "excluded", symbols=names, reason=reason, where=answer.func.at)


def _order(selection: Selection) -> Callable[[str], tuple[bool, str]]:
    """Return the key by which targets are numbered: those of the config first, then the internal ones, by name."""
    return lambda name: (selection.targets[name].func is None, name)


def _names(libraries: Iterable[Library]) -> frozenset[str]:
    """Return what a config may call these libraries: sonames, paths and file names."""
    found: set[str] = set()
    for library in libraries:
        found |= {library.soname, library.path, library.path.rsplit("/", 1)[-1]}
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


def _used_names(wrappers: Iterable[Wrapper], headers: Headers) -> tuple[tuple[str, Names], ...]:
    """Return the sets of flag and enum names that the wrappers' parameters use."""
    used = frozenset().union(*(names_of(w.annotation) for w in wrappers if w.annotation is not None))
    return tuple(resolve(headers, used).items())
