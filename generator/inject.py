"""Declared faults and delays: what a config's ``inject`` comes to for one function or system call.

Called by funcs.py (``rule``, from one entry), policy.py and calls.py (``why_not``), emit.py and tracer_plan.py
(``given``). Pure. Which calls of a thread a rule means is the arithmetic of runtime/include/wc_inject.h; ``means`` is
the same in Python, for tests and for whoever wants to know beforehand.

Absent on purpose: the C that carries it out (templates/inject.c.j2, wci_inject.c, wct_fault.c).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import UNSET

from .errors import UserError, nearest
from .model import CType, Rule, Wrapper

if TYPE_CHECKING:
    from .positions import Document, Path
    from .schema import Inject

ALWAYS = 1 << 53
"""WC_RULE_ALWAYS."""
ENDLESS = (1 << 64) - 1
NUMBERS: dict[str, int] = {name: number for name, number in vars(errno).items() if name.startswith("E")}
NUMBERS.setdefault("EHWPOISON", 133)
MOST_ERRNO = 4095
ACTIONS = ("errno", "return", "delay_us", "delay_exit_us")
FAILURES = {
    **dict.fromkeys(("-1", "<0", "EOF", "MAP_FAILED", "SIG_ERR", "nonzero"), -1),
    **dict.fromkeys(("NULL", "zero"), 0),
}
"""What a function returns when it fails, by its annotation's rule. Those that return the error number are apart."""
FORM = struct.Struct("<QQQQQQQqiI")
"""struct wc_rule."""


@dataclass(frozen=True, slots=True)
class Given:
    """A rule for one symbol: what stands in struct wc_rule, and the result as C."""

    rule: Rule
    gives: bool = False
    """The call is not made."""
    error: int = 0
    """errno that it leaves; 0: as it is."""
    bits: int = 0
    """The result as a register holds it, signed; of a floating one the bits of a double."""
    value: str = field(default="", compare=False)

    @property
    def members(self) -> tuple[int, ...]:
        """The members of struct wc_rule, in their order."""
        r = self.rule
        delays = (r.delay_enter, r.delay_exit)
        return (r.first, r.last, r.step, r.chance, r.seed, *delays, self.bits, self.error, int(self.gives))

    @property
    def initializer(self) -> str:
        """The same as C."""
        names = "first last step chance seed delay_enter delay_exit result error gives".split()
        pairs = zip(names, self.members, strict=True)
        return "{" + ", ".join(f".{name} = {_literal(name, value)}" for name, value in pairs if value) + "}"


def _literal(name: str, value: int) -> str:
    if name == "result":
        return f"(int64_t)0x{value & ENDLESS:x}ull" if value < 0 or value >> 31 else str(value)
    return str(value) if value >> 31 == 0 else f"0x{value:x}ull"


def means(rule: Rule, number: int) -> bool:
    """Return whether *rule* means the *number*th call (from 1) of a thread. wc_rule_means of wc_inject.h."""
    if not rule.first <= number <= rule.last or (number - rule.first) % rule.step:
        return False
    return rule.chance >= ALWAYS or draw(rule.seed, number) < rule.chance


def draw(seed: int, number: int) -> int:
    """Return the 53 bits that decide about a call's chance: splitmix64 of its number."""
    z = (seed + number * 0x9E3779B97F4A7C15) & ENDLESS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & ENDLESS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & ENDLESS
    return (z ^ (z >> 31)) >> 11


# --- from a config ----------------------------------------------------------------------------------------------------


def rule(document: Document, entry: Inject, path: Path) -> Rule:
    """Return the rule that an ``inject`` stands for. Raises UserError for one that says nothing, or two things."""
    if all(value is UNSET for value in (entry.errno, entry.return_, entry.delay_us, entry.delay_exit_us)):
        why = f"it has none of {', '.join(ACTIONS)}"
        raise UserError("an inject does nothing", document.where(path), why, '"inject": {"errno": "EIO"}')
    if entry.every is not UNSET and (entry.first is not UNSET or entry.step is not UNSET):
        why = "every N is first N, step N"
        raise UserError("'every' and first or step exclude each other", document.where((*path, "every")), why)
    first = _number(entry.every, _number(entry.first, 1))
    last = _number(entry.last, ENDLESS)
    if last < first:
        raise UserError("bad value for 'last'", document.where((*path, "last")), f"found {last}; first is {first}")
    return Rule(
        error=_error(document, entry.errno, (*path, "errno")),
        value=None if entry.return_ is UNSET else entry.return_,
        delay_enter=_number(entry.delay_us, 0) * 1000,
        delay_exit=_number(entry.delay_exit_us, 0) * 1000,
        first=first,
        last=last,
        step=_number(entry.every, _number(entry.step, 1)),
        chance=ALWAYS if entry.probability is UNSET else int(entry.probability * ALWAYS),
        seed=_number(entry.seed, 0),
    )


def _number(given: object, otherwise: int) -> int:
    return given if isinstance(given, int) else otherwise


