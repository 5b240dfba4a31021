"""`python -m de_classes.api.openapi`: an ApiSource out of a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, read_bytes, run, say
from de_classes.api.openapi import Document, generated

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write Python from a document."""
    parser = door(
        "api.openapi",
        "Write an ApiSource, as Python to be read and edited, from an OpenAPI 3 document. Nothing is fetched.",
        "petstore.json > petstore.py",
        "- < petstore.yaml",
    )
    parser.add_argument("file", help='the document in JSON, or in YAML where PyYAML is installed ("-": standard input)')
    return run(parser, _write, arguments)


def _write(asked: argparse.Namespace) -> None:
    say(generated(Document.parsed(read_bytes(asked.file), asked.file)).rstrip("\n"))
