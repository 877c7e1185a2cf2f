"""System calls: their numbers, prototypes and roles, against the headers, the manual pages and strace."""

from __future__ import annotations

import gzip
import re
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from wc_intercept.generator.annotations import POINTERS, TABLE, names_of, resolve
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.model import CType
from wc_intercept.generator.syscalls import (
    MOST_NUMBERS,
    NO_ORIGIN,
    SystemCall,
    describe,
    lines,
    numbers,
    parse,
    select,
    stands_for,
)
from wc_intercept.generator.table import calls

ADDRESSES = {
    "brk": "addr",
    "clone": "stack child_tid",
    "fcntl": "arg",
    "futex": "uaddr uaddr2",
    "futex_wait": "uaddr",
    "futex_wake": "uaddr",
    "get_mempolicy": "addr",
    "getcpu": "tcache",
    "io_uring_register": "arg",
    "ioctl": "argp",
    "io_cancel": "ctx_id",
    "io_destroy": "ctx_id",
    "io_getevents": "ctx_id",
    "io_pgetevents": "ctx_id",
    "io_submit": "ctx_id",
    "madvise": "addr",
    "mbind": "addr",
    "mincore": "addr",
    "mlock": "addr",
    "mlock2": "addr",
    "mmap": "addr",
    "mount": "data",
    "mprotect": "addr",
    "mremap": "old_address new_address",
    "mseal": "addr",
    "msync": "addr",
    "munlock": "addr",
    "pkey_mprotect": "addr",
    "ptrace": "addr data",
    "quotactl": "addr",
    "quotactl_fd": "addr",
    "reboot": "arg",
    "remap_file_pages": "addr",
    "rseq": "rseq",
    "set_mempolicy_home_node": "start",
    "set_robust_list": "head",
    "set_tid_address": "tidptr",
    "shmat": "shmaddr",
}
"""Pointers that are addresses: what they lead to is not looked at by the call, or not known without another word."""
UNWRITTEN = {"clock_nanosleep": "remain", "nanosleep": "rem"}
"""Written only when the call is interrupted."""
GONE = set(re.findall(r"^(\w+)\(", calls.gone.TEXT, re.M))
"""Calls that the kernel does not have: nothing behind their pointers is ever read."""


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


@pytest.fixture(scope="module")
def every(headers: Headers) -> dict[str, SystemCall]:
    return {call.name: call for call in describe(numbers(), headers)}


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_are_the_installed_headers() -> None:
    source = "#include <asm/unistd_64.h>\n"
    text = subprocess.run(["cc", "-E", "-dM", "-"], input=source, capture_output=True, text=True, check=True).stdout
    expected = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.M)}
    assert expected == dict(numbers())
    assert len(expected) > 300
    assert list(numbers().values()) == sorted(expected.values())


def test_a_number_without_a_name_is_a_call_of_six_words() -> None:
    unknown = next(number for number in range(MOST_NUMBERS) if number not in set(numbers().values()))
    (name,) = select(unknown)
    (call,) = describe([name])
    assert f"sys_{unknown}" == name == call.name
    assert unknown == call.number
    assert [("arg" + str(i), 8) for i in range(1, 7)] == [(p.name, p.type.size) for p in call.function.params]
    assert ("-1", NO_ORIGIN) == (call.annotation.fail, call.origin)


def test_what_is_no_system_call_is_an_error() -> None:
    for name in ("fopen", "sys_512", "sys_", "openat3"):
        with pytest.raises(KeyError):
            describe([name])


# --- prototypes ------------------------------------------------------------------------------------------------------


def test_every_call_has_a_prototype_that_fits_six_registers(every: dict[str, SystemCall]) -> None:
    assert set(numbers()) == set(every)
    assert [] == [name for name, call in every.items() if call.origin in ("", NO_ORIGIN)]
    for call in every.values():
        params = call.function.params
        assert len(params) <= 6, call.name
        assert {p.type.kind for p in params} <= {"int", "pointer"}, call.name
        assert all(p.type.size <= 8 for p in params), call.name
        assert not call.function.variadic, call.name
        assert call.function.result.kind in ("int", "pointer", "void"), call.name
        assert len(params) == len(call.annotation.params), call.name


