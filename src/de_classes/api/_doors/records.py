"""`python -m de_classes.api.records`: the columns of records."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from de_classes._doors.frame import door, read_bytes, run, say
from de_classes.api.paging import dig
from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.columns import schema_of, told
from de_classes.formats.records import infer_shape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Infer the columns of records in a file."""
    parser = door(
        "api.records",
        "Infer the columns of the records in a file of JSON, or of JSON lines.",
        "page.json --records-at items",
        "orders.ndjson --json",
    )
    parser.add_argument("file", help='"-": standard input')
    parser.add_argument("--records-at", default="", metavar="PATH", help="dotted path to the list")
    parser.add_argument("--json", action="store_true", help="as JSON, as a position keeps them")
    return run(parser, _infer, arguments)


def _infer(asked: argparse.Namespace) -> None:
    answer = _decoded(read_bytes(asked.file), asked.file)
    records = dig(answer, asked.records_at) if asked.records_at else answer
    if not isinstance(records, list):
        raise InvalidAnswer(
            f"the file {asked.file!r}", "there is no list of records", "Name where it stands: --records-at items"
        )
    shape = infer_shape("the file", records, asked.file)
    if asked.json:
        say(json.dumps(told(shape), indent=2))
        return
    schema = schema_of(shape)
    width = max(map(len, schema.names), default=0)
    for field in schema:
        say(f"{field.name:{width}}  {field.type}")


def _decoded(text: bytes, name: str) -> Any:
    """One JSON value, or a list of those on lines."""
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    try:
        try:
            return decoder.decode(text)
        except msgspec.DecodeError:
            return decoder.decode_lines(text)
    except (msgspec.DecodeError, ArithmeticError, RecursionError) as error:
        raise InvalidAnswer(f"the file {name!r}", f"is neither JSON nor JSON lines: {error}") from None
