"""What `python -m` of a module does stands in a file of its own: it knows the module, and the module only its name."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import NoReturn

from .memory import give_memory_back

__all__ = ["before_the_door", "open_door"]


def before_the_door() -> None:
    """Where a module of ours is run by `python -m`, it is a program: what goes for the process is decided here.

    Arrow takes memory that it gives back; and Ctrl-C ends the process plainly until `open_door` takes it, since until
    then Python is only importing, which it would tell in a traceback.
    """
    asked = sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] if "-m" in sys.orig_argv else []
    if not any(name.startswith("de_classes.") for name in asked):
        return
    give_memory_back()
    # Whoever ignores it, as shells let what runs in the background, goes on ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def open_door(name: str) -> NoReturn:
    """Run `main()` of a module, and exit with what it gives."""
    main = import_module(name).main
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    raise SystemExit(main())
