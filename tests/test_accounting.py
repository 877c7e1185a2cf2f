"""The identity: calls = recorded + sampled + filtered + suppressed + lost + torn + unfinished + abandoned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from segment_builder import HASH, TARGETS, SegmentBuilder, manifest
from wc_intercept.consumer import abi
from wc_intercept.consumer.accounting import Account, Accounting, Inside, Line, RingEnd, ring_end
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.machine import Native
from wc_intercept.consumer.ring import Findings, Ring
from wc_intercept.consumer.segment import Segment
from wc_intercept.generator.manifest import Manifest, Symbol, Target

OPEN, READ, EXIT, EXECVE, NANOSLEEP, OPEN64 = range(6)


def chunk(*records: tuple[int, int] | tuple[int, int, int], pid: int = 1, ring: int = 0) -> Chunk:
    """Records as (kind, symbol) or (kind, symbol, result)."""
    cells = np.zeros(len(records), abi.CELL)
    for cell, (kind, symbol, *result) in zip(cells, records, strict=True):
        cell["kind"], cell["symbol"], cell["count"], cell["result"] = kind, symbol, 1, (result or [0])[0]
    return Chunk(pid, pid, 0, ring, 0, cells)


def counts(**targets: dict[str, int]) -> RingEnd:
    """Counts by target name."""
    values = np.zeros(len(TARGETS), abi.COUNT)
    for name, fields in targets.items():
        for field, value in fields.items():
            values[TARGETS.index(name)][field] = value
    return RingEnd(values)


def line(accounting: Accounting, name: str = "open", findings: Findings | None = None) -> Line:
    return next(one for one in accounting.account(findings or Findings()).lines if one.name == name)


def inside(symbol: int, clock: int = 0) -> Inside:
    return Inside(1, 1, symbol, clock, 0)


def balanced(one: Line) -> bool:
    return one.calls == sum(getattr(one, name) for name in one.__struct_fields__[2:])


def test_calls_that_returned_and_were_recorded_balance() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, OPEN), (abi.CALL, READ), (abi.CALL, OPEN)))
    accounting.ring_ended(counts(open={"calls": 2, "returned": 2}, read={"calls": 1, "returned": 1}))
    assert Line("open", calls=2, recorded=2) == line(accounting)
    assert Line("read", calls=1, recorded=1) == line(accounting, "read")


def test_an_aliass_records_count_for_its_target() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, OPEN), (abi.CALL, OPEN64)))
    accounting.ring_ended(counts(open={"calls": 2, "returned": 2}))
    assert Line("open", calls=2, recorded=2) == line(accounting)


def test_continuations_and_other_kinds_are_no_calls() -> None:
    accounting = Accounting(manifest())
    others = [(kind, OPEN) for kind in (abi.PROCESS, abi.THREAD, abi.CONTROL_SEEN, abi.LOST, abi.CONTINUATION)]
    accounting.chunk(chunk((abi.CALL, OPEN), *others))
    assert 1 == accounting.recorded.sum()


def test_what_the_programs_counted_is_taken_over() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, OPEN)))
    ring = {"calls": 20, "sampled": 3, "filtered": 4, "suppressed": 5, "lost": 7, "returned": 8}
    accounting.ring_ended(counts(open=ring))
    assert Line("open", 20, 1, 3, 4, 5, 7) == line(accounting)


def test_rings_and_segments_add_up() -> None:
    accounting = Accounting(manifest())
    for _ in range(3):
        accounting.chunk(chunk((abi.CALL, OPEN)))
        accounting.ring_ended(counts(open={"calls": 2, "returned": 2, "lost": 1}))
    assert Line("open", calls=6, recorded=3, lost=3) == line(accounting)


def test_calls_without_a_ring_are_lost_ones() -> None:
    accounting = Accounting(manifest())
    end = counts(open={"calls": 4, "returned": 4, "lost": 4})
    end.owners = 0
    accounting.ring_ended(end)
    accounting.lost(np.array([0, 0, 4, 0, 0, 0, 0, 0], np.uint64))
    account = accounting.account(Findings())
    assert [Line("open", calls=4, lost=4)] == account.lines
    assert ({"no ring free": 4}, 4) == (account.losses, account.lost)


# Entries.


def test_a_call_that_never_returns_counts_by_its_entry() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.ENTER, EXIT), (abi.CALL, OPEN)))
    accounting.ring_ended(counts(exit={"calls": 1, "returned": 1}, open={"calls": 1, "returned": 1}))
    assert Line("exit", calls=1, recorded=1) == line(accounting, "exit")


def with_record(record: Any) -> Manifest:
    return msgspec.structs.replace(manifest(), targets=[Target(name, record=record) for name in TARGETS])


def test_a_target_recorded_at_entry_counts_by_its_entry() -> None:
    accounting = Accounting(with_record("entry"))
    accounting.chunk(chunk((abi.ENTER, OPEN), (abi.ENTER, OPEN)))
    accounting.ring_ended(counts(open={"calls": 2, "returned": 2}))
    assert Line("open", calls=2, recorded=2) == line(accounting)


def test_a_call_recorded_at_entry_and_at_exit_counts_once() -> None:
    accounting = Accounting(with_record("both"))
    accounting.chunk(chunk((abi.ENTER, OPEN), (abi.ENTER, READ), (abi.CALL, READ), (abi.CALL, OPEN), (abi.ENTER, OPEN)))
    end = counts(open={"calls": 2, "returned": 1}, read={"calls": 1, "returned": 1})
    end.inside = [inside(OPEN)]
    accounting.ring_ended(end)
    assert Line("open", calls=2, recorded=1, unfinished=1) == line(accounting)
    assert Line("read", calls=1, recorded=1) == line(accounting, "read")


# exec.


def test_an_exec_stands_for_its_call() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.EXEC, EXECVE, 1)))
    accounting.ring_ended(counts(execve={"calls": 1, "returned": 1}))
    assert Line("execve", calls=1, recorded=1) == line(accounting, "execve")


def test_an_exec_that_nobody_asked_for_stands_for_nothing() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.EXEC, EXECVE, 0)))
    assert 0 == accounting.recorded.sum()


def test_an_exec_that_failed_is_one_call_with_its_record() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, OPEN), (abi.EXEC, EXECVE, 1), (abi.CALL, EXECVE)))
    accounting.chunk(chunk((abi.EXEC, EXECVE, 1)))
    accounting.chunk(chunk((abi.CALL, EXECVE), (abi.CALL, OPEN)))
    assert [2, 2] == [int(accounting.recorded[symbol]) for symbol in (OPEN, EXECVE)]


def test_an_exec_in_a_vfork_child_is_not_its_parents_call() -> None:
    """Both write into one ring: the child's exec succeeded, then the parent's own failed."""
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.PROCESS, 0), (abi.EXEC, EXECVE, 1), pid=2))
    accounting.chunk(chunk((abi.THREAD, 0), (abi.CALL, EXECVE), pid=1))
    assert 2 == int(accounting.recorded[EXECVE])


def test_execs_of_other_rings_do_not_meet() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.EXEC, EXECVE, 1), ring=0))
    accounting.chunk(chunk((abi.CALL, EXECVE), ring=1))
    assert 2 == int(accounting.recorded[EXECVE])


# What never came back.


def test_calls_inside_at_the_end_are_unfinished_and_the_rest_abandoned() -> None:
    accounting = Accounting(manifest())
    end = counts(open={"calls": 5}, nanosleep={"calls": 1})
    end.inside = [inside(OPEN, 7), inside(NANOSLEEP, 8)]
    accounting.ring_ended(end)
    assert Line("open", calls=5, unfinished=1, abandoned=4) == line(accounting)
    assert Line("nanosleep", calls=1, unfinished=1) == line(accounting, "nanosleep")
    assert [(NANOSLEEP, 8), (OPEN, 7)] == [(one.symbol, one.clock) for one in accounting.inside]


def test_calls_of_a_thread_that_ended_in_them_are_abandoned() -> None:
    accounting = Accounting(manifest())
    end = counts(open={"calls": 1})
    end.inside, end.left = [inside(OPEN)], True
    accounting.ring_ended(end)
    assert Line("open", calls=1, abandoned=1) == line(accounting)
    assert [] == accounting.inside


def test_an_entry_whose_record_stands_for_it_is_not_unfinished() -> None:
    """exit is always inside at the end: its ENTER record was counted as returned."""
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.ENTER, EXIT)))
    end = counts(exit={"calls": 1, "returned": 1})
    end.inside = [inside(EXIT)]
    accounting.ring_ended(end)
    assert Line("exit", calls=1, recorded=1) == line(accounting, "exit")
    assert [] == accounting.inside


def test_a_hostile_stack_invents_no_calls() -> None:
    accounting = Accounting(manifest())
    end = counts(open={"calls": 1})
    end.inside = [inside(OPEN), inside(OPEN), inside(65535), inside(READ)]
    accounting.ring_ended(end)
    assert [Line("open", calls=1, unfinished=1)] == accounting.account(Findings()).lines


# Torn, overwritten, missing.


def test_a_record_that_was_seen_torn_is_its_targets() -> None:
    accounting = Accounting(manifest())
    accounting.ring_ended(counts(open={"calls": 1, "returned": 1}))
    findings = Findings(torn=Counter({OPEN64: 1}))
    assert Line("open", calls=1, torn=1) == line(accounting, findings=findings)
    assert {"open64": 1} == accounting.account(findings).torn


def test_a_record_seen_torn_may_be_of_a_call_not_counted_as_returned() -> None:
    """It is counted as that just before its record is committed."""
    accounting = Accounting(manifest())
    accounting.ring_ended(counts(open={"calls": 2}))
    assert Line("open", calls=2, torn=1, abandoned=1) == line(accounting, findings=Findings(torn=Counter({OPEN: 1})))


def test_a_record_lost_before_its_call_was_counted_as_returned_is_taken_from_the_inside() -> None:
    accounting = Accounting(manifest())
    accounting.ring_ended(counts(open={"calls": 1, "lost": 1}))
    assert Line("open", calls=1, lost=1) == line(accounting)


def test_a_call_killed_before_its_record_was_committed_is_torn_by_difference() -> None:
    accounting = Accounting(manifest())
    accounting.ring_ended(counts(open={"calls": 1, "returned": 1}))
    assert Line("open", calls=1, torn=1) == line(accounting)
    assert 1 == accounting.account(Findings()).lost


def test_more_than_can_be_torn_is_missing_and_said_to_be() -> None:
    accounting = Accounting(manifest())
    accounting.ring_ended(counts(open={"calls": 10, "returned": 10}))
    assert Line("open", calls=10, torn=1, missing=9) == line(accounting)


def test_records_that_nobody_counted_are_missing_the_other_way() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, OPEN), (abi.CALL, OPEN)))
    accounting.ring_ended(counts(open={"calls": 1, "returned": 1}))
    assert Line("open", calls=1, recorded=2, missing=-1) == line(accounting)
    assert 1 == accounting.account(Findings()).lost


def test_in_overwrite_mode_the_difference_is_what_was_overwritten() -> None:
    accounting = Accounting(manifest(), overwrite=True)
    accounting.chunk(chunk((abi.CALL, OPEN)))
    accounting.ring_ended(counts(open={"calls": 100, "returned": 100}))
    findings = Findings(torn=Counter({OPEN: 1}))
    assert Line("open", calls=100, recorded=1, torn=1, overwritten=98) == line(accounting, findings=findings)
    assert accounting.account(findings).overwrite


def test_symbols_that_the_manifest_does_not_have_are_corrupt() -> None:
    accounting = Accounting(manifest())
    accounting.chunk(chunk((abi.CALL, 6), (abi.CALL, 65535), (abi.ENTER, 999), (abi.EXEC, 999, 1), (abi.CALL, OPEN)))
    account = accounting.account(Findings(torn=Counter({777: 1})))
    assert (3, [Line("open", recorded=1, missing=-1)], {"?": 1}) == (account.corrupt, account.lines, account.torn)


def test_every_line_balances() -> None:
    chance = np.random.default_rng(3)
    for overwrite in (False, True):
        accounting = Accounting(manifest(), overwrite)
        for _ in range(20):
            accounting.chunk(chunk(*[(int(k), int(s)) for k, s in chance.integers(1, 7, (30, 2))]))
            end = RingEnd(np.zeros(len(TARGETS), abi.COUNT), [inside(int(s)) for s in chance.integers(0, 9, 5)])
            for name in ("calls", "sampled", "filtered", "suppressed", "lost", "returned"):
                end.counts[name] = chance.integers(0, 50, len(TARGETS))
            accounting.ring_ended(end)
        assert all(balanced(one) for one in accounting.account(Findings()).lines)


def test_a_rings_end_is_read_from_its_segment(tmp_path: Path) -> None:
    builder = SegmentBuilder(tmp_path)
    writer = builder.ring(1, pid=50, tid=51)
    writer.call(OPEN)
    writer.enter(READ, clock=9, argument=4)
    ring = Ring(Segment(builder.path, 3, HASH, len(TARGETS)), 1, Findings(), Native())
    ring.take(np.empty(100, abi.CELL), 0)
    end = ring_end(ring, left=False)
    assert ([1, 1, 0, 0, 0], 1) == (end.counts["calls"].tolist(), end.owners)
    assert [Inside(50, 51, READ, 9, 4, 3, 1)] == end.inside
    writer["depth"] = 0xFFFFFFFF
    assert abi.INFLIGHT == len(ring_end(ring, left=False).inside)


def test_an_account_survives_its_file_format() -> None:
    account = Account(lines=[Line("open", 3, 1, torn=2)], losses={"ring full": 1}, inside=[inside(OPEN)], refused={"a": "b"})
    assert account == msgspec.json.decode(msgspec.json.encode(account), type=Account)
    assert Account() == msgspec.json.decode(b"{}", type=Account)


def test_a_manifest_without_targets_counts_nothing() -> None:
    empty = msgspec.structs.replace(manifest(), targets=[], symbols=[])
    accounting = Accounting(empty)
    accounting.chunk(chunk((abi.CALL, OPEN)))
    assert (1, []) == (accounting.unknown, accounting.account(Findings()).lines)


def test_a_symbol_of_no_target_does_no_harm() -> None:
    odd = msgspec.structs.replace(manifest(), symbols=[Symbol("odd", 99, "plain")])
    accounting = Accounting(odd)
    accounting.chunk(chunk((abi.CALL, 0)))
    assert [] == accounting.account(Findings(torn=Counter({0: 1}))).lines
