"""How sure a coefficient of variation is: intervals that respect autocorrelation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.autocorrelation import Correlation, correlation
from eigerwatch.analysis.detrending import Detrended, detrended
from eigerwatch.analysis.statistics import centred, finite_or_none

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

SEED = 20240516
"""Of the resampling: the same frames have the same intervals, everywhere."""
FEWEST_FRAMES = 50
"""With fewer, nine intervals of ten would not cover the truth."""
SMALLEST_LEVEL = 0.1
"""Least mean of a resample, relative to that of the run."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper limit; both NaN where there is no interval."""

    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Return the limits by name, safe for JSON: None instead of NaN."""
        return {"low": finite_or_none(self.low), "high": finite_or_none(self.high)}


UNKNOWN = Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Intervals of the coefficients of variation of a run [%]."""

    n: int
    confidence: float
    """Probability that an interval covers the truth."""
    cv_raw: Interval
    """Drift and steps included, as far as the same happens again."""
    cv_detrended: Interval
    """Of the fluctuation about the line of each segment."""
    cv_beam: Interval
    """The same without the counting of photons; from 0."""
    correlation: Correlation
    """Of the detrended values."""
    block_length: int
    """Frames per block."""
    blocks: int
    """Blocks per resample."""
    resamples: int
    """0 where there are no intervals."""
    reason: str
    """Why there are no intervals; empty where there are."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "confidence": self.confidence,
            "cv_raw": self.cv_raw.as_dict(),
            "cv_detrended": self.cv_detrended.as_dict(),
            "cv_beam": self.cv_beam.as_dict(),
            "correlation": self.correlation.as_dict(),
            "block_length": self.block_length,
            "blocks": self.blocks,
            "resamples": self.resamples,
            "reason": self.reason,
        }


def uncertainty(
    values: npt.ArrayLike,
    positions: npt.ArrayLike | None = None,
    boundaries: Sequence[int] = (),
    *,
    rest: Detrended | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Uncertainty:
    """Return intervals of CV raw, CV detrended and CV_beam by resampling blocks.

    Moving blocks (H. R. Kuensch, Ann. Statist. 17 (1989) 1217) of residuals, drawn
    with replacement from wherever a whole block lies within one segment and no gap
    would hold a block. A resample needs no more of a block than its sums, which
    are differences of running ones. The quantiles are expanded by Student's t for the
    number of blocks (T. C. Hesterberg, Am. Stat. 69 (2015) 371), and the resamples are
    centred on the estimate; for CV detrended and CV_beam on that of an endless run:
    lines also take away slow fluctuation, the more the longer it lasts.

    Parameters
    ----------
    values
        (n,) counts of stored frames that are not excluded.
    positions
        (n,) image_id of each value, ascending; None: consecutive.
    boundaries
        image_id at which a segment begins: after a top-up or a step.
    rest
        `detrended` of the same; None: it is made here.
    """
    raw, mean = centred(values)
    rest = detrended(values, positions, boundaries) if rest is None else rest
    n = rest.n
    reason = _no_interval(rest)
    scale = 1 / mean if mean > 0 else 1.0
    related = correlation(rest.residuals * scale, positions)
    if reason:
        return Uncertainty(
            n, confidence, UNKNOWN, UNKNOWN, UNKNOWN, related, 0, 0, 0, reason
        )
    where = np.arange(n) if positions is None else np.asarray(positions)
    length, first = _blocks(where, rest.starts, related.block_length)
    blocks = max(2, round(n / length))
    drawn = np.random.default_rng(SEED).integers(0, first.size, (resamples, blocks))
    quantiles = _expanded(confidence, blocks)

    power = float(rest.residuals @ rest.residuals)
    # White noise would lose one part in n for each number fitted; slow noise more.
    power += rest.parameters * _slow_power(rest, length)
    level, variance = _resampled(
        rest.residuals * scale, power * scale**2 / n, first, length, drawn
    )
    square = variance / level**2
    cv = np.quantile(np.sqrt(square), quantiles)
    shot = 1 / (mean * level)
    beam = np.quantile(np.sqrt(np.maximum(square - shot, 0)), quantiles)

    power = float(raw @ raw)
    level, variance = _resampled(
        raw * scale, power * scale**2 / (n - 1), first, length, drawn
    )
    cv_raw = np.quantile(np.sqrt(variance) / level, quantiles)
    return Uncertainty(
        n=n,
        confidence=confidence,
        cv_raw=_percent(cv_raw),
        cv_detrended=_percent(cv),
        cv_beam=_percent(beam),
        correlation=related,
        block_length=length,
        blocks=blocks,
        resamples=resamples,
        reason="",
    )


def _no_interval(rest: Detrended) -> str:
    """Return why there is no interval, or nothing."""
    if rest.n < FEWEST_FRAMES or rest.n < 2 * rest.parameters:
        return f"not enough data (n = {rest.n})"
    if not rest.mean > 0:
        return "no beam: the mean is 0"
    return ""


def _blocks(
    positions: npt.NDArray[Any], starts: IndexArray, length: int
) -> tuple[int, IndexArray]:
    """Return block length and the first frame of every block that may be drawn.

    Where pieces between boundaries and gaps are so short that most frames belong to
    no block, blocks become shorter.
    """
    n = positions.size
    steps = np.diff(positions)
    border = np.zeros(n, np.bool_)
    border[starts] = True
    border[1:] |= steps > length * np.median(steps)
    piece = np.cumsum(border)
    while True:
        first = np.flatnonzero(piece[length - 1 :] == piece[: n - length + 1])
        covered = first.size + (length - 1) * np.unique(piece[first]).size
        if length == 1 or 2 * covered >= n:
            return length, first
        length //= 2


def _slow_power(rest: Detrended, length: int) -> float:
    """Return the power [counts^2] that a frame's worth of slow fluctuation has.

    That is the variance of means over many frames, times their number; lines that
    were fitted over not many more frames took a known part of it.
    """
    n = rest.n
    length = max(1, min(length, n // (8 * rest.parameters)))
    first = np.arange(n - length + 1)
    means = _block_means(rest.residuals, first, length)
    return length * float(means.var()) / (1 - length * rest.parameters / n)


def _block_means(values: FloatArray, first: IndexArray, length: int) -> FloatArray:
    total = np.append(0.0, np.cumsum(values))
    means: FloatArray = (total[first + length] - total[first]) / length
    return means


def _resampled(
    values: FloatArray,
    estimate: float,
    first: IndexArray,
    length: int,
    drawn: IndexArray,
) -> tuple[FloatArray, FloatArray]:
    """Return mean, about 1, and variance, about `estimate`, of each resample."""
    squares = values * values
    usual = float(squares.mean())
    # Running sums stay near 0, or a block would drown in their rounding.
    level = _block_means(values, first, length)[drawn].mean(axis=1)
    square = _block_means(squares - usual, first, length)[drawn].mean(axis=1)
    variance = np.maximum(usual + square - level**2, 0)
    variance = np.maximum(variance + (estimate - variance.mean()), 0)
    # A beam that is off most of the time has resamples without any.
    return np.maximum(1 + level - level.mean(), SMALLEST_LEVEL), variance


def _expanded(confidence: float, blocks: int) -> tuple[float, float]:
    """Return lower and upper quantile for so many independent blocks."""
    normal = NormalDist()
    z = normal.inv_cdf((1 + confidence) / 2)
    # Student's t from the normal quantile, Cornish-Fisher; exact enough from 8 blocks.
    nu = blocks - 1
    t = z + (z**3 + z) / (4 * nu) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)
    tail = normal.cdf(-t * math.sqrt(blocks / nu))
    return tail, 1 - tail


def _percent(limits: FloatArray) -> Interval:
    return Interval(100 * float(limits[0]), 100 * float(limits[1]))
