"""Where a session may live, and how much memory it may take there.

Called by session.py before the program is exec'd (so: os only). Rules: $WC_SESSION_ROOT alone when it is set, else
/dev/shm, else $XDG_RUNTIME_DIR; a file system that is not in memory only by option (a ring on a disk is written back);
the programs of a session together never take more than the budget, so that a full /dev/shm is not our doing.

Absent on purpose: making anything (session.py).
"""

from __future__ import annotations

import os

from . import abi_fields as abi

ROOT_VARIABLE = "WC_SESSION_ROOT"
IN_MEMORY = ("tmpfs", "ramfs")
SHARE_OF_FREE = 0.8
RINGS_AT_LEAST = 8
"""So many full rings the budget should hold before rings are made smaller."""


class Room:
    """What a session may use: *budget* bytes for segments, rings of *ring_cells* cells, *rings* of them a segment."""

    __slots__ = ("budget", "ring_cells", "rings")

    def __init__(self, budget: int, ring_cells: int, rings: int) -> None:
        self.budget, self.ring_cells, self.rings = budget, ring_cells, rings


def roots() -> list[str]:
    """Return the directories to try, the best first."""
    explicit = os.environ.get(ROOT_VARIABLE)
    if explicit:
        return [os.path.abspath(explicit)]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return ["/dev/shm", *([runtime] if runtime else [])]


def why_unusable(root: str, any_filesystem: bool) -> str | None:
    """Return why no session can be made in *root*, or None if one can."""
    if not os.path.isdir(root):
        return "there is no such directory"
    if not os.access(root, os.W_OK | os.X_OK):
        return "it may not be written to"
    kind = filesystem_of(root)
    if kind and kind not in IN_MEMORY and not any_filesystem:
        return f"it is on {kind}, not in memory"
    return None


def filesystem_of(path: str) -> str:
    """Return the type of the file system that holds *path*; "" where the kernel does not say (no /proc)."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                if line.split(b" ", 3)[2] == wanted:
                    return line.partition(b" - ")[2].split(b" ", 1)[0].decode()
    except OSError:
        return ""
    return "another file system"


def free_bytes(root: str) -> int:
    """Return what may be taken in *root*: free space there, at most half of the memory that is available."""
    status = os.statvfs(root)
    half = _memory_available() // 2
    return min(status.f_bavail * status.f_frsize, half) if status.f_blocks else half


def fit(free: int, fixed: int, targets: int, ring_cells: int, rings: int, budget: int | None) -> Room | None:
    """Return the room that *free* bytes give a session with *fixed* bytes of its own; None when it is too small.

    *ring_cells* and *rings* are wishes; *budget* is the user's, or None for a share of what is free.
    """
    left = free - fixed if budget is not None else int(free * SHARE_OF_FREE) - fixed
    left = left if budget is None else min(left, budget)
    first = smallest_segment(targets)
    if left < first:
        return None
    ring = ring_size(targets, 0)
    affordable = (left // RINGS_AT_LEAST - ring) // (abi.CHUNK_CELLS * abi.CELL_SIZE)
    cells = max(1, min(-(-ring_cells // abi.CHUNK_CELLS), affordable)) * abi.CHUNK_CELLS
    return Room(left, cells, max(1, min(rings, left // ring_size(targets, abi.CHUNK_CELLS))))


def smallest_segment(targets: int) -> int:
    """Bytes that one program with one thread populates at least."""
    return abi.PAGE + _pages(targets * abi.COUNT.size) + ring_size(targets, abi.CHUNK_CELLS)


def ring_size(targets: int, cells: int) -> int:
    return abi.PAGE + _pages(targets * abi.COUNT.size) + cells * abi.CELL_SIZE


def size_text(size: int) -> str:
    """Return 65536 as "64 KiB"."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{max(size, 0) >> 10} KiB"


def _pages(size: int) -> int:
    return -(-size // abi.PAGE) * abi.PAGE


def _memory_available() -> int:
    try:
        with open("/proc/meminfo", "rb") as lines:
            for line in lines:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * abi.PAGE // 2
