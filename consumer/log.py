"""What wc-run says about itself: warnings on standard error, and the log that the config's logger_path names.

Called by run.py and live.py. Rules: a line is one write, so that several runs may append to one log; a message can
always be lost and never stops anything (standard error may be closed, the disk full). The accounting line, coverage
and warnings never contain a call's ``name(``: scripts grep for that.
"""

from __future__ import annotations

import os
import time

from wc_intercept.generator.errors import UserError, UserWarning_, text

TOOL = "wc-run"


class Log:
    """*path* of the log, relative to the working directory, or "" for none; *verbose*: notes on standard error too."""

    def __init__(self, path: str, verbose: bool) -> None:
        self.verbose = verbose
        self._file = -1
        if path:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            except OSError as error:
                why = "it is the config's logger_path"
                raise UserError(f"cannot open the log: {error.strerror}", path, why) from None

    def note(self, message: str) -> None:
        """Start, stop, changes: to the log, and to standard error with -v."""
        self._append(message)
        if self.verbose:
            say(f"{TOOL}: {message}\n")

    def line(self, message: str) -> None:
        """What the user is to see in any case, and what the log keeps."""
        self._append(message)
        say(f"{TOOL}: {message}\n")

    def warn(self, what: str, at: str = "", why: str = "", try_: str = "") -> None:
        self._append(f"warning: {what}" + (f" ({why})" if why else ""))
        say(text(TOOL, UserWarning_(what, at, why, try_)))

    def fail(self, error: UserError) -> None:
        self._append(f"error: {error}")
        say(text(TOOL, error))

    def _append(self, message: str) -> None:
        if self._file < 0:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        try:
            os.write(self._file, f"{stamp} {TOOL}[{os.getpid()}] {message}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            pass


def say(message: str) -> None:
    """Write *message* to standard error, if anybody listens."""
    try:
        os.write(2, message.encode("utf-8", "surrogateescape"))
    except OSError:
        pass
