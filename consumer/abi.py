"""The shared memory ABI for numpy: one dtype per struct of runtime/include/wc_abi.h, and its constants.

Used by everything that looks into cells. Rules: dtypes are made from abi_fields.py, the constants are its constants;
CELL is 64 bytes and shows a cell as the first one of a record, ``bytes_of`` shows any cells as bytes.

Absent on purpose: the meaning of arguments (that is the manifest's).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .abi_fields import (
    ABI_VERSION,
    BLOB_KEPT,
    BLOB_NULL,
    BLOB_TRUNCATED,
    BLOB_UNREADABLE,
    BLOCK,
    CALL,
    CELL_SIZE,
    CHUNK_CELLS,
    CLAIMS,
    CLOCK_MONOTONIC,
    CLOCK_TSC,
    CONT_PAYLOAD,
    CONTINUATION,
    CONTROL_SEEN,
    DELAYED,
    DROP,
    ENTER,
    EXEC,
    FILLER,
    FIRST_ARGS,
    INFLIGHT,
    INJECTED,
    LOSS_NAMES,
    LOSSES,
    LOST,
    NO_DURATION,
    NOTHING,
    OVERWRITE,
    PROCESS,
    PROCESS_EXEC,
    PROCESS_FORK,
    PROCESS_VFORK,
    RECORD_CELLS,
    STRUCTS,
    SYMBOL_NONE,
    THREAD,
    Layout,
)

__all__ = [
    "ABI_VERSION", "BLOB", "BLOB_KEPT", "BLOB_NULL", "BLOB_TRUNCATED", "BLOB_UNREADABLE", "BLOCK", "CALL", "CELL",
    "CELL_SIZE", "CHUNK_CELLS", "CLAIM", "CLAIMS", "CLOCK_MONOTONIC", "CLOCK_TSC", "CONTINUATION", "CONTROL_SEEN",
    "CONT_PAYLOAD", "COUNT", "DELAYED", "DROP", "ENTER", "EXEC", "EXECUTED", "FILLER", "FIRST_ARGS", "IDENTITY",
    "INFLIGHT", "INJECTED", "INSIDE", "LOSSES", "LOSS_NAMES", "LOST", "NOTHING", "NO_DURATION", "OVERWRITE", "PROCESS",
    "PROCESS_EXEC", "PROCESS_FORK", "PROCESS_VFORK", "RECORD_CELLS", "RING", "SEEN", "SEGMENT", "SYMBOL_NONE", "THREAD",
    "Cells", "bytes_of", "dtype_of", "identity_of",
]  # fmt: skip

Cells = npt.NDArray[Any]
"""An array of CELL, one dimension."""


def dtype_of(layout: Layout) -> np.dtype[Any]:
    """Return the numpy dtype of *layout*, little endian, offsets and size included."""
    return np.dtype(
        {
            "names": list(layout.fields),
            "formats": [_format(field.code, field.count) for field in layout.fields.values()],
            "offsets": [field.offset for field in layout.fields.values()],
            "itemsize": layout.size,
        }
    )


def _format(code: str | Layout, count: int) -> Any:
    one = np.dtype(f"<{code}") if isinstance(code, str) else dtype_of(code)
    return one if count == 1 else (one, (count,))


CELL = np.dtype(
    {
        "names": ["stamp", "symbol", "kind", "count", "clock", "duration", "result", "error", "args"],
        "formats": ["<u4", "<u2", "u1", "u1", "<u8", "<u8", "<u8", "<i4", ("u1", (28,))],
        "offsets": [0, 4, 6, 7, 8, 16, 24, 32, 36],
        "itemsize": CELL_SIZE,
    }
)
"""struct wci_first with its header's members flat."""

BLOB = dtype_of(STRUCTS["blob"])
IDENTITY = dtype_of(STRUCTS["identity"])
EXECUTED = dtype_of(STRUCTS["exec"])
SEEN = dtype_of(STRUCTS["seen"])
COUNT = dtype_of(STRUCTS["count"])
INSIDE = dtype_of(STRUCTS["inside"])
CLAIM = dtype_of(STRUCTS["claim"])
RING = dtype_of(STRUCTS["ring"])
SEGMENT = dtype_of(STRUCTS["segment"])


def bytes_of(cells: Cells) -> npt.NDArray[np.uint8]:
    """Return *cells* (contiguous) as bytes, shape (n, 64), without a copy."""
    return cells.view(np.uint8).reshape(len(cells), CELL_SIZE)


def identity_of(cell: Any) -> tuple[int, int, int, int]:
    """Return (pid, tid, parent, reason) of one PROCESS or THREAD cell."""
    words = cell["args"][: IDENTITY.itemsize].view("<u4")
    return int(words[0]), int(words[1]), int(words[2]), int(words[3])
