"""The tracer's records: what its writer leaves in a segment reads as what a shim leaves there.

tests/c/records_driver.c makes calls through the tracer's record files, of itself or of a child that it traces; plans are
made here by hand, field by field, so that every way for a value to travel is tried; records are read back with the
consumer. Rule: the consumer is told nothing of who wrote them.

Absent on purpose: the tracer's loop (test_tracer_loop.py), breakpoints (test_tracer_breaks.py), the generator's plans
(test_tracer_plan.py).
"""

from __future__ import annotations

import os
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
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.drain import Drain
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.consumer.shim import ManifestHead
from wc_intercept.consumer.values import Event, events
from wc_intercept.generator.manifest import Field, Manifest, Platform, Return, Symbol, Target, encode
from wc_intercept.generator.tracer_plan import ARGUMENT, HEAD, MAGIC, OPERATIONS, STEP, SYMBOL, TARGET, VERSION

SECONDS = 60.0
HASH = 0x7265636F7264
RUNTIME = Path(next(iter(runtime.__path__)))
SOURCES = [
    RUNTIME / "tracer" / f"wct_{name}.c"
    for name in "plan tables segment owner ring call written value capture kept length variadic memory when maps".split()
]
NONE, SIGNED, UNSIGNED, BOOL, FLOAT, LONG_DOUBLE, STRUCT, COMPLEX = range(8)
REGISTER, VECTOR, STACK, RESULT, VARIADIC = range(5)
TEXT, BYTES, TEXTS, ITEMS = range(1, 5)
ENTRY, SUCCESS, RETURN, BOTH = range(4)
NORETURN, PRINTF, SCANF, VA_LIST, EXECS = 1, 16, 32, 64, 128
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
    Traced("run", [pointer("path", 0, TEXT, when=RETURN)], flags=EXECS, fail=1),
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
        targets += TARGET.pack(name, 0, 0, ("exit", "entry", "both").index(one.record), 2 * (one.clock == "none"), 0)
        symbols += SYMBOL.pack(
            name, 0, one.number, len(arguments) // ARGUMENT.size, i, i, laid.cells, laid.caller, len(one.arguments),
            one.flags, *one.result, laid.result.offset, one.fail, one.format, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        for a in one.arguments:
            offset, blob = offsets.get(a.name, (0, laid.result.blob))
            arguments += ARGUMENT.pack(
                offset if a.where <= STACK else 0, blob if a.content else 0, a.type, a.size, a.where, a.place, a.words,
                a.content, a.when, a.indirect, a.limit, program(a.length), program(a.condition), 0, 255, 0, 0, 0,
            )  # fmt: skip
    parts, at, placed = [targets, symbols, arguments, bytes(steps), b"", bytes(texts)], HEAD.size, []
    for part, size in zip(parts, (TARGET.size, SYMBOL.size, ARGUMENT.size, STEP.size, 1, 1), strict=True):
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
        options = {"ring_cells": 4096, "rings": 8, "block_ms": 10_000, **options}
        self.session = SessionDirectory.create(None, stored, SessionOptions(any_filesystem=True, **options), plan)
        self.decoder = Decoder(self.manifest, PlainClock())
        self.reader: Drain | None = None
        self.output = ""

    def __call__(self, scenario: str, number: int = 0, read: str = "at once") -> list[Chunk]:
        """Run *scenario* and return what it has recorded; *read* says when: "at once", "later", or "never": no heart beats."""
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
                    if read == "later":
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


def returned(found: list[Event], name: str) -> list[tuple[Any, str | None]]:
    return [(event.ret, event.errno) for event in found if event.func == name]


def args(found: list[Event], name: str = "") -> list[dict[str, Any]]:
    return [event.args for event in found if event.func == name or not name]


SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
EVERYTHING = "system_calls texts buffers lists too_much modes changed execs threads crowd images traced writes".split()


@pytest.mark.parametrize("scenario", EVERYTHING)
def test_no_scenario_reads_or_writes_where_it_must_not(run: Callable[..., Run], scenario: str) -> None:
    run(*SANITIZED)(scenario, 20)


def test_plans_with_bytes_changed_are_refused_or_harmless(run: Callable[..., Run]) -> None:
    """Whatever wct_plan_open lets through is sound: calls of its symbols with any registers stay within bounds."""
    fuzzed = run(*SANITIZED, policy=abi.DROP)
    command = [fuzzed.driver, fuzzed.session.path, "fuzz", "3000"]
    quiet = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * SECONDS, env=quiet)
    assert (0, "") == (done.returncode, done.stderr)
    assert 100 < int(done.stdout) < 2900


