"""The tracer's records: what its writer leaves in a segment reads as what a shim leaves there.

tests/c/records_driver.c makes calls through the tracer's record files, of itself or of a child that it traces; plans are
made here by hand, field by field, so that every way for a value to travel is tried; records are read back with the
consumer. Rule: the consumer is told nothing of who wrote them.

Absent on purpose: the tracer's loop (test_tracer_loop.py), breakpoints (test_tracer_breaks.py), the generator's plans
(test_tracer_plan.py).
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from record_builder import PlainClock, symbol_of
from wc_intercept import runtime
from wc_intercept.consumer import abi
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer.accounting import Account, Line
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.drain import Drain
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.consumer.shim import ManifestHead
from wc_intercept.consumer.values import Event, events
from wc_intercept.generator.manifest import Element, Field, Manifest, Platform, Return, Symbol, Target, encode
from wc_intercept.generator.tracer_plan import ARGUMENT, HEAD, MAGIC, OPERATIONS, STEP, SYMBOL, TARGET, VERSION

SECONDS = 60.0
HASH = 0x7265636F7264
RUNTIME = Path(next(iter(runtime.__path__)))
SOURCES = [
    RUNTIME / "tracer" / f"wct_{name}.c"
    for name in "plan segment ring call value capture kept length variadic memory".split()
]
NONE, SIGNED, UNSIGNED, BOOL, FLOAT, LONG_DOUBLE, STRUCT, COMPLEX = range(8)
REGISTER, VECTOR, STACK, RESULT, VARIADIC = range(5)
TEXT, BYTES, TEXTS, ITEMS = range(1, 5)
ENTRY, SUCCESS, RETURN, BOTH = range(4)
NORETURN, PRINTF, SCANF, VA_LIST = 1, 16, 32, 64
CONTENTS = {TEXT: "text", BYTES: "bytes", TEXTS: "texts", ITEMS: "varargs"}
TYPES = {SIGNED: "int", UNSIGNED: "uint", BOOL: "bool", FLOAT: "float", LONG_DOUBLE: "longdouble", STRUCT: "struct",
         COMPLEX: "complex"}  # fmt: skip
PAIR = [Field("first", "int", 0, 8), Field("second", "int", 8, 8)]
STRUCTS = {
    "pair": PAIR,
    "triple": [*PAIR, Field("third", "int", 16, 8)],
    "point": [Field("x", "float", 0, 8), Field("y", "float", 8, 8)],
}
Program = Sequence[tuple[str, int, int]]


@dataclass
class Argument:
    """One argument: how it is called, how it travels, and what is kept behind it."""

    name: str
    type: int = SIGNED
    size: int = 4
    place: int = 0
    where: int = REGISTER
    words: int = 1
    content: int = 0
    when: int = ENTRY
    limit: int = 0
    length: Program = ()
    condition: Program = ()
    indirect: int = 0
    struct: str = ""

    def field(self) -> Field:
        kind = "pointer" if self.content and self.type == UNSIGNED else TYPES.get(self.type, "none")
        size = self.size if self.where <= STACK else 0
        return Field(self.name, kind if size else "none", 0, size, content=CONTENTS.get(self.content, ""),
                     struct=self.struct)  # fmt: skip


@dataclass
class Traced:
    """One symbol and its target."""

    name: str
    arguments: list[Argument] = field(default_factory=list)
    number: int = -1
    result: tuple[int, int] = (SIGNED, 4)
    fail: int = 0
    flags: int = 0
    format: int = 0
    record: str = "exit"
    clock: str = "two"
    word: int = fields.WORD_ON
    caller: bool = False
    struct: str = ""

    def symbol(self) -> Symbol:
        kind, size = self.result
        wide = kind in (LONG_DOUBLE, STRUCT, COMPLEX)
        declared = [argument.field() for argument in self.arguments]
        extra = [Field("\0result", "raw", 0, size)] * wide + [Field("\0caller", "uint", 0, 8)] * self.caller
        laid = symbol_of(self.name, *declared, *extra)
        parts = {one.name: one for one in laid.fields}
        name = "float" if kind == FLOAT else TYPES.get(kind, "none")
        rule = {1: "-1", 2: "NULL", 3: "<0"}.get(self.fail, "")
        returned = next((one for one in laid.fields if one.name == "ret"), None)
        return msgspec.structs.replace(
            laid, fields=[one for one in laid.fields if one.name[0] != "\0" and one is not returned],
            result=Return(name, 8 if kind == FLOAT else size, fail=rule, struct=self.struct,
                          offset=parts["\0result"].offset if wide else 0, blob=returned.blob if returned else 0),
            caller=parts["\0caller"].offset if self.caller else 0, engine="ptrace", returns=not self.flags & NORETURN,
            library="" if self.number >= 0 else "libc.so.6",
        )  # fmt: skip


def pointer(name: str, place: int, content: int, **more: Any) -> Argument:
    return Argument(name, UNSIGNED, 8, place, content=content, **more)


def word(name: str, place: int, **more: Any) -> Argument:
    return Argument(name, UNSIGNED, 8, place, **more)


RET = [("result_value", 0, 0)]
SHORTER = [("result_value", 0, 0), ("value", 0, 2), ("minimum", 0, 0)]
MODE_GIVEN = [("value", 0, 1), ("constant", 0, 0o100), ("and", 0, 0)]
ALL = [
    Traced("open", [pointer("pathname", 0, TEXT, limit=4096), Argument("flags", place=1),
                    Argument("mode", UNSIGNED, place=2, condition=MODE_GIVEN)], number=2, result=(SIGNED, 8)),
    Traced("read", [Argument("fd"), pointer("buf", 1, BYTES, when=SUCCESS, length=RET), word("count", 2)], number=0,
           result=(SIGNED, 8)),
    Traced("strings", [pointer("a", 0, TEXT), pointer("b", 1, TEXT, when=RETURN), pointer("c", 2, TEXT)]),
    Traced("within", [pointer("text", 0, TEXT, length=[("value", 0, 1)]), word("size", 1)]),
    Traced("recvfrom", [
        Argument("fd"), pointer("buf", 1, BYTES, when=SUCCESS, length=SHORTER), word("size", 2),
        pointer("addr", 3, BYTES, when=SUCCESS, length=[("behind", 4, 4)], limit=128), word("addrlen", 4),
    ], fail=1),
    Traced("getline", [pointer("line", 0, TEXT, when=SUCCESS, indirect=1)], fail=1),
    Traced("inout", [pointer("value", 0, BYTES, when=BOTH, length=[("value", 0, 1)]), word("size", 1)], fail=1),
    Traced("returns_text", [Argument("ret", UNSIGNED, 8, where=RESULT, content=TEXT, when=SUCCESS)],
           result=(UNSIGNED, 8), fail=2),
    Traced("argv", [pointer("argv", 0, TEXTS)]),
    Traced("many_buffers", [pointer(f"b{i}", i, BYTES, limit=4096) for i in range(5)]),
    Traced("both", [pointer("text", 0, TEXT), Argument("number", place=1)], record="both", caller=True),
    Traced("entry", [Argument("number")], record="entry"),
    Traced("exit_group", [Argument("status")], number=231, flags=NORETURN, result=(NONE, 0)),
    Traced("third", [Argument("number")], word=fields.WORD_ON | 3 << 32),
    Traced("off", [Argument("number")], word=0),
    Traced("timeless", [Argument("number")], clock="none"),
    Traced("plain", [word("number", 0)], result=(SIGNED, 8), caller=True),
    Traced("sized", [word("number", 0), pointer("text", 1, BYTES, length=[("value", 0, 2)], limit=2000),
                     word("size", 2)]),
    Traced("mixed", [
        Argument("a"), Argument("b", FLOAT, 8, 0, VECTOR), Argument("c", FLOAT, 4, 1, VECTOR),
        Argument("d", LONG_DOUBLE, 16, 0, STACK, 2), Argument("t", STRUCT, 24, 2, STACK, 3, struct="triple"),
        Argument("p", STRUCT, 16, 1, words=2, struct="pair"),
        Argument("q", STRUCT, 16, 2, VECTOR, 2, struct="point"), Argument("e", SIGNED, 8, 3),
        Argument("f", SIGNED, 8, 4), Argument("g", SIGNED, 4, 5), Argument("h", BOOL, 4, 5, STACK),
    ], result=(FLOAT, 8), caller=True),
    Traced("pairs", [Argument("a", SIGNED, 8)], result=(STRUCT, 16), struct="pair"),
    Traced("triples", [Argument("a", SIGNED, 8, 1)], result=(STRUCT, 24), struct="triple"),
    Traced("points", [Argument("a", FLOAT, 8, 0, VECTOR)], result=(COMPLEX, 16)),
    Traced("extended", [Argument("a", SIGNED, 8)], result=(LONG_DOUBLE, 16)),
    Traced("single", [Argument("a", FLOAT, 4, 0, VECTOR)], result=(FLOAT, 4)),
    Traced("complex_single", [Argument("a", FLOAT, 4, 0, VECTOR)], result=(COMPLEX, 8)),
    Traced("complex_extended", [Argument("a", SIGNED, 8)], result=(COMPLEX, 32)),
    Traced("print", [Argument("level"), pointer("format", 1, TEXT),
                     Argument("...", NONE, 0, 0, VARIADIC, 0, ITEMS, RETURN,
                              condition=[*RET, ("constant", 0, 1), ("add", 0, 0)])], flags=PRINTF, format=1),
    Traced("vprint", [pointer("format", 0, TEXT), word("list", 1), Argument("...", NONE, 0, 0, VARIADIC, 0, ITEMS)],
           flags=PRINTF | VA_LIST),
    Traced("scan", [pointer("from", 0, TEXT), pointer("format", 1, TEXT, when=RETURN),
                    Argument("...", NONE, 0, 0, VARIADIC, 0, ITEMS, RETURN)], flags=SCANF, format=1),
]  # fmt: skip


def manifest_of(calls: Sequence[Traced]) -> Manifest:
    symbols = [msgspec.structs.replace(one.symbol(), target=i) for i, one in enumerate(calls)]
    targets = [
        Target(one.name, "syscall" if one.number >= 0 else "function", record=one.record, clock=one.clock)  # type: ignore[arg-type]
        for one in calls
    ]
    return Manifest("test", Platform("x86_64", "glibc", "libc.so.6"), targets, symbols, structs=STRUCTS)


def plan_of(calls: Sequence[Traced]) -> bytes:
    """The bytes of wc_plan.h for *calls*."""
    texts, steps = bytearray(b"\0"), bytearray(STEP.pack(0, 0, 0, 0))
    targets, symbols, arguments = b"", b"", b""

    def program(made: Program) -> int:
        if not made:
            return 0
        at = len(steps) // STEP.size
        for operation, size, value in [*made, ("end", 0, 0)]:
            steps.extend(STEP.pack(OPERATIONS[operation], size, 0, value))
        return at

    for i, one in enumerate(calls):
        laid = one.symbol()
        offsets = {each.name: (each.offset, each.blob) for each in laid.fields}
        name = len(texts)
        texts.extend(one.name.encode() + b"\0")
        targets += TARGET.pack(name, 0, 0, ("exit", "entry", "both").index(one.record), 2 * (one.clock == "none"))
        symbols += SYMBOL.pack(
            name, 0, one.number, len(arguments) // ARGUMENT.size, i, i, laid.cells, laid.caller, len(one.arguments),
            one.flags, *one.result, laid.result.offset, one.fail, one.format, 0,
        )  # fmt: skip
        for a in one.arguments:
            offset, blob = offsets.get(a.name, (0, laid.result.blob))
            arguments += ARGUMENT.pack(
                offset if a.where <= STACK else 0, blob if a.content else 0, a.type, a.size, a.where, a.place, a.words,
                a.content, a.when, a.indirect, a.limit, program(a.length), program(a.condition),
            )  # fmt: skip
    parts, at, placed = [targets, symbols, arguments, bytes(steps), bytes(texts)], HEAD.size, []
    for part, size in zip(parts, (TARGET.size, SYMBOL.size, ARGUMENT.size, STEP.size, 1), strict=True):
        placed += [len(part) // size, at]
        at += len(part)
    return HEAD.pack(MAGIC, VERSION, at, HASH, *placed, 0, 0) + b"".join(parts)


class Run:
    """A session with the driver's records in it. Nothing of it is left when the test ends."""

    def __init__(self, driver: Path, folder: Path, **options: Any) -> None:
        self.driver = driver
        self.manifest = manifest_of(ALL)
        text = encode(self.manifest)
        stored = ManifestHead(fields.ABI_VERSION, len(ALL), HASH, len(text)), [one.word for one in ALL], text
        plan = folder / "plan"
        plan.write_bytes(plan_of(ALL))
        options = {"ring_cells": 4096, "rings": 8, **options}
        self.session = SessionDirectory.create(None, stored, SessionOptions(any_filesystem=True, **options), plan)
        self.decoder = Decoder(self.manifest, PlainClock())
        self.reader: Drain | None = None
        self.output = ""

    def __call__(self, scenario: str, number: int = 0, read: str = "at once") -> list[Chunk]:
        """Run *scenario* and return what it has recorded; *read* says when: "at once", or "later"."""
        self.session.beat()
        command = [self.driver, self.session.path, scenario, str(number)]
        quiet = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet)
        self.reader = self.reader or Drain(self.session, self.manifest)
        chunks: list[Chunk] = []
        try:
            end = time.monotonic() + SECONDS
            while program.poll() is None:
                assert time.monotonic() < end, "the driver does not end"
                if read == "at once":
                    chunks += self.reader.poll()
                    self.reader.pause()
                else:
                    self.session.beat()
                    time.sleep(0.001)
            self.output, errors = program.communicate()
        finally:
            program.kill()
            program.communicate()
        if program.returncode == 77:
            pytest.skip("ptrace is not permitted here")
        assert (0, "") == (program.returncode, errors)
        return chunks + [chunk for more in self.reader.finish() for chunk in more]

    def events(self, scenario: str, number: int = 0) -> list[Event]:
        """The calls of *scenario*, in the order of their records."""
        return [event for chunk in self(scenario, number) for event in self.events_of(chunk)]

    def events_of(self, chunk: Chunk) -> list[Event]:
        found = [
            (index, event)
            for batch in self.decoder.decode(chunk)
            if batch.is_call
            for index, event in zip(batch.index.tolist(), events(batch), strict=True)
        ]
        return [event for _, event in sorted(found, key=lambda one: one[0])]

    def account(self) -> Account:
        assert self.reader is not None
        return self.reader.account()

    def line(self, name: str) -> Line:
        return next((line for line in self.account().lines if line.name == name), Line(name))

    def close(self) -> None:
        if self.reader is not None:
            assert ({}, 0, 0) == (self.reader.refused, self.decoder.corrupt, self.reader.findings.corrupt)
            self.reader.close()
        self.session.remove()


