"""What becomes of a config's functions: classes, closures, precedence, coverage. The libc is this machine's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wc_intercept.generator import config as configs
from wc_intercept.generator import policy, wrapping
from wc_intercept.generator.elf import Library, find_library
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.libc_rules import INTERNAL, MODE_IF_FLAG, OPTIONAL_WORD, REFUSED, TAIL_JUMPS
from wc_intercept.generator.model import Plan, Platform, TargetPlan, Wrapper
from wc_intercept.generator.selection import family_stem, literal_prefix

Planned = Callable[..., Plan]


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


@pytest.fixture(scope="module")
def libraries() -> list[Library]:
    return [Library.read(str(find_library(name))) for name in ("libc.so.6", "libm.so.6")]


@pytest.fixture(scope="module")
def planned(headers: Headers, libraries: list[Library]) -> Planned:
    """planned("open", "%file", {"func_name": ...}, exclude=[...]) -> the plan."""

    def plan(*funcs: str | dict[str, Any], more: tuple[Library, ...] = (), **keys: Any) -> Plan:
        entries = [f if isinstance(f, dict) else {"set" if f[0] == "%" else "func_name": f} for f in funcs]
        config = configs.parse(json.dumps({"funcs": entries, **keys}), "config.json")
        return policy.plan(config, headers, [*libraries, *more], Platform())

    return plan


def targets(plan: Plan) -> dict[str, TargetPlan]:
    return {target.name: target for target in plan.targets if not target.internal}


def symbols(plan: Plan, target: str) -> list[str]:
    return [w.symbol for w in plan.wrappers if plan.targets[w.target].name == target]


def wrapper(plan: Plan, symbol: str) -> Wrapper:
    return next(w for w in plan.wrappers if w.symbol == symbol)


def status(plan: Plan) -> dict[str, str]:
    return {line.target or line.requested: line.status for line in plan.coverage}


# --- all of libc ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything(planned: Planned, libraries: list[Library]) -> Plan:
    """The plan of a config that names every function which libc and libm export."""
    return planned(*sorted({name for library in libraries for name in library.exports}))


def test_every_exported_function_is_answered(everything: Plan, libraries: list[Library]) -> None:
    names = {name for library in libraries for name in library.exports}
    assert len(names) > 3000
    assert names == {line.requested for line in everything.coverage}
    unexplained = [x for x in everything.coverage if x.status not in ("wrapped", "refused")]
    assert [] == unexplained
    assert [] == [x for x in everything.coverage if x.status == "refused" and len(x.reason.split()) < 4]


def test_of_the_declared_functions_99_in_100_are_covered(everything: Plan, headers: Headers) -> None:
    declared = [line for line in everything.coverage if line.requested in headers.declared]
    covered = [line for line in declared if line.status == "wrapped"]
    assert len(declared) > 2600
    assert len(covered) >= 0.99 * len(declared)


def test_what_is_refused_is_in_the_table_of_refusals(everything: Plan) -> None:
    refused = {line.requested for line in everything.coverage if line.status == "refused"}
    assert {"dlsym", "dlvsym", "__errno_location"} <= refused <= REFUSED.keys()


def test_each_requested_name_is_a_target_of_its_own(everything: Plan) -> None:
    for line in everything.coverage:
        assert line.status == "refused" or (line.requested == line.target and line.requested in line.symbols)


def test_a_wrapper_in_c_has_a_prototype_and_a_tail_jump_a_reason(everything: Plan) -> None:
    for one in everything.wrappers:
        assert one.function is not None or one.wrapper == "tail-jump", one.symbol
        assert one.detail or one.wrapper != "tail-jump", one.symbol
        assert one.function is None or one.function.name == one.symbol


def test_nothing_variadic_is_wrapped_as_if_it_were_not(everything: Plan) -> None:
    """Pitfall: forwarding `...` wrongly. Each class here knows where further arguments come from."""
    classes = {"mode-if-flag", "optional-word", "v-twin", "exec-list", "syscall", "tail-jump"}
    variadic = [w for w in everything.wrappers if w.function is not None and w.function.variadic]
    assert len(variadic) > 60
    assert set() == {w.wrapper for w in variadic} - classes
    fixed = [w for w in everything.wrappers if w.function is not None and not w.function.variadic]
    assert {"plain", "noreturn", "tail-jump"} == {w.wrapper for w in fixed}


def test_all_class_tables_name_functions_that_get_the_class(everything: Plan) -> None:
    classes = {w.symbol: w.wrapper for w in everything.wrappers}
    assert {"tail-jump"} == {classes[name] for name in TAIL_JUMPS if name in classes}
    assert {"mode-if-flag"} == {classes[name] for name in MODE_IF_FLAG}
    assert {"optional-word"} == {classes[name] for name in OPTIONAL_WORD}


def test_a_twin_is_exported_and_takes_a_va_list(everything: Plan, headers: Headers) -> None:
    twins = {w.symbol: w.twin for w in everything.wrappers if w.wrapper == "v-twin"}
    assert ("vprintf", "__vprintf_chk", "__isoc99_vsscanf", "verr") == tuple(
        twins[name] for name in ("printf", "__printf_chk", "__isoc99_sscanf", "err")
    )
    for symbol, twin in twins.items():
        own, other = wrapper(everything, symbol).function, wrapper(everything, twin).function
        assert own is not None and other is not None
        assert "va_list" == other.params[-1].type.kind
        assert len(own.params) + 1 == len(other.params), symbol


def test_the_31_names_with_versions_of_different_code_keep_their_version(everything: Plan) -> None:
    """Pitfall: dlsym may return the oldest version; a wrapper must be found under the same version node."""
    versioned = {w.symbol: w.version for w in everything.wrappers if w.version and w.library == "libc.so.6"}
    assert 31 == len(versioned)
    assert ("GLIBC_2.14", "GLIBC_2.3.2", "GLIBC_2.3") == tuple(
        versioned[n] for n in ("memcpy", "pthread_cond_wait", "realpath")
    )
    assert "" == wrapper(everything, "open").version


def test_every_header_of_libc_is_read(headers: Headers, libraries: list[Library], tmp_path: Path) -> None:
    """What a header of libc's package declares and libc exports, we know too."""
    listed = subprocess.run(["dpkg", "-L", "libc6-dev"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no list of libc's headers on this machine")
    paths = re.findall(r"^/usr/include/(?:x86_64-linux-gnu/)?(\S+\.h)$", listed.stdout, re.M)
    skipped = ("bits/", "finclude/", "gnu/stubs", "gnu/lib-names-64", "sys/vm86", "sys/elf")
    names = [p for p in paths if not p.startswith(skipped) and p not in ("regexp.h", "tgmath.h")]
    assert len(names) > 200
    every = Headers.of_text("".join(f"#include <{name}>\n" for name in names))
    exported = {name for library in libraries for name in library.exports}
    assert set() == (set(every.declared) & exported) - set(headers.declared)


# --- classes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("read", "plain"),
        ("div", "plain"),
        ("strtold", "plain"),
        ("cpow", "plain"),
        ("inet_ntoa", "plain"),
        ("qsort", "plain"),
        ("signal", "plain"),
        ("fork", "plain"),
        ("open", "mode-if-flag"),
        ("openat64", "mode-if-flag"),
        ("sem_open", "mode-if-flag"),
        ("fcntl", "optional-word"),
        ("ioctl", "optional-word"),
        ("ptrace", "optional-word"),
        ("printf", "v-twin"),
        ("syslog", "v-twin"),
        ("__snprintf_chk", "v-twin"),
        ("execle", "exec-list"),
        ("syscall", "syscall"),
        ("exit", "noreturn"),
        ("_exit", "noreturn"),
        ("abort", "noreturn"),
        ("siglongjmp", "noreturn"),
        ("pthread_exit", "noreturn"),
        ("__stack_chk_fail", "noreturn"),
        ("vfork", "tail-jump"),
        ("setjmp", "tail-jump"),
        ("__sigsetjmp", "tail-jump"),
        ("getcontext", "tail-jump"),
        ("dlopen", "tail-jump"),
        ("dl_iterate_phdr", "tail-jump"),
        ("makecontext", "tail-jump"),
        ("error", "tail-jump"),
        ("strfmon", "tail-jump"),
        ("_IO_file_read", "tail-jump"),
    ],
)
def test_functions_have_their_wrapper_class(everything: Plan, name: str, expected: str) -> None:
    assert expected == wrapper(everything, name).wrapper


