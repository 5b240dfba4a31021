"""The pages of the classes: what they show works, and what they name is there."""

from __future__ import annotations

import inspect
import re
import runpy
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted((DOCS / "classes").glob("*.md"))
PACKAGES = ["api", "pipelines", "storage.objects", "storage.postgres", "transforms", "utils.rate_limit", "utils.retry"]
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SERVER = "postgresql://me@localhost/shop"
OPTIONS = re.compile(r"^\| option.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)


def public() -> dict[str, Any]:
    """Everything that the packages hand out, by name."""
    modules = [import_module(f"de_classes.{package}") for package in PACKAGES]
    return {name: getattr(module, name) for module in modules for name in module.__all__ if name != "main"}


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Snippets run twice in an empty folder, then the commands, on a server in the place of the reader's."""
    text = page.read_text(encoding="utf-8")
    if SERVER in text:
        text = text.replace(SERVER, request.getfixturevalue("postgres_url"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for language, shown in FENCE.findall(text):
        if language == "python":
            named = re.match(r"# (\w+)\.py\n", shown)
            file = tmp_path / f"{named[1] if named else 'mine'}.py"
            file.write_text(shown, encoding="utf-8")
            for _ in range(2):
                runpy.run_path(str(file), run_name="__main__")
            continue
        for command in shown.splitlines():
            _, _, module, *arguments = shlex.split(command)
            monkeypatch.setattr(sys, "argv", [module, *arguments])
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__")
            assert ended.value.code == 0, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_are_those_of_the_class(page: Path) -> None:
    """What a page says of options, a constructor that it names has."""
    text = page.read_text(encoding="utf-8")
    there = public()
    named = [there[name] for name in set(re.findall(r"\b[A-Z]\w+", text)) if inspect.isclass(there.get(name))]
    known = {name for one in named for name in inspect.signature(one.__init__).parameters}
    told = [name for rows in OPTIONS.findall(text) for row in rows.splitlines() for name in first_cell(row)]
    assert [name for name in told if name not in known] == []


def first_cell(row: str) -> list[str]:
    return re.findall(r"`(\w+)`", row.split("|")[1])


def test_every_public_name_is_met() -> None:
    """Whatever the packages hand out stands on some page, and every page of a class is in the index."""
    texts = {page: page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")}
    words = {word for text in texts.values() for word in re.findall(r"\w+", text)}
    assert sorted(public().keys() - words) == []
    assert [page.name for page in PAGES if f"classes/{page.name}" not in texts[DOCS / "README.md"]] == []


def test_links_lead_somewhere() -> None:
    """A link to another page leads to one that is there."""
    wrong = [
        f"{page.name}: {target}"
        for page in DOCS.rglob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert wrong == []
