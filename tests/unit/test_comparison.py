from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from scenarios import Scenario, scenario

from eigerwatch.analysis.assessment import Assessment, assess
from eigerwatch.analysis.bootstrap import UNKNOWN, Interval
from eigerwatch.analysis.comparison import Comparison, compare, mean_interval
from eigerwatch.analysis.conditions import Conditions, differences
from eigerwatch.analysis.line_changes import line_changes
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.ratios import change_words, holm, ratio_of, variance_ratio
from eigerwatch.analysis.residual import Residual

RATE_HZ = 746.0


def _measured(run: Scenario) -> Measured:
    """Return the frames that truly count: what excludes them is tested elsewhere."""
    used = ~run.excluded
    return Measured(
        run.positions[used],
        run.totals[used],
        run.times_s[used],
        run.frame_time_s,
        run.kept[used],
    )


def _assessed(run: Scenario) -> Assessment:
    return assess(_measured(run), events=[])


def _quiet(seed: int, **given: float | int) -> Scenario:
    """Return a run without lines and events, of 1/f noise and counting."""
    return scenario(
        seed,
        **{"lines": 0, "topups": 0, "mean": 3e6, "drift_percent": 0.5, **given},
        damage=False,
        modules=False,
    )


def _halves(seed: int, **given: float | int) -> tuple[Assessment, Assessment]:
    """Return two intervals of one run: the same truth, lines and 1/f and all."""
    run = scenario(
        seed,
        **{"frames": 90_000, "topups": 0, "drift_percent": 0, **given},
        damage=False,
        modules=False,
    )
    frames = _measured(run)
    middle = int(np.searchsorted(frames.positions, 45_000))
    parts = frames.at(slice(0, middle)), frames.at(slice(middle, None))
    return assess(parts[0], events=[]), assess(parts[1], events=[])


def _frames(
    relative: np.ndarray, mean: float = 1e6, rate_hz: float | None = RATE_HZ
) -> Assessment:
    """Return the assessment of mean x (1 + relative), every frame stored."""
    totals = np.rint(mean * (1 + relative)).astype(np.uint64)
    positions = np.arange(totals.size, dtype=np.int64)
    period = None if rate_hz is None else 1 / rate_hz
    times = None if rate_hz is None else positions / rate_hz
    return assess(Measured(positions, totals, times, period), events=[])


