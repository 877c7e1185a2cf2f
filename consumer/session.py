"""The session directory: one run's control file, manifest, links to shim and tracer's plan, lock and segments.

Created by wc-run before the program is exec'd (so: os, fcntl and struct only), opened by wc-report SESSION when
its consumer is dead. Rules: mode 0700; shared files are read and written by pread and pwrite, never mapped (a program
may truncate them); exactly one consumer, which holds a lock (flock) on ``lock`` as long as it lives.

Besides these it holds a link to a copy of the config's handlers (which the shim loads by that name), ``handlers``,
the table of what has changed there (table.py), and ``warnings``, lines that programs had to say about them.

Life of a directory: created; its programs add seg-PID-TICKS; ``close`` makes wrappers pass through; ``remove``. One
whose consumer died stays readable (wc-report SESSION) for KEEP_SECONDS, or until its room is needed: then the next
wc-run sweeps it. Programs that still run keep their mapping and do not notice.

Absent on purpose: segments (segment.py), and where in memory anything lies (abi_fields.py).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

from wc_intercept.generator.errors import UserError

from . import abi_fields as abi
from . import room, table
from .machine import ticks_per_second
from .settings import read as read_settings
from .shim import ManifestHead, pack_manifest, parse_manifest

KEEP_SECONDS = 3600.0
COMM_BYTES = 15
PREFIX = "wc-"
SHIM_LINK = "shim.so"
PLAN_LINK = "plan"
HANDLERS_LINK = "handlers.so"
FIRST_COPY = "handlers-0.so"
NOEXEC = 8
WARNINGS = "warnings"
MOST_WARNING_BYTES = 16384
Stored = tuple[ManifestHead, list[int], bytes]
"""What shim.read_manifest returns: head, control words, JSON."""


class SessionOptions:
    """What a run asks of its session. budget None: a share of what the file system has free."""

    __slots__ = (
        "any_filesystem", "block_ms", "budget", "clock", "follow", "policy", "ring_cells", "rings", "string_limit",
    )  # fmt: skip

    def __init__(
        self,
        *,
        policy: int = abi.BLOCK,
        block_ms: int = 100,
        ring_cells: int = 16384,
        rings: int = 256,
        string_limit: int = 64,
        follow: int = abi.FOLLOW_DEFAULT,
        clock: int = abi.CLOCK_MONOTONIC,
        budget: int | None = None,
        any_filesystem: bool = False,
    ) -> None:
        self.policy, self.block_ms, self.ring_cells, self.rings = policy, block_ms, ring_cells, rings
        self.string_limit, self.follow, self.clock, self.budget = string_limit, follow, clock, budget
        self.any_filesystem = any_filesystem


class SessionDirectory:
    """An open session; this process is its consumer."""

    def __init__(self, path: str, lock: int, control: int, stored: Stored) -> None:
        self.path = path
        self.head, self.words, self.json = stored
        self._lock, self._control, self._owner = lock, control, os.getpid()
        self._warned, self._said = 0, set[str]()
        self.library = read_settings(self.json).handlers
        """The handler library that was loaded last, as the config names it."""
        values = abi.CONTROL.unpack(os.pread(control, abi.CONTROL.size, 0))
        self.policy, self.clock, self.budget = values["policy"], values["clock"], self.get("budget")
        self.targets, self.room = values["targets"], values["room"]
        """Targets that there were at the start, and how many more there can be."""
        self.ring_cells, self.rings, self.string_limit = values["ring_cells"], values["rings"], values["string_limit"]

    @classmethod
    def create(
        cls,
        shim: str | os.PathLike[str] | None,
        stored: Stored,
        options: SessionOptions | None = None,
        plan: str | os.PathLike[str] | None = None,
    ) -> SessionDirectory:
        """Make a session for *shim*, for a tracer with *plan*, or for both. Raises UserError where none can be made.

        *stored* is the manifest that both share.
        """
        options = options or SessionOptions()
        manifest = pack_manifest(*stored)
        root, given = choose_root(stored[0].targets, len(manifest), options)
        path = os.path.join(root, f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}")
        try:
            os.mkdir(path, 0o700)
            lock = _take_lock(path)
            for file, link in ((shim, SHIM_LINK), (plan, PLAN_LINK)):
                if file is not None:
                    os.symlink(os.path.realpath(file), os.path.join(path, link))
            handlers = read_settings(stored[2]).handlers
            if handlers:
                os.symlink(_own_copy(handlers, path), os.path.join(path, HANDLERS_LINK))
            _make_table(path, stored[0].targets + abi.CONTROL_ROOM)
            os.close(_write_new(os.path.join(path, "manifest"), manifest))
            control = _write_new(os.path.join(path, "control"), _control_bytes(stored, options, given))
            return cls(path, lock, control, stored)
        except OSError as error:
            remove_directory(path)
            raise UserError(f"cannot make a session directory: {error.strerror}", at=path) from error

    @classmethod
    def open(cls, path: str) -> SessionDirectory:
        """Become the consumer of a session whose own is dead. Raises UserError when it lives, or is no session."""
        path = os.path.abspath(path)
        try:
            with open(os.path.join(path, "manifest"), "rb") as file:
                stored = parse_manifest(file.read(), file.name)
            lock = _take_lock(path)
            control = os.open(os.path.join(path, "control"), os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"cannot open the session: {error.strerror}", at=path) from error
        values = abi.CONTROL.unpack(os.pread(control, abi.CONTROL.size, 0))
        expected = {"magic": abi.CONTROL_MAGIC, "abi": abi.ABI_VERSION, "manifest": stored[0].hash}
        if any(values[name] != value for name, value in expected.items()):
            os.close(control)
            os.close(lock)
            raise UserError("this is not a session of this wc-intercept", at=path, why="its control file differs")
        return cls(path, lock, control, stored)

    @property
    def has_shim(self) -> bool:
        """Whether a shim is in its programs."""
        return os.path.lexists(self.shim_link)

    @property
    def shim_link(self) -> str:
        """What to preload: a path without spaces or colons, whatever the shim's own is."""
        return os.path.join(self.path, SHIM_LINK)

    def beat(self, now: int | None = None) -> None:
        """Tell the programs that the consumer lives: at least every 50 ms. *now* is CLOCK_MONOTONIC ns."""
        self._put("heartbeat", time.monotonic_ns() if now is None else now)

    def pulse(self) -> tuple[int, int]:
        """Return the descriptor and the offset of the heartbeat, for a thread that beats (machine.Native)."""
        return self._control, abi.CONTROL.offset("heartbeat")

    def get(self, name: str) -> int:
        """Read a u64 of the control file (used, no_segment, closed); 0 when a program has truncated it."""
        return int.from_bytes(os.pread(self._control, 8, abi.CONTROL.offset(name)), "little")

    def give_back(self, size: int) -> None:
        """A segment of *size* bytes is gone: its programs' successors may use as much again."""
        self.budget += size
        self._put("budget", self.budget)

    def decides(self, milliseconds: int, default: int) -> None:
        """Have calls wait so long for a decision; then they go on, or fail with the errno *default*."""
        self._put("ask_ms", milliseconds, 4)
        self._put("ask_default", default, 4)

    def nobody_decides(self) -> None:
        """Who answered is dead: calls wait for nobody any more."""
        self._put("asked_by", 0, 4)

    def warnings(self) -> list[str]:
        """Return what programs had to say (about their handlers) since the last look, but nothing twice."""
        try:
            with open(os.path.join(self.path, WARNINGS), "rb") as file:
                file.seek(self._warned)
                said = file.read(MOST_WARNING_BYTES)
        except OSError:
            return []
        whole = said[: said.rfind(b"\n") + 1]
        self._warned += len(whole)
        new = [line for line in dict.fromkeys(whole.decode("utf-8", "replace").splitlines()) if line not in self._said]
        self._said.update(new)
        return [self.by_given_name(line) for line in new]

    def by_given_name(self, text: str) -> str:
        """Put the library that was given in place of the copy that is loaded."""
        import re  # not before the program runs

        return re.sub(re.escape(self.path) + r"/handlers-\d+\.so", lambda _: self.library, text)

    def grow(self, words: list[int], json: bytes) -> None:
        """There are more targets, with these control *words*; *json* is the manifest of all."""
        os.pwrite(self._control, struct.pack(f"<{len(words)}Q", *words), abi.CONTROL_WORDS + 8 * len(self.words))
        self.words += words
        self.json = json
        path = os.path.join(self.path, "manifest")
        os.close(_write_new(f"{path}.new", pack_manifest(self.head, self.words, json)))
        os.rename(f"{path}.new", path)

    def close(self) -> None:
        """Switch every target off and the session closed: from here on wrappers pass through."""
        self._put("closed", 1)
        off = [abi.word_with(word, on=False) for word in self.words]
        os.pwrite(self._control, struct.pack(f"<{len(off)}Q", *off), abi.CONTROL_WORDS)

    def remove(self) -> None:
        """Close, then delete the directory. A fork child that inherited this object changes nothing."""
        if os.getpid() == self._owner:
            self.close()
            remove_directory(self.path)
        self.release()

    def release(self) -> None:
        """Let go of the files without deleting anything: the session stays for wc-report. May be called twice."""
        for descriptor in (self._control, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._control = self._lock = -1

    def _put(self, name: str, value: int, size: int = 8) -> None:
        os.pwrite(self._control, value.to_bytes(size, "little"), abi.CONTROL.offset(name))


def choose_root(targets: int, manifest_size: int, options: SessionOptions) -> tuple[str, room.Room]:
    """Return the first root with room for a session, and its room. Dead sessions go early only when room is missing."""
    fixed = abi.control_size(targets) + manifest_size + 2 * abi.PAGE
    for keep in (KEEP_SECONDS, 0.0):
        refused = []
        for root in room.roots():
            sweep(root, keep)
            why = room.why_unusable(root, options.any_filesystem)
            free = 0 if why else room.free_bytes(root)
            given = room.fit(free, fixed, targets, options.ring_cells, options.rings, options.budget)
            if why is None and given is not None:
                return root, given
            needed = room.size_text(int((fixed + room.smallest_segment(targets)) / room.SHARE_OF_FREE))
            refused.append(f"{root}: {why or f'{room.size_text(free)} are free, at least {needed} are needed'}")
    raise UserError(
        "there is no room for a session",
        why="\n".join(refused),
        try_=f"mount -o remount,size=64M /dev/shm (docker run --shm-size=64m), or {room.ROOT_VARIABLE}=DIR in memory",
    )


def find(name: str) -> str:
    """Return the directory of the session *name*: its path, the pid of its wc-run or of a program in it, or a program.

    Raises UserError where there is none, or there are several.
    """
    if os.path.exists(os.path.join(name, "control")):
        return name
    sessions = [path for root in room.roots() for path in list_sessions(root)]
    living = [path for path in sessions if _is_alive(_pid_of(path))]
    found = _named(name, living) or _named(name, sessions)
    found = [*{_pid_of(path): path for path in sorted(found, key=_beaten)}.values()]  # of one pid: the last that had it
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} sessions run {name!r}", try_=" or ".join(f"wc-ctl {_pid_of(path)}" for path in found[:5])
        )
    why = "it is neither a session directory nor a pid or a program of one"
    raise UserError(f"no session named {name!r}", why=why, try_="wc-ctl ls")


