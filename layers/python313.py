"""The interpreter of the Lambda runtime, where this machine has one: `python3 layers/python313.py` prints its path.

The names on PATH may be shims of a version manager that run only where that version was chosen, so each candidate is asked.
"""

# ruff: noqa: INP001 - a script that is run by its path
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "EO_SHARDS_PYTHON313"
MISSING = f"no Python 3.13 found: install it, or name its interpreter in {VARIABLE}"
_ASK = "import sys; print(sys.executable) if sys.version_info[:2] == (3, 13) else sys.exit(1)"


def find() -> str | None:
    """Path of a real Python 3.13, or None. A name in EO_SHARDS_PYTHON313 goes before all others."""
    for candidate in _candidates():
        try:
            asked = subprocess.run([candidate, "-c", _ASK], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - an interpreter's name
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            return asked.stdout.strip()
    return None


def _candidates() -> Iterator[str]:
    if os.environ.get(VARIABLE):
        yield os.environ[VARIABLE]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder) / "python3.13"
        if path.is_file():
            yield str(path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    for root, pattern in (
        (pyenv / "versions", "3.13*/bin/python3.13"),
        (home / ".local/share/uv/python", "cpython-3.13*/bin/python3.13"),
        (home / ".local/share/mise/installs/python", "3.13*/bin/python3.13"),
    ):
        yield from (str(path) for path in sorted(root.glob(pattern)))


if __name__ == "__main__":
    found = find()
    if found is None:
        sys.exit(MISSING)
    print(found)  # noqa: T201 - its purpose
