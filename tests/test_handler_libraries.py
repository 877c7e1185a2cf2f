"""What is wrong with a handler library is said before a program runs: which handler, where, and what to type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run

Compile = Callable[..., Path]
HANDLER = "#include <sys/user.h>\nvoid on_rand(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; }\n"
STATIC = "static int on_rand(void) { return 1; }\nint (*kept)(void) = on_rand;\n"


@pytest.fixture
def refused(tmp_path: Path, wc_gen: Run) -> Callable[..., str]:
    """refused(library_path, back_enter): what wc-gen says."""

    def run(path: Path | str, handler: str = "on_rand", status: int = 1) -> str:
        config = {"library_path": str(path), "funcs": [{"func_name": "rand", "back_enter": handler}]}
        (tmp_path / "config.json").write_text(json.dumps(config, indent=1))
        result = wc_gen("config.json", "-o", "hooks.so", cwd=tmp_path)
        assert status == result.returncode, result.stderr
        return result.stderr

    return run


def test_a_misspelt_handler_is_named_with_its_place_and_the_nearest_one(
    refused: Callable[..., str], compile_c: Compile
) -> None:
    library = compile_c(HANDLER, "-shared", "-fPIC")
    assert (
        f"wc-gen: warning: no handler 'on_rnad' in {library}\n"
        "  at:   config.json:6:18  funcs[0].back_enter\n"
        "  why:  it exports no function of that name (is it static?)\n"
        "  try:  on_rand\n"
    ) == refused(library, "on_rnad", status=0)


def test_a_static_handler_is_not_found(refused: Callable[..., str], compile_c: Compile) -> None:
    assert "it exports no function of that name" in refused(compile_c(STATIC, "-shared", "-fPIC"), status=0)


def test_a_handler_compiled_as_cxx_is_recognized(refused: Callable[..., str], compile_c: Compile) -> None:
    said = refused(compile_c(HANDLER, "-shared", "-fPIC", "-x", "c++", cc="c++"), status=0)
    assert "it was compiled as C++" in said
    assert 'try:  extern "C" void on_rand(...)' in said


def test_the_source_instead_of_the_library_is_no_library(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "h.c").write_text(HANDLER)
    said = refused("h.c")
    assert f"cannot use the handler library {tmp_path / 'h.c'}" in said
    assert "at:   config.json:2:18  library_path" in said
    assert "it is not an ELF file; needed is a shared library for this machine" in said


def test_a_library_of_another_machine_is_refused(
    refused: Callable[..., str], compile_c: Compile, tmp_path: Path
) -> None:
    data = bytearray(compile_c(HANDLER, "-shared", "-fPIC").read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    (tmp_path / "arm.so").write_bytes(data)
    assert "it is for another machine" in refused("arm.so")


def test_a_library_that_is_not_built_yet_is_a_warning(refused: Callable[..., str], tmp_path: Path) -> None:
    said = refused("later.so", status=0)
    assert said.startswith(f"wc-gen: warning: cannot read {tmp_path / 'later.so'}\n")
    assert "try:  cc -shared -fPIC -I$(wc-gen --include-dir) handlers.c -o" in said


def test_a_library_that_nobody_uses_may_be_anything(tmp_path: Path, wc_gen: Run) -> None:
    (tmp_path / "config.json").write_text(
        '{"library_path": "/nowhere/at/all.so", "funcs": [{"func_name": "rand", "back_enter": "", "back_exit": ""}]}'
    )
    result = wc_gen("config.json", "-o", "hooks.so", cwd=tmp_path)
    assert (0, "") == (result.returncode, result.stderr)


def test_a_relative_library_path_is_relative_to_the_config(tmp_path: Path, compile_c: Compile, wc_gen: Run) -> None:
    (tmp_path / "h.so").write_bytes(compile_c(HANDLER, "-shared", "-fPIC").read_bytes())
    (tmp_path / "config.json").write_text(
        '{"library_path": "h.so", "funcs": [{"func_name": "rand", "back_enter": "on_rand"}]}'
    )
    result = wc_gen(tmp_path / "config.json", "-o", tmp_path / "hooks.so", cwd="/")
    assert (0, "") == (result.returncode, result.stderr)


def test_an_exit_handler_of_a_function_that_does_not_return_is_explained(
    tmp_path: Path, compile_c: Compile, wc_gen: Run
) -> None:
    funcs = [{"func_name": "exit", "back_exit": "on_rand"}]
    config = {"library_path": str(compile_c(HANDLER, "-shared", "-fPIC")), "funcs": funcs}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = wc_gen("config.json", "--explain", cwd=tmp_path).stdout
    assert "back_exit on_rand never runs: the call does not come back to its wrapper" in said


def test_an_exit_handler_of_a_system_call_that_does_not_return_is_explained(
    tmp_path: Path, compile_c: Compile, wc_gen: Run
) -> None:
    calls = [{"syscall_id": "exit_group", "back_exit": "on_rand"}, {"syscall_id": "read", "back_exit": "on_rand"}]
    config = {"library_path": str(compile_c(HANDLER, "-shared", "-fPIC")), "syscalls": calls}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = {line.split()[0]: line for line in wc_gen("config.json", "--explain", cwd=tmp_path).stdout.splitlines()}
    assert [True, False] == ["never runs" in said[name] for name in ("exit_group", "read")]


def test_a_handler_of_a_system_call_that_is_not_there_is_named(tmp_path: Path, compile_c: Compile, wc_gen: Run) -> None:
    calls = [{"syscall_id": "read", "back_enter": "on_rnad"}]
    config = {"library_path": str(compile_c(HANDLER, "-shared", "-fPIC")), "syscalls": calls}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = wc_gen("config.json", "--explain", cwd=tmp_path).stderr
    assert ("no handler 'on_rnad'" in said, "syscalls[0].back_enter" in said, "on_rand" in said) == (True, True, True)


def test_a_handler_needs_a_library(tmp_path: Path, wc_gen: Run) -> None:
    (tmp_path / "config.json").write_text('{"funcs": [{"func_name": "rand", "back_enter": "on_rand"}]}')
    result = wc_gen("config.json", "--explain", cwd=tmp_path)
    assert 1 == result.returncode
    assert "back_enter 'on_rand' has no library" in result.stderr


def test_a_handlers_name_is_an_identifier(refused: Callable[..., str]) -> None:
    """Nothing else reaches generated C."""
    assert "a C identifier" in refused("h.so", "on_rand; int x")


def test_a_handler_that_is_missing_is_named_once_and_the_rest_runs(
    tmp_path: Path, compile_c: Compile, wc_run: Run
) -> None:
    """Configs of the original name handlers that their library does not have; every image that is exec'd misses them."""
    funcs = [{"func_name": "getpid", "back_enter": "blank"}, {"func_name": "getppid", "back_exit": "on_rand"}]
    config = {"library_path": str(compile_c(HANDLER, "-shared", "-fPIC")), "funcs": funcs}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ran = wc_run("-c", "config.json", "-o", "calls.txt", "sh", "-c", "true; /bin/true; /bin/true", cwd=tmp_path)
    assert (0, 1) == (ran.returncode, ran.stderr.count("the handler library has no function named blank"))
    assert "getppid()" in (tmp_path / "calls.txt").read_text()
