"""An uploaded product as a catalogue of one scene."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from eo.archive import Archive
from eo.catalog import Scene
from eo.disk import explained
from eo.errors import InvalidInput, NothingFound
from eo.safe_zip import SHA2_256, SafeZip, href, url
from plan import safe_catalog
from plan.choose import choose
from plan.granule import Folder, complete

if TYPE_CHECKING:
    from eo.inputs import CubeInputs
    from eo.store import Store


@dataclass(frozen=True)
class UploadedProduct:
    """A zip in the store that somebody ordered a job for."""

    store: "Store"
    key: str
    digest: str
    """Of its members (`eo.archive`), when it was ordered."""
    url: str
    """What the result calls it."""

    @classmethod
    def of(cls, store: "Store", origin: Mapping[str, Any]) -> "UploadedProduct | None":
        """The product that an order came with (`origin` of its request), None where it came without."""
        digest = origin.get("product")
        if not digest:
            return None
        key = str(origin["key"])
        return cls(store, key, str(digest), url(str(origin["bucket"]), key))


@dataclass(frozen=True)
class Unpacked:
    """A product's scene, twice: with its files where they were unpacked, and where fetch finds them."""

    here: Scene
    there: Scene
    uncovered: float
    """Share of the bbox that its footprint does not cover."""
    notes: tuple[str, ...] = ()
    """What was wrong with what its granule tells of the weather."""


@contextmanager
def unpacked(
    product: UploadedProduct,
    inputs: "CubeInputs",
    *,
    bands: tuple[str, ...],
    optional: tuple[str, ...] = (),
    conditions: bool = False,
    folder: Path,
) -> Iterator[Unpacked]:
    """The scene of a product, with its files unpacked below `folder` for the length of the block.

    `optional` bands are taken where the product has them; with `conditions` the weather models' atmosphere is, too.

    Raises InvalidInput where it is not the product that was ordered, CorruptData where it is damaged, NothingFound where
    it lacks a band or the bbox, and TooLarge where the disk has no room.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary) / "product.SAFE"
        with explained(place):
            assets = _unpack(product, bands, optional, place)
        candidate, level = safe_catalog.candidate(place)
        if inputs.collection != f"sentinel-2-{level.lower()}":
            raise InvalidInput(f"{product.key} is an {level} product, but the job is for {inputs.collection}")
        choice = choose([candidate], inputs.bbox, max_cloud_cover=inputs.max_cloud_cover)
        here = safe_catalog.scene(place, folder=place, bands=bands, optional=optional)
        notes: tuple[str, ...] = ()
        if conditions:
            here, notes = complete(here, Folder(place), masks=())
        there = replace(
            here,
            assets={band: replace(asset, **assets[band]) for band, asset in here.assets.items()},
            href=product.url,
        )
        yield Unpacked(here, there, choice.uncovered, notes)


def _unpack(
    product: UploadedProduct, bands: tuple[str, ...], optional: tuple[str, ...], place: Path
) -> dict[str, dict[str, Any]]:
    """Unpack what a job needs; by band, what its asset says of the file in the zip."""
    try:
        file = product.store.reader(product.key)
    except KeyError:
        raise NothingFound(f"{product.key} was deleted before its job began: upload it again") from None
    with closing(file), Archive(file, product.key) as archive:
        safe = SafeZip(archive)
        if archive.digest != product.digest:
            raise InvalidInput(
                f"{product.key} was replaced after this job was ordered; the new one has a job of its own"
            )
        for name in (*safe.metadata_names, *safe.auxiliary):
            safe.extract(name, place)
        images = safe.images(bands, optional=optional)
        digests = {name: safe.extract(name, place) for name in dict.fromkeys(images.values())}
        return {
            band: {
                "href": href(product.url, name),
                "size": archive.size(name),
                "checksum": SHA2_256 + digests[name],
            }
            for band, name in images.items()
        }
