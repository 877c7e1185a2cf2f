"""Session directories: made fast, in memory, private, with one consumer, and swept when nobody needs them."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from segment_builder import HASH, TARGETS, make_session, manifest
from wc_intercept.consumer import abi_fields as fields
from wc_intercept.consumer import room, session, shim
from wc_intercept.consumer.session import SessionDirectory, SessionOptions
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import encode

CONTROL = fields.CONTROL
MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WC_SESSION_ROOT", str(tmp_path))
    return tmp_path


def control_of(made: SessionDirectory) -> bytes:
    return Path(made.path, "control").read_bytes()


def words_of(made: SessionDirectory) -> list[int]:
    return list(struct.unpack_from(f"<{len(TARGETS)}Q", control_of(made), fields.CONTROL_WORDS))


def orphan(root: Path, monkeypatch: pytest.MonkeyPatch, pid: int = 0x7FFFFFFF, age: float = 0.0) -> str:
    """A session whose consumer is dead, last touched *age* seconds ago."""
    made = make_session(monkeypatch, root)
    made.release()
    path = os.path.join(root, f"wc-{pid}-{os.path.basename(made.path)[-8:]}")
    os.rename(made.path, path)
    then = time.time() - age
    os.utime(os.path.join(path, "control"), (then, then))
    return path


def test_a_session_holds_what_programs_and_reports_need(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    assert {"control", "handlers", "manifest", "shim.so", "lock"} == set(os.listdir(made.path))
    assert 0o700 == stat.S_IMODE(os.stat(made.path).st_mode)
    assert os.path.realpath("/bin/true") == os.readlink(made.shim_link)
    assert encode(manifest()) == shim.parse_manifest(Path(made.path, "manifest").read_bytes(), "")[2]
    made.remove()


def test_the_control_file_says_what_was_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(
        monkeypatch, root, policy=fields.DROP, block_ms=7, ring_cells=2048, rings=9, string_limit=33, clock=1, budget=MIB * 8
    )
    values = CONTROL.unpack(control_of(made))
    expected = {
        "magic": fields.CONTROL_MAGIC, "abi": 1, "targets": len(TARGETS), "manifest": HASH, "policy": 1,
        "size": fields.control_size(len(TARGETS)), "room": 1024, "limits_at": fields.limits_at(len(TARGETS)),
        "block_ms": 7, "clock": 1, "ring_cells": 2048, "rings": 9, "string_limit": 33, "follow": fields.FOLLOW_DEFAULT,
        "consumer_pid": os.getpid(), "closed": 0, "budget": MIB * 8, "used": 0, "no_segment": 0,
    }  # fmt: skip
    assert expected == {name: values[name] for name in expected}
    assert [fields.WORD_ON] * len(TARGETS) == words_of(made)
    assert fields.control_size(len(TARGETS)) == len(control_of(made))
    made.remove()


def test_closing_switches_every_target_off_in_a_new_generation(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    made.close()
    assert [1 << 16] * len(TARGETS) == words_of(made)
    assert 1 == made.get("closed")
    made.remove()


def test_removing_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    Path(made.path, "seg-1-1").write_bytes(b"x")
    made.remove()
    assert [] == os.listdir(root)


def test_a_forked_child_that_removes_the_session_removes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    child = os.fork()
    if child == 0:
        made.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert "control" in os.listdir(made.path)
    assert 0 == made.get("closed")
    made.remove()


def test_a_second_consumer_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    with pytest.raises(UserError, match="has a consumer already"):
        SessionDirectory.open(made.path)
    made.remove()


def test_a_dead_consumers_session_can_be_opened_and_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = orphan(root, monkeypatch)
    adopted = SessionDirectory.open(path)
    assert (HASH, encode(manifest()), 16384) == (adopted.head.hash, adopted.json, adopted.ring_cells)
    adopted.remove()


@pytest.mark.parametrize("damage", ["control", "manifest"])
def test_a_damaged_session_is_refused_with_a_message(root: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    path = orphan(root, monkeypatch)
    for text in (b"", b"nonsense" * 100):
        Path(path, damage).write_bytes(text)
        with pytest.raises(UserError):
            SessionDirectory.open(path)
    os.unlink(os.path.join(path, damage))
    with pytest.raises(UserError):
        SessionDirectory.open(path)


def test_sessions_are_found_by_path_and_by_any_of_their_pids(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    Path(made.path, "seg-4711-abc").touch()
    assert [made.path] * 3 == [session.find(name) for name in (made.path, str(os.getpid()), "4711")]
    for name in ("4712", "nonsense", str(root)):
        with pytest.raises(UserError, match="no session"):
            session.find(name)
    made.remove()


def test_a_living_sessions_program_comes_before_a_dead_session_of_that_pid(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, dead = make_session(monkeypatch, root), Path(orphan(root, monkeypatch))
    Path(living.path, f"seg-{dead.name.split('-')[1]}-abc").touch()
    assert living.path == session.find(dead.name.split("-")[1])
    living.remove()
    assert str(dead) == session.find(dead.name.split("-")[1])


def test_of_two_sessions_of_one_pid_the_living_one_is_meant(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead one may lie about when its pid is given again."""
    first, second = make_session(monkeypatch, root), make_session(monkeypatch, root)
    os.utime(os.path.join(first.path, "control"), (1, 1))
    assert second.path == session.find(str(os.getpid()))
    os.utime(os.path.join(second.path, "control"), (0, 0))
    assert first.path == session.find(str(os.getpid()))
    first.remove()
    second.remove()


