"""What the system says about files and disks, as errors that say what to do."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eo.errors import InvalidInput, TooLarge

SPACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What writing says when there is no room: full disk, quota, file-size limit."""
REFUSALS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}
"""What the system says to a path that can never work, whatever is free."""


@contextmanager
def explained(where: Path) -> Iterator[None]:
    """Turn what the system says about files into an error that says what to do: `TooLarge` or `InvalidInput`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if error.errno in SPACE_ERRORS:
            folder = existing(where.resolve())
            free = shutil.disk_usage(folder).free
            raise TooLarge(
                f"no room to write {where.name} in {folder}: {reason}, {free / 1e6:,.0f} MB free; free some space and run "
                "the same command again, or set EO_SHARDS_HOME or --out to a larger disk, or choose a smaller bbox or a "
                "coarser resolution"
            ) from None
        if error.errno in REFUSALS:
            raise InvalidInput(
                f"{error.filename or where} cannot be used: {reason}; check it and its permissions, or choose another "
                "folder with EO_SHARDS_HOME or --out"
            ) from None
        raise


def existing(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    return folder
