"""Pictures as files."""

import io

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(rows, columns, 3 or 4): red, green, blue, and alpha where there is one."""


def png(picture: Picture) -> bytes:
    """Encode as PNG, the same bytes for the same picture."""
    from PIL import Image  # noqa: PLC0415 - only the merge draws

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=2)
    return buffer.getvalue()
