"""How much of the fluctuation the counting of photons explains by itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Literal

from eigerwatch.analysis.statistics import Table, finite_or_none

Verdict = Literal["photon_limited", "mixed", "beam_limited"]

FEWEST_FRAMES = 8
"""For an interval from table values alone."""


@dataclass(frozen=True, slots=True)
class ShotNoise:
    """Point estimates for sums of independently counted photons.

    Flat-field and count-rate corrections scale the counts after counting, so these
    are estimates. NaN where the mean is not positive or there are too few frames.
    """

    cv_shot_percent: float
    """Coefficient of variation of pure counting, 100/sqrt(mean) [%]."""
    fano: float
    """Variance over mean [counts]; 1 for pure counting."""
    cv_beam_percent: float
    """What is left for the beam, sqrt(max(0, CV^2 - CV_shot^2)) [%]."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {key: finite_or_none(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What limits a run, beam or counting, and why one may say so."""

    verdict: Verdict | None
    """None where there is too little to judge."""
    cv_shot_percent: float
    """Limit of counting [%]; NaN without a positive mean."""
    low_percent: float
    """Lower limit of CV_beam [%]; NaN where there is no interval."""
    high_percent: float
    """Upper limit of CV_beam [%]; NaN where there is no interval."""
    approximate: bool
    """The interval takes frames for independent; it may be too narrow."""
    reason: str
    """One sentence for the reader."""

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "verdict": self.verdict,
            "cv_shot_percent": finite_or_none(self.cv_shot_percent),
            "low_percent": finite_or_none(self.low_percent),
            "high_percent": finite_or_none(self.high_percent),
            "approximate": self.approximate,
            "reason": self.reason,
        }


def shot_noise(table: Table) -> ShotNoise:
    """Split the coefficient of variation of `table` into counting and beam."""
    return split(table.mean, table.std)


def split(mean: float, std: float) -> ShotNoise:
    """Split a standard deviation [counts] into counting and beam."""
    if not mean > 0:
        return ShotNoise(math.nan, math.nan, math.nan)
    cv_shot = 100 / math.sqrt(mean)
    # Not max(): it would turn an undefined CV into 0.
    square = (100 * std / mean) ** 2 - cv_shot**2
    return ShotNoise(
        cv_shot_percent=cv_shot,
        fano=std**2 / mean,
        cv_beam_percent=0.0 if square < 0 else math.sqrt(square),
    )


def judge(
    mean: float, low_percent: float, high_percent: float, *, approximate: bool = False
) -> Judgement:
    """Judge by the interval of CV_beam [%] against the limit of counting.

    Below it: photon_limited; above it: beam_limited; else mixed.

    Parameters
    ----------
    mean
        Of the frames' sums [counts].
    low_percent, high_percent
        Limits of CV_beam [%]; NaN: not known.
    approximate
        The interval does not respect autocorrelation; the reason then says so.
    """
    if not mean > 0:
        reason = "no beam: the mean is 0" if mean == 0 else "not enough data (n = 0)"
        return Judgement(None, math.nan, math.nan, math.nan, approximate, reason)
    shot = 100 / math.sqrt(mean)
    if not low_percent <= high_percent:
        reason = "not enough data for an interval of CV_beam"
        return Judgement(None, shot, math.nan, math.nan, approximate, reason)
    verdict: Verdict
    if high_percent < shot:
        verdict, relation = "photon_limited", "below"
    elif low_percent > shot:
        verdict, relation = "beam_limited", "above"
    else:
        verdict, relation = "mixed", "on both sides of"
    reason = (
        f"the beam's CV, {low_percent:.3g} to {high_percent:.3g} %, lies {relation} "
        f"the shot-noise limit of {shot:.3g} %"
    )
    if approximate:
        reason += "; approximate: frames taken for independent"
    return Judgement(verdict, shot, low_percent, high_percent, approximate, reason)


def judge_table(
    count: int, mean: float, cv_percent: float, confidence: float = 0.95
) -> Judgement:
    """Judge by a table's values alone, as if its frames were independent.

    The interval is that of the variance of normal values, chi-square by E. B. Wilson
    and M. M. Hilferty, PNAS 17 (1931) 684. Autocorrelation widens it, so where the
    frames are at hand `judge` with their bootstrap interval is better.
    """
    if count < FEWEST_FRAMES:
        shot = 100 / math.sqrt(mean) if mean > 0 else math.nan
        reason = f"not enough data (n = {count})"
        return Judgement(None, shot, math.nan, math.nan, True, reason)
    low = high = math.nan
    if mean > 0 and cv_percent >= 0:
        z, nu = NormalDist().inv_cdf((1 + confidence) / 2), count - 1
        low, high = (
            math.sqrt(max(0.0, (cv_percent**2 / ratio) - 1e4 / mean))
            for ratio in (
                (1 - 2 / (9 * nu) + s * math.sqrt(2 / (9 * nu))) ** 3 for s in (z, -z)
            )
        )
    return judge(mean, low, high, approximate=True)
