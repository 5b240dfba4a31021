"""`python -m de_classes.storage.objects.dataset`: a dataset, looked at, read and tidied up."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, number_of, run, say
from de_classes._doors.reading import add_writing, write_records
from de_classes.errors import ConfigurationError, DatasetError
from de_classes.storage.objects.dataset import Dataset
from de_classes.storage.objects.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

__all__ = ["add_dataset", "add_moment", "dataset_asked", "main", "moment_of"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Show, read, vacuum or compact."""
    parser = door(
        "storage.objects.dataset",
        "Look at a dataset, write its rows, or the records that did not fit; remove files that nothing needs any more,"
        "\nor make small ones large.",
        "lake/ orders",
        "s3://lake orders rows --as-of 3 --format csv > orders.csv",
        "lake/ orders vacuum --keep-seconds 604800",
        "lake/ orders compact",
    )
    add_dataset(parser)
    parser.add_argument("action", nargs="?", choices=tuple(_ACTIONS), default="show", help="default %(default)s")
    add_moment(parser)
    add_writing(parser)
    parser.add_argument("--keep-seconds", type=float, default=86_400.0, help="for vacuum (default %(default)s)")
    parser.add_argument("--target-bytes", type=int, default=256 << 20, help="for compact (default %(default)s)")
    return run(parser, lambda asked: _ACTIONS[asked.action](dataset_asked(asked), asked), arguments)


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Which dataset, of which store."""
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("dataset", help="its folder in the store")


def add_moment(parser: argparse.ArgumentParser) -> None:
    """As of when."""
    parser.add_argument("--as-of", metavar="N|TIME", help="as with this commit, or at 2026-01-31T12:00:00+00:00")


def dataset_asked(asked: argparse.Namespace) -> Dataset:
    """The dataset that was asked for."""
    return Dataset(open_store(asked.store), asked.dataset, as_of=moment_of(asked))


def moment_of(asked: argparse.Namespace) -> int | datetime | None:
    """The number of a commit, or a time."""
    if asked.as_of is None:
        return None
    given = number_of(asked.as_of)
    if isinstance(given, int):
        return given
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        fact = f"{given!r} is neither the number of a commit nor a time"
        raise ConfigurationError("--as-of", fact, "Give 3, or 2026-01-31T12:00:00+00:00.") from None


def _show(dataset: Dataset, asked: argparse.Namespace) -> None:
    del asked
    present = dataset.present()
    if present is None:
        raise DatasetError(dataset.url, dataset.absence, "Check store, prefix and name.")
    files = [held.file for held in dataset.state(present).files]
    say(f"{dataset.url}: commit {present.number} of {present.at.isoformat(timespec='seconds')}")
    say(f"{present.rows:,} rows in {len(files):,} files, {sum(file.bytes for file in files):,} bytes")
    for field in present.schema or ():
        key = "  primary key" if field.name in present.primary_key else ""
        say(f"  {field.name}  {field.type}{key}")


def _rows(dataset: Dataset, asked: argparse.Namespace) -> None:
    write_records(dataset.batches(), asked, alike=True)


def _rejected(dataset: Dataset, asked: argparse.Namespace) -> None:
    write_records(dataset.rejected(), asked, alike=True)


def _vacuum(dataset: Dataset, asked: argparse.Namespace) -> None:
    removed = dataset.vacuum(asked.keep_seconds)
    say(f"{removed.files:,} files removed, {removed.bytes:,} bytes")


def _compact(dataset: Dataset, asked: argparse.Namespace) -> None:
    rewritten = dataset.compact(asked.target_bytes)
    say(f"{rewritten.files:,} files became {rewritten.into:,}, with {rewritten.rows:,} rows")


_ACTIONS: dict[str, Callable[[Dataset, argparse.Namespace], None]] = {
    "show": _show,
    "rows": _rows,
    "rejected": _rejected,
    "vacuum": _vacuum,
    "compact": _compact,
}
