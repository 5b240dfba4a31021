"""`python -m de_classes.storage.postgres.declaring`: the DDL of what a table is declared to have, and lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.errors import ConfigurationError
from de_classes.storage.postgres.catalogue import table_in_catalogue
from de_classes.storage.postgres.declaring import Check, ForeignKey, Index, missing_ddl
from de_classes.storage.postgres.identifiers import TableName

from .asking import add_server, add_table, client_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from de_classes.storage.postgres.declaring import Declaration

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what would be made."""
    parser = door(
        "storage.postgres.declaring",
        "Print the statements that make the indexes and constraints which a table lacks. Nothing is run.",
        "postgresql://me@localhost/shop orders --index status --index customer,day --check 'total >= 0'",
        "postgresql://me@localhost/shop orders --unique number --foreign-key customer=customers",
    )
    add_server(parser)
    add_table(parser)
    parser.add_argument("--index", action="append", default=[], metavar="COLUMN,...", help="an index")
    parser.add_argument("--unique", action="append", default=[], metavar="COLUMN,...", help="a unique index")
    parser.add_argument("--check", action="append", default=[], metavar="CONDITION", help="what every row meets")
    parser.add_argument("--foreign-key", action="append", default=[], metavar="COLUMN,...=TABLE", help="a reference")
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    name = TableName.parse(asked.table)
    with client_of(asked).reading().connect() as connection:
        table = table_in_catalogue(connection, name)
        for statement in missing_ddl(connection, name, None if table is None else table.oid, _declared(asked)):
            say(f"{statement};")


def _declared(asked: argparse.Namespace) -> list[Declaration]:
    indexes: list[Declaration] = [Index(columns.split(",")) for columns in asked.index]
    unique = [Index(columns.split(","), unique=True) for columns in asked.unique]
    return [*indexes, *unique, *map(_foreign_key, asked.foreign_key), *map(Check, asked.check)]


def _foreign_key(text: str) -> ForeignKey:
    columns, equals, table = text.partition("=")
    if not (columns and equals and table):
        raise ConfigurationError("--foreign-key", f"{text!r} names no column and table", "Write customer=customers.")
    return ForeignKey(columns.split(","), table)
