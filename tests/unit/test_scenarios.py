"""The truth that other tests rely on."""

from __future__ import annotations

import numpy as np
import pytest
from scenarios import FRAME_RATE_HZ, Scenario, folded, scenario


@pytest.fixture(scope="module")
def eventful() -> Scenario:
    return scenario(5, topups=2, damage=True, missing=0.01)


def test_a_seed_always_draws_the_same(eventful: Scenario) -> None:
    again = scenario(5, topups=2, damage=True, missing=0.01)
    np.testing.assert_array_equal(again.regions, eventful.regions)
    assert again.lines == eventful.lines


def test_total_is_the_sum_of_the_modules(eventful: Scenario) -> None:
    np.testing.assert_array_equal(eventful.regions.sum(axis=1), eventful.totals)
    np.testing.assert_array_equal(eventful.region_kept.sum(axis=1), eventful.kept)


def test_topups_dip_and_step(eventful: Scenario) -> None:
    for dip in eventful.topups:
        at = int(np.searchsorted(eventful.positions, dip))
        assert eventful.positions[at] == dip
        before = eventful.totals[at - 300 : at - 2].mean()
        after = eventful.totals[at + 3 : at + 300].mean()
        assert eventful.totals[at] < 0.97 * before
        assert 1.001 < after / before < 1.007
        assert eventful.excluded[at]


def test_damage_takes_modules_away(eventful: Scenario) -> None:
    at = int(np.searchsorted(eventful.positions, eventful.damage))
    assert eventful.positions[at] == eventful.damage
    lost = eventful.region_sentinel[at] > 1000
    assert 1 <= np.count_nonzero(lost) <= 2
    usual = eventful.regions[:at].mean(axis=0)
    assert np.all(eventful.regions[at, lost] < 0.6 * usual[lost])
    assert np.all(eventful.regions[at, ~lost] > 0.9 * usual[~lost])
    assert eventful.excluded[at:].all()
    assert not np.any(eventful.region_sentinel[:at] > 1000)


def test_lines_are_apart_after_folding() -> None:
    assert [folded(f) for f in (50, 696, 1446)] == [50, 50, 46]
    for seed in range(20):
        seen = sorted(line.seen_hz for line in scenario(seed, modules=False).lines)
        assert np.all(np.diff(seen) > 3 * FRAME_RATE_HZ / 45_000)
        assert all(2 <= f <= FRAME_RATE_HZ / 2 - 2 for f in seen)


def test_truth_is_what_many_runs_scatter_by() -> None:
    ratios = []
    for seed in range(60):
        run = scenario(
            seed, topups=0, damage=False, drift_percent=0, missing=0, modules=False
        )
        ratios.append(100 * run.totals.std() / run.totals.mean() / run.cv_percent)
    # One run has the slowest part of its 1/f noise in its mean: a little less.
    assert np.mean(ratios) == pytest.approx(0.999, abs=0.003)
