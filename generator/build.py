"""From a config to a shim: runs the passes in order, and keeps the result by content.

Called by cli.py (``wc-gen``) and by wc-run (``-c``, ``--trace``). ``plan`` ends before any C is made, ``write_shim``
with a file, ``build`` with a file in the cache. Rules: the cache's key covers everything that the result depends on
(config, the tool itself, compiler, libraries, headers, and the program only where it was asked); a hit imports neither
parser, templates nor pyelftools; a name that nothing knows is an error, a refused one is a line of the coverage report.

Absent on purpose: what the passes decide, and printing.
"""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import config as configs
from . import handlers
from .cache import Cache, identity
from .config import Config
from .elf import Image, Library, find_library
from .errors import UserError, nearest
from .host import host
from .manifest import Coverage, Manifest, decode
from .model import Plan, Platform

if TYPE_CHECKING:
    from .headers import Headers
    from .program import Program

PACKAGE = Path(__file__).parent.parent
RUNTIME = PACKAGE / "runtime"
FOLDERS = ("generator", "templates", "runtime")
"""What a shim depends on."""
HEAD = 32
"""Bytes of struct wci_manifest_head."""
NEAREST_OF = 3


@dataclass(frozen=True)
class Shim:
    """A finished shim."""

    path: Path

    @cached_property
    def manifest(self) -> Manifest:
        section = Image(str(self.path)).sections[".wc_manifest"]
        data = self.path.read_bytes()[section.offset : section.offset + section.size]
        targets = int.from_bytes(data[12:16], "little")
        return decode(data[HEAD + 8 * targets :])


@dataclass(frozen=True)
class Planned:
    """A plan, and what is wrong with it."""

    plan: Plan
    unknown: tuple[UserError, ...] = ()
    """Names that nothing knows, one error each."""
    of_program: bool = False
    """The program was asked, so that the plan holds for it alone."""


def build(config: Config | Path | str, program: Path | None = None, cache: Path | None = None) -> Shim:
    """Return the shim for *config*, from the cache if it was built before. Raises UserError.

    *program* is what will run under it: names that libc does not know are looked for there. *cache* is the cache's
    directory, by default the user's.
    """
    config = configs.load(config) if isinstance(config, (Path, str)) else config
    store = Cache(cache) if cache else Cache.default()
    platform = host()
    asked = _program(program)
    keys = _Keys(config, platform, asked)
    for key in keys.lookup():
        found = store.file("shims", f"{key}.so")
        if found is not None:
            return Shim(found)
    planned = plan(config, platform, asked)
    for error in (*planned.unknown, *nothing_left(config, planned.plan)):
        raise error
    return Shim(_make(planned, keys.of_program if planned.of_program else keys.general, store))


def plan(config: Config, platform: Platform | None = None, program: Program | None = None) -> Planned:
    """Return the plan for *config*, with the names that neither libc nor its libraries nor the program know."""
    from .preprocessor import Preprocessing

    platform = platform or host()
    running = Preprocessing.of_headers(platform.compiler, config.headers, config.include)
    from .headers import Headers  # while it runs: the parser and the table take as long as it does
    from .policy import plan as decide

    libraries = read_libraries(config, platform)
    try:
        headers = Headers.read(config.headers, config.include, platform, running)
    except UserError as error:
        error.at = error.at or _header_at(config, error.what)
        raise
    made = decide(config, headers, libraries, platform)
    wanted = {line.requested for line in made.coverage if line.status == "unknown"}
    of_program = bool(wanted) and program is not None
    if wanted and program is not None:
        more = [library for library in _libraries_of(program) if _exports_any(library, wanted)]
        made = decide(config, headers, [*libraries, *more], platform) if more else made
        made = _with(made, (_own(line, program) for line in made.coverage))
    made = _with(made, (_system_call(line, headers) for line in made.coverage))
    handlers.check(config)
    made = _with(made, _pending(config, made.coverage))
    reported = {(line.requested, line.where) for line in made.coverage}
    made = _with(made, [*made.coverage, *(x for x in config.uncovered if (x.requested, x.where) not in reported)])
    made = _with(made, handlers.with_reasons(made))
    unknown = tuple(unknown_name(line, libraries) for line in made.coverage if line.status == "unknown")
    return Planned(made, unknown, of_program)


def write_shim(made: Plan, output: Path, store: Cache | None = None) -> None:
    """Generate, compile, verify, and only then put the shim at *output*."""
    from .emit import emit
    from .toolchain import compile_shim, place
    from .verify import verify

    emission = emit(made)
    with tempfile.TemporaryDirectory(prefix="wc-gen-") as folder:
        fresh = Path(folder) / "shim.so"
        compile_shim(emission, made, fresh, RUNTIME, store)
        verify(fresh, emission.symbols)
        place(fresh, output)


def read_libraries(config: Config, platform: Platform) -> list[Library]:
    """Return libc, libm, and the libraries that the config names."""
    paths = [platform.libc_path, platform.libm_path]
    for i, name in enumerate(config.libraries):
        path = find_library(name)
        if path is None:
            why = "there is no such file" if "/" in name else "it is in none of the loader's directories"
            raise UserError(f"no library {name}", config.where(("libraries", i)), why)
        paths.append(path)
    paths += [path for func in config.funcs if func.library and (path := find_library(func.library))]
    return [Library.read(path) for path in dict.fromkeys(paths)]


def _header_at(config: Config, what: str) -> str:
    """Return where the config names the header that *what* complains of; nothing when it names none."""
    named = [i for i, header in enumerate(config.headers) if what.endswith(f" {header}")]
    return config.where(("headers", named[0]) if named else "headers") if config.headers else ""


