"""`python -m de_classes.storage.postgres.versions`: whether rows were inserted or updated since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door
from de_classes.storage.postgres.versions import RowVersions

from .changed import look

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for changes by the versions of the rows."""
    parser = door(
        "storage.postgres.versions",
        "Tell whether rows of a table were inserted or updated since a position, by their versions: no column is"
        "\nneeded, and what commits late is not missed. Without a position everything is new.",
        "postgresql://me@localhost/shop orders",
        "postgresql://me@localhost/shop orders --since '{...}'",
    )
    return look(parser, lambda _: RowVersions(), arguments)
