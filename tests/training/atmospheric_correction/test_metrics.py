"""Errors and similarity against NumPy on the whole."""

import math

import numpy as np
import pytest

from training.atmospheric_correction.metrics import Errors, ssim


def _drawn(shape: tuple[int, ...], seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 0.4, shape)
    return truth + 0.004 + 0.01 * rng.standard_t(4, shape), truth, rng.uniform(size=shape) < 0.7


def _brute(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    error = found - truth
    return {
        "bias": error.mean(),
        "std": error.std(),
        "rms": math.sqrt((error**2).mean()),
        "p95": np.percentile(np.abs(error), 95, method="inverted_cdf"),
        "within": (np.abs(error) <= 0.005 + 0.05 * truth).mean(),
        "n": error.size,
    }


def test_the_row_is_that_of_all_compared_pixels_at_once() -> None:
    found, truth, mask = _drawn((300, 200))
    errors = Errors()
    for rows in (slice(0, 1), slice(1, 120), slice(120, 300)):
        errors.add(found[rows], truth[rows], mask[rows])
    row, expected = errors.row(), _brute(found[mask], truth[mask])
    assert list(row) == ["bias", "std", "rms", "p95", "within", "n"]
    for name in ("bias", "std", "rms"):
        assert row[name] == pytest.approx(expected[name], rel=1e-10)
    assert row["p95"] == pytest.approx(expected["p95"], rel=1.1e-3)
    assert (row["within"], row["n"]) == (expected["within"], expected["n"])


def test_merged_errors_are_those_of_both_and_the_other_stays() -> None:
    found, truth, mask = _drawn((50, 60))
    parts = [Errors(), Errors(), Errors()]
    parts[0].add(found[:20], truth[:20], mask[:20])
    parts[1].add(found[20:], truth[20:], mask[20:])
    before = parts[1].row()
    for part in parts[1:]:
        parts[0].merge(part)
    whole = Errors()
    whole.add(found, truth, mask)
    assert parts[0].row() == pytest.approx(whole.row(), rel=1e-12)
    assert parts[1].row() == before


def test_a_small_spread_about_a_large_bias_survives() -> None:
    # Sums of plain squares in float64 lose it: 1e-9 beside 1.
    errors = Errors()
    for _ in range(100):
        errors.add(np.array([1.0, 1.0 + 2e-9]), np.zeros(2))
    assert errors.row()["std"] == pytest.approx(1e-9, rel=1e-6)


def test_float32_pieces_are_added_up_in_float64() -> None:
    errors = Errors()
    errors.add(np.full(1_000_000, 0.1, np.float32), np.full(1_000_000, 0.3, np.float32))
    assert errors.row()["bias"] == pytest.approx(float(np.float32(0.1)) - float(np.float32(0.3)), rel=1e-12)


@pytest.mark.parametrize(("error", "accepted"), [(0.0149, 1), (-0.0149, 1), (0.0151, 0), (-0.0151, 0)])
def test_the_accepted_error_is_of_the_truth(error: float, accepted: int) -> None:
    errors = Errors()
    errors.add(np.array([0.2 + error]), np.array([0.2]))
    assert errors.row()["within"] == accepted


def test_a_negative_truth_is_accepted_as_0_is() -> None:
    errors = Errors()
    errors.add(np.array([-0.0451]), np.array([-0.05]))
    assert errors.row()["within"] == 1


@pytest.mark.parametrize("size", [3e-6, 1e-3, 0.02, 7.0])
def test_p95_holds_over_all_sizes(size: float) -> None:
    errors = Errors()
    errors.add(np.array([0.0] * 94 + [-size] * 6), np.zeros(100))
    assert errors.row()["p95"] == pytest.approx(size, rel=1.1e-3)
    errors.add(np.zeros(100), np.zeros(100))
    assert errors.row()["p95"] == 0


@pytest.mark.parametrize(("large", "p95"), [(5, 0.01), (6, 0.5)])
def test_95_percent_do_not_exceed_p95(large: int, p95: float) -> None:
    errors = Errors()
    errors.add(np.array([0.01] * (100 - large) + [0.5] * large), np.zeros(100))
    assert errors.row()["p95"] == pytest.approx(p95, rel=1.1e-3)


def test_nothing_compared_is_no_number() -> None:
    errors = Errors()
    errors.add(np.full((2, 2), np.nan), np.zeros((2, 2)), np.zeros((2, 2), bool))
    row = errors.row()
    assert row.pop("n") == 0
    assert all(math.isnan(value) for value in row.values())


def test_what_is_no_number_is_refused_where_it_counts() -> None:
    found = np.array([[0.1, np.nan, 0.2]])
    errors = Errors()
    with pytest.raises(ValueError, match=r"1 of 3 compared numbers of found .* none may be"):
        errors.add(found, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="1 of 2 compared numbers of truth"):
        errors.add(np.zeros((1, 3)), found, np.array([[False, True, True]]))
    assert errors.row()["n"] == 0
    with pytest.raises(ValueError, match=r"\(1, 3\), the truth \(3, 1\)"):
        errors.add(found, found.T)


def _oracle(found: np.ndarray, truth: np.ndarray, reach: float) -> np.ndarray:
    """SSIM of every whole 7 x 7 window, one by one, by NumPy's own covariance."""
    c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    windows = np.lib.stride_tricks.sliding_window_view(np.stack([found, truth]), (7, 7), (1, 2))
    each = np.empty(windows.shape[1:3])
    for place in np.ndindex(each.shape):
        both = windows[:, *place].reshape(2, 49)
        (x, y), ((vx, xy), (_, vy)) = both.mean(1), np.cov(both)
        each[place] = (2 * x * y + c1) * (2 * xy + c2) / ((x * x + y * y + c1) * (vx + vy + c2))
    return each


def test_ssim_is_the_mean_over_whole_windows() -> None:
    found, truth, _ = _drawn((40, 33))
    assert ssim(found, truth) == pytest.approx(_oracle(found, truth, np.ptp(truth)).mean(), rel=1e-9)
    assert ssim(found, truth, data_range=1.0) == pytest.approx(_oracle(found, truth, 1.0).mean(), rel=1e-9)
    assert ssim(truth, truth) == pytest.approx(1)


def test_ssim_counts_windows_without_a_masked_pixel() -> None:
    found, truth, _ = _drawn((40, 33))
    mask = np.ones(truth.shape, bool)
    mask[12, 20] = mask[30:, :5] = False
    expected = _oracle(found, truth, np.ptp(truth[mask]))
    whole = [[mask[r : r + 7, c : c + 7].all() for c in range(27)] for r in range(34)]
    spoilt, other = np.where(mask, found, np.nan), np.where(mask, truth, 9.0)
    assert ssim(spoilt, other, mask) == pytest.approx(expected[np.array(whole)].mean(), rel=1e-9)


def test_ssim_of_nothing_or_of_a_flat_truth() -> None:
    flat = np.full((9, 9), 0.1)
    assert math.isnan(ssim(flat, flat, np.zeros((9, 9), bool)))
    assert math.isnan(ssim(flat[:6], flat[:6]))
    assert ssim(flat, flat) == pytest.approx(1)
