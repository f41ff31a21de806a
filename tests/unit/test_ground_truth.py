"""The whole analysis as a user gets it, judged by runs whose truth is known.

Nobody tells it where top-ups, damage or lines are. `--scenarios 200` judges by as many
runs as the claims are made for, and -s prints the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import scipy.stats
from beams import frames_of
from scenarios import FRAME_RATE_HZ, Scenario, scenario
from scenarios import Line as TrueLine

from eigerwatch.analysis.assessment import assess
from eigerwatch.analysis.bootstrap import Interval
from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.line import Line

pytestmark = pytest.mark.timeout(600)

NEAR_FRAMES = 3
SEEN_SIGMA = 5
"""Lines of at least so many of their own standard errors are scored."""
SURE_SIGMA = 5.6
"""What noise alone shows somewhere in one run of fifty."""
CERTAIN_SIGMA = 9
"""Lines of which noise takes as much as makes them less than that never."""
FALSE_EVENTS_PER_RUN = 0.1
FALSE_LINES_PER_RUN = 0.02
"""The chance of a false line that the search takes by default."""
BEYOND_THREE_SIGMA = 0.0027
RARE = 0.001
"""Chance with which an analysis that is right fails a bound."""


@dataclass(frozen=True)
class Run:
    """What was found in one run, beside the truth."""

    truth: Scenario
    """Without its frames: of 400 runs they would not fit into memory."""
    n: int
    """Frames that should count."""
    spoilt: int
    """Frames with a dip or damage that count nevertheless."""
    lost: int
    """Frames that do not count, but should."""
    cv: Interval
    cv_beam: Interval
    events: list[Event]
    """Without gaps."""
    lines: tuple[Line, ...]
    bin_hz: float

    def topup_at(self, dip: int) -> list[Event]:
        return [
            event
            for event in self.events
            if event.kind is EventKind.TOPUP
            and abs(event.first - dip) <= NEAR_FRAMES
            and abs(event.last - dip) <= NEAR_FRAMES
        ]

    def damage(self) -> list[Event]:
        return [event for event in self.events if event.kind is EventKind.DAMAGED]

    def line_at(self, frequency_hz: float) -> Line | None:
        near = [
            line
            for line in self.lines
            if abs(line.frequency_hz - frequency_hz) <= self.bin_hz
        ]
        return max(near, key=lambda line: line.amplitude, default=None)

    def known(self) -> set[int]:
        """Return the image_id of the first frame of every event that is true."""
        known = {one.first for dip in self.truth.topups for one in self.topup_at(dip)}
        onset = self.truth.damage
        near = [
            one.first
            for one in self.damage()
            if onset is not None and abs(one.first - onset) <= NEAR_FRAMES
        ]
        return known | set(near)


@pytest.fixture(scope="module")
def runs(pytestconfig: pytest.Config) -> list[Run]:
    n = pytestconfig.getoption("--scenarios")
    return [judged(scenario(seed)) for seed in range(n)]


@pytest.fixture(scope="module")
def quiet_runs(pytestconfig: pytest.Config) -> list[Run]:
    """Runs with drift, lines, 1/f and missing frames, but without any event."""
    n = pytestconfig.getoption("--scenarios")
    seeds = range(1000, 1000 + n)
    return [judged(scenario(seed, topups=0, damage=False)) for seed in seeds]


def judged(truth: Scenario) -> Run:
    found = assess(frames_of(truth))
    assert found.frequencies is not None
    bad = np.isin(truth.positions, truth.topups)
    if truth.damage is not None:
        bad |= truth.positions >= truth.damage
    nothing = np.zeros((0, 0))
    return Run(
        truth=replace(
            truth,
            **{
                one.name: nothing
                for one in fields(truth)
                if isinstance(getattr(truth, one.name), np.ndarray)
            },
        ),
        n=int(np.count_nonzero(~truth.excluded)),
        spoilt=int(np.count_nonzero(bad & ~found.excluded.mask)),
        lost=int(np.count_nonzero(found.excluded.mask & ~truth.excluded)),
        cv=found.uncertainty.cv_detrended,
        cv_beam=found.uncertainty.cv_beam,
        events=[one for one in found.events if one.kind is not EventKind.GAP],
        lines=found.frequencies.lines.lines,
        bin_hz=FRAME_RATE_HZ / float(np.ptp(found.measured.positions)),
    )


def standard_errors(run: Run, line: TrueLine) -> float:
    """Return the true amplitude over the standard error that the noise gives it."""
    # The corner is anywhere from 0.5 to 2 Hz, below all lines: 1 is right to 6 %.
    nyquist, corner = FRAME_RATE_HZ / 2, 1.0
    truth = run.truth
    red = (truth.one_over_f_percent / 100) ** 2 / (1 + math.log(nyquist / corner))
    density = red / line.seen_hz + 2 / (truth.mean * FRAME_RATE_HZ)
    return line.amplitude / math.sqrt(density * FRAME_RATE_HZ / run.n)


def cover(intervals: list[tuple[Interval, float]], name: str) -> None:
    n = len(intervals)
    covered = sum(one.low <= truth <= one.high for one, truth in intervals)
    print(f"\n{name}: {covered} of {n} intervals cover the truth")
    if n >= 200:
        assert 0.90 * n <= covered <= 0.99 * n
    else:
        assert covered >= scipy.stats.binom.ppf(RARE, n, 0.90)


def test_intervals_of_the_detrended_cv_cover_the_truth(runs: list[Run]) -> None:
    cover([(run.cv, run.truth.cv_percent) for run in runs], "CV detrended")


def test_intervals_of_the_cv_of_the_beam_cover_the_truth(runs: list[Run]) -> None:
    cover([(run.cv_beam, run.truth.cv_beam_percent) for run in runs], "CV of the beam")


def test_every_topup_is_found_once_within_three_frames(runs: list[Run]) -> None:
    wanted = [(run, dip) for run in runs for dip in run.truth.topups]
    wrong = [
        (run.truth.seed, dip) for run, dip in wanted if len(run.topup_at(dip)) != 1
    ]
    print(f"\ntop-ups: {len(wanted) - len(wrong)} of {len(wanted)} found")
    assert wanted
    assert wrong == []


def test_every_damage_is_found_within_three_frames(runs: list[Run]) -> None:
    wanted = [run for run in runs if run.truth.damage is not None]
    distances = [
        min(
            (abs(one.first - run.truth.damage) for one in run.damage()),
            default=math.inf,
        )
        for run in wanted
    ]
    found = sum(distance <= NEAR_FRAMES for distance in distances)
    print(f"\ndamage: {found} of {len(wanted)} found, farthest {max(distances)} frames")
    assert wanted
    assert found == len(wanted)


def test_no_frame_with_a_dip_or_damage_is_used(runs: list[Run]) -> None:
    spoilt = sum(run.spoilt for run in runs)
    print(f"\nspoilt frames that are used: {spoilt}")
    assert spoilt == 0
    # The guard after a dip is longer than that of the truth.
    assert all(run.lost <= 16 * len(run.truth.topups) for run in runs)


def test_beside_what_happened_nothing_is_found(runs: list[Run]) -> None:
    false = [
        (run.truth.seed, one.kind.value, one.first)
        for run in runs
        for one in run.events
        if one.first not in run.known()
    ]
    print(f"\nfalse events in {len(runs)} runs with events: {false}")
    assert len(false) <= FALSE_EVENTS_PER_RUN * len(runs)


def test_where_nothing_happened_nothing_is_found(quiet_runs: list[Run]) -> None:
    false = [
        (run.truth.seed, one.kind.value, one.first)
        for run in quiet_runs
        for one in run.events
    ]
    print(f"\nfalse events in {len(quiet_runs)} runs without any: {false}")
    assert len(false) <= FALSE_EVENTS_PER_RUN * len(quiet_runs)


def test_every_line_that_noise_leaves_is_found_within_a_bin(runs: list[Run]) -> None:
    sizes, found = [], []
    for run in runs:
        for true in run.truth.lines:
            sizes.append(standard_errors(run, true))
            found.append(run.line_at(true.seen_hz) is not None)
    size, missed = np.array(sizes), ~np.array(found)
    # With its noise, a line has to rise above what noise alone shows: Rice's law.
    expected = float(np.sum(scipy.stats.ncx2.cdf(SURE_SIGMA**2, 2, size**2)))
    print(
        f"\nlines: {np.count_nonzero(~missed)} of {size.size} found;"
        f" not found: {np.sort(size[missed]).round(1).tolist()} standard errors,"
        f" {expected:.1f} to be expected"
    )
    assert not np.any(missed & (size > CERTAIN_SIGMA))
    assert np.count_nonzero(missed) <= scipy.stats.poisson.ppf(1 - RARE, expected)


def test_amplitudes_are_right(runs: list[Run]) -> None:
    off = []
    for run in runs:
        for true in run.truth.lines:
            line = run.line_at(true.seen_hz)
            if line is not None and true.amplitude >= SEEN_SIGMA * line.amplitude_se:
                error = abs(line.amplitude - true.amplitude)
                allowed = max(0.1 * true.amplitude, 3 * line.amplitude_se)
                off.append(error > allowed)
    print(f"\namplitudes: {sum(off)} of {len(off)} off")
    assert sum(off) <= scipy.stats.binom.ppf(1 - RARE, len(off), BEYOND_THREE_SIGMA)


@pytest.mark.parametrize("which", ["runs", "quiet_runs"])
def test_lines_that_are_not_there_are_as_rare_as_claimed(
    which: str, request: pytest.FixtureRequest
) -> None:
    judged_runs: list[Run] = request.getfixturevalue(which)
    false = []
    for run in judged_runs:
        true = {id(run.line_at(one.seen_hz)) for one in run.truth.lines}
        false += [
            (run.truth.seed, line.frequency_hz)
            for line in run.lines
            if id(line) not in true
        ]
    n = len(judged_runs)
    print(f"\nfalse lines in {n} runs: {false}")
    assert len(false) <= scipy.stats.binom.ppf(1 - RARE, n, FALSE_LINES_PER_RUN)
