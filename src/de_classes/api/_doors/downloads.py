"""`python -m de_classes.api.downloads`: a file as a table, or into a folder."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from de_classes._doors.frame import door, run, say
from de_classes.api.downloads import Csv, Download, DownloadSource, Ndjson, download_to
from de_classes.errors import ConfigurationError

from .door import add_asking, client_of, path_of, query_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Show a file's columns and first rows, or save it."""
    parser = door(
        "api.downloads",
        "Read a file of NDJSON or CSV while it arrives: its columns, its first rows, how many there are. Or save it.",
        "https://data.example.com/stations.csv.gz --rows 5 --null ''",
        "https://data.example.com/events.ndjson",
        "https://data.example.com/report.pdf --save report.pdf",
    )
    add_asking(parser)
    parser.add_argument("--format", choices=("csv", "ndjson"), help="default: by the path, else ndjson")
    parser.add_argument("--delimiter", default=",", help="of a CSV file (default %(default)s)")
    parser.add_argument("--encoding", default="utf-8", help="of a CSV file (default %(default)s)")
    parser.add_argument(
        "--null", action="append", default=[], metavar="TEXT", help="a text that stands for null in CSV"
    )
    parser.add_argument("--rows", type=int, default=3, help="how many rows to show (default %(default)s)")
    parser.add_argument("--save", metavar="FILE", help="save the file as it is, whole or not at all")
    return run(parser, _downloaded, arguments)


def _downloaded(asked: argparse.Namespace) -> None:
    (_shown if asked.save is None else _saved)(asked)


def _shown(asked: argparse.Namespace) -> None:
    kind = asked.format or ("csv" if ".csv" in path_of(asked.url).lower() else "ndjson")
    csv = Csv(delimiter=asked.delimiter, encoding=asked.encoding, null_values=tuple(asked.null))
    download = Download("file", path_of(asked.url), csv if kind == "csv" else Ndjson(), params=query_of(asked.url))
    rows, columns = 0, ""
    with client_of(asked) as client:
        source = DownloadSource(client, [download])
        with source.plan(download.stream, None) as plan:
            for split in plan.splits:
                for batch in split.read():
                    columns = columns or batch.records.schema.to_string()
                    for row in batch.records.slice(0, max(asked.rows - rows, 0)).to_pylist():
                        say(str(row))
                    rows += batch.records.num_rows
    say("\n".join(filter(None, [columns, f"{rows} rows"])))


def _saved(asked: argparse.Namespace) -> None:
    with client_of(asked) as client:
        done = download_to(client, path_of(asked.url), _Files(), asked.save, params=query_of(asked.url))
    say(f"{done.key}: {done.bytes} bytes, SHA-256 {done.sha256}")


class _Files:
    """Files that are there when they are whole."""

    @contextmanager
    def open_writer(self, key: str, *, expected_bytes: int = 0) -> Iterator[BinaryIO]:  # noqa: ARG002 -- a store's signature
        """Write beside the file, and take its place at the end."""
        target = Path(key).absolute()
        try:
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as beside:
                try:
                    yield cast("BinaryIO", beside)
                    beside.close()
                    os.replace(beside.name, target)  # noqa: PTH105 -- the name is a text
                except BaseException:
                    Path(beside.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise ConfigurationError(
                f"the file {key!r}", f"cannot be written: {error.strerror}", "Check it."
            ) from error
