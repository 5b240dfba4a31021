"""The same pipelines on threads, on spawned processes and on a cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from de_classes.api import ApiClient, ApiSource, PageNumber, Resource
from de_classes.contracts import Source
from de_classes.errors import ValueNotHeld
from de_classes.pipelines import (
    ArrowSource,
    Checkpoint,
    ObjectStoreToPostgres,
    Pipeline,
    PostgresToObjectStore,
    Route,
)
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetSource, LocalStore
from de_classes.storage.postgres import PostgresSource
from de_classes.testing.http import Asked, LoopbackServer, Reply, json_reply
from de_classes.transforms import Cast, Drop, Explode
from de_classes.utils.checksum import Checksum, checksum

ROWS = 3000


@contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@contextmanager
def cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as local,
        distributed.Client(local) as client,
        client.get_executor() as executor,
    ):
        yield executor


def table() -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "name": pa.array([None if n % 7 == 0 else f"row '{n}'\n" for n in range(ROWS)], pa.string()),
        }
    )


def rows(source: Source, name: str) -> Checksum:
    stream = next(stream for stream in source.streams() if stream.name == name)
    with source.plan(stream, None) as plan:
        return checksum(batch.records for split in plan.splits for batch in split.read())


@pytest.mark.parametrize("workers", [threads, processes, cluster])
def test_any_executor_gives_the_same_tables(tmp_path: Path, postgres_url: str, workers: object) -> None:
    """Lake to warehouse to lake: the workers change, the pipelines and the values do not."""
    store = LocalStore(tmp_path / "store")
    lake = DatasetDestination(store, "lake")
    for part in range(3):
        piece = table().slice(part * ROWS // 3, ROWS // 3)
        Pipeline("fill", ArrowSource({"things": piece}, primary_key=["id"], version=part), lake).run()
    with workers() as executor:  # type: ignore[operator]
        loaded = ObjectStoreToPostgres(store, postgres_url, prefix="lake", mode="append").run(executor=executor)
        assert loaded.rows == ROWS
        copied = PostgresToObjectStore(postgres_url, store, tables=["public.things"], prefix="mirror").run(
            executor=executor
        )
        assert copied.rows == ROWS
    wanted = checksum(table().to_batches())
    assert rows(PostgresSource(postgres_url, tables=["public.things"]), "things") == wanted
    assert rows(DatasetSource(store, "mirror"), "things") == wanted


@pytest.mark.parametrize("workers", [threads, processes, cluster])
def test_an_error_of_a_worker_arrives_whole(tmp_path: Path, workers: object) -> None:
    """The error that a worker met is raised to the caller with what it says, and nothing becomes visible."""
    store = LocalStore(tmp_path / "store")
    Pipeline("fill", ArrowSource({"things": table()}), DatasetDestination(store, "lake")).run()
    pipeline = Pipeline(
        "copy",
        DatasetSource(store, "lake"),
        DatasetDestination(store, "copy"),
        transforms=[Cast({"id": pa.int8()})],
    )
    with workers() as executor, pytest.raises(Exception, match="id") as told:  # type: ignore[operator]
        pipeline.run(executor=executor)
    assert isinstance(told.value, ValueNotHeld)
    assert [stream.name for stream in DatasetSource(store, "copy").streams()] == []


@pytest.mark.parametrize("workers", [threads, processes])
def test_several_routes_of_an_api_on_any_executor(tmp_path: Path, workers: object) -> None:
    """Parents and children of one reading, in commits on the way, with columns that grow: the same wherever it runs."""

    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", "1"))
        orders = [{"id": page, "lines": [{"sku": f"{page}-{m}"} for m in range(page)]}]
        return json_reply({"items": [{**order, "note": "late"} if page > 2 else order for order in orders], "pages": 4})

    paging = PageNumber(total_pages_at="pages", stable=True)
    routes = [
        Route("orders", transforms=[Drop("lines")]),
        Route("orders", into="lines", transforms=[Explode("lines", key={"order_id": "id"})]),
    ]
    store = LocalStore(tmp_path / "store")
    with LoopbackServer(answer) as server, workers() as executor:  # type: ignore[operator]
        source = ApiSource(ApiClient(server.url), [Resource("orders", "/orders", paging=paging, primary_key=("id",))])
        destination = DatasetDestination(store, schema_changes="evolve")
        pipeline = Pipeline("shop", source, destination, routes=routes, checkpoint=Checkpoint(rows=1))
        report = pipeline.run(executor=executor)
    assert [(stream.rows, stream.commits) for stream in report.streams] == [(4, 4), (10, 4)]
    found = [row for batch in Dataset(store, "orders").batches() for row in batch.to_pylist()]
    assert [(row["id"], row["note"]) for row in found] == [(1, None), (2, None), (3, "late"), (4, "late")]
    assert sum(batch.num_rows for batch in Dataset(store, "lines").batches()) == 10
