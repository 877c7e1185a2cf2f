"""R5, R9: wrappers work before their own constructor and after all destructors, hold no descriptor, and need none."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Trace, trace

Compile = Callable[..., Path]
THREAD_LOCAL = """
#include <thread>
#include <unistd.h>

struct Local {
        int number;
        explicit Local(int n) : number(n) { (void)getpgid(n); }
        ~Local() { (void)getpgid(number + 1); }
};

static Local of_program(10);
thread_local Local of_thread(20);

int main()
{
        std::thread([] { (void)&of_thread; (void)getpgid(of_thread.number + 2); }).join();
        return 0;
}
"""
"""C++: calls from destructors of thread_local and static objects."""
NAMES = ("getpgid", "close", "open", "fork", "waitpid", "exit", "_exit")


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim(*NAMES)


def places(run: Trace) -> Counter[int]:
    """Calls of getpgid by their argument."""
    return Counter(call.args["pid"] for call in run.calls("getpgid"))


def test_every_place_around_main_is_recorded(hooks: Path, compile_c: Compile) -> None:
    library = compile_c("library_early.c", "-shared", "-fPIC")
    program = compile_c("ends.c", "-pthread", "-Wl,--no-as-needed", str(library), f"-Wl,-rpath,{library.parent}")
    run = trace(hooks, program)
    assert 0 == run.status, run.stderr
    assert {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 4, 7: 1, 101: 1, 102: 1} == dict(places(run))


def test_quick_exit_is_recorded(hooks: Path, compile_c: Compile) -> None:
    assert 1 == places(trace(hooks, compile_c("ends.c", "-pthread"), "quick"))[8]


def test_destructors_of_thread_local_objects_are_recorded(hooks: Path, compile_c: Compile) -> None:
    run = trace(hooks, compile_c(THREAD_LOCAL, "-pthread", cc="c++"))
    assert {10: 1, 11: 1, 20: 1, 21: 1, 22: 1} == dict(places(run))


def test_calls_of_a_library_that_is_initialised_first_pass_through(hooks: Path, compile_c: Compile) -> None:
    """A library preloaded behind the shim is initialised before it, but for -z initfirst."""
    library = compile_c("library_early.c", "-shared", "-fPIC", "-Wl,-z,initfirst")
    run = trace(hooks, "/bin/true", preload_after=str(library))
    assert 0 == run.status, run.stderr
    assert 1 == places(run)[102]


@pytest.mark.parametrize("how", ["close", "closefrom", "close_range", "limit"])
def test_closing_every_descriptor_changes_nothing(hooks: Path, compile_c: Compile, how: str) -> None:
    run = trace(hooks, compile_c("descriptors.c", "-pthread"), how)
    assert 0 == run.status
    assert {1: 100, 2: 100, 3: 100} == dict(places(run))


def test_four_descriptors_are_enough(hooks: Path, compile_c: Compile) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))  # noqa: E731
    run = trace(hooks, compile_c("ends.c", "-pthread"), before_exec=limit)
    assert (0, 1) == (run.status, places(run)[1])
