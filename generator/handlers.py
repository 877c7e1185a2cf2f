"""Are a config's handlers there, and will they run? Asked before any C is made.

``check``, called by build.py, raises the error for a handler library that is none. ``missing``, called by cli.py,
warns of a library that is not there (it may be built after the shim) and of handlers that it does not export: like a
target that cannot be covered, such a handler is named and the rest runs. ``with_reasons`` says in the coverage of a
handler that can never run. Absent on purpose: loading (the shim does it when the program starts, and what fails then
is a warning of wc-run), and what handlers see (registers.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from .config import Config
from .elf import Library
from .errors import UserError, UserWarning_, nearest
from .manifest import Coverage
from .model import Plan, Traced

COMPILE = "cc -shared -fPIC -I$(wc-gen --include-dir) handlers.c -o {}"
NEVER = "back_exit {} never runs: the call does not come back to its wrapper"


def check(config: Config) -> None:
    """Raise UserError when *config* names handlers in a file that is no library."""
    if any(_named(config)) and Path(config.library_path).exists():
        _exports(config)


def missing(config: Config, file: str = "") -> Iterator[UserWarning_]:
    """Yield a warning for a library that is not there, or for each handler that it does not export.

    *file*: a copy of the library that is asked instead.
    """
    path, named = config.library_path, list(_named(config))
    if not named:
        return
    if not Path(path).exists():
        why = "No such file or directory; without it no handler runs"
        yield UserWarning_(f"cannot read {path}", config.where("library_path"), why, COMPILE.format(path))
        return
    exports = _exports(config, file)
    yield from (_missing(path, name, where, exports) for name, where in named if name not in exports)


def with_reasons(plan: Plan) -> tuple[Coverage, ...]:
    """Return the plan's coverage, each handler that never runs named in its target's line."""
    never = dict(_never_run(plan))
    return tuple(_also(line, never[line.target]) if line.target in never else line for line in plan.coverage)


def _also(line: Coverage, handler: str) -> Coverage:
    sentence = NEVER.format(handler)
    return msgspec.structs.replace(line, reason=f"{line.reason}; {sentence}" if line.reason else sentence)


def _named(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each handler with its place in the config."""
    for i, func in enumerate(config.funcs):
        for key, name in (("back_enter", func.back_enter), ("back_exit", func.back_exit)):
            if name:
                yield name, config.where(("funcs", i, key))
    for call in config.calls:
        for key, name in (("back_enter", call.back_enter), ("back_exit", call.back_exit)):
            if name:
                yield name, config.document.where((call.key, call.index, key))


def _exports(config: Config, file: str = "") -> list[str]:
    try:
        return list(Library.read(file or config.library_path).exports)
    except UserError as error:
        what = f"cannot use the handler library {config.library_path}"
        why = f"{error.why}; needed is a shared library for this machine"
        raise UserError(what, config.where("library_path"), why, COMPILE.format("handlers.so")) from None


def _missing(path: str, name: str, where: str, exports: list[str]) -> UserWarning_:
    what = f"no handler '{name}' in {path}"
    mangled = next((symbol for symbol in exports if symbol.startswith(f"_Z{len(name)}{name}")), "")
    if mangled:
        return UserWarning_(what, where, f"there is {mangled}: it was compiled as C++", f'extern "C" void {name}(...)')
    why = "it exports no function of that name" + (" (is it static?)" if exports else ", and none at all")
    return UserWarning_(what, where, why, " or ".join(nearest(name, exports)))


def _never_run(plan: Plan) -> Iterator[tuple[str, str]]:
    for number, target in enumerate(plan.targets):
        wrappers = [w.wrapper in ("noreturn", "tail-jump") for w in plan.wrappers if w.target == number]
        traced = [_leaves(one) for one in plan.traced if one.wrapper.target == number]
        if target.back_exit and (wrappers or traced) and all([*wrappers, *traced]):
            yield target.name, target.back_exit


def _leaves(traced: Traced) -> bool:
    return not traced.returns or traced.wrapper.wrapper == "noreturn"
