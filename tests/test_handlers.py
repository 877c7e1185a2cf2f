"""Handlers in C, in process: what they see of a call, what of their changes takes effect, what goes on meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Run

TESTS = Path(__file__).parent
INCLUDE = TESTS.parent / "runtime" / "include"
HANDLERS = ("-shared", "-fPIC", f"-I{INCLUDE}", f"-I{TESTS / 'c'}")
Compile = Callable[..., Path]


@dataclass
class Ran:
    """What a program under handlers printed, and the calls that were recorded."""

    status: int
    lines: list[str]
    calls: list[dict[str, Any]]
    said: str

    def of(self, func: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["func"] == func]


Handled = Callable[..., Ran]


@pytest.fixture
def handled(tmp_path: Path, compile_c: Compile, wc_run: Run) -> Handled:
    """handled(handlers source, program source, target, ...): run the program, each target a name or a dict."""

    def run(
        handlers: str, program: str, *targets: str | dict[str, Any], flags: Sequence[str] = (), arguments: Sequence[str] = (),
        options: Sequence[str] = (), **config: Any,
    ) -> Ran:  # fmt: skip
        library = compile_c(handlers, *HANDLERS)
        funcs = [{"func_name": target} if isinstance(target, str) else target for target in targets]
        (tmp_path / "config.json").write_text(json.dumps({"library_path": str(library), "funcs": funcs} | config))
        output = tmp_path / "calls.jsonl"
        result = wc_run(
            "-c", tmp_path / "config.json", "--format", "jsonl", "-o", output, *options,
            compile_c(program, *flags), *arguments, cwd=tmp_path,
        )  # fmt: skip
        calls = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
        return Ran(result.returncode, result.stdout.splitlines(), calls, result.stderr)

    return run


@pytest.fixture
def stub(handled: Handled, compile_c: Compile) -> Handled:
    """stub(target, ...): handler_stub_calls.c, whose functions are those of handler_stub.h."""
    library = compile_c("handler_stub.c", "-shared", "-fPIC", "-Wl,-soname,libhandler_stub.so")

    def run(*targets: dict[str, Any], **config: Any) -> Ran:
        link = library.with_name("libhandler_stub.so")
        if not link.exists():
            link.symlink_to(library)
        flags = (f"-I{TESTS / 'c'}", f"-L{link.parent}", f"-Wl,-rpath,{link.parent}", "-lhandler_stub", "-O2", "-fno-builtin")
        own = {"headers": [str(TESTS / "c" / "handler_stub.h")], "libraries": [str(link)]}
        return handled("handler_stub_handlers.c", "handler_stub_calls.c", *targets, flags=flags, **(own | config))

    return run


def target(name: str, enter: str = "", leave: str = "", **more: Any) -> dict[str, Any]:
    handlers = {"back_enter": enter, "back_exit": leave}
    return {"func_name": name} | {key: value for key, value in handlers.items() if value} | more


def line_after(ran: Ran, start: str) -> str:
    """Return the first line that starts with *start*."""
    return next((line for line in ran.lines if line.startswith(start)), f"nothing says {start}: {ran.said}")


# --- registers -------------------------------------------------------------------------------------------------------


def test_nine_arguments_stand_in_six_registers_and_on_the_stack(stub: Handled) -> None:
    ran = stub(target("nine", "seen_nine"))
    assert "sees 1 2 3 4 5 6, then 7 8 9" in ran.lines
    assert "nine 987654321" == line_after(ran, "nine")


def test_what_a_handler_writes_to_registers_and_stack_is_what_the_function_gets(stub: Handled) -> None:
    ran = stub(target("nine", "other_nine"))
    assert "nine 187454329" == line_after(ran, "nine")
    args = ran.of("nine")[0]["args"]
    assert [9, 2, 3, 4, 5, 4, 7, 8, 1] == list(args.values())


def test_floating_arguments_take_no_general_register(stub: Handled) -> None:
    ran = stub(target("mixed", "seen_mixed"))
    assert 'sees -1 "four" 200 100000' in ran.lines
    assert "mixed 100231" == line_after(ran, "mixed")


def test_changed_pointers_and_small_integers_arrive(stub: Handled) -> None:
    ran = stub(target("mixed", "other_mixed"))
    assert f"mixed {-1 + 20 + len('longer than before') + 8 + 255 + 100000}" == line_after(ran, "mixed")


def test_a_small_struct_stands_in_two_registers(stub: Handled) -> None:
    ran = stub(target("swap_longs", "seen_swap_longs", "after_swap_longs"))
    assert "sees 5 6 100" in ran.lines
    assert "returns 106 105" in ran.lines
    assert "swap_longs 106 1" == line_after(ran, "swap_longs")


def test_a_changed_half_of_a_struct_arrives(stub: Handled) -> None:
    assert "swap_longs 160 105" == line_after(stub(target("swap_longs", "other_swap_longs")), "swap_longs")


def test_a_struct_of_eight_bytes_is_returned_in_rax(stub: Handled) -> None:
    ran = stub(target("swap_ints", leave="after_swap_ints"))
    assert "returns 8 7" in ran.lines
    assert "swap_ints 1 2" == line_after(ran, "swap_ints")


def test_a_large_struct_stands_on_the_stack_and_comes_back_where_rdi_says(stub: Handled) -> None:
    ran = stub(target("reverse", "seen_reverse", "after_reverse"))
    assert "sees 1 to 4, and 10" in ran.lines
    assert "returns 14 at 1" in ran.lines
    assert "reverse -1 13 12 1010" == line_after(ran, "reverse")


def test_a_floating_result_is_the_bits_of_a_double(stub: Handled) -> None:
    ran = stub(target("half", "seen_half", "after_half"), target("third", leave="after_third"))
    assert ["sees 2", "returns 6", "half 0.25"] == ran.lines[ran.lines.index("sees 2") :][:3]
    assert ["returns 3", "third 2.5"] == ran.lines[ran.lines.index("returns 3") :][:2]


def test_a_long_double_keeps_its_precision_when_nobody_changes_it(stub: Handled) -> None:
    ran = stub(target("precise", leave="after_precise"))
    assert "returns 1.1" in ran.lines
    assert "precise 1.1000000000000000000" == line_after(ran, "precise")


def test_both_handlers_of_a_void_function_run(stub: Handled) -> None:
    ran = stub(target("fill", "seen_fill", "after_fill"))
    assert "fill 79" == line_after(ran, "fill")


def test_a_bool_comes_back_as_the_handler_says(stub: Handled) -> None:
    ran = stub(target("is_odd", leave="after_is_odd"))
    assert "returns 1" in ran.lines
    assert "is_odd 0" == line_after(ran, "is_odd")


def test_registers_can_be_asked_for_and_set_as_in_a_tracer(stub: Handled) -> None:
    ran = stub(target("with_message", "seen_with_message"))
    assert ["GetRegs 0", "sees 40 1", "SetRegs 0, then 50"] == ran.lines[-4:-1]
    assert "with_message 52" == ran.lines[-1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nine", "nine -7"), ("swap_longs", "swap_longs -7 8"), ("swap_ints", "swap_ints -7 -1"), ("fill", "fill 0"),
        ("is_odd", "is_odd 1"), ("reverse", "reverse 0 0 0 0"),
    ],
)  # fmt: skip
def test_a_skipped_function_returns_what_the_handler_says(stub: Handled, name: str, expected: str) -> None:
    assert expected == line_after(stub(target(name, "skip_with_minus_7")), name)


@pytest.mark.parametrize(("name", "expected"), [("half", "half 3"), ("third", "third 3"), ("precise", "precise 3.0000000000000000000")])
def test_a_skipped_floating_function_returns_a_double(stub: Handled, name: str, expected: str) -> None:
    assert expected == line_after(stub(target(name, "skip")), name)


# --- libc's functions of every class ---------------------------------------------------------------------------------

LIBC = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <dlfcn.h>
#include <setjmp.h>
int main(int argc, char **argv)
{
        (void)argc;
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (strcmp(argv[1], "printf") == 0) {
                printf("%d %s %d %d %d %d %d\\n", 1, "two", 3, 4, 5, 6, 7);
        } else if (strcmp(argv[1], "open") == 0) {
                const int fd = open("/nowhere/at/all", O_RDONLY);
                printf("opened %d, %s\\n", fd >= 0, strerror(errno));
        } else if (strcmp(argv[1], "create") == 0) {
                const int fd = open("made", O_WRONLY | O_CREAT, 0600);
                printf("created %d\\n", fd >= 0);
        } else if (strcmp(argv[1], "fcntl") == 0) {
                printf("duplicated to %d\\n", fcntl(1, F_DUPFD, 50));
        } else if (strcmp(argv[1], "syscall") == 0) {
                printf("syscall %ld\\n", syscall(SYS_getppid) == getppid());
        } else if (strcmp(argv[1], "read") == 0) {
                char small[4];
                const ssize_t count = read(0, small, (size_t)argc + 2);
                printf("read %zd, %s\\n", count, strerror(errno));
        } else if (strcmp(argv[1], "exec") == 0) {
                execl("/bin/false", "false", "first", (char *)NULL);
                printf("exec failed\\n");
        } else if (strcmp(argv[1], "exit") == 0) {
                exit(3);
        } else if (strcmp(argv[1], "dlopen") == 0) {
                printf("dlopen %d\\n", dlopen("libm.so.6", RTLD_LAZY) != NULL);
        } else if (strcmp(argv[1], "memset") == 0) {
                char some[8];
                void *(*volatile set)(void *, int, size_t) = memset;
                set(some, 'x', 8);
                printf("memset %.8s\\n", some);
        } else if (strcmp(argv[1], "connect") == 0) {
                struct sockaddr address = {.sa_family = AF_INET};
                const int result = connect(99, &address, sizeof address);
                printf("connect %d, %s\\n", result, strerror(errno));
        }
        return 0;
}
"""


