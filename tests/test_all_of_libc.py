"""Every function that libc and libm export is wrapped, or it is said why not.

What they export is read by pyelftools here, and what headers declare by looking for ``name (`` in every header below
/usr/include: ways of their own, which know nothing of the generator's. That programs work under the shim is the subject
of test_real_programs.py, that functions do what they do without it, of test_conformance.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from wc_intercept.generator.build import Planned, Shim, plan
from wc_intercept.generator.config import parse
from wc_intercept.generator.host import host

HIDDEN = 0x8000
"""Of a version index: another version is the default one."""
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
DECLARED = re.compile(r"\b[A-Za-z_]\w*\b(?=[\s)]*\()")
WRAPPED_OF_DECLARED = 0.99


def exported(path: str) -> Iterator[str]:
    """Yield the functions of a library, in their default versions outside of GLIBC_PRIVATE."""
    with open(path, "rb") as stream:
        elf = ELFFile(stream)
        numbers, definitions = (elf.get_section_by_name(f".gnu.version{kind}") for kind in ("", "_d"))
        for i, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
            number = numbers.get_symbol(i)["ndx"]
            if symbol["st_info"]["type"] not in ("STT_FUNC", "STT_LOOS") or symbol["st_shndx"] == "SHN_UNDEF":
                continue
            if isinstance(number, int) and not number & HIDDEN and version(definitions, number) != "GLIBC_PRIVATE":
                yield symbol.name


def version(definitions: Any, number: int) -> str:
    return str(next(definitions.get_version(number)[1]).name) if number > 1 else ""


@pytest.fixture(scope="module")
def names() -> list[str]:
    return sorted({name for path in (host().libc_path, host().libm_path) for name in exported(path)})


@pytest.fixture(scope="module")
def planned(names: list[str]) -> Planned:
    return plan(parse(json.dumps({"funcs": [{"func_name": name} for name in names]}), "config.json"))


def test_every_exported_name_is_answered(names: list[str], planned: Planned) -> None:
    assert 3000 < len(names)
    assert () == planned.unknown
    assert names == [line.requested for line in planned.plan.coverage]
    assert names == [line.target for line in planned.plan.coverage]


def test_what_is_not_wrapped_has_its_reason(planned: Planned) -> None:
    lines = planned.plan.coverage
    assert {"wrapped", "refused"} == {line.status for line in lines}
    assert [] == [line.requested for line in lines if line.status == "refused" and not line.reason]
    assert [] == [line.requested for line in lines if line.wrapper == "tail-jump" and not line.reason]
    refused = {line.requested for line in lines if line.status == "refused"}
    assert {"__errno_location", "__fentry__", "_mcount", "dlsym", "dlvsym", "mcount"} >= refused


def test_what_headers_declare_is_wrapped(names: list[str], planned: Planned) -> None:
    texts = (path.read_text(errors="replace") for path in Path("/usr/include").rglob("*.h") if path.is_file())
    declared = {name for text in texts for name in DECLARED.findall(COMMENT.sub("", text))} & set(names)
    wrappers = {wrapper.symbol: wrapper for wrapper in planned.plan.wrappers}
    assert 2000 < len(declared)
    assert WRAPPED_OF_DECLARED <= len(declared & wrappers.keys()) / len(declared)
    unread = {name for name in declared & wrappers.keys() if wrappers[name].detail == "no header declares it"}
    assert {"__pthread_cleanup_routine"} >= unread  # a macro's inline function that has an exported copy


def test_the_shim_exports_every_name(names: list[str], every_function: Path) -> None:
    refused = {line.requested for line in Shim(every_function).manifest.coverage if line.status == "refused"}
    with open(every_function, "rb") as stream:
        symbols = {symbol.name for symbol in ELFFile(stream).get_section_by_name(".dynsym").iter_symbols()}
    assert set() == set(names) - refused - symbols


def test_a_star_takes_every_name_but_the_hottest(names: list[str], all_but_the_hottest: Path) -> None:
    coverage = Shim(all_but_the_hottest).manifest.coverage
    left_out = {symbol for line in coverage if line.status == "excluded" for symbol in line.symbols}
    taken = {symbol for line in coverage if line.status == "wrapped" for symbol in line.symbols}
    refused = {line.target for line in coverage if line.status == "refused"}
    assert {"_mcount"} >= set(names) - left_out - taken - refused  # mcount by another name
    assert {"malloc", "free", "memcpy", "strlen", "wcslen"} <= left_out
    assert set() == left_out & taken
