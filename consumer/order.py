"""Lines back into the order of their ring, after symbol by symbol rendering."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import TypeVar

import numpy as np

from .columns import Array

Line = TypeVar("Line")


def in_order(parts: Sequence[tuple[Array, list[Line]]]) -> list[Line]:
    """Return the lines of all *parts*, (ordinals, lines) each, by ordinal; equal ones in the order given."""
    if len(parts) < 2:
        return parts[0][1] if parts else []
    order = np.argsort(np.concatenate([index for index, _ in parts]), kind="stable").tolist()
    lines = list(chain.from_iterable(lines for _, lines in parts))
    return list(itemgetter(*order)(lines)) if len(order) > 1 else lines
