"""wc-gen --list: what could be intercepted, in a program or at all, and how.

Called by cli.py. It asks the same policy as a config would, with every name asked for, so that a listing and a later
run cannot differ. Absent on purpose: the program's own functions, which no preloaded library reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .build import plan
from .config import Config, Func
from .elf import Library, imports
from .host import host
from .manifest import Coverage
from .program import Program


def everything() -> tuple[Coverage, ...]:
    """Return a line for every function that libc and libm export."""
    platform = host()
    libraries = [Library.read(path) for path in (platform.libc_path, platform.libm_path)]
    return _asked({name for library in libraries for name in library.exports}, ())


def of_program(program: Program) -> tuple[Coverage, ...]:
    """Return a line for every function that *program* takes from its libraries."""
    platform = host()
    paths = list(program.libraries.values())
    libraries = [Library.read(path) for path in (platform.libc_path, platform.libm_path, *paths)]
    wanted = set(imports(program.path).symbols) & {name for library in libraries for name in library.exports}
    return _asked(wanted, paths)


def why_nothing(program: Program, name: Path) -> str:
    """Return a line for a program into which nothing can be preloaded; empty for others."""
    why = program.kind.why_not_preload
    return f"{name}: {program.kind.kind}: nothing can be intercepted by preloading: {why}\n" if why else ""


def _asked(names: Iterable[str], libraries: Sequence[str]) -> tuple[Coverage, ...]:
    config = Config(name="--list", funcs=tuple(Func(name=name) for name in sorted(names)), libraries=tuple(libraries))
    return plan(config).plan.coverage
