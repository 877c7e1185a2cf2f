"""The shared memory ABI as plain data: what runtime/include/wc_abi.h says, without numpy.

Used by abi.py (which makes numpy dtypes of it) and by the parts that run before the program is exec'd (session.py,
shim.py), which may import nothing heavy. Rules: names are the header's; offsets are computed, never typed;
tests/test_abi.py compiles the header and compares every offset, size and constant.

Absent on purpose: files and mappings; here are numbers and bytes only.
"""

from __future__ import annotations

ABI_VERSION = 1
CONTROL_MAGIC = 0x3130304C54434357
SEGMENT_MAGIC = 0x3130304745534357
MANIFEST_MAGIC = 0x3130304E414D4357

CELL_SIZE = 64
RECORD_CELLS = 255
FIRST_ARGS = 36
CONT_PAYLOAD = 56
CHUNK_CELLS = 1024
INFLIGHT = 64
CLAIMS = 8
CONTROL_WORDS = 4096
CONTROL_ROOM = 1024
SYMBOL_NONE = 0xFFFF
NO_DURATION = 0xFFFFFFFFFFFFFFFF
LOSSES = 8
PAGE = 4096
"""A ring's header is one page: its counts and cells stand behind."""

# enum wci_kind
NOTHING, CALL, ENTER, EXEC, PROCESS, THREAD, CONTROL_SEEN, LOST, CONTINUATION, FILLER = range(10)

# enum wci_process_reason
PROCESS_EXEC, PROCESS_FORK, PROCESS_VFORK = 1, 2, 3

# enum wci_loss
LOSS_FULL, LOSS_MEMORY, LOSS_RING, LOSS_QUIET, LOSS_NESTED = range(5)
LOSS_NAMES = ("ring full", "no memory", "no ring free", "quiet after a seccomp filter", "nested in a full ring")

BLOB_KEPT, BLOB_TRUNCATED, BLOB_UNREADABLE, BLOB_NULL = 1, 2, 4, 8
BLOCK, DROP, OVERWRITE = 0, 1, 2
CLOCK_TSC, CLOCK_MONOTONIC = 0, 1
FOLLOW_NONE, FOLLOW_DEFAULT, FOLLOW_ALL = 0, 1, 2
INJECTED, DELAYED = 1, 2
WORD_ON, WORD_DROP, WORD_LIMITED = 1, 2, 4

ASK_LEVELS, ASK_SIZE, ASK_CELLS, ASK_TEXT, ASK_VALUES = 4, 28672, 512, 16896, 32
ASKING_AT, HINTS = 3520, 64
GO, RESULT, CHANGED = 0, 1, 2

SIZES = {"Q": 8, "q": 8, "I": 4, "i": 4, "H": 2, "B": 1}


class Field:
    """One member: where it stands, what it is (a code of module struct, or a Layout), and how many of it."""

    __slots__ = ("code", "count", "name", "offset", "size")

    def __init__(self, name: str, code: str | Layout, count: int, offset: int) -> None:
        self.name, self.code, self.count, self.offset = name, code, count, offset
        self.size: int = count * (SIZES[code] if isinstance(code, str) else code.size)


