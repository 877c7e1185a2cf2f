"""The tracer's plan: the same bytes as wc_plan.h lays out, the same records as the shim's, accepted by its reader."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from wc_intercept import runtime
from wc_intercept.consumer.tracer import SYMBOL_SIZE
from wc_intercept.generator import scopes, tracer_plan
from wc_intercept.generator.build import plan, scene_of
from wc_intercept.generator.config import parse
from wc_intercept.generator.elf import Library
from wc_intercept.generator.emit import Emission, emit
from wc_intercept.generator.host import host
from wc_intercept.generator.lengths import LengthError, Operand, compile_steps

RUNTIME = Path(next(iter(runtime.__path__)))
PLAN_H = RUNTIME / "include" / "wc_plan.h"
FORMATS = {
    "wct_plan_head": tracer_plan.HEAD, "wct_target": tracer_plan.TARGET, "wct_symbol": tracer_plan.SYMBOL,
    "wct_argument": tracer_plan.ARGUMENT, "wct_step": tracer_plan.STEP,
}  # fmt: skip
"""The structs of wc_plan.h, and how they are packed."""
CONSTANTS = {
    "WCT_PLAN_MAGIC": tracer_plan.MAGIC, "WCT_PLAN_VERSION": tracer_plan.VERSION, "WCT_NORETURN": tracer_plan.NORETURN,
    "WCT_FALLBACK": tracer_plan.FALLBACK, "WCT_INTERNAL": tracer_plan.INTERNAL, "WCT_UNTYPED": tracer_plan.UNTYPED,
    "WCT_PRINTF": tracer_plan.PRINTF, "WCT_SCANF": tracer_plan.SCANF, "WCT_EXECS": tracer_plan.EXECS,
    "WCT_NONE": tracer_plan.NONE, "WCT_SIGNED": tracer_plan.SIGNED, "WCT_UNSIGNED": tracer_plan.UNSIGNED,
    "WCT_BOOL": tracer_plan.BOOL, "WCT_FLOAT": tracer_plan.FLOAT, "WCT_LONG_DOUBLE": tracer_plan.LONG_DOUBLE,
    "WCT_STRUCT": tracer_plan.STRUCT, "WCT_COMPLEX": tracer_plan.COMPLEX, "WCT_IN_REGISTER": tracer_plan.IN_REGISTER,
    "WCT_IN_VECTOR": tracer_plan.IN_VECTOR, "WCT_ON_STACK": tracer_plan.ON_STACK,
    "WCT_IN_RESULT": tracer_plan.IN_RESULT, "WCT_IN_VARIADIC": tracer_plan.IN_VARIADIC,
    "WCT_KEEP_TEXT": tracer_plan.CONTENT["text"], "WCT_KEEP_BYTES": tracer_plan.CONTENT["bytes"],
    "WCT_KEEP_TEXTS": tracer_plan.CONTENT["texts"], "WCT_KEEP_VARIADIC": tracer_plan.VARIADIC,
    "WCT_AT_ENTRY": tracer_plan.AT_ENTRY, "WCT_AT_SUCCESS": tracer_plan.AT_SUCCESS,
    "WCT_AT_RETURN": tracer_plan.AT_RETURN, "WCT_AT_BOTH": tracer_plan.AT_BOTH,
    "WCT_FAIL_MINUS_ONE": tracer_plan.FAILS["-1"], "WCT_FAIL_NULL": tracer_plan.FAILS["NULL"],
    "WCT_FAIL_NEGATIVE": tracer_plan.FAILS["<0"], "WCT_FAIL_NONZERO": tracer_plan.FAILS["nonzero"],
    "WCT_FAIL_ERRNO": tracer_plan.FAILS["errno"],
    "WCT_FAIL_ZERO": tracer_plan.FAILS["zero"], "WCT_RECORD_ENTRY": tracer_plan.RECORD["entry"],
    "WCT_RECORD_BOTH": tracer_plan.RECORD["both"], "WCT_CLOCK_ONE": tracer_plan.CLOCKS["one"],
    "WCT_CLOCK_NONE": tracer_plan.CLOCKS["none"], "WCT_MOST_ARGUMENTS": tracer_plan.MOST_ARGUMENTS,
    "WCT_MOST_BLOBS": tracer_plan.MOST_BLOBS, "WCI_PATH_LIMIT": tracer_plan.PATH_LIMIT,
    **{f"WCT_{name.upper()}": number for name, number in tracer_plan.OPERATIONS.items()},
    **{f"WCT_WHEN_{name.upper()}": number for name, number in tracer_plan.CONDITIONS.items()},
    "WCT_OF_RESULT": scopes.RESULT, "WCT_OF_CALLER": scopes.CALLER,
}  # fmt: skip
"""The header's names for what the packer writes as numbers; it calls operations by the same names."""


