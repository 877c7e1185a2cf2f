"""What debug information tells of a program's own functions, and what C++ calls them: through the calls that are shown."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS, Run
from wc_intercept.generator.demangle import demangle, symbols_of, without_parameters
from wc_intercept.generator.dwarf import DebugInformation
from wc_intercept.generator.elf import functions_of
from wc_intercept.generator.errors import UserError

OWN = ("integers", "floats", "small", "big", "texts", "wave", "nothing", "add_static")
SHOWN = [
    "integers(-1, 200, -300, 60000, -5, 4000000000, -7, 8) = -294907401",
    "floats(1.5, 2.5, 3, 4.5) = 11.5",
    "small({x=1, y=2}, {a=0.5, b=1.5}, {at={x=3, y=4}, weight=0.25}) = {x=1, y=5}",
    'big({words=[1, 2, 3], name="name"}, {a=1.5, b=4}, 5) = {words=[10, 2, 3], name="name"}',
    'texts("first", "second", POINTER, POINTER, BLUE, true) = "first"',
    "wave(1+2*I, 3+4*I) = 4+6*I",
    "nothing() = <void>",
    "add_static(1, -1) = 0",
]
CPLUSPLUS = """
#include <string>
namespace ns {
struct empty {};
struct copied { std::string s; };
struct returned { long a; returned(long b) : a(b) {} returned(const returned &o) : a(o.a) {} };
__attribute__((noipa)) int f(int a) { return a + 1; }
__attribute__((noipa)) int f(const char *s, empty, int b) { return s[0] + b; }
template <class T> __attribute__((noipa)) T twice(T a) { return a * 2; }
struct K {
        int v;
        __attribute__((noipa)) int m(double d, copied b) const { return v + (int)d + (int)b.s.size(); }
        __attribute__((noipa)) returned give(int a, int b) { return returned(v + a + b); }
};
}
int main()
{
        ns::K k{3};
        ns::copied b{"abc"};
        return ns::f(1) + ns::f("x", {}, 5) + ns::twice(4) + (int)ns::twice(2.5) + k.m(1.5, b) + (int)k.give(1, 2).a == 153
               ? 0 : 1;
}
"""

Own = Callable[..., list[str]]


def without_pointers(line: str) -> str:
    words = line.split("0x")
    return words[0] + "".join("POINTER" + word.lstrip("0123456789abcdef") for word in words[1:])


@pytest.fixture
def shown(wc_run: Run, tmp_path: Path) -> Own:
    """shown(program, "f", ...) -> the calls of its own functions as text, pointers left out."""

    def run(program: Path, *names: Any, **options: Any) -> list[str]:
        funcs = [name if isinstance(name, dict) else {"func_name": name} for name in names]
        (tmp_path / "c.json").write_text(json.dumps({"funcs": funcs}))
        done = wc_run("-c", tmp_path / "c.json", *options.get("words", ()), program)
        assert 0 == done.returncode, done.stderr
        return [without_pointers(line) for line in done.stderr.splitlines()]

    return run


@pytest.fixture(scope="session")
def cplusplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    folder = tmp_path_factory.mktemp("cplusplus")
    (folder / "p.cc").write_text(CPLUSPLUS)
    subprocess.run(["c++", "-g", "-O1", "p.cc", "-o", "p"], cwd=folder, check=True)
    return folder / "p"


# --- C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("-no-pie",), ("-static",), ("-static-pie",), ("-O2",), ("-gdwarf-4",), ("-O0",)])
def test_parameters_of_every_kind_are_shown(flags: tuple[str, ...], compile_c: Callable[..., Path], shown: Own) -> None:
    assert SHOWN == shown(compile_c("own_types.c", *flags), *OWN)


VARIADIC = """
#include <stdarg.h>
#include <stdio.h>
__attribute__((noipa)) int sum(int n, ...)
{
        va_list a;
        va_start(a, n);
        int s = 0;
        while (n-- > 0)
                s += va_arg(a, int);
        va_end(a);
        return s;
}
__attribute__((noipa)) int note(int level, const char *fmt, ...)
{
        va_list a;
        va_start(a, fmt);
        char text[64];
        int n = vsnprintf(text, sizeof text, fmt, a);
        va_end(a);
        return n + level;
}
int main(void) { return sum(2, 1, 2) != 3 || note(1, "%s %d %.1f", "x", 5, 2.5) != 8; }
"""


def test_what_follows_a_format_is_decoded_and_else_the_registers_are(
    compile_c: Callable[..., Path], shown: Own
) -> None:
    first, second = shown(compile_c(VARIADIC), "sum", "note")
    assert (True, 'note(1, "%s %d %.1f", "x", 5, 2.5) = 8') == (first.startswith("sum(2, 1, 2, "), second)


NARROW = """
#include <stdbool.h>
struct three { float a, b, c; };
struct split { long a; double b; };
struct bits { unsigned a : 3, b : 5; };
union either { int i; float f; };
#define OWN __attribute__((noipa))
OWN float half(float f) { return f / 2; }
OWN long double third(long double f) { return f / 3; }
OWN signed char low(int a) { return (signed char)a; }
OWN bool yes(int a) { return a != 0; }
OWN struct three more(struct three t) { t.a++; return t; }
OWN struct split back(struct split s) { s.a++; return s; }
OWN int opaque(struct bits b, union either e, __int128 wide, int last) { return b.b + e.i + (int)wide + last; }
int main(void)
{
        half(3);
        third(3);
        low(200);
        yes(2);
        more((struct three){1, 2, 3});
        back((struct split){1, 2});
        return opaque((struct bits){1, 2}, (union either){.i = 3}, 4, 5) != 14;
}
"""


def test_results_of_every_width_are_shown_and_what_cannot_be_is_left_out(
    compile_c: Callable[..., Path], shown: Own
) -> None:
    assert [
        "half(3.0) = 1.5", "third(3.0) = 1.0", "low(200) = -56", "yes(2) = true",
        "more({a=1.0, b=2.0, c=3.0}) = {a=2.0, b=2.0, c=3.0}", "back({a=1, b=2.0}) = <void>",
        "opaque({...}, {...}, ..., 5) = 14",
    ] == shown(compile_c(NARROW), "half", "third", "low", "yes", "more", "back", "opaque")  # fmt: skip


def test_clang_tells_the_same(compile_c: Callable[..., Path], shown: Own, tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("there is no clang")
    text = (TESTS / "c" / "own_types.c").read_text().replace("noipa", "optnone")
    assert SHOWN == shown(compile_c(text, "-O0", cc="clang"), *OWN)


def test_parameters_have_their_names_and_an_origin(compile_c: Callable[..., Path]) -> None:
    program = compile_c("own_types.c")
    debug = DebugInformation.of([str(program)])
    assert debug is not None
    function = debug.function("texts", functions_of(program)["texts"].address)
    assert function is not None
    assert ["a", "b", "c", "d", "e", "f"] == [param.name for param in function.params]
    line = 1 + (TESTS / "c" / "own_types.c").read_text().split("OWN const char *texts")[0].count("\n")
    assert f"own_types.c:{line}" == function.origin
    assert {"enum color": [("RED", 0, 0), ("GREEN", 1, 0), ("BLUE", -1, 0)]} == {
        name: names.entries for name, names in debug.names.items()
    }


def test_without_debug_information_six_registers_are_shown_and_said(
    compile_c: Callable[..., Path], shown: Own, wc_gen: Run, tmp_path: Path
) -> None:
    program = compile_c("own_types.c", "-g0")
    (line,) = shown(program, "add_static")
    assert (True, 5) == (line.startswith("add_static(1, 4294967295, ") and line.endswith(") = 0"), line.count(","))
    explained = wc_gen("c.json", "--explain", "--program", program, cwd=tmp_path).stdout
    assert "no prototype is known: six integer registers" in explained


def test_a_prototype_of_the_config_stands_in_for_debug_information(compile_c: Callable[..., Path], shown: Own) -> None:
    own = {"func_name": "add_static", "prototype": "int add_static(int first, int second)"}
    texts = {"func_name": "texts", "prototype": "char *texts(const char *a, char *b)"}
    assert ['texts("first", "second") = "first"', "add_static(1, -1) = 0"] == shown(
        compile_c("own_types.c", "-g0"), own, texts
    )


@pytest.mark.parametrize("record", ["exit", "both"])
def test_what_a_config_captures_is_bytes_whatever_the_type(
    record: str, compile_c: Callable[..., Path], wc_run: Run, tmp_path: Path
) -> None:
    program = compile_c(
        "#include <string.h>\n__attribute__((noipa)) int fill(char *out, const char *in, unsigned long n)\n"
        '{ memcpy(out, in, n); return n; }\nint main(void) { char b[9]; return fill(b, "a\\0cdef", 4) != 4; }\n'
    )
    capture = {"out": {"bytes": "return"}, "in": {"bytes": "n - 1"}}
    config = {"funcs": [{"func_name": "fill", "capture": capture, "record": record}]}
    (tmp_path / "c.json").write_text(json.dumps(config))
    (line,) = wc_run("-c", tmp_path / "c.json", "--format", "jsonl", program).stderr.splitlines()
    assert {"out": "a\0cd", "in": "a\0c", "n": 4} == json.loads(line)["args"]


def test_debug_information_in_a_file_of_its_own_is_found(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(compile_c("own_types.c"), program)
    subprocess.run(["objcopy", "--only-keep-debug", program, tmp_path / "debug"], check=True)
    address = functions_of(program)["add_static"].address
    subprocess.run(["strip", "--strip-debug", program], check=True)
    assert DebugInformation.of([str(program)]) is None
    debug = DebugInformation.of([str(program), str(tmp_path / "debug")])
    assert debug is not None
    function = debug.function("add_static", address)
    assert function is not None and ["first", "second"] == [param.name for param in function.params]


def test_damaged_debug_information_is_none(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Whatever stands there, a function is then one without a prototype."""
    program = compile_c("own_types.c")
    address = functions_of(program)["integers"].address
    data = bytearray(program.read_bytes())
    sections = {words[1]: words for words in map(str.split, _sections(program))}
    for name in (".debug_info", ".debug_abbrev", ".debug_str"):
        offset, size = int(sections[name][4], 16), int(sections[name][5], 16)
        hurt = bytearray(data)
        hurt[offset : offset + size] = bytes((37 * i + 11) % 256 for i in range(size))
        (tmp_path / "hurt").write_bytes(hurt)
        debug = DebugInformation.of([str(tmp_path / "hurt")])
        function = debug.function("integers", address) if debug else None
        assert function is None or "integers" == function.name


