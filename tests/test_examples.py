"""Every example runs as its README says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import document
import pytest
from conftest import Run

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
READMES = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("README.md"))
CONFIGS = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.json"))


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_the_readme_of_an_example_shows_what_happens(readme: Path, needs: Callable[[str], str], tmp_path: Path) -> None:
    for program in re.findall(r"^Needs `(.*)`\.$", (EXAMPLES / readme).read_text(), re.M):
        needs(program)
    shutil.copytree((EXAMPLES / readme).parent, tmp_path / "example")
    complaints = document.run(EXAMPLES / readme, tmp_path / "example")
    assert [] == complaints, "\n".join(complaints)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_target_of_an_examples_config_is_intercepted(config: Path, wc_gen: Run) -> None:
    result = wc_gen(EXAMPLES / config, "--explain", "--format", "json")
    assert 0 == result.returncode
    lines = json.loads(result.stdout)
    assert [] == [line["requested"] for line in lines if line["status"] not in ("wrapped", "traced", "excluded")]


def test_every_example_is_in_the_readme() -> None:
    text = (EXAMPLES / "README.md").read_text()
    names = [path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and not path.name.startswith(".")]
    assert [] == [name for name in names if f"`{name}" not in text]