def test_every_call_fails_as_the_kernel_says(every: dict[str, SystemCall]) -> None:
    found = {call.annotation.fail for call in every.values() if call.function.result.kind == "int"}
    assert {"-1"} == found
    assert {"MAP_FAILED"} == {c.annotation.fail for c in every.values() if c.function.result.kind == "pointer"}
    assert {"exit", "exit_group", "sync"} == {n for n, c in every.items() if c.function.result.kind == "void"}


def test_every_pointer_says_what_it_leads_to(every: dict[str, SystemCall]) -> None:
    wrong = []
    for name, call in every.items():
        addresses = f"{ADDRESSES.get(name, '')} {UNWRITTEN.get(name, '')}".split()
        for param, (known, role) in zip(call.function.params, call.annotation.params, strict=True):
            bare = param.type.kind == "pointer" and role.kind.rstrip("!") not in POINTERS
            if bare and known not in addresses and name not in GONE:
                wrong.append(f"{name}: {known} is a bare pointer")
            if param.type.kind != "pointer" and role.kind.rstrip("!") in POINTERS:
                wrong.append(f"{name}: {known} is no pointer")
            if role.kind in ("in", "out", "inout") and not role.length and param.type.pointee is None:
                wrong.append(f"{name}: nobody knows how long {known} is")
    assert [] == wrong


def test_the_table_holds_no_more_than_it_must(every: dict[str, SystemCall], headers: Headers) -> None:
    """A line repeats nothing that libc's prototype and annotation say already."""
    needless = []
    for name, line in lines().items():
        function = headers.function(name)
        if name not in every or function is None or name not in TABLE or function.variadic:
            continue
        same_params = [(n, r) for n, _, r in line.params] == list(TABLE[name].params)
        own = every[name].function
        same_types = [_sizes(p.type) for p in own.params] == [_sizes(p.type) for p in function.params]
        if same_params and same_types and own.result.size == function.result.size and TABLE[name].result == line.role:
            needless.append(name)
    assert [] == needless


def _sizes(type_: CType) -> tuple[int, int]:
    return type_.size, type_.pointee.size if type_.pointee else 0


def test_calls_that_do_not_come_back_are_told() -> None:
    found = {call.name: (call.returns, call.replaces) for call in describe(numbers())}
    assert {"exit", "exit_group"} == {name for name, (returns, _) in found.items() if not returns}
    assert {"execve", "execveat"} == {name for name, (_, replaces) in found.items() if replaces}
    (call,) = describe(["exit_group"])
    assert "noreturn" in call.function.attributes


def test_parameters_stand_in_the_kernels_order(every: dict[str, SystemCall]) -> None:
    """Where libc's function takes something else than the call of its name."""
    shown = {
        "clone": "flags stack parent_tid child_tid tls",
        "eventfd": "initval",
        "fchmodat": "dirfd pathname mode",
        "getcpu": "cpu node tcache",
        "ppoll": "fds nfds tmo_p sigmask sigsetsize",
        "preadv2": "fd iov iovcnt offset pos_h flags",
        "reboot": "magic magic2 cmd arg",
        "signalfd": "fd mask sizemask",
        "syslog": "type bufp len",
        "waitid": "idtype id infop options rusage",
    }
    assert shown == {name: " ".join(n for n, _ in every[name].annotation.params) for name in shown}


def test_a_struct_that_no_header_declares_is_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older headers have neither openat2.h nor futex_waitv."""
    absent = dict.fromkeys(("struct open_how", "struct futex_waitv"), "linux/absent.h")
    monkeypatch.setattr(calls, "TYPE_HEADERS", {**calls.TYPE_HEADERS, **absent})
    openat2, waitv, read = describe(["openat2", "futex_waitv", "pread64"])
    assert ("in", "size", "bytes") == (openat2.annotation.params[2][1].kind, *_length(openat2, 2))
    assert ("", "") == _length(waitv, 0)
    assert ("struct open_how *how", None) == (openat2.function.params[2].type.declare("how"), _pointee(openat2, 2))
    assert ("ret", "") == _length(read, 1)


def _length(call: SystemCall, index: int) -> tuple[str, str]:
    role = call.annotation.params[index][1]
    return role.length, role.element


def _pointee(call: SystemCall, index: int) -> object:
    return call.function.params[index].type.pointee


# --- the manual ------------------------------------------------------------------------------------------------------

KERNEL_WORDS = {"sigsetsize", "sizemask", "pos_h"}
"""Words of the kernel's interface that the manual tells of in its text only."""
MAN_NAMES = {"query_module": {"retp": "ret"}}
"""ret is the result's name here."""


