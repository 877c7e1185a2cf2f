"""consumer/abi_fields.py and abi.py against runtime/include/wc_abi.h, by a C program that prints the header's truth."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from wc_intercept import runtime
from wc_intercept.consumer import abi, ring
from wc_intercept.consumer import abi_fields as fields

INCLUDE = Path(next(iter(runtime.__path__))) / "include"

CONSTANTS = {
    "ABI_VERSION": "WCI_ABI_VERSION", "CONTROL_MAGIC": "WCI_CONTROL_MAGIC", "SEGMENT_MAGIC": "WCI_SEGMENT_MAGIC",
    "MANIFEST_MAGIC": "WCI_MANIFEST_MAGIC", "CELL_SIZE": "WCI_CELL_SIZE", "RECORD_CELLS": "WCI_RECORD_CELLS",
    "FIRST_ARGS": "WCI_FIRST_ARGS", "CONT_PAYLOAD": "WCI_CONT_PAYLOAD", "CHUNK_CELLS": "WCI_CHUNK_CELLS",
    "INFLIGHT": "WCI_INFLIGHT", "CLAIMS": "WCI_CLAIMS", "CONTROL_WORDS": "WCI_CONTROL_WORDS",
    "CONTROL_ROOM": "WCI_CONTROL_ROOM", "WORD_LIMITED": "WCI_WORD_LIMITED",
    "SYMBOL_NONE": "WCI_SYMBOL_NONE", "NO_DURATION": "WCI_NO_DURATION", "LOSSES": "WCI_LOSSES",
    "NOTHING": "WCI_NOTHING",
    "CALL": "WCI_CALL", "ENTER": "WCI_ENTER", "EXEC": "WCI_EXEC", "PROCESS": "WCI_PROCESS", "THREAD": "WCI_THREAD",
    "CONTROL_SEEN": "WCI_CONTROL_SEEN", "LOST": "WCI_LOST", "CONTINUATION": "WCI_CONTINUATION", "FILLER": "WCI_FILLER",
    "PROCESS_EXEC": "WCI_PROCESS_EXEC", "PROCESS_FORK": "WCI_PROCESS_FORK", "PROCESS_VFORK": "WCI_PROCESS_VFORK",
    "LOSS_FULL": "WCI_LOSS_FULL", "LOSS_MEMORY": "WCI_LOSS_MEMORY", "LOSS_RING": "WCI_LOSS_RING",
    "LOSS_QUIET": "WCI_LOSS_QUIET", "LOSS_NESTED": "WCI_LOSS_NESTED", "BLOB_KEPT": "WCI_BLOB_KEPT",
    "BLOB_TRUNCATED": "WCI_BLOB_TRUNCATED", "BLOB_UNREADABLE": "WCI_BLOB_UNREADABLE", "BLOB_NULL": "WCI_BLOB_NULL",
    "BLOCK": "WCI_BLOCK", "DROP": "WCI_DROP", "OVERWRITE": "WCI_OVERWRITE", "CLOCK_TSC": "WCI_CLOCK_TSC",
    "CLOCK_MONOTONIC": "WCI_CLOCK_MONOTONIC", "FOLLOW_NONE": "WCI_FOLLOW_NONE", "FOLLOW_DEFAULT": "WCI_FOLLOW_DEFAULT",
    "FOLLOW_ALL": "WCI_FOLLOW_ALL", "WORD_ON": "WCI_WORD_ON", "WORD_DROP": "WCI_WORD_DROP", "INJECTED": "WCI_INJECTED", "DELAYED": "WCI_DELAYED",
    "ASK_LEVELS": "WCI_ASK_LEVELS", "ASK_SIZE": "WCI_ASK_SIZE", "ASK_CELLS": "WCI_ASK_CELLS", "ASK_TEXT": "WCI_ASK_TEXT",
    "ASK_VALUES": "WCI_ASK_VALUES", "ASKING_AT": "WCI_ASKING_AT", "HINTS": "WCI_HINTS", "GO": "WCI_GO", "RESULT": "WCI_RESULT",
    "CHANGED": "WCI_CHANGED",
}  # fmt: skip


def probe() -> str:
    lines = []
    for name, constant in CONSTANTS.items():
        lines.append(f'printf("{name} %llu\\n", (unsigned long long)({constant}));')
    for struct, layout in fields.STRUCTS.items():
        lines.append(f'printf("{struct} %zu\\n", sizeof(struct wci_{struct}));')
        for name in layout.fields:
            member = f"((struct wci_{struct} *)0)->{name}"
            lines.append(
                f'printf("{struct}.{name} %zu %zu\\n", offsetof(struct wci_{struct}, {name}), sizeof({member}));'
            )
    for word in (0x0003FFFF_00010000 | 3, 5 << 32 | 0xFFFF0001):
        lines.append(f'printf("generation:{word} %u\\n", WCI_WORD_GENERATION({word}ull));')
    return "#include <stdio.h>\n#include <wc_abi.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n"


@pytest.fixture(scope="module")
def truth(compile_c: Callable[..., Path]) -> dict[str, list[int]]:
    program = compile_c(probe(), f"-I{INCLUDE}")
    output = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: [int(word) for word in line.split()[1:]] for line in output.splitlines()}


def test_every_constant_is_the_headers(truth: dict[str, list[int]]) -> None:
    assert {name: truth[name][0] for name in CONSTANTS} == {name: getattr(fields, name) for name in CONSTANTS}


def test_every_member_stands_where_c_puts_it(truth: dict[str, list[int]]) -> None:
    expected = {name: values for name, values in truth.items() if "." in name}
    actual = {
        f"{struct}.{name}": [field.offset, field.size]
        for struct, layout in fields.STRUCTS.items()
        for name, field in layout.fields.items()
    }
    assert expected == actual


def test_every_struct_has_cs_size(truth: dict[str, list[int]]) -> None:
    assert {name: truth[name][0] for name in fields.STRUCTS} == {
        name: layout.size for name, layout in fields.STRUCTS.items()
    }


def test_a_words_generation_is_cs(truth: dict[str, list[int]]) -> None:
    words = {name: values[0] for name, values in truth.items() if name.startswith("generation:")}
    assert words == {name: fields.word_generation(int(name.partition(":")[2])) for name in words}


def test_switching_a_word_changes_its_generation_and_nothing_else() -> None:
    word = 7 << 32 | 0xFFFF << 16 | fields.WORD_DROP | fields.WORD_ON
    assert fields.word_with(word, on=False) == 7 << 32 | fields.WORD_DROP
    assert fields.word_with(word, on=True) == 7 << 32 | fields.WORD_DROP | fields.WORD_ON


@pytest.mark.parametrize("name", ["blob", "identity", "exec", "count", "inside", "claim", "ring", "segment"])
def test_the_dtypes_are_the_structs(name: str) -> None:
    dtype = abi.dtype_of(fields.STRUCTS[name])
    layout = fields.STRUCTS[name]
    assert dtype.itemsize == layout.size
    assert {field: dtype.fields[field][1] for field in layout.fields} == {
        field: layout.offset(field) for field in layout.fields
    }


def test_a_cell_is_a_first_cell_with_its_header_flat() -> None:
    offsets = {name: abi.CELL.fields[name][1] for name in abi.CELL.names}
    header = {name: fields.CELL_HEADER.offset(name) for name in fields.CELL_HEADER.fields}
    first = {name: fields.FIRST.offset(name) for name in fields.FIRST.fields if name != "header"}
    assert offsets == {**header, **first}
    assert abi.CELL.itemsize == fields.FIRST.size


def test_the_ring_reader_unpacks_the_lines_that_the_header_has() -> None:
    raw = fields.RING.pack(
        head=1, owner_pid=2, owner_tid=3, record_pid=4, ready=5, capacity=6, sampled=7, claims=8, lost_any=9,
        tail=10, waiting=11, wake=12,
    )  # fmt: skip
    assert ring._LINES.unpack(raw[: ring._LINES.size]) == tuple(range(1, 13))


def test_bytes_and_identities_are_read_without_copies() -> None:
    cells = np.zeros(2, abi.CELL)
    cells["args"][1][:16] = np.frombuffer(fields.IDENTITY.pack(pid=5, tid=6, parent=7, reason=1), np.uint8)
    assert abi.identity_of(cells[1]) == (5, 6, 7, 1)
    abi.bytes_of(cells)[0, 4] = 9
    assert cells["symbol"][0] == 9
