"""Run time: launches programs, drains their rings, decodes, renders, controls.

``from wc_intercept.consumer import on, decide`` is for the files of ``wc-run --handlers``: looked up when asked for,
because everything that wc-run starts with is paid for by the program.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handlers import decide, on

__all__ = ["decide", "on"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from . import handlers

        return getattr(handlers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
