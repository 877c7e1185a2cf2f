"""jsonl as promised: the keys, their order, their types, and valid JSON whatever the program passed."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_builder import POINTER, Blob, PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import abi
from wc_intercept.consumer.accounting import Inside
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.jsonl import JsonLines
from wc_intercept.consumer.values import events
from wc_intercept.generator.manifest import Element, Field, Return, Target

TEXT = Field("pathname", "pointer", 0, 8, content="text")
FD = Field("fd", "int", 0, 4, role="fd")
BUF = Field("buf", "pointer", 0, 8, content="bytes")
COUNT = Field("count", "uint", 0, 8)
OPEN = symbol_of("open", TEXT, Field("flags", "int", 0, 4, role="flags"), result=Return("int", 4, "fd", fail="-1"))
READ = symbol_of("read", FD, BUF, COUNT, result=Return("int", 8, fail="-1"))


class Session:
    """Chunks in, lines out, as wc-run does it."""

    def __init__(self, recorder: Recorder, **options: object) -> None:
        self.recorder = recorder
        self.decoder, self.joiner = Decoder(recorder.manifest, PlainClock()), Joiner()
        self.lines = JsonLines(**options)

    def text(self) -> str:
        return self.lines.render(self.joiner.join(self.decoder.decode(self.recorder.chunk()))).decode("ascii")

    def show(self) -> list:
        return [json.loads(line) for line in self.text().splitlines()]

    def finish(self, inside: list[Inside] | None = None) -> list:
        parts = self.joiner.finish(self.decoder, inside)
        return [json.loads(line) for part in parts for line in self.lines.render(part).decode().splitlines()]


def arg(field: Field, value: object, structs: dict | None = None) -> object:
    """One argument as jsonl gives it."""
    recorder = Recorder(manifest_of(symbol_of("f", field), structs=structs or {})).call("f", value)
    return Session(recorder).show()[0]["args"][field.name]


def test_a_line_is_exactly_as_documented():
    recorder = Recorder(manifest_of(OPEN), pid=71, tid=72)
    recorder.call("open", "/etc/passwd", 0o2000000, ret=3, clock=1_700_000_000_123_456_789, duration=2500)

    assert (
        '{"time":1700000000123456789,"duration":2500,"pid":71,"tid":72,"func":"open","symbol":"open",'
        '"kind":"function","engine":"preload","args":{"pathname":"/etc/passwd","flags":524288},"ret":3,"errno":null}\n'
    ) == Session(recorder).text()


def test_optional_keys_come_last():
    recorder = Recorder(manifest_of(READ, targets=[Target("read", record="both")]))
    recorder.call("read", 1, Blob(b"abc", abi.BLOB_KEPT | abi.BLOB_TRUNCATED), 3, kind=abi.ENTER)
    session = Session(recorder)

    assert [] == session.show()
    (line,) = session.finish()
    assert ["ret", "errno", "truncated", "unfinished"] == [*line][-4:]
    assert (None, None, ["buf"], True) == tuple(line[key] for key in [*line][-4:])


def test_func_is_the_target_and_symbol_the_name_that_was_called():
    symbols = [symbol_of("open", target=0), symbol_of("open64", target=0)]
    recorder = Recorder(manifest_of(*symbols, targets=[Target("open")])).call("open64").call("open")

    assert [("open", "open64"), ("open", "open")] == [(x["func"], x["symbol"]) for x in Session(recorder).show()]


def test_names_are_escaped_wherever_they_stand():
    odd = 'a"b%s\\c\u00e9'
    recorder = Recorder(manifest_of(symbol_of(odd, Field(odd, "int", 0, 4)), structs={})).call(odd, 5)

    (line,) = Session(recorder).show()
    assert (odd, odd, {odd: 5}) == (line["func"], line["symbol"], line["args"])


def test_lines_stand_in_the_order_of_the_ring():
    recorder = Recorder(manifest_of(OPEN, READ))
    for i in range(40):
        recorder.call("open", "/x", i, ret=i) if i % 3 else recorder.call("read", i, b"", i, ret=i)

    assert list(range(40)) == [line["ret"] for line in Session(recorder).show()]


def test_a_failed_call_names_its_error_and_others_do_not():
    recorder = Recorder(manifest_of(OPEN)).call("open", "/x", 0, ret=-1, error=2).call("open", "/x", 0, ret=3, error=2)

    assert [(-1, "ENOENT"), (3, None)] == [(line["ret"], line["errno"]) for line in Session(recorder).show()]


@pytest.mark.parametrize(
    ("result", "ret", "expected"),
    [(Return("pointer", 8, fail="NULL"), 0, (0, "ENOMEM")),
     (Return("pointer", 8, fail="NULL"), POINTER, (POINTER, None)),
     (Return("pointer", 8, fail="MAP_FAILED"), -1, (-1, "ENOMEM")), (Return("int", 4, fail="errno"), 16, (16, "EBUSY")),
     (Return(), 0, (None, None)), (Return("float", 8), math.nan, ("NaN", None)), (Return("float", 8), 2.5, (2.5, None)),
     (Return("float", 8), -math.inf, ("-Infinity", None)), (Return("bool", 1), 1, (1, None)),
     (Return("int", 4, fail="-1"), -1, (-1, "ENOMEM"))],
)  # fmt: skip
def test_results_are_numbers(result, ret, expected):
    (line,) = Session(Recorder(manifest_of(symbol_of("f", result=result))).call("f", ret=ret, error=12)).show()

    assert expected == (line["ret"], line["errno"])


def test_an_error_that_set_no_errno_has_none():
    (line,) = Session(Recorder(manifest_of(OPEN)).call("open", "/x", 0, ret=-1, error=0)).show()

    assert (-1, None) == (line["ret"], line["errno"])


def test_arguments_of_every_kind():
    point = [Field("x", "int", 0, 4), Field("ok", "bool", 4, 1), Field("f", "float", 8, 8)]
    struct_data = struct.pack("<i?3xd", -3, True, math.inf)
    structs = {"point": point}

    def out(element: Element) -> Field:
        return Field("p", "pointer", 0, 8, content="values", element=element)

    assert {"x": -3, "ok": 1, "f": "Infinity"} == arg(out(Element("struct", 16, struct="point")), struct_data, structs)
    assert [{"x": -3, "ok": 1, "f": "Infinity"}] == arg(
        out(Element("struct", 16, struct="point", many=True)), struct_data, structs)  # fmt: skip
    assert [3, 4] == arg(out(Element("int", 4, many=True)), struct.pack("<ii", 3, 4))
    assert 9 == arg(out(Element("int", 4)), struct.pack("<i", 9))
    assert arg(out(Element("int", 4)), None) is None
    assert 4096 == arg(out(Element("int", 4)), 4096)
    assert ["a", "b\udcff"] == arg(Field("argv", "pointer", 0, 8, content="texts"), [b"a", b"b\xff"])
    assert [1, 0.5, "x", None, "NaN"] == arg(
        Field("...", "none", 0, 0, content="varargs"), [("i", 1), ("f", 0.5), ("s", "x"), ("z", None), ("f", math.nan)])
    assert [1.0, "Infinity"] == arg(Field("z", "complex", 0, 16), struct.pack("<dd", 1, math.inf))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_every_line_is_valid_json_and_gives_the_bytes_back(data):
    recorder = Recorder(manifest_of(OPEN, READ)).call("open", data, 0).call("read", 3, data, len(data), ret=len(data))

    first, second = Session(recorder).show()

    assert data == first["args"]["pathname"].encode("utf-8", "surrogateescape")
    assert data == second["args"]["buf"].encode("utf-8", "surrogateescape")


@given(st.lists(st.floats(), min_size=1, max_size=5), st.integers(0, (1 << 64) - 1))
@settings(deadline=None)
def test_every_number_survives(floats, pointer):
    symbol = symbol_of("f", Field("d", "float", 0, 8), Field("p", "pointer", 0, 8))
    recorder = Recorder(manifest_of(symbol))
    for number in floats:
        recorder.call("f", number, pointer)

    for number, line in zip(floats, Session(recorder).show(), strict=True):
        assert number == float(line["args"]["d"]) or math.isnan(number)
        assert pointer == line["args"]["p"]


def test_jsonl_and_events_say_the_same():
    recorder = Recorder(manifest_of(OPEN, READ))
    recorder.call("open", b"/\xff", 3, ret=-1, error=13).call("read", 3, None, 9, ret=0, duration=None)
    batches = Decoder(recorder.manifest, PlainClock()).decode(recorder.chunk())

    for batch in batches:
        lines = [json.loads(line) for line in JsonLines().render([batch]).splitlines()]
        for event, line in zip(events(batch), lines, strict=True):
            said = {key: getattr(event, key) for key in line if key != "engine"}
            assert line == said | {"engine": "preload"}


def test_a_call_that_was_cut_says_which_arguments():
    cut = Blob(b"abc", abi.BLOB_KEPT | abi.BLOB_TRUNCATED)
    recorder = Recorder(manifest_of(READ)).call("read", 3, cut, 9, ret=9).call("read", 3, b"abc", 3, ret=3)

    first, second = Session(recorder).show()
    assert ["buf"] == first["truncated"]
    assert "truncated" not in second


def test_calls_that_never_return_have_no_result():
    recorder = Recorder(manifest_of(symbol_of("_exit", FD, wrapper="noreturn", result=Return("int", 4))))

    (line,) = Session(recorder.call("_exit", 3, kind=abi.ENTER)).show()
    assert ({"fd": 3}, None, None, None) == (line["args"], line["ret"], line["errno"], line["duration"])
    assert "unfinished" not in line


def test_an_enter_record_and_its_call_are_one_line():
    recorder = Recorder(manifest_of(READ, OPEN, targets=[Target("read", record="both"), Target("open")]))
    recorder.manifest.symbols[1] = symbol_of("open", *OPEN.fields, result=OPEN.result, target=1)
    recorder.call("read", 3, 77, 5, kind=abi.ENTER, clock=10).call("open", "/x", 0, clock=20)
    session = Session(recorder)
    before = session.show()
    recorder.call("read", 3, b"hello", 5, ret=5, clock=10)

    assert ["open"] == [line["func"] for line in before]
    assert [("read", "hello", 5)] == [(x["func"], x["args"]["buf"], x["ret"]) for x in session.show()]
    assert [] == session.finish()


def test_a_call_killed_inside_is_unfinished_and_one_left_by_a_jump_is_not():
    recorder = Recorder(manifest_of(READ, targets=[Target("read", record="both")]))
    recorder.call("read", 3, 77, 5, kind=abi.ENTER, clock=10).call("read", 4, 77, 5, kind=abi.ENTER, clock=20)
    session = Session(recorder)
    session.show()

    lines = session.finish([Inside(100, 100, 0, 20, 4)])
    assert [(3, False), (4, True)] == [(x["args"]["fd"], x.get("unfinished", False)) for x in lines]


def test_a_call_without_any_record_is_known_by_its_first_argument():
    session = Session(Recorder(manifest_of(READ)))

    (line,) = session.finish([Inside(7, 8, 0, 5000, (1 << 64) - 1)])
    assert (5000, 7, 8, {"fd": -1, "buf": None, "count": None}, None, True) == tuple(
        line[key] for key in ("time", "pid", "tid", "args", "ret", "unfinished")
    )
    assert [] == session.finish([Inside(7, 8, 99, 5000, 0)])


EXECVE = symbol_of("execve", TEXT, Field("argv", "pointer", 0, 8, content="texts"), result=Return("int", 4, fail="-1"))


def test_an_exec_that_failed_is_the_call_that_returned():
    session = Session(Recorder(manifest_of(EXECVE)).exec("execve", b"/nowhere"))
    before = session.show()
    session.recorder.call("execve", "/nowhere", ["nowhere"], ret=-1, error=2)

    assert [] == before
    assert [("/nowhere", -1, "ENOENT")] == [(x["args"]["pathname"], x["ret"], x["errno"]) for x in session.show()]
    assert [] == session.finish()


def test_an_exec_that_succeeded_never_returned():
    session = Session(Recorder(manifest_of(EXECVE)).exec("execve", b"/bin/ls"))
    session.show()
    session.recorder.identity(abi.PROCESS, 100, 100, 1, abi.PROCESS_EXEC)

    (line,) = session.show()
    assert ({"pathname": "/bin/ls", "argv": None}, None) == (line["args"], line["ret"])
    assert "unfinished" not in line
    assert [] == session.finish()


def test_an_exec_that_was_entered_too_is_one_line_with_all_its_arguments():
    targets = [Target("execve", record="both")]
    recorder = Recorder(manifest_of(EXECVE, targets=targets))
    recorder.call("execve", "/bin/ls", ["ls"], kind=abi.ENTER, clock=5).exec("execve", b"/bin/ls", clock=5)
    session = Session(recorder)

    assert [] == session.show()
    (line,) = session.finish()
    assert ({"pathname": "/bin/ls", "argv": ["ls"]}, False) == (line["args"], "unfinished" in line)


def test_failed_and_successful_execs_in_one_chunk():
    recorder = Recorder(manifest_of(EXECVE))
    recorder.exec("execve", b"/a/ls").call("execve", "/a/ls", [], ret=-1, error=2).exec("execve", b"/b/ls")
    session = Session(recorder)

    assert [-1] == [line["ret"] for line in session.show()]
    assert ["/b/ls"] == [line["args"]["pathname"] for line in session.finish()]


def test_execs_that_nobody_asked_for_are_no_calls():
    recorder = Recorder(manifest_of(EXECVE)).exec("execve", b"/bin/ls", wanted=False)
    recorder.exec("execve", b"/bin/ls", pid=4711)
    session = Session(recorder)

    assert [] == session.show() + session.finish()


def test_what_is_not_a_call_is_shown_only_when_asked_for():
    recorder = Recorder(manifest_of(OPEN))

    def fill() -> None:
        recorder.identity(abi.PROCESS, 100, 100, 50, abi.PROCESS_FORK)
        recorder.record(abi.LOST, abi.SYMBOL_NONE, bytearray(64), ret=12).call("open", "/x", 0)

    fill()
    assert ["open"] == [line["func"] for line in Session(recorder).show()]
    fill()
    first, second, third = Session(recorder, events=True).show()
    assert ("process", 50, "fork") == (first["event"], first["parent"], first["reason"])
    assert ("loss", 12) == (second["event"], second["lost"])
    assert "event" not in third


def test_other_events_are_lines_of_their_own():
    assert b'{"event":"coverage","target":"a\\"b"}\n' == JsonLines(events=True).event("coverage", target='a"b')
    assert b"" == JsonLines().event("coverage", target="open")
