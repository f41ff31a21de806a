"""Which share of the fluctuation comes from which band of frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.fft

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal, detrend_stretches
from eigerwatch.analysis.sines import NO_SINES, SineFit, Sines
from eigerwatch.analysis.spectrum import bridge
from eigerwatch.analysis.statistics import finite_or_none

EDGES_HZ = (0.0, 1.0, 10.0, 45.0, 65.0, 160.0)
"""Feedback and drift; ground and cooling water; girders and mirrors; the mains; its
second and third harmonic (160: between those of 50 and 60 Hz, so that no line sits on
an edge); fast. The last band ends at the Nyquist frequency."""
EDGES_PER_FRAME = (0.0, 0.001, 0.01, 0.1)
"""The same where no time is known."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band's part of the variance of the detrended relative intensity."""

    low_hz: float
    """Included [unit]."""
    high_hz: float
    """Not included, but for the Nyquist frequency [unit]."""
    rms_percent: float
    """[% of the mean]"""
    share: float
    """Of the variance, 0 to 1; the shares of all bands add up to 1."""
    shot_share: float
    """Part of the variance that photon counting explains in this band."""
    dof: float
    """Equivalent degrees of freedom of the band's variance; few where lines rule."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the fields by name, safe for JSON."""
        return {
            "low_hz": finite_or_none(self.low_hz),
            "high_hz": finite_or_none(self.high_hz),
            "rms_percent": finite_or_none(self.rms_percent),
            "share": finite_or_none(self.share),
            "shot_share": finite_or_none(self.shot_share),
            "dof": finite_or_none(self.dof),
        }


@dataclass(frozen=True, slots=True)
class BandBudget:
    """The bands, and what they add up to."""

    bands: tuple[Band, ...]
    rms_percent: float
    """Of the frames, each stretch minus its own line [% of the mean]."""
    unit: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return {
            "bands": [band.as_dict() for band in self.bands],
            "rms_percent": finite_or_none(self.rms_percent),
            "unit": self.unit,
            "text": self.text,
        }


def band_budget(
    signal: Signal,
    sines: Sines | None = None,
    edges_hz: Sequence[float] | None = None,
) -> BandBudget:
    """Split the variance of the detrended frames by frequency.

    Lines belong to the band of their frequency. What is left without them is split by
    the periodogram of the whole record, which has all of the variance (Parseval) and
    the finest resolution at a band's edges, but no window: a strong line would leak
    into quiet bands beside its own. Short gaps are bridged as for the spectrum, what
    is excluded stays zero, and the sum is set to the frames' own.

    Parameters
    ----------
    sines
        The signal's lines; None: there are none that matter.
    edges_hz
        Ascending lower ends of the bands [unit], the first one 0.
    """
    if signal.n < 3:
        text = signal.text or f"Not enough data (n = {signal.n})."
        return BandBudget((), math.nan, signal.unit, text)
    if edges_hz is None:
        edges_hz = EDGES_HZ if signal.unit == "Hz" else EDGES_PER_FRAME
    own = signal.detrended()
    variance = float(own @ own) / signal.n
    nyquist = signal.rate_hz / 2
    edges = [edge for edge in edges_hz if edge < nyquist]
    ends = [*edges[1:], nyquist]
    rest, lines = _without_lines(signal, own, sines or NO_SINES, edges)
    length = scipy.fft.next_fast_len(signal.values.size, real=True)
    power = _power(rest, length)
    at = np.ceil(np.array(edges) * length / signal.rate_hz - 1e-9).astype(np.int64)
    parts = [power[first:stop] for first, stop in pairwise([*at, power.size])]
    variances = [
        float(part.sum()) + line.variance
        for part, line in zip(parts, lines, strict=True)
    ]
    total = math.fsum(variances)
    bands = []
    for low, high, part, line, own_variance in zip(
        edges, ends, parts, lines, variances, strict=True
    ):
        share = own_variance / total if total else math.nan
        squares = float(part @ part) + line.squares
        shot = signal.shot_variance * (high - low) / nyquist
        bands.append(
            Band(
                low_hz=float(low),
                high_hz=float(high),
                rms_percent=100 * math.sqrt(variance * share) if total else 0.0,
                share=share,
                shot_share=shot / variance if variance else math.nan,
                # Of a sum of exponentials with means s: 2 (sum s)^2 / sum s^2.
                dof=4 * own_variance**2 / squares if squares else math.nan,
            )
        )
    text = signal.text
    if signal.stretches.shape[0] > 1:
        text = f"{text} Steps between the stretches are not in it.".strip()
    return BandBudget(tuple(bands), 100 * math.sqrt(variance), signal.unit, text)


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the lines of one band have."""

    variance: float = 0.0
    """Of their sum: sines that follow a line that wanders are not orthogonal."""
    squares: float = 0.0
    """Sum of the squares of the variances of each."""


def _without_lines(
    signal: Signal, own: FloatArray, sines: Sines, edges: Sequence[float]
) -> tuple[Signal, list[_Lines]]:
    """Return the detrended signal without its lines, and what each band has of them.

    Parameters
    ----------
    own
        (m,) the detrended signal with its lines.
    edges
        Ascending lower ends of the bands [unit].
    """
    lines = [_Lines() for _ in edges]
    if not sines.size:
        return replace(signal, values=own), lines
    fit = SineFit(signal)
    rest = own.copy()
    frequencies = sines.omega * signal.rate_hz / (2 * math.pi)
    band_of = np.searchsorted(edges, frequencies, side="right") - 1
    for band in np.unique(band_of[band_of >= 0]).tolist():
        chosen = sines.at(band_of == band)
        model = detrend_stretches(fit.model(chosen), signal)
        rest -= model
        variance = float(model @ model) / signal.n
        squares = np.abs(chosen.amplitude) ** 2
        each = variance * squares / squares.sum()
        lines[band] = _Lines(variance, float(each @ each))
    return replace(signal, values=rest), lines


def _power(rest: Signal, length: int) -> FloatArray:
    """Return one-sided ordinates that add up to the variance of detrended frames."""
    variance = float(rest.values @ rest.values) / rest.n
    values, lost = _filled(rest)
    transform = scipy.fft.rfft(values, length)
    power: FloatArray = transform.real**2 + transform.imag**2
    power += lost * rest.n
    power[1 : (length + 1) // 2] *= 2
    total = float(power.sum())
    if total:
        power *= variance / total
    return power


def _filled(rest: Signal) -> tuple[FloatArray, float]:
    """Return the detrended values with gaps bridged, and the variance lost there."""
    if not rest.missing:
        return rest.values, 0.0
    bridged = bridge(rest)
    inside = np.zeros(rest.values.size, np.bool_)
    for start, stop in bridged.runs:
        inside[start:stop] = True
    filled = replace(rest, values=bridged.values, measured=inside)
    return filled.detrended(), bridged.lost
