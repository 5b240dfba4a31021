"""`python -m de_classes.storage.postgres.source`: the rows of a table or a query, as a file."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from de_classes._doors.frame import door, run, say
from de_classes._doors.reading import add_reading, since_of, write_plan
from de_classes.errors import ConfigurationError
from de_classes.storage.postgres.cursors import CursorColumn
from de_classes.storage.postgres.source import PostgresSource
from de_classes.storage.postgres.types import Unheld
from de_classes.storage.postgres.versions import RowVersions

from .asking import add_server, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from de_classes.storage.postgres.versions import Changes

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a table or a query and write its rows."""
    parser = door(
        "storage.postgres.source",
        "Write the rows of a table or of a query, read under one snapshot; the position reached is told on stderr."
        "\nMany tables at once: `python -m de_classes.pipelines.named postgres-to-object-store --help`.",
        "postgresql://me@localhost/shop --table shop.orders --format parquet --to orders.parquet",
        'postgresql://me@localhost/shop --query "SELECT status, count(*) FROM orders GROUP BY 1" --format csv',
        "postgresql://me@localhost/shop --table orders --changes updated_at --since '{...}' > changed.ndjson",
    )
    add_server(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", help='table, schema.table or "Odd.Schema"."Table"')
    what.add_argument("--query", help="a SELECT")
    parser.add_argument("--changes", metavar="COLUMN", help="only what changed: by a column, or by `versions` of rows")
    parser.add_argument("--lag", type=float, metavar="SECONDS", help="how late a row may become visible, for a column")
    parser.add_argument("--unheld", choices=get_args(Unheld), default="fail", help="default %(default)s")
    parser.add_argument("--plan", action="store_true", help="only tell what would be read")
    add_reading(parser)
    return run(parser, _read, arguments)


def _read(asked: argparse.Namespace) -> None:
    changes = _changes(asked)
    source = PostgresSource(
        client_of(asked),
        tables={} if asked.table is None else {"rows": asked.table},
        queries={} if asked.query is None else {"rows": asked.query},
        changes={} if changes is None else {"rows": changes},
        unheld=asked.unheld,
    )
    (stream,) = source.streams()
    with source.plan(stream, since_of(asked)) as plan:
        if not asked.plan:
            write_plan(plan, asked)
            return
        for field in stream.schema or ():
            say(f"{field.name}  {field.type}")
        say(f"{len(plan.splits)} splits")


def _changes(asked: argparse.Namespace) -> Changes | None:
    if asked.changes is None or asked.changes == "versions":
        if asked.lag is not None:
            raise ConfigurationError("--lag", "is for changes that a column tells", "Write --changes COLUMN --lag 60.")
        return None if asked.changes is None else RowVersions()
    return CursorColumn(asked.changes, None if asked.lag is None else timedelta(seconds=asked.lag))
