"""Says what a config value should have been, from the JSON Schema of the structs that refused it.

Called by config.py when msgspec.convert fails. msgspec says where (``$.funcs[0].frequency``); what was found is looked
up there, and what is needed is read from the schema, in words. Absent on purpose: checks of its own.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec

from .errors import UserError, nearest
from .positions import Document, Path

_WHERE = re.compile(r" - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.([A-Za-z_]+)")
_MISSING = re.compile(r"missing required field `(.*?)`")


def invalid(document: Document, value: Any, struct: type[msgspec.Struct], path: Path, message: str) -> UserError:
    """Return the error for *value* (at *path*), which msgspec would not take as *struct* with *message*."""
    steps = _steps(message)
    found, node = value, _schema(struct)["$defs"][struct.__name__]
    for step in steps:
        found, node = found[step], _below(struct, node, step)
    at = document.where((*path, *steps))
    what = _subject((*path, *steps))
    missing = _MISSING.search(message)
    if missing:
        return UserError(f"{what} has no '{missing[1]}'", at, f"{missing[1]} is required there")
    close = nearest(found, choices(node)) if isinstance(found, str) else []
    why = f"found {_shown(found)}; needed is {needed(struct, node)}"
    return UserError(f"bad value for {what}", at, why, " or ".join(f'"{choice}"' for choice in close))


def needed(struct: type[msgspec.Struct], node: dict[str, Any]) -> str:
    """Say in words what a schema node takes."""
    node = _resolve(struct, node)
    if "anyOf" in node:
        forms = " or ".join(needed(struct, option) for option in node["anyOf"])
        return f"{forms} ({node['description']})" if "description" in node else forms
    if "enum" in node:
        return " or ".join(f'"{choice}"' for choice in choices(node))
    if node["type"] in ("integer", "number"):
        return _number(node)
    words = {"boolean": "true or false", "array": "a list [...]", "object": "an object {...}", "string": "a text"}
    phrase = words[node["type"]]
    return f"{phrase}: {node['description']}" if node["type"] == "string" and "description" in node else phrase


def choices(node: dict[str, Any]) -> list[str]:
    """Return the spellings that an enum node takes; nothing for other nodes."""
    return [choice for choice in node.get("enum", []) if choice]


def _number(node: dict[str, Any]) -> str:
    words = "a whole number" if node["type"] == "integer" else "a number"
    if "minimum" in node and "maximum" in node:
        words += f" from {node['minimum']} to {node['maximum']}"
    return f"{words}, a multiple of {node['multipleOf']}" if "multipleOf" in node else words


def _steps(message: str) -> Path:
    where = _WHERE.search(message)
    path = where["path"] if where else ""
    return tuple(int(index) if index else key for index, key in _STEP.findall(path))


@cache
def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema(struct)


def _resolve(struct: type[msgspec.Struct], node: dict[str, Any]) -> dict[str, Any]:
    """Follow $ref, keeping the description that stands beside it."""
    if "$ref" not in node:
        return node
    found: dict[str, Any] = _schema(struct)["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return found


def _below(struct: type[msgspec.Struct], node: dict[str, Any], step: str | int) -> dict[str, Any]:
    node = _resolve(struct, node)
    found: dict[str, Any] = node["items"] if isinstance(step, int) else node["properties"][step]
    return found


def _subject(path: Path) -> str:
    if not path:
        return "the config"
    last = path[-1]
    return f"'{last}'" if isinstance(last, str) else f"an entry of '{path[-2]}'"


def _shown(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False)
    return text if len(text) <= 48 else text[:45] + "..."
