"""The sweep: every run is a row, failures too; what has ended is not trained again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")

import tiny_patches  # noqa: E402
from eo.errors import InvalidInput  # noqa: E402
from training.command import INTERRUPTED  # noqa: E402
from training.land_cover import sweep  # noqa: E402
from training.land_cover import train as training_module  # noqa: E402
from training.land_cover.bands import BANDS  # noqa: E402
from training.publish import energy as metering  # noqa: E402

if TYPE_CHECKING:
    from training.land_cover.config import TrainConfig

SHORT: dict[str, Any] = {"architecture": "test_resnet", "batch": 16, "epochs": 1}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    tiny_patches.put(monkeypatch)
    monkeypatch.setattr(metering, "_tracker", lambda _country: None)


def run(tmp_path: Path, entries: list[dict[str, Any]]) -> int:
    (tmp_path / "configs.json").write_text(json.dumps(entries))
    arguments = [str(tmp_path / "configs.json"), "--out", str(tmp_path / "out"), "--data", str(tmp_path)]
    return sweep.main([*arguments, "--progress", "false"])


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out" / sweep.RESULTS).read_text().splitlines()]


def test_every_run_is_a_row_of_scores_and_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [SHORT | {"bands": 7}, SHORT | {"bands": 11, "indices": ["NDVI"]}]) == 0
    first, second = rows(tmp_path)
    assert (first["model"], first["bands"], second["bands"], second["indices"]) == ("test_resnet", 7, 11, ["NDVI"])
    for row in (first, second):
        assert row["status"] == "ended"
        assert all(
            0 <= row[f"{name}_{of}"] <= 1 for name in ("f1", "recall", "precision", "ap") for of in ("macro", "micro")
        )
        assert 0 <= row["accuracy"] <= 1
        assert row["kwh"] > 0
        assert row["train_per_second"] > 0
        assert row["synthetic"]
    assert second["parameters"] > first["parameters"]
    scores = json.loads((tmp_path / "out" / first["run"] / "evaluation.json").read_text())["test"]["chosen"]
    assert first["f1_macro"] == scores["macro"]["f1"]
    said = capsys.readouterr().out
    assert "test_resnet" in said
    assert f"{first['f1_macro']:.3f}" in said
    assert f"all scores and costs: {tmp_path / 'out' / sweep.RESULTS}" in said.replace("\n", "")


def test_the_table_fits_a_terminal_and_its_numbers_are_written_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "model": "vit_small_patch16", "bands": 11, "kwh": 4.9e-5, "parameters": 23_456_789, "train_per_second": 1234.5,
        "co2e_kg": 4.9e-5, "accuracy": 0.975, "recall_macro": 0.935, "precision_macro": 0.918, "f1_macro": 0.925,
        "status": "failed", "run": "a", "error": "none",
    }  # fmt: skip
    assert [sweep._written(value) for value in (3.7e-5, 1e-4, 0.0, 0.5)] == ["0.000037", "0.00010", "0.000", "0.500"]
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sweep, "swept", lambda *_, **__: [row])
    assert run(tmp_path, [SHORT]) == 1
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if "vit_small_patch16" in line]
    assert told.split() == [
        "vit_small_patch16", "11", "0.925", "0.975", "0.935", "0.918", "0.000049", "0.000049", "23", "1,234"
    ]  # fmt: skip
    assert max(map(len, lines[:-1])) <= 80


def test_a_sweep_that_is_stopped_tries_no_other_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def stopped(config: TrainConfig, *_: Any, **__: Any) -> None:
        tried.append(config.seed)
        raise KeyboardInterrupt("run the same command again: it goes on from its last checkpoint")

    monkeypatch.setattr(training_module, "train", stopped)
    assert run(tmp_path, [SHORT | {"seed": 1}, SHORT | {"seed": 2}]) == INTERRUPTED
    assert tried == [1]
    assert capsys.readouterr().err == "stopped: run the same command again: it goes on from its last checkpoint\n"
    assert not (tmp_path / "out" / sweep.RESULTS).exists()


def test_a_run_that_fails_is_a_row_and_the_next_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [SHORT | {"architecture": "test_vit", "size": 120}, SHORT]
    assert run(tmp_path, entries) == 1
    failed, ended = rows(tmp_path)
    assert (failed["status"], ended["status"]) == ("failed", "ended")
    assert "size 120 is no multiple of the 16" in failed["error"]
    assert "size 120 is no multiple" in capsys.readouterr().out
    # Again: what failed is tried, what ended is only told.
    trained = []
    monkeypatch.setattr(training_module, "train", lambda config, *_, **__: trained.append(config.architecture) or 1 / 0)
    assert run(tmp_path, entries) == 1
    assert trained == ["test_vit"]
    assert [row["status"] for row in rows(tmp_path)] == ["failed", "ended", "failed"]
    assert "ZeroDivisionError" in rows(tmp_path)[2]["error"]


def test_a_sweep_goes_on_behind_a_row_that_was_cut_off(tmp_path: Path) -> None:
    assert run(tmp_path, [SHORT]) == 0
    path = tmp_path / "out" / sweep.RESULTS
    path.write_text(path.read_text()[:-40])
    assert run(tmp_path, [SHORT]) == 0  # read from its folder of work, not trained
    cut, row = path.read_text().splitlines()
    assert not cut.endswith("}")
    assert json.loads(row)["status"] == "ended"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([SHORT, SHORT], "entry 1 is the same"),
        ([SHORT, SHORT | {"learning_rate": 2}], "entry 1, learning_rate"),
        ([SHORT | {"lerning_rate": 0.1}], "entry 0, lerning_rate"),
        ([SHORT | {"architecture": "resnet27"}], "entry 0, architecture.*did you mean"),
        ([], "is no list of configurations"),
        ({"architecture": "resnet26"}, "is no list of configurations"),
    ],
)
def test_a_list_that_is_wrong_is_refused_before_anything_is_trained(
    entries: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, entries) == InvalidInput.exit_code
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(words, said), said
    assert not (tmp_path / "out").exists()


def test_equal_choices_are_one_run_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([SHORT | {"bands": "7"}]))
    (tmp_path / "b.json").write_text(json.dumps([SHORT | {"bands": list(BANDS[7]), "workers": 2}]))
    one, other = (sweep.read(tmp_path / name, {"folder": tmp_path})[0] for name in ("a.json", "b.json"))
    assert sweep.key(one) == sweep.key(other)
    (tmp_path / "c.json").write_text(json.dumps([SHORT | {"bands": 7, "seed": 1}]))
    assert sweep.key(sweep.read(tmp_path / "c.json", {"folder": tmp_path})[0]) != sweep.key(one)


def test_the_compared_ones_are_three_architectures_with_three_choices_of_bands(tmp_path: Path) -> None:
    configs = sweep.read(Path(sweep.__file__).with_name("compared.json"), {"folder": tmp_path})
    assert len(configs) == 9
    assert {(config.architecture, len(config.bands)) for config in configs} == {
        (architecture, bands) for architecture in ("resnet26", "resnet50", "vit_small_patch16") for bands in (7, 10, 11)
    }
    assert {config.epochs for config in configs} == {configs[0].epochs}
