from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eigerwatch.analysis.events.detect import detect
from eigerwatch.analysis.events.model import DetectionOptions, Event, EventKind
from eigerwatch.analysis.measured import Measured

N, M, PIXELS = 3000, 8, 10_000


def series(seed: int = 0, mean: float = 50_000, n: int = N) -> Measured:
    """Return an undamaged series of eight modules of unequal brightness."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0.4, 1.6, M)
    beam = 1 + 0.002 * rng.normal(size=(n, 1))
    regions = rng.poisson(mean * beam * shares).astype(np.uint64)
    return with_sums(
        Measured(
            np.arange(n),
            np.zeros(n, np.uint64),
            None,
            1 / 746,
            np.full(n, PIXELS * M, np.uint32),
            np.full(n, 10 * M, np.uint32),
            regions,
            np.full((n, M), PIXELS, np.uint32),
            np.full((n, M), 10, np.uint32),
        )
    )


def with_sums(measured: Measured) -> Measured:
    assert measured.regions is not None
    return replace(measured, totals=measured.regions.sum(axis=1, dtype=np.uint64))


def lose(
    measured: Measured, first: int, rows: list[int], part: float, stop: int = N
) -> Measured:
    """Return the series with a part of some modules missing from a frame on."""
    regions = measured.regions.copy()  # type: ignore[union-attr]
    where = np.ix_(np.arange(first, stop), rows)
    regions[where] = (regions[where] * (1 - part)).astype(np.uint64)
    return with_sums(replace(measured, regions=regions))


def lose_pixels(measured: Measured, first: int, rows: list[int]) -> Measured:
    region_sentinel = measured.region_sentinel.copy()  # type: ignore[union-attr]
    region_sentinel[first:, rows] = PIXELS // 2
    sentinel = region_sentinel.sum(axis=1).astype(np.uint32)
    kept = (M * (PIXELS + 10) - sentinel).astype(np.uint32)
    return replace(
        measured, region_sentinel=region_sentinel, sentinel=sentinel, kept=kept
    )


def damage(measured: Measured) -> list[Event]:
    return [e for e in detect(measured) if e.kind is EventKind.DAMAGED]


def test_half_a_module_lost_is_told_in_a_sentence() -> None:
    (event,) = damage(lose(series(), 1700, [6], 0.48))
    assert (event.first, event.last, event.frames) == (1700, N - 1, N - 1700)
    assert event.regions == (6,)
    assert event.size == pytest.approx(-0.48, abs=0.005)
    start = "module 7 lost 48 % of its counts while the others held"
    assert event.reason.startswith(start)


def test_nothing_else_is_told_of_a_series_that_lost_a_module() -> None:
    found = detect(lose(series(), 1700, [6], 1.0))
    assert [event.kind for event in found] == [EventKind.DAMAGED]


@pytest.mark.parametrize("first", [8, 100, 1023, 1024, 1025, N - 1])
def test_damage_is_found_wherever_it_begins(first: int) -> None:
    (event,) = damage(lose(series(), first, [2], 1.0))
    assert event.first == first


def test_a_single_damaged_frame_is_found() -> None:
    (event,) = damage(lose(series(), 2000, [0, 3], 0.5, stop=2001))
    assert (event.first, event.last, event.frames) == (2000, 2000, 1)
    assert event.regions == (0, 3)


def test_damage_that_comes_and_goes_is_one_event() -> None:
    measured = series()
    for first in range(1000, 2000, 40):
        measured = lose(measured, first, [4], 1.0, stop=first + 3)
    (event,) = damage(measured)
    assert (event.first, event.last, event.frames) == (1000, 1962, 75)


def test_most_modules_lost_is_damage_of_those() -> None:
    (event,) = damage(lose(series(), 1500, [0, 1, 2, 3, 4], 1.0))
    assert event.regions == (0, 1, 2, 3, 4)
    assert "module 1, module 2, module 3 and 2 more lost 100 %" in event.reason


@pytest.mark.parametrize("factor", [0.05, 0.5, 0.9, 1.3, 4])
def test_modules_that_change_together_are_not_damaged(factor: float) -> None:
    measured = series()
    regions = measured.regions.astype(float)  # type: ignore[union-attr]
    regions[1500:1600] *= factor
    measured = with_sums(replace(measured, regions=regions.astype(np.uint64)))
    assert damage(measured) == []


def test_a_slow_shift_between_modules_is_no_damage() -> None:
    measured = series(n=12_000)
    regions = measured.regions.astype(float)  # type: ignore[union-attr]
    regions[:, 1] *= np.linspace(1, 0.6, 12_000)
    measured = with_sums(replace(measured, regions=regions.astype(np.uint64)))
    assert damage(measured) == []


@pytest.mark.parametrize("mean", [3, 30, 100, 1000])
def test_faint_modules_are_not_damaged_by_chance(mean: float) -> None:
    assert damage(series(mean=mean, n=20_000)) == []


def test_a_noisy_region_is_judged_by_its_own_noise() -> None:
    measured = series(n=8000)
    regions = measured.regions.astype(float)  # type: ignore[union-attr]
    regions[:, 0] *= np.random.default_rng(1).lognormal(0, 0.1, 8000)
    noisy = with_sums(replace(measured, regions=regions.astype(np.uint64)))
    assert damage(noisy) == []


def test_pixels_without_data_tell_where_counts_do_not() -> None:
    (event,) = damage(lose_pixels(series(mean=1), 1234, [3]))
    assert event.first == 1234
    assert event.regions == (3,)
    assert event.as_dict()["size"] is None
    assert "module 4 lost the data of 50 % of its pixels" in event.reason


def test_without_regions_the_pixels_of_the_image_tell() -> None:
    whole = replace(
        lose_pixels(series(), 1234, [3]),
        regions=None,
        region_kept=None,
        region_sentinel=None,
    )
    for some in (whole, replace(whole, kept=None), replace(whole, sentinel=None)):
        (event,) = damage(some)
        assert event.first == 1234
    assert "6.2 % of the image's pixels" in damage(whole)[0].reason


def test_kept_pixels_that_follow_the_intensity_are_no_damage() -> None:
    rng = np.random.default_rng(5)
    beam = np.ones(N)
    beam[1500:1503] = 0.9
    totals = rng.poisson(40_000 * beam).astype(np.uint64)
    kept = rng.poisson(39_000 * beam).astype(np.uint32)
    assert damage(Measured(np.arange(N), totals, kept=kept)) == []


def test_both_witnesses_make_damage_surer_than_one() -> None:
    one = lose(series(mean=150), 1000, [7], 0.5)
    (alone,), (both,) = damage(one), damage(lose_pixels(one, 1000, [7]))
    assert both.confidence > alone.confidence


def test_regions_are_called_what_they_are() -> None:
    options = DetectionOptions(region_names=tuple(f"ring_{k}" for k in range(M)))
    event = detect(lose(series(), 1700, [6], 0.5), options)[0]
    assert event.reason.startswith("ring 6 lost 50 %")


@pytest.mark.parametrize("left", [0, 0.005])
def test_empty_frames_are_told_apart_from_damage(left: float) -> None:
    measured = series()
    regions = measured.regions.copy()  # type: ignore[union-attr]
    regions[1500:1502] = (regions[1500:1502] * left).astype(np.uint64)
    (event,) = detect(with_sums(replace(measured, regions=regions)))
    assert event.kind is EventKind.EMPTY
    assert (event.first, event.last, event.frames) == (1500, 1501, 2)
    assert event.size == pytest.approx(left - 1, abs=1e-3)


def test_a_frame_without_kept_pixels_is_empty() -> None:
    kept = np.full(100, 10, np.uint32)
    kept[7] = 0
    totals = np.where(kept == 0, 0, 5).astype(np.uint64)
    (event,) = detect(Measured(np.arange(100), totals, kept=kept))
    assert (event.kind, event.first) == (EventKind.EMPTY, 7)


def test_zero_by_chance_is_not_empty() -> None:
    totals = np.random.default_rng(2).poisson(4, 5000).astype(np.uint64)
    assert (totals == 0).any()
    assert detect(Measured(np.arange(5000), totals)) == []


def test_frames_before_the_shutter_opened_are_empty() -> None:
    totals = np.random.default_rng(2).poisson(10_000, 6000).astype(np.uint64)
    totals[:2500] = 0
    (event,) = detect(Measured(np.arange(6000), totals))
    assert (event.kind, event.first, event.last) == (EventKind.EMPTY, 0, 2499)
    assert event.frames == 2500
    assert event.reason == "the sums of 2500 frames were 0."


def test_frames_that_are_nearly_empty_are_not_told_as_zero() -> None:
    totals = np.random.default_rng(2).poisson(100_000, 6000).astype(np.uint64)
    totals[:1500] = 0
    totals[3060:3090] = 300
    events = detect(Measured(np.arange(6000), totals))
    assert [(e.kind, e.first, e.last, e.frames) for e in events] == [
        (EventKind.EMPTY, 0, 1499, 1500),
        (EventKind.EMPTY, 3060, 3089, 30),
    ]
    assert events[1].size == pytest.approx(0.003 - 1, abs=1e-4)
    assert events[1].reason == "the sums of 30 frames were 0.3 % of the usual."


def test_a_module_that_was_dark_at_first_is_watched_too() -> None:
    """A series may be armed before the shutter opens, with a few background counts."""
    rng = np.random.default_rng(5)
    level = np.where(np.arange(6000) < 2000, 5.0, 50_000.0)
    sums = rng.poisson(level[:, None] * np.ones(8)).astype(np.uint64)
    sums[4000:, 4] = 0
    series = Measured(np.arange(6000), sums.sum(axis=1), regions=sums)
    (event,) = damage(series)
    assert (event.first, event.last, event.regions) == (4000, 5999, (4,))
