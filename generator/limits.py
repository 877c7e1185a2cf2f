"""Which targets a minimum duration makes sense for: those whose records say how long a call took.

Called by policy.py and calls.py when they make targets. Pure. A function that never returns, one that the shim can only
jump to, and exec* are recorded when they begin: of a glob or a set they stay without a limit, by name it is an error.

Absent on purpose: the limits themselves (runtime/include/wc_limit.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import UserError
from .manifest import REPLACES
from .model import Wrapper

if TYPE_CHECKING:
    from .config import Call, Config, Func


def of_function(config: Config, func: Func, wrappers: Sequence[Wrapper], traced: bool) -> int:
    """Return min_duration of the target that *wrappers* belong to, 0 where it cannot be. Raises UserError."""
    never = ("noreturn",) if traced else ("noreturn", "tail-jump")
    if any(w.wrapper not in never and w.symbol not in REPLACES for w in wrappers):
        return func.min_duration
    if func.min_duration and not (func.glob or func.set):
        raise _refusal(func.name, config.where(("funcs", config.funcs.index(func), "min_duration")))
    return 0


def of_call(config: Config, call: Call, name: str, returns: bool) -> int:
    """The same of the system call *name*."""
    if returns and name not in REPLACES:
        return call.min_duration
    if call.min_duration and not call.wide:
        raise _refusal(name, config.document.where((call.key, call.index, "min_duration")))
    return 0


def _refusal(name: str, at: str) -> UserError:
    why = "it is recorded when it is called: it does not come back, or not to its wrapper"
    return UserError(f"{name} has no duration", at, why, "max_per_second, or frequency")
