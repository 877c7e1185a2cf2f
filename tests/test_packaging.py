"""What is installed: the commands, the sources that shims are built from, the CMake function."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

import pytest
from conftest import BIN, TESTS, Run

EXAMPLE = TESTS.parent / "examples" / "cmake"


@pytest.mark.parametrize("command", ["wc-gen", "wc-run", "wc-report"])
def test_every_command_tells_its_version(command: str) -> None:
    out = subprocess.run([str(BIN / command), "--version"], capture_output=True, text=True, check=True).stdout
    assert metadata.version("wc-intercept") in out


@pytest.mark.parametrize("command", ["wc-gen", "wc-run", "wc-report"])
def test_every_command_explains_itself_with_standard_input_closed(command: str) -> None:
    done = subprocess.run(["sh", "-c", '"$0" --help <&-', str(BIN / command)], capture_output=True, text=True)
    assert (done.returncode, command in done.stdout) == (0, True)


def test_the_sources_of_the_runtime_are_installed() -> None:
    folder = resources.files("wc_intercept.runtime")
    assert (folder / "include" / "wc_abi.h").is_file()


def test_the_native_library_is_installed() -> None:
    from wc_intercept.consumer.machine import Native, library_path

    assert library_path() is not None and Native()._library is not None


def test_wc_gen_says_where_the_cmake_package_is(wc_gen: Run) -> None:
    folder = Path(wc_gen("--cmake-dir").stdout.strip())
    assert (folder / "wc_interceptConfig.cmake").is_file()


def test_a_cmake_project_builds_a_shim(tmp_path: Path, needs: Callable[[str], str]) -> None:
    """The example project, configured and built with our commands on PATH."""
    needs("cmake")
    shutil.copytree(EXAMPLE, tmp_path / "project")
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for command in (["cmake", "-S", "project", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "hooks.so").is_file()
