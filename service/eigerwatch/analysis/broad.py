"""Peaks too broad to be sines: lines that wander, resonances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.special

from eigerwatch.analysis.floor import fitted_level, local_median
from eigerwatch.analysis.spectrum import Spectrum

FIRST = 10
"""Ordinates of a spectrum from which on a peak can be told from drift."""
FEWEST = 256
LEAST_DOF = 16.0
WIDTH = 96
"""Ordinates of the local median that is the level under a peak."""
FALSE_ALARM = 1e-3
"""Probability of noise alone for a record, of Gaussian noise on a known level ..."""
MARGIN = 0.15
"""... which is not known to better than this ..."""
MARGIN_NEAR_ZERO = 2.0
"""... plus this over the square root of the ordinate's number."""
SHOULDER = 1.3
"""A peak ends where it is less than this above the level."""
LEAKAGE = 3.0
"""Ordinates to each side to which the window spreads a sine."""


@dataclass(frozen=True, slots=True)
class BroadPeak:
    """A range of frequencies with more power than the level around it."""

    low_hz: float
    high_hz: float
    frequency_hz: float
    """Centre of its power."""
    power: float
    """Variance above the level."""
    power_se: float
    level: float
    """One-sided density under it [1/unit]."""
    false_alarm_probability: float


def broad_peaks(spectrum: Spectrum) -> list[BroadPeak]:
    """Find peaks of a Welch spectrum, narrow ones included.

    The level is a white plus power-law fit to medians, corrected by local medians;
    an ordinate counts when chi-squared noise of the spectrum's degrees of freedom
    would hardly reach it anywhere.
    """
    density = spectrum.density
    dof = spectrum.dof
    if density.size < FEWEST or not dof >= LEAST_DOF:
        return []
    # Of chi squared, in units of its mean (Wilson and Hilferty).
    middle = (1 - 2 / (9 * dof)) ** 3
    level = fitted_level(density, middle)
    level[FIRST:] *= local_median(density[FIRST:] / level[FIRST:], WIDTH, middle)
    inner = slice(FIRST, density.size - 1)
    ratio = np.zeros(density.size)
    ratio[inner] = density[inner] / np.maximum(level[inner], np.finfo(np.float64).tiny)
    tail = FALSE_ALARM / density.size
    margin = 1 + MARGIN + MARGIN_NEAR_ZERO / np.sqrt(np.arange(1, density.size + 1))
    surely = ratio / margin
    limit = float(scipy.special.chdtri(dof, tail)) / dof
    above = np.concatenate([[False], ratio > SHOULDER, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    found = []
    for first, stop in edges:
        highest = float(surely[first:stop].max())
        if highest < limit:
            continue
        part = slice(first, stop)
        excess = density[part] - level[part]
        power = float(excess.sum()) * spectrum.step_hz
        squares = float(density[part] @ density[part])
        chance = density.size * float(scipy.special.chdtrc(dof, dof * highest))
        found.append(
            BroadPeak(
                low_hz=float(spectrum.frequencies_hz[first]),
                high_hz=float(spectrum.frequencies_hz[stop - 1]),
                frequency_hz=float(
                    spectrum.frequencies_hz[part] @ excess / excess.sum()
                ),
                power=power,
                # Neighbouring ordinates of a Hann window share half their power.
                power_se=spectrum.step_hz * math.sqrt(2 * 2 * squares / dof),
                level=float(level[part].mean()),
                false_alarm_probability=min(1.0, chance),
            )
        )
    return found


def covered_hz(peak: BroadPeak, spectrum: Spectrum) -> float:
    """Return the width of a peak without what the window adds [unit]."""
    width = peak.high_hz - peak.low_hz - 2 * LEAKAGE * spectrum.step_hz
    return max(width, spectrum.step_hz)
