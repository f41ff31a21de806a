"""Medians that a few bad values, and missing ones, do not move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MAD_TO_SIGMA = 1.482602218505602
"""Standard deviation over median absolute deviation, of normal noise."""
Q90_TO_SIGMA = 1 / 1.6448536269514722
"""Standard deviation over the 90 % quantile of absolute values, of normal noise."""


def known_median(values: FloatArray) -> FloatArray:
    """Return the medians along the last axis, NaN left out; NaN where all are."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, axis=-1)  # NaN goes to the end
    known = values.shape[-1] - np.count_nonzero(np.isnan(values), axis=-1)
    low = np.maximum((known - 1) // 2, 0)[..., None]
    high = np.minimum(known // 2, values.shape[-1] - 1)[..., None]
    middle = np.take_along_axis(ordered, low, -1)[..., 0]
    above = np.take_along_axis(ordered, high, -1)[..., 0]
    # Where all are NaN both are; the mean of two equal values is exact.
    return 0.5 * middle + 0.5 * above


def running_median(values: FloatArray, reach: int) -> FloatArray:
    """Return the median of each value and `reach` neighbours on either side.

    NaN is left out; windows shrink at the ends.
    """
    if not values.size:
        return values
    padded = np.pad(values, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return known_median(windows)


def filled(values: FloatArray) -> FloatArray:
    """Return `values` with each NaN replaced by the last known, else next known."""
    known = np.flatnonzero(~np.isnan(values))
    if known.size in (0, values.size):
        return values
    nearest = np.searchsorted(known, np.arange(values.size), side="right") - 1
    return values[known[np.maximum(nearest, 0)]]


def sigma_of(residuals: FloatArray) -> float:
    """Return the standard deviation of residuals, a few outliers among them.

    The larger of what their median and their 90 % quantile say: noise with long
    tails is not taken for quiet noise with many outliers.
    """
    if not residuals.size:
        return 0.0
    size = np.abs(residuals)
    middle, high = (size.size - 1) // 2, int(0.9 * (size.size - 1))
    ordered = np.partition(size, (middle, high))
    return max(
        MAD_TO_SIGMA * float(ordered[middle]), Q90_TO_SIGMA * float(ordered[high])
    )


def runs_of(flagged: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return (r, 2) half-open ranges of true values."""
    if not flagged.any():
        return np.empty((0, 2), np.intp)
    padded = np.zeros(flagged.size + 2, np.int8)
    padded[1:-1] = flagged
    return np.flatnonzero(np.diff(padded)).reshape(-1, 2)
