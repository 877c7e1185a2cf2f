"""Runs programs under handlers: the fixtures and words of test_handlers*.py.

Used as ``from handling import handled, stub``. Rules: handlers and programs are C, in tests/c/handler_*.c or in the
test; what a test sees is what the program printed and the calls that were recorded. Absent on purpose: anything about
sessions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

TESTS = Path(__file__).parent
INCLUDE = TESTS.parent / "runtime" / "include"
HANDLERS = ("-shared", "-fPIC", f"-I{INCLUDE}", f"-I{TESTS / 'c'}")
Compile = Callable[..., Path]


@dataclass
class Ran:
    """What a program under handlers printed, and the calls that were recorded."""

    status: int
    lines: list[str]
    calls: list[dict[str, Any]]
    said: str

    def of(self, func: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["func"] == func]


Handled = Callable[..., Ran]


@pytest.fixture
def handled(tmp_path: Path, compile_c: Compile, wc_run: Run) -> Handled:
    """handled(handlers source, program source, target, ...): run the program, each target a name or a dict."""

    def run(
        handlers: str,
        program: str,
        *targets: str | dict[str, Any],
        flags: Sequence[str] = (),
        arguments: Sequence[str] = (),
        options: Sequence[str] = (),
        **config: Any,
    ) -> Ran:
        library = compile_c(handlers, *HANDLERS)
        funcs = [{"func_name": target} if isinstance(target, str) else target for target in targets]
        (tmp_path / "config.json").write_text(json.dumps({"library_path": str(library), "funcs": funcs} | config))
        output = tmp_path / "calls.jsonl"
        result = wc_run(
            "-c", tmp_path / "config.json", "--format", "jsonl", "-o", output, *options,
            compile_c(program, *flags), *arguments, cwd=tmp_path,
        )  # fmt: skip
        calls = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
        return Ran(result.returncode, result.stdout.splitlines(), calls, result.stderr)

    return run


@pytest.fixture
def stub(handled: Handled, compile_c: Compile) -> Handled:
    """stub(target, ...): handler_stub_calls.c, whose functions are those of handler_stub.h."""
    library = compile_c("handler_stub.c", "-shared", "-fPIC", "-Wl,-soname,libhandler_stub.so")

    def run(*targets: dict[str, Any], **config: Any) -> Ran:
        link = library.with_name("libhandler_stub.so")
        if not link.exists():
            link.symlink_to(library)
        find = (f"-I{TESTS / 'c'}", f"-L{link.parent}", f"-Wl,-rpath,{link.parent}", "-lhandler_stub")
        flags = (*find, "-O2", "-fno-builtin")
        own = {"headers": [str(TESTS / "c" / "handler_stub.h")], "libraries": [str(link)]}
        return handled("handler_stub_handlers.c", "handler_stub_calls.c", *targets, flags=flags, **(own | config))

    return run


def target(name: str, enter: str = "", leave: str = "", **more: Any) -> dict[str, Any]:
    handlers = {"back_enter": enter, "back_exit": leave}
    return {"func_name": name} | {key: value for key, value in handlers.items() if value} | more


def line_after(ran: Ran, start: str) -> str:
    """Return the first line that starts with *start*."""
    return next((line for line in ran.lines if line.startswith(start)), f"nothing says {start}: {ran.said}")


def one(includes: str, body: str) -> str:
    """Return the source of a library with one handler, h."""
    lines = "".join(f"#include <{name}>\n" for name in ("sys/user.h", *includes.split()))
    return f"{lines}void h(struct user_regs_struct *regs, int pid)\n{{\n(void)regs; (void)pid;\n{body}\n}}\n"


def main(includes: str, body: str) -> str:
    """Return the source of a program."""
    lines = "".join(f"#include <{name}>\n" for name in includes.split())
    return f"{lines}int main(int argc, char **argv)\n{{\n(void)argc; (void)argv;\n{body}\nreturn 0;\n}}\n"


def libc(handled: Handled, handler: str, scene: str, *targets: str | dict[str, Any], **more: Any) -> Ran:
    """Run the scene of handler_libc.c, the C statements of *handler* being the handler h."""
    plain = {"flags": ("-O2", "-U_FORTIFY_SOURCE")}
    library = one("wc_ptrace.h fcntl.h", handler)
    return handled(library, "handler_libc.c", *targets, arguments=(scene,), **(plain | more))