def libc(handled: Handled, handler: str, scene: str, *targets: str | dict[str, Any], **more: Any) -> Ran:
    text = f"#include <wc_ptrace.h>\n#include <fcntl.h>\nvoid h(struct user_regs_struct *regs, int pid)\n{{\n(void)regs; (void)pid;\n{handler}\n}}\n"
    plain = {"flags": ("-O2", "-U_FORTIFY_SOURCE")}
    return handled(text, LIBC, *targets, arguments=(scene,), **(plain | more))


WORDS = """
if (regs->rsi != 1 || PeekChar(pid, (long)regs->rdx) != 't' || regs->r9 != 5)
        return;
regs->rsi = 100;
PokeLong(pid, (long)regs->rsp + 8, 600);
PokeLong(pid, (long)regs->rsp + 16, 700);
"""
FORTIFIED = ("-O2", "-D_FORTIFY_SOURCE=2")


def test_a_handler_of_printf_sees_and_changes_the_words_behind_the_format(handled: Handled) -> None:
    ran = libc(handled, WORDS, "printf", target("printf", "h"))
    assert ["100 two 3 4 5 600 700"] == ran.lines
    assert [100, "two", 3, 4, 5, 600, 700] == ran.of("printf")[0]["args"]["..."]


def test_a_fortified_printf_looks_as_printf_does(handled: Handled) -> None:
    """__printf_chk has a parameter more, which no handler of printf knows of."""
    ran = libc(handled, WORDS, "printf", target("printf", "h"), flags=FORTIFIED)
    assert "__printf_chk" == ran.of("printf")[0]["symbol"]
    assert ["100 two 3 4 5 600 700"] == ran.lines


