"""Which engine serves a target, and the sentence that says why; what build() makes of it, and keeps."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from wc_intercept.generator.build import Built, build, plan, scene_of
from wc_intercept.generator.config import parse
from wc_intercept.generator.engines import Scene, why_traced
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.funcs import Func
from wc_intercept.generator.manifest import Coverage
from wc_intercept.generator.program import Program

PROGRAM = """
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((noipa)) int own(int number) { return number + 1; }
int main(int argc, char **argv) {
        (void)argv;
        close(open("/etc/hostname", O_RDONLY));
        free(malloc(5));
        return own(argc) == 2 ? 0 : 1;
}
"""
STATIC_WHY = "it is statically linked: there is no loader that could preload anything"
OWN_WHY = "it is a function of the program itself, which no preloaded library reaches"

Explained = Callable[..., dict[str, Coverage]]


@pytest.fixture(scope="session")
def programs(compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same program: dynamic, static, static-pie, and static without its symbols."""
    stripped = tmp_path_factory.mktemp("stripped") / "stripped"
    shutil.copy(compile_c(PROGRAM, "-static"), stripped)
    subprocess.run(["strip", stripped], check=True)
    return {
        "dynamic": compile_c(PROGRAM), "static": compile_c(PROGRAM, "-static"),
        "static-pie": compile_c(PROGRAM, "-static-pie"), "stripped": stripped,
    }  # fmt: skip


@pytest.fixture(scope="session")
def explained(programs: dict[str, Path]) -> Explained:
    """explained("dynamic", "open", {...}) -> the coverage by what was requested. "": without a program."""

    def run(program: str, *names: Any, engine: Any = "auto", **config: Any) -> dict[str, Coverage]:
        funcs = [name if isinstance(name, dict) else {"func_name": name} for name in names]
        asked = Program.read(programs[program]) if program else None
        planned = plan(parse(json.dumps({"funcs": funcs, **config}), "c.json"), None, asked, scene_of(engine, asked))
        return {line.requested: line for line in planned.plan.coverage}

    return run


def short(line: Coverage) -> tuple[str, str, str]:
    return line.status, line.engine, line.reason


# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("func", "library", "scene", "why"),
    [
        (Func("open"), "libc.so.6", Scene("auto"), ""),
        (Func("open"), "libc.so.6", Scene("preload"), ""),
        (Func("open"), "libc.so.6", Scene("ptrace"), "the ptrace engine was asked for"),
        (Func("open"), "libc.so.6", Scene("auto", "it is setuid"), "it is setuid"),
        (Func("open", preload=False), "libc.so.6", Scene("auto"), 'the config says "preload": false'),
        (Func("own"), ".", Scene("auto"), OWN_WHY),
        (None, "libc.so.6", Scene("ptrace"), ""),
    ],
)
def test_the_shim_serves_what_it_can_and_the_tracer_the_rest(
    func: Func | None, library: str, scene: Scene, why: str
) -> None:
    assert why == why_traced(func, library, scene)


# --- programs --------------------------------------------------------------------------------------------------------


def test_a_dynamic_programs_imports_are_the_shims_and_its_own_functions_the_tracers(explained: Explained) -> None:
    lines = explained("dynamic", "open", "own", syscalls=[{"syscall_id": "openat"}])
    assert ("wrapped", "preload", "") == short(lines["open"])
    assert ("traced", "ptrace", OWN_WHY) == short(lines["own"])
    assert ("traced", "ptrace", "it is a system call") == short(lines["openat"])


@pytest.mark.parametrize(
    ("program", "why"), [("static", STATIC_WHY), ("static-pie", STATIC_WHY.replace(":", " (PIE):", 1))]
)
def test_all_of_a_static_program_is_the_tracers(explained: Explained, program: str, why: str) -> None:
    lines = explained(program, "open", "own", "mallo[c]")
    assert {("traced", "ptrace", why)} == {short(lines[name]) for name in ("open", "own", "mallo[c]")}
    assert {"open", "__open", "__libc_open"} <= set(lines["open"].symbols)


def test_a_static_program_without_symbols_has_its_system_calls(explained: Explained) -> None:
    """A name that stands for system calls means these where no function of that name is there."""
    lines = explained("stripped", "open", "malloc", "getpid")
    assert ("refused", "ptrace") == short(lines["malloc"])[:2]
    assert "its symbol table has no function of that name" in lines["malloc"].reason
    calls = {name for name, line in lines.items() if line.status == "traced"}
    assert ({"open", "openat", "getpid"}, True) == (calls, all("system call" in lines[name].reason for name in calls))


