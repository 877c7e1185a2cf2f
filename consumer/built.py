"""The shim for a config or a list of names: built by the generator, or remembered without importing it.

Called by run.py for ``-c`` and ``--trace``. generator/build.py keeps shims by content, but to know the content it
parses, hashes and asks (120 ms); the program waits meanwhile. So what it answered is noted beside its cache, with the
size and time of every file that it looked at: config, libraries, compiler, headers, the generator itself, the program.
Rules: a note counts only while all of these are as they were; only files of this user that nobody else can write are
trusted; a note that cannot be written or read costs time and nothing else.

Absent on purpose: what is in a shim. A note never outlives a change, and never answers for another program.
"""

from __future__ import annotations

import os

from .refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wc_intercept.generator.config import Config

NOTES = "runs"
MOST_NOTES = 500
VARIABLES = ("CC", "PATH", "LD_LIBRARY_PATH")
SUFFIXES = (".py", ".c", ".h", ".S", ".j2", ".txt")


def shim_for_config(path: str, program: str) -> str:
    """Return the shim for the config file *path* and the ELF file *program*."""
    absolute = os.path.abspath(path)
    note = Note("config", path, absolute, program)
    found = note.shim()
    if found is None:
        from wc_intercept.generator.config import load

        found = note.keep(load(path), [absolute])
    return found


def shim_for_list(names: str, program: str) -> str:
    """Return the shim for the names of --trace."""
    note = Note("list", names, program)
    found = note.shim()
    if found is None:
        from wc_intercept.generator.config import parse
        from wc_intercept.generator.errors import UserError

        try:
            found = note.keep(_located(parse(config_of_list(names), "--trace")), [])
        except UserError as error:
            error.at = "--trace " + names if error.at.startswith("--trace:") else error.at
            raise
    return found


def _located(config: Config) -> Config:
    """A list has no lines and columns: its targets are named instead."""
    from msgspec.structs import replace

    return replace(config, funcs=tuple(replace(func, at=f"--trace {func.requested}") for func in config.funcs))


def config_of_list(names: str) -> str:
    """Return the config that ``--trace open,%memory,fn:read`` stands for."""
    items = []
    for name in names.split(","):
        if name.startswith("sys:"):
            raise Refusal(f"--trace {name}: system calls are not built yet", "", "they need the ptrace engine",
                          f"fn:{name[4:]}, the library function")  # fmt: skip
        if not name or any(sign in name for sign in '"\\') or not name.isprintable():
            raise Refusal(f"--trace {names}: {name!r} is no name", try_="--trace open,read,%memory")
        key = "set" if name.startswith("%") else "func_name"
        items.append(f'{{"{key}": "{name.removeprefix("fn:")}"}}')
    return '{"funcs": [' + ", ".join(items) + "]}"


class Note:
    """What was built for one question. The question's words are stored and compared, not only their checksum."""

    def __init__(self, *words: str) -> None:
        self.program = words[-1]
        variables = [f"{name}={os.environ.get(name, '')}" for name in VARIABLES]
        self.question = repr((*words, *variables))
        folder = _cache()
        self.path = os.path.join(folder, NOTES, _checksum(self.question)) if folder else None

    def shim(self) -> str | None:
        """Return the shim that was built for this question, if every file is as it was."""
        if self.path is None:
            return None
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\0")
            if lines[0] != self.question or not _is_private(lines[1]) or [*map(_identity, lines[2::2])] != lines[3::2]:
                return None
            os.utime(lines[1])
            return lines[1]
        except (OSError, IndexError):
            return None

    def keep(self, config: Config, files: list[str]) -> str:
        """Build the shim for *config* and note what it depends on. Raises UserError."""
        from pathlib import Path

        from wc_intercept.generator.build import build

        shim = str(build(config, Path(self.program)).path)
        if self.path is not None:
            try:
                self._write(shim, [*files, self.program, *_sources(), *_dependencies(config, self.program)])
            except OSError:
                pass  # the next run asks again
        return shim

    def _write(self, shim: str, files: Iterable[str]) -> None:
        assert self.path is not None
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        _make_room(os.path.dirname(self.path))
        parts = [self.question, shim]
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

    from wc_intercept.generator.elf import find_library
    from wc_intercept.generator.errors import UserError
    from wc_intercept.generator.host import host
    from wc_intercept.generator.program import Program
    from wc_intercept.generator.toolchain import dependencies

    platform = host()
    names = [*config.libraries, *(func.library for func in config.funcs if func.library)]
    files = [platform.libc_path, platform.libm_path, shutil.which(platform.compiler) or platform.compiler]
    files += [find_library(name) or name for name in names]
    if config.headers:
        files += dependencies(platform, config.headers, config.include)
    try:
        files += Program.read(Path(program)).libraries.values()
    except UserError:
        pass
    return files