def test_hostile_formats_end_their_parsing(run: Callable[..., Run]) -> None:
    reading = run(*SANITIZED)
    found = reading.events("formats", 4000)
    assert 4000 == len(found)
    assert any(each["..."] for each in args(found))


@pytest.mark.parametrize("size", [0, 8, 71, 72, 73, 500])
def test_a_plan_that_is_cut_short_is_refused(compile_c: Callable[..., Path], tmp_path: Path, size: int) -> None:
    driver, plan = driver_of(compile_c), tmp_path / "plan"
    plan.write_bytes(plan_of(ALL))
    assert 0 == subprocess.run([driver, "plan", plan]).returncode
    plan.write_bytes(plan_of(ALL)[:size])
    assert 3 == subprocess.run([driver, "plan", plan], stdout=subprocess.PIPE).returncode


def test_system_calls_keep_paths_buffers_and_raw_results(run: Callable[..., Run]) -> None:
    found = run().events("system_calls")
    assert [
        {"pathname": "/etc/passwd", "flags": 0, "mode": 0},
        {"pathname": "/none", "flags": 64, "mode": 0o640},
        {"pathname": 16, "flags": 0, "mode": 0},
        {"pathname": None, "flags": 0, "mode": 0},
    ] == args(found, "open")
    assert [(3, None), (-1, "ENOENT"), (-1, "EFAULT"), (-1, "EFAULT")] == returned(found, "open")
    assert [(5, None), (-1, "EAGAIN"), (0, None)] == returned(found, "read")
    kept, failed, empty = args(found, "read")
    assert ["hello", ""] == [kept["buf"], empty["buf"]]
    assert isinstance(failed["buf"], int)
    assert {3} == {each["fd"] for each in args(found, "read")}


def test_texts_end_at_their_nul_their_limit_or_the_last_page(run: Callable[..., Run]) -> None:
    found = run().events("texts")
    strings = [tuple(each.values()) for each in args(found, "strings")]
    assert [("one", None, "three"), (16, "two", 24)] == strings[:2]
    assert ("goes over the page", "cut") == strings[2][:2]
    assert isinstance(strings[2][2], int)
    assert ("p" * 64, "", "p" * 64) == strings[3]
    assert [[], [], ["b"], ["a"]] == [event.truncated for event in found if event.func == "strings"]
    assert [4096, 3999] == [len(each["pathname"]) for each in args(found, "open")]
    assert [["pathname"], []] == [event.truncated for event in found if event.func == "open"]
    assert ["ppppp", "seven", "", "end"] == [each["text"] for each in args(found, "within")]


def test_lengths_come_from_results_arguments_and_memory(run: Callable[..., Run]) -> None:
    found = run().events("buffers")
    usual, no_length, at_the_end, failed = args(found, "recvfrom")
    everything = bytes(range(200)).decode("latin-1")
    assert (everything[:3], everything[10:16]) == (usual["buf"], usual["addr"])
    assert (everything[:64], "") == (no_length["buf"], no_length["addr"])
    assert ("\0\0", everything[:128]) == (at_the_end["buf"], at_the_end["addr"])
    assert [[], ["buf"], ["buf", "addr"], []] == [event.truncated for event in found if event.func == "recvfrom"]
    assert isinstance(failed["buf"], int)
    lines = [each["line"] for each in args(found, "getline")]
    assert ["a line\n", None, 24] == [lines[0], lines[2], lines[4]]
    assert [int, int] == [type(lines[1]), type(lines[3])]
    assert ["before", "before"] == [each["value"] for each in args(found, "inout")]


def test_a_returned_text_is_kept(run: Callable[..., Run]) -> None:
    reading = run()
    texts = [
        batch.result_text for chunk in reading("buffers") for batch in reading.decoder.decode(chunk)
        if batch.symbol.name == "returns_text"
    ]  # fmt: skip
    assert [["from the call"]] == [text.value.items for text in texts if text is not None]  # type: ignore[union-attr]


