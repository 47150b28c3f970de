"""Raster files: opened with named drivers only, and what plan has to know of one before it is read."""

import math
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from eo.errors import CorruptData, EoShardsError, InvalidInput, NothingFound
from eo.grid import RasterGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

SIGNATURES = {
    b"\x00\x00\x00\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"II*\x00": "GTiff",
    b"MM\x00*": "GTiff",
    b"II+\x00": "GTiff",
    b"MM\x00+": "GTiff",
}
"""First bytes and the one GDAL driver that may read on: no other format's parser ever sees foreign bytes.

Names say nothing: there is JPEG 2000 inside `.tif` in the wild (ISO 15444-1 annex I, TIFF 6.0, BigTIFF).
"""

GDAL_OPTIONS = {
    # One worker has one core; decoding in threads only adds memory.
    "GDAL_NUM_THREADS": "1",
    # Blocks are read once, so a cache holds the current read's tiles and nothing else. Bytes.
    "GDAL_CACHEMAX": 96_000_000,
    # GDAL's own errors come back as exceptions; its warnings would only repeat them on stderr.
    "CPL_LOG": "/dev/null",
}


class RemoteFile(Protocol):
    """A file that can be read in ranges."""

    name: str
    """Its last path component."""
    failure: EoShardsError | None
    """What its last failed read raised."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def open(self) -> BinaryIO:
        """A fresh reader at the start of the file."""
        ...


@dataclass(frozen=True)
class FileInfo:
    """What the header of a raster file says."""

    grid: RasterGrid
    tile: tuple[int, int]
    """(rows, columns) in which the file is encoded."""
    overviews: tuple[int, ...]
    """Decimation factors of its overviews or resolution levels."""
    dtype: str
    bands: int
    nodata: float | None
    driver: str
    tile_lengths: bool = False
    """Whether a JPEG 2000 file tells where its tiles begin (TLM markers)."""
    vertical: str | None = None
    """Vertical CRS as an authority code, where the file declares one."""


@contextmanager
def opened(source: "str | RemoteFile", *, name: str, level: int = -1) -> "Iterator[DatasetReader]":
    """Open a local file, or a remote one that can be read in ranges.

    Raises NothingFound where there is no such file, InvalidInput where it may not be read and CorruptData where it is
    not one of the named formats; of a remote file what its reader raised, also for reads inside the `with` block.
    """
    with nullcontext() if isinstance(source, str) else cause(source), _dataset(source, name, level) as dataset:
        yield dataset


@contextmanager
def cause(reader: "RemoteFile") -> "Iterator[None]":
    """Raise what the reader knows of a failed read; GDAL hides why it could not read on."""
    try:
        yield
    except EoShardsError as error:
        raise reader.failure or error from None


@contextmanager
def _dataset(source: "str | RemoteFile", name: str, level: int) -> "Iterator[DatasetReader]":
    import rasterio  # noqa: PLC0415 - heavy, and only sources need it
    from rasterio.errors import RasterioError  # noqa: PLC0415

    options: dict[str, Any] = {"driver": _driver(source, name)}
    if level >= 0:
        options["overview_level"] = level
    path = source
    if not isinstance(source, str):
        path, options["opener"] = source.name, _container(source)
    with rasterio.Env(**GDAL_OPTIONS):
        try:
            dataset = rasterio.open(path, **options)
        except (RasterioError, ValueError) as error:
            raise CorruptData(f"{name} is not a readable {options['driver']} file: {_brief(error)}") from None
        with dataset:
            yield dataset


def _container(remote: "RemoteFile") -> Any:  # noqa: ANN401 - a class of rasterio, which is imported late
    """Show GDAL one file and no sidecars, so that it asks the network for nothing else."""
    from rasterio.abc import FileContainer  # noqa: PLC0415

    class OneFile(FileContainer):  # type: ignore[misc]
        def open(self, _path: str, mode: str = "r", **_options: object) -> BinaryIO:  # noqa: ARG002
            return remote.open()

        def isfile(self, path: str) -> bool:
            return path == remote.name

        def isdir(self, _path: str) -> bool:
            return False

        def ls(self, _path: str) -> list[str]:
            return [remote.name]

        def mtime(self, _path: str) -> int:
            return 0

        def rm(self, path: str) -> None:
            raise PermissionError(path)

        def size(self, _path: str) -> int:
            return remote.size

    return OneFile()


def _driver(source: "str | RemoteFile", name: str) -> str:
    """The named driver that the first bytes ask for."""
    if isinstance(source, str):
        try:
            with Path(source).open("rb") as file:
                start = file.read(12)
        except FileNotFoundError:
            raise NothingFound(f"{name} does not exist; check the catalogue's hrefs") from None
        except PermissionError:
            raise InvalidInput(f"{source} may not be read: allow it to this user (for example by chmod u+r)") from None
    else:
        with source.open() as remote:
            start = remote.read(12)
    driver = signed(start)
    if driver is None:
        raise CorruptData(f"{name} is neither JPEG 2000 nor GeoTIFF (it starts with {start[:8]!r}); fetch it again")
    return driver


def signed(start: bytes) -> str | None:
    """The named driver that a file's first bytes ask for, None where they are of none."""
    return next((driver for signature, driver in SIGNATURES.items() if start.startswith(signature)), None)


