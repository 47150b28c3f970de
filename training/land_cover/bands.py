"""The bands of a BigEarthNet patch and the usual choices among them."""

from collections.abc import Sequence

from eo.errors import InvalidInput

EDGE = 120
"""Pixels of 10 m along a patch."""
PIXELS: dict[str, int] = {
    "B01": 20, "B02": 120, "B03": 120, "B04": 120, "B05": 60, "B06": 60,
    "B07": 60, "B08": 120, "B8A": 60, "B09": 20, "B11": 60, "B12": 60,
}  # fmt: skip
"""Pixels along a patch by band, in Sentinel-2's order: bands of 10, 20 and 60 m. B10 is no surface band."""
ALL = tuple(PIXELS)

BANDS: dict[int, tuple[str, ...]] = {
    7: ("B02", "B03", "B04", "B08", "B8A", "B11", "B12"),
    10: ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    11: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    12: ALL,
}
"""By number of bands: those of 10 m with B8A, B11 and B12; all of 10 and 20 m, as the published reBEN weights use; with
B01; with B01 and B09."""
DEFAULT = BANDS[10]


def chosen(selection: int | str | Sequence[str]) -> tuple[str, ...]:
    """The bands of a selection, in Sentinel-2's order: 7, 10, 11 or 12, or names (a text has commas between them).

    Raises InvalidInput where it names no bands, unknown ones or one of them twice.
    """
    if isinstance(selection, int) or (isinstance(selection, str) and selection.strip().isdigit()):
        count = int(selection)
        if count not in BANDS:
            raise InvalidInput(f"bands {count}: choose {', '.join(map(str, BANDS))} or a list of names")
        return BANDS[count]
    names = [name.strip() for name in selection.split(",")] if isinstance(selection, str) else list(selection)
    unknown = [name for name in names if name not in PIXELS]
    if unknown or not names:
        raise InvalidInput(f"bands {', '.join(names) or 'none'}: choose among {', '.join(ALL)}, or 7, 10, 11 or 12")
    if len(set(names)) < len(names):
        raise InvalidInput(f"bands {', '.join(names)}: one of them is there twice; name each once")
    return tuple(name for name in ALL if name in names)
