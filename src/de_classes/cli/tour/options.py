"""What can be asked of the tour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TourOptions"]


@dataclass(frozen=True, slots=True)
class TourOptions:
    """The options of one tour; the command line's help tells what each means."""

    folder: Path
    orders: int | None = None
    seed: int | None = None
    days: int = 0
    postgres_url: str | None = None
    store_url: str | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        problems = []
        if self.orders is not None and self.orders < 1:
            problems.append(f"--orders {self.orders}: a shop has at least one order")
        if self.days < 0:
            problems.append(f"--days {self.days}: the shop's time only goes forward")
        if problems:
            raise ConfigurationError("the tour", "; ".join(problems), "See --help.")