def _error(document: Document, given: object, path: Path) -> int:
    if not isinstance(given, str):
        return _number(given, 0)
    if given not in NUMBERS:
        close = " or ".join(nearest(given, NUMBERS))
        raise UserError(f"no error is called '{given}'", document.where(path), "errno.h has no such name", close)
    return NUMBERS[given]


def described(rule: Rule | None) -> str:
    """Return *rule* in the words of --inject, "" for none. Two rules are the same when their words are."""
    if rule is None:
        return ""
    words = [f"error={rule.error}"] if rule.error else []
    words += [f"retval={rule.value}"] if rule.value is not None else []
    words += [f"delay_enter={rule.delay_enter // 1000}"] if rule.delay_enter else []
    words += [f"delay_exit={rule.delay_exit // 1000}"] if rule.delay_exit else []
    last = f"..{rule.last}" if rule.last != ENDLESS else ""
    words.append(f"when={rule.first}{last}+{rule.step}")
    words += [f"probability={rule.chance / ALWAYS!r}", f"seed={rule.seed}"] if rule.chance < ALWAYS else []
    return ":".join(words)


# --- for one function or system call ----------------------------------------------------------------------------------


def given(rule: Rule, wrapper: Wrapper, *, syscall: bool = False) -> Given:
    """Return *rule* for a symbol that it fits."""
    found = _given(rule, wrapper, syscall)
    assert isinstance(found, Given), f"{wrapper.symbol}: {found}"
    return found


def why_not(rule: Rule, wrapper: Wrapper, *, syscall: bool = False, traced: bool = False) -> str:
    """Return why *rule* cannot be carried out at *wrapper*'s symbol, "" if it can.

    *traced*: by the tracer, which can skip what no wrapper may stand in for.
    """
    noreturn = wrapper.wrapper == "noreturn" or (
        wrapper.function is not None and "noreturn" in wrapper.function.attributes
    )
    if syscall and rule.error and rule.value is not None:
        return "a system call tells its error by what it returns: errno or return, not both"
    if noreturn:
        return "it does not return, so that nothing can be put in its place"
    if wrapper.wrapper == "tail-jump" and not traced:
        why = wrapper.detail or "the shim can only jump to it"
        return f'{why}: no wrapper can stand in for it ("preload": false: the tracer can)'
    found = _given(rule, wrapper, syscall)
    return found if isinstance(found, str) else ""


def _given(rule: Rule, wrapper: Wrapper, syscall: bool) -> Given | str:
    if not rule.error and rule.value is None:
        return Given(rule)
    if syscall:
        return Given(rule, True, 0, -rule.error if rule.error else int(rule.value or 0))
    if wrapper.function is None:
        return Given(rule, True, rule.error, int(rule.value)) if rule.value is not None else UNKNOWN
    type_, fail = wrapper.function.result, wrapper.annotation.fail if wrapper.annotation else ""
    if type_.kind not in ("int", "bool", "pointer", "float", "longdouble") or (type_.kind == "int" and type_.size > 8):
        what = "nothing" if type_.kind == "void" else type_.declare("")
        return f"it returns {what}: a rule can only delay it"
    if rule.value is not None:
        wrong = _out_of_range(type_, rule.value)
        return wrong or Given(rule, True, rule.error, _bits(type_, rule.value), _c(type_, rule.value))
    if fail == "errno":
        return Given(rule, True, 0, rule.error, _c(type_, rule.error))
    if fail == "nonzero" and wrapper.annotation is not None and wrapper.annotation.result.names:
        return 'it tells its failures by codes of its own, not by errno: say which with "return"'
    if fail not in FAILURES:
        return UNKNOWN
    return Given(rule, True, rule.error, _bits(type_, FAILURES[fail]), _c(type_, FAILURES[fail]))


UNKNOWN = 'what it returns when it fails is not known: say it with "return"'


def _out_of_range(type_: CType, value: int) -> str:
    size = 1 if type_.kind == "bool" else 8 * (type_.size or 8)
    least = 0 if type_.kind == "bool" else -(1 << size - 1)
    if type_.kind in ("float", "longdouble") or least <= value < 1 << size:
        return ""
    return f"{value} is no {type_.declare('')}"


def _bits(type_: CType, value: int) -> int:
    if type_.kind in ("float", "longdouble"):
        (bits,) = struct.unpack("<q", struct.pack("<d", float(value)))
        return int(bits)
    return value - (1 << 64) if value >> 63 > 0 else value


def _c(type_: CType, value: int) -> str:
    """Return *value* as C of the type."""
    number = str(value) if -(1 << 31) < value < 1 << 31 else f"0x{value & ENDLESS:x}ull"
    if type_.kind in ("float", "longdouble"):
        return f"({type_.declare('')}){float(value)!r}"
    via = "(intptr_t)" if type_.kind == "pointer" else ""
    return f"({type_.declare('')}){via}{number}"
