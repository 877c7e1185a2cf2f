"""Compiles a shim: the only place that runs a compiler on generated code.

Called by build.py and cli.py with what emit.py made. The generated C, the runtime's C (from the installed package, by
the same compiler) and the manifest become one shared library. Rules: the user's CFLAGS, LDFLAGS and compiler search
paths are ignored; the same input gives the same bytes wherever it is built, so no path gets in; an output appears whole
or not at all. The runtime's objects are the same for every shim and are kept, by content, in the cache.

Absent on purpose: what a shim must look like once it is built (verify.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .cache import Cache, identity
from .errors import UserError
from .manifest import Manifest, encode

if TYPE_CHECKING:
    from .model import Plan, Platform

COMPILE = (
    "-std=gnu11",
    "-D_GNU_SOURCE",  # as headers.py read the headers
    "-O2",
    "-D_GNU_SOURCE",
    "-fPIC",
    "-fvisibility=hidden",  # R6: only wrappers are exported
    "-fexceptions",  # a C++ exception or a cancellation passes through wrappers
    "-fasynchronous-unwind-tables",
    "-ftls-model=initial-exec",  # R1: touching our TLS never allocates
    "-fno-builtin",  # a wrapper named memcpy must not be compiled into a call of memcpy
    "-fno-tree-loop-distribute-patterns",  # nor a loop
    "-fno-stack-protector",
    "-fno-strict-aliasing",  # cells are written as what they hold
    "-U_FORTIFY_SOURCE",
    "-g0",
    "-Wall",
    "-Wextra",
    "-Wno-ignored-optimization-argument",  # clang has not all of these
)
COMPILE_X86 = ("-fcf-protection",)
LINK = (
    "-shared",
    "-nostartfiles",  # crtbeginS.o would add exit-time work of its own; our constructor stands in .init_array
    "-nodefaultlibs",
    "-Wl,-z,now,-z,relro,-z,noexecstack",
    "-Wl,-z,nodelete",  # a dlclose must not unmap code that threads are inside of
    "-Wl,-z,initfirst",  # our constructor runs before everyone's, .preinit_array included
    "-Wl,-z,defs",
    "-Wl,--hash-style=gnu",
    "-Wl,--build-id=sha1",
    "-Wl,--as-needed",
    "-Wl,--exclude-libs,ALL",
)
LIBRARIES = ("-lgcc", "-lc")
IGNORED = (
    *("CFLAGS", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "LD_RUN_PATH"),
    *("GCC_COLORS", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "CCC_OVERRIDE_OPTIONS", "LDEMULATION"),
)
"""Variables that would make a compiler see, say or do something else."""
MOST_LINES = 6
"""Of the compiler's complaint that are shown."""
LOOK = "wc-gen CONFIG -o hooks.c, to look at the C"
MANIFEST_MAGIC = 0x3130304E414D4357
MANIFEST_SOURCE = "wci_manifest.s"


class Emission(Protocol):
    """What emit.py makes of a plan, as far as this file needs it."""

    @property
    def sources(self) -> Mapping[str, str]: ...
    @property
    def version_script(self) -> str: ...
    @property
    def manifest(self) -> Manifest: ...
    @property
    def words(self) -> Sequence[int]: ...


def compile_shim(
    emission: Emission, plan: Plan, output: Path, runtime_dir: Path, cache: Cache | None = None, *, strict: bool = False
) -> None:
    """Write the shim to *output*. *strict* makes the compiler's warnings errors (our own CI)."""
    compiler = find_compiler(plan.platform.compiler)
    flags = [*COMPILE, *(COMPILE_X86 if plan.platform.machine == "x86_64" else ()), *(["-Werror"] if strict else [])]
    with tempfile.TemporaryDirectory(prefix="wc-gen-") as name:
        work = Path(name)
        objects = _runtime_objects(compiler, flags, runtime_dir, cache or Cache.default(), work)
        sources = [*_write(emission.sources, work), *_write_manifest(emission, work)]
        include = [*_runtime_include(runtime_dir), *map(Path, plan.include_dirs)]
        run_all(_compile(compiler, flags, source, include, work) for source in sources)
        (work / "exports.map").write_text(emission.version_script)
        objects += [work / f"{source.name}.o" for source in sources]
        script = ["-Wl,--version-script=exports.map"] if emission.version_script.strip() else []
        run_all([Job([compiler, *LINK, *script, "-o", "shim.so", *map(str, objects), *LIBRARIES], work, "the shim")])
        place(work / "shim.so", output)


