"""wc-run at a terminal: ^C, ^Z, fg, as a shell and its user see them."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest
from conftest import BIN


class Terminal:
    """An interactive bash on a pseudo terminal. ``until`` waits for what the shell or a program prints."""

    def __init__(self) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="prompt> ", PATH=f"{BIN}:{os.environ['PATH']}", TERM="dumb")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self._seen = b""

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def until(self, text: str) -> str:
        """Return what came up to *text*, and forget it."""
        while text.encode() not in self._seen:
            self._seen += os.read(self._file, 4096)
        before, _, self._seen = self._seen.partition(text.encode())
        return before.decode()

    def status(self) -> int:
        """Return the shell's ``$?``."""
        self.type("echo status=$?=\n")
        self.until("status=$?=")
        self.until("status=")
        return int(self.until("="))

    def close(self) -> None:
        os.close(self._file)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    opened.until("prompt> ")
    yield opened
    opened.close()


@pytest.fixture(params=["preload", "ptrace"])
def wc_run(request: pytest.FixtureRequest) -> str:
    """The command line up to the program, by either engine."""
    return f"wc-run --engine {request.param} --trace open -o /dev/null"


def test_an_interrupt_ends_the_program_and_so_wc_run(terminal: Terminal, wc_run: str) -> None:
    terminal.type(f"{wc_run} sh -c 'echo go''ing; exec sleep 1000'\n")
    terminal.until("going")
    terminal.type("\x03")
    terminal.until("prompt> ")
    assert terminal.status() == 130


def test_an_interrupt_that_the_program_survives_is_survived(terminal: Terminal, wc_run: str) -> None:
    terminal.type(f"{wc_run} sh -c 'trap \"echo caught\" INT; echo go''ing; read x; exit 7'\n")
    terminal.until("going")
    terminal.type("\x03")
    terminal.until("caught")
    terminal.type("\n")
    terminal.until("prompt> ")
    assert terminal.status() == 7


def test_a_stopped_program_stops_wc_run_and_fg_continues_both(terminal: Terminal, wc_run: str) -> None:
    terminal.type(f"{wc_run} sh -c 'echo go''ing; exec cat'\n")
    terminal.until("going")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.until("prompt> ")
    terminal.type("fg\n")
    terminal.until("wc-run")
    terminal.type("one\n")
    terminal.until("one")
    terminal.type("\x04")
    terminal.until("prompt> ")
    assert terminal.status() == 0
