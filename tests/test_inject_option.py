"""wc-run --inject: strace's grammar, what it adds to a config or a list, and how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import Compile
from wc_intercept.consumer.injected import read, with_injects
from wc_intercept.consumer.refusal import Refusal
from wc_intercept.generator.config import Config, parse
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.inject import ENDLESS, means


@pytest.mark.parametrize(
    ("text", "names", "keys"),
    [
        ("open:error=ENOENT", "open", {"errno": "ENOENT"}),
        ("open,%file:error=5:when=3", "open,%file", {"errno": 5, "first": 3, "last": 3, "step": 1}),
        ("fn:open,sys:read:retval=-1:when=3+", "fn:open,sys:read", {"return": -1, "first": 3, "step": 1}),
        ("a::b:retval=0x10:when=2..9", "a::b", {"return": 16, "first": 2, "last": 9, "step": 1}),
        ("x:delay_enter=10ms:when=2+3", "x", {"delay_us": 10000, "first": 2, "step": 3}),
        ("x:delay_exit=7:when=2..9+3", "x", {"delay_exit_us": 7, "first": 2, "last": 9, "step": 3}),
        ("x:delay_enter=2s:delay_exit=3000ns:when=2..9+", "x",
         {"delay_us": 2000000, "delay_exit_us": 3, "first": 2, "last": 9, "step": 1}),
        ("x:error=EIO:probability=0.5:seed=7", "x", {"errno": "EIO", "probability": 0.5, "seed": 7}),
    ],
)  # fmt: skip
def test_straces_grammar_is_read(text: str, names: str, keys: dict[str, Any]) -> None:
    assert (names, keys) == read(text)


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("open", "it needs what to inject", ""),
        ("error=EIO", "it needs a list of names", ""),
        ("open:error=EIO:error=EPERM", "error is given twice", ""),
        ("open:signal=KILL", "nothing is called signal=", "wc-run has no signal="),
        ("open:errno=EIO", "nothing is called errno=", "it is one of error,"),
        ("open:error=EIO:when=0", "when=0 is none", "FIRST..LAST"),
        ("open:error=EIO:when=+", "when=+ is none", "FIRST..LAST"),
        ("open:delay_enter=1500ns", "delay_enter=1500ns is none", "whole microseconds"),
        ("open:delay_enter=0", "delay_enter=0 is none", "whole microseconds"),
        ("open:retval=x", "retval=x is none", "a whole number"),
        ("open:error=EIO:probability=2", "probability=2 is none", "from 0 to 1"),
    ],
)
def test_what_is_not_in_it_is_refused(text: str, what: str, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(text)
    assert f"--inject {text}: {what}" == caught.value.what
    assert why in caught.value.why


def targets(config: dict[str, Any], *texts: str, engine: str = "auto") -> dict[str, tuple[int, str]]:
    """Return target -> (its errno, its record) of *config* with these options."""
    from wc_intercept.generator.build import plan, scene_of

    whole: Config = with_injects(parse(json.dumps(config), "config"), texts, engine)  # type: ignore[arg-type]
    made = plan(whole, scene=scene_of(engine, None)).plan  # type: ignore[arg-type]
    return {t.name: (t.inject.error if t.inject else 0, t.record) for t in made.targets if not t.internal}


def test_a_target_of_the_config_keeps_its_keys_and_gets_the_inject() -> None:
    config = {"funcs": [{"func_name": "open", "record": "both"}, {"func_name": "get*id", "record": "entry"}]}
    found = targets(config, "%file:error=EIO", "getpgid,fsync:error=EPERM")
    assert (5, "both") == found["open"]
    assert (1, "entry") == found["getpgid"]
    assert (0, "entry") == found["getuid"]
    assert (5, "exit") == found["unlink"]
    assert (1, "exit") == found["fsync"]


def test_the_last_inject_of_a_target_counts() -> None:
    assert {"open": (1, "exit")} == targets({}, "open:error=EIO", "open:error=EPERM")


def test_what_the_config_excludes_is_left_alone() -> None:
    found = targets({"exclude": ["open"]}, "open,close:error=EIO")
    assert {"close": (5, "exit")} == found


def test_under_the_tracer_a_plain_name_means_system_calls() -> None:
    found = targets({}, "open:error=EIO", "fn:fopen:error=EMFILE", engine="ptrace")
    assert {"open": (5, "exit"), "openat": (5, "exit"), "fopen": (24, "exit")} == found


def test_a_system_call_of_the_config_gets_the_inject() -> None:
    config = {"syscalls": [{"syscall_id": "%file", "record": "both"}, {"syscall_id": "read"}]}
    found = targets(config, "sys:openat,sys:fsync:error=EIO")
    assert [(5, "both"), (0, "both"), (0, "exit"), (5, "exit")] == [found[n] for n in ("openat", "stat", "read", "fsync")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("open:error=ENOSUCH", "no error is called 'ENOSUCH'"),
        ("vfork:error=EAGAIN", "nothing can be injected into vfork"),
        ("exit:retval=1", "nothing can be injected into exit"),
        ("nosuch:error=EIO", "no function named 'nosuch'"),
        ("sys:read:error=EIO:retval=1", "nothing can be injected into read"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_in_the_options_words(wc_run: Run, text: str, what: str) -> None:
    ran = wc_run("--inject", text, "true")
    assert 125 == ran.returncode
    assert f"wc-run: error: {what}" in ran.stderr
    assert f"at:   --inject {text}" in ran.stderr


def test_a_shim_that_is_built_already_takes_no_inject(wc_run: Run) -> None:
    ran = wc_run("--preload", "x.so", "--inject", "open:error=EIO", "true")
    assert "wc-run: error: --inject and --preload exclude each other" == ran.stderr.splitlines()[0]


@pytest.mark.parametrize("engine", ["preload", "ptrace"])
@pytest.mark.parametrize("spelled", ["--inject", "-e"])
def test_it_says_what_to_intercept_where_nothing_else_does(
    wc_run: Run, compile_c: Compile, tmp_path: Path, engine: str, spelled: str
) -> None:
    program = compile_c("inject_calls.c", "-O1", "-fno-builtin", "-pthread", "-lm")
    text = "inject=" * (spelled == "-e") + "fn:access:error=EIO:when=3..9+2"
    ran = wc_run("--engine", engine, spelled, text, program, "threads", cwd=tmp_path)
    shown = "".join("x" if n in (3, 5, 7, 9) else "." for n in range(1, 101))
    assert [shown] * 6 == ran.stdout.splitlines()
    assert 24 == ran.stderr.count("= -1 EIO (Input/output error) (INJECTED)")
    assert 600 == ran.stderr.count("access(")


def test_the_python_api_takes_it(compile_c: Compile) -> None:
    from wc_intercept.consumer.api import Session

    program = str(compile_c("inject_calls.c", "-O1", "-fno-builtin", "-pthread", "-lm"))
    text = "access:error=EIO:probability=0.5:seed=3"
    config = with_injects(parse("{}", "config"), [text], "preload")
    rule = config.funcs[0].inject
    assert rule is not None and rule.last == ENDLESS
    failed = {n for n in range(1, 101) if means(rule, n)}
    with Session(program, "threads", inject=text, stdout=subprocess.DEVNULL) as session:
        calls = list(session.events())
    assert 6 * len(failed) == sum(call.get("injected", False) for call in calls)
    with pytest.raises(TypeError):
        Session(program, shim="x.so", inject=text)
    with pytest.raises(UserError):
        Session(program, inject="open")


LOOP = """
#include <unistd.h>
int main(void) { for (int i = 0; i < 600 && access("/", F_OK) != 0; i++) usleep(50000); return 0; }
"""


def test_a_config_that_is_read_again_keeps_what_the_option_adds(compile_c: Compile, tmp_path: Path) -> None:
    """The program ends when a fault is missing."""
    config, output = tmp_path / "c.json", tmp_path / "calls"
    config.write_text('{"funcs": [{"func_name": "getppid"}]}')
    words = [BIN / "wc-run", "-c", config, "--inject", "access:error=EIO", "-o", output, compile_c(LOOP)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: output.exists() and b"INJECTED" in output.read_bytes())
        config.write_text('{"funcs": [{"func_name": "getpid", "inject": {"return": 1}}]}')
        subprocess.run([BIN / "wc-ctl", str(run.pid), "reload"], check=True)
        seen = output.read_bytes().count(b"INJECTED")
        wait_for(lambda: output.read_bytes().count(b"INJECTED") > seen + 2)
        assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        run.communicate()


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("target", ["fn:getppid", "sys:getppid"])
def test_a_run_without_an_inject_is_not_given_what_was_built_for_one(target: str, wc_run: Run, tmp_path: Path) -> None:
    inject = ["--inject", f"{target}:retval=77:when=1"]
    program = ["perl", "-e", "print 0 + (syscall(110) == 77)" if "sys:" in target else "print 0 + (getppid == 77)"]
    told = [
        wc_run("--trace", target, *more, "-o", tmp_path / "calls.txt", *program).stdout
        for more in ([], inject, [], inject)
    ]
    assert ["0", "1", "0", "1"] == told