def _with_lines(
    seed: int, lines: dict[float, float], n: int = 20_000, mean: float = 1e6
) -> Assessment:
    """Return a run of counting noise and of lines (frequency [Hz]: amplitude)."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) / RATE_HZ
    beam = sum(
        (a * np.sin(2 * np.pi * f * time + seed) for f, a in lines.items()),
        np.zeros(n),
    )
    return _frames(rng.poisson(mean * (1 + beam)) / mean - 1, mean)


@pytest.fixture(scope="module")
def same_pairs() -> list[Comparison]:
    return [compare(*_halves(seed)) for seed in range(5000, 5015)]


def test_equal_runs_show_no_significant_change(same_pairs: list[Comparison]) -> None:
    changed = sum(one.outcome != "no_change" for one in same_pairs)
    # Of 15 at 5 %: four or more happen once in 200.
    assert changed <= scipy.stats.binom.ppf(0.995, 15, 0.05) == 4
    unchanged = [one for one in same_pairs if one.outcome == "no_change"]
    assert all(
        one.verdict.startswith("no significant change: CV ") for one in unchanged
    )


def test_ratio_of_equal_runs_is_inside_its_intervals(
    same_pairs: list[Comparison],
) -> None:
    for quantity in ("mean", "cv", "cv_beam"):
        ratios = [getattr(one, quantity) for one in same_pairs]
        known = [one for one in ratios if one.bounded]
        inside = sum(one.interval.low <= 1 <= one.interval.high for one in known)
        assert len(known) >= 12
        assert inside >= len(known) - 4


def test_spectra_of_equal_runs_agree_at_95_of_100_frequencies(
    same_pairs: list[Comparison],
) -> None:
    inside = []
    for one in same_pairs:
        assert one.spectrum is not None
        low, high = one.spectrum.low, one.spectrum.high
        inside.append(np.mean((low <= 1) & (high >= 1)))
    assert 0.93 < np.mean(inside) < 0.97


def test_bands_and_lines_of_equal_runs_rarely_change(
    same_pairs: list[Comparison],
) -> None:
    # One in a hundred comparisons each, for all bands and all lines together.
    assert sum(any(band.significant for band in one.bands) for one in same_pairs) <= 2
    assert sum(any(line.significant for line in one.lines) for one in same_pairs) <= 2
    found = [line for one in same_pairs for line in one.lines if line.found_a]
    assert sum(line.fate == "unchanged" for line in found) >= 20


def test_intervals_cover_the_true_ratio_of_different_runs() -> None:
    inside = dict.fromkeys(("mean", "cv", "cv_beam"), 0)
    for seed in range(7000, 7030, 2):
        given = {"mean": None, "lines": None}
        a, b = (_quiet(s, one_over_f_percent=0.1, **given) for s in (seed, seed + 1))
        found = compare(_assessed(a), _assessed(b))
        for name, truth in (
            ("mean", b.mean / a.mean),
            ("cv", b.cv_percent / a.cv_percent),
            ("cv_beam", b.cv_beam_percent / a.cv_beam_percent),
        ):
            interval = getattr(found, name).interval
            inside[name] += interval.low <= truth <= interval.high
    assert min(inside.values()) >= 11


def test_change_of_30_percent_is_found_and_told() -> None:
    for seed in range(5):
        a = _quiet(9000 + seed, one_over_f_percent=0.08)
        rms = math.sqrt((1.3 * a.cv_percent) ** 2 - 1e4 / 3e6)
        b = _quiet(9500 + seed, one_over_f_percent=rms)
        of_a, of_b = _assessed(a), _assessed(b)
        up, down = compare(of_a, of_b), compare(of_b, of_a, names=("new", "old"))
        assert up.outcome == "less_steady"
        assert up.cv.change_percent == pytest.approx(30, abs=6)
        assert up.verdict.startswith("B is less steady: CV up by ")
        assert down.outcome == "steadier"
        assert down.verdict.startswith("old is steadier: CV down by ")
        assert "(significant)" in down.verdict


def test_ratio_the_other_way_round_is_the_inverse() -> None:
    a, b = _halves(3)
    there, back = compare(a, b).cv, compare(b, a).cv
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.interval.low * back.interval.high == pytest.approx(1)


def test_line_that_appears_is_told_with_the_band_it_is_in() -> None:
    a = _with_lines(1, {120.5: 1e-3})
    b = _with_lines(2, {120.5: 1e-3, 52.3: 3e-3})
    found = compare(a, b)
    first = found.lines[0]
    assert (first.fate, first.significant) == ("appeared", True)
    assert first.frequency_hz == pytest.approx(52.3, abs=0.01)
    assert first.amplitude_b == pytest.approx(3e-3, rel=0.02)
    assert first.amplitude_a < 1e-4
    assert [line.fate for line in found.lines[1:]] == ["unchanged"]
    assert "most of it in 45-65 Hz, where the line at 52.3" in found.verdict
    changed = [band.name for band in found.bands if band.significant]
    assert changed == ["45-65 Hz"]
    back = compare(b, a)
    assert back.lines[0].fate == "vanished"
    assert back.outcome == "steadier"


def test_lines_grow_and_shrink() -> None:
    a = _with_lines(3, {70.0: 1e-3, 91.7: 2e-3, 200.0: 5e-4})
    b = _with_lines(4, {70.0: 2e-3, 91.7: 1e-3, 200.0: 5e-4})
    fates = {round(one.frequency_hz): one.fate for one in compare(a, b).lines}
    assert fates == {70: "grew", 92: "shrank", 200: "unchanged"}


def test_line_a_resolution_away_is_the_same_and_farther_away_another() -> None:
    resolution = RATE_HZ / 20_000
    a = _with_lines(5, {70.0: 1e-3})
    near = compare(a, _with_lines(6, {70.0 + 0.5 * resolution: 1e-3}))
    assert [one.fate for one in near.lines] == ["unchanged"]
    far = compare(a, _with_lines(6, {70.0 + 20 * resolution: 1e-3}))
    assert sorted(one.fate for one in far.lines) == ["appeared", "vanished"]


def test_line_just_below_what_is_found_is_not_said_to_have_vanished() -> None:
    # Found in the run of low noise; hidden in the one of much noise.
    a = _with_lines(7, {70.0: 1e-4}, mean=1e7)
    b = _with_lines(8, {70.0: 1e-4}, mean=1e5)
    assert [one.fate for one in compare(a, b).lines] == ["undecided"]


def _resonance(seed: int, rms: float, n: int = 45_000) -> Assessment:
    """Return counting noise and a resonance at 80 Hz that is 1.5 Hz wide."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ)
    shape = np.exp(-0.5 * ((frequency - 80) / 0.6) ** 2)
    noise = np.fft.irfft(shape * np.fft.rfft(rng.normal(size=n)), n)
    noise *= rms / math.sqrt(float((shape**2).mean()))
    return _frames(rng.poisson(1e6 * (1 + noise)) / 1e6 - 1)


