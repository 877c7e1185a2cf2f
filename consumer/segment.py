"""A segment file: the rings of one executed image and its forked children, read as what a stranger wrote.

Opened by drain.py, read by ring.py and accounting.py. Rules: preadv and pwrite only, never a mapping (a program that
truncates its segment would kill Python by SIGBUS); every size and offset of the header is checked once, at open, and
copied; what cannot be a segment of this session is refused with a reason.

Absent on purpose: the rings' contents (ring.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import abi
from . import abi_fields as fields

MOST_RINGS = 1 << 16
MOST_RING_CELLS = 1 << 24
_CLOSED = -1
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Refused(Exception):
    """This file is no segment of this session; the text says why."""


class NotReady(Exception):
    """The program has not finished making its segment."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where things are: checked against each other, so that no later read needs a check but for its length."""

    targets: int
    rings: int
    ring_cells: int
    shared_counts: int
    first_ring: int
    ring_stride: int
    counts_offset: int
    cells_offset: int

    @classmethod
    def check(cls, header: dict[str, int], size: int, manifest: int, targets: range) -> Geometry:
        """Return the geometry that *header* gives for a file of *size* bytes. Raises Refused."""
        for name, expected in (
            ("magic", fields.SEGMENT_MAGIC),
            ("abi", fields.ABI_VERSION),
            ("header_size", fields.SEGMENT.size),
            ("cell_size", fields.CELL_SIZE),
            ("manifest", manifest),
        ):
            if header[name] != expected:
                raise Refused(f"its {name} is {header[name]:#x}, this session's is {expected:#x}")
        if header["targets"] not in targets:
            raise Refused(f"it has {header['targets']} targets, this session's from {targets[0]} to {targets[-1]}")
        geometry = cls(*(header[name] for name in cls.__slots__))
        why = geometry._why_not(size)
        if why:
            raise Refused(why)
        return geometry

    def _why_not(self, size: int) -> str | None:
        counts = self.targets * fields.COUNT.size
        if not 0 < self.rings <= MOST_RINGS or not 0 < self.ring_cells <= MOST_RING_CELLS:
            return f"it claims {self.rings} rings of {self.ring_cells} cells"
        if self.shared_counts < fields.SEGMENT.size or self.first_ring < self.shared_counts + counts:
            return "its shared counts overlap its header or its rings"
        if self.counts_offset < fields.RING.size or self.cells_offset < self.counts_offset + counts:
            return "its counts overlap a ring's header or cells"
        if self.ring_stride < self.cells_offset + self.ring_cells * fields.CELL_SIZE:
            return "its rings overlap"
        if self.first_ring % fields.PAGE or self.ring_stride % fields.PAGE:
            return "its rings do not begin on pages"
        if self.first_ring + self.rings * self.ring_stride > size:
            return f"it is cut short: {size} bytes"
        return None


class Segment:
    """An open segment. *ordinal* is its number in the session."""

    def __init__(self, path: str, ordinal: int, manifest: int, targets: int, room: int = 0) -> None:
        """*targets*: the session's at its start; a segment may have counts for *room* more.

        Raises NotReady, Refused, or the OSError of open.
        """
        self.path, self.ordinal = path, ordinal
        self._file = os.open(path, _FLAGS | os.O_RDWR)
        try:
            self._read_header(manifest, range(targets, targets + room + 1))
        except BaseException:
            self.close()
            raise

    def _read_header(self, manifest: int, targets: range) -> None:
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("it is no regular file")
        raw = os.pread(self._file, fields.SEGMENT.size, 0)
        header = fields.SEGMENT.unpack(raw)
        if header["magic"] == 0:
            raise NotReady
        self.geometry = Geometry.check(header, status.st_size, manifest, targets)
        self.pid, self.parent, self.start = header["pid"], header["parent"], header["start"]
        program = raw[fields.SEGMENT.offset("program") :]
        self.program = os.fsdecode(program[:256].partition(b"\0")[0])

    def fileno(self) -> int:
        return self._file

    def rings_used(self) -> int:
        """Rings ever claimed, as far as that can be true."""
        raw = os.pread(self._file, 4, fields.SEGMENT.offset("rings_used"))
        return min(int.from_bytes(raw, "little"), self.geometry.rings)

    def header(self) -> dict[str, int]:
        """The single numbers of the header as they are now: degraded, quiet, closed..."""
        return fields.SEGMENT.unpack(os.pread(self._file, fields.SEGMENT.size, 0))

    def ring_offset(self, ring: int) -> int:
        return self.geometry.first_ring + ring * self.geometry.ring_stride

    def cells_offset(self, ring: int) -> int:
        return self.ring_offset(ring) + self.geometry.cells_offset

    def counts(self, ring: int) -> npt.NDArray[Any]:
        """The counts of *ring*, one abi.COUNT per target; zero where the file has been truncated."""
        return self._counts_at(self.ring_offset(ring) + self.geometry.counts_offset)

    def shared_counts(self) -> npt.NDArray[Any]:
        """The counts of calls without a ring."""
        return self._counts_at(self.geometry.shared_counts)

    def losses(self, ring: int | None) -> npt.NDArray[np.uint64]:
        """Records lost by reason: of *ring*, or (None) of calls without one."""
        offset = fields.SEGMENT.offset("shared_losses")
        if ring is not None:
            offset = self.ring_offset(ring) + fields.RING.offset("losses")
        return self.read_array(offset, np.dtype("<u8"), fields.LOSSES)

    def read_array(self, offset: int, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """Read *count* items; zero where the file ends."""
        raw = os.pread(self._file, dtype.itemsize * count, offset)
        return np.frombuffer(raw.ljust(dtype.itemsize * count, b"\0"), dtype)

    def _counts_at(self, offset: int) -> npt.NDArray[Any]:
        return self.read_array(offset, abi.COUNT, self.geometry.targets)

    def is_mapped(self) -> bool | None:
        """Whether any process still has this segment; None where the kernel cannot tell.

        Our own descriptor would count as that: it is closed for the moment of asking.
        """
        reader = self._opened_again(os.O_RDONLY)
        os.close(self._file)
        self._file = reader
        mapped = is_written_to(reader)
        self._file = self._opened_again(os.O_RDWR)
        os.close(reader)
        return mapped

    def _opened_again(self, how: int) -> int:
        """The same file by way of its descriptor: its programs go on writing to it when somebody has deleted it."""
        try:
            return os.open(f"/proc/self/fd/{self._file}", (_FLAGS & ~os.O_NOFOLLOW) | how)
        except FileNotFoundError:  # there is no /proc
            return os.open(self.path, _FLAGS | how)

    def close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def unlink(self) -> int:
        """Delete the file; return how many bytes of memory that frees."""
        freed = os.fstat(self._file).st_blocks * 512
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        return freed


def is_written_to(reader: int) -> bool | None:
    """Whether any process has the file behind the read-only descriptor open for writing; None: the kernel cannot tell.

    A read lease is granted only while nobody has, and a writable mapping counts as having it open. So the answer holds
    across pid namespaces, and for processes that we may not see.
    """
    try:
        fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False


def is_abandoned(path: str) -> bool:
    """Whether nobody is at work on a segment file that is not ready."""
    reader = os.open(path, _FLAGS | os.O_RDONLY)
    try:
        return is_written_to(reader) is False
    finally:
        os.close(reader)
