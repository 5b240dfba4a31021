"""`python -m de_classes.api.random_numbers`: random numbers, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from de_classes._doors.frame import door, run, say
from de_classes.api.random_numbers import Distribution, RandomNumbers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]

_PARAMETERS = ("low", "high", "mean", "deviation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print random numbers, one a line."""
    parser = door(
        "api.random_numbers",
        "Print random numbers that follow from a seed, one a line.",
        "--count 5 --seed 1",
        "--distribution normal --mean 170 --deviation 10",
    )
    parser.add_argument("--count", type=int, default=10, help="how many (default %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same numbers (default %(default)s)"
    )
    parser.add_argument("--distribution", choices=get_args(Distribution), default="uniform", help="default %(default)s")
    for name in _PARAMETERS:
        parser.add_argument(f"--{name}", type=float, help="a parameter of the distribution")
    return run(parser, _draw, arguments)


def _draw(asked: argparse.Namespace) -> None:
    parameters = {name: vars(asked)[name] for name in _PARAMETERS}
    for number in RandomNumbers(asked.count, seed=asked.seed, distribution=asked.distribution, **parameters):
        say(str(number))
