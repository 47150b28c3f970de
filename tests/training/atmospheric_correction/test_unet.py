"""The U-Net's training: learns, resumes to the same weights, takes real pairs, and publishes what functions then run."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for needed in ("lightning", "segmentation_models_pytorch", "onnx", "onnxruntime"):
    # As training does: torchvision, where it lies beside a CPU build, cannot be imported otherwise.
    import training.cpu_torchvision  # noqa: F401

    pytest.importorskip(needed)

from atmospheric_correction.tiles import Lattice, correct_tiles, sigma  # noqa: E402
from eo.errors import InvalidInput  # noqa: E402
from eo.grid import Window  # noqa: E402
from eo.model import checked  # noqa: E402
from eo.radiometry import Radiometry  # noqa: E402
from training.atmospheric_correction import unet_patches, unet_publish, unet_seams, unet_train  # noqa: E402
from training.atmospheric_correction.testset import load_emulator  # noqa: E402
from training.atmospheric_correction.unet import BANDS, UNet  # noqa: E402
from training.atmospheric_correction.unet_config import UNetConfig  # noqa: E402
from training.atmospheric_correction.unet_patches import Real, Simulated, make_grounds, piece  # noqa: E402

RADIOMETRY = [Radiometry(-1000)] * 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(unet_patches, "A_FILE", 3)
    monkeypatch.setattr(unet_train, "VALIDATION", 1)
    monkeypatch.setattr(unet_train, "HELD_PATCHES", 2)
    monkeypatch.setattr(unet_train, "STARTING", 3)
    for name, value in {"RECALIBRATION": 3, "WHOLE": 4, "HELD": 2, "TILE": 320, "EXAMPLE": 64}.items():
        monkeypatch.setattr(unet_publish, name, value)


def config(**changes: Any) -> UNetConfig:
    return UNetConfig(
        **{
            "grounds": 3,
            "batch": 2,
            "crop": 64,
            "steps": 2,
            "epochs": 1,
            "workers": 1,
            "progress": False,
            "learning_rate": 1e-4,
            **changes,
        }
    )


def simulated(folder: Path, *, crop: int = 64, patches: int = 3) -> Simulated:
    return Simulated(
        make_grounds(folder, seed=5, count=3, workers=1), load_emulator().float(), seed=5, patches=patches, crop=crop
    )


def test_pieces_of_ground_are_reflectance_and_follow_the_seed(tmp_path: Path) -> None:
    rho, around = piece(np.random.default_rng(3), 64)
    assert (rho.shape, around.shape) == ((64, 64, 3), (3,))
    assert 0 <= rho.min() < rho.max() <= 1.2
    first, second = (make_grounds(tmp_path / name, seed=5, count=4, workers=1) for name in "ab")
    assert len(first) == 2
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.load(one), np.load(other))


def test_batches_follow_their_number_and_lie_above_dark_ground(tmp_path: Path) -> None:
    source = simulated(tmp_path, patches=16)
    batch, again, other = source.batch(7), source.batch(7), source.batch(8)
    assert torch.equal(batch.toa, again.toa)
    assert not torch.equal(batch.toa, other.toa)
    assert batch.toa.shape == (16, 3, 64, 64)
    # Air adds to dark ground, most in blue, and takes from bright ground.
    dark = batch.rho < 0.03
    assert (batch.toa[dark] > batch.rho[dark]).all()
    added = [(batch.toa - batch.rho)[:, band][dark[:, band]].mean() for band in (0, 2)]
    assert added[0] > added[1]


def test_a_few_steps_reduce_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    batch = simulated(tmp_path).batch(0)
    task = unet_train.Task(config())
    task.net.start([batch])
    before = task.loss(batch)[0].item()
    optimiser = torch.optim.AdamW(task.net.parameters(), lr=1e-3)
    for _ in range(12):
        optimiser.zero_grad()
        loss = task.loss(batch)[0]
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.7 * before


def test_it_starts_as_the_best_line(tmp_path: Path) -> None:
    batch = simulated(tmp_path).batch(0)
    net = UNet().eval()
    net.start([batch])
    with torch.no_grad():
        found = net(batch.toa)
    for band in range(3):
        x, y = (each[:, band].numpy().ravel().astype(float) for each in (batch.toa, batch.rho))
        want = np.maximum(np.polyval(np.polyfit(x, y, 1), x), 0)
        np.testing.assert_allclose(found[:, band].numpy().ravel(), want, atol=1e-4)


def test_a_training_that_is_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    emulator = load_emulator().float()
    unet_train.train(config(epochs=2), emulator, tmp_path / "whole")
    unet_train.train(config(epochs=1), emulator, tmp_path / "halves")
    _, how = unet_train.train(config(epochs=2), emulator, tmp_path / "halves")
    assert (how["steps"], how["stopped"]) == (4, "ended as planned")
    whole, halves = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=False)["state_dict"] for name in ("whole", "halves")
    )
    for name, values in whole.items():
        assert torch.equal(values, halves[name]), name


class Pair(NamedTuple):
    toa: Any
    boa: Any
    mask: Any


def pairs(count: int = 4, size: int = 96) -> list[Pair]:
    draw = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        boa = torch.rand(3, size, size, generator=draw) * 0.3
        mask = torch.ones(size, size, dtype=torch.bool)
        mask[:, :20] = False
        made.append(Pair((0.8 * boa + 0.1) * mask, boa * mask, mask))
    return made


def test_gaps_of_real_pairs_count_nothing_and_look_like_the_rest() -> None:
    batch = Real(pairs(), seed=1, patches=3, crop=96).batch(0)
    gap = (batch.known == 0).expand_as(batch.toa)
    assert gap.float().mean().item() == pytest.approx(20 / 96)
    assert batch.toa[gap].mean().item() == pytest.approx(batch.toa[~gap].mean().item(), rel=0.01)
    task = unet_train.Task(config())
    task.net.start([batch])
    other = batch._replace(rho=torch.where(gap, 9.0, batch.rho))
    assert task.eval().loss(other)[0] == task.loss(batch)[0]
    # Without the gaps the line is exact.
    assert task.loss(batch)[0] < 1e-3


def test_simulated_and_real_batches_take_turns(tmp_path: Path) -> None:
    emulator, real = load_emulator().float(), (pairs(), pairs(2))
    seen, held = unet_train.sources(config(data="both"), emulator, tmp_path, real)
    assert [type(each) for each in seen] == [type(each) for each in held] == [Simulated, Real]
    batches = list(unet_patches.Batches(seen, count=3, start=1))
    assert [bool((batch.known == 0).any()) for batch in batches] == [True, False, True]


@pytest.mark.parametrize("data", ["pairs", "both"])
def test_pairs_that_are_asked_for_have_to_be_there(data: Any, tmp_path: Path) -> None:
    some, none = pairs(), pairs()[:0]
    for given, counts in ((None, "0 and 0"), ((none, some), "0 and [1-9]"), ((some, none), "[1-9][0-9]* and 0")):
        said = rf"data is {data}, which needs at least 1 patch .* 1 to hold out, .* there are {counts}: give .*--pairs"
        with pytest.raises(InvalidInput, match=said):
            unet_train.sources(config(data=data), load_emulator().float(), tmp_path, given)


def test_patches_smaller_than_the_crop_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"96 x 96 pixels, the crop 128 x 128: lower the crop \(--crop\) to 96"):
        Real(pairs(), seed=1, patches=2, crop=128)


def test_what_is_published_runs_on_shards_as_it_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export, parity, half precision, the lattice, sigma, and what is measured of seams afterwards."""
    emulator = load_emulator().float()
    out = tmp_path / "models" / unet_publish.NAME
    card = unet_publish.release(config(), emulator, work=tmp_path / "work", out=out, command="test", country="NOR")
    assert card.parity is not None
    assert card.parity.max_abs_error <= unet_publish.TOLERANCE
    assert (card.training.stopped, card.training.pretrained, card.precision) == ("ended as planned", None, "float16")
    assert sum(file.bytes for file in card.files) < 20_000_000
    model = checked(out)
    assert all(0 < value < 1 for value in sigma(model, BANDS))
    lattice = Lattice.of(model.card.grid)
    assert lattice == Lattice(320, 128)

    def read(window: Window) -> Any:
        """Ground without end."""
        rows, cols = (np.arange(first, first + 4000) for first in (window.row, window.col))
        y, x = rows[: window.height, None], cols[None, : window.width]
        return np.stack([(1500 + 400 * np.sin(x / (9 + band)) * np.cos(y / 17)) for band in range(3)]).astype(np.uint16)

    whole = correct_tiles(Window(96, -30, 200, 90), read, RADIOMETRY, model)
    for window in (Window(96, -30, 100, 40), Window(196, 10, 100, 50), Window(200, 20, 1, 1)):
        rows, cols = window.slices(Window(96, -30, 200, 90))
        np.testing.assert_array_equal(correct_tiles(window, read, RADIOMETRY, model), whole[:, rows, cols])

    amended = unet_seams.written(out, load_emulator(), 1)
    seams = {score.metric: score.value for score in amended.results if score.row == "seams"}
    assert len(seams) == 6
    assert all(value > 0 for value in seams.values())
    assert amended.digest == card.digest
    assert any("differ by" in failure for failure in amended.known_failures)
    # Measured again, figures are replaced.
    scores = tuple(score for score in amended.results if score.row == "seams")
    monkeypatch.setattr(unet_seams, "measure", lambda *_: scores)
    assert unet_seams.written(out, load_emulator(), 1) == amended