def test_a_function_that_returns_twice_is_a_tail_jump_whatever_its_name(headers: Headers) -> None:
    text = "__attribute__((returns_twice)) int twice(int a); int unknown(); void gone(void) __attribute__((noreturn));"
    own = Headers.of_text(text)
    twice = wrapping.choose("twice", own.function("twice"), None, ())
    unknown = wrapping.choose("unknown", own.function("unknown"), own.why_not("unknown"), ())
    gone = wrapping.choose("gone", own.function("gone"), None, ())
    assert ["tail-jump", "tail-jump", "noreturn"] == [twice.wrapper, unknown.wrapper, gone.wrapper]
    assert "parentheses" in unknown.detail


# --- closure ----------------------------------------------------------------------------------------------------------


def test_a_target_is_wrapped_under_every_name_of_its_function(planned: Planned) -> None:
    plan = planned("open")
    assert ["__open", "__open64", "__open64_2", "__open_2", "open", "open64"] == symbols(plan, "open")
    assert "plain" == wrapper(plan, "__open_2").wrapper


def test_two_names_of_one_function_are_two_targets(planned: Planned) -> None:
    plan = planned("open64", "open")
    assert ["open"] == symbols(plan, "open")
    assert ["__open", "__open64", "__open64_2", "__open_2", "open64"] == symbols(plan, "open64")