def members(name: str) -> list[str]:
    """Return the members of a struct as the header lists them, without spare ones."""
    body = re.search(rf"struct {name} \{{(.*?)\n\}};", PLAN_H.read_text(), re.S)
    assert body is not None
    lines = re.sub(r"/\*.*?\*/", "", body[1], flags=re.S).split(";")
    words = (re.sub(r"^\s*u?int\d+_t\s+", "", line) for line in lines)
    return [m.strip() for line in words for m in line.split(",") if m.strip() and not m.strip().startswith("spare")]


def offsets(form: struct.Struct) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of each value that a format packs."""
    at = 0
    for count, letter in re.findall(r"(\d*)([a-zA-Z])", form.format.lstrip("<")):
        size = struct.calcsize(f"<{letter}")
        for _ in range(int(count or 1)):
            if letter != "x":
                yield at, size
            at += size


@pytest.fixture(scope="module")
def truth(compile_c: Callable[..., Path]) -> dict[str, list[int]]:
    lines = [f'printf("{name} %zu\\n", sizeof(struct {name}));' for name in FORMATS]
    for name in FORMATS:
        for m in members(name):
            member = f"((struct {name} *)0)->{m}"
            lines.append(f'printf("{name}.{m} %zu %zu\\n", offsetof(struct {name}, {m}), sizeof({member}));')
    lines += [f'printf("{name} %llu\\n", (unsigned long long){name});' for name in CONSTANTS]
    text = "#include <stdio.h>\n#include <wct.h>\n#include <wci_shim.h>\nint main(void) {\n" + "\n".join(lines)
    folders = [f"-I{RUNTIME / folder}" for folder in ("include", "tracer", "shim")]
    program = compile_c(text + "\nreturn 0;\n}\n", *folders)
    output = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: [int(word) for word in line.split()[1:]] for line in output.splitlines()}


def test_every_struct_has_cs_size(truth: dict[str, list[int]]) -> None:
    assert {name: truth[name][0] for name in FORMATS} == {name: form.size for name, form in FORMATS.items()}


@pytest.mark.parametrize("name", ["wct_plan_head", "wct_target", "wct_symbol", "wct_argument"])
def test_every_member_is_packed_where_c_has_it(truth: dict[str, list[int]], name: str) -> None:
    assert [tuple(truth[f"{name}.{member}"]) for member in members(name)] == list(offsets(FORMATS[name]))


def test_the_consumer_knows_where_symbols_stand(truth: dict[str, list[int]]) -> None:
    assert truth["wct_symbol"][0] == SYMBOL_SIZE


def test_every_constant_is_the_headers(truth: dict[str, list[int]]) -> None:
    assert {name: truth[name][0] for name in CONSTANTS} == CONSTANTS


# --- read back -------------------------------------------------------------------------------------------------------


class Symbol(NamedTuple):
    name: str
    library: str
    number: int
    first: int
    id: int
    target: int
    cells: int
    caller: int
    arguments: int
    flags: int
    result: int
    result_size: int
    result_at: int
    fail: int
    format: int
    injected: int
    inject: int
    result_means: int
    can_fail: int
    address: int
    when_before: int
    when_after: int


class Argument(NamedTuple):
    offset: int
    blob: int
    type: int
    size: int
    where: int
    place: int
    words: int
    content: int
    when: int
    indirect: int
    limit: int
    length: int
    condition: int
    name: int
    shown: int
    means: int
    own_size: int
    field: int


class Packed:
    """A plan's bytes, taken apart."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        head = tracer_plan.HEAD.unpack_from(data)
        self.size, self.manifest = head[2:4]
        counts = head[4:16]
        self.texts = data[counts[11] : counts[11] + counts[10]]
        self.library, self.shim = self.text(head[16]), self.text(head[17])
        self.targets = self.table(tracer_plan.TARGET, counts[0], counts[1])
        self.symbols = [
            Symbol(self.text(row[0]), self.text(row[1]), *row[2:])
            for row in self.table(tracer_plan.SYMBOL, counts[2], counts[3])
        ]
        self.arguments = [Argument(*row) for row in self.table(tracer_plan.ARGUMENT, counts[4], counts[5])]
        self.steps = self.table(tracer_plan.STEP, counts[6], counts[7])
        self.injects = self.table(tracer_plan.RULE, counts[8], counts[9])

    def text(self, at: int) -> str:
        return self.texts[at : self.texts.index(b"\0", at)].decode()

    def table(self, form: struct.Struct, count: int, at: int) -> list[Any]:
        return [form.unpack_from(self.data, at + i * form.size) for i in range(count)]

    def of(self, name: str) -> tuple[Symbol, list[Argument]]:
        (symbol,) = [symbol for symbol in self.symbols if symbol.name == name]
        return symbol, self.arguments[symbol.first : symbol.first + symbol.arguments]

    def program(self, at: int) -> list[tuple[str, int]]:
        """Return a program as (operation, value), without its end."""
        names = {number: name for name, number in tracer_plan.OPERATIONS.items()}
        steps = [(names[operation], value) for operation, _, _, value in self.steps[at:]]
        return steps[: steps.index(("end", 0))]


