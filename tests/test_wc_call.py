"""Handlers of wc_call.h: the call by name, its values by type, in both engines.

What is parametrized by engine is one library and one config, run by both: what they print and do is the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handling import HANDLERS, INCLUDE, Compile, Handled, Ran, handled, main, stub, target

__all__ = ["handled", "stub"]  # fixtures

ENGINES = ("preload", "ptrace")
PLAIN = ("-O2", "-U_FORTIFY_SOURCE")


def marked(includes: str, body: str, name: str = "h") -> str:
    """Return the source of a library with one handler of wc_call.h."""
    lines = "".join(f"#include <{each}>\n" for each in ("wc_call.h", "stdio.h", "string.h", "errno.h", *includes.split()))
    return f"{lines}WC_HANDLER({name})\n{{\n{body}\n}}\n"


@pytest.fixture(params=ENGINES)
def both(request: pytest.FixtureRequest, handled: Handled) -> Handled:
    def run(*words: Any, **more: Any) -> Ran:
        return handled(*words, options=("--engine", request.param), **{"flags": PLAIN, **more})

    return run


@pytest.fixture(params=ENGINES)
def values(request: pytest.FixtureRequest, stub: Handled, handled: Handled, compile_c: Compile) -> Callable[..., Ran]:
    """values(target, ...): the program of handler_stub.h under the handlers of call_handlers.c."""
    library = compile_c("call_handlers.c", *HANDLERS)

    def run(*targets: dict[str, Any]) -> Ran:
        return stub(*targets, options=("--engine", request.param), library_path=str(library))

    return run


SEEN = {
    "nine": ["before nine: a=1/8 b=2/8 c=3/8 d=4/8 e=5/8 f=6/8 g=7/8 h=8/8 i=9/8"],
    "mixed": ['before mixed: a=-1/4 x=20.5/8 text="four"/8 y=8/4 small=200/1 z=100000/8'],
    "swap_longs": ["before swap_longs: pair=?7 add=100/8"],
    "half": ["before half: x=12/8 times=2/4"],
    "third": ["before third: x=9/4"],
    "precise": ["before precise: x=0.1/16 add=1/4"],
    "fill": ["before fill: place=somewhere/8 value=77/4"],
    "is_odd": ["before is_odd: value=3/4"],
}
AFTER = {
    "nine": ["after nine: a=1/8 b=2/8 c=3/8 d=4/8 e=5/8 f=6/8 g=7/8 h=8/8 i=9/8 =987654321/8"],
    "mixed": ['after mixed: a=-1/4 x=20.5/8 text="four"/8 y=8/4 small=200/1 z=100000/8 =100231/8'],
    "half": ["after half: x=12/8 times=2/4 =3/8"],
    "third": ["after third: x=9/4 =3/4"],
    "precise": ["after precise: x=0.1/16 add=1/4 =1.1/16"],
    "fill": ["after fill: place=somewhere/8 value=77/4"],
    "is_odd": ["after is_odd: value=3/4 =1/1"],
}


def test_every_argument_has_its_name_its_type_and_its_value(values: Callable[..., Ran]) -> None:
    ran = values(*(target(name, "see") for name in SEEN))
    assert [] == [line for lines in SEEN.values() for line in lines if line not in ran.lines], ran.lines


def test_after_the_call_the_arguments_are_as_they_were_and_the_result_is_typed(values: Callable[..., Ran]) -> None:
    ran = values(*(target(name, leave="see") for name in AFTER))
    assert [] == [line for lines in AFTER.values() for line in lines if line not in ran.lines], ran.lines


def test_arguments_are_set_wherever_they_travel_and_what_makes_no_sense_is_refused(values: Callable[..., Ran]) -> None:
    ran = values(
        target("nine", "other_nine"), target("mixed", "other_mixed"), target("precise", "other_precise"),
        target("fill", "other_fill", "other_fill"),
    )  # fmt: skip
    expected = [
        "set 1, refused 1", "nine 187454329", "set 1, too large refused 1", f"mixed {-3 + 30 + 4 + 2 + 255 + 100000}",
        "got 1 0.1, set 1", "precise 3.5000000000000000000", "bad refused 1 1", "found 77, wrote 1", "fill 70",
    ]  # fmt: skip
    assert [] == [line for line in expected if line not in ran.lines], ran.lines
    assert [9, 2, 3, 4, 5, 4, 7, 8, 1] == list(ran.of("nine")[0]["args"].values())


def test_a_skipped_call_returns_a_value_of_its_own_type(values: Callable[..., Ran]) -> None:
    names = ("nine", "half", "third", "precise", "fill", "swap_longs")
    ran = values(*(target(name, "give_minus_7") for name in names), target("is_odd", "give_true"))
    expected = [
        "nine -7", "half -7", "third -7", "precise -7.0000000000000000000", "fill: skipped 1", "fill 0",
        "swap_longs: skipped 1", "swap_longs 0 0", "refused 1, given 1", "is_odd 1",
    ]  # fmt: skip
    assert [] == [line for line in expected if line not in ran.lines], ran.lines


def test_a_result_is_changed_after_the_call(values: Callable[..., Ran]) -> None:
    names = ("nine", "half", "third", "is_odd")
    ran = values(*(target(name, leave="after") for name in names), target("mixed", "give_minus_7", "after"))
    expected = [
        "nine gave 987654321, skipped 0: 1", "nine 987654320", "half gave 3: 1", "half 1.5", "third 1.5",
        "is_odd gave 1, skipped 0: 1", "is_odd 0", "mixed gave -7, skipped 1: 1", "mixed -8",
    ]  # fmt: skip
    assert [] == [line for line in expected if line not in ran.lines], ran.lines
    assert [987654320] == [call["ret"] for call in ran.of("nine")]


# --- libc ------------------------------------------------------------------------------------------------------------

OPENS = main("stdio.h fcntl.h errno.h string.h unistd.h", """
const char *paths[] = {"/etc/hostname", "/no/such/file"};
for (int i = 0; i < 2; i++) {
    errno = 0;
    const int file = open(paths[i], O_RDONLY);
    printf("%d %s\\n", file >= 0, strerror(errno));
    fflush(stdout);
}
""")  # fmt: skip


def test_a_call_is_denied_by_its_path(both: Handled) -> None:
    deny = """
    char path[64], few[4];
    const int which = wc_call_arg(call, "pathname");
    if (wc_call_string(call, which, few, sizeof few) || strcmp(few, "/et") * strcmp(few, "/no") != 0)
            return;
    if (wc_call_string(call, which, path, sizeof path) && strcmp(path, "/etc/hostname") == 0)
            wc_call_fail(call, EACCES);
    """
    ran = both(marked("", deny), OPENS, target("open", "h"))
    assert ["0 Permission denied", "0 No such file or directory"] == ran.lines, ran.said
    assert [(-1, "EACCES"), (-1, "ENOENT")] == [(call["ret"], call["errno"]) for call in ran.of("open")][-2:]


def test_a_handler_sees_and_changes_errno_after_the_call(both: Handled) -> None:
    body = """
    if (wc_call_errno(call) == 0)
            printf("done\\n");
    else if (wc_call_errno(call) == ENOENT)
            printf("failed, set %d\\n", wc_call_set_errno(call, ELOOP));
    errno = EBADF; /* the handler's own: means nothing */
    fflush(stdout);
    """
    ran = both(marked("", body), OPENS, target("open", leave="h"))
    assert ["done", "1 Success", "failed, set 1", "0 Too many levels of symbolic links"] == ran.lines, ran.said
    assert "ELOOP" == ran.of("open")[-1]["errno"]


@pytest.mark.parametrize(
    ("name", "statement", "expected"),
    [
        ("fopen", 'FILE *file = fopen("/etc/hostname", "r"); printf("%d %d\\n", file == NULL, errno == EIO);', "1 1"),
        ("pthread_mutex_lock", "pthread_mutex_t m; const int e = pthread_mutex_lock(&m); printf(\"%d %d\\n\", e == EIO, errno);", "1 0"),
        ("mmap", "void *m = mmap(0, 1, 0, 2, -1, 0); printf(\"%d %d\\n\", m == MAP_FAILED, errno == EIO);", "1 1"),
    ],
)  # fmt: skip
def test_a_call_fails_in_its_functions_own_way(both: Handled, name: str, statement: str, expected: str) -> None:
    body = f"errno = 0;\n{statement}\nfflush(stdout); _exit(0);"
    program = main("stdio.h errno.h pthread.h sys/mman.h unistd.h", body)
    ran = both(marked("", "wc_call_fail(call, EIO);"), program, target(name, "h"), flags=(*PLAIN, "-pthread"))
    assert [expected] == ran.lines, ran.said


def test_a_function_that_cannot_fail_is_not_failed(both: Handled) -> None:
    body = 'printf("%d %d\\n", wc_call_fail(call, EIO), wc_call_errno(call)); fflush(stdout);'
    program = main("stdio.h unistd.h", 'printf("%d\\n", getppid() > 1);')
    assert ["0 0", "1"] == both(marked("", body), program, target("getppid", "h")).lines


def test_a_redirected_path_is_a_text_of_the_programs_own(both: Handled) -> None:
    """One that the program has: the first argument of main's, in every engine an address there."""
    body = """
    uint64_t format, path;
    if (wc_call_pointer(call, wc_call_arg(call, "pathname"), &path) && wc_call_set_pointer(call, 0, path + 5))
            printf("moved\\n");
    (void)format;
    fflush(stdout);
    """
    program = main("stdio.h fcntl.h", 'printf("%d\\n", open("/none/etc/hostname", O_RDONLY) >= 0);')
    assert ["moved", "1"] == both(marked("", body), program, target("open", "h")).lines


