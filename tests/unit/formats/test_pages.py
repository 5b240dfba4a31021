from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api.paging import dig
from de_classes.api.paging._states import digest_of_records
from de_classes.errors import InvalidAnswer
from de_classes.formats.json_columns.pages import Records, taken_apart

EXACT = msgspec.json.Decoder(float_hook=Decimal)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abü.", max_size=2), inner, max_size=3),
    max_leaves=12,
)


def _records(*texts: str) -> Records:
    return Records([msgspec.Raw(text.encode()) for text in texts], "http://api.example/x")


@given(answer=st.dictionaries(st.sampled_from("abc"), JSON), path=st.sampled_from(["a", "a.b", "b.a.c", ""]))
def test_taking_apart_changes_nothing(answer: dict[str, object], path: str) -> None:
    """Whatever an answer holds, it is what decoding it gives, and there are records where it has a list."""
    body = msgspec.json.encode(answer)
    apart = taken_apart(body, path)
    expected = dig(answer, path) if path else answer
    assert (apart is not None) == isinstance(expected, list)
    if apart is not None:
        assert list(apart[1]) == expected
        assert dig(apart[0], path) is apart[1]
        first, _, _ = path.partition(".")
        assert {**apart[0], first: None} == {**answer, first: None}


def test_records_are_decoded_when_they_are_asked_for() -> None:
    """A record, a slice and all of them are objects as exact decoding gives them."""
    apart = taken_apart(b'[{"a": 1.10}, {"a": 2}, null]', "")
    assert apart is not None
    records = apart[1]
    assert (len(records), records[0], records[-1]) == (3, {"a": Decimal("1.10")}, None)
    assert list(records[1:]) == [{"a": 2}, None]
    assert not records.are_objects
    assert records[:2].are_objects


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a": [1}', b'{"a": ["\xff"]}', b'{"a": 1}', b'{"b": []}', b"[]", b'{"a": ' + b"[" * 9999],
    ids=lambda body: repr(body[:12]),
)
def test_an_answer_without_records_is_not_taken_apart(body: bytes) -> None:
    """What is no JSON, too deep, or has no list at the place is left to those who say why."""
    assert taken_apart(body, "a") is None


@pytest.mark.parametrize("number", ["1e99999999999999999999", "1" * 5000])
def test_a_record_that_cannot_be_read_is_an_invalid_answer(number: str) -> None:
    """A number that nothing holds is told with the page, by whoever asks for the record."""
    records = _records('{"a": 1}', f'{{"a": {number}}}')
    assert records[0] == {"a": 1}
    with pytest.raises(InvalidAnswer, match=r"http://api\.example/x"):
        list(records)
    assert records.field("a") is None


@pytest.mark.parametrize(
    ("path", "values"),
    [("a", [1, None, Decimal("0.10")]), ("b.c", ["x", "y", "z"]), ("b.ü", [1, 2, 3]), ("b.d", None), ("e", None)],
)
def test_one_field_is_read_alone(path: str, values: list[object] | None) -> None:
    """The values of a field come in order; None tells that a record lacks it."""
    records = _records(
        '{"a": 1, "b": {"c": "x", "ü": 1, "d": 1}, "e": 1}',
        '{"a": null, "b": {"c": "y", "\\u00fc": 2, "d": 2}}',
        '{"b": {"ü": 3, "c": "z"}, "a": 0.10, "e": {}}',
    )
    assert records.field(path) == values


@pytest.mark.parametrize("record", ["1", "null", '{"a": 1}', '{"a": null}', '{"a": []}'])
def test_a_field_within_what_is_no_object_is_none(record: str) -> None:
    """A parent that is missing or no object has no field."""
    assert _records('{"a": {"b": 1}}', record).field("a.b") is None


HALVES = st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff"])
TEXTS = st.lists(st.one_of(st.characters(), HALVES, st.sampled_from('\\"u'))).map("".join)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4), escaped=st.booleans())
def test_only_halves_of_characters_keep_a_record_from_being_read(texts: list[str], escaped: bool) -> None:
    """Records are what they were, each as it came, but for those with a half of a character, which are told."""
    written = [json.dumps({"t": text}, ensure_ascii=escaped or not _is_whole(text)) for text in texts]
    apart = taken_apart(f'{{"n": 1, "a": [{", ".join(written)}]}}'.encode(), "a")
    assert apart is not None
    for at in range(len(texts)):
        assert apart[1].text(at) == written[at]
        read = json.loads(written[at])
        if _is_whole(read["t"]):
            assert apart[1][at] == read
        else:
            with pytest.raises(InvalidAnswer, match=rf"number {at}, .*half a character"):
                apart[1][at]


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_digests_tell_pages_apart() -> None:
    """Equal texts have equal digests, and others have others."""
    assert _records('{"a": 1}').digest() == _records('{"a": 1}').digest()
    assert _records('{"a": 1}').digest() != _records('{"a": 2}').digest()


def test_long_pages_that_differ_in_one_record_are_told_apart_by_their_length() -> None:
    """Of long pages sixteen records are looked at, and how long all of them are."""
    texts = [msgspec.Raw(b'{"v":0}')] * 31
    others = [*texts[:1], msgspec.Raw(b'{"v":10}'), *texts[2:]]
    assert digest_of_records(Records(texts)) == digest_of_records(Records(list(texts)))
    assert digest_of_records(Records(texts)) != digest_of_records(Records(others))