def test_an_alias_drags_in_no_string_function(planned: Planned, everything: Plan) -> None:
    plan = planned("fclose", "timelocal", "%file")
    assert [] == [w.symbol for w in plan.wrappers if family_stem(w.symbol)]
    assert ["index", "strchr"] == symbols(planned("strchr"), "strchr")


def test_a_name_that_only_the_source_says_is_caught_under_what_it_becomes(planned: Planned) -> None:
    plan = planned("sigsetjmp", "atexit")
    assert (["__sigsetjmp"], ["__cxa_atexit"]) == (symbols(plan, "sigsetjmp"), symbols(plan, "atexit"))
    assert ["wrapped", "wrapped"] == [line.status for line in plan.coverage]


def test_the_runtimes_own_wrappers_are_always_there(planned: Planned) -> None:
    plan = planned("getpid")
    internal = {t.name for t in plan.targets if t.internal}
    assert set(INTERNAL) == internal
    assert "__vfork" in symbols(plan, "vfork")
    assert [False] + [True] * len(INTERNAL) == [t.internal for t in plan.targets]


def test_an_internal_wrapper_that_is_asked_for_is_a_target(planned: Planned) -> None:
    plan = planned("vfork", "exec*")
    assert {"vfork", "execve", "execl"} <= targets(plan).keys()
    assert 1 == len([t for t in plan.targets if t.name == "execve"])


# --- globs, sets, families, precedence --------------------------------------------------------------------------------


def test_a_glob_takes_groups_under_their_plainest_name(planned: Planned) -> None:
    plan = planned("pthread_key_*", "open6*")
    assert ["open", "pthread_key_create", "pthread_key_delete"] == list(targets(plan))
    assert ["__pthread_key_create", "pthread_key_create"] == symbols(plan, "pthread_key_create")
    assert "open" in symbols(plan, "open")


@pytest.mark.parametrize(
    ("glob", "taken", "left"),
    [
        ("*", "open sin read", "malloc free strlen memcpy wcslen strtol __memcpy_chk calloc"),
        ("s*", "socket stat", "strlen strcpy stpcpy"),
        ("str*", "strlen strtol", ""),
        ("mem*", "memcpy memalign memfd_create", ""),
        ("m*", "mmap mprotect memfd_create", "malloc memcpy memalign"),
        ("mall*", "malloc mallopt", ""),
        ("posix_*", "posix_spawn posix_fadvise", "posix_memalign"),
        ("free*", "free freeaddrinfo", ""),
        ("f*", "fopen freeaddrinfo", "free"),
        ("__str*_chk", "strcpy", ""),
    ],
)
def test_families_are_taken_by_a_prefix_that_names_them(planned: Planned, glob: str, taken: str, left: str) -> None:
    plan = planned(glob)
    names = set(targets(plan))
    assert set(taken.split()) <= names
    assert set() == names & set(left.split())
    listed = {symbol for line in plan.coverage if line.status == "excluded" for symbol in line.symbols}
    assert set(left.split()) <= listed


