"""`python -m de_classes.api.limits`: what an answer says of limits."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, read_bytes, run, say
from de_classes.api.limits import asked_seconds, facts
from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what the head of an answer says of limits."""
    parser = door(
        "api.limits",
        "Tell what the head of an answer (status and headers) says of rate limits, and how long it asks to wait.",
        "head.txt",
        "- <<< $'HTTP/1.1 429\\nRetry-After: 30'",
    )
    parser.add_argument("file", help='the head as a server sent it ("-": standard input), as `curl -sI` prints it')
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    status, headers = _head(read_bytes(asked.file).decode("latin-1"))
    told = facts(status, headers)
    for fact in told:
        pairs = [(field.name, getattr(fact, field.name)) for field in fields(fact)]
        say(
            ", ".join(
                f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in pairs if value
            )
        )
    seconds = asked_seconds(status, headers)
    say(
        "it says nothing of limits"
        if not told
        else f"wait {seconds:g} s"
        if seconds is not None
        else "no wait is asked for"
    )


def _head(text: str) -> tuple[int, dict[str, str]]:
    first, *lines = text.strip().splitlines() or [""]
    status = next((word for word in first.split()[1:2] if word.isdecimal()), None)
    if status is None:
        raise ConfigurationError("the head", f"begins with {first[:60]!r}", 'Its first line is like "HTTP/1.1 429".')
    pairs = (line.partition(":") for line in lines)
    return int(status), {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}
