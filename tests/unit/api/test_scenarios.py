from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.runner import Failed, play

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted((FOLDER / "api").rglob("*.json"))
EXAMPLE = (FOLDER / "README.md").read_text("utf-8").partition("```json")[2].partition("```")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_keeps_the_rule(file: Path) -> None:
    """What the scenario says is what is asked, when, and what comes out."""
    if file.parent.name == "caching":
        pytest.importorskip("hishel")
    play(f"{file.parent.name}/{file.name}", json.loads(file.read_text("utf-8")))


def _broken(change: Any) -> dict[str, Any]:
    scenario: dict[str, Any] = deepcopy(json.loads(EXAMPLE))
    change(scenario)
    return scenario


def test_the_example_in_the_readme_holds() -> None:
    """The format's description shows a scenario that is played."""
    play("README.md", json.loads(EXAMPLE))


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["exchanges"][1].update(at=3),
        lambda it: it["exchanges"][0].update(headers={"Authorization": "Bearer other"}),
        lambda it: it["exchanges"][0].update(lacks=["Authorization"]),
        lambda it: it["exchanges"][0].update(request="GET /order"),
        lambda it: it["exchanges"][0].update(json={}),
        lambda it: it["exchanges"].pop(),
        lambda it: it["exchanges"].append({"request": "GET /more"}),
        lambda it: it["exchanges"][0].update(origin="other"),
        lambda it: it.update(answers=[[]]),
        lambda it: it.update(events=[]),
        lambda it: it["events"][0].update(attempt=2),
        lambda it: it.update(error={"class": "ApiStatusError"}),
        lambda it: it.update({"most at once": 2}),
        lambda it: it.update(recrods=[]),
        lambda it: it["exchanges"][0].update(header={}),
        lambda it: it.pop("rule"),
    ],
    ids=lambda change: f"line {change.__code__.co_firstlineno}",
)
def test_sees_a_broken_rule(change: Any) -> None:
    """A scenario that says anything else than what happens fails, and so does one with a word nobody knows."""
    with pytest.raises(Failed, match="README"):
        play("README.md", _broken(change))


READING = "columns/text-where-a-number-was-is-set-aside"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["records"].pop(),
        lambda it: it["records"][0].update(n=2),
        lambda it: it["columns"].update(n="double"),
        lambda it: it.update(position={"page": 1}),
        lambda it: it["quarantine"].pop(),
        lambda it: it["quarantine"][0].update(n="two"),
        lambda it: it["exchanges"][0]["answer"].update(staus=200),
        lambda it: it.update(error={"class": "SchemaMismatch", "say": []}),
        lambda it: it.update(kept=["x"]),
    ],
    ids=lambda change: f"line {change.__code__.co_firstlineno}",
)
def test_sees_that_something_else_was_read(change: Any) -> None:
    """What a resource gives, and what it sets aside, is checked as closely."""
    scenario = json.loads((FOLDER / "api" / f"{READING}.json").read_text("utf-8"))
    play(READING, scenario)
    change(scenario)
    with pytest.raises(Failed, match=READING):
        play(READING, scenario)
