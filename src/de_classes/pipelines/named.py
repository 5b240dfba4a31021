"""The two pipelines that people look for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from de_classes.contracts import Mode
from de_classes.storage.objects import DatasetDestination, DatasetSource
from de_classes.storage.postgres import PostgresDestination, PostgresSource

from .pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.configs.secrets import Secret
    from de_classes.contracts import Source, Transform
    from de_classes.storage.objects import Files, Format, ObjectStore
    from de_classes.storage.postgres import PostgresClient
    from de_classes.storage.postgres.declaring import Declaration
    from de_classes.storage.postgres.encode import CopyEncoder
    from de_classes.storage.postgres.pieces import Cut
    from de_classes.storage.postgres.placing import TableChanges
    from de_classes.storage.postgres.read import QueryReader
    from de_classes.storage.postgres.setting_aside import Unfit
    from de_classes.storage.postgres.source import Strategy
    from de_classes.storage.postgres.types import Unheld
    from de_classes.utils.schemas import SchemaChanges

    from .pipeline import Route, Verify

__all__ = ["ObjectStoreToPostgres", "PostgresToObjectStore"]


class ObjectStoreToPostgres(Pipeline):
    """Loads datasets, or the files of others, from MinIO, S3 or a folder into PostgreSQL tables.

    Takes what was committed to each dataset since the last run, and merges it by primary key unless `mode` says
    otherwise. With `files`, it takes those instead, each once, as a `FileSource` has them. How tables are written is
    said as to a `PostgresDestination`.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        store: ObjectStore,
        postgres: PostgresClient | str | Secret,
        *,
        name: str = "object_store_to_postgres",
        prefix: str = "",
        files: Mapping[str, Files] | None = None,
        schema: str = "public",
        state_schema: str = "de_classes",
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.MERGE,
        verify: Verify = "counts",
        schema_changes: TableChanges = "freeze",
        unfit: Unfit | None = None,
        truncate: bool = False,
        max_deleted_share: float = 0.5,
        mark_deleted: str | None = None,
        declared: Mapping[str, Sequence[Declaration]] | None = None,
        encoder: CopyEncoder | None = None,
    ) -> None:
        source: Source = DatasetSource(store, prefix) if files is None else _files_of(store, files)
        destination = PostgresDestination(
            postgres,
            schema=schema,
            state_schema=state_schema,
            schema_changes=schema_changes,
            unfit=unfit,
            truncate=truncate,
            max_deleted_share=max_deleted_share,
            mark_deleted=mark_deleted,
            declared=declared,
            encoder=encoder,
        )
        super().__init__(name, source, destination, routes=routes, transforms=transforms, mode=mode, verify=verify)


def _files_of(store: ObjectStore, files: Mapping[str, Files]) -> Source:
    from de_classes.storage.objects import FileSource  # noqa: PLC0415 -- all formats, only where files are read

    return FileSource(store, files)


class PostgresToObjectStore(Pipeline):
    """Copies PostgreSQL tables and queries to datasets in S3, MinIO or a folder.

    Each run reads the tables whole, each under one snapshot, and replaces the datasets unless `mode` says otherwise.
    What is read, and how, is said as to a `PostgresSource`; a dataset cannot merge changes, so it is always the whole.
    Files that were replaced are kept for `keep_replaced_seconds`, for those who still read them. How files are written,
    and whether a replacement leaves the partitions that do not come, is said as to a `DatasetDestination`.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        postgres: PostgresClient | str | Secret,
        store: ObjectStore,
        *,
        name: str = "postgres_to_object_store",
        tables: Sequence[str] | Mapping[str, str] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        queries: Mapping[str, str] | None = None,
        splits: Mapping[str, Cut] | None = None,
        unheld: Unheld = "fail",
        split_bytes: int = 64 * 2**20,
        max_connections: int | None = None,
        strategy: Strategy | QueryReader = "adbc",
        prefix: str = "",
        routes: Sequence[Route | str] | None = None,
        transforms: Sequence[Transform] = (),
        mode: Mode | str = Mode.REPLACE,
        verify: Verify = "counts",
        schema_changes: SchemaChanges = "freeze",
        keep_replaced_seconds: float = 86_400.0,
        format: Format | None = None,  # noqa: A002 -- the word for it
        partition_by: Sequence[str] = (),
        replace: Literal["all", "partitions"] = "all",
        target_file_bytes: int = 256 * 2**20,
        row_group_bytes: int = 16 * 2**20,
    ) -> None:
        source = PostgresSource(
            postgres,
            tables=tables,
            include=include,
            exclude=exclude,
            queries=queries or {},
            splits=splits,
            unheld=unheld,
            split_bytes=split_bytes,
            max_connections=max_connections,
            strategy=strategy,
        )
        destination = DatasetDestination(
            store,
            prefix,
            format=format,
            keep_replaced_seconds=keep_replaced_seconds,
            schema_changes=schema_changes,
            partition_by=partition_by,
            replace=replace,
            target_file_bytes=target_file_bytes,
            row_group_bytes=row_group_bytes,
        )
        super().__init__(name, source, destination, routes=routes, transforms=transforms, mode=mode, verify=verify)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.pipelines._doors.named")