def test_a_set_takes_what_libc_exports_of_it(planned: Planned) -> None:
    names = set(targets(planned("%file")))
    assert {"open", "stat", "rename", "unlink"} <= names
    assert "read" not in names


def test_a_set_that_names_the_heap_or_strings_takes_them(planned: Planned) -> None:
    assert {"malloc", "free", "realloc"} <= set(targets(planned("%alloc")))
    assert {"strlen", "memcpy", "strdup"} <= set(targets(planned("%string")))


def test_a_name_beats_a_glob_beats_a_set_and_the_later_the_earlier(planned: Planned) -> None:
    plan = planned(
        {"func_name": "open", "frequency": 2},
        {"func_name": "op*", "frequency": 3},
        {"set": "%file", "frequency": 4},
        {"func_name": "openat*", "frequency": 5},
    )
    found = targets(plan)
    frequencies = [found[name].frequency for name in ("open", "opendir", "openat", "stat")]
    assert [2, 3, 5, 4] == frequencies


def test_of_two_equal_entries_the_later_decides(planned: Planned) -> None:
    plan = planned({"func_name": "open", "frequency": 2}, {"func_name": "open", "frequency": 7})
    assert 7 == targets(plan)["open"].frequency


def test_exclude_comes_first(planned: Planned) -> None:
    plan = planned("open", "pthread_mutex_*", "read", "%network", exclude=["pthread_mutex_l*", "read", "%network"])
    assert "excluded" == status(plan)["read"]
    assert {"pthread_mutex_unlock", "open"} <= targets(plan).keys()
    assert set() == {"pthread_mutex_lock", "read", "socket"} & targets(plan).keys()


def test_exclude_of_an_alias_takes_only_that_name_away(planned: Planned) -> None:
    assert ["__open", "__open64", "__open64_2", "__open_2", "open"] == symbols(
        planned("open", exclude=["open64"]), "open"
    )


def test_an_unknown_set_to_exclude_is_an_error_with_its_place(planned: Planned) -> None:
    with pytest.raises(UserError, match="no set named '%netwrok'") as caught:
        planned("open", exclude=["read", "%netwrok"])
    assert caught.value.at.endswith("exclude[1]")
    assert "%network" in caught.value.try_


@pytest.mark.parametrize(
    ("glob", "expected"), [("__str*", "str"), ("a?c", "a"), ("*", ""), ("x[ab]", "x"), ("malloc*", "malloc")]
)
def test_what_a_glob_names_is_what_it_begins_with(glob: str, expected: str) -> None:
    assert expected == literal_prefix(glob)


# --- what cannot be -------------------------------------------------------------------------------------------------


def test_an_unknown_name_says_where_and_why(planned: Planned) -> None:
    line = planned("open", "fopne").coverage[1]
    assert ("fopne", "unknown", "config.json:1:49  funcs[1].func_name") == (line.requested, line.status, line.where)
    assert "neither exported by libc.so.6 or libm.so.6 nor declared" in line.reason


def test_a_macro_and_an_inline_function_are_called_what_they_are(planned: Planned) -> None:
    reasons = {
        line.requested: line.reason for line in planned("WIFEXITED", "fpclassify", "pthread_cleanup_push").coverage
    }
    assert "it is a macro" in reasons["WIFEXITED"]
    assert all(reasons.values())


def test_a_glob_without_a_match_and_an_unknown_set_are_unknown(planned: Planned) -> None:
    assert {"nope*": "unknown", "%nope": "unknown"} == status(planned("nope*", "%nope"))