def test_a_fortified_read_looks_as_read_does(handled: Handled) -> None:
    handler = 'printf("%lld bytes into %d\\n", regs->rdx, regs->rsi > 4096); fflush(stdout); regs->rdx = 2;'
    ran = libc(handled, handler, "read", target("read", "h"), flags=FORTIFIED)
    assert "__read_chk" == ran.of("read")[0]["symbol"]
    assert "4 bytes into 1" == ran.lines[0]
    assert 2 == ran.of("read")[0]["args"]["count"]


def test_a_handler_redirects_an_open(handled: Handled) -> None:
    ran = libc(handled, 'regs->rdi = (unsigned long)"/dev/null";', "open", target("open", "h"))
    assert "opened 1" == ran.lines[0].split(",")[0]
    assert ["/dev/null"] == [call["args"]["pathname"] for call in ran.of("open")]


def test_the_mode_of_open_is_an_argument_like_others(handled: Handled, tmp_path: Path) -> None:
    libc(handled, "regs->rdx = regs->rdx == 0600 ? 0400 : 0;", "create", target("open", "h"))
    assert 0o400 == (tmp_path / "made").stat().st_mode & 0o777


def test_the_optional_word_of_fcntl_is_an_argument_like_others(handled: Handled) -> None:
    assert ["duplicated to 60"] == libc(handled, "regs->rdx += 10;", "fcntl", target("fcntl", "h")).lines