def _sections(program: Path) -> list[str]:
    """Return readelf's lines of sections, as "[N] name type address offset size ..."."""
    text = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
    return [line.replace("[ ", "[") for line in text.splitlines() if ".debug" in line]


# --- C++ -------------------------------------------------------------------------------------------------------------


def test_a_name_without_parameters_means_every_overload_and_instance(cplusplus: Path, shown: Own) -> None:
    assert ["ns::f(1) = 2", 'ns::f("x", 5) = 125', "ns::twice(4) = 8", "ns::twice(2.5) = 5.0"] == shown(
        cplusplus, "ns::f", "ns::twice"
    )


def test_a_name_with_parameters_means_one(cplusplus: Path, shown: Own) -> None:
    assert ["ns::f(int)(1) = 2"] == shown(cplusplus, "ns::f(int)")
    assert ["ns::twice<double>(2.5) = 5.0"] == shown(cplusplus, "ns::twice<double>")
    assert ["_ZN2ns1fEi(1) = 2"] == shown(cplusplus, "_ZN2ns1fEi")


def test_one_overload_and_the_rest_are_two_targets(cplusplus: Path, shown: Own) -> None:
    assert ["ns::f(int)(1) = 2", 'ns::f("x", 5) = 125'] == shown(cplusplus, "ns::f", "ns::f(int)")


