"""The two pipelines that people look for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from de_classes.storage.objects import DatasetDestination, DatasetSource
from de_classes.storage.postgres import PostgresDestination, PostgresSource

from .pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import Transform
    from de_classes.storage.objects import ObjectStore
    from de_classes.storage.postgres import PostgresClient

    from .pipeline import Route

__all__ = ["ObjectStoreToPostgres", "PostgresToObjectStore"]


class ObjectStoreToPostgres(Pipeline):
    """Loads datasets from MinIO, S3 or a folder into PostgreSQL tables.

    Takes what was committed to each dataset since the last run, and merges it by primary key unless `mode` says
    otherwise.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        store: ObjectStore,
        postgres: PostgresClient | str,
        *,
        name: str = "object_store_to_postgres",
        prefix: str = "",
        schema: str = "public",
        state_schema: str = "de_classes",
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.MERGE,
    ) -> None:
        source = DatasetSource(store, prefix)
        destination = PostgresDestination(postgres, schema=schema, state_schema=state_schema)
        super().__init__(name, source, destination, routes=routes, transforms=transforms, mode=mode)


class PostgresToObjectStore(Pipeline):
    """Copies PostgreSQL tables and queries to datasets in S3, MinIO or a folder.

    Each run reads the tables whole, all under one snapshot a table, and replaces the datasets unless `mode` says
    otherwise.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        postgres: PostgresClient | str,
        store: ObjectStore,
        *,
        name: str = "postgres_to_object_store",
        tables: Sequence[str] = (),
        queries: Mapping[str, str] | None = None,
        prefix: str = "",
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.REPLACE,
    ) -> None:
        source = PostgresSource(postgres, tables=tables, queries=queries or {})
        super().__init__(name, source, DatasetDestination(store, prefix), transforms=transforms, mode=mode)
