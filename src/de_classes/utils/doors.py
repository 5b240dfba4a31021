"""What `python -m` of a module does stands in a file of its own: it knows the module, and the module only its name."""

from __future__ import annotations

from importlib import import_module
from typing import NoReturn

__all__ = ["open_door"]

_INTERRUPTED = 130
"""What shells give for a command that Ctrl-C ended."""


def open_door(name: str) -> NoReturn:
    """Run `main()` of a module, and exit with what it gives."""
    try:
        raise SystemExit(import_module(name).main())
    except KeyboardInterrupt:  # what it needs was still being imported
        raise SystemExit(_INTERRUPTED) from None