def write_c(emission: Emission, output: Path) -> list[Path]:
    """Write the generated C alone: *output*, and beside it what does not fit one file. Return what was written."""
    names = list(emission.sources)
    first = next((name for name in names if name.endswith(".c")), names[0])
    targets = {first: output}
    for name in names:
        beside = name if name.endswith(".h") else f"{output.stem}_{name.removeprefix('hooks_')}"
        targets.setdefault(name, output.with_name(beside))
    for name, target in targets.items():
        place_text(emission.sources[name], target)
    return list(targets.values())


def manifest_bytes(manifest: Manifest, words: Sequence[int]) -> tuple[bytes, int]:
    """Return the JSON, and the hash by which a shim, its session and its segments know each other.

    The hash is the first 8 bytes, little endian, of the SHA-256 of the JSON followed by the words (8 bytes each).
    """
    text = encode(manifest)
    digest = hashlib.sha256(text + b"".join(word.to_bytes(8, "little") for word in words))
    return text, int.from_bytes(digest.digest()[:8], "little")


def pack_manifest(manifest: Manifest, words: Sequence[int]) -> tuple[bytes, int]:
    """Return the bytes that section .wc_manifest of a shim holds, and the hash."""
    text, mark = manifest_bytes(manifest, words)
    head = struct.pack("<QIIQII", MANIFEST_MAGIC, manifest.abi, len(words), mark, len(text), 0)
    return head + b"".join(word.to_bytes(8, "little") for word in words) + text, mark


def find_compiler(name: str) -> str:
    """Return the absolute path of the compiler."""
    found = shutil.which(name)
    if found is None:
        why = "a shim is compiled by the C compiler of the machine that it runs on"
        raise UserError(f"no C compiler '{name}'", "PATH", why, "apt-get install gcc libc6-dev")
    return found


