"""The Python API: run a program and iterate over its calls, or over a recorded file. docs/python-api.md shows it.

    with Session("ls", "-l", trace=["openat", "read"]) as session:
        for batch in session.batches():
            print(batch.target.name, batch.array["duration"].sum())
    print(session.returncode, session.accounting.lost)

Rules: batches are the unit (one symbol's calls, as NumPy arrays); events are dicts with the keys of the jsonl format,
and cost a hundred times more; a session is iterated once. While nobody iterates, the program's rings fill, and then it
waits: iterate, or say on_full="drop".

Absent on purpose: threads, and signals: whoever uses this has their own.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec
from wc_intercept.generator.manifest import Manifest

from . import launch
from .accounting import Account
from .calls import Joiner
from .chunk import Chunk
from .clock import Clock
from .decode import Batch, Decoder
from .drain import Drain
from .inherited import Inherited
from .jsonl import JsonLines
from .machine import Native
from .options import Options
from .run import Pulse, link_preload, override, session_options
from .session import SessionDirectory
from .settings import read as read_settings
from .shim import read_manifest
from .wcfile import WcReader

__all__ = ["Session", "Trace"]


class _Calls:
    """What sessions and recorded files have in common: chunks become batches, batches become events."""

    manifest: Manifest

    def _chunks(self) -> Iterator[Chunk]:
        raise NotImplementedError

    def _decoder(self) -> Decoder:
        raise NotImplementedError

    def _inside(self) -> Sequence[Any]:
        """The calls that never came back; asked when the chunks are over."""
        raise NotImplementedError

    def _joined(self) -> Iterator[list[Batch]]:
        decoder, joiner = self._decoder(), Joiner()
        for chunk in self._chunks():
            yield joiner.join(decoder.decode(chunk))
        yield from joiner.finish(decoder, self._inside())

    def batches(self) -> Iterator[Batch]:
        """Yield the calls of one function and one thread at a time: ``batch.array`` is a NumPy structured array."""
        for batches in self._joined():
            yield from (batch for batch in batches if batch.is_call and batch.part != "entered")

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def events(self, all_kinds: bool = False) -> Iterator[dict[str, Any]]:
        """Yield a dict per call, with the keys of jsonl. *all_kinds*: what is not a call as well (key "event")."""
        lines = JsonLines(events=all_kinds)
        decode = msgspec.json.Decoder().decode_lines
        for batches in self._joined():
            yield from decode(lines.render(batches))


class Session(_Calls):
    """A program under a shim. Raises UserError where wc-run would refuse.

    One of *trace* (names, globs, %sets), *config* (a path, or what the file would hold as a dict) and *shim* (a path).
    Other keywords go to subprocess.Popen: stdin, stdout, env, cwd...
    """

    def __init__(
        self,
        *program: str,
        trace: Iterable[str] | None = None,
        config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        shim: str | os.PathLike[str] | None = None,
        on_full: Literal["block", "drop", "overwrite"] | None = None,
        string_limit: int | None = None,
        follow: Literal["none", "default", "all"] = "default",
        **popen: Any,
    ) -> None:
        given = Options()
        given.on_full, given.string_limit, given.follow = on_full, string_limit, follow
        environment = {os.fsencode(k): os.fsencode(v) for k, v in (popen.pop("env", None) or os.environ).items()}
        found = launch.resolve(program[0], environment)
        launch.check_preloadable(program[0], found)
        path = _shim(trace, config, shim, os.fsdecode(found.image))
        stored = read_manifest(path)
        settings = read_settings(stored[2])
        override(settings, given)
        self.returncode: int | None = None
        self.accounting: Account | None = None
        """The final account, once the program has ended and everything was read."""
        self._session = SessionDirectory.create(path, stored, session_options(settings, given))
        self._pulse = Pulse(self._session)
        try:
            self._drain = Drain(self._session)
            self.manifest = self._drain.manifest
            preload = [launch.check_preload_path(self._session.shim_link)]
            preload += [link_preload(self._session, settings.preload)] if settings.preload else []
            variables = launch.environment(Inherited(set(), set(), environment), self._session.path, preload, found)
            self._pulse.__enter__()
            self.process = subprocess.Popen(program, executable=found.path, env=variables, **popen)
        except BaseException:
            self._pulse.__exit__()
            self._session.remove()
            raise

    @property
    def pid(self) -> int:
        return self.process.pid

    def _decoder(self) -> Decoder:
        return Decoder(self.manifest, Clock(self._session.clock, Native()))

    def _chunks(self) -> Iterator[Chunk]:
        while self.accounting is None and self.process.poll() is None:
            yield from self._drain.poll()
            self._drain.pause()
        if self.accounting is None:
            self._session.close()
            for chunks in self._drain.finish():
                yield from chunks
            self._end()

    def _inside(self) -> Sequence[Any]:
        return self.accounting.inside if self.accounting else []

    def _end(self) -> None:
        self.accounting = self._drain.account()
        self.returncode = self.process.wait()
        self._pulse.__exit__()
        self._drain.close()
        self._session.remove()

    def close(self) -> None:
        """Read what is left, wait for the program's end, and clean up."""
        for _ in self._chunks():
            pass

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.accounting is None:
            self.process.terminate()
        self.close()


class Trace(_Calls):
    """A file that ``wc-run --format wc`` wrote. Raises UserError when it is none. Iterate as often as wanted."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._reader = WcReader(path)
        self.manifest = self._reader.manifest
        self.meta = self._reader.meta
        """What the run was: program, pid, directory."""

    @property
    def accounting(self) -> Account | None:
        """The final account; None when the run's consumer was killed."""
        return self._reader.account

    def _chunks(self) -> Iterator[Chunk]:
        return iter(self._reader)

    def _decoder(self) -> Decoder:
        return Decoder(self.manifest, self._reader.clock)

    def _inside(self) -> Sequence[Any]:
        return self._reader.account.inside if self._reader.account else []

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shim(
    trace: Iterable[str] | None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
    shim: str | os.PathLike[str] | None,
    program: str,
) -> str:
    if sum(what is not None for what in (trace, config, shim)) != 1:
        raise TypeError("one of trace, config and shim says what to intercept")
    if shim is not None:
        return os.path.abspath(shim)
    from .built import shim_for_config, shim_for_list

    if trace is not None:
        return shim_for_list(",".join([trace] if isinstance(trace, str) else trace), program)
    if isinstance(config, Mapping):
        from wc_intercept.generator.build import build
        from wc_intercept.generator.config import parse

        return str(build(parse(json.dumps(config), "config"), Path(program)).path)
    assert config is not None
    return shim_for_config(os.fspath(config), program)
