"""What a shim asks of its session, read from the end of its manifest without decoding the rest.

Called by run.py before the program starts: msgspec costs 30 ms, and the manifest of all of libc has megabytes. Rules:
the JSON is ``manifest.encode``'s own (fields in the order of their definition, defaults left out, so that these stand
at its end); inside a JSON string a quote is always escaped, so that what looks like a key is one.

Absent on purpose: everything else in the manifest (generator/manifest.py decodes it, later).
"""

from __future__ import annotations


class Settings:
    """The manifest's last fields, with their defaults."""

    def __init__(self) -> None:
        self.handlers = ""
        self.preload = ""
        self.logger = ""
        self.ring_size = 1 << 20
        self.on_full = "block"
        self.block_ms = 100
        self.string_limit = 64
        self.abi = 1


def read(json: bytes) -> Settings:
    """Return the settings in the manifest *json*."""
    settings = Settings()
    rest = json.rstrip()[:-1]
    while True:
        rest, name, value = _last(rest)
        if name not in vars(settings):
            return settings
        setattr(settings, name, value)
        rest = rest.rstrip(b",")


def _last(text: bytes) -> tuple[bytes, str, str | int]:
    """Split ``...,"name":value`` from the end of *text*; an empty name when the last value is no number or string."""
    if text.endswith(b'"'):
        start = _opening_quote(text, len(text) - 1)
        value: str | int = _unescape(text[start + 1 : -1])
    else:
        start = len(text.rstrip(b"0123456789"))
        value = int(text[start:] or b"0")
    if start < 0 or start == len(text) or text[start - 2 : start] != b'":':
        return text, "", ""
    quote = _opening_quote(text, start - 2)
    return text[:quote], text[quote + 1 : start - 2].decode("ascii", "replace"), value


def _opening_quote(text: bytes, closing: int) -> int:
    """Return where the string begins whose closing quote is at *closing*."""
    at = text.rfind(b'"', 0, closing)
    while at > 0 and _backslashes(text[max(0, at - 4096) : at]) % 2:
        at = text.rfind(b'"', 0, at)
    return at


def _backslashes(text: bytes) -> int:
    return len(text) - len(text.rstrip(b"\\"))


def _unescape(text: bytes) -> str:
    if b"\\" not in text:
        return text.decode("utf-8", "replace")
    import json  # only strange paths need it

    return str(json.loads(b'"' + text + b'"'))
