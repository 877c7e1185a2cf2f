"""What was written for the original runs unchanged: its programs, handlers, preload sources, configs and command line.

The sources and configs of tests/data/original are as its documentation prints them. Only library_path, which is inside
its author's home, is replaced; a program that takes three minutes is watched for some seconds and then terminated.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, Run
from handling import Handled, handled, main, one, target

__all__ = ["handled"]  # a fixture

ORIGINAL = Path(__file__).parent / "data" / "original"
INCLUDE = Path(__file__).parent.parent / "runtime" / "include"
LAZY, NOW = "-Wl,-z,lazy", "-Wl,-z,now"
RANDOM = [1804289383, 846930886, 1681692777]
Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """build("tracee.c", "tracee", flags...): as the documentation builds it, with gcc and no flags of ours."""

    def run(source: str, output: str, *flags: str) -> Path:
        command = ["gcc", *flags, str(ORIGINAL / source), "-o", output]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return tmp_path / output

    return run


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """config("usage", library): the config with its library_path replaced, and nothing else."""

    def write(name: str, library: str) -> Path:
        text = (ORIGINAL / f"{name}.json").read_text()
        before = text.index('"/home/huomax')
        after = text.index('"', before + 1) + 1
        path = tmp_path / "conf" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text[:before] + json.dumps(library) + text[after:])
        return path

    return write


def calls_of(path: Path) -> list[dict[str, Any]]:
    """Return the calls in *path*; a last line that is being written does not count."""
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")]


@contextmanager
def watched(folder: Path, program: str, *options: str) -> Iterator[Callable[[int], list[str]]]:
    """Run the program on a terminal; give a function that returns its first n lines; terminate it at the end."""
    ours, its = pty.openpty()
    command = [str(BIN / "wc-run"), "-e", program, *options, "--format", "jsonl", "-o", "calls.jsonl"]
    running = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    terminal = os.fdopen(ours, "r", encoding="utf-8")
    try:
        yield lambda count: [terminal.readline().rstrip() for _ in range(count)]
        running.send_signal(signal.SIGTERM)
        assert -signal.SIGTERM == running.wait(60), running.stderr.read() if running.stderr else ""
    finally:
        terminal.close()
        running.kill()
        running.communicate()


def rand_lines(count: int) -> list[str]:
    return [line for number in RANDOM[:count] for line in ("rand enter", "rand exit", f"num: {number}")]


def test_the_first_example_shows_both_handlers_around_each_call(
    tmp_path: Path, build: Build, config: Callable[..., Path]
) -> None:
    build("tracee.c", "tracee")
    library = build("backend_table.c", "backend_table.so", "-shared", "-fPIC")
    with watched(tmp_path, "./tracee", "-c", str(config("usage", str(library))), "-l") as lines:
        assert rand_lines(2) == lines(6)
    calls = calls_of(tmp_path / "calls.jsonl")
    assert RANDOM[:2] == [call["ret"] for call in calls][:2]
    assert {"rand"} == {call["func"] for call in calls}
    assert "tracee" in (tmp_path / "logger.txt").read_text()


@pytest.mark.parametrize("binding", ["", LAZY, NOW])
def test_lazy_binding_makes_no_difference(
    tmp_path: Path, build: Build, config: Callable[..., Path], binding: str
) -> None:
    build("test_dynamic.c", "test_dynamic", *([binding] if binding else []))
    library = build("backend_dynamic.c", "backend_table.so", "-shared", "-fPIC", "-ldl")
    with watched(tmp_path, "./test_dynamic", "-c", str(config("dynamic-after", str(library)))) as lines:
        assert rand_lines(2) == lines(6)


def test_two_targets_have_two_pairs_of_handlers(tmp_path: Path, build: Build, config: Callable[..., Path]) -> None:
    build("test_dynamic.c", "test_dynamic")
    library = build("backend_dynamic.c", "backend_table.so", "-shared", "-fPIC")
    with watched(tmp_path, "./test_dynamic", "-c", str(config("dynamic-before", str(library))), "-l") as lines:
        assert [*rand_lines(1), "sleep enter", "sleep exit", *rand_lines(2)[3:]] == lines(8)


def test_a_relative_library_path_is_relative_to_the_config(
    tmp_path: Path, build: Build, config: Callable[..., Path]
) -> None:
    build("tracee.c", "tracee")
    build("backend_table.c", "backend_table.so", "-shared", "-fPIC")
    with watched(tmp_path, "./tracee", "-c", str(config("usage", "../backend_table.so")), "-l") as lines:
        assert rand_lines(1) == lines(3)


def test_the_performance_example_counts_every_call(
    tmp_path: Path, build: Build, config: Callable[..., Path], wc_run: Run
) -> None:
    """Its config has a trailing comma; its handlers are empty; malloc, free and memset are among its targets."""
    source = (ORIGINAL / "test_rw.c").read_text()
    assert "count = 100000" in source
    program = build("test_rw.c", "test_rw", "-fno-builtin")
    library = build("backend_dynamic.c", "backend_table.so", "-shared", "-fPIC")
    (tmp_path / "read.txt").write_text("hello\n")
    output = tmp_path / "calls.wc"
    ran = wc_run("-e", program, "-c", config("performance", str(library)), "-l", "--summary", "--format", "wc",
                 "-o", output, cwd=tmp_path, timeout=400)  # fmt: skip
    assert 0 == ran.returncode, ran.stderr
    assert ran.stdout.startswith("cost msec: ")
    assert 256 * 100000 == (tmp_path / "write.txt").stat().st_size


def test_a_preload_source_written_with_the_three_macros_compiles_and_runs(
    tmp_path: Path, build: Build, wc_run: Run
) -> None:
    library = build("preload_table.c", "preload_table.so", "-shared", "-fPIC", f"-I{INCLUDE}", "-ldl")
    main = '#include <stdio.h>\n#include <stdlib.h>\nint main() { free(malloc(77)); puts("ran"); }'
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["gcc", "-fno-builtin", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    config = {"ld_preload": str(library), "logger_path": "./logger.txt", "funcs": [{"func_name": "malloc"}]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ran = wc_run("-e", "./main", "-c", "config.json", "-l", "--format", "jsonl", "-o", "calls.jsonl", cwd=tmp_path)
    assert (0, "ran\n") == (ran.returncode, ran.stdout)
    assert [77] == [call["args"]["size"] for call in calls_of(tmp_path / "calls.jsonl") if call["args"]["size"] == 77]


# --- defects of the original that concern configs and handlers -------------------------------------------------------


def run_config(folder: Path, wc_run: Run, config: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    (folder / "config.json").write_text(config)
    return wc_run("-c", "config.json", "-l", *words, cwd=folder, **more)


def test_d1_a_config_with_only_system_calls_is_not_silently_ignored(tmp_path: Path, wc_run: Run) -> None:
    """By preloading alone (-l) it cannot be served, and says so."""
    ran = run_config(tmp_path, wc_run, '{"syscalls": [{"syscall_id": 1}]}', "-e", "/bin/true")
    assert 125 == ran.returncode
    assert "1: it is a system call" in ran.stderr


MEMORY = main(
    "stdio.h stdlib.h string.h",
    """
    long words[6] = {-1, 0x0807060504030201, 0x100f0e0d0c0b0a09, 3, 4, 5};
    void (*volatile release)(void *) = free;
    void *volatile place = memcpy(malloc(sizeof words), words, sizeof words);
    setvbuf(stdout, NULL, _IOLBF, 0);
    release(place);
    """,
)


def test_d5_what_an_enter_handler_sees_and_sets_is_the_call_itself(handled: Handled) -> None:
    """The original ran it behind the function's first instruction, and setting registers ran that once more."""
    body = "struct user_regs_struct mine; GetRegs(pid, &mine); mine.rdi += 2; SetRegs(pid, &mine);"
    handler = one("wc_ptrace.h", body)
    program = main("stdio.h stdlib.h", 'for (int i = 0; i < 3; i++) printf("%d\\n", abs(i));')
    ran = handled(handler, program, target("abs", "h"), flags=("-fno-builtin",))
    assert ["2", "3", "4"] == ran.lines


