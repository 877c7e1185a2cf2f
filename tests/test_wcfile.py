"""The wc format: what was written is read, wherever the file was cut, whatever became of its bytes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from segment_builder import HASH, manifest
from wc_intercept.consumer import abi, wcfile
from wc_intercept.consumer.accounting import Account, Line
from wc_intercept.consumer.chunk import Chunk
from wc_intercept.consumer.clock import Sample
from wc_intercept.consumer.wcfile import WcReader, WcWriter
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import encode

SAMPLES = [Sample(1000, 500, 10**18), Sample(3000, 1500, 10**18 + 1000)]


def records(*lengths: int, pid: int = 1, tid: int = 2, position: int = 5) -> Chunk:
    """A chunk of records with these numbers of cells; every cell is different."""
    cells = np.zeros(sum(lengths), abi.CELL)
    cells["clock"] = np.arange(position, position + len(cells))
    first = 0
    for length in lengths:
        cells["kind"][first : first + length] = abi.CONTINUATION
        cells["count"][first : first + length] = np.arange(length)
        cells["kind"][first], cells["count"][first] = abi.CALL, length
        first += length
    return Chunk(pid, tid, 3, 4, position, cells)


def record(path: Path, *chunks: Chunk, account: bool = True) -> Path:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    writer = WcWriter(file, str(path), encode(manifest()), HASH)
    writer.clock(abi.CLOCK_TSC, SAMPLES[:1])
    writer.meta({"program": "/bin/test", "argv": ["a", "b"]})
    writer.chunks(chunks)
    writer.clock(abi.CLOCK_TSC, SAMPLES[1:])
    writer.meta({"program": "/bin/other"})
    if account:
        writer.account(Account(lines=[Line("open", calls=1, recorded=1)]))
    os.close(file)
    return path


def same(expected: list[Chunk], actual: list[Chunk]) -> bool:
    def plain(chunk: Chunk) -> tuple[object, ...]:
        return chunk.pid, chunk.tid, chunk.segment, chunk.ring, chunk.position, chunk.cells.tobytes()

    return [plain(chunk) for chunk in expected] == [plain(chunk) for chunk in actual]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "trace.wc"


def test_what_was_written_is_read(path: Path) -> None:
    chunks = [records(1, 1, 3), records(255, pid=8, tid=9, position=1 << 40), records(1)]
    with WcReader(record(path, *chunks)) as reader:
        assert (HASH, manifest(), 0) == (reader.hash, reader.manifest, reader.damaged)
        assert {"program": "/bin/other", "argv": ["a", "b"]} == reader.meta
        assert Account(lines=[Line("open", calls=1, recorded=1)]) == reader.account
        assert SAMPLES == reader.clock.samples
        assert abi.CLOCK_TSC == reader.clock.kind
        for _ in range(2):
            assert same(chunks, list(reader))


def test_a_recording_without_calls_is_one(path: Path) -> None:
    with WcReader(record(path)) as reader:
        assert [] == list(reader)


def test_many_small_chunks_are_written_in_order(path: Path) -> None:
    chunks = [records(1, position=i) for i in range(2000)]
    with WcReader(record(path, *chunks)) as reader:
        assert same(chunks, list(reader))


def test_a_chunk_larger_than_the_format_allows_is_split_at_a_record(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wcfile.MOST, wcfile.CELLS, 32 + 64 * 300)
    whole = records(200, 99, 255, 1, 1, 1)
    with WcReader(record(path, whole)) as reader:
        chunks = list(reader)
    assert [299, 258] == [len(chunk.cells) for chunk in chunks]
    assert [5, 304] == [chunk.position for chunk in chunks]
    assert whole.cells.tobytes() == b"".join(chunk.cells.tobytes() for chunk in chunks)


def test_short_writes_are_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda file, parts: real(file, [memoryview(parts[0])[:7]]))
    chunks = [records(1, 3), records(2)]
    with WcReader(record(path, *chunks)) as reader:
        assert same(chunks, list(reader))


def test_a_full_disk_is_told_to_the_user() -> None:
    file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(UserError, match="cannot write the recording: No space left") as error:
        WcWriter(file, "trace.wc", b"{}", 0)
    assert "trace.wc" == error.value.at
    os.close(file)


def test_a_file_cut_at_any_byte_gives_every_whole_record_before_the_cut(path: Path) -> None:
    """What a killed wc-run leaves."""
    chunks = [records(1, 2), records(3, 1, position=50), records(1, position=90)]
    data = record(path, *chunks).read_bytes()
    ends = record_ends(data, chunks)
    start = data.index(b'"program":"/bin/test"')
    for size in range(start, len(data)):
        path.write_bytes(data[:size])
        with WcReader(path) as reader:
            got = [cells.tobytes() for chunk in reader for cells in split(chunk)]
        whole = [cells for end, cells in ends if end <= size]
        assert whole == got, size
    assert len(ends) == 5


def split(chunk: Chunk) -> list[np.ndarray]:
    return np.split(chunk.cells, chunk.firsts[1:])


def record_ends(data: bytes, chunks: list[Chunk]) -> list[tuple[int, bytes]]:
    ends = []
    for chunk in chunks:
        place = data.index(chunk.cells.tobytes())
        for cells in split(chunk):
            place += len(cells.tobytes())
            ends.append((place, cells.tobytes()))
    return ends


def test_a_file_cut_in_its_header_or_manifest_is_refused_with_a_message(path: Path) -> None:
    data = record(path, records(1)).read_bytes()
    manifest_ends = data.index(b"}", data.index(b'"open64"'))
    for size in range(manifest_ends):
        path.write_bytes(data[:size])
        with pytest.raises(UserError):
            WcReader(path)


def test_damage_costs_one_chunk_and_is_told(path: Path) -> None:
    chunks = [records(1, position=10), records(2, position=20), records(3, position=30)]
    data = bytearray(record(path, *chunks).read_bytes())
    place = data.index(chunks[1].cells.tobytes())
    data[place - 8] ^= 1  # in the chunk's descriptor
    path.write_bytes(data)
    with WcReader(path) as reader:
        assert same([chunks[0], chunks[2]], list(reader))
        assert 24 + 32 + 128 == reader.damaged


def test_a_damaged_cell_costs_what_follows_in_its_chunk(path: Path) -> None:
    chunk = records(1, 1, 3, 1)
    data = bytearray(record(path, chunk, records(2)).read_bytes())
    data[data.index(chunk.cells.tobytes()) + 2 * 64 + 7] = 99
    path.write_bytes(data)
    with WcReader(path) as reader:
        for _ in range(2):
            assert [2, 2] == [len(chunk.cells) for chunk in reader]
        assert 4 * 64 == reader.damaged


def test_types_of_later_versions_are_skipped(path: Path) -> None:
    chunks = [records(1), records(2)]
    record(path, *chunks, account=False)
    with open(path, "ab") as file:
        file.write(wcfile._chunk_header(77, 1000, b"") + b"?" * 1000)
        for part in wcfile._cells_chunks(records(4)):
            file.write(part)
    with WcReader(path) as reader:
        assert same([*chunks, records(4)], list(reader))
        assert 0 == reader.damaged


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (wcfile._FILE.pack(wcfile.MAGIC, 2, 1, 0), "another version"),
        (wcfile._FILE.pack(wcfile.MAGIC, 1, 2, 0), "another version"),
        (b"#!/bin/sh\n" * 10, "no recording"),
        (b"", "no recording"),
        (wcfile._FILE.pack(wcfile.MAGIC, 1, 1, 0), "no usable manifest"),
    ],
)
def test_what_is_no_recording_of_ours_is_refused(path: Path, header: bytes, word: str) -> None:
    path.write_bytes(header)
    with pytest.raises(UserError, match=word):
        WcReader(path)
    with pytest.raises(UserError, match="cannot open"):
        WcReader(path.parent / "none")
    with pytest.raises(UserError, match="cannot read"):
        WcReader(path.parent)


def test_a_hostile_length_costs_no_memory(path: Path) -> None:
    """A sparse file of a terabyte bears out any length."""
    record(path, records(1))
    with open(path, "ab") as file:
        for type_ in (wcfile.MANIFEST, wcfile.CLOCK, wcfile.CELLS, wcfile.META, wcfile.ACCOUNT, 99):
            file.write(wcfile._chunk_header(type_, 1 << 39, b""))
        file.truncate(file.tell() + (1 << 24))
    with WcReader(path) as reader:
        assert [1] == [len(chunk.cells) for chunk in reader]
        assert reader.damaged >= 1 << 24


def test_a_file_truncated_while_it_is_read_ends_there(path: Path) -> None:
    record(path, *[records(1, position=i) for i in range(50)])
    with WcReader(path) as reader:
        chunks = iter(reader)
        assert 0 == next(chunks).position
        os.truncate(path, 100)
        assert [] == list(chunks)


def survives(path: Path) -> None:
    try:
        with WcReader(path) as reader:
            for chunk in reader:
                assert 0 < len(chunk.cells)
                assert 0 == chunk.firsts[0]
            assert 0 <= reader.damaged
    except UserError:
        pass


def test_random_cuts_and_flipped_bits_never_do_more_than_damage(path: Path, soak: bool) -> None:
    chance = random.Random(11)
    data = record(path, records(1, 2, 3), records(200, 1), *[records(1)] * 5).read_bytes()
    for _ in range(20000 if soak else 600):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8, 100))):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        if chance.random() < 0.5:
            del broken[chance.randrange(len(broken)) :]
        if chance.random() < 0.3:
            at = chance.randrange(len(broken) + 1)
            broken[at:at] = broken[: chance.randrange(200)]
        path.write_bytes(broken)
        survives(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=200), st.booleans()), max_size=8))
def test_any_chunks_with_any_payload_are_survived(path: Path, parts: list[tuple[int, bytes, bool]]) -> None:
    record(path, records(1))
    with open(path, "ab") as file:
        for type_, payload, honest in parts:
            file.write(wcfile._chunk_header(type_, len(payload), payload[:32] if type_ == wcfile.CELLS else payload))
            file.write(payload if honest else payload[: len(payload) // 2])
    survives(path)
