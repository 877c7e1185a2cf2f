"""Things kept by content below $XDG_CACHE_HOME/wc-intercept: shims, and the runtime's objects.

Called by build.py and toolchain.py. Rules: a key names a content, so that an entry never changes; two processes may
make the same entry at once (whoever is second uses the first's); an entry appears whole or not at all; all shims
together stay below MOST_BYTES, the longest unused going first. A cache that cannot be written costs time and nothing
else: entries are then made in a temporary folder.

Absent on purpose: locks, and any trust in a cache that others can write to.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

MOST_BYTES = 256 << 20


class Cache:
    """A cache directory, or with none nothing that lasts."""

    def __init__(self, root: Path | None) -> None:
        self.root = root if root is not None and _usable(root) else None

    @classmethod
    def default(cls) -> Cache:
        """Return the user's cache: $XDG_CACHE_HOME, else ~/.cache."""
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # noqa: PTH117 - the specification says that a relative one counts as unset
            base = os.path.expanduser("~/.cache")  # noqa: PTH111
        return cls(Path(base) / "wc-intercept") if os.path.isabs(base) else cls(None)  # noqa: PTH117

    def file(self, kind: str, name: str) -> Path | None:
        """Return the entry if there is one, and note that it was used."""
        if self.root is None:
            return None
        path = self.root / kind / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def keep(self, kind: str, name: str, built: Path) -> Path:
        """Take *built* into the cache; return where it is now, which is *built* itself without a cache."""
        if self.root is None:
            return built
        target = self.root / kind / name
        temporary = target.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(built, temporary)
            temporary.chmod(0o700)
            temporary.replace(target)
            self._shrink(kind, target)
        except OSError:
            temporary.unlink(missing_ok=True)
            return built
        return target

    def folder(self, kind: str, name: str, make: Callable[[Path], None], work: Path) -> Path:
        """Return the folder of that name, filled by *make* if there is none; without a cache below *work*."""
        if self.root is not None and (self.root / kind / name).is_dir():
            return self.root / kind / name
        fresh = Path(tempfile.mkdtemp(prefix="fresh-", dir=work))
        make(fresh)
        return self._keep_folder(kind, name, fresh)

    def _keep_folder(self, kind: str, name: str, fresh: Path) -> Path:
        if self.root is None:
            return fresh
        target = self.root / kind / name
        temporary = target.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copytree(fresh, temporary)
            temporary.rename(target)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            return target if target.is_dir() else fresh
        self._drop_old_folders(kind, target)
        return target

    def _drop_old_folders(self, kind: str, newest: Path) -> None:
        """Keep a few: each version of the runtime or of the compiler leaves one."""
        folders = sorted((entry for entry in _entries(newest.parent) if entry != newest), key=_used, reverse=True)
        for folder in folders[3:]:
            shutil.rmtree(folder, ignore_errors=True)

    def _shrink(self, kind: str, newest: Path) -> None:
        total = 0
        for entry in sorted(_entries(newest.parent), key=_used, reverse=True):
            total += _size(entry)
            if total > MOST_BYTES and entry != newest:
                entry.unlink(missing_ok=True)


def identity(path: str | Path) -> str:
    """Return what tells two versions of a file apart without reading it."""
    try:
        real = Path(path).resolve()
        facts = real.stat()
    except OSError:
        return f"{path} is missing"
    return f"{real} {facts.st_size} {facts.st_mtime_ns}"


def _usable(root: Path) -> bool:
    """Make the directory; whether it is ours to write to. Code is run from there: nobody else may."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = root.stat()
    except OSError:
        return False
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o022 and os.access(root, os.W_OK | os.X_OK)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _size(entry: Path) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return 0
