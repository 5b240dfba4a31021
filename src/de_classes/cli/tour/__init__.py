"""The tour: a small shop's tables from its API to a lake, to a warehouse, through SQL, and back to the lake, proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .app import main as main

__getattr__, __dir__, __all__ = lazy(__name__, {"main": ".app"})
