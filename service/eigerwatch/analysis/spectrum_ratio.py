"""Two spectra, or the bands of two runs, over each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eigerwatch.analysis.assessment import Frequencies
from eigerwatch.analysis.bands import Band, band_budget
from eigerwatch.analysis.bootstrap import Interval
from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.ratios import change_words, f_limits, holm, variance_ratio
from eigerwatch.analysis.residual import Residual
from eigerwatch.analysis.spectrum import Spectrum, power_spectrum
from eigerwatch.analysis.statistics import finite_or_none

LEVEL = 0.01
"""Chance that any band, of all of two equal runs, is said to have changed. Smaller
than that of the CV: bands are looked at in addition to it."""
MOST_UNEQUAL = 1.05
"""Ratio of resolutions above which spectra are shown, but not divided."""
MISALIGNED = 0.1
"""Distance of ordinates [steps] from which on they are interpolated."""
SAME_EDGE = 0.015
"""Relative difference of the last band's upper end, the Nyquist frequency."""


@dataclass(frozen=True, slots=True)
class SpectrumRatio:
    """Densities of both runs on one axis, and B over A with pointwise intervals."""

    frequencies_hz: FloatArray
    """(m,) ascending, above 0, to the lower of the Nyquist frequencies [unit]."""
    density_a: FloatArray
    """(m,) of the relative intensity [1/unit]."""
    density_b: FloatArray
    """(m,) [1/unit]"""
    ratio: FloatArray
    """(m,) b/a; empty where resolutions differ, NaN where a is 0."""
    low: FloatArray
    """(m,) lower limit of each ratio by itself: one in twenty misses by chance."""
    high: FloatArray
    """(m,) upper limit."""
    confidence: float
    dof_a: float
    """Equivalent degrees of freedom of an ordinate."""
    dof_b: float
    resolution_hz: float
    """The coarser of the two [unit]; NaN without spectra."""
    shot_density_a: float
    """Level of photon counting [1/unit]."""
    shot_density_b: float
    unit: str
    text: str
    """What was done to make them comparable, or why there is nothing."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "frequencies_hz": self.frequencies_hz.tolist(),
            "density_a": _listed(self.density_a),
            "density_b": _listed(self.density_b),
            "ratio": _listed(self.ratio),
            "low": _listed(self.low),
            "high": _listed(self.high),
            "confidence": self.confidence,
            "dof_a": finite_or_none(self.dof_a),
            "dof_b": finite_or_none(self.dof_b),
            "resolution_hz": finite_or_none(self.resolution_hz),
            "shot_density_a": finite_or_none(self.shot_density_a),
            "shot_density_b": finite_or_none(self.shot_density_b),
            "unit": self.unit,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class BandChange:
    """The rms of one band in both runs, B over A."""

    low_hz: float
    high_hz: float
    unit: str
    rms_a_percent: float
    """[% of the mean]"""
    rms_b_percent: float
    shot_a_percent: float
    """What photon counting contributes to the rms [% of the mean]."""
    shot_b_percent: float
    ratio: float
    """Of the rms, b/a; NaN where it is not defined."""
    interval: Interval
    """95 %, of this band by itself."""
    dof_a: float
    """Equivalent degrees of freedom of the variance, lines taken for steady."""
    dof_b: float
    p_value: float
    """Chance that two equal runs show a band as changed as this one (Holm)."""
    significant: bool | None
    """None: not judged."""
    counting_explains: bool
    """Without the counting of photons the band is not significantly changed."""
    text: str

    @property
    def variance_change(self) -> float:
        """Variance of B minus that of A [%^2 of the mean]."""
        return self.rms_b_percent**2 - self.rms_a_percent**2

    @property
    def name(self) -> str:
        """Return what the band is called in a sentence."""
        return f"{self.low_hz:.3g}-{self.high_hz:.3g} {self.unit}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "low_hz": finite_or_none(self.low_hz),
            "high_hz": finite_or_none(self.high_hz),
            "unit": self.unit,
            "rms_a_percent": finite_or_none(self.rms_a_percent),
            "rms_b_percent": finite_or_none(self.rms_b_percent),
            "shot_a_percent": finite_or_none(self.shot_a_percent),
            "shot_b_percent": finite_or_none(self.shot_b_percent),
            "ratio": finite_or_none(self.ratio),
            "low": finite_or_none(self.interval.low),
            "high": finite_or_none(self.interval.high),
            "dof_a": finite_or_none(self.dof_a),
            "dof_b": finite_or_none(self.dof_b),
            "p_value": finite_or_none(self.p_value),
            "significant": self.significant,
            "counting_explains": self.counting_explains,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Part:
    """One run's variance in a band [%^2 of the mean]."""

    variance: float
    shot: float
    error: float
    """Standard error of the variance."""

    @property
    def dof(self) -> float:
        return 2 * (self.variance / self.error) ** 2 if self.error > 0 else math.nan


