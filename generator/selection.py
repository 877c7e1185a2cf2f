"""Which targets a config asks for, and under which exported names each is caught.

Called by policy.py. Rules (contract.md, config.md): exclude first; a name over a glob over a set, then the later over
the earlier; a target is called as the config names it, or after its alias group when a glob or a set took it; a name
that the config gives belongs to its own target, other names of the group to the first that was requested. malloc's
family and mem*/str*/wcs* are taken only by name, or by a glob whose literal prefix names them, and never come along as
somebody's alias.

Absent on purpose: whether and how a name can be wrapped (policy.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from msgspec.structs import replace

from .aliases import Aliases, bare, variant_base
from .config import Config, Func
from .libc_rules import FAMILY_SETS, INTERNAL, MALLOC_FAMILY, NOT_STRING, REFUSED, STRING_STEMS


@dataclass(slots=True)
class Chosen:
    """One target: the entry of the config that decides about it (None: internal), and its exported names."""

    name: str
    func: Func | None
    symbols: list[str] = field(default_factory=list)
    pending: bool = False
    """Its library is not there: the name is wrapped and looked for when it is called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one entry of the config came to."""

    func: Func
    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Names of malloc's and the strings' families that a glob or a set matched."""
    unknown: str = ""
    """Why nothing is known by this name, if nothing is."""


@dataclass(frozen=True, slots=True)
class Selection:
    targets: Mapping[str, Chosen]
    answers: tuple[Answer, ...]


