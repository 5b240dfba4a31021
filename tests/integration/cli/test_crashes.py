"""SIGKILL at every fault point of the tour: run again, and the proof holds."""

from __future__ import annotations

import psycopg
import pytest

from de_classes.storage.objects import LocalStore
from de_classes.testing.faults import POINTS, run_to_end, run_until_killed
from tests.integration.cli.conftest import Tour, rows

ORDERS = "300"
OF_OTHER_ROUTES: frozenset[str] = frozenset()
"""Points that the tour does not pass; each must be reached by another test."""


def leftovers(tour: Tour, postgres_url: str) -> list[str]:
    """What a finished tour must not leave: staged files and tables, and files that no commit lists."""
    store = LocalStore(tour.folder / "store")
    files = [info.key for info in store.list() if "/_staged/" in info.key or info.key.endswith(".tmp")]
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relpersistence = 'u'"
        ).fetchall()
    return files + [name for (name,) in found]


def test_every_point_is_on_the_way(tour: Tour) -> None:
    """A tour reaches all the fault points there are, so that the tests below miss none."""
    ended = run_to_end(tour.command("--orders", ORDERS))
    assert ended.code == 0, ended.output
    assert set(ended.reached) == set(POINTS) - OF_OTHER_ROUTES


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", [point for point in POINTS if point not in OF_OTHER_ROUTES])
def test_killed_there_and_run_again(tour: Tour, postgres_url: str, point: str, nth: int) -> None:
    """Whatever was half done is finished or forgotten by the next run: nothing lost, doubled, changed or left lying."""
    run_until_killed(tour.command("--orders", ORDERS), point, nth)
    tour.result()
    assert leftovers(tour, postgres_url) == []


def test_killed_with_a_database_of_its_own(tour: Tour) -> None:
    """A database that was started for the tour and outlived it is found again by the next one."""
    own = Tour(tour.folder)
    run_until_killed(own.command("--orders", ORDERS), "postgres.commit.before", 1)
    own.result()


def test_killed_twice_in_a_row_and_a_day_later(tour: Tour) -> None:
    """A run may die, its successor too, and the shop move on meanwhile."""
    run_until_killed(tour.command("--orders", ORDERS), "dataset.commit.before", 2)
    run_until_killed(tour.command("--days", "1"), "postgres.write.after_copy", 1)
    tour.result("--days", "1")
    again = rows(tour.result())
    assert again["shop_to_lake"] == again["lake_to_warehouse"] == again["daily_revenue"] == 0
