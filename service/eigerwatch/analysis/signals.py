"""A fluctuating quantity on the regular grid of times, cut into stretches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.statistics import centred
from eigerwatch.analysis.timebase import SlotArray, TimeBase

LONGEST_GAP = 1024
"""Frames missing in a row that end a stretch as an exclusion does."""
MAX_SPREAD = 4
"""Most slots per frame: what lies behind longer pauses is left out."""
ALWAYS_FITS = 1 << 16
"""So many slots are worked on however few of them hold a frame."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Values on the grid; a stretch is what no exclusion, cut or pause divides."""

    values: FloatArray
    """(m,) by slot; of an intensity x/mean - 1; 0 where nothing was measured."""
    measured: npt.NDArray[np.bool_]
    """(m,) where there is a value."""
    stretches: SlotArray
    """(s, 2) half-open ranges of slots."""
    rate_hz: float
    """Slots per second; 1 where the unit is "per frame"."""
    unit: str
    """Of frequencies: "Hz" or "per frame"."""
    first_slot: int
    """Slot of the time base at which `values` begins."""
    n: int
    """Number of values measured."""
    mean: float
    """[counts]; NaN where the quantity is not an intensity."""
    shot_variance: float
    """What counting alone contributes to the variance; NaN where not known."""
    text: str
    """Why there is nothing, or what was left out; else empty."""

    @property
    def shot_density(self) -> float:
        """One-sided density of the counting noise, 2/(mean x rate) [1/unit]."""
        return 2 * self.shot_variance / self.rate_hz

    @property
    def missing(self) -> int:
        """Slots inside the stretches that hold no value."""
        return int(np.sum(self.stretches[:, 1] - self.stretches[:, 0])) - self.n

    def detrended(self) -> FloatArray:
        """Return the values minus the least-squares line of each stretch."""
        return detrend_stretches(self.values, self)


def intensity_signal(
    counts: npt.ArrayLike,
    time_base: TimeBase,
    excluded: npt.NDArray[np.bool_] | None = None,
    cuts: Iterable[int] = (),
) -> Signal:
    """Return the relative intensity x/mean - 1 on the grid.

    Parameters
    ----------
    counts
        (n,) sums of the frames of `time_base` [counts]; uint64 stays exact.
    excluded
        (n,) frames to leave out; a stretch ends before and begins after them.
    cuts
        Indices of frames at which a stretch begins: steps, top-ups.
    """
    array = np.asarray(counts)
    kept = _kept(array, excluded)
    chosen = array[kept]
    if not chosen.size:
        return _nothing(time_base, "Not enough data (n = 0).")
    relative, mean = centred(chosen)
    if not mean > 0:
        return _nothing(time_base, f"The mean is {mean:g}: nothing is relative to it.")
    relative /= mean
    return _signal(relative, kept, time_base, cuts, mean, 1 / mean)


def plain_signal(
    values: FloatArray,
    time_base: TimeBase,
    shot_variance: float = math.nan,
    excluded: npt.NDArray[np.bool_] | None = None,
    cuts: Iterable[int] = (),
) -> Signal:
    """Return `values` minus their mean on the grid; NaN is not measured.

    Parameters are those of `intensity_signal`.
    """
    kept = _kept(values, excluded)
    kept = kept[np.isfinite(values[kept])]
    if not kept.size:
        return _nothing(time_base, "Not enough data (n = 0).")
    chosen = values[kept]
    return _signal(
        chosen - chosen.mean(), kept, time_base, cuts, math.nan, shot_variance
    )


def detrend_stretches(values: FloatArray, signal: Signal) -> FloatArray:
    """Return (m,) `values` minus the line of each stretch of `signal`; 0 outside."""
    result = np.zeros_like(values)
    for start, stop in signal.stretches:
        there = signal.measured[start:stop]
        part = values[start:stop]
        tau = np.arange(stop - start, dtype=np.float64)
        n = int(np.count_nonzero(there))
        if n < tau.size:
            tau -= float(there @ tau) / n
            tau *= there
            part = part * there
        else:
            tau -= (tau.size - 1) / 2
        spread = float(tau @ tau)
        rest = part - tau * (float(tau @ part) / spread if spread else 0.0)
        rest -= float(part.sum()) / n
        if n < tau.size:
            rest *= there
        result[start:stop] = rest
    return result


def _kept(values: npt.NDArray[np.generic], excluded: object) -> SlotArray:
    if excluded is None:
        return np.arange(values.size)
    return np.flatnonzero(~np.asarray(excluded, np.bool_))


def _nothing(time_base: TimeBase, text: str) -> Signal:
    return Signal(
        values=np.empty(0),
        measured=np.empty(0, np.bool_),
        stretches=np.empty((0, 2), np.int64),
        rate_hz=time_base.rate_hz,
        unit=time_base.unit,
        first_slot=0,
        n=0,
        mean=math.nan,
        shot_variance=math.nan,
        text=text,
    )


def _signal(
    values: FloatArray,
    kept: SlotArray,
    time_base: TimeBase,
    cuts: Iterable[int],
    mean: float,
    shot_variance: float,
) -> Signal:
    slots = time_base.slots[kept]
    at = np.asarray(sorted(cuts), np.int64)
    stretch = np.searchsorted(at, kept, side="right")
    ends = (np.diff(kept) > 1) | (np.diff(stretch) > 0)
    ends |= np.diff(slots) > LONGEST_GAP
    edges = np.concatenate([[0], np.flatnonzero(ends) + 1, [kept.size]])
    # Of frames: where they are, then the ranges of slots that they span.
    first, last = _dense(slots, edges)
    if last == first:
        return _nothing(time_base, "The frames are too far apart for a spectrum.")
    text = ""
    if last - first < kept.size:
        left_out = kept.size - (last - first)
        text = f"{left_out} frames before or after long pauses are left out."
    inside = (edges >= first) & (edges <= last)
    edges = edges[inside]
    slots, values = slots[first:last], values[first:last]
    start = int(slots[0])
    places = slots - start
    dense = np.zeros(int(places[-1]) + 1)
    dense[places] = values
    measured = np.zeros(dense.size, np.bool_)
    measured[places] = True
    bounds = np.stack([places[edges[:-1] - first], places[edges[1:] - first - 1] + 1])
    return Signal(
        values=dense,
        measured=measured,
        stretches=bounds.T.astype(np.int64),
        rate_hz=time_base.rate_hz,
        unit=time_base.unit,
        first_slot=start,
        n=int(slots.size),
        mean=mean,
        shot_variance=shot_variance,
        text=text,
    )


def _dense(slots: SlotArray, edges: SlotArray) -> tuple[int, int]:
    """Return the range of frames, of whole stretches, that is not mostly pauses."""
    best = (0, 0)
    first = 0
    for last in range(1, edges.size):
        stop = int(edges[last])
        while True:
            start = int(edges[first])
            span = int(slots[stop - 1] - slots[start]) + 1
            fits = span <= max(ALWAYS_FITS, MAX_SPREAD * (stop - start))
            if fits or first == last - 1:
                break
            first += 1
        if fits and stop - start > best[1] - best[0]:
            best = (start, stop)
    return best
