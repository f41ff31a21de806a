from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from eigerwatch.analysis.events.detect import detect
from eigerwatch.analysis.events.gaps import gap_events
from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.events.robust import known_median, sigma_of
from eigerwatch.analysis.events.spikes import Deviation, joined
from eigerwatch.analysis.events.steps import Level, scan_of
from eigerwatch.analysis.measured import Measured

N = 30_000
FRAME = np.arange(N)


def flicker(rng: np.random.Generator, rms: float, corner_hz: float) -> np.ndarray:
    """Return 1/f noise that is flat below a corner."""
    hz = np.fft.rfftfreq(4 * N, 1 / 746)
    size = 1 / np.sqrt(np.maximum(hz, corner_hz))
    size[0] = 0
    noise = np.fft.irfft(size * np.exp(2j * np.pi * rng.random(hz.size)), 4 * N)
    return np.asarray(rms * noise[:N] / noise.std())


def counted(beam: np.ndarray, seed: int = 0, mean: float = 5e6) -> Measured:
    totals = np.random.default_rng(seed).poisson(mean * beam).astype(np.uint64)
    return Measured(FRAME[: beam.size], totals, None, 1 / 746)


def found(measured: Measured) -> list[tuple[EventKind, int]]:
    return [(event.kind, event.first) for event in detect(measured)]


def only(measured: Measured) -> Event:
    (event,) = detect(measured)
    return event


@pytest.mark.parametrize("size", [-0.004, 0.004, 0.03])
def test_a_step_is_found_where_it_is(size: float) -> None:
    beam = 1 + size * (FRAME >= 12_345) + 0.01 * FRAME / N
    event = only(counted(beam))
    assert event.kind is EventKind.STEP
    assert abs(event.first - 12_345) <= 3
    assert event.size == pytest.approx(size, abs=2e-4)


@pytest.mark.parametrize("factor", [0.03, 0.5, 3])
def test_a_large_step_casts_no_shadows(factor: float) -> None:
    rng = np.random.default_rng(4)
    beam = (1 + flicker(rng, 5e-4, 0.5)) * np.where(FRAME >= 20_000, factor, 1)
    event = only(counted(beam))
    assert event.kind is EventKind.STEP
    assert abs(event.first - 20_000) <= 3
    assert event.size == pytest.approx(factor - 1, rel=0.01)


def test_a_fast_ramp_is_one_change_of_level() -> None:
    beam = np.interp(FRAME, [0, 15_000, 16_000, N], [1, 1, 1.5, 1.5])
    events = [e for e in detect(counted(beam)) if e.kind is EventKind.STEP]
    (event,) = events
    assert 14_500 < event.first < event.last < 16_500
    assert event.size == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("corner_hz", [0.05, 0.5])
def test_slow_noise_makes_no_steps(seed: int, corner_hz: float) -> None:
    beam = 1 + flicker(np.random.default_rng(seed), 0.003, corner_hz)
    assert found(counted(beam)) == []


@pytest.mark.parametrize("hz", [0.05, 0.3, 2, 23.3, 50, 372])
def test_lines_make_no_events(hz: float) -> None:
    assert found(counted(1 + 0.005 * np.sin(2 * np.pi * hz * FRAME / 746))) == []


def test_drift_over_a_long_gap_is_no_step() -> None:
    stored = np.ones(N, bool)
    stored[10_000:18_000] = False
    events = detect(counted(1 + 0.02 * FRAME / N).at(stored))
    assert [event.kind for event in events] == [EventKind.GAP]


def test_a_change_of_drift_is_found() -> None:
    beam = 1 - 0.03 * np.maximum(FRAME - 15_000, 0) / N
    beam += flicker(np.random.default_rng(2), 3e-4, 0.5)
    event = only(counted(beam))
    assert event.kind is EventKind.DRIFT
    assert abs(event.first - 15_000) < 2500
    assert event.unit == "relative/s"
    assert event.size == pytest.approx(-0.03 / N * 746, rel=0.1)
    assert "per minute" in event.reason


def test_a_curved_decay_has_no_change_of_drift() -> None:
    assert found(counted(np.exp(-0.02 * FRAME / N))) == []


def test_a_level_that_wanders_is_no_change_of_drift() -> None:
    changes = 0
    for seed in range(10):
        pushes = np.random.default_rng(seed).normal(size=N)
        wandering = lfilter([1], [1, -(1 - 1 / 10_000)], pushes)
        beam = 1 + 0.003 * wandering / wandering.std()
        kinds = [kind for kind, _ in found(counted(beam, seed))]
        changes += kinds.count(EventKind.DRIFT)
    assert changes == 0


def test_a_faint_glow_before_the_beam_ends_with_a_step() -> None:
    beam = np.where(FRAME >= 3000, 1 + 0.001 * np.sin(FRAME * 0.1), 5e-6)
    (event,) = [e for e in detect(counted(beam)) if e.kind is not EventKind.SPIKE]
    assert (event.kind, event.first) == (EventKind.STEP, 3000)