def test_resonance_that_one_run_alone_shows_as_a_line_has_not_vanished() -> None:
    fates = []
    for rms in (7e-5, 8e-5, 1.1e-4):
        for seed in range(4):
            a, b = _resonance(seed, rms), _resonance(100 + seed, rms)
            fates += [line.fate for line in compare(a, b).lines]
    # The weakest is found by chance, the strongest always.
    assert {"undecided", "unchanged"} <= set(fates)
    assert len([one for one in fates if one not in ("undecided", "unchanged")]) <= 1


def test_resonance_that_is_damped_has_shrunk_or_vanished() -> None:
    found = compare(_resonance(1, 8e-4), _resonance(2, 0))
    assert found.lines[0].fate == "vanished"
    assert found.lines[0].amplitude_a == pytest.approx(8e-4 * math.sqrt(2), rel=0.15)
    found = compare(_resonance(1, 8e-4), _resonance(2, 4e-4))
    assert found.lines[0].fate == "shrank"


def test_line_outside_the_range_of_the_other_run_is_not_judged() -> None:
    a = _with_lines(9, {2.0: 5e-3})
    b = _with_lines(10, {}, n=300)
    assert a.frequencies is not None
    assert b.frequencies is not None
    rests = [Residual(one.signal, one.lines) for one in (a.frequencies, b.frequencies)]
    (line,) = line_changes(a.frequencies, b.frequencies, *rests)
    assert (line.fate, line.significant) == ("undecided", None)
    assert "not seen in B" in line.text


def test_spectra_of_runs_of_different_length_get_one_resolution() -> None:
    a, b = _with_lines(11, {}), _with_lines(12, {}, n=3000)
    found = compare(a, b).spectrum
    assert found is not None
    assert a.frequencies is not None
    assert found.resolution_hz > 3.9 * a.frequencies.spectrum.resolution_hz
    assert found.text.startswith("Recomputed at a resolution of ")
    assert found.dof_a > 3.9 * found.dof_b
    assert 0.9 < np.mean((found.low <= 1) & (found.high >= 1)) <= 1
    assert found.shot_density_a == pytest.approx(2 / (1e6 * RATE_HZ), rel=1e-3)


def test_spectra_of_slightly_different_rates_are_interpolated() -> None:
    rng = np.random.default_rng(13)
    noise = rng.poisson(1e6, (2, 20_000)) / 1e6 - 1
    a, b = _frames(noise[0]), _frames(noise[1], rate_hz=1.005 * RATE_HZ)
    found = compare(a, b)
    assert found.comparable
    assert found.spectrum is not None
    assert "interpolated" in found.spectrum.text
    assert found.spectrum.frequencies_hz[-1] <= RATE_HZ / 2 * (1 + 1e-6)
    assert len(found.bands) == 6


