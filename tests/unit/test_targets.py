"""Go or no-go, with the reason."""

import json

import numpy as np
import pytest

from eigerwatch.analysis.assessment import assess
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.targets import Decision, judge
from eigerwatch.sections import TargetSettings


def run(n: int = 2000, mean: float = 1e6, gap: int = 20) -> Measured:
    totals = np.random.default_rng(1).poisson(mean, n).astype(np.uint64)
    totals += np.linspace(0, 0.02 * mean, n).astype(np.uint64)
    positions = np.arange(n, dtype=np.int64)
    positions[n // 2 :] += gap
    return Measured(positions, totals, frame_time_s=0.00134)


@pytest.mark.parametrize(
    ("targets", "decision", "words"),
    [
        ({}, Decision.UNKNOWN, "no limits are set"),
        ({"cv_percent": 0.2}, Decision.GO, "within all limits: CV"),
        ({"cv_percent": 0.05}, Decision.NO_GO, "CV 0.0987 %, limit 0.05 %"),
        ({"cv_beam_percent": 0.2, "drift_percent": 1}, Decision.NO_GO, "drift 1.9"),
        ({"drift_percent": 3}, Decision.GO, "drift"),
        ({"missing_percent": 0.5}, Decision.NO_GO, "missing frames 0.99"),
        ({"line_percent": 0.5}, Decision.GO, "strongest line"),
        ({"min_mean": 1e7, "cv_percent": 1e-3}, Decision.NO_BEAM, "no beam"),
        ({"min_mean": 1e5, "cv_percent": 1e-3}, Decision.NO_GO, "limit 0.001 %"),
    ],
)
def test_limits_decide(targets: dict[str, float], decision: str, words: str) -> None:
    found = judge(assess(run()), TargetSettings.model_validate(targets))
    assert found.decision == decision
    assert words in found.text
    json.dumps(found.as_dict(), allow_nan=False)


def test_too_few_frames_decide_nothing() -> None:
    limits = TargetSettings(cv_percent=1)
    found = judge(assess(run(1)), limits)
    assert found.decision == Decision.UNKNOWN
    assert found.text == "not enough data (n = 1)"


@pytest.mark.parametrize("limits", [{"missing_percent": 50}, {"min_mean": 1.0}])
def test_too_few_frames_for_an_interval_hold_no_limit(limits: dict[str, float]) -> None:
    found = judge(assess(run(4, gap=0)), TargetSettings.model_validate(limits))
    assert found.decision == Decision.UNKNOWN
    assert found.text == "not enough data (n = 4)"
    assert not found.passes


def test_too_few_frames_may_break_a_limit() -> None:
    found = judge(assess(run(4, gap=20)), TargetSettings(missing_percent=50))
    assert found.decision == Decision.NO_GO


def test_frames_that_are_all_empty_are_no_beam() -> None:
    dark = Measured(
        np.arange(500), np.zeros(500, np.uint64), kept=np.zeros(500, np.uint32)
    )
    found = judge(assess(dark), TargetSettings(min_mean=1000, cv_percent=1))
    assert found.decision == Decision.NO_BEAM
    assert "every frame is empty" in found.text


def test_what_is_unknown_stands_beside_what_is_known() -> None:
    """Half a second tells no line, but the CV."""
    found = judge(assess(run(60, gap=0)), TargetSettings(cv_percent=50, line_percent=1))
    assert found.decision == Decision.GO
    assert found.text == (
        "within all limits: CV; strongest line: not enough frames to tell"
    )
    assert found.passes


def test_beam_alone_can_be_asked_for() -> None:
    found = judge(assess(run()), TargetSettings(min_mean=1000))
    assert found.decision == Decision.GO
    assert found.text == "there is beam: 1.01e+06 counts; no other limit is set"
