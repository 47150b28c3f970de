"""The 19 classes of BigEarthNet."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "Agro-forestry areas": (242, 204, 166),  # 244
    "Arable land": (255, 255, 168),  # 211, and 212, 213
    "Beaches, dunes, sands": (230, 230, 230),  # 331
    "Broad-leaved forest": (128, 255, 0),  # 311
    "Coastal wetlands": (204, 204, 255),  # 421, and 422
    "Complex cultivation patterns": (255, 230, 77),  # 242
    "Coniferous forest": (0, 166, 0),  # 312
    "Industrial or commercial units": (204, 77, 242),  # 121
    "Inland waters": (128, 242, 230),  # 512, and 511
    "Inland wetlands": (166, 166, 255),  # 411, and 412
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (230, 204, 77),  # 243
    "Marine waters": (230, 242, 255),  # 523, and 521, 522
    "Mixed forest": (77, 255, 0),  # 313
    "Moors, heathland and sclerophyllous vegetation": (166, 255, 128),  # 322, and 323
    "Natural grassland and sparsely vegetated areas": (204, 242, 77),  # 321, and 333
    "Pastures": (230, 230, 77),  # 231
    "Permanent crops": (230, 128, 0),  # 221, and 222, 223, 241
    "Transitional woodland, shrub": (166, 242, 0),  # 324
    "Urban fabric": (255, 0, 0),  # 112, and 111
}
"""Red, green, blue of each class: those of the CORINE Land Cover class whose code stands first beside it, which it is, or
which is one of those that were merged into it (the codes after it are the others). From the legend of CLC, clc2000legend.csv of
https://www.eea.europa.eu/data-and-maps/data/corine-land-cover-changes-clc1990-clc2000-100-m-version-9-2007, in which
beaches (230, 230, 230) and the sea (230, 242, 255) are the nearest to each other: 8.6 in CIELAB, where 2.3 can be seen."""

CLASSES: tuple[str, ...] = tuple(COLOURS)
"""The nomenclature of Sumbul et al. 2021 (BigEarthNet-MM) and reBEN, as `metadata.parquet` spells it, sorted by letters:
the order of the outputs of the published reBEN weights (ConfigILM's NEW_LABELS)."""
