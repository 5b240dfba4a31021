from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.api._walking.templates import names_in, path_of, text_of

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8) | st.sampled_from(
    ["..", ".", "a/b", "?x#y", "%2e"]
)
VALUES = TEXTS | st.integers()


@given(VALUES, VALUES)
def test_a_value_stays_in_its_segment(shop: Any, order: Any) -> None:
    """Whatever the values are, the path keeps its segments, and each segment decodes to its value."""
    try:
        path = path_of("/shops/{shop}/orders/n{order}/lines", {"shop": shop, "order": order})
    except ValueError:
        assert str(shop) in {".", ".."}
        return
    target = urlsplit(urljoin("http://api.example/v1/", f"http://api.example/v1{path}"))
    segments = target.path.split("/")
    assert [unquote(segment) for segment in segments] == ["", "v1", "shops", str(shop), "orders", f"n{order}", "lines"]
    assert (target.query, target.fragment, target.netloc) == ("", "", "api.example")


@given(st.lists(st.sampled_from(["a", "{", "}", "/", "é"]), max_size=8).map("".join))
def test_doubled_braces_are_braces(text: str) -> None:
    """Any text with its braces doubled is a template of that text, without names."""
    template = text.replace("{", "{{").replace("}", "}}")
    assert names_in(template) == frozenset()
    assert text_of(template, {}) == text


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,3}", fullmatch=True), TEXTS, max_size=3))
def test_text_takes_values_as_they_are(values: dict[str, str]) -> None:
    """Outside of paths nothing is encoded: that is for whoever sends it."""
    template = "".join(f"<{{{name}}}>" for name in values)
    assert names_in(template) == frozenset(values)
    assert text_of(template, values) == "".join(f"<{value}>" for value in values.values())


@pytest.mark.parametrize("template", ["{", "}", "{}", "a{b c}", "{1}", "{{{", "{a}}", "{a.b}", "{a!r}"])
def test_stray_braces_are_refused(template: str) -> None:
    """A brace that neither holds a name nor is doubled is a mistake."""
    with pytest.raises(ValueError, match="brace"):
        names_in(template)


@pytest.mark.parametrize(
    ("template", "value"),
    [("/{a}", ""), ("/{a}", True), ("/{a}", None), ("/{a}", 1.5), ("/{a}", "."), ("/{a}", ".."), ("/.{a}/x", ".")],
)
def test_what_makes_no_segment_is_refused(template: str, value: Any) -> None:
    """Nothing, what is no text or whole number, and ways up are no values of a path."""
    with pytest.raises(ValueError, match=r"value of '?a'?"):
        path_of(template, {"a": value})


def test_dots_that_the_template_has_are_the_users() -> None:
    """Dots within a segment are nothing special, and a path that climbs by itself is left as it is."""
    assert path_of("/../{a}", {"a": "..."}) == "/../..."
