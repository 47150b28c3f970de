import importlib.util
import os

import pytest
from hypothesis import settings

pytest_plugins = ["peers.fixtures"]

# `make test` asks the same questions every time, so a failure is of the change and not of the day; `make chaos` asks new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    # xdist's controller imports the class of every warning that a worker saw. Lightning's are in a package that imports
    # torchvision, and a controller that cannot import one takes the worker for dead and ends the whole run.
    workers = config.getoption("numprocesses", None)
    if workers and not hasattr(config, "workerinput") and importlib.util.find_spec("torch"):
        importlib.import_module("training.cpu_torchvision")
