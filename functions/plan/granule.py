"""What lies in a granule's folder beside its images: angles, the weather model's atmosphere, masks of clouds and snow.

Catalogues do not list these files, but their places follow from those of the images (Sentinel-2 Products Specification
Document, S2-PDGS-TAS-DI-PSD): `GRANULE/<id>/IMG_DATA/..._B02.jp2` has `GRANULE/<id>/MTD_TL.xml`, `GRANULE/<id>/AUX_DATA/`
and `GRANULE/<id>/QI_DATA/` beside it. All of them help and none is needed.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from pyproj.exceptions import ProjError

from eo import auxiliary, solar
from eo.catalog import MASKS, Angles, Asset, Corners, Scene
from eo.errors import AccessDenied, CorruptData, InvalidInput, NothingFound
from eo.grid import RasterGrid
from eo.safe import TileMetadata, read_tile
from eo.safe_xml import MAX_XML
from eo.safe_zip import AUXILIARY, CLASSIFICATION
from eo.settings import Settings
from eo.traffic import Traffic
from eo.transport import Remote, connect

T = TypeVar("T")

METADATA = "MTD_TL.xml"
_FOLDER = re.compile(r"(.*/GRANULE/[^/]+)/IMG_DATA/.*")
_STARTED = re.compile(r".*_(\d{8}T\d{6})")


class Place(Protocol):
    """Where a scene's files are. What cannot be read is not there; what may pass is raised."""

    def read(self, href: str, limit: int) -> bytes | None:
        """Give a small file, and no more of it than one byte over the limit; None where it is not there."""
        ...

    def size(self, href: str) -> int | None:
        """Bytes of a file; None where it is not there."""
        ...


class Folder:
    """Files of a local catalogue, none of which may lie outside of its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, href: str, limit: int) -> bytes | None:
        """Do as Place says."""
        path = self._path(href)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return file.read(limit + 1)
        except OSError:
            return None

    def size(self, href: str) -> int | None:
        """Do as Place says."""
        path = self._path(href)
        return None if path is None else path.stat().st_size

    def _path(self, href: str) -> Path | None:
        path = Path(href).resolve()
        return path if path.is_relative_to(self._folder) and path.is_file() else None


class Objects:
    """Objects of a remote catalogue."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def read(self, href: str, limit: int) -> bytes | None:
        """Do as Place says."""
        return _there(lambda: self._remote.reader(href).read(0, limit + 1))

    def size(self, href: str) -> int | None:
        """Do as Place says."""
        return _there(lambda: self._remote.reader(href).size)


def _there(ask: Callable[[], T]) -> T | None:
    """The answer, None where there is none; a store that does not show its lists denies what it lacks."""
    try:
        return ask()
    except (NothingFound, AccessDenied, CorruptData, InvalidInput):
        return None


@contextmanager
def place(adapter: str, folder: Path | None, settings: Settings, traffic: Traffic) -> Iterator[Place | None]:
    """Open the place of a catalogue's scenes; None where their granules have no folders there."""
    if adapter == "cdse":
        with connect("cdse", settings, traffic) as remote:
            yield Objects(remote)
    else:
        yield None if folder is None else Folder(folder)


@dataclass(frozen=True)
class Completed:
    """Scenes with what their granules tell."""

    scenes: list[Scene]
    notes: tuple[str, ...]
    """What was wrong with it, in words for the user."""


def completed(
    scenes: Sequence[Scene],
    adapter: str,
    *,
    masks: Sequence[str] = tuple(MASKS),
    folder: Path | None = None,
    settings: Settings,
    traffic: Traffic,
) -> Completed:
    """Give every scene its angles, and what there is of its weather and its masks.

    `adapter` is the catalogue they come from, `folder` that of a local one. Raises AccessDenied where the credentials are
    missing, RateLimited and SourceUnavailable: what may pass must not change a plan.
    """
    with place(adapter, folder, settings, traffic) as where:
        done = [complete(scene, where, masks=masks) for scene in scenes]
    return Completed([scene for scene, _ in done], tuple(note for _, notes in done for note in notes))