def emitted(engine: Any = "ptrace", **config: Any) -> Emission:
    return emit(plan(parse(json.dumps(config), "c.json"), scene=scene_of(engine, None)).plan)


def packed(*names: Any, syscalls: tuple[Any, ...] = (), **more: Any) -> Packed:
    """packed("open", {"func_name": ...}, syscalls=("read",)) -> their plan under the ptrace engine."""
    funcs = [name if isinstance(name, dict) else {"func_name": name} for name in names]
    emission = emitted(funcs=funcs, syscalls=[{"syscall_id": call} for call in syscalls], **more)
    return Packed(tracer_plan.pack(emission.plan, emission.traced, 0x1234, "shim.so"))


def test_the_head_says_what_the_file_holds() -> None:
    made = packed({"func_name": "rand", "back_enter": "on", "record": "both"}, library_path="/h.so")
    assert (len(made.data), 0x1234, "/h.so", "shim.so") == (made.size, made.manifest, made.library, made.shim)
    ((name, enter, leave, record, clocks, _),) = made.targets
    assert ("rand", "on", "", 2, 0) == (made.text(name), made.text(enter), made.text(leave), record, clocks)


def test_a_system_call_travels_in_its_six_registers() -> None:
    symbol, arguments = packed(syscalls=("pwrite64",)).of("pwrite64")
    assert (18, "", tracer_plan.SIGNED, 8) == (symbol.number, symbol.library, symbol.result, symbol.result_size)
    assert [(tracer_plan.IN_REGISTER, i) for i in range(4)] == [(a.where, a.place) for a in arguments]
    assert (tracer_plan.CONTENT["bytes"], tracer_plan.AT_ENTRY) == (arguments[1].content, arguments[1].when)


