"""Image files of the catalogues, opened where they lie."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, cast

from eo.catalog import Asset
from eo.errors import EoShardsError
from eo.sources import raster
from eo.sources.codestream import has_tile_lengths
from eo.transport import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

    from eo.settings import Settings
    from eo.traffic import Traffic

HEADER = 64 * 1024
"""Bytes that hold the main header of a JPEG 2000 file; the reader has them at hand after opening it."""

REMOTE = {"cdse", "earth-search"}
"""Catalogues whose files come over the network."""


@contextmanager
def opened(
    adapter: str,
    asset: Asset,
    *,
    settings: "Settings",
    traffic: "Traffic",
    level: int = -1,
    whole_in: Path | None = None,
) -> "Iterator[DatasetReader]":
    """Open an asset for reading: with the catalogue's credentials and connections where it is remote.

    `whole_in` is a folder into which a remote file is fetched whole before it is decoded. The connection is given back
    before the decoding starts, so that the next file travels meanwhile.
    Raises what transport and `raster.opened` raise, also where GDAL only says that it could not read on.
    """
    name = file_name(asset)
    if adapter not in REMOTE:
        with raster.opened(str(Path(asset.href)), name=name, level=level) as dataset:
            yield dataset
        return
    source = cast("Literal['cdse', 'earth-search']", adapter)
    with ExitStack() as stack:
        if whole_in is not None:
            whole_in.mkdir(parents=True, exist_ok=True)
            folder = Path(stack.enter_context(TemporaryDirectory(dir=whole_in)))
            with connect(source, settings, traffic) as remote:
                path = remote.reader(asset.href).download(folder / name, checksum=asset.checksum)
            yield stack.enter_context(raster.opened(str(path), name=name, level=level))
            return
        reader = stack.enter_context(connect(source, settings, traffic)).reader(asset.href)
        try:
            yield stack.enter_context(raster.opened(reader, name=name, level=level))
        except EoShardsError as error:
            # GDAL hides why a read failed; the reader knows.
            raise reader.failure or error from None


def info(adapter: str, asset: Asset, *, settings: "Settings", traffic: "Traffic") -> raster.FileInfo:
    """Read an asset's header."""
    name = file_name(asset)
    if adapter not in REMOTE:
        with raster.opened(str(Path(asset.href)), name=name) as dataset:
            return raster.inspect(dataset, name)
    with connect(cast("Literal['cdse', 'earth-search']", adapter), settings, traffic) as remote:
        reader = remote.reader(asset.href)
        try:
            with raster.opened(reader, name=name) as dataset:
                found = raster.inspect(dataset, name)
        except EoShardsError as error:
            raise reader.failure or error from None
        return replace(found, tile_lengths=has_tile_lengths(reader.open().read(HEADER)))


def file_name(asset: Asset) -> str:
    """The last component of an asset's href."""
    return asset.href.rsplit("/", 1)[-1]
