"""Times as people write them: "10us" is 10,000 nanoseconds.

Used by the config (min_duration) and by wc-ctl. Absent on purpose: clocks and ticks (consumer/clock.py).
"""

from __future__ import annotations

import re

DURATION_TEXT = r"[0-9]+(\.[0-9]+)? ?(ns|us|ms|s)"
NS_MOST = (1 << 62) - 1
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def duration_ns(text: str) -> int | None:
    """Return "1.5ms" in nanoseconds, "0" as 0; None for what is no time, or a longer one than 146 years."""
    if text == "0":
        return 0
    if not text.isascii() or not re.fullmatch(DURATION_TEXT, text):
        return None
    number = text.rstrip("nums ")
    whole, _, part = number.partition(".")
    unit = _UNITS[text[len(number) :].strip()]
    total = int(whole) * unit + (int(part) * unit // 10 ** len(part) if part else 0)
    return total if total <= NS_MOST else None


def duration_text(ns: int) -> str:
    """Return 10000 as "10us": in the largest unit that takes no decimals."""
    for unit in ("s", "ms", "us"):
        if ns and ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns}ns"
