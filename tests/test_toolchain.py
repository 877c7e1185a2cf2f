"""The toolchain on a shim of a few lines: what gets in, what comes out, and what verify would not let out."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from wc_intercept import runtime as runtime_package
from wc_intercept.generator import toolchain
from wc_intercept.generator.cache import Cache
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Manifest, Platform, Target, decode
from wc_intercept.generator.model import Plan
from wc_intercept.generator.model import Platform as Machine
from wc_intercept.generator.verify import verify

INCLUDE = Path(runtime_package.__file__ or "").parent / "include"
RUNTIME = """
#include "wc_abi.h"
extern __attribute__((visibility("hidden"))) const uint64_t wci_manifest_hash;
extern __attribute__((visibility("hidden"))) const uint32_t wci_targets;
uint64_t wci_check;
__attribute__((constructor)) static void start(void) { wci_check = wci_manifest_hash + wci_targets; }
"""
WRAPPER = '__attribute__((visibility("default"))) int one(int a);\nint one(int a) { return a + 1; }\n'


@dataclass
class Made:
    """An Emission made by hand."""

    sources: dict[str, str]
    version_script: str = ""
    manifest: Manifest = field(default_factory=lambda: Manifest("0", Platform("x86_64", "glibc", "libc.so.6"), [], []))
    words: list[int] = field(default_factory=lambda: [1, 2])


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime of one file, in a folder of its own."""
    folder = tmp_path / "runtime"
    (folder / "shim").mkdir(parents=True)
    shutil.copytree(INCLUDE, folder / "include")
    (folder / "shim" / "start.c").write_text(RUNTIME)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "own-cache")


def build(made: Made, output: Path, runtime: Path, cache: Cache) -> Path:
    toolchain.compile_shim(made, Plan((), ()), output, runtime, cache, strict=True)
    return output


def failure(made: Made, output: Path, runtime: Path, cache: Cache) -> UserError:
    with pytest.raises(UserError) as caught:
        build(made, output, runtime, cache)
    return caught.value


