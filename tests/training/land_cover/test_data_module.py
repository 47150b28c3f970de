"""Batches: shuffled by seed and epoch, augmented for training alone, the same whoever reads them."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import distributed

from eo.errors import InvalidInput
from training.land_cover.data.augment import Augmentation
from training.land_cover.data.config import DataConfig
from training.land_cover.data.convert import convert
from training.land_cover.data.module import LandCoverData, Pair
from training.land_cover.synthetic.plan import Params
from training.land_cover.synthetic.write import write

PLAIN = {"flips": False, "rotations": False, "crop": 0, "jitter": 0, "band_dropout": 0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "reben", Params(patches=24))
    convert(folder / "reben", folder / "store")
    return folder / "store"


def data(store: Path, **choices: Any) -> LandCoverData:
    return LandCoverData(DataConfig(folder=store, **{"bands": "B02,B05", "batch": 4} | choices))


def epoch(module: LandCoverData, number: int) -> list[Pair]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]  # as Lightning does
    return list(loader)


def same(one: list[Pair], other: list[Pair]) -> bool:
    return all(
        torch.equal(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)
    )


def test_batches_are_of_the_agreed_kind(store: Path) -> None:
    reflectance, labels = epoch(data(store, bands=11), 0)[0]
    assert reflectance.shape == (4, 11, 120, 120)
    assert labels.shape == (4, 19)
    assert reflectance.dtype == labels.dtype == torch.float32
    assert set(labels.unique().tolist()) == {0.0, 1.0}
    assert data(store).synthetic


def test_an_epoch_has_every_patch_once_in_an_order_of_its_own(store: Path) -> None:
    module = data(store, batch=1, **PLAIN)
    patches = module.patches("train")
    raw = {patches.read(index).tobytes(): index for index in range(len(patches))}
    orders = [[raw[seen.numpy().tobytes()] for seen, _ in epoch(module, number)] for number in range(3)]
    for order in orders:
        assert sorted(order) == list(range(len(patches)))
        assert order != sorted(order)
    assert orders[0] != orders[1] != orders[2]
    labels = torch.cat([said for _, said in epoch(module, 1)])
    np.testing.assert_array_equal(labels.numpy(), patches.labels[orders[1]])


def test_an_epoch_is_a_function_of_the_seed_and_its_number(store: Path) -> None:
    module = data(store)
    first, second = epoch(module, 1), epoch(module, 2)
    assert not same(first, second)
    assert same(second, epoch(data(store), 2))  # a resumed training's first epoch
    assert not same(second, epoch(data(store, seed=7), 2))


class Recorder(lightning.LightningModule):
    """Learns nothing and keeps what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[int, list[Pair]] = {}

    def training_step(self, batch: Pair) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).append((batch[0].clone(), batch[1].clone()))
        return self.weight.sum() + 0 * batch[0].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trained(module: LandCoverData, folder: Path, epochs: int, checkpoint: Path | None = None) -> Recorder:
    recorder = Recorder()
    trainer = lightning.Trainer(
        max_epochs=epochs, default_root_dir=folder, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(recorder, datamodule=module, ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / f"{epochs}.ckpt")
    return recorder


@pytest.mark.filterwarnings("ignore")
def test_lightning_goes_on_with_the_epoch_at_which_it_was_stopped(store: Path, tmp_path: Path) -> None:
    whole = trained(data(store), tmp_path, 3)
    for number in range(3):
        assert same(whole.seen[number], epoch(data(store), number))
    trained(data(store), tmp_path, 1)
    resumed = trained(data(store), tmp_path, 3, tmp_path / "1.ckpt")
    assert sorted(resumed.seen) == [1, 2]
    for number in (1, 2):
        assert same(resumed.seen[number], whole.seen[number])


def test_several_processes_share_an_epoch(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {values.numpy().tobytes() for values, _ in epoch(data(store, batch=1), 1)}
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        shares.append({values.numpy().tobytes() for values, _ in epoch(data(store, batch=1), 1)})
    assert shares[0] | shares[1] == whole
    assert len(shares[0]) == len(shares[1]) == len(whole) // 2


def test_several_readers_give_the_same_batches(store: Path) -> None:
    choices = {"band_dropout": 0.2}
    assert same(epoch(data(store, **choices), 3), epoch(data(store, workers=2, **choices), 3))


def test_validation_and_test_are_in_order_and_as_they_are(store: Path) -> None:
    module = data(store, band_dropout=0.5)
    for split, loader in (("validation", module.val_dataloader()), ("test", module.test_dataloader())):
        patches = module.patches(split)  # type: ignore[arg-type]
        seen = list(loader)
        expected = np.stack([patches.read(index) for index in range(len(patches))])
        np.testing.assert_array_equal(torch.cat([values for values, _ in seen]).numpy(), expected)
        np.testing.assert_array_equal(torch.cat([labels for _, labels in seen]).numpy(), patches.labels)


def test_a_split_smaller_than_a_batch_still_makes_one(store: Path) -> None:
    assert [len(labels) for _, labels in epoch(data(store, batch=64), 0)] == [14]
    assert [len(labels) for _, labels in epoch(data(store, batch=10), 0)] == [10]


MEANS = np.array([5.0, 6.0, 7.0], np.float32)
PATCH = np.random.default_rng(0).uniform(0.1, 0.9, (3, 120, 120)).astype(np.float32)


def augmented(seed: int = 0, **choices: Any) -> np.ndarray:
    config = DataConfig(folder=Path(), **PLAIN | choices)
    before = PATCH.copy()
    made = Augmentation(config, MEANS)(PATCH, np.random.default_rng(seed))
    np.testing.assert_array_equal(PATCH, before)
    assert made.shape == PATCH.shape
    assert made.dtype == np.float32
    return made


def test_without_augmentation_nothing_changes() -> None:
    np.testing.assert_array_equal(augmented(), PATCH)


def test_flips_and_rotations_are_the_eight_symmetries_of_the_square() -> None:
    square = [np.rot90(turned, count, (1, 2)) for turned in (PATCH, PATCH[:, :, ::-1]) for count in range(4)]
    for choices, some in (({"flips": True}, 4), ({"rotations": True}, 4), ({"flips": True, "rotations": True}, 8)):
        met = {
            next(number for number, each in enumerate(square) if np.array_equal(each, augmented(seed, **choices)))
            for seed in range(60)
        }
        assert len(met) == some


def test_a_crop_moves_by_whole_pixels_and_mirrors_what_is_beyond() -> None:
    padded = np.pad(PATCH, ((0, 0), (9, 9), (9, 9)), mode="reflect")
    shifts = set()
    for seed in range(25):
        made = augmented(seed, crop=9)
        at = next((r, c) for r in range(19) for c in range(19) if padded[0, r, c] == made[0, 0, 0]
                  and np.array_equal(padded[:, r : r + 120, c : c + 120], made))  # fmt: skip
        shifts.add(at)
    assert len(shifts) > 15
    assert max(max(shift) for shift in shifts) > 14
    assert min(min(shift) for shift in shifts) < 4


def test_jitter_is_one_gain_for_a_band() -> None:
    gains = np.array([augmented(seed, jitter=0.1)[:, 0, 0] / PATCH[:, 0, 0] for seed in range(300)])
    np.testing.assert_allclose(augmented(3, jitter=0.1) / PATCH, np.broadcast_to(gains[3][:, None, None], PATCH.shape),
                               rtol=1e-5)  # fmt: skip
    logs = np.log(gains)
    assert logs.std() == pytest.approx(0.1 * np.sqrt(2), rel=0.15)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.5, abs=0.15)  # half of it is common to all bands


def test_dropped_bands_are_their_means_and_one_always_stays() -> None:
    kept = np.zeros(3)
    for seed in range(200):
        made = augmented(seed, band_dropout=0.9)
        stays = np.array([np.array_equal(one, other) for one, other in zip(made, PATCH, strict=True)])
        assert stays.any()
        assert all((made[band] == MEANS[band]).all() for band in np.flatnonzero(~stays))
        kept += stays
    assert (kept > 20).all()


def test_bands_are_dropped_to_the_means_of_training_patches(store: Path) -> None:
    module = data(store, batch=1, **PLAIN | {"band_dropout": 0.5})
    means = np.mean([module.patches("train").read(index).mean((1, 2)) for index in range(14)], 0)
    np.testing.assert_allclose(module.statistics.mean, means, rtol=1e-5)
    seen = [values[0, band] for values, _ in epoch(module, 0) for band in range(2)]
    flat = [values[0, 0].item() for values in seen if values.min() == values.max()]
    assert flat
    assert all(np.isclose(value, means, rtol=1e-5).any() for value in flat)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bands", 9, "choose 7, 10, 11, 12"),
        ("bands", "B02,B99", "B99"),
        ("resampling", "cubic", "'nearest', 'bilinear' or 'bicubic'"),
        ("batch", 0, "greater than or equal to 1"),
        ("crop", 120, "less than 120"),
        ("band_dropout", 1.0, "less than 1"),
        ("flip", True, "Extra inputs"),
    ],
)
def test_config_errors_name_the_field(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        DataConfig(folder=Path(), **{field: value})
    assert caught.value.errors()[0]["loc"] == (field,)


def test_an_empty_split_is_named(store: Path) -> None:
    module = LandCoverData(DataConfig(folder=store / "train"))
    with pytest.raises(InvalidInput, match="store/train has neither"):
        module.train_dataloader()
