"""The 19 classes of BigEarthNet."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "Agro-forestry areas": (242, 204, 166),
    "Arable land": (255, 255, 168),
    "Beaches, dunes, sands": (230, 230, 230),
    "Broad-leaved forest": (128, 255, 0),
    "Coastal wetlands": (204, 204, 255),
    "Complex cultivation patterns": (255, 230, 77),
    "Coniferous forest": (0, 166, 0),
    "Industrial or commercial units": (204, 77, 242),
    "Inland waters": (128, 242, 230),
    "Inland wetlands": (166, 166, 255),
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (230, 204, 77),
    "Marine waters": (230, 242, 255),
    "Mixed forest": (77, 255, 0),
    "Moors, heathland and sclerophyllous vegetation": (166, 255, 128),
    "Natural grassland and sparsely vegetated areas": (204, 242, 77),
    "Pastures": (230, 230, 77),
    "Permanent crops": (230, 128, 0),
    "Transitional woodland, shrub": (166, 242, 0),
    "Urban fabric": (255, 0, 0),
}
"""Red, green, blue of each class: that of the CORINE Land Cover class which it is, or of the first that it was made of
(legend of CLC: land.copernicus.eu, "CORINE Land Cover nomenclature guidelines"; urban fabric is 112, inland waters 512)."""

CLASSES: tuple[str, ...] = tuple(COLOURS)
"""The nomenclature of Sumbul et al. 2021 (BigEarthNet-MM) and reBEN, as `metadata.parquet` spells it, sorted by letters:
the order of the outputs of the published reBEN weights (ConfigILM's NEW_LABELS)."""