class Layout:
    """One C struct, from text such as ``"stamp:I kind:B args:B*28"``; members align as C aligns them."""

    def __init__(self, text: str, **parts: Layout) -> None:
        self.fields: dict[str, Field] = {}
        self.align: int
        self.size: int
        end, widest = 0, 1
        for word in text.split():
            name, _, kind = word.partition(":")
            code, _, count = kind.partition("*")
            what = parts.get(code, code)
            align = SIZES[what] if isinstance(what, str) else what.align
            widest = max(widest, align)
            field = Field(name, what, int(count or 1), -(-end // align) * align)
            self.fields[name] = field
            end = field.offset + field.size
        self.align = widest
        self.size = -(-end // widest) * widest

    def offset(self, name: str) -> int:
        return self.fields[name].offset

    def pack(self, **values: int) -> bytes:
        """Return the struct with these single numbers, zero elsewhere."""
        raw = bytearray(self.size)
        for name, value in values.items():
            field = self.fields[name]
            raw[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")
        return bytes(raw)

    def unpack(self, raw: bytes) -> dict[str, int]:
        """Return the single unsigned numbers in *raw*; what is behind its end reads as 0."""
        return {
            name: int.from_bytes(raw[field.offset : field.offset + field.size], "little")
            for name, field in self.fields.items()
            if field.count == 1 and isinstance(field.code, str)
        }


CELL_HEADER = Layout("stamp:I symbol:H kind:B count:B")
FIRST = Layout("header:header clock:Q duration:Q result:Q error:i args:B*28", header=CELL_HEADER)
CELL = Layout("header:header payload:B*56", header=CELL_HEADER)
BLOB = Layout("length:H flags:B cell:B")
IDENTITY = Layout("pid:I tid:I parent:I reason:I")
EXECUTED = Layout("path:blob pid:I", blob=BLOB)
SEEN = Layout("target:I generation:I frequency:I flags:I most:I shortest_ns:I*2")
COUNT = Layout("calls:Q sampled:Q filtered:Q suppressed:Q lost:Q returned:Q phase:Q generation:I offered:I")
INSIDE = Layout("clock:Q frame:Q argument:Q serial:I symbol:H spare:H")
CLAIM = Layout("position:Q pid:I tid:I")
RING = Layout(
    "head:Q owner_pid:I owner_tid:I record_pid:I ready:I capacity:I sampled:I claims:I lost_any:I"
    " pending_lost:Q pending_clock:Q slack:Q"
    " tail:Q reader_spare:Q*7"
    " waiting:I wake:I stalls:Q stall_ticks:Q budget_tail:Q high_water:Q meeting_spare:Q*3"
    " losses:Q*8 claim:claim*8"
    " depth:I serial:I ask_depth:I ask_ready:I inside_spare:Q*6 inside:inside*64",
    claim=CLAIM,
    inside=INSIDE,
)
QUESTION = Layout(
    "asked:I serial:I cells:I pid:I tid:I counted:I frame:Q asker_spare:Q*4"
    " answered:I verdict:I error:i changed:I texts:I answer_spare32:I result:Q delay_ns:Q answer_spare:Q*3 value:Q*32"
)
ASKING = Layout("asking:I answers:I hint:Q*64")
SEGMENT = Layout(
    "magic:Q abi:I header_size:I manifest:Q targets:I rings:I size:Q shared_counts:Q first_ring:Q ring_stride:Q"
    " counts_offset:Q cells_offset:Q ring_cells:I cell_size:I pid:I parent:I start:Q rings_used:I degraded:I quiet:I"
    " closed:I shared_losses:Q*8 program:B*256"
)
CONTROL = Layout(
    "magic:Q abi:I targets:I manifest:Q size:Q policy:I block_ms:I clock:I ring_cells:I rings:I string_limit:I"
    " follow:I consumer_pid:I"
    " heartbeat:Q closed:Q spare1:Q*4 ask_ms:I ask_default:I asked_by:I asked_spare32:I"
    " budget:Q used:Q no_segment:Q room:I spare32:I limits_at:Q spare2:Q*3"
)
LIMIT = Layout("window:Q second:Q most:Q shortest:Q shortest_ns:Q spare:Q*3")
MANIFEST_HEAD = Layout("magic:Q abi:I targets:I hash:Q json_size:I spare:I")

STRUCTS = {
    "cell_header": CELL_HEADER, "first": FIRST, "cell": CELL, "blob": BLOB, "identity": IDENTITY, "exec": EXECUTED,
    "count": COUNT, "inside": INSIDE, "claim": CLAIM, "ring": RING, "segment": SEGMENT, "control": CONTROL,
    "seen": SEEN, "question": QUESTION, "asking": ASKING, "limit": LIMIT, "manifest_head": MANIFEST_HEAD,
}  # fmt: skip
"""Every struct of the header that Python reads or writes, by its name there without ``wci_``."""


def limits_at(targets: int, room: int = CONTROL_ROOM) -> int:
    """Return where a control file of so many targets has its limits: behind the words, on a page of their own."""
    return -(-(CONTROL_WORDS + 8 * (targets + room)) // PAGE) * PAGE


def control_size(targets: int, room: int = CONTROL_ROOM) -> int:
    """Return the bytes of a control file: whole pages."""
    return -(-(limits_at(targets, room) + LIMIT.size * (targets + room)) // PAGE) * PAGE


def limit(second: int, most: int, shortest_ns: int) -> bytes:
    """Return a struct wci_limit, for a clock of *second* ticks a second."""
    ticks = -(-shortest_ns * second // 1_000_000_000)
    return LIMIT.pack(second=second, most=most, shortest=ticks, shortest_ns=shortest_ns)


def word_generation(word: int) -> int:
    return word >> 16 & 0xFFFF


def word_with(word: int, on: bool) -> int:
    """Return the control word *word* switched on or off, with the next generation."""
    generation = (word_generation(word) + 1) & 0xFFFF
    return (word & ~0xFFFF0000 & ~WORD_ON) | (generation << 16) | (WORD_ON if on else 0)