def test_the_ptrace_engine_takes_all(explained: Explained) -> None:
    lines = explained("dynamic", "open", "own", engine="ptrace")
    assert ("traced", "the ptrace engine was asked for") == (lines["open"].status, lines["open"].reason)
    assert ("traced", OWN_WHY) == (lines["own"].status, lines["own"].reason)


def test_a_config_gives_targets_to_the_tracer(explained: Explained) -> None:
    lines = explained("", {"func_name": "open", "preload": False}, {"func_name": "close", "internal": True}, "read")
    assert ['the config says "preload": false', "wrapped"] == [lines["open"].reason, lines["read"].status]
    assert "from inside the library" in lines["close"].reason


def test_a_glob_leaves_to_the_tracer_what_the_config_gives_to_it(explained: Explained) -> None:
    lines = explained("", "getp*", {"func_name": "getpid", "preload": False})
    assert ("traced", "getpid") == (lines["getpid"].status, lines["getpid"].target)


def test_what_is_nowhere_yet_stays_pending_when_the_config_says_so(explained: Explained) -> None:
    lines = explained(
        "dynamic", {"func_name": "later", "preload": False}, {"func_name": "other", "library": "libnowhere.so.1"}
    )
    assert ["pending", "pending"] == [line.status for line in lines.values()]
    assert ["ptrace", "preload"] == [line.engine for line in lines.values()]


def test_a_prototype_speaks_for_a_function_that_only_a_program_has(explained: Explained, cache: Path) -> None:
    own = {"func_name": "own", "prototype": "int own(int number)"}
    assert "pending" == explained("", own)["own"].status
    assert "traced" == explained("dynamic", own)["own"].status
    nowhere = {"func_name": "nowhere", "prototype": "int nowhere(int number)"}
    assert "unknown" == explained("dynamic", nowhere)["nowhere"].status


def test_names_that_are_nowhere_are_errors_that_name_where_was_looked(programs: dict[str, Path], cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse('{"funcs": [{"func_name": "owm"}]}', "c.json"), programs["dynamic"], cache, "auto")
    assert f"no function named 'owm' in libc.so.6 or libm.so.6 or {programs['dynamic'].name}" == caught.value.what
    assert "own" in caught.value.try_.split(", ")[0].split(" or ")


def test_an_unknown_system_call_is_an_error_with_the_nearest_name(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse('{"syscalls": [{"syscall_id": "openta"}]}', "c.json"), None, cache, "auto")
    assert ("no system call 'openta'", True) == (caught.value.what, "openat" in caught.value.why)
    assert caught.value.at == "c.json:1:30  syscalls[0].syscall_id"


# --- system calls ----------------------------------------------------------------------------------------------------


def test_precedence_among_system_calls_is_that_of_functions(cache: Path) -> None:
    """Exclude first; a name over a glob over a set, then the later over the earlier."""
    entries = [
        {"syscall_id": "read", "frequency": 2}, {"syscall_id": "*", "frequency": 3}, {"syscall_id": "%file", "frequency": 4},
        {"syscall_id": "0", "frequency": 5},
    ]  # fmt: skip
    config = parse(json.dumps({"syscalls": entries, "exclude": ["futex", "%memory"]}), "c.json")
    targets = {target.name: target for target in build(config, None, cache, "auto").manifest.targets}
    assert (5, 3) == (targets["read"].frequency, targets["openat"].frequency)
    assert {"syscall"} == {target.kind for target in targets.values()}
    assert not {"futex", "mmap"} & targets.keys()


def test_a_capture_of_a_parameter_that_a_call_lacks_is_an_error(cache: Path) -> None:
    entry = {"syscall_id": "read", "capture": {"bfu": {"bytes": 3}}}
    with pytest.raises(UserError) as caught:
        build(parse(json.dumps({"syscalls": [entry]}), "c.json"), None, cache, "auto")
    assert ("read has no parameter 'bfu'", "buf") == (caught.value.what, caught.value.try_)


# --- what is built ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files(built: Built) -> tuple[bool, bool, bool]:
    return built.path is not None, built.plan is not None, built.stored.is_file()


