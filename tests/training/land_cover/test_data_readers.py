"""Folders of BigEarthNet as distributed: pixels as independent readers find them, faults named by their file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import tifffile
from rasterio.enums import Resampling as GdalResampling
from rasterio.transform import Affine

from eo.errors import CorruptData, EoShardsError, InvalidInput
from land_cover.labels import CLASSES
from training.land_cover.bands import ALL, PIXELS
from training.land_cover.data.geotiff import TiffPatches, band_file
from training.land_cover.data.index import indexed
from training.land_cover.data.patches import opened
from training.land_cover.synthetic.plan import Params, Row
from training.land_cover.synthetic.write import write

WKT = 'PROJCS["WGS 84 / UTM zone 33N",AUTHORITY["EPSG","32633"]]'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("reben")
    return folder, write(folder, Params(patches=20))


@pytest.fixture
def spoilt(made: tuple[Path, list[Row]], tmp_path: Path) -> Path:
    """A copy of the folder that a test may damage."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def path_of(folder: Path, name: str, band: str) -> Path:
    return folder / "BigEarthNet-S2" / name.rsplit("_", 2)[0] / name / f"{name}_{band}.tif"


def test_labels_and_splits_are_those_of_the_metadata(made: tuple[Path, list[Row]]) -> None:
    folder, rows = made
    for split in ("train", "validation", "test"):
        patches = opened(folder, split, ("B02",), "nearest")
        own = [row for row in rows if row.split == split]
        assert patches.names == [row.patch_id for row in own]
        said = [tuple(name for name, there in zip(CLASSES, hot, strict=True) if there) for hot in patches.labels]
        assert said == [row.labels for row in own]
        assert patches.labels.dtype == np.uint8
        assert patches.synthetic


def test_generated_patches_say_so_without_the_file_beside_them(spoilt: Path) -> None:
    (spoilt / "synthetic.json").unlink()
    assert indexed(spoilt).synthetic
    _changed(spoilt, country=["Austria"] * len(indexed(spoilt).names))
    assert not indexed(spoilt).synthetic


def test_the_folder_of_patches_will_do_where_the_metadata_lie_beside_it(made: tuple[Path, list[Row]]) -> None:
    one, other = (opened(place, "test", ("B8A",), "nearest") for place in (made[0], made[0] / "BigEarthNet-S2"))
    assert one.names == other.names
    np.testing.assert_array_equal(one.read(0), other.read(0))


def test_nearest_repeats_pixels_as_tifffile_reads_them(made: tuple[Path, list[Row]]) -> None:
    patches = opened(made[0], "validation", ALL, "nearest")
    for index, name in enumerate(patches.names):
        values = patches.read(index)
        assert values.shape == (12, 120, 120)
        assert values.dtype == np.float32
        for number, band in enumerate(ALL):
            dn = tifffile.imread(path_of(made[0], name, band))
            times = 120 // PIXELS[band]
            assert dn.std() > 0
            np.testing.assert_allclose(values[number], np.kron(dn, np.ones((times, times))) / 10_000, rtol=1e-6)


@pytest.mark.parametrize(("resampling", "gdal", "spread"), [("bilinear", GdalResampling.bilinear, 1.01),
                                                           ("bicubic", GdalResampling.cubic, 1.01)])  # fmt: skip
def test_coarse_bands_are_what_gdal_makes_of_them(
    made: tuple[Path, list[Row]], resampling: str, gdal: GdalResampling, spread: float
) -> None:
    patches = opened(made[0], "test", ("B01", "B05"), resampling)  # type: ignore[arg-type]
    values = patches.read(1) * 10_000
    for number, band in enumerate(patches.bands):
        with rasterio.open(path_of(made[0], patches.names[1], band)) as file:
            expected = file.read(1, out_shape=(120, 120), resampling=gdal).astype(float)
        inner = slice(12, -12)  # at edges GDAL drops neighbours, we hold the last
        off = values[number, inner, inner] - expected[inner, inner]
        assert np.abs(off).max() < spread
        assert expected.std() > 20


