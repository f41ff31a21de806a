"""When the frames were taken: sampling rate, regularity, missing samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.measured import FloatArray, Measured
from eigerwatch.analysis.statistics import finite_or_none

SlotArray = npt.NDArray[np.int64]

MAX_STRAY = 0.05
"""Largest share of steps off by over half a frame for the times to be believed."""
MAX_JITTER = 0.05
"""Largest rms distance from the grid [frame times] that counts as regular."""
MAX_DIFFERENCE = 1e-3
"""Relative difference of measured and announced frame time worth a sentence."""


@dataclass(frozen=True, slots=True)
class TimeBase:
    """Places of the frames on a regular grid of times, and how sure they are."""

    rate_hz: float
    """Frames per second; 1 where the unit is "per frame"; NaN without frames."""
    unit: str
    """Of frequencies: "Hz", or "per frame" where no time is known."""
    source: str
    """What the rate was taken from: "start times", "frame time" or "none"."""
    slots: SlotArray
    """(n,) place of each frame on the grid; the first frame's is 0."""
    origin_s: float
    """Time of slot 0 since the series' start [s]; NaN where not told."""
    runs: SlotArray
    """(r, 2) half-open ranges of frames between which none is missing."""
    missing: int
    """Slots between the first and the last frame that hold no frame."""
    longest_gap: int
    """Most slots missing in a row."""
    jitter_s: float
    """Rms distance of the start times from the grid [s]; NaN where not told."""
    regular: bool
    """The frames' own times lie on the grid, without pauses."""
    text: str
    """All this in sentences."""

    @property
    def missing_share(self) -> float:
        """Missing slots as a share of all; 0 without frames."""
        slots = self.slots.size + self.missing
        return self.missing / slots if slots else 0.0

    def seconds(self, used: npt.NDArray[np.bool_]) -> FloatArray | None:
        """Return the times of some frames since slot 0 [s]; None: no time is known."""
        if self.unit != "Hz" or not self.rate_hz > 0:
            return None
        return self.slots[used] / self.rate_hz

    def as_dict(self) -> dict[str, Any]:
        """Return all but the frames' slots, safe for JSON."""
        return {
            "rate_hz": finite_or_none(self.rate_hz),
            "unit": self.unit,
            "source": self.source,
            "origin_s": finite_or_none(self.origin_s),
            "runs": len(self.runs),
            "missing": self.missing,
            "missing_share": self.missing_share,
            "longest_gap": self.longest_gap,
            "jitter_s": finite_or_none(self.jitter_s),
            "regular": self.regular,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Fit:
    """Start times as a line over slots."""

    slots: SlotArray
    period_s: float
    origin_s: float
    jitter_s: float
    pauses: int
    told: int


def time_base(measured: Measured) -> TimeBase:
    """Find the grid on which the frames were taken.

    The rate is the least-squares line of start times against positions, after times
    that stray alone are dropped. Pauses, in which time goes on and positions do not
    (triggers), widen the grid. Times that fit no grid are not used: then the
    announced frame time is, and without one frequencies are "per frame".
    """
    positions = measured.positions.astype(np.int64, copy=False)
    n = positions.size
    fit = None
    sentences = []
    times = measured.times_s
    if times is not None and n > 1:
        if np.isfinite(times).any():
            fit = _fit(positions, times)
            if fit is None:
                sentences.append("The frames' start times fit no regular grid.")
        else:
            sentences.append("The frames' start times are not told.")
    announced = measured.frame_time_s
    known = announced is not None and math.isfinite(announced) and announced > 0
    slots = positions - positions[0] if n else positions
    origin = jitter = math.nan
    if times is not None and n and math.isfinite(times[0]):
        origin = float(times[0])
    if fit is not None:
        slots, origin, jitter = fit.slots, fit.origin_s, fit.jitter_s
        rate, unit, source = 1 / fit.period_s, "Hz", "start times"
        sentences += _about_times(fit, n, announced if known else None)
    elif known and announced is not None:
        rate, unit, source = 1 / announced, "Hz", "frame time"
        sentences.append(f"Rate {rate:.6g} Hz from the announced frame time.")
    else:
        rate, unit, source = 1.0, "per frame", "none"
        sentences.append("No time is known: frequencies are per frame.")
    steps = np.diff(slots)
    gaps = np.flatnonzero(steps != 1)
    missing = int(slots[-1]) + 1 - n if n else 0
    sentences.append(
        f"{missing} of {n + missing} frames are missing, in {gaps.size} gaps."
        if missing
        else "No frame is missing."
    )
    edges = np.concatenate([[0], gaps + 1, [n]]) if n else np.zeros(1, np.int64)
    regular = (
        fit is not None and not fit.pauses and fit.jitter_s <= MAX_JITTER * fit.period_s
    )
    return TimeBase(
        rate_hz=rate if n else math.nan,
        unit=unit,
        source=source,
        slots=slots,
        origin_s=origin,
        runs=np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int64),
        missing=missing,
        longest_gap=int(steps.max(initial=1)) - 1,
        jitter_s=jitter,
        regular=regular,
        text=" ".join(sentences) if n else "Not enough data (n = 0).",
    )


