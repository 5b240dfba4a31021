"""What the doors of PostgreSQL share: which server, and which table of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.storage.postgres.client import PostgresClient
from de_classes.storage.postgres.splitting import PostgresSplit

if TYPE_CHECKING:
    import argparse

    from de_classes.contracts import Split

__all__ = ["add_server", "add_table", "client_of", "condition_of"]


def add_server(parser: argparse.ArgumentParser) -> None:
    """Which server, and how patiently it is asked."""
    parser.add_argument(
        "url", help="postgresql://user@host/database; the password comes from PGPASSWORD or ~/.pgpass, or stands in it"
    )
    parser.add_argument("--statement-timeout", type=float, metavar="SECONDS", help="default: the server's")
    parser.add_argument("--lock-timeout", type=float, metavar="SECONDS", help="default: the server's")


def add_table(parser: argparse.ArgumentParser) -> None:
    """Which table."""
    parser.add_argument("table", help='table, schema.table or "Odd.Schema"."Table"')


def client_of(asked: argparse.Namespace) -> PostgresClient:
    """The client that was asked for."""
    return PostgresClient(
        asked.url, statement_timeout_seconds=asked.statement_timeout, lock_timeout_seconds=asked.lock_timeout
    )


def condition_of(split: Split) -> str:
    """Which rows a split reads."""
    return (split.selection.where if isinstance(split, PostgresSplit) else "") or "all rows"
