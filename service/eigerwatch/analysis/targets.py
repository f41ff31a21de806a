"""Go or no-go: figures of a beam against the limits that were set for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.events.model import EventKind
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.sections import TargetSettings


class Decision(StrEnum):
    """What the limits say."""

    GO = "go"
    NO_GO = "no_go"
    NO_BEAM = "no_beam"
    """The mean is below ``targets.min_mean``: a closed shutter is no alarm."""
    UNKNOWN = "unknown"
    """No limit is set, or too few frames tell."""


NO_LIMITS = "no limits are set under targets"


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its limit."""

    name: str
    value: float
    """[%]; NaN where the frames do not tell."""
    limit: float
    """[%]"""
    held: bool | None
    """None: unknown."""
    text: str
    """One sentence."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "name": self.name,
            "value": finite_or_none(self.value),
            "limit": self.limit,
            "held": self.held,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """The decision and what led to it."""

    decision: Decision
    text: str
    """One sentence with the reason."""
    checks: tuple[Check, ...]

    @property
    def passes(self) -> bool:
        """Whether a check of the run succeeds: all limits held, or none is set."""
        return self.decision == Decision.GO or not self.limited

    @property
    def limited(self) -> bool:
        """Whether any limit is set."""
        return self.text != NO_LIMITS

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "decision": self.decision.value,
            "text": self.text,
            "checks": [check.as_dict() for check in self.checks],
        }


def judge(found: Assessment, targets: TargetSettings) -> Judged:
    """Hold an assessment against limits.

    Figures are compared as they are, not by their intervals: a limit means what the
    page shows. Too few frames for an interval may break a limit, but hold none.
    """
    if (reason := _no_beam(found, targets.min_mean)) is not None:
        return Judged(Decision.NO_BEAM, reason, ())
    checks = tuple(_checks(found, targets))
    failed = [check for check in checks if check.held is False]
    if failed:
        return Judged(Decision.NO_GO, "; ".join(c.text for c in failed), checks)
    if found.uncertainty.reason and (checks or targets.min_mean is not None):
        return Judged(Decision.UNKNOWN, found.uncertainty.reason, checks)
    if not checks and targets.min_mean is not None:
        mean = found.description.raw.mean
        text = f"there is beam: {mean:.4g} counts; no other limit is set"
        return Judged(Decision.GO, text, checks)
    if not checks:
        return Judged(Decision.UNKNOWN, NO_LIMITS, checks)
    told = [check for check in checks if check.held]
    if not told:
        return Judged(Decision.UNKNOWN, checks[0].text, checks)
    unknown = [check.text for check in checks if check.held is None]
    within = f"within all limits: {', '.join(check.name for check in told)}"
    return Judged(Decision.GO, "; ".join([within, *unknown]), checks)


def _no_beam(found: Assessment, min_mean: float | None) -> str | None:
    """Return why there is no beam, or None: there is, or nobody knows."""
    if min_mean is None:
        return None
    limit = f"targets.min_mean = {min_mean:g}"
    if found.measured.n:
        mean = found.description.raw.mean
        below = mean < min_mean
        return (
            f"no beam: the mean of {mean:.4g} counts is below {limit}"
            if below
            else None
        )
    if EventKind.EMPTY in found.excluded.usage.excluded:
        return f"no beam: every frame is empty; {limit}"
    return None


def _checks(found: Assessment, targets: TargetSettings) -> list[Check]:
    figures = (
        ("CV", found.detrended.cv_percent, targets.cv_percent),
        ("CV of the beam", found.shot.cv_beam_percent, targets.cv_beam_percent),
        ("drift", abs(found.drift.rise_percent), targets.drift_percent),
        ("strongest line", found.strongest_line_percent, targets.line_percent),
        ("missing frames", found.missing_percent, targets.missing_percent),
    )
    return [
        _check(name, value, limit)
        for name, value, limit in figures
        if limit is not None
    ]


def _check(name: str, value: float, limit: float) -> Check:
    if finite_or_none(value) is None:
        text = f"{name}: not enough frames to tell"
        return Check(name, value, limit, None, text)
    held = value <= limit
    text = f"{name} {value:.3g} %, limit {limit:g} %"
    return Check(name, value, limit, held, text)
