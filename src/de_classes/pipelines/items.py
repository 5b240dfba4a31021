"""Streams of items: which of them a plan is to have, and who remembers those that are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.contracts import Mode, PlansItems, Remembers

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from de_classes.contracts import Destination, Plan, Position, Source, Stream

__all__ = ["are_remembered", "planned_from"]


def are_remembered(source: Source, destination: Destination) -> bool:
    """Whether the source's items are remembered in the commits of their rows."""
    return isinstance(source, PlansItems) and isinstance(destination, Remembers)


def planned_from(  # noqa: PLR0913 -- both ends, and what stands between them
    source: Source,
    destination: Destination,
    pipeline: str,
    into: Stream,
    mode: Mode,
    stream: Stream,
    since: Position | None,
) -> AbstractContextManager[Plan]:
    """What is to be read: what comes after a position, or the items that were not loaded yet; to replace, all."""
    if isinstance(source, PlansItems) and isinstance(destination, Remembers) and mode is not Mode.REPLACE:
        return source.plan_items(stream, since, destination.ledger(pipeline, into))
    return source.plan(stream, since)
