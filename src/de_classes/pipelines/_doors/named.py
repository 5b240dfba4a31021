"""`python -m de_classes.pipelines.named`: from PostgreSQL to an object store, and back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

from de_classes._doors.frame import door, run
from de_classes.contracts import Mode
from de_classes.pipelines.named import ObjectStoreToPostgres, PostgresToObjectStore
from de_classes.storage.objects import CsvFormat, NdjsonFormat, ParquetFormat, open_store
from de_classes.storage.objects._doors.files import add_format, files_of
from de_classes.storage.postgres.placing import TableChanges
from de_classes.storage.postgres.setting_aside import Unfit
from de_classes.storage.postgres.types import Unheld
from de_classes.utils.schemas import SchemaChanges

from .running import add_mode, add_running, carry, pairs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.pipelines.pipeline import Pipeline

__all__ = ["main"]

_DEFAULT = "default %(default)s"
_OUT, _BACK = "postgres-to-object-store", "object-store-to-postgres"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two."""
    parser = door(
        "pipelines.named",
        "Copy tables of PostgreSQL to datasets of a store, or load datasets or files into tables."
        "\nEach has a --help of its own.",
        f"{_OUT} postgresql://me@localhost/shop s3://lake --include 'shop.*' --plan",
        f"{_OUT} postgresql://me@localhost/shop lake/ --table orders --format csv --verify values",
        f"{_BACK} s3://lake postgresql://me@localhost/copies --stream orders --mode merge",
        f"{_BACK} s3://landing postgresql://me@localhost/shop --files 'orders=in/orders-*.csv' --guess --key id",
    )
    routes = parser.add_subparsers(metavar="ROUTE", required=True)
    _add_common(_add_out(routes.add_parser(_OUT, help="tables to datasets")), Mode.REPLACE)
    _add_common(_add_back(routes.add_parser(_BACK, help="datasets to tables")), Mode.MERGE)
    return run(parser, lambda asked: carry(asked.make(asked), asked), arguments)


def _add_out(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("postgres", help="postgresql://user@host/database; password from PGPASSWORD or ~/.pgpass")
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--table", action="append", default=[], help="table or schema.table; several times for more")
    parser.add_argument("--query", action="append", default=[], metavar="NAME=SELECT", help="a query, as a dataset")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="tables, such as 'shop.*'")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="of those, not these")
    parser.add_argument("--unheld", choices=get_args(Unheld), default="fail", help=_DEFAULT)
    parser.add_argument("--max-connections", type=int, help="to the server")
    parser.add_argument("--format", choices=tuple(_FORMATS), default="parquet", help=_DEFAULT)
    parser.add_argument("--partition-by", action="append", default=[], metavar="COLUMN", help="folders by its values")
    parser.add_argument("--schema-changes", choices=get_args(SchemaChanges), default="freeze", help=_DEFAULT)
    parser.set_defaults(make=_out, name="postgres_to_object_store")
    return parser


def _add_back(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("postgres", help="postgresql://user@host/database; password from PGPASSWORD or ~/.pgpass")
    parser.add_argument("--stream", action="append", help="only this dataset; several times for more")
    parser.add_argument(
        "--files", action="append", default=[], metavar="STREAM=PATTERN", help="files of others instead"
    )
    parser.add_argument("--key", action="append", default=[], metavar="COLUMN", help="of the primary key of the files")
    add_format(parser)
    parser.add_argument("--schema", default="public", help="of the tables (default %(default)s)")
    parser.add_argument("--schema-changes", choices=get_args(TableChanges), default="freeze", help=_DEFAULT)
    parser.add_argument("--unfit", choices=get_args(Unfit), help="of values that a column refuses; default: fail")
    parser.set_defaults(make=_back, name="object_store_to_postgres")
    return parser


def _add_common(parser: argparse.ArgumentParser, mode: Mode) -> None:
    parser.add_argument("--prefix", default="", help="the folder of the datasets' folders")
    parser.add_argument("--name", help="of the pipeline, under which positions are kept (default %(default)s)")
    add_mode(parser, mode)
    add_running(parser)
    # Before the route it is known already; a default here would take it back.
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _out(asked: argparse.Namespace) -> Pipeline:
    return PostgresToObjectStore(
        asked.postgres,
        open_store(asked.store),
        name=asked.name,
        tables=asked.table,
        queries=pairs_of("--query", asked.query),
        include=asked.include,
        exclude=asked.exclude,
        unheld=asked.unheld,
        max_connections=asked.max_connections,
        prefix=asked.prefix,
        mode=asked.mode,
        verify=asked.verify,
        schema_changes=asked.schema_changes,
        format=_FORMATS[asked.format](),
        partition_by=asked.partition_by,
    )


def _back(asked: argparse.Namespace) -> Pipeline:
    patterns = pairs_of("--files", asked.files)
    return ObjectStoreToPostgres(
        open_store(asked.store),
        asked.postgres,
        name=asked.name,
        prefix=asked.prefix,
        files={name: files_of(pattern, asked, asked.key) for name, pattern in patterns.items()} or None,
        schema=asked.schema,
        unfit=asked.unfit,
        routes=asked.stream,
        mode=asked.mode,
        verify=asked.verify,
        schema_changes=asked.schema_changes,
    )


_FORMATS = {"parquet": ParquetFormat, "csv": CsvFormat, "ndjson": NdjsonFormat}
