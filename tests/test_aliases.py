"""One function, many names: address groups and rules, against the libc of this machine and libraries made to trap."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from wc_intercept.generator import aliases as module
from wc_intercept.generator.aliases import Aliases, bare, variant_base
from wc_intercept.generator.annotations import TABLE
from wc_intercept.generator.elf import Library, find_library
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.libc_prototypes import PROTOTYPES
from wc_intercept.generator.libc_rules import PUBLIC_HEADERS
from wc_intercept.generator.model import Function
from wc_intercept.generator.preprocessor import Preprocessing

Compile = Callable[..., Path]


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


@pytest.fixture(scope="module")
def libraries() -> list[Library]:
    return [Library.read(str(find_library(name))) for name in ("libc.so.6", "libm.so.6")]


@pytest.fixture(scope="module")
def libc(libraries: list[Library], headers: Headers) -> Aliases:
    return Aliases(libraries, headers, TABLE)


def text_of(function: Function | None) -> str:
    assert function is not None
    inner = ", ".join(p.type.declare(p.name) for p in function.params) + (", ..." if function.variadic else "")
    return function.result.declare(f"{function.name}({inner or 'void'})")


def library_of(compile_c: Compile, source: str, *options: str) -> Library:
    return Library.read(compile_c(source, "-shared", "-fPIC", "-w", *options))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("open", "__open __open64 __open64_2 __open_2 open open64"),
        ("openat", "__openat64_2 __openat_2 openat openat64"),
        ("mq_open", "__mq_open_2 mq_open"),
        ("stat", "__xstat __xstat64 stat stat64"),
        ("lstat", "__lxstat __lxstat64 lstat lstat64"),
        ("fcntl", "__fcntl fcntl fcntl64"),
        ("printf", "_IO_printf __printf_chk printf"),
        ("scanf", "__isoc99_scanf scanf"),
        ("strtol", "__strtol_internal __strtoll_internal strtoimax strtol strtoll strtoq"),
        ("putc", "_IO_putc putc"),
        ("sigsetjmp", "__sigsetjmp"),
        ("atexit", "__cxa_atexit"),
        ("vfork", "__vfork vfork"),
        ("read", "__read __read_chk read"),
        ("_exit", "_Exit _exit"),
        ("longjmp", "__longjmp_chk _longjmp longjmp siglongjmp"),
        ("sin", "sin sinf32x sinf64"),
        ("no_such_function", ""),
    ],
)
def test_a_target_means_every_name_of_its_function(libc: Aliases, name: str, expected: str) -> None:
    assert sorted(expected.split()) == list(libc.members(name))


@pytest.mark.parametrize(
    ("one", "other"),
    [("htonl", "ntohl"), ("htons", "ntohs"), ("pthread_spin_init", "pthread_spin_unlock")],
)
def test_functions_that_share_a_stub_are_told_apart(
    libraries: list[Library], libc: Aliases, one: str, other: str
) -> None:
    assert other in libraries[0].aliases(one)
    assert ((one,), (other,)) == (libc.members(one), libc.members(other))


def test_a_prototype_tells_functions_of_one_address_apart(libc: Aliases) -> None:
    """Also without the list of those known to be unrelated."""
    groups = {libc.same(name) for name in libc.exports}
    for group in groups:
        known = [f for name in group if (f := libc.function(name)) is not None]
        assert 1 == len({len(f.params) for f in known} or {0}), group


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("open64", "open"),
        ("__open", "open"),
        ("__printf_chk", "printf"),
        ("_IO_getc", "getc"),
        ("index", "strchr"),
        ("sinf32x", "sin"),
        ("strtoll", "strtol"),
        ("__xpg_sigpause", "sigpause"),
        ("__cxa_atexit", "__cxa_atexit"),
    ],
)
def test_a_group_is_called_by_its_plainest_name(libc: Aliases, name: str, expected: str) -> None:
    assert expected == libc.canonical(name)


def test_all_names_of_one_group_agree_about_its_name(libc: Aliases) -> None:
    for name in libc.exports:
        names = [n for n in libc.same(name) if not variant_base(n)]
        assert len({libc.canonical(n) for n in names}) <= 1, names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__open_2", "int __open_2(const char *path, int oflag)"),
        ("__open", "int __open(const char *file, int oflag, ...)"),
        ("__printf_chk", "int __printf_chk(int flag, const char *format, ...)"),
        ("__isoc99_sscanf", "int __isoc99_sscanf(const char *s, const char *format, ...)"),
        ("__strtol_l", "long int __strtol_l(const char *nptr, char **endptr, int base, locale_t loc)"),
        ("__strtoll_l", "long long int __strtoll_l(const char *nptr, char **endptr, int base, locale_t loc)"),
        ("strtoll", "long long int strtoll(const char *nptr, char **endptr, int base)"),
        ("strtoimax", "intmax_t strtoimax(const char *nptr, char **endptr, int base)"),
        ("stat64", "int stat64(const char *file, struct stat64 *buf)"),
        ("_IO_putc", "int _IO_putc(int c, FILE *stream)"),
    ],
)
def test_each_name_has_its_own_prototype(libc: Aliases, name: str, expected: str) -> None:
    assert expected == text_of(libc.function(name))


def test_every_rule_names_the_function_that_it_declares(headers: Headers) -> None:
    lines = [line for line in PROTOTYPES.splitlines() if line]
    names = [headers.prototype(line).name for line in lines]
    assert (len(lines), sorted(names)) == (len(module._RULED), sorted(module._RULED))


def test_rules_for_fortified_functions_are_those_of_the_fortified_headers(headers: Headers) -> None:
    """bits/*2.h declare most of them, but only under _FORTIFY_SOURCE."""
    includes = "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in PUBLIC_HEADERS)
    text, searched = Preprocessing("cc", f"#define _FORTIFY_SOURCE 2\n#define __OPTIMIZE__ 2\n{includes}", ()).finish()
    fortified = Headers(text, PUBLIC_HEADERS, searched)
    compared = 0
    for name, line in module._RULED.items():
        declared = fortified.function(name) if re.search("_chk$|_2$", name) else None
        if declared is not None:
            compared += 1
            assert module._shape(declared) == module._shape(headers.prototype(line)), name
    assert compared > 60


def test_every_fortified_variant_has_a_prototype_and_a_base(libc: Aliases) -> None:
    variants = [n for n in libc.exports if n.endswith("_chk") and n not in ("__fdelt_chk",)]
    assert 78 == len(variants)
    assert [] == [n for n in variants if libc.function(n) is None]
    assert [] == [n for n in variants if not variant_base(n) or not libc.members(variant_base(n))]


def test_fewer_than_one_in_thirty_names_has_no_prototype(libc: Aliases) -> None:
    unknown = [n for n in libc.exports if libc.function(n) is None]
    assert len(unknown) < len(libc.exports) / 30
    assert ["mcount"] == [n for n in unknown if not n.startswith("_")]


def test_names_that_headers_redirect_to_are_the_functions_own(libc: Aliases) -> None:
    """ntp_gettime compiles to a call of ntp_gettimex; later versions redirect strtol to __isoc23_strtol so."""
    assert ("ntp_gettime", "ntp_gettimex") == libc.members("ntp_gettime")
    assert ("ntp_gettimex",) == libc.members("ntp_gettimex")


def test_names_of_later_libcs_are_known(compile_c: Compile, libraries: list[Library], headers: Headers) -> None:
    """glibc 2.38 exports __isoc23_*; here a library made to look like it does."""
    stub = library_of(
        compile_c,
        """
        int __isoc23_scanf(const char *f, ...) { return 0; } int __isoc23_vscanf(const char *f, void *a) { return 0; }
        long __isoc23_strtol(const char *n, char **e, int b) { return 0; }
        unsigned long __strlcpy_chk(char *d, const char *s, unsigned long n, unsigned long l) { return 0; }
        """,
    )
    later = Aliases([*libraries, stub], headers, TABLE)
    assert "__isoc23_scanf" in later.members("scanf")
    assert "__isoc23_strtol" in later.members("strtol")
    assert "int __isoc23_scanf(const char *format, ...)" == text_of(later.function("__isoc23_scanf"))
    assert "long int __isoc23_strtol(const char *nptr, char **endptr, int base)" == text_of(
        later.function("__isoc23_strtol")
    )
    assert len(later.function("__strlcpy_chk").params) == 4  # type: ignore[union-attr]


def test_an_older_libc_without_stat_is_covered_by_xstat(compile_c: Compile, headers: Headers) -> None:
    """Before glibc 2.33 stat was linked into programs and called __xstat."""
    old = library_of(compile_c, "int __xstat(int v, const char *p, void *b) { return 0; }")
    found = Aliases([old], headers, TABLE)
    assert (("__xstat",), "__xstat") == (found.members("stat"), found.canonical("__xstat"))


def test_folded_functions_of_other_libraries_are_not_aliases(compile_c: Compile, headers: Headers) -> None:
    """A linker that folds identical code gives unrelated functions one address; 64-bit and __ names are related."""
    source = """
    int lib_open(int a) { return a; } extern __typeof__(lib_open) lib_open64 __attribute__((alias("lib_open")));
    extern __typeof__(lib_open) __lib_open __attribute__((alias("lib_open")));
    extern __typeof__(lib_open) lib_close __attribute__((alias("lib_open")));
    """
    library = library_of(compile_c, source)
    assert 4 == len(library.aliases("lib_open"))
    found = Aliases([library], headers, TABLE)
    assert ("__lib_open", "lib_open", "lib_open64") == found.members("lib_open")
    assert ("lib_close",) == found.members("lib_close")


def test_the_first_library_that_exports_a_name_has_it(
    compile_c: Compile, libraries: list[Library], headers: Headers
) -> None:
    stub = library_of(compile_c, "int open(const char *p, int f, ...) { return -1; }")
    assert "libc.so.6" == Aliases([*libraries, stub], headers, TABLE).exports["open"].library


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__printf_chk", "printf"),
        ("__isoc23_strtoul", "strtoul"),
        ("__wcstod_internal", "wcstod"),
        ("__fread_unlocked_chk", "fread_unlocked"),
        ("open64", ""),
        ("__stack_chk_fail", ""),
        ("__chk_fail", ""),
        ("__fdelt_chk", ""),
    ],
)
def test_variants_are_known_by_their_names(name: str, expected: str) -> None:
    assert expected == variant_base(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("__open64", "open"), ("_IO_putc", "putc"), ("__libc_malloc", "malloc"), ("sinf32x", "sin"), ("log10", "log10")],
)
def test_adornments_are_no_part_of_a_name(name: str, expected: str) -> None:
    assert expected == bare(name)


def test_aliases_are_annotated_like_the_function_that_they_are(libc: Aliases) -> None:
    for name in ("__open", "__open64_2", "__xstat64", "__isoc99_sscanf", "_IO_fgets", "__read_chk"):
        known, function = libc.annotation(name), libc.function(name)
        assert known is not None and function is not None, name
        assert len(known.params) >= len(function.params), name


def test_an_annotation_never_gives_a_value_a_pointers_role(libc: Aliases) -> None:
    values = {
        "",
        "fd",
        "dirfd",
        "pid",
        "uid",
        "gid",
        "mode",
        "flags",
        "enum",
        "signal",
        "size",
        "errno",
        "char",
        "time",
    }
    for name in libc.exports:
        known, function = libc.annotation(name), libc.function(name)
        if known is None or function is None or name in TABLE:
            continue
        for param, (_, role) in zip(function.params, known.params, strict=False):
            if role.kind not in values | {"clockid"}:
                assert "pointer" == param.type.kind, (name, param.name, role)


def test_every_rule_is_c_that_compiles_with_the_headers() -> None:
    includes = "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in PUBLIC_HEADERS)
    source = "#define _GNU_SOURCE\n" + includes + "".join(f"{line};\n" for line in PROTOTYPES.splitlines() if line)
    command = ["cc", "-fsyntax-only", "-fno-builtin", "-x", "c", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True)
    assert "" == done.stderr