def _about_times(fit: _Fit, n: int, announced: float | None) -> list[str]:
    sentences = [f"Rate {1 / fit.period_s:.6g} Hz from the frames' start times."]
    if fit.jitter_s > MAX_JITTER * fit.period_s:
        share = 100 * fit.jitter_s / fit.period_s
        sentences.append(f"They stray from a regular grid by {share:.0f} % of a frame.")
    if fit.told < n:
        sentences.append(f"{n - fit.told} times are not told or stray, and not used.")
    if fit.pauses:
        sentences.append(f"There are {fit.pauses} pauses between the frames.")
    if announced and abs(fit.period_s / announced - 1) > MAX_DIFFERENCE:
        sentences.append(f"The announced frame time is another one: {announced:.6g} s.")
    return sentences


def _fit(positions: SlotArray, times: FloatArray) -> _Fit | None:
    """Return the line through the start times; None where they fit no grid."""
    told = np.flatnonzero(np.isfinite(times))
    if told.size < 2:
        return None
    period = _period(positions[told], times[told])
    if not period > 0:
        return None
    told = told[~_strays(positions[told], times[told], period)]
    if told.size < max(2, positions.size // 2):
        return None
    at, when = positions[told], times[told]
    late = np.rint(np.diff(when) / period - np.diff(at)).astype(np.int64)
    if np.count_nonzero(late) > MAX_STRAY * late.size:
        return None
    # A frame without a time belongs to the pauses before it.
    before = np.searchsorted(told, np.arange(positions.size), side="right") - 1
    delays = np.concatenate([[0], np.cumsum(late)])
    slots = positions - positions[0] + delays[np.maximum(before, 0)]
    if np.any(np.diff(slots) < 1):
        return None
    places = (slots[told] - slots[told].mean()).astype(np.float64)
    first = float(when[0])
    above = when - first
    mean = float(above.mean())
    slope = float(places @ (above - mean)) / float(places @ places)
    if not slope > 0:
        return None
    rest = above - mean - slope * places
    return _Fit(
        slots=slots,
        period_s=slope,
        origin_s=first + mean - slope * float(slots[told].mean()),
        jitter_s=math.sqrt(float(rest @ rest) / rest.size),
        pauses=int(np.count_nonzero(late)),
        told=int(told.size),
    )


def _period(positions: SlotArray, times: FloatArray) -> float:
    """Return the median time per frame [s]."""
    return float(np.median(np.diff(times) / np.maximum(np.diff(positions), 1)))


def _strays(
    positions: SlotArray, times: FloatArray, period: float
) -> npt.NDArray[np.bool_]:
    """Return which times are off while the ones before and after agree."""
    late = np.diff(times) / period - np.diff(positions)
    stray = np.zeros(times.size, np.bool_)
    off = np.abs(late) > 0.5
    back = np.abs(late[:-1] + late[1:]) < 0.5
    stray[1:-1] = off[:-1] & off[1:] & back
    # Of neighbours that all stray, which one is right cannot be told.
    stray[1:] &= ~stray[:-1]
    return stray
