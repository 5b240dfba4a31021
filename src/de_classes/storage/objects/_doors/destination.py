"""`python -m de_classes.storage.objects.destination`: how far a pipeline has taken the datasets of a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.objects.destination import DatasetDestination
from de_classes.storage.objects.source import DatasetSource
from de_classes.storage.objects.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the positions of a pipeline."""
    parser = door(
        "storage.objects.destination",
        "Tell from where a pipeline would go on, for each dataset that is there. To load something, see"
        "\n`python -m de_classes.pipelines.arrow --help`.",
        "lake/ nightly",
        "s3://lake nightly --prefix shop",
    )
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("pipeline", help="its name")
    parser.add_argument("--prefix", default="", help="the folder of the datasets' folders")
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    store = open_store(asked.store)
    destination = DatasetDestination(store, asked.prefix)
    for stream in DatasetSource(store, asked.prefix).streams():
        say(f"{stream.name}: {json.dumps(destination.position(asked.pipeline, stream))}")
