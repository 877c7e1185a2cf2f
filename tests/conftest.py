"""What all tests share: compiling small C programs, building shims, running the installed commands.

Rules: a fixture does one thing and is cached for the session where that has no side effects; nothing is read from or
written to the user's caches. Absent on purpose: timing, sleeping, retries.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
BIN = Path(sys.executable).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


# nohup and a shell's background have these ignored, and what the tests start would inherit that.
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="full counts, as `make soak`")
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files from what is generated now")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="full counts only: make soak"))


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to run full counts: ``rounds = 1000 if soak else 20``."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Shims are cached below $XDG_CACHE_HOME: give the whole run one of its own."""
    before = os.environ.get("XDG_CACHE_HOME")
    cache = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    yield cache
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """compile_c("name.c" of tests/c, or C text, *flags) -> the program; with -shared, the library."""
    done: dict[tuple[str, ...], Path] = {}
    folder = tmp_path_factory.mktemp("c")

    def compile_one(source: str, *flags: str, cc: str = "cc") -> Path:
        key = (cc, source, *flags)
        if key not in done:
            stem = Path(source).stem if source.endswith(".c") else f"inline{len(done)}"
            suffix = ".so" if "-shared" in flags else ""
            text = TESTS / "c" / source if source.endswith(".c") else folder / f"{stem}.c"
            if not source.endswith(".c"):
                text.write_text(source)
            output = folder / f"{stem}-{len(done)}{suffix}"
            early = [flag for flag in flags if not flag.startswith("-l")]
            late = [flag for flag in flags if flag.startswith("-l")]
            command = [cc, "-g", "-O1", *early, "-o", str(output), str(text), *late]
            result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert result.returncode == 0, result.stderr
            done[key] = output
        return done[key]

    return compile_one


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """shim({"funcs": [...]}) or shim("open", "read") -> path of the generated library, one per content."""
    done: dict[str, Path] = {}

    def build(*what: Any) -> Path:
        config = what[0] if isinstance(what[0], dict) else {"funcs": [{"func_name": name} for name in what]}
        text = json.dumps(config)
        if text not in done:
            folder = tmp_path_factory.mktemp("shim")
            (folder / "config.json").write_text(text)
            output = folder / "hooks.so"
            result = run_tool("wc-gen", folder / "config.json", "-o", output)
            assert result.returncode == 0, result.stderr
            done[text] = output
        return done[text]

    return build


def run_tool(name: str, *args: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one of our console scripts, the one installed beside this interpreter."""
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 120} | options
    return subprocess.run([str(BIN / name), *map(str, args)], **options)


@pytest.fixture(scope="session")
def all_but_the_hottest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim of ``*``: all of libc and libm but malloc's family and mem*, str*, wcs*."""
    return _kept_shim([{"func_name": "*"}], tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="session")
def every_function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim of every function of libc and libm, each by its name."""
    from wc_intercept.generator.elf import Library
    from wc_intercept.generator.host import host

    names = {name for path in (host().libc_path, host().libm_path) for name in Library.read(path).exports}
    return _kept_shim([{"func_name": name} for name in sorted(names)], tmp_path_factory.mktemp("every"))


def _kept_shim(funcs: list[dict[str, str]], folder: Path) -> Path:
    """Build by way of the cache: these take a minute. $WC_TEST_CACHE keeps them from one run to the next."""
    from wc_intercept.generator.build import build
    from wc_intercept.generator.config import parse

    cache = os.environ.get("WC_TEST_CACHE")
    return build(parse(json.dumps({"funcs": funcs}), "config.json"), cache=Path(cache) if cache else None).path


@pytest.fixture(scope="session")
def wc_gen() -> Run:
    return lambda *args, **options: run_tool("wc-gen", *args, **options)


@pytest.fixture(scope="session")
def wc_run() -> Run:
    return lambda *args, **options: run_tool("wc-run", *args, **options)


@pytest.fixture(scope="session")
def wc_report() -> Run:
    return lambda *args, **options: run_tool("wc-report", *args, **options)


@pytest.fixture
def needs() -> Callable[[str], str]:
    """needs("sqlite3") -> its path, or the test is skipped."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"{program} is not installed")
        return path

    return find
