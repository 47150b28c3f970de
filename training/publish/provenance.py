"""What a card says of where a model comes from: the code that trained it, and what that code was told."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel


def code_digest(package: Path, *, data: Iterable[Path] = ()) -> str:
    """First 16 digits of the SHA-256 over a package's code, and over files of it that its trainings read."""
    found = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *data]):
        found.update(path.relative_to(package).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def hyperparameters(config: BaseModel, **counted: int) -> dict[str, bool | int | float | str]:
    """What a training was told, as far as a card can hold it (no folders, nothing that was not given), and counts."""
    told = config.model_dump().items()
    return {key: value for key, value in told if isinstance(value, bool | int | float | str)} | counted