def programs(path: str) -> list[tuple[str, str]]:
    """Return (pid, name) of what runs, or has run, in the session: the last part of the executed path."""
    found = []
    try:
        for entry in os.listdir(path):
            if entry.startswith("seg-"):
                with open(os.path.join(path, entry), "rb") as segment:
                    segment.seek(abi.SEGMENT.offset("program"))
                    program = segment.read(256).partition(b"\0")[0]
                found.append((entry.split("-")[1], os.path.basename(os.fsdecode(program))))
    except OSError:
        pass  # it is being removed
    return found


def _named(name: str, sessions: list[str]) -> list[str]:
    """Return those of the pid *name*, else those with such a program, else those that run a program of this name."""
    found = [path for path in sessions if str(_pid_of(path)) == name]
    found = found or [path for path in sessions if any(pid == name for pid, _ in programs(path))]
    return found or [path for path in sessions if any(_is_called(name, *program) for program in programs(path))]


def _is_called(name: str, pid: str, program: str) -> bool:
    """A program started by a link (python3, redis-server) goes by that name as well, as ls and ps show it."""
    return name == program or name[:COMM_BYTES] == comm(pid)


def comm(pid: int | str) -> str:
    """Return the name that the kernel has for a process, which may be cut off; "" when the process is gone."""
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def list_sessions(root: str) -> list[str]:
    """Return the session directories below *root* that belong to this user, sorted."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.path for entry in entries if _pid_of(entry.path) and _is_own(entry))
    except OSError:
        return []


def sweep(root: str, keep_seconds: float = KEEP_SECONDS) -> list[str]:
    """Delete the sessions below *root* whose consumer died *keep_seconds* ago or earlier; return their paths."""
    gone = []
    for path in list_sessions(root):
        try:
            lock = _take_lock(path)
        except (OSError, UserError):
            continue  # it has a consumer, or is being removed
        if _is_stale(path, keep_seconds):
            remove_directory(path)
            gone.append(path)
        os.close(lock)
    return gone


def remove_directory(path: str) -> None:
    """Delete a session directory and the files in it, as far as that is possible."""
    try:
        for name in os.listdir(path):
            try:
                os.unlink(os.path.join(path, name))
            except OSError:
                pass  # a directory is none of ours; then rmdir fails too, and the directory stays
        os.rmdir(path)
    except OSError:
        pass


def _is_stale(path: str, keep_seconds: float) -> bool:
    """The lock is free. One without a control file is being made, or its maker died while making it."""
    if _is_alive(_pid_of(path)) and keep_seconds < KEEP_SECONDS:
        return False
    try:
        touched = os.stat(os.path.join(path, "control")).st_mtime  # every heartbeat is a write
    except OSError:
        try:
            touched = os.stat(path).st_mtime
        except OSError:
            return False  # its wc-run has removed it since
    return time.time() - touched >= keep_seconds


def _is_own(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False


def _beaten(path: str) -> float:
    """When the session's heart last beat: every beat is a write."""
    try:
        return os.stat(os.path.join(path, "control")).st_mtime
    except OSError:
        return 0.0