def dependencies(platform: Platform, headers: Sequence[str], include: Sequence[str]) -> list[str]:
    """Return the files that including *headers* reads."""
    text = "".join(f"#include <{header}>\n" for header in headers)
    command = [
        find_compiler(platform.compiler),
        *(f"-I{folder}" for folder in include),
        "-D_GNU_SOURCE",
        "-E",
        "-M",
        "-x",
        "c",
        "-",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", env=_environment())
    files = done.stdout.replace("\\\n", " ").split()[1:]
    return [file for file in files if file != "-"]


class Job:
    """One run of the compiler."""

    def __init__(self, command: Sequence[str], directory: Path, what: str) -> None:
        self.command = [str(word) for word in command]
        self.directory = directory
        self.what = what

    def run(self) -> None:
        done = subprocess.run(
            self.command,
            cwd=self.directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            said = done.stderr.replace(f"{self.directory}/", "")
            lines = [line for line in said.splitlines() if line.strip()][:MOST_LINES]
            why = "\n".join(lines) or f"it ended with status {done.returncode}"
            raise UserError(f"{Path(self.command[0]).name} cannot build {self.what}", why=why, try_=LOOK)


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in IGNORED} | {"LC_ALL": "C"}


def run_all(jobs: Iterable[Job]) -> None:
    """Run the jobs, as many at once as there are processors. The first failure is raised once none is running."""
    waiting = list(jobs)[::-1]
    failures: list[Exception] = []

    def work() -> None:
        while not failures:
            try:
                waiting.pop().run()
            except IndexError:
                return
            except Exception as failure:  # raised again below, in the caller's thread
                failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(min(len(waiting), len(os.sched_getaffinity(0))))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _compile(compiler: str, flags: Sequence[str], source: Path, include: Sequence[Path], work: Path) -> Job:
    """Compile by relative name in *work*, so that the object knows no directory."""
    folders = [f"-I{folder}" for folder in include]
    maps = [f"-ffile-prefix-map={folder}=." for folder in include]
    name = source.name if source.parent == work else str(source)
    maps.append(f"-ffile-prefix-map={source.parent}=.")
    return Job([compiler, *flags, *maps, *folders, "-c", name, "-o", f"{source.name}.o"], work, source.name)


def _write(sources: Mapping[str, str], work: Path) -> list[Path]:
    """Write the sources; return those to compile."""
    for name, text in sources.items():
        (work / name).write_text(text)
    return [work / name for name in sorted(sources) if not name.endswith(".h")]


def _write_manifest(emission: Emission, work: Path) -> list[Path]:
    """The manifest's section is not loaded: the runtime needs its hash only, and wc-run reads the file."""
    text, mark = manifest_bytes(emission.manifest, emission.words)
    targets, abi = len(emission.words), emission.manifest.abi
    (work / "manifest.json").write_bytes(text)
    words = "".join(f"\t.quad {word:#x}\n" for word in emission.words)
    (work / MANIFEST_SOURCE).write_text(
        '\t.section .wc_manifest,"",@progbits\n'
        f"\t.quad {MANIFEST_MAGIC:#x}\n\t.long {abi}, {targets}\n\t.quad {mark:#x}\n\t.long {len(text)}, 0\n"
        f'{words}\t.incbin "manifest.json"\n'
        "\t.section .rodata\n\t.balign 8\n"
        f"{_constant('wci_manifest_hash', '.quad', mark, 8)}{_constant('wci_targets', '.long', targets, 4)}"
        '\t.section .note.GNU-stack,"",@progbits\n'
    )
    return [work / MANIFEST_SOURCE]


def _constant(name: str, directive: str, value: int, size: int) -> str:
    head = f"\t.globl {name}\n\t.hidden {name}\n\t.type {name}, @object\n\t.size {name}, {size}\n"
    return f"{head}{name}:\n\t{directive} {value:#x}\n"


def _runtime_objects(compiler: str, flags: Sequence[str], runtime: Path, cache: Cache, work: Path) -> list[Path]:
    """Return the runtime's objects, compiled once per content, flags and compiler."""
    sources = sorted([*(runtime / "shim").glob("*.c"), *(runtime / "shim").glob("*.S")])
    texts = sorted(text for folder in _runtime_include(runtime) for text in folder.iterdir())
    key = hashlib.sha256("\0".join([identity(compiler), *flags]).encode())
    for text in texts:
        if text.suffix in (".c", ".h", ".S"):
            key.update(text.name.encode() + b"\0" + text.read_bytes() + b"\0")

    def make(folder: Path) -> None:
        run_all(_compile(compiler, flags, source, _runtime_include(runtime), folder) for source in sources)

    folder = cache.folder("runtime", key.hexdigest()[:32], make, work)
    return [folder / f"{source.name}.o" for source in sources]


def _runtime_include(runtime: Path) -> list[Path]:
    return [runtime / "include", runtime / "shim"]


def place(built: Path, output: Path) -> None:
    """Put a finished library where it was asked for, whole or not at all."""
    _place(built.read_bytes(), output, 0o777)


def place_text(text: str, output: Path) -> None:
    _place(text.encode(), output, 0o666)


def _place(data: bytes, output: Path, mode: int) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        if output.exists() and not output.is_file():  # a device: to replace it would be worse than to write to it
            output.write_bytes(data)
            return
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
            stream.write(data)
        temporary.replace(output)
    except OSError as bad:
        raise UserError(f"cannot write {output}", str(output), bad.strerror or "") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
