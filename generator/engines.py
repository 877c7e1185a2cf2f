"""Which engine serves a target, and why: the shim, or the tracer beside the program.

Called by policy.py with a Scene that build.py sets. Pure. Preloading is cheaper and goes first: what a library exports
to a dynamically linked program is the shim's. The tracer serves the rest: programs into which nothing can be
preloaded, the program's own functions, system calls, and what a config gives to it. Every choice for the tracer is a
sentence, which the coverage report shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .funcs import Func

Engine = Literal["preload", "auto", "ptrace"]
PROGRAM = "."
"""What stands for the program's own file where a library's soname is named."""
ONLY_TRACED = "only the tracer catches it: wc-run -c CONFIG PROGRAM, with --engine auto or ptrace"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the choice depends on besides the target."""

    engine: Engine = "preload"
    not_preloadable: str = ""
    """Why nothing can be preloaded into the program; empty where it can, or where no program is known."""
    fallback: bool = False
    """The tracer serves the shim's targets as well, where a child runs without the shim."""

    @property
    def all_traced(self) -> str:
        """Why no target at all is the shim's, empty where the shim serves what it can."""
        if self.engine == "ptrace":
            return "the ptrace engine was asked for"
        return self.not_preloadable if self.engine == "auto" else ""


def why_traced(func: Func | None, library: str, scene: Scene) -> str:
    """Return why the tracer has to serve a function, empty where the shim does.

    *func* is the entry that decides about it (None: the runtime's own need), *library* who defines it.
    """
    if func is None:
        return ""
    if not func.preload:
        return 'the config says "preload": false'
    if func.internal:
        return "calls from inside the library that defines it are asked for, and no preloaded library sees those"
    if library == PROGRAM:
        return scene.not_preloadable or "it is a function of the program itself, which no preloaded library reaches"
    if not library and not func.library and func.prototype:
        return "no library has it: it may be a function of the program itself"
    return scene.all_traced
