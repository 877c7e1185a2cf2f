"""Rendering: lines per second of decoding, joining and formatting, on one core, for calls like a busy program's.

The records are made up here, cell by cell (tests/record_builder.py); what the runtime and the rings cost is measured
elsewhere. A line is what ``wc-run`` would write for one call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from record_builder import PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.decode import Batch, Decoder
from wc_intercept.consumer.jsonl import JsonLines
from wc_intercept.consumer.summary import Summary
from wc_intercept.consumer.text import TextLines
from wc_intercept.generator.manifest import Element, Field, Manifest, Names, Return

from .bench import Figure, Workshop, interleave

CHUNK = 16_384
AIMS = {"jsonl": "0.5", "text": "0.3"}
FLAGS = Names("flags", [("O_RDONLY", 0, 3), ("O_WRONLY", 1, 3), ("O_RDWR", 2, 3), ("O_CREAT", 0o100, 0),
                        ("O_CLOEXEC", 0o2000000, 0)])  # fmt: skip
STAT = [Field(name, "uint", 8 * i, 8) for i, name in enumerate(("st_dev", "st_ino", "st_nlink", "st_size", "a", "b"))]


def manifest() -> Manifest:
    """Return three functions: numbers only, a path and flags, a struct."""
    fd, dirfd = Field("fd", "int", 0, 4, role="fd"), Field("dirfd", "int", 0, 4, role="dirfd")
    buf, count = Field("buf", "pointer", 0, 8), Field("count", "uint", 0, 8)
    pathname = Field("pathname", "pointer", 0, 8, content="text")
    flags, mode = Field("flags", "int", 0, 4, role="flags", names="open"), Field("mode", "uint", 0, 4, role="mode")
    element = Element("struct", 48, struct="stat")
    statbuf = Field("statbuf", "pointer", 0, 8, content="values", element=element)
    opened = Return("int", 4, "fd", fail="-1")
    return manifest_of(
        symbol_of("read", fd, buf, count, result=Return("int", 8, fail="-1")),
        symbol_of("openat", dirfd, pathname, flags, mode, result=opened, wrapper="mode-if-flag"),
        symbol_of("fstat", fd, statbuf, result=Return("int", 4, fail="-1")),
        names={"open": FLAGS},
        structs={"stat": STAT},
    )


def chunks(what: Manifest, records: int) -> dict[str, list[Chunk]]:
    """Return chunks of each function alone, and of all mixed."""
    def add(recorder: Recorder, name: str, i: int) -> None:
        if name == "read":
            recorder.call("read", i & 15, 0x7F0000000000 + i, 4096, ret=i & 4095, clock=1_700_000_000_000_000_000 + i)
        elif name == "openat":
            recorder.call("openat", -100, f"/usr/lib/python3/{i & 1023}.py", 0o2000000, 0, ret=-(i & 1), error=2)
        else:
            recorder.call("fstat", 3, bytes(range(48)), ret=0)

    made: dict[str, list[Chunk]] = {}
    for label, names in (("read", ["read"]), ("openat", ["openat"]), ("fstat", ["fstat"]),
                         ("mixed", ["read", "openat", "read", "fstat"])):  # fmt: skip
        recorder = Recorder(what)
        made[label] = []
        for i in range(records):
            add(recorder, names[i % len(names)], i)
            if (i + 1) % CHUNK == 0 or i + 1 == records:
                made[label].append(recorder.chunk())
    return made


def run(shop: Workshop) -> list[Figure]:
    records = 16_384 if shop.quick else 65_536
    what = manifest()
    made = chunks(what, records)
    decoder = Decoder(what, PlainClock())
    renderers: dict[str, Callable[[list[Batch]], object]] = {
        "jsonl": JsonLines().render,
        "text": TextLines(what).render,
        "text -y": TextLines(what, paths=True).render,
        "summary": Summary().add,
    }
    cases = {
        f"{name}, {label}": _case(decoder, render, made[label]) for name, render in renderers.items() for label in made
    }
    interleave(cases, 1)  # what remembers words and layouts has them now
    spent = interleave(cases, shop.rounds(5))
    return [Figure("render", name, records / seconds / 1e6, "M lines/s", AIMS.get(name.partition(",")[0], ""))
            for name, seconds in spent.items()]  # fmt: skip


def _case(decoder: Decoder, render: Callable[[list[Batch]], object], made: list[Chunk]) -> Callable[[], float]:
    def work() -> float:
        joiner = Joiner()
        start = time.perf_counter()
        for chunk in made:
            render(joiner.join(decoder.decode(chunk)))
        return time.perf_counter() - start

    return work
