"""The elevation adapters behind one pair of functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.grid import Window
from eo.sources import glo30, local_dem, zarr_dem
from eo.sources.lattice import EGM2008, Lattice
from eo.transport import connect

if TYPE_CHECKING:
    from eo.bbox import BBox
    from eo.job import ElevationSource
    from eo.settings import Settings
    from eo.traffic import Traffic

EARTH_DATA_HUB = "earth-data-hub"
REMOTE = {EARTH_DATA_HUB, glo30.ADAPTER}
"""Adapters whose posts come over the network."""
LIMIT = 9000
"""Metres beyond any height of land and any depth of a DEM: undeclared no-data (-32768, -9999, 3.4e38, inf) is beyond it."""


def describe(
    adapter: str, *, path: str | None, bbox: "BBox", settings: "Settings", traffic: "Traffic"
) -> Sequence[Lattice]:
    """Find the lattices of a job's elevation, from north to south where there are several."""
    if adapter == local_dem.ADAPTER:
        return local_dem.describe(Path(path or "").absolute(), bbox=bbox)
    if adapter == EARTH_DATA_HUB:
        from eo.sources.http_store import HttpStore  # noqa: PLC0415 - zarr is heavy, and local files do without

        url = settings.earth_data_hub_url
        with connect("earth-data-hub", settings, traffic) as remote:
            store = HttpStore(remote, url)
            return [zarr_dem.describe(store, adapter=adapter, href=url, vertical=EGM2008, centre_lon=bbox.centre_lon)]
    if adapter == glo30.ADAPTER:
        with connect("cop-dem-glo-30", settings, traffic) as remote:
            return glo30.describe(bbox, url=settings.cop_dem_30_url, url_90=settings.cop_dem_90_url, remote=remote)
    raise InvalidInput(f"dem {adapter} is not known; choose {', '.join(sorted(REMOTE))} or local")


def read(source: "ElevationSource", window: Window, *, settings: "Settings", traffic: "Traffic") -> NDArray[np.float32]:
    """Posts of a window of a source's lattice, of shape window.shape, float32 metres, NaN where there are none."""
    values = _read(source, window, settings=settings, traffic=traffic)
    values[~((values > -LIMIT) & (values < LIMIT))] = np.nan
    return values


def _read(
    source: "ElevationSource", window: Window, *, settings: "Settings", traffic: "Traffic"
) -> NDArray[np.float32]:
    """Posts as the source declares them, NaN where it declares that there are none."""
    flags = dict(source.flags)
    if source.adapter == EARTH_DATA_HUB:
        from eo.sources.http_store import HttpStore  # noqa: PLC0415

        with connect("earth-data-hub", settings, traffic) as remote:
            store = HttpStore(remote, source.href)
            return zarr_dem.read(store, flags, source.variable, ascending=source.ascending, window=window)
    if source.adapter == glo30.ADAPTER:
        with connect("cop-dem-glo-30", settings, traffic) as remote:
            return glo30.read(remote, source.href, flags, window)
    return local_dem.read(source.href, source.variable, flags, ascending=source.ascending, window=window)


def kind(lattice: Lattice, window: Window) -> Literal["there", "sea", "void"]:
    """Whether a source has posts in a window of one of its cells: in sea they are 0 m, voids are withheld land."""
    return glo30.kind(lattice.flags, window) if lattice.adapter == glo30.ADAPTER else "there"


def tile(lattice: Lattice, window: Window) -> str:
    """What the source calls the cell in which a window lies."""
    return glo30.tile(lattice.flags, window) if lattice.adapter == glo30.ADAPTER else lattice.href


def files(lattice: Lattice, window: Window) -> list[str]:
    """What is read for a window of one of a source's cells: the tile's file, or the whole file or store; sea has none."""
    if lattice.adapter != glo30.ADAPTER:
        return [lattice.href]
    name = tile(lattice, window)
    return [glo30.address(lattice.href, name)] if kind(lattice, window) == "there" else []