@cache
def manual(name: str) -> str:
    """Return the synopsis of a page of section 2, without its markup."""
    page = Path(f"/usr/share/man/man2/{name}.2.gz")
    if not page.exists():
        return ""
    text = gzip.decompress(page.read_bytes()).decode(errors="replace")
    if link := re.search(r"^\.so man2/(\S+)\.2", text, re.M):
        return manual(link[1])
    text = re.sub(r"^\.[A-Z]+ ?", "", text, flags=re.M).replace("\\\n", " ")
    text = re.sub(r"\\f[A-Z]|\\&|\"|/\*|\*/|\[[^\]]*\]", "", text)
    return text.replace("\\ ", " ").replace("\\-", "-")


def manual_parameters(name: str) -> list[list[str]]:
    """Return the parameters' names of each prototype that the manual gives to a call."""
    text, found = manual(name), []
    for match in re.finditer(rf"(?<![\w(])(?:syscall\(\s*SYS_{name}\b\s*,?|{name}\s*\()", text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if text[end:].lstrip().startswith(";"):
            found.append([_last_word(part) for part in _parts(text[match.end() : end - 1])])
    return found


def _parts(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        parts = [*parts, ""] if character == "," and not depth else [*parts[:-1], parts[-1] + character]
    return [part for part in map(str.strip, parts) if part not in ("", "void")]


def _last_word(declaration: str) -> str:
    words = re.findall(r"[A-Za-z_]\w*", declaration)
    return words[-1] if words else "..."


def test_parameters_are_called_as_in_the_manual(every: dict[str, SystemCall]) -> None:
    if not manual("open"):
        pytest.skip("the manual's section 2 is not installed")
    wrong, seen = [], 0
    for name, call in every.items():
        pages = manual_parameters(name)
        seen += bool(pages)
        renamed = MAN_NAMES.get(name, {})
        ours = [renamed.get(n, n) for n, _ in call.annotation.params if n not in KERNEL_WORDS]
        if pages and not any(_agrees(ours, page) for page in pages):
            wrong.append((name, ours, pages))
    assert [] == wrong
    assert seen > 250


def _agrees(ours: list[str], page: list[str]) -> bool:
    """Whether our names are the page's, or its first ones (flags of libc's own), or more where it has dots or fewer."""
    if "..." in page:
        page = page[: page.index("...")]
    return ours[: len(page)] == page[: len(ours)]


# --- names -----------------------------------------------------------------------------------------------------------


def test_flags_and_enums_have_names_with_values(every: dict[str, SystemCall], headers: Headers) -> None:
    used = frozenset().union(*(names_of(call.annotation) for call in every.values()))
    found = resolve(headers, used)
    assert [] == sorted(name for name in used if not found[name].entries)
    futex = {name: value for name, value, _ in found["futex"].entries}
    assert {"FUTEX_WAIT": 0, "FUTEX_WAKE_PRIVATE": 129} == {
        name: futex[name] for name in ("FUTEX_WAIT", "FUTEX_WAKE_PRIVATE")
    }
    clone = {name: (value, mask) for name, value, mask in found["clone_signal"].entries}
    assert ((0x100, 0x100), (17, 0xFF)) == (_or_value(clone["CLONE_VM"]), clone["SIGCHLD"])


def _or_value(entry: tuple[int, int]) -> tuple[int, int]:
    """The mask 0 of a flag stands for the flag itself."""
    return entry[0], entry[1] or entry[0]


# --- asking for calls ------------------------------------------------------------------------------------------------


def test_calls_are_asked_for_by_name_number_glob_and_set() -> None:
    assert ("openat",) == select("openat") == select(257) == select("257") == select("sys_257")
    assert ("sys_511",) == select("511")
    assert ("renameat2", "openat2", "faccessat2") == select("*at2")
    assert ("getpid", "getuid", "getgid", "geteuid", "getegid", "getppid", "getpgrp", "gettid") == select("%pure")
    assert select("%net") == select("%network") != ()
    assert () == select("fopen") == select("%nothing") == select("512") == select("nothing*")


def test_the_glob_of_everything_means_numbers_without_a_name_too() -> None:
    found = select("*")
    assert MOST_NUMBERS == len(found)
    assert set(numbers()) < set(found)
    assert list(range(MOST_NUMBERS)) == [call.number for call in describe(found)]


def test_library_names_stand_for_the_calls_that_do_their_work() -> None:
    expected = {
        "open": ("open", "openat"),
        "open64": ("open", "openat"),
        "stat": ("stat", "newfstatat", "statx"),
        "fstatat64": ("newfstatat",),
        "pread": ("pread64",),
        "prlimit": ("prlimit64",),
        "read": ("read",),
        "__write": ("write",),
        "__open64_2": ("open", "openat"),
        "__xstat": ("stat", "newfstatat", "statx"),
        "_exit": ("exit_group",),
        "waitpid": ("wait4", "waitid"),
        "sigaction": ("rt_sigaction",),
        "strlen": (),
        "fopen": (),
    }
    assert expected == {name: stands_for(name) for name in expected}


def test_library_names_stand_only_for_calls_that_there_are() -> None:
    known = set(numbers())
    assert {} == {name: members for name, members in calls.LIBRARY.items() if not set(members) <= known}


def test_a_few_calls_are_described_at_once() -> None:
    """wc-run --trace begins with this; all of libc's headers alone take ten times as long as what three calls need."""
    started = time.process_time()
    describe(["openat", "futex", "exit_group"])
    assert time.process_time() - started < 0.5


# --- the notation ----------------------------------------------------------------------------------------------------


def test_a_line_gives_prototype_and_roles() -> None:
    line = parse("openat2(int dirfd:dirfd, const char *pathname:path, struct open_how *how:in) -> long:fd")
    assert "long openat2(int dirfd, const char *pathname, struct open_how *how)" == line.prototype
    assert ["dirfd", "path", "in"] == [role.kind for _, _, role in line.params]
    assert "fd" == line.role.kind
    assert "long restart_syscall(void)" == parse("restart_syscall() -> long").prototype


@pytest.mark.parametrize(
    "text",
    [
        "openat2",
        "f(int a:nothing) -> int",
        "f(a) -> int",
        "f(int a, int b, int c, int d, int e, int f, int g) -> int",
        "f(int a:flags) -> int",
    ],
)
def test_a_line_that_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|kind|parameter|six|names"):
        parse(text)


# --- strace ----------------------------------------------------------------------------------------------------------


def traced_names(strace: str, program: Path, output: Path, set_: str) -> set[str]:
    """Return the calls that strace shows of *program* when asked for *set_*."""
    command = [strace, "-qq", "-o", str(output), "-e", f"trace={set_}", str(program)]
    status = subprocess.run(command, timeout=60, check=False).returncode
    if status == 77:
        pytest.skip("no filter can be installed here")
    assert status == 0
    return set(re.findall(r"^(\w+)\(.* ENOTNAM ", output.read_text(), re.M))


def test_sets_are_straces(
    compile_c: Callable[..., Path], needs: Callable[[str], str], tmp_path: Path, every: dict[str, SystemCall]
) -> None:
    strace, program, output = needs("strace"), compile_c("denied_calls.c"), tmp_path / "trace"
    known = traced_names(strace, program, output, "all") & set(every)
    assert len(known) > 300
    for set_ in sorted(calls.SETS):
        if set_ == "%thread":
            continue
        assert traced_names(strace, program, output, set_) & known == set(select(set_)) & known, set_
        assert {name for name, call in every.items() if set_ in call.sets} == set(select(set_)), set_