def test_more_counts_alone_are_no_steadier_beam() -> None:
    a = _with_lines(20, {50.0: 2e-3}, mean=1e6)
    b = _with_lines(21, {50.0: 2e-3}, mean=4e6)
    found = compare(a, b)
    assert found.cv.significant
    assert found.outcome == "no_change"
    assert "the beam's part of CV" in found.verdict
    assert found.verdict.endswith(", counts 4 times as high")
    changed = [band for band in found.bands if band.significant]
    assert len(changed) >= 3
    assert all(band.counting_explains for band in changed)


def test_photon_limited_runs_of_different_counts_cannot_be_compared() -> None:
    rng = np.random.default_rng(30)
    a = _frames(rng.poisson(1e5, 20_000) / 1e5 - 1, 1e5)
    b = _frames(rng.poisson(2e5, 20_000) / 2e5 - 1, 2e5)
    found = compare(a, b)
    assert found.outcome == "undecided"
    assert found.verdict.startswith(
        "the beam's part cannot be compared: both runs are photon-limited, "
        "and the counts differ (1e+05 in A, 2e+05 in B); CV down by "
    )


def test_photon_limited_runs_of_equal_counts_are_compared_by_cv() -> None:
    rng = np.random.default_rng(31)
    a, b = (_frames(rng.poisson(1e5, 20_000) / 1e5 - 1, 1e5) for _ in range(2))
    found = compare(a, b)
    assert found.outcome == "no_change"
    assert found.verdict.endswith(
        "both are photon-limited, the beam's part cannot be compared"
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"frame_time_s": 1.02e-3}, "frame times differ: 1 ms and 1.02 ms"),
        ({"low": 2}, "lower limits differ"),
        ({"high": 5000}, "upper limits differ"),
        ({"kept_pixels": 8.9e5}, "kept pixels differ by 11 %"),
        ({"shape": (514, 1030)}, "differ in size: 1000 x 1000 pixels, 1030 x 514"),
        ({"threshold_energy_ev": 6500.0}, "energy thresholds differ"),
        ({"region": "ring 2"}, "regions differ"),
    ],
)
def test_conditions_that_refuse(given: dict[str, object], reason: str) -> None:
    base = Conditions(
        frame_time_s=1e-3,
        low=0,
        high=4500,
        kept_pixels=1e6,
        shape=(1000, 1000),
        threshold_energy_ev=6000.0,
        region="whole",
    )
    other = {"kept_pixels": 999_000.0, **given}
    found = differences(base, replace(base, **other))  # type: ignore[arg-type]
    assert any(reason in one for one in found.refusals)
    assert found.same_sampling == ("frame_time_s" not in given)
    assert found.same_sums == ("frame_time_s" in given)
    assert not differences(base, base).refusals
    assert not differences(base, base).warnings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kept_pixels": 0.97e6}, "kept pixels differ by 3 %"),
        ({"high": 5000}, "without any pixel between them"),
        ({"detector": "EIGER2 X 4M"}, "detectors differ"),
        ({"count_time_s": 0.5e-3}, "exposure times differ"),
        ({"source": "sim"}, "sources differ"),
    ],
)
def test_conditions_that_warn(given: dict[str, object], words: str) -> None:
    base = Conditions(
        frame_time_s=1e-3,
        count_time_s=0.9e-3,
        high=4500,
        kept_pixels=1e6,
        detector="EIGER2 X 16M",
        source="live",
    )
    found = differences(base, replace(base, **given))  # type: ignore[arg-type]
    assert not found.refusals
    assert len(found.warnings) == 1
    assert words in found.warnings[0]


def test_pixels_without_counts_may_be_kept_or_not() -> None:
    a = Conditions(frame_time_s=1e-3, low=0, kept_pixels=1e6)
    b = Conditions(frame_time_s=1e-3, low=1, kept_pixels=3e5)
    assert not differences(a, b).refusals


def test_refusal_keeps_what_makes_sense() -> None:
    a, b = _halves(40)
    other_pixels = compare(a, b, Conditions(low=0), Conditions(low=3))
    assert not other_pixels.comparable
    assert other_pixels.outcome == "not_comparable"
    assert other_pixels.verdict == (
        "A and B cannot be compared: the lower limits differ: 0 and 3 counts"
    )
    assert other_pixels.cv.significant is None
    assert other_pixels.cv.a == a.detrended.cv_percent
    assert other_pixels.cv_beam.significant is not None
    assert other_pixels.spectrum is not None


