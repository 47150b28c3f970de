"""The folder of real files that tests use and the repository does not hold."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = Path(os.environ.get("EO_SHARDS_TEST_DATA") or ROOT.parent / "shared" / "data")


def test_data(*parts: str) -> Path:
    """Path of a file or folder of the real data; skips the test, saying so, where it is missing."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no real data at {path}; set EO_SHARDS_TEST_DATA to the folder that has it")
    return path


test_data.__test__ = False  # type: ignore[attr-defined]  # a helper, although its name begins like a test's
