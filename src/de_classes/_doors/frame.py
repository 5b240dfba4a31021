"""The frame of every door: how it takes arguments, how it tells, and how it fails."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError, DeClassesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from de_classes.contracts import JsonValue

__all__ = ["door", "json_of", "number_of", "read_bytes", "run", "say"]

_INTERRUPTED = 130
"""What shells give for a command that Ctrl-C ended."""


def say(text: str, *, aside: bool = False) -> None:
    """Print what was asked for; `aside` goes to stderr, out of the way of a pipe."""
    print(text, file=sys.stderr if aside else sys.stdout)


def door(module: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """A parser for a module, by its name below `de_classes`, whose help ends with examples."""
    prog = f"python -m de_classes.{module}"
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {prog} {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show where in the code an error came from")
    return parser


def run(
    parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], None], arguments: Sequence[str] | None
) -> int:
    """Do the work; an error of de-classes is told without a traceback, and gives its exit code."""
    asked = parser.parse_args(arguments)
    try:
        work(asked)
        sys.stdout.flush()
    except DeClassesError as error:
        if asked.debug:
            raise
        say(str(error), aside=True)
        return error.exit_code
    except KeyboardInterrupt:
        if asked.debug:
            raise
        say("interrupted", aside=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has read enough; Python would complain once more when it flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def read_bytes(name: str) -> bytes:
    """A file, or standard input for "-".

    Raises:
        ConfigurationError: it cannot be read.

    """
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the file {name!r}", f"cannot be read: {error.strerror}", "Check its name.") from None


def json_of(option: str, text: str | None) -> JsonValue:
    """The value of an option that is given as JSON; None where it is not given.

    Raises:
        ConfigurationError: it is no JSON.

    """
    try:
        value: JsonValue = None if text is None else json.loads(text)
    except ValueError as error:
        raise ConfigurationError(option, f"is no JSON: {error}", "Give it as it was told.") from None
    return value


def number_of(text: str) -> int | str:
    """A whole number where the text is one, else the text."""
    return int(text) if text.isascii() and text.isdigit() else text
