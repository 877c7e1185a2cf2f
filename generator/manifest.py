"""The manifest: what a shim wraps and how its records read.

Written by the emitter into section ``.wc_manifest`` of a shim, read by the consumer. It is the only knowledge that the
two sides share besides ``runtime/include/wc_abi.h``. Rules: it names things, never addresses; a reader that knows
``abi`` needs nothing else to decode a record; ids are indices into the lists (targets, symbols).

Absent on purpose: how a function is wrapped in C (that is the shim itself).
"""

from __future__ import annotations

from typing import Literal

import msgspec

ABI_VERSION = 1

ValueType = Literal["int", "uint", "bool", "float", "longdouble", "complex", "pointer", "struct", "raw", "none"]
"""How fixed bytes read: int and uint by size, float of 4 or 8, x87 long double of 16, raw: opaque bytes."""

Content = Literal["", "text", "bytes", "texts", "values", "varargs"]
"""What a blob holds.

text: a string without its NUL; bytes: a buffer; texts: NUL-terminated strings one after another (argv, envp);
values: one or more elements (an out-parameter, an array, a struct); varargs: items of one byte tag, one byte length,
then length bytes. Tags: i u f c p (8 bytes each, little endian), s (text), z (NULL string), t (text cut at the limit).
"""


class Element(msgspec.Struct, frozen=True, omit_defaults=True):
    """One element of a "values" blob."""

    type: ValueType
    size: int
    role: str = ""
    names: str = ""
    struct: str = ""
    """Key of Manifest.structs when type is "struct"."""
    many: bool = False
    """A list of as many elements as the blob's length holds; else a single value."""


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter in a record (offset from the record's first byte), or one member of a struct (from its start).

    Records are contiguous, so that an offset of 72 lies in the second cell. Fields never straddle a cell.
    """

    name: str
    type: ValueType
    offset: int
    size: int
    role: str = ""
    """fd, dirfd, pid, uid, gid, mode, flags, enum, signal, size, errno, char, time, clockid or "" (a plain number)."""
    names: str = ""
    """Key of Manifest.names when role is flags or enum."""
    blob: int = 0
    """Offset of the parameter's struct wci_blob, 0 if nothing behind the pointer is kept."""
    content: Content = ""
    element: Element | None = None
    struct: str = ""
    """Key of Manifest.structs when type is "struct" (a struct passed by value)."""
    given: bool = False
    """A string that the call reads: whoever decides about the call may put another in its place."""
    many: int = 0
    """Struct members that are arrays: number of elements, each size // many bytes."""


class Names(msgspec.Struct, frozen=True, omit_defaults=True):
    """A set of flag or enum names; values as the headers define them.

    An entry (name, value, mask): matches when ``number & mask == value`` (mask 0 stands for the value itself in a flag
    set, for all bits in an enum).
    """

    kind: Literal["flags", "enum"]
    entries: list[tuple[str, int, int]]


class Return(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the result reads, and when it means failure."""

    type: ValueType = "none"
    size: int = 0
    role: str = ""
    names: str = ""
    fail: str = ""
    """"-1", "NULL", "<0", "EOF", "nonzero", "zero", "errno" (the return is an error number), "MAP_FAILED",
    "SIG_ERR", or "" (never fails by its return)."""
    offset: int = 0
    """Where a return wider than 64 bits stands in the record (a struct, long double, complex); 0: in result."""
    struct: str = ""
    blob: int = 0
    """A returned string: offset of its struct wci_blob (content is text)."""


def failing(rule: Return) -> int | Literal["errno"] | None:
    """Return what a function returns when it fails; "errno": the error's number; None: it cannot say that it failed."""
    if rule.fail in ("-1", "EOF", "MAP_FAILED", "SIG_ERR", "<0"):
        return -1
    if rule.fail in ("NULL", "zero"):
        return 0
    if rule.fail == "nonzero" and not rule.names:  # else one of the function's own codes would be needed
        return -1
    return "errno" if rule.fail == "errno" else None


WrapperClass = Literal[
    "plain", "mode-if-flag", "optional-word", "v-twin", "exec-list", "syscall", "noreturn", "tail-jump", "refused"
]


REPLACES = frozenset(
    ("execl", "execle", "execlp", "execv", "execve", "execveat", "execvp", "execvpe", "fexecve")
)  # fmt: skip
"""What replaces the program: an EXEC record before the call stands for it, which has no duration."""


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """One function to intercept. Its id is its index, and the index of its control word."""

    name: str
    kind: Literal["function", "syscall"] = "function"
    internal: bool = False
    """Wrapped for the runtime's own sake (exec*, posix_spawn*, vfork, prctl...): records only if asked for."""
    record: Literal["exit", "entry", "both"] = "exit"
    clock: Literal["two", "one", "none"] = "two"
    frequency: int = 1
    on_full: Literal["", "drop"] = ""
    max_per_second: int = 0
    """Records a second, of all threads together; 0: any number."""
    min_duration: int = 0
    """ns: calls that took less are not recorded."""
    back_enter: str = ""
    back_exit: str = ""
    caller: bool = False
    inject: str = ""
    """The declared fault or delay, in the words of wc-run's --inject."""
    when: str = ""
    """The expression that holds of calls which are recorded."""
    asks: Literal["", "before", "after", "both"] = ""
    """When its calls ask a Python handler what is to become of them."""


class Symbol(msgspec.Struct, frozen=True, omit_defaults=True):
    """One exported wrapper. Its id is its index, and the symbol field of its cells."""

    name: str
    target: int
    wrapper: WrapperClass
    library: str = "libc.so.6"
    version: str = ""
    origin: str = ""
    """Header and line of its prototype ("unistd.h:371"), or why there is none."""
    fields: list[Field] = []
    result: Return = Return()
    cells: int = 1
    """Cells of the fixed part of a record."""
    caller: int = 0
    """Offset of the caller's address when the target asked for it, else 0."""
    injected: int = 0
    """Offset of the byte that tells what was injected (WCI_INJECTED, WCI_DELAYED), 0 in a target without inject."""
    variadic: bool = False
    returns: bool = True
    """False for functions that do not return, whatever their class is (err is a v-twin)."""
    engine: Literal["preload", "ptrace"] = "preload"
    """Who writes its records: the shim's wrapper, or the tracer. A target may have symbols of both."""
    shared: bool = False
    """ptrace: several names have this address, so that nobody can tell which one was called."""

    @property
    def has_duration(self) -> bool:
        """Whether its records say how long a call took, if its target asks for two times."""
        return not self.enters_only and self.name not in REPLACES

    @property
    def is_syscall(self) -> bool:
        """Whether it is a system call: also one that a function target stands for where there is no shim."""
        return self.engine == "ptrace" and not self.library

    @property
    def enters_only(self) -> bool:
        """Whether its ENTER record is all there is of a call."""
        return not self.returns or self.wrapper in ("noreturn", "tail-jump")


class Coverage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one requested name: the coverage report's line."""

    requested: str
    target: str = ""
    status: Literal["wrapped", "traced", "refused", "unknown", "excluded", "pending"] = "wrapped"
    wrapper: WrapperClass = "plain"
    symbols: list[str] = []
    engine: Literal["preload", "ptrace", ""] = "preload"
    reason: str = ""
    """A sentence: why it is refused, or what about it cannot be seen."""
    where: str = ""
    """path:line:column in the config."""

    @property
    def complaint(self) -> str:
        """What to say of one that is refused, or pending; a pending one that has symbols is wrapped."""
        return f"{self.target or self.requested} is not {'there yet' if self.symbols else 'intercepted'}"


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the headers, libc facts and calling convention were taken from."""

    machine: str
    libc: str
    soname: str
    compiler: str = ""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything a consumer needs to decode the records of one shim."""

    tool: str
    """Version of wc-intercept that generated it."""
    platform: Platform
    targets: list[Target]
    symbols: list[Symbol]
    names: dict[str, Names] = {}
    structs: dict[str, list[Field]] = {}
    coverage: list[Coverage] = []
    handlers: str = ""
    """library_path of the config, absolute, when the config names C handlers."""
    preload: str = ""
    """ld_preload of the config, absolute."""
    logger: str = ""
    """logger_path as given."""
    ring_size: int = 1 << 20
    on_full: Literal["block", "drop", "overwrite"] = "block"
    block_ms: int = 100
    string_limit: int = 64
    abi: int = ABI_VERSION


class Growth(msgspec.Struct, frozen=True):
    """What a manifest gets behind what it has, while its session runs.

    It grows in place, by appending alone: ids stay what they are, and whoever holds it sees it.
    """

    first_target: int
    first_symbol: int
    targets: list[Target]
    symbols: list[Symbol]
    names: dict[str, Names] = {}
    structs: dict[str, list[Field]] = {}
    coverage: list[Coverage] = []

    def apply(self, manifest: Manifest) -> bool:
        """Append to *manifest*; return whether that was still to be done, as it is done once."""
        if len(manifest.targets) != self.first_target or len(manifest.symbols) != self.first_symbol:
            return False
        manifest.names.update(self.names)
        manifest.structs.update(self.structs)
        manifest.targets.extend(self.targets)
        manifest.symbols.extend(self.symbols)
        manifest.coverage.extend(self.coverage)
        return True


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as UTF-8 JSON: the same manifest, the same bytes."""
    return msgspec.json.encode(manifest, order="deterministic")


def decode(data: bytes) -> Manifest:
    """Return the manifest in *data*. Raises msgspec.MsgspecError when it is not one."""
    return msgspec.json.decode(data, type=Manifest)