def spectrum_ratio(
    a: Frequencies, b: Frequencies, confidence: float = 0.95
) -> SpectrumRatio:
    """Put two spectra on one axis, of the coarser resolution, and divide them.

    The limits are quantiles of Fisher's F with the equivalent degrees of freedom of
    both, as for a ratio of variances. They hold for each frequency by itself.
    """
    of_a, of_b = _of_one_resolution(a, b)
    missing = [one for one in (of_a, of_b) if not one.segments]
    if missing:
        return _no_ratio(of_a, of_b, confidence, missing[0].text)
    text = ""
    if (
        of_a.segment_frames != a.spectrum.segment_frames
        or of_b.segment_frames != b.spectrum.segment_frames
    ):
        text = f"Recomputed at a resolution of {of_a.resolution_hz:.3g} {of_a.unit}."
    top = min(of_a.frequencies_hz[-1], of_b.frequencies_hz[-1])
    count = int(np.searchsorted(of_a.frequencies_hz, top * (1 + 1e-6), side="right"))
    if count < 2:
        return _no_ratio(of_a, of_b, confidence, "No frequency is in both spectra.")
    axis = of_a.frequencies_hz[1:count]
    other = of_b.frequencies_hz
    if other.size >= count and (
        np.max(np.abs(other[1:count] - axis)) < MISALIGNED * of_a.step_hz
    ):
        density_b = of_b.density[1:count]
    else:
        density_b = np.interp(axis, other, of_b.density)
        text = f"{text} B is interpolated to the frequencies of A.".strip()
    density_a = of_a.density[1:count]
    unequal = _unequal(of_a, of_b) > MOST_UNEQUAL
    ratio = low = high = np.empty(0)
    if unequal:
        text = f"{text} Resolutions differ: no ratio.".strip()
    else:
        known = density_a > 0
        ratio = np.full(axis.size, math.nan)
        ratio[known] = density_b[known] / density_a[known]
        below, above = f_limits(of_a.dof, of_b.dof, confidence)
        low, high = ratio * below, ratio * above
        if math.isclose(axis[-1], of_a.frequencies_hz[-1]):
            # Real numbers: an ordinate there has half of the freedom.
            below, above = f_limits(of_a.dof / 2, of_b.dof / 2, confidence)
            low[-1], high[-1] = ratio[-1] * below, ratio[-1] * above
    return SpectrumRatio(
        frequencies_hz=axis,
        density_a=density_a,
        density_b=density_b,
        ratio=ratio,
        low=low,
        high=high,
        confidence=confidence,
        dof_a=of_a.dof,
        dof_b=of_b.dof,
        resolution_hz=max(of_a.resolution_hz, of_b.resolution_hz),
        shot_density_a=of_a.shot_density,
        shot_density_b=of_b.shot_density,
        unit=of_a.unit,
        text=text,
    )


def band_changes(
    a: Frequencies, b: Frequencies, rest_a: Residual, rest_b: Residual
) -> tuple[BandChange, ...]:
    """Divide the bands that both runs have, low frequencies first.

    A band's variance is that of its lines and that of the noise between them, so that
    no strong line leaks into a neighbouring band. A line is as sure as its amplitude;
    taken for noise of one ordinate it would be hardly known at all. The equivalent
    degrees of freedom are those of the sum (F. E. Satterthwaite, Biometrics Bull. 2
    (1946) 110).

    Parameters
    ----------
    rest_a, rest_b
        Their signals without the lines.
    """
    parts_a, parts_b = _parts(a, rest_a), _parts(b, rest_b)
    pairs = []
    for band, part in zip(a.bands.bands, parts_a, strict=True):
        for other, its_part in zip(b.bands.bands, parts_b, strict=True):
            same_end = abs(other.high_hz - band.high_hz) <= SAME_EDGE * band.high_hz
            if other.low_hz == band.low_hz and same_end:
                pairs.append((band, part, its_part))
    ratios = [variance_ratio(p.variance, q.variance, p.dof, q.dof) for _, p, q in pairs]
    adjusted = holm([p_value for _, _, p_value in ratios])
    return tuple(
        _change(band, (p, q), found, p_value, a.bands.unit)
        for (band, p, q), found, p_value in zip(pairs, ratios, adjusted, strict=True)
    )