def test_reflectance_is_not_clipped(spoilt: Path) -> None:
    patches = opened(spoilt, "train", ("B02",), "nearest")
    with rasterio.open(path_of(spoilt, patches.names[0], "B02"), "r+") as file:
        file.write(np.full((120, 120), 15_979, np.uint16), 1)
    assert patches.read(0) == pytest.approx(1.5979)


def test_files_are_named_by_the_folder_and_the_band(tmp_path: Path) -> None:
    assert band_file(tmp_path / "S2A_x_1_2", "B8A") == tmp_path / "S2A_x_1_2" / "S2A_x_1_2_B8A.tif"


def _raster(path: Path, edge: int, dtype: str = "uint16", count: int = 1) -> None:
    with rasterio.open(path, "w", driver="GTiff", width=edge, height=edge, count=count, dtype=dtype, crs="EPSG:32633",
                       transform=Affine(10, 0, 0, 0, -10, 0)) as file:  # fmt: skip
        file.write(np.ones((count, edge, edge), dtype))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "is missing"),
    "no raster": (lambda path: path.write_bytes(b"hello"), "cannot be read"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-9000]), "cannot be read"),
    "other size": (lambda path: _raster(path, 60), r"\(60, 60\) pixels of uint16, not one of \(120, 120\)"),
    "other type": (lambda path: _raster(path, 120, "float32"), "float32, not one of"),
    "more bands": (lambda path: _raster(path, 120, count=2), "has 2 bands"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_named_with_a_remedy_and_spares_other_patches(spoilt: Path, fault: str) -> None:
    patches = opened(spoilt, "train", ("B02", "B03"), "nearest")
    bad = path_of(spoilt, patches.names[2], "B03")
    damage, said = FAULTS[fault]
    damage(bad)
    with pytest.raises(CorruptData, match=f"{patches.names[2]}_B03.tif.*{said}.*again"):
        patches.read(2)
    assert patches.read(1).shape == (2, 120, 120)
    assert opened(spoilt, "train", ("B02",), "nearest").read(2).shape == (1, 120, 120)


def _changed(folder: Path, **columns: list[object]) -> None:
    table = pq.read_table(folder / "metadata.parquet")
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, folder / "metadata.parquet")


def test_faults_of_the_metadata_name_the_file_and_the_patch(spoilt: Path) -> None:
    metadata = spoilt / "metadata.parquet"
    whole = pq.read_table(metadata)
    names, labels = whole["patch_id"].to_pylist(), whole["labels"].to_pylist()

    def refused(said: str, kind: type[EoShardsError] = CorruptData) -> None:
        with pytest.raises(kind, match=said):
            opened(spoilt, "train", ("B02",), "nearest")
        pq.write_table(whole, metadata)

    _changed(spoilt, labels=[*labels[:3], ["Pastures", "Lava"], *labels[4:]])
    refused(f"metadata.parquet, {names[3]}: 'Lava' is none of the 19 .*; correct")
    _changed(spoilt, labels=[*labels[:5], [], *labels[6:]])
    refused(f"metadata.parquet: {names[5]} has no label")
    _changed(spoilt, labels=[*labels[:4], ["Pastures", None], *labels[5:]])
    refused(f"metadata.parquet: {names[4]} has a label without a name; remove")
    _changed(spoilt, patch_id=list(range(len(names))))
    refused("metadata.parquet: the column patch_id is of int64, not text: get")
    _changed(spoilt, patch_id=[*names[:-1], names[0]])
    refused(f"metadata.parquet: {names[0]} has more than one row; remove")
    _changed(spoilt, split=["training", *whole["split"].to_pylist()[1:]])
    refused(f"{names[0]} is of the split 'training'; correct it to one of")
    _changed(spoilt, split=["test"] * len(names))
    refused("has no patch of the split train, but of test", InvalidInput)
    pq.write_table(whole.drop_columns("labels"), metadata)
    refused("metadata.parquet has no column labels")
    metadata.write_bytes(b"PAR1")
    refused("metadata.parquet cannot be read")
    assert len(opened(spoilt, "train", ("B02",), "nearest"))


