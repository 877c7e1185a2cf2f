"""The platform that shims are made for: this machine. One Platform value, made here and passed along.

Called by build.py. Absent on purpose: other libcs and architectures: each would be another function that makes one.
"""

from __future__ import annotations

import os
import shutil

from .elf import find_library
from .errors import UserError
from .model import Platform


def host() -> Platform:
    """Return the platform of this machine. $CC names another compiler, when it is the name of one and no more."""
    machine = os.uname().machine
    if machine != "x86_64":
        raise UserError("this machine is not supported", why=f"its architecture is {machine}; needed is x86_64")
    chosen = os.environ.get("CC", "")
    return Platform(
        compiler=chosen if chosen and shutil.which(chosen) else "cc",
        machine=machine,
        libc=_libc(),
        libc_path=_find("libc.so.6"),
        libm_path=_find("libm.so.6"),
    )


def _libc() -> str:
    """Return ``glibc 2.36``."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        name = None
    if not name:
        raise UserError("this machine's C library is not supported", why="it is not glibc")
    return name


def _find(soname: str) -> str:
    path = find_library(soname)
    if path is None:
        raise UserError(f"no library {soname}", why="it is in none of the loader's directories")
    return path
