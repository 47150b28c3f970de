"""The card of a model: what it reads and gives, where it may be used, how well it does, and the files that it is.

A model is the folder `layers/models/<name>/` with `card.json`, `item.json` (the same as a STAC item) and the files that
the card lists by their SHA-256. `training.publish` writes it, `eo.model` reads it.
"""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eo.stage import Record, Resampling

CARD, ITEM, NETWORK = "card.json", "item.json", "model.onnx"
DIGEST = "eo_shards:digest"
"""Property of the STAC item that says whose it is: `Card.digest`."""

NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""Names of models, which are names of folders too."""
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Names of files, without folders."""
SHA256 = r"^[0-9a-f]{64}$"
BAND = r"^(B(0[1-9]|1[0-2])|B8A)$"
RELEASE = r"^\d+\.\d+(\.\d+)?$"
SYNTHETIC = "synthetic"
"""`Training.data` of a model that has learnt from generated data alone is this, or this and more words."""
LATER = ("thresholds", "resampling", "parity_float32")
"""Fields that came after the first models were published: written only where they are set, so that those stay as they are."""
DATE_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Task = Literal["regression", "scene-classification", "semantic-segmentation"]
"""Of the tasks that the STAC MLM extension knows, those of this project."""
Precision = Literal["float32", "float16", "int8"]
DType = Literal["float32", "float64", "int32", "int64", "uint8", "bool"]
Dimension = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
"""An extent, or the name of one that may be any. `batch` is the number of independent examples."""


class File(Record):
    """A file of the model."""

    name: Annotated[str, Field(pattern=FILE_NAME)]
    bytes: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=SHA256)]
    meaning: Text


class Tensor(Record):
    """An array that goes into the network or comes out of it."""

    name: Annotated[str, Field(pattern=IDENTIFIER)]
    dtype: DType = "float32"
    shape: Annotated[tuple[Dimension, ...], Field(min_length=1)]
    dims: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")], ...]
    """What each dimension counts, in the words of STAC MLM: batch, channel, height, width, class."""
    units: Text
    """"1" for reflectance and other ratios."""
    meaning: Text
    bands: tuple[Annotated[str, Field(pattern=BAND)], ...] = ()
    """Sentinel-2 names of its channels, in their order, where they are bands."""

    @model_validator(mode="after")
    def _named_dimensions(self) -> Self:
        if len(self.dims) != len(self.shape) or len(set(self.dims)) != len(self.dims):
            raise ValueError(
                f"{self.name} has {len(self.shape)} dimensions and names {self.dims}: give each its own name"
            )
        return self


class Normalisation(Record):
    """What the network itself subtracts and divides by, for each band; callers give reflectance as it is."""

    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]


class ModelGrid(Record):
    """How an image is cut for the network."""

    metres: Positive
    """Pixel edge that it was trained on."""
    tile: Annotated[int, Field(ge=1)] | None = None
    """Edge in pixels that every call has, halo included; None where any will do."""
    halo: Annotated[int, Field(ge=0)] = 0
    """Pixels at each edge of a tile that are cropped or feathered."""
    multiple: Annotated[int, Field(ge=1)] = 1
    """Tiles begin at multiples of this, in absolute pixels, and are multiples of it."""


class Training(Record):
    """How it came to be."""

    data: Text
    """"simulated 6S", "synthetic", or the name of a data set."""
    seeds: tuple[int, ...]
    code: Text
    """Version or digest of the code that trained it."""
    command: Text
    epochs: Annotated[int, Field(ge=0)]
    stopped: Literal["early stopping", "ended as planned", "cut short", "not trained"]
    """Whether training ended by itself, before its last epoch or with it; older cards say "cut short" of the latter too.
    "not trained" is for tables, and for what is fitted in one go."""
    start: Annotated[str, Field(pattern=DATE_TIME)] = "2015-06-23T00:00:00Z"
    """First time of the data, or of what simulated data stand for: Sentinel-2A's launch."""
    end: Annotated[str, Field(pattern=DATE_TIME)] = "9999-12-31T23:59:59Z"
    """Last time. STAC demands one, and MLM's own examples say this for "no end"."""
    pretrained: str | None = None
    """Data set of the weights that training started from, None where it started from chance."""
    hyperparameters: dict[Annotated[str, Field(pattern=r"^[0-9a-zA-Z_.-]+$")], bool | int | Finite | str] = Field(
        default_factory=dict
    )


class Range(Record):
    """Where in one quantity the model may be used."""

    quantity: Text
    units: Text
    minimum: Finite
    maximum: Finite


class Uncertainty(Record):
    """The model's own word on its error."""

    how: Text
    coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of held-out errors within one sigma."""


class Score(Record):
    """One measured number."""

    set: Text
    row: Text
    """What was measured: the model, a variant or a baseline, and on which part of the set."""
    metric: Text
    band: str = ""
    value: Finite


class Parity(Record):
    """How near onnxruntime's answers are to those of the framework that trained it."""

    max_abs_error: NotNegative
    tolerance: Positive
    batches: Annotated[int, Field(ge=1)]


