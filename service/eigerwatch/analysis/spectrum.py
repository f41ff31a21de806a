"""Power spectral density of the relative intensity, calibrated and with its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import scipy.special

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.sines import SineFit, Sines
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.timebase import SlotArray

SHORTEST_SEGMENT = 8
LONGEST_SEGMENT = 8192
FEWEST_PER_RECORD = 10
"""A segment is at most this part of the frames: some 20 with their overlap."""
LONGEST_BRIDGE = 32
"""Missing frames in a row that are bridged."""
NEIGHBOURS = 8
"""Frames on each side whose mean stands in a gap."""
MOST_BRIDGED = 0.3
"""Share of missing frames beyond which a sentence says that levels are rough."""
LEAST_USED = 0.8
"""Share of the frames that segments must cover, else they get shorter."""
BATCH = 64


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One-sided spectral density; its integral over frequency is the variance."""

    frequencies_hz: FloatArray
    """(m,) from 0 to the Nyquist frequency [unit]."""
    density: FloatArray
    """(m,) of the relative intensity [1/unit]."""
    dof: float
    """Equivalent degrees of freedom of an ordinate; half as many at both ends."""
    segments: int
    segment_frames: int
    resolution_hz: float
    """Equivalent noise bandwidth of an ordinate [unit]."""
    shot_density: float
    """Level of photon counting, 2/(mean x rate) [1/unit]; NaN where not known."""
    unit: str
    """"Hz" or "per frame"."""
    used_share: float
    """Frames in segments, as a share of all."""
    bridged: int
    """Missing frames that were bridged."""
    text: str
    """How missing frames were dealt with, and why there is nothing."""

    @property
    def step_hz(self) -> float:
        """Distance of ordinates [unit]; NaN without any."""
        if self.frequencies_hz.size < 2:
            return math.nan
        return float(self.frequencies_hz[1])

    @property
    def variance(self) -> float:
        """Integral of the density."""
        return float(np.sum(self.density)) * self.step_hz

    @property
    def rms_from_low(self) -> FloatArray:
        """(m,) rms of all up to each frequency, relative."""
        return np.sqrt(np.cumsum(self.density) * self.step_hz)

    @property
    def rms_from_high(self) -> FloatArray:
        """(m,) rms of all from each frequency on, relative."""
        return np.sqrt(np.cumsum(self.density[::-1])[::-1] * self.step_hz)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return by what to multiply an ordinate for its confidence interval."""
        if not self.dof > 0:
            return math.nan, math.nan
        outside = (1 - level) / 2
        low, high = scipy.special.chdtri(self.dof, [outside, 1 - outside])
        return float(self.dof / low), float(self.dof / high)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        low, high = self.interval()
        return {
            "frequencies_hz": self.frequencies_hz.tolist(),
            "density": self.density.tolist(),
            "rms_from_low": self.rms_from_low.tolist(),
            "rms_from_high": self.rms_from_high.tolist(),
            "interval95": [finite_or_none(low), finite_or_none(high)],
            "dof": finite_or_none(self.dof),
            "segments": self.segments,
            "segment_frames": self.segment_frames,
            "resolution_hz": finite_or_none(self.resolution_hz),
            "shot_density": finite_or_none(self.shot_density),
            "unit": self.unit,
            "used_share": self.used_share,
            "bridged": self.bridged,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Bridged:
    """A signal in runs without missing values."""

    values: FloatArray
    """(m,) by slot."""
    runs: SlotArray
    """(r, 2) half-open ranges of slots."""
    bridged: int
    """Missing values that were filled in."""
    lost: float
    """Variance per slot that the filled-in values lack, being without noise."""
    text: str


def power_spectrum(
    signal: Signal,
    sines: Sines | None = None,
    resolution_hz: float | None = None,
) -> Spectrum:
    """Estimate the density by Welch's method: Hann window, half overlapping segments.

    No segment crosses an exclusion, a cut or a gap that is not bridged; each is
    detrended by its own line. Segments are spread evenly over a run, so that they
    overlap by at least a half and no end is left out. Equivalent degrees of freedom
    count the overlap (Welch, IEEE Trans. Audio Electroacoust. 15, 70, 1967).

    Parameters
    ----------
    signal
        Relative intensity, or any other quantity.
    sines
        Its lines: these go on through bridged gaps.
    resolution_hz
        Wanted resolution, 1.5/segment; None: so that there are some 20 segments.
    """
    bridged = bridge(signal, sines)
    length = segment_length(signal, bridged.runs, resolution_hz)
    starts = segment_starts(bridged.runs, length) if length else []
    if not starts:
        return _nothing(signal, bridged)
    window = hann(length)
    total = np.zeros(length // 2 + 1)
    every = np.concatenate(starts)
    rows = np.lib.stride_tricks.sliding_window_view(bridged.values, length)
    for k in range(0, every.size, BATCH):
        tapered = detrend_rows(rows[every[k : k + BATCH]]) * window
        power = np.abs(scipy.fft.rfft(tapered, axis=1)) ** 2
        total += power.sum(axis=0) / float(window @ window)
    count = sum(part.size for part in starts)
    density = (total / count + bridged.lost) * 2 / signal.rate_hz
    density[0] /= 2
    if length % 2 == 0:
        density[-1] /= 2
    step = signal.rate_hz / length
    return Spectrum(
        frequencies_hz=np.arange(density.size, dtype=np.float64) * step,
        density=density,
        dof=equivalent_dof(starts, window),
        segments=count,
        segment_frames=length,
        resolution_hz=signal.rate_hz
        * float(window @ window)
        / float(window.sum()) ** 2,
        shot_density=signal.shot_density,
        unit=signal.unit,
        used_share=_used(signal, starts, length),
        bridged=bridged.bridged,
        text=bridged.text,
    )


def bridge(signal: Signal, sines: Sines | None = None) -> Bridged:
    """Fill short gaps with the lines and the mean of the frames around.

    That follows all that is slow or steady, and holds no noise of its own; the noise
    missing there belongs to no frequency, so that it can be given back as a level
    (interpolation between single frames would take it from high ones alone).
    """
    missing = signal.missing
    if not missing:
        text = signal.text or "No frame is missing."
        return Bridged(signal.values, signal.stretches, 0, 0.0, text)
    there = np.flatnonzero(signal.measured)
    gone = np.flatnonzero(~signal.measured)
    model = np.zeros(signal.values.size)
    if sines is not None and sines.size:
        model = SineFit(signal).model(sines)
    values = signal.values.copy()
    rest = signal.values[there] - model[there]
    values[gone] = model[gone] + _around(gone, there, rest, signal.stretches)
    # Runs end where a stretch does and at gaps too long to be bridged.
    steps = np.diff(there)
    long = np.flatnonzero(steps > LONGEST_BRIDGE + 1)
    starts = np.union1d(signal.stretches[:, 0], there[long + 1])
    stops = np.union1d(signal.stretches[:, 1], there[long] + 1)
    runs = np.stack([starts, stops], axis=1)
    count = int(np.sum(stops - starts)) - signal.n
    text = f"{count} missing frames are bridged by lines and neighbours"
    text += "" if count == missing else f", gaps of {missing - count} left open"
    if count > MOST_BRIDGED * (signal.n + count):
        text += f" of {signal.n + count}: levels are rough"
    # Half the mean square of differences: noise without all that is slow.
    next_to = np.diff(rest)[steps == 1]
    noise = float(next_to @ next_to) / 2 / max(next_to.size, 1)
    lost = noise * count / (signal.n + count)
    text = f"{signal.text} {text}.".strip()
    return Bridged(values, runs, count, lost, text)


def _around(
    gone: SlotArray, there: SlotArray, rest: FloatArray, stretches: SlotArray
) -> FloatArray:
    """Return the mean of the nearest values of the same stretch, before and after."""
    at = np.searchsorted(there, gone)
    stretch = np.maximum(np.searchsorted(stretches[:, 0], gone, side="right") - 1, 0)
    first = np.searchsorted(there, stretches[stretch, 0])
    stop = np.searchsorted(there, stretches[stretch, 1])
    first = np.maximum(at - NEIGHBOURS, first)
    # Between stretches there is nothing to bridge, and any value will do.
    stop = np.maximum(np.minimum(at + NEIGHBOURS, stop), first + 1)
    sums = np.concatenate([[0.0], np.cumsum(rest)])
    stop = np.minimum(stop, rest.size)
    first = np.minimum(first, stop - 1)
    mean: FloatArray = (sums[stop] - sums[first]) / (stop - first)
    return mean


def hann(length: int) -> FloatArray:
    """Return the periodic Hann window."""
    window: FloatArray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


def detrend_rows(rows: FloatArray) -> FloatArray:
    """Return each row minus its least-squares line."""
    tau = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    slope = rows @ tau / max(float(tau @ tau), 1.0)
    rest: FloatArray = rows - rows.mean(axis=1, keepdims=True)
    rest -= np.outer(slope, tau)
    return rest


def _nothing(signal: Signal, bridged: Bridged) -> Spectrum:
    longest = int(np.max(bridged.runs[:, 1] - bridged.runs[:, 0], initial=0))
    text = signal.text or "Not enough data for a spectrum " + (
        f"(n = {signal.n}, longest run {longest})."
    )
    return Spectrum(
        frequencies_hz=np.empty(0),
        density=np.empty(0),
        dof=math.nan,
        segments=0,
        segment_frames=0,
        resolution_hz=math.nan,
        shot_density=signal.shot_density,
        unit=signal.unit,
        used_share=0.0,
        bridged=bridged.bridged,
        text=text,
    )


def segment_length(signal: Signal, runs: SlotArray, resolution_hz: float | None) -> int:
    """Return a power of two; 0 where not even the shortest segment fits."""
    lengths = runs[:, 1] - runs[:, 0]
    longest = int(lengths.max(initial=0))
    if longest < SHORTEST_SEGMENT:
        return 0
    if resolution_hz is not None and resolution_hz > 0:
        wanted = min(1.5 * signal.rate_hz / resolution_hz, 2.0**24)
        length = 1 << max(3, round(math.log2(max(wanted, SHORTEST_SEGMENT))))
    else:
        most = max(signal.n // FEWEST_PER_RECORD, min(signal.n, 64))
        length = min(LONGEST_SEGMENT, 1 << (most.bit_length() - 1))
    while length > longest:
        length //= 2
    needed = LEAST_USED * float(lengths.sum())
    while (
        length > SHORTEST_SEGMENT and float(lengths[lengths >= length].sum()) < needed
    ):
        length //= 2
    return length


def segment_starts(runs: SlotArray, length: int) -> list[SlotArray]:
    """Return the first slots of the segments of each run."""
    starts = []
    for first, stop in runs:
        room = int(stop - first) - length
        if room >= 0:
            count = -(-2 * room // length) + 1
            part = first + np.rint(np.linspace(0, room, count)).astype(np.int64)
            starts.append(part)
    return starts


def equivalent_dof(starts: list[SlotArray], window: FloatArray) -> float:
    """Return 2 x the square of the mean over the variance of an averaged ordinate."""
    energy = float(window @ window)
    count = sum(part.size for part in starts)
    together = float(count)
    for part in starts:
        for apart in range(1, part.size):
            steps = part[apart:] - part[:-apart]
            near = steps[steps < window.size]
            if not near.size:
                break
            shift = int(near.mean())
            common = float(window[shift:] @ window[: window.size - shift]) / energy
            together += 2 * near.size * common**2
    return 2 * count**2 / together


def _used(signal: Signal, starts: list[SlotArray], length: int) -> float:
    covered = np.zeros(signal.values.size + 1, np.int64)
    for part in starts:
        np.add.at(covered, part, 1)
        np.add.at(covered, part + length, -1)
    inside = np.cumsum(covered[:-1]) > 0
    return float(np.count_nonzero(inside & signal.measured)) / signal.n
