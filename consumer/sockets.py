"""Socket addresses: as strace writes them, and as Python's socket module has them.

strace's way: {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}.

Used by textcells.py for parameters of role sockaddr, whose bytes the record keeps, and by users' handlers. Rules: any
bytes give some text; what is too short for its family is shown as bytes.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache

from .words import escaped


def socket_address(value: object) -> tuple[str, int] | str | None:
    """Return the address that an argument of a call has (connect's addr): (host, port), or the path of a Unix socket.

    *value* is the argument's as jsonl and handlers have it: the bytes of a struct sockaddr as a string. An abstract
    Unix socket begins with a NUL. None for other families, and for what is no address.
    """
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b""
    if len(data) < 2:
        return None
    family = struct.unpack_from("<H", data)[0]
    if family == socket.AF_UNIX:
        path = data[2:] if data[2:3] == b"\0" else data[2:].partition(b"\0")[0]
        return path.decode("utf-8", "surrogateescape")
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntoa(data[4:8]), struct.unpack_from(">H", data, 2)[0]
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(socket.AF_INET6, data[8:24]), struct.unpack_from(">H", data, 2)[0]
    return None


@lru_cache(maxsize=4096)
def address(data: bytes) -> str:
    """Return the socket address in *data* as text."""
    if len(data) < 2:
        return f'"{escaped(data.decode("latin-1"))}"'
    family = struct.unpack_from("<H", data)[0]
    shown = {socket.AF_UNIX: _unix, socket.AF_INET: _inet, socket.AF_INET6: _inet6}.get(family)
    text = shown(data) if shown else None
    if text is None:
        text = f'sa_data="{escaped(data[2:].decode("latin-1"))}"'
    return f"{{sa_family={_family(family)}, {text}}}"


def _family(number: int) -> str:
    try:
        return socket.AddressFamily(number).name
    except ValueError:
        return f"{number:#x}"


def _unix(data: bytes) -> str:
    path = data[2:].decode("latin-1")
    if path.startswith("\0"):
        return f'sun_path=@"{escaped(path[1:])}"'
    return f'sun_path="{escaped(path.partition(chr(0))[0])}"'


def _inet(data: bytes) -> str | None:
    if len(data) < 8:
        return None
    port = struct.unpack_from(">H", data, 2)[0]
    return f'sin_port=htons({port}), sin_addr=inet_addr("{socket.inet_ntoa(data[4:8])}")'


def _inet6(data: bytes) -> str | None:
    if len(data) < 28:
        return None
    port, flow, scope = struct.unpack_from(">HI16xI", data, 2)
    where = socket.inet_ntop(socket.AF_INET6, data[8:24])
    return (f'sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), '
            f'inet_pton(AF_INET6, "{where}", &sin6_addr), sin6_scope_id={scope}')  # fmt: skip