def test_a_length_is_a_program_over_the_arguments() -> None:
    made = packed(syscalls=("read", "write"))
    for name, expected in (("write", [("value", 2)]), ("read", [("result_value", 0)])):
        assert expected == made.program(made.of(name)[1][1].length)


def test_what_is_written_is_read_after_success_and_a_path_at_entry() -> None:
    made = packed(syscalls=("readlink",))
    _, (path, target, _) = made.of("readlink")
    assert (tracer_plan.AT_ENTRY, 4096) == (path.when, path.limit)
    assert tracer_plan.AT_SUCCESS == target.when


def test_a_string_that_is_returned_is_read_when_it_is_there() -> None:
    found = packed({"func_name": "getenv", "record": "both"}).of("getenv")[1][-1]
    assert (tracer_plan.IN_RESULT, tracer_plan.AT_RETURN) == (found.where, found.when)


def test_functions_that_do_not_return_are_recorded_at_their_entry() -> None:
    made = packed("exit", syscalls=("exit_group",))
    assert [tracer_plan.NORETURN] * 2 == [s.flags for s in made.symbols if s.name in ("exit", "exit_group")]


def test_a_call_that_replaces_the_program_is_marked() -> None:
    assert tracer_plan.EXECS == packed(syscalls=("execve",)).symbols[0].flags


def test_floats_structs_and_long_doubles_travel_by_the_calling_convention() -> None:
    made = packed(
        {"func_name": "f", "prototype": "double f(int a, double b, long double c, float d, long e, div_t g)"},
        {"func_name": "g", "prototype": "lldiv_t g(int a)"},
        {"func_name": "h", "prototype": "_Complex double h(_Complex double a, _Complex float b)"},
        {"func_name": "i", "prototype": "void i(int a, int b, int c, int d, int e, int f, int g, char h)"},
    )
    symbol, arguments = made.of("f")
    register, vector, stack = tracer_plan.IN_REGISTER, tracer_plan.IN_VECTOR, tracer_plan.ON_STACK
    expected = [(register, 0, 1), (vector, 0, 1), (stack, 0, 2), (vector, 1, 1), (register, 1, 1), (register, 2, 1)]
    assert expected == [(a.where, a.place, a.words) for a in arguments]
    assert (tracer_plan.FLOAT, 8) == (symbol.result, symbol.result_size)
    assert (tracer_plan.STRUCT, 16) == (made.of("g")[0].result, made.of("g")[0].result_size)
    assert [(vector, 0, 2), (vector, 2, 1)] == [(a.where, a.place, a.words) for a in made.of("h")[1]]
    assert [(stack, 0), (stack, 1)] == [(a.where, a.place) for a in made.of("i")[1]][6:]


def test_a_large_struct_comes_back_where_a_hidden_argument_says() -> None:
    made = packed({"func_name": "f", "prototype": "struct stat f(int a)"})
    assert 1 == made.of("f")[1][0].place


def test_a_function_without_a_prototype_has_six_words() -> None:
    emission = emitted(funcs=[{"func_name": "unknown_to_all", "preload": False}])
    ((traced, layout),) = emission.traced
    assert ["rdi", "rsi", "rdx", "rcx", "r8", "r9"] == [field.name for field in layout.symbol.fields]
    assert (True, "no prototype: the six integer registers") == (traced.untyped, layout.symbol.origin)


def test_printfs_arguments_are_decoded_behind_its_format() -> None:
    symbol, arguments = packed("fprintf").of("fprintf")
    assert (tracer_plan.PRINTF, 1) == (symbol.flags, symbol.format)
    assert (tracer_plan.IN_VARIADIC, tracer_plan.VARIADIC) == (arguments[-1].where, arguments[-1].content)


def test_names_of_one_address_are_one_symbol() -> None:
    emission = emitted(funcs=[{"func_name": "open"}])
    exports = Library.read(host().libc_path).exports
    addresses = {export.address for name, export in exports.items() if re.fullmatch(r"(__)?open(64)?(_2)?", name)}
    symbols = {traced.wrapper.symbol: traced.shared for traced, _ in emission.traced}
    assert (len(addresses), True) == (len(symbols), symbols["open"])
    assert {"ptrace"} == {symbol.engine for symbol in emission.manifest.symbols}