def test_the_mode_of_open_is_an_argument_only_when_it_is_passed(both: Handled) -> None:
    body = 'long mode = -1; wc_call_int(call, wc_call_arg(call, "mode"), &mode); printf("%lo\\n", mode); fflush(stdout);'
    program = main("fcntl.h", 'open("/etc/hostname", O_RDONLY); open("made", O_CREAT | O_WRONLY, 0640);')
    assert ["0", "640"] == both(marked("", body), program, target("open", "h")).lines[-2:]


@pytest.mark.parametrize("fortify", ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"])
def test_another_name_of_a_target_is_shown_as_the_target(both: Handled, fortify: str) -> None:
    body = """
    struct wc_value value;
    char text[16] = "";
    wc_call_string(call, wc_call_arg(call, "format"), text, sizeof text);
    fprintf(stderr, "%s %u %s %d\\n", call->name, call->arguments, text, wc_call_describe(call, 1, &value));
    """
    ran = both(marked("", body), main("stdio.h", 'printf("%d\\n", 5);'), target("printf", "h"), flags=("-O2", fortify))
    assert "printf 1 %d\n 0\n" in ran.said
    assert ["5"] == ran.lines


def test_what_does_not_return_cannot_be_skipped(both: Handled) -> None:
    body = """
    dprintf(1, "%d %d %d\\n", wc_call_skip(call), wc_call_return_int(call, 1), wc_call_set_int(call, 0, 7));
    """
    ran = both(marked("", body), main("stdlib.h", "exit(3);"), target("exit", "h"))
    assert (7, ["0 0 1"]) == (ran.status, ran.lines)


def test_a_handler_knows_whose_call_it_is(both: Handled) -> None:
    body = 'printf("%d %d %d\\n", call->pid, call->tid, call->is_syscall); fflush(stdout);'
    program = """
    #define _GNU_SOURCE
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void *thread(void *unused) { rand(); printf("%d %d 0\\n", getpid(), gettid()); return unused; }
    int main(void)
    {
            pthread_t one;
            pthread_create(&one, NULL, thread, NULL);
            pthread_join(one, NULL);
            return 0;
    }
    """
    ran = both(marked("", body), program, target("rand", "h"), flags=("-pthread",))
    assert ran.lines[0] == ran.lines[1]


def test_a_tail_jump_is_seen_by_name_and_skipped(both: Handled) -> None:
    """In the tracer it is a function like others."""
    body = """
    char text[32] = "";
    wc_call_string(call, 0, text, sizeof text);
    dprintf(1, "%s %s %d\\n", call->name, text, wc_call_skip(call));
    """
    program = main("dlfcn.h unistd.h stdio.h", 'dprintf(1, "%d\\n", dlopen("libm.so.6", RTLD_LAZY) != NULL);')
    assert ["dlopen libm.so.6 1", "0"] == both(marked("", body), program, target("dlopen", "h")).lines


def test_texts_end_where_memory_ends(both: Handled) -> None:
    body = """
    char few[8] = "", more[9000] = "";
    const bool fits = wc_call_string(call, 0, few, sizeof few);
    const bool whole = wc_call_string(call, 0, more, sizeof more);
    printf("%d '%s' %d %zu ", fits, few, whole, strlen(more));
    printf("%d\\n", wc_call_text(call, 16, few, sizeof few));
    fflush(stdout);
    """
    program = main("unistd.h sys/mman.h string.h", """
    char *place = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(place + 8192, 4096);
    memset(place, 'x', 8192);
    access(place + 8000, F_OK);
    place[8191] = 0;
    access(place, F_OK);
    access(place + 8188, F_OK);
    """)  # fmt: skip
    ran = both(marked("", body), program, target("access", "h"))
    assert ["0 'xxxxxxx' 0 192 0", "0 'xxxxxxx' 1 8191 0", "1 'xxx' 1 3 0"] == ran.lines


# --- system calls ----------------------------------------------------------------------------------------------------


@pytest.fixture
def traced(handled: Handled) -> Handled:
    def run(source: str, program: str, name: str, enter: str = "", leave: str = "") -> Ran:
        call = {"syscall_id": name} | {k: v for k, v in (("back_enter", enter), ("back_exit", leave)) if v}
        return handled(source, program, options=("--engine", "ptrace"), flags=PLAIN, syscalls=[call])

    return run


def test_a_system_call_fails_as_a_function_does(traced: Handled) -> None:
    body = """
    long result = 0;
    if (!call->at_exit) {
            printf("%d %d %d\\n", call->is_syscall, wc_call_return_int(call, -5), wc_call_set_errno(call, EIO));
            wc_call_fail(call, EROFS);
    } else {
            wc_call_int(call, WC_RESULT, &result);
            printf("%ld %d\\n", result, wc_call_errno(call) == EROFS);
    }
    """
    program = main("stdio.h unistd.h errno.h string.h", 'puts(unlink("none") == -1 ? strerror(errno) : "done");')
    ran = traced(marked("", body), program, "unlink", "h", "h")
    assert ["1 0 0", "-1 1", "Read-only file system"] == ran.lines
    assert [(-1, "EROFS")] == [(call["ret"], call["errno"]) for call in ran.of("unlink")]


def test_a_system_calls_arguments_are_set_by_name(traced: Handled) -> None:
    body = 'long fd; if (wc_call_int(call, 0, &fd) && fd == 1) wc_call_set_int(call, wc_call_arg(call, "count"), 3);'
    ran = traced(marked("", body), main("unistd.h", 'write(1, "abcdef", 6);'), "write", "h")
    assert ["abc"] == ran.lines


# --- libraries -------------------------------------------------------------------------------------------------------


def test_both_kinds_of_handler_stand_in_one_library_and_on_one_call(both: Handled) -> None:
    source = marked("wc_ptrace.h", "wc_call_set_int(call, 0, 8);") + """
    void old(struct user_regs_struct *regs, int pid)
    {
            printf("%lld %d\\n", regs->rdi, pid == 0);
            fflush(stdout);
    }
    """
    program = main("stdio.h stdlib.h", 'printf("%d\\n", abs(-5));')
    ran = both(source, program, target("abs", "h", "old"), flags=(*PLAIN, "-fno-builtin"))
    assert ["8 0", "8"] == ran.lines


def test_a_handler_is_written_in_cxx(tmp_path: Path, both: Handled) -> None:
    (tmp_path / "h.cc").write_text(marked("", 'printf("%s\\n", call->name); fflush(stdout);'))
    made = ["c++", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", "h.cc", "-o", "h.so"]
    subprocess.run(made, cwd=tmp_path, check=True)
    ran = both("int unused;", main("stdlib.h", "rand();"), target("rand", "h"), library_path=str(tmp_path / "h.so"))
    assert ["rand"] == ran.lines, ran.said


@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11", "-std=gnu17", "-fvisibility=hidden"])
def test_the_header_compiles_as_strict_c(tmp_path: Path, standard: str) -> None:
    (tmp_path / "h.c").write_text("#include <wc_preload.h>\n" + marked("", "wc_call_skip(call);"))
    made = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", standard, f"-I{INCLUDE}", "h.c", "-o", "h.so"]
    subprocess.run(made, cwd=tmp_path, check=True)
    names = subprocess.run(["nm", "-D", "--defined-only", "h.so"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert ["h", "wc_handler_h"] == sorted(line.split()[-1] for line in names.splitlines())


def test_a_handler_of_a_later_header_is_named_and_does_not_run(both: Handled) -> None:
    source = "#include <wc_call.h>\n#undef WC_CALL_VERSION\n#define WC_CALL_VERSION 9u\n#include <stdlib.h>\n"
    ran = both(source + "WC_HANDLER(h) { abort(); }\n", main("stdlib.h", "rand();"), target("rand", "h"))
    assert 0 == ran.status
    assert 1 == ran.said.count("compiled with a later wc_call.h than this wc-intercept has, and switched off: the handler h")
