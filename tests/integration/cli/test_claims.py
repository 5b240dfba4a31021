"""What belongs to a tour, and what does not: nothing of others is removed, and no two tours share an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.storage.postgres import PostgresClient
from tests.integration.cli.conftest import Tour


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where the lake lies in a store that was given."""
    return tmp_path / "store" / "de-classes-tour" / "lake"


@pytest.fixture
def given(tour: Tour, tmp_path: Path) -> Tour:
    """A tour over a store that was given."""
    return Tour(tour.folder, [*tour.options, "--store-url", str(tmp_path / "store")])


def test_fresh_leaves_what_no_tour_made(given: Tour, lake: Path, postgres_url: str) -> None:
    """Files and tables of others stay, wherever they lie: in the store, among the datasets, in the schema."""
    others = [
        lake.parents[1] / "lake" / "orders" / "data" / "mine.parquet",
        lake / "my-own-data.csv",
        lake / "orders" / "notes.txt",
        lake / "orders" / "data" / "mine.parquet",
    ]
    for file in others:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("precious")
    database = PostgresClient(postgres_url)
    given.result("--orders", "200")
    database.run("CREATE TABLE de_classes_tour.mine AS SELECT 1 AS precious")
    given.result("--orders", "100", "--fresh")
    assert [file.read_text() for file in others] == ["precious"] * 4
    assert database.fetch("SELECT * FROM de_classes_tour.mine") == [(1,)]


def test_fresh_refuses_a_dataset_that_others_write(given: Tour, lake: Path) -> None:
    """A dataset that another pipeline has written is removed by nobody but its people."""
    given.result("--orders", "200")
    store = LocalStore(lake)
    Pipeline("colleagues", ArrowSource({"orders": Dataset(store, "orders")}), DatasetDestination(store)).run()
    assert "lake/orders was also written by colleagues" in given.run("--fresh", expect=2).stderr
    assert Dataset(store, "orders").log.newest() is not None


def test_fresh_refuses_tables_that_others_depend_on(tour: Tour, postgres_url: str) -> None:
    """A view over the tour's tables is not dropped with them."""
    tour.result("--orders", "200")
    database = PostgresClient(postgres_url)
    database.run("CREATE VIEW public.mine AS SELECT count(*) FROM de_classes_tour.orders")
    assert "other objects depend on it" in tour.run("--fresh", expect=2).stderr
    assert database.fetch("SELECT * FROM public.mine") == [(200,)]


def test_another_store_is_refused_before_anything_moves(tour: Tour, tmp_path: Path) -> None:
    """Positions in the database are about the store they came from; another one, or a second folder, needs --fresh."""
    tour.result("--orders", "200")
    other = Tour(tour.folder, [*tour.options, "--store-url", str(tmp_path / "other")])
    told = other.run("--days", "1", expect=2).stderr
    assert "was loaded from another store" in told
    assert "--fresh" in told
    second = Tour(tmp_path / "second", tour.options)
    told = second.run(expect=2).stderr
    assert f"the tour of {tour.folder}" in told
    assert not (second.folder / "shop.json").exists()
    assert tour.result()["shop"]["day"] == 0
    second.result("--orders", "100", "--fresh")
    assert f"the tour of {second.folder}" in tour.run(expect=2).stderr


def test_another_folder_on_the_same_store_is_refused(given: Tour, tmp_path: Path) -> None:
    """A lake holds one shop; the tour of another folder does not load into it, whatever its database."""
    given.result("--orders", "200")
    told = Tour(tmp_path / "second", given.options).run(expect=2).stderr
    assert f"lake holds what the tour of {given.folder} moved" in told


def test_days_pass_only_once_both_ends_answer(tour: Tour) -> None:
    """A tour that finds no database leaves the day as it was."""
    tour.result("--orders", "200")
    for _ in range(2):
        Tour(tour.folder, ["--postgres-url", "postgresql://127.0.0.1:1/shop"]).run("--days", "1", expect=1)
    assert tour.result("--days", "1")["shop"]["day"] == 1


def test_a_folder_that_cannot_be_one_is_a_mistake(tmp_path: Path, tour: Tour) -> None:
    """A file as folder, and a shop.json that is none, are told in one message each."""
    (tmp_path / "file").touch()
    for folder, told in (
        (tmp_path / "file", "File exists"),
        (Path("/dev/null/x"), "Not a directory"),
        (Path("/proc/nope"), "No such file or directory"),
    ):
        stderr = Tour(folder, tour.options).run(expect=2).stderr
        assert told in stderr
        assert "Traceback" not in stderr
    shop = tour.folder / "shop.json"
    shop.mkdir(parents=True)
    assert "Is a directory" in tour.run(expect=2).stderr
    shop.rmdir()
    for text in ("{}", "\xff", json.dumps({"orders": -3, "seed": 1}), json.dumps({"orders": 1, "seed": 1, "day": 999})):
        shop.write_text(text, encoding="latin-1")
        assert "does not describe a shop" in tour.run(expect=2).stderr
