"""Runs what a document shows: files, commands, and what they print.

Used by test_examples.py and test_handlers_document.py. A fenced block behind a paragraph that ends in ``NAME`: `` is
the file of that name; in a block of language ``console``, lines behind ``$ `` are typed and the others are what is
printed, standard output and error together. ``...`` stands for anything in a line, a line of it alone for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from conftest import BIN

BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.S | re.M)
NAMED = re.compile(r"`(?P<name>[\w./-]+)`:$")


def run(document: Path, folder: Path) -> list[str]:
    """Do in *folder* what *document* shows; return a complaint for everything that came out otherwise."""
    complaints = []
    for block in BLOCK.finditer(document.read_text()):
        named = NAMED.search(block["before"])
        if named:
            (folder / named["name"]).write_text(block["text"])
        elif block["language"] == "console":
            complaints += [complaint for command in _commands(block["text"]) for complaint in _try(command, folder)]
    return complaints


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def _try(command: tuple[str, str], folder: Path) -> Iterator[str]:
    typed, expected = command
    # Without these, bash and python3 ask the user database for them, which are calls more in what is shown.
    environment = {"HOME": str(folder), "SHELL": "/bin/sh", **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", "-c", typed], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip
    if not re.fullmatch(_pattern(expected), ran.stdout):
        yield f"$ {typed}\nexpected:\n{expected}printed:\n{ran.stdout}"


def _pattern(expected: str) -> str:
    lines = (re.escape(line).replace(r"\.\.\.", ".*") + r"\n" for line in expected.splitlines())
    return "".join(r"(?:.*\n)*?" if line == r".*\n" else line for line in lines)
