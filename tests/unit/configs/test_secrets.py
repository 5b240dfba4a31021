from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.configs import Secret, as_secret
from de_classes.errors import ConfigurationError

VALUE = "s3cr3t-value"


class TestSecret:
    def test_shows_itself_only_when_asked(self) -> None:
        """No way of turning a secret into text shows its value; `reveal` does."""
        secret = Secret(VALUE)
        shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret}", "%s %r" % (secret, secret)]  # noqa: UP031 -- each way counts
        shown += [repr([secret]), repr({"password": secret}), json.dumps(secret, default=str)]
        assert all(VALUE not in text and "***" in text for text in shown)
        assert secret.reveal() == VALUE

    def test_has_no_attributes_to_stumble_over(self) -> None:
        """What prints an object's attributes finds none."""
        assert not hasattr(Secret(VALUE), "__dict__")

    def test_is_not_in_the_traceback_of_an_error(self) -> None:
        """An error that is made of a secret does not tell it."""
        error = ConfigurationError(f"login with {Secret(VALUE)}", "refused", password=Secret(VALUE))
        assert VALUE not in "".join(traceback.format_exception(error)) + repr(error.context)

    @given(st.text())
    def test_pickles(self, value: str) -> None:
        """A secret travels to workers and is equal there, and by copying too."""
        secret = Secret(value)
        assert pickle.loads(pickle.dumps(secret)) == secret == copy.deepcopy(secret)
        assert pickle.loads(pickle.dumps(secret)).reveal() == value

    def test_is_compared_by_value(self) -> None:
        """Equal secrets are equal, hash alike, and equal nothing else, not even their value."""
        assert len({Secret("a"), Secret("a"), Secret("b"), Secret.from_env("a")}) == 3
        assert Secret("a") != "a"


class TestSecretFromEnv:
    def test_looks_when_it_is_revealed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable is read at each revealing, not when the secret is made."""
        secret = Secret.from_env("DE_CLASSES_TEST_SECRET")
        for value in ("one", "two"):
            monkeypatch.setenv("DE_CLASSES_TEST_SECRET", value)
            assert secret.reveal() == value

    def test_pickles_without_its_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pickle on its way to another machine names the variable only."""
        monkeypatch.setenv("DE_CLASSES_TEST_SECRET", VALUE)
        secret = Secret.from_env("DE_CLASSES_TEST_SECRET")
        secret.reveal()
        assert VALUE.encode() not in pickle.dumps(secret)
        assert pickle.loads(pickle.dumps(secret)).reveal() == VALUE

    def test_shows_where_it_stands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable's name is no secret and helps; its value is not shown."""
        monkeypatch.setenv("DE_CLASSES_TEST_SECRET", VALUE)
        assert repr(Secret.from_env("DE_CLASSES_TEST_SECRET")) == "Secret.from_env('DE_CLASSES_TEST_SECRET')"

    def test_a_variable_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names the variable and what to do."""
        monkeypatch.delenv("DE_CLASSES_TEST_SECRET", raising=False)
        with pytest.raises(
            ConfigurationError, match=r"\$DE_CLASSES_TEST_SECRET: .* not set\n  .*export DE_CLASSES_TEST_SECRET="
        ):
            Secret.from_env("DE_CLASSES_TEST_SECRET").reveal()


def test_as_secret() -> None:
    """Text is wrapped; a secret, and nothing at all, stay what they are."""
    secret = Secret("a")
    assert as_secret("a") == secret
    assert as_secret(secret) is secret
    assert as_secret(None) is None
