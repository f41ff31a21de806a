"""Two runs, or two intervals of one, before and after: what has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.bootstrap import UNKNOWN, Interval
from eigerwatch.analysis.conditions import Conditions, Differences, differences
from eigerwatch.analysis.line_changes import LineChange, line_changes
from eigerwatch.analysis.ratios import Ratio, ratio_of
from eigerwatch.analysis.residual import Residual
from eigerwatch.analysis.spectrum_ratio import (
    BandChange,
    SpectrumRatio,
    band_changes,
    spectrum_ratio,
)
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.verdict import Findings, Outcome, verdict

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B over run A."""

    names: tuple[str, str]
    comparable: bool
    refusals: tuple[str, ...]
    """Why not, in words; figures that make sense all the same are there."""
    warnings: tuple[str, ...]
    """What to bear in mind."""
    outcome: Outcome
    verdict: str
    """One sentence for the reader."""
    mean: Ratio
    """[counts per frame]"""
    cv: Ratio
    """Detrended [%]."""
    cv_beam: Ratio
    """Without the counting of photons [%]."""
    cv_shot_percent: tuple[float, float]
    """Limit of photon counting of both [%]; NaN without a beam."""
    bands: tuple[BandChange, ...]
    lines: tuple[LineChange, ...]
    spectrum: SpectrumRatio | None
    """None where frequencies were not assessed, or have different units."""
    frequencies_text: str
    """Why there are no bands, lines and spectrum; else empty."""
    conditions: tuple[Conditions, Conditions]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "names": list(self.names),
            "comparable": self.comparable,
            "refusals": list(self.refusals),
            "warnings": list(self.warnings),
            "outcome": self.outcome,
            "verdict": self.verdict,
            "confidence": CONFIDENCE,
            "mean": self.mean.as_dict(),
            "cv": self.cv.as_dict(),
            "cv_beam": self.cv_beam.as_dict(),
            "cv_shot_percent": [finite_or_none(one) for one in self.cv_shot_percent],
            "bands": [band.as_dict() for band in self.bands],
            "lines": [line.as_dict() for line in self.lines],
            "spectrum": None if self.spectrum is None else self.spectrum.as_dict(),
            "frequencies_text": self.frequencies_text,
            "conditions": [one.as_dict() for one in self.conditions],
        }


