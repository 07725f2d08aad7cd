"""docs/README.md, where the site begins, leads to every page."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_page_is_linked():
    start = DOCS / "README.md"
    linked = set(re.findall(r"\]\(([\w-]+\.md)", start.read_text("utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} - {start.name} == linked
