"""What ELF files export, import and are: elf.py against nm, readelf and purpose-built files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from wc_intercept.generator import elf
from wc_intercept.generator.elf import Library
from wc_intercept.generator.errors import UserError


@pytest.fixture(scope="module")
def libc() -> Library:
    path = elf.find_library("libc.so.6")
    assert path is not None
    return Library.read(path)


def build(source: str, output: Path, *options: str) -> Path:
    subprocess.run(["cc", "-x", "c", "-", "-o", str(output), *options], input=source, text=True, check=True)
    return output


def test_exports_are_the_default_versions_that_nm_prints(libc: Library) -> None:
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", libc.path], capture_output=True, text=True, check=True
    ).stdout
    expected = {
        (match.group(1), match.group(2))
        for match in re.finditer(r"^\w+ [TWi] (\w+)@@(\w[\w.]*)$", listed, re.M)
        if match.group(2) != "GLIBC_PRIVATE"
    }
    assert expected == {(e.name, e.version) for e in libc.exports.values()}


def test_ifuncs_and_names_with_two_codes_are_told(libc: Library) -> None:
    assert (True, False) == (libc.exports["strlen"].ifunc, libc.exports["open"].ifunc)
    two = {
        n for n in ("memcpy", "realpath", "pthread_cond_wait", "open", "dlopen") if libc.exports[n].distinct_versions
    }
    assert {"memcpy", "realpath", "pthread_cond_wait"} == two


def test_aliases_share_an_address(libc: Library) -> None:
    assert {"__open", "__open64", "open", "open64"} == set(libc.aliases("open"))
    assert () == libc.aliases("no_such_function")


def test_a_library_says_who_it_is(libc: Library) -> None:
    notes = subprocess.run(["readelf", "-n", libc.path], capture_output=True, text=True, check=True).stdout
    assert ("libc.so.6", True) == (libc.soname, f"Build ID: {libc.build_id}" in notes)


def test_private_data_and_hidden_symbols_are_no_exports(tmp_path: Path) -> None:
    source = """
    int data = 1; int shown(void) { return 1; } static int inner(void) { return 2; }
    __attribute__((visibility("hidden"))) int hidden(void) { return inner(); }
    __asm__(".symver old_f, f@V1\\n.symver new_f, f@@V2");
    int old_f(void) { return 1; } int new_f(void) { return hidden(); }
    """
    script = tmp_path / "map"
    script.write_text("V1 { };\nV2 { global: f; } V1;\nGLIBC_PRIVATE { global: secret; };\n")
    path = build(
        source + "int secret(void) { return 3; }",
        tmp_path / "libversions.so",
        "-shared",
        "-fPIC",
        f"-Wl,--version-script={script}",
        "-Wl,-soname,libversions.so.1",
    )
    library = Library.read(path)
    assert {"shown", "new_f", "old_f", "f"} == library.exports.keys() - {"_init", "_fini"}
    found = library.exports["f"]
    assert ("libversions.so.1", "V2", True) == (found.library, found.version, found.distinct_versions)
    assert {"f": ("V1",)} == library.hidden


def test_imports_are_a_programs_undefined_symbols(tmp_path: Path) -> None:
    path = build('#include <stdio.h>\nint main(void) { return puts("x") + getchar(); }', tmp_path / "prog", "-O0")
    found = elf.imports(path)
    assert (("libc.so.6",), "GLIBC_2.2.5") == (found.needed, found.symbols["puts"])


def test_programs_are_classified(tmp_path: Path) -> None:
    source = "int main(void) { return 0; }"
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\n:\n")
    text = tmp_path / "text"
    text.write_text("hello")
    other = tmp_path / "other"
    other.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\xb7\x00" + bytes(44))
    kinds = [
        elf.classify(build(source, tmp_path / "dynamic")).kind,
        elf.classify(build(source, tmp_path / "static", "-static")).kind,
        elf.classify(build(source, tmp_path / "pie", "-static-pie")).kind,
        elf.classify(build(source, tmp_path / "lib.so", "-shared", "-fPIC")).kind,
        elf.classify(script).kind,
        elf.classify(text).kind,
        elf.classify(other).kind,
    ]
    assert ["dynamic", "static", "static-pie", "library", "script", "not-elf", "other-machine"] == kinds
    assert "/bin/sh" == elf.classify(script).interpreter


def test_what_cannot_be_preloaded_has_a_sentence(tmp_path: Path) -> None:
    program = build("int main(void) { return 0; }", tmp_path / "program")
    assert elf.classify(program).why_not_preload is None
    os.chmod(program, 0o4755)
    assert "setuid" in str(elf.classify(program).why_not_preload)


def test_a_library_is_found_as_the_loader_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build("int f(void) { return 0; }", tmp_path / "libmine.so.7", "-shared", "-fPIC")
    assert elf.find_library("libmine.so.7") is None
    assert str(path) == elf.find_library(str(path))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert str(path) == elf.find_library("libmine.so.7")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 90, b"\x7fELF\x01\x01" * 20]
)
def test_a_damaged_file_is_an_error_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.so").write_bytes(content)
    with pytest.raises(UserError):
        Library.read(tmp_path / "bad.so")


def test_a_library_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    path = build("int f(void) { return 0; }", tmp_path / "lib.so", "-shared", "-fPIC")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "cut.so").write_bytes(whole[:length])
        with pytest.raises(UserError):
            Library.read(tmp_path / "cut.so")
