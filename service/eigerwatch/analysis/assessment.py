"""Everything that is said about a run, from one set of frames and exclusions.

The page, the API, the report and the command line all read their figures here, so
they cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eigerwatch.analysis.bands import BandBudget, band_budget
from eigerwatch.analysis.bootstrap import Uncertainty, uncertainty
from eigerwatch.analysis.detrending import Detrended, Drift, detrended, drift
from eigerwatch.analysis.events.detect import detect
from eigerwatch.analysis.events.model import DetectionOptions, Event
from eigerwatch.analysis.exclusion import Excluded, Exclusions
from eigerwatch.analysis.lines import LineSearch, find_lines
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.segments import Segment, boundaries, longest, segments
from eigerwatch.analysis.shot_noise import Judgement, ShotNoise, judge, split
from eigerwatch.analysis.signals import Signal, intensity_signal
from eigerwatch.analysis.spectrum import Spectrum, power_spectrum
from eigerwatch.analysis.stationarity import Stationarity, stationarity
from eigerwatch.analysis.statistics import (
    Description,
    describe,
    finite_or_none,
)
from eigerwatch.analysis.timebase import TimeBase, time_base


@dataclass(frozen=True, slots=True)
class AssessmentOptions:
    """What an assessment is told beside the frames."""

    exclusions: Exclusions = field(default_factory=Exclusions)
    detection: DetectionOptions = field(default_factory=DetectionOptions)
    mains_hz: float | None = None
    """50 or 60; None: not known."""
    resamples: int = 1000
    """Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Frequencies:
    """A run's fluctuation by frequency."""

    signal: Signal
    lines: LineSearch
    spectrum: Spectrum
    bands: BandBudget

    def as_dict(self) -> dict[str, Any]:
        """Return lines, bands and how they were found, without the curve."""
        return {
            "search": self.lines.as_dict(),
            "bands": self.bands.as_dict(),
            "shot_density": finite_or_none(self.spectrum.shot_density),
            "text": self.spectrum.text,
        }


@dataclass(frozen=True, slots=True)
class Assessment:
    """All figures of a run; each rests on the frames that `excluded` leaves."""

    measured: Measured
    """The frames used."""
    events: list[Event]
    excluded: Excluded
    segments: list[Segment]
    proposed: Segment | None
    """The longest stable stretch."""
    description: Description
    """The origin's table: one line through all frames used."""
    detrended: Detrended
    """Lines by segment: drift and top-ups are no fluctuation."""
    drift: Drift
    shot: ShotNoise
    uncertainty: Uncertainty
    judgement: Judgement
    stationarity: Stationarity
    time_base: TimeBase
    frequencies: Frequencies | None
    """None where they were not asked for."""
    missing: int
    """Frames between the first and the last that are not stored."""

    @property
    def missing_percent(self) -> float:
        """Missing frames [% of those between first and last]; NaN without any."""
        n = self.missing + self.measured.n + sum(self.excluded.usage.excluded.values())
        return 100 * self.missing / n if n else math.nan

    @property
    def strongest_line_percent(self) -> float:
        """Peak amplitude of the strongest line [%]; 0 without one, NaN: not looked."""
        if self.frequencies is None or not self.frequencies.lines.highest_hz > 0:
            return math.nan
        lines = self.frequencies.lines.lines
        return 100 * max((line.amplitude for line in lines), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but long arrays by name, safe for JSON."""
        return {
            "usage": {
                **self.excluded.usage.as_dict(),
                "text": str(self.excluded.usage),
                "intervals": [one.as_dict() for one in self.excluded.intervals],
            },
            "missing": self.missing,
            "events": [event.as_dict() for event in self.events],
            "segments": [segment.as_dict() for segment in self.segments],
            "proposed": None if self.proposed is None else self.proposed.as_dict(),
            "table": self.description.as_dict(),
            "detrended": self.detrended.as_dict(),
            "drift": self.drift.as_dict(),
            "shot_noise": self.shot.as_dict(),
            "uncertainty": self.uncertainty.as_dict(),
            "judgement": self.judgement.as_dict(),
            "stationarity": self.stationarity.as_dict(),
            "time_base": self.time_base.as_dict(),
            "frequencies": (
                None if self.frequencies is None else self.frequencies.as_dict()
            ),
        }


def assess(
    measured: Measured,
    options: AssessmentOptions | None = None,
    *,
    events: Sequence[Event] | None = None,
    frequencies: bool = True,
) -> Assessment:
    """Say everything about a run.

    Parameters
    ----------
    measured
        All stored frames of a selection.
    options
        Exclusions, thresholds, mains.
    events
        Of the series, where they are known already; None: found in `measured`.
    frequencies
        Whether to look for lines and bands too, half of the work.
    """
    options = options or AssessmentOptions()
    if events is None:
        events = detect(measured, options.detection)
    excluded = options.exclusions.apply(
        measured.positions, events, measured.frame_time_s
    )
    used = measured.at(~excluded.mask)
    stretches = segments(measured.positions, events, excluded.mask)
    knots = boundaries(stretches)
    rest = detrended(used.totals, used.positions, knots)
    intervals = uncertainty(
        used.totals, used.positions, knots, rest=rest, resamples=options.resamples
    )
    beam = intervals.cv_beam
    base = time_base(measured)
    span = int(np.ptp(measured.positions)) + 1 if measured.n else 0
    return Assessment(
        measured=used,
        events=list(events),
        excluded=excluded,
        segments=stretches,
        proposed=longest(stretches),
        description=describe(used.totals, used.positions),
        detrended=rest,
        drift=drift(used, knots, base.seconds(~excluded.mask)),
        shot=split(rest.mean, rest.std),
        uncertainty=intervals,
        judgement=judge(rest.mean, beam.low, beam.high),
        stationarity=stationarity(
            used.totals,
            used.positions,
            knots,
            rest=rest,
            block_length=intervals.correlation.block_length,
        ),
        time_base=base,
        frequencies=(
            _frequencies(measured, excluded, knots, base, options)
            if frequencies
            else None
        ),
        missing=span - measured.n,
    )


def _frequencies(
    measured: Measured,
    excluded: Excluded,
    knots: list[int],
    base: TimeBase,
    options: AssessmentOptions,
) -> Frequencies:
    cuts = np.searchsorted(measured.positions, knots).tolist()
    signal = intensity_signal(measured.totals, base, excluded.mask, cuts)
    lines = find_lines(signal, mains_hz=options.mains_hz)
    return Frequencies(
        signal,
        lines,
        power_spectrum(signal, lines.sines),
        band_budget(signal, lines.sines),
    )