def test_a_shim_exports_its_wrappers_and_nothing_else(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    verify(build(Made({"one.c": WRAPPER}), tmp_path / "x.so", runtime, cache), [("one", "")])


def test_a_versioned_wrapper_is_exported_under_its_version(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    text = WRAPPER + '__asm__(".symver one, one@@@WC_1.2");\n'
    shim = build(Made({"one.c": text}, "WC_1.2 { };\n"), tmp_path / "x.so", runtime, cache)
    verify(shim, [("one", "WC_1.2")])


def test_the_same_input_gives_the_same_bytes_anywhere(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made({"one.c": WRAPPER + "const char *wci_file = __FILE__;\n", "two.S": ".text\n"})
    built = []
    for name in ("here", "there"):
        folder = tmp_path / name / "deep"
        folder.mkdir(parents=True)
        shutil.copytree(runtime, folder / "rt")
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.chdir(folder)
        built.append(build(made, folder / f"{name}.so", folder / "rt", Cache(folder / "cache")).read_bytes())
    assert built[0] == built[1]
    assert str(tmp_path).encode() not in built[0]


def test_compiler_flags_of_the_user_are_ignored(
    tmp_path: Path, runtime: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = build(Made({"one.c": WRAPPER}), tmp_path / "x.so", runtime, cache).read_bytes()
    for name in ("CFLAGS", "LDFLAGS", "CPPFLAGS"):
        monkeypatch.setenv(name, "-O0 -pg -no-such-flag")
    monkeypatch.setenv("CPATH", str(tmp_path))
    (tmp_path / "stdint.h").write_text("#error not this one\n")
    again = build(Made({"one.c": WRAPPER}), tmp_path / "y.so", runtime, Cache(None)).read_bytes()
    assert plain == again


def test_the_manifest_can_be_read_back(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    manifest = Manifest("0", Platform("x86_64", "glibc", "libc.so.6"), [Target("one")], [])
    shim = build(Made({"one.c": WRAPPER}, manifest=manifest, words=[1]), tmp_path / "x.so", runtime, cache)
    raw = tmp_path / "raw"
    subprocess.run(["objcopy", "-O", "binary", "--dump-section", f".wc_manifest={raw}", shim, "/dev/null"], check=True)
    data = raw.read_bytes()
    text, mark = toolchain.manifest_bytes(manifest, [1])
    fields = [int.from_bytes(data[a:b], "little") for a, b in [(0, 8), (8, 12), (12, 16), (16, 24), (24, 28), (32, 40)]]
    assert [0x3130304E414D4357, 1, 1, mark, len(text), 1] == fields
    assert (text, manifest) == (data[40:], decode(data[40:]))


def test_the_hash_depends_on_the_words(tmp_path: Path) -> None:
    manifest = Manifest("0", Platform("x86_64", "glibc", "libc.so.6"), [], [])
    assert toolchain.manifest_bytes(manifest, [1])[1] != toolchain.manifest_bytes(manifest, [3])[1]


def test_runtime_objects_are_compiled_once(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    build(Made({"one.c": WRAPPER}), tmp_path / "x.so", runtime, cache)
    (kept,) = (tmp_path / "own-cache" / "runtime").iterdir()
    before = (kept / "start.c.o").stat().st_mtime_ns
    build(Made({"one.c": WRAPPER}, words=[1]), tmp_path / "y.so", runtime, cache)
    assert before == (kept / "start.c.o").stat().st_mtime_ns
    (runtime / "shim" / "start.c").write_text(RUNTIME + "\n")
    build(Made({"one.c": WRAPPER}), tmp_path / "z.so", runtime, cache)
    assert 2 == len(list((tmp_path / "own-cache" / "runtime").iterdir()))


def test_what_the_compiler_says_is_passed_on(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    found = failure(Made({"one.c": "int one( { }\n"}), tmp_path / "x.so", runtime, cache)
    assert found.what.endswith("cannot build one.c")
    assert found.why.startswith("one.c:1:10: error:")
    assert not (tmp_path / "x.so").exists()


def test_a_failed_link_names_no_temporary_directory(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    found = failure(
        Made({"one.c": "int nowhere(void);\nint one(void) { return nowhere(); }\n"}), tmp_path / "x.so", runtime, cache
    )
    assert "nowhere" in found.why and "wc-gen-" not in found.why


def test_a_missing_compiler_is_said(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    plan = Plan((), (), platform=Machine(compiler="no-such-cc"))
    with pytest.raises(UserError) as caught:
        toolchain.compile_shim(Made({"one.c": WRAPPER}), plan, tmp_path / "x.so", runtime, cache)
    assert ("no C compiler 'no-such-cc'", "apt-get install gcc libc6-dev") == (caught.value.what, caught.value.try_)


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    (tmp_path / "file").touch()
    for output, why in ((tmp_path / "none" / "x.so", "No such file or directory"), (tmp_path, "Is a directory")):
        assert why == failure(Made({"one.c": WRAPPER}), output, runtime, cache).why
    assert "Not a directory" == failure(Made({"one.c": WRAPPER}), tmp_path / "file" / "x.so", runtime, cache).why


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    build(Made({"one.c": WRAPPER}), Path("/dev/null"), runtime, cache)
    assert Path("/dev/null").is_char_device()


def test_a_shim_in_use_is_replaced_not_overwritten(tmp_path: Path, runtime: Path, cache: Cache) -> None:
    output = build(Made({"one.c": WRAPPER}), tmp_path / "x.so", runtime, cache)
    with output.open("rb") as running:
        build(Made({"one.c": WRAPPER.replace("+ 1", "+ 2")}), output, runtime, cache)
        assert running.read() != output.read_bytes()
    assert [] == list(tmp_path.glob(".*"))


def test_an_unusable_cache_costs_nothing_but_time(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "file").touch()
    others = tmp_path / "others"
    others.mkdir(mode=0o777)
    others.chmod(0o777)
    for root in (tmp_path / "file" / "x", others):
        build(Made({"one.c": WRAPPER}), tmp_path / "x.so", runtime, Cache(root))
    assert [] == list(others.iterdir())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (WRAPPER + '__attribute__((visibility("default"))) int two;\n', "exports two"),
        ("int one(int a) { return a; }\n", "does not export one"),
        (WRAPPER + "__thread char wci_big[65] = {1};\nchar *wci_get(void) { return wci_big; }\n", "65 bytes of thread"),
        (
            WRAPPER + '__attribute__((visibility("default"))) int two(void);\nint two(void) { return one(1); }\n',
            "calls its own wrapper one",
        ),
    ],
)
def test_a_shim_that_breaks_a_rule_is_our_bug(
    tmp_path: Path, runtime: Path, cache: Cache, source: str, complaint: str
) -> None:
    shim = build(Made({"one.c": source}), tmp_path / "x.so", runtime, cache)
    exports = [("one", ""), ("two", "")] if "own wrapper" in complaint else [("one", "")]
    with pytest.raises(UserError) as caught:
        verify(shim, exports)
    assert complaint in caught.value.what
    assert "bug of wc-intercept" in caught.value.try_


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["-lm", "-Wl,--no-as-needed"], "needs the library libm.so.6"),
        (["-Wl,-z,execstack"], "executable stack"),
        (["-Wl,-z,initfirst"], "not marked nodelete"),
        (["-Wl,-z,nodelete"], "not marked initfirst"),
        (["-Wl,-z,nodelete,-z,initfirst"], "no manifest"),
    ],
)
def test_a_library_built_otherwise_is_refused(tmp_path: Path, flags: list[str], complaint: str) -> None:
    (tmp_path / "one.c").write_text(WRAPPER)
    command = ["cc", "-shared", "-fPIC", "-o", "x.so", "one.c", *reversed(flags)]
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "LC_ALL": "C"})
    with pytest.raises(UserError) as caught:
        verify(tmp_path / "x.so", [("one", "")])
    assert complaint in caught.value.what


def test_c_of_one_part_is_one_file(tmp_path: Path) -> None:
    assert [tmp_path / "hooks.c"] == toolchain.write_c(Made({"one.c": WRAPPER}), tmp_path / "hooks.c")
    assert WRAPPER == (tmp_path / "hooks.c").read_text()
