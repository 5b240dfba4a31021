"""What the words of a scenario stand for: objects of public classes, in virtual time where they know time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes import api, transforms
from de_classes.configs.secrets import Secret
from de_classes.utils.rate_limit import RateLimiter
from de_classes.utils.retry import RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from de_classes.api.messages import Request
    from tests.scenarios.runner import Stage

__all__ = ["Clock", "download", "made", "resource"]

_TIMED = {"TokenLogin", "OAuth2ClientCredentials", "OAuth2RefreshToken"}


class Clock:
    """Virtual time, which only sleeping moves."""

    def __init__(self) -> None:
        self.nanoseconds = 0

    def __call__(self) -> float:
        return self.nanoseconds / 1e9

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.nanoseconds += round(seconds * 1e9)


class VirtualRetry(RetryPolicy):
    """The policy itself, in virtual time."""

    clock: Any
    draw: float

    def call(self, function: Any, **options: Any) -> Any:
        """As the policy does."""
        timed = {"clock": self.clock, "sleep": self.clock.sleep, "draw": lambda: self.draw}
        return RetryPolicy.call(self, function, **options, **timed)


def made(value: Any, stage: Stage) -> Any:
    """What a value in a scenario stands for."""
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (only := next(iter(value))) in _WORDS:
        return _WORDS[only](value[only], stage)
    parts = {key: made(part, stage) for key, part in value.items() if key != "class"}
    return _object(value["class"], parts, stage) if "class" in value else parts


def _object(kind: str, options: dict[str, Any], stage: Stage) -> Any:
    """An object of a public class, in virtual time where it knows time."""
    if kind == "RetryPolicy":
        policy = type("Virtual", (VirtualRetry,), {"clock": stage.clock, "draw": stage.scenario.get("draw", 0)})
        return policy(**options)
    if kind == "RateLimiter":
        return RateLimiter(**options, clock=lambda: stage.clock.nanoseconds, sleep=stage.clock.sleep)
    if kind == "RetryBudget":
        return RetryBudget(**options)
    if kind in _TIMED:
        options["clock"] = stage.clock
    if kind == "HttpCache":
        options["file"] = stage.folder / options["file"]
    if kind == "Flatten":
        return transforms.Flatten(*options.pop("columns", ()), **options)
    return getattr(api if hasattr(api, kind) else transforms, kind)(**options)


def _functions(stage: Stage) -> Mapping[str, Callable[..., Any]]:
    def sign(request: Request) -> Request:
        return request.with_header("X-Signed", f"{request.method} {request.full_url().partition('?')[2]}")

    return {"keep the token": lambda token: stage.kept.append(token.reveal()), "sign method and query": sign}


_WORDS: Mapping[str, Callable[[Any, Stage], Any]] = {
    "secret": lambda text, _: Secret(text),
    "seconds": lambda count, _: timedelta(seconds=count),
    "does": lambda name, stage: _functions(stage)[name],
}


def resource(spec: Mapping[str, Any], stage: Stage) -> api.Resource:
    """A resource."""
    options = {name: made(value, stage) for name, value in spec.items() if name not in {"schema", "types"}}
    types = {name: pa.type_for_alias(text) for name, text in spec.get("types", {}).items()}
    if "schema" in spec:
        options["schema"] = pa.schema({name: pa.type_for_alias(text) for name, text in spec["schema"].items()})
    key = tuple(options.pop("primary_key", ()))
    return api.Resource(**{"path": f"/{spec['name']}", **options}, types=types, primary_key=key)


def download(spec: Mapping[str, Any], stage: Stage) -> api.Download:
    """A download, whose key and schema are spelled as a resource's are."""
    options = {name: made(value, stage) for name, value in spec.items() if name != "schema"}
    if "schema" in spec:
        options["schema"] = pa.schema({name: pa.type_for_alias(text) for name, text in spec["schema"].items()})
    key = tuple(options.pop("primary_key", ()))
    return api.Download(**{"path": f"/{spec['name']}", **options}, primary_key=key)
