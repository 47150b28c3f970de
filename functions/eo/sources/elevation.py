"""The elevation adapters behind one pair of functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.grid import Window
from eo.sources import local_dem
from eo.sources.lattice import Lattice

if TYPE_CHECKING:
    from eo.bbox import BBox
    from eo.job import ElevationSource
    from eo.settings import Settings
    from eo.transport import Traffic


def describe(
    adapter: str, *, path: str | None, bbox: "BBox", settings: "Settings", traffic: "Traffic"
) -> Sequence[Lattice]:
    """Find the lattices of a job's elevation, from north to south where there are several."""
    if adapter == local_dem.ADAPTER:
        return local_dem.describe(Path(path or "").absolute(), centre_lon=bbox.centre_lon)
    raise InvalidInput(f"dem {adapter} is not known; choose earth-data-hub, cop-dem-glo-30 or local")


def read(
    source: "ElevationSource", window: Window, *, settings: "Settings", traffic: "Traffic"
) -> NDArray[np.float32]:
    """Posts of a window of a source's lattice, of shape window.shape, float32 metres, NaN where there are none."""
    if source.adapter == local_dem.ADAPTER:
        return local_dem.read(
            source.href, source.variable, dict(source.flags), ascending=source.ascending, window=window
        )
    raise InvalidInput(f"dem {source.adapter} is not known; choose earth-data-hub, cop-dem-glo-30 or local")
