"""A walk over pages is killed at each page boundary and between, and run again until it comes to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from de_classes.storage.objects import LocalStore
from de_classes.storage.objects.dataset import Dataset
from de_classes.testing.faults import run_to_end, run_until_killed
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply

PAGES = 5
COMMAND = Path(__file__).with_name("killed_load.py")


def record(number: int) -> dict[str, Any]:
    """An order; from the 5th on they have a note, the 9th's total is a fraction, and the 13th's id is a text."""
    order: dict[str, Any] = {"id": number, "total": number, "lines": [{"sku": f"{number}-{m}"} for m in range(2)]}
    if number >= 5:
        order["note"] = f"note {number}"
    if number == 9:
        order["total"] = 9.5
    if number == 13:
        order["id"] = "thirteen"
    return order


@pytest.fixture
def api() -> Iterator[str]:
    """Pages of three orders, by cursor."""

    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("cursor", "0"))
        following = str(page + 1) if page + 1 < PAGES else None
        return json_reply({"items": [record(3 * page + n) for n in range(3)], "next": following})

    with LoopbackServer(answer) as server:
        yield server.url


GOOD = [n for n in range(3 * PAGES) if n != 13]
ORDERS = [(n, float(n) if n != 9 else 9.5, f"note {n}" if n >= 5 else None) for n in GOOD]
LINES = [(n, f"{n}-{m}") for n in GOOD for m in range(2)]

# Each page is committed twice: its orders, then their lines. A run commits some, dies, and the next one goes on.
BETWEEN = [("runner.before_commit", 4), ("runner.after_commit", 1), ("runner.after_commit", 2)]
OF_FILES = [("dataset.write.after_upload", 3), ("dataset.commit.after", 1)]
OF_TABLES = [("postgres.write.after_copy", 3), ("postgres.commit.before", 4)]


def killed_until_it_ends(api: str, target: str, point: str, nth: int) -> int:
    """Kill it at the point again and again, until one run is over before it gets there; how often that was."""
    command = [sys.executable, str(COMMAND), api, target]
    for kills in range(3 * PAGES):
        try:
            run_until_killed(command, point, nth)
        except AssertionError:
            assert run_to_end(command).code == 0
            return kills
    raise AssertionError("it does not advance")


@pytest.mark.parametrize(("point", "nth"), [*BETWEEN, *OF_FILES])
def test_files_after_kills(api: str, tmp_path: Path, point: str, nth: int) -> None:
    """Every record is in the dataset once, with the columns that came on the way, or once in its quarantine."""
    assert killed_until_it_ends(api, str(tmp_path), point, nth) > 0
    _check_files(tmp_path)


def test_files_after_kills_at_every_page(api: str, tmp_path: Path) -> None:
    """Pages that were read and not given are read again, whichever it was, and whatever was committed by then."""
    command = [sys.executable, str(COMMAND), api, str(tmp_path)]
    run_until_killed(command, "api.page.read", PAGES)
    for nth in range(PAGES - 1, 0, -1):
        with suppress(AssertionError):  # by now too few pages may be left
            run_until_killed(command, "api.page.read", nth)
    assert run_to_end(command).code == 0
    _check_files(tmp_path)


def _check_files(folder: Path) -> None:
    store = LocalStore(folder)
    orders, lines = Dataset(store, "orders"), Dataset(store, "lines")
    assert sorted(_rows(orders, "id", "total", "note")) == ORDERS
    assert sorted(_rows(lines, "order_id", "sku")) == LINES
    for dataset in (orders, lines):
        rejected = [row for batch in dataset.rejected() for row in batch.to_pylist()]
        assert [(row["path"], row["row"]) for row in rejected] == [("id", 1)]
    listed = {file.key for dataset in (orders, lines) for file in _files(dataset)}
    there = {info.key.split("/", 1)[1] for info in store.list("") if info.key.endswith(".parquet")}
    assert there == listed


@pytest.mark.parametrize(("point", "nth"), [BETWEEN[1], *OF_TABLES])
def test_tables_after_kills(api: str, postgres_url: str, point: str, nth: int) -> None:
    """Every record is in the table once, with the columns that came on the way, or once in its quarantine."""
    assert killed_until_it_ends(api, postgres_url, point, nth) > 0
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT id, total::float8, note FROM orders ORDER BY id").fetchall() == ORDERS
        assert connection.execute("SELECT order_id, sku FROM lines ORDER BY 1, 2").fetchall() == LINES
        for table in ("orders_quarantine", "lines_quarantine"):
            assert connection.execute(f"SELECT path, row FROM {table}".encode()).fetchall() == [("id", 1)]
        staged = "SELECT relname FROM pg_class WHERE relname LIKE 'staged\\_%' AND relkind = 'r'"
        assert connection.execute(staged).fetchall() == []


def _rows(dataset: Dataset, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for batch in dataset.batches() for row in batch.to_pylist()]


def _files(dataset: Dataset) -> list[Any]:
    newest = dataset.log.newest()
    assert newest is not None
    state = dataset.state(newest)
    return [held.file for some in (state.files, state.rejected) for held in some]
