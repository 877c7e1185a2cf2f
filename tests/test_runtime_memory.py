"""R4: without memory less is recorded, and that is counted; the program runs on. A full tmpfs is never a SIGBUS."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import Trace, trace
from wc_intercept.consumer import abi
from wc_intercept.consumer.session import SessionDirectory

NAMES = ("getppid", "write")
CALLS, THREADS = 60_000, 3
MEMORY = abi.LOSS_NAMES[1]
Started = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim(*NAMES)


@pytest.fixture(scope="module")
def loops(compile_c: Callable[..., Path]) -> Path:
    return compile_c("loops.c", "-pthread")


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True)
    if done.returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def leave(root: Path, size: int) -> None:
    """Fill the file system of *root* up to *size* bytes."""
    with suppress(OSError), (root / "filler").open("ab") as filler:  # others may take it meanwhile
        state = os.statvfs(root)
        filler.write(b"x" * max(state.f_bavail * state.f_frsize - size, 0))


def unlimited(session: SessionDirectory) -> None:
    """A budget that says nothing of the memory there is, as when another program takes it."""
    session.give_back(1 << 40)


def check(run: Trace, calls: int, **options: Any) -> None:
    """The program ran unharmed, and every call of it that was counted is accounted for."""
    assert (0, f"{calls}\n", "") == (run.status, run.stdout, run.stderr)
    run.check_identity(*NAMES, **options)
    if run.segments:
        assert calls == run.counts("getppid")["calls"]
    else:
        assert 1 == run.control["no_segment"]


@pytest.mark.parametrize("left", [0, 4, 8, 12, 16, 20, 40, 76, 84, 100, 150, 250, 400], ids=lambda n: f"{n} KiB")
def test_a_full_file_system_loses_records_and_nothing_else(hooks: Path, loops: Path, tmp_path: Path, left: int) -> None:
    def prepare(session: SessionDirectory) -> None:
        unlimited(session)
        leave(tmp_path, left << 10)

    with mounted(tmp_path, "1m"):
        run = trace(hooks, loops, CALLS, THREADS, root=tmp_path, prepared=prepare, policy=abi.DROP)
    check(run, THREADS * CALLS)
    if run.segments:
        assert run.counts("getppid")["lost"] > 0
        assert set() < set(run.losses()) <= {abi.LOSS_NAMES[0], MEMORY}
        assert left > 84 or MEMORY in run.losses()


@pytest.mark.parametrize("policy", [abi.BLOCK, abi.DROP, abi.OVERWRITE])
def test_a_file_system_that_fills_up_meanwhile_harms_nobody(
    hooks: Path, loops: Path, tmp_path: Path, policy: int
) -> None:
    """The first lap of a ring ends where the memory does; later laps use what there is."""

    def fill(process: Started, session: SessionDirectory) -> None:
        leave(tmp_path, 0)

    with mounted(tmp_path, "1m"):
        run = trace(hooks, loops, CALLS, THREADS, root=tmp_path, prepared=unlimited, started=fill, policy=policy)
    check(run, THREADS * CALLS, overwritten=policy == abi.OVERWRITE)


@pytest.mark.parametrize("left", [100, 150, 300], ids=lambda n: f"{n} KiB")
def test_a_small_ring_loses_nothing_in_block_mode(hooks: Path, loops: Path, tmp_path: Path, left: int) -> None:
    """A ring of which only the first 64 KiB could be had goes round in these."""

    def prepare(session: SessionDirectory) -> None:
        unlimited(session)
        leave(tmp_path, left << 10)

    with mounted(tmp_path, "1m"):
        run = trace(hooks, loops, CALLS, 1, root=tmp_path, prepared=prepare, policy=abi.BLOCK)
    check(run, CALLS)
    used = [ring for ring in run.rings if int(ring.header["head"]) >> 32 > 0]
    assert all(int(ring.header["capacity"]) < 16384 for ring in used)
    assert {} == {reason: n for reason, n in run.losses().items() if reason != MEMORY}


@pytest.mark.parametrize("budget", [90_000, 160_000, 300_000, 1_000_000])
def test_a_sessions_programs_together_keep_to_its_budget(hooks: Path, loops: Path, budget: int) -> None:
    run = trace(hooks, loops, CALLS, THREADS, budget=budget, policy=abi.DROP)
    check(run, THREADS * CALLS)
    assert run.control["used"] <= budget


@pytest.mark.parametrize("megabytes", [12, 24, 48, 96, 200])
def test_little_address_space_gives_fewer_rings(hooks: Path, loops: Path, megabytes: int) -> None:
    limit = megabytes << 20
    run = trace(
        hooks, loops, 1000, 2, before_exec=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    )  # fmt: skip
    check(run, 2000)
    assert [] == [segment for segment in run.segments if int(segment["size"]) > limit]


@pytest.mark.parametrize("left", [None, 0, 8, 40, 100, 150, 400], ids=lambda n: f"{n} KiB")
def test_a_kernel_without_populate_is_recorded_on_as_well(
    hooks: Path, loops: Path, compile_c: Callable[..., Path], tmp_path: Path, left: int | None
) -> None:
    """Linux before 5.14: pages are claimed in another way, and a full file system is no SIGBUS there either."""

    def prepare(session: SessionDirectory) -> None:
        unlimited(session)
        if left is not None:
            leave(tmp_path, left << 10)

    with mounted(tmp_path, "1m"):
        run = trace(
            hooks, compile_c("old_kernel.c"), loops, CALLS, THREADS, root=tmp_path, prepared=prepare, policy=abi.DROP
        )  # fmt: skip
    if run.status == 77:
        pytest.skip("no seccomp here")
    assert (0, f"{THREADS * CALLS}\n", "") == (run.status, run.stdout, run.stderr)
    run.check_identity(*NAMES)
    assert left is not None or run.recorded("getppid") > 1000


@pytest.mark.parametrize("kilobytes", [4, 100, 1024, 1200, 5000, 100_000])
def test_a_limit_on_the_size_of_files_is_not_run_into(hooks: Path, loops: Path, kilobytes: int) -> None:
    """A file that is made larger than RLIMIT_FSIZE allows costs a program its life (SIGXFSZ)."""
    limit = kilobytes << 10
    run = trace(
        hooks, loops, 1000, 2, before_exec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )  # fmt: skip
    assert (0, 0) == (run.status, len([segment for segment in run.segments if int(segment["size"]) > limit]))
    if kilobytes > 1100:
        run.check_identity(*NAMES)
        assert 2000 == run.counts("getppid")["calls"]


@pytest.mark.skipif(os.geteuid() != 0, reason="setuid needs root")
def test_mlockall_does_as_without_a_shim(hooks: Path, compile_c: Callable[..., Path]) -> None:
    program = compile_c("locked.c", "-pthread")
    natively = subprocess.run([program], capture_output=True, text=True)
    run = trace(hooks, program)
    assert (natively.returncode, natively.stdout) == (run.status, run.stdout)
    counts = run.counts("getppid")
    assert (200, 200) == (counts["calls"], run.recorded("getppid") + counts["lost"])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_session_does_not_fit_into_64_kib_and_says_so(hooks: Path, tmp_path: Path) -> None:
    from wc_intercept.generator.errors import UserError

    with mounted(tmp_path, "64k"), pytest.raises(UserError, match="no room"):
        trace(hooks, "/bin/true", root=tmp_path)
