"""Spectral indices that may be given to a network beside the bands: normalised differences of two of them."""

from typing import Literal

Index = Literal["NDVI", "NDWI", "NDBI"]
INDICES: dict[Index, tuple[str, str]] = {
    "NDVI": ("B08", "B04"),
    "NDWI": ("B03", "B08"),
    "NDBI": ("B11", "B08"),
}
"""(a, b) of (a - b) / (a + b): vegetation (Rouse et al. 1974), open water (McFeeters 1996, doi:10.1080/01431169608948714),
built-up land (Zha et al. 2003, doi:10.1080/01431160304987)."""