def test_a_shim_and_a_plan_are_made_only_where_they_serve_something(programs: dict[str, Path], cache: Path) -> None:
    config = parse('{"funcs": [{"func_name": "open"}, {"func_name": "own"}]}', "c.json")
    both = build(config, programs["dynamic"], cache, "auto")
    static = build(config, programs["static"], cache, "auto")
    shim = build(parse('{"funcs": [{"func_name": "open"}]}', "c.json"), programs["dynamic"], cache, "auto")
    assert ((True, True, True), (False, True, True), (True, False, True)) == (files(both), files(static), files(shim))
    assert {"preload", "ptrace"} == {symbol.engine for symbol in both.manifest.symbols}
    assert [] == [target.name for target in static.manifest.targets if target.internal]


def test_the_manifest_beside_the_shim_is_the_shims(programs: dict[str, Path], cache: Path) -> None:
    from wc_intercept.consumer.shim import parse_manifest, read_manifest

    config = parse('{"funcs": [{"func_name": "open"}, {"func_name": "own"}]}', "c.json")
    built = build(config, programs["dynamic"], cache, "auto")
    assert built.path is not None and built.plan is not None
    inside, beside = read_manifest(built.path), parse_manifest(built.stored.read_bytes(), "stored")
    assert (inside[0].hash, inside[1:]) == (beside[0].hash, beside[1:])
    assert inside[0].hash == int.from_bytes(built.plan.read_bytes()[16:24], "little")


def test_what_is_built_is_kept_by_all_that_it_depends_on(programs: dict[str, Path], cache: Path) -> None:
    config = parse('{"funcs": [{"func_name": "open"}]}', "c.json")
    made = {
        (program, engine, fallback): build(config, programs[program], cache, engine, fallback).stored
        for program in ("dynamic", "static")
        for engine in ("auto", "ptrace")
        for fallback in (False, True)
    }  # fmt: skip
    again = {key: build(config, programs[key[0]], cache, key[1], key[2]).stored for key in made}
    assert made == again
    assert len(made) == len(set(made.values()))


def test_a_changed_program_is_asked_again(tmp_path: Path, cache: Path, compile_c: Callable[..., Path]) -> None:
    program, config = tmp_path / "program", parse('{"funcs": [{"func_name": "own"}]}', "c.json")
    shutil.copy(compile_c(PROGRAM), program)
    before = build(config, program, cache, "auto").manifest
    shutil.copy(compile_c(PROGRAM.replace("number", "changed")), program)
    after = build(config, program, cache, "auto").manifest
    assert [["number"], ["changed"]] == [[field.name for field in made.symbols[0].fields] for made in (before, after)]


def test_a_target_of_both_kinds_of_children_has_symbols_for_both(programs: dict[str, Path], cache: Path) -> None:
    """--follow all: where no shim is, the tracer serves its targets; open by its system calls, malloc by itself."""
    config = parse('{"funcs": [{"func_name": "open"}, {"func_name": "malloc"}]}', "c.json")
    manifest = build(config, programs["dynamic"], cache, "auto", fallback=True).manifest
    names = {target.name: [] for target in manifest.targets if not target.internal}  # type: dict[str, list[str]]
    for symbol in manifest.symbols:
        if symbol.engine == "ptrace":
            names[manifest.targets[symbol.target].name].append(f"{symbol.name} {symbol.library}".rstrip())
    assert {"malloc": ["malloc *"], "open": ["open", "openat"]} == names


# --- the commands ----------------------------------------------------------------------------------------------------


def test_explain_names_the_engine_of_each_target(wc_gen: Run, programs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"funcs": [{"func_name": "open"}, {"func_name": "own"}]}')
    said = {
        name: wc_gen("c.json", "--explain", "--program", programs[name], cwd=tmp_path).stdout.splitlines()
        for name in ("dynamic", "static")
    }
    assert ["open", "preload", "mode-if-flag"] == said["dynamic"][1].split()[:3]
    assert (["own", "ptrace", "traced", "own;"], True) == (said["dynamic"][2].split()[:4], OWN_WHY in said["dynamic"][2])
    assert "2 targets: 2 traced" == said["static"][-1]


def test_a_shim_is_generated_for_the_rest_and_says_what_needs_the_tracer(wc_gen: Run, tmp_path: Path) -> None:
    funcs = [{"func_name": "open"}, {"func_name": "read", "preload": False}]
    (tmp_path / "c.json").write_text(json.dumps({"funcs": funcs, "syscalls": [{"syscall_id": "write"}]}))
    done = wc_gen("c.json", "-o", "hooks.so", cwd=tmp_path)
    assert (0, True) == (done.returncode, (tmp_path / "hooks.so").exists())
    for name, why in (("read", 'the config says "preload": false'), ("write", "it is a system call")):
        assert f"warning: {name} is not intercepted" in done.stderr
        assert f"{why}: only the tracer catches it: wc-run -c CONFIG PROGRAM" in done.stderr


