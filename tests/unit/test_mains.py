from __future__ import annotations

import numpy as np
import pytest

from eigerwatch.analysis.mains import Naming, folded, name_lines

RATE = 746.0
BIN = 1 / 60


def named(
    frequencies: list[float], mains_hz: float | None = None
) -> list[Naming | None]:
    lines = [(frequency, 1e-4) for frequency in frequencies]
    return name_lines(lines, RATE, BIN, mains_hz)


def names(frequencies: list[float], mains_hz: float | None = None) -> list[str | None]:
    return [each and each.name for each in named(frequencies, mains_hz)]


@pytest.mark.parametrize(
    ("true", "seen"), [(50, 50), (373, 373), (600, 146), (720, 26), (1200, 292)]
)
def test_folds_at_the_nyquist_frequency(true: float, seen: float) -> None:
    assert folded(true, RATE) == pytest.approx(seen)


def test_harmonics_and_aliases_share_the_deviation_of_the_mains() -> None:
    seen = [folded(order * 50.03, RATE) for order in (1, 2, 6, 12)]
    assert names(seen) == [
        "50 Hz",
        "2 x 50 Hz (100 Hz)",
        "6 x 50 Hz (300 Hz)",
        "12 x 50 Hz (600 Hz), seen at 145.6 Hz",
    ]


def test_what_can_be_of_both_families_is_said_to_be() -> None:
    (naming,) = named([300.0])
    assert naming is not None
    assert naming.name == "6 x 50 Hz or 5 x 60 Hz (300 Hz)"
    assert naming.others == ((60.0, 5),)
    assert names([300.0], mains_hz=60) == ["5 x 60 Hz (300 Hz)"]


def test_other_lines_tell_which_family_it_is() -> None:
    assert names([300.0, 60.0, 120.0])[0] == "5 x 60 Hz (300 Hz)"
    assert names([300.0, 50.0, 100.0])[0] == "6 x 50 Hz (300 Hz)"


def test_a_harmonic_off_by_another_deviation_is_not_of_the_family() -> None:
    # The fundamental shows 50.00 Hz: six times that is 300.0.
    assert names([50.0, 100.0, 150.0, 300.4])[-1] is None


@pytest.mark.parametrize("count", [1, 5, 20])
def test_lines_at_random_are_seldom_named(count: int) -> None:
    rng = np.random.default_rng(count)
    runs = 400
    given = sum(
        each is not None
        for _ in range(runs)
        for each in named(rng.uniform(1, 372, count).tolist())
    )
    # One name in twenty records; Poisson, 20 expected, 38 in 1 of 10 000.
    assert given < 38


def test_the_chance_is_that_of_a_line_at_random() -> None:
    rng = np.random.default_rng(1)
    chances = [
        each.chance
        for frequency in rng.uniform(1, 372, 20_000)
        for each in named([float(frequency)])
        if each is not None
    ]
    for limit in (0.01, 0.03):
        share = np.mean(np.array(chances) <= limit) * len(chances) / 20_000
        assert share == pytest.approx(limit, rel=0.35)


def test_nothing_is_named_where_no_rate_is_known() -> None:
    assert name_lines([(0.067, 1e-6)], float("nan"), BIN) == [None]
    assert name_lines([], RATE, BIN) == []
