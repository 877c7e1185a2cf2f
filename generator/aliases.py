"""Under which names a library exports one function, and with which prototype each.

Called by selection.py and policy.py. A target means every name under which its function is exported: names of the
same address (``open open64 __open __open64``), and by rule names with code of their own that programs call when their
source says the target (``__open_2``, ``__printf_chk``, ``__isoc23_strtol``, ``__xstat``). Rules: equal addresses are
candidates only, prototype and name must agree; every name has its own exact prototype; nothing here knows a config.

Absent on purpose: which of the names are wrapped, and how (policy.py).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from .annotations import POINTERS
from .elf import Library
from .engines import PROGRAM
from .errors import UserError
from .headers import Headers
from .libc_prototypes import PROTOTYPES
from .libc_rules import CANONICAL, NOT_VARIANTS, RULED_BASES, UNRELATED
from .model import Annotation, Export, Function, Param, Role

EXTRA_PARAMETERS = frozenset({"flag", "slen", "ver", "group"})
"""Names of parameters that a variant has and its base has not (libc_prototypes.py)."""

_GLIBC = frozenset({"libc.so.6", "libm.so.6"})
_VARIANT = re.compile(r"__isoc\d+_(?P<isoc>\w+)|__(?P<chk>\w+)_chk|__(?P<internal>(?:str|wcs)to\w+)_internal")
_ADORNMENT = re.compile(r"^_*(?:IO_|libc_)?_*|(?<=[a-z_])64$|f(?:32|64|128|32x|64x)$")


def variant_base(name: str) -> str:
    """Return the name of which *name* is a variant by rule (``__printf_chk``: printf), or an empty string."""
    if name in RULED_BASES:
        return RULED_BASES[name]
    match = _VARIANT.fullmatch(name)
    return "" if match is None or name in NOT_VARIANTS else next(filter(None, match.groups()))


def bare(name: str) -> str:
    """Return *name* without underscores before it, ``64`` behind it and such: what related names have in common."""
    return _ADORNMENT.sub("", name)


_RULED = {m.group(1): line for line in PROTOTYPES.splitlines() if (m := re.match(r"[\w *]*?\b(\w+)\(", line))}


class Aliases:
    """The names that a set of libraries exports, grouped by function."""

    def __init__(self, libraries: Sequence[Library], headers: Headers, table: Mapping[str, Annotation]) -> None:
        self._headers = headers
        self._table = table
        self.exports: dict[str, Export] = {}
        """By name; where two libraries export one name, the first one's."""
        self.several: set[str] = set()
        """Names that more than one library exports, each with code of its own (ldexp: libc and libm)."""
        self._library: dict[str, Library] = {}
        for library in libraries:
            self.several |= self.exports.keys() & library.exports.keys()
            for name, export in library.exports.items():
                if name not in self.exports and (name.isidentifier() or library.soname == PROGRAM):
                    self.exports[name] = export
                    self._library[name] = library
        self._functions: dict[str, Function | None] = {}
        self._same: dict[str, tuple[str, ...]] = {}

    # --- groups ------------------------------------------------------------------------------------------------------

    def same(self, name: str) -> tuple[str, ...]:
        """Return the names under which the function at *name*'s address is exported, itself included, sorted."""
        if name not in self._same:
            library = self._library.get(name)
            group = library.aliases(name) if library else (name,)
            self._same[name] = tuple(n for n in group if self._library.get(n) is library and self._related(name, n))
        return self._same[name]

    def members(self, name: str) -> tuple[str, ...]:
        """Return all exported names that a request of *name* means, sorted; *name* itself need not be exported."""
        group = set(self.same(name)) & self.exports.keys()
        if not variant_base(name):
            for base in {name, *group}:
                for variant in self._called_for(base):
                    group.update(self.same(variant))
        return tuple(sorted(group))

    def canonical(self, name: str) -> str:
        """Return the name that stands for the group of *name* where nobody said another."""
        base = variant_base(name)
        if base in self.exports:
            return self.canonical(base)
        return min(self.same(name), key=self._plainness)

    def _plainness(self, name: str) -> tuple[bool, bool, bool, bool, bool, int, str]:
        return (
            name not in CANONICAL,
            name not in self._table,
            name.startswith("_"),
            name not in self._headers.declared,
            bare(name) != name,
            len(name),
            name,
        )

    def _called_for(self, base: str) -> list[str]:
        """The exported names that programs call when their source says *base*: by rule, or by what headers redirect."""
        found = list(self._variants.get(base, ()))
        function = self._headers.function(base)
        if function is not None and function.redirect in self.exports:
            found.append(function.redirect)
        return found

    @cached_property
    def _variants(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.exports:
            if name[0] == "_" and (base := variant_base(name)):
                found[base].append(name)
        return found

    def _related(self, name: str, other: str) -> bool:
        """Whether two names of one address are one function."""
        if name == other:
            return True
        if any(name in pair and other in pair for pair in UNRELATED):
            return False
        if bare(name) != bare(other) and self.exports[name].library not in _GLIBC:
            return False  # a linker may have folded functions that happen to have the same code
        ours, theirs = self._headers.function(name), self._headers.function(other)
        return ours is None or theirs is None or _shape(ours) == _shape(theirs)

    def why_unknown(self, name: str, where: str) -> str:
        """Return why *name*, which no library exports, cannot be requested."""
        if name in self._headers.declared:
            headers = ", ".join(sorted(self._headers.owners([name])))
            return f"{headers} declares it, but {where} does not export it: programs have it inline or linked in"
        if name in self._headers.macros:
            return "it is a macro: the programs' code contains what it stands for"
        return f"it is neither exported by {where} nor declared in its headers"

    # --- prototypes --------------------------------------------------------------------------------------------------

    def function(self, symbol: str) -> Function | None:
        """Return the prototype of an exported name, None when neither headers nor rules nor aliases tell it."""
        if symbol not in self._functions:
            self._functions[symbol] = self._headers.function(symbol) or self._ruled(symbol) or self._borrowed(symbol)
        return self._functions[symbol]

    def _ruled(self, symbol: str) -> Function | None:
        if symbol.startswith("__isoc"):
            base = self._headers.function(variant_base(symbol))
            return replace(base, name=symbol, redirect="") if base else None
        if symbol not in _RULED:
            return None
        try:
            function = self._headers.prototype(_RULED[symbol])
        except UserError:  # the headers lack a type: another libc than the rule is about
            return None
        base = self._headers.function(variant_base(symbol))
        facts = {a for a in base.attributes if a in ("noreturn", "nothrow", "leaf")} if base else set()
        return replace(function, origin="no header: a rule", attributes=function.attributes | facts)

    def _borrowed(self, symbol: str) -> Function | None:
        """The prototype of a declared name of the same address; of the most similar one."""
        declared = [n for n in self.same(symbol) if n != symbol and n in self._headers.declared]
        for donor in sorted(declared, key=lambda n: (bare(n) != bare(symbol), self._plainness(n))):
            function = self._headers.function(donor)
            if function is not None:
                return replace(function, name=symbol, redirect="")
        return None

    # --- annotations -------------------------------------------------------------------------------------------------

    def annotation(self, symbol: str) -> Annotation | None:
        """Return what the table knows of *symbol*, by this name or by that of the function that it stands for."""
        if symbol in self._table:
            return self._table[symbol]
        function, base = self.function(symbol), variant_base(symbol)
        donors = list(self.same(base)) if base else sorted(self.same(symbol), key=self._plainness)
        for donor in [base, *donors] if base else donors:
            known, model = self._table.get(donor), self._headers.function(donor)
            if known is not None and function is not None and model is not None:
                return _adapted(known, model, function, EXTRA_PARAMETERS if base else frozenset())
        return None


def _shape(function: Function) -> tuple[object, ...]:
    """What the calling convention sees of a function."""
    types = [function.result, *(p.type for p in function.params)]
    return (function.variadic, *((t.kind, t.size, t.signed) for t in types))


def _adapted(known: Annotation, model: Function, function: Function, extra: Collection[str]) -> Annotation | None:
    """Return *known*, which annotates *model*, for *function*, which may have *extra* parameters in between."""
    own = [p for p in function.params if p.name not in extra]
    if len(own) != len(model.params):
        return None
    rest = list(known.params)
    params = []
    for param in function.params:
        if param.name in extra or not rest:
            params.append((param.name, Role("size") if param.name == "slen" else Role()))
        else:
            params.append(_fitting(param, *rest.pop(0)))
    if function.variadic:
        params += rest
    same_result = function.result.kind == model.result.kind
    result, fail = (known.result, known.fail) if same_result else (Role(), "")
    return replace(known, name=function.name, params=tuple(params), result=result, fail=fail)


def _fitting(param: Param, name: str, role: Role) -> tuple[str, Role]:
    """Return the role for *param*, or none where it is for a pointer and *param* is none, or the other way round."""
    for_pointer = role.kind.rstrip("!") in POINTERS
    fits = role.kind == "" or for_pointer == (param.type.kind == "pointer")
    return name, role if fits else Role()
