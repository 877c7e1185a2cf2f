"""wc_preload.h and the config's ld_preload: libraries written by hand, beside a shim or alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, run_tool
from handling import main, one

TESTS = Path(__file__).parent
INCLUDE = TESTS.parent / "runtime" / "include"
SHARED = ("-shared", "-fPIC", f"-I{INCLUDE}")
Compile = Callable[..., Path]


def alone(library: Path, program: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *program* with *library* preloaded by the dynamic linker, no shim."""
    variables = {**os.environ, "LD_PRELOAD": str(library), **environment}
    return subprocess.run([program], capture_output=True, text=True, env=variables, timeout=60)


@pytest.fixture(scope="module")
def program(compile_c: Compile) -> Path:
    return compile_c("preload_calls.c", "-pthread", "-fno-builtin")


@pytest.fixture(scope="module")
def library(compile_c: Compile) -> Path:
    return compile_c("preload_library.c", *SHARED, "-ldl")


ABS = main("stdio.h stdlib.h", 'printf("%d\\n", abs(-7));')
EXPECTED = """\
times is 10
rand is 1
opened by r
errno is kept: 1
nowhere: -1 Function not implemented
nowhere pointer: 1 Function not implemented
threads: 4000
"""


def test_each_macro_does_what_it_did(library: Path, program: Path) -> None:
    ran = alone(library, program)
    assert (EXPECTED, 0) == (ran.stdout, ran.returncode)


def test_a_function_that_exists_nowhere_is_named_once_and_never_called_as_null(library: Path, program: Path) -> None:
    assert [
        "wc_preload: no library behind this one has a function named nowhere",
        "wc_preload: no library behind this one has a function named nowhere_pointer",
    ] == alone(library, program).stderr.splitlines()


def test_a_library_that_was_loaded_later_finds_libc_all_the_same(compile_c: Compile, library: Path) -> None:
    text = f"""
    #include <dlfcn.h>
    #include <stdio.h>
    int main(void)
    {{
            void *library = dlopen("{library}", RTLD_NOW | RTLD_LOCAL);
            int (*times)(int) = (int (*)(int))dlsym(library, "abs");
            printf("%d\\n", times(-5));
            return 0;
    }}
    """
    ran = subprocess.run([compile_c(text)], capture_output=True, text=True, check=True, timeout=60)
    assert "10\n" == ran.stdout


