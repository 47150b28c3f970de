"""Loading models: what runs is what its card says, and anything else is refused."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from eo.card import CARD, DIGEST, ITEM, NETWORK, Card, Energy, File, Tensor
from eo.correction import UNET
from eo.errors import CorruptData, InvalidInput
from eo.model import PLACES, load, read_card, read_item, tables
from small_unet import unet

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

BANDS = ("B02", "B03")
DRAFT: dict[str, Any] = {
    "version": "1.0",
    "title": "Sum",
    "summary": "Weighted bands plus angles",
    "architecture": "linear",
    "task": "regression",
    "inputs": [
        {"name": "x", "shape": ["batch", 2], "dims": ["batch", "channel"], "units": "1", "meaning": "bands", "bands": BANDS},
        {"name": "sun", "shape": ["batch", 1], "dims": ["batch", "angle"], "units": "degrees", "meaning": "zenith"},
    ],
    "outputs": [{"name": "y", "shape": ["batch", 2], "dims": ["batch", "channel"], "units": "1", "meaning": "sum"}],
    "bands": BANDS,
    "level": "L1C",
    "grid": {"metres": 120},
    "satellites": ["sentinel-2a"],
    "training": {
        "data": "synthetic", "seeds": [1], "code": "test", "command": "none", "epochs": 0, "stopped": "not trained",
    },
    "domain": [{"quantity": "AOT", "units": "1", "minimum": 0.02, "maximum": 0.8}],
    "intended_use": "tests",
    "out_of_scope": [],
    "known_failures": [],
}  # fmt: skip


def network(weight: float = 2.0, *, first: str = "x", channels: int = 2) -> bytes:
    """y = weight x + sun, written by hand."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Mul", [first, "w"], ["m"]), helper.make_node("Add", ["m", "sun"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info(first, floats, ["batch", channels]),
            helper.make_tensor_value_info("sun", floats, ["batch", 1]),
        ],
        [helper.make_tensor_value_info("y", floats, ["batch", channels])],
        [helper.make_tensor("w", floats, [1], [weight])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def card(name: str, files: dict[str, bytes], **changes: Any) -> Card:
    listed = [
        File(name=each, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), meaning="file")
        for each, data in files.items()
    ]
    own = {"framework": "onnx", "parameters": 1, "opset": 17, "onnxruntime": "1.12.0"}
    parity = {"max_abs_error": 0, "tolerance": 1e-6, "batches": 1}
    return Card.model_validate({**DRAFT, "name": name, "files": listed, "parity": parity, **own, **changes})


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(tmp_path))

    def made(
        name: str = "sum", data: bytes | None = None, tables: dict[str, bytes] | None = None, **changes: Any
    ) -> Path:
        files = {NETWORK: network() if data is None else data, **(tables or {})}
        folder = tmp_path / name
        folder.mkdir()
        for each, content in files.items():
            (folder / each).write_bytes(content)
        (folder / CARD).write_bytes(card(name, files, **changes).encoded())
        return folder

    return made


def floats(*values: Any) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.array(values, np.float32)


def test_a_model_answers_as_it_was_written_and_carries_its_card_and_tables(write: Write) -> None:
    write(tables={"table.bin": b"1234"})
    model = load("sum", bands=BANDS, inputs=["sun", "x"])
    answer = model.run(x=floats([0.1, 0.2], [0.3, 0.4]), sun=floats([1], [2]))
    np.testing.assert_allclose(answer["y"], [[1.2, 1.4], [2.6, 2.8]], rtol=1e-6)
    assert model.files == {"table.bin": b"1234"}
    assert model.card == read_card("sum")
    assert model.digest == read_card("sum").digest
    assert load("sum") is model


def test_the_digest_is_of_what_computes_and_not_of_what_is_said_of_it() -> None:
    files = {NETWORK: b"a", "t": b"b"}
    digest = card("a", files).digest
    assert card("a", dict(reversed(files.items())), summary="Other words").digest == digest
    assert card("a", {NETWORK: b"b", "t": b"a"}).digest != digest
    assert card("a", {NETWORK: b"a"}).digest != digest


@pytest.mark.parametrize("place", [0, 40, -1])
def test_one_changed_byte_is_refused(write: Write, place: int) -> None:
    path = write() / NETWORK
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=r"has the SHA-256 [0-9a-f]{64}, its card says .*fetch"):
        load("sum")
    assert read_card("sum").name == "sum"


