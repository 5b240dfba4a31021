"""The frame of every door: how it takes arguments, how it tells, and how it fails."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError, DeClassesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from de_classes.contracts import Position

__all__ = ["door", "number_of", "position_of", "read_bytes", "run", "say", "whole_file"]

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


def position_of(option: str, text: str | None) -> Position | None:
    """A position that is given as JSON, as it was told; None where it is not given.

    Raises:
        ConfigurationError: it is no JSON, or none of an object.

    """
    try:
        given = None if text is None else json.loads(text)
    except ValueError as error:
        raise ConfigurationError(option, f"is no JSON: {error}", "Give it as it was told.") from None
    if isinstance(given, dict) or text is None:
        return given
    raise ConfigurationError(option, f"{text} is no position", "Give it as it was told, such as '{...}'.")


@contextmanager
def whole_file(name: str) -> Iterator[BinaryIO]:
    """A file to write, which has its name once the `with` ends well: nobody takes a part of it for all.

    Raises:
        DeClassesError: it cannot be written.

    """
    target = Path(name)
    is_plain = target.is_file() or not target.exists()  # a device or a pipe, such as /dev/null, must not be replaced
    written = target.with_name(f"{target.name}.part") if is_plain else target
    try:
        with written.open("wb") as file:
            yield file
        if is_plain:
            written.replace(target)
    except OSError as error:
        raise DeClassesError(f"the file {name!r}", f"cannot be written: {error.strerror}") from error
    finally:
        if is_plain:
            with suppress(OSError):
                written.unlink(missing_ok=True)


def number_of(text: str) -> int | str:
    """A whole number where the text is one, else the text."""
    return int(text) if text.isascii() and text.isdigit() else text
