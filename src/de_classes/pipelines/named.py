"""The two pipelines that people look for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from de_classes.storage.objects import DatasetDestination, DatasetSource
from de_classes.storage.postgres import PostgresDestination, PostgresSource

from .pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.configs.secrets import Secret
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
        postgres: PostgresClient | str | Secret,
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

    Each run reads the tables whole, each under one snapshot, and replaces the datasets unless `mode` says otherwise.
    Files that were replaced are kept for `keep_replaced_seconds`, for those who still read them.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        postgres: PostgresClient | str | Secret,
        store: ObjectStore,
        *,
        name: str = "postgres_to_object_store",
        tables: Sequence[str] | Mapping[str, str] = (),
        queries: Mapping[str, str] | None = None,
        prefix: str = "",
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.REPLACE,
        keep_replaced_seconds: float = 86_400.0,
    ) -> None:
        source = PostgresSource(postgres, tables=tables, queries=queries or {})
        destination = DatasetDestination(store, prefix, keep_replaced_seconds=keep_replaced_seconds)
        super().__init__(name, source, destination, routes=routes, transforms=transforms, mode=mode)