def select(
    config: Config,
    aliases: Aliases,
    sonames: Collection[str],
    sets: Mapping[str, Sequence[str]],
    spelled: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Selection:
    """Return the targets of *config*, and what became of each of its entries.

    *spelled* has the exported names that a C++ name stands for.
    """
    return _Selector(config, aliases, sonames, sets, spelled).run()


def family_stem(name: str) -> str:
    """Return how a glob must begin to take *name* by its family (malloc's, or mem*/str*/wcs*); empty: it has none."""
    plain = bare(variant_base(name) or name)
    if plain in MALLOC_FAMILY:
        return MALLOC_FAMILY[plain]
    if plain in NOT_STRING:
        return ""
    return next((stem for stem in STRING_STEMS if plain.startswith(stem)), "")


def literal_prefix(glob: str) -> str:
    """Return what *glob* begins with before anything that may vary, without leading underscores."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0].lstrip("_")


class _Selector:
    def __init__(
        self,
        config: Config,
        aliases: Aliases,
        sonames: Collection[str],
        sets: Mapping[str, Sequence[str]],
        spelled: Mapping[str, Sequence[str]],
    ) -> None:
        self._spelled = spelled
        self._config = config
        self._aliases = aliases
        self._sonames = sonames
        self._sets = sets
        self._targets: dict[str, Chosen] = {}
        self._owner: dict[str, str] = {}
        self._answers: dict[int, Answer] = {}

    def run(self) -> Selection:
        funcs = self._config.funcs
        plain = [(i, f) for i, f in enumerate(funcs) if not f.overlay]
        named = [(i, f) for i, f in plain if f.name and not f.glob]
        named.sort(key=lambda entry: entry[1].cplusplus and "(" not in entry[1].name)  # one overload before all of them
        for index, func in named:
            self._answers[index] = self._name(func)
        self._claim_groups()
        exact = frozenset(self._targets)
        wide = [(i, f) for i, f in plain if f.set] + [(i, f) for i, f in plain if f.glob]
        for index, func in wide:
            self._answers[index] = self._wide(func, exact)
        self._claim_groups()
        for index, func in enumerate(funcs):
            if func.overlay:
                self._answers[index] = self._laid_over(func)
        self._claim_groups()
        self._add_internal()
        return Selection(self._targets, tuple(answer for _, answer in sorted(self._answers.items())))

    # --- names -------------------------------------------------------------------------------------------------------

    def _name(self, func: Func) -> Answer:
        if self._excluded(func.name):
            return Answer(func, excluded=(func.name,))
        if func.name in REFUSED and func.name not in self._aliases.exports:
            return Answer(func, targets=(self._add(func.name, func).name,))
        if func.cplusplus:
            return self._cplusplus(func)
        pending = func.library not in self._sonames if func.library else False
        if (not func.preload or func.prototype) and not func.library and not self._aliases.members(func.name):
            pending = True  # the program may have it, or what it loads later
        if not pending and not self._aliases.members(func.name):
            return Answer(func, unknown=self._why_unknown(func))
        chosen = self._add(func.name, func)
        chosen.pending = pending
        if pending or func.name in self._aliases.exports:
            self._take(chosen, func.name)
        return Answer(func, targets=(func.name,))

    def _cplusplus(self, func: Func) -> Answer:
        symbols = [symbol for symbol in self._spelled.get(func.name, ()) if symbol in self._aliases.exports]
        if not symbols:
            return Answer(func, unknown="no function is spelled so in the program and its libraries")
        chosen = self._add(func.name, func)
        for symbol in symbols:
            self._take(chosen, symbol)
        return Answer(func, targets=(func.name,))

    def _why_unknown(self, func: Func) -> str:
        if func.library:
            return f"{func.library} does not export it"
        return self._aliases.why_unknown(func.name, _either(self._sonames))

    # --- globs and sets ----------------------------------------------------------------------------------------------

    def _wide(self, func: Func, exact: Collection[str]) -> Answer:
        matches = self._matches(func)
        if isinstance(matches, str):
            return Answer(func, unknown=matches)
        left_out = [] if func.set in FAMILY_SETS else _unasked(matches, literal_prefix(func.name) if func.glob else "")
        wanted = [m for m in matches if m not in set(left_out) and self._owner.get(m) not in exact]
        excluded = [m for m in wanted if self._excluded(m) or self._excluded(self._aliases.canonical(m))]
        targets = []
        for match in sorted(set(wanted) - set(excluded)):
            name = self._aliases.canonical(match)
            if self._owner.get(name) in exact or (family_stem(name) and not family_stem(match)):
                name = match
            if func.overlay:
                name = self._owner.get(match, name)
            targets.append(self._add(name, func).name)
            self._take(self._targets[name], match)
        rest = [m for m in left_out if self._owner.get(m) not in exact]
        return Answer(func, tuple(dict.fromkeys(targets)), tuple(sorted(excluded)), tuple(sorted(rest)))

    def _matches(self, func: Func) -> list[str] | str:
        """Return the exported names that a glob or a set means, or why it means none."""
        exports = self._aliases.exports
        if func.glob:
            found = [n for n in exports if fnmatchcase(n, func.name)]
            return found or f"no name that {_either(self._sonames)} exports matches it"
        if func.set not in self._sets:
            return f"the sets are {', '.join(sorted(self._sets))}"
        return [n for n in self._sets[func.set] if n in exports]

    # --- what --inject adds ------------------------------------------------------------------------------------------

    def _laid_over(self, func: Func) -> Answer:
        """Add the inject of *func* to the targets that it means; those that are none yet become such."""
        owner = self._owner.get(func.name)
        if owner is not None:
            return Answer(func, targets=(self._add(owner, func).name,))
        return self._wide(func, ()) if func.set or func.glob else self._name(func)

    # --- who owns what -----------------------------------------------------------------------------------------------

    def _add(self, name: str, func: Func) -> Chosen:
        """Make *func* the entry that decides about the target *name*: the last to do so wins."""
        chosen = self._targets.setdefault(name, Chosen(name, func))
        if func.overlay and chosen.func is not None:
            func = replace(chosen.func, inject=func.inject, inject_at=func.inject_at)
        chosen.func = func
        return chosen

    def _take(self, chosen: Chosen, symbol: str) -> None:
        if self._owner.setdefault(symbol, chosen.name) == chosen.name and symbol not in chosen.symbols:
            chosen.symbols.append(symbol)

    def _claim_groups(self) -> None:
        """Give each target the names of its group that are nobody's yet, in the order of request."""
        for chosen in self._targets.values():
            if chosen.pending or (chosen.func is not None and chosen.func.cplusplus):
                continue
            for symbol in self._aliases.members(chosen.name):
                unasked = family_stem(symbol) and not family_stem(chosen.name)
                if not unasked and not self._excluded(symbol):
                    self._take(chosen, symbol)

    def _add_internal(self) -> None:
        for name in INTERNAL:
            if name not in self._aliases.exports:
                continue
            free = [s for s in self._aliases.members(name) if s not in self._owner]
            if free:
                chosen = self._targets.setdefault(name, Chosen(name, None))
                for symbol in free:
                    self._take(chosen, symbol)

    def _excluded(self, name: str) -> bool:
        for pattern in self._config.exclude:
            if pattern.startswith("%"):
                if name in self._sets.get(pattern, ()):
                    return True
            elif fnmatchcase(name, pattern):
                return True
        return False


def _unasked(matches: Iterable[str], prefix: str) -> list[str]:
    """Return those of malloc's family and the strings' that *prefix* does not name."""
    return [match for match in matches if (stem := family_stem(match)) and not prefix.startswith(stem)]


def _either(sonames: Iterable[str]) -> str:
    return " or ".join(sorted(name for name in sonames if "/" not in name))
