"""Giving events to observers."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import Event, Observer

__all__ = ["Telling"]

_log = logging.getLogger("de_classes")


class Telling:
    """Tells observers what happens, one event at a time. An observer that fails is logged and changes nothing."""

    def __init__(
        self, observers: Sequence[Observer], about: dict[str, str], lock: threading.Lock | None = None
    ) -> None:
        self._observers = observers
        self._lock = lock or threading.Lock()
        self.about = about

    def within(self, **about: str) -> Telling:
        """The same observers, told more of what each event is about."""
        return Telling(self._observers, {**self.about, **about}, self._lock)

    def of(self, event: type[Event], **facts: Any) -> None:
        """Tell of one event, which happened now."""
        told = event(at=datetime.now(UTC), **self.about, **facts)
        with self._lock:
            for observer in self._observers:
                try:
                    observer(told)
                except Exception:  # noqa: BLE001 -- whatever an observer does must not stop the load
                    _log.exception("observer %r failed on %s", observer, type(told).__name__)
