"""What users and their scripts rely on, shown on real programs: names, sets, places of errors, who is followed.

What a single part promises is shown beside that part; here stands what takes the whole way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run

Explain = Callable[..., Any]


@pytest.fixture
def explain(wc_gen: Run, tmp_path: Path) -> Explain:
    """explain({"funcs": ...}) -> what wc-gen --explain did with the config, named config.json."""

    def run(config: dict[str, Any]) -> Any:
        (tmp_path / "config.json").write_text(json.dumps(config))
        return wc_gen("config.json", "--explain", cwd=tmp_path)

    return run


def configured(tmp_path: Path, *funcs: Any, **keys: Any) -> Path:
    path = tmp_path / "config.json"
    entries = [func if isinstance(func, dict) else {"func_name": func} for func in funcs]
    path.write_text(json.dumps({"funcs": entries, **keys}))
    return path


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_name_that_no_function_has_is_the_system_call_of_that_name(wc_run: Run) -> None:
    done = wc_run("--trace", "exit_group,getcwd", "sh", "-c", "pwd", env={"PATH": "/bin:/usr/bin"})
    assert (0, True, True) == (done.returncode, "exit_group(0) = ?" in done.stderr, "getcwd(" in done.stderr)


def test_by_preloading_alone_a_system_call_is_refused_by_name(wc_run: Run) -> None:
    done = wc_run("--engine", "preload", "--trace", "exit_group", "true")
    assert (125, True) == (done.returncode, "exit_group: it is a system call: only the tracer" in done.stderr)


def test_sys_forces_a_system_call_and_fn_a_function(wc_run: Run, needs: Callable[[str], str]) -> None:
    called = [json.loads(line) for line in wc_run("--trace", "sys:close", "--format", "jsonl", "true").stderr.splitlines()]
    assert {("close", "syscall", "ptrace")} == {(call["func"], call["kind"], call["engine"]) for call in called}
    assert "getcwd(" in wc_run("--trace", "fn:getcwd", needs("bash"), "-c", "pwd", env={"PATH": "/bin:/usr/bin"}).stderr
    assert 125 == wc_run("--trace", "fn:exit_group", "true").returncode


# --- places of errors -------------------------------------------------------------------------------------------------


def test_a_missing_header_is_named_with_its_place(explain: Explain) -> None:
    done = explain({"headers": ["stdio.h", "nope.h"], "funcs": [{"func_name": "open"}]})
    assert (1, True) == (done.returncode, "no header nope.h\n  at:   config.json:1:25  headers[1]\n" in done.stderr)


def test_a_prototype_that_is_none_is_named_with_its_place(explain: Explain) -> None:
    for prototype in ("int open(", "int other(int a)"):
        done = explain({"funcs": [{"func_name": "open", "prototype": prototype}]})
        assert (1, True) == (done.returncode, "config.json:1:47  funcs[0].prototype" in done.stderr)


@pytest.mark.parametrize(
    ("name", "param", "length", "said"),
    [("read", "buf", "retrn", "it has no 'retrn'"), ("read", "buf", "count + n", "it has no 'n'"),
     ("free", "ptr", "return", "it has no 'return'")],
)  # fmt: skip
def test_a_length_over_names_that_are_none_is_an_error(
    explain: Explain, name: str, param: str, length: str, said: str
) -> None:
    done = explain({"funcs": [{"func_name": name, "capture": {param: {"bytes": length}}}]})
    assert (1, True, True) == (
        done.returncode,
        said in done.stderr,
        f"funcs[0].capture.{param}.bytes\n" in done.stderr,
    )


def test_lengths_of_a_glob_apply_where_their_names_are_known(explain: Explain) -> None:
    done = explain({"funcs": [{"func_name": "re[ac][dv]", "capture": {"buf": {"bytes": "count"}}}]})
    assert (0, "") == (done.returncode, done.stderr)


# --- who is followed --------------------------------------------------------------------------------------------------

EXECS = r"""
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char *bare[] = {"X=1", NULL};

static void
become(int how, char *path)
{
        char *words[] = {path, NULL};
        getppid();
        switch (how) {
        case 0: execl(path, path, (char *)NULL); break;
        case 1: execlp(path, path, (char *)NULL); break;
        case 2: execle(path, path, (char *)NULL, bare); break;
        case 3: execv(path, words); break;
        case 4: execvp(path, words); break;
        case 5: execve(path, words, bare); break;
        case 6: execvpe(path, words, bare); break;
        }
        _exit(9);
}

