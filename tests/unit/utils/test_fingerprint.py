"""Fingerprints of transforms."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from de_classes.transforms import Cast, Derive, Filter, Select, compose
from de_classes.utils.fingerprint import fingerprint


def scaled(batch: pa.RecordBatch, *, by: int = 2) -> pa.RecordBatch:
    return pa.record_batch({"n": pc.multiply(batch["n"], by)})


def multiplied(by: int) -> Any:
    def multiply(batch: pa.RecordBatch) -> pa.RecordBatch:
        return scaled(batch, by=by)

    return multiply


RATE = 2


def rated(batch: pa.RecordBatch) -> pa.RecordBatch:
    return by_rate(batch)


def by_rate(batch: pa.RecordBatch) -> pa.RecordBatch:
    return scaled(batch, by=RATE)


def one(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.slice(1)


def two(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.slice(2)


CASES = {
    "nothing": [],
    "a": [Select("a")],
    "b": [Select("b")],
    "a and b": [Select("a"), Select("b")],
    "composed": [compose(Select("a"), Select("b"))],
    "cast": [Cast({"a": pa.int8()})],
    "cast wider": [Cast({"a": pa.int16()})],
    "filter": [Filter(pc.field("a") > 1)],
    "filter more": [Filter(pc.field("a") > 2)],
    "derive": [Derive({"c": pc.field("a")})],
    "derive by a function": [Derive({"c": one})],
    "derive by another": [Derive({"c": two})],
    "function": [scaled],
    "partial": [partial(scaled, by=3)],
    "another partial": [partial(scaled, by=4)],
    "closure": [multiplied(3)],
    "another closure": [multiplied(4)],
    "a constant": [one],
    "another constant": [two],
    "a long list": [Filter(pc.field("a").isin(list(range(1000))))],
    "another long list": [Filter(pc.field("a").isin([*range(500), 7000, *range(501, 1000)]))],
    "an array": [partial(scaled, by=np.arange(2000))],
    "another array": [partial(scaled, by=np.where(np.arange(2000) == 1000, 7, np.arange(2000)))],
}


def test_a_constant_of_the_module_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that uses a constant or a function of its module is another one when that changes."""
    before = fingerprint([rated])
    monkeypatch.setitem(globals(), "RATE", 3)
    assert fingerprint([rated]) != before


def test_no_two_are_alike() -> None:
    """Whatever differs in its settings, its code or what it closes over has another fingerprint."""
    prints = {name: fingerprint(transforms) for name, transforms in CASES.items()}
    assert len(set(prints.values())) == len(CASES)


def test_it_is_the_same_in_another_process() -> None:
    """A later run, in a process of its own, finds the same fingerprints."""
    script = (
        "import json; from tests.unit.utils.test_fingerprint import *\n"
        "print(json.dumps({name: fingerprint(case) for name, case in CASES.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=_env())
    assert json.loads(done.stdout) == {name: fingerprint(case) for name, case in CASES.items()}


def _env() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}


def test_what_cannot_be_told_is_never_the_same() -> None:
    """Two objects that only show their addresses might do anything, so they count as different."""

    class Opaque:
        def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
            return batch

    first, second = Opaque(), Opaque()
    assert fingerprint([first]) != fingerprint([second])


class Named:
    """Shows its name, and not what decides."""

    def __init__(self, by: object) -> None:
        self.by = by

    def __repr__(self) -> str:
        return "Named()"


def test_what_an_object_hides_counts() -> None:
    """Two objects that look alike and hold something else are not taken for one another."""
    assert fingerprint([Named(1)]) == fingerprint([Named(1)])
    assert fingerprint([Named(1)]) != fingerprint([Named(2)])


def test_functions_that_call_each_other_are_told_once() -> None:
    """Many helpers of one module that all use each other take no longer than so many."""
    names = [f"f{n}" for n in range(40)]
    source = "\n".join(f"def {name}(batch):\n    return batch, {', '.join(names)}" for name in names)
    module: dict[str, Any] = {"__name__": "helpers"}
    exec(source, module)  # noqa: S102 -- functions made for this test
    assert fingerprint([module["f0"]]) == fingerprint([module["f0"]])


def test_what_does_not_pickle_is_never_the_same() -> None:
    """An object of a library that cannot be told whole counts as different each time, and is no error."""
    reader = pa.table({"a": [1]}).to_reader()
    assert fingerprint([partial(scaled, by=reader)]) != fingerprint([partial(scaled, by=reader)])
