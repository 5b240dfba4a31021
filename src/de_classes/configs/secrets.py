"""Values that must not be seen."""

from __future__ import annotations

import os
from typing import Any, final

from de_classes.errors import ConfigurationError

__all__ = ["Secret", "as_secret"]


@final
class Secret:
    """A password, key or token that shows itself only when asked with `reveal()`.

    `Secret("...")` holds the value; `Secret.from_env("NAME")` holds the name and looks when revealed, so that not even
    a pickle on its way to another machine contains the value.
    """

    __slots__ = ("_env", "_value")

    def __init__(self, value: str) -> None:
        self._value: str | None = value
        self._env: str | None = None

    @classmethod
    def from_env(cls, name: str) -> Secret:
        """Name an environment variable that is read whenever the secret is revealed."""
        secret = cls("")
        secret._value, secret._env = None, name
        return secret

    def reveal(self) -> str:
        """The value itself.

        Raises:
            ConfigurationError: it stands in an environment variable that is not set, or empty.

        """
        if self._env is None:
            return self._value or ""
        value = os.environ.get(self._env)
        if not value:
            fact = "the environment variable is " + ("not set" if value is None else "empty")
            raise ConfigurationError(f"secret ${self._env}", fact, f"Set it: export {self._env}=...")
        return value

    def __repr__(self) -> str:
        return f"Secret.from_env({self._env!r})" if self._env else "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._env) == (other._value, other._env)

    def __hash__(self) -> int:
        return hash((self._value, self._env))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret.from_env, (self._env,)) if self._env else (Secret, (self._value,))


def as_secret(value: str | Secret | None) -> Secret | None:
    """Wrap what was given plainly, so that constructors may accept both."""
    return Secret(value) if isinstance(value, str) else value
