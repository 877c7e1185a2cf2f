"""The system's signal calls without the enums of module ``signal``, which take 3 ms that the program would wait for.

Used by what runs before and around the program's start. Absent on purpose: handlers; life.py takes signals one by one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as calls
else:
    import _signal as calls

__all__ = ["calls"]
