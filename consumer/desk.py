"""What is asked of a running wc-run from outside (wc-ctl's add and drop): a socket in the session directory.

``Desk`` is wc-run's side, looked at in its loop; ``ask`` is the other. A question is one packet of JSON, so is its
answer. Rules: who may enter the session directory (its owner, root) may ask; nothing here waits for whoever asks; a
question whose asker has gone is answered all the same, to nobody.

Absent on purpose: what is done with a question (grow.py).
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

import msgspec
from wc_intercept.generator.errors import UserError

NAME = "ask"
MOST_BYTES = 1 << 17
MOST_WAITING = 64
PATIENCE_S = 60.0
STARTS_S = 2.0
"""Within so many seconds of its session's making, a wc-run listens."""
ENDED = "the session has no wc-run that could"


class Question(msgspec.Struct, frozen=True):
    """*what*: "add" or "drop"."""

    what: str
    targets: list[str]


class Answer(msgspec.Struct, frozen=True):
    """The names of the targets that were meant, with what there is to know; or the fields of a UserError."""

    targets: list[str] = []
    notes: list[str] = []
    error: tuple[str, str, str, str] | None = None


class Desk:
    """Where questions arrive for the session in the directory *path*."""

    def __init__(self, path: str) -> None:
        """Where that cannot be (a full file system, a directory that was deleted), nobody can ask."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        with suppress(OSError):
            with _Reached(path) as name:
                self._socket.bind(name)
            self._socket.listen(MOST_WAITING)
        self._waiting: list[socket.socket] = []

    def take(self) -> tuple[Question, socket.socket] | None:
        """Return a question that has come, and whom to answer."""
        with suppress(OSError):  # nobody is there, or nobody can be
            while len(self._waiting) < MOST_WAITING:
                asker, _ = self._socket.accept()
                asker.setblocking(False)
                self._waiting.append(asker)
        for asker in list(self._waiting):
            with suppress(BlockingIOError):
                self._waiting.remove(asker)
                try:
                    return msgspec.json.decode(asker.recv(MOST_BYTES), type=Question), asker
                except BlockingIOError:
                    self._waiting.append(asker)
                    raise
                except (OSError, msgspec.MsgspecError):
                    asker.close()  # gone, or not one of us
        return None

    def close(self) -> None:
        for one in (self._socket, *self._waiting):
            one.close()


def answer(asker: socket.socket, said: Answer) -> None:
    with suppress(OSError):
        asker.send(msgspec.json.encode(said))
    asker.close()


def ask(path: str, question: Question) -> Answer:
    """Ask the wc-run of the session in the directory *path*. Raises UserError, its own ones too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(PATIENCE_S)
        try:
            _connect(line, path)
            line.send(msgspec.json.encode(question))
            said = msgspec.json.decode(line.recv(MOST_BYTES) or b"null", type=Answer | None)
        except (OSError, msgspec.MsgspecError) as error:
            why = "it has ended, or is a Session of the Python API" if isinstance(error, OSError) else str(error)
            raise UserError(f"{ENDED} {question.what} targets", path, why) from None
    if said is None:
        raise UserError(f"{ENDED} {question.what} targets", path, "it ended before it answered")
    if said.error is not None:
        raise UserError(*said.error)
    return said


def _connect(line: socket.socket, path: str) -> None:
    """Connect, as soon as a wc-run that has just begun listens. Raises OSError."""
    end = time.monotonic() + STARTS_S
    while True:
        try:
            with _Reached(path) as name:
                return line.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


class _Reached:
    """The socket's name by way of a descriptor of the directory: a socket's own path has 107 bytes at most."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> str:
        self._folder = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{NAME}"

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)
