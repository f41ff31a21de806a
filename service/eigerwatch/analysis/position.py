"""Does the beam flicker or move: the detector's regions against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.coherence import Coherence, coherence
from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal, intensity_signal, plain_signal
from eigerwatch.analysis.spectrum import Spectrum, power_spectrum
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.timebase import TimeBase

CHUNK = 1 << 14
SIGNIFICANT = 4.0
"""Standard errors by which a variance must exceed that of counting."""
MUCH = 10.0
"""Ratio of variances from which on the smaller one is not spoken of."""
WORTH_A_WORD = 0.1
"""Share of the intensity's variance that is coherent with an asymmetry."""


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """(far - near)/(far + near) of the two halves of the detector along an axis."""

    axis: str
    """"horizontal" (far: larger x) or "vertical" (far: larger y)."""
    mean: float
    rms: float
    """Each stretch minus its own line."""
    shot_rms: float
    """What counting alone contributes."""
    excess_rms: float
    """What is left, sqrt(max(0, rms^2 - shot_rms^2))."""
    significant: bool
    """Whether it is more than counting explains."""
    spectrum: Spectrum
    """Density of the asymmetry [1/unit], with its counting level."""
    with_intensity: Coherence
    """Of the total intensity with this asymmetry."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return {
            "axis": self.axis,
            "mean": finite_or_none(self.mean),
            "rms": finite_or_none(self.rms),
            "shot_rms": finite_or_none(self.shot_rms),
            "excess_rms": finite_or_none(self.excess_rms),
            "significant": self.significant,
            "spectrum": self.spectrum.as_dict(),
            "with_intensity": self.with_intensity.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Position:
    """What all regions do together, and what they do against each other."""

    verdict: str
    """photon_limited, flickers, moves, flickers_and_moves or unknown."""
    text: str
    """The verdict in a sentence."""
    common_rms: float
    """Of all regions in proportion, beyond counting, relative to the intensity."""
    differential_rms: float
    """Of what the regions exchange, beyond counting, relative to the intensity."""
    common_share: float
    """Of the variance beyond counting, 0 to 1; NaN where there is none."""
    gradient_share: float
    """Of the exchange what a shift would do: a slope across the detector, 0 to 1."""
    modes: FloatArray
    """Singular values squared over those of counting, largest first; 1: counting."""
    asymmetries: tuple[Asymmetry, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return {
            "verdict": self.verdict,
            "text": self.text,
            "common_rms": finite_or_none(self.common_rms),
            "differential_rms": finite_or_none(self.differential_rms),
            "common_share": finite_or_none(self.common_share),
            "gradient_share": finite_or_none(self.gradient_share),
            "modes": self.modes.tolist(),
            "asymmetries": [each.as_dict() for each in self.asymmetries],
        }


@dataclass(frozen=True, slots=True)
class _Sums:
    """One pass over the regions."""

    covariance: FloatArray
    """(m, m) of counts/sqrt(mean), stretches detrended: the unit matrix by counting."""
    mean: FloatArray
    """(m,) [counts]"""
    halves: FloatArray
    """(n, 4) near and far half horizontally, then vertically [counts]."""
    n: int
    """Frames that count, less what detrending took."""


def beam_position(
    regions: npt.NDArray[np.uint64],
    centres: FloatArray,
    time_base: TimeBase,
    excluded: npt.NDArray[np.bool_] | None = None,
    cuts: Iterable[int] = (),
) -> Position:
    """Tell a beam that moves from one that flickers.

    Scaled by the square root of their means, regions that only count photons have the
    unit matrix for covariance. What exceeds it along the direction of the means is
    common to all, what exceeds it elsewhere is exchanged between them; its part in
    the two slopes across the detector is what a shift would make.

    Parameters
    ----------
    regions
        (n, m) sums of the frames of `time_base` [counts].
    centres
        (m, 2) centre of each region, y and x [pixels]; NaN: of no place (a ring).
    excluded, cuts
        Those of `intensity_signal`.
    """
    m = regions.shape[1]
    cuts = tuple(cuts)
    totals = regions.sum(axis=1, dtype=np.uint64)
    signal = intensity_signal(totals, time_base, excluded, cuts)
    if m < 2 or signal.n < 8 + 2 * len(signal.stretches):
        why = f"regions: {m}" if m < 2 else f"n = {signal.n}"
        return _unknown(signal.text or f"Not enough data ({why}).")
    halves = _halves(np.asarray(centres, np.float64).reshape(m, 2))
    sums = _sums(regions, halves, time_base, signal)
    asymmetries = []
    for axis, k in (("horizontal", 0), ("vertical", 2)):
        if halves[:, k].any() and halves[:, k + 1].any():
            sides = sums.halves[:, k : k + 2]
            asymmetries.append(
                _asymmetry(axis, sides, time_base, excluded, cuts, signal)
            )
    return _judged(sums, np.asarray(centres, np.float64), tuple(asymmetries))


def _unknown(text: str) -> Position:
    nan = math.nan
    return Position("unknown", text, nan, nan, nan, nan, np.empty(0), ())


def _halves(centres: FloatArray) -> FloatArray:
    """Return (m, 4) which regions are in the near and far half, x first."""
    halves = np.zeros((len(centres), 4))
    for k, column in ((0, centres[:, 1]), (2, centres[:, 0])):
        placed = np.isfinite(column)
        if not placed.any():
            continue
        middle = (column[placed].min() + column[placed].max()) / 2
        # What lies astride the middle belongs to neither half.
        width = 1e-6 * max(float(np.ptp(column[placed])), 1.0)
        halves[placed, k] = column[placed] < middle - width
        halves[placed, k + 1] = column[placed] > middle + width
    return halves


def _sums(
    regions: npt.NDArray[np.uint64],
    halves: FloatArray,
    time_base: TimeBase,
    signal: Signal,
) -> _Sums:
    m = regions.shape[1]
    edges = np.searchsorted(time_base.slots, signal.stretches + signal.first_slot)
    mean = np.zeros(m)
    for first, last in edges:
        mean += regions[first:last].sum(axis=0, dtype=np.float64)
    mean /= signal.n
    sides = np.zeros((regions.shape[0], 4))
    product = np.zeros((m, m))
    n = taken = 0
    for first, last in edges:
        place = (time_base.slots[first:last] - time_base.slots[first]).astype(float)
        place -= place.mean()
        level, slope = np.zeros(m), np.zeros(m)
        for k in range(first, last, CHUNK):
            part = slice(k, min(k + CHUNK, last))
            values = regions[part].astype(np.float64)
            sides[part] = values @ halves
            values -= mean
            product += values.T @ values
            level += values.sum(axis=0)
            slope += place[k - first : part.stop - first] @ values
        spread = float(place @ place)
        # Without the line of the stretch: its part of the products goes.
        product -= np.outer(level, level) / place.size
        if spread:
            product -= np.outer(slope, slope) / spread
        n += place.size
        taken += 2 if spread else 1
    scale = np.sqrt(np.where(mean > 0, mean, 1.0))
    covariance = product / scale / scale[:, None] / max(n - taken, 1)
    return _Sums(covariance, mean, sides, n - taken)


def _asymmetry(
    axis: str,
    halves: FloatArray,
    time_base: TimeBase,
    excluded: npt.NDArray[np.bool_] | None,
    cuts: tuple[int, ...],
    intensity: Signal,
) -> Asymmetry:
    near, far = halves.T
    both = near + far
    some = both > 0
    value = np.full(both.size, math.nan)
    value[some] = (far - near)[some] / both[some]
    left_out = np.zeros(both.size, np.bool_) if excluded is None else excluded
    counted = some & ~left_out
    cube = np.where(counted, both, 1.0) ** 3
    # Propagated from independent counts in both halves.
    shot = float(np.mean((4 * near * far / cube)[counted])) if counted.any() else 0.0
    signal = plain_signal(value, time_base, shot, excluded, cuts)
    rest = signal.detrended()
    n = max(signal.n - 2 * len(signal.stretches), 1)
    variance = float(rest @ rest) / n
    excess = variance - shot
    return Asymmetry(
        axis=axis,
        mean=float(np.mean(value[counted])) if counted.any() else math.nan,
        rms=math.sqrt(variance),
        shot_rms=math.sqrt(shot),
        excess_rms=math.sqrt(max(0.0, excess)),
        significant=excess > SIGNIFICANT * shot * math.sqrt(2 / n),
        spectrum=power_spectrum(signal),
        with_intensity=coherence(intensity, signal),
    )


def _judged(
    sums: _Sums, centres: FloatArray, asymmetries: tuple[Asymmetry, ...]
) -> Position:
    lit = sums.mean > 0
    covariance = sums.covariance[np.ix_(lit, lit)]
    m, total = int(lit.sum()), float(sums.mean.sum())
    along = np.sqrt(sums.mean[lit] / total)
    common = float(along @ covariance @ along) - 1
    apart = float(np.trace(covariance)) - m - common
    common_error = math.sqrt(2 / sums.n)
    apart_error = math.sqrt(2 * max(m - 1, 1) / sums.n)
    flickers = common > SIGNIFICANT * common_error
    moves = apart > SIGNIFICANT * apart_error
    both = max(common, 0.0) + max(apart, 0.0)
    slopes, number = _slope_part(covariance, along, centres[lit])
    gradient = math.nan
    if moves:
        gradient = min(1.0, max(0.0, slopes - number) / apart)
    verdict = "photon_limited"
    if flickers or moves:
        if flickers and (not moves or common > MUCH * apart):
            verdict = "flickers"
        elif moves and (not flickers or apart > MUCH * common):
            verdict = "moves"
        else:
            verdict = "flickers_and_moves"
    modes = np.linalg.eigvalsh(covariance)[::-1]
    common_rms = math.sqrt(max(common, 0.0) / total)
    apart_rms = math.sqrt(max(apart, 0.0) / total)
    return Position(
        verdict=verdict,
        text=_sentence(verdict, common_rms, apart_rms, gradient, asymmetries),
        common_rms=common_rms,
        differential_rms=apart_rms,
        common_share=max(common, 0.0) / both if flickers or moves else math.nan,
        gradient_share=gradient,
        modes=np.maximum(modes, 0.0),
        asymmetries=asymmetries,
    )


def _slope_part(
    covariance: FloatArray, along: FloatArray, centres: FloatArray
) -> tuple[float, int]:
    """Return the variance in the two slopes across the detector, and how many."""
    found: list[FloatArray] = []
    for column in (centres[:, 1], centres[:, 0]):
        if not np.isfinite(column).all():
            continue
        direction = along * (column - column.mean()) / max(float(np.ptp(column)), 1.0)
        for other in [along, *found]:
            direction = direction - other * float(other @ direction)
        size = float(np.linalg.norm(direction))
        if size > 1e-6:
            found.append(direction / size)
    return float(sum(each @ covariance @ each for each in found)), len(found)


def _sentence(
    verdict: str,
    common_rms: float,
    apart_rms: float,
    gradient: float,
    asymmetries: tuple[Asymmetry, ...],
) -> str:
    common = f"{100 * common_rms:.3g} % in common"
    apart = f"{100 * apart_rms:.3g} % against each other"
    if verdict == "photon_limited":
        return "Photon-limited: the regions fluctuate as counting makes them."
    axes = [each.axis for each in asymmetries if each.significant]
    where = f" ({' and '.join(axes)})" if axes else ""
    # Regions may exchange counts without a shift: a changing scatterer, say.
    what = "moves" if gradient > 0.5 else "changes its shape"
    if verdict == "flickers":
        text = f"The beam flickers: regions {common}, {apart}"
    elif verdict == "moves":
        text = f"The beam {what}{where}: regions {apart}, {common}"
    else:
        text = f"The beam flickers and {what}{where}: regions {common}, {apart}"
    shares = [each.with_intensity.share for each in asymmetries if each.significant]
    most = max((share for share in shares if math.isfinite(share)), default=0.0)
    if most > WORTH_A_WORD:
        text += f"; {100 * most:.0f} % of the intensity's variance goes with it"
    return f"{text}."