def test_a_truncated_or_absent_file_is_refused(write: Write) -> None:
    path = write(tables={"table.bin": b"1234"}) / "table.bin"
    path.write_bytes(b"123")
    with pytest.raises(CorruptData, match="has 3 bytes, its card says 4"):
        load("sum")
    path.unlink()
    with pytest.raises(CorruptData, match=r"table\.bin cannot be read \(No such file"):
        load("sum")


def test_swapped_models_are_refused(write: Write) -> None:
    one, other = write("one"), write("other", network(3.0))
    network_of_one = (one / NETWORK).read_bytes()
    (one / NETWORK).write_bytes((other / NETWORK).read_bytes())
    with pytest.raises(CorruptData, match="SHA-256"):
        load("one")
    (one / NETWORK).write_bytes(network_of_one)
    one.rename(one.with_name("third"))
    with pytest.raises(CorruptData, match="holds the model one, not third"):
        load("third")


def test_a_republished_model_is_loaded_anew(write: Write) -> None:
    folder = write()
    ones = {"x": floats([1, 1]), "sun": floats([0])}
    assert load("sum").run(**ones)["y"][0, 0] == 2
    (folder / NETWORK).write_bytes(network(5.0))
    (folder / CARD).write_bytes(card("sum", {NETWORK: network(5.0)}).encoded())
    assert load("sum").run(**ones)["y"][0, 0] == 5


@pytest.mark.parametrize("bands", [("B03", "B02"), ("B02",), ("B02", "B03", "B04")])
def test_other_bands_are_refused(write: Write, bands: tuple[str, ...]) -> None:
    write()
    with pytest.raises(InvalidInput, match=f"reads the bands B02, B03, not {', '.join(bands)}: .*choose another"):
        load("sum", bands=bands)


def test_other_inputs_are_refused(write: Write) -> None:
    write()
    with pytest.raises(InvalidInput, match="reads the inputs sun, x, not view, x"):
        load("sum", inputs=["x", "view"])


@pytest.mark.parametrize("data", [network(first="z"), network(channels=3)], ids=["another name", "another shape"])
def test_a_network_that_is_not_what_its_card_says_is_refused(write: Write, data: bytes) -> None:
    write(data=data)
    with pytest.raises(CorruptData, match=r"has the inputs \{.*its card says"):
        load("sum")


def test_a_network_that_onnxruntime_cannot_read_is_refused_with_its_release(write: Write) -> None:
    write("garbage", b"garbage")
    with pytest.raises(CorruptData, match=r"onnxruntime \d.* cannot load the network of model garbage"):
        load("garbage")
    write("future", onnxruntime="99.0.0")
    with pytest.raises(InvalidInput, match=r"needs onnxruntime 99\.0\.0 or newer, this is"):
        load("future")


@pytest.mark.parametrize("name", ["absent", "../sum", "Sum", "", "sum/"])
def test_an_unknown_name_is_refused_with_the_names_that_there_are(write: Write, name: str) -> None:
    write()
    for ask in (load, read_card):
        with pytest.raises(InvalidInput, match=r"there is no model .*: choose one of sum, or set EO_SHARDS_MODELS"):
            ask(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unknown": 1}, "unknown: Extra inputs are not permitted"),
        ({"bands": ["B02", "B2"]}, r"bands\.1"),
        ({"parity": None}, "needs inputs, outputs, opset, onnxruntime and parity"),
        ({"bands": ["B02"]}, r"inputs read \['B03'\]"),
        ({"normalisation": {"mean": [0.1], "std": [1]}}, "for each of the 2 bands"),
        ({"files": []}, "files"),
    ],
)
def test_a_card_that_is_none_is_refused_with_the_place(write: Write, change: dict[str, Any], words: str) -> None:
    path = write() / CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for ask in (load, read_card):
        with pytest.raises(CorruptData, match=f"is no model card .*{words}"):
            ask("sum")


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": floats([1, 1])},
        {"x": floats([1, 1]), "sun": floats([0]), "view": floats([0])},
        {"x": np.ones((1, 2)), "sun": floats([0])},
        {"x": floats([1, 1, 1]), "sun": floats([0])},
        {"x": floats(1, 1), "sun": floats([0])},
        {"x": floats([1, 1], [1, 1]), "sun": floats([0])},
    ],
    ids=["one missing", "one too many", "double", "a channel more", "a dimension less", "unequal batches"],
)
def test_inputs_of_a_run_are_those_of_the_card(write: Write, arrays: dict[str, Any]) -> None:
    write()
    with pytest.raises(InvalidInput, match=r"of model sum|model sum reads"):
        load("sum").run(**arrays)


