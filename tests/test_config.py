"""Configs: what is read, what is refused, and where every refusal points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wc_intercept.generator.config import Config, Func, Ring, load, parse, steps_of
from wc_intercept.generator.errors import UserError

DATA = Path(__file__).parent / "data"


def one(**entry: Any) -> Func:
    """Read a config of one target with the given keys beside func_name."""
    config = {"library_path": "h.so", "funcs": [{"func_name": "read", **entry}]}
    return parse(json.dumps(config), "c.json").funcs[0]


def error(text: str) -> UserError:
    with pytest.raises(UserError) as caught:
        parse(text, "c.json")
    return caught.value


def refused(**entry: Any) -> UserError:
    return error(json.dumps({"library_path": "h.so", "funcs": [{"func_name": "read", **entry}]}))


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("usage", ["rand"]),
        ("performance", ["malloc", "free", "fopen", "fclose", "fgets", "fwrite", "memset"]),
        ("dynamic-before", ["sleep", "rand"]),
        ("dynamic-after", ["rand"]),
    ],
)
def test_the_original_configs_work_unchanged(name: str, functions: list[str]) -> None:
    config = load(DATA / "original" / f"{name}.json")
    assert functions == [func.name for func in config.funcs]
    assert ("./logger.txt", ()) == (config.logger_path, config.calls)
    assert config.library_path.startswith("/home/huomax/") and config.funcs[-1].back_enter.startswith("test")


def test_defaults_are_those_of_the_documentation() -> None:
    config = parse('{"funcs": [{"func_name": "open"}]}', "c.json")
    assert (Ring(1 << 20, "block", 100), 64) == (config.ring, config.string_limit)
    assert Func(name="open", at="c.json:1:26  funcs[0].func_name") == config.funcs[0]


def test_every_key_of_a_target_arrives() -> None:
    given = {"back_enter": "a", "back_exit": "b", "frequency": 10, "record": "both", "caller": True, "clock": "one"}
    func = one(**given, on_full="drop", library="libz.so.1", prototype="int read(int)", preload=True)
    assert given == {key: getattr(func, key) for key in given}
    assert ("drop", "libz.so.1", "int read(int)") == (func.on_full, func.library, func.prototype)


def test_names_globs_and_sets_are_told_apart() -> None:
    text = '{"funcs": [{"func_name": "open"}, {"func_name": "pthread_*"}, {"set": "%memory"}, {"set": "%%stat"}]}'
    assert [("open", "", False), ("pthread_*", "", True), ("", "%memory", False), ("", "%%stat", False)] == [
        (func.name, func.set, func.glob) for func in parse(text, "c.json").funcs
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(65536, 65536), ("1MiB", 1 << 20), ("64K", 65536), ("2 MB", 2 << 20), ("131072", 131072), ("1GiB", 1 << 30)],
)
def test_ring_sizes_are_bytes_or_units(size: int | str, expected: int) -> None:
    assert expected == parse(json.dumps({"ring": {"size": size}}), "c.json").ring.size


@pytest.mark.parametrize(
    "size", [0, 65535, 100000, (1 << 30) + 65536, "100", "0", "2GiB", "1.5MiB", "x", "-1MiB", True]
)
def test_ring_sizes_that_are_no_multiple_of_64_kib_are_refused(size: Any) -> None:
    found = error(json.dumps({"ring": {"size": size}}))
    assert ("bad value for 'size'", "c.json:1:19  ring.size") == (found.what, found.at)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("return", "ret"),
        (0, "0"),
        (4096, "4096"),
        ("count", "count"),
        ("size * nmemb", "size * nmemb"),
        ("*n+1", "*n+1"),
    ],
)
def test_captures_become_length_expressions(kept: int | str, expected: str) -> None:
    assert (("buf", expected),) == one(capture={"buf": {"bytes": kept}}).capture


@pytest.mark.parametrize(
    "kept", [-1, 4097, "system()", "a;b", "", "return return", "1 +", "**p", "a[0]", "a/b", 1.5, None]
)
def test_captures_that_are_no_length_are_refused(kept: Any) -> None:
    found = refused(capture={"buf": {"bytes": kept}})
    assert "funcs[0].capture.buf.bytes" == found.at.split("  ")[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frequency", 0),
        ("frequency", 1 << 32),
        ("frequency", 1.5),
        ("frequency", "10"),
        ("record", "always"),
        ("clock", "three"),
        ("caller", 1),
        ("on_full", "block"),
        ("preload", "yes"),
        ("back_enter", "a b"),
        ("back_enter", "x;system()"),
        ("back_exit", "f()"),
        ("prototype", 1),
        ("capture", []),
    ],
)
def test_bad_values_are_refused_with_their_place(key: str, value: Any) -> None:
    found = refused(**{key: value})
    column = len('{"library_path": "h.so", "funcs": [{"func_name": "read", "') + len(key) + len('": ') + 1
    assert (f"bad value for '{key}'", f"c.json:1:{column}  funcs[0].{key}") == (found.what, found.at)
    assert json.dumps(value) in found.why and "needed is" in found.why


def test_a_misspelt_choice_names_the_nearest() -> None:
    found = refused(record="exti")
    assert ('found "exti"; needed is "both" or "entry" or "exit"', '"exit"') == (found.why, found.try_)


def test_a_misspelt_key_names_the_nearest_and_its_own_place() -> None:
    found = error('{\n  "funcs": [\n    {"funcname": "open"}\n  ]\n}')
    assert ("unknown key 'funcname'", "c.json:3:6  funcs[0].funcname") == (found.what, found.at)
    assert "func_name" == found.try_.split(" or ")[0]


@pytest.mark.parametrize("text", ['{"func": []}', '{"ring": {"sise": 1}}', '{"syscalls": [{"id": 1}]}'])
def test_unknown_keys_are_refused_everywhere(text: str) -> None:
    assert error(text).what.startswith("unknown key")


def test_system_calls_are_read_by_number_name_glob_and_set() -> None:
    entries = [{"syscall_id": 1}, {"syscall_id": "openat", "frequency": 3}, {"syscall_id": "*"}, {"syscall_id": "%file"}]
    config = parse(json.dumps({"syscalls": entries}), "c.json")
    assert [("1", False), ("openat", False), ("*", True), ("%file", True)] == [(x.name, x.wide) for x in config.calls]
    assert ("c.json:1:30  syscalls[0].syscall_id", 3) == (config.calls[0].at, config.calls[1].frequency)


def test_every_key_of_a_system_call_arrives() -> None:
    given = {"back_enter": "a", "back_exit": "b", "frequency": 10, "record": "both", "caller": True, "clock": "one"}
    entry = {"syscall_id": "read", "on_full": "drop", "capture": {"buf": {"bytes": "return"}}, **given}
    (call,) = parse(json.dumps({"library_path": "h.so", "syscalls": [entry]}), "c.json").calls
    assert given == {key: getattr(call, key) for key in given}
    assert ("drop", (("buf", "ret"),)) == (call.on_full, call.capture)


@pytest.mark.parametrize("name", ["Open", "open at", "a;b", ""])
def test_what_cannot_be_a_system_call_is_refused(name: str) -> None:
    found = error(json.dumps({"syscalls": [{"syscall_id": name}]}))
    assert ("bad value for 'syscall_id'", "syscalls[0].syscall_id") == (found.what, found.at.split("  ")[1])


def test_targets_for_the_tracer_keep_their_place_among_the_rest() -> None:
    text = '{"funcs": [{"func_name": "a", "preload": false},\n{"func_name": "b", "internal": true}]}'
    config = parse(text, "c.json")
    assert [("a", False, False), ("b", True, True)] == [(f.name, f.preload, f.internal) for f in config.funcs]
    assert "c.json:2:15  funcs[1].func_name" == config.where("funcs[1].func_name") == config.funcs[1].at


@pytest.mark.parametrize("name", ["ns::add(int, int)", "std::vector<int>::size", "main.main", "net/http.(*conn).serve"])
def test_names_of_other_languages_are_no_globs(name: str) -> None:
    (func,) = parse(json.dumps({"funcs": [{"func_name": name}]}), "c.json").funcs
    assert (name, False, True) == (func.name, func.glob, func.cplusplus)


@pytest.mark.parametrize("name", ["a b", "open;", "9lives", 'x"', "x\ny", "#define", "naïve", "a::b;\nint c", "$x"])
def test_names_that_could_not_enter_c_are_refused(name: str) -> None:
    found = refused(func_name=name)
    assert ("bad value for 'func_name'", "funcs[0].func_name") == (found.what, found.at.split("  ")[1])


@pytest.mark.parametrize("entry", ["{}", '{"func_name": "a", "set": "%b"}', '{"func_name": "", "set": ""}'])
def test_a_target_names_one_thing(entry: str) -> None:
    assert "c.json:1:12  funcs[0]" == error('{"funcs": [' + entry + "]}").at


def test_a_handler_without_a_library_is_an_error() -> None:
    found = error('{"funcs": [{"func_name": "rand", "back_enter": "on_rand"}]}')
    assert "back_enter 'on_rand' has no library" == found.what
    assert "c.json:1:48  funcs[0].back_enter" == found.at


def test_a_prototype_for_a_glob_is_an_error() -> None:
    found = error('{"funcs": [{"func_name": "add*", "prototype": "int add(int)"}]}')
    assert "a prototype needs a single func_name" == found.what


@pytest.mark.parametrize("header", ["x.h>\n#include <y", 'x".h', "", "a\\b.h"])
def test_header_names_cannot_break_out_of_their_include(header: str) -> None:
    assert "headers[0]" == error(json.dumps({"headers": [header]})).at.split("  ")[1]


@pytest.mark.parametrize("library", ["libz.so.1 -o x", "", "lib\n.so"])
def test_library_names_are_plain(library: str) -> None:
    assert "libraries[0]" == error(json.dumps({"libraries": [library]})).at.split("  ")[1]


@pytest.mark.parametrize(
    "config",
    ["[]", "3", "null", '{"funcs": {}}', '{"funcs": [3]}', '{"ring": []}', '{"headers": [1]}', '{"syscalls": [{}]}'],
)
def test_wrong_shapes_are_errors_with_a_place(config: str) -> None:
    assert error(config).at.startswith("c.json:1:")


def test_relative_paths_are_relative_to_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.h").touch()
    given = {"library_path": "h.so", "logger_path": "./log.txt", "ld_preload": "../p.so", "include": ["inc", "/opt/z"]}
    lists = {"libraries": ["libz.so.1", "./l.so"], "headers": ["zlib.h", "mine.h", "../up/other.h"]}
    (tmp_path / "sub" / "c.json").write_text(json.dumps(given | lists))
    monkeypatch.chdir(tmp_path)
    config = load("sub/c.json")
    folder = tmp_path / "sub"
    expected = Config(
        name="sub/c.json",
        library_path=f"{folder}/h.so",
        logger_path="./log.txt",
        ld_preload=f"{tmp_path}/p.so",
        headers=("zlib.h", "mine.h", "other.h"),
        libraries=("libz.so.1", f"{folder}/l.so"),
        include=(f"{folder}/inc", "/opt/z", f"{folder}", f"{tmp_path}/up"),
        document=config.document,
    )
    assert expected == config


def test_a_config_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path / "none.json")
    assert "No such file or directory" == caught.value.why
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert "Is a directory" == caught.value.why


def test_key_paths_are_read_as_people_write_them() -> None:
    assert ("funcs", 2, "func_name") == steps_of("funcs[2].func_name")
