"""Patches converted to Zarr v3, one in each inner chunk of the sharding codec, for reading any of them at once.

    store/                      group; its attributes say the resampling, the bands and whether patches are generated
    store/<split>/dn            (patches, 12, 120, 120) uint16, digital numbers at 10 m
    store/<split>/labels        (patches, 19) uint8
    store/<split>/names         (patches, bytes) uint8, UTF-8 padded with zeros; countries likewise
    store/<split>/footprints    (patches, 5) int64: EPSG code, left, bottom, right, top

The attributes are written last of all: a store whose conversion was interrupted is none.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from eo.errors import CorruptData, InvalidInput
from land_cover.labels import CLASSES
from training.land_cover.bands import ALL, EDGE
from training.land_cover.data.geography import Footprints
from training.land_cover.data.patches import QUANTIFICATION, Resampling, Split
from training.land_cover.data.shards import Chunks

KIND = "land-cover-patches"
SHARD = 128
"""Patches in a file: 44 MB of pixels before they are compressed, which is what a worker of the conversion holds."""
AGAIN = "convert the folder again"


def is_archive(folder: Path) -> bool:
    """Whether a folder is a whole converted store."""
    return _attributes(folder).get("kind") == KIND


def create(group: zarr.Group, count: int) -> zarr.Array:
    """The array of pixels of a split."""
    made: zarr.Array = group.create_array(
        "dn",
        shape=(count, len(ALL), EDGE, EDGE),
        chunks=(1, len(ALL), EDGE, EDGE),
        shards=(min(SHARD, count), len(ALL), EDGE, EDGE),
        dtype="uint16",
        fill_value=0,
        compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
    )
    return made


def attributes(resampling: Resampling, *, synthetic: bool) -> dict[str, Any]:
    """What a whole store says of itself."""
    return {
        "kind": KIND,
        "version": 1,
        "bands": list(ALL),
        "classes": list(CLASSES),
        "resampling": resampling,
        "quantification": QUANTIFICATION,
        "synthetic": synthetic,
    }


def as_bytes(texts: list[str]) -> NDArray[np.uint8]:
    """(texts, longest) UTF-8, padded with zeros: Zarr v3 has no settled type for text."""
    padded = np.array([text.encode() for text in texts], np.bytes_)
    return padded.view(np.uint8).reshape(len(texts), -1)


def as_texts(padded: NDArray[np.uint8]) -> list[str]:
    """The inverse of `as_bytes`."""
    return [bytes(row).rstrip(b"\0").decode() for row in padded]


class ZarrPatches:
    """A split of a converted store; see `patches.PatchSet`."""

    def __init__(self, folder: Path, split: Split, bands: tuple[str, ...], resampling: Resampling) -> None:
        """Raises InvalidInput where the split is empty or the store was resampled otherwise, CorruptData where it is not whole."""
        self._folder, self.split, self.bands = folder, split, bands
        said = _attributes(folder)
        if (said.get("bands"), said.get("classes"), said.get("version")) != (list(ALL), list(CLASSES), 1):
            raise InvalidInput(f"{folder} was converted by another version of this program: {AGAIN}")
        if said["resampling"] != resampling:
            raise InvalidInput(
                f"{folder} was converted with resampling {said['resampling']}, not {resampling}: choose that, or {AGAIN}"
            )
        self.synthetic: bool = said["synthetic"]
        self._which = [ALL.index(band) for band in bands]
        group = self._group()
        self.labels: NDArray[np.uint8] = group["labels"][:]
        self.names = as_texts(group["names"][:])
        self.countries = as_texts(group["countries"][:])
        self._footprints: NDArray[np.int64] = group["footprints"][:]
        try:
            self._pixels = Chunks(folder / split / "dn")
        except (ValueError, LookupError, OSError) as error:
            raise CorruptData(f"{folder}/{split}: cannot be read ({error}): {AGAIN}") from error

    def _group(self) -> Any:  # noqa: ANN401 - zarr's groups give arrays of no known type
        root = zarr.open_group(self._folder, mode="r")
        if self.split not in root:
            raise InvalidInput(f"{self._folder} has no patch of the split {self.split}: convert the whole data set")
        return root[self.split]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> NDArray[np.float32]:
        """(bands, 120, 120) reflectance. Raises CorruptData, naming the store and the patch."""
        try:
            dn = self._pixels.read(index)
        except (ValueError, RuntimeError, OSError) as error:
            where = f"{self._folder}/{self.split}, patch {self.names[index]}"
            raise CorruptData(f"{where}: cannot be read ({error}): {AGAIN}") from error
        values = np.empty((len(self._which), EDGE, EDGE), np.float32)
        for value, band in zip(values, self._which, strict=True):
            np.divide(dn[band], np.float32(QUANTIFICATION), out=value, dtype=np.float32)
        return values

    def footprints(self) -> Footprints:
        """Where they lie."""
        return Footprints(self._footprints)


def _attributes(folder: Path) -> dict[str, Any]:
    """The attributes of the group at the root; none where it is no group."""
    try:
        found = json.loads((folder / "zarr.json").read_text("utf-8")).get("attributes", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}