@pytest.mark.parametrize("name", ["physics", "atmosphere-field", "atmosphere-field-visible", UNET])
def test_the_items_of_the_repository_s_models_are_theirs(name: str) -> None:
    assert read_item(name) == (PLACES[1] / name / ITEM).read_bytes()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, r"cannot be read \(No such file"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff{}", "is not UTF-8"),
        (b"[" * 100_000, "levels|not JSON"),
        (b"[]", f"{DIGEST} None, its card's is [0-9a-f]{{64}}"),
        (b"{}", f"{DIGEST} None"),
        (b'{"properties": 1}', f"{DIGEST} None"),
        (json.dumps({"properties": {DIGEST: "0" * 64}}).encode(), f"{DIGEST} 0{{64}}, its card's is"),
    ],
)
def test_an_item_that_is_not_this_model_s_is_refused(write: Write, item: bytes | None, words: str) -> None:
    path = write() / ITEM
    path.write_text(json.dumps({"properties": {DIGEST: read_card("sum").digest}}))
    assert read_item("sum") == path.read_bytes()
    if item is None:
        path.unlink()
    else:
        path.write_bytes(item)
    with pytest.raises(CorruptData, match=f"{ITEM}.*({words}).*fetch the model's folder again"):
        read_item("sum")


def test_tables_need_no_network(write: Write) -> None:
    folder = write()
    (folder / "table.bin").write_bytes(b"12")
    without = {"opset": None, "onnxruntime": None, "parity": None}
    (folder / CARD).write_bytes(card("sum", {"table.bin": b"12"}, **without).encoded())
    model = load("sum")
    assert model.files == {"table.bin": b"12"}
    with pytest.raises(InvalidInput, match="tables without a network"):
        model.run()


def test_tables_are_read_without_looking_at_the_network(write: Write) -> None:
    (write(tables={"table.bin": b"1234"}) / NETWORK).unlink()
    model = tables("sum")
    assert (model.card, model.files, model.session) == (read_card("sum"), {"table.bin": b"1234"}, None)
    (write("other", tables={"table.bin": b"1234"}) / "table.bin").write_bytes(b"1235")
    with pytest.raises(CorruptData, match="SHA-256"):
        tables("other")


@pytest.mark.parametrize("tile", [None, 320])
def test_memory_does_not_grow_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int | None
) -> None:
    """With an arena, where inputs have one size, and without, where they are smaller and larger."""
    monkeypatch.setenv("EO_SHARDS_MODELS", str(unet(tmp_path / "models", tile=tile)))
    model, process = load(UNET), psutil.Process()

    def run(times: int) -> int:
        for number in range(times):
            edge = tile or 200 + 40 * (number % 6)
            model.run(toa=np.full((1, 3, edge, edge), number / times, np.float32))
        return int(process.memory_info().rss)

    # The heap is a few megabytes larger at some moments than at others; what is not given back stays at all of them.
    first = max(run(12) for _ in range(2))
    assert min(run(12) for _ in range(5)) - first < 4_000_000


def test_reading_a_card_imports_nothing_heavy(write: Write) -> None:
    write()
    program = (
        "import sys\nfor name in ('onnxruntime', 'rasterio', 'zarr'): sys.modules[name] = None\n"
        "from eo.model import load, read_card\nfrom eo.errors import InvalidInput\nread_card('sum')\n"
        "try: load('sum')\nexcept InvalidInput as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2] / "functions",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "model sum needs onnxruntime 1.12.0 or newer, which is not installed: pip install onnxruntime" in done.stdout


def test_energies_of_a_run_and_its_resumption_add_up() -> None:
    measured = Energy(kwh=1, co2e_kg=0.5, country="NOR", how="measured", source="counters")
    estimated = measured.model_copy(update={"kwh": 2.0, "how": "estimated"})
    assert (measured + measured).how == "measured"
    assert (measured + estimated).model_dump(include={"kwh", "co2e_kg", "how"}) == {
        "kwh": 3, "co2e_kg": 1, "how": "estimated",
    }  # fmt: skip


def test_dimensions_are_named_once_each() -> None:
    with pytest.raises(ValueError, match="x has 2 dimensions"):
        Tensor(name="x", shape=(1, 2), dims=("batch", "batch"), units="1", meaning="x")
