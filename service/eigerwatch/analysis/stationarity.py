"""Whether one mean and one variance describe a whole run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.autocorrelation import correlation
from eigerwatch.analysis.detrending import Detrended, detrended
from eigerwatch.analysis.statistics import centred, finite_or_none

FloatArray = npt.NDArray[np.float64]

PARTS = 10
"""Parts of the run that are compared with each other."""
SIGNIFICANCE = 0.001
"""Chance that a stationary run is taken for another, for each of the two tests."""
FEWEST_FRAMES = 20 * PARTS


@dataclass(frozen=True, slots=True)
class Stationarity:
    """Verdict on mean and variance; None where there is too little to judge."""

    n: int
    mean_holds: bool | None
    variance_holds: bool | None
    mean_p: float
    """Chance of means that differ like these in a stationary run; NaN: not judged."""
    variance_p: float
    """Chance of variances that differ like these; NaN: not judged."""
    mean_spread_percent: float
    """Largest minus smallest mean of a part [% of the mean]."""
    std_spread_percent: float
    """Largest minus smallest std of a part [% of the std]; lines taken off."""
    reason: str
    """One sentence for the reader."""

    @property
    def holds(self) -> bool | None:
        """Whether both hold; None where there is too little to judge."""
        if self.mean_holds is None or self.variance_holds is None:
            return None
        return self.mean_holds and self.variance_holds

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "holds": self.holds,
            "mean_holds": self.mean_holds,
            "variance_holds": self.variance_holds,
            "mean_p": finite_or_none(self.mean_p),
            "variance_p": finite_or_none(self.variance_p),
            "mean_spread_percent": finite_or_none(self.mean_spread_percent),
            "std_spread_percent": finite_or_none(self.std_spread_percent),
            "reason": self.reason,
        }


def stationarity(
    values: npt.ArrayLike,
    positions: npt.ArrayLike | None = None,
    boundaries: Sequence[int] = (),
    *,
    rest: Detrended | None = None,
    block_length: int | None = None,
) -> Stationarity:
    """Compare ten parts of a run: their means, and their variances.

    An analysis of variance whose unit is not a frame but a block long enough to be
    independent of the next: parts differ if they do so by more than the blocks within
    them make likely. The means are those of the values as they are (a drift or a
    top-up's step moves them), the variances those about the line of each segment.

    Parameters
    ----------
    values
        (n,) counts of stored frames that are not excluded.
    positions
        (n,) image_id of each value, ascending; None: consecutive.
    boundaries
        image_id at which a segment begins, as for `detrending.detrended`.
    rest, block_length
        `detrended` of the same, and the frames that its autocorrelation takes for one
        block; None: they are found here.
    """
    raw, mean = centred(values)
    n = raw.size
    if n < FEWEST_FRAMES:
        return _unknown(n, f"not enough data (n = {n})")
    if not mean > 0:
        return _unknown(n, "no beam: the mean is 0")
    rest = detrended(values, positions, boundaries) if rest is None else rest
    if not np.any(raw):
        spread = "every frame has the same value"
        return Stationarity(n, True, True, 1.0, 1.0, 0.0, 0.0, spread)
    # At least four blocks in a part, or nothing tells how much blocks differ.
    if block_length is None:
        block_length = correlation(rest.residuals, positions).block_length
    length = min(block_length, n // (4 * PARTS))
    mean_p, means = _analysis_of_variance(raw / mean, length)
    variance_p, variances = _analysis_of_variance(
        _relative_square(rest.residuals), length
    )
    mean_spread = 100 * float(np.ptp(means))
    std_spread = 100 * float(np.ptp(np.sqrt(np.maximum(variances, 0))))
    mean_holds, variance_holds = mean_p >= SIGNIFICANCE, variance_p >= SIGNIFICANCE
    reason = (
        f"the mean {_words(mean_holds, mean_spread, mean_p)}, "
        f"the fluctuation {_words(variance_holds, std_spread, variance_p)}"
    )
    return Stationarity(
        n=n,
        mean_holds=mean_holds,
        variance_holds=variance_holds,
        mean_p=mean_p,
        variance_p=variance_p,
        mean_spread_percent=mean_spread,
        std_spread_percent=std_spread,
        reason=reason,
    )


def _unknown(n: int, reason: str) -> Stationarity:
    nan = math.nan
    return Stationarity(n, None, None, nan, nan, nan, nan, reason)


def _relative_square(rest: FloatArray) -> FloatArray:
    """Return the squares over their mean; ones where there is no fluctuation."""
    square = rest * rest
    usual = float(square.mean())
    return square / usual if usual > 0 else np.ones_like(square)


def _analysis_of_variance(values: FloatArray, length: int) -> tuple[float, FloatArray]:
    """Return the p value of Fisher's F for equal parts, and the means of the parts."""
    per_part = values.size // (PARTS * length)
    # Blocks end to end from the middle; what is left over at the ends is less than
    # one block a part.
    used = PARTS * per_part * length
    skipped = (values.size - used) // 2
    blocks = values[skipped : skipped + used].reshape(PARTS, per_part, length).mean(2)
    means = blocks.mean(axis=1)
    between = per_part * float(means.var(ddof=1))
    # Successive differences: a drift within a part is no scatter of its blocks.
    steps = np.diff(blocks, axis=1)
    within = float(np.mean(steps * steps)) / 2
    if not within > 0:
        return (0.0 if between > 0 else 1.0), means
    # von Neumann's estimate is worth two thirds of its differences.
    freedom = steps.size * 2 / 3
    return _f_tail(between / within, PARTS - 1, freedom), means


def _f_tail(ratio: float, upper: float, lower: float) -> float:
    """Return the chance of a larger F, by E. Paulson, Ann. Math. Stat. 13 (1942) 233.

    Good enough to decide at one in a thousand, and free of an import of a tenth of a
    second.
    """
    a, b = 2 / (9 * upper), 2 / (9 * lower)
    root = ratio ** (1 / 3)
    z = ((1 - b) * root - (1 - a)) / math.sqrt(b * root**2 + a)
    return math.erfc(z / math.sqrt(2)) / 2


def _words(holds: bool, spread_percent: float, p: float) -> str:
    if holds:
        return f"holds within {spread_percent:.2g} %, as chance explains"
    chance = f"p = {p:.1g}" if p > 1e-9 else "p < 1e-9"
    return f"changes by {spread_percent:.2g} % ({chance})"
