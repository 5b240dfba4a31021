"""Interrupting a commit at each line of a destination's own code, as Ctrl-C may."""

from __future__ import annotations

import inspect
import linecache
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Interrupted", "Line", "Lines"]


class Interrupted(BaseException):
    """What is raised; no `except Exception` keeps it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of code."""

    file: str
    number: int


def _is_bare_try(line: Line) -> bool:
    # CPython does not count it to the `with` around it, so that nothing would be closed; no signal comes there either.
    return linecache.getline(line.file, line.number).strip() == "try:"


@dataclass
class Lines:
    """Follows what runs in the files where the classes of some objects are written.

    Within `passed` the lines are noted, each once, in the order in which they are first reached; where `stop_at` is
    given, `Interrupted` is raised before that line is run. Only this thread is followed.
    """

    objects: tuple[Any, ...]
    stop_at: Line | None = None
    seen: dict[Line, None] = field(default_factory=dict)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Follow."""
        files = {inspect.getfile(type(one)) for one in self.objects}
        before = sys.gettrace()

        def at_line(frame: FrameType, event: str, _: Any) -> Any:
            line = Line(frame.f_code.co_filename, frame.f_lineno)
            if event == "line" and not _is_bare_try(line):
                self.seen[line] = None
                if line == self.stop_at:
                    raise Interrupted(f"{line.file}:{line.number}")
            return at_line

        def at_call(frame: FrameType, _: str, __: Any) -> Any:
            return at_line if frame.f_code.co_filename in files else None

        sys.settrace(at_call)
        try:
            yield
        finally:
            sys.settrace(before)
