"""Cells become batches: every record in exactly one, in the ring's order, whatever the bytes."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_builder import POINTER, Blob, PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import abi
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.columns import x87
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.jsonl import JsonLines
from wc_intercept.consumer.summary import Summary
from wc_intercept.consumer.text import TextLines
from wc_intercept.consumer.values import events
from wc_intercept.generator.manifest import Element, Field, Names, Return, Target

TEXT = Field("pathname", "pointer", 0, 8, content="text")
FD = Field("fd", "int", 0, 4, role="fd")
FLAGS = Field("flags", "int", 0, 4, role="flags", names="open")
OPEN = symbol_of("open", TEXT, FLAGS, result=Return("int", 4, fail="-1"))
READ = symbol_of("read", FD, Field("buf", "pointer", 0, 8, content="bytes"), Field("count", "uint", 0, 8),
                 result=Return("int", 8, fail="-1"))  # fmt: skip
POINT = [Field("x", "int", 0, 4), Field("y", "float", 8, 8), Field("name", "raw", 16, 8, content="text")]


def decoded(recorder: Recorder) -> list:
    return Decoder(recorder.manifest, PlainClock()).decode(recorder.chunk())


def args_of(recorder: Recorder) -> list:
    """The arguments of all calls, batch after batch."""
    return [event.args for batch in decoded(recorder) for event in events(batch)]


def one_parameter(field: Field, *values: object, structs: dict | None = None) -> list:
    """What the values of one parameter of type *field* read as."""
    recorder = Recorder(manifest_of(symbol_of("f", field), structs=structs or {}))
    for value in values:
        recorder.call("f", value)
    return [args[field.name] for args in args_of(recorder)]


def test_records_are_grouped_by_symbol_and_keep_their_ordinals():
    recorder = Recorder(manifest_of(OPEN, READ))
    recorder.call("open", "/a", 0, ret=3).call("read", 3, b"hello", 5, ret=5).call("open", "/b", 0, ret=4)

    assert [("open", [0, 2]), ("read", [1])] == [(b.symbol.name, b.index.tolist()) for b in decoded(recorder)]


def test_a_call_reads_as_it_was_recorded():
    recorder = Recorder(manifest_of(OPEN), pid=7, tid=8)
    recorder.call("open", "/etc/passwd", 0o100, ret=-1, error=2, clock=5000, duration=17)

    (event,) = events(decoded(recorder)[0])

    assert (5000, 17, 7, 8, "open", "open", "function") == (
        event.time, event.duration, event.pid, event.tid, event.func, event.symbol, event.kind)  # fmt: skip
    assert {"pathname": "/etc/passwd", "flags": 0o100} == event.args
    assert (-1, "ENOENT") == (event.ret, event.errno)


@pytest.mark.parametrize("length", [0, 1, 55, 56, 57, 112, 113, 4000])
def test_strings_span_continuation_cells(length):
    text = "".join(chr(33 + i % 90) for i in range(length))

    assert [text, "x", text] == one_parameter(TEXT, text, "x", text)


def test_bytes_that_are_no_utf8_come_as_surrogates():
    assert ["caf\u00e9", "\udcff\udc80a", "\U0001f600"] == one_parameter(TEXT, "caf\u00e9", b"\xff\x80a", "\U0001f600")


def test_a_pointer_is_null_a_number_or_what_it_points_to():
    unreadable = Blob(b"", abi.BLOB_KEPT | abi.BLOB_UNREADABLE, 0xDEAD000)

    assert [None, 0xDEAD000, "", 0x1234] == one_parameter(TEXT, None, unreadable, "", 0x1234)


@pytest.mark.parametrize(
    ("kind", "size", "value"),
    [("int", 1, -5), ("int", 2, -300), ("int", 4, -70_000), ("int", 8, -(1 << 40)), ("uint", 8, (1 << 64) - 1),
     ("uint", 4, 0xFFFFFFFF), ("pointer", 8, POINTER), ("float", 8, 1.5), ("float", 4, -0.25), ("bool", 1, 1)],
)  # fmt: skip
def test_numbers_of_every_type_and_size(kind, size, value):
    assert [value, 0] == one_parameter(Field("n", kind, 0, size), value, 0)


def test_long_doubles_complex_numbers_and_opaque_bytes():
    pi = struct.pack("<QH", 0xC90FDAA22168C235, 0x4000).ljust(16, b"\0")

    assert [math.pi] == one_parameter(Field("n", "longdouble", 0, 16), pi)
    assert [1 + 2j] == one_parameter(Field("n", "complex", 0, 16), struct.pack("<dd", 1, 2))
    assert [complex(math.pi, math.pi)] == one_parameter(Field("n", "complex", 0, 32), pi + pi)
    assert ["00ff10"] == one_parameter(Field("n", "raw", 0, 3), b"\x00\xff\x10")


@pytest.mark.parametrize("number", [0.0, 1.0, -2.5, 1e300, 5e-324, -1e-310, float("inf"), float("-inf"), 0.1])
def test_extended_numbers_become_the_nearest_double(number):
    data = np.longdouble(number).tobytes()[:10]

    assert number == x87(data)


def test_extended_numbers_beyond_doubles_become_infinite_and_nan_stays():
    assert math.inf == x87(struct.pack("<QH", 1 << 63, 0x7FFE))
    assert 0.0 == x87(struct.pack("<QH", 1 << 63, 1))
    assert math.isnan(x87(struct.pack("<QH", 3 << 62, 0x7FFF)))


def test_structs_by_value_and_behind_pointers():
    data = struct.pack("<i4xd8s", 3, 0.5, b"ab\0zzzzz")
    pointer = Field("p", "pointer", 0, 8, content="values", element=Element("struct", 24, struct="point"))
    value = Field("p", "struct", 0, 24, struct="point")
    expected = {"x": 3, "y": 0.5, "name": "ab"}

    assert [expected, None] == one_parameter(pointer, data, None, structs={"point": POINT})
    assert [expected] == one_parameter(value, data, structs={"point": POINT})


def test_nested_structs_and_members_that_are_arrays():
    structs = {"outer": [Field("inner", "struct", 0, 8, struct="inner"), Field("list", "int", 8, 12, many=3)],
               "inner": [Field("a", "uint", 0, 4), Field("b", "uint", 4, 4)]}  # fmt: skip
    data = struct.pack("<IIiii", 1, 2, -1, 0, 9)
    field = Field("p", "struct", 0, 20, struct="outer")

    assert [{"inner": {"a": 1, "b": 2}, "list": [-1, 0, 9]}] == one_parameter(field, data, structs=structs)


def test_out_parameters_and_lists_of_elements():
    one = Field("p", "pointer", 0, 8, content="values", element=Element("int", 4))
    many = Field("p", "pointer", 0, 8, content="values", element=Element("int", 4, many=True))

    assert [-7, None, 0x55] == one_parameter(one, struct.pack("<i", -7), None, 0x55)
    assert [[3, 4], [], None, [5]] == one_parameter(many, struct.pack("<ii", 3, 4), b"", None, struct.pack("<i", 5))


def test_lists_of_strings_and_varargs():
    argv = Field("argv", "pointer", 0, 8, content="texts")
    varargs = Field("...", "none", 0, 0, content="varargs")
    items = [("i", -3), ("u", 1 << 63), ("f", 2.5), ("c", 65), ("p", 0), ("s", "text"), ("z", None), ("t", b"cut\xff")]

    assert [["ls", "-l", ""], [], None] == one_parameter(argv, ["ls", "-l", ""], [], None)
    assert [[-3, 1 << 63, 2.5, 65, 0, "text", None, "cut\udcff"], []] == one_parameter(varargs, items, [])


def test_records_without_a_clock_have_the_time_of_the_one_before():
    recorder = Recorder(manifest_of(OPEN))
    for clock in (0, 100, 0, 0, 200, 0):
        recorder.call("open", None, 0, clock=clock, duration=1)
    decoder = Decoder(recorder.manifest, PlainClock())
    (batch,) = decoder.decode(recorder.chunk())
    recorder.call("open", None, 0, clock=0)
    (later,) = decoder.decode(recorder.chunk())

    assert [100, 100, 100, 100, 200, 200] == batch.time.tolist()
    assert [-1, 1, -1, -1, 1, -1] == batch.duration.tolist()
    assert [200] == later.time.tolist()


@pytest.mark.parametrize(
    ("fail", "kind", "size", "ret", "expected"),
    [("-1", "int", 4, -1, (-1, True)), ("-1", "int", 4, 0xFFFFFFFF, (-1, True)), ("-1", "int", 8, 5, (5, False)),
     ("-1", "uint", 4, -1, (-1, True)), ("NULL", "pointer", 8, 0, (0, True)), ("<0", "int", 8, -5, (-5, True)),
     ("MAP_FAILED", "pointer", 8, -1, (-1, True)), ("MAP_FAILED", "pointer", 8, POINTER, (POINTER, False)),
     ("EOF", "int", 4, -1, (-1, True)), ("nonzero", "int", 4, 3, (3, True)), ("zero", "uint", 8, 0, (0, True)),
     ("", "int", 4, -1, (-1, False)), ("", "pointer", 8, -1, ((1 << 64) - 1, False)),
     ("", "uint", 1, 0x1FF, (255, False))],
)  # fmt: skip
def test_whether_a_call_failed_is_its_functions_own_rule(fail, kind, size, ret, expected):
    recorder = Recorder(manifest_of(symbol_of("f", result=Return(kind, size, fail=fail))))
    (batch,) = decoded(recorder.call("f", ret=ret, error=13))

    assert expected == (int(batch.result.value[0]), bool(batch.result.failed[0]))
    assert 13 * expected[1] == int(batch.result.error[0])


def test_functions_that_return_an_error_number_keep_it():
    recorder = Recorder(manifest_of(symbol_of("pthread_create", result=Return("int", 4, fail="errno"))))
    recorder.call("pthread_create", ret=11, error=2).call("pthread_create", ret=0, error=2)

    assert [(11, "EAGAIN"), (0, None)] == [(e.ret, e.errno) for e in events(decoded(recorder)[0])]


def test_system_calls_that_failed_return_minus_one():
    symbol, target = symbol_of("read", result=Return("int", 8)), Target("read", kind="syscall")
    recorder = Recorder(manifest_of(symbol, targets=[target]))
    recorder.call("read", ret=-4).call("read", ret=7)

    assert [(-1, "EINTR"), (7, None)] == [(e.ret, e.errno) for e in events(decoded(recorder)[0])]


def test_floating_and_wide_results():
    sin, div = symbol_of("sin", result=Return("float", 8)), symbol_of("div", FD)
    div = symbol_of("div", FD, result=Return("struct", 8, offset=48, struct="div_t"))
    structs = {"div_t": [Field("quot", "int", 0, 4), Field("rem", "int", 4, 4)]}
    recorder = Recorder(manifest_of(sin, div, structs=structs)).call("sin", ret=0.5)
    fixed = bytearray(64)
    struct.pack_into("<ii", fixed, 48, 3, 1)
    recorder.record(abi.CALL, 1, fixed, duration=1)

    assert [0.5, {"quot": 3, "rem": 1}] == [e.ret for batch in decoded(recorder) for e in events(batch)]


def test_array_has_a_field_per_parameter_and_the_call_itself():
    recorder = Recorder(manifest_of(OPEN), pid=7, tid=9)
    recorder.call("open", "/a", 1, ret=3, clock=50).call("open", None, 2, ret=-1, error=2, clock=60, duration=None)

    array = decoded(recorder)[0].array

    assert ("time", "duration", "pid", "tid", "pathname", "flags", "ret", "error") == array.dtype.names
    assert [(50, 42, 7, 9, POINTER, 1, 3, 0), (60, -1, 7, 9, 0, 2, -1, 2)] == array.tolist()


def test_parameters_named_like_the_array_s_own_fields_get_an_underscore():
    recorder = Recorder(manifest_of(symbol_of("f", Field("time", "int", 0, 4), Field("pid", "int", 0, 4))))

    assert ("time_", "pid_") == decoded(recorder.call("f", 1, 2))[0].array.dtype.names[4:6]


def test_unknown_symbols_and_kinds_are_counted_and_dropped():
    recorder = Recorder(manifest_of(OPEN)).call("open", "/a", 0)
    recorder.record(abi.CALL, 99, bytearray(64)).record(77, 0, bytearray(64)).record(abi.EXEC, 50, bytearray(64))
    decoder = Decoder(recorder.manifest, PlainClock())

    assert 1 == sum(len(batch) for batch in decoder.decode(recorder.chunk()))
    assert 3 == decoder.corrupt


def test_records_with_fewer_cells_than_their_symbol_has_are_counted_and_dropped():
    wide = symbol_of("wide", *(Field(f"a{i}", "uint", 0, 8) for i in range(8)))
    recorder = Recorder(manifest_of(wide)).call("wide", *range(8))
    recorder.record(abi.CALL, 0, bytearray(64))
    decoder = Decoder(recorder.manifest, PlainClock())
    (batch,) = decoder.decode(recorder.chunk())

    assert [tuple(range(8))] == [tuple(event.args.values()) for event in events(batch)]
    assert 1 == decoder.corrupt


@pytest.mark.parametrize("blob", [Blob(b"abc", length=60_000), Blob(b"abc", cell=200), Blob(b"", length=9, cell=0)])
def test_blobs_that_do_not_fit_their_record_are_cut_and_counted(blob):
    recorder = Recorder(manifest_of(OPEN)).call("open", blob, 0).call("open", "/next", 0)
    decoder = Decoder(recorder.manifest, PlainClock())
    first, second = events(decoder.decode(recorder.chunk())[0])

    assert len(first.args["pathname"]) <= 56
    assert (["pathname"], "/next", []) == (first.truncated, second.args["pathname"], second.truncated)
    assert 1 == decoder.corrupt


def test_a_manifest_that_contradicts_itself_is_refused():
    outside = symbol_of("f")
    outside = type(outside)("f", 0, "plain", fields=[Field("a", "int", 62, 4)])
    stray = type(outside)("g", 5, "plain")

    for symbol in (outside, stray):
        with pytest.raises(ValueError):
            Decoder(manifest_of(symbol, targets=[Target("f")]), PlainClock())


def everything() -> Recorder:
    """A recorder whose manifest has one function of every kind of parameter."""
    fields = [TEXT, FD, FLAGS, Field("buf", "pointer", 0, 8, content="bytes"),
              Field("argv", "pointer", 0, 8, content="texts"),
              Field("p", "pointer", 0, 8, content="values", element=Element("struct", 24, struct="point")),
              Field("fds", "pointer", 0, 8, content="values", element=Element("int", 4, many=True)),
              Field("addr", "pointer", 0, 8, content="bytes", role="sockaddr"),
              Field("set", "pointer", 0, 8, content="values", element=Element("uint", 8, role="sigset")),
              Field("ld", "longdouble", 0, 16), Field("z", "complex", 0, 16), Field("b", "bool", 0, 4),
              Field("...", "none", 0, 0, content="varargs")]  # fmt: skip
    symbols = [
        symbol_of("all", *fields, result=Return("pointer", 8, fail="NULL")),
        symbol_of("exit", FD, wrapper="noreturn", target=1),
        symbol_of("open", TEXT, FLAGS, result=Return("int", 4, fail="-1"), target=2),
        symbol_of("fcntl", FD, FLAGS, FLAGS, wrapper="optional-word", target=3),
        symbol_of("dup", FD, result=Return("int", 4, "fd", fail="-1"), target=4),
    ]
    targets = [Target(symbol.name, record="both" if symbol.name in ("all", "open") else "exit") for symbol in symbols]
    names = {"open": Names("flags", [("O_RDONLY", 0, 3), ("O_CREAT", 0o100, 0)])}
    return Recorder(manifest_of(*symbols, targets=targets, names=names, structs={"point": POINT}))


RECORDER = everything()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_decode_and_render_without_an_error(data):
    """Whatever a program writes into its ring: headers that the reader accepts, the rest arbitrary."""
    cells = bytearray()
    records = data.draw(st.integers(1, 12))
    for _ in range(records):
        count = data.draw(st.integers(1, 6))
        for ordinal in range(count):
            kind = data.draw(st.integers(1, 7)) if ordinal == 0 else abi.CONTINUATION
            head = struct.pack("<IHBB", 1, data.draw(st.integers(0, 5)), kind, count if ordinal == 0 else ordinal)
            cells += head + data.draw(st.binary(min_size=56, max_size=56))
    chunk = Chunk(100, 100, 0, 0, 0, np.frombuffer(bytes(cells), dtype=abi.CELL).copy())
    decoder, joiner = Decoder(RECORDER.manifest, PlainClock()), Joiner()
    text = TextLines(RECORDER.manifest, stamp="tt", durations=True, paths=True, events=True)
    jsonl, summary = JsonLines(events=True), Summary()

    batches = decoder.decode(chunk)
    assert records == sum(map(len, batches)) + decoder.dropped
    joined = [joiner.join(batches), *joiner.finish(decoder)]

    for part in joined:
        text.render(part)
        jsonl.render(part)
        summary.add(part)
        whole = [batch for batch in part if batch.is_call and batch.part != "entered"]
        assert all(len(list(events(batch))) == len(batch) for batch in whole)
        assert all(len(batch.array) == len(batch) for batch in part)
    text.finish()
    assert all(row.total >= 0 for row in summary.rows())
