"""Looks at a finished shim before anyone gets it: is it what the emitter meant, and harmless to load anywhere?

Called by build.py after the link. Every check stands for a rule of the runtime; a violation is our own bug, said as an
error so that no program is ever run under such a shim. Absent on purpose: the manifest's content (its reader's tests).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from .errors import our_bug

MOST_TLS = 64
"""Bytes; R1."""
ALLOWED = ("libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
"""R6. The loader is part of libc."""
EXPORTED = ("STB_GLOBAL", "STB_WEAK", "STB_GNU_UNIQUE", "STB_LOOS")
PF_X = 1
DF_TEXTREL = 4
DF_1_NODELETE = 8
DF_1_INITFIRST = 32
RELOCATIONS_OF_CALLS = {"EM_X86_64": (6, 7), "EM_AARCH64": (1025, 1026)}
"""GLOB_DAT and JUMP_SLOT."""

Export = tuple[str, str]
"""(name, version); the version is empty for an unversioned one."""


def verify(shim: Path, exports: Collection[Export]) -> None:
    """Raise the error for a shim that does not export exactly *exports*, or breaks a rule."""
    with shim.open("rb") as stream:
        elf = ELFFile(stream)
        for check in CHECKS:
            for complaint in check(elf):
                raise our_bug(f"the generated shim {complaint}", str(shim))
        found, wanted = set(exported(elf)), set(exports)
        for name, version in sorted(found ^ wanted):
            verb = "exports" if (name, version) in found else "does not export"
            raise our_bug(f"the generated shim {verb} {name}{'@' + version if version else ''}", str(shim))


def exported(elf: ELFFile) -> Iterator[Export]:
    """Yield what the library exports."""
    symbols = _section(elf, ".dynsym")
    versions = _section(elf, ".gnu.version")
    names = _version_names(elf)
    for index, symbol in enumerate(symbols.iter_symbols() if symbols else ()):
        if symbol["st_shndx"] in ("SHN_UNDEF", "SHN_ABS") or symbol["st_info"]["bind"] not in EXPORTED:
            continue
        number = versions.get_symbol(index)["ndx"] if versions else "VER_NDX_GLOBAL"
        yield symbol.name, names.get(number & 0x7FFF, "") if isinstance(number, int) else ""


def _version_names(elf: ELFFile) -> dict[int, str]:
    section = _section(elf, ".gnu.version_d")
    if section is None:
        return {}
    return {version["vd_ndx"]: next(iter(names)).name for version, names in section.iter_versions()}


def _needed(elf: ELFFile) -> Iterator[str]:
    for tag in _tags(elf, "DT_NEEDED"):
        if tag.needed not in ALLOWED:
            yield f"needs the library {tag.needed}"


def _stack(elf: ELFFile) -> Iterator[str]:
    stacks = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_GNU_STACK"]
    if not stacks or stacks[0]["p_flags"] & PF_X:
        yield "asks for an executable stack"


def _text(elf: ELFFile) -> Iterator[str]:
    flags = [tag["d_val"] for tag in _tags(elf, "DT_FLAGS")]
    if list(_tags(elf, "DT_TEXTREL")) or any(flag & DF_TEXTREL for flag in flags):
        yield "has relocations in its code"
    for segment in elf.iter_segments():
        if segment["p_type"] == "PT_LOAD" and segment["p_flags"] & PF_X and segment["p_flags"] & 2:
            yield "has a segment that is writable and executable"


def _flags(elf: ELFFile) -> Iterator[str]:
    flags = [tag["d_val"] for tag in _tags(elf, "DT_FLAGS_1")]
    for bit, name in ((DF_1_NODELETE, "nodelete"), (DF_1_INITFIRST, "initfirst")):
        if not any(flag & bit for flag in flags):
            yield f"is not marked {name}"


def _tls(elf: ELFFile) -> Iterator[str]:
    for segment in elf.iter_segments():
        if segment["p_type"] == "PT_TLS" and segment["p_memsz"] > MOST_TLS:
            yield f"has {segment['p_memsz']} bytes of thread-local storage, {MOST_TLS} are allowed"


def _own_calls(elf: ELFFile) -> Iterator[str]:
    """R1: what the runtime calls must not be one of the wrappers."""
    kinds = RELOCATIONS_OF_CALLS.get(elf["e_machine"], ())
    symbols = _section(elf, ".dynsym")
    for name in (".rela.dyn", ".rela.plt"):
        section = _section(elf, name)
        for relocation in section.iter_relocations() if section else ():
            if relocation["r_info_type"] in kinds:
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                if symbol["st_shndx"] != "SHN_UNDEF":
                    yield f"calls its own wrapper {symbol.name}"


def _manifest(elf: ELFFile) -> Iterator[str]:
    if _section(elf, ".wc_manifest") is None:
        yield "has no manifest"


def _tags(elf: ELFFile, name: str) -> Iterator[Any]:
    dynamic = _section(elf, ".dynamic")
    return iter(dynamic.iter_tags(name)) if dynamic else iter(())


def _section(elf: ELFFile, name: str) -> Any:
    """Return the section, of whichever class the name implies, or None."""
    return elf.get_section_by_name(name)


CHECKS: tuple[Callable[[ELFFile], Iterator[str]], ...] = (
    _needed,
    _stack,
    _text,
    _flags,
    _tls,
    _own_calls,
    _manifest,
)
