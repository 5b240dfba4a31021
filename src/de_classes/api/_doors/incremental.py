"""`python -m de_classes.api.incremental`: what an API would be asked since a watermark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from de_classes._doors.frame import door, run, say
from de_classes.api._walking.moments import moment_of
from de_classes.api._walking.windows import cut
from de_classes.api.incremental import Incremental, Windows
from de_classes.errors import ConfigurationError

from .door import value_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the parameters of the next run, or of each of its windows."""
    parser = door(
        "api.incremental",
        "Tell by which parameters a resource is asked for what is new. Nothing is sent.",
        "--since 2026-03-01T12:00:00Z --format unix --overlap-seconds 3600",
        "--param from --end-param to --start 2026-01-01 --end 2026-02-01 --window-seconds 604800",
    )
    parser.add_argument("--param", default="updated_since", help="default %(default)s")
    parser.add_argument("--since", help="the watermark: the highest value that was given")
    parser.add_argument("--start", help="the watermark of the first run")
    parser.add_argument("--end", help="ask only up to this value")
    parser.add_argument("--end-param", help="the parameter that sends the end")
    parser.add_argument("--format", help="unix, unix_ms, iso_date or a pattern of strftime; default: as it is")
    parser.add_argument("--overlap-seconds", type=float, help="ask again for what is so much older")
    parser.add_argument("--window-seconds", type=float, help="cut what is asked for into windows of this length")
    return run(parser, _asked, arguments)


def _asked(asked: argparse.Namespace) -> None:
    incremental = Incremental(
        param=asked.param,
        start=_value(asked.start),
        end=_value(asked.end),
        end_param=asked.end_param,
        format=asked.format,
        overlap=_seconds(asked.overlap_seconds),
        windows=None if asked.window_seconds is None else Windows(step=timedelta(seconds=asked.window_seconds)),
    )
    if incremental.windows is None:
        since = _value(asked.since) if asked.since is not None else incremental.start
        say(urlencode(incremental.asked(since)) or "(no parameters: everything is asked for)")
        return
    try:
        since_moment = None if asked.since is None else moment_of(asked.since)
    except ValueError as error:
        raise ConfigurationError(f"--since {asked.since!r}", str(error), "Give an ISO 8601 moment.") from None
    for window in cut(incremental, since_moment, datetime.now(UTC)):
        say(f"{window.since.isoformat()}  {urlencode(window.asked(incremental))}")


def _value(text: str | None) -> str | int | None:
    value = None if text is None else value_of(text)
    return value if isinstance(value, int) else text


def _seconds(count: float | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=count)
