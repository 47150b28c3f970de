"""Install Lambda's runtime client for the runtime's own Python: `python tests/aws/rie/install_client.py`.

Lambda has it beside the layers, so no layer brings it; the emulator needs it to run what `sam build` has made. It and
what it needs come from requirements.lock, hash-checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[2]
NAMES = ("awslambdaric", "simplejson", "snapshot-restore-py")


def main() -> None:
    sys.path.insert(0, str(TESTS))
    # The tests' folder is put on the path first.
    from aws.infra.built import Unavailable, python313  # noqa: PLC0415
    from aws.infra.template import ROOT  # noqa: PLC0415
    from aws.rie.deployed import CLIENT  # noqa: PLC0415

    try:
        python = python313()
    except Unavailable as reason:
        sys.stderr.write(f"{reason}; the tests of the built tree will be skipped by name\n")
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.write("".join(_locked((ROOT / "requirements.lock").read_text(), name) for name in NAMES))
        pinned.flush()
        subprocess.run(
            [
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"),
                *("--require-hashes", "--only-binary=:all:", "--no-deps", "--target", CLIENT, "-r", pinned.name),
            ],
            check=True,
        )


def _locked(lock: str, name: str) -> str:
    """The lines of a package in a lock file."""
    found = re.search(rf"^{name}==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    assert found is not None, f"{name} is not in requirements.lock"
    return found[0]


if __name__ == "__main__":
    main()
