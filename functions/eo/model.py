"""Trained models: found, checked against their cards, and run by onnxruntime.

onnxruntime is imported when a model is loaded, and nothing but the card is read before: plan and api stay light.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from eo import strict_json
from eo.card import CARD, DIGEST, ITEM, NAME, NETWORK, Card, Task, Tensor
from eo.errors import CorruptData, InvalidInput

if TYPE_CHECKING:
    import onnxruntime

FOLDER = "EO_SHARDS_MODELS"
"""Environment variable: the folder that holds the models' folders, and the only one looked into where it is set."""
PLACES = (Path("/opt/models"), Path(__file__).resolve().parents[2] / "layers" / "models")
"""Where models are otherwise: mounted by Lambda as layers, or in the repository."""
SILENT = "ORT_DISABLE_TELEMETRY"
"""Environment variable that keeps onnxruntime (1.29 and newer) from reporting to its makers and leaving a device's id."""
REMEDY = "fetch the model's folder again, or publish it anew"

_DTYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
    "uint8": "tensor(uint8)",
    "bool": "tensor(bool)",
}
"""What onnxruntime calls them."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files are what its card says."""

    card: Card
    files: Mapping[str, bytes]
    """Content by name, of all files but the network."""
    session: "onnxruntime.InferenceSession | None"
    """None for a model of tables alone."""

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of its files (see Card.digest)."""
        return self.card.digest

    def run(self, **arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """What the network makes of these inputs, by output name; shapes and units are those of the card.

        Raises InvalidInput where names, types or shapes of the inputs are not the card's, CorruptData where the network
        fails nevertheless.
        """
        if self.session is None:
            raise InvalidInput(f"model {self.card.name} is tables without a network: read its files instead")
        _check_arrays(self.card, arrays)
        names = [tensor.name for tensor in self.card.outputs]
        try:
            made = self.session.run(names, arrays)
        except Exception as error:
            shapes = {name: array.shape for name, array in arrays.items()}
            raise CorruptData(
                f"model {self.card.name} failed on inputs of shape {shapes}: {_first_line(error)}; give it the shapes that "
                f"its card names, or {REMEDY}"
            ) from error
        return dict(zip(names, made, strict=True))


def load(
    name: str, *, bands: Sequence[str] | None = None, inputs: Sequence[str] | None = None, threads: int = 1
) -> Model:
    """The model of that name, kept for the life of the process.

    `bands` and `inputs` are those that the caller will give it, in any case all of them; the order of bands counts.
    `threads` is what one run may use. Raises InvalidInput where there is no such model or it reads other bands or inputs,
    CorruptData where a file is missing or is not the one that the card lists.
    """
    folder = find(name)
    model = _kept(folder, _read(folder / CARD), threads)
    _expect(name, "bands", bands, model.card.bands)
    if inputs is not None:
        _expect(name, "inputs", sorted(inputs), tuple(sorted(tensor.name for tensor in model.card.inputs)))
    return model


def tables(name: str) -> Model:
    """The model without its network, which is not looked at: for who reads its other files alone. Raises as `load` does."""
    folder = find(name)
    card = _card(folder, _read(folder / CARD))
    files = {file.name: _checked(folder, card, file.name) for file in card.files if file.name != NETWORK}
    return Model(card, files, None)


def read_card(name: str, *, task: Task | None = None) -> Card:
    """The card alone: its files are not looked at. Raises as `load` does, and then names the models of the `task`."""
    folder = find(name, task=task)
    return _card(folder, _read(folder / CARD))


def read_item(name: str) -> bytes:
    """The STAC item of the model that the card describes, as it is stored; other files are not looked at.

    Raises InvalidInput where there is no such model, CorruptData where the item is missing, no JSON or that of other files.
    """
    folder = find(name)
    card, path = _card(folder, _read(folder / CARD)), folder / ITEM
    data = _read(path)
    try:
        item = strict_json.parse(data, str(path))
    except InvalidInput as error:
        raise CorruptData(f"{error}; {REMEDY}") from None
    properties = item.get("properties") if isinstance(item, dict) else None
    digest = properties.get(DIGEST) if isinstance(properties, dict) else None
    if digest != card.digest:
        raise CorruptData(
            f"{path} is the STAC item of a model of {DIGEST} {str(digest)[:64]}, its card's is {card.digest}: {REMEDY}"
        )
    return data


def find(name: str, *, task: Task | None = None) -> Path:
    """The folder of a model. Raises InvalidInput where there is none, and names those of the `task`."""
    chosen = os.environ.get(FOLDER)
    places = (Path(chosen),) if chosen else PLACES
    if re.fullmatch(NAME, name):
        for place in places:
            if (place / name / CARD).is_file():
                return place / name
    cards = (path for place in places for path in place.glob(f"*/{CARD}"))
    known = sorted({path.parent.name for path in cards if task in {None, _task(path)}})
    raise InvalidInput(
        f"there is no model {name!r} in {' or '.join(map(str, places))}: choose one of {', '.join(known) or 'none'}, "
        f"or set {FOLDER} to the folder that holds it"
    )


def _task(path: Path) -> str | None:
    """What the model of a card does; None where the file is no card."""
    try:
        return Card.model_validate_json(path.read_bytes()).task
    except (OSError, ValidationError):
        return None


def checked(folder: Path, *, threads: int = 1) -> Model:
    """The model in a folder, read anew. What is checked is what is used: every file is read once. Raises as `load` does."""
    return _open(folder, _read(folder / CARD), threads)


def _open(folder: Path, card_json: bytes, threads: int) -> Model:
    card = _card(folder, card_json)
    files = {file.name: _checked(folder, card, file.name) for file in card.files}
    network = files.pop(NETWORK, None)
    return Model(card, files, None if network is None else _session(card, network, threads))


@lru_cache(maxsize=8)
def _kept(folder: Path, card_json: bytes, threads: int) -> Model:
    return _open(folder, card_json, threads)


def _card(folder: Path, card_json: bytes) -> Card:
    try:
        card = Card.model_validate_json(card_json)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise CorruptData(f"{folder / CARD} is no model card ({where}: {first['msg']}): {REMEDY}") from None
    if card.name != folder.name:
        raise CorruptData(
            f"{folder} holds the model {card.name}, not {folder.name}: folders are named as their models are; {REMEDY}"
        )
    return card


def _checked(folder: Path, card: Card, name: str) -> bytes:
    """A file's content. Raises CorruptData unless it is the one that the card lists."""
    listed = next(file for file in card.files if file.name == name)
    data = _read(folder / name)
    if len(data) != listed.bytes:
        raise CorruptData(f"{folder / name} has {len(data):,} bytes, its card says {listed.bytes:,}: {REMEDY}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != listed.sha256:
        raise CorruptData(f"{folder / name} has the SHA-256 {digest}, its card says {listed.sha256}: {REMEDY}")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorruptData(f"{path} cannot be read ({error.strerror or error}): {REMEDY}") from None


def _session(card: Card, network: bytes, threads: int) -> "onnxruntime.InferenceSession":
    """One that gives equal answers to equal inputs, and whose inputs and outputs are the card's."""
    os.environ.setdefault(SILENT, "1")
    try:
        import onnxruntime as ort  # noqa: PLC0415 - heavy: only who runs a network pays for it
    except ImportError:
        raise InvalidInput(
            f"model {card.name} needs onnxruntime {card.onnxruntime} or newer, which is not installed: pip install onnxruntime"
        ) from None
    if _release(ort.__version__) < _release(card.onnxruntime or "0"):
        raise InvalidInput(
            f"model {card.name} needs onnxruntime {card.onnxruntime} or newer, this is {ort.__version__}: upgrade it"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # Where every run has one size, an arena is as large after the first as it will be, and pages are not given back and
    # faulted in anew: tiles of 768 pixels take 0.45 CPU s instead of 0.52, and the process 360 MB instead of 700. With
    # inputs of any size it would keep what the largest took, and grow. A pattern, which is all memory of a run in one
    # piece, saves 3 % more and takes 600 MB; steps of powers of two save nothing and take 410 (all measured).
    options.enable_cpu_mem_arena = card.grid.tile is not None
    options.enable_mem_pattern = not options.enable_cpu_mem_arena
    provider = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})
    options.log_severity_level = 4  # what matters is raised
    try:
        session = ort.InferenceSession(network, options, providers=[provider])
    except Exception as error:
        raise CorruptData(
            f"onnxruntime {ort.__version__} cannot load the network of model {card.name}: {_first_line(error)}; {REMEDY}"
        ) from error
    _check_ends(card, "inputs", session.get_inputs(), card.inputs)
    _check_ends(card, "outputs", session.get_outputs(), card.outputs)
    return session


