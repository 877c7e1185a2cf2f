"""Errors to the user: one shape, printed in one place."""

from __future__ import annotations

import io

from wc_intercept.generator.errors import UserError, UserWarning_, nearest, our_bug, report


def printed(error: UserError) -> str:
    stream = io.StringIO()
    report("wc-gen", error, stream)
    return stream.getvalue()


def test_an_error_says_what_where_why_and_what_to_try() -> None:
    error = UserError("no function named 'fopne' in libc.so.6", "config.json:7:21  funcs[2]", "not exported", "fopen")
    expected = (
        "wc-gen: error: no function named 'fopne' in libc.so.6\n"
        "  at:   config.json:7:21  funcs[2]\n"
        "  why:  not exported\n"
        "  try:  fopen\n"
    )
    assert expected == printed(error)


def test_parts_without_text_leave_no_line() -> None:
    assert "wc-gen: error: nothing to do\n" == printed(UserError("nothing to do"))


def test_a_warning_has_the_same_shape() -> None:
    expected = "wc-gen: warning: dlsym is not wrapped\n  why:  is called by the runtime itself\n"
    assert expected == printed(UserWarning_("dlsym is not wrapped", why="is called by the runtime itself"))


def test_later_lines_of_a_part_stay_in_its_column() -> None:
    assert "wc-gen: error: x\n  why:  one\n        two\n" == printed(UserError("x", why="one\ntwo"))


def test_our_own_bug_asks_for_a_report() -> None:
    assert "bug of wc-intercept" in our_bug("the shim exports 'x'").try_


def test_the_nearest_spelling_comes_first_whatever_its_case() -> None:
    assert ["fopen", "fopen64"] == nearest("FOPNE", ["read", "fopen64", "fopen"])[:2]
    assert [] == nearest("qqqq", ["read", "write"])
