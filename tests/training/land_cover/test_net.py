"""The net: all pixels are read, all channels are normalised, one sigmoid is at its end, unknown names are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("timm")
from eo.errors import InvalidInput  # noqa: E402
from land_cover.labels import CLASSES  # noqa: E402
from training.land_cover.bands import BANDS  # noqa: E402
from training.land_cover.calibration import Line, unchanged  # noqa: E402
from training.land_cover.net import LandCoverNet, Published, backbone, timm_name  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

SMALL, SMALL_VIT = "test_resnet.r160_in1k", "test_vit"


@pytest.fixture(autouse=True)
def _equal_weights() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def patches(count: int = 2, bands: int = 10) -> Tensor:
    return torch.rand(count, bands, 120, 120, generator=torch.Generator().manual_seed(1)) * 0.4


@pytest.mark.parametrize(
    ("architecture", "size", "read"),
    [(SMALL_VIT, None, 128), (SMALL_VIT, 224, 224), (SMALL, None, 120), (SMALL, 96, 96)],
)
def test_the_last_row_and_column_of_a_patch_count(architecture: str, size: int | None, read: int) -> None:
    net = LandCoverNet(architecture, BANDS[10], size=size).eval()
    assert net.size == read
    given = patches(1)
    with torch.no_grad():
        before = net(given)
        for edge in ((slice(None), slice(None), -1, slice(None)), (slice(None), slice(None), slice(None), -1)):
            changed = given.clone()
            changed[edge] += 0.5
            assert not torch.equal(net(changed), before), "the net does not read its input to the end"


@pytest.mark.parametrize("architecture", ["resnet26", "resnet50", "vit_small_patch16"])
def test_architectures_that_are_offered_read_the_last_row_and_column(architecture: str) -> None:
    model, size = backbone(architecture, channels=4, size=None)
    for weights in model.parameters():  # timm begins residual branches at 0: nothing would come through them
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.1)
    changed = torch.rand(1, 4, size, size, dtype=torch.float64).repeat(3, 1, 1, 1)
    changed[1, :, -1, :] += 1
    changed[2, :, :, -1] += 1
    with torch.no_grad():
        said = model.double().eval()(changed)
    assert (said[1:] - said[0]).abs().amax(1).min() > 1e-6  # rounding is 1e-16


@pytest.mark.parametrize(("architecture", "near"), [("inception_v3", "123 or 117"), ("legacy_xception", "121 or 119")])
def test_architectures_whose_later_layers_lose_the_last_row_are_refused(architecture: str, near: str) -> None:
    """Their first layer has strides, no patches and no padding: of 120 rows it reads 119 or fewer."""
    model, _ = backbone(architecture, channels=3, size=120, whole=False)
    given = torch.rand(1, 3, 120, 120)
    changed = given.clone()
    changed[:, :, -1, :] += 1
    with torch.no_grad():
        assert torch.equal(model.eval()(changed), model(given))
    said = rf"size 120: {architecture} does not read the last row .* of 120 x 120 pixels; choose {near}$"
    with pytest.raises(InvalidInput, match=said):
        backbone(architecture, channels=3, size=None)
    for size in map(int, near.split(" or ")):
        assert backbone(architecture, channels=3, size=size)[1] == size


def test_looking_for_unread_pixels_leaves_the_model_and_chance_as_they_are() -> None:
    torch.manual_seed(3)
    model, _ = backbone(SMALL, channels=4, size=None, whole=False)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    seen, _ = backbone(SMALL, channels=4, size=None)
    assert torch.rand(1) == drawn
    assert seen.training
    assert all(torch.equal(seen.state_dict()[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("size", [120, 130])
def test_a_size_that_patches_do_not_divide_is_refused_with_one_that_they_do(size: int) -> None:
    with pytest.raises(
        InvalidInput, match=r"no multiple of the 16 .* last (8|2) rows .* choose (128 or 112|144 or 128)"
    ):
        LandCoverNet(SMALL_VIT, BANDS[10], size=size)


@pytest.mark.parametrize(
    ("architecture", "size", "last"),
    [("mixer_s16_224", 120, 8), ("convmixer_768_32", None, 1), ("test_convnext", 122, 2)],
)
def test_nor_is_it_accepted_of_architectures_whose_patches_have_other_names(
    architecture: str, size: int | None, last: int
) -> None:
    with pytest.raises(InvalidInput, match=rf"would not read the last {last} rows"):
        backbone(architecture, channels=3, size=size)
    model, _ = backbone(architecture, channels=3, size=120, whole=False)  # as published weights were trained
    with torch.no_grad():
        assert model.eval()(patches(1, 3)).shape == (1, len(CLASSES))


def test_patches_that_overlap_need_not_divide_the_size() -> None:
    assert backbone("pvt_v2_b0", channels=3, size=None)[1] == 120


def test_names_of_the_issue_are_those_of_timm() -> None:
    assert (timm_name("vit_small_patch16"), timm_name("resnet50")) == ("vit_small_patch16_224", "resnet50")
    assert timm_name("test_resnet.r160_in1k") == "test_resnet.r160_in1k"


def test_an_unknown_architecture_is_told_with_near_names() -> None:
    with pytest.raises(InvalidInput, match=r"'resnet27' is none that timm .* mean .*resnet2[46]"):
        timm_name("resnet27")
    with pytest.raises(InvalidInput, match="list_models"):
        timm_name("../../etc")


@pytest.mark.parametrize("count", [7, 10, 11, 12])
def test_every_choice_of_bands_gives_a_logit_for_each_class(count: int) -> None:
    net = LandCoverNet(SMALL, BANDS[count]).eval()
    with torch.no_grad():
        assert net(patches(3, count)).shape == (3, len(CLASSES))


def test_indices_are_normalised_differences_and_never_beyond_one() -> None:
    net = LandCoverNet(SMALL, BANDS[10], indices=("NDVI", "NDWI", "NDBI"))
    given = torch.zeros(1, 10, 120, 120)
    for band, value in (("B03", 0.08), ("B04", 0.05), ("B08", 0.4), ("B11", 0.2)):
        given[:, BANDS[10].index(band)] = value
    made = net.channels(given)[0, :, 0, 0]
    assert made.shape == (13,)
    assert made[10:].tolist() == pytest.approx([0.35 / 0.45, -0.32 / 0.48, -0.2 / 0.6], abs=2e-3)
    # Correction may leave reflectance below 0, and water next to none.
    strange = net.channels(torch.randn(2, 10, 120, 120) * 0.05)[:, 10:]
    assert torch.isfinite(strange).all()
    assert strange.abs().max() <= 1


def test_what_the_backbone_sees_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    net = LandCoverNet(SMALL, BANDS[10], indices=("NDVI",))
    given = [patches(4) * torch.linspace(0.2, 3, 10)[None, :, None, None] + 0.1, patches(3) * 0.5]
    net.start(given)
    seen: list[Any] = []
    monkeypatch.setattr(net.backbone, "forward", lambda x: seen.append(x) or torch.zeros(len(x), 19))
    for each in given:
        net(each)
    pixels = torch.cat(seen).movedim(1, 0).flatten(1)
    torch.testing.assert_close(pixels.mean(1), torch.zeros(11), atol=2e-4, rtol=0)
    torch.testing.assert_close(pixels.std(1, correction=0), torch.ones(11), atol=2e-4, rtol=0)


def test_normalisation_of_nothing_is_refused_and_an_even_channel_is_not_divided_by_nought() -> None:
    net = LandCoverNet(SMALL, BANDS[10])
    with pytest.raises(InvalidInput, match="training split is empty"):
        net.start([])
    net.start([torch.full((2, 10, 120, 120), 0.25)])
    with torch.no_grad():
        assert torch.isfinite(net.eval()(torch.full((1, 10, 120, 120), 0.25))).all()


def test_probabilities_are_one_sigmoid_of_the_calibrated_logits() -> None:
    net = LandCoverNet(SMALL, BANDS[10]).eval()
    line = Line(torch.linspace(0.5, 2, 19), torch.linspace(-3, 3, 19))
    given = patches(3)
    with torch.no_grad():
        made, logits = Published(net, line)(given), net(given)
        torch.testing.assert_close(torch.logit(made.double()), line.of(logits).double(), atol=1e-4, rtol=1e-4)
        # Two sigmoids would never leave 0.5 to 0.73; a softmax would add up to 1.
        sure = Published(net, Line(torch.zeros(19), torch.tensor([8.0] * 5 + [-8.0] * 14)))(given)
    assert (sure[:, :5] > 0.99).all()
    assert (sure[:, 5:] < 0.01).all()
    assert torch.equal(unchanged(19).of(logits), logits)


def test_equal_seeds_make_equal_nets() -> None:
    torch.manual_seed(3)
    one, _ = backbone(SMALL, channels=4, size=None)
    torch.manual_seed(3)
    other, _ = backbone(SMALL, channels=4, size=None)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_nearest_upscaling_repeats_the_pixels_that_torch_repeats() -> None:
    for size in (128, 144, 224):
        net = LandCoverNet(SMALL_VIT, BANDS[10], size=size, upscaling="nearest")
        given = patches(1)
        # In float64 torch's own places are exact.
        expected = torch.nn.functional.interpolate(given.double(), size=(size, size), mode="nearest").float()
        assert torch.equal(net._resized(given), expected)
