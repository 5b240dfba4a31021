"""The routes as pipelines: what a worker is told, and what it runs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.api import ApiClient, ApiSource, CursorInBody, Incremental, Resource
from de_classes.contracts import Mode
from de_classes.formats import Csv
from de_classes.pipelines import Checkpoint, Pipeline
from de_classes.storage.objects import (
    CsvFormat,
    Dataset,
    DatasetDestination,
    DatasetSource,
    Files,
    FileSource,
    LocalStore,
    S3Store,
)
from de_classes.storage.postgres import CursorColumn, Index, PostgresClient, PostgresDestination, PostgresSource

if TYPE_CHECKING:
    from de_classes.contracts import Destination, Source
    from de_classes.pipelines import Verify
    from de_classes.storage.objects import ObjectStore

from tests.faults.rows import SCHEMA, Unfit

STREAM = "orders"


@dataclass(frozen=True, slots=True)
class Job:
    """One run: from where to where, and what is to go wrong in it. Everything here survives JSON."""

    source: str
    """Of an API and of PostgreSQL the URL, of a dataset the folder or `s3:bucket@endpoint`, of files `files:folder`."""
    target: str
    mode: str
    origin: str = ""
    """A table at the source."""
    schema: str = ""
    """Of a PostgreSQL target: the schema, whose state is kept in one beside it."""
    split_bytes: int = 8192
    deletes: bool = False
    """Whether rows that are gone at the source go from the target."""
    csv: bool = False
    """Whether files are CSV, packed with gzip, and not Parquet."""
    changes: bool = False
    """Whether rows of PostgreSQL are read that were changed since, as their column `changed` tells."""
    partitions: bool = False
    """Whether the dataset is cut by `note`, and only partitions are replaced that rows come for."""
    unfit: Unfit = ""
    """What rows are set aside for that the table cannot hold."""
    verified: bool = False
    """Whether values are read back before they are committed."""
    patience_seconds: float = 2
    """How long it tries to connect to a PostgreSQL target."""
    fault: str = ""
    """As DE_CLASSES_FAULT has it."""
    log: str = ""


COMPACT = "compact"
"""A mode of no pipeline: the dataset that is the target has its files rewritten."""
VACUUM = "vacuum"
"""Another: files that it consists of no more are removed."""


def run(job: Job) -> None:
    """Run it to its end."""
    if job.mode == COMPACT:
        Dataset(store(job.target), STREAM).compact()
        return
    if job.mode == VACUUM:
        Dataset(store(job.target), STREAM).vacuum(0)
        return
    source, destination = _source(job), _destination(job)
    verify: Verify = "values" if job.verified else "counts"
    checkpoint = Checkpoint(rows=40)
    pipeline = Pipeline(
        "faults", source, destination, routes=[STREAM], mode=job.mode, checkpoint=checkpoint, verify=verify
    )
    pipeline.run()


def _source(job: Job) -> Source:
    if job.source.startswith("http:"):
        newer = Incremental(param="since", field="id")
        resource = Resource(STREAM, "/orders", paging=CursorInBody(at="next"), primary_key=("id",), incremental=newer)
        return ApiSource(ApiClient(job.source), [resource])
    if job.source.startswith("postgresql:"):
        changes = {STREAM: CursorColumn("changed")} if job.changes else {}
        deletes = [STREAM] * job.deletes
        return PostgresSource(
            job.source, tables={STREAM: job.origin}, split_bytes=job.split_bytes, changes=changes, deletes=deletes
        )
    if job.source.startswith("files:"):
        files = Files("*.csv", Csv(null_values=("",)), SCHEMA, ("id",), changed="reload", file_column="file")
        return FileSource(LocalStore(job.source.removeprefix("files:")), {STREAM: files}, split_bytes=1)
    return DatasetSource(store(job.source), split_bytes=1)


def _destination(job: Job) -> Destination:
    if job.target.startswith("postgresql:"):
        client = PostgresClient(job.target, connect_timeout_seconds=job.patience_seconds)
        declared = {STREAM: [Index(["at"])]}
        return PostgresDestination(
            client,
            schema=job.schema,
            state_schema=f"{job.schema}_state",
            declared=declared,
            schema_changes="quarantine" if job.unfit == "column" else "freeze",
            unfit="quarantine" if job.unfit else "fail",
        )
    form = CsvFormat(compression="gzip") if job.csv else None
    own: dict[str, Any] = {"keep_replaced_seconds": 0} if job.mode == Mode.REPLACE else {}
    own |= {"partition_by": ["note"], "replace": "partitions"} if job.partitions else {}
    return DatasetDestination(store(job.target), format=form, **own)


def store(place: str) -> ObjectStore:
    """A local folder, or a bucket of the tests' S3 server."""
    kind, _, rest = place.partition(":")
    if kind != "s3":
        return LocalStore(place)
    bucket, _, endpoint = rest.partition("@")
    return S3Store(
        bucket,
        endpoint=endpoint,
        access_key_id="test-key",
        secret_access_key="test-secret",
        patience_seconds=1,
        timeout_seconds=10,
    )
