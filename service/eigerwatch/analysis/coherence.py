"""How much of two quantities fluctuates together, by frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.spectrum import (
    BATCH,
    bridge,
    detrend_rows,
    equivalent_dof,
    hann,
    segment_length,
    segment_starts,
)
from eigerwatch.analysis.statistics import finite_or_none


@dataclass(frozen=True, slots=True)
class Coherence:
    """Magnitude-squared coherence: 0 nothing in common, 1 everything."""

    frequencies_hz: FloatArray
    """(m,) [unit]"""
    coherence: FloatArray
    """(m,) as estimated: of unrelated quantities 2/dof on average, not 0."""
    significant: float
    """What unrelated quantities exceed at one frequency in 20; NaN if undefined."""
    share: float
    """Of the first one's variance what goes with the second, without that bias."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return {
            "frequencies_hz": self.frequencies_hz.tolist(),
            "coherence": self.coherence.tolist(),
            "significant": finite_or_none(self.significant),
            "share": finite_or_none(self.share),
        }


def coherence(first: Signal, second: Signal) -> Coherence:
    """Compare two quantities of the same frames, by Welch's method.

    Segments are those of `power_spectrum`. Significance and bias are those of
    Gaussian noise (Carter, Proc. IEEE 75, 236, 1987), with the equivalent number of
    independent segments.
    """
    one, two = bridge(first), bridge(second)
    length = segment_length(first, one.runs, None)
    starts = segment_starts(one.runs, length) if length else []
    if not starts or two.values.size != one.values.size:
        return Coherence(np.empty(0), np.empty(0), math.nan, math.nan)
    window = hann(length)
    rows = [
        np.lib.stride_tricks.sliding_window_view(part.values, length)
        for part in (one, two)
    ]
    every = np.concatenate(starts)
    powers = np.zeros((2, length // 2 + 1))
    cross = np.zeros(length // 2 + 1, np.complex128)
    for k in range(0, every.size, BATCH):
        a, b = (
            scipy.fft.rfft(detrend_rows(part[every[k : k + BATCH]]) * window, axis=1)
            for part in rows
        )
        powers[0] += np.sum(a.real**2 + a.imag**2, axis=0)
        powers[1] += np.sum(b.real**2 + b.imag**2, axis=0)
        cross += np.sum(a * np.conj(b), axis=0)
    product = powers[0] * powers[1]
    tiny = product <= 0
    found = np.abs(cross) ** 2 / np.where(tiny, 1, product)
    found = np.where(tiny, 0.0, np.minimum(found, 1.0))
    independent = equivalent_dof(starts, window) / 2
    several = independent > 1
    bias = 1 / independent
    unbiased = np.clip((found - bias) / (1 - bias), 0, 1) if several else found * 0
    # What is clipped at 0 would add up: only what noise rarely shows counts.
    limit = 1 - 0.05 ** (1 / (independent - 1)) if several else math.nan
    counted = np.where(found > limit, unbiased, 0.0) if several else unbiased
    total = float(powers[0, 1:].sum())
    together = float(powers[0, 1:] @ counted[1:])
    return Coherence(
        frequencies_hz=np.arange(found.size, dtype=np.float64)
        * (first.rate_hz / length),
        coherence=found,
        significant=limit,
        share=together / total if total > 0 and several else math.nan,
    )
