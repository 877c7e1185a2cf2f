"""The documents for users: what they show happens, what they list is all there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import document
import pytest
from conftest import Run
from wc_intercept.consumer import options
from wc_intercept.generator.annotations import CALL_SETS
from wc_intercept.generator.schema import json_schema

DOCS = Path(__file__).parent.parent / "docs"
JSON_BLOCK = re.compile(r"^```json\n(?P<text>.*?)^```$", re.S | re.M)
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?:`(?P<default>[^`]*)`)? ?\|", re.M)
CONFIGS = [
    pytest.param(block["text"], id=f"{path.name}:{path.read_text()[: block.start()].count(chr(10)) + 1}")
    for path in sorted(DOCS.glob("*.md"))
    for block in JSON_BLOCK.finditer(path.read_text())
]


@pytest.mark.parametrize("name", ["config.md", "engines.md", "output.md", "limits.md", "python-handlers.md"])
def test_the_commands_print_what_the_document_shows(name: str, tmp_path: Path) -> None:
    complaints = document.run(DOCS / name, tmp_path)
    assert [] == complaints, "\n".join(complaints)


@pytest.mark.parametrize("text", CONFIGS)
def test_the_targets_of_every_config_shown_are_wrapped(text: str, wc_gen: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    done = wc_gen("config.json", "--explain", "--format", "json", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert {"wrapped", "traced"} >= {line["status"] for line in json.loads(done.stdout)} - {"excluded"}


def test_every_key_of_a_config_is_described_with_its_default() -> None:
    sections = re.split(r"^## ", (DOCS / "config.md").read_text(), flags=re.M)
    definitions = json.loads(json_schema())["$defs"]
    for title, name in (("The file", "File"), ("A target", "Target"), ("ring", "Ring")):
        section = next(section for section in sections if section.startswith(title))
        told = {row["key"]: row["default"] for row in ROW.finditer(section)}
        assert {key: _default(entry) for key, entry in definitions[name]["properties"].items()} == {
            key: None if default is None else json.loads(default) for key, default in told.items()
        } | ({"func_name": "", "set": ""} if name == "Target" else {})


def _default(entry: dict[str, Any]) -> Any:
    return entry.get("default")


def test_every_set_is_named() -> None:
    text = (DOCS / "config.md").read_text()
    assert [] == [name for name in CALL_SETS if f"`{name}`" not in text]


def test_every_option_of_wc_run_that_shapes_output_is_described() -> None:
    text = (DOCS / "output.md").read_text()
    shaping = ("-o", "--format", "--summary", "-s", "-t", "-r", "-T", "-y", "-z", "-Z", "-P", "--follow", "--color", "--events",
               "--strict", "--on-full", "--wait-all", "-v")  # fmt: skip
    assert set() == {name for name in shaping if name not in options.SPELLINGS or f"`{name}" not in text}
