"""A model's folder, written whole or not at all.

Equal weights, cards and releases of the tools give equal bytes: nothing is dated, and what the exporter writes of the
machine is taken out.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from eo.card import CARD, ITEM, NETWORK, Card, Draft, File, Precision
from eo.card import Tensor as Listed
from eo.errors import InvalidInput
from eo.model import checked
from training.publish.mlm import epochs, stac_item

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

STORED: dict[Precision, str] = {
    "float32": "weights float32",
    "float16": "weights half of the bytes: float16",
    "int8": "convolutions in 8 bits",
}
"""What the network's file is said to be."""


def publish(
    module: "nn.Module",
    example: "Mapping[str, Tensor]",
    *,
    card: Draft,
    out: Path,
    tolerance: float,
    precision: Precision = "float32",
    exact: float | None = None,
    ranges: "Iterable[Mapping[str, Tensor]]" = (),
    recalibration: "Iterable[Mapping[str, Tensor]] | None" = None,
    batches: "Iterable[Mapping[str, Tensor]] | None" = None,
    tables: Mapping[str, tuple[bytes, str]] | None = None,
    told: bool = True,
) -> Card:
    """Export a trained module, prove that onnxruntime answers as torch does, and write the folder `out`.

    `module` takes the card's inputs as positional arguments, in their order, and gives a tensor or a tuple of its
    outputs; it is left in evaluation mode on the CPU. `example` has a tensor for each input. Extents that the card names
    by a word are open in the network; those of equal name are equal.
    BatchNorm layers are recomputed over `recalibration`, where given. `batches` are compared instead of random ones about
    the example; `tolerance` is in units of the outputs. `precision` float16 stores weights in half, int8 computes
    convolutions in 8 bits, over the ranges that activations have for the examples `ranges`; `exact` is then the tolerance
    of the network as it was before that, which tells an export that computes something else from rounded weights. `tables`
    are further files of the model: content and meaning by name. What was made is printed if `told`.
    Raises CorruptData where the comparison fails or the runtime refuses the folder, and InvalidInput where the example or
    what is made of it is not as the card says; the folder is then as it was.
    """
    import torch  # noqa: PLC0415 - tables are published without it

    from training.publish import network as net  # noqa: PLC0415
    from training.publish.batch_norm import recalibrate  # noqa: PLC0415

    _agree("the example has the inputs", example, card.inputs)
    module = module.cpu().eval()
    names = [tensor.name for tensor in card.inputs]
    made_of_example = net.outputs(module, example, card)
    listed = [tensor.name for tensor in card.outputs]
    places = (listed[place] if place < len(listed) else f"output {place}" for place in range(len(made_of_example)))
    _agree("the module gives the outputs", dict(zip(places, made_of_example, strict=True)), card.outputs)
    if recalibration is not None:
        recalibrate(module, ([batch[name] for name in names] for batch in recalibration))
    model = net.export(module, example, card)
    compared = list(batches if batches is not None else net.random_batches(example, card))
    whole = None
    if precision != "float32" and exact is not None:
        whole = net.parity(module, model.SerializeToString(), card, compared, tolerance=exact)
    data = _smaller(model, precision, ranges).SerializeToString(deterministic=True)
    proven = net.parity(module, data, card, compared, tolerance=tolerance)
    files = {NETWORK: (data, f"the network, ONNX opset {net.OPSET}, {STORED[precision]}"), **(tables or {})}
    made = Card(
        **dict(card),
        files=_listed(files),
        framework=f"PyTorch {torch.__version__.partition('+')[0]}",
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        precision=precision,
        opset=net.OPSET,
        onnxruntime=net.ONNXRUNTIME,
        parity=proven,
        parity_float32=whole,
    )
    _write(made, {name: content for name, (content, _) in files.items()}, out)
    if told:
        _tell(made, out)
    return made


def _smaller(
    model: "onnx.ModelProto", precision: Precision, ranges: "Iterable[Mapping[str, Tensor]]"
) -> "onnx.ModelProto":
    if precision == "float16":
        from training.publish.network import halve  # noqa: PLC0415 - see publish

        return halve(model)
    if precision == "int8":
        from training.publish.eight_bits import quantised  # noqa: PLC0415

        return quantised(model, ranges)
    return model


