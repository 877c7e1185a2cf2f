"""The summary and the account: exact where they promise it, close where they say so, and never looking like calls."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_builder import PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import abi
from wc_intercept.consumer.accounting import Account, Line
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.summary import Histogram, Summary, bucket_of, duration_text, print_summary, value_of
from wc_intercept.consumer.told import accounting_lines, print_accounting
from wc_intercept.generator.manifest import Field, Return, Target

FD = Field("fd", "int", 0, 4, role="fd")
READ = symbol_of("read", FD, result=Return("int", 8, fail="-1"))
CLOSE = symbol_of("close", FD, result=Return("int", 4, fail="-1"))


def summed(recorder: Recorder) -> Summary:
    summary = Summary()
    summary.add(Joiner().join(Decoder(recorder.manifest, PlainClock()).decode(recorder.chunk())))
    return summary


def test_a_function_has_its_calls_errors_and_times():
    recorder = Recorder(manifest_of(READ, CLOSE))
    for duration in range(1, 101):
        recorder.call("read", 3, ret=-1 if duration % 10 == 0 else 1, error=4, duration=duration)
    recorder.call("close", 3, duration=50)

    read, close = summed(recorder).rows()

    assert ("read", 100, 10, 100) == (read.func, read.calls, read.errors, read.measured)
    assert (5050, 50.5, 50, 99, 100) == (read.total, read.mean, read.p50, read.p99, read.max)
    assert ("close", 1, 0, 50) == (close.func, close.calls, close.errors, close.p50)
    assert 1.0 == read.share + close.share


def test_aliases_are_one_function():
    symbols = [symbol_of("open", target=0), symbol_of("open64", target=0)]
    recorder = Recorder(manifest_of(*symbols, targets=[Target("open")])).call("open").call("open64")

    assert [("open", 2)] == [(row.func, row.calls) for row in summed(recorder).rows()]


def test_calls_that_were_not_measured_count_as_calls_only():
    recorder = Recorder(manifest_of(READ)).call("read", 3, duration=None).call("read", 3, duration=7)
    (row,) = summed(recorder).rows()

    assert (2, 1, 7, 7.0, 7) == (row.calls, row.measured, row.total, row.mean, row.max)
    (row,) = summed(Recorder(manifest_of(READ)).call("read", 3, duration=None)).rows()
    assert (1, 0, None, None, None) == (row.calls, row.measured, row.mean, row.p50, row.max)


def test_absurd_durations_add_up_all_the_same():
    recorder = Recorder(manifest_of(READ)).call("read", 3, duration=1 << 62).call("read", 3, duration=1 << 62)

    assert [(1 << 63, 1 << 62)] == [(row.total, row.max) for row in summed(recorder).rows()]


def test_a_call_with_an_enter_record_counts_once():
    recorder = Recorder(manifest_of(READ, targets=[Target("read", record="both")]))
    recorder.call("read", 3, kind=abi.ENTER, clock=5).call("read", 3, clock=5)

    assert [1] == [row.calls for row in summed(recorder).rows()]


@given(st.lists(st.integers(0, (1 << 62) - 1), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentiles_are_off_by_less_than_one_percent(values, share):
    histogram = Histogram()
    histogram.add(np.array(values, np.int64))
    exact = sorted(values)[int(np.ceil(share * len(values))) - 1]

    assert abs(histogram.quantile(share) - exact) <= exact / 100


@given(st.integers(0, (1 << 62) - 1))
def test_a_bucket_holds_what_is_close_to_its_value(value):
    (bucket,) = bucket_of(np.array([value])).tolist()

    assert abs(value_of(bucket) - value) <= value / 100


def test_the_histogram_stays_small():
    histogram = Histogram()
    histogram.add(np.array([0, 1 << 62], np.int64))

    assert len(histogram._counts) < 4000
    assert 0 == Histogram().quantile(0.5)


def printed(summary: Summary) -> str:
    stream = io.StringIO()
    print_summary(summary, stream)
    return stream.getvalue()


def test_the_table_names_every_function_and_looks_like_no_call():
    long_name = "a_function_with_a_name_that_is_much_longer_than_any_terminal_is_wide_" * 3
    recorder = Recorder(manifest_of(READ, symbol_of(long_name), symbol_of("[red]odd")))
    recorder.call("read", 3, duration=1_500_000).call(long_name).call("[red]odd")

    text = printed(summed(recorder))

    assert all(name in text for name in ("read", long_name, "[red]odd", "1.50 ms"))
    assert re.search(r"\w\(", text) is None
    assert "\x1b" not in text


def test_an_empty_summary_is_a_heading():
    assert "calls" in printed(Summary())
    assert [] == Summary().as_json()


@pytest.mark.parametrize(
    ("ns", "text"),
    [(None, ""), (0, "0 ns"), (999, "999 ns"), (1000, "1.00 us"), (1_234_000, "1.23 ms"), (250_000_000, "250 ms"),
     (12_340_000_000, "12.34 s"), (5_000_000_000_000, "5,000 s")],
)  # fmt: skip
def test_durations_are_told_in_the_unit_that_suits_them(ns, text):
    assert text == duration_text(ns)


def test_the_account_is_one_line_when_all_is_well():
    account = Account([Line("open", calls=3, recorded=3), Line("read", calls=9, recorded=5, sampled=4)])

    assert ["12 calls = 8 recorded + 4 sampled out"] == accounting_lines(account)


def test_losses_are_told_with_their_target_and_reason():
    lines = [Line("open", calls=3, recorded=3), Line("read", calls=2000, recorded=1990, lost=8, torn=2)]
    stream = io.StringIO()
    print_accounting(Account(lines, losses={"ring full": 8}, no_segment=1), stream, "wc-report")

    assert (
        "wc-report: 2,003 calls = 1,993 recorded + 8 lost + 2 torn\n"
        "wc-report: read: 2,000 calls = 1,990 recorded + 8 lost + 2 torn\n"
        "wc-report: lost because: ring full 8\n"
        "wc-report: 1 programs ran unrecorded: no room for a segment\n"
    ) == stream.getvalue()
