"""The STAC item of a model: valid with the extensions, and the same to an independent reader."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pystac
import pytest
from pystac.extensions.mlm import MLMExtension, ValueScaling

from eo.card import NETWORK, Card, Energy, File, ModelGrid, Normalisation, Parity, Range, Tensor, Training
from stac_items import Validate, validator
from training.publish.mlm import EXTENSIONS, stac_item

FIELD = Card(
    name="atmosphere-field",
    version="1.0.0",
    title="Field",
    summary="What it does",
    architecture="CNN",
    task="regression",
    inputs=(
        Tensor(
            name="statistics", shape=("batch", 3, "height", 64), dims=("batch", "channel", "height", "width"),
            units="1", meaning="coarse reflectance", bands=("B02", "B8A", "B12"),
        ),
        Tensor(name="angles", shape=("batch", 2), dims=("batch", "angle"), units="cosine", meaning="sun and view"),
    ),
    outputs=(
        Tensor(
            name="path", shape=("batch", 3, "height", 64), dims=("batch", "channel", "height", "width"), units="1",
            meaning="path reflectance",
        ),
    ),
    bands=("B02", "B8A", "B12"),
    level="L1C",
    normalisation=Normalisation(mean=(0.1, 0.2, 0.3), std=(1, 2, 3)),
    grid=ModelGrid(metres=120),
    satellites=("sentinel-2a", "sentinel-2b"),
    training=Training(
        data="simulated 6S", seeds=(1, 2), code="0.1.0", command="python -m training", epochs=12,
        stopped="early stopping", hyperparameters={"learning_rate": 0.001, "optimiser": "AdamW"},
    ),
    domain=(Range(quantity="AOT at 550 nm", units="1", minimum=0.02, maximum=0.8),),
    intended_use="surface reflectance",
    out_of_scope=("snow",),
    known_failures=("haze",),
    energy=Energy(kwh=0.1, co2e_kg=0.003, country="NOR", how="estimated", source="codecarbon"),
    files=(
        File(name="lut.npz", bytes=5, sha256="cd" * 32, meaning="table"),
        File(name=NETWORK, bytes=1000, sha256="ab" * 32, meaning="network"),
    ),
    framework="PyTorch 2.13.0",
    parameters=140_000,
    opset=17,
    onnxruntime="1.12.0",
    parity=Parity(max_abs_error=1e-7, tolerance=1e-5, batches=4),
)  # fmt: skip
LAND_COVER = FIELD.model_copy(
    update={
        "name": "land-cover",
        "task": "scene-classification",
        "level": "L2A",
        "outputs": (
            Tensor(name="p", shape=("batch", 2), dims=("batch", "class"), units="probability", meaning="of labels"),
        ),
        "classes": ("Beaches, dunes, sands", "Urban fabric"),
        "thresholds": (0.4, 0.625),
        "resampling": "bicubic",
        "training": FIELD.training.model_copy(update={"pretrained": "ImageNet"}),
    }
)
TABLES = FIELD.model_copy(
    update={
        "name": "physics",
        "inputs": (),
        "outputs": (),
        "files": FIELD.files[:1],
        "opset": None,
        "onnxruntime": None,
    }
)
CARDS = {card.name: card for card in (FIELD, LAND_COVER, TABLES)}


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    return validator(tmp_path_factory.mktemp("stac"), EXTENSIONS)


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_items_are_valid_with_core_and_all_extensions(card: Card, validate: Validate) -> None:
    answer = validate(stac_item(card))
    assert answer["valid_stac"], answer
    assert len(answer["schema"]) >= 1 + len(EXTENSIONS)


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no model": lambda item: item["assets"]["model"].update(roles=["data"]),
    "no artifact type": lambda item: item["assets"]["model"].pop("mlm:artifact_type"),
    "no input": lambda item: item["properties"].pop("mlm:input"),
    "unknown field": lambda item: item["properties"].update({"mlm:licence": "x"}),
    "bands that nothing describes": lambda item: item["properties"].pop("bands"),
    "unknown scaling": lambda item: item["properties"]["mlm:input"][0]["value_scaling"][0].update(type="z"),
    "unsaid pretraining": lambda item: item["properties"].pop("mlm:pretrained_source"),
    "no time": lambda item: item["properties"].pop("end_datetime"),
    "unknown common name": lambda item: item["properties"]["bands"][0].update({"eo:common_name": "bleu"}),
}


@pytest.mark.parametrize("breaks", BROKEN.values(), ids=BROKEN)
def test_the_schemas_refuse_what_the_documents_refuse(
    breaks: Callable[[dict[str, Any]], Any], validate: Validate
) -> None:
    item = copy.deepcopy(stac_item(FIELD))
    breaks(item)
    assert not validate(item)["valid_stac"]


def test_another_reader_finds_what_the_card_says() -> None:
    item = pystac.Item.from_dict(stac_item(FIELD))
    model = MLMExtension.ext(item)
    assert (model.mlm_name, model.architecture, model.framework) == ("atmosphere-field", "CNN", "ONNX")
    assert [str(task) for task in model.tasks] == ["regression"]
    assert (model.total_parameters, model.pretrained, model.pretrained_source) == (140_000, False, None)
    statistics, angles = model.input
    assert statistics.bands == ["B02", "B8A", "B12"]
    assert statistics.input.shape == [-1, 3, -1, 64]
    # pystac reads one scaling for all bands; the document has a list of them.
    scalings = [ValueScaling(each) for each in statistics.properties["value_scaling"]]
    assert [(each.type, each.mean, each.stddev) for each in scalings] == [
        ("z-score", 0.1, 1), ("z-score", 0.2, 2), ("z-score", 0.3, 3),
    ]  # fmt: skip
    assert (angles.bands, angles.value_scaling) == ([], None)
    assert [(output.name, output.result.shape) for output in model.output] == [("path", [-1, 3, -1, 64])]
    assert model.hyperparameters is not None
    assert model.hyperparameters.to_dict() == {
        "epochs": 12, "seeds": [1, 2], "learning_rate": 0.001, "optimiser": "AdamW",
    }  # fmt: skip
    asset = item.assets["model"]
    assert (asset.href, asset.extra_fields["file:checksum"]) == ("./model.onnx", "1220" + "ab" * 32)
    assert item.bbox == [-180, -90, 180, 90]
    assert (item.properties["start_datetime"], item.datetime) == ("2015-06-23T00:00:00Z", None)


def test_classes_are_named_in_the_order_of_the_output() -> None:
    (output,) = stac_item(LAND_COVER)["properties"]["mlm:output"]
    assert output["classification:classes"] == [
        {"value": 0, "name": "beaches-dunes-sands", "description": "Beaches, dunes, sands"},
        {"value": 1, "name": "urban-fabric", "description": "Urban fabric"},
    ]


def test_equal_cards_give_equal_items() -> None:
    assert json.dumps(stac_item(FIELD)) == json.dumps(stac_item(Card.model_validate_json(FIELD.encoded())))


def test_thresholds_resampling_and_generated_data_are_in_the_item_where_the_card_has_them() -> None:
    properties = stac_item(LAND_COVER)["properties"]
    assert properties["eo_shards:thresholds"] == {"Beaches, dunes, sands": 0.4, "Urban fabric": 0.625}
    # Of what is no image nothing is resampled.
    assert [each["resize_type"] for each in properties["mlm:input"]] == ["interpolation-cubic", None]
    assert "eo_shards:training_data" not in properties
    plain = stac_item(FIELD)["properties"]
    assert "eo_shards:thresholds" not in plain
    assert plain["mlm:input"][0]["resize_type"] is None
    generated = FIELD.model_copy(update={"training": FIELD.training.model_copy(update={"data": "synthetic"})})
    assert stac_item(generated)["properties"]["eo_shards:training_data"] == "synthetic"
