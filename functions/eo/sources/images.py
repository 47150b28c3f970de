"""Image files of the catalogues, opened where they lie."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from eo.catalog import Asset
from eo.sources import raster

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from eo.settings import Settings
    from eo.transport import Traffic

REMOTE = {"cdse", "earth-search"}
"""Catalogues whose files come over the network."""


@contextmanager
def opened(
    adapter: str, asset: Asset, *, settings: "Settings", traffic: "Traffic", level: int = -1, whole_in: Path | None = None
) -> "Iterator[DatasetReader]":
    """Open an asset for reading: with the catalogue's credentials and connections where it is remote.

    `whole_in` is a folder into which a remote file is fetched whole before it is decoded.
    """
    name = asset.href.rsplit("/", 1)[-1]
    if adapter not in REMOTE:
        with raster.opened(str(Path(asset.href)), name=name, level=level) as dataset:
            yield dataset
        return
    raise NotImplementedError


def info(adapter: str, asset: Asset, *, settings: "Settings", traffic: "Traffic") -> raster.FileInfo:
    """Read an asset's header."""
    with opened(adapter, asset, settings=settings, traffic=traffic) as dataset:
        return raster.inspect(dataset, asset.href.rsplit("/", 1)[-1])
