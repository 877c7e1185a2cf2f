"""execl, execlp and execle hand every word on, whatever their parameters are called, also in a child of vfork."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

EXECS = """
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define WORDS "sh", "-c", "echo \\"$#\\" \\"$*\\" $LEFT", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL
int main(int argc, char **argv)
{
        char *const environment[] = {"LEFT=right", NULL};
        setenv("LEFT", "wrong", 1);
        const pid_t pid = strcmp(argv[2], "vfork") == 0 ? vfork() : fork();
        if (pid == 0) {
                if (strcmp(argv[1], "execl") == 0)
                        execl("/bin/sh", WORDS);
                else if (strcmp(argv[1], "execlp") == 0)
                        execlp("sh", WORDS);
                else
                        execle("/bin/sh", WORDS, environment);
                _exit(99);
        }
        int status;
        return waitpid(pid, &status, 0) != pid || status != 0 || argc != 3;
}
"""


@pytest.mark.parametrize("how", ["fork", "vfork"])
@pytest.mark.parametrize(("name", "left"), [("execl", "wrong"), ("execlp", "wrong"), ("execle", "right")])
@pytest.mark.parametrize("targets", [("execl", "execlp", "execle"), ("getppid",)], ids=["asked for", "internal"])
def test_every_word_of_a_list_arrives(
    wc_run: Callable[..., object],
    shim: Callable[..., Path],
    compile_c: Callable[..., Path],
    targets: tuple[str, ...],
    name: str,
    left: str,
    how: str,
) -> None:
    done = wc_run("--preload", shim(*targets), "-o", "/dev/null", compile_c(EXECS), name, how)
    assert (0, f"9 1 2 3 4 5 6 7 8 9 {left}\n") == (done.returncode, done.stdout)  # type: ignore[attr-defined]