def _check_ends(card: Card, ends: str, found: Sequence[Any], listed: Sequence[Tensor]) -> None:
    """The network's own inputs or outputs against the card's. A dimension that the network leaves open fits any."""
    there = {end.name: (end.type, end.shape) for end in found}
    fit = there.keys() == {tensor.name for tensor in listed} and all(
        there[tensor.name][0] == _DTYPES[tensor.dtype] and _fits(there[tensor.name][1], tensor.shape)
        for tensor in listed
    )
    if not fit:
        said = {tensor.name: (tensor.dtype, tensor.shape) for tensor in listed}
        raise CorruptData(f"the network of model {card.name} has the {ends} {there}, its card says {said}: {REMEDY}")


def _fits(found: Sequence[int | str | None], listed: Sequence[int | str]) -> bool:
    return len(found) == len(listed) and all(
        has == says if isinstance(has, int) and isinstance(says, int) else not isinstance(has, int)
        for has, says in zip(found, listed, strict=True)
    )


def _check_arrays(card: Card, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Inputs of a run against the card; a dimension of one name has one extent."""
    _expect(card.name, "inputs", sorted(arrays), tuple(sorted(tensor.name for tensor in card.inputs)))
    extents: dict[str, int] = {}
    for tensor in card.inputs:
        array = arrays[tensor.name]
        fit = len(array.shape) == len(tensor.shape) and all(
            extent == (says if isinstance(says, int) else extents.setdefault(says, extent))
            for extent, says in zip(array.shape, tensor.shape, strict=True)
        )
        if array.dtype != np.dtype(tensor.dtype) or not fit:
            raise InvalidInput(
                f"input {tensor.name} of model {card.name} is {array.dtype}{list(array.shape)}; "
                f"give it {tensor.dtype}[{', '.join(map(str, tensor.shape))}], where equal names are equal extents"
            )


def _expect(name: str, what: str, given: Sequence[str] | None, wanted: tuple[str, ...]) -> None:
    if given is not None and tuple(given) != wanted:
        raise InvalidInput(
            f"model {name} reads the {what} {', '.join(wanted) or 'none'}, not {', '.join(given) or 'none'}: "
            "give it these, or choose another model"
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
