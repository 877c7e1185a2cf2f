"""launch.py, program.py, inherited.py: what runs, whether it can be preloaded, and what it inherits."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wc_intercept.consumer import launch, program
from wc_intercept.consumer.inherited import Inherited
from wc_intercept.consumer.refusal import Refusal

MAIN = "int main(void) { return 0; }"
Compile = Callable[..., Path]


def inspect(path: Path | str) -> program.Program:
    return program.inspect(os.fsencode(path))


def why_not(path: Path | str) -> str | None:
    found = program.why_not_preloadable(inspect(path))
    return None if found is None else found[0]


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_name_is_searched_on_path_in_order(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    script(tmp_path / "b" / "tool", "#!/bin/sh\n")
    search = os.fsencode(f"{tmp_path}/nowhere:{tmp_path}/a:{tmp_path}/b")
    assert program.find(b"tool", search) == os.fsencode(tmp_path / "b" / "tool")


def test_a_name_with_a_slash_is_not_searched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        program.find(b"./no-such-tool", b"/bin")


def test_what_may_not_be_executed_on_path_is_permission_denied(tmp_path: Path) -> None:
    """As execvp: a file that is there but not executable wins over not found."""
    (tmp_path / "tool").write_text("")
    with pytest.raises(PermissionError):
        program.find(b"tool", os.fsencode(tmp_path))


def test_a_directory_is_not_executable(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        program.find(os.fsencode(tmp_path), None)


def test_not_found_is_127_in_the_systems_words() -> None:
    with pytest.raises(Refusal) as refused:
        launch.resolve("no-such-program-here", {b"PATH": b"/bin"})
    assert (refused.value.status, str(refused.value)) == (127, "no-such-program-here: No such file or directory")


def test_not_executable_is_126_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("")
    with pytest.raises(Refusal) as refused:
        launch.resolve(f"{tmp_path}/tool", {})
    assert (refused.value.status, refused.value.what.rpartition(": ")[2]) == (126, "Permission denied")


def test_a_dynamic_program_can_be_preloaded(compile_c: Compile) -> None:
    assert why_not(compile_c(MAIN)) is None


def test_this_python_can_be_preloaded() -> None:
    assert why_not(sys.executable) is None


def test_a_static_program_is_named_so(compile_c: Compile) -> None:
    assert "statically linked" in str(why_not(compile_c(MAIN, "-static")))


def test_a_static_pie_program_is_named_so(compile_c: Compile) -> None:
    assert "statically linked" in str(why_not(compile_c(MAIN, "-static-pie")))


def test_the_dynamic_linker_as_a_program_can_be_preloaded(compile_c: Compile) -> None:
    interpreter = inspect(compile_c(MAIN)).interpreter
    assert why_not(os.fsdecode(interpreter)) is None


def test_a_setuid_program_of_another_user_is_refused(compile_c: Compile, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to make one")
    copy = tmp_path / "setuid"
    shutil.copy(compile_c(MAIN), copy)
    os.chown(copy, 12345, -1)
    copy.chmod(0o4755)
    assert "setuid to user 12345" in str(why_not(copy))


def test_a_program_that_is_setuid_to_its_caller_is_not(compile_c: Compile, tmp_path: Path) -> None:
    copy = tmp_path / "setuid"
    shutil.copy(compile_c(MAIN), copy)
    copy.chmod(0o4755)
    assert why_not(copy) is None


def test_another_architecture_is_named(tmp_path: Path, compile_c: Compile) -> None:
    image = bytearray(compile_c(MAIN).read_bytes())
    image[18:20] = (183).to_bytes(2, "little")
    (tmp_path / "arm").write_bytes(image)
    assert "aarch64" in str(why_not(tmp_path / "arm"))


def test_a_32_bit_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\0\x03\0" + bytes(100))
    assert "32-bit i386" in str(why_not(tmp_path / "old"))


def test_a_musl_program_is_named(needs: Callable[[str], str], compile_c: Compile) -> None:
    needs("musl-gcc")
    assert "musl" in str(why_not(compile_c(MAIN, cc="musl-gcc")))


def test_a_script_is_judged_by_its_interpreter(tmp_path: Path) -> None:
    first = script(tmp_path / "first", "#!/bin/sh\n")
    second = script(tmp_path / "second", f"#!{first} -x\n")
    found = inspect(second)
    assert (found.path, os.path.basename(found.image)) == (os.fsencode(second), b"sh")


def test_env_in_a_script_is_seen_through(tmp_path: Path) -> None:
    found = inspect(script(tmp_path / "tool", "#!/usr/bin/env perl\n"))
    assert os.path.basename(found.image) in (b"perl", b"env")


def test_a_script_for_a_static_interpreter_is_refused(tmp_path: Path, compile_c: Compile) -> None:
    tool = script(tmp_path / "tool", f"#!{compile_c(MAIN, '-static')}\n")
    assert "statically linked" in str(why_not(tool))


def test_a_script_whose_interpreter_is_missing_is_not_found(tmp_path: Path) -> None:
    tool = script(tmp_path / "tool", "#!/no/such/interpreter\n")
    with pytest.raises(Refusal) as refused:
        launch.resolve(str(tool), {})
    assert (refused.value.status, "/no/such/interpreter" in refused.value.what) == (127, True)


def test_scripts_that_name_each_other_end(tmp_path: Path) -> None:
    script(tmp_path / "a", f"#!{tmp_path}/b\n")
    script(tmp_path / "b", f"#!{tmp_path}/a\n")
    with pytest.raises(OSError) as refused:
        inspect(tmp_path / "a")
    assert refused.value.errno == errno.ELOOP


@pytest.mark.parametrize("length", [0, 1, 4, 5, 16, 20, 63, 64, 200, 500])
def test_a_truncated_program_is_left_to_the_kernel(tmp_path: Path, compile_c: Compile, length: int) -> None:
    (tmp_path / "cut").write_bytes(compile_c(MAIN).read_bytes()[:length])
    inspect(tmp_path / "cut")


def test_an_asan_program_gets_its_runtime_first(compile_c: Compile) -> None:
    try:
        built = compile_c(MAIN, "-fsanitize=address")
    except AssertionError:
        pytest.skip("no AddressSanitizer here")
    found = inspect(built)
    variables = launch.environment(Inherited(set(), set(), {b"LD_PRELOAD": b"mine.so"}), "/s", ["/s/shim.so"], found)
    assert variables[b"LD_PRELOAD"].startswith(b"libasan.so.") and variables[b"LD_PRELOAD"].endswith(
        b":/s/shim.so:mine.so"
    )


def test_the_users_own_preload_comes_last_and_whole(compile_c: Compile) -> None:
    inherited = Inherited(set(), set(), {b"LD_PRELOAD": b"a.so b.so", b"X": b"\xff"})
    variables = launch.environment(inherited, "/s", ["/s/shim.so", "/s/extra.so"], inspect(compile_c(MAIN)))
    assert variables == {b"X": b"\xff", b"WC_SESSION": b"/s", b"LD_PRELOAD": b"/s/shim.so:/s/extra.so:a.so b.so"}


def test_python_and_what_it_imports_leave_out_what_is_slow() -> None:
    """wc-run has 40 ms from its start to the program's exec: nothing heavy may come before."""
    code = (
        "import sys; before = set(sys.modules);"
        "import wc_intercept.consumer.run;"
        "slow = {'typing', 're', 'enum', 'click', 'numpy', 'msgspec', 'rich', 'subprocess', 'json', 'dataclasses'};"
        "print(sorted(slow & (set(sys.modules) - before)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"
