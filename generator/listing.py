"""wc-gen --list: what could be intercepted, in a program or at all, and how.

Called by cli.py. It asks the same policy as a config would, with every name asked for, so that a listing and a later
run cannot differ. Absent on purpose: system calls, which every program can make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .build import plan, scene_of
from .config import Config, Func
from .elf import Library, imports
from .host import host
from .manifest import Coverage
from .program import Program

_STARTING = """
    _start _init _fini deregister_tm_clones register_tm_clones __do_global_dtors_aux frame_dummy
    _dl_relocate_static_pie
"""
STARTING = frozenset(_STARTING.split())
"""What the compiler's start files put into every program."""


def everything() -> tuple[Coverage, ...]:
    """Return a line for every function that libc and libm export."""
    platform = host()
    libraries = [Library.read(path) for path in (platform.libc_path, platform.libm_path)]
    return _asked({name for library in libraries for name in library.exports}, ())


def of_program(program: Program) -> tuple[Coverage, ...]:
    """Return a line for every function that *program* takes from its libraries or defines itself."""
    own = [name for name in program.functions if name not in STARTING and not name.startswith("_Z")]
    if program.is_static:
        return _asked(own, (), program)
    platform = host()
    paths = list(program.libraries.values())
    libraries = [Library.read(path) for path in (platform.libc_path, platform.libm_path, *paths)]
    taken = set(imports(program.path).symbols) & {name for library in libraries for name in library.exports}
    return _asked({*taken, *own}, paths, program)


def why_nothing(program: Program, name: Path) -> str:
    """Return a line for a program that cannot be intercepted by either engine; empty for others."""
    if program.kind.kind not in ("other-machine", "not-elf"):
        return ""
    return f"{name}: {program.kind.kind}: nothing can be intercepted: {program.kind.why_not_preload}\n"


def _asked(names: Iterable[str], libraries: Sequence[str], program: Program | None = None) -> tuple[Coverage, ...]:
    funcs = tuple(Func(name=name, plain=False) for name in sorted(names))
    config = Config(name="--list", funcs=funcs, libraries=tuple(libraries))
    return plan(config, program=program, scene=scene_of("auto", program)).plan.coverage
