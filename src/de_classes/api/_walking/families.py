"""Who descends from whom among the resources of a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.api.resource import Resource
    from de_classes.contracts import Position

__all__ = ["check_families", "line_of", "position_of_parent"]


def line_of(resource: Resource, known: Mapping[str, Resource]) -> tuple[Resource, ...]:
    """The resource, last, and before it those that it descends from, the first of which has no parent."""
    return tuple(reversed(list(_ancestors(resource, known))))


def check_families(known: Mapping[str, Resource]) -> None:
    """See that every resource descends from one that can be read by itself, page by page.

    Raises:
        ConfigurationError: a parent is no resource, or its own descendant, or read in windows; all that are.

    """
    problems = [problem for resource in known.values() for problem in _problems(resource, known)]
    if problems:
        raise ConfigurationError("ApiSource", "; ".join(problems), "Correct Parent(...).")


def position_of_parent(resource: Resource, position: Position | None) -> Position | None:
    """The position of the first in the line, in that of the last."""
    if position is None:
        return None
    parent = position.get("parent")
    if set(position) == {"parent"} and isinstance(parent, Mapping):
        return parent
    raise ConfigurationError(
        f"the position {dict(position)!r} of {resource.name!r}",
        "was not left by a resource with a parent",
        "Did the resource change? Begin anew, under a new name of the pipeline.",
    )


def _ancestors(resource: Resource, known: Mapping[str, Resource]) -> Iterator[Resource]:
    at: Resource | None = resource
    while at is not None:
        yield at
        at = known.get(at.parent.resource) if at.parent else None


def _problems(resource: Resource, known: Mapping[str, Resource]) -> Iterator[str]:
    if resource.parent is None:
        return
    parent = known.get(resource.parent.resource)
    if parent is None:
        yield f"{resource.parent.resource!r}, the parent of {resource.name!r}, is none of its resources"
        return
    if parent.incremental is not None and parent.incremental.windows is not None:
        yield (
            f"{parent.name!r}, the parent of {resource.name!r}, is read in windows (give the same resource once more, "
            "without windows, under another name)"
        )
    for number, ancestor in enumerate(_ancestors(parent, known)):
        if ancestor.name == resource.name:
            yield f"{resource.name!r} descends from itself"
        if ancestor.name == resource.name or number == len(known):
            return