class Energy(Record):
    """What training took."""

    kwh: NotNegative
    co2e_kg: NotNegative
    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """ISO 3166-1 alpha-3."""
    how: Literal["measured", "estimated"]
    """Measured by the processor's own counters, or estimated from its nominal power."""
    source: Text

    def __add__(self, other: "Energy") -> "Energy":
        """The energy of both, of a run and of the one that resumed it. Measured only where both are."""
        how: Literal["measured", "estimated"] = "measured" if {self.how, other.how} == {"measured"} else "estimated"
        return self.model_copy(
            update={"kwh": self.kwh + other.kwh, "co2e_kg": self.co2e_kg + other.co2e_kg, "how": how}
        )


class Draft(Record):
    """What whoever trained a model knows of it; publishing adds the rest."""

    name: Annotated[str, Field(pattern=NAME)]
    version: Annotated[str, Field(pattern=RELEASE)]
    title: Text
    summary: Text
    architecture: Text
    task: Task
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    bands: tuple[Annotated[str, Field(pattern=BAND)], ...]
    """All bands that it reads, in the order in which callers give them."""
    radiometry: Literal["reflectance"] = "reflectance"
    """Bands are reflectance, offset applied by eo.radiometry, not clipped."""
    level: Literal["L1C", "L2A"]
    """Sentinel-2 products that it reads."""
    normalisation: Normalisation | None = None
    grid: ModelGrid
    satellites: tuple[Literal["sentinel-2a", "sentinel-2b", "sentinel-2c"], ...]
    classes: tuple[Text, ...] = ()
    """What the entries of the class dimension stand for, in their order."""
    thresholds: tuple[Share, ...] = ()
    """Probability from which on each class is a label, in the order of the classes; empty where none were chosen."""
    resampling: Resampling | None = None
    """How bands of 20 and 60 m were brought to the grid that it was trained on; None where that is not fixed."""
    training: Training
    domain: tuple[Range, ...]
    intended_use: Text
    out_of_scope: tuple[Text, ...]
    known_failures: tuple[Text, ...]
    uncertainty: Uncertainty | None = None
    results: tuple[Score, ...] = ()
    energy: Energy | None = None
    licence: Text = "Apache-2.0"
    """SPDX identifier."""

    @property
    def synthetic(self) -> bool:
        """Whether it has learnt from generated data alone, and knows nothing of real scenes."""
        return self.training.data == SYNTHETIC or self.training.data.startswith(f"{SYNTHETIC} ")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        if len(set(names)) != len(names):
            raise ValueError(f"inputs and outputs are called {names}: give each its own name")
        if len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands {self.bands}: name each once")
        if unknown := {band for tensor in self.inputs for band in tensor.bands} - set(self.bands):
            raise ValueError(f"inputs read {sorted(unknown)}, which bands {self.bands} lacks")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes}: name each once")
        if self.thresholds and len(self.thresholds) != len(self.classes):
            raise ValueError(
                f"{len(self.thresholds)} thresholds for {len(self.classes)} classes: give one for each, or none"
            )
        if self.normalisation and {len(self.normalisation.mean), len(self.normalisation.std)} != {len(self.bands)}:
            raise ValueError(f"normalisation needs a mean and a std for each of the {len(self.bands)} bands")
        return self


class Card(Draft):
    """All that is known of a published model."""

    files: Annotated[tuple[File, ...], Field(min_length=1)]
    """All but the card and the STAC item, by name."""
    framework: Text
    """What trained it, with its version."""
    parameters: Annotated[int, Field(ge=0)]
    precision: Precision = "float32"
    """Of the stored weights; the arithmetic is in float32, but for the convolutions of int8, which are in integers."""
    opset: Annotated[int, Field(ge=1)] | None = None
    onnxruntime: Annotated[str, Field(pattern=RELEASE)] | None = None
    """The oldest release that runs it; None, as opset and parity, where there is no network."""
    parity: Parity | None = None
    """Of the stored weights."""
    parity_float32: Parity | None = None
    """Of the network before its weights were made smaller, where that was asked for."""

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over names and digests of the files: what computes, whatever the card says of it."""
        listed = sorted((file.name, file.sha256) for file in self.files)
        return hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in listed).encode()).hexdigest()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names) or {CARD, ITEM} & set(names):
            raise ValueError(f"files {names}: name each once, and neither {CARD} nor {ITEM}")
        network = NETWORK in names
        if network and not (self.inputs and self.outputs and self.opset and self.onnxruntime and self.parity):
            raise ValueError(f"{NETWORK} needs inputs, outputs, opset, onnxruntime and parity")
        return self

    def encoded(self) -> bytes:
        """The JSON of `card.json`; equal cards give equal bytes, in every release that knows their fields."""
        unset = {name for name in LATER if getattr(self, name) == Card.model_fields[name].default}
        return (self.model_dump_json(indent=1, exclude=unset) + "\n").encode()
