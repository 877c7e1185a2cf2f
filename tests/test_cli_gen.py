"""wc-gen as a command: what goes to which stream, and with which status it ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DATA = Path(__file__).parent / "data"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """config("open", "read") or config({...}) -> a file."""

    def write(*what: object) -> Path:
        value = what[0] if isinstance(what[0], dict) else {"funcs": [{"func_name": name} for name in what]}
        (tmp_path / "config.json").write_text(json.dumps(value))
        return tmp_path / "config.json"

    return write


def test_a_shim_is_written_without_a_word(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    done = wc_gen(config("open", "read"), "-o", tmp_path / "hooks.so")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(tmp_path / "hooks.so")}, check=True)


def test_the_same_config_gives_the_same_bytes(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert 0 == wc_gen(config("open", "printf"), "-o", tmp_path / name / "hooks.so").returncode
    assert (tmp_path / "a" / "hooks.so").read_bytes() == (tmp_path / "b" / "hooks.so").read_bytes()


def test_the_suffix_c_writes_the_source(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    assert 0 == wc_gen(config("close"), "-o", tmp_path / "hooks.c").returncode
    text = (tmp_path / "hooks.c").read_text()
    assert "close(int fd)" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("name", ["usage", "performance", "dynamic-before", "dynamic-after"])
def test_the_original_configs_generate(wc_gen: Run, tmp_path: Path, name: str) -> None:
    done = wc_gen(DATA / "original" / f"{name}.json", "-o", tmp_path / "hooks.so")
    assert (0, True) == (done.returncode, (tmp_path / "hooks.so").exists())
    assert "wc-gen: warning: cannot read /home/huomax" in done.stderr


def test_a_handler_that_its_library_lacks_is_a_warning(
    wc_gen: Run, config: Callable[..., Path], compile_c: Callable[..., Path]
) -> None:
    library = compile_c("void on_close(void) {}\n", "-shared", "-fPIC")
    entry = {"func_name": "close", "back_enter": "on_close", "back_exit": "on_clse"}
    done = wc_gen(config({"library_path": str(library), "funcs": [entry]}), "--explain")
    assert (0, 1) == (done.returncode, done.stderr.count("warning"))
    assert "no handler 'on_clse'" in done.stderr
    assert "try:  on_close" in done.stderr


def test_an_unknown_name_ends_with_one_and_names_the_nearest(
    wc_gen: Run, config: Callable[..., Path], tmp_path: Path
) -> None:
    path = config("open", "fopne", "raed")
    done = wc_gen(path, "-o", tmp_path / "hooks.so")
    assert (1, "", False) == (done.returncode, done.stdout, (tmp_path / "hooks.so").exists())
    assert "wc-gen: error: no function named 'fopne'" in done.stderr
    assert f"at:   {path}:1:49  funcs[1].func_name" in done.stderr
    assert "try:  fopen" in done.stderr
    assert "'raed'" in done.stderr


def test_a_refused_name_is_a_warning(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    for names in (["open", "dlsym"], ["dlsym"]):
        done = wc_gen(config(*names), "-o", tmp_path / "hooks.so")
        assert (0, "") == (done.returncode, done.stdout)
        assert "wc-gen: warning: dlsym is not intercepted" in done.stderr
        assert (tmp_path / "hooks.so").exists()


def test_system_calls_are_named_and_the_rest_is_built(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    done = wc_gen(config({"funcs": [{"func_name": "open"}], "syscalls": [{"syscall_id": 1}]}), "-o", tmp_path / "h.so")
    assert 0 == done.returncode
    assert "wc-gen: warning: write is not intercepted" in done.stderr
    assert "it is a system call: only the tracer catches it: wc-run -c CONFIG PROGRAM" in done.stderr


def test_a_config_of_system_calls_alone_is_an_error(wc_gen: Run, config: Callable[..., Path], tmp_path: Path) -> None:
    done = wc_gen(config({"syscalls": [{"syscall_id": "openat"}]}), "-o", tmp_path / "h.so")
    assert (1, True) == (done.returncode, "nothing is left to intercept" in done.stderr)


def test_explain_says_how_each_target_is_wrapped(wc_gen: Run, config: Callable[..., Path]) -> None:
    done = wc_gen(config("open", "dlsym", "vfork"), "--explain")
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert (0, "") == (done.returncode, done.stderr)
    assert ["preload", "mode-if-flag"] == rows["open"][1:3]
    assert (["-", "refused"], ["preload", "tail-jump"]) == (rows["dlsym"][1:3], rows["vfork"][1:3])
    assert {"open", "open64", "__open_2"} <= set(rows["open"][3:])
    assert "3 targets: 2 wrapped, 1 refused" == done.stdout.splitlines()[-1]


def test_explain_as_json_has_every_key(wc_gen: Run, config: Callable[..., Path]) -> None:
    (line,) = json.loads(wc_gen(config("read"), "--explain", "--format", "json").stdout)
    assert ("read", "read", "wrapped", "plain", "preload") == tuple(
        line[key] for key in ("requested", "target", "status", "wrapper", "engine")
    )


def test_list_prints_what_a_program_imports(wc_gen: Run, compile_c: Callable[..., Path]) -> None:
    program = compile_c(
        '#include <stdio.h>\n#include <unistd.h>\nint main(void) { return puts("x") < 0 || getppid() == 0; }\n'
    )
    done = wc_gen("--list", program)
    names = {line.split()[0] for line in done.stdout.splitlines()}
    assert (0, True, False) == (done.returncode, {"puts", "getppid", "main"} <= names, "fopen" in names)


def test_list_prints_what_a_static_program_consists_of(wc_gen: Run, compile_c: Callable[..., Path]) -> None:
    done = wc_gen("--list", compile_c("int main(void) { return 0; }\n", "-static"))
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert (0, "ptrace") == (done.returncode, rows["malloc"].split()[1])
    assert {"main", "malloc", "exit"} <= rows.keys() and "statically linked" in rows["main"]


def test_list_says_of_what_is_no_program_that_it_is_none(wc_gen: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    done = wc_gen("--list", tmp_path / "text")
    assert (0, True) == (done.returncode, "nothing can be intercepted: it is neither an ELF file" in done.stdout)


def test_list_of_a_program_that_is_not_there_is_an_error(wc_gen: Run) -> None:
    done = wc_gen("--list", "no-such-program-anywhere")
    assert (1, "") == (done.returncode, done.stdout)
    assert "no program 'no-such-program-anywhere'" in done.stderr


def test_list_alone_prints_all_names(wc_gen: Run) -> None:
    names = {line.split()[0] for line in wc_gen("--list").stdout.splitlines()}
    assert {"open", "printf", "cos", "pthread_create"} <= names


def test_the_include_dir_has_the_headers_for_handlers(wc_gen: Run) -> None:
    folder = Path(wc_gen("--include-dir").stdout.strip())
    assert (folder / "wc_abi.h").is_file()


def test_schema_and_version_go_to_standard_output(wc_gen: Run) -> None:
    assert "object" == json.loads(wc_gen("--schema").stdout)["$defs"]["File"]["type"]
    assert wc_gen("--version").stdout.startswith("wc-gen ")


def test_wrong_usage_ends_with_two(wc_gen: Run, config: Callable[..., Path]) -> None:
    for arguments in ([], [config("open")], ["--no-such-option"], ["--list", "-o", "x.so"]):
        done = wc_gen(*arguments)
        assert (2, "") == (done.returncode, done.stdout)


def test_a_broken_config_ends_with_one_and_its_place(wc_gen: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{\n  "funcs": [}\n}')
    done = wc_gen("bad.json", "--explain", cwd=tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert "at:   bad.json:2:13" in done.stderr


def test_it_is_quiet_when_its_reader_goes_away(wc_gen: Run) -> None:
    read, write = os.pipe()
    os.close(read)
    done = wc_gen("--schema", capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (0, "") == (done.returncode, done.stderr)


def test_a_full_disk_behind_standard_output_is_an_error(wc_gen: Run) -> None:
    with open("/dev/full", "w") as full:
        done = wc_gen("--schema", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (1, True) == (done.returncode, "No space left on device" in done.stderr)
