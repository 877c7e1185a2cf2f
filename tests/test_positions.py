"""JSON with positions: every key and value has line and column; what is refused says where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.positions import parse, read


def error(text: str | bytes) -> UserError:
    with pytest.raises(UserError) as caught:
        read(text if isinstance(text, bytes) else text.encode(), "c.json")
    return caught.value


def test_keys_and_values_have_line_and_column() -> None:
    document = parse('{\n  "funcs": [\n    {"func_name": "open"}\n  ]\n}', "c.json")
    path = ("funcs", 0, "func_name")
    assert "c.json:3:19  funcs[0].func_name" == document.where(path)
    assert "c.json:3:6  funcs[0].func_name" == document.where_key(path)
    assert "c.json:1:1" == document.where(())


def test_a_path_that_is_not_there_is_placed_at_its_nearest_parent() -> None:
    document = parse('{"funcs": [{}]}', "c.json")
    assert "c.json:1:12  funcs[0].frequency" == document.where(("funcs", 0, "frequency"))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_at_lf_crlf_and_cr(newline: str) -> None:
    document = parse(newline.join(["{", '"a": 1,', ' "b": 2', "}"]), "c.json")
    assert "c.json:3:7  b" == document.where(("b",))


def test_columns_count_characters_not_bytes() -> None:
    document = parse('{"拦截": "é", "b": 2}', "c.json")
    assert "c.json:1:18  b" == document.where(("b",))


def test_a_byte_order_mark_is_skipped() -> None:
    document = read(b'\xef\xbb\xbf{"a": 1}', "c.json")
    assert ({"a": 1}, "c.json:1:7  a") == (document.value, document.where(("a",)))


def test_trailing_commas_and_comments_are_accepted() -> None:
    text = '{ // the original took these\n "a": [1, 2, ], /* and\n these */ "b": {"c": null,}, }'
    assert {"a": [1, 2], "b": {"c": None}} == parse(text, "c.json").value


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("", "c.json:1:1", "the file is empty"),
        ("  \n ", "c.json:2:2", "the file is empty"),
        ("{", "c.json:1:2", "the file ends where '}' is missing"),
        ('{"a": [1, 2', "c.json:1:12", "the file ends where ']' is missing"),
        ('{"a": [1 2]}', "c.json:1:10", "expected ',' or ']', found '2'"),
        ('{"a" 1}', "c.json:1:6", "expected ':', found '1'"),
        ('{"a":, "b": 1}', "c.json:1:6", "expected a value, found ','"),
        ("{a: 1}", "c.json:1:2", "expected a key in double quotes, found 'a'"),
        ("[,]", "c.json:1:2", "expected a value, found ','"),
        ("[1,,]", "c.json:1:4", "expected a value, found ','"),
        ('{"a": 1}\n}', "c.json:2:1", "unexpected '}' after the end of the value"),
        ('{"a": 1,\n "b": 2,\n "a": 3}', "c.json:3:2", 'the key "a" is given twice'),
        ('{"a": tru}', "c.json:1:7", "expected a value, found 'tru'"),
        ('{"a": NaN}', "c.json:1:7", "expected a value, found 'NaN'"),
        ('{"a": 010}', "c.json:1:7", "'010' is not a number"),
        ('{"a": 1.}', "c.json:1:7", "'1.' is not a number"),
        ('{"a": ٣}', "c.json:1:7", "'٣' is not a number"),
        ('{"a": 18446744073709551616}', "c.json:1:7", "the number 18446744073709551616 is too large"),
        ('{"a": 1e999}', "c.json:1:7", "the number 1e999 is too large"),
        ('{"a": "x', "c.json:1:7", "this string is not valid JSON"),
        ('{"a": "x\ny"}', "c.json:1:9", "this string is not valid JSON"),
        ('{"a": "\\q"}', "c.json:1:8", "this string is not valid JSON"),
        ('{"a": "\\u0000"}', "c.json:1:7", "this string holds a NUL character or half a surrogate pair"),
        ('{"a": "\\ud800"}', "c.json:1:7", "this string holds a NUL character or half a surrogate pair"),
        ('{"a": 1 /* }', "c.json:1:9", "the comment that starts here does not end"),
    ],
)
def test_what_is_no_json_says_where(text: str, at: str, what: str) -> None:
    found = error(text)
    assert (at, what) == (found.at, found.what)


def test_a_huge_number_is_refused_without_computing_it() -> None:
    assert error('{"a": ' + "9" * 1_000_000 + "}").what.startswith("the number 9999")


def test_deep_nesting_is_refused_with_its_place() -> None:
    found = error("[" * 100_000)
    assert ("c.json:1:66", "the value is nested too deeply") == (found.at, found.what)


def test_invalid_utf8_names_the_byte_and_its_place() -> None:
    found = error(b'{\n "a": "\xff"}')
    assert ("c.json is not UTF-8", "c.json:2:8", "byte 0xff does not belong there") == (found.what, found.at, found.why)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    found = error('{"a": 1}'.encode(encoding))
    assert "it starts with the mark of UTF-16 or UTF-32" == found.why


def test_a_file_of_absurd_size_is_refused() -> None:
    assert "c.json is too large" == error(b" " * (17 << 20)).what


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 1, 4]))
def test_every_json_value_is_read_as_json_reads_it(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if "\\u0000" in text:
        return
    assert value == parse(text, "c.json").value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_an_error_with_a_place(data: bytes) -> None:
    try:
        read(data, "c.json")
    except UserError as found:
        assert found.at.startswith("c.json")
