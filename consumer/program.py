"""What a program is, before it runs: found as execvp finds it, classified from its first bytes.

Called by launch.py while the user waits, so it reads a few hundred bytes and imports nothing beyond os and struct.
Rules: the words for what the system refuses are the system's own; a program that cannot be preloaded yields a sentence,
never a guess; what cannot be read is left to the kernel to judge.
Absent on purpose: symbols and versions (generator/elf.py reads those when a shim is built).
"""

from __future__ import annotations

import errno
import os
import struct

SCRIPT_DEPTH = 5  # the kernel's own limit of #! lines behind each other
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_SONAME = 1, 5, 14
EM_NAMES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "s390", 40: "ARM", 62: "x86_64", 183: "aarch64",
            243: "RISC-V", 258: "LoongArch"}  # fmt: skip
EM_OF_MACHINE = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "i686": 3}


class Program:
    """One executable, resolved: *path* is what exec gets, *image* the ELF file that will be loaded for it."""

    __slots__ = ("asan", "bits", "image", "interpreter", "machine", "path", "privileged", "soname")

    def __init__(self, path: bytes, image: bytes) -> None:
        self.path = path
        self.image = image
        self.machine = 0  # e_machine; 0: not an ELF file
        self.bits = 0
        self.interpreter = b""  # of PT_INTERP; empty: static, or the dynamic linker itself
        self.soname = b""
        self.asan = b""  # soname of the AddressSanitizer runtime that it needs
        self.privileged = ""  # why the dynamic linker would run in secure mode


def find(name: bytes, search: bytes | None) -> bytes:
    """Return the path that execvp would execute for *name*, with PATH *search*.

    Raises OSError: ENOENT, or EACCES when something of that name was there (not for a folder that may not be searched).
    """
    if not name:
        raise _error(errno.ENOENT, name)
    if b"/" in name:
        return _executable(name)
    refused: OSError | None = None
    for folder in (b"/bin:/usr/bin" if search is None else search).split(b":"):
        path = os.path.join(folder, name) if folder else name
        try:
            return _executable(path)
        except OSError as error:
            if os.path.lexists(path):
                refused = error
    raise refused or _error(errno.ENOENT, name)


def _executable(path: bytes) -> bytes:
    mode = os.stat(path).st_mode
    if mode & 0o170000 != 0o100000 or not os.access(path, os.X_OK, effective_ids=True):
        raise _error(errno.EACCES, path)
    return path


def _error(number: int, path: bytes) -> OSError:
    return OSError(number, os.strerror(number), path)


def inspect(path: bytes) -> Program:
    """Return what *path* is. A script is resolved to the interpreter that the kernel will load."""
    image = path
    for _ in range(SCRIPT_DEPTH):
        try:
            with open(image, "rb", buffering=0) as file:
                head = file.read(4096)
                if head.startswith(b"\x7fELF"):
                    program = Program(path, image)
                    _read_elf(program, head, file.fileno())
                    program.privileged = _why_secure(image, os.fstat(file.fileno()))
                    return program
        except PermissionError:
            return Program(path, image)  # executable but unreadable: the kernel may know better
        image = _next(head, image)
    raise _error(errno.ELOOP, path)


def _next(head: bytes, image: bytes) -> bytes:
    """The interpreter of a script; a file without #! is run by /bin/sh, as execvp does."""
    if not head.startswith(b"#!"):
        return b"/bin/sh"
    words = head[2:].split(b"\n", 1)[0].split()
    if not words:
        raise _error(errno.ENOEXEC, image)
    if not os.path.exists(words[0]):
        raise OSError(errno.ENOENT, f"{os.strerror(errno.ENOENT)} (its interpreter {os.fsdecode(words[0])})", image)
    if os.path.basename(words[0]) == b"env" and len(words) > 1:
        return _behind_env(words)
    return words[0]


def _behind_env(words: list[bytes]) -> bytes:
    """``#!/usr/bin/env python3``: env is as dynamic as what it starts, but what it starts is what matters."""
    for word in words[1:]:
        if not word.startswith(b"-") and b"=" not in word:
            try:
                return find(word, os.environb.get(b"PATH"))
            except OSError:
                break
    return words[0]


