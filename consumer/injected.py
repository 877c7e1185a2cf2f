"""--inject: faults and delays on the command line, in the grammar of strace's option of that name.

    LIST:WHAT[:WHAT...]      LIST as --trace takes it; WHAT is one of
    error=ENOSPC  retval=3  delay_enter=10ms  delay_exit=500  when=FIRST[..LAST][+[STEP]]  probability=0.1  seed=7

Called by built.py where something is to be generated. Rules: what is read here becomes the config's ``inject``, and is
checked as that; a target that something else decides about (the config, --trace) only gets the inject from here.

Absent on purpose: what strace can besides (signal=, syscall=, poke_enter=, poke_exit=): they are refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from wc_intercept.generator.config import Config, parse
from wc_intercept.generator.errors import UserError, nearest

from .built import Listed
from .engine import Engine
from .refusal import Refusal

EXAMPLE = "--inject open:error=ENOENT:when=3+"
NOT_OURS = ("signal", "syscall", "poke_enter", "poke_exit")
WHEN = re.compile(r"([1-9][0-9]*)(?:\.\.([1-9][0-9]*))?(?:(\+)([1-9][0-9]*)?)?")
DELAY = re.compile(r"([0-9]+)(s|ms|us|ns)?")
MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1, "ns": 1e-3, None: 1}


def with_injects(config: Config, texts: Sequence[str], engine: Engine) -> Config:
    """Return *config* with what the options *texts* add. Raises UserError."""
    for text in texts:
        config = _with(config, text, engine)
    return config


def _with(config: Config, text: str, engine: Engine) -> Config:
    names, keys = read(text)
    at = f"--inject {text}"
    listed = _listed(config, names, engine, at)
    funcs = [{"set" if n.startswith("%") else "func_name": n, "inject": keys} for n, _ in listed.funcs]
    calls = [{"syscall_id": name, "inject": keys} for name in dict.fromkeys(listed.calls)]
    try:
        added = parse(json.dumps({"funcs": funcs, "syscalls": calls}), "--inject")
    except UserError as error:
        error.at = at
        raise
    marks: dict[str, Any] = {"overlay": True, "at": at, "inject_at": at}
    over = (replace(f, plain=plain, **marks) for f, (_, plain) in zip(added.funcs, listed.funcs, strict=True))
    called = (replace(call, **marks) for call in added.calls)
    return replace(config, funcs=(*config.funcs, *over), calls=(*config.calls, *called))


def _listed(config: Config, names: str, engine: Engine, at: str) -> Listed:
    """Return what *names* mean; those that the config has a function for mean that, whatever the engine."""
    own = {func.requested for func in config.funcs}
    spelled = ",".join(f"fn:{name}" if name in own else name for name in names.split(","))
    try:
        return Listed(spelled, engine)
    except Refusal as refusal:
        raise Refusal(f"{at}: {names!r} is no list of names", try_=EXAMPLE) from refusal


def read(text: str) -> tuple[str, dict[str, Any]]:
    """Return the names of an --inject and the keys of the config's ``inject`` that it stands for. Raises Refusal."""
    parts = text.split(":")
    what: list[str] = []
    while parts and "=" in parts[-1]:
        what.insert(0, parts.pop())
    names = ":".join(parts)
    if not names or not what:
        missing = "a list of names" if not names else "what to inject"
        raise Refusal(f"--inject {text}: it needs {missing}", try_=EXAMPLE)
    keys: dict[str, Any] = {}
    for one in what:
        name, _, value = one.partition("=")
        found = _keys(text, name, value)
        if found.keys() & keys.keys():
            raise Refusal(f"--inject {text}: {name} is given twice", try_=EXAMPLE)
        keys |= found
    return names, keys


def _keys(text: str, name: str, value: str) -> dict[str, Any]:
    reader = _READERS.get(name)
    if reader is None:
        why = f"wc-run has no {name}=" if name in NOT_OURS else f"it is one of {', '.join(_READERS)}"
        close = "" if name in NOT_OURS else " or ".join(f"{near}=" for near in nearest(name, _READERS))
        raise Refusal(f"--inject {text}: nothing is called {name}=", "", why, close or EXAMPLE)
    found = reader(value)
    if found is None:
        raise Refusal(f"--inject {text}: {name}={value} is none", "", f"needed is {_NEEDED[name]}", EXAMPLE)
    return found


Keys = dict[str, Any] | None


def _error(value: str) -> Keys:
    return {"errno": int(value) if value.isdecimal() else value} if value.isalnum() else None


def _retval(value: str) -> Keys:
    try:
        return {"return": int(value, 0)}
    except ValueError:
        return None


def _delay(key: str) -> Callable[[str], Keys]:
    def read_delay(value: str) -> Keys:
        found = DELAY.fullmatch(value)
        microseconds = float(found[1]) * MICROSECONDS[found[2]] if found else 0.0
        return {key: int(microseconds)} if microseconds >= 1 and microseconds.is_integer() else None

    return read_delay


def _when(value: str) -> Keys:
    found = WHEN.fullmatch(value)
    if found is None:
        return None
    first, last, plus, step = found.groups()
    keys = {"first": int(first), "step": int(step or 1)}
    if last or not plus:
        keys["last"] = int(last or first)
    return keys


def _probability(value: str) -> Keys:
    try:
        return {"probability": float(value)} if 0 <= float(value) <= 1 else None
    except ValueError:
        return None


def _seed(value: str) -> Keys:
    return {"seed": int(value)} if value.isdecimal() else None


_READERS: dict[str, Callable[[str], Keys]] = {
    "error": _error, "retval": _retval, "delay_enter": _delay("delay_us"), "delay_exit": _delay("delay_exit_us"),
    "when": _when, "probability": _probability, "seed": _seed,
}  # fmt: skip
_NEEDED = {
    "error": "an error's name, as ENOENT, or its number",
    "retval": "a whole number",
    "delay_enter": "whole microseconds, or a number with s, ms, us or ns",
    "delay_exit": "whole microseconds, or a number with s, ms, us or ns",
    "when": "FIRST, FIRST..LAST, FIRST+, FIRST+STEP or FIRST..LAST+STEP",
    "probability": "a number from 0 to 1",
    "seed": "a whole number",
}
