"""Everything that is said about a run: figures, and which frames they rest on."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from beams import frames_of
from helpers import SHARED_DATA
from scenarios import Scenario, scenario

from eigerwatch.analysis.assessment import Assessment, AssessmentOptions, assess
from eigerwatch.analysis.exclusion import Edit, Exclusions
from eigerwatch.analysis.measured import Measured, measured_of
from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import describe
from eigerwatch.model import FRAME_RECORD, REGION_ROW, FrameFlag


def of_scenario(seed: int, **chosen: object) -> tuple[Measured, Scenario]:
    drawn = scenario(seed, **chosen)  # type: ignore[arg-type]
    return frames_of(drawn), drawn


def plain(totals: list[int] | np.ndarray, **more: object) -> Measured:
    array = np.asarray(totals, np.uint64)
    return Measured(np.arange(array.size), array, **more)  # type: ignore[arg-type]


def said(found: Assessment) -> str:
    return json.dumps(found.as_dict(), allow_nan=False)


def test_every_frame_is_used_excluded_or_missing() -> None:
    measured, drawn = of_scenario(0)
    found = assess(measured)
    assert found.missing == int(np.ptp(drawn.positions)) + 1 - drawn.positions.size
    usage = found.excluded.usage
    assert usage.used == found.measured.n
    assert usage.used + sum(usage.excluded.values()) == drawn.positions.size
    said(found)


def test_lines_of_a_run_are_named_and_measured() -> None:
    measured, drawn = of_scenario(3, topups=1, damage=False)
    found = assess(measured)
    assert found.frequencies is not None
    seen = [line.frequency_hz for line in found.frequencies.lines.lines]
    clear = [line for line in drawn.lines if line.amplitude > 3e-4]
    assert clear
    for line in clear:
        assert min(abs(hz - line.seen_hz) for hz in seen) < 1 / measured.times_s[-1]
    strongest = max(line.amplitude for line in drawn.lines)
    assert found.strongest_line_percent == pytest.approx(100 * strongest, rel=0.1)


def test_without_events_all_figures_are_those_of_the_table() -> None:
    measured, _ = of_scenario(1, topups=0, damage=False)
    found = assess(measured)
    table = describe(measured.totals, measured.positions)
    assert found.description == table
    cv = found.detrended.cv_percent
    assert cv == pytest.approx(table.detrended.cv_percent, rel=1e-9)
    shot = shot_noise(table.detrended)
    assert found.shot.cv_beam_percent == pytest.approx(shot.cv_beam_percent, rel=1e-9)


def test_frames_excluded_by_hand_leave_every_figure() -> None:
    measured, _ = of_scenario(2, topups=0, damage=False)
    layer = Exclusions(edits=(Edit(1000, 40_000, True, "shutter test"),))
    found = assess(measured, AssessmentOptions(exclusions=layer))
    kept = (measured.positions < 1000) | (measured.positions > 40_000)
    assert found.measured.n == np.count_nonzero(kept)
    assert found.description.raw.count == found.measured.n
    assert found.uncertainty.n == found.measured.n
    assert found.frequencies is not None
    assert found.frequencies.signal.n == found.measured.n
    assert "shutter test" in [one.reason for one in found.excluded.intervals]


@pytest.mark.parametrize(
    "measured",
    [
        plain([]),
        plain([5]),
        plain([5, 7]),
        plain([9] * 100),
        plain([0] * 100),
        plain(np.full(60, 2**64 - 3, np.uint64)),
        plain([5, 7, 9], times_s=np.full(3, math.nan)),
        plain(np.arange(300), times_s=np.geomspace(1, 1e9, 300)),
    ],
    ids=["0", "1", "2", "constant", "zero", "huge", "no-times", "irregular"],
)
def test_too_little_or_odd_data_has_defined_answers(measured: Measured) -> None:
    assert said(assess(measured))


def test_all_excluded_is_said() -> None:
    layer = Exclusions(edits=(Edit(0, None, True, "all"),))
    found = assess(plain(np.arange(1, 200)), AssessmentOptions(exclusions=layer))
    assert found.measured.n == 0
    assert "0 of 199" in str(found.excluded.usage)
    assert found.judgement.verdict is None
    said(found)


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no published sums here")
def test_the_origins_published_sums_are_photon_limited() -> None:
    path = Path(SHARED_DATA) / "origin_399_sums.csv"
    totals = np.loadtxt(path, np.uint64, delimiter=",", skiprows=1, usecols=1)
    found = assess(plain(totals, frame_time_s=0.00134))
    assert found.judgement.verdict == "photon_limited"
    assert found.description.raw.cv_percent == pytest.approx(0.606, abs=0.001)
    assert not [event for event in found.events if event.kind.value != "gap"]


def test_records_that_are_not_stored_are_left_out() -> None:
    records = np.zeros(4, FRAME_RECORD)
    records["flags"][[0, 2, 3]] = FrameFlag.STORED
    records["flags"][3] |= FrameFlag.TIME_COMPUTED
    records["total"] = [5, 6, 7, 8]
    records["start_ns"] = [0, 10, 20, 30]
    rows = np.zeros((4, 3), REGION_ROW)
    rows["total"] = np.arange(12).reshape(4, 3)
    found = measured_of(records, rows, first=100, modules=[0, 2])
    assert found.positions.tolist() == [100, 102, 103]
    assert found.totals.tolist() == [5, 7, 8]
    assert found.times_s is not None
    assert np.isnan(found.times_s).tolist() == [False, False, True]
    assert found.times_s[1] == 20e-9
    assert found.regions is not None
    assert found.regions.tolist() == [[0, 2], [6, 8], [9, 11]]
    assert measured_of(records, rows[:, :0], modules=[0, 2]).regions is None