def test_a_glob_over_names_of_cplusplus_is_a_target_for_each(cplusplus: Path, shown: Own) -> None:
    calls = shown(cplusplus, "ns::*", "ns::f(int)")
    assert ["ns::f(int)(1) = 2", 'ns::f("x", 5) = 125', "ns::twice<int>(4) = 8"] == calls[:3]
    assert {"ns::K::m", "ns::K::give"} <= {line.partition("(")[0] for line in calls}


def test_what_cplusplus_copies_travels_by_its_address(cplusplus: Path, shown: Own) -> None:
    """An argument with a destructor, and a result with a constructor that copies."""
    first, second = shown(cplusplus, "ns::K::m", "ns::K::give")
    assert "ns::K::m(POINTER, 1.5, POINTER) = 7" == first
    assert "ns::K::give(POINTER, 1, 2) = POINTER" == second


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("_ZN2ns1fEi", "ns::f(int)"), ("_ZN5hello4main17h0123456789abcdefE", "hello::main"), ("_ZNK2ns1K1mEdNS_6copiedE", "ns::K::m(double, ns::copied) const"), ("open", ""),
     ("_Znot_mangled", ""), ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back(int&&)")],
)  # fmt: skip
def test_a_symbol_is_demangled_as_cxxfilt_does(symbol: str, name: str) -> None:
    assert name == demangle(symbol)