def _change(
    band: Band,
    parts: tuple[_Part, _Part],
    found: tuple[float, Interval, float],
    p_value: float,
    unit: str,
) -> BandChange:
    a, b = parts
    square, limits, _ = found
    # Quantiles of F may be infinite for a handful of degrees of freedom.
    ratio = math.sqrt(square) if square >= 0 else math.nan
    interval = Interval(math.sqrt(limits.low), math.sqrt(limits.high))
    significant = None if math.isnan(p_value) else p_value <= LEVEL
    error = math.hypot(a.error, b.error)
    beyond = abs((b.variance - b.shot) - (a.variance - a.shot))
    counting = bool(significant) and math.erfc(beyond / error / math.sqrt(2)) > LEVEL
    text = "not defined"
    if significant is not None:
        text = change_words(ratio, interval)
        text += " (significant)" if significant else ""
        text += ", as the counts explain" if counting else ""
    return BandChange(
        low_hz=band.low_hz,
        high_hz=band.high_hz,
        unit=unit,
        rms_a_percent=math.sqrt(a.variance),
        rms_b_percent=math.sqrt(b.variance),
        shot_a_percent=math.sqrt(a.shot),
        shot_b_percent=math.sqrt(b.shot),
        ratio=ratio,
        interval=interval,
        dof_a=a.dof,
        dof_b=b.dof,
        p_value=p_value,
        significant=significant,
        counting_explains=counting,
        text=text,
    )


def _parts(run: Frequencies, rest: Residual) -> list[_Part]:
    noise = band_budget(
        replace(run.signal, values=rest.values),
        edges_hz=[b.low_hz for b in run.bands.bands],
    )
    whole = run.bands.rms_percent**2
    parts = []
    for band, quiet in zip(run.bands.bands, noise.bands, strict=True):
        power, power_error = rest.line_power(band.low_hz, band.high_hz)
        variance, error = quiet.rms_percent**2, 1e4 * power_error
        if quiet.dof > 0:
            error = math.hypot(error, variance * math.sqrt(2 / quiet.dof))
        variance += 1e4 * power
        shot = whole * band.shot_share if band.shot_share > 0 else 0.0
        parts.append(_Part(variance, shot, error))
    return parts


def _of_one_resolution(a: Frequencies, b: Frequencies) -> tuple[Spectrum, Spectrum]:
    """Return both spectra; the finer one anew, until they agree or cannot."""
    of_a, of_b = a.spectrum, b.spectrum
    while of_a.segments and of_b.segments and _unequal(of_a, of_b) > MOST_UNEQUAL:
        if of_a.resolution_hz < of_b.resolution_hz:
            new = power_spectrum(a.signal, a.lines.sines, of_b.resolution_hz)
            stuck, of_a = new.segment_frames >= of_a.segment_frames, new
        else:
            new = power_spectrum(b.signal, b.lines.sines, of_a.resolution_hz)
            stuck, of_b = new.segment_frames >= of_b.segment_frames, new
        if stuck:
            break
    return of_a, of_b


def _unequal(a: Spectrum, b: Spectrum) -> float:
    ratio = a.resolution_hz / b.resolution_hz
    return max(ratio, 1 / ratio)


def _no_ratio(a: Spectrum, b: Spectrum, confidence: float, text: str) -> SpectrumRatio:
    nothing = np.empty(0)
    return SpectrumRatio(
        frequencies_hz=nothing,
        density_a=nothing,
        density_b=nothing,
        ratio=nothing,
        low=nothing,
        high=nothing,
        confidence=confidence,
        dof_a=a.dof,
        dof_b=b.dof,
        resolution_hz=math.nan,
        shot_density_a=a.shot_density,
        shot_density_b=b.shot_density,
        unit=a.unit,
        text=text,
    )


def _listed(values: FloatArray) -> list[float | None]:
    return [finite_or_none(value) for value in values.tolist()]
