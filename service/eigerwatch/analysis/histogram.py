"""How often each intensity occurs, beside what counting photons alone would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.statistics import centred, finite_or_none

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST_FRAMES = 8
"""With fewer there is no histogram."""
MOST_BINS = 160
SIGMAS = 6.0
"""Robust standard deviations on either side of the median that are shown, at least,"""
COUNTING_SIGMAS = 4.0
"""and of pure counting on either side of the mean."""
CURVE_POINTS = 201
_SIGMAS_PER_IQR = 1.349


@dataclass(frozen=True, slots=True)
class Histogram:
    """Frames by their intensity, raw and detrended, in the same bins.

    Pure counting of photons has a standard deviation of sqrt(mean); the curve is a
    normal density of that width around the mean, of the same area as the bars.
    """

    n: int
    """Frames; fewer than `FEWEST_FRAMES`: all arrays are empty."""
    unit: Literal["normalised", "counts"]
    """Of edges, centres, widths and curve: parts of the mean, or counts."""
    mean: float
    """[counts]; NaN without frames."""
    edges: FloatArray
    """(m + 1,) limits of the bins, ascending, all of the same width."""
    raw: IntArray
    """(m,) frames."""
    detrended: IntArray
    """(m,) frames."""
    raw_outside: tuple[int, int]
    """Frames below the first bin and above the last."""
    detrended_outside: tuple[int, int]
    raw_width: float
    """Standard deviation, ddof 1; NaN where it is not defined."""
    detrended_width: float
    counting_width: float
    """Standard deviation of pure counting; NaN without a positive mean."""
    curve_x: FloatArray
    """(p,) where the curve of pure counting is told; empty without a positive mean."""
    curve_y: FloatArray
    """(p,) frames per bin that pure counting would give there."""

    @property
    def text(self) -> str:
        """One sentence for the reader."""
        if not self.edges.size:
            return f"not enough data (n = {self.n})"
        if not self.mean > 0:
            return f"{self.n} frames; no beam: the mean is 0"
        per_cent = 100 / (self.mean if self.unit == "counts" else 1.0)
        said = f"{self.n} frames; standard deviation of the detrended intensity "
        said += f"{per_cent * self.detrended_width:.3g} % of the mean"
        if math.isfinite(self.counting_width):
            said += f", of pure counting {per_cent * self.counting_width:.3g} %"
        outside = sum(self.detrended_outside)
        if outside:
            said += f"; {outside} detrended outside the bins"
        return said

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "unit": self.unit,
            "mean": finite_or_none(self.mean),
            "edges": self.edges.tolist(),
            "raw": self.raw.tolist(),
            "detrended": self.detrended.tolist(),
            "raw_outside": list(self.raw_outside),
            "detrended_outside": list(self.detrended_outside),
            "raw_width": finite_or_none(self.raw_width),
            "detrended_width": finite_or_none(self.detrended_width),
            "counting_width": finite_or_none(self.counting_width),
            "curve_x": self.curve_x.tolist(),
            "curve_y": self.curve_y.tolist(),
            "text": self.text,
        }


def histogram(
    totals: npt.ArrayLike,
    residuals: npt.ArrayLike,
    unit: Literal["normalised", "counts"] = "normalised",
) -> Histogram:
    """Count frames by intensity.

    Bins are by D. Freedman and P. Diaconis, Z. Wahrscheinlichkeitstheorie 57 (1981)
    453, of the detrended values, but of whole counts, so that no bin can hold more of
    the possible sums than another. Frames far out, beyond `SIGMAS`, are only counted.

    Parameters
    ----------
    totals
        (n,) sums of the frames that count [counts].
    residuals
        (n,) the same without mean and trend [counts]; `detrending.detrended`.
    unit
        Of what is returned; without a positive mean always counts.
    """
    above, mean = centred(totals)
    rest = np.asarray(residuals, np.float64)
    if rest.shape != above.shape:
        raise ValueError(f"{above.size} sums but residuals of shape {rest.shape}")
    n = int(above.size)
    sigma = math.sqrt(mean) if mean > 0 else math.nan
    scale = 1 / mean if unit == "normalised" and mean > 0 else 1.0
    told: Literal["normalised", "counts"] = unit if mean > 0 else "counts"
    if n < FEWEST_FRAMES:
        none, nobody = np.empty(0), np.empty(0, np.int64)
        outside, wide = (0, 0), scale * sigma
        return Histogram(
            n, told, mean, none, nobody, nobody, outside, outside,
            math.nan, math.nan, wide, none, none,
        )  # fmt: skip
    low, high = _range(above, rest, sigma)
    width = _bin_width(rest, high - low)
    # Half-way between possible sums: none falls on an edge.
    whole = math.floor(mean)
    first = math.floor(low + (mean - whole)) - 0.5 - (mean - whole)
    bins = max(1, math.ceil((high - first) / width))
    edges: FloatArray = first + width * np.arange(bins + 1, dtype=np.float64)
    raw, raw_outside = _count(above, edges)
    flat, flat_outside = _count(rest, edges)
    curve_x = curve_y = np.empty(0)
    if mean > 0:
        curve_x = np.linspace(-COUNTING_SIGMAS, COUNTING_SIGMAS, CURVE_POINTS) * sigma
        height = n * width / (sigma * math.sqrt(2 * math.pi))
        curve_y = height * np.exp(-0.5 * (curve_x / sigma) ** 2)
    return Histogram(
        n=n,
        unit=told,
        mean=mean,
        edges=scale * (edges + mean),
        raw=raw,
        detrended=flat,
        raw_outside=raw_outside,
        detrended_outside=flat_outside,
        raw_width=scale * float(above.std(ddof=1)),
        detrended_width=scale * float(rest.std(ddof=1)),
        counting_width=scale * sigma,
        curve_x=scale * (curve_x + mean),
        curve_y=curve_y,
    )


def _range(above: FloatArray, rest: FloatArray, sigma: float) -> tuple[float, float]:
    """Return the lowest and the highest value that bins are for, minus the mean."""
    lows, highs = [-1.0], [1.0]
    for values in (above, rest):
        q25, median, q75 = np.percentile(values, [25, 50, 75]).tolist()
        reach = SIGMAS * (q75 - q25) / _SIGMAS_PER_IQR
        near = reach or math.inf  # more than half are alike: show the others, too
        lows.append(max(float(values.min()), median - near))
        highs.append(min(float(values.max()), median + near))
    if math.isfinite(sigma):
        lows.append(-COUNTING_SIGMAS * sigma)
        highs.append(COUNTING_SIGMAS * sigma)
    return min(lows), max(highs)


def _bin_width(values: FloatArray, span: float) -> float:
    """Return a width of whole counts [counts]."""
    q25, q75 = np.percentile(values, [25, 75]).tolist()
    width = 2 * (q75 - q25) / values.size ** (1 / 3)
    return float(max(1, round(width), math.ceil(span / MOST_BINS)))


def _count(values: FloatArray, edges: FloatArray) -> tuple[IntArray, tuple[int, int]]:
    """Return frames by bin, and those below and above all bins."""
    found, _ = np.histogram(values, edges)
    below = int(np.count_nonzero(values < edges[0]))
    outside = below, int(values.size - found.sum()) - below
    return found.astype(np.int64), outside
