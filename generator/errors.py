"""What went wrong, said to the user: one class for errors, one for warnings, one place that prints them.

Raised anywhere in the generator and the consumer; printed by the entry points of wc-gen, wc-run and wc-report through
``report``, and by nobody else. Rules: *what* says what happened, ``at`` where (path as given:line:column), ``why`` the
value found and the value needed, ``try_`` the exact command or spelling. Our own bugs are not UserErrors but for
``our_bug``: they keep their traceback.

Absent on purpose: exit statuses (the entry points know theirs) and colours.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs wc-run 10 ms before its program starts
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


class UserError(Exception):
    """Something that the user can do something about."""

    level = "error"

    def __init__(self, what: str, at: str = "", why: str = "", try_: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.at = at
        self.why = why
        self.try_ = try_

    def __str__(self) -> str:
        return f"{self.at}: {self.what}" if self.at else self.what


class UserWarning_(UserError):  # noqa: N801 - UserWarning is a builtin
    """The same for what does not stop the work. Reported where it is found; raised only by --strict modes."""

    level = "warning"


def report(tool: str, error: UserError, stream: TextIO) -> None:
    """Print *error* for *tool* on *stream*: one line of what, then at, why and try where there is one."""
    stream.write(text(tool, error))
    stream.flush()


def text(tool: str, error: UserError) -> str:
    """Return what ``report`` prints, with its newline."""
    lines = [f"{tool}: {error.level}: {error.what}"]
    for label, value in (("at", error.at), ("why", error.why), ("try", error.try_)):
        if value:
            lines.append(f"  {label + ':':<6}" + value.replace("\n", "\n        "))
    return "\n".join(lines) + "\n"


def our_bug(what: str, at: str = "", why: str = "") -> UserError:
    """Return the error for what should never happen and is not the user's fault."""
    return UserError(what, at, why, "this is a bug of wc-intercept: please report it with your config")


def nearest(word: str, choices: Iterable[str], most: int = 3) -> list[str]:
    """Return up to *most* of *choices* that *word* may have meant, the best first; equal ones by name."""
    import difflib  # only errors need it

    lowered = {choice.lower(): choice for choice in sorted(choices, reverse=True)}
    close = difflib.get_close_matches(word.lower(), lowered, n=most, cutoff=0.6)
    return [lowered[found] for found in close]
