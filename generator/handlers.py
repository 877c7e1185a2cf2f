"""Whether the handlers that a config names are there.

Called by cli.py. What is missing is a warning: the library may be built after the shim. Absent on purpose: what
handlers may do, and loading them (the runtime).
"""

from __future__ import annotations

from collections.abc import Iterator

from .config import Config
from .elf import Library
from .errors import UserError, UserWarning_, nearest


def missing(config: Config) -> Iterator[UserWarning_]:
    """Yield a warning for a handler library that cannot be read, and for each handler that it does not export."""
    wanted = {
        getattr(func, key): config.document.where(("funcs", func.index, key))
        for func in config.funcs
        for key in ("back_enter", "back_exit")
        if getattr(func, key)
    }
    if not wanted:
        return
    at = config.where("library_path")
    try:
        exports = Library.read(config.library_path).exports
    except UserError as bad:
        yield UserWarning_(bad.what, at, f"{bad.why}; without it no handler runs")
        return
    for name, where in sorted(wanted.items()):
        if name not in exports:
            why = f"{config.library_path} does not export it"
            yield UserWarning_(f"no handler '{name}'", where, why, " or ".join(nearest(name, exports)))