def inspect(dataset: "DatasetReader", name: str) -> FileInfo:
    """Read the header of an open file. Raises InvalidInput where it has no usable georeference."""
    transform, crs = dataset.transform, dataset.crs
    if crs is None or transform.is_identity:
        raise InvalidInput(f"{name} has no georeference; give it a CRS and a transform (for example by gdal_edit.py)")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise InvalidInput(
            f"{name} is rotated or not north-up ({tuple(transform)[:6]}); warp it to a north-up grid first"
        )
    horizontal, vertical = crs_names(crs.to_wkt())
    return FileInfo(
        grid=RasterGrid(horizontal, transform.c, transform.f, transform.a, -transform.e, dataset.width, dataset.height),
        tile=dataset.block_shapes[0],
        overviews=tuple(dataset.overviews(1)),
        dtype=dataset.dtypes[0],
        bands=dataset.count,
        nodata=dataset.nodata,
        driver=dataset.driver,
        vertical=vertical,
    )


def crs_names(wkt: str) -> tuple[str, str | None]:
    """(horizontal, vertical) CRS of a WKT or code: authority codes where there are any, else WKT."""
    from pyproj import CRS  # noqa: PLC0415

    crs = CRS.from_user_input(wkt)
    parts = [part for part in crs.sub_crs_list if not part.is_bound] if crs.is_compound else [crs]
    vertical = next((part for part in parts if part.is_vertical), None)
    horizontal = next(part for part in parts if not part.is_vertical)
    return _code(horizontal), None if vertical is None else _code(vertical)


def _code(crs: Any) -> str:  # noqa: ANN401 - pyproj.CRS, which is imported late
    authority = crs.to_authority(min_confidence=70)
    return ":".join(authority) if authority else str(crs.to_wkt())


def read_window(dataset: "DatasetReader", band: int, window: Window, name: str) -> Any:  # noqa: ANN401 - any dtype
    """Pixels of a window, of shape window.shape. Raises CorruptData where the file cannot be decoded."""
    from rasterio.errors import RasterioError  # noqa: PLC0415
    from rasterio.windows import Window as RasterioWindow  # noqa: PLC0415

    try:
        return dataset.read(band, window=RasterioWindow(window.col, window.row, window.width, window.height))
    except (RasterioError, OSError) as error:
        raise CorruptData(
            f"{name} cannot be decoded at columns {window.col}-{window.col_end}, rows {window.row}-{window.row_end}: "
            f"{_brief(error)}; fetch the file again or choose another scene"
        ) from None


def _brief(error: BaseException) -> str:
    """The innermost message, on one line; rasterio hides GDAL's words in the cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__


@dataclass(frozen=True)
class Reading:
    """How a file is read at a coarser resolution than its own."""

    level: int
    """Overview level, -1 for full resolution."""
    mean: int
    """Edge of the blocks that are averaged (sampled, for classes) after reading the level."""
    factor: int
    """File pixels per resulting pixel, along one axis."""


def reading(info: FileInfo, resolution: float, *, classes: bool) -> Reading:
    """The cheapest way to pixels not coarser than asked for.

    Overviews are used only where their pixels are whole multiples of the file's, so the grid stays exact.
    Class codes are never taken from overviews: wavelets and averages invent codes.
    """
    wanted = max(1, math.floor(resolution / info.grid.dx + 1e-6))
    level, done = -1, 1
    if not classes:
        for index, factor in enumerate(info.overviews):
            exact = info.grid.width % factor == 0 and info.grid.height % factor == 0
            if exact and factor <= wanted and wanted % factor == 0 and factor > done:
                level, done = index, factor
    return Reading(level, wanted // done, wanted)
