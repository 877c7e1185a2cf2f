"""The spool of the process that runs Python handlers: chunks on their way from the drain to @on.

Used by live.py. As spool.py, but for the other side: it is there from the start (aside.py), and its bell is the line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .accounting import Account
from .aside import Aside
from .chunk import Chunk
from .life import Life
from .log import Log
from .session import SessionDirectory
from .spool import Spool

if TYPE_CHECKING:
    from .attached import Attached


class Feed(Spool):
    """Feeds *aside* as long as that lives and wants calls."""

    def __init__(self, aside: Aside, session: SessionDirectory) -> None:
        self._aside, self._session = aside, session
        self._begin(aside.spool, session.beat, aside.let_go)
        self.formatter, self._bell = aside.pid, aside.line.fileno()
        os.set_blocking(self._bell, False)

    def take(self, chunks: Sequence[Chunk]) -> None:
        if self._aside.wants_calls and not self._aside.ended:
            super().take(chunks)

    def look(self, log: Log, ending: bool = False) -> None:
        """Say so if the other side has ended before its time."""
        how = self._aside.look()
        if how and not ending:
            self._session.nobody_decides()
        if how and not (ending and how == "with status 0"):
            log.warn(f"the process of the handlers ended {how}: no handler runs any more", self._aside.path)

    def end(self, account: Account, life: Life | Attached, log: Log) -> None:
        """Wait until handlers have had all calls, or until somebody does not want to wait (^C, SIGTERM)."""
        if not self._aside.ended:
            self.finish(account.inside)
        while not self._aside.ended:
            if life.hurried:
                self._aside.kill()
            life.wait(0.005)
            self.look(log, ending=True)

    def _hang_up(self) -> None:
        self._aside.hang_up()