def test_a_folder_that_is_none_of_bigearthnet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no folder"):
        opened(tmp_path / "nowhere", "train", ("B02",), "nearest")
    with pytest.raises(InvalidInput, match=r"has neither metadata\.parquet .* nor"):
        opened(tmp_path, "train", ("B02",), "nearest")


def patch_of_v1(folder: Path, name: str, labels: list[str], left: int = 404400, top: int = 5342400) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    at = {"ulx": left, "uly": top, "lrx": left + 1200, "lry": top - 1200}
    said = {"labels": labels, "coordinates": at, "projection": WKT, "acquisition_date": "2017-06-13 10:10:31"}
    (place / f"{name}_labels_metadata.json").write_text(json.dumps(said))
    _raster(place / f"{name}_B02.tif", 120)
    return place


def test_lists_split_the_patches_of_v1_and_leave_out_what_they_do_not_name(tmp_path: Path) -> None:
    for name in "abcdef":
        patch_of_v1(tmp_path, name, ["Rice fields"] if name < "f" else ["Airports"])
    (tmp_path / "train.csv").write_text("a\nf\n")
    (tmp_path / "val.csv").write_text("b\n")
    (tmp_path / "test.csv").write_text("c,whatever\nd\n")
    (tmp_path / "patches_with_seasonal_snow.csv").write_text("d\n")
    found = indexed(tmp_path)
    assert list(zip(found.names, found.splits, strict=True)) == [("a", "train"), ("b", "validation"), ("c", "test")]
    assert found.labels[:, CLASSES.index("Arable land")].tolist() == [1, 1, 1]
    assert found.labels.sum() == 3
    assert not found.synthetic
    assert TiffPatches(found, "test", ("B02",), "nearest").read(0).max() == np.float32(1e-4)
    (tmp_path / "train.csv").write_text("a\nb\n")
    with pytest.raises(InvalidInput, match="b is listed in train and in validation: remove"):
        indexed(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "has no labels, coordinates and projection"),
        ('{"labels": ["Pastures"]}', "'coordinates'"),
        (
            '{"labels": ["Lava"], "coordinates": {"ulx":0,"uly":0,"lrx":0,"lry":0}, "projection": "%s"}',
            "'Lava' is none",
        ),
        ('{"labels": ["Pastures"], "coordinates": {}, "projection": "%s"}', "'ulx'"),
        ('{"labels": ["Pastures"], "coordinates": {}, "projection": "LOCAL_CS"}', "has no labels, coordinates"),
    ],
)
def test_a_bad_label_file_of_v1_is_named(tmp_path: Path, text: str, said: str) -> None:
    patch_of_v1(tmp_path, "good", ["Pastures"])
    bad = patch_of_v1(tmp_path, "wrong", ["Pastures"]) / "wrong_labels_metadata.json"
    bad.write_text(text.replace("%s", WKT.replace('"', '\\"')))
    with pytest.raises(CorruptData, match=f"wrong_labels_metadata.json.*{said}"):
        indexed(tmp_path)
    bad.unlink()
    with pytest.raises(CorruptData, match=r"wrong_labels_metadata\.json cannot be read"):
        indexed(tmp_path)


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("listed", [pa.list_, pa.large_list])
def test_labels_are_lists_of_text_of_whatever_width(
    spoilt: Path, listed: Callable[[pa.DataType], pa.DataType], text: pa.DataType
) -> None:
    before = indexed(spoilt)
    whole = pq.read_table(spoilt / "metadata.parquet")
    for name, kind in (("labels", listed(text)), ("patch_id", text)):
        made = pa.array(whole[name].to_pylist(), kind)
        whole = whole.set_column(whole.schema.get_field_index(name), name, made)
    pq.write_table(whole, spoilt / "metadata.parquet")
    assert pq.read_schema(spoilt / "metadata.parquet").field("labels").type == listed(text)
    after = indexed(spoilt)
    assert after.names == before.names
    np.testing.assert_array_equal(after.labels, before.labels)
