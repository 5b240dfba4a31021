"""From JSON to columns: pages that stay text, shapes that are inferred, and what converts them."""