def test_other_frame_time_keeps_the_spectra_and_no_ratio_of_cv() -> None:
    rng = np.random.default_rng(41)
    noise = rng.poisson(1e6, (2, 20_000)) / 1e6 - 1
    found = compare(_frames(noise[0]), _frames(noise[1], rate_hz=500.0))
    assert "the frame times differ: 1.34 ms and 2 ms" in found.refusals
    assert math.isnan(found.cv.ratio)
    assert math.isnan(found.cv_beam.ratio)
    assert found.spectrum is not None
    assert found.spectrum.density_b.size == found.spectrum.frequencies_hz.size > 0
    assert found.spectrum.frequencies_hz[-1] <= 250
    assert [band.low_hz for band in found.bands] == [0, 1, 10, 45, 65]
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("rates_hz", [(746.0, 4.0), (4.0, 746.0)])
def test_spectra_that_share_no_frequency_are_said_to(
    rates_hz: tuple[float, float],
) -> None:
    noise = np.random.default_rng(44).poisson(1e6, (2, 4000)) / 1e6 - 1
    a, b = (_frames(part, rate_hz=hz) for part, hz in zip(noise, rates_hz, strict=True))
    found = compare(a, b)
    assert not found.comparable
    assert found.spectrum is not None
    assert np.isnan(found.spectrum.ratio).all()
    json.dumps(found.as_dict(), allow_nan=False)


def test_runs_of_different_units_are_refused() -> None:
    noise = np.random.default_rng(42).poisson(1e6, (2, 2000)) / 1e6 - 1
    found = compare(_frames(noise[0]), _frames(noise[1], rate_hz=None))
    assert found.refusals == ("the times of the frames are known of one run only",)
    assert (found.spectrum, found.bands, found.lines) == (None, (), ())
    assert found.cv.significant is not None


def test_runs_without_times_are_compared_per_frame() -> None:
    noise = np.random.default_rng(43).poisson(1e6, (2, 2000)) / 1e6 - 1
    found = compare(*(_frames(one, rate_hz=None) for one in noise))
    assert found.comparable
    assert found.warnings == ("the frame time is not known of both",)
    assert found.bands[0].unit == "per frame"


def test_frames_in_both_intervals_are_told() -> None:
    a, _ = _halves(44)
    series = Conditions(series="live:1")
    found = compare(a, a, series, series)
    assert found.warnings[-1].startswith(f"{a.measured.n} frames are in both")
    assert found.outcome == "no_change"


def test_frequencies_that_were_not_assessed() -> None:
    frames = _measured(_quiet(45))
    a = assess(frames, events=[], frequencies=False)
    found = compare(a, a)
    assert found.frequencies_text == "frequencies were not looked at"
    assert found.comparable


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 20, 70])
def test_few_frames_give_an_answer(n: int) -> None:
    rng = np.random.default_rng(n)
    few = _frames(rng.poisson(1e5, n) / 1e5 - 1, 1e5)
    much = _with_lines(50, {50.0: 1e-3})
    for a, b in ((few, much), (much, few), (few, few)):
        found = compare(a, b)
        json.dumps(found.as_dict(), allow_nan=False)
        assert found.comparable == (n >= 70)
        if n < 70:
            assert f"not enough data (n = {n})" in found.verdict


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_constant_run_is_refused(mean: float) -> None:
    constant, much = _frames(np.zeros(1000), mean), _with_lines(51, {})
    reason = "every frame has the same sum" if mean else "no beam: the mean is 0"
    for a, b in ((constant, much), (much, constant), (constant, constant)):
        found = compare(a, b)
        json.dumps(found.as_dict(), allow_nan=False)
        assert reason in found.verdict


def test_run_with_every_frame_excluded_is_refused() -> None:
    much = _with_lines(52, {})
    none = assess(much.measured.at(slice(0, 0)), events=[])
    assert compare(much, none).refusals[0] == "B: not enough data (n = 0)"


