"""slow_io.py: what a program waited for, by file: handlers for wc-run that print a table when the program has ended.

wc-run -c config.json --handlers slow_io.py -o calls.txt PROGRAM
"""

import atexit
import sys
from collections import defaultdict

from wc_intercept.consumer import on

SLOW = 10_000_000  # ns: a call that took less is none to worry about
STANDARD = {0: "standard input", 1: "standard output", 2: "standard error"}

kept = []


@on()
def call_has_ended(event):
    if event.func.startswith(("open", "dup")) or (event.duration or 0) >= SLOW:
        kept.append(event)


def file_of(event, files):
    """Return what the call was about, and note what its descriptor stands for from now on."""
    process = files.setdefault(event.pid, dict(STANDARD))
    number = event.args.get("fd", event.args.get("sockfd", event.args.get("oldfd")))
    name = event.args.get("pathname") or process.get(number, f"descriptor {number}")
    if event.func.startswith(("open", "dup")):
        process[event.ret] = name
    return name


@atexit.register
def report():
    waits, files = defaultdict(list), {}
    for event in sorted(kept, key=lambda event: event.time):  # threads may open for each other
        name = file_of(event, files)
        if event.duration >= SLOW:
            waits[event.func, name].append(event.duration / 1e9)
    print(f"{'waited':>10}{'calls':>8}{'slowest':>11}  for", file=sys.stderr)
    for (func, name), times in sorted(waits.items(), key=lambda item: -sum(item[1])):
        print(f"{sum(times):8.3f} s{len(times):8}{max(times):9.3f} s  {func} {name}", file=sys.stderr)
