"""Statistics of a split against numbers worked out by hand."""

import numpy as np
import pytest

from training.land_cover.data.patches import Split
from training.land_cover.data.statistics import BINS, BRIGHTEST, band_statistics, cooccurrence, frequencies

LABELS = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1]], np.uint8)


class Held:
    """Patches that are in memory."""

    split: Split = "train"
    synthetic = True

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.bands = ("B02", "B03")[: values.shape[1]]
        self.names = [str(number) for number in range(len(values))]
        self.labels = np.zeros((len(values), 19), np.uint8)
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.values)

    def read(self, index: int) -> np.ndarray:
        self.asked.append(index)
        return self.values[index]


def test_frequencies_and_cooccurrence_are_those_counted_by_hand() -> None:
    assert frequencies(LABELS).tolist() == [0.75, 0.25, 0.5]
    assert cooccurrence(LABELS).tolist() == [[3, 1, 1], [1, 1, 0], [1, 0, 2]]
    many = np.ones((300, 2), np.uint8)  # more than a byte counts
    assert cooccurrence(many).tolist() == [[300, 300], [300, 300]]


def test_band_statistics_are_those_of_all_pixels() -> None:
    values = np.random.default_rng(1).uniform(-0.1, 0.9, (5, 2, 120, 120)).astype(np.float32)
    found = band_statistics(Held(values))
    np.testing.assert_allclose(found.mean, values.astype(float).mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(found.std, values.astype(float).std((0, 2, 3)), rtol=1e-9)
    edges = np.linspace(0, BRIGHTEST, BINS + 1)
    for band in range(2):
        expected, _ = np.histogram(np.clip(values[:, band].astype(float), 0, BRIGHTEST - 1e-9), edges)
        assert found.histogram[band].sum() == 5 * 120 * 120
        assert np.abs(found.histogram[band] - expected).max() <= 2  # values on the edge of a bin
    assert found.patches == 5


def test_of_many_patches_some_are_read_evenly_each_once() -> None:
    held = Held(np.zeros((101, 1, 2, 2), np.float32))
    assert band_statistics(held, most=5).patches == 5
    assert held.asked == [0, 25, 50, 75, 100]
    assert band_statistics(held).std == pytest.approx(0)
