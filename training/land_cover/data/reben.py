"""The index of BigEarthNet v2, refined BigEarthNet (Clasen et al. 2024, arXiv:2407.03653): `metadata.parquet`.

One row for a patch: patch_id, labels (list of the 19), split, country, s1_name, s2v1_name, contains_seasonal_snow,
contains_cloud_or_shadow. Files lie under BigEarthNet-S2/<scene>/<patch_id>/<patch_id>_<band>.tif, where the scene is
the patch's name without its last two numbers.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eo.errors import CorruptData
from land_cover.labels import CLASSES
from training.land_cover.data.index import GENERATED, NO_COUNTRY, Index
from training.land_cover.data.patches import SPLITS
from training.land_cover.labels import multi_hot

NEEDED = ("patch_id", "labels", "split")


def reben(metadata: Path, patches: Path) -> Index:
    """The index; `patches` is the folder of scenes. Raises CorruptData, naming the file."""
    table = _table(metadata)
    names: list[str] = table["patch_id"].to_pylist()
    if len(set(names)) < len(names):
        known, rows = np.unique(names, return_counts=True)
        raise CorruptData(
            f"{metadata}: {known[rows > 1][0]} has more than one row; remove all but one, or get the file again"
        )
    splits = np.asarray(table["split"].to_pylist(), np.str_)
    strange = np.flatnonzero(~np.isin(splits, SPLITS))
    if strange.size:
        at = int(strange[0])
        raise CorruptData(
            f"{metadata}: {names[at]} is of the split {str(splits[at])!r}; correct it to one of {', '.join(SPLITS)}"
        )
    countries = table["country"].to_pylist() if "country" in table.column_names else [""] * len(names)
    return Index(
        source=metadata,
        names=names,
        folders=[patches / name.rsplit("_", 2)[0] / name for name in names],
        labels=_labels(table, names, metadata),
        splits=splits,
        countries=[country or "" for country in countries],
        synthetic=(metadata.parent / GENERATED).exists() or NO_COUNTRY in countries,
    )


def _table(metadata: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(metadata)
        there = set(file.schema_arrow.names)
        missing = [name for name in NEEDED if name not in there]
        if missing:
            raise CorruptData(f"{metadata} has no column {missing[0]}: get the file of BigEarthNet v2 again")
        table = file.read([*NEEDED, *({"country"} & there)])
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{metadata} cannot be read ({error}): get the file of BigEarthNet v2 again") from error
    for name in NEEDED:
        if table[name].null_count:
            raise CorruptData(f"{metadata} has rows without {name}: get the file of BigEarthNet v2 again")
    kind = table["patch_id"].type
    if not _is_text(kind):
        raise CorruptData(f"{metadata}: the column patch_id is of {kind}, not text: get the file again")
    return table


def _is_text(kind: pa.DataType) -> bool:
    """Whether it is of any of the types that writers take for text: pyarrow of the first, polars of the others."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    """Whether it has offsets: such a large one of 64 bits has, which polars writes."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _labels(table: pa.Table, names: list[str], metadata: Path) -> NDArray[np.uint8]:
    """(patches, 19), by column rather than by row: there are half a million of them."""
    column = table["labels"].combine_chunks()
    if not _is_list(column.type) or not _is_text(column.type.value_type):
        raise CorruptData(f"{metadata}: the column labels is of {column.type}, not lists of text: get the file again")
    counts = np.diff(column.offsets.to_numpy())
    of = np.repeat(np.arange(len(names)), counts)
    encoded = column.flatten().cast(pa.large_string()).dictionary_encode()
    if encoded.null_count:
        empty = names[int(of[np.flatnonzero(encoded.is_null().to_numpy(zero_copy_only=False))[0]])]
        raise CorruptData(f"{metadata}: {empty} has a label without a name; remove that label or get the file again")
    known, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    for code, label in enumerate(known):
        if label not in CLASSES:
            multi_hot([label], f"{metadata}, {names[of[np.flatnonzero(codes == code)[0]]]}")
    labels = np.zeros((len(names), len(CLASSES)), np.uint8)
    labels[of, np.array([CLASSES.index(label) for label in known], np.intp)[codes]] = 1
    bare = np.flatnonzero(counts == 0)
    if bare.size:
        raise CorruptData(f"{metadata}: {names[int(bare[0])]} has no label; remove that row or get the file again")
    return labels
