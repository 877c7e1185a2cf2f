"""The nouns that the generator's passes hand to each other. Data only; no pass lives here.

config -> Request; headers -> Function, CType, Record; elf -> Export; annotations -> Annotation;
policy -> Plan (Wrapper, TargetPlan, Coverage); emit reads the Plan and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .manifest import Coverage, Names, WrapperClass

Kind = Literal["void", "int", "bool", "float", "longdouble", "complex", "pointer", "struct", "va_list"]


@dataclass(frozen=True, slots=True)
class CType:
    """A C type, as text and as facts. Arrays among parameters have decayed to pointers (array_length says of what)."""

    text: str
    """A declaration with ``@`` where the name goes: ``int (*@)(void)``, ``const char *@``, ``struct stat @``."""
    kind: Kind
    size: int = 0
    """Bytes on the platform; 0 for void."""
    align: int = 1
    signed: bool = False
    pointee: CType | None = None
    """Of an object pointer whose pointee is complete or void; None for function pointers and incomplete types."""
    const: bool = False
    """The type itself is const qualified (look at pointee.const for ``const char *``)."""
    array_length: int | None = None
    """Of a parameter declared as an array with a constant length (``int pipefd[2]``)."""
    record: Record | None = None
    """The layout of a struct or union."""
    name: str = ""
    """The type's own spelling without qualifiers, typedef kept: ``size_t``, ``struct stat``, ``char``."""

    def declare(self, name: str) -> str:
        """Return the C declaration of *name* with this type."""
        return self.text.replace("@", name).strip()


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a record: array_length elements of type, or one when it is None."""

    name: str
    type: CType
    offset: int
    array_length: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A struct's layout by the platform's rules. members is empty for an opaque one or a union."""

    name: str
    """As C spells it: ``struct stat``, or a typedef's name for an anonymous struct."""
    size: int
    align: int
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    """As the header spells it, without leading underscores, unique, not a C keyword; ``arg1`` when unnamed."""
    type: CType


@dataclass(frozen=True, slots=True)
class Function:
    """A prototype and the facts of its declaration."""

    name: str
    result: CType
    params: tuple[Param, ...]
    variadic: bool = False
    origin: str = ""
    """``unistd.h:371``: the header as one includes it, and the line. Never an absolute path."""
    attributes: frozenset[str] = frozenset()
    """noreturn, returns_twice, nonnull, pure, const, nothrow, leaf, malloc, ``format(printf,1,2)``..."""
    redirect: str = ""
    """The assembler name that the declaration carries, if any."""


