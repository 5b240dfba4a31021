"""Object stores, and datasets of Parquet files in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .csv import CsvFormat as CsvFormat
    from .dataset import Compacted as Compacted
    from .dataset import Dataset as Dataset
    from .dataset import Vacuumed as Vacuumed
    from .destination import DatasetDestination as DatasetDestination
    from .files import Files as Files
    from .files import FileSource as FileSource
    from .files import Parquet as Parquet
    from .formats import Format as Format
    from .formats import TableWriter as TableWriter
    from .load import DatasetLoad as DatasetLoad
    from .ndjson import NdjsonFormat as NdjsonFormat
    from .parquet import ParquetFormat as ParquetFormat
    from .source import DatasetSource as DatasetSource
    from .source import DatasetSplit as DatasetSplit
    from .store import LocalStore as LocalStore
    from .store import MemoryStore as MemoryStore
    from .store import MinioStore as MinioStore
    from .store import ObjectInfo as ObjectInfo
    from .store import ObjectStore as ObjectStore
    from .store import ObjectWriter as ObjectWriter
    from .store import S3Store as S3Store
    from .store import open_store as open_store

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Compacted": ".dataset",
        "CsvFormat": ".csv",
        "Dataset": ".dataset",
        "DatasetDestination": ".destination",
        "DatasetLoad": ".load",
        "DatasetSource": ".source",
        "DatasetSplit": ".source",
        "FileSource": ".files",
        "Files": ".files",
        "Format": ".formats",
        "LocalStore": ".store",
        "MemoryStore": ".store",
        "MinioStore": ".store",
        "NdjsonFormat": ".ndjson",
        "ObjectInfo": ".store",
        "ObjectStore": ".store",
        "ObjectWriter": ".store",
        "Parquet": ".files",
        "ParquetFormat": ".parquet",
        "S3Store": ".store",
        "TableWriter": ".formats",
        "Vacuumed": ".dataset",
        "open_store": ".store",
    },
)