def _read_elf(program: Program, head: bytes, file: int) -> None:
    program.bits = {1: 32, 2: 64}.get(head[4], 0) if len(head) > 4 else 0
    if len(head) < 64 or head[5] != 1:
        return
    program.machine = struct.unpack_from("<H", head, 18)[0]
    if program.bits != 64:
        return
    offset, size, count = struct.unpack_from("<Q14xHH", head, 32)
    if size < 56:
        return
    table = os.pread(file, size * min(count, 128), offset)
    loads = []
    dynamic = b""
    for at in range(0, len(table) - 55, size):
        kind, _, place, address, _, length = struct.unpack_from("<IIQQQQ", table, at)
        if kind == PT_INTERP:
            program.interpreter = os.pread(file, min(length, 4096), place).rstrip(b"\0")
        elif kind == PT_LOAD:
            loads.append((address, length, place))
        elif kind == PT_DYNAMIC:
            dynamic = os.pread(file, min(length, 1 << 16), place)
    _read_dynamic(program, dynamic, loads, file)


def _read_dynamic(program: Program, dynamic: bytes, loads: list[tuple[int, int, int]], file: int) -> None:
    entries = [struct.unpack_from("<qQ", dynamic, at) for at in range(0, len(dynamic) - 15, 16)]
    table = next((value for tag, value in entries if tag == DT_STRTAB), 0)
    place = next((table - start + offset for start, length, offset in loads if start <= table < start + length), -1)
    if place < 0:
        return
    for tag, value in entries:
        if tag == 0:
            break
        if tag in (DT_NEEDED, DT_SONAME):
            name = os.pread(file, 256, place + value).split(b"\0", 1)[0]
            if tag == DT_SONAME:
                program.soname = name
            elif name.startswith((b"libasan.so", b"libclang_rt.asan", b"libhwasan.so")):
                program.asan = name


def _why_secure(path: bytes, status: os.stat_result) -> str:
    """Why exec would raise privileges, so that the dynamic linker ignores LD_PRELOAD; "" if it would not."""
    reason = ""
    if status.st_mode & 0o4000 and status.st_uid != os.getuid():
        reason = f"setuid to user {status.st_uid}"
    elif status.st_mode & 0o2010 == 0o2010 and status.st_gid != os.getgid():
        reason = f"setgid to group {status.st_gid}"
    elif os.getuid() != 0 and _has_capabilities(path):
        reason = "marked with file capabilities"
    if reason and (os.statvfs(path).f_flag & os.ST_NOSUID or _no_new_privileges()):
        return ""
    return reason


def _has_capabilities(path: bytes) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _no_new_privileges() -> bool:
    try:
        with open("/proc/self/status", "rb") as status:
            return b"\nNoNewPrivs:\t1" in status.read()
    except OSError:
        return False


def why_not_traceable(program: Program) -> tuple[str, str] | None:
    """Return why the tracer cannot read what *program* calls, and what to try; None if it can."""
    if program.machine == 0:
        return None  # exec will say what it is
    if program.bits != 64 or program.machine != EM_OF_MACHINE["x86_64"]:
        theirs = EM_NAMES.get(program.machine, f"machine {program.machine}")
        return f"it is a {program.bits}-bit {theirs} program: the tracer is for x86_64", "a build of it for x86_64"
    return None


def why_not_preloadable(program: Program) -> tuple[str, str] | None:
    """Return why a shim for this machine's libc cannot be preloaded into *program*, and what to try; None if it can."""
    if program.machine == 0:
        return None  # exec will say what it is
    ours = os.uname().machine
    if program.bits != 64 or program.machine != EM_OF_MACHINE.get(ours, program.machine):
        theirs = EM_NAMES.get(program.machine, f"machine {program.machine}")
        return f"it is a {program.bits}-bit {theirs} program: the shim is for {ours}", f"a build of it for {ours}"
    if not program.interpreter and not program.soname.startswith(b"ld-linux"):
        return "it is statically linked: no dynamic linker would load the shim", "a dynamically linked build of it"
    if os.path.basename(program.interpreter).startswith(b"ld-musl"):
        return "it is linked against musl: the shim is for glibc", "a build of it for glibc"
    if program.privileged:
        return f"it is {program.privileged}: the dynamic linker ignores LD_PRELOAD then", "wc-run as that user"
    return None
