"""Numbers that mean something only beside another argument: a socket's options, what fcntl sets.

Used by text.py. Rules: found by the set of names that the other argument has, so in whatever function it stands; a
number without a name stays one. jsonl gives the numbers.

Absent on purpose: structs that such words point to (ioctl's, fcntl's locks).
"""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Callable, Mapping

from .decode import Batch
from .members import OPEN_FLAGS
from .words import Words

_PREFIXES = {
    getattr(socket, level): prefix
    for level, prefix in (
        ("SOL_SOCKET", "SO_"),
        ("IPPROTO_IP", "IP_"),
        ("IPPROTO_IPV6", "IPV6_"),
        ("IPPROTO_TCP", "TCP_"),
    )
}
_MISNAMED = ("IP_DEFAULT_", "IP_MAX_", "IPV6_RTHDR_TYPE", "SO_J1939_", "SO_VM_SOCKETS_")
"""Constants of the socket module that begin as an option does and are none."""


def _options(prefix: str) -> dict[int, str]:
    names = sorted(name for name in vars(socket) if name.startswith(prefix) and not name.startswith(_MISNAMED))
    return {int(getattr(socket, name)): name for name in reversed(names)}


OPTIONS: Mapping[int, Mapping[int, str]] = {level: _options(prefix) for level, prefix in _PREFIXES.items()}
"""Level -> number -> name."""


def _option(level: int, option: int) -> str | int:
    return OPTIONS.get(level, {}).get(option, option)


_DESCRIPTOR_FLAGS = Words(lambda flags: "FD_CLOEXEC" if flags == fcntl.FD_CLOEXEC else str(flags))


def _argument(command: int, argument: int) -> str | int | None:
    if command == fcntl.F_SETFD:
        return _DESCRIPTOR_FLAGS[argument]
    return OPEN_FLAGS[argument & 0xFFFFFFFF] if command == fcntl.F_SETFL else None


_KNOWN: dict[tuple[str, str], Callable[[int, int], str | int | None]] = {
    ("sockopt_level", "optname"): _option,
    ("fcntl", "arg"): _argument,
}
"""(set of names of the argument before, name of this one) -> the word for both numbers; None: as usual."""


def word_of(batch: Batch, i: int) -> list[str | int | None] | None:
    """Return what argument *i* of each call reads as beside the one before it; None when that tells nothing."""
    parameters = batch.layout.parameters
    known = _KNOWN.get((parameters[i - 1].field.names, parameters[i].name)) if i else None
    if known is None or not parameters[i - 1].scalar or not parameters[i].scalar:
        return None
    before, own = (batch.rows.data[parameters[at].scalar].tolist() for at in (i - 1, i))
    return [known(a, b) for a, b in zip(before, own, strict=True)]