def compare(
    a: Assessment,
    b: Assessment,
    conditions_a: Conditions | None = None,
    conditions_b: Conditions | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare run B with run A: a ratio above 1 says that B has more.

    Intervals are of 95 % and hold for independent runs.

    Parameters
    ----------
    conditions_a, conditions_b
        What is known beside the frames; frame time and kept pixels are taken from
        these where not told.
    names
        Of A and B, for sentences.
    """
    conditions = (
        _completed(conditions_a or Conditions(), a),
        _completed(conditions_b or Conditions(), b),
    )
    found = differences(*conditions)
    refusals = [*_unfit(a, names[0]), *_unfit(b, names[1]), *found.refusals]
    warnings = [*found.warnings, *_unsteady(a, names[0]), *_unsteady(b, names[1])]
    warnings += _shared(a, b, conditions)
    known = a.measured.n > 0 and b.measured.n > 0
    if known and a.time_base.unit != b.time_base.unit:
        refusals.append("the times of the frames are known of one run only")
    mean, cv, cv_beam = _ratios(a, b, found)
    why_not = _no_frequencies(a, b)
    bands: tuple[BandChange, ...] = ()
    lines: tuple[LineChange, ...] = ()
    spectrum = None
    if not why_not and a.frequencies is not None and b.frequencies is not None:
        of_a, of_b = a.frequencies, b.frequencies
        rest_a = Residual(of_a.signal, of_a.lines)
        rest_b = Residual(of_b.signal, of_b.lines)
        spectrum = spectrum_ratio(of_a, of_b, CONFIDENCE)
        bands = band_changes(of_a, of_b, rest_a, rest_b)
        lines = line_changes(of_a, of_b, rest_a, rest_b, names)
    shots = (a.shot.cv_shot_percent, b.shot.cv_shot_percent)
    outcome, text = verdict(
        Findings(
            names=names,
            refusals=tuple(refusals),
            mean=mean,
            cv=cv,
            cv_beam=cv_beam,
            cv_intervals=(a.uncertainty.cv_detrended, b.uncertainty.cv_detrended),
            cv_shot_percent=shots,
            photon_limited=(
                a.judgement.verdict == "photon_limited",
                b.judgement.verdict == "photon_limited",
            ),
            bands=bands,
            lines=lines,
        )
    )
    return Comparison(
        names=names,
        comparable=not refusals,
        refusals=tuple(refusals),
        warnings=tuple(warnings),
        outcome=outcome,
        verdict=text,
        mean=mean,
        cv=cv,
        cv_beam=cv_beam,
        cv_shot_percent=shots,
        bands=bands,
        lines=lines,
        spectrum=spectrum,
        frequencies_text=why_not,
        conditions=conditions,
    )


def mean_interval(run: Assessment) -> Interval:
    """Return the interval of the mean, drift and top-ups taken for what they are.

    From the scatter of the means of blocks as long as those of the bootstrap.
    """
    rest, length = run.detrended.residuals, run.uncertainty.block_length
    blocks = rest.size // length if length else 0
    if blocks < 2:
        return UNKNOWN
    means = rest[: blocks * length].reshape(blocks, length).mean(axis=1)
    # Not below counting: lines that blocks average out leave nothing else.
    least = run.detrended.mean / rest.size
    error = math.sqrt(max(float(means.var(ddof=1)) / blocks, least))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return Interval(run.detrended.mean - half, run.detrended.mean + half)


def _ratios(
    a: Assessment, b: Assessment, found: Differences
) -> tuple[Ratio, Ratio, Ratio]:
    """Return the ratios of mean, CV and CV_beam, as far as conditions allow."""
    mean = ratio_of(
        a.detrended.mean, b.detrended.mean, mean_interval(a), mean_interval(b)
    )
    cv = ratio_of(
        a.detrended.cv_percent,
        b.detrended.cv_percent,
        a.uncertainty.cv_detrended,
        b.uncertainty.cv_detrended,
    )
    beam = ratio_of(
        a.shot.cv_beam_percent,
        b.shot.cv_beam_percent,
        a.uncertainty.cv_beam,
        b.uncertainty.cv_beam,
    )
    if not found.same_sampling:
        why = "not compared: frames average over different times"
        return _set_aside(mean, why), _set_aside(cv, why), _set_aside(beam, why)
    if not found.same_sums:
        # Of the beam: relative, and without the counting that other pixels change.
        why = "not compared: other pixels, or counted otherwise"
        return _set_aside(mean, why), _set_aside(cv, why), beam
    return mean, cv, beam


def _set_aside(ratio: Ratio, why: str) -> Ratio:
    return Ratio(ratio.a, ratio.b, math.nan, UNKNOWN, None, why)


def _completed(conditions: Conditions, run: Assessment) -> Conditions:
    frame_time, kept = conditions.frame_time_s, conditions.kept_pixels
    if frame_time is None:
        frame_time = run.measured.frame_time_s
    if frame_time is None and run.time_base.unit == "Hz":
        frame_time = 1 / run.time_base.rate_hz
    if kept is None and run.measured.kept is not None and run.measured.n:
        kept = float(np.median(run.measured.kept))
    return replace(conditions, frame_time_s=frame_time, kept_pixels=kept)


def _unfit(run: Assessment, name: str) -> list[str]:
    if run.uncertainty.reason:
        return [f"{name}: {run.uncertainty.reason}"]
    if not run.detrended.std > 0:
        return [f"{name}: every frame has the same sum"]
    return []


def _unsteady(run: Assessment, name: str) -> list[str]:
    if run.stationarity.variance_holds is False:
        return [f"the fluctuation of {name} changes during the run"]
    return []


def _shared(
    a: Assessment, b: Assessment, conditions: tuple[Conditions, Conditions]
) -> list[str]:
    if conditions[0].series is None or conditions[0].series != conditions[1].series:
        return []
    common = np.intersect1d(
        a.measured.positions, b.measured.positions, assume_unique=True
    ).size
    if not common:
        return []
    return [f"{common} frames are in both: intervals are of independent runs"]


def _no_frequencies(a: Assessment, b: Assessment) -> str:
    if a.frequencies is None or b.frequencies is None:
        return "frequencies were not looked at"
    if a.frequencies.signal.unit != b.frequencies.signal.unit:
        return "the times of the frames are known of one run only"
    for one in (a.frequencies, b.frequencies):
        if not one.bands.bands:
            return one.bands.text
    return ""