def publish_tables(
    card: Draft, *, tables: Mapping[str, tuple[bytes, str]], parameters: int, made_by: str, out: Path
) -> Card:
    """Write the folder of a model that is tables alone: content and meaning by name.

    `parameters` is how many numbers were fitted, `made_by` what fitted them, with its version.
    """
    made = Card(**dict(card), files=_listed(tables), framework=made_by, parameters=parameters)
    _write(made, {name: content for name, (content, _) in tables.items()}, out)
    _tell(made, out)
    return made


def amend(folder: Path, **changes: Any) -> Card:  # noqa: ANN401 - fields of Draft
    """Say more of a published model, the results of a benchmark for one; what computes stays, and so does its digest.

    Raises InvalidInput where a field is none of Draft's or would not fit, CorruptData where the folder is not whole.
    """
    card = checked(folder).card
    if foreign := changes.keys() - Draft.model_fields.keys():
        raise InvalidInput(f"{sorted(foreign)} of a published model cannot be amended: publish it anew")
    try:
        made = Card.model_validate({**dict(card), **changes})
    except ValidationError as error:
        raise InvalidInput(f"the card of {folder} cannot be amended so: {error}") from None
    _write(made, {file.name: (folder / file.name).read_bytes() for file in card.files}, folder)
    _tell(made, folder)
    return made


def _listed(files: Mapping[str, tuple[bytes, str]]) -> tuple[File, ...]:
    return tuple(
        File(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), meaning=meaning)
        for name, (content, meaning) in sorted(files.items())
    )


def _agree(what: str, found: "Mapping[str, Tensor]", listed: Sequence[Listed]) -> None:
    """Raises InvalidInput unless tensors have the names, types and extents that the card lists."""
    wanted = {tensor.name: (tensor.dtype, tensor.shape) for tensor in listed}
    there = {name: (str(value.dtype).removeprefix("torch."), tuple(value.shape)) for name, value in found.items()}
    fit = wanted.keys() == there.keys() and all(
        there[name][0] == dtype
        and len(there[name][1]) == len(shape)
        and all(isinstance(says, str) or says == has for has, says in zip(there[name][1], shape, strict=True))
        for name, (dtype, shape) in wanted.items()
    )
    if not fit:
        raise InvalidInput(f"{what} {there}, the card says {wanted}: make them agree")


def _write(card: Card, files: Mapping[str, bytes], out: Path) -> None:
    """Put a complete folder in the place of the old one."""
    if out.name != card.name:
        raise InvalidInput(f"model {card.name} cannot be published as {out}: folders are named as their models are")
    described = card.encoded()
    item = (json.dumps(stac_item(card), indent=1, ensure_ascii=False) + "\n").encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        new, old = Path(scratch) / "new" / out.name, Path(scratch) / "old"
        new.mkdir(parents=True)
        for name, content in {**files, CARD: described, ITEM: item}.items():
            (new / name).write_bytes(content)
        checked(new)
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise


def _tell(card: Card, out: Path) -> None:
    table = Table(title=f"{card.name} {card.version} in {out}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for file in card.files:
        table.add_row(file.name, f"{file.bytes:,} bytes")
    table.add_row("parameters", f"{card.parameters:,}, stored as {card.precision}")
    for name, parity in (("parity", card.parity), ("before weights were made smaller", card.parity_float32)):
        if parity is not None:
            table.add_row(
                name,
                f"largest |torch - onnxruntime| {parity.max_abs_error:.3g} over {parity.batches} batches, "
                f"{parity.tolerance:g} allowed",
            )
    table.add_row("training", f"{epochs(card.training)}, {card.training.stopped}")
    for score in card.results:
        if score.set == "test split" and score.metric == "F1" and score.row.startswith(("macro", "micro")):
            table.add_row(f"{score.metric}, {score.set}", f"{score.value:.3f} {score.row}")
    if card.energy is not None:
        table.add_row(
            "energy",
            f"{card.energy.kwh:.3g} kWh, {card.energy.co2e_kg:.3g} kg CO2e ({card.energy.how}, {card.energy.country})",
        )
    table.add_row("digest", card.digest)
    Console().print(table)
