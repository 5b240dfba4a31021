"""Small, composable classes that move tables between HTTP APIs, object stores and PostgreSQL."""