def test_lists_of_texts_are_bounded(run: Callable[..., Run]) -> None:
    found = run().events("lists")
    lists = [each["argv"] for each in args(found)]
    assert [["ls", "-l"], [], ["ls", "", "x"]] == lists[:3]
    assert [15 * ["0123456789abcdef" * 2], 64 * [""], ["only"], None, []] == lists[3:]
    assert [3, 4] == [i for i, event in enumerate(found) if event.truncated]


def test_a_record_that_would_have_more_than_255_cells_is_cut(run: Callable[..., Run]) -> None:
    (event,) = run().events("too_much")
    lengths = [len(kept) for kept in event.args.values() if isinstance(kept, str)]
    cells = [-(-length // fields.CONT_PAYLOAD) for length in lengths]
    assert [4096, 4096, 4096] == lengths[:3]
    assert 255 == sum(cells) + Decoder(manifest_of(ALL), PlainClock()).manifest.symbols[9].cells
    assert ["b3", "b4"] == event.truncated


def test_entries_samples_and_control_words_are_obeyed(run: Callable[..., Run]) -> None:
    reading = run()
    found = reading.events("modes")
    assert [("both", None), ("both", 7), ("entry", None), ("exit_group", None)] == [
        (event.func, event.ret) for event in found[:4]
    ]
    assert [2, 5, 8] == [each["number"] for each in args(found, "third")]
    assert Line("third", calls=10, recorded=3, sampled=7) == reading.line("third")
    assert Line("off") == reading.line("off")
    assert [None] == [event.duration for event in found if event.func == "timeless"]
    assert {0x4242} == {event.caller for event in found if event.func == "both"}
    for name in ("both", "entry", "exit_group", "timeless"):
        assert Line(name, calls=1, recorded=1) == reading.line(name)


def test_what_a_handler_has_changed_is_what_is_recorded(run: Callable[..., Run]) -> None:
    reading = run()
    found = reading.events("changed")
    assert [("plain", 5), ("both", None), ("both", 5), ("entry", None), ("exit_group", None)] == [
        (event.func, event.ret) for event in found
    ]
    assert {2} == {next(iter(event.args.values())) for event in found}
    for name in ("plain", "both", "entry", "exit_group"):
        assert Line(name, calls=1, recorded=1) == reading.line(name)


def test_a_function_that_replaces_the_program_leaves_an_exec_record(run: Callable[..., Run]) -> None:
    """As under the shim: the EXEC record is the call; a CALL behind it says that it failed, and is not counted again."""
    reading = run()
    chunks = reading("execs")
    kinds = [kind for chunk in chunks for kind in chunk.cells["kind"].tolist() if kind != abi.CONTINUATION]
    assert [abi.PROCESS, abi.EXEC, abi.CALL, abi.EXEC, abi.CALL, abi.EXEC] == kinds
    paths = [each["path"] for chunk in chunks for each in args(reading.events_of(chunk))]
    assert ["/bin/none", "/bin/none", 0, 16, "/bin/true"] == paths
    assert Line("run", calls=3, recorded=3) == reading.line("run")
    assert Line("plain", calls=1, unfinished=1) == reading.line("plain")


def test_a_changed_control_word_is_told_once(run: Callable[..., Run]) -> None:
    reading = run()
    target = next(i for i, one in enumerate(ALL) if one.name == "plain")
    with open(os.path.join(reading.session.path, "control"), "r+b") as control:
        control.seek(fields.CONTROL_WORDS + 8 * target)
        control.write(struct.pack("<Q", fields.WORD_ON | 7 << 16 | 2 << 32))
    (chunk,) = reading("plain", 4)
    kinds = chunk.cells["kind"].tolist()
    assert [abi.PROCESS, abi.CONTROL_SEEN, abi.CALL, abi.CALL] == kinds
    seen = chunk.cells[1].tobytes()
    assert (target, 7, 2, 0) == struct.unpack_from("<4I", seen, fields.FIRST_ARGS)


def test_values_of_all_classes_travel_as_the_abi_says(run: Callable[..., Run]) -> None:
    found = run().events("traced")
    by_name = {event.func: event for event in found}
    assert {
        "a": -1, "b": 0.5, "c": 0.25, "d": 3.5, "t": {"first": 1, "second": 2, "third": 3},
        "p": {"first": 4, "second": 5}, "q": {"x": 1.5, "y": 2.5}, "e": 6, "f": -7, "g": -8, "h": 1,
    } == by_name["mixed"].args  # fmt: skip
    results = {
        "mixed": 0.75, "pairs": {"first": 9, "second": -9}, "triples": {"first": 9, "second": 18, "third": 27},
        "points": 1.25 - 1.25j, "extended": 2.25, "single": 3.0, "complex_single": 1.5 - 1.5j,
        "complex_extended": 9 - 9j,
    }  # fmt: skip
    assert results == {name: by_name[name].ret for name in results}


def test_variadic_arguments_follow_their_format(run: Callable[..., Run]) -> None:
    found = run().events("traced")
    assert [
        [-5, "text", 1.5, ord("q"), 0x123456789ABC, 16, "abc", 7, 8],
        [2.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10, None],
        [],
        ["", 4],
        [],
        [],
        [("0123456789" * 10)[:64]],
    ] == [each["..."] for each in args(found, "print")]
    assert [[1, 2.5, "three", 4, 5, 6, 7, 8.5], []] == [each["..."] for each in args(found, "vprint")]
    assert [[12, -3, 1.5, 2.5, "word"], [7], []] == [each["..."] for each in args(found, "scan")]


def test_laps_of_records_of_all_sizes_are_read_in_order(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=1024)
    found = reading.events("laps", 20_000)
    assert [(i, i * 37 % 1500) for i in range(20_000)] == [
        (each["number"], len(each["text"]) if isinstance(each["text"], str) else 0) for each in args(found)
    ]
    assert Line("sized", calls=20_000, recorded=20_000) == reading.line("sized")
    assert not any(event.truncated for event in found)


def test_a_full_ring_drops_and_says_so(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=1024, policy=abi.DROP)
    first = reading("plain", 5000, read="later")
    line = reading.line("plain")
    assert (5000, 5000) == (line.calls, line.recorded + line.lost)
    assert {"ring full": line.lost} == reading.account().losses
    assert 1022 <= line.recorded <= 1024
    assert 0 == line.missing
    assert sum(len(reading.events_of(chunk)) for chunk in first) == line.recorded


def test_losses_are_told_where_they_happened(run: Callable[..., Run]) -> None:
    """The next record that finds room is a LOST record; all of them together say how many were lost."""
    reading = run(ring_cells=1024, policy=abi.DROP)
    chunks = reading("plain", 200_000)
    told = [chunk.cells[chunk.cells["kind"] == abi.LOST]["result"].tolist() for chunk in chunks]
    line = reading.line("plain")
    assert line.calls == line.recorded + line.lost
    pending = line.lost - sum(map(sum, told))
    assert 0 <= pending <= line.lost


def test_an_overwritten_ring_keeps_the_last_records(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=1024, policy=abi.OVERWRITE)
    found = [event for chunk in reading("plain", 5000, read="later") for event in reading.events_of(chunk)]
    line = reading.line("plain")
    assert (5000, 0) == (line.calls, line.missing)
    assert line.recorded + line.overwritten == 5000
    assert list(range(5000))[-len(found) :] == [each["number"] for each in args(found)]
    assert len(found) > 100


def test_a_reader_that_moves_nothing_is_waited_for_no_longer_than_its_budget(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=1024, block_ms=50)
    begun = time.monotonic()
    reading("plain", 3000, read="never")
    assert 0.05 < time.monotonic() - begun < 0.5 * SECONDS
    line = reading.line("plain")
    assert 3000 == line.recorded + line.lost
    assert line.lost > 0


def test_a_reader_that_has_died_ends_the_recording(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=1024, block_ms=10_000)
    dead = subprocess.Popen(["true"])
    dead.wait()
    change_control(reading, consumer_pid=dead.pid)
    begun = time.monotonic()
    reading("plain", 3000, read="never")
    assert time.monotonic() - begun < 9
    assert 1 == reading.session.get("closed")
    assert reading.line("plain").calls < 3000


def test_a_thread_that_dies_in_a_call_leaves_it_unfinished_and_longjmp_leaves_it_abandoned(
    run: Callable[..., Run],
) -> None:
    reading = run()
    chunks = reading("threads")
    assert Line("plain", calls=5, recorded=4, unfinished=1) == reading.line("plain")
    assert Line("read", calls=2, unfinished=1, abandoned=1) == reading.line("read")
    assert {(1002, "read"), (1002, "plain")} == {(one.tid, ALL[one.symbol].name) for one in reading.account().inside}
    names = {(chunk.tid, event.func) for chunk in chunks for event in reading.events_of(chunk)}
    assert {(1001, "plain"), (1003, "plain"), (2000, "plain")} == names


def test_a_forked_child_shares_its_parents_segment(run: Callable[..., Run]) -> None:
    reading = run()
    identities = [
        struct.unpack_from("<4I", cell.tobytes(), fields.FIRST_ARGS)
        for chunk in reading("threads") for cell in chunk.cells if cell["kind"] == abi.PROCESS
    ]  # fmt: skip
    assert reading.reader is not None
    (program,) = reading.reader.programs
    assert [(program.pid, 1001, 1, fields.PROCESS_EXEC), (2000, 2000, program.pid, fields.PROCESS_FORK)] == identities


def test_threads_without_a_ring_are_counted_as_lost(run: Callable[..., Run]) -> None:
    reading = run(rings=4)
    reading("crowd", 10)
    assert Line("plain", calls=11, recorded=5, lost=6) == reading.line("plain")
    assert {"no ring free": 6} == reading.account().losses


def test_images_come_and_go_within_the_budget(run: Callable[..., Run]) -> None:
    reading = run(rings=2)
    found = reading.events("images", 60)
    assert list(range(60)) == sorted(event.ret for event in found)
    assert reading.reader is not None
    assert 61 == len(reading.reader.programs)
    assert 0 == reading.account().no_segment
    assert not [name for name in os.listdir(reading.session.path) if name.startswith("seg-")]


def change_control(reading: Run, **values: int) -> None:
    with open(os.path.join(reading.session.path, "control"), "r+b") as control:
        for name, value in values.items():
            control.seek(fields.CONTROL.offset(name))
            control.write(value.to_bytes(fields.CONTROL.fields[name].size, "little"))


def ring_size(cells: int) -> int:
    """Bytes that a ring claims with its first *cells* cells."""
    return fields.PAGE + counts_size() + cells * fields.CELL_SIZE


def counts_size() -> int:
    return -(-len(ALL) * fields.COUNT.size // fields.PAGE) * fields.PAGE


def test_where_memory_ends_the_ring_ends(run: Callable[..., Run]) -> None:
    reading = run(ring_cells=4096, budget=fields.PAGE + counts_size() + ring_size(1024))
    found = reading.events("plain", 10_000)
    assert list(range(10_000)) == [each["number"] for each in args(found)]
    assert Line("plain", calls=10_000, recorded=10_000) == reading.line("plain")


def test_without_memory_for_a_ring_calls_are_counted(run: Callable[..., Run]) -> None:
    reading = run()
    change_control(reading, budget=fields.PAGE + counts_size())
    reading("plain", 10)
    assert Line("plain", calls=10, lost=10) == reading.line("plain")
    assert {"no memory": 10} == reading.account().losses


def test_without_memory_for_a_segment_the_image_is_counted(run: Callable[..., Run]) -> None:
    reading = run()
    change_control(reading, budget=fields.PAGE)
    reading("plain", 10)
    assert 1 == reading.account().no_segment
    assert not [name for name in os.listdir(reading.session.path) if name.startswith("seg-")]


def test_memory_is_written_as_a_whole_or_not_at_all(run: Callable[..., Run]) -> None:
    """wct_write crosses pages, writes where the program cannot, and takes back what it wrote before a missing page."""
    run()("writes")


def test_a_call_costs_the_tracer_little_of_its_own(run: Callable[..., Run]) -> None:
    """Processor time: 0.12 us here for both ends of a call, and a system call for what is behind its pointers."""
    measured = run("-O2", policy=abi.OVERWRITE)
    measured("speed", 100_000, read="later")
    nanoseconds = {name: float(value) for name, value in map(str.split, measured.output.splitlines())}
    assert nanoseconds["plain"] < 1000
    assert nanoseconds["open"] < 10_000
