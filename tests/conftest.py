"""Fixtures that every test may ask for; each topic has its own module in tests/fixtures."""

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.s3"]
