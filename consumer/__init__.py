"""Run time: launches programs, drains their rings, decodes, renders, controls.

``from wc_intercept.consumer import on, decide, socket_address`` is for the files of ``wc-run --handlers``:
looked up when asked for, because everything that wc-run starts with is paid for by the program.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handlers import decide, on
    from .sockets import socket_address

__all__ = ["decide", "on", "socket_address"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from . import handlers, sockets

        return getattr(sockets if name == "socket_address" else handlers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
