"""R2: errno after a wrapper is what the real call left, whatever else the wrapper had to do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import trace
from wc_intercept.consumer import abi

NAMES = ("open", "read", "write", "close", "getppid", "strtol", "floor", "acos", "execl", "vfork", "waitpid", "fork")
ROUNDS = 300


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim(*NAMES)


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path]) -> Path:
    return compile_c("errno_kept.c", "-fno-builtin", "-pthread", "-lm")


SITUATIONS: dict[str, dict[str, Any]] = {
    "recorded": {},
    "target off": {"words": dict.fromkeys(NAMES, 0)},
    "sampled out": {"words": dict.fromkeys(NAMES, 1 | 7 << 32)},
    "ring full": {"policy": abi.DROP, "ring_cells": 1024, "live": False},
    "overwriting": {"policy": abi.OVERWRITE, "ring_cells": 1024},
    "blocking without a reader": {"policy": abi.BLOCK, "block_ms": 1, "ring_cells": 1024, "live": False},
    "no memory": {"budget": 100_000},
    "monotonic clock": {"clock": abi.CLOCK_MONOTONIC},
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_errno_is_what_the_real_call_left(hooks: Path, program: Path, situation: str) -> None:
    done = trace(hooks, program, ROUNDS, **SITUATIONS[situation])
    assert (0, "") == (done.status, done.stdout)
    done.check_identity(*NAMES, overwritten=situation == "overwriting")


def test_errno_is_kept_without_a_session(hooks: Path, program: Path) -> None:
    """R10: then the wrappers only call through."""
    environment = {key: value for key, value in os.environ.items() if key != "WC_SESSION"}
    done = subprocess.run([program, "3"], env=environment | {"LD_PRELOAD": str(hooks)}, capture_output=True)
    assert (0, b"") == (done.returncode, done.stdout)


def test_the_record_has_errno_as_the_call_left_it(hooks: Path, program: Path) -> None:
    done = trace(hooks, program, 1)
    assert {12345} == {call.error for call in done.calls("getppid")}
    assert {(3, 12345), (-1, 2)} == {(min(call.result, 3), call.error) for call in done.calls("open")}
    assert {(4, 12345), (-1, 9)} == {(c.result, c.error) for c in done.calls("write") if c.args["fd"] != 1}
