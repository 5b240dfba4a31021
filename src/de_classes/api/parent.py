"""What makes a resource the child of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """A resource is asked for once for each record of another: `/orders/{order_id}/lines` for each order.

    The parents are read as their own stream is, from where the child's position stands, and they may be children in
    turn. With an incremental parent the children of those parents come that are new or changed, all of them and again:
    load such a child with the mode `merge`. The position is the parent's, after each page of parents.

    Raises:
        ConfigurationError: options that cannot be; all of them are told at once.

    """

    resource: str
    """The parent's name in the same source."""
    fields: Mapping[str, str]
    """For each name in the child's templates, the dotted path of its value in the parent's record."""
    include: Mapping[str, str] = field(default_factory=dict)
    """Fields that each of the child's records gets besides its own, with dotted paths in the parent's record. With a
    schema they are declared in it, too."""
    missing: Literal["fail", "skip"] = "fail"
    """What a 404 or 410 for a child means: `fail` ends the run, `skip` takes the parent for one that has vanished since
    it was listed, and has no children; each page of parents logs how many did."""
    at_once: int = 4
    """For how many parents children are asked for at a time; up to eight pages of each are held in memory."""

    def __post_init__(self) -> None:
        problems = list(self._of_other_kinds()) or list(self._problems())
        if problems:
            raise ConfigurationError("Parent", "; ".join(problems), "Write Parent('orders', {'order_id': 'id'}).")

    def _of_other_kinds(self) -> Iterator[str]:
        given: Any = self
        if not isinstance(given.resource, str):
            yield f"resource={given.resource!r} is no name of a resource of the same source"
        for name in ("fields", "include"):
            paths = getattr(given, name)
            if not isinstance(paths, Mapping) or not all(
                isinstance(text, str) for pair in paths.items() for text in pair
            ):
                yield f"{name}={paths!r} is no mapping of names to dotted paths"
        if isinstance(given.at_once, bool) or not isinstance(given.at_once, int):
            yield f"at_once={given.at_once!r} is no whole number"

    def _problems(self) -> Iterator[str]:
        if not self.resource:
            yield "resource='' names no resource"
        if not self.fields:
            yield "fields={} is empty, so that all parents would have the same children"
        yield from (
            f"include=... has {name!r}, with a dot or empty" for name in self.include if "." in name or not name
        )
        if self.missing not in {"fail", "skip"}:
            yield f"missing={self.missing!r} is neither 'fail' nor 'skip'"
        if self.at_once < 1:
            yield f"at_once={self.at_once} is below 1"


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.source")
