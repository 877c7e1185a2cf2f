"""What a config or a list of names is made into (shim, tracer's plan): built by the generator, or remembered.

Called by run.py and api.py for ``-c`` and ``--trace``. generator/build.py keeps what it makes by content, but to know
the content it parses, hashes and asks (120 ms); the program waits meanwhile. So what it answered is noted beside its
cache, with the size and time of every file that it looked at: config, libraries, compiler, headers, the generator
itself, the program.
Rules: a note counts only while all of these are as they were; only files of this user that nobody else can write are
trusted; a note that cannot be written or read costs time and nothing else.

Absent on purpose: what is in a shim or a plan, and which engine is asked for (engine.py). A note never outlives a
change, and never answers for another program.
"""

from __future__ import annotations

import os

from .refusal import Refusal
from .shim import parse_manifest, read_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wc_intercept.generator.config import Config
    from wc_intercept.generator.funcs import Func

    from .engine import Engine
    from .session import Stored

NOTES = "runs"
MOST_NOTES = 500
VARIABLES = ("CC", "PATH", "LD_LIBRARY_PATH")
SUFFIXES = (".py", ".c", ".h", ".S", ".j2", ".txt")


class Wish:
    """What a Python handler asks for: calls of *name*, to be told of or (*way*) asked about; *at*: FILE:line."""

    __slots__ = ("at", "name", "way")

    def __init__(self, name: str, way: str, at: str) -> None:
        self.name, self.way, self.at = name, way, at


class Wanted:
    """What the generator is asked for: a *program* (an ELF file; "": any), an engine, whether the tracer is to stand
    in where the shim does not get (*fallback*), what Python handlers ask for, and what --inject adds."""

    __slots__ = ("engine", "fallback", "injects", "program", "wishes")

    def __init__(
        self,
        program: str,
        engine: Engine = "preload",
        fallback: bool = False,
        wishes: Sequence[Wish] = (),
        injects: Sequence[str] = (),
    ) -> None:
        self.program, self.engine, self.fallback, self.wishes, self.injects = program, engine, fallback, wishes, injects

    def build(self, config: Config) -> Made:
        """Ask the generator. Raises UserError."""
        from pathlib import Path

        from wc_intercept.generator.build import build

        program = Path(self.program) if self.program else None
        if self.injects:
            from .injected import with_injects

            config = with_injects(config, self.injects, self.engine)
        if self.wishes:
            config = wished(config, self.wishes, self.engine)
        found = build(config, program, engine=self.engine, fallback=self.fallback)
        return Made(*(str(path) if path is not None else "" for path in (found.path, found.plan, found.stored)))


class Made:
    """Paths of what was built, "" for what is not needed: a shim, a plan for the tracer, the manifest of both."""

    __slots__ = ("plan", "shim", "stored")

    def __init__(self, shim: str, plan: str, stored: str) -> None:
        self.shim, self.plan, self.stored = shim, plan, stored

    def manifest(self) -> Stored:
        """Return head, control words and JSON. Raises UserError when there are none."""
        if not self.stored:
            return read_manifest(self.shim)
        with open(self.stored, "rb") as file:
            return parse_manifest(file.read(), self.stored)


def made_for_config(path: str, wanted: Wanted) -> Made:
    """Return what the config file *path* is made into."""
    full = absolute(path)
    note = Note(wanted, "config", path, full)
    found = note.made()
    if found is None:
        from wc_intercept.generator.config import load

        found = note.keep(load(path), [full])
    return found


def made_for_list(names: str, wanted: Wanted) -> Made:
    """Return what the names of --trace are made into."""
    note = Note(wanted, "list", names)
    found = note.made()
    if found is None:
        from wc_intercept.generator.config import parse
        from wc_intercept.generator.errors import UserError

        try:
            listed = Listed(names, wanted.engine)
            found = note.keep(located(parse(listed.config(), "--trace"), listed), [])
        except UserError as error:
            error.at = "--trace " + names if error.at.startswith("--trace:") else error.at
            raise
    return found


def made_for_wishes(wanted: Wanted) -> Made:
    """Return what is made for Python handlers and --inject where nothing else says what to intercept."""
    note = Note(wanted, "wishes")
    found = note.made()
    if found is None:
        from wc_intercept.generator.config import parse

        found = note.keep(parse("{}", "--handlers"), [])
    return found


