from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:tests|src|benchmarks)/[^`\s:]+)(?:::(\w+))?`")


def test_the_page_names_what_is_there() -> None:
    """Every test that the page of guarantees leans on exists, by its file and by its name."""
    found = NAMED.findall((ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8"))
    assert len(found) > 20
    missing = [path for path, name in found if not (ROOT / path).exists()]
    missing += [
        f"{path}::{name}"
        for path, name in found
        if name and path not in missing and f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []
