"""What a layer of models holds: what each model's card lists, and nothing that is not as the card says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from aws.infra.template import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """layers/build.py with a folder of its own to look for models in."""
    found = importlib.util.spec_from_file_location("build", ROOT / "layers" / "build.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    return module


def publish(folder: Path, **files: bytes) -> Path:
    """A model as training leaves it, beside what it did not list."""
    folder.mkdir(parents=True)
    listed = [{"name": name, "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()]
    (folder / "card.json").write_text(json.dumps({"name": folder.name, "files": listed}))
    (folder / "item.json").write_text("{}")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "last.ckpt").write_bytes(b"for training alone")
    return folder


def packed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_layer_has_the_models_that_were_named_where_functions_look(build: Any, tmp_path: Path) -> None:
    publish(tmp_path / "models" / "one", **{"model.onnx": b"network", "table.npz": b"table"})
    publish(tmp_path / "models" / "two", **{"model.onnx": b"another"})
    publish(tmp_path / "models" / "three", **{"model.onnx": b"of another process"})
    build.main("models", tmp_path / "layer", ["one", "two"])
    assert packed(tmp_path / "layer") == {
        *(f"models/one/{name}" for name in ("card.json", "item.json", "model.onnx", "table.npz")),
        *(f"models/two/{name}" for name in ("card.json", "item.json", "model.onnx")),
    }
    assert (tmp_path / "layer" / "models" / "one" / "table.npz").read_bytes() == b"table"


def test_a_layer_of_cards_has_nothing_large(build: Any, tmp_path: Path) -> None:
    publish(tmp_path / "models" / "one", **{"model.onnx": b"network"})
    build.main("cards", tmp_path / "layer", ["one"])
    assert packed(tmp_path / "layer") == {"models/one/card.json", "models/one/item.json"}


@pytest.mark.parametrize("what", ["models", "cards"])
@pytest.mark.parametrize("missing", ["card.json", "item.json", "."])
def test_a_model_that_is_not_there_is_an_error_with_a_remedy(
    build: Any, tmp_path: Path, what: str, missing: str
) -> None:
    if missing != ".":
        (publish(tmp_path / "models" / "one") / missing).unlink()
    with pytest.raises(SystemExit, match=r"model one: .*/one/\w+\.json is not there; .*--out layers/models/one"):
        build.main(what, tmp_path / "layer", ["one"])


@pytest.mark.parametrize("content", [b"other weights", None])
def test_a_file_that_is_not_the_one_of_the_card_is_an_error(build: Any, tmp_path: Path, content: bytes | None) -> None:
    network = publish(tmp_path / "models" / "one", **{"model.onnx": b"network"}) / "model.onnx"
    network.unlink() if content is None else network.write_bytes(content)
    with pytest.raises(SystemExit, match=r"model\.onnx is .*, its card says [0-9a-f]{64}; take the folder"):
        build.main("models", tmp_path / "layer", ["one"])


def test_nothing_that_python_needs_of_onnxruntime_is_left_out(build: Any, tmp_path: Path) -> None:
    """Its tools and its library for other languages are; test_build.py runs what stays."""
    kept = (
        "onnxruntime/__init__.py",
        "onnxruntime/capi/onnxruntime_pybind11_state.cpython-313-x86_64-linux-gnu.so",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
    )
    left_out = (
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "onnxruntime/transformers/models/gpt2/x.py",
        "onnxruntime/quantization/quantize.py",
        "onnxruntime/tools/y.py",
    )
    for name in (*kept, *left_out):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    build.trim(tmp_path)
    assert packed(tmp_path) == set(kept)
