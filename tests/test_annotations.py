"""The annotated table: its notation, its agreement with the real prototypes, its sets and its names of flags."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wc_intercept.generator import table
from wc_intercept.generator.annotations import (
    CALL_SETS,
    NAME_SETS,
    POINTERS,
    TABLE,
    VALUES,
    names_of,
    parse_line,
    parse_role,
    parse_table,
    resolve,
)
from wc_intercept.generator.elf import Library
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.manifest import Names
from wc_intercept.generator.model import Annotation, Function, Role
from wc_intercept.generator.syscalls import lines

VARIADIC_WITH_NAMED_WORDS = {"open", "openat", "fcntl", "ioctl", "prctl", "ptrace", "mremap", "semctl", "mq_open"}


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


@pytest.fixture(scope="module")
def prototypes(headers: Headers) -> dict[str, Function]:
    return headers.functions(TABLE)


def pairs(prototypes: dict[str, Function]) -> Iterator[tuple[str, str, Role, Function, int]]:
    for name, function in prototypes.items():
        for index, (param, role) in enumerate(TABLE[name].params):
            if index < len(function.params):
                yield name, param, role, function, index


# --- the notation ----------------------------------------------------------------------------------------------------


def test_a_line_gives_names_parameters_result_and_failure() -> None:
    (annotation,) = parse_line("read(fd:fd, buf:out[ret], count:size) -> size | -1 %desc")
    expected = Annotation(
        "read",
        (("fd", Role("fd")), ("buf", Role("out", "ret", proven="success")), ("count", Role("size"))),
        Role("size"),
        "-1",
        ("desc",),
    )
    assert expected == annotation


def test_a_line_may_begin_with_several_names() -> None:
    assert ["open", "open64"] == [a.name for a in parse_line("open open64(pathname:path, ...) -> fd | -1")]


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("path", Role("path", whole=True)),
        ("path+", Role("str", proven="success", whole=True)),
        ("path?", Role("str", whole=True)),
        ("str", Role("str")),
        ("str!", Role("str!", proven="return")),
        ("str+", Role("str", proven="success")),
        ("str![n]", Role("str!", "n", proven="return")),
        ("in[count]", Role("in", "count")),
        ("in+[n*sizeof]", Role("in", "n*sizeof", proven="success")),
        ("in!", Role("in", proven="return")),
        ("out", Role("out", proven="success")),
        ("out!", Role("out", always=True, proven="return")),
        ("out?[*addrlen] of sockaddr", Role("out", "*addrlen", element="sockaddr")),
        ("out[2*sizeof] of fd", Role("out", "2*sizeof", proven="success", element="fd")),
        ("out of enum=sched", Role("out", names="sched", proven="success", element="enum")),
        ("out if ret", Role("out", proven="success", condition="ret")),
        ("outstr[size] if ret", Role("outstr", "size", proven="success", condition="ret")),
        ("outstr[ret] of pointer", Role("outstr", "ret", proven="success", element="pointer")),
        ("inout", Role("inout", proven="success")),
        ("inout[8] of sigset", Role("inout", "8", proven="success", element="sigset")),
        ("strv", Role("strv")),
        ("consumed", Role("consumed")),
        ("flags=open", Role("flags", names="open")),
        ("signal", Role("signal", names="signal")),
        ("", Role()),
    ],
)
def test_a_role_says_what_is_behind_a_pointer_and_what_proves_it(text: str, role: Role) -> None:
    assert role == parse_role(text)


@pytest.mark.parametrize(
    "text",
    [
        "colour",
        "fd!",
        "fd=open",
        "flags",
        "enum",
        "out of colour",
        "in[",
        "size[4]",
        "flags=open[4]",
        "out[]",
        "path if ret",
        "str of pointer",
    ],
)
def test_a_role_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="role"):
        parse_role(text)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("read(fd:fd) size", "not of the form"),
        ("read(fd:fd) -> | never", "no failure rule 'never'"),
        ("read(fd:fd, buf:in[nbytes]) ->", "nbytes"),
        ("read(fd:fd, buf:in[1+]) ->", "length"),
        ("read(fd:fd, buf:in[fd/0]) ->", "positive integer"),
        ("read(fd:fd, fd:size) ->", "twice"),
        ("open(flags:flags=colours) ->", "no set of names 'colours'"),
        ("read(:fd) ->", "no parameter's name"),
    ],
)
def test_a_line_that_would_break_generated_code_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_line(line)


def test_a_function_annotated_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="close is annotated twice"):
        parse_table("close(fd:fd) ->\nclose(fd:fd) ->")


def test_a_section_gives_its_sets_to_the_lines_behind_it() -> None:
    text = "%file %desc:\nf(x) ->\ng(x) -> %net\n%:\nh(x) ->\n%thread += k l"
    parsed, sets = parse_table(text)
    assert [("file", "desc"), ("file", "desc", "net"), ()] == [parsed[name].sets for name in "fgh"]
    assert {"%thread": ["k", "l"]} == sets


# --- the table and the headers ---------------------------------------------------------------------------------------


def test_the_table_covers_what_users_look_at() -> None:
    everyday = "open read write close stat fopen fgets printf malloc free memcpy strlen mmap fork execve waitpid kill"
    everyday += (
        " sigaction clock_gettime socket connect getaddrinfo poll epoll_wait pthread_create sem_wait dlopen getenv"
    )
    assert set() == set(everyday.split()) - TABLE.keys()
    assert len(TABLE) > 1000


def test_every_entry_has_as_many_parameters_as_its_prototype(prototypes: dict[str, Function]) -> None:
    wrong = []
    for name, function in prototypes.items():
        more = len(TABLE[name].params) - len(function.params)
        named_words = function.variadic and name.removesuffix("64") in VARIADIC_WITH_NAMED_WORDS | {
            "sem_open",
            "syscall",
        }
        if more and not (more > 0 and named_words):
            wrong.append((name, [param for param, _ in TABLE[name].params], [p.name for p in function.params]))
    assert [] == wrong
    assert len(prototypes) > 1100


def test_values_are_integers_and_pointers_are_pointers(prototypes: dict[str, Function]) -> None:
    wrong = []
    for name, param, role, function, index in pairs(prototypes):
        kind = function.params[index].type.kind
        if (role.kind in VALUES and kind not in ("int", "bool")) or (role.kind in POINTERS and kind != "pointer"):
            wrong.append((name, param, role.kind, kind))
    assert [] == wrong


def test_a_pointee_without_a_length_has_a_size(prototypes: dict[str, Function]) -> None:
    wrong = []
    for name, param, role, function, index in pairs(prototypes):
        pointee = function.params[index].type.pointee
        if role.kind in ("in", "out", "inout") and not role.length and (pointee is None or pointee.size == 0):
            wrong.append((name, param))
    assert [] == wrong


def test_strings_are_of_characters(prototypes: dict[str, Function]) -> None:
    wrong = []
    for name, param, role, function, index in pairs(prototypes):
        pointee = function.params[index].type.pointee
        pointer = role.element == "pointer"
        if role.kind in ("path", "str", "str!", "outstr") and (
            pointee is None or pointee.size != (8 if pointer else 1)
        ):
            wrong.append((name, param))
    assert [] == wrong


def test_what_is_written_is_not_const_and_what_is_const_is_not_written(prototypes: dict[str, Function]) -> None:
    wrong = []
    for name, param, role, function, index in pairs(prototypes):
        pointee = function.params[index].type.pointee
        if role.kind in ("out", "outstr", "inout") and pointee is not None and pointee.const:
            wrong.append((name, param))
    assert [] == wrong


def test_failure_rules_fit_the_type_of_the_result(prototypes: dict[str, Function]) -> None:
    pointers, integers = {"NULL", "MAP_FAILED", "SIG_ERR"}, {"-1", "<0", "EOF", "errno", "nonzero", "zero"}
    wrong = [
        (name, TABLE[name].fail, function.result.kind)
        for name, function in prototypes.items()
        if (TABLE[name].fail in pointers and function.result.kind != "pointer")
        or (TABLE[name].fail in integers and function.result.kind != "int")
    ]
    assert [] == wrong


@pytest.mark.parametrize(
    "name", ["readdir", "strtol", "getpriority", "getpwnam", "fgets", "getline", "fgetc", "pathconf"]
)
def test_a_result_that_may_be_no_error_has_no_failure_rule(name: str) -> None:
    assert TABLE[name].fail == ""


@pytest.mark.parametrize("name", ["strncmp", "memcmp", "write", "getenv", "dlopen", "system", "strtol"])
def test_what_a_function_may_not_have_read_is_not_proven(name: str) -> None:
    """R7: reading it directly could fault where the program would not have."""
    roles = [role for _, role in TABLE[name].params if role.kind in ("str", "str!", "in")]
    assert roles
    assert ["" for _ in roles] == [role.proven for role in roles]


@pytest.mark.parametrize(
    "name",
    [
        "strcmp",
        "atoi",
        "fopen",
    ],
)
def test_a_string_of_which_only_the_first_byte_was_read_proves_its_page(name: str) -> None:
    """R7: what lies on the next page may not be there."""
    roles = [role for parameter, role in TABLE[name].params if role.kind == "str"]
    assert roles
    assert ["first" for _ in roles] == [role.proven for role in roles]


def test_what_is_freed_is_never_looked_at() -> None:
    given_up = {
        "free": 0,
        "munmap": 0,
        "fclose": 0,
        "closedir": 0,
        "freeaddrinfo": 0,
        "realloc": 0,
        "dlclose": 0,
        "shmdt": 0,
    }
    assert dict.fromkeys(given_up, "consumed") == {name: TABLE[name].params[i][1].kind for name, i in given_up.items()}


def test_names_are_those_that_libc_exports() -> None:
    """But for names of other glibc versions, which are told beforehand."""
    libraries = [Library.read(library_path(soname)) for soname in ("libc.so.6", "libm.so.6")]
    exported = set().union(*(library.exports for library in libraries))
    # An Export of GLIBC_PRIVATE or of an old version only is none to wrap; those that stay are compatibility names.
    unknown = {name for name in TABLE if name not in exported and not name.startswith(("__isoc23_", "arc4random"))}
    assert unknown <= {
        "atexit",
        "pthread_atfork",
        "cfree",
        "closefrom",
        "close_range",
        "process_madvise",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
    }


def library_path(soname: str) -> Path:
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            if line.rstrip().endswith("/" + soname):
                return Path(line.split(maxsplit=5)[5].strip())
    pytest.skip(f"this Python does not use {soname}")


# --- sets of calls ---------------------------------------------------------------------------------------------------


def test_sets_have_the_names_of_strace_and_ours() -> None:
    strace = "%file %process %network %net %pure %signal %ipc %desc %memory %creds %stat %lstat %fstat %%stat %statfs %fstatfs %%statfs"
    assert set() == {*strace.split(), "%clock", "%stdio", "%thread", "%dl"} - CALL_SETS.keys()


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("%file", {"open", "stat", "unlink", "execve", "fopen", "mkdir", "statx"}),
        ("%desc", {"read", "write", "close", "openat", "fstat", "poll", "epoll_wait", "fcntl"}),
        ("%process", {"fork", "execve", "waitpid", "exit", "posix_spawn", "system"}),
        ("%network", {"socket", "connect", "recvmsg", "getsockopt"}),
        ("%memory", {"mmap", "munmap", "mprotect", "brk"}),
        ("%signal", {"kill", "sigaction", "sigprocmask", "pause"}),
        ("%thread", {"pthread_create", "pthread_mutex_lock", "sem_wait"}),
        ("%%stat", {"stat", "lstat", "fstat", "fstatat", "statx"}),
    ],
)
def test_a_set_holds_what_its_name_promises(name: str, functions: set[str]) -> None:
    assert set() == functions - set(CALL_SETS[name])


def test_no_set_brings_the_heap_or_strings_along_unasked() -> None:
    hot = {name for asked in ("%alloc", "%string", "%wide") for name in CALL_SETS[asked]}
    assert {"malloc", "free", "memcpy", "strlen", "wcslen"} <= hot
    others = {
        name: hot & set(functions)
        for name, functions in CALL_SETS.items()
        if name not in ("%alloc", "%string", "%wide")
    }
    assert {name: set() for name in others} == others


# --- names of flags and enums ----------------------------------------------------------------------------------------


class Fake:
    def __init__(self, **values: int) -> None:
        self.values = values

    def constant(self, name: str) -> int | None:
        return self.values.get(name)


def test_names_that_the_headers_lack_are_left_out() -> None:
    resolved = resolve(Fake(SEEK_SET=0, SEEK_END=2), ["seek"])
    assert {"seek": Names("enum", [("SEEK_SET", 0, 0), ("SEEK_END", 2, 0)])} == resolved


def test_a_field_of_several_bits_has_its_mask() -> None:
    resolved = resolve(Fake(O_ACCMODE=3, O_RDONLY=0, O_RDWR=2, O_CREAT=64), ["open"])
    assert [("O_RDONLY", 0, 3), ("O_RDWR", 2, 3), ("O_CREAT", 64, 0)] == resolved["open"].entries


def test_of_two_names_for_one_value_the_first_is_used() -> None:
    resolved = resolve(Fake(SIG_BLOCK=0, SIG_UNBLOCK=0), ["sigprocmask"])
    assert [("SIG_BLOCK", 0, 0)] == resolved["sigprocmask"].entries


def test_no_flags_at_all_is_a_name_of_its_own() -> None:
    resolved = resolve(Fake(PROT_NONE=0, PROT_READ=1), ["mmap_prot"])
    assert [("PROT_NONE", 0, 0xFFFFFFFF), ("PROT_READ", 1, 0)] == resolved["mmap_prot"].entries


def test_every_set_of_names_is_used_and_is_found_in_the_headers(headers: Headers) -> None:
    used = {name for annotation in TABLE.values() for name in names_of(annotation)}
    used |= {role.names for line in lines().values() for role in (line.role, *(r for _, _, r in line.params))} - {""}
    assert set(NAME_SETS) == used
    assert [] == [name for name, names in resolve(headers).items() if not names.entries]


def test_a_flag_that_contains_others_comes_before_them(headers: Headers) -> None:
    """Else a reader that takes the first match and goes on with the rest would never say O_SYNC."""
    wrong = []
    for name, names in resolve(headers).items():
        flags = [entry for entry in names.entries if names.kind == "flags" and entry[2] == 0]
        wrong += [
            (name, early[0], late[0])
            for index, early in enumerate(flags)
            for late in flags[index + 1 :]
            if early[1] & ~late[1] == 0
        ]
    assert [] == wrong


def test_values_are_the_compilers(headers: Headers, compile_c: Callable[..., Path]) -> None:
    """The headers' reader and the C compiler agree on every value of every set."""
    found = {entry[0] for names in resolve(headers).values() for entry in names.entries}
    names = sorted(name for name in found if headers.constant(name) is not None)
    assert len(names) > 1500
    includes = "".join(f"#if __has_include(<{header}>)\n#include <{header}>\n#endif\n" for header in headers.requested)
    printing = "".join(f'printf("%lld\\n", (long long)({name}));\n' for name in names)
    program = compile_c(f"#define _GNU_SOURCE\n{includes}\nint main(void) {{\n{printing}return 0; }}\n", "-w")
    printed = [int(line) for line in subprocess.run([program], capture_output=True, text=True).stdout.split()]
    bits = 2**64
    assert [] == [
        (name, value, headers.constant(name))
        for name, value in zip(names, printed, strict=True)
        if (headers.constant(name) or 0) % bits != value % bits
    ]


def test_requests_that_only_the_kernels_headers_name_have_names(headers: Headers) -> None:
    ioctls = {name: value for name, value, _ in resolve(headers, ["ioctl"])["ioctl"].entries}
    expected = {"FIONREAD": 0x541B, "TCGETS": 0x5401, "FICLONE": 0x40049409, "FS_IOC_GETFLAGS": 0x80086601}
    assert expected == {name: ioctls.get(name) for name in expected}


def test_every_table_file_is_read() -> None:
    files = {path.stem for path in Path(table.__file__).parent.glob("*.py")} - {"__init__", "names"}
    assert files == {subject.__name__.rpartition(".")[2] for subject in table.SUBJECTS}