def test_the_words_of_syscall_are_arguments_like_others(handled: Handled) -> None:
    assert ["syscall 0"] == libc(handled, "regs->rdi = SYS_getpid;", "syscall", target("syscall", "h")).lines


def test_an_exec_that_a_handler_skips_is_one_call(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = -1; errno = EPERM;", "exec", target("execl", "h"))
    assert ["exec failed"] == ran.lines
    assert [(-1, "EPERM")] == [(call["ret"], call["errno"]) for call in ran.of("execl")]


def test_an_exec_gets_the_path_that_the_handler_says(handled: Handled) -> None:
    assert 0 == libc(handled, 'regs->rdi = (unsigned long)"/bin/true";', "exec", target("execl", "h")).status


def test_a_function_that_does_not_return_cannot_be_skipped_but_changed(handled: Handled) -> None:
    assert 4 == libc(handled, "regs->rdi++; regs->orig_rax = -1;", "exit", target("exit", "h")).status


def test_a_tail_jump_runs_its_enter_handler(handled: Handled) -> None:
    ran = libc(handled, 'puts((char *)regs->rdi); regs->rdi = (unsigned long)"libnowhere.so";', "dlopen", target("dlopen", "h"))
    assert ["libm.so.6", "dlopen 0"] == ran.lines
    assert ["libnowhere.so"] == [call["args"]["filename"] for call in ran.of("dlopen")]


def test_a_tail_jump_can_be_skipped(handled: Handled) -> None:
    assert ["dlopen 1"] == libc(handled, "regs->orig_rax = -1; regs->rax = 1;", "dlopen", target("dlopen", "h")).lines


def test_a_handler_of_memset_may_use_memset(handled: Handled) -> None:
    ran = libc(handled, "char room[99]; memset(room, 'y', regs->rdx + 90); regs->rsi = room[97];", "memset", target("memset", "h"))
    assert ["memset yyyyyyyy"] == ran.lines


def test_a_transparent_union_is_a_pointer(handled: Handled) -> None:
    handler = 'printf("%lld %d %lld\\n", regs->rdi, PeekChar(pid, (long)regs->rsi), regs->rdx);'
    ran = libc(handled, handler, "connect", target("connect", "h"))
    assert ["99 2 16", "connect -1, Bad file descriptor"] == ran.lines


def test_a_result_that_the_handler_invented_is_no_proof_of_the_buffer(handled: Handled) -> None:
    """R7: read says that it filled a gigabyte; the capture reads what there is, and nobody dies."""
    ran = libc(handled, "regs->rax = 1 << 30;", "read", target("read", leave="h"))
    assert 0 == ran.status
    assert [1 << 30] == [call["ret"] for call in ran.of("read")]


def test_a_skipped_call_never_reads_what_its_pointers_lead_to(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = 9; regs->rsi = 1;", "read", target("read", "h"))
    assert (0, [9]) == (ran.status, [call["ret"] for call in ran.of("read")])


# --- errno -----------------------------------------------------------------------------------------------------------


def test_errno_of_the_call_survives_its_handlers(handled: Handled) -> None:
    """R2, though the handler's own calls fail."""
    ran = libc(handled, 'close(-1); errno = EDOM;', "open", target("open", "h", "h"))
    assert ["opened 0, No such file or directory"] == ran.lines
    assert ["ENOENT"] == [call["errno"] for call in ran.of("open")]


def test_a_handler_that_skips_a_call_also_gives_its_errno(handled: Handled) -> None:
    ran = libc(handled, "regs->orig_rax = -1; regs->rax = -1; errno = ENOSPC;", "open", target("open", "h"))
    assert ["opened 0, No space left on device"] == ran.lines
    assert ["ENOSPC"] == [call["errno"] for call in ran.of("open")]


def test_a_handler_that_changes_the_result_also_gives_its_errno(handled: Handled) -> None:
    ran = libc(handled, "if ((long)regs->rax >= 0) { regs->rax = -1; errno = EIO; }", "read", target("read", leave="h"))
    assert ["read -1, Input/output error"] == ran.lines
    assert [(-1, "EIO")] == [(call["ret"], call["errno"]) for call in ran.of("read")]


# --- what goes on meanwhile ------------------------------------------------------------------------------------------

COUNTER = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/user.h>
static _Thread_local int entered, left;
void enter(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; entered++; getppid(); free(malloc(10)); }
void leave(struct user_regs_struct *regs, int pid) { (void)regs; left += pid == getpid(); }
__attribute__((constructor)) static void loaded(void) { getppid(); free(malloc(10)); }
int entered_so_far(void) { return entered; }
void report(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; printf("entered %d, left %d\\n", entered, left); fflush(stdout); }
"""


def test_calls_that_a_handler_makes_are_suppressed_and_counted(handled: Handled) -> None:
    """Those of the library's constructor, and of loading it, are no calls of the program's either."""
    program = "#include <stdlib.h>\n#include <unistd.h>\nint main(void) { for (int i = 0; i < 5; i++) rand(); getppid(); return 0; }"
    ran = handled(COUNTER, program, target("rand", "enter"), "getppid", "malloc", options=("--summary",))
    assert 5 == len(ran.of("rand"))
    assert 1 == len(ran.of("getppid"))
    assert [] == ran.of("malloc")
    assert "suppressed" in ran.said


@pytest.mark.parametrize(("frequency", "times"), [(1, 1000), (3, 333), (10, 100), (300, 3), (2000, 0)])
def test_handlers_run_at_the_frequency_of_the_records(handled: Handled, frequency: int, times: int) -> None:
    """A frequency above 255 is none of a byte's."""
    program = "#include <stdlib.h>\n#include <unistd.h>\nint main(void) { for (int i = 0; i < 1000; i++) rand(); getppid(); return 0; }"
    ran = handled(COUNTER, program, target("rand", "enter", "leave", frequency=frequency), target("getppid", "report"))
    assert [f"entered {times}, left {times}"] == ran.lines
    assert times == len(ran.of("rand"))


THREADS = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *work(void *arg)
{
        for (int i = 0; i < 2000; i++)
                rand();
        getppid();
        return arg;
}
int main(void)
{
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, work, NULL);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        return 0;
}
"""


def test_handlers_run_in_every_thread_at_once(handled: Handled) -> None:
    ran = handled(COUNTER, THREADS, target("rand", "enter", "leave"), target("getppid", "report"), flags=("-pthread",))
    assert ["entered 2000, left 2000"] * 4 == ran.lines
    assert 8000 == len(ran.of("rand"))


FORKS = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
        rand();
        if (fork() == 0) {
                rand();
                getppid();
                _exit(0);
        }
        wait(NULL);
        getppid();
        return 0;
}
"""


def test_a_handler_in_a_fork_child_gets_the_childs_pid(handled: Handled) -> None:
    ran = handled(COUNTER, FORKS, target("rand", "enter", "leave"), target("getppid", "report"))
    assert ["entered 2, left 2", "entered 1, left 1"] == ran.lines
    assert 2 == len({call["pid"] for call in ran.of("rand")})


def test_one_handler_serves_many_targets(handled: Handled) -> None:
    ran = handled(COUNTER, FORKS, target("rand", "enter", "leave"), target("fork", "enter"), target("wait", "enter"),
                  target("getppid", "report"))  # fmt: skip
    assert "entered 3, left 1" == ran.lines[-1]


def test_a_handler_that_forks_leaves_both_processes_right(handled: Handled) -> None:
    handlers = """
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/user.h>
    #include <sys/wait.h>
    #include <unistd.h>
    void h(struct user_regs_struct *regs, int pid)
    {
            (void)regs;
            (void)pid;
            const pid_t child = fork();
            if (child == 0)
                    return;
            waitpid(child, NULL, 0);
    }
    """
    program = "#include <stdlib.h>\n#include <unistd.h>\nint main(void) { rand(); getppid(); return 0; }"
    ran = handled(handlers, program, target("rand", "h"), "getppid")
    assert (0, 1, 2) == (ran.status, len(ran.of("rand")), len(ran.of("getppid")))


JUMPS = """
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
sigjmp_buf place;
__attribute__((noinline)) static int deep(int n) { volatile char room[256]; room[n] = 1; return n ? deep(n - 1) + room[n] : getppid(); }
int main(void)
{
        volatile int jumps = 0;
        if (sigsetjmp(place, 1) == 0 || ++jumps < 10)
                rand();
        printf("jumped %d times, %d\\n", jumps, deep(5) != 0);
        return 0;
}
"""

JUMPER = """
#include <dlfcn.h>
#include <setjmp.h>
#include <sys/user.h>
extern sigjmp_buf place;
void h(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; siglongjmp(place, 1); }
"""


def test_a_handler_may_leave_by_siglongjmp(handled: Handled) -> None:
    """R3: calls from deeper frames than the handler's were are not taken for the handler's."""
    ran = handled(JUMPER, JUMPS, target("rand", "h"), "getppid", flags=("-rdynamic",))
    assert ["jumped 10 times, 1"] == ran.lines
    assert 1 == len(ran.of("getppid"))


def test_a_handler_may_jump_within_itself(handled: Handled) -> None:
    handlers = """
    #include <setjmp.h>
    #include <sys/user.h>
    #include <unistd.h>
    void h(struct user_regs_struct *regs, int pid)
    {
            jmp_buf here;
            (void)regs;
            (void)pid;
            if (setjmp(here) == 0)
                    longjmp(here, 1);
            getppid();
    }
    """
    program = "#include <stdlib.h>\n#include <unistd.h>\nint main(void) { rand(); getppid(); return 0; }"
    assert 1 == len(handled(handlers, program, target("rand", "h"), "getppid").of("getppid"))


def test_a_handler_that_crashes_is_the_programs_crash(handled: Handled) -> None:
    handlers = "#include <sys/user.h>\nvoid h(struct user_regs_struct *regs, int pid) { (void)regs; *(volatile int *)8 = pid; }"
    program = "#include <stdlib.h>\nint main(void) { rand(); return 0; }"
    ran = handled(handlers, program, target("rand", "h"))
    assert -signal.SIGSEGV == ran.status
    assert [(None, True)] == [(call["ret"], call.get("unfinished")) for call in ran.of("rand")]


def test_a_handler_may_exit(handled: Handled) -> None:
    handlers = "#include <stdlib.h>\n#include <sys/user.h>\nvoid h(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; exit(5); }"
    program = """
    #include <stdio.h>
    #include <stdlib.h>
    static void last(void) { puts("last"); }
    int main(void) { atexit(last); rand(); return 0; }
    """
    ran = handled(handlers, program, target("rand", "h"))
    assert (5, ["last"]) == (ran.status, ran.lines)


def test_a_signal_handler_that_interrupts_a_handler_does_no_harm(handled: Handled) -> None:
    handlers = "#include <signal.h>\n#include <sys/user.h>\nvoid h(struct user_regs_struct *regs, int pid) { (void)pid; raise(SIGUSR1); regs->rax = 1; }"
    program = """
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <unistd.h>
    static volatile int seen;
    static void on_signal(int number) { (void)number; seen += getppid() != 0; }
    int main(void)
    {
            stack_t stack = {.ss_size = 1 << 16};
            stack.ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            sigaltstack(&stack, NULL);
            struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
            sigaction(SIGUSR1, &action, NULL);
            rand();
            getppid();
            printf("seen %d\\n", seen);
            return 0;
    }
    """
    ran = handled(handlers, program, target("rand", "h"), "getppid")
    assert ["seen 1"] == ran.lines
    assert (1, 1) == (len(ran.of("rand")), len(ran.of("getppid")))


def test_the_time_of_handlers_is_not_the_calls(handled: Handled) -> None:
    handlers = "#include <sys/user.h>\n#include <time.h>\nvoid h(struct user_regs_struct *regs, int pid) { (void)regs; (void)pid; nanosleep(&(struct timespec){0, 300000000}, 0); }"
    program = "#include <stdlib.h>\nint main(void) { rand(); return 0; }"
    (call,) = handled(handlers, program, target("rand", "h", "h")).of("rand")
    assert call["duration"] < 300_000_000


def test_record_both_with_a_handler_is_still_one_call(handled: Handled) -> None:
    ran = libc(handled, "regs->rdx += 10;", "fcntl", target("fcntl", "h", record="both"))
    (call,) = ran.of("fcntl")
    assert ["duplicated to 60"] == ran.lines
    assert (60, 60) == (call["ret"], call["args"]["arg"])


# --- asking ptrace ---------------------------------------------------------------------------------------------------

TRACER = """
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
void h(struct user_regs_struct *regs, int pid)
{
        struct user_regs_struct mine;
        errno = 0;
        const long first = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rdi), NULL);
        const long got = ptrace(PTRACE_GETREGS, pid, NULL, &mine);
        printf("rdi %ld, getregs %ld, same %d\\n", first, got, mine.rsi == regs->rsi);
        const long word = ptrace(PTRACE_PEEKDATA, pid, regs->rsi, NULL);
        printf("word %.8s\\n", (const char *)&word);
        const long bad = ptrace(PTRACE_PEEKDATA, pid, 16, NULL);
        printf("bad address %ld, errno %d\\n", bad, errno == EIO);
        mine.rdx = 4;
        ptrace(PTRACE_SETREGS, pid, NULL, &mine);
        fflush(stdout);
}
"""


def test_a_handler_written_with_ptrace_itself_works_in_process(handled: Handled) -> None:
    program = '#include <unistd.h>\nint main(void) { return write(1, "abcdefgh", 8) != 4; }'
    ran = handled(TRACER, program, target("write", "h"))
    assert ["rdi 1, getregs 0, same 1", "word abcdefgh", "bad address -1, errno 1", "abcd"] == ran.lines
    assert 0 == ran.status


def test_ptrace_may_be_a_target_at_the_same_time(handled: Handled) -> None:
    program = """
    #include <errno.h>
    #include <stdio.h>
    #include <sys/ptrace.h>
    #include <unistd.h>
    int main(void)
    {
            write(1, "abcdefgh", 8);
            const long outside = ptrace(PTRACE_PEEKDATA, getpid(), main, NULL);
            printf("\\n%ld %d\\n", outside, errno == ESRCH);
            return 0;
    }
    """
    ran = handled(TRACER, program, target("write", "h"), "ptrace")
    assert ["word abcdefgh", "bad address -1, errno 1", "abcd", "-1 1"] == ran.lines[-4:]
    assert 1 == len(ran.of("ptrace"))


# --- loading ---------------------------------------------------------------------------------------------------------


def test_a_handler_library_finds_its_own_libraries_beside_it(tmp_path: Path, compile_c: Compile, wc_run: Run) -> None:
    """$ORIGIN is where the library lies, not where the session links to it."""
    (tmp_path / "lib").mkdir()
    side = compile_c("int side(void) { return 7; }", "-shared", "-fPIC", "-Wl,-soname,libside.so")
    (tmp_path / "lib" / "libside.so").write_bytes(side.read_bytes())
    (tmp_path / "h.c").write_text(
        "#include <sys/user.h>\nint side(void);\nvoid h(struct user_regs_struct *r, int pid) { (void)pid; r->rax = side(); }"
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", "h.c", "-o", "lib/h.so", "-Llib", "-lside", "-Wl,-rpath,$ORIGIN"], cwd=tmp_path, check=True
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"library_path": "lib/h.so", "funcs": [{"func_name": "rand", "back_exit": "h"}]})
    )
    program = compile_c('#include <stdio.h>\n#include <stdlib.h>\nint main(void) { printf("%d\\n", rand()); return 0; }')
    ran = wc_run("-c", tmp_path / "config.json", program, cwd="/")
    assert ("7\n", 0) == (ran.stdout, ran.returncode)


def test_main_has_its_environment_and_arguments_when_handlers_were_loaded(handled: Handled) -> None:
    program = '#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v) { rand(); printf("%d %s %d\\n", n, v[1], getenv("PATH") != NULL); return 0; }'
    ran = handled(COUNTER, program, target("rand", "enter"), arguments=("first",))
    assert ["2 first 1"] == ran.lines


def test_a_library_that_is_gone_is_a_warning_and_the_program_runs(
    tmp_path: Path, compile_c: Compile, wc_gen: Run, wc_run: Run
) -> None:
    library = tmp_path / "h.so"
    library.write_bytes(compile_c(COUNTER, *HANDLERS).read_bytes())
    config = {"library_path": "h.so", "funcs": [target("rand", "enter")]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert 0 == wc_gen(tmp_path / "config.json", "-o", tmp_path / "hooks.so").returncode
    os.unlink(library)
    ran = wc_run("--preload", tmp_path / "hooks.so", compile_c("#include <stdlib.h>\nint main(void) { rand(); return 0; }"))
    assert 0 == ran.returncode
    assert f"warning: no handler runs: {library}" in ran.stderr
    assert "rand() = 1804289383" in ran.stderr
