"""Sinusoids in the intensity: how strong, how sure, and which they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.fft

from eigerwatch.analysis.broad import broad_peaks
from eigerwatch.analysis.floor import FIRST, Floor, noise_floor
from eigerwatch.analysis.line import Line, joined, with_broad
from eigerwatch.analysis.mains import name_lines
from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.sines import NO_SINES, SineFit, Sines
from eigerwatch.analysis.spectrum import power_spectrum
from eigerwatch.analysis.statistics import finite_or_none

FALSE_ALARM = 0.02
"""Largest probability that noise alone shows a line like it somewhere."""
MORE_PEAKS = "More peaks are left: not a spectrum of lines."
PADDING = 2
"""Ordinates per 1/length: between two of them a line loses a fifth at most."""
SHORTEST = 64
"""Fewest frames in which lines are looked for."""
MOST_SINES = 100
"""A spectrum with more of them is not one of lines."""
MOST_PASSES = 12
"""Each takes all peaks that cannot be leakage of stronger ones; 2 to 4 are usual."""
ROUNDING = 1e-12
"""Of the values: what is smaller is arithmetic."""
BLOCKED_BINS = 0.8
"""Two sines nearer than this [1/length] are one that is not quite steady."""


@dataclass(frozen=True, slots=True)
class LineSearch:
    """The lines found, strongest first, and where they were looked for."""

    lines: tuple[Line, ...]
    lowest_hz: float
    """Searched range; NaN where nothing was."""
    highest_hz: float
    resolution_hz: float
    """1/length of the record: nearer lines are not told apart."""
    unit: str
    false_alarm: float
    """Largest false alarm probability of what counts as found."""
    complete: bool
    """False where more peaks were left than are taken."""
    sines: Sines
    """All sines of the lines, on the signal's grid."""
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return all but the sines, safe for JSON."""
        return {
            "lines": [line.as_dict() for line in self.lines],
            "lowest_hz": finite_or_none(self.lowest_hz),
            "highest_hz": finite_or_none(self.highest_hz),
            "resolution_hz": finite_or_none(self.resolution_hz),
            "unit": self.unit,
            "false_alarm": self.false_alarm,
            "complete": self.complete,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Search:
    """What stays the same from pass to pass; frequencies in bins of 1/length."""

    length: int
    """Of the transform, little more than that of the record [slots]."""
    lowest: int
    highest: int
    leak: float
    """Largest share of a line's power that gaps put anywhere else."""
    limit: float
    rounding: float
    """Least level of a periodogram."""

    def floor(self, power: FloatArray) -> Floor | None:
        """Return the noise floor of a padded periodogram."""
        found = noise_floor(power[::PADDING])
        if found is None:
            return None
        return Floor(np.maximum(found.density, self.rounding), found.ordinates)

    def log_false_alarm(self, z: FloatArray, ordinates: FloatArray) -> FloatArray:
        """Return the log of the expected number of noise peaks above `z`.

        Peaks of a continuous periodogram: Baluev, MNRAS 385, 1279 (2008), eq. 6 and
        its table; a floor that is itself the mean of `ordinates` exponential values
        turns exp(-z) into a power.
        """
        width = (self.highest - self.lowest) * math.sqrt(math.pi / 3)
        tail = ordinates * np.log1p(z / ordinates)
        rate: FloatArray = np.log(width) + 0.5 * np.log(np.maximum(z, 1e-300)) - tail
        return rate


