"""The two pictures: what is seen, and that any cloud can be drawn."""

import io
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from eo.pictures import png
from point_cloud import pictures
from point_cloud.pictures import LARGEST, MARGIN, SKY, above, ground, oblique, preview

Floats = NDArray[np.float32]
GREY = 100.0


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def coloured(elevation: Floats, value: float = GREY) -> Floats:
    return np.full((3, *elevation.shape), value, np.float32)


def flat(rows: int, cols: int, height: float = 500.0) -> Floats:
    return np.full((rows, cols), height, np.float32)


def hills(rows: int, cols: int, spacing: float = 10.0) -> Floats:
    y, x = np.mgrid[:rows, :cols] * (spacing / 400.0)
    return (800 + 60 * np.sin(x) * np.cos(y) + 25 * np.sin(3 * x + y)).astype(np.float32)


def drawn(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((picture[..., :3] != SKY).any(axis=2))


@pytest.mark.parametrize("size", [(40, 60), (1500, 1301)])
def test_flat_ground_keeps_its_colour_from_above(size: tuple[int, int]) -> None:
    elevation = flat(*size)
    rgb = np.stack([np.full(size, value, np.float32) for value in (12, 130, 255)])
    picture = preview(elevation, rgb, 10.0)
    # Of an odd last column only half is known.
    assert (picture[:, :-1] == (12, 130, 255, 255)).all()
    assert (picture[:, -1, :3] == (12, 130, 255)).all()


def test_flat_ground_keeps_its_colour_from_the_south() -> None:
    picture, _ = oblique(ground(flat(300, 400), coloured(flat(300, 400)), 10.0))
    inside = picture[picture.shape[0] // 2, picture.shape[1] // 4 : -picture.shape[1] // 4]
    assert (inside == (GREY, GREY, GREY, 255)).all()


def test_relief_is_lit_from_the_north_west_and_not_crushed() -> None:
    ramp = np.arange(80, dtype=np.float32)
    towards_the_sun = np.add.outer(ramp, ramp) * 5
    away = towards_the_sun[::-1, ::-1].copy()
    bright, dark = (preview(z, coloured(z), 10.0)[40, 40, 0] for z in (towards_the_sun, away))
    assert 1.15 * GREY < bright < 1.9 * GREY
    assert 0.3 * GREY < dark < 0.85 * GREY
    # Dark forest shows its relief too.
    bright, dark = (int(preview(z, coloured(z, 20), 10.0)[40, 40, 0]) for z in (towards_the_sun, away))
    assert bright - dark > 15


def test_gentle_ground_shows_its_relief() -> None:
    gentle = hills(200, 200) / 20
    assert np.ptp(preview(gentle, coloured(gentle), 10.0)[..., 0]) > 0.1 * GREY


def test_there_is_no_colour_where_there_are_no_points() -> None:
    elevation = hills(60, 80)
    elevation[10:30, 20:50] = np.nan
    rgb = coloured(elevation)
    rgb[:, np.isnan(elevation)] = np.nan
    picture = preview(elevation, rgb, 10.0)
    assert ((picture[..., 3] == 0) == np.isnan(elevation)).all()
    assert (picture[..., 3][~np.isnan(elevation)] == 255).all()


def test_long_lattices_are_drawn_as_means() -> None:
    elevation = flat(2000, 1999)
    rgb = coloured(elevation)
    rgb[:, ::2, ::2] = 200
    elevation[:, :400:2] = np.nan
    picture = preview(elevation, rgb, 10.0)
    assert picture.shape == (1000, 1000, 4)
    assert (picture[:, 300:-1] == (125, 125, 125, 255)).all()
    # Half of what lies behind is unknown, and does not count.
    assert (picture[:, :200] == (100, 100, 100, 128)).all()


@pytest.mark.parametrize("size", [(300, 500), (2000, 2000), (2000, 40), (40, 2000), (700, 700)])
def test_cloud_fills_the_oblique_view(size: tuple[int, int]) -> None:
    elevation = hills(*size)
    picture, _ = oblique(ground(elevation, coloured(elevation), 10.0))
    height, width = picture.shape[:2]
    assert width <= LARGEST[0]
    assert height <= LARGEST[1]
    assert width == LARGEST[0] or height == LARGEST[1]
    rows, cols = (np.flatnonzero(drawn(picture).any(axis=axis)) for axis in (1, 0))
    for found, edge in ((rows, height), (cols, width)):
        assert abs(found[0] - MARGIN) <= 3
        assert abs(edge - 1 - MARGIN - found[-1]) <= 3
    if min(size) > 100:
        assert drawn(picture)[MARGIN:-MARGIN, MARGIN:-MARGIN].mean() > 0.5
    assert (picture[..., 3] == 255).all()


def test_holes_stay_open() -> None:
    whole, holed = hills(400, 400), hills(400, 400)
    holed[150:250, 150:250] = np.nan
    full, open_ = (drawn(oblique(ground(z, coloured(whole), 10.0))[0]) for z in (whole, holed))
    assert full.shape == open_.shape
    # As much of the picture is open as of the cloud: no curtain hangs from the far rim.
    assert (full & ~open_).sum() > 0.8 * full.sum() * 100**2 / 400**2
    assert not (open_ & ~full).any()


def test_hole_is_open_from_rim_to_rim() -> None:
    elevation = flat(400, 400)
    elevation[150:250, 150:250] = np.nan
    picture, _ = oblique(ground(elevation, coloured(elevation), 10.0))
    column = np.flatnonzero(drawn(picture)[:, picture.shape[1] // 2])
    gaps = np.diff(column)
    assert (gaps > 1).sum() == 1
    assert gaps.max() > 0.15 * np.ptp(column)


def test_surface_is_closed() -> None:
    elevation = hills(150, 150)
    picture, _ = oblique(ground(elevation, coloured(elevation), 10.0))
    for column in drawn(picture)[:, MARGIN + 40 : -MARGIN - 40].T:
        seen = np.flatnonzero(column)
        assert np.ptp(seen) + 1 == seen.size


def test_near_ridges_hide_what_lies_behind() -> None:
    shares = []
    for ridge in (0.0, 400.0):
        elevation = flat(200, 200, 0.0)
        elevation[120:124] = ridge
        rgb = coloured(elevation)
        rgb[:, :120] = 250
        picture, exaggeration = oblique(ground(elevation, rgb, 10.0))
        column = picture[MARGIN:-MARGIN, picture.shape[1] // 2, 0]
        shares.append(float((column == 250).mean()))
    assert exaggeration == 1.0
    # The ridge stands before the north of the cloud, and its lit side is not as bright.
    assert 0.2 < shares[1] < 0.85 * shares[0]


def one_known(rows: int, cols: int) -> Floats:
    elevation = flat(rows, cols, np.nan)
    elevation[rows // 2, cols // 3] = 42.0
    return elevation


ODD = {
    "1 x 1": flat(1, 1),
    "1 x n": hills(1, 900),
    "n x 1": hills(900, 1),
    "2 x 2": hills(2, 2),
    "flat": flat(50, 70),
    "steep": hills(50, 50) * 100,
    "all but one unknown": one_known(120, 90),
    "all but one of many unknown": one_known(2000, 1777),
    "below the sea": flat(30, 30, -400.0),
}


@pytest.mark.parametrize("elevation", ODD.values(), ids=ODD)
def test_any_cloud_can_be_drawn(elevation: Floats) -> None:
    cloud = ground(elevation, coloured(elevation), 20.0)
    assert (above(cloud)[..., 3] > 0).any()
    picture, exaggeration = oblique(cloud)
    assert drawn(picture).any()
    assert 1 <= exaggeration <= 10
    assert png(picture)


@pytest.mark.parametrize("elevation", [flat(20, 30, np.nan), flat(0, 5), flat(5, 0)])
def test_nothing_on_the_lattice_is_an_empty_picture(elevation: Floats) -> None:
    cloud = ground(elevation, coloured(elevation), 20.0)
    assert not above(cloud)[..., 3].any()
    picture, _ = oblique(cloud)
    assert not drawn(picture).any()
    assert png(above(cloud))


def test_equal_clouds_give_equal_bytes_that_others_can_read() -> None:
    elevation = hills(90, 120)
    cloud = ground(elevation, coloured(elevation), 10.0)
    assert png(above(cloud)) == png(preview(elevation.copy(), coloured(elevation), 10.0))
    picture, _ = oblique(cloud)
    assert png(picture) == png(oblique(cloud)[0])
    assert b"tIME" not in png(picture)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_drawing_does_not_change_what_it_draws() -> None:
    elevation = hills(30, 30)
    rgb = coloured(elevation)
    oblique(pictures.ground(elevation, rgb, 10.0))
    np.testing.assert_array_equal(elevation, hills(30, 30))
    np.testing.assert_array_equal(rgb, coloured(elevation))
