"""docs/handlers.md shows what happens."""

from __future__ import annotations

from pathlib import Path

import document


def test_the_handlers_document_shows_what_happens(tmp_path: Path) -> None:
    complaints = document.run(Path(__file__).parent.parent / "docs" / "handlers.md", tmp_path)
    assert [] == complaints, "\n".join(complaints)
