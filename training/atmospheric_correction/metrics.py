"""How far found reflectance is from the truth: gathered piece by piece, merged, and given as one row of a table.

Bias, standard deviation and root mean square are exact; the 95th percentile comes from a histogram whose bins are 0.2 %
wide, so it is right to 0.1 % without any value being kept. The accepted error is that of the reviews of Sentinel-2
correctors, 0.005 + 0.05 rho (Doxani et al. 2018, Remote Sensing 10, 352: ACIX).
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Mask = NDArray[np.bool_]

WINDOW = 7
"""Edge in pixels of SSIM's window."""
_SMALLEST, _GROWTH, _BINS = 1e-7, 1.002, 9_300
"""Bins of |error| from 1e-7 on, each 0.2 % wider: up to 11. What is smaller counts as 0."""
_FLATTEST = 1e-4
"""The range of a truth that hardly varies, where SSIM would divide by 0: one DN."""


@dataclass(slots=True)
class Errors:
    """Errors, found minus truth, of any number of pieces."""

    n: int = 0
    """Pixels compared."""
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squares about the mean: sums of plain squares would cancel."""
    within: int = 0
    """Pixels whose error is accepted."""
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    """Pixels by absolute error."""

    def add(self, found: Values, truth: Values, mask: Mask | None = None) -> None:
        """Add a piece: found and truth of one shape, compared where the mask (of that shape) is True.

        Raises ValueError where the shapes differ, or where a number that is compared is infinite or NaN: a corrector
        that gives none must not look better than one that is wrong.
        """
        found, truth, mask = _checked(found, truth, mask)
        truth = truth[mask].astype(np.float64)
        if not truth.size:
            return
        error = found[mask].astype(np.float64) - truth
        size = np.abs(error)
        with np.errstate(divide="ignore"):
            bins = np.floor(np.log(size / _SMALLEST) / math.log(_GROWTH)) + 1
        mean = float(error.mean())
        piece = Errors(
            n=error.size,
            mean=mean,
            squares=float(np.square(error - mean).sum()),
            within=int(np.count_nonzero(size <= 0.005 + 0.05 * np.maximum(truth, 0))),
            bins=np.bincount(np.clip(bins, 0, _BINS - 1).astype(np.int64), minlength=_BINS),
        )
        self.merge(piece)

    def merge(self, other: "Errors") -> None:
        """Take in what another one has gathered (Chan, Golub and LeVeque 1983)."""
        total = self.n + other.n
        if other.n:
            apart = other.mean - self.mean
            self.squares += other.squares + apart**2 * self.n * other.n / total
            self.mean += apart * other.n / total
            self.within += other.within
            self.bins = self.bins + other.bins
            self.n = total

    def row(self) -> dict[str, float]:
        """What a table says: bias, std, rms, p95, within and n; NaN, but n = 0, where nothing was compared.

        std is that of all that was compared, so rms^2 = bias^2 + std^2; p95 is the 95th percentile of the absolute error
        (the smallest that at least 95 % do not exceed); within is the share, 0 to 1, of accepted errors.
        """
        if not self.n:
            return {**dict.fromkeys(("bias", "std", "rms", "p95", "within"), math.nan), "n": 0}
        variance = self.squares / self.n
        return {
            "bias": self.mean,
            "std": math.sqrt(variance),
            "rms": math.sqrt(self.mean**2 + variance),
            "p95": self._p95(),
            "within": self.within / self.n,
            "n": self.n,
        }

    def _p95(self) -> float:
        """The middle of the bin in which 95 % of the errors are reached."""
        number = int(np.searchsorted(np.cumsum(self.bins), -(-95 * self.n // 100)))
        return 0.0 if number == 0 else float(_SMALLEST * _GROWTH ** (number - 0.5))


def ssim(found: Values, truth: Values, mask: Mask | None = None, *, data_range: float | None = None) -> float:
    """Structural similarity of two images (rows, columns), -1 to 1 (Wang et al. 2004), NaN where none is comparable.

    Windows of 7 x 7 pixels, equally weighted, with the sample covariance (as scikit-image's `structural_similarity` has
    by default); K1 = 0.01, K2 = 0.03; the mean over the windows that lie in the mask with all their pixels. The range
    that the constants are of is that of the truth within the mask unless `data_range` says another.
    """
    found, truth, mask = _checked(found, truth, mask)
    if min(mask.shape) < WINDOW:
        return math.nan
    whole = _window_sums(mask) == WINDOW**2
    if not whole.any():
        return math.nan
    # What is masked out may be NaN, and lies in no window that counts.
    x, y = (np.where(mask, each, 0).astype(np.float64) for each in (found, truth))
    reach = data_range or max(float(np.ptp(truth[mask])), _FLATTEST)
    c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    n = WINDOW**2
    mean_x, mean_y = _window_sums(x) / n, _window_sums(y) / n
    sample = n / (n - 1)
    var_x = sample * (_window_sums(x * x) / n - mean_x**2)
    var_y = sample * (_window_sums(y * y) / n - mean_y**2)
    both = sample * (_window_sums(x * y) / n - mean_x * mean_y)
    similar = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    similar /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(similar[whole].mean())


def _checked(found: Values, truth: Values, mask: Mask | None) -> tuple[Values, Values, Mask]:
    if mask is None:
        mask = np.ones(np.shape(truth), np.bool_)
    found, truth = np.asarray(found), np.asarray(truth)
    if not found.shape == truth.shape == mask.shape:
        raise ValueError(
            f"found has the shape {found.shape}, the truth {truth.shape} and the mask {mask.shape}; "
            "they must be equal: cut them to the same pixels"
        )
    for name, values in (("found", found), ("truth", truth)):
        bad = int(np.count_nonzero(~np.isfinite(values[mask])))
        if bad:
            raise ValueError(
                f"{bad} of {np.count_nonzero(mask)} compared numbers of {name} are no finite reflectance, none may be; "
                "leave their pixels out of the mask, and say how many"
            )
    return found, truth, mask


def _window_sums(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums over WINDOW x WINDOW pixels: (rows - 6, columns - 6); shifted sums, since running ones lose digits."""
    rows, columns = (size - WINDOW + 1 for size in values.shape)
    down = np.zeros((rows, values.shape[1]))
    for shift in range(WINDOW):
        down += values[shift : shift + rows]
    total = np.zeros((rows, columns))
    for shift in range(WINDOW):
        total += down[:, shift : shift + columns]
    return total
