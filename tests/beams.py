"""Beams of known content, for tests of the spectral analysis."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scenarios import Scenario

from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import Signal, intensity_signal
from eigerwatch.analysis.timebase import time_base

RATE_HZ = 746.0


def sines(
    n: int, lines: Iterable[tuple[float, float]], rate_hz: float = RATE_HZ
) -> npt.NDArray[np.float64]:
    """Return the relative intensity with lines of (frequency, peak amplitude)."""
    times = np.arange(n) / rate_hz
    beam = np.ones(n)
    for k, (frequency, amplitude) in enumerate(lines):
        beam += amplitude * np.sin(2 * np.pi * frequency * times + k)
    return beam


def counted(
    beam: npt.NDArray[np.float64],
    mean: float,
    rng: np.random.Generator,
    missing: npt.NDArray[np.bool_] | None = None,
    excluded: npt.NDArray[np.bool_] | None = None,
    cuts: Iterable[int] = (),
    rate_hz: float = RATE_HZ,
) -> Signal:
    """Return what photon counting makes of a beam, as the analysis takes it."""
    totals = rng.poisson(mean * beam).astype(np.uint64)
    positions = np.arange(beam.size)
    if missing is not None:
        positions = positions[~missing]
        totals = totals[~missing]
        excluded = None if excluded is None else excluded[~missing]
    run = Measured(positions, totals, positions / rate_hz)
    return intensity_signal(totals, time_base(run), excluded, cuts)


def frames_of(run: Scenario) -> Measured:
    """Return a run of known truth as the analysis takes it."""
    return Measured(
        run.positions,
        run.totals,
        run.times_s,
        run.frame_time_s,
        run.kept,
        run.sentinel,
        run.regions,
        run.region_kept,
        run.region_sentinel,
    )
