"""Asking a wc-run to read its config again, and hearing what came of it: wc-ctl's ``reload``.

requests.py is the other side. A request is the signal that a user may send as well; the answer stands in the
session's file ``reloaded``, written when the change is in force in every process, or has been refused. Rules: an
answer counts when it was begun after the question; wc-run may be busy, so that there is a limit to the waiting.

Absent on purpose: what a reload does (reload.py).
"""

from __future__ import annotations

import os
import time

import msgspec
from wc_intercept.generator.errors import UserError

from .signals import calls as signal

ANSWER = "reloaded"
PATIENCE = 30.0
PAUSE = 0.002


class Reloaded(msgspec.Struct, frozen=True):
    """The answer to the requests that had come when it was begun."""

    begun: int
    """CLOCK_MONOTONIC ns."""
    changed: bool
    """Whether what the config asks for is in force, but for what *problems* name."""
    problems: list[tuple[str, str, str, str]] = []
    """what, at, why, try of each."""


def tell(session: str, answer: Reloaded) -> None:
    """In wc-run: leave *answer* for whoever waits."""
    path = os.path.join(session, ANSWER)
    try:
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.json.encode(answer))
        os.rename(f"{path}.new", path)
    except OSError:
        pass  # a full file system: who waits is told so after a while


def reload(session: str, consumer: int, anew: bool = False) -> Reloaded:
    """Have the wc-run *consumer* of *session* read its config again; *anew*: its handler library, too.

    Raises UserError when it does not answer.
    """
    asked = time.monotonic_ns()
    try:
        os.kill(consumer, signal.SIGUSR2 if anew else signal.SIGUSR1)
    except OSError as error:
        raise UserError(f"cannot ask wc-run, process {consumer}: {error.strerror}", session) from error
    while time.monotonic_ns() < asked + PATIENCE * 1e9:
        answer = _read(session)
        if answer is not None and answer.begun >= asked:
            return answer
        if not os.path.exists(os.path.join(session, "control")):
            raise UserError("the session has ended", session)
        time.sleep(PAUSE)
    raise UserError(f"wc-run, process {consumer}, does not answer", session, f"for {PATIENCE:.0f} s: is it stopped?")


def _read(session: str) -> Reloaded | None:
    try:
        with open(os.path.join(session, ANSWER), "rb") as file:
            return msgspec.json.decode(file.read(), type=Reloaded)
    except (OSError, msgspec.MsgspecError):
        return None