def complete(scene: Scene, where: Place | None, *, masks: Sequence[str]) -> tuple[Scene, tuple[str, ...]]:
    """(a scene with angles, and what there is of its weather and its masks; notes on what was wrong with it)."""
    inside = None if where is None else granule_folder(scene)
    if where is None or inside is None:
        return replace(scene, angles=angles(scene)), ()
    known = scene.angles is not None and scene.angles.origin == "product"
    tile = None if known else _tile(where, f"{inside}/{METADATA}")
    weather = auxiliary.read(_files(where, inside))
    missing = [name for name in masks if name not in scene.assets]
    grid = None if tile is None else tile.grids.get(60)
    full = replace(
        scene,
        assets={**scene.assets, **mask_assets(where, inside, missing, grid)},
        angles=angles(scene, tile),
        auxiliary=weather.auxiliary,
    )
    return full, tuple(f"{scene.id}: {reason}" for reason in weather.ignored)


def mask_assets(where: Place, inside: str, masks: Sequence[str], grid: RasterGrid | None) -> dict[str, Asset]:
    """Masks in a granule's folder as bands on their grid of 60 m; none where the product has no file of them."""
    href = f"{inside}/{CLASSIFICATION}"
    size = where.size(href) if masks else None
    return {} if size is None else {name: Asset(href, MASKS[name], None, grid, size) for name in masks}


def granule_folder(scene: Scene) -> str | None:
    """Href of the folder of a scene's granule; None where its images do not lie in one, as a SAFE product has it."""
    found = (_FOLDER.fullmatch(asset.href) for asset in scene.assets.values())
    return next((match[1] for match in found if match is not None), None)


def angles(scene: Scene, tile: TileMetadata | None = None) -> Angles:
    """The best angles there are of a scene, given its granule's metadata where they could be read.

    Else those of its item, whose mean sun is tilted over the granule as the sun's place says; else that place alone.
    """
    if tile is not None:
        return tile.angles
    if scene.angles is not None and scene.angles.origin == "product":
        return scene.angles
    corners, azimuth = _sun(scene)
    if scene.angles is None:
        return Angles(corners, azimuth, {}, "time")
    (mean, _), _ = scene.angles.sun_zenith
    rise = mean - sum(map(sum, corners)) / 4
    (ul, ur), (ll, lr) = corners
    return replace(scene.angles, sun_zenith=((ul + rise, ur + rise), (ll + rise, lr + rise)))


def sensed(scene: Scene) -> dt.datetime:
    """When a scene was taken, as nearly as it says.

    Catalogues give the beginning of the datatake, which may be ten minutes and four degrees of sun before; the name of
    the granule's folder has that of its data strip, a minute or two before.
    """
    inside = granule_folder(scene)
    match = None if inside is None else _STARTED.fullmatch(inside)
    if match is not None:
        try:
            return dt.datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
        except ValueError:
            pass  # digits that are no time
    return dt.datetime.fromisoformat(scene.datetime)


def _sun(scene: Scene) -> tuple[Corners, float]:
    """(zenith at the corners, azimuth at the centre) by time and place: of the declared grid, else of the footprint."""
    time = sensed(scene)
    for asset in scene.assets.values():
        if asset.declared is not None:
            try:
                return solar.over(asset.declared, time)
            except ProjError:
                continue  # a catalogue that declares a place that does not exist
    points = list(_points(scene.footprint["coordinates"]))
    # Across the antimeridian, longitudes go on.
    lon = [points[0][0] + (x - points[0][0] + 180) % 360 - 180 for x, _ in points]
    lat = [y for _, y in points]
    west, east, south, north = min(lon), max(lon), min(lat), max(lat)
    return solar.at_corners(
        [west, east, west, east, (west + east) / 2], [north, north, south, south, (south + north) / 2], time
    )


def _points(coordinates: Sequence[object]) -> Iterator[tuple[float, float]]:
    """All (longitude, latitude) of a polygon or several."""
    for each in coordinates:
        if isinstance(each, list | tuple) and each and isinstance(each[0], int | float):
            yield float(each[0]), float(each[1])
        elif isinstance(each, list | tuple):
            yield from _points(each)


def _tile(where: Place, href: str) -> TileMetadata | None:
    """A granule's metadata, None where they are not there or not usable: the angles' origin tells."""
    data = where.read(href, MAX_XML)
    try:
        return None if data is None else read_tile(data)
    except CorruptData:
        return None


def _files(where: Place, inside: str) -> dict[str, bytes]:
    """The GRIB files that there are, by name."""
    found = {path.rpartition("/")[2]: where.read(f"{inside}/{path}", auxiliary.MAX_FILE) for path in AUXILIARY}
    return {name: data for name, data in found.items() if data is not None}
