"""SIGKILL at every fault point of the tour: run again, and the proof holds."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from de_classes.storage.objects import Dataset, LocalStore
from de_classes.testing.faults import POINTS, run_to_end, run_until_killed
from tests.integration.cli.conftest import Tour, rows

SHOP = ("--orders", "300", "--page-rows", "50", "--commit-rows", "100")
"""Of its orders, the API gives six pages, and the lake takes three commits."""

OF_OTHER_ROUTES = {
    "dataset.checkpoint.before_put",
    "files.read.batch",
    "postgres.commit.after_closing",
    "postgres.commit.after_declaring",
    "postgres.commit.after_deleting",
    "postgres.commit.after_emptying",
    "postgres.commit.after_replacing_items",
    "s3.upload.after_completion",
    "s3.upload.before_completion",
    "s3.upload.part",
}
"""Points that the tour does not pass; `tests/faults` sees that each is on a route of its own, and kills there."""

KILLS = {
    # Customers and the first orders; after a checkpoint.
    "api.page": (1, 5),
    # Orders, after a checkpoint.
    "dataset": (3,),
    # Its byte stays for an hour, since it might be of a probe that is alive: `tests/faults` waits for that.
    "dataset.probe": (),
    "local": (9,),
    # The second stream into the warehouse. (The first differs only in having no tables yet.)
    "postgres.begin": (2,),
    "postgres.commit": (2,),
    "postgres.plan": (2,),
    "postgres.read": (2,),
    "postgres.write": (2,),
    # Orders after a checkpoint; the mirror.
    "runner.after": (3, 10),
    "runner.before_commit": (3, 10),
    "runner.before_plan": (2, 8),
}
"""Which passings of a point are kills, by the longest beginning of its name. Each route by itself dies at every point
and more often in `tests/faults`; here it is the four pipelines of one command that must fit together again."""


def leftovers(tour: Tour, postgres_url: str) -> list[str]:
    """What a finished tour must not leave: files that no commit lists, and staging tables."""
    store = LocalStore(tour.folder / "store")
    expected = {"lake/_tour.json"}
    for folder in (*store.folders("lake"), *store.folders("mirror")):
        dataset = Dataset(store, folder)
        newest = dataset.log.newest()
        assert newest is not None
        for commit in dataset.log.between(1, newest.number):
            expected.add(f"{folder}/_commits/{commit.number:020}.json")
            # The tour keeps nothing of what a replacement dropped.
            expected |= {f"{folder}/{file.key}" for file in commit.files if commit.number >= newest.base}
    # Not by the store, which does not list what is unfinished.
    root = tour.folder / "store"
    there = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relpersistence = 'u'"
        ).fetchall()
    return sorted(there ^ expected) + [name for (name,) in found]


def kills() -> list[tuple[str, int]]:
    """Points and passings."""
    points = [point for point in POINTS if point not in OF_OTHER_ROUTES]
    return [(point, nth) for point in points for nth in KILLS[max(filter(point.startswith, KILLS), key=len)]]


def test_every_point_is_on_the_way(tour: Tour) -> None:
    """A tour reaches all the fault points there are, so that the tests below miss none."""
    ended = run_to_end(tour.command(*SHOP))
    assert ended.code == 0, ended.output
    assert set(ended.reached) == set(POINTS) - OF_OTHER_ROUTES
    assert {point for point, _ in kills()} == set(ended.reached) - {"dataset.probe.between"}


def test_the_orders_take_several_pages_and_commits(tour: Tour) -> None:
    """The shop of these tests is one in whose stream of orders a tour can die and go on."""
    tour.result(*SHOP)
    newest = Dataset(LocalStore(tour.folder / "store"), "lake/orders").log.newest()
    assert newest is not None
    assert newest.number == 3


def chosen() -> list[Any]:
    """All of them, of which a plain run of the tests takes some."""
    return [pytest.param(*kill, marks=[] if n % 9 == 0 else pytest.mark.matrix) for n, kill in enumerate(kills())]


@pytest.mark.parametrize(("point", "nth"), chosen())
def test_killed_there_and_run_again(tour: Tour, postgres_url: str, point: str, nth: int) -> None:
    """Whatever was half done is finished or forgotten by the next run: nothing lost, doubled, changed or left lying."""
    run_until_killed(tour.command(*SHOP), point, nth)
    tour.result(*SHOP)
    assert leftovers(tour, postgres_url) == []


@pytest.mark.parametrize(
    "point", ["dataset.write.after_upload", "dataset.commit.before", "dataset.commit.after", "dataset.cleanup.before"]
)
def test_killed_while_the_mirror_is_replaced(tour: Tour, postgres_url: str, point: str) -> None:
    """A mirror that is there already is the old one or the new one, and what died on the way does not stay."""
    tour.result(*SHOP)
    # The two streams of the lake come first, then the mirror's four.
    run_until_killed(tour.command("--days", "1"), point, 4)
    tour.result()
    assert leftovers(tour, postgres_url) == []


def test_killed_with_a_database_of_its_own(tour: Tour) -> None:
    """A database that was started for the tour and outlived it is found again by the next one."""
    own = Tour(tour.folder)
    run_until_killed(own.command(*SHOP), "postgres.commit.before", 1)
    own.result()


def test_killed_twice_in_a_row_and_a_day_later(tour: Tour) -> None:
    """A run may die, its successor too, and the shop move on meanwhile."""
    run_until_killed(tour.command(*SHOP), "dataset.commit.before", 2)
    run_until_killed(tour.command("--days", "1"), "postgres.write.after_copy", 1)
    tour.result("--days", "1")
    again = rows(tour.result())
    assert again["shop_to_lake"] == again["lake_to_warehouse"] == again["lines_to_revenue"] == 0
