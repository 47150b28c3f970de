"""Image files of the catalogues, opened where they lie."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from eo import safe_zip
from eo.catalog import Asset
from eo.sources import raster
from eo.sources.codestream import has_tile_lengths
from eo.transport import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eo.settings import Settings
    from eo.traffic import Traffic
    from eo.transport import ObjectReader

HEADER = 64 * 1024
"""Bytes that hold the main header of a JPEG 2000 file; the reader has them at hand after opening it."""

REMOTE = {"cdse", "earth-search"}
"""Catalogues whose files come over the network."""


@contextmanager
def at_hand(
    adapter: str,
    asset: Asset,
    *,
    settings: "Settings",
    traffic: "Traffic",
    whole_in: Path | None = None,
    upload: "Callable[[str], BinaryIO] | None" = None,
) -> "Iterator[str | ObjectReader]":
    """Give what `raster.opened` opens, as often as wanted: with the catalogue's credentials where it is remote.

    `whole_in` is a folder into which a remote file is fetched whole, once, before it is decoded. The connection is given
    back before the decoding starts, so that the next file travels meanwhile. `upload` opens what a user has put into the
    store; files in it are always unpacked whole. Raises what transport raises.
    """
    if adapter == safe_zip.ADAPTER:
        if whole_in is None or upload is None:
            raise ValueError("an uploaded file needs a store and a folder to be unpacked in")
        whole_in.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=whole_in) as folder:
            yield str(safe_zip.unpacked(asset, Path(folder) / file_name(asset), upload=upload, traffic=traffic))
        return
    if adapter not in REMOTE:
        yield str(Path(asset.href))
        return
    source = cast("Literal['cdse', 'earth-search']", adapter)
    if whole_in is None:
        with connect(source, settings, traffic) as remote:
            yield remote.reader(asset.href)
        return
    whole_in.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=whole_in) as folder:
        with connect(source, settings, traffic) as remote:
            path = remote.reader(asset.href).download(Path(folder) / file_name(asset), checksum=asset.checksum)
        yield str(path)


def info(adapter: str, asset: Asset, *, settings: "Settings", traffic: "Traffic") -> raster.FileInfo:
    """Read an asset's header."""
    name = file_name(asset)
    with at_hand(adapter, asset, settings=settings, traffic=traffic) as source:
        with raster.opened(source, name=name) as dataset:
            found = raster.inspect(dataset, name)
        if isinstance(source, str):
            return found
        return replace(found, tile_lengths=has_tile_lengths(source.open().read(HEADER)))


def file_name(asset: Asset) -> str:
    """The last component of an asset's href."""
    return asset.href.rsplit("/", 1)[-1]
