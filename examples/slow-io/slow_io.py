"""slow_io.py: what a program waits for, by file: run it and print who cost most time.

    python3 slow_io.py PROGRAM [ARGUMENT...]
"""

import sys
from collections import defaultdict
from pathlib import Path

from wc_intercept.consumer.api import Session

SLOW = 10_000_000  # ns: a call that took less is none to worry about
STANDARD = {0: "standard input", 1: "standard output", 2: "standard error"}


def file_of(event, files):
    """Return what the call was about, and note what the next ones will need."""
    args = event["args"]
    process = files.setdefault(event["pid"], dict(STANDARD))
    if "pathname" in args:
        process[event["ret"]] = args["pathname"]
        return args["pathname"]
    descriptor = args.get("fd", args.get("sockfd", args.get("oldfd")))
    name = process.get(descriptor, f"descriptor {descriptor}" if descriptor is not None else "several")
    if "oldfd" in args:
        process[event["ret"]] = name
    return name


def main(*program):
    waits, files = defaultdict(list), {}
    config = Path(__file__).parent / "config.json"
    with Session(*program, config=config) as session:
        for event in sorted(session.events(), key=lambda event: event["time"]):
            name = file_of(event, files)
            if (event["duration"] or 0) >= SLOW:
                waits[event["func"], name].append(event["duration"] / 1e9)
    print(f"{'waited':>10}{'calls':>8}{'slowest':>11}  for")
    for (func, name), times in sorted(waits.items(), key=lambda item: -sum(item[1])):
        print(f"{sum(times):8.3f} s{len(times):8}{max(times):9.3f} s  {func} {name}")
    return session.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
