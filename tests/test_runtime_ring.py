"""The ring's protocol alone, in C under sanitizers: laps and their wrap, records of every size, memory that ends, R12."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from wc_intercept import runtime

SHIM = Path(runtime.__file__).parent / "shim"
SOURCES = [str(SHIM / name) for name in ("wci_ring.c", "wci_claim.c", "wci_segment.c", "wci_capture.c", "wci_text.c", "wci_limit.c")]
FLAGS = [
    "-std=gnu11", "-D_GNU_SOURCE", "-pthread", f"-I{SHIM}", f"-I{SHIM.parent / 'include'}", "-fno-builtin",
    "-fno-strict-aliasing", "-g", "-O2",
]  # fmt: skip
SANITIZERS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
    "none": [],
}


@pytest.fixture(scope="module")
def run(compile_c: Callable[..., Path]) -> Callable[..., None]:
    """Run ring_protocol under a sanitizer; anything on standard error fails."""

    def one(sanitizer: str, *arguments: object) -> None:
        program = compile_c("ring_protocol.c", *FLAGS, *SANITIZERS[sanitizer], *SOURCES)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            done = subprocess.run([program, folder, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        assert (0, "") == (done.returncode, done.stderr)

    return one


@pytest.mark.parametrize("first_lap", [0, 1, 0x7FFFFFF0, 0xFFFFFFF0, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE], ids=hex)
def test_laps_wrap_without_the_stamp_that_is_never_valid(run: Callable[..., None], first_lap: int) -> None:
    run("address", "laps", first_lap)


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_a_ring_goes_round_in_the_memory_that_it_got(run: Callable[..., None], chunks: int) -> None:
    """Its capacity shrinks once, in the first lap."""
    run("address", "memory", chunks)


def test_what_a_longjmp_left_open_is_closed_by_the_writer(run: Callable[..., None]) -> None:
    """R3. At whatever moment it left, once nobody but the present wrapper is in the in-flight stack."""
    run("address", "abandoned")


@pytest.mark.parametrize("sanitizer", ["address", "none"])
def test_a_claimer_takes_its_own_stale_ring_first_and_a_living_owners_never(
    run: Callable[..., None], sanitizer: str
) -> None:
    """R12."""
    run(sanitizer, "takeover")


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_writers_and_a_reader_agree_by_stamps_alone(run: Callable[..., None], sanitizer: str) -> None:
    run(sanitizer, "threads")
