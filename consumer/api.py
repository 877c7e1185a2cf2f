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
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import msgspec
from wc_intercept.generator.config import parse
from wc_intercept.generator.manifest import Manifest

from . import attached, launch
from . import engine as engines
from .accounting import Account
from .built import Made, Wanted, made_for_config, made_for_list
from .calls import Joiner
from .chunk import Chunk
from .clock import Clock
from .control import Control
from .decode import Batch, Decoder
from .drain import Drain
from .engine import Engine
from .inherited import Inherited
from .jsonl import JsonLines
from .machine import Native
from .options import Options
from .refusal import Refusal
from .run import Pulse, Run
from .tracer import Tracer
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
    """A program under a shim, a tracer or both, or running processes that a tracer attaches to.

    One of *trace* (names, globs, %sets), *config* (a path, or what the file would hold as a dict) and *shim* (a path)
    says what to intercept. *inject*: as wc-run's --inject, one or several. *engine* as wc-run's --engine. *attach*: a
    pid or several, in place of a program; the session ends when they have ended, or with ``detach()``. Other keywords
    go to subprocess.Popen: stdin, stdout, env, cwd... Raises UserError where wc-run would refuse.
    """

    def __init__(
        self,
        *program: str,
        trace: Iterable[str] | None = None,
        config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        shim: str | os.PathLike[str] | None = None,
        engine: Engine = "auto",
        attach: int | Iterable[int] = (),
        pin: bool = True,
        on_full: Literal["block", "drop", "overwrite"] | None = None,
        string_limit: int | None = None,
        follow: Literal["none", "default", "all"] = "default",
        inject: str | Iterable[str] = (),
        **popen: Any,
    ) -> None:
        given = Options()
        given.on_full, given.string_limit, given.follow, given.no_pin = on_full, string_limit, follow, not pin
        given.inject = [inject] if isinstance(inject, str) else [*inject]
        given.attach = [attach] if isinstance(attach, int) else [*attach]
        if bool(program) == bool(given.attach):
            raise TypeError("either a program to run, or attach=PID")
        self.process: subprocess.Popen[Any] | None = None
        """The program; None for processes that were attached to."""
        self.returncode: int | None = None
        self.accounting: Account | None = None
        """The final account, once the program has ended and everything was read."""
        environment = {os.fsencode(k): os.fsencode(v) for k, v in (popen.pop("env", None) or os.environ).items()}
        if given.attach:
            made = _made(trace, config, shim, Wanted(attached.program_of(given.attach), "ptrace", injects=given.inject))
        else:
            found = launch.resolve(program[0], environment)
            chosen = engines.choose(engine, shim is not None, program[0], found)
            fallback = follow == "all" and chosen == "auto"
            wanted = Wanted(os.fsdecode(found.image), chosen, fallback, injects=given.inject)
            made = _made(trace, config, shim, wanted)
        self._told = False
        self._control: Control | None = None
        self._run = Run(given, made)
        self._session, self._tracer = self._run.session, None
        self._pulse = Pulse(self._session)
        try:
            self._drain = Drain(self._session)
            self.manifest = self._drain.manifest
            self._pulse.__enter__()
            self._tracer = self._run.start_tracer()
            if self._tracer is not None and given.attach:
                attached.attach(given.attach, self._tracer)
            else:
                variables = self._run.variables(Inherited(set(), set(), environment), found)
                self.process = _popen(program, self._tracer, executable=found.path, env=variables, **popen)
        except BaseException:
            self._pulse.__exit__()
            self._session.remove()
            if self._tracer is not None:
                self._tracer.close()
            raise
        self._pids = given.attach or [self.pid]

    @property
    def pid(self) -> int:
        """The program's, or the first of those attached to."""
        return self.process.pid if self.process is not None else self._pids[0]

    @property
    def control(self) -> Control:
        """What its targets do now, and the means to change it. Raises UserError when the session has ended."""
        if self._control is None:
            self._control = Control(self._session.path, self.manifest)
        return self._control

    def detach(self) -> None:
        """Let processes that were attached to go; what they have called is still to be read."""
        if self._tracer is not None and self.process is None:
            self._tracer.detach()

    def _decoder(self) -> Decoder:
        return Decoder(self.manifest, Clock(self._session.clock, Native()))

    def _chunks(self) -> Iterator[Chunk]:
        while self.accounting is None and not self._is_over():
            yield from self._drain.poll()
            self._drain.pause()
        if self.accounting is None:
            self._session.close()
            for chunks in self._drain.finish():
                yield from chunks
            self._end()

    def _is_over(self) -> bool:
        """Whether the program, or all that was attached to, is gone. Warnings of the tracer become Python's."""
        tracer = self._tracer
        for word, rest in tracer.hear() if tracer is not None else ():
            if word in ("warn", "error"):
                warnings.warn(rest, RuntimeWarning, stacklevel=4)
        if tracer is not None and tracer.gone and not tracer.ended and not self._told:
            self._told = True
            warnings.warn(f"the tracer died: {tracer.why_gone()}", RuntimeWarning, stacklevel=4)
        if self.process is not None:
            return self.process.poll() is not None
        return tracer is None or tracer.gone or tracer.ended

    def _inside(self) -> Sequence[Any]:
        return self.accounting.inside if self.accounting else []

    def _end(self) -> None:
        self.accounting = self._drain.account()
        self.returncode = self.process.wait() if self.process is not None else None
        self._pulse.__exit__()
        self._drain.close()
        self._session.remove()
        if self._tracer is not None:
            self._tracer.close()

    def close(self) -> None:
        """Let go of what was attached to, read what is left, wait for the program's end, and clean up."""
        if self.accounting is None:
            self.detach()
        for _ in self._chunks():
            pass

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.accounting is None and self.process is not None:
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


def _made(
    trace: Iterable[str] | None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
    shim: str | os.PathLike[str] | None,
    wanted: Wanted,
) -> Made:
    given = sum(what is not None for what in (trace, config, shim))
    if given > 1 or (given == 0 and not wanted.injects) or (shim is not None and wanted.injects):
        raise TypeError("one of trace, config and shim says what to intercept; inject adds to the first two, or is all")
    if given == 0:
        config = {}
    if shim is not None:
        return Made(os.path.abspath(shim), "", "")
    if trace is not None:
        return made_for_list(",".join([trace] if isinstance(trace, str) else trace), wanted)
    if isinstance(config, Mapping):
        return wanted.build(parse(json.dumps(config), "config"))
    assert config is not None
    return made_for_config(os.fspath(config), wanted)


def _popen(program: Sequence[str], tracer: Tracer | None, **popen: Any) -> subprocess.Popen[Any]:
    """Start *program*; with a *tracer*, its process asks to be traced before its exec. Raises UserError."""
    if tracer is None:
        return subprocess.Popen(program, **popen)
    tracer.prepare()
    before, (hear, tell) = popen.pop("preexec_fn", None), os.pipe()

    def be_traced() -> None:
        if before is not None:
            before()
        try:
            tracer.launch()
        except Refusal as refusal:
            os.write(tell, os.fsencode(refusal.what))
            raise

    try:
        return subprocess.Popen(program, preexec_fn=be_traced, **popen)
    except subprocess.SubprocessError:
        os.set_blocking(hear, False)
        try:
            why = os.read(hear, 4096)
        except BlockingIOError:
            raise  # the caller's own preexec_fn
        raise launch.cannot_trace(popen["executable"], os.fsdecode(why)) from None
    finally:
        os.close(hear)
        os.close(tell)