def wished(config: Config, wishes: Sequence[Wish], engine: Engine) -> Config:
    """Return *config* with what Python handlers ask for. A glob only picks where something else is intercepted."""
    from msgspec.structs import replace
    from wc_intercept.generator.funcs import Call

    alone = not config.funcs and not config.calls
    funcs, calls = [*config.funcs], [*config.calls]
    for wish in wishes:
        if not alone and (set(wish.name) & set("*?[") or _is_there(wish.name, config)):
            continue
        listed = Listed(wish.name, engine)
        known = {func.requested for func in funcs} | {call.requested for call in calls}
        funcs += [_func(name, plain, wish.at) for name, plain in listed.funcs if name not in known]
        calls += [Call(name, at=wish.at) for name in listed.calls if name not in known]
    asked = tuple(dict.fromkeys((wish.name, wish.way) for wish in wishes))
    return replace(config, funcs=tuple(funcs), calls=tuple(calls), wishes=asked)


def _func(name: str, plain: bool, at: str) -> Func:
    from wc_intercept.generator.funcs import GLOB, NAME, Func

    if name.startswith("%"):
        return Func(set=name, at=at, plain=plain)
    return Func(name, glob=not NAME.fullmatch(name) and bool(GLOB.fullmatch(name)), at=at, plain=plain)


def _is_there(name: str, config: Config) -> bool:
    """Whether *config* has a target for *name* already, by whatever it calls it."""
    from fnmatch import fnmatchcase

    from wc_intercept.generator.annotations import CALL_SETS
    from wc_intercept.generator.syscalls import select

    kind, _, plain = name.rpartition(":") if name.startswith(("fn:", "sys:")) else ("", "", name)
    for func in config.funcs if kind != "sys" else ():
        by_glob = func.glob and fnmatchcase(plain, func.name)
        if plain == func.requested or by_glob or plain in CALL_SETS.get(func.set, ()):
            return True
    calls = config.calls if kind != "fn" else ()
    return any(plain == call.name or (call.wide and plain in select(call.name)) for call in calls)


def absolute(path: str) -> str:
    """Return *path* made absolute; in a working directory that has been removed, nothing is there. Raises Refusal."""
    try:
        return os.path.abspath(path)
    except OSError as error:
        raise Refusal(f"cannot find {path}: {error.strerror}", "", "the working directory has been removed") from None


def located(config: Config, listed: Listed, option: str = "--trace ") -> Config:
    """A list has no lines and columns: its targets are named instead. fn: says that a function is meant."""
    from msgspec.structs import replace

    funcs = tuple(
        replace(func, at=f"{option}{func.requested}", plain=plain)
        for func, (_, plain) in zip(config.funcs, listed.funcs, strict=True)
    )
    calls = tuple(replace(call, at=f"{option}{call.requested}") for call in config.calls)
    return replace(config, funcs=funcs, calls=calls)


class Listed:
    """The names of ``--trace open,%memory,fn:read,sys:futex``: *funcs* with whether they are plain, and *calls*.

    Where everything is traced (engine ptrace: also a static program, and one that runs already) a plain name means
    system calls, as strace's do, and a function only where no system call is called so or does what it does.
    """

    def __init__(self, names: str, engine: Engine = "preload") -> None:
        """Raises Refusal for what cannot be a name."""
        self.funcs: list[tuple[str, bool]] = []
        self.calls: list[str] = []
        for name in names.split(","):
            if not name or any(sign in name for sign in '"\\') or not name.isprintable():
                raise Refusal(f"--trace {names}: {name!r} is no name", try_="--trace open,read,%memory")
            kind, _, plain = name.rpartition(":") if name.startswith(("fn:", "sys:")) else ("", "", name)
            found = [plain] if kind == "sys" else _system_calls(plain) if engine == "ptrace" and not kind else []
            self.calls += found
            if not found:
                self.funcs.append((plain, not kind))

    def config(self) -> str:
        """Return the config that the list stands for."""
        funcs = (f'{{"{"set" if name.startswith("%") else "func_name"}": "{name}"}}' for name, _ in self.funcs)
        calls = (f'{{"syscall_id": "{name}"}}' for name in dict.fromkeys(self.calls))
        return '{"funcs": [' + ", ".join(funcs) + '], "syscalls": [' + ", ".join(calls) + "]}"


