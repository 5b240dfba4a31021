"""From an OpenAPI 3 document, readable and editable Python for an `ApiSource`.

What the document says is taken as it says it. What it leaves open (how pages follow, what identifies a record) is
guessed from names and shapes, and each guess is marked in the code by a comment `# guess: why`::

    python -m de_classes.api.openapi shop.json > shop.py

Documents are data of others: whatever stands in one, nothing of it becomes code but literals and comments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .document import Document as Document
    from .module import generated as generated

__getattr__, __dir__, __all__ = lazy(__name__, {"Document": ".document", "generated": ".module"})