def test_d12_minus_one_is_a_value_and_a_bad_address_an_error(handled: Handled) -> None:
    body = """
    errno = 0;
    const long word = PeekLong(pid, (long)regs->rdi);
    printf("%ld, errno %d\\n", word, errno);
    const int bad = PeekInt(pid, 8);
    printf("%d, errno %d\\n", bad, errno == EFAULT);
    """
    ran = handled(one("wc_ptrace.h", body), MEMORY, target("free", "h"), flags=("-fno-builtin",))
    assert ["-1, errno 0", "-1, errno 1"] == ran.lines[:2]


def test_d12_data_of_any_length_is_read_in_order(handled: Handled) -> None:
    body = """
    unsigned char data[16] = {0};
    const int done = PeekData(pid, (long)regs->rdi + 8, 13, (char *)data);
    printf("%d:", done);
    for (int i = 0; i < 16; i++)
            printf(" %d", data[i]);
    printf("\\n%d %d\\n", PeekData(pid, (long)regs->rdi, 0, (char *)data), PeekData(pid, 8, 4, (char *)data));
    """
    ran = handled(one("wc_ptrace.h", body), MEMORY, target("free", "h"), flags=("-fno-builtin",))
    assert ["1: 1 2 3 4 5 6 7 8 9 10 11 12 13 0 0 0", "-1 -1"] == ran.lines[:2]


