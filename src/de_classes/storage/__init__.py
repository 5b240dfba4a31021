"""Where tables rest: object stores and PostgreSQL."""
