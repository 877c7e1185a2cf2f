"""A UserError that knows wc-run's exit status: why a program was not started.

Raised by options.py, program.py and launch.py; printed by run.py, which exits with *status*.
"""

from __future__ import annotations

from wc_intercept.generator.errors import UserError

OWN_ERROR = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Refusal(UserError):
    """*status* is wc-run's exit status."""

    def __init__(self, what: str, at: str = "", why: str = "", try_: str = "", status: int = OWN_ERROR) -> None:
        super().__init__(what, at, why, try_)
        self.status = status
