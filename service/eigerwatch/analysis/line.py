"""One line of a spectrum, made of one sine or of several that belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eigerwatch.analysis.broad import LEAKAGE, BroadPeak, covered_hz
from eigerwatch.analysis.mains import Naming
from eigerwatch.analysis.spectrum import Spectrum
from eigerwatch.analysis.statistics import finite_or_none

EXPLAINED = 0.6
"""Part of a peak's power from which on sines are what it is."""
BROAD_BINS = 3.0
"""Three and more sines in a row, none farther from the next, are one broad line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A sinusoid in the relative intensity."""

    frequency_hz: float
    """Where it is seen, at or below the Nyquist frequency [unit of the search]."""
    frequency_se_hz: float
    amplitude: float
    """Peak, relative to the mean intensity."""
    amplitude_se: float
    """From the noise density at the line's own frequency."""
    phase_rad: float
    """Of the cosine, at the first analysed frame; NaN for a broad line."""
    false_alarm_probability: float
    """That noise alone shows a peak as high anywhere in the searched range."""
    noise_density: float
    """One-sided density around the line without it [1/unit]."""
    width_hz: float
    """0 for a steady line; of one that wanders, the range that it covers."""
    naming: Naming | None = None
    """Member of the mains family, if it is one."""

    @property
    def rms_percent(self) -> float:
        """What the line contributes to the CV [%]."""
        return 100 * self.amplitude / math.sqrt(2)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "frequency_hz": finite_or_none(self.frequency_hz),
            "frequency_se_hz": finite_or_none(self.frequency_se_hz),
            "amplitude": finite_or_none(self.amplitude),
            "amplitude_se": finite_or_none(self.amplitude_se),
            "rms_percent": finite_or_none(self.rms_percent),
            "phase_rad": finite_or_none(self.phase_rad),
            "false_alarm_probability": finite_or_none(self.false_alarm_probability),
            "noise_density": finite_or_none(self.noise_density),
            "width_hz": finite_or_none(self.width_hz),
            "naming": self.naming.as_dict() if self.naming else None,
        }


def with_broad(lines: list[Line], peak: BroadPeak, spectrum: Spectrum) -> list[Line]:
    """Return the lines with a broad one for a peak that sines do not explain."""
    # A sine beyond the edge shows there, as far as the window spreads it.
    around = LEAKAGE * spectrum.step_hz
    explained = sum(
        line.amplitude**2 / 2
        for line in lines
        if peak.low_hz - around <= line.frequency_hz <= peak.high_hz + around
    )
    if explained > EXPLAINED * peak.power:
        return lines
    outside = [
        line for line in lines if not peak.low_hz <= line.frequency_hz <= peak.high_hz
    ]
    broad = Line(
        frequency_hz=peak.frequency_hz,
        frequency_se_hz=max(covered_hz(peak, spectrum) / 10, spectrum.step_hz / 4),
        amplitude=math.sqrt(2 * peak.power),
        amplitude_se=peak.power_se / math.sqrt(2 * peak.power),
        phase_rad=math.nan,
        false_alarm_probability=peak.false_alarm_probability,
        noise_density=peak.level,
        width_hz=covered_hz(peak, spectrum),
    )
    return [*outside, broad]


def joined(lines: list[Line], bin_hz: float) -> list[Line]:
    """Return the lines with runs of close sines as one broad line each."""
    found: list[Line] = []
    run: list[Line] = []
    for line in [*lines, None]:
        if run and (
            line is None
            or line.frequency_hz - run[-1].frequency_hz > BROAD_BINS * bin_hz
        ):
            found += [_broad(run, bin_hz)] if len(run) > 2 else run
            run = []
        if line is not None:
            run.append(line)
    return found


def _broad(run: list[Line], bin_hz: float) -> Line:
    """Return one line with the power of all, where the power's centre is."""
    frequency = np.array([line.frequency_hz for line in run])
    amplitude = np.array([line.amplitude for line in run])
    errors = np.array([line.amplitude_se for line in run])
    power = amplitude**2
    centre = float(frequency @ power / power.sum())
    spread = math.sqrt(float((frequency - centre) ** 2 @ power / power.sum()))
    total = math.sqrt(float(power.sum()))
    return Line(
        frequency_hz=centre,
        frequency_se_hz=max(spread / math.sqrt(len(run)), bin_hz / 2),
        amplitude=total,
        amplitude_se=math.sqrt(float(power @ errors**2)) / total,
        phase_rad=math.nan,
        false_alarm_probability=min(line.false_alarm_probability for line in run),
        noise_density=float(np.mean([line.noise_density for line in run])),
        width_hz=float(frequency[-1] - frequency[0]) + bin_hz,
    )
