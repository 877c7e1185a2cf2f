"""Addresses of sockets, for handlers."""

from __future__ import annotations

import os
import socket
import struct

import pytest
from wc_intercept.consumer import socket_address

INET = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 443) + socket.inet_aton("192.0.2.7") + bytes(8)
INET6 = struct.pack("<H", socket.AF_INET6) + struct.pack(">HI", 8080, 0) + socket.inet_pton(socket.AF_INET6, "2001:db8::fe") + bytes(4)


@pytest.mark.parametrize(("data", "address"), [
    (INET, ("192.0.2.7", 443)),
    (INET[:8], ("192.0.2.7", 443)),
    (INET6, ("2001:db8::fe", 8080)),
    (b"\1\0/run/a\xff\0rest", "/run/a\udcff"),
    (b"\1\0\0abstract", "\0abstract"),
    (b"\1\0", ""),
    (INET[:7], None), (INET6[:20], None), (b"\x10\0\0\0", None), (b"\2", None), (b"", None),
])  # fmt: skip
def test_an_address_is_what_python_has_for_it(data: bytes, address: object) -> None:
    assert address == socket_address(os.fsdecode(data))


@pytest.mark.parametrize("value", [None, 0, 140737488347136])
def test_what_was_not_kept_is_no_address(value: object) -> None:
    assert socket_address(value) is None