def _pid_of(path: str) -> int:
    """Return the pid in the name wc-PID-RANDOM; 0 when it is no such name."""
    words = os.path.basename(path).split("-")
    return int(words[1]) if len(words) == 3 and words[0] == PREFIX[:-1] and words[1].isdecimal() else 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _take_lock(path: str) -> int:
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UserError(
            "this session has a consumer already",
            at=path,
            why="two would take each other's records",
            try_="wait for its wc-run to end; what it has seen is in its own output",
        ) from error
    return lock


def _own_copy(library: str, session: str) -> str:
    """Return what to load for *library*: a copy, which stays as it is when the file is overwritten.

    The file itself where there is no room, where nothing may run, and where it finds others by its own place: $ORIGIN.
    """
    own = os.path.join(session, FIRST_COPY)
    try:
        with open(library, "rb", buffering=0) as file:
            data = file.read()
        if b"ORIGIN" in data or os.statvfs(session).f_flag & NOEXEC:
            return library
        os.close(_write_new(own, data))
    except OSError:
        return library  # it is not there, perhaps: whoever loads it says so
    return own


def _make_table(session: str, targets: int) -> None:
    try:
        table.create(session, targets)
    except OSError:
        pass  # RLIMIT_FSIZE: then handlers stay what they are, and whoever wants to change them is told


