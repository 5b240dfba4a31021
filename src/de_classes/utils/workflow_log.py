"""The workflow log: a structured line for everything that happens in a run."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from de_classes.contracts import Retried, RunFailed, SplitProgressed, SplitStarted, StreamFailed
from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import TracebackType

    from de_classes.contracts import Event

__all__ = ["WorkflowLog"]

_LEVELS: dict[type[Event], int] = {
    RunFailed: logging.ERROR,
    StreamFailed: logging.ERROR,
    Retried: logging.WARNING,
    SplitStarted: logging.DEBUG,
    SplitProgressed: logging.DEBUG,
}
"""The level of each event that is not told at INFO."""

_FIRST = ("timestamp", "level", "event", "run_id", "pipeline", "stream", "split")
"""What each line begins with, as far as the event has it."""


class WorkflowLog:
    """An observer that logs each event with its run, pipeline, stream and split.

    Where to is told by `target`: the name of a logger of the standard library (`WorkflowLog("shop.loads")`), which then
    decides about levels and handlers as it always does; or a `Path`, to which lines are appended; or an open text
    stream. Files and streams get what is at `level` or above. No logging is configured except one's own.

    A line is a JSON object, or `key=value` pairs (`form="logfmt"`), each with an ISO timestamp (the event's), `level`,
    `event` (such as `split_finished`) and the facts of the event. Secrets are masked.

    Failures are told at ERROR, retries at WARNING, single splits and batches at DEBUG, the rest at INFO.
    """

    def __init__(
        self,
        target: str | Path | TextIO = "de_classes.workflow",
        *,
        form: Literal["json", "logfmt"] = "json",
        level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO",
    ) -> None:
        wrong = []
        if form not in {"json", "logfmt"}:
            wrong.append(f"form is {form!r}, not 'json' or 'logfmt'")
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            wrong.append(f"level is {level!r}, not 'DEBUG', 'INFO', 'WARNING' or 'ERROR'")
        if not isinstance(target, str | Path) and not hasattr(target, "write"):
            wrong.append(f"{target!r} is neither a logger's name nor a Path nor a text stream")
        if wrong:
            raise ConfigurationError("WorkflowLog", "; ".join(wrong), "Correct the arguments.")
        self._target = target
        self._form = form
        self._level = level
        self._opening = threading.Lock()
        self._handler: logging.Handler | None = None
        self._log: Any = None

    def __repr__(self) -> str:
        target = getattr(self._target, "name", "stream") if not isinstance(self._target, str | Path) else self._target
        return f"WorkflowLog({target!r}, form={self._form!r}, level={self._level!r})"

    def __call__(self, event: Event) -> None:
        """Log the event. A file is opened when this is first called, unless it was by `with`."""
        self._opened().log(_LEVELS.get(type(event), logging.INFO), _name(event), **_facts(event))

    def __enter__(self) -> Self:
        """Open the file, if it is one.

        Raises:
            ConfigurationError: it cannot be opened.

        """
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opening:
            if self._handler is not None:
                self._handler.close()
            self._handler = self._log = None

    def _opened(self) -> Any:
        with self._opening:
            if self._log is None:
                self._log = self._structured(self._logger())
            return self._log

    def _logger(self) -> logging.Logger:
        if isinstance(self._target, str):
            return logging.getLogger(self._target)
        self._handler = (
            self._file(self._target) if isinstance(self._target, Path) else logging.StreamHandler(self._target)
        )
        # Apart from the tree that logging.getLogger knows: whatever the program does to that, these lines come out.
        logger = logging.Logger("de_classes.workflow", self._level)  # noqa: LOG001 -- as said above
        logger.addHandler(self._handler)
        return logger

    def _file(self, path: Path) -> logging.Handler:
        try:
            return logging.FileHandler(path, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"the workflow log {path}",
                f"cannot be opened: {error.strerror}",
                "Name a file in a folder that exists and that may be written to.",
            ) from error

    def _structured(self, logger: logging.Logger) -> Any:
        import structlog  # noqa: PLC0415 -- importing this module stays light

        def render(_: object, level: str, facts: MutableMapping[str, Any]) -> str:
            line = _ordered({**facts, "level": level})
            if self._form == "json":
                return _json(line)
            flat = {name: _json(fact) if isinstance(fact, dict | list) else fact for name, fact in line.items()}
            return logfmt(None, level, flat)

        logfmt = structlog.processors.LogfmtRenderer(bool_as_flag=False)
        return structlog.wrap_logger(
            logger,
            processors=[structlog.stdlib.filter_by_level, render],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=False,
        )


def _name(event: Event) -> str:
    """SplitFinished is told as split_finished."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(event).__name__).lstrip("_")


def _facts(event: Event) -> dict[str, Any]:
    facts = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    facts["timestamp"] = event.at.isoformat()
    del facts["at"]
    if "split_id" in facts:
        facts["split"] = facts.pop("split_id")
    return facts


def _plain(value: Any) -> Any:
    """What JSON can hold; anything else, such as a secret, as it shows itself."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _ordered(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in (*_FIRST, *facts) if name in facts}
