"""Fixtures that every test may ask for; each topic has its own module in tests/fixtures."""

from hypothesis import settings

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.s3"]

# How long an example takes says more about the machine than about the code; timings live in benchmarks.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
