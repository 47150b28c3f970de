"""What plan knows of the chosen scenes' files, with as few of them opened as can be trusted."""

from collections.abc import Sequence
from dataclasses import replace

from eo.catalog import Scene
from eo.grid import RasterGrid
from eo.settings import Settings
from eo.sources import images
from eo.sources.raster import FileInfo
from eo.traffic import Traffic


class Files:
    """Headers of the scenes' files.

    Local files are all opened. Of a remote catalogue the first scene's are, and where the item had declared the grid
    that its file has, the other items are believed; otherwise every file is opened. Fetch compares again in any case.
    """

    def __init__(self, scenes: Sequence[Scene], adapter: str, *, settings: Settings, traffic: Traffic) -> None:
        self._scenes = scenes
        self._adapter = adapter
        self._settings = settings
        self.traffic = traffic
        self._infos: dict[tuple[int, str], FileInfo] = {}

    def info(self, scene: int, band: str) -> FileInfo:
        """Return the header of one scene's file of one band."""
        key = (scene, band)
        if key not in self._infos:
            self._infos[key] = self._believed(scene, band) or self._opened(scene, band)
        return self._infos[key]

    def crs(self, scene: int, band: str) -> str:
        """Return the CRS of a scene, by its file."""
        return self.info(scene, band).grid.crs

    def _opened(self, scene: int, band: str) -> FileInfo:
        asset = self._scenes[scene].assets[band]
        return images.info(self._adapter, asset, settings=self._settings, traffic=self.traffic)

    def _believed(self, scene: int, band: str) -> FileInfo | None:
        declared = self._scenes[scene].assets[band].declared
        first = self._scenes[0].assets.get(band)
        if self._adapter not in images.REMOTE or scene == 0 or declared is None or first is None:
            return None
        known = self.info(0, band)
        if first.declared != known.grid or _shape(declared) != _shape(known.grid):
            return None
        return replace(known, grid=declared)


def _shape(grid: RasterGrid) -> tuple[float, float, int, int]:
    return grid.dx, grid.dy, grid.width, grid.height
