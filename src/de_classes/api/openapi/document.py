"""The document: read, checked for its version, and its references followed."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from de_classes.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Document", "mapping", "sequence"]


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one: documents are not always what they should be."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> list[Any]:
    """The value where it is an array, else an empty one."""
    return value if isinstance(value, list) else []


class Document:
    """An OpenAPI document of version 3.0 or 3.1.

    Raises:
        ConfigurationError: it is none.

    """

    def __init__(self, content: Any, name: str = "the document") -> None:
        self.name = name
        self.root = mapping(content)
        version = str(self.root.get("openapi", ""))
        if not version.startswith(("3.0", "3.1")):
            told = f"version {version}" if version else "Swagger 2" if "swagger" in self.root else "no OpenAPI document"
            raise ConfigurationError(
                name, f"is {told}, not OpenAPI 3.0 or 3.1", "Convert it first, for example with swagger2openapi."
            )

    @classmethod
    def parsed(cls, text: str | bytes, name: str = "the document") -> Document:
        """A document of JSON; of YAML where PyYAML is installed.

        Raises:
            ConfigurationError: it cannot be read.
            MissingExtra: it is no JSON, and PyYAML is not there.

        """
        try:
            return cls(json.loads(text), name)
        except (ValueError, RecursionError) as error:
            if text.lstrip()[:1] in {"{", b"{"}:
                raise ConfigurationError(name, f"is no JSON: {error}", "Check the file.") from None
        try:
            yaml = importlib.import_module("yaml")
        except ImportError:
            raise MissingExtra(name, "is no JSON, and YAML needs PyYAML", "pip install pyyaml") from None
        try:
            return cls(yaml.safe_load(text), name)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigurationError(name, f"is neither JSON nor YAML: {error}", "Check the file.") from None

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any], list[Mapping[str, Any]]]]:
        """Path, method, operation and its parameters, those of the path included."""
        for path, item in mapping(self.root.get("paths")).items():
            entry = self.followed(item)
            for method in ("get", "post"):
                operation = entry.get(method)
                if isinstance(path, str) and isinstance(operation, Mapping):
                    yield path, method, operation, self._parameters(entry, operation)

    def _parameters(self, *owners: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The later one of two with the same name and place counts."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for owner in owners:
            for entry in sequence(owner.get("parameters")):
                parameter = self.followed(entry)
                name, place = parameter.get("name"), parameter.get("in")
                if isinstance(name, str) and isinstance(place, str):
                    found[place, name] = parameter
        return list(found.values())

    def followed(self, node: Any) -> Mapping[str, Any]:
        """The object that a node is, or refers to; an empty one where references only lead to each other.

        Raises:
            ConfigurationError: a reference leads out of the document, or to nothing.

        """
        seen: set[str] = set()
        while isinstance(ref := mapping(node).get("$ref"), str):
            if ref in seen:
                return {}
            seen.add(ref)
            node = self.target(ref)
        return mapping(node)

    def target(self, ref: str) -> Any:
        """What a reference refers to.

        Raises:
            ConfigurationError: it leads out of the document, or to nothing.

        """
        if not ref.startswith("#"):
            raise ConfigurationError(
                self.name,
                f"refers to {ref!r}, which is not in it",
                "Bundle it into one file first, for example with `redocly bundle`; nothing is fetched.",
            )
        node: Any = self.root
        for part in unquote(ref).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                raise ConfigurationError(self.name, f"refers to {ref!r}, where nothing is", "Correct the document.")
        return node
