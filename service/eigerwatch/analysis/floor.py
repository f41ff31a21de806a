"""The noise under the lines of a periodogram: white, 1/f and broad humps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.measured import FloatArray

FIRST = 4
"""Ordinates below this one belong to drift, and are not looked at."""
EXPONENTS = np.arange(0.4, 2.41, 0.2)
"""Of the red part of the level, white + slope / max(k, corner)^exponent."""
CORNERS = np.concatenate([[1], 2.0 ** np.arange(3, 9, 0.5)])
"""Ordinates below which it is flat: feedback and detrending take the lowest."""
WIDE = 512
"""Ordinates of a local median ..."""
NARROW = 64
"""... and of one that follows humps, where it lies well above the wide one."""
HUMP = 1.8
"""How far above: 4 standard deviations of a median of `NARROW` ordinates."""
MOST_SKEWED = 0.9
"""Median over mean from which on the median of few values is not biased."""
MEDIAN_EFFICIENCY = math.log(2) ** 2
"""Of a median of exponential values as an estimate of their mean."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Expected periodogram without lines."""

    density: FloatArray
    """(m,) expectation of each ordinate; NaN below `FIRST`."""
    ordinates: FloatArray
    """(m,) number of ordinates whose mean would be as sure as this estimate."""


def noise_floor(ordinates: FloatArray) -> Floor | None:
    """Estimate the expectation of independent, exponentially distributed ordinates.

    A white plus power-law level is fitted to medians of blocks that widen with
    frequency; what remains of structure is followed by local medians of the ratio.
    Medians do not see lines as long as these fill less than half a block.

    Parameters
    ----------
    ordinates
        (m,) periodogram at multiples of 1/length, from 0.

    Returns
    -------
    Floor or None
        None with fewer than 16 ordinates above `FIRST`.
    """
    m = ordinates.size
    if m < FIRST + 16:
        return None
    k = np.arange(m, dtype=np.float64)
    trend = fitted_level(ordinates)
    ratio = ordinates[FIRST:] / trend[FIRST:]
    wide = min(WIDE, 1 << (ratio.size // 2).bit_length() - 1)
    local = local_median(ratio, wide)
    sure = np.full(m, wide * MEDIAN_EFFICIENCY)
    if wide >= 4 * NARROW:
        narrow = local_median(ratio, NARROW)
        hump = narrow > HUMP * local
        local = np.where(hump, narrow, local)
        sure[FIRST:][hump] = NARROW * MEDIAN_EFFICIENCY
    density = np.full(m, math.nan)
    # Signals without any noise still need a level above which a line rises.
    density[FIRST:] = np.maximum(trend[FIRST:] * local, np.finfo(np.float64).tiny)
    # Near zero the level hangs on what few ordinates there are up to there.
    return Floor(density, np.minimum(sure, np.maximum(k, 8)))


def fitted_level(ordinates: FloatArray, middle: float = math.log(2)) -> FloatArray:
    """Return (m,) a white plus power-law level, fitted to medians of blocks.

    Blocks widen with frequency. `middle` is the median of an ordinate over its mean.
    """
    k = np.arange(ordinates.size, dtype=np.float64)
    edges = [FIRST]
    while edges[-1] < ordinates.size:
        edges.append(edges[-1] + max(6, int(0.3 * edges[-1])))
    if ordinates.size - edges[-2] < 6 and len(edges) > 2:
        del edges[-2]
    edges[-1] = ordinates.size
    sizes = np.diff(edges).astype(np.float64)
    level = np.array([np.median(ordinates[a:b]) for a, b in pairwise(edges)])
    level /= middle + 0.5 / sizes * (middle < MOST_SKEWED)
    smallest = float(level[level > 0].min(initial=math.inf))
    if not math.isfinite(smallest):
        return np.full(k.size, np.finfo(np.float64).tiny)
    level = np.maximum(level, smallest)
    centres = np.sqrt(np.array(edges[:-1]) * (np.array(edges[1:]) - 1.0))
    corners, exponents = (part.ravel() for part in np.meshgrid(CORNERS, EXPONENTS))
    red = np.maximum(centres, corners[:, None]) ** -exponents[:, None]
    white, slope = _two_levels(level, red, sizes)
    model = white[:, None] + slope[:, None] * red
    misfit = np.sum(sizes * np.log(level / model) ** 2, axis=1)
    best = int(np.argmin(misfit))
    fitted: FloatArray = white[best] + slope[best] * (
        np.maximum(k, corners[best]) ** -exponents[best]
    )
    return fitted


def _two_levels(
    level: FloatArray, red: FloatArray, sizes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fit level (b,) = white + slope x red (c, b), errors in proportion to the model.

    Return (c,) white and (c,) slope, of which none is negative.
    """
    model = np.broadcast_to(level, red.shape)
    for _ in range(3):
        weight = sizes / model**2
        ww, wr, rr = (np.sum(weight * red**power, axis=1) for power in (0, 1, 2))
        wl, rl = (np.sum(weight * red**power * level, axis=1) for power in (0, 1))
        determinant = ww * rr - wr**2
        regular = determinant > 1e-12 * ww * rr
        divisor = np.where(regular, determinant, 1.0)
        white = np.where(regular, (wl * rr - rl * wr) / divisor, -1.0)
        slope = np.where(regular, (rl * ww - wl * wr) / divisor, -1.0)
        # Where one of them would be negative, the other alone.
        flat = (slope < 0) | ~regular
        steep = (white <= 0) & ~flat
        white = np.where(flat, wl / ww, np.where(steep, 0.0, white))
        slope = np.where(flat, 0.0, np.where(steep, rl / rr, slope))
        model = white[:, None] + slope[:, None] * red
    return white, slope


def local_median(
    ratio: FloatArray, width: int, middle: float = math.log(2)
) -> FloatArray:
    """Return (m,) medians of half-overlapping blocks / `middle`, interpolated."""
    half = width // 2
    centres: list[npt.NDArray[np.float64]] = []
    medians: list[npt.NDArray[np.float64]] = []
    for offset in (0, half):
        blocks = (ratio.size - offset) // width
        part = ratio[offset : offset + blocks * width].reshape(blocks, width)
        medians.append(np.median(part, axis=1))
        centres.append(offset + half + width * np.arange(blocks, dtype=np.float64))
    # The last block ends with the last ordinate.
    medians.append(np.array([np.median(ratio[-width:])]))
    centres.append(np.array([ratio.size - half], np.float64))
    at, level = np.concatenate(centres), np.concatenate(medians)
    order = np.argsort(at, kind="stable")
    found: FloatArray = np.interp(np.arange(ratio.size), at[order], level[order])
    found /= middle + 0.5 / width * (middle < MOST_SKEWED)
    return found
