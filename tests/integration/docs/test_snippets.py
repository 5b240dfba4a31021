"""Every Python snippet of README and docs is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(match[1], id=f"{page.name}:{page.read_text(encoding='utf-8')[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in FENCE.finditer(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet: str, tmp_path: Path) -> None:
    """A reader who puts it into a file of an empty folder sees it work, and work again."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (tmp_path / "mine.py").write_text(snippet, encoding="utf-8")
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", "mine.py"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr


def test_there_are_snippets() -> None:
    """The README has at least one, so that the test above cannot pass for want of work."""
    assert any("README.md" in str(parameter.id) for parameter in SNIPPETS)