# Sweeping.


def test_a_session_of_a_consumer_that_just_died_is_kept_for_wc_report(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = orphan(root, monkeypatch, age=session.KEEP_SECONDS - 60)
    assert [] == session.sweep(str(root))
    assert os.path.exists(path)


def test_a_session_of_a_consumer_long_dead_is_swept_at_the_next_start(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = orphan(root, monkeypatch, age=session.KEEP_SECONDS + 60)
    make_session(monkeypatch, root).remove()
    assert not os.path.exists(path)


def test_a_session_with_a_consumer_is_never_swept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_session(monkeypatch, root)
    os.utime(os.path.join(made.path, "control"), (0, 0))
    assert [] == session.sweep(str(root), 0.0)
    made.remove()


def test_dead_sessions_go_early_when_their_room_is_needed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = orphan(root, monkeypatch)
    monkeypatch.setattr(room, "free_bytes", lambda where: 0 if os.path.exists(path) else 64 * MIB)
    made = make_session(monkeypatch, root)
    assert not os.path.exists(path)
    made.remove()


def test_a_session_being_made_is_not_swept(root: Path) -> None:
    path = root / f"wc-{os.getpid()}-00112233"
    path.mkdir(mode=0o700)
    assert [] == session.sweep(str(root), 0.0)
    assert path.exists()


def test_directories_of_other_names_and_links_are_left_alone(root: Path) -> None:
    names = ["wc-1", "wc-x-y", "wc-1-2-3", "other-1-2"]
    for name in names:
        (root / name).mkdir()
    os.symlink("/", root / "wc-5-00112233")
    assert [] == session.sweep(str(root), 0.0)
    assert {*names, "wc-5-00112233"} == set(os.listdir(root))


# Room.


def fit(free: int, targets: int = 10, budget: int | None = None) -> room.Room | None:
    return room.fit(free, 16384, targets, 16384, 256, budget)


def test_plenty_of_room_gives_what_was_asked_for() -> None:
    given = fit(4 << 30)
    assert given is not None
    assert (16384, 256) == (given.ring_cells, given.rings)


def test_docker_gives_64_mib_and_rings_stay_whole() -> None:
    given = fit(64 * MIB)
    assert given is not None
    assert 16384 == given.ring_cells
    assert given.budget <= 64 * MIB * room.SHARE_OF_FREE


@pytest.mark.parametrize("free", [128 << 10, 256 << 10, MIB, 4 * MIB, 9 * MIB])
def test_little_room_gives_smaller_rings_that_fit_it(free: int) -> None:
    given = fit(free)
    assert given is not None
    assert 0 == given.ring_cells % fields.CHUNK_CELLS
    assert 1024 <= given.ring_cells < 16384
    assert 1 <= given.rings
    assert given.budget >= room.smallest_segment(10)


def test_64_kib_is_no_room() -> None:
    assert fit(64 << 10) is None


def test_a_budget_is_kept_but_never_beyond_what_is_free() -> None:
    assert fit(64 * MIB, budget=2 * MIB).budget == 2 * MIB  # type: ignore[union-attr]
    assert fit(64 * MIB, budget=1 << 40).budget == 64 * MIB - 16384  # type: ignore[union-attr]


def test_without_room_the_message_says_where_how_much_and_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda where: 64 << 10)
    with pytest.raises(UserError) as error:
        make_session(monkeypatch, root)
    assert f"{root}: 64 KiB are free, at least" in error.value.why
    assert "remount,size=" in error.value.try_
    assert [] == os.listdir(root)


def test_a_real_file_system_of_64_kib_is_refused_and_one_of_4_mib_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        with pytest.raises(UserError, match="no room"):
            make_session(monkeypatch, tmp_path)
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path], check=True)
        made = make_session(monkeypatch, tmp_path)
        assert 1024 <= made.ring_cells < 16384
        made.remove()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_disk_is_used_only_when_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "filesystem_of", lambda path: "ext4")
    assert "it is on ext4, not in memory" == room.why_unusable(str(root), False)
    assert room.why_unusable(str(root), True) is None


