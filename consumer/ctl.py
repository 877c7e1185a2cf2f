"""wc-ctl: looks at running sessions and changes what their targets do. Entry point of the command.

    wc-ctl ls                              the sessions of this user
    wc-ctl SESSION show [T...]             its targets, and what every thread is inside of
    wc-ctl SESSION enable|disable T...     by name or glob
    wc-ctl SESSION set T... frequency=10   also max_per_second=100 min_duration=10us on_full=drop|block
    wc-ctl SESSION reload                  read the config again, as SIGUSR1 to wc-run; "reload library": as SIGUSR2
    wc-ctl SESSION add T...                intercept what the running programs are not intercepted for, as --trace
    wc-ctl SESSION drop T...               take out what was added, or what the tracer serves
    wc-ctl SESSION stop                    record nothing any more; the programs go on

SESSION is the pid of a wc-run, or of a program under it, or that program's name. --json prints one JSON value instead
of a table. Rules: what --json prints is all that goes to standard output; what is refused changes
nothing; what a change needs is imported, and no more.

Absent on purpose: any state of its own (the session's control page is the only one), and making new targets, which is
wc-run's (grow.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from wc_intercept.generator.duration import duration_ns, duration_text
from wc_intercept.generator.errors import UserError, UserWarning_, report, text

from . import room
from .ask import reload
from .control import Control, State
from .session import comm, find, list_sessions

if TYPE_CHECKING:
    from .within import Within

TOOL = "wc-ctl"
OWN_ERROR = 1
ACTIONS = ("show", "enable", "disable", "set", "reload", "add", "drop", "stop")
SETTINGS = "frequency=N, max_per_second=N, min_duration=10us and on_full=drop|block"
FORM = "Usage: wc-ctl [--json] ls | SESSION [ACTION] [TARGET...] [SETTING=VALUE...]"
USAGE = FORM + __doc__.partition("command.")[2].partition(" Rules:")[0]
TRY = "wc-ctl ls, or wc-ctl SESSION show|enable|disable|set|reload|add|drop|stop (wc-ctl --help for more)"


class Session(msgspec.Struct, frozen=True):
    """One line of ``wc-ctl ls``."""

    pid: int
    """Of its wc-run."""
    alive: bool
    """Whether that still runs; what a dead one left is read by wc-report."""
    programs: list[int]
    targets: int
    on: int
    path: str


class Words:
    """The command line taken apart: options anywhere, as people put them."""

    def __init__(self, given: Sequence[str]) -> None:
        self.json = self.help = self.version = False
        self.rest: list[str] = []
        for word in given:
            name = {"-h": "help", "-V": "version"}.get(word, word.removeprefix("--"))
            if not word.startswith("-"):
                self.rest.append(word)
            elif name in ("json", "help", "version"):
                setattr(self, name, True)
            else:
                raise UserError(f"no option {word}", why="there is --json", try_=TRY)


def run(words: Words) -> None:
    """Do what the command line says. Raises UserError."""
    session, action, *names = [*words.rest, "show"] if len(words.rest) == 1 else words.rest or ["", ""]
    if words.help:
        print(USAGE)
    elif words.version:
        from .version import version

        print(f"{TOOL} (wc-intercept) {version()}")
    elif not session:
        raise UserError("no session is named", try_=TRY)
    elif session == "ls":
        _takes_nothing("ls", words.rest[1:])
        _print_sessions(words.json)
    elif action not in ACTIONS:
        raise UserError(f"no action '{action}'", why=f"there are {', '.join(ACTIONS)}", try_=TRY)
    else:
        _act(Control(find(session)), action, names, words.json)


def _act(control: Control, action: str, names: Sequence[str], as_json: bool) -> None:
    if action == "show":
        _print_session(control, names, as_json)
    elif action == "reload":
        _reload(control, names, as_json)
    elif action == "stop":
        _takes_nothing("stop", names, why="it is for the whole session", try_="wc-ctl SESSION disable T...")
        control.stop()
    elif action in ("add", "drop"):
        _ask(control, action, names, as_json)
    else:
        _report(control, _change(control, action, names), as_json)


def _takes_nothing(action: str, words: Sequence[str], why: str = "", try_: str = TRY) -> None:
    if words:
        raise UserError(f"{action} takes no '{' '.join(words)}'", why=why, try_=try_)


def _ask(control: Control, action: str, words: Sequence[str], as_json: bool) -> None:
    """Have wc-run change which targets there are."""
    if not words or any("=" in word for word in words):
        raise UserError(f"{action} needs targets", why="and nothing else", try_=f"wc-ctl SESSION {action} openat")
    from .desk import Question, ask

    said = ask(control.path, Question(action, [*words]))
    for note in said.notes:
        print(f"{TOOL}: {note}", file=sys.stderr)
    _report(Control(control.path), said.targets, as_json)


def _change(control: Control, action: str, words: Sequence[str]) -> list[str]:
    names = [word for word in words if "=" not in word]
    if not names:
        raise UserError(f"{action} needs targets", why="names or globs", try_=f"wc-ctl SESSION {action} 'open*'")
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    if action == "set":
        return control.set(*names, **_settings(settings))
    if settings:
        raise UserError(f"{action} takes no settings", why=f"found {' '.join(settings)}", try_=TRY)
    return control.enable(*names) if action == "enable" else control.disable(*names)


def _reload(control: Control, words: Sequence[str], as_json: bool) -> None:
    if list(words) not in ([], ["library"]):
        raise UserError(f"reload takes no '{' '.join(words)}'", try_="wc-ctl SESSION reload, or reload library")
    answer = reload(control.path, control.consumer, anew=bool(words))
    problem = UserWarning_ if answer.changed else UserError
    for each in answer.problems:
        sys.stderr.write(text(TOOL, problem(*each)))
    if as_json:
        _emit(answer)
    if not answer.changed:
        sys.exit(OWN_ERROR)


def _settings(words: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in words.items():
        if name == "frequency" and value.isascii() and value.isdigit():
            found["frequency"] = int(value)
        elif name == "max_per_second" and value.isascii() and value.isdigit():
            found["max_per_second"] = int(value)
        elif name == "min_duration" and duration_ns(value) is not None:
            found["min_duration"] = value
        elif name == "on_full" and value in ("drop", "block"):
            found["drop"] = value == "drop"
        else:
            raise UserError(f"{name}={value} is no setting", why=f"there are {SETTINGS}")
    if not found:
        raise UserError("set needs a setting", try_="wc-ctl SESSION set read frequency=10")
    return found


def _sessions() -> list[Session]:
    found = []
    for root in room.roots():
        for path in list_sessions(root):
            try:
                control = Control(path)
                states = control.states()
                names = os.listdir(path)
            except (UserError, OSError):
                continue  # being made, or being removed
            programs = {int(name.split("-")[1]) for name in names if name.startswith("seg-")}
            on = sum(state.on for state in states)
            alive = os.path.exists(f"/proc/{control.consumer}")
            found.append(Session(control.consumer, alive, sorted(programs), len(states), on, path))
    return found


def _print_sessions(as_json: bool) -> None:
    sessions = _sessions()
    if as_json:
        _emit(sessions)
        return
    for one in sessions:
        programs = ", ".join(f"{pid} ({comm(pid) or 'gone'})" for pid in one.programs[:5])
        more = f" and {len(one.programs) - 5} more" if len(one.programs) > 5 else ""
        dead = "" if one.alive else ", its wc-run is dead: wc-report reads what it left"
        print(f"{one.pid}: {programs or 'no program yet'}{more}; {one.on} of {one.targets} targets on{dead}")
    if not sessions:
        print("no session", file=sys.stderr)


def _print_session(control: Control, names: Sequence[str], as_json: bool) -> None:
    """Show all targets, or those of *names*, and the calls that are inside them."""
    chosen = {control.manifest.targets[number].name for number in control.select(names)}
    from .within import inside  # NumPy takes 80 ms

    states = [state for state in control.states() if not names or state.name in chosen]
    calls = inside(control.path, control.manifest, control.head)
    calls = [call for call in calls if not names or call.func in chosen]
    if as_json:
        _emit({"path": control.path, "pid": control.consumer, "targets": states, "inside": calls})
        return
    width = max((len(state.name) for state in states), default=0)
    for state in states:
        print(f"{state.name:<{width}}  {_told(state)}")
    for call in calls:
        print(_told_inside(call))


def _told(state: State) -> str:
    words = ["on" if state.on else "off"]
    words += [f"one call in {state.frequency}"] if state.frequency > 1 else []
    words += [f"at most {state.max_per_second} records a second"] if state.max_per_second else []
    words += [f"calls of {duration_text(state.min_duration)} and longer"] if state.min_duration else []
    words += ["dropped when full"] if state.drop else []
    words += [f"changed {state.generation} time{'s' if state.generation > 1 else ''}"] if state.generation else []
    return ", ".join(words)


def _told_inside(call: Within) -> str:
    since = f" for {call.seconds:.6f} s" if call.seconds is not None else ""
    return f"process {call.pid} thread {call.tid} is inside {call.func}({call.argument:#x}...){since}"


def _report(control: Control, changed: list[str], as_json: bool) -> None:
    states = [state for state in control.states() if state.name in changed]
    if as_json:
        _emit(states)
        return
    for state in states:
        print(f"{state.name}: {_told(state)}", file=sys.stderr)


def _emit(value: object) -> None:
    print(msgspec.json.encode(value).decode())


def main() -> int:
    """Run the command and return its exit status."""
    try:
        run(Words(sys.argv[1:]))
        sys.stdout.flush()
    except UserError as error:
        report(TOOL, error, sys.stderr)
        return OWN_ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return OWN_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
