"""What a comparison comes to, in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from eigerwatch.analysis.bootstrap import Interval
from eigerwatch.analysis.line_changes import LineChange
from eigerwatch.analysis.ratios import Ratio
from eigerwatch.analysis.spectrum_ratio import BandChange

Outcome = Literal["steadier", "less_steady", "no_change", "undecided", "not_comparable"]

COUNTING_MATTERS = 0.25
"""Of the half-width of the interval of a change of CV^2: where the difference of the
shot noise is smaller, CV and CV_beam tell the same, and CV is what people know."""
MOST = 0.5
"""Share of a change that is most of it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the sentence is made of; pairs are of A and B."""

    names: tuple[str, str]
    refusals: tuple[str, ...]
    mean: Ratio
    cv: Ratio
    cv_beam: Ratio
    cv_intervals: tuple[Interval, Interval]
    cv_shot_percent: tuple[float, float]
    photon_limited: tuple[bool, bool]
    bands: tuple[BandChange, ...]
    lines: tuple[LineChange, ...]

    @property
    def counting_matters(self) -> bool:
        """Whether the counts alone make a difference of CV that would be seen."""
        shot_a, shot_b = self.cv_shot_percent
        half = math.hypot(
            *((one.high**2 - one.low**2) / 2 for one in self.cv_intervals)
        )
        return abs(shot_b**2 - shot_a**2) > COUNTING_MATTERS * half


def verdict(found: Findings) -> tuple[Outcome, str]:
    """Return what B is against A, and the sentence that says so.

    One figure decides, so that the chance of a false alarm is that of its interval:
    CV, or CV_beam where the counts differ so much that CV differs by them. Bands and
    lines are told with it, at a stricter level.
    """
    a, b = found.names
    if found.refusals:
        return (
            "not_comparable",
            f"{a} and {b} cannot be compared: {'; '.join(found.refusals)}",
        )
    if not found.counting_matters:
        outcome, text = _said(found, found.cv, "CV")
        if all(found.photon_limited) and not found.cv_beam.bounded:
            text += "; both are photon-limited, the beam's part cannot be compared"
        return outcome, text
    beam = found.cv_beam
    if beam.significant or beam.bounded:
        outcome, text = _said(found, beam, "the beam's part of CV")
        return outcome, f"{text}; CV {found.cv.text}, {_counts(found.mean)}"
    why = "it is too small beside the counting of photons"
    if all(found.photon_limited):
        why = "both runs are photon-limited"
    elif any(found.photon_limited):
        why = f"{a if found.photon_limited[0] else b} is photon-limited"
    return "undecided", (
        f"the beam's part cannot be compared: {why}, and the counts differ "
        f"({found.mean.a:.3g} in {a}, {found.mean.b:.3g} in {b}); CV {found.cv.text}"
    )


def _counts(mean: Ratio) -> str:
    if mean.ratio > 2:
        return f"counts {mean.ratio:.3g} times as high"
    direction = "down" if mean.ratio < 1 else "up"
    return f"counts {direction} by {abs(mean.change_percent):.2g} %"


def _said(found: Findings, ratio: Ratio, what: str) -> tuple[Outcome, str]:
    """Return outcome and sentence by the figure that decides."""
    if not ratio.significant:
        text = f"no significant change: {what} {ratio.text}"
        return "no_change", text + _yet(found)
    better = ratio.interval.high < 1
    words = "is steadier" if better else "is less steady"
    text = f"{found.names[1]} {words}: {what} {ratio.text} (significant)"
    return ("steadier" if better else "less_steady"), text + _where(found, better)


def _where(found: Findings, better: bool) -> str:
    """Return the band that most of the change is in."""
    sign = -1 if better else 1
    changed = [
        (sign * band.variance_change, band)
        for band in _changed_bands(found)
        if sign * band.variance_change > 0
    ]
    if not changed:
        return ""
    largest, band = max(changed, key=lambda one: one[0])
    total = sum(
        sign * one.variance_change
        for one in found.bands
        if sign * one.variance_change > 0
    )
    part = "most of it" if largest >= MOST * total else "the largest part"
    text = f"; {part} in {band.name}"
    inside = [
        line
        for line in _changed_lines(found)
        if band.low_hz <= line.frequency_hz < band.high_hz
        # In percent squared, as bands are.
        and sign * 1e4 * line.power_change > MOST * largest
    ]
    if inside:
        text += f", where the {inside[0].text}"
    return text


def _yet(found: Findings) -> str:
    """Return what changed although the whole did not."""
    lines, bands = _changed_lines(found), _changed_bands(found)
    if lines:
        return f"; yet the {lines[0].text}"
    if bands:
        band = max(bands, key=lambda one: abs(one.variance_change))
        return f"; yet {band.name} is {band.text}"
    return ""


def _changed_bands(found: Findings) -> list[BandChange]:
    return [
        band for band in found.bands if band.significant and not band.counting_explains
    ]


def _changed_lines(found: Findings) -> list[LineChange]:
    return [line for line in found.lines if line.fate not in ("unchanged", "undecided")]