def unknown_name(line: Coverage, libraries: Sequence[Library]) -> UserError:
    """Return the error for a name that nothing knows, with the names it may have meant."""
    name = line.requested
    if name.startswith("%"):
        from .annotations import CALL_SETS

        what, choices = f"no set named '{name}'", set(CALL_SETS)
    else:
        where = " or ".join(library.soname for library in libraries)
        what = f"no function matches '{name}'" if set(name) & set("*?[") else f"no function named '{name}' in {where}"
        choices = {export for library in libraries for export in library.exports}
    close = " or ".join(nearest(name, choices, NEAREST_OF))
    listed = "" if name.startswith("%") else "wc-gen --list to see all names"
    why = line.reason or "it is neither exported by a library nor declared in its headers"
    return UserError(what, line.where, why, ", or ".join(filter(None, (close, listed))))


def nothing_left(config: Config, made: Plan) -> Iterator[UserError]:
    """Yield the error for a plan that intercepts nothing."""
    if any(line.symbols and line.status in ("wrapped", "pending") for line in made.coverage):
        return
    if not made.coverage:
        yield UserError("the config names nothing to intercept", config.where("funcs"), "it has no funcs")
        return
    reasons = [f"{line.requested}: {line.reason or line.status}" for line in made.coverage]
    more = [f"and {len(reasons) - NEAREST_OF} more"] if len(reasons) > NEAREST_OF else []
    yield UserError("nothing is left to intercept", config.name, "\n".join([*reasons[:NEAREST_OF], *more]))


class _Keys:
    """The names that a shim has in the cache."""

    def __init__(self, config: Config, platform: Platform, program: Program | None) -> None:
        self.config, self.platform, self.program = config, platform, program

    def lookup(self) -> Iterator[str]:
        """Yield the names that would fit, the one that fits all programs first."""
        yield self.general
        if self.program is not None:
            yield self.of_program

    @cached_property
    def general(self) -> str:
        config, platform = self.config, self.platform
        libraries = [find_library(name) or name for name in (*config.libraries, *(f.library for f in config.funcs))]
        parts = [
            _tool(),
            *(config.document.text, config.name, config.library_path, config.ld_preload),
            *("include", *config.include, "libraries"),
            *(identity(path) for path in (platform.libc_path, platform.libm_path, *libraries) if path),
            *(platform.compiler, identity(shutil.which(platform.compiler) or "")),
            *self._headers(),
        ]
        return _digest(parts)

    @cached_property
    def of_program(self) -> str:
        assert self.program is not None
        files = [str(self.program.path), *self.program.libraries.values()]
        return _digest([self.general, *(identity(file) for file in files)])

    def _headers(self) -> list[str]:
        """The files that a config's own headers consist of. Those of libc go with libc and the compiler."""
        if not self.config.headers:
            return []
        from .toolchain import dependencies

        return [identity(path) for path in dependencies(self.platform, self.config.headers, self.config.include)]


def _tool() -> str:
    """Return what changes whenever our own code does."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((PACKAGE / folder).rglob("*")):
            if path.suffix in (".py", ".c", ".h", ".S", ".j2", ".txt") and path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _make(planned: Planned, key: str, store: Cache) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wc-shim-"))
    kept = folder
    try:
        write_shim(planned.plan, folder / f"{key}.so", store)
        kept = store.keep("shims", f"{key}.so", folder / f"{key}.so")
    finally:
        if kept.parent == folder:  # no cache: it lives as long as this process
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return kept


def _program(path: Path | None) -> Program | None:
    """Return the program if it can be read; what is wrong with it is said by whoever runs it."""
    if path is None:
        return None
    from .program import Program

    try:
        return Program.read(path)
    except UserError:
        return None


def _libraries_of(program: Program) -> Iterator[Library]:
    for path in program.libraries.values():
        try:
            yield Library.read(path)
        except UserError:
            continue


def _exports_any(library: Library, wanted: Collection[str]) -> bool:
    """Whether *library* exports one of the *wanted* names, or a name that one of them matches as a glob."""
    globs = [name for name in wanted if set(name) & set("*?[")]
    return any(name in wanted or any(fnmatchcase(name, glob) for glob in globs) for name in library.exports)


def _with(made: Plan, coverage: Iterable[Coverage]) -> Plan:
    return dataclasses.replace(made, coverage=tuple(coverage))


def _uncovered(line: Coverage, status: Literal["refused", "pending"], reason: str) -> Coverage:
    engine: Literal["ptrace", ""] = "ptrace" if status == "refused" else ""
    return Coverage(line.requested, status=status, wrapper="refused", engine=engine, reason=reason, where=line.where)


def _own(line: Coverage, program: Program) -> Coverage:
    """Say of an unknown name that it is the program's own function, when it is."""
    if line.status != "unknown" or line.requested not in program.functions:
        return line
    reason = "it is a function of the program itself: that needs the ptrace engine, which this version does not have"
    return _uncovered(line, "refused", reason)


def _system_call(line: Coverage, headers: Headers) -> Coverage:
    """Say of an unknown name that it is a system call which no function is named after, when it is."""
    if line.status != "unknown" or headers.constant(f"SYS_{line.requested}") is None:
        return line
    reason = "it is a system call, and no function: that needs the ptrace engine, which this version does not have"
    return _uncovered(line, "refused", reason)


def _pending(config: Config, coverage: Sequence[Coverage]) -> Iterator[Coverage]:
    """Say of unknown names that a library is given for that they wait for it."""
    libraries = {func.at: func.library for func in config.funcs if func.library}
    for line in coverage:
        library = libraries.get(line.where, "")
        if line.status != "unknown" or not library:
            yield line
            continue
        reason = f"{library} does not export it" if find_library(library) else f"{library} is not to be found now"
        yield _uncovered(line, "pending", reason)