@pytest.mark.parametrize(
    ("name", "alone"),
    [("ns::f(int)", "ns::f"), ("f(void (*)(int)) const", "f"), ("(anonymous namespace)::f(int) [clone .isra.0]",
     "(anonymous namespace)::f"), ("ns::operator()(int)", "ns::operator()"), ("int ns::g<int>(int)", "int ns::g<int>")],
)  # fmt: skip
def test_parameters_are_taken_off(name: str, alone: str) -> None:
    assert alone == without_parameters(name)


def test_names_match_without_spaces_and_with_or_without_templates() -> None:
    symbols = ["_ZN2ns1gIiEET_S1_", "_ZN2ns1gIdEET_S1_", "_ZN2ns2ggEv", "open", "_ZN2ns1gEi"]
    assert ["_ZN2ns1gEi", "_ZN2ns1gIdEET_S1_", "_ZN2ns1gIiEET_S1_"] == symbols_of("ns::g", symbols)
    assert ["_ZN2ns1gIiEET_S1_"] == symbols_of("ns :: g< int >", symbols) == symbols_of("ns::g<int>(int)", symbols)
    assert [] == symbols_of("g", symbols)


def test_without_a_cplusplus_runtime_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wc_intercept.generator.demangle._demangler", lambda: None)
    with pytest.raises(UserError) as caught:
        demangle("_ZN2ns1fEi")
    assert "libstdc++" in caught.value.why and "libstdc++6" in caught.value.try_


# --- Go --------------------------------------------------------------------------------------------------------------


def test_a_function_of_gos_is_recorded_at_its_entry(shown: Own, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    (tmp_path / "p.go").write_text(
        "package main\n//go:noinline\nfunc add(a, b int) int { return a + b }\n"
        "func main() { if add(1, 2) != 3 { panic(1) } }\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["go", "build", "-o", "p", "p.go"], cwd=tmp_path, check=True, env=environment, timeout=120)
    assert ["main.add() = ?"] == shown(tmp_path / "p", "main.add")
    assert ["main.main() = ?", "main.add() = ?"] == shown(tmp_path / "p", "main.*")
