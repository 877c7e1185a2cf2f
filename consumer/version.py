"""Which wc-intercept this is. Imported only where --version asks: importlib.metadata takes 20 ms."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    return metadata.version("wc-intercept")
