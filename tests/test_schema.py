"""wc-gen --schema: a JSON Schema that takes and refuses what the reader takes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from wc_intercept.generator.schema import File, json_schema

DATA = Path(__file__).parent / "data"
SCHEMA = json.loads(json_schema())
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def valid(value: Any, node: dict[str, Any]) -> bool:
    """Validate by the part of JSON Schema that ours uses; any other keyword is a failure of the test."""
    known = {"$schema", "$defs", "$ref", "anyOf", "type", "enum", "properties", "required", "additionalProperties"}
    known |= {"items", "minimum", "maximum", "multipleOf", "pattern", "title", "description", "default"}
    assert set(node) <= known
    if "$ref" in node:
        return valid(value, SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in node:
        return any(valid(value, option) for option in node["anyOf"])
    if "enum" in node:
        return value in node["enum"]
    if node["type"] == "integer":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and node["minimum"] <= value <= node["maximum"] and value % node.get("multipleOf", 1) == 0
    if not isinstance(value, TYPES[node["type"]]):
        return False
    if isinstance(value, str):
        return re.search(node.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return all(valid(item, node["items"]) for item in value)
    return not isinstance(value, dict) or valid_object(value, node)


def valid_object(value: dict[str, Any], node: dict[str, Any]) -> bool:
    properties, others = node.get("properties", {}), node.get("additionalProperties", True)
    if not set(node.get("required", ())) <= set(value):
        return False
    inside = all(valid(value[key], properties[key]) for key in value if key in properties)
    outside = [value[key] for key in value if key not in properties]
    return inside and (not outside if others is False else all(valid(item, others) for item in outside))


def taken(value: Any) -> bool:
    try:
        msgspec.convert(value, File)
    except msgspec.ValidationError:
        return False
    return True


GOOD: list[Any] = [
    {},
    {"ring": {"size": "1MiB", "on_full": "drop", "block_ms": 0}},
    {"ring": {"size": 65536}},
    {"headers": ["zlib.h"], "libraries": ["libz.so.1"], "include": [], "string_limit": 4096, "exclude": ["a*"]},
    {"funcs": [{"func_name": "read", "capture": {"buf": {"bytes": "return"}, "x": {"bytes": 3}}}]},
    {"funcs": [{"set": "%memory", "record": "both", "caller": True, "clock": "none", "on_full": "drop"}]},
    {
        "library_path": "h.so",
        "funcs": [{"func_name": "a", "back_enter": "h", "frequency": 4294967295, "preload": True}],
    },
    {"syscalls": [{"syscall_id": 1}, {"syscall_id": "openat", "back_exit": "h"}, {"syscall_id": "*"}]},
]
BAD: list[Any] = [
    [],
    {"func": []},
    {"ring": {"size": 65537}},
    {"ring": {"size": "big"}},
    {"ring": {"on_full": "wait"}},
    {"string_limit": 4097},
    {"funcs": {}},
    {"funcs": [{"func_name": 1}]},
    {"funcs": [{"func_name": "a", "when": True}]},
    {"funcs": [{"func_name": "a", "frequency": 0}]},
    {"funcs": [{"func_name": "a", "back_enter": "a b"}]},
    {"funcs": [{"func_name": "a", "capture": {"x": {"bytes": 4097}}}]},
    {"funcs": [{"func_name": "a", "capture": {"x": {}}}]},
    {"syscalls": [{}]},
    {"syscalls": [{"syscall_id": "Open At"}]},
]


@pytest.mark.parametrize("value", GOOD)
def test_schema_and_reader_take_good_configs(value: Any) -> None:
    assert (True, True) == (valid(value, SCHEMA), taken(value))


@pytest.mark.parametrize("value", BAD)
def test_schema_and_reader_refuse_bad_configs(value: Any) -> None:
    assert (False, False) == (valid(value, SCHEMA), taken(value))


@pytest.mark.parametrize("name", ["usage", "dynamic-before", "dynamic-after"])
def test_the_original_configs_fit_the_schema(name: str) -> None:
    assert valid(json.loads((DATA / "original" / f"{name}.json").read_text()), SCHEMA)


def test_every_key_of_a_target_is_described() -> None:
    target = SCHEMA["$defs"]["Target"]["properties"]
    assert [] == [key for key, node in target.items() if "description" not in node]


def test_the_schema_is_the_same_every_time() -> None:
    assert json_schema() == json_schema()