def test_d12_a_poke_writes_the_value_and_nothing_beside_it(handled: Handled) -> None:
    body = """
    const long at = (long)regs->rdi + 8;
    bool done = PokeChar(pid, at, 0x11) && PokeInt(pid, at + 2, -1) && PokeLong(pid, at + 8, 77);
    printf("%d %lx %ld %d\\n", done, PeekLong(pid, at), PeekLong(pid, at + 8), PokeLong(pid, 8, 1));
    """
    ran = handled(one("wc_ptrace.h", body), MEMORY, target("free", "h"), flags=("-fno-builtin",))
    assert ["1 807ffffffff0211 77 0"] == ran.lines[:1]


def test_d10_errors_of_a_config_are_errors(tmp_path: Path, wc_run: Run) -> None:
    wrong = ("{", "[]", '{"funcs": 1}', '{"funcs": [{"func_name": 7}]}', '{"fucns": []}', '{"funcs": [{"func": "a"}]}')
    for text in wrong:
        ran = run_config(tmp_path, wc_run, text, "-e", "/bin/true")
        assert 125 == ran.returncode, text
        assert "config.json:1:" in ran.stderr, text


def test_d13_the_users_own_preload_is_kept(tmp_path: Path, build: Build, wc_run: Run) -> None:
    late = '#include <unistd.h>\n__attribute__((constructor)) static void c(void) { write(1, "kept\\n", 5); }'
    (tmp_path / "late.c").write_text(late)
    subprocess.run(["gcc", "-shared", "-fPIC", "late.c", "-o", "late.so"], cwd=tmp_path, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "late.so")}
    ran = run_config(tmp_path, wc_run, '{"funcs": [{"func_name": "rand"}]}', "-e", "/bin/true", env=environment)
    assert ("kept", 0) == (ran.stdout.splitlines()[-1], ran.returncode)


def test_d13_without_the_option_nothing_of_the_users_is_erased(tmp_path: Path, wc_run: Run) -> None:
    (tmp_path / "config.json").write_text('{"funcs": [{"func_name": "rand"}]}')
    environment = {**os.environ, "LD_PRELOAD": "libm.so.6"}
    ran = wc_run("-c", "config.json", "sh", "-c", 'echo "$LD_PRELOAD"', cwd=tmp_path, env=environment)
    assert "libm.so.6" == ran.stdout.strip().rpartition(":")[2]


def test_d15_a_frequency_counts_beyond_a_byte(tmp_path: Path, wc_run: Run) -> None:
    (tmp_path / "main.c").write_text("#include <stdlib.h>\nint main() { for (int i = 0; i < 900; i++) rand(); }")
    subprocess.run(["gcc", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    config = '{"funcs": [{"func_name": "rand", "frequency": 300}]}'
    run_config(tmp_path, wc_run, config, "--format", "jsonl", "-o", "calls.jsonl", "-e", "./main")
    assert 3 == len(calls_of(tmp_path / "calls.jsonl"))


def test_d15_preload_true_is_what_it_says_and_false_is_named(tmp_path: Path, wc_run: Run) -> None:
    config = '{"funcs": [{"func_name": "rand", "preload": true}, {"func_name": "sleep", "preload": false}]}'
    ran = run_config(tmp_path, wc_run, config, "-e", "/bin/true")
    assert 0 == ran.returncode
    assert "sleep is not intercepted" in ran.stderr
    assert "rand is not intercepted" not in ran.stderr


def test_the_program_gets_its_arguments_and_gives_its_status(tmp_path: Path, wc_run: Run) -> None:
    """The original passed no argv at all, not even argv[0]."""
    ran = run_config(tmp_path, wc_run, '{"funcs": [{"func_name": "rand"}]}', "sh", "-c", 'exit $#', "a", "b", "c")
    assert 2 == ran.returncode
