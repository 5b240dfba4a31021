"""Plays the scenarios of this folder: a real client and source, real HTTP on loopback, virtual time. See README.md."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import parse_qsl

import msgspec
import pyarrow as pa

from de_classes import api
from de_classes.errors import DeClassesError
from de_classes.testing.http import LoopbackServer, Reply, json_reply
from tests.scenarios.certificates import certificate_of
from tests.scenarios.objects import Clock, download, made, resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from de_classes.contracts import Source, Transform
    from de_classes.testing.http import Asked

__all__ = ["Failed", "play"]

_RUN = {"asks", "asks at once", "answers", "exchanges", "in any order", "most at once"}
_RUN |= {"records", "columns", "position", "quarantine", "events", "kept", "error"}
_SCENARIO = {"rule", "https", "client", "resources", "downloads", "transforms", "now", "draw", "runs", *_RUN}
_EXCHANGE = {"at", "origin", "request", "headers", "lacks", "json", "form", "answer", "times"}
_ANSWER = {"status", "headers", "json", "text", "base64", "breaks", "after_seconds", "dated"}
_ANSWER |= {"repeated", "packed", "in", "drips_seconds"}
_ERROR = {"class", "says"}
_ASK = {"at", "request", "json", "idempotency_key", "error"}


class Failed(AssertionError):  # noqa: N818 -- what a test does
    """What was asked, or came out, is not what the scenario says."""


@dataclass
class Stage:
    """What a scenario is played on: the time, what was told, and what went wrong."""

    name: str
    scenario: Mapping[str, Any]
    folder: Path = Path()
    clock: Clock = field(default_factory=Clock)
    origins: dict[str, str] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    any_order: bool = False
    done: set[int] = field(default_factory=set)
    running: int = 0
    most: int = 0
    """How many requests the server had at once."""
    lock: Any = field(default_factory=threading.Lock)

    def served(self, origin: str, asked: Asked) -> Reply:
        """The answer, once it is time for it."""
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        reply = self.answer(origin, asked)
        time.sleep(reply.delay_seconds)
        with self.lock:
            self.running -= 1
        return replace(reply, delay_seconds=0)

    def answer(self, origin: str, asked: Asked) -> Reply:
        """The answer of the exchange whose turn it is, if it is the one that the scenario names."""
        with self.lock:
            waiting = [number for number in range(len(self.exchanges)) if number not in self.done]
            for number in waiting if self.any_order else waiting[:1]:
                wrong = self._differences(self.exchanges[number], origin, asked)
                if not wrong:
                    self.done.add(number)
                    return _reply(self.exchanges[number].get("answer", {}))
                if not self.any_order:
                    self.problems.append(f"exchange {number + 1}: " + "; ".join(wrong))
            if self.any_order or not waiting:
                self.problems.append(f"nobody expects {_shown(asked)} of the {origin} origin, at {self.clock()} s")
        return Reply(418, b"not in the scenario")

    def _differences(self, exchange: Mapping[str, Any], origin: str, asked: Asked) -> list[str]:
        method, _, target = exchange["request"].partition(" ")
        path, _, query = target.partition("?")
        pairs = (
            ("origin", exchange.get("origin", "own"), origin),
            ("request", (method, path, _pairs(query)), (asked.method, asked.path, sorted(asked.query.items()))),
            ("body", *_bodies(exchange, asked)),
            *((name, text, asked.headers.get(name.lower())) for name, text in exchange.get("headers", {}).items()),
            *((name, None, asked.headers.get(name.lower())) for name in exchange.get("lacks", ())),
        )
        wrong = [f"{what} expected {expected!r}, asked {got!r}" for what, expected, got in pairs if expected != got]
        at = exchange.get("at")
        earliest, latest = at if isinstance(at, list) else (at, at)
        if at is not None and not earliest - 1e-6 <= self.clock() <= latest + 1e-6:
            wrong.append(f"expected at {at} s, asked at {self.clock()} s")
        return wrong

    def check(self, what: str, expected: Any, got: Any) -> None:
        """Note a difference."""
        if expected != got:
            self.problems.append(f"{what}: expected {expected!r}, came {got!r}")


def play(name: str, scenario: Mapping[str, Any]) -> None:
    """Play a scenario.

    Raises:
        Failed: something differs from what it says, or it says what this runner does not know.

    """
    _known(name, "the scenario", scenario, _SCENARIO)
    if "rule" not in scenario:
        raise Failed(f"{name}: there is no rule")
    with TemporaryDirectory() as folder:
        stage = Stage(name, scenario, Path(folder))
        _play(stage)
    if stage.problems:
        raise Failed(f"{name} ({scenario['rule']})\n  " + "\n  ".join(stage.problems))


def _play(stage: Stage) -> None:
    trusted = certificate_of(stage.folder, "127.0.0.1") if stage.scenario.get("https") else None
    own = LoopbackServer(lambda asked: stage.served("own", asked), tls=_speaking(trusted))
    other = LoopbackServer(lambda asked: stage.served("other", asked))
    with own, other, patch("de_classes.api.auth.digest._random_nonce", lambda: "0a4f113b"):
        stage.origins = {"{origin}": own.url, "{other origin}": other.url}
        scenario = stage.scenario = _filled(stage.scenario, stage.origins)
        options = {name: made(value, stage) for name, value in scenario.get("client", {}).items()}
        defaults = {"retry": made({"class": "RetryPolicy", "attempts": 1}, stage), "observer": stage.events.append}
        if trusted is not None:
            defaults["transport"] = api.HttpTransport(ca_file=str(trusted))
        with api.ApiClient(own.url, **{**defaults, **options}) as client:
            position = None
            for run in scenario.get("runs", [scenario]):
                position = _Run(stage, run, client).played(position)


def _speaking(trusted: Path | None) -> ssl.SSLContext | None:
    if trusted is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted)
    return context


class _Run:
    """One run of a scenario."""

    def __init__(self, stage: Stage, run: Mapping[str, Any], client: api.ApiClient) -> None:
        if run is not stage.scenario:
            _known(stage.name, "a run", run, _RUN)
        self.stage, self.run, self.client = stage, run, client
        for exchange in run.get("exchanges", ()):
            _known(stage.name, "an exchange", exchange, _EXCHANGE)
            _known(stage.name, "an answer", exchange.get("answer", {}), _ANSWER)
        self.reached: list[Any] = []
        stage.exchanges = [one for one in run.get("exchanges", ()) for _ in range(one.get("times", 1))]
        stage.any_order, stage.done, stage.most = run.get("in any order", False), set(), 0
        stage.events.clear()
        stage.kept.clear()

    def played(self, position: Any) -> Any:
        """The position that it leaves."""
        stage, run = self.stage, self.run
        batches: list[Any] = []
        error = None
        try:
            self._ask() if "asks" in run else self._read(position, batches)
        except DeClassesError as caught:
            error = caught
        self._check_error(run.get("error"), error)
        left = [number for number in range(len(stage.exchanges)) if number not in stage.done]
        stage.problems += [f"exchange {n + 1}: nobody asked {stage.exchanges[n]['request']}" for n in left]
        positions = [batch.position for batch in batches if batch.position is not None] + self.reached
        position = json.loads(json.dumps(positions[-1])) if positions else position
        if "records" in run:
            stage.check("records", run["records"], _plain(batches))
        if "columns" in run:
            schema = batches[-1].records.schema if batches else pa.schema([])
            stage.check("columns", run["columns"], {column.name: str(column.type) for column in schema})
        if "position" in run:
            told = {key: value for key, value in (position or {}).items() if key != "columns"}
            stage.check("position", run["position"], told)
        if "events" in run:
            self._check_events(run["events"])
        if "most at once" in run:
            stage.check("most at once", run["most at once"], stage.most)
        if "kept" in run:
            stage.check("kept", run["kept"], stage.kept)
        if "quarantine" in run:
            stage.check("quarantine", run["quarantine"], _set_aside(batches))
        return position

    def _ask(self) -> None:
        answers: list[Any] = []
        asks = self.run["asks"]
        if self.run.get("asks at once"):
            with ThreadPoolExecutor(len(asks)) as pool:
                answers = list(pool.map(self._asked, asks))
        else:
            answers = [self._asked(ask) for ask in asks]
        if "answers" in self.run:
            self.stage.check("answers", self.run["answers"], answers)

    def _asked(self, ask: Any) -> Any:
        ask = {"request": ask} if isinstance(ask, str) else ask
        _known(self.stage.name, "an ask", ask, _ASK)
        if "at" in ask:
            self.stage.clock.sleep(ask["at"] - self.stage.clock())
        method, _, target = ask["request"].partition(" ")
        options = {name: ask[name] for name in ("json", "idempotency_key") if name in ask}
        try:
            response = self.client.request(method, target, **options)
        except DeClassesError as error:
            if "error" not in ask:
                raise
            self._check_error(ask["error"], error)
            return None
        return response.json() if response.body else None

    def _read(self, position: Any, batches: list[Any]) -> None:
        source, steps = self._source(), [made(step, self.stage) for step in self.stage.scenario.get("transforms", ())]
        with source.plan(source.streams()[-1], position) as plan:
            for split in plan.splits:
                batches.extend(replace(batch, records=_through(steps, batch.records)) for batch in split.read())
            self.reached = [plan.position] if plan.whole else []

    def _source(self) -> Source:
        scenario = self.stage.scenario
        if "downloads" in scenario:
            return api.DownloadSource(self.client, [download(spec, self.stage) for spec in scenario["downloads"]])
        resources = [resource(spec, self.stage) for spec in scenario["resources"]]
        now = datetime.fromisoformat(scenario.get("now", "2026-01-01T00:00:00+00:00"))
        return api.ApiSource(self.client, resources, clock=lambda: now.astimezone(UTC))

    def _check_error(self, expected: Any, error: DeClassesError | None) -> None:
        if expected is None:
            if error is not None:
                self.stage.problems.append(f"there is an error that nobody expects: {type(error).__name__}: {error}")
            return
        _known(self.stage.name, "an error", expected, _ERROR)
        self.stage.check("error", expected["class"], type(error).__name__)
        missing = [text for text in expected.get("says", ()) if text not in str(error)]
        if missing:
            self.stage.problems.append(f"the error lacks {missing}: {error}")

    def _check_events(self, expected: Sequence[Mapping[str, Any]]) -> None:
        told = [{"class": type(event).__name__, **_attributes(event)} for event in self.stage.events]
        self.stage.check("number of events", len(expected), len(told))
        for event, got in zip(expected, told, strict=False):
            self.stage.check("event", event, {name: got.get(name) for name in event})


def _through(steps: Sequence[Transform], records: pa.RecordBatch) -> pa.RecordBatch:
    for step in steps:
        records = step(records)
    return records


def _known(name: str, what: str, given: Mapping[str, Any], keys: set[str]) -> None:
    if unknown := sorted(set(given) - keys):
        raise Failed(f"{name}: {what} has unknown keys {unknown}; there are {sorted(keys)}")


def _attributes(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in type(event).__dataclass_fields__}


def _filled(value: Any, origins: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(part, origins) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, origins) for part in value]
    if isinstance(value, str):
        for placeholder, url in origins.items():
            value = value.replace(placeholder, url)
    return value


def _reply(answer: Mapping[str, Any]) -> Reply:
    headers = dict(answer.get("headers", {}))
    if "dated" in answer:
        headers["Retry-After"] = formatdate(datetime.now(UTC).timestamp() + answer["dated"], usegmt=True)
    status, cut = answer.get("status", 200), answer.get("breaks", "")
    body = answer.get("text", "").encode(answer.get("in", "utf-8")) * answer.get("repeated", 1)
    if answer.get("packed") == "gzip":
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    if "base64" in answer:
        body = msgspec.convert(answer["base64"], bytes)
    if "json" in answer:
        body = json_reply(answer["json"]).body
    return Reply(status, body, headers, answer.get("after_seconds", 0.0), cut, answer.get("drips_seconds", 0.0))


def _pairs(query: str) -> list[tuple[str, str]]:
    return sorted(parse_qsl(query, keep_blank_values=True))


def _bodies(exchange: Mapping[str, Any], asked: Asked) -> tuple[Any, Any]:
    """The body that is expected, and the one that came; where none is named there must be none."""
    if "json" in exchange:
        return exchange["json"], asked.json() if asked.body else None
    if "form" in exchange:
        return exchange["form"], dict(parse_qsl(asked.body.decode(), keep_blank_values=True))
    return b"", asked.body


def _shown(asked: Asked) -> str:
    query = "&".join(f"{name}={value}" for name, value in asked.query.items())
    return f"{asked.method} {asked.path}" + (f"?{query}" if query else "")


def _plain(batches: Sequence[Any]) -> list[Any]:
    """Records as JSON has them: what JSON has no form for as text, and no fields that are null."""
    rows = [row for batch in batches for row in batch.records.to_pylist()]
    plain = json.loads(json.dumps(rows, default=str))
    return [{name: value for name, value in row.items() if value is not None} for row in plain]


def _set_aside(batches: Sequence[Any]) -> list[Any]:
    return [
        json.loads(row["record"])
        for batch in batches
        if batch.rejected is not None
        for row in batch.rejected.to_pylist()
    ]
