"""The data of annotations.py, a file per subject; notation: see there. Python, so that it is packaged as it is."""

from . import (
    alloc,
    descriptors,
    files,
    maths,
    memory,
    network,
    process,
    signals,
    stdio,
    strings,
    system,
    threads,
    times,
)

SUBJECTS = (
    files, descriptors, stdio, alloc, strings, memory, process, signals, times, network, threads, system, maths
)  # fmt: skip
TEXTS = tuple(subject.TEXT for subject in SUBJECTS)
