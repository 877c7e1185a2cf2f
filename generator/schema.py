"""config.json as data: the msgspec structs that read it, and the JSON Schema printed from the same structs.

Read by config.py, which gives positions and the checks that need more than one value; printed by ``wc-gen --schema``.
Rules: a key is here or it is an error; every number has its range and every choice its spellings in its type, so that
schema and reader cannot differ. A docstring below a key is its description in the schema.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .duration import DURATION_TEXT

UINT32_MOST = 0xFFFFFFFF
STRING_LIMIT_MOST = 4096
MOST_ERRNO = 4095
CHUNK = 64 << 10
"""A ring grows by this much: WCI_CHUNK_CELLS cells."""
RING_MOST = 1 << 30
IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
CALL_TEXT = r"(%%?[A-Za-z0-9_]+|[a-z_*?\[][a-z0-9_*?\[\]!-]*|[0-9]+)"
SIZE_TEXT = "[0-9]+ ?([KMG]i?B?|B)?"

Handler = Annotated[str, Meta(pattern=f"^({IDENTIFIER})?$", description="a function of library_path, a C identifier")]
Record = Literal["exit", "entry", "both"]
Word = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Count = Annotated[int, Meta(ge=1, le=UINT32_MOST)]
Chance = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Clock = Literal["two", "one", "none"]
Policy = Literal["block", "drop", "overwrite"]


def _text(description: str) -> Any:
    return Meta(description=description)


class Capture(msgspec.Struct, forbid_unknown_fields=True):
    """What to keep of what one argument points to."""

    bytes: Annotated[
        Annotated[int, Meta(ge=0, le=STRING_LIMIT_MOST)] | str,
        _text('how many bytes: "return" (what the call returned), a number, or an expression over parameters'),
    ]


class Inject(msgspec.Struct, forbid_unknown_fields=True, rename={"return_": "return"}):
    """A declared fault or delay: what, and in which calls of each thread."""

    errno: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_ERRNO)] | Annotated[str, Meta(pattern="^E[A-Z0-9]+$")] | UnsetType,
        _text('the error to fail with, as "EIO" or 5: the call is not made and returns its failure value'),
    ] = UNSET
    return_: Annotated[Word | UnsetType, _text("what to return: the call is not made")] = UNSET
    delay_us: Annotated[Count | UnsetType, _text("microseconds to wait before the call")] = UNSET
    delay_exit_us: Annotated[Count | UnsetType, _text("microseconds to wait behind the call")] = UNSET
    every: Annotated[Count | UnsetType, _text("in every Nth call of a thread, the Nth first")] = UNSET
    first: Annotated[Count | UnsetType, _text("from a thread's Nth call on")] = UNSET
    last: Annotated[Count | UnsetType, _text("up to its Nth call")] = UNSET
    step: Annotated[Count | UnsetType, _text("in the first, and every Nth call behind it")] = UNSET
    probability: Annotated[Chance | UnsetType, _text("in each of those with this chance")] = UNSET
    seed: Annotated[Seed | UnsetType, _text("of the chance: the same seed means the same calls")] = UNSET


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """One function to intercept, or with a glob or a set several."""

    func_name: Annotated[str, _text("a function's name or a glob over names")] = ""
    set: Annotated[str, Meta(pattern="^(%%?[A-Za-z0-9_]+)?$", description="a named set, as %memory")] = ""
    prototype: Annotated[str, _text("its C declaration, when no header has one")] = ""
    library: Annotated[str, _text("the library that exports it, when it is none of libraries")] = ""
    back_enter: Handler = ""
    back_exit: Handler = ""
    frequency: Annotated[int, Meta(ge=1, le=UINT32_MOST, description="record every Nth call; all are counted")] = 1
    preload: Annotated[bool, _text("false: by the ptrace engine")] = True
    internal: Annotated[bool, _text("calls from inside the defining library as well: by the ptrace engine")] = False
    capture: Annotated[dict[str, Capture], _text("parameter names, and what to keep of each")] = {}
    record: Annotated[Record, _text("one record per call, at its end or at its start, or both")] = "exit"
    caller: Annotated[bool, _text("record the address that the call returns to")] = False
    clock: Annotated[Clock, _text("two: start and duration; one: start; none")] = "two"
    on_full: Annotated[Literal["drop", ""], _text("drop: lose records rather than wait, in a block session")] = ""
    max_per_second: Annotated[
        int, Meta(ge=0, le=UINT32_MOST, description="at most so many records a second, of all threads; 0: any number")
    ] = 0
    min_duration: Annotated[
        str, Meta(pattern=f"^(0|{DURATION_TEXT})$", description='record only calls that took so long, as "10us"')
    ] = "0"
    inject: Annotated[Inject | UnsetType, _text("a fault or a delay in some of its calls")] = UNSET
    when: Annotated[str, _text('only calls of which this holds: "count >= 4096 and fd > 2", "path ~ \'/etc/*\'"')] = ""


class Syscall(msgspec.Struct, forbid_unknown_fields=True):
    """One system call to intercept."""

    syscall_id: Annotated[
        Annotated[int, Meta(ge=0, le=UINT32_MOST)] | Annotated[str, Meta(pattern=f"^{CALL_TEXT}$")],
        _text('its number or its name, a glob over names ("*": all), or a set as "%file"'),
    ]
    back_enter: Handler = ""
    back_exit: Handler = ""
    frequency: Annotated[int, Meta(ge=1, le=UINT32_MOST, description="record every Nth call; all are counted")] = 1
    capture: Annotated[dict[str, Capture], _text("parameter names, and what to keep of each")] = {}
    record: Annotated[Record, _text("one record per call, at its end or at its start, or both")] = "exit"
    caller: Annotated[bool, _text("record the address that the call was made from")] = False
    clock: Annotated[Clock, _text("two: start and duration; one: start; none")] = "two"
    on_full: Annotated[Literal["drop", ""], _text("drop: lose records rather than wait, in a block session")] = ""
    max_per_second: Annotated[
        int, Meta(ge=0, le=UINT32_MOST, description="at most so many records a second, of all threads; 0: any number")
    ] = 0
    min_duration: Annotated[
        str, Meta(pattern=f"^(0|{DURATION_TEXT})$", description='record only calls that took so long, as "10us"')
    ] = "0"
    inject: Annotated[Inject | UnsetType, _text("a fault or a delay in some of its calls")] = UNSET
    when: Annotated[str, _text('only calls of which this holds: "count >= 4096 and fd > 2", "path ~ \'/etc/*\'"')] = ""
    preload: bool = True


class Ring(msgspec.Struct, forbid_unknown_fields=True):
    """The shared memory that each thread writes its records to."""

    size: Annotated[
        Annotated[int, Meta(ge=CHUNK, le=RING_MOST, multiple_of=CHUNK)]
        | Annotated[str, Meta(pattern=f"^{SIZE_TEXT}$")],
        _text('bytes per thread, as 1048576 or "1MiB": a multiple of 64 KiB up to 1 GiB'),
    ] = "1MiB"
    on_full: Annotated[Policy, _text("what a thread does when its ring is full")] = "block"
    block_ms: Annotated[
        int, Meta(ge=0, le=UINT32_MOST, description="how long a stalled consumer may hold a thread up, in ms")
    ] = 100


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A wc-intercept config: what to intercept, and what to do there."""

    library_path: Annotated[str, _text("the library of C handlers")] = ""
    logger_path: Annotated[str, _text("the tool's own log, relative to the working directory")] = ""
    ld_preload: Annotated[str, _text("a hand-written preload library to load as well")] = ""
    ring: Ring = msgspec.field(default_factory=Ring)
    headers: Annotated[list[str], _text("headers beyond libc's, as #include <...> names them")] = []
    libraries: Annotated[list[str], _text("libraries beyond libc: sonames or paths")] = []
    include: Annotated[list[str], _text("directories to look for headers in")] = []
    string_limit: Annotated[
        int, Meta(ge=0, le=STRING_LIMIT_MOST, description="bytes kept of a string or buffer; paths are never cut")
    ] = 64
    exclude: Annotated[list[str], _text("names and globs that no glob or set may take")] = []
    funcs: Annotated[list[Target], _text("functions to intercept")] = []
    syscalls: Annotated[list[Syscall], _text("system calls to intercept")] = []


UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_bytes(size: int | str) -> int:
    """Return "1MiB", "64K" or a number in bytes. Binary units whatever their spelling: a ring is pages."""
    if isinstance(size, int):
        return size
    digits = re.match("[0-9]+", size)
    assert digits is not None, "the pattern of Ring.size lets nothing else through"
    return int(digits[0]) * UNITS[size[digits.end() :].strip()[:1]]


def json_schema() -> bytes:
    """Return the JSON Schema (2020-12) of a config as indented UTF-8 text with its newline."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(File)}
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2) + b"\n"
