"""`python -m de_classes.storage.objects.probe`: whether a store can be committed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.storage.objects.probe import probe
from de_classes.storage.objects.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try conditional puts."""
    parser = door(
        "storage.objects.probe",
        "Try conditional puts on an object of its own, and tell whether the store keeps to them. One that does not"
        "\nis told as an error: datasets in it would not be safe.",
        "s3://lake",
        "lake/ --prefix orders",
    )
    parser.add_argument("store", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--prefix", default="", help="try it in this folder of the store")
    return run(parser, _probe, arguments)


def _probe(asked: argparse.Namespace) -> None:
    store = open_store(asked.store)
    report = probe(store, asked.prefix)
    say(f"{store.url} can be committed to: it refuses to create an object twice")
    say(f"if-match: {'kept to' if report.if_match else 'ignored, which commits do without'}")
