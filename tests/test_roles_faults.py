"""R7: no wrapper follows a pointer that the function itself has not proven.

Every annotated function is called with pointers that lead nowhere, or to the last bytes of a page, natively and under a
shim (tests/c/faults.c): where the program survives without us it survives with us, and with the same errno.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from test_roles import REPORT, is_open
from wc_intercept.generator.annotations import POINTERS, TABLE
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.model import Function

NOT_CALLED: dict[str, str] = {
    "makes another process, which would tell a story of its own": "fork _Fork vfork clone forkpty daemon",
    "would act on processes that are not ours": "kill killpg tgkill sigqueue prlimit prlimit64 ptrace process_vm_readv"
    " process_vm_writev sched_setaffinity sched_setscheduler sched_setparam setpriority setpgid pidfd_send_signal pidfd_getfd",
    "would change the machine": "reboot acct swapon swapoff vhangup klogctl iopl ioperm quotactl settimeofday clock_settime"
    " adjtime sethostname setdomainname mount umount umount2 pivot_root",
    "would touch or leave objects that outlive the process": "shmctl msgctl semctl shmget msgget semget",
    "asks the terminal, the network or the system's log": "getpass res_query res_search syslog vsyslog openlog closelog",
    "would close the report": "closefrom close_range dup2 dup3 close",
    "is refused": "dlsym dlvsym",
    "starts a thread at address 0 while the process ends": "thrd_create pthread_create",
    "searches backwards through whatever is mapped there": "memrchr",
    "waits": "sigwait sigwaitinfo sigsuspend select pselect ppoll sem_clockwait",
}
KINDS = {"pointer": "p", "int": "i", "bool": "i"}
Outcomes = dict[tuple[str, ...], tuple[str, ...]]


def callable_with_words(name: str, function: Function) -> bool:
    """Whether six integer registers are all that a call needs, and a pointer of a known role is among them."""
    known = any(role.kind in POINTERS | {"str!"} for _, role in TABLE[name].params)
    kinds = {param.type.kind for param in function.params}
    return known and kinds <= KINDS.keys() and function.result.kind in {"void", *KINDS} and len(function.params) <= 6


@pytest.fixture(scope="module")
def calls() -> list[str]:
    """The program's input: "NAME KINDS"."""
    avoided = {name for names in NOT_CALLED.values() for name in names.split()}
    functions = Headers.read().functions(TABLE.keys() - avoided)
    return [
        f"{name} {''.join(KINDS[param.type.kind] for param in function.params)}"
        for name, function in sorted(functions.items())
        if callable_with_words(name, function)
    ]


def outcomes(folder: Path, calls_: Iterable[str], run: Callable[..., subprocess.CompletedProcess[Any]]) -> Outcomes:
    """Return how each call ended."""
    work = folder / f"work{len(os.listdir(folder))}"
    work.mkdir()
    (work / "input").write_text("\n".join(calls_) + "\n")
    report = os.open(work / "report", os.O_RDWR | os.O_CREAT, 0o600)
    spare = os.dup(REPORT) if is_open(REPORT) else -1
    os.dup2(report, REPORT, inheritable=True)
    try:
        with (work / "input").open() as text:
            done = run(cwd=work, pass_fds=(REPORT,), stdin=text)
    finally:
        os.dup2(spare, REPORT) if spare >= 0 else os.close(REPORT)
    assert done.returncode == 0, done.stderr
    lines = (line.split() for line in (work / "report").read_text().splitlines())
    return {tuple(words[:-2]): tuple(words[-2:]) for words in lines}


def test_bad_pointers_fare_with_us_as_they_do_without_us(
    calls: list[str], compile_c: Callable[..., Path], shim: Callable[..., Path], wc_run: Run, tmp_path: Path
) -> None:
    program = compile_c("faults.c", "-w")
    hooks = shim({"ring": {"on_full": "drop"}, "funcs": [{"func_name": line.split()[0]} for line in calls]})
    words = ("--preload", hooks, "--format", "wc", "-o", tmp_path / "trace", program)

    def different(lines: list[str]) -> set[tuple[str, ...]]:
        native = outcomes(tmp_path, lines, lambda **o: subprocess.run([program], capture_output=True, **o))
        traced = outcomes(tmp_path, lines, lambda **options: wc_run(*words, errors="replace", **options))
        assert native.keys() == traced.keys()
        return {(*call, *how, "became", *traced[call]) for call, how in native.items() if how != traced[call]}

    assert len(calls) > 500
    found = different(calls)
    if found:  # what depends on time or on what happens to be mapped somewhere does not come out the same twice
        names = {call[0] for call in found}
        found &= different([line for line in calls if line.split()[0] in names])
    assert set() == found