def test_one_run_uses_both_engines(wc_run: Run, programs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"funcs": [{"func_name": "open"}, {"func_name": "own"}]}')
    done = wc_run("-c", "c.json", "--format", "jsonl", programs["dynamic"], cwd=tmp_path)
    calls = [json.loads(line) for line in done.stderr.splitlines()]
    assert {("open", "preload"), ("own", "ptrace")} == {(call["func"], call["engine"]) for call in calls}
    assert {"number": 1} == next(call["args"] for call in calls if call["func"] == "own")


def test_every_name_of_a_function_is_traced_but_one_of_several_is_not_told_apart(
    wc_run: Run, programs: dict[str, Path]
) -> None:
    done = wc_run("--engine", "ptrace", "--trace", "fn:open", "--format", "jsonl", programs["dynamic"])
    (call,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert ("open", None, "function", "/etc/hostname") == tuple(
        [call[key] for key in ("func", "symbol", "kind")] + [call["args"]["pathname"]]
    )


def test_a_plain_name_means_system_calls_where_nothing_can_be_wrapped(wc_run: Run, programs: dict[str, Path]) -> None:
    done = wc_run("--trace", "open,own", "--format", "jsonl", programs["static"])
    calls = [json.loads(line) for line in done.stderr.splitlines()]
    assert {("openat", "syscall"), ("own", "function")} == {(call["func"], call["kind"]) for call in calls}


def test_internal_shows_what_the_library_itself_calls(wc_run: Run, programs: dict[str, Path], tmp_path: Path) -> None:
    """printf's own call of malloc, for its buffer, never leaves libc."""
    program = ["sh", "-c", "printf x >/dev/null"]
    seen = {}
    for internal in (False, True):
        entry = {"func_name": "malloc", "preload": False, "internal": internal}
        (tmp_path / "c.json").write_text(json.dumps({"funcs": [entry, {"func_name": "getcwd", "preload": False}]}))
        seen[internal] = wc_run("-c", tmp_path / "c.json", *program).stderr.count("malloc(")
    assert seen[False] < seen[True]


def test_a_glob_without_functions_means_system_calls(wc_run: Run) -> None:
    said = wc_run("--explain", "--trace", "io_uring*,sched_getp*", "true").stdout
    assert "io_uring_setup" in said and "ptrace: it is a system call" in said
    assert "sched_getparam" in said


def test_fn_means_a_function_and_names_the_system_call(wc_run: Run) -> None:
    done = wc_run("--trace", "fn:exit_group", "true")
    assert (125, True) == (done.returncode, "sys:exit_group, the system call" in done.stderr)


def test_a_plugins_function_is_caught_when_it_is_loaded(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    plugin = compile_c("int plugged(int a) { return a + 1; }", "-shared", "-fPIC")
    loader = compile_c(
        "#include <dlfcn.h>\nint main(int argc, char **argv) { (void)argc; void *h = dlopen(argv[1], RTLD_NOW);\n"
        'int (*f)(int) = (int (*)(int))dlsym(h, "plugged"); return f(1) != 2; }',
        "-ldl",
    )
    own = {"func_name": "plugged", "prototype": "int plugged(int a)", "preload": False}
    (tmp_path / "c.json").write_text(json.dumps({"funcs": [own]}))
    done = wc_run("-c", tmp_path / "c.json", loader, plugin)
    assert (0, True, True) == (done.returncode, "plugged is not there yet" in done.stderr, "plugged(1) = 2" in done.stderr)


def test_follow_all_covers_a_static_child(wc_run: Run, programs: dict[str, Path]) -> None:
    done = wc_run("--follow", "all", "--trace", "open,malloc", "--format", "jsonl", "--", "sh", "-c",
                  f"{programs['stripped']}; {programs['static']}; true")  # fmt: skip
    calls = [json.loads(line) for line in done.stderr.splitlines()]
    opened = [call for call in calls if call["args"].get("pathname") == "/etc/hostname"]
    assert [("open", "openat", "syscall")] * 2 == [(call["func"], call["symbol"], call["kind"]) for call in opened]
    assert any(call["func"] == "malloc" and call["engine"] == "ptrace" for call in calls)
