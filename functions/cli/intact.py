"""Whether a file of a result is what it was when it was made."""

import os
from pathlib import Path

from eo.checksums import CHECKSUMS, damaged, listed, told
from eo.errors import CorruptData, InvalidInput


def intact(file: Path) -> str | None:
    """What the checksums beside a file say of it, in words; None where they do not name it, or there are none.

    Every byte is read. Raises CorruptData where some are not those that were written.
    """
    beside = file.with_name(CHECKSUMS)
    try:
        pieces = listed(beside.read_bytes(), file.name)
        if pieces is None:
            return None
        broken = damaged(file, pieces)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"{beside} cannot be read: {os.strerror(error.errno or 0)}; make it readable") from None
    if broken is not None:
        raise CorruptData(told(file, broken))
    return f"intact, {len(pieces):,} piece{'' if len(pieces) == 1 else 's'}"