def test_drift_is_per_frame_where_no_time_is_known() -> None:
    beam = 1 - 0.03 * np.maximum(FRAME - 15_000, 0) / N
    measured = counted(beam)
    event = only(Measured(measured.positions, measured.totals))
    assert event.unit == "relative/frame"
    assert event.size == pytest.approx(-0.03 / N, rel=0.1)


@pytest.mark.parametrize("size", [-0.02, 0.02])
@pytest.mark.parametrize("first", [0, 31, 1023, 5000, N - 2])
def test_a_spike_is_found_to_the_frame(size: float, first: int) -> None:
    beam = np.ones(N)
    beam[first : first + 2] += size
    event = only(counted(beam))
    assert event.kind is EventKind.SPIKE
    assert (event.first, event.last, event.frames) == (first, first + 1, 2)
    assert event.size == pytest.approx(size, abs=3e-3)


def test_what_is_a_spike_depends_on_the_noise() -> None:
    beam = np.ones(N)
    beam[5000] += 0.006
    assert found(counted(beam)) == [(EventKind.SPIKE, 5000)]
    loud = beam + 0.002 * np.random.default_rng(1).normal(size=N)
    assert found(counted(loud)) == []


def test_spikes_that_come_too_often_are_told_together() -> None:
    single = [Deviation(k, k + 1, k, 0.02, 10.0, 1) for k in range(0, 5000, 10)]
    together = joined(single, 100)
    assert len(together) <= 100
    assert sum(one.frames for one in together) == len(single)
    assert (together[0].start, together[-1].stop) == (0, single[-1].stop)


def test_spikes_of_either_sign_are_not_joined() -> None:
    up, down = Deviation(5, 6, 5, 0.1, 9, 1), Deviation(6, 7, 6, -0.1, 9, 1)
    assert joined([up, down], 10) == [up, down]


def test_gaps_tell_what_is_missing() -> None:
    positions = np.array([3, 4, 7, 8, 20])
    (first, second) = detect(Measured(positions, np.full(5, 9, np.uint64)))
    assert (first.first, first.last, first.frames) == (5, 6, 2)
    assert (second.first, second.last, second.size) == (9, 19, 11)
    assert first.reason == "2 frames are missing."


def test_many_gaps_are_told_together_and_none_is_forgotten() -> None:
    before = np.arange(0, 20_000, 2)
    events = gap_events(before, before + 2, 50)
    assert len(events) <= 50
    assert sum(event.frames for event in events) == before.size
    assert (events[0].first, events[-1].last) == (1, before[-1] + 1)


def test_few_gaps_are_told_one_by_one() -> None:
    before = np.array([1, 3, 900])
    events = gap_events(before, before + np.array([2, 2, 5]), 3)
    assert [event.frames for event in events] == [1, 1, 4]


def test_medians_leave_out_what_is_not_known() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40, 9))
    values[rng.random(values.shape) < 0.3] = np.nan
    assert known_median(values) == pytest.approx(np.nanmedian(values, axis=1))


def test_the_scale_of_normal_noise_is_its_standard_deviation() -> None:
    noise = np.random.default_rng(3).normal(0, 2, 100_000)
    assert sigma_of(noise) == pytest.approx(2, rel=0.03)
    noise[:3000] = 1000
    assert sigma_of(noise) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("after", range(20, 120, 20))
def test_a_dip_among_the_newest_frames_of_a_long_series(after: int) -> None:
    n = 150_000
    totals = np.random.default_rng(5).poisson(5e6, n).astype(np.uint64)
    dip = n - 1 - after
    totals[dip] = 4_500_000
    event = only(Measured(np.arange(n), totals, None, 1 / 746))
    assert event.first == event.last == dip


def test_no_difference_is_taken_where_all_pieces_are_at_steps() -> None:
    n, width = 5000, 4
    noise = np.random.default_rng(6).normal(0, 1e-4, n)
    place = 32.0 * np.arange(n) + 15.5
    level = Level(noise, place, np.full(n, 32.0), np.full(n, 1e-4))
    steps = [4960, 4962]
    scan = scan_of(level.without((piece, 0.0) for piece in steps), width)
    assert scan is not None
    assert np.isnan(scan.difference[[4959, 4963]]).all()
    assert np.nanmax(np.abs(scan.difference)) < 6e-4


def test_dips_without_end_leave_no_scale_to_hold_steps_against() -> None:
    beam = np.ones(9550)
    beam[::40] = 0.9
    events = detect(counted(beam))
    assert {event.kind for event in events} <= {EventKind.SPIKE, EventKind.TOPUP}
    assert sum(event.frames for event in events) == 239


def test_spikes_of_either_sign_are_told_together_where_there_are_too_many() -> None:
    size = np.where(np.arange(5000) % 2, 0.02, -0.02)
    every = [
        Deviation(10 * k, 10 * k + 1, 10 * k, s, 9.0, 1) for k, s in enumerate(size)
    ]
    found = joined(every, 1000)
    assert len(found) <= 1000
    assert sum(one.frames for one in found) == 5000