def find_lines(
    signal: Signal,
    false_alarm: float = FALSE_ALARM,
    mains_hz: float | None = None,
) -> LineSearch:
    """Find the lines of a signal one after the other, the strongest first.

    The highest peaks of the periodogram of the whole record, zeros where nothing was
    measured, are fitted as sines by least squares where frames truly are, subtracted,
    and the rest is searched again, so that neither sidelobes nor gaps of strong lines
    hide weak ones or pass for them (CLEAN: Roberts, Lehar and Dreher, Astron. J. 93,
    968, 1987). A peak counts against the local noise floor.

    Parameters
    ----------
    signal
        Relative intensity.
    false_alarm
        Probability with which a record without lines may yield one.
    mains_hz
        50 or 60; None: not known.
    """
    slots = signal.values.size
    longest = int(np.max(signal.stretches[:, 1] - signal.stretches[:, 0], initial=0))
    if signal.n < SHORTEST or longest < SHORTEST // 2:
        return _nothing(signal, false_alarm)
    length = scipy.fft.next_fast_len(slots, real=True)
    search = _Search(
        length=length,
        # Four periods in the longest stretch: below, lines and drift look alike.
        lowest=max(FIRST, -(-FIRST * length // longest)),
        highest=length // 2 - 2,
        leak=(1 - signal.n / slots) ** 2,
        limit=math.log(false_alarm),
        rounding=(ROUNDING * float(np.abs(signal.values).max(initial=0.0))) ** 2,
    )
    fit = SineFit(signal)
    sines = NO_SINES
    rest = fit.rest(sines)
    complete = False
    for _ in range(MOST_PASSES):
        power = _periodogram(rest, search.length, signal.n)
        floor = search.floor(power)
        new = _peaks(power, floor, search, sines)
        if not new.size:
            complete = True
            break
        if sines.size == MOST_SINES:
            break
        sines = sines.with_new(new[: MOST_SINES - sines.size])
        sines = fit.improved(sines, steps=2)
        rest = fit.rest(sines)
    sines = fit.improved(sines)
    sines, lines = _sure_lines(fit, sines, search, signal)
    spectrum = power_spectrum(signal, sines)
    for peak in broad_peaks(spectrum):
        lines = with_broad(lines, peak, spectrum)
    names = name_lines(
        [(line.frequency_hz, line.frequency_se_hz) for line in lines],
        signal.rate_hz if signal.unit == "Hz" else math.nan,
        signal.rate_hz / slots,
        mains_hz,
    )
    named = [
        replace(line, naming=name) for line, name in zip(lines, names, strict=True)
    ]
    named.sort(key=lambda line: -line.amplitude)
    return LineSearch(
        lines=tuple(named),
        lowest_hz=search.lowest * signal.rate_hz / length,
        highest_hz=search.highest * signal.rate_hz / length,
        resolution_hz=signal.rate_hz / slots,
        unit=signal.unit,
        false_alarm=false_alarm,
        complete=complete,
        sines=sines,
        text=f"{signal.text} {'' if complete else MORE_PEAKS}".strip(),
    )


def _nothing(signal: Signal, false_alarm: float) -> LineSearch:
    return LineSearch(
        lines=(),
        lowest_hz=math.nan,
        highest_hz=math.nan,
        resolution_hz=math.nan,
        unit=signal.unit,
        false_alarm=false_alarm,
        complete=True,
        sines=NO_SINES,
        text=signal.text or f"Not enough data for lines (n = {signal.n}).",
    )


def _periodogram(rest: FloatArray, length: int, n: int) -> FloatArray:
    """Return |sum|^2/n at multiples of 1/(PADDING length); white noise: its variance.

    Every PADDING-th ordinate is, but for gaps, independent of the others.
    """
    transform = scipy.fft.rfft(rest, PADDING * length)
    power: FloatArray = transform.real**2 + transform.imag**2
    power /= n
    return power


def _peaks(
    power: FloatArray, floor: Floor | None, search: _Search, known: Sines
) -> FloatArray:
    """Return the angular frequencies of new peaks that noise and leakage are not."""
    if floor is None:
        return np.empty(0)
    first, last = PADDING * search.lowest, PADDING * search.highest
    at = np.arange(first, last + 1)
    here = power[first : last + 1]
    highest = (here >= power[first - 1 : last]) & (here > power[first + 1 : last + 2])
    level = floor.density[np.minimum(at // PADDING, floor.density.size - 1)]
    # A fifth may be lost between ordinates, and noise peaks are below about 10.
    at = at[highest & (here > 8 * level)]
    if not at.size:
        return np.empty(0)
    left, middle, right = (np.sqrt(power[at + step]) for step in (-1, 0, 1))
    curvature = left - 2 * middle + right
    offset = np.where(curvature < 0, 0.5 * (left - right) / curvature, 0.0)
    offset = np.clip(offset, -0.5, 0.5)
    height = (middle - 0.25 * (left - right) * offset) ** 2
    place = (at + offset) / PADDING
    below = np.minimum(at // PADDING, floor.density.size - 1)
    sure = search.log_false_alarm(height / floor.density[below], floor.ordinates[below])
    # Loosely, as the fit decides in the end.
    order = np.argsort(-height)
    order = order[sure[order] < search.limit + 1]
    known_bins = known.omega * search.length / (2 * math.pi)
    taken: list[int] = []
    for candidate in order[: 5 * MOST_SINES]:
        here_bins = place[candidate]
        if known_bins.size and np.abs(known_bins - here_bins).min() < BLOCKED_BINS:
            continue
        strong = np.array(taken, np.intp)
        distance = np.abs(place[strong] - here_bins)
        leaks = np.maximum((math.pi * distance) ** -2.0, search.leak)
        if height[candidate] > 4 * float(np.sum(height[strong] * leaks)):
            taken.append(int(candidate))
    found: FloatArray = place[np.array(taken, np.intp)] * 2 * math.pi / search.length
    return found


def _sure_lines(
    fit: SineFit, sines: Sines, search: _Search, signal: Signal
) -> tuple[Sines, list[Line]]:
    """Return the sines that the noise around them leaves, and the lines they make."""
    while sines.size:
        rest = fit.rest(sines)
        floor = search.floor(_periodogram(rest, search.length, signal.n))
        if floor is None:
            return NO_SINES, []
        bins = sines.omega * search.length / (2 * math.pi)
        at = np.clip(np.rint(bins).astype(np.intp), FIRST, floor.density.size - 1)
        level = floor.density[at]
        precision = fit.precision(sines)
        error = precision.amplitude * np.sqrt(level)
        size = np.abs(sines.amplitude)
        chance = search.log_false_alarm(0.5 * (size / error) ** 2, floor.ordinates[at])
        lines = [
            Line(
                frequency_hz=float(bins[k] * signal.rate_hz / search.length),
                frequency_se_hz=min(
                    float(precision.omega[k])
                    * math.sqrt(level[k])
                    * signal.rate_hz
                    / (2 * math.pi),
                    signal.rate_hz / signal.values.size,
                ),
                amplitude=float(size[k]),
                amplitude_se=float(error[k]),
                phase_rad=_phase(sines, k, fit.centre),
                false_alarm_probability=-math.expm1(-math.exp(min(chance[k], 3.0))),
                noise_density=float(2 * level[k] / signal.rate_hz),
                width_hz=0.0,
            )
            for k in range(sines.size)
        ]
        sure = chance <= search.limit
        if sure.all():
            return sines, joined(lines, signal.rate_hz / search.length)
        # The weakest may have been all that made others look like lines.
        doubtful = (chance < chance.max()) & (chance < search.limit + 5)
        sines = sines.at(sure | doubtful)
        sines = fit.improved(sines)
    return NO_SINES, []


def _phase(sines: Sines, k: int, centre: float) -> float:
    """Return the phase at slot 0, within -pi to pi."""
    angle = float(np.angle(sines.amplitude[k])) - float(sines.omega[k]) * centre
    return math.remainder(angle, 2 * math.pi)
