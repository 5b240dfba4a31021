"""Ctrl-C: the first one ends things in good order, the second one at once. Light, so that it holds from early on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["INTERRUPTED", "interruptible"]

INTERRUPTED = 130
"""What shells give for a command that Ctrl-C ended: 128 and the number of SIGINT."""

_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into an end with 130 and one line; the second one does not wait for anything.

    Nothing that is lost by then was promised to anybody: a run may be killed at any instant.
    """
    signal.signal(signal.SIGINT, _first)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as ended:
        # Typer makes the second of the first.
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        _say("\nInterrupted. Nothing is half done: run it again, and it goes on from here.")
        # What is still to come is Python's own end, which has no place for another one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(INTERRUPTED) from None


def _first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of signal handlers
    signal.signal(signal.SIGINT, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of signal handlers
    _say(("\r" + _SHOW_CURSOR if sys.stderr.isatty() else "") + "\nInterrupted again: ended at once.")
    os._exit(INTERRUPTED)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())
