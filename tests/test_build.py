"""build(): from a config to a shim, kept by content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wc_intercept.generator.build import RUNTIME, build, plan
from wc_intercept.generator.cache import Cache
from wc_intercept.generator.config import parse
from wc_intercept.generator.emit import emit
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.toolchain import compile_shim
from wc_intercept.generator.verify import verify

HEAVY = ("pycparser", "elftools", "jinja2", "wc_intercept.generator.policy", "wc_intercept.generator.headers")
OWN_LIBRARY = """
int wct_add(int a, int b) { return a + b; }
"""
OWN_PROGRAM = """
int wct_add(int a, int b);
__attribute__((noinline)) int wct_own(int a) { return wct_add(a, 1); }
int main(int argc, char **argv) { (void)argv; return wct_own(argc); }
"""


def targets(*names: str, **more: Any) -> str:
    return json.dumps({"funcs": [{"func_name": name} for name in names], **more})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def own_program(compile_c: Callable[..., Path]) -> Path:
    """A program with a library of its own beside it."""
    library = compile_c(OWN_LIBRARY, "-shared", "-fPIC", "-Wl,-soname,libwct.so")
    link = library.parent / "libwct.so"
    if not link.exists():
        link.symlink_to(library.name)
    return compile_c(OWN_PROGRAM, f"-L{library.parent}", "-Wl,-rpath,$ORIGIN", "-l:libwct.so")


def test_a_shim_is_built_once_per_content(cache: Path) -> None:
    config = parse(targets("close"), "c.json")
    first = build(config, cache=cache)
    before = first.path.read_bytes(), first.path.stat().st_ino
    again = build(parse(targets("close"), "c.json"), cache=cache)
    other = build(parse(targets("close", string_limit=3), "c.json"), cache=cache)
    assert (first.path, before) == (again.path, (again.path.read_bytes(), again.path.stat().st_ino))
    assert first.path != other.path
    assert ["close"] == [target.name for target in first.manifest.targets if not target.internal]


def test_a_hit_imports_neither_parser_nor_templates(cache: Path) -> None:
    build(parse(targets("close"), "c.json"), cache=cache)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wc_intercept.generator.build import build\n"
        "from wc_intercept.generator.config import parse\n"
        "build(parse(sys.argv[1], 'c.json'), Path('/bin/true'), cache=Path(sys.argv[2]))\n"
        "print(*(name for name in sys.modules if name in sys.argv[3:]))\n"
    )
    command = [sys.executable, "-c", program, targets("close"), str(cache), *HEAVY]
    assert "\n" == subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_two_builds_at_once_give_one_shim(cache: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wc_intercept.generator.build import build\n"
        "from wc_intercept.generator.config import parse\n"
        "print(build(parse(sys.argv[1], 'c.json'), cache=Path(sys.argv[2])).path)\n"
    )
    command = [sys.executable, "-c", program, targets("close"), str(cache)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate()[0] for process in running}
    assert ({0}, 1) == ({process.returncode for process in running}, len(outputs))
    (output,) = outputs
    assert [Path(output.strip())] == list((cache / "shims").iterdir())


def test_without_a_usable_cache_a_shim_lives_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wc_intercept.generator.build import build\n"
        "from wc_intercept.generator.config import parse\n"
        "shim = build(parse(sys.argv[1], 'c.json'), cache=Path(sys.argv[2]))\n"
        "print(shim.path, shim.path.exists())\n"
    )
    command = [sys.executable, "-c", program, targets("close"), str(tmp_path / "file" / "cache")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file"), "HOME": str(tmp_path / "file")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    path, existed = done.stdout.split()
    assert ("True", False) == (existed, Path(path).exists())


def test_the_cache_is_bounded_and_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wc_intercept.generator.cache.MOST_BYTES", 250)
    cache = Cache(tmp_path / "cache")
    for number in range(4):
        (tmp_path / "built").write_bytes(bytes(100))
        kept = cache.keep("shims", f"{number}.so", tmp_path / "built")
        os.utime(kept, (number, number))
        if number == 1:
            os.utime(tmp_path / "cache" / "shims" / "0.so", (10, 10))
    assert ["0.so", "3.so"] == sorted(path.name for path in (tmp_path / "cache" / "shims").iterdir())


def test_an_unknown_name_is_an_error_with_place_and_nearest_names(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse('{"funcs": [\n  {"func_name": "fopne"}]}', "c.json"), cache=cache)
    assert ("no function named 'fopne' in libc.so.6 or libm.so.6", "c.json:2:17  funcs[0].func_name") == (
        caught.value.what,
        caught.value.at,
    )
    assert caught.value.try_.startswith("fopen")


def test_nothing_left_is_an_error_that_says_why(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse('{"syscalls": [{"syscall_id": 1}]}', "c.json"), cache=cache)
    assert "nothing is left to intercept" == caught.value.what
    assert "ptrace" in caught.value.why


def test_an_empty_config_is_an_error(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse("{}", "c.json"), cache=cache)
    assert "the config names nothing to intercept" == caught.value.what


def test_a_name_unknown_to_libc_is_looked_for_in_the_programs_libraries(cache: Path, own_program: Path) -> None:
    config = parse(targets("wct_add"), "c.json")
    with pytest.raises(UserError):
        build(config, cache=cache)
    shim = build(config, own_program, cache)
    assert ["wct_add"] == [line.target for line in shim.manifest.coverage if line.status == "wrapped"]
    with pytest.raises(UserError):
        build(config, Path("/bin/true"), cache)
    assert shim.path == build(config, own_program, cache).path


def test_a_function_of_the_program_itself_is_named_as_such(cache: Path, own_program: Path) -> None:
    shim = build(parse(targets("close", "wct_own"), "c.json"), own_program, cache)
    (line,) = [line for line in shim.manifest.coverage if line.requested == "wct_own"]
    assert ("refused", "ptrace") == (line.status, line.engine)
    assert line.reason.startswith("it is a function of the program itself")
    traced = build(parse(targets("close", "wct_own"), "c.json"), own_program, cache, "auto")
    assert ["wrapped", "traced"] == [line.status for line in traced.manifest.coverage]


def test_a_library_that_is_not_there_is_an_error_with_its_place(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(parse(targets("close", libraries=["libnowhere.so.1"]), "c.json"), cache=cache)
    assert "no library libnowhere.so.1" == caught.value.what
    assert caught.value.at.endswith("libraries[0]")


def test_a_target_may_wait_for_a_library_of_its_own(cache: Path) -> None:
    entries = [{"func_name": "close"}, {"func_name": "later", "library": "libnowhere.so.1"}]
    shim = build(parse(json.dumps({"funcs": entries}), "c.json"), cache=cache)
    assert ["wrapped", "pending"] == [line.status for line in shim.manifest.coverage]


def test_a_changed_header_of_the_user_is_noticed(tmp_path: Path, cache: Path, compile_c: Callable[..., Path]) -> None:
    library = compile_c(OWN_LIBRARY, "-shared", "-fPIC", "-Wl,-soname,libwct.so")
    header = tmp_path / "wct.h"
    header.write_text("int wct_add(int a, int b);\n")
    text = targets("wct_add", headers=["wct.h"], libraries=[str(library)])
    (tmp_path / "c.json").write_text(text)
    first = build(tmp_path / "c.json", cache=cache)
    header.write_text("int wct_add(int left, int right);\n")
    second = build(tmp_path / "c.json", cache=cache)
    names = [
        [field.name for symbol in shim.manifest.symbols if symbol.name == "wct_add" for field in symbol.fields]
        for shim in (first, second)
    ]
    assert [["a", "b"], ["left", "right"]] == names


def test_generated_c_of_every_class_compiles_without_a_warning(tmp_path: Path) -> None:
    names = ["read", "open", "fcntl", "printf", "execl", "syscall", "exit", "setjmp", "dlopen", "malloc", "realloc"]
    made = plan(parse(targets(*names, "div", "cabs", "strtold", "posix_spawn", "pthread_cond_wait"), "c.json")).plan
    emission = emit(made)
    compile_shim(emission, made, tmp_path / "x.so", RUNTIME, Cache(tmp_path / "cache"), strict=True)
    verify(tmp_path / "x.so", emission.symbols)
