"""`python -m de_classes.api.watermark`: the highest of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.api.watermark import highest
from de_classes.errors import ConfigurationError

from .door import value_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell which of some values the next run would ask by."""
    parser = door(
        "api.watermark",
        "Tell which of some values is the highest, as the next run of an incremental resource would ask by it.",
        "2024-01-01T00:00:00Z 2024-01-01T00:30:00+01:00",
        "7 10 9",
    )
    parser.add_argument("values", nargs="+", help="timestamps, numbers or texts")
    return run(parser, _highest, arguments)


def _highest(asked: argparse.Namespace) -> None:
    values = [value_of(text) for text in asked.values]
    try:
        say(str(highest(None, values)))
    except ValueError as error:
        raise ConfigurationError("the values", str(error), "An API's watermark is of one kind.") from None
