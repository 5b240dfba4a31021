"""Small, composable classes that move tables between HTTP APIs, object stores and PostgreSQL."""

__all__ = ["__version__"]

__version__ = "0.1.0"