int
main(int count, char **words)
{
        if (count == 1) {
                getppid();
                return 0;
        }
        clearenv();
        for (int how = 0; how <= 6; how++) {
                pid_t child = how == 3 ? vfork() : fork();
                if (child == 0)
                        become(how, words[0]);
                int status;
                if (waitpid(child, &status, 0) != child || status != 0)
                        return 1;
        }
        char *alone[] = {words[0], NULL};
        pid_t child;
        int status;
        if (posix_spawn(&child, words[0], NULL, NULL, alone, bare) != 0 || waitpid(child, &status, 0) != child || status != 0)
                return 2;
        become(3, words[0]);
}
"""
CHILDREN = 8
"""Seven by fork or vfork, which call getppid before they exec, and one by posix_spawn."""


@pytest.fixture(scope="module")
def execs(compile_c: Callable[..., Path]) -> Path:
    """A program that empties its environment, starts itself in every way, and in the end becomes itself."""
    return compile_c(EXECS)


def calls_by_image(wc_run: Run, program: Path, follow: str) -> list[tuple[str, int]]:
    """Return for each thread of a process ("own" or "child") how often it called getppid, in one sorted list."""
    done = wc_run("--trace", "getppid", "--follow", follow, "--format", "jsonl", "-o", "/dev/stdout", program, "all")
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    pids, parents = [call["pid"] for call in calls], {call["ret"] for call in calls}
    own = next((pid for pid in pids if pid in parents), pids[0])
    return sorted(("own" if pid == own else "child", pids.count(pid)) for pid in set(pids))


def test_all_children_are_followed_whatever_their_environment(wc_run: Run, execs: Path) -> None:
    expected = sorted([("own", 2), *[("child", 2)] * (CHILDREN - 1), ("child", 1)])
    assert expected == calls_by_image(wc_run, execs, "all")


def test_by_default_children_are_followed_as_long_as_their_environment_is_kept(wc_run: Run, execs: Path) -> None:
    expected = sorted([("own", 1), *[("child", 1)] * (CHILDREN - 1)])
    assert expected == calls_by_image(wc_run, execs, "default")


def test_no_child_is_followed_when_none_shall_be_but_the_program_itself_is(wc_run: Run, execs: Path) -> None:
    assert [("own", 2)] == calls_by_image(wc_run, execs, "none")


# --- output that cannot be written ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "jsonl", "wc"])
def test_what_could_not_be_written_is_a_loss_to_strict(wc_run: Run, execs: Path, form: str) -> None:
    options = ("--trace", "getppid", "-o", "/dev/full", "--format", form)
    done = wc_run(*options, execs)
    assert (0, 1) == (done.returncode, done.stderr.count("wc-run: error: cannot "))
    assert wc_run("--strict", *options, execs).returncode == 124


def test_a_report_that_cannot_be_written_says_so_under_its_own_name(
    wc_run: Run, wc_report: Run, execs: Path, tmp_path: Path
) -> None:
    wc_run("--trace", "getppid", "--format", "wc", "-o", tmp_path / "trace.wc", execs)
    with open("/dev/full", "w") as full:
        done = wc_report(tmp_path / "trace.wc", capture_output=False, stdout=full, stderr=-1)
    assert (1, True) == (done.returncode, "wc-report: error: cannot go on writing" in done.stderr)


def test_what_a_glob_leaves_out_is_no_warning(wc_run: Run) -> None:
    done = wc_run("--trace", "dls*,getppid", "true")
    assert (0, "") == (done.returncode, done.stderr)


# --- libraries --------------------------------------------------------------------------------------------------------

HOST = """
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **words)
{
    void *plugin = count == 2 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*run)(void) = plugin != NULL ? (int (*)(void))dlsym(plugin, "run") : NULL;
    return run != NULL && run() == 42 ? 0 : 1;
}
"""


def test_a_function_of_a_library_that_comes_later_is_caught_when_it_is_there(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    library = compile_c("int product(int a, int b) { return a * b; }", "-shared", "-fPIC", "-Wl,-soname,liblater.so")
    (tmp_path / "liblater.so").symlink_to(library)
    code = "int product(int, int); int run(void) { return product(6, 7); }"
    plugin = compile_c(code, "-shared", "-fPIC", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-llater")
    product = {"func_name": "product", "library": "liblater.so", "prototype": "int product(int a, int b)"}
    done = wc_run("-c", configured(tmp_path, product), compile_c(HOST), plugin)
    assert (0, True) == (done.returncode, "wc-run: warning: product is not there yet\n" in done.stderr)
    assert "product(6, 7) = 42\n" in done.stderr


def test_paths_in_a_config_are_relative_to_it(wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    library = compile_c("int plus(int a, int b) { return a + b; }", "-shared", "-fPIC", "-Wl,-soname,libplus.so")
    for name in ("a b:c", "headers", "libs"):
        (tmp_path / name).mkdir()
    (tmp_path / "libs" / "libplus.so").symlink_to(library)
    (tmp_path / "headers" / "plus.h").write_text("int plus(int first, int second);\n")
    program = compile_c(
        "int plus(int, int); int main(void) { return plus(1, 2) - 3; }",
        f"-L{tmp_path / 'libs'}", f"-Wl,-rpath,{tmp_path / 'libs'}", "-lplus",
    )  # fmt: skip
    config = configured(
        tmp_path / "a b:c", "plus", headers=["plus.h"], include=["../headers"], libraries=["../libs/libplus.so"]
    )
    done = wc_run("-c", config, program, cwd="/")
    assert (0, "plus(1, 2) = 3\n") == (done.returncode, done.stderr)


def test_a_working_directory_that_was_deleted_is_none_of_our_business(wc_run: Run, execs: Path, tmp_path: Path) -> None:
    script = (
        f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; exec {BIN}/wc-run --trace getppid {execs}"
    )
    done = wc_run("--trace", "chroot", "sh", "-c", script)
    assert (0, 1) == (done.returncode, done.stderr.count("getppid() = ")), done.stderr


def test_names_and_globs_unknown_to_libc_are_looked_for_in_the_programs_libraries(
    wc_run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    code = "int zzadd(int a, int b) { return a + b; } int zzneg(int a) { return -a; }"
    library = compile_c(code, "-shared", "-fPIC", "-Wl,-soname,libzz.so")
    (tmp_path / "libzz.so").symlink_to(library)
    program = compile_c(
        "int zzadd(int, int); int zzneg(int); int main(void) { return zzadd(1, zzneg(1)); }",
        f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lzz",
    )  # fmt: skip
    for names in ("zzadd,zzneg", "zz*"):
        done = wc_run("--trace", names, program)
        assert (0, ["zzneg", "zzadd"]) == (
            done.returncode,
            [line.partition("(")[0] for line in done.stderr.splitlines()],
        )


def test_a_signals_handler_is_shown_by_the_name_that_programs_know(wc_run: Run, compile_c: Callable[..., Path]) -> None:
    program = compile_c(
        "#include <signal.h>\nint main(void) { struct sigaction a = {.sa_handler = SIG_IGN, .sa_flags = SA_RESTART};"
        " return sigaction(SIGINT, &a, 0); }"
    )
    text = wc_run("--trace", "sigaction", program).stderr
    assert "sigaction(SIGINT, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=SA_RESTART}, NULL) = 0\n" == text
    call = json.loads(wc_run("--trace", "sigaction", "--format", "jsonl", program).stderr)
    assert 1 == call["args"]["act"]["sa_handler"]


def test_paths_stand_behind_descriptors_that_were_inherited(
    wc_run: Run, wc_report: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    program = compile_c("#include <unistd.h>\nint main(void) { char c; return read(0, &c, 1) - 1; }")
    (tmp_path / "input \xe9").write_text("x")
    line = f'read(0<{tmp_path}/input \\303\\251>, "x", 1) = 1\n'
    for options in (("-y",), ("-y", "-P", tmp_path / "input \xe9")):
        with (tmp_path / "input \xe9").open() as file:
            assert line == wc_run("--trace", "read", *options, program, stdin=file).stderr
    with (tmp_path / "input \xe9").open() as file:
        wc_run("--trace", "read", "--format", "wc", "-o", tmp_path / "t.wc", program, stdin=file)
    assert line == wc_report("-y", tmp_path / "t.wc").stdout
