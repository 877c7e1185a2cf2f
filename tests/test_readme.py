"""The table of README.md: what it says can be done can be typed, and the documents that it names exist."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BIN, Run

ROOT = Path(__file__).parent.parent
SECTION = (ROOT / "README.md").read_text().split("## What it can do\n")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (?!to |-)(.*?) \| (.*?) \| (.*?) \|$", SECTION, re.M)
PROGRAM = """
#include <fcntl.h>
#include <unistd.h>
int parse_line(const char *line) { return line[0]; }
int main(void) { return open("/dev/null", O_RDONLY) < 0 || parse_line("x") != 'x'; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "mine.py").write_text("from wc_intercept.consumer import on\n@on('open')\ndef seen(event): pass\n")
    policy = "from wc_intercept.consumer import decide\n@decide('open')\ndef asked(call): return None\n"
    (folder / "policy.py").write_text(policy)
    (folder / "program.c").write_text(PROGRAM)
    subprocess.run(["cc", "-g", "-o", folder / "PROGRAM", folder / "program.c"], check=True)
    return folder / "PROGRAM"


@pytest.fixture
def running(compile_c: Callable[..., Path], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs under wc-run with a config and a library: its wc-run."""
    library = compile_c("void h(void *regs, int pid) { (void)regs; (void)pid; }", "-shared", "-fPIC")
    funcs = [{"func_name": "read", "back_enter": "h"}, {"func_name": "sleep"}]
    (tmp_path / "config.json").write_text(json.dumps({"library_path": str(library), "funcs": funcs}))
    with subprocess.Popen(
        [BIN / "wc-run", "-c", tmp_path / "config.json", "sh", "-c", "echo; exec sleep 100"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        yield process
        process.send_signal(signal.SIGTERM)


def _typed(prefix: str) -> list[str]:
    """Return the commands of the table that begin so and need no files of an example."""
    return [cell for _, cells, _ in ROWS for cell in re.findall(r"`(.*?)`", cells)
            if cell.startswith(prefix) and "config.json" not in cell and "_io.py" not in cell]  # fmt: skip


@pytest.mark.parametrize("command", [text for text in _typed("wc-run") if "PROGRAM" in text])
def test_what_the_table_says_about_a_program_can_be_typed(command: str, program: Path, wc_run: Run) -> None:
    done = wc_run(*shlex.split(command.replace("PROGRAM", str(program)))[1:], cwd=program.parent)
    assert (0, True) == (done.returncode, "error:" not in done.stderr), done.stderr


@pytest.mark.parametrize("command", _typed("wc-ctl"))
def test_what_the_table_says_about_a_running_program_can_be_typed(
    command: str, running: subprocess.Popen[bytes]
) -> None:
    words = shlex.split(command.replace("PID", str(running.pid)))
    done = subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr


def test_the_documents_and_examples_of_the_table_exist_and_none_is_missing() -> None:
    named = {name for *_, more in ROWS for name in more.split(", ")}
    assert set() == {name for name in named if not (ROOT / name).exists()}
    shown = {f"examples/{path.parent.name}/" for path in (ROOT / "examples").glob("*/README.md")}
    assert set() == shown - named