@dataclass(frozen=True, slots=True)
class Export:
    """One function symbol that a library exports (its default version, or the only one)."""

    name: str
    library: str
    version: str = ""
    address: int = 0
    ifunc: bool = False
    distinct_versions: bool = False
    """Other versions of this name have different code: resolve by dlvsym, export with the version."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a parameter or a return means, beyond its C type."""

    kind: str = ""
    """A value: fd dirfd pid uid gid mode flags enum signal size errno char time clockid, or "" (plain number, pointer).
    A pointer: path, str (unproven), str! (always read by the function), outstr, in, out, inout, strv, consumed."""
    length: str = ""
    """in, out, inout, str: bytes, an expression over parameter names, ``ret``, integers, ``+ * -`` and ``*param``.
    Empty with out/in/inout: one pointee. ``[n]`` elements are written as ``n*sizeof``."""
    names: str = ""
    """The set's name, for flags and enum."""
    always: bool = False
    """An out-parameter that is written whether or not the call succeeds."""
    proven: Literal["", "first", "stdio", "success", "return"] = ""
    """For str, in, out, outstr, inout: when it may be read directly (R7): whenever the call succeeded, or whenever it
    returned. first: of a str, the page that its first byte lies in, whenever the call succeeded. stdio: whenever all
    was taken by a stream with a larger buffer. "": never, so through a guarded read (and out, outstr only after
    success)."""
    element: str = ""
    """Meaning of what is pointed to: a value's kind (names are then its set), or sockaddr, sigset (the 8 bytes that the
    kernel knows), bytes; pointer: of an outstr, there stands the string's address; "" is the C type's own."""
    condition: str = ""
    """For out, outstr, inout: an expression as length is; written only if it is positive (waitpid's wstatus)."""
    whole: bool = False
    """A string that is kept whole like a path, whatever its proof."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What libc's types do not tell about one function. Parameter names are the man pages'."""

    name: str
    params: tuple[tuple[str, Role], ...]
    result: Role = Role()
    fail: str = ""
    """As Return.fail of the manifest."""
    sets: tuple[str, ...] = ()
    """Named sets it belongs to: file, network, memory..."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A declared fault or delay. struct wc_rule says what each thread's counting means."""

    error: int = 0
    """errno to fail with; 0: none was asked for."""
    value: int | None = None
    """What to return; None: the function's failure value."""
    delay_enter: int = 0
    """Nanoseconds, before the call; delay_exit: behind it."""
    delay_exit: int = 0
    first: int = 1
    last: int = (1 << 64) - 1
    step: int = 1
    chance: int = 1 << 53
    """Of 2**53, for each call that first, last and step mean."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class When:
    """A target's ``when``, checked (whens.py)."""

    text: str
    constants: tuple[tuple[str, int], ...] = ()
    """What the names in it that are nobody's are in the headers."""
    words: tuple[str, ...] = ()
    """Words behind the parameters that some name of the target has; they are 0 where they are not passed."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target with what the config asked of it. Index in Plan.targets is its id."""

    name: str
    kind: Literal["function", "syscall"] = "function"
    internal: bool = False
    record: Literal["exit", "entry", "both"] = "exit"
    clock: Literal["two", "one", "none"] = "two"
    frequency: int = 1
    on_full: Literal["", "drop"] = ""
    max_per_second: int = 0
    min_duration: int = 0
    """ns; calls that take less are not recorded."""
    back_enter: str = ""
    back_exit: str = ""
    handled: bool = False
    """The config has a handler library: this may get handlers while the program runs, whatever it begins with."""
    caller: bool = False
    asks: Literal["", "before", "after", "both"] = ""
    """A Python handler decides about its calls."""
    capture: tuple[tuple[str, str], ...] = ()
    """(parameter, length expression) pairs that override the table; "0" keeps nothing."""
    inject: Rule | None = None
    when: When | None = None


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One symbol to export. Index in Plan.wrappers is its symbol id."""

    symbol: str
    target: int
    wrapper: WrapperClass
    library: str = "libc.so.6"
    version: str = ""
    """Export under this version node and resolve by dlvsym; empty: unversioned."""
    function: Function | None = None
    """None: tail-jump without a prototype."""
    annotation: Annotation | None = None
    twin: str = ""
    """v-twin: the v* function to forward to (vprintf); exec-list: the vector form (execv)."""
    detail: str = ""
    """exec-list: which of path, file, envp it is; mode-if-flag: the parameter that holds the flags; tail-jump: why."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One symbol that the tracer serves: a system call, or a function by a breakpoint on its entry.

    Its id is its index in Plan.traced behind all wrappers of the shim.
    """

    wrapper: Wrapper
    """What it is called, its target, prototype and class; of an untyped one the function is six registers."""
    library: str = ""
    """As wct_symbol.library: a soname, "" any object but the program, "." the program itself, "*" any."""
    number: int = -1
    """Of a system call."""
    elf_name: str = ""
    """As symbol tables spell it, when that is another name: mangled C++."""
    address: int = 0
    """In the program's file, where its symbol tables do not have the name."""
    returns: bool = True
    replaces: bool = False
    """A success replaces the program."""
    internal: bool = False
    """Calls from inside the defining library count as well."""
    fallback: bool = False
    """Only where no shim is."""
    shared: bool = False
    """Several names have this address."""
    untyped: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the emitter needs. Sorted and complete: the emitter decides nothing."""

    targets: tuple[TargetPlan, ...]
    wrappers: tuple[Wrapper, ...]
    traced: tuple[Traced, ...] = ()
    headers: tuple[str, ...] = ()
    """Headers that the generated C includes for its types, as in ``#include <%s>``."""
    include_dirs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    """sonames beyond libc whose functions are wrapped."""
    names: tuple[tuple[str, Names], ...] = ()
    coverage: tuple[Coverage, ...] = ()
    handlers: str = ""
    preload: str = ""
    logger: str = ""
    ring_size: int = 1 << 20
    on_full: Literal["block", "drop", "overwrite"] = "block"
    block_ms: int = 100
    string_limit: int = 64
    platform: Platform = field(default_factory=lambda: Platform())


@dataclass(frozen=True, slots=True)
class Platform:
    """Where headers, libc and the calling convention come from. The host is the only one now."""

    compiler: str = "cc"
    machine: str = "x86_64"
    libc: str = ""
    """``glibc 2.36``."""
    libc_path: str = ""
    libm_path: str = ""