def _write_new(path: str, data: bytes) -> int:
    """Write a new file, all of it, and return it open for reading and writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor


def _control_bytes(stored: Stored, options: SessionOptions, given: room.Room) -> bytes:
    head, words, _ = stored
    size = abi.control_size(head.targets)
    fixed = abi.CONTROL.pack(
        magic=abi.CONTROL_MAGIC,
        abi=abi.ABI_VERSION,
        targets=head.targets,
        manifest=head.hash,
        size=size,
        policy=options.policy,
        block_ms=options.block_ms,
        clock=options.clock,
        ring_cells=given.ring_cells,
        rings=given.rings,
        string_limit=options.string_limit,
        follow=options.follow,
        consumer_pid=os.getpid(),
        heartbeat=time.monotonic_ns(),
        budget=given.budget,
        room=abi.CONTROL_ROOM,
        limits_at=abi.limits_at(head.targets),
    )
    listed = struct.pack(f"<{len(words)}Q", *words)
    page = bytearray(fixed.ljust(abi.CONTROL_WORDS, b"\0") + listed.ljust(size - abi.CONTROL_WORDS, b"\0"))
    if any(word & abi.WORD_LIMITED for word in words):
        _put_limits(page, stored, options.clock)
    return bytes(page)


def _put_limits(page: bytearray, stored: Stored, clock: int) -> None:
    """Write the limits that the manifest's targets begin with."""
    import json  # few configs have any

    head, words, manifest = stored
    second = ticks_per_second(clock)
    for number, target in enumerate(json.loads(manifest)["targets"]):
        if words[number] & abi.WORD_LIMITED:
            limit = abi.limit(second, target.get("max_per_second", 0), target.get("min_duration", 0))
            at = abi.limits_at(head.targets) + number * abi.LIMIT.size
            page[at : at + len(limit)] = limit