def _system_calls(name: str) -> list[str]:
    """Return the system calls that a plain name means, globs and sets as they are; none: it is a function's."""
    from wc_intercept.generator.syscalls import select, stands_for

    if set(name) & set("%*?["):
        return [name] if select(name) else []
    return [*(stands_for(name) or select(name))]


class Note:
    """What was built for one question. The question's words are stored and compared, not only their checksum."""

    def __init__(self, wanted: Wanted, *words: str) -> None:
        self.wanted = wanted
        variables = [f"{name}={os.environ.get(name, '')}" for name in VARIABLES]
        wishes = [(wish.name, wish.way, wish.at) for wish in wanted.wishes]
        injects = [f"--inject {text}" for text in wanted.injects]
        asked = (wanted.program, wanted.engine, wanted.fallback, *wishes, *injects)
        self.question = repr((*words, *asked, *variables))
        folder = _cache()
        self.path = os.path.join(folder, NOTES, _checksum(self.question)) if folder else None

    def made(self) -> Made | None:
        """Return what was built for this question, if every file is as it was."""
        if self.path is None:
            return None
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\0")
            built = [path for path in lines[1:4] if path]
            same = lines[0] == self.question and [*map(_identity, lines[4::2])] == lines[5::2]
            if not same or not all(map(_is_private, built)):
                return None
            for path in built:
                os.utime(path)
            return Made(*lines[1:4])
        except (OSError, IndexError):
            return None

    def keep(self, config: Config, files: list[str]) -> Made:
        """Build what *config* asks for and note what it depends on. Raises UserError."""
        made, program = self.wanted.build(config), self.wanted.program
        if self.path is not None:
            try:
                mine = [*files, program] if program else files
                self._write(made, [*mine, *_sources(), *_dependencies(config, program)])
            except OSError:
                pass  # the next run asks again
        return made

    def _write(self, made: Made, files: Iterable[str]) -> None:
        assert self.path is not None
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        _make_room(os.path.dirname(self.path))
        parts = [self.question, made.shim, made.plan, made.stored]
        for file in dict.fromkeys(files):
            parts += [file, _identity(file)]
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as note:
            note.write("\0".join(parts))
        os.rename(temporary, self.path)


def _make_room(folder: str) -> None:
    """Forget the older half of the notes when there are many."""
    with os.scandir(folder) as entries:
        notes = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns)
    for note in notes[: len(notes) // 2] if len(notes) >= MOST_NOTES else ():
        os.unlink(note.path)


def _checksum(text: str) -> str:
    import binascii  # hashlib costs 4 ms, and the note is compared whole

    data = text.encode("utf-8", "surrogateescape")
    return f"{binascii.crc32(data):08x}{binascii.crc32(data[::-1]):08x}"


def _cache() -> str | None:
    """Return the generator's cache directory if it is ours alone: code is run from there."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        base = os.path.expanduser("~/.cache")
    folder = os.path.join(base, "wc-intercept")
    return folder if base.startswith("/") and (_is_private(folder) or not os.path.lexists(folder)) else None


def _is_private(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _identity(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "-"
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"


def _sources() -> list[str]:
    """The generator's own files, and their folders, so that a new file is noticed."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = []
    for part in ("generator", "templates", "runtime"):
        for folder, _, names in os.walk(os.path.join(top, part)):
            if not folder.endswith("__pycache__"):
                found += [os.path.join(folder, name) for name in names if name.endswith(SUFFIXES)]
    return found


def _dependencies(config: Config, program: str) -> list[str]:
    """What generator/build.py looked at: libraries, compiler, headers, and what the program links."""
    import shutil
    from pathlib import Path

    from wc_intercept.generator.build import NUMBERS
    from wc_intercept.generator.elf import find_library
    from wc_intercept.generator.errors import UserError
    from wc_intercept.generator.host import host
    from wc_intercept.generator.program import Program
    from wc_intercept.generator.toolchain import dependencies

    platform = host()
    names = [*config.libraries, *(func.library for func in config.funcs if func.library)]
    files = [*NUMBERS, platform.libc_path, platform.libm_path, shutil.which(platform.compiler) or platform.compiler]
    files += [find_library(name) or name for name in names]
    if config.headers:
        files += dependencies(platform, config.headers, config.include)
    try:
        asked = Program.read(Path(program)) if program else None
        files += [*asked.libraries.values(), *asked.debug_files] if asked else ()
    except UserError:
        pass
    return files