def test_a_refused_name_has_its_reason_and_the_rest_runs(planned: Planned) -> None:
    plan = planned("dlsym", "open", "__tls_get_addr")
    assert {"dlsym": "refused", "open": "wrapped", "__tls_get_addr": "refused"} == status(plan)
    assert "RTLD_NEXT" in plan.coverage[0].reason
    assert ["open"] == list(targets(plan))


def test_a_library_that_is_not_there_leaves_its_function_pending(planned: Planned) -> None:
    entry = {"func_name": "plugin_run", "library": "libplugin.so.1", "prototype": "int plugin_run(int a)"}
    plan = planned(entry)
    assert {"plugin_run": "pending"} == status(plan)
    found = wrapper(plan, "plugin_run")
    assert ("plain", "libplugin.so.1") == (found.wrapper, found.library)


def test_a_users_library_is_wrapped_from_the_configs_prototype(
    planned: Planned, compile_c: Callable[..., Path]
) -> None:
    path = compile_c("int add(int a, int b) { return a + b; } int sub(void) { return 1; }", "-shared", "-fPIC", "-w")
    library = Library.read(path)
    plan = planned({"func_name": "add", "prototype": "int add(int a, int b)"}, "sub", more=(library,))
    assert ("plain", library.soname) == (wrapper(plan, "add").wrapper, wrapper(plan, "add").library)
    assert "tail-jump" == wrapper(plan, "sub").wrapper
    assert (library.soname,) == plan.libraries


@pytest.mark.parametrize(
    ("prototype", "message"),
    [
        ("int other(int a)", "another function's"),
        ("int open(nope a)", "not a prototype"),
        ("system()", "not a prototype"),
    ],
)
def test_a_prototype_that_does_not_fit_is_an_error(planned: Planned, prototype: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        planned({"func_name": "open", "prototype": prototype})
    assert caught.value.at.startswith("config.json:1:")


def test_a_capture_must_name_a_parameter(planned: Planned) -> None:
    capture = {"buf": {"bytes": "return"}}
    assert (("buf", "ret"),) == targets(planned({"func_name": "read", "capture": capture}))["read"].capture
    with pytest.raises(UserError, match="read has no parameter 'bfu'") as caught:
        planned({"func_name": "read", "capture": {"bfu": {"bytes": 4}}})
    assert "buf" == caught.value.try_
    assert () == targets(planned({"func_name": "close*", "capture": capture}))["close"].capture


# --- the plan as a whole ----------------------------------------------------------------------------------------------


def test_only_headers_that_the_types_need_are_included(planned: Planned) -> None:
    assert "stdio.h" not in planned("getpid").headers
    assert "sys/socket.h" in planned("sendmsg").headers
    assert set(planned("getpid").headers) < set(planned("getpid", "regexec", "mq_open").headers)


def test_only_sets_of_names_in_use_are_resolved(planned: Planned) -> None:
    names = dict(planned("open").names)
    assert ("O_CREAT", 64) in {(name, value) for name, value, _ in names["open"].entries}
    assert "mmap" not in names


def test_the_plan_is_sorted_and_targets_are_numbered_by_it(planned: Planned) -> None:
    plan = planned("write", "open", "close")
    assert ["close", "open", "write"] == [t.name for t in plan.targets[:3]]
    assert sorted(w.symbol for w in plan.wrappers) == [w.symbol for w in plan.wrappers]


PRINT_PLAN = """
import json
from wc_intercept.generator import config, policy
from wc_intercept.generator.elf import Library, find_library
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.model import Platform
libraries = [Library.read(find_library(n)) for n in ("libc.so.6", "libm.so.6")]
parsed = config.parse(json.dumps({"funcs": [{"set": "%file"}, {"func_name": "p*"}]}), "x")
plan = policy.plan(parsed, Headers.read(), libraries, Platform())
for wrapper in plan.wrappers:
    print(wrapper.symbol, wrapper.target, wrapper.wrapper, wrapper.twin, wrapper.detail, wrapper.annotation)
print(plan.targets, plan.headers, plan.names, plan.coverage)
"""


def test_the_same_config_gives_the_same_plan() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PRINT_PLAN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
