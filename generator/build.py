"""From a config to a shim and a plan for the tracer: runs the passes in order, and keeps the results by content.

Called by cli.py (``wc-gen``) and by wc-run (``-c``, ``--trace``). ``plan`` ends before any C is made, ``write_shim``
with a file, ``build`` with files in the cache. Rules: the cache's key covers everything that the result depends on
(config, engine, the tool itself, compiler, libraries, headers, and the program only where it was asked); a hit imports
neither parser, templates nor pyelftools; a name that nothing knows is an error, a refused one is a line of the coverage
report.

Absent on purpose: what the passes decide, and printing.
"""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import shutil
import string
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from . import config as configs
from . import handlers
from .cache import Cache, identity
from .config import Config
from .elf import Image, Library, find_library
from .engines import Engine, Scene
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
NAME_LETTERS = frozenset(string.ascii_letters + string.digits + "_*?[]!-")
NEAREST_OF = 3
NUMBERS = ("/usr/include/asm/unistd_64.h", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
"""Where the numbers of system calls may come from: the kernel's headers, which change without libc's."""
SHIM_NAME = "shim.so"
"""As LD_PRELOAD names it in a session."""


@dataclass(frozen=True)
class Shim:
    """A finished shim."""

    path: Path

    @cached_property
    def manifest(self) -> Manifest:
        return manifest_of(section_of(self.path))


@dataclass(frozen=True)
class Built:
    """What a config was built into: files that do not change, and that last as long as this process at least."""

    path: Path | None
    """The shim; None when the tracer serves every target."""
    plan: Path | None
    """The tracer's plan (wc_plan.h); None when the shim serves every target."""
    stored: Path
    """The manifest of both, as section .wc_manifest of a shim holds it."""

    @cached_property
    def manifest(self) -> Manifest:
        return manifest_of(self.stored.read_bytes())


def section_of(shim: Path) -> bytes:
    """Return section .wc_manifest of a shim."""
    section = Image(str(shim)).sections[".wc_manifest"]
    return shim.read_bytes()[section.offset : section.offset + section.size]


def manifest_of(section: bytes) -> Manifest:
    targets = int.from_bytes(section[12:16], "little")
    return decode(section[HEAD + 8 * targets :])


@dataclass(frozen=True)
class Planned:
    """A plan, and what is wrong with it."""

    plan: Plan
    unknown: tuple[UserError, ...] = ()
    """Names that nothing knows, one error each."""
    of_program: bool = False
    """The program was asked, or would have been: the plan holds for it alone, or for none."""


def build(
    config: Config | Path | str,
    program: Path | None = None,
    cache: Path | None = None,
    engine: Engine = "preload",
    fallback: bool = False,
) -> Built:
    """Return what *config* comes to, from the cache if it was built before. Raises UserError.

    *program* is what will run: names that libc does not know are looked for there. *cache* is the cache's directory, by
    default the user's. *engine*: who serves the targets; with "auto" each goes to the shim if it can. *fallback*: the
    tracer serves the shim's targets too, in children that the shim does not reach.
    """
    config = configs.load(config) if isinstance(config, (Path, str)) else config
    store = Cache(cache) if cache else Cache.default()
    platform = host()
    asked = _program(program)
    scene = scene_of(engine, asked, fallback)
    keys = _Keys(config, platform, asked, scene)
    for key in keys.lookup():
        found = _kept(store, key)
        if found is not None:
            return found
    planned = plan(config, platform, asked, scene)
    for error in (*planned.unknown, *nothing_left(config, planned.plan)):
        raise error
    return _make(planned, keys.of_program if planned.of_program else keys.general, store)


def scene_of(engine: Engine, program: Program | None, fallback: bool = False) -> Scene:
    """Return what the choice of engines depends on."""
    return Scene(engine, (program.kind.why_not_preload or "") if program else "", fallback)


def plan(
    config: Config, platform: Platform | None = None, program: Program | None = None, scene: Scene | None = None
) -> Planned:
    """Return the plan for *config*, with the names that neither libc nor its libraries nor the program know."""
    from .preprocessor import Preprocessing

    platform, scene = platform or host(), scene or scene_of("preload", program)
    running = Preprocessing.of_headers(platform.compiler, config.headers, config.include)
    from .headers import Headers  # while it runs: the parser and the table take as long as it does
    from .policy import plan as decide

    libraries = read_libraries(config, platform)
    try:
        headers = Headers.read(config.headers, config.include, platform, running)
    except UserError as error:
        error.at = error.at or _header_at(config, error.what)
        raise
    config = _expanded(config, program) if program is not None else config
    decided = _Decision(libraries, headers, platform, program, scene, decide)
    made, of_program = decided.of(config)
    plain = {func.name for func in config.funcs if func.plain}
    unknown = (line.requested for line in made.coverage if line.status == "unknown")
    calls = {name: found for name in unknown if name in plain and (found := _meant(name, platform))}
    if calls:
        config = _with_calls(config, calls)
        made, of_program = decided.of(config)
    handlers.check(config)
    made = _with(made, _pending(config, made.coverage, program))
    if program is not None and program.is_static:
        made = _with(made, (_not_linked_in(line, libraries) for line in made.coverage))
    made = _with(made, handlers.with_reasons(made))
    errors = tuple(unknown_name(line, libraries, program) for line in made.coverage if line.status == "unknown")
    return Planned(made, errors, of_program)


@dataclass(frozen=True)
class _Decision:
    """Asks the policy, and the program for what libc does not know."""

    libraries: Sequence[Library]
    headers: Headers
    platform: Platform
    program: Program | None
    scene: Scene
    decide: Callable[..., Plan]

    def of(self, config: Config) -> tuple[Plan, bool]:
        """Return the plan for *config*, and whether it holds for the program alone."""
        if self.program is not None and self.program.is_static:
            return self._asked(config, [self.program.library()]), True
        made = self.decide(config, self.headers, self.libraries, self.platform, self.scene)
        wanted = {line.requested for line in made.coverage if line.status in ("unknown", "pending")}
        if not wanted or self.program is None:
            return made, bool(wanted)
        more = self.program.defining(wanted)
        return self._asked(config, [*self.libraries, *more]) if more else made, True

    def _asked(self, config: Config, libraries: Sequence[Library]) -> Plan:
        return self.decide(config, self.headers, libraries, self.platform, self.scene, self.program)


def _expanded(config: Config, program: Program) -> Config:
    """Return *config* with globs over names of C++ or Go as the functions that they mean, each a target."""
    exact = {func.name for func in config.funcs if not func.spelled_glob}
    funcs: list[configs.Func] = []
    for func in config.funcs:
        names = [name for name in program.matching(func.name) if name not in exact] if func.spelled_glob else []
        funcs += [msgspec.structs.replace(func, name=name) for name in names] or [func]
    return msgspec.structs.replace(config, funcs=tuple(funcs))


def _meant(name: str, platform: Platform) -> tuple[str, ...]:
    """Return the system calls that a function's name, or a glob, means where there is no such function."""
    if not set(name) <= NAME_LETTERS:
        return ()
    from .syscalls import select, stands_for

    return select(name, platform) if set(name) & set("*?[") else stands_for(name, platform) or select(name, platform)


def _with_calls(config: Config, calls: Mapping[str, Sequence[str]]) -> Config:
    """Return *config* with the functions whose names are system calls' as such."""
    moved = []
    for func in config.funcs:
        for name in calls.get(func.requested, ()):
            kept = {key: getattr(func, key) for key in configs.MOVED}
            moved.append(configs.Call(name, index=func.index, key="funcs", **kept))
    funcs = tuple(func for func in config.funcs if func.requested not in calls)
    return msgspec.structs.replace(config, funcs=funcs, calls=(*config.calls, *moved))


def _not_linked_in(line: Coverage, libraries: Sequence[Library]) -> Coverage:
    """Say of a name that a static program lacks, and that is not made up, that it is not there."""
    known = bool(set(line.requested) & set("%*?[")) or any(line.requested in library.exports for library in libraries)
    if line.status != "unknown" or not known:
        return line
    reason = "the program is statically linked, and its symbol table has no function of that name"
    return _uncovered(line, "refused", reason)


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


def unknown_name(line: Coverage, libraries: Sequence[Library], program: Program | None = None) -> UserError:
    """Return the error for a name that nothing knows, with the names it may have meant."""
    name = line.requested
    if name.startswith("sys:"):
        return UserError(f"no system call '{name[4:]}'", line.where, line.reason)
    if name.startswith("%"):
        from .annotations import CALL_SETS

        what, choices = f"no set named '{name}'", set(CALL_SETS)
    else:
        names = [library.soname for library in libraries]
        names = [*([] if program and program.is_static else names), *([program.path.name] if program else [])]
        where = " or ".join(names)
        what = f"no function matches '{name}'" if set(name) & set("*?[") else f"no function named '{name}' in {where}"
        choices = {export for library in libraries for export in library.exports}
        choices |= set(program.functions) if program else set()
    close = " or ".join(nearest(name, choices, NEAREST_OF))
    listed = "" if name.startswith("%") else "wc-gen --list to see all names"
    if name.isidentifier():
        from .syscalls import numbers

        listed = f"sys:{name}, the system call" if name in numbers() else listed
    why = line.reason or "it is neither exported by a library nor declared in its headers"
    return UserError(what, line.where, why, ", or ".join(filter(None, (close, listed))))


def nothing_left(config: Config, made: Plan) -> Iterator[UserError]:
    """Yield the error for a plan that intercepts nothing."""
    if any(line.symbols and line.status in ("wrapped", "traced", "pending") for line in made.coverage):
        return
    if not made.coverage:
        why = "it has no funcs and no syscalls"
        yield UserError("the config names nothing to intercept", config.where("funcs"), why)
        return
    reasons = [f"{line.requested}: {line.reason or line.status}" for line in made.coverage]
    more = [f"and {len(reasons) - NEAREST_OF} more"] if len(reasons) > NEAREST_OF else []
    yield UserError("nothing is left to intercept", config.name, "\n".join([*reasons[:NEAREST_OF], *more]))


class _Keys:
    """The names that a shim has in the cache."""

    def __init__(self, config: Config, platform: Platform, program: Program | None, scene: Scene) -> None:
        self.config, self.platform, self.program, self.scene = config, platform, program, scene

    def lookup(self) -> Iterator[str]:
        """Yield the names that would fit, the one that fits all programs first."""
        yield self.general
        yield self.of_program

    @cached_property
    def general(self) -> str:
        config, platform = self.config, self.platform
        libraries = [find_library(name) or name for name in (*config.libraries, *(f.library for f in config.funcs))]
        parts = [
            _tool(),
            *(self.scene.engine, self.scene.not_preloadable, str(self.scene.fallback)),
            *(config.document.text, config.name, config.library_path, config.ld_preload),
            "".join("p" if func.plain else "f" for func in config.funcs),
            *(f"{way} {name}" for name, way in config.wishes),
            *(repr(func.inject) for func in config.funcs),
            *(repr(call.inject) for call in config.calls),
            *("include", *config.include, "libraries"),
            *(identity(path) for path in (platform.libc_path, platform.libm_path, *libraries, *NUMBERS) if path),
            *(platform.compiler, identity(shutil.which(platform.compiler) or "")),
            *self._headers(),
        ]
        return _digest(parts)

    @cached_property
    def of_program(self) -> str:
        """The name where the program, or that none was known, mattered."""
        if self.program is None:
            return _digest([self.general, "no program"])
        files = [str(self.program.path), *self.program.libraries.values(), *self.program.debug_files]
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


def _kept(store: Cache, key: str) -> Built | None:
    """Return what the cache has under *key*, when all of it is there."""
    stored = store.file("plans", f"{key}.manifest")
    if stored is None:
        return None
    engines = {symbol.engine for symbol in manifest_of(stored.read_bytes()).symbols}
    shim, traced = store.file("shims", f"{key}.so"), store.file("plans", f"{key}.plan")
    if ("preload" in engines and shim is None) or ("ptrace" in engines and traced is None):
        return None
    return Built(shim, traced, stored)


def _make(planned: Planned, key: str, store: Cache) -> Built:
    """Make the files, the manifest last: with it they are complete."""
    from .emit import emit
    from .toolchain import pack_manifest

    work = _Work(store, key)
    emission = emit(planned.plan)
    section, mark = pack_manifest(emission.manifest, emission.words)
    shim = traced = None
    if planned.plan.wrappers:
        write_shim(planned.plan, work.file("so"), store)
        shim = work.keep("shims", "so")
    if planned.plan.traced:
        from .tracer_plan import pack

        work.file("plan").write_bytes(pack(emission.plan, emission.traced, mark, SHIM_NAME if shim else ""))
        traced = work.keep("plans", "plan")
    work.file("manifest").write_bytes(section)
    return Built(shim, traced, work.keep("plans", "manifest"))


class _Work:
    """Where files are made before the cache takes them; without a cache they live as long as this process."""

    def __init__(self, store: Cache, key: str) -> None:
        self.store, self.key = store, key
        self.folder = Path(tempfile.mkdtemp(prefix="wc-shim-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.key}.{suffix}"

    def keep(self, kind: str, suffix: str) -> Path:
        made = self.file(suffix)
        kept = self.store.keep(kind, made.name, made)
        if kept != made:
            made.unlink(missing_ok=True)
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


def _with(made: Plan, coverage: Iterable[Coverage]) -> Plan:
    return dataclasses.replace(made, coverage=tuple(coverage))


def _uncovered(line: Coverage, status: Literal["refused", "pending"], reason: str) -> Coverage:
    engine: Literal["ptrace", ""] = "ptrace" if status == "refused" else ""
    return Coverage(line.requested, status=status, wrapper="refused", engine=engine, reason=reason, where=line.where)


def _pending(config: Config, coverage: Sequence[Coverage], program: Program | None) -> Iterator[Coverage]:
    """Say of unknown names that a library is given for that they wait for it; of others, that they are nowhere."""
    funcs = {func.at: func for func in config.funcs}
    for line in coverage:
        func = funcs.get(line.where)
        if func is not None and func.library and line.status == "unknown":
            there = find_library(func.library)
            reason = f"{func.library} does not export it" if there else f"{func.library} is not to be found now"
            yield _uncovered(line, "pending", reason)
        elif func is not None and line.status == "pending" and program and func.preload and not func.library:
            reason = f"neither {program.path.name} nor its libraries have a function of that name"
            yield Coverage(line.requested, "", "unknown", "refused", engine="", reason=reason, where=line.where)
        else:
            yield line
