"""What drift and top-ups do to a run, taken off: lines by segment, and the drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.autocorrelation import correlation
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.statistics import centred, finite_or_none

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Detrended:
    """A run without the least-squares line of each of its segments.

    With one segment `mean`, `std` and `cv_percent` are those of
    `statistics.describe(...).detrended`.
    """

    residuals: FloatArray
    """(n,) value minus the line of its segment [counts]."""
    starts: IndexArray
    """(s,) index of the first frame of each segment; empty without frames."""
    mean: float
    """Of the raw values [counts]; NaN without frames."""
    parameters: int
    """Numbers fitted: two for a segment, one for a segment of a single frame."""
    std: float
    """ddof 1, and 2 more for each further segment [counts]; NaN below two frames."""
    cv_percent: float
    """100 std/mean [%]; NaN where it is not defined."""

    @property
    def n(self) -> int:
        """Number of frames."""
        return int(self.residuals.size)

    def as_dict(self) -> dict[str, Any]:
        """Return all but the residuals, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "segments": int(self.starts.size),
            "starts": self.starts.tolist(),
            "mean": finite_or_none(self.mean),
            "std": finite_or_none(self.std),
            "cv_percent": finite_or_none(self.cv_percent),
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """One slope under all segments, the steps between them left out.

    Standard errors respect autocorrelation: W. K. Newey and K. D. West, Econometrica
    55 (1987) 703. NaN where too few frames, no mean or no time base define a field.
    """

    n: int
    percent_per_frame: float
    """Slope [% of the mean per image_id]."""
    percent_per_frame_error: float
    percent_per_s: float
    """Slope over time [%/s]."""
    percent_per_s_error: float
    rise_percent: float
    """From the first frame to the last [% of the mean]."""
    rise_percent_error: float

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "percent_per_frame": finite_or_none(self.percent_per_frame),
            "percent_per_frame_error": finite_or_none(self.percent_per_frame_error),
            "percent_per_s": finite_or_none(self.percent_per_s),
            "percent_per_s_error": finite_or_none(self.percent_per_s_error),
            "rise_percent": finite_or_none(self.rise_percent),
            "rise_percent_error": finite_or_none(self.rise_percent_error),
        }


def detrended(
    values: npt.ArrayLike,
    positions: npt.ArrayLike | None = None,
    boundaries: Sequence[int] = (),
) -> Detrended:
    """Subtract the least-squares line of each segment.

    Parameters
    ----------
    values
        (n,) counts of stored frames that are not excluded.
    positions
        (n,) image_id of each value, ascending; None: consecutive from 0.
    boundaries
        image_id at which a segment begins: after a top-up or a step. Those without
        frames on either side change nothing.
    """
    rest, mean, where = _centred(values, positions)
    starts = _segment_starts(where, boundaries)
    distance = _within(where, starts)
    rest = _within(rest, starts)
    if starts.size:
        sizes = np.diff(starts, append=rest.size)
        spread = np.add.reduceat(distance * distance, starts)
        rise = np.add.reduceat(distance * rest, starts)
        rest -= np.repeat(rise / np.where(spread > 0, spread, 1), sizes) * distance
        parameters = int(np.minimum(sizes, 2).sum())
    else:
        parameters = 0
    std = math.nan
    if rest.size > 1:
        # One more than is left: the origin's table counts the mean, not the slope.
        std = math.sqrt(float(rest @ rest) / (rest.size - parameters + 1))
    return Detrended(
        residuals=rest,
        starts=starts,
        mean=mean,
        parameters=parameters,
        std=std,
        cv_percent=100 * std / mean if mean else math.nan,
    )


def drift(
    measured: Measured,
    boundaries: Sequence[int] = (),
    seconds: FloatArray | None = None,
) -> Drift:
    """Return the common slope of all segments, per frame and per second.

    Parameters
    ----------
    measured
        Frames that are not excluded.
    boundaries
        As for `detrended`: steps there are no drift.
    seconds
        (n,) time of each frame by `timebase.time_base`; None: there is none.
    """
    rest, mean, where = _centred(measured.totals, measured.positions)
    starts = _segment_starts(where, boundaries)
    per_frame, error = _slope(where, rest, starts)
    per_s, per_s_error = math.nan, math.nan
    if seconds is not None:
        per_s, per_s_error = _slope(seconds, rest, starts)
    scale = 100 / mean if mean else math.nan
    span = float(where[-1] - where[0]) if where.size else math.nan
    return Drift(
        n=measured.n,
        percent_per_frame=per_frame * scale,
        percent_per_frame_error=error * scale,
        percent_per_s=per_s * scale,
        percent_per_s_error=per_s_error * scale,
        rise_percent=per_frame * span * scale,
        rise_percent_error=error * span * scale,
    )


def _segment_starts(
    positions: npt.NDArray[Any], boundaries: Sequence[int] = ()
) -> IndexArray:
    """Return the index of the first frame of each segment, ascending."""
    if not positions.size:
        return np.empty(0, np.intp)
    cuts = np.searchsorted(positions, np.asarray(boundaries, np.float64))
    return np.unique(np.append(cuts[cuts < positions.size], 0))


def _centred(
    values: npt.ArrayLike, positions: npt.ArrayLike | None
) -> tuple[FloatArray, float, FloatArray]:
    """Return the centred values, their mean, and the positions as floats."""
    rest, mean = centred(values)
    if positions is None:
        return rest, mean, np.arange(rest.size, dtype=np.float64)
    where = np.asarray(positions)
    if where.shape != rest.shape:
        raise ValueError(f"{rest.size} values but positions of shape {where.shape}")
    return rest, mean, where.astype(np.float64)


def _within(values: FloatArray, starts: IndexArray) -> FloatArray:
    """Return a copy of `values` minus the mean of their segment."""
    if not values.size:
        return values.copy()
    sizes = np.diff(starts, append=values.size)
    # Large positions first: a sum over many of them would round.
    near: FloatArray = values - values[0]
    near -= np.repeat(np.add.reduceat(near, starts) / sizes, sizes)
    return near


def _slope(
    axis: FloatArray, values: FloatArray, starts: IndexArray
) -> tuple[float, float]:
    """Return the pooled slope of `values` over `axis`, and its standard error."""
    n, parameters = values.size, starts.size + 1
    distance, rest = _within(axis, starts), _within(values, starts)
    spread = float(distance @ distance)
    if not spread > 0:
        return math.nan, math.nan
    slope = float(distance @ rest) / spread
    rest -= slope * distance
    if n <= parameters:
        return slope, math.nan
    block = correlation(rest).block_length
    # Bartlett's kernel, as the mean square of all sums over `block` neighbours.
    padded = np.zeros(n + 2 * block - 1)
    padded[block : block + n] = distance * rest
    total = np.cumsum(padded)
    sums = total[block:] - total[:-block]
    power = float(sums @ sums) / block
    # Residuals of a fit sum to 0: the kernel misses about this part.
    power *= n / (n - parameters) / (1 - block / n)
    return slope, math.sqrt(power) / spread
