"""A file without a name on disk, for what is written by one process and read by another.

Used by spool.py and aside.py. Absent on purpose: numpy, which the program would wait for.
"""

from __future__ import annotations

import os


def unlinked_file() -> int:
    """Return a file without a name, on disk and not in memory if there is a choice."""
    folder = os.environ.get("TMPDIR") or "/var/tmp"
    for candidate in (folder, "/tmp", "."):
        try:
            return os.open(candidate, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        except OSError:
            continue
    import tempfile

    file, path = tempfile.mkstemp()
    os.unlink(path)
    return file
