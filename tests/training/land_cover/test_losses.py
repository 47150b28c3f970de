"""Losses: they take logits, any number of labels, and weights that hand calculation finds too."""

import math

import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision
from eo.errors import InvalidInput  # noqa: E402
from training.land_cover.losses import MARGIN, made, positive_weights  # noqa: E402

NAMES = ("bce", "focal", "asymmetric")


def test_cross_entropy_of_logits_is_what_hand_calculation_finds() -> None:
    logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert float(made("bce")(logits, labels)) == pytest.approx(by_hand, rel=1e-6)
    # Twice a sigmoid would give another loss; so would a softmax over classes.
    assert float(made("bce")(torch.sigmoid(logits), labels)) != pytest.approx(by_hand, rel=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_answers_far_off_still_teach(name: str) -> None:
    # Behind a sigmoid in float32 the gradient of a wrong answer of 40 is 0, and its logarithm infinite.
    logits = torch.tensor([[-40.0, 12.0]], requires_grad=True)
    loss = made(name)(logits, torch.tensor([[1.0, 0.0]]))  # type: ignore[arg-type]
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] < -0.1


@pytest.mark.parametrize("name", NAMES)
def test_more_than_two_labels_can_be_learnt(name: str) -> None:
    logits = torch.zeros(1, 6, requires_grad=True)
    labels = torch.tensor([[1.0, 1, 1, 1, 1, 0]])
    optimiser = torch.optim.SGD([logits], lr=20.0)
    for _ in range(300):
        optimiser.zero_grad()
        made(name)(logits, labels).backward()  # type: ignore[arg-type]
        optimiser.step()
    assert (torch.sigmoid(logits) > 0.9).long().tolist() == [[1, 1, 1, 1, 1, 0]]


def test_focal_loss_is_cross_entropy_where_the_focus_is_nought_and_smaller_on_what_is_known() -> None:
    logits, labels = torch.randn(5, 4), torch.randint(0, 2, (5, 4)).float()
    assert float(made("focal", focus=0.0)(logits, labels)) == pytest.approx(
        float(made("bce")(logits, labels)), rel=1e-6
    )
    known, truth = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    p = 1 / (1 + math.exp(-3))
    assert float(made("focal")(known, truth)) == pytest.approx(-math.log(p) * (1 - p) ** 2, rel=1e-5)
    absent = torch.tensor([[-3.0]]), torch.tensor([[0.0]])
    assert float(made("focal")(*absent)) == pytest.approx(-math.log(p) * (1 - p) ** 2, rel=1e-5)


def test_asymmetric_loss_forgets_absent_labels_that_are_found_unlikely() -> None:
    labels = torch.zeros(1, 1)
    unlikely = torch.logit(torch.tensor([[MARGIN * 0.9]]))
    assert float(made("asymmetric")(unlikely, labels)) == 0
    wrong = torch.logit(torch.tensor([[0.85]]))
    assert float(made("asymmetric")(wrong, labels)) == pytest.approx(-math.log(0.2) * 0.8**2, rel=1e-4)
    assert float(made("asymmetric")(wrong, torch.ones(1, 1))) == pytest.approx(-math.log(0.85), rel=1e-5)


def test_positive_weights_are_absent_by_present() -> None:
    labels = torch.tensor([[1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    # 2 of 4, 1 of 4, 3 of 4, none: 2/2, 3/1, 1/3, and the limit.
    assert positive_weights(labels, most=5.0).tolist() == pytest.approx([1.0, 3.0, 1 / 3, 5.0])
    assert positive_weights(labels, most=2.0).tolist() == pytest.approx([1.0, 2.0, 0.5, 2.0])
    with pytest.raises(InvalidInput, match="training split is empty"):
        positive_weights(torch.zeros(0, 4), most=5.0)


def test_weights_count_present_labels_alone() -> None:
    weighed = made("bce", weights=torch.tensor([3.0]))
    logits = torch.tensor([[0.5]])
    for labels, times in ((torch.ones(1, 1), 3.0), (torch.zeros(1, 1), 1.0)):
        assert float(weighed(logits, labels)) == pytest.approx(times * float(made("bce")(logits, labels)))