@pytest.mark.parametrize("language", [("cc", "c", "gnu11"), ("cc", "c", "gnu17"), ("c++", "c++", "gnu++17")])
@pytest.mark.parametrize("header", ["wc_preload.h", "wc_ptrace.h"])
def test_the_headers_compile_twice_and_without_warnings(
    tmp_path: Path, header: str, language: tuple[str, ...]
) -> None:
    compiler, name, standard = language
    names = ("stdio.h", header, header, "string.h")
    (tmp_path / "main.x").write_text("".join(f"#include <{included}>\n" for included in names))
    command = [compiler, "-x", name, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{INCLUDE}"]
    ran = subprocess.run([*command, tmp_path / "main.x"], capture_output=True, text=True, timeout=60)
    assert (0, "") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize("standard", ["c99", "c11", "gnu89", "gnu99"])
def test_helpers_of_handlers_compile_in_old_standards(tmp_path: Path, standard: str) -> None:
    """bool, and whatever else a source of its time took from the header, is there."""
    body = 'fprintf(stderr, "%ld", (long)getpid()); return PokeInt(p, 8, 1) && WNOHANG;'
    (tmp_path / "h.c").write_text(f"#include <wc_ptrace.h>\nbool f(int p) {{ {body} }}\n")
    command = ["cc", f"-std={standard}", "-D_DEFAULT_SOURCE", "-fsyntax-only", "-Werror=implicit-function-declaration"]
    ran = subprocess.run([*command, f"-I{INCLUDE}", tmp_path / "h.c"], capture_output=True, text=True, timeout=60)
    assert (0, "") == (ran.returncode, ran.stderr)


def test_a_preload_source_in_cxx_works(tmp_path: Path) -> None:
    wrapper = 'extern "C" int abs(int x) noexcept { INITIAL(abs) return 2 * wc_abs(x); }'
    (tmp_path / "p.cc").write_text(f"#include <wc_preload.h>\nFUNC(abs, int, int)\n{wrapper}\n")
    (tmp_path / "main.c").write_text(ABS)
    subprocess.run(["c++", *SHARED, "p.cc", "-o", "p.so"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run(["cc", "-fno-builtin", "main.c", "-o", "main"], cwd=tmp_path, check=True, timeout=60)
    assert "14\n" == alone(tmp_path / "p.so", tmp_path / "main").stdout


def test_the_include_dir_is_where_the_headers_are(wc_gen: Run) -> None:
    folder = Path(wc_gen("--include-dir").stdout.strip())
    assert [True, True] == [(folder / name).is_file() for name in ("wc_ptrace.h", "wc_preload.h")]


# --- beside a shim ---------------------------------------------------------------------------------------------------


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(config: dict[str, object], program: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        words = ("-c", "config.json", "--format", "jsonl", "-o", "calls.jsonl", program)
        return run_tool("wc-run", *words, cwd=tmp_path, env={**os.environ, **environment})

    return run


def recorded(folder: Path, func: str) -> list[int]:
    calls = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    return [call["ret"] for call in calls if call["func"] == func]


Both = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_config_loads_it_behind_the_shim(tmp_path: Path, both: Both, library: Path, program: Path) -> None:
    """The shim records what the program sees: the results of the library written by hand."""
    ran = both({"ld_preload": str(library), "funcs": [{"func_name": "abs"}, {"func_name": "rand"}]}, program)
    assert (EXPECTED, 0) == (ran.stdout, ran.returncode)
    assert [10] == recorded(tmp_path, "abs")
    assert 1 == recorded(tmp_path, "rand")[0]


def test_its_path_may_have_spaces_and_colons_and_is_relative_to_the_config(
    tmp_path: Path, both: Both, library: Path, program: Path
) -> None:
    (tmp_path / "a b:c").mkdir()
    (tmp_path / "a b:c" / "mine.so").write_bytes(library.read_bytes())
    ran = both({"ld_preload": "a b:c/mine.so", "funcs": [{"func_name": "abs"}]}, program)
    assert EXPECTED == ran.stdout


def test_the_order_is_shim_config_user(tmp_path: Path, both: Both, compile_c: Compile) -> None:
    def library(digit: int) -> Path:
        wrapper = f"int abs(int x) {{ INITIAL(abs) return 10 * wc_abs(x) + {digit}; }}"
        return compile_c(f"#include <wc_preload.h>\nFUNC(abs, int, int)\n{wrapper}\n", *SHARED)

    program = compile_c(ABS, "-fno-builtin")
    ran = both({"ld_preload": str(library(1)), "funcs": [{"func_name": "abs"}]}, program, LD_PRELOAD=str(library(2)))
    assert "721\n" == ran.stdout
    assert [721] == recorded(tmp_path, "abs")


def test_handlers_and_a_preload_library_go_together(both: Both, library: Path, compile_c: Compile) -> None:
    handlers = one("", "regs->rax += 1000;")
    funcs = [{"func_name": "abs", "back_exit": "h"}]
    program = compile_c(ABS, "-fno-builtin")
    config = {"ld_preload": str(library), "library_path": str(compile_c(handlers, "-shared", "-fPIC")), "funcs": funcs}
    assert "1014\n" == both(config, program).stdout


def test_one_that_does_not_exist_is_refused_before_anything_runs(tmp_path: Path, both: Both, program: Path) -> None:
    ran = both({"ld_preload": "nowhere.so", "funcs": [{"func_name": "abs"}]}, program)
    assert (125, "") == (ran.returncode, ran.stdout)
    assert str(tmp_path / "nowhere.so") in ran.stderr
