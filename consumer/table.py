"""The file "handlers" of a session: which C handlers its targets have once that has changed
(runtime/include/wc_table.h).

Created by session.py, written by swap.py when a config or a library is read again; read by the control threads of
shims and by the tracer, which answer there. Rules: read and written by pread and pwrite, never mapped (a program may
truncate it); a half that is in force is never written; what readers answer is believed of processes that live.

Absent on purpose: what the handlers are (reload.py), and when a change is made (swap.py).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping

NAME = "handlers"
MAGIC, ANSWERS, TEXTS = 0x3130304C42544357, 160, 64 << 10
HEAD = struct.Struct("<QQIIIIQQI12x")
ANSWER = struct.Struct("<IIII8x")
HALF, NAMED = struct.Struct("<II"), struct.Struct("<II")
PROPOSED_AT, CURRENT_AT, ASKED_AT = 32, 40, 48
PAGE = 4096
Pair = tuple[str, str]
"""Names of the handlers at entry and exit; "" for none."""


class Answer(tuple[int, int, int, int]):
    """What one process says: pid, and the numbers of the changes that it is ready for, cannot make, and acts on."""

    __slots__ = ()

    @property
    def pid(self) -> int:
        return self[0]

    @property
    def ready(self) -> int:
        return self[1]

    @property
    def failed(self) -> int:
        return self[2]

    @property
    def acting(self) -> int:
        return self[3]


class Full(Exception):
    """The names take more room than the table has."""


def create(session: str, targets: int) -> None:
    """Make the table of a session with room for *targets*. Raises OSError."""
    half = HALF.size + NAMED.size * targets + TEXTS
    half += -half % PAGE
    size = PAGE + 2 * half
    file = os.open(os.path.join(session, NAME), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, HEAD.pack(MAGIC, size, targets, TEXTS, PAGE, PAGE + half, 0, 0, 0), 0)
        os.ftruncate(file, size)
    finally:
        os.close(file)


class Table:
    """The table of the session in directory *session*. Raises OSError."""

    def __init__(self, session: str) -> None:
        self.file = os.open(os.path.join(session, NAME), os.O_RDWR | os.O_CLOEXEC)
        self._targets, _, *self._halves = struct.unpack("<4I", os.pread(self.file, 16, 16))
        self._current = self._number = 0

    def propose(self, library: str, pairs: Mapping[int, Pair]) -> int:
        """Write *library* and the handlers by target as the next change; return its number. Raises Full."""
        self._number += 1
        half = 1 - (self._current & 1)
        names = {"": 0}
        texts = bytearray(b"\0")
        for text in (library, *(name for pair in pairs.values() for name in pair)):
            if text not in names:
                names[text] = len(texts)
                texts += os.fsencode(text) + b"\0"
        if len(texts) > TEXTS or any(target >= self._targets for target in pairs):
            raise Full
        named = bytearray(NAMED.size * self._targets)
        for target, (enter, leave) in pairs.items():
            NAMED.pack_into(named, NAMED.size * target, names[enter], names[leave])
        os.pwrite(self.file, HALF.pack(names[library], 0) + bytes(named) + bytes(texts), self._halves[half])
        self._put(PROPOSED_AT, self._number << 1 | half)
        self._ask()
        return self._number

    def decide(self) -> None:
        """Put what was proposed in force."""
        self._current = int.from_bytes(os.pread(self.file, 8, PROPOSED_AT), "little")
        self._put(CURRENT_AT, self._current)
        self._ask()

    def withdraw(self) -> None:
        """Forget what was proposed: who comes later is not to try it."""
        self._put(PROPOSED_AT, self._current)

    def answers(self) -> list[Answer]:
        """Return what the processes that live have answered."""
        raw = os.pread(self.file, ANSWERS * ANSWER.size, HEAD.size)
        found = [Answer(words) for words in ANSWER.iter_unpack(raw[: len(raw) // ANSWER.size * ANSWER.size])]
        return [one for one in found if one.pid and os.path.exists(f"/proc/{one.pid}")]

    def close(self) -> None:
        os.close(self.file)

    def _put(self, at: int, value: int) -> None:
        os.pwrite(self.file, value.to_bytes(8, "little"), at)

    def _ask(self) -> None:
        asked = int.from_bytes(os.pread(self.file, 4, ASKED_AT), "little")
        os.pwrite(self.file, (asked + 1 & 0xFFFFFFFF).to_bytes(4, "little"), ASKED_AT)
