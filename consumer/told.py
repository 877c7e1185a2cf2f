"""The account told in words: one line when all is well, the losses with their reasons when it is not.

Called by wc-run and wc-report on loss, with --summary and with -v. Rules: numbers are the identity's own
(accounting.py), per target only where something is missing; nothing printed here looks like a call.
"""

from __future__ import annotations

from typing import TextIO

from .accounting import Account, Line

PARTS = ("recorded", "sampled", "filtered", "suppressed", "lost", "torn", "unfinished", "abandoned", "overwritten",
         "missing")  # fmt: skip
WORDS = {"sampled": "sampled out", "filtered": "filtered out"}
TROUBLE = ("lost", "torn", "missing", "overwritten")
MOST_TARGETS = 10
"""Targets that are named one by one."""


def print_accounting(account: Account, stream: TextIO, tool: str = "wc-run") -> None:
    """Print the identity over all targets, then what was lost where and why."""
    for line in accounting_lines(account):
        stream.write(f"{tool}: {line}\n")
    stream.flush()


def accounting_lines(account: Account) -> list[str]:
    """Return the lines of ``print_accounting`` without the tool's name."""
    lines = [_identity("", account.lines)]
    troubled = [line for line in account.lines if any(getattr(line, part) for part in TROUBLE)]
    troubled.sort(key=lambda line: -sum(getattr(line, part) for part in TROUBLE))
    lines += [_identity(f"{line.name}: ", [line]) for line in troubled[:MOST_TARGETS]] if len(account.lines) > 1 else []
    if len(troubled) > MOST_TARGETS:
        lines.append(f"{len(troubled) - MOST_TARGETS} more targets lost calls")
    if account.losses:
        lines.append("lost because: " + ", ".join(f"{reason} {count:,}" for reason, count in account.losses.items()))
    if account.corrupt:
        lines.append(f"{account.corrupt:,} records were corrupt")
    if account.no_segment:
        lines.append(f"{account.no_segment:,} programs ran unrecorded: no room for a segment")
    lines += [f"{name} was not read: {reason}" for name, reason in account.refused.items()]
    return lines


def _identity(name: str, lines: list[Line]) -> str:
    calls = sum(line.calls for line in lines)
    sums = {part: sum(getattr(line, part) for line in lines) for part in PARTS}
    told = [f"{value:,} {WORDS.get(part, part)}" for part, value in sums.items() if value or part == "recorded"]
    return f"{name}{calls:,} calls = {' + '.join(told)}"