@pytest.fixture
def run(
    compile_c: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Run]]:
    """run(**options) -> Run: a session for one or more scenarios."""
    monkeypatch.setenv("WC_SESSION_ROOT", str(tmp_path))
    made: list[Run] = []

    def start(*flags: str, **options: Any) -> Run:
        made.append(Run(driver_of(compile_c, *flags), tmp_path, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def driver_of(compile_c: Callable[..., Path], *flags: str) -> Path:
    include = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'tracer'}"]
    return compile_c("records_driver.c", "-std=gnu11", *include, *map(str, SOURCES), *flags)


def args(found: list[Event], name: str = "") -> list[dict[str, Any]]:
    return [event.args for event in found if event.func == name or not name]


SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.parametrize("flags", [(), SANITIZED], ids=["plain", "sanitized"])
def test_every_scenario_runs_to_its_end(run: Callable[..., Run], flags: tuple[str, ...]) -> None:
    for scenario in "system_calls texts buffers lists too_much modes changed threads images traced writes".split():
        run(*flags)(scenario, 3)


def test_show(run):
    for scenario in "system_calls texts buffers lists too_much modes changed threads traced".split():
        r = run()
        print("=====", scenario)
        for chunk in r(scenario):
            print(chunk.pid, chunk.tid, chunk.ring, chunk.cells["kind"].tolist()[:60])
            for e in r.events_of(chunk):
                print(e.kind, e.func, e.args, e.ret, e.errno, e.truncated, e.duration, e.caller)
        print(r.account())


def test_system_calls_keep_paths_buffers_and_raw_results(run: Callable[..., Run]) -> None:
    found = run().events("system_calls")
    assert [
        {"pathname": b"/etc/passwd", "flags": 0, "mode": 0},
        {"pathname": b"/none", "flags": 64, "mode": 0o640},
    ] == args(found, "open")[:2]
    assert [16, None] == [each["pathname"] for each in args(found, "open")[2:]]
    assert [(3, None), (-1, "ENOENT"), (-1, "EFAULT"), (-1, "EFAULT")] == [
        (event.ret, event.errno) for event in found if event.func == "open"
    ]
    assert [b"hello", b""] == [each["buf"] for each in args(found, "read") if isinstance(each["buf"], bytes)]
    assert [5, -1, 0] == [event.ret for event in found if event.func == "read"]
    assert {3} == {each["fd"] for each in args(found, "read")}
