"""The origin's table: what a selection of frames looks like, raw and detrended."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Statistics of one column; NaN where too few frames define them.

    Without frames everything but `count` is NaN; with one frame `std` and
    `cv_percent` are; `cv_percent` also where the mean is 0.
    """

    count: int
    mean: float
    """[counts]"""
    std: float
    """Sample standard deviation, ddof 1 [counts]."""
    cv_percent: float
    """Coefficient of variation, 100 std/mean [%]."""
    minimum: float
    q25: float
    median: float
    q75: float
    maximum: float

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {key: finite_or_none(value) for key, value in asdict(self).items()}

    def rows(self) -> list[tuple[str, int | float]]:
        """Return (label, value) with the origin's labels, in its order."""
        return list(zip(ROW_LABELS, asdict(self).values(), strict=True))


ROW_LABELS = ("count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max")
"""Rows of the origin's table, in the order of the fields of `Table`."""


@dataclass(frozen=True, slots=True)
class Description:
    """A selection of frames: its table, raw and detrended, and the line between."""

    raw: Table
    detrended: Table
    slope: float
    """Of the least-squares line [counts per frame]; 0 with fewer than two frames."""
    centre: float
    """Mean position: where the line passes through the mean. NaN without frames."""
    first: float
    """Smallest position; NaN without frames."""
    last: float
    """Largest position; NaN without frames."""

    @property
    def mean(self) -> float:
        """Mean of the raw values [counts]."""
        return self.raw.mean

    @property
    def drift_percent(self) -> float:
        """Rise of the line from the first to the last frame [% of the mean]."""
        if not self.raw.mean:
            return math.nan
        return 100 * self.slope * (self.last - self.first) / self.raw.mean

    def line(self, positions: npt.ArrayLike) -> FloatArray:
        """Return the least-squares line at `positions` [counts]."""
        distance = np.asarray(positions, np.float64) - self.centre
        return self.raw.mean + self.slope * distance

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "raw": self.raw.as_dict(),
            "detrended": self.detrended.as_dict(),
            "slope": finite_or_none(self.slope),
            "centre": finite_or_none(self.centre),
            "first": finite_or_none(self.first),
            "last": finite_or_none(self.last),
            "drift_percent": finite_or_none(self.drift_percent),
        }


def describe(
    values: npt.ArrayLike, positions: npt.ArrayLike | None = None
) -> Description:
    """Describe the values of a selection, raw and detrended.

    Parameters
    ----------
    values
        (n,) integers or finite floats [counts]; stored frames only.
    positions
        (n,) image_id of each value; None: consecutive from 0. Gaps between them
        count: the line is fitted where the frames truly are.
    """
    above, offset = _above_smallest(values)
    n = above.size
    if not n:
        empty = Table(0, *[math.nan] * 8)
        return Description(empty, empty, 0.0, math.nan, math.nan, math.nan)
    mean_above = float(above.mean())
    centred = above - mean_above
    distance, centre = _distances(n, positions)
    slope = _slope(distance, centred)
    return Description(
        raw=_table(above, offset),
        detrended=_table(centred - slope * distance, offset + mean_above),
        slope=slope,
        centre=centre,
        first=centre + float(distance.min()),
        last=centre + float(distance.max()),
    )


def centred(values: npt.ArrayLike) -> tuple[FloatArray, float]:
    """Return `values` minus their mean, and the mean; (empty, NaN) without values.

    Integers keep their differences exactly, beyond 2^53 too.
    """
    above, offset = _above_smallest(values)
    if not above.size:
        return above, math.nan
    mean_above = float(above.mean())
    above -= mean_above
    return above, offset + mean_above


def finite_or_none(value: float) -> float | None:
    """Return `value`, or None where it is NaN or infinite (JSON knows neither)."""
    return value if math.isfinite(value) else None


def _above_smallest(values: npt.ArrayLike) -> tuple[FloatArray, float]:
    """Return the values above the smallest one, and that one.

    Taken off while integers are still exact: sums beyond 2^53 keep their
    differences, and the statistics of ordinary ones carry no rounding.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"values must have one dimension, not {array.ndim}")
    if not array.size:
        return np.empty(0), math.nan
    smallest = array.min()
    if array.dtype.kind in "iu":
        # Modular: also right where a difference exceeds the signed range.
        above = array.astype(np.uint64) - smallest.astype(np.uint64)
        return above.astype(np.float64), float(smallest)
    return array.astype(np.float64) - float(smallest), float(smallest)


def _distances(n: int, positions: npt.ArrayLike | None) -> tuple[FloatArray, float]:
    """Return the positions minus their mean, and the mean."""
    if positions is None:
        centre = (n - 1) / 2
        return np.arange(n, dtype=np.float64) - centre, centre
    array = np.asarray(positions)
    if array.shape != (n,):
        raise ValueError(f"{n} values but positions of shape {array.shape}")
    above, offset = _above_smallest(array)
    mean_above = float(above.mean())
    return above - mean_above, offset + mean_above


def _slope(distance: FloatArray, centred: FloatArray) -> float:
    spread = float(distance @ distance)
    return float(distance @ centred) / spread if spread else 0.0


def _table(above: FloatArray, base: float) -> Table:
    """Return the table of `base` + `above`, which stays near zero to be precise."""
    n = above.size
    mean_above = float(above.mean())
    centred = above - mean_above
    std = math.sqrt(float(centred @ centred) / (n - 1)) if n > 1 else math.nan
    mean = base + mean_above
    q25, median, q75 = _quartiles(above)
    return Table(
        count=n,
        mean=mean,
        std=std,
        cv_percent=100 * std / mean if mean else math.nan,
        minimum=base + float(above.min()),
        q25=base + q25,
        median=base + median,
        q75=base + q75,
        maximum=base + float(above.max()),
    )


def _quartiles(values: FloatArray) -> tuple[float, float, float]:
    """Return 25, 50 and 75 % by linear interpolation, from one partition."""
    last = values.size - 1
    ranks = [last * part / 4 for part in (1, 2, 3)]
    lower = [math.floor(rank) for rank in ranks]
    ordered = np.partition(values, sorted({*lower, *(min(k + 1, last) for k in lower)}))
    q25, median, q75 = (
        float(ordered[k] + (rank - k) * (ordered[min(k + 1, last)] - ordered[k]))
        for rank, k in zip(ranks, lower, strict=True)
    )
    return q25, median, q75