def test_everything_is_safe_for_json() -> None:
    found = compare(_with_lines(53, {60.0: 1e-3}), _with_lines(54, {}))
    text = json.dumps(found.as_dict(), allow_nan=False)
    again = json.loads(text)
    assert again["lines"][0]["fate"] == "vanished"
    assert len(again["spectrum"]["ratio"]) == len(again["spectrum"]["frequencies_hz"])


def test_ratio_adds_errors_in_quadrature() -> None:
    narrow = Interval(0.99, 1.01)
    found = ratio_of(1.0, 2.0, narrow, Interval(1.98, 2.02))
    assert found.ratio == 2
    assert found.interval.high == pytest.approx(2 * (1 + 0.01 * math.sqrt(2)), rel=1e-4)
    assert found.significant
    # Against resampling.
    rng = np.random.default_rng(60)
    ratios = rng.normal(2, 0.1, 400_000) / rng.normal(1, 0.05, 400_000)
    low, high = np.quantile(ratios, [0.025, 0.975])
    half = 1.96 * 0.05
    of_a, of_b = Interval(1 - half, 1 + half), Interval(2 - 2 * half, 2 + 2 * half)
    found = ratio_of(1.0, 2.0, of_a, of_b)
    assert found.interval.low == pytest.approx(low, rel=0.01)
    assert found.interval.high == pytest.approx(high, rel=0.01)


def test_ratio_near_zero_says_what_is_known() -> None:
    some, near_0 = Interval(0.9, 1.1), Interval(0.0, 0.3)
    smaller = ratio_of(1.0, 0.1, some, near_0)
    assert (smaller.interval.low, smaller.significant) == (0, True)
    assert smaller.text == "at most 0.33 times as large"
    larger = ratio_of(0.1, 1.0, near_0, some)
    assert (larger.interval.high, larger.significant) == (math.inf, True)
    assert larger.text == "at least 3 times as large"
    neither = ratio_of(0.1, 0.1, near_0, near_0)
    assert (neither.significant, neither.text) == (
        None,
        "not defined: both may be 0",
    )
    assert ratio_of(1.0, 1.0, some, UNKNOWN).significant is None
    assert larger.as_dict()["high"] is None


def test_variance_ratio_is_fishers_f() -> None:
    rng = np.random.default_rng(61)
    a, b = rng.normal(size=12), rng.normal(size=9)
    ratio, interval, p_value = variance_ratio(a.var(ddof=1), b.var(ddof=1), 11, 8)
    oracle = scipy.stats.f(8, 11)
    assert p_value == pytest.approx(2 * min(oracle.cdf(ratio), oracle.sf(ratio)))
    assert interval.low == pytest.approx(ratio / oracle.ppf(0.975))
    assert interval.high == pytest.approx(ratio / oracle.ppf(0.025))


def test_holm_is_as_published() -> None:
    adjusted = holm([0.01, 0.04, 0.03, math.nan, 0.005])
    assert adjusted[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(adjusted[3])
    assert adjusted[4] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "words"),
    [
        (0.74, 0.72, 0.76, "down by 26 ± 2 %"),
        (1.03, 0.98, 1.08, "up by 3 ± 5 %"),
        (1.032, 1.003, 1.061, "up by 3.2 ± 2.9 %"),
        (1.4, 1.12, 1.9, "up by 40 % (+12 to +90 %)"),
        (1.0, 1.0, 1.0, "the same"),
    ],
)
def test_changes_in_words(ratio: float, low: float, high: float, words: str) -> None:
    assert change_words(ratio, Interval(low, high)) == words


def test_interval_of_a_mean_widens_with_slow_noise() -> None:
    white = _quiet(70, one_over_f_percent=0, drift_percent=0)
    slow = _quiet(70, one_over_f_percent=0.3, drift_percent=0)
    of_white, of_slow = (mean_interval(_assessed(one)) for one in (white, slow))
    # Pure counting: known from n alone.
    half = 1.96 * math.sqrt(white.mean / white.positions.size)
    assert (of_white.high - of_white.low) / 2 == pytest.approx(half, rel=0.2)
    assert of_slow.high - of_slow.low > 5 * (of_white.high - of_white.low)