def test_dev_shm_is_known_to_be_in_memory() -> None:
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm")
    assert "tmpfs" == room.filesystem_of("/dev/shm")
    assert room.filesystem_of("/proc") not in room.IN_MEMORY


def test_roots_are_tried_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WC_SESSION_ROOT", "relative")
    assert [os.path.abspath("relative")] == room.roots()
    monkeypatch.delenv("WC_SESSION_ROOT")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert ["/dev/shm", "/run/user/7"] == room.roots()


def test_a_root_that_is_missing_or_not_ours_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.why_unusable(str(tmp_path / "none"), True) == "there is no such directory"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert room.why_unusable(str(tmp_path), True) == "it may not be written to"


# Speed and shims.


def test_a_session_is_made_without_anything_heavy() -> None:
    """wc-run makes it before the program starts."""
    heavy = "numpy msgspec dataclasses typing re pathlib ctypes json inspect click rich"
    code = (
        "import sys; before = set(sys.modules)\n"
        "from wc_intercept.consumer import session, shim, machine\n"
        "machine.choose_clock()\n"
        f"print(*sorted((set(sys.modules) - before) & set({heavy.split()})))"
    )
    output = subprocess.run([sys.executable, "-S", "-c", _path() + code], capture_output=True, text=True, check=True)
    assert "" == output.stdout.strip()


def _path() -> str:
    return f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n" + _finder()


def _finder() -> str:
    """An editable install finds its modules by a hook of site's, which -S leaves out."""
    return "try:\n import _editable_skbc_wc_intercept\nexcept ImportError:\n pass\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with a manifest section, as the emitter makes one."""
    folder = tmp_path_factory.mktemp("shim")
    stored = shim.pack_manifest(shim.ManifestHead(1, 2, HASH, 0), [1, 3], b'{"a":1}')
    (folder / "manifest").write_bytes(stored)
    (folder / "x.c").write_text("int x;\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "plain.so", folder / "x.c"], check=True)
    subprocess.run(
        ["objcopy", "--add-section", f".wc_manifest={folder / 'manifest'}", folder / "plain.so", folder / "hooks.so"],
        check=True,
    )
    return folder / "hooks.so"


def test_a_shims_manifest_is_found(library: Path) -> None:
    head, words, json = shim.read_manifest(library)
    assert (1, 2, HASH, 7, [1, 3], b'{"a":1}') == (head.abi, head.targets, head.hash, head.json_size, words, json)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" + b"x" * 100, b"\x7fELF\x02\x01" + b"\xff" * 500])
def test_what_is_no_shim_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.so").write_bytes(content)
    with pytest.raises(UserError, match="not a shim"):
        shim.read_manifest(tmp_path / "x.so")


def test_a_library_without_a_manifest_is_no_shim(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a shim"):
        shim.read_manifest(library.parent / "plain.so")
    with pytest.raises(UserError, match="cannot open"):
        shim.read_manifest(tmp_path / "none.so")
    with pytest.raises(UserError, match="cannot read"):
        shim.read_manifest(tmp_path)


def test_a_shim_of_another_abi_is_refused(tmp_path: Path) -> None:
    stored = bytearray(shim.pack_manifest(shim.ManifestHead(2, 0, 0, 0), [], b""))
    with pytest.raises(UserError, match="another version"):
        shim.parse_manifest(bytes(stored), "x")


def test_a_truncated_shim_never_does_more_than_complain(library: Path, tmp_path: Path) -> None:
    whole = library.read_bytes()
    cut = tmp_path / "cut.so"
    for size in range(0, len(whole), 97):
        cut.write_bytes(whole[:size])
        with pytest.raises(UserError):
            shim.read_manifest(cut)


def test_shims_with_spaces_and_colons_are_linked(root: Path, monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    odd = root / "a b:c.so"
    shutil.copy(library, odd)
    made = SessionDirectory.create(odd, shim.read_manifest(odd), SessionOptions(any_filesystem=True))
    assert " " not in made.shim_link and ":" not in made.shim_link.removeprefix(str(root))
    assert shim.read_manifest(made.shim_link)[0].hash == HASH
    made.remove()


def test_the_lock_does_not_reach_the_program(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """exec closes it, so that a program which outlives wc-run does not keep its session locked."""
    made = make_session(monkeypatch, root)
    for descriptor in (made._lock, made._control):
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    made.remove()


def test_a_session_that_goes_while_it_is_looked_at_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wc-1-abcd"
    path.mkdir()

    def locked(path: str) -> int:
        lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT)
        session.remove_directory(path)  # its wc-run has ended just now
        return lock

    monkeypatch.setattr(session, "_take_lock", locked)
    assert [] == session.sweep(str(tmp_path))
