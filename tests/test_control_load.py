"""Targets changed at random under load: every record obeys the CONTROL record before it, and the accounts are exact.

The program numbers its calls, thread by thread and function by function, so that a record says which call it is of.
``make soak`` makes 5 million calls and 2,000 changes.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN
from wc_intercept.consumer.api import Trace
from wc_intercept.consumer.control import Control
from wc_intercept.consumer.session import find
from wc_intercept.generator.errors import UserError

THREADS = 8
TARGETS = ("abs", "labs", "ffs")
FIRST = (0, 1, 0, 0)
"""(generation, frequency, max_per_second, min_duration) before any change."""
Settings = dict[tuple[str, int], tuple[int, int, int, int]]


def change(control: Control, generator: random.Random, settings: Settings) -> None:
    """Change one target at random, and note what its new generation means."""
    name = generator.choice(TARGETS)
    match generator.randrange(5):
        case 0:
            control.disable(name)
        case 1:
            control.enable(name)
        case 2 | 3:
            control.set(name, on=True, frequency=generator.choice((1, 2, 3, 10, 1000)))
        case 4:
            control.set(name, max_per_second=generator.choice((0, 0, 50)), min_duration=generator.choice((0, 0, "1us")))
    state = next(state for state in control.states() if state.name == name)
    in_force = state.generation, state.frequency, state.max_per_second, state.min_duration
    settings[name, state.generation] = in_force


def disturb(control: Control, generator: random.Random, changes: int, settings: Settings) -> None:
    """Make so many changes, and then leave everything on."""
    for _ in range(changes):
        change(control, generator, settings)
        time.sleep(generator.random() * 0.003)
    control.set(*TARGETS, on=True, frequency=1, max_per_second=0, min_duration=0)
    settings.update({(state.name, state.generation): (state.generation, 1, 0, 0) for state in control.states()})


def begun(process: subprocess.Popen[bytes]) -> Control:
    """Return the control of the session that *process* begins."""
    end = time.monotonic() + 60
    while True:
        try:
            return Control(find(str(process.pid)))
        except UserError:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)


class Checked:
    """Follows each thread's records of each target."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recorded: Counter[str] = Counter()
        self.now: dict[tuple[int, str], tuple[int, int, int, int]] = {}
        self.last: dict[tuple[int, str], int] = {}
        self.seen: set[tuple[str, tuple[int, int, int, int]]] = set()

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            key = event.get("tid", 0), event.get("func", "")
            if event.get("event") == "control":
                self.control(key, event)
            elif "event" not in event:
                self.call(key, next(iter(event["args"].values())))

    def control(self, key: tuple[int, str], event: dict[str, Any]) -> None:
        names = ("generation", "frequency", "max_per_second", "min_duration")
        self.now[key] = tuple(event[name] for name in names)  # type: ignore[assignment]
        self.seen.add((key[1], self.now[key]))
        self.last.pop(key, None)

    def call(self, key: tuple[int, str], number: int) -> None:
        self.recorded[key[1]] += 1
        _, frequency, most, least = self.now.get(key, FIRST)
        between = number - self.last.get(key, number - frequency)
        assert 0 == between % frequency, (key, number, self.last, self.now.get(key))
        assert between == frequency or most or least, (key, number, self.last.get(key), self.now.get(key))
        self.last[key] = number


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
def test_records_obey_the_control_records_before_them(
    compile_c: Callable[..., Path], tmp_path: Path, engine: str, soak: bool
) -> None:
    calls, changes = (5_000_000, 2000) if soak else (300_000, 200)
    if engine == "ptrace":
        calls //= 20
    program = compile_c("numbered_calls.c", "-fno-builtin", "-pthread")
    settings: Settings = {(name, 0): FIRST for name in TARGETS}
    seed = random.randrange(1 << 32)
    words = [BIN / "wc-run", "--engine", engine, "--trace", ",".join(TARGETS), "--format", "wc", "-o", tmp_path / "wc"]
    process = subprocess.Popen(
        [*words, program, str(THREADS), str(calls // THREADS // len(TARGETS))], stdin=subprocess.PIPE
    )
    disturb(begun(process), random.Random(seed), changes, settings)
    process.communicate(timeout=None if soak else 120)
    checked = Checked(settings)
    with Trace(tmp_path / "wc") as trace:
        checked.take(trace.events(all_kinds=True))
        account = trace.accounting
    assert account is not None and 0 == account.lost, (seed, account)
    assert checked.recorded == Counter({line.name: line.recorded for line in account.lines}), seed
    for name, (generation, frequency, *limits) in checked.seen:
        meant = settings[name, generation]
        later = settings.get((name, generation + 1), meant)  # limits are stored before the word that begins with them
        assert frequency == meant[1] and limits in ([*meant[2:]], [*later[2:]]), (seed, name, generation)
    assert len(checked.seen) > changes / 10
    for line in account.lines:
        assert line.calls == line.recorded + line.sampled + line.filtered and line.recorded and line.sampled, (seed, line)
