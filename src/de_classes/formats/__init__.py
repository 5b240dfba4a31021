"""Formats of text: how bytes and JSON records become columns, wherever they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .csv_files import Csv as Csv
    from .ndjson_files import Ndjson as Ndjson
    from .records import RecordConverter as RecordConverter

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Csv": ".csv_files",
        "Ndjson": ".ndjson_files",
        "RecordConverter": ".records",
    },
)
