"""Targets for a running program, planned in a child of wc-run: 0.3 s in which the drain goes on.

Used by grow.py. ``Planning.start`` forks; the child asks the generator what the names come to under the tracer,
writes the tracer's plan for what is new into the session directory, and tells the rest through a pipe. Rules: wc-
run's memory is copied, its files are not touched; whatever becomes of the child, ``poll`` says so once.

Absent on purpose: reading a config again (reload.py), and what is done with a plan (grow.py).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.manifest import Growth, Manifest

from .built import Listed, located
from .engine import Engine

if TYPE_CHECKING:
    from wc_intercept.generator.build import Planned

DIED = ("the targets could not be planned", "", "the process that was to do it died", "")


class Found(msgspec.Struct, frozen=True):
    """What names came to. *there*: (name, kind) of targets that the session has; *errors*: the fields of UserErrors."""

    there: list[tuple[str, str]] = []
    growth: Growth | None = None
    words: list[int] = []
    plan: str = ""
    """Path of the tracer's plan for the growth."""
    errors: list[tuple[str, str, str, str]] = []


class Source(msgspec.Struct, frozen=True):
    """A config whose targets are meant, and what --inject adds to it."""

    config: str
    injects: tuple[str, ...] = ()


class Planning:
    """One plan being made. *engine*: how plain names are meant; *program*: the ELF file that runs, "" for any.

    *asks*: (name, way) of what Python handlers decide about.
    """

    def __init__(
        self,
        engine: Engine,
        program: str,
        manifest: Manifest,
        hash_: int,
        shim: str,
        asks: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._engine, self._program, self._asks = engine, program, tuple(asks)
        self._manifest, self._hash, self._shim = manifest, hash_, shim
        self._child, self._pipe, self._heard = 0, -1, b""

    def start(self, names: Sequence[str], file: str, source: Source | None = None) -> None:
        """Begin; the tracer's plan is to become *file*.

        *names*: as --trace takes them, or of targets of *source*.
        """
        hear, tell = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.write(tell, msgspec.json.encode(self._found(names, file, source)))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(tell)
        os.set_blocking(hear, False)
        self._pipe = hear

    def poll(self) -> Found | None:
        """Return what was found once that is known."""
        while True:
            try:
                piece = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return None
            if not piece:
                break
            self._heard += piece
        self._reap()
        try:
            return msgspec.json.decode(self._heard, type=Found)
        except msgspec.MsgspecError:
            return Found(errors=[DIED])

    def close(self) -> None:
        """Forget it, wherever it is."""
        if self._child:
            os.kill(self._child, 9)
            self._reap()

    def _reap(self) -> None:
        os.waitpid(self._child, 0)
        os.close(self._pipe)
        self._child = 0

    def _found(self, names: Sequence[str], file: str, source: Source | None) -> Found:
        """In the child."""
        from wc_intercept.generator.growth import growth_of, keys_of, without

        try:
            planned = self._planned(names) if source is None else self._read(source)
        except UserError as error:
            return Found(errors=[_fields(error)])
        if planned.unknown and source is None:
            return Found(errors=[_fields(error) for error in planned.unknown])
        targets = planned.plan.targets
        known = keys_of(self._manifest.targets)
        others = {(t.name, t.kind) for t in targets if source is not None and t.name not in names}
        there: list[tuple[str, str]] = [(t.name, t.kind) for t in targets if (t.name, t.kind) in known - others]
        new = without(planned.plan, known | others)
        if not new.targets:
            return Found(there)
        grown = growth_of(self._manifest, new, self._hash, self._shim)
        Path(file).write_bytes(grown.plan)
        return Found(there, grown.growth, grown.words, file)

    def _planned(self, names: Sequence[str]) -> Planned:
        from wc_intercept.generator import build
        from wc_intercept.generator.config import parse
        from wc_intercept.generator.program import Program

        listed = Listed(",".join(names), self._engine)
        config = replace(located(parse(listed.config(), "targets"), listed, ""), wishes=self._asks)
        program = Program.read(Path(self._program)) if self._program else None
        planned = build.plan(config, program=program, scene=build.scene_of("ptrace", program))
        for error in () if planned.unknown else build.nothing_left(config, planned.plan):
            raise error
        return planned

    def _read(self, source: Source) -> Planned:
        """All that the config names; what it is of this is known by who asks, who has read it before."""
        from wc_intercept.generator import build, config
        from wc_intercept.generator.program import Program

        from .injected import with_injects

        program = Program.read(Path(self._program)) if self._program else None
        new = replace(with_injects(config.load(source.config), source.injects, self._engine), wishes=self._asks)
        return build.plan(new, program=program, scene=build.scene_of("ptrace", program))


def _fields(error: UserError) -> tuple[str, str, str, str]:
    return error.what, error.at, error.why, error.try_
