"""The figures that a list of runs shows of one, from its assessment."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from importlib.metadata import version
from typing import Any

import numpy as np

from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.comparison import mean_interval
from eigerwatch.analysis.decimate import envelope
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.targets import Decision
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.store.info import Ledger
from eigerwatch.web.assessing import Answer

FORMAT = 1
"""Of what is kept; grows when its fields mean something else."""
SPARK_POINTS = 120


def made_by(analysis: AnalysisSettings, targets: TargetSettings) -> str:
    """Return what says how figures are made: software and settings."""
    # Limits decide nothing here but whether there was beam.
    told = [analysis.model_dump(mode="json"), targets.min_mean]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"{FORMAT} {version('eigerwatch')} {digest[:16]}"


def stamp_of(made_by: str, ledger: Ledger | None, exclusions: str) -> str:
    """Return what figures were made from and how; another stamp, other figures."""
    counts = "none"
    if ledger is not None:
        counts = f"{ledger.stored} {ledger.rejected} {ledger.missing} {ledger.highest}"
    return f"{made_by}; frames {counts}; exclusions {exclusions}"


def figures_of(answer: Answer) -> dict[str, Any]:
    """Return the figures of a run, safe for JSON."""
    found = answer.assessment
    beam = answer.judged.decision != Decision.NO_BEAM
    mean, cv = mean_interval(found), found.uncertainty.cv_detrended
    beam_interval = found.uncertainty.cv_beam
    # Without beam a CV says nothing.
    told = {
        "cv_percent": found.detrended.cv_percent,
        "cv_low": cv.low,
        "cv_high": cv.high,
        "cv_shot_percent": found.shot.cv_shot_percent,
        "cv_beam_percent": found.shot.cv_beam_percent,
        "cv_beam_low": beam_interval.low,
        "cv_beam_high": beam_interval.high,
    }
    return {
        "mean": finite_or_none(found.detrended.mean),
        "mean_low": finite_or_none(mean.low),
        "mean_high": finite_or_none(mean.high),
        **{name: finite_or_none(told[name]) if beam else None for name in told},
        "verdict": found.judgement.verdict if beam else "no_beam",
        "verdict_text": found.judgement.reason if beam else answer.judged.text,
        "events": dict(Counter(event.kind.value for event in found.events)),
        "excluded": sum(found.excluded.usage.excluded.values()),
        "sparkline": sparkline(found),
    }


def sparkline(found: Assessment) -> dict[str, Any]:
    """Return the envelope of the frames that count, relative to their mean."""
    positions, totals = found.measured.positions, found.measured.totals
    mean = found.detrended.mean
    if not positions.size or not mean > 0:
        return {"frames": [], "values": []}
    first = int(positions[0])
    there = np.zeros(int(positions[-1]) - first + 1, np.bool_)
    values = np.zeros(there.size)
    there[positions - first] = True
    values[positions - first] = totals
    drawn = envelope(first, values, there, SPARK_POINTS)
    return {
        "frames": drawn.frames.tolist(),
        "values": [
            None if np.isnan(value) else round(float(value), 6)
            for value in drawn.values / mean
        ],
    }
