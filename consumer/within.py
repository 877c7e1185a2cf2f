"""What every thread of a session is inside of now: the in-flight stacks of its rings, read while their programs run.

Used by wc-ctl's show and the Python API. Rules: nothing is changed, and nothing is believed beyond what it says: a
stack that is being written to may show a call that has just ended.

Absent on purpose: calls that are over (drain.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
from wc_intercept.generator.manifest import Manifest

from . import abi
from . import abi_fields as fields
from .clock import Clock
from .machine import Native
from .ring import thread_is_dead
from .segment import NotReady, Refused, Segment


class Within(msgspec.Struct, frozen=True):
    """A call that a thread is inside of."""

    pid: int
    tid: int
    func: str
    seconds: float | None
    """Since it began; None when the target records no time."""
    argument: int
    """The first one, as 64 bits."""


def inside(path: str, manifest: Manifest, control: Mapping[str, int]) -> list[Within]:
    """Return the calls of all threads of the session in directory *path*, each thread's outermost first.

    *control*: the fields of its control file's head.
    """
    clock: Clock | None = None
    found: list[Within] = []
    for segment in _segments(path, control):
        clock = clock or Clock(control["clock"], Native())
        for index in range(segment.rings_used()):
            found += _of_ring(segment, index, manifest, clock)
        segment.close()
    return sorted(found, key=lambda call: (call.pid, call.tid))


def _segments(path: str, control: Mapping[str, int]) -> Iterator[Segment]:
    for name in sorted(os.listdir(path)):
        if name.startswith("seg-"):
            try:
                yield Segment(
                    os.path.join(path, name), 0, control["manifest"], control["targets"], control["room"]
                )
            except (NotReady, Refused, OSError):
                continue


def _of_ring(segment: Segment, index: int, manifest: Manifest, clock: Clock) -> Iterator[Within]:
    header = segment.ring_offset(index)
    pid, tid, depth = (_word(segment, header, name) for name in ("owner_pid", "owner_tid", "depth"))
    if pid == 0 or depth == 0 or thread_is_dead(pid, tid):
        return
    stack = segment.read_array(header + fields.RING.offset("inside"), abi.INSIDE, min(depth, abi.INFLIGHT))
    times = clock.to_epoch_ns(np.ascontiguousarray(stack["clock"], np.uint64))
    now = time.time_ns()
    for call, begun in zip(stack, times.tolist(), strict=True):
        symbol = int(call["symbol"])
        if symbol < len(manifest.symbols):
            name = manifest.targets[manifest.symbols[symbol].target].name
            seconds = max(now - begun, 0) / 1e9 if call["clock"] else None
            yield Within(pid, tid, name, seconds, int(call["argument"]))


def _word(segment: Segment, header: int, name: str) -> int:
    return int(segment.read_array(header + fields.RING.offset(name), np.dtype("<u4"), 1)[0])
