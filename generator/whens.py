"""Which ``when`` a target has: the expression checked against every name that the target is caught under.

Called by policy.py and calls.py; ``of_wrapper`` and ``of_traced`` by emit.py and tracer_plan.py. Rules: constants are
looked up once, here, where the headers are; a type error is an error at its column in the config. A glob or a set takes
those functions that the expression fits, and is an error where it fits none.

Absent on purpose: the language (when.py, conditions.py), and what an entry of a config is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .annotations import Constants, names_of, resolve
from .classes import FORWARDS, replaces_program
from .conditions import Condition, condition, unknown_names
from .errors import UserError
from .layout import own_result
from .manifest import Names
from .model import TargetPlan, Traced, When, Wrapper
from .positions import Document, Path
from .scopes import Operand, Scope, scope_of
from .table.names import NAME_SETS
from .when import WhenError

AFTER_CALL = "it needs ret or errno, which are known after the call"


@dataclass(frozen=True, slots=True)
class Place:
    """One name that a target is caught under: the function as its engine takes it."""

    wrapper: Wrapper
    traced: Traced | None = None

    @property
    def optional(self) -> tuple[str, ...]:
        if self.traced is not None:
            from .tracer_plan import optional_words  # it has this file for its own plans

            return optional_words(self.wrapper)
        return FORWARDS[self.wrapper.wrapper](self.wrapper).optional


def of_wrapper(target: TargetPlan, wrapper: Wrapper) -> Condition:
    """Return the condition of a wrapper of the shim; an empty one where the target has none."""
    if target.when is None:
        return Condition()
    scope = _scope(Place(wrapper), target.when.words, own_result(target))
    return condition(target.when.text, scope, dict(target.when.constants), late=_may_wait(target, wrapper))


def _may_wait(target: TargetPlan, wrapper: Wrapper) -> bool:
    """Whether nothing is done before the call that depends on the condition.

    Then a text that the call proves (R7) is looked at behind it, in a few nanoseconds instead of by a system call.
    """
    acts = target.handled or target.inject is not None or target.asks != "" or target.record != "exit"
    return not acts and wrapper.wrapper != "noreturn" and not replaces_program(wrapper.symbol)


def of_traced(target: TargetPlan, traced: Traced) -> Condition:
    """Return the condition of a symbol of the tracer."""
    if target.when is None:
        return Condition()
    scope = _scope(Place(traced.wrapper, traced), target.when.words)
    return condition(target.when.text, scope, dict(target.when.constants))


def _scope(place: Place, words: Sequence[str], made: str = "") -> Scope:
    """Return the scope of a place, in which the *words* that other names of the function have are 0."""
    traced = place.traced
    scope = dict(scope_of(
        place.wrapper, place.optional, made=made, traced=traced is not None,
        call=traced is not None and traced.number >= 0, returns=traced is None or traced.returns,
    ))  # fmt: skip
    for word in words:
        scope.setdefault(word, Operand(word, "(int64_t)0", source="nothing", not_text="it is not passed"))
    return scope


class Whens:
    """Checks the expressions of one config."""

    def __init__(self, headers: Constants, own: Mapping[str, Names], finds_objects: bool) -> None:
        """*own*: the program's own enums. *finds_objects*: libc has _dl_find_object."""
        self._headers, self._own, self._finds_objects = headers, own, finds_objects
        self._sets: dict[str, dict[str, int]] = {}

    def of(self, text: str, places: Sequence[Place], record: str) -> When:
        """Return the ``when`` of a target that is caught at *places*. Raises WhenError."""
        for place in places:
            _refuse_place(place)
        words = tuple(dict.fromkeys(word for place in places for word in place.optional))
        constants: dict[str, int] = {}
        for place in places:
            scope = _scope(place, words)
            for name, _ in unknown_names(text, scope):
                value = self._constant(name, place.wrapper)
                if value is not None:
                    constants[name] = value
            self._check(condition(text, scope, constants), place, record)
        return When(text, tuple(sorted(constants.items())), words)

    def _check(self, made: Condition, place: Place, record: str) -> None:
        if made.after and record != "exit":
            why = f"{AFTER_CALL}; 'record' is \"{record}\", which writes a record before it"
            raise WhenError("the expression comes too late", 0, why, '"record": "exit"')
        is_function = place.traced is None or place.traced.number < 0
        if made.after and is_function and replaces_program(place.wrapper.symbol):
            why = f"{AFTER_CALL}; {place.wrapper.symbol}'s record is written before it"
            raise WhenError("the expression comes too late", 0, why)
        if made.caller and place.traced is None and not self._finds_objects:
            raise WhenError("this C library does not tell whose code an address is", 0, "caller needs glibc 2.35")

    def _constant(self, name: str, wrapper: Wrapper) -> int | None:
        if name == "NULL":
            return 0
        value = self._headers.constant(name)
        for used in sorted(names_of(wrapper.annotation)) if value is None and wrapper.annotation else ():
            if name in self._entries(used):
                return self._entries(used)[name]
        return value

    def _entries(self, used: str) -> dict[str, int]:
        if used not in self._sets:
            known = self._own.get(used)
            if known is None and used in NAME_SETS:
                known = resolve(self._headers, [used])[used]
            self._sets[used] = {name: value for name, value, _ in known.entries} if known else {}
        return self._sets[used]


def _refuse_place(place: Place) -> None:
    wrapper = place.wrapper
    if wrapper.function is None or (place.traced is None and wrapper.wrapper == "tail-jump"):
        raise WhenError("a tail-jump tests nothing", 0, wrapper.detail or "it has no prototype", '"preload": false')


def located(document: Document, path: Path, error: WhenError, target: str = "") -> UserError:
    """Return *error* as the user reads it: at its column of the text that *path* leads to."""
    what = f"{target}: {error.what}" if target else error.what
    return UserError(what, document.inside(path, error.index), error.why, error.try_)
