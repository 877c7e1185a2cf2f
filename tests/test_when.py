"""The language of ``when``: what it refuses, and where; what it becomes in C; which targets take it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from wc_intercept.generator.build import plan, scene_of
from wc_intercept.generator.conditions import literal
from wc_intercept.generator.config import parse
from wc_intercept.generator.emit import emit
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Coverage


def planned(*funcs: dict[str, Any], engine: Any = "preload", **more: Any) -> Any:
    return plan(parse(json.dumps({"funcs": list(funcs), **more}), "c.json"), scene=scene_of(engine, None)).plan


def error(when: str, func_name: str = "open", engine: Any = "preload", **more: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        planned({"func_name": func_name, "when": when, **more}, engine=engine)
    return caught.value


def said(when: str, func_name: str = "open", **more: Any) -> tuple[str, str]:
    """Return what is wrong, and what stands where it is wrong in the config."""
    found = error(when, func_name, **more)
    column = re.match(r"c\.json:1:(\d+)  funcs\[0\]\.when$", found.at)
    assert column, found.at
    text = json.dumps({"funcs": [{"func_name": func_name, "when": when, **more}]})
    return found.what.removeprefix(f"{func_name}: "), text[int(column[1]) - 1 :].removesuffix('"}]}')


@pytest.mark.parametrize(
    ("when", "what", "there"),
    [
        ("flags ==", "the expression ends where a name, a number or a text is missing", ""),
        ("flags == 1 1", "'1' was not expected here", "1"),
        ("(flags == 1", "')' is missing", ""),
        ("flags = 1", "'=' means nothing here", "= 1"),
        ("flags & 1 && mode", "'&&' means nothing here", "&& mode"),
        ("!flags", "'!' means nothing here", "!flags"),
        ("0 < flags < 3", "'<' compares what is a comparison already", "< 3"),
        ("flags == 0x", "'0x' is not a number", "0x"),
        ("flags == 12ab", "'12ab' is not a number", "12ab"),
        ("flags == 099", "'099' is not a number", "099"),
        ("flags == 0x10000000000000000", "the number 0x10000000000000000 is too large", "0x10000000000000000"),
        ("pathname == 'x", "the text that begins here does not end", "'x"),
        (r"pathname == '\q'", r"'\q' means nothing in a text", r"\\q'"),
        (r'pathname == "a\q"', r"'\q' means nothing in a text", r'\\q\"'),
        ("pathname ~ '[a'", "the set of a glob that begins with '[' does not end", "'[a'"),
        ("nothing == 1", "nothing is named 'nothing' here", "nothing == 1"),
        ("pathname == 'a' and return == 1", "nothing is named 'return' here", "return == 1"),
        ("pathname + 1 == 'x'", "only a parameter, ret or caller is compared with a text", "pathname + 1 == 'x'"),
        ("flags == 'x'", "'flags' is no text", "flags == 'x'"),
        ("flags ~ pathname", "a text in quotes is missing", "pathname"),
        ("'x'", "a text is no condition", "'x'"),
        ("flags + 'x' == 1", "a text is no number", "'x' == 1"),
        ("(flags == 1) + 1 == 2", "a condition is no number", "flags == 1) + 1 == 2"),
        ("caller == 1", "'caller' is no number", "caller == 1"),
        ("flags / 0 == 1", "this divides by zero", "/ 0 == 1"),
        ("flags << 64 == 1", "this shifts by more than there is", "<< 64 == 1"),
        ("1 == 1", "this is decided already", "1 == 1"),
        ("1", "this is always true", "1"),
        ("mode == -1", "this is never true", "mode == -1"),
        ("flags & 3 == 4", "this is never true", "flags & 3 == 4"),
        ("errno >= 0", "this is always true", "errno >= 0"),
        ("not " * 41 + "flags", "the expression is nested too deeply", "not flags"),
        ("(" * 41 + "flags" + ")" * 41, "the expression is nested too deeply", "(flags" + ")" * 41),
        ("pathname == 'h\u00e9\U0001f600' and nope", "nothing is named 'nope' here", "nope"),
    ],
)
def test_what_is_wrong_is_an_error_at_its_column(when: str, what: str, there: str) -> None:
    assert (what, there) == said(when)


@pytest.mark.parametrize(
    ("func_name", "when", "what", "why"),
    [
        ("sin", "x == 1", "'x' is no number", "its type is double"),
        ("div", "ret == 1", "'ret' is no number", "its type is div_t"),
        ("free", "ret == 1", "'ret' is no number", "it returns nothing"),
        ("write", "buf == 'x'", "'buf' is no text", "what it points to does not end with a NUL"),
        ("free", "ptr ~ 'x'", "'ptr' is no text", "it is no text"),
        ("strlen", "errno == 1", "'errno' is no number", "nothing is known of how it fails"),
        ("exit", "errno == 1", "'errno' is no number", "the call does not return"),
        ("write", "count < 0", "this is never true", "'count' is 0 to 18446744073709551615"),
        ("write", "errno == EIO", "", ""),
        ("write", "fd == EIO and buf != NULL and (count + 1) * 2 > 7", "", ""),
        ("pthread_create", "errno == EAGAIN and ret == 11", "", ""),
        ("setjmp", "ret == 0", "a tail-jump tests nothing", None),
        ("execve", "errno == ENOENT", "the expression comes too late", None),
    ],
)
def test_types_are_those_of_the_prototype(func_name: str, when: str, what: str, why: str | None) -> None:
    if not what:
        planned({"func_name": func_name, "when": when})
        return
    found = error(when, func_name)
    assert what == found.what.removeprefix(f"{func_name}: ")
    assert why in (None, found.why)


@pytest.mark.parametrize("record", ["entry", "both"])
def test_what_needs_the_return_has_no_record_before_it(record: str) -> None:
    assert "comes too late" in error("errno == ENOENT", record=record).what
    planned({"func_name": "open", "when": "flags & O_CREAT", "record": record})


def test_a_name_that_may_be_meant_is_given() -> None:
    assert ("pathname", "ret", "flags") == (error("path ~ 'x'").try_, error("return == 1").try_, error("flag == 1").try_)
    assert "and" == error("flags && 1").try_


def test_a_system_calls_error_names_its_own_entry() -> None:
    with pytest.raises(UserError) as caught:
        planned(engine="auto", syscalls=[{"syscall_id": "openat", "when": "nope"}])
    assert ("openat: nothing is named 'nope' here", "c.json:1:62  syscalls[0].when") == (caught.value.what, caught.value.at)


def test_a_set_takes_the_functions_that_the_expression_fits() -> None:
    found: list[Coverage] = list(planned({"set": "%desc", "when": "fd == 3"}).coverage)
    status = {line.target: (line.status, line.reason) for line in found}
    assert "wrapped" == status["read"][0]
    assert "excluded" == status["pipe"][0] and "its 'when' does not fit: nothing is named 'fd' here" in status["pipe"][1]


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_a_glob_that_the_expression_fits_nowhere_is_an_error(engine: str) -> None:
    assert "nothing is named 'nope' here" in error("nope == 1", "open*", engine).what


def test_an_alias_without_the_word_has_it_0() -> None:
    """The checked open takes no mode."""
    source = emit(planned({"func_name": "open", "when": "mode & 0111"})).sources["hooks_00.c"]
    assert {"((int64_t)mode & 73) != 0", "((int64_t)0 & 73) != 0"} == set(re.findall(r"wci_when\(&call, (.*)\) &&", source))


@pytest.mark.parametrize(
    ("when", "c"),
    [
        ("count >= 4096 and fd > 2", "(uint64_t)n >= 4096u && (int64_t)fd > 2"),
        ("fd < count", "wc_order_mixed((int64_t)fd, (uint64_t)n) < 0"),
        ("count <= fd", "wc_order_mixed((int64_t)fd, (uint64_t)n) >= 0"),
        ("not (fd == 1 or fd == 2)", "!((int64_t)fd == 1) || ((int64_t)fd == 2))"),
        ("buf == NULL", "(uint64_t)(uintptr_t)buf == 0u"),
    ],
)
def test_numbers_become_c_that_a_person_reads(when: str, c: str) -> None:
    source = emit(planned({"func_name": "write", "when": when})).sources["hooks_00.c"]
    assert f"wci_when(&call, {c.replace('!((', '!(((')}) &&" in source


def test_a_target_without_an_expression_has_the_code_that_it_had() -> None:
    source = emit(planned({"func_name": "write"})).sources["hooks_00.c"]
    assert [] == re.findall(r"wci_when|wc_order|wci_enter_counted", source)


def test_a_text_in_c_is_plain_or_octal() -> None:
    assert r'"a b/\042\134\077\011h\303\251"' == literal('a b/"\\?\th\u00e9')