def test_lengths_that_are_the_same_are_one_program() -> None:
    made = packed(syscalls=("write", "sendto"))
    lengths = {made.of(name)[1][1].length for name in ("write", "sendto")}
    assert 1 == len(lengths)


# --- lengths ---------------------------------------------------------------------------------------------------------


def run(steps: list[tuple[str, int, int]], values: list[int], result: int) -> int:
    """Run a program as the tracer does, on values whose pointees are themselves."""
    stack: list[int] = []
    for operation, _, value in steps:
        if operation in ("constant", "value", "behind", "result_value"):
            stack.append(value if operation == "constant" else result if operation == "result_value" else values[value])
            continue
        right, left = stack.pop(), stack.pop()
        made = {
            "add": left + right, "subtract": left - right, "multiply": left * right, "minimum": min(left, right),
            "divide": left // right if right else 0, "and": left & right,
        }  # fmt: skip
        stack.append(made[operation] % (1 << 64))
    (last,) = stack
    return last


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("7", 7), ("a", 10), ("a*b", 30), ("a+b*2", 16), ("(a+b)*2", 26), ("a/4&3", 2), ("min(a, ret)", 5), ("*b", 3),
     ("a-b-1", 6), ("ret+sizeof", 13), ("b-a", (1 << 64) - 7)],
)  # fmt: skip
def test_a_length_computes_what_it_says(expression: str, expected: int) -> None:
    names = {"a": Operand(0, 8), "b": Operand(1, 4)}
    assert expected == run(compile_steps(expression, names, 8), [10, 3], 5)


def test_what_points_to_no_integer_has_no_length_behind_it() -> None:
    with pytest.raises(LengthError):
        compile_steps("*a", {"a": Operand(0)})


# --- all of it -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything() -> dict[str, Emission]:
    """Every function of libc and libm by each engine, and every system call."""
    names = sorted({name for path in (host().libc_path, host().libm_path) for name in Library.read(path).exports})
    funcs = [{"func_name": name, "caller": True} for name in names]
    return {
        "preload": emitted("preload", funcs=funcs),
        "ptrace": emitted("ptrace", funcs=funcs, syscalls=[{"syscall_id": "*"}]),
    }


def test_the_tracer_accepts_the_plan_of_all_there_is(
    everything: dict[str, Emission], compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    emission = everything["ptrace"]
    (tmp_path / "plan").write_bytes(tracer_plan.pack(emission.plan, emission.traced, 1))
    parts = ("wct_plan.c", "wct_tables.c", "wct_length.c", "wct_when.c")
    sources = [str(RUNTIME / "tracer" / name) for name in parts]
    reader = compile_c("plan_reader.c", f"-I{RUNTIME}/include", f"-I{RUNTIME}/tracer", *sources)
    done = subprocess.run([reader, tmp_path / "plan"], capture_output=True, text=True)
    assert (0, True) == (done.returncode, done.stdout.startswith(f"{len(emission.traced)} symbols, ")), done.stdout
    assert len(emission.traced) > 3400


def test_a_record_looks_the_same_whoever_writes_it(everything: dict[str, Emission]) -> None:
    """But for tail-jumps, of which the shim cannot see the return, and what is no function of libc's."""
    shims = {symbol.name: symbol for symbol in everything["preload"].manifest.symbols}
    compared = 0
    for traced, layout in everything["ptrace"].traced:
        shim = shims.get(traced.wrapper.symbol)
        if traced.number >= 0 or shim is None or shim.wrapper == "tail-jump":
            continue
        both = [(s.fields, s.result, s.cells, s.caller, s.variadic, s.returns) for s in (shim, layout.symbol)]
        assert both[0] == both[1], shim.name
        compared += 1
    assert compared > 2000
