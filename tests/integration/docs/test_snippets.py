"""Every Python snippet of README and docs is run as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]  # those of the classes: test_class_pages.py
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\w+\.py)\n")
SERVED_AT = "http://127.0.0.1:8765"


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and line of what stands between fences."""
    text = page.read_text(encoding="utf-8")
    return [(match[1], match[2], text[: match.start()].count("\n") + 1) for match in FENCE.finditer(text)]


def is_lesson(page: Path) -> bool:
    """Whether the page's snippets have names, build on each other and are kept in one folder."""
    return any(language == "python" and NAMED.match(text) for language, text, _ in blocks(page))


LESSONS = [pytest.param(page, id=page.name) for page in PAGES if is_lesson(page)]
SNIPPETS = [
    pytest.param(text, id=f"{page.name}:{line}")
    for page in PAGES
    if not is_lesson(page)
    for language, text, line in blocks(page)
    if language == "python"
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet: str, tmp_path: Path) -> None:
    """A reader who puts it into a file of an empty folder sees it work, and work again."""
    (tmp_path / "mine.py").write_text(snippet, encoding="utf-8")
    for _ in range(2):
        run([sys.executable, "-W", "error", "mine.py"], tmp_path)


@pytest.mark.parametrize("page", LESSONS)
def test_lesson_runs(page: Path, tmp_path: Path) -> None:
    """A reader who goes through the page, snippets and shell, in one folder, sees all of it work, and work again."""
    for language, text, _ in blocks(page):
        if language == "sh":
            with served(tmp_path) as url:
                run(["sh", "-ec", shell(text, url)], tmp_path)
            continue
        named = NAMED.match(text)
        assert named, text
        (tmp_path / named[1]).write_text(text, encoding="utf-8")
        if 'if __name__ == "__main__":' not in text:
            for _ in range(2):
                run([sys.executable, "-W", "error", named[1]], tmp_path)


def shell(text: str, url: str) -> str:
    return re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", text, flags=re.MULTILINE).replace(SERVED_AT, url)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The API that the page has written, on a free port."""
    command = [sys.executable, "shop_api.py", "0"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True) as api:
        assert api.stdout is not None
        try:
            yield api.stdout.readline().strip()
        finally:
            api.kill()


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_there_are_snippets() -> None:
    """The README has at least one, and there is a lesson, so that the tests above cannot pass for want of work."""
    assert any("README.md" in str(parameter.id) for parameter in SNIPPETS)
    assert [parameter.id for parameter in LESSONS] == ["api-to-table.md", "files.md", "postgres.md"]
