"""How much neighbouring frames have in common, and how many independent ones remain."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.statistics import finite_or_none

FloatArray = npt.NDArray[np.float64]

MOST_CELLS_PER_FRAME = 16
"""Scattered frames are laid out with their gaps; no more room than this for each."""
FEWEST_PAIRS_OF = 10
"""A lag is known where it has a tenth of the pairs of consecutive frames."""
FEWEST_BLOCKS = 8
"""Blocks that remain, however long they should be."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """What autocorrelation makes of the number of frames.

    Effective sizes never exceed `n`; NaN where there are fewer than three frames or
    they are all equal.
    """

    n: int
    time_frames: float
    """Integrated autocorrelation time of the values [frames]; 1: independent."""
    variance_time_frames: float
    """The same of their squares about the mean: what counts for std and CV."""
    effective_for_mean: float
    """Independent frames that would tell the mean as well."""
    effective_for_variance: float
    """Independent frames that would tell the variance as well."""
    block_length: int
    """Frames per block of a bootstrap."""

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {key: finite_or_none(value) for key, value in asdict(self).items()}


def autocorrelation(
    values: npt.ArrayLike,
    positions: npt.ArrayLike | None = None,
    max_lag: int | None = None,
) -> FloatArray:
    """Return the autocorrelation coefficients at lags 0, 1, ... [frames].

    Each lag averages over the pairs of frames that are truly that far apart. As usual
    it is weighted by 1 - lag/n, so that far lags shrink instead of becoming wild.

    Parameters
    ----------
    values
        (n,) finite numbers.
    positions
        (n,) image_id of each value, strictly ascending; None: consecutive.
    max_lag
        Last lag; None: 10 sqrt(n), at most n - 1. Frames scattered over a much longer
        range than their number allow fewer lags.

    Returns
    -------
    coefficients
        (m,) at most `max_lag` + 1, the first is 1; 0 at lags with hardly a pair.
        Empty where all values are equal.
    """
    array = np.asarray(values, np.float64)
    if array.size < 2:
        return np.empty(0)
    array = array - array.mean()
    if not np.any(array):
        return np.empty(0)
    if max_lag is None:
        max_lag = math.ceil(10 * math.sqrt(array.size))
    max_lag = max(1, min(max_lag, array.size - 1))
    cells = None
    if positions is not None:
        cells, max_lag = _cells(np.asarray(positions), max_lag)
    if cells is None:
        coefficients = _lagged_products(array, max_lag)
        coefficients /= coefficients[0]
        return coefficients
    grid = np.zeros(int(cells[-1]) + 1)
    grid[cells] = array
    coefficients = _lagged_products(grid, max_lag)
    coefficients /= coefficients[0]
    grid[cells] = 1
    pairs = np.rint(_lagged_products(grid, max_lag))
    # What as many consecutive frames would have.
    full = array.size - np.arange(max_lag + 1)
    known = pairs >= full / FEWEST_PAIRS_OF
    coefficients *= np.where(known, full / np.maximum(pairs, 1), 0)
    return coefficients


def integrated_time(coefficients: FloatArray) -> float:
    """Return 1 + 2 x the sum of the coefficients of positive lag [frames].

    Summed up to the first lag that is five times the sum so far: N. Madras and A. D.
    Sokal, J. Stat. Phys. 50 (1988) 109. Never less than 0; NaN without coefficients.
    """
    if not coefficients.size:
        return math.nan
    sums = 2 * np.cumsum(coefficients) - 1
    far = np.flatnonzero(np.arange(sums.size) >= 5 * sums)
    return max(0.0, float(sums[far[0] if far.size else -1]))


def block_length(coefficients: FloatArray, n: int) -> float:
    """Return the best length of moving blocks for the mean of `n` frames.

    D. N. Politis and H. White, Econometric Reviews 23 (2004) 53, with the correction
    of A. Patton, D. N. Politis and H. White, ibid. 28 (2009) 372: overlapping blocks,
    flat-top lag window. At most 3 sqrt(n). A periodic line never decorrelates and
    yields that bound, or whatever is left of it at the last lag.
    """
    if n < 3 or not coefficients.size:
        return 1.0
    bound = math.ceil(min(3 * math.sqrt(n), n / 3))
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    furthest = min(math.ceil(math.sqrt(n)) + run, coefficients.size - 1)
    limit = 2 * math.sqrt(math.log10(n) / n)
    lags = np.flatnonzero(np.abs(coefficients[1 : furthest + 1]) >= limit) + 1
    # Correlated up to the first lag that is followed by `run` insignificant ones.
    quiet = np.diff(lags, prepend=0, append=furthest + run + 1) > run
    last = max(1, int(np.append(0, lags)[quiet][0]))
    width = min(2 * last, furthest)
    lag = np.arange(1, width + 1)
    weighted = np.minimum(1, 2 * (1 - lag / width)) * coefficients[1 : width + 1]
    power = 1 + 2 * float(weighted.sum())
    bend = 2 * float(weighted @ lag)
    if not power > 0:
        return float(bound)
    best = (1.5 * bend**2 / power**2 * n) ** (1 / 3)
    return float(min(max(best, 1.0), bound))


def correlation(
    residuals: npt.ArrayLike, positions: npt.ArrayLike | None = None
) -> Correlation:
    """Return times, effective sizes and block length of detrended values.

    The block length is the longer one of values and squares, within sqrt(n) and
    3 sqrt(n). Below, the slow part of 1/f noise, far under the significance of any
    single lag, is cut apart; above, too few blocks are left (a line as strong as the
    noise asks for any length). At least eight blocks remain.
    """
    array = np.asarray(residuals, np.float64)
    n = array.size
    values = autocorrelation(array, positions) if n > 2 else np.empty(0)
    squares = np.empty(0)
    if values.size:
        array = array - array.mean()
        squares = autocorrelation(array * array, positions)
    length = max(
        block_length(values, n), block_length(squares, n), math.sqrt(n) if n > 2 else 1
    )
    time, variance_time = integrated_time(values), integrated_time(squares)
    return Correlation(
        n=n,
        time_frames=time,
        variance_time_frames=variance_time,
        effective_for_mean=n / max(time, 1.0),
        effective_for_variance=n / max(variance_time, 1.0),
        block_length=max(1, min(round(length), n // FEWEST_BLOCKS)),
    )


def _cells(
    positions: npt.NDArray[np.int64], max_lag: int
) -> tuple[npt.NDArray[np.int64] | None, int]:
    """Return a cell for each frame, longer gaps shortened, and the last lag.

    None instead of cells where the frames are consecutive.
    """
    steps = np.diff(positions)
    if steps.max() == 1:
        return None, max_lag
    room = MOST_CELLS_PER_FRAME * positions.size
    while True:
        # No pair of frames is counted across a gap longer than the last lag.
        cells = np.append(0, np.cumsum(np.minimum(steps, max_lag + 1)))
        if cells[-1] < room or max_lag == 1:
            return cells, max_lag
        max_lag = max(1, max_lag // 2)


def _lagged_products(values: FloatArray, max_lag: int) -> FloatArray:
    """Return sum(values[i] values[i + k]) for k = 0 ... `max_lag`, by FFT."""
    # Padded by the last lag: the circle does not close within it.
    size = 1 << math.ceil(math.log2(values.size + max_lag))
    spectrum = np.fft.rfft(values, size)
    products: FloatArray = np.fft.irfft(np.abs(spectrum) ** 2, size)[: max_lag + 1]
    return products
