"""No paging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._states import foreign_state
from .protocol import Ask

if TYPE_CHECKING:
    from .protocol import Page, PageState

__all__ = ["SinglePage"]


@dataclass(frozen=True, slots=True)
class SinglePage:
    """All records are in one answer, and the walk ends with it.

    `in_body` asks with a POST, whose body the resource says.
    """

    in_body: bool = False

    def start(self) -> PageState:
        """The one state there is."""
        return {}

    def ask(self, state: PageState) -> Ask:
        """Ask as the resource says."""
        if state:
            raise foreign_state(state)
        return Ask(body={}) if self.in_body else Ask()

    def after(self, state: PageState, page: Page) -> PageState | None:  # noqa: ARG002 -- the protocol's
        """Nothing comes after it."""
        return None
