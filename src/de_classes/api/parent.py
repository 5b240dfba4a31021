"""What makes a resource the child of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """A resource is asked for once for each record of another: `/orders/{order_id}/lines` for each order.

    The parents are read as their own stream is, from where the child's position stands, and they may be children in
    turn. With an incremental parent the children of those parents come that are new or changed, all of them and again:
    load such a child with the mode `merge`. The position is the parent's, after each page of parents.
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

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        given: Any = self
        if not isinstance(given.fields, Mapping) or not isinstance(given.include, Mapping):
            yield "Parent(fields=..., include=...) are mappings: {'order_id': 'id'}"
            return
        if not self.fields:
            yield "Parent(fields=...) is empty, so that all parents would have the same children"
        yield from (
            f"Parent(include=...) has {name!r}, with a dot or empty" for name in self.include if "." in name or not name
        )
        if self.missing not in {"fail", "skip"}:
            yield f"Parent(missing={self.missing!r}) is neither 'fail' nor 'skip'"
        if self.at_once < 1:
            yield f"Parent(at_once={self.at_once}) (must be 1 or more)"


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.source")
