import os

from hypothesis import settings

pytest_plugins = ["peers.fixtures"]

# `make test` asks the same questions every time, so a failure is of the change and not of the day; `make chaos` asks new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
