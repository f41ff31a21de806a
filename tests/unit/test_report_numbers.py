from __future__ import annotations

import math

import pytest

from eigerwatch.report.numbers import (
    fixed,
    limits,
    number,
    power_of_ten,
    probability,
    whole,
    with_error,
)


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1379, "0.1379"),
        (6485052.3, "6 485 052"),
        (-0.5, "-0.5000"),
        (0.0, "0"),
        (1.5e-7, "1.500 \u00d7 10⁻⁷"),
        (1e20, "1.000 \u00d7 10²⁰"),
        (math.nan, "-"),
        (math.inf, "-"),
        (None, "-"),
    ],
)
def test_numbers_have_sensible_digits(value: float | None, text: str) -> None:
    assert plain(number(value)) == text


def test_whole_numbers_keep_every_digit() -> None:
    assert plain(whole(2**64 - 1)) == "18 446 744 073 709 551 615"
    assert whole(None) == "-"


def test_an_error_decides_the_digits() -> None:
    assert with_error(50.123456, 0.0123) == "50.123 ± 0.012"
    assert plain(with_error(-1234.5, 123.0)) == "-1 234 ± 123"
    assert with_error(math.nan, 1.0) == "-"
    assert with_error(1.5, math.nan) == "1.500"


def test_an_interval_needs_both_ends() -> None:
    assert limits(0.1, 0.2, 2) == "0.10 to 0.20"
    assert limits(math.nan, 0.2) == "-"


def test_tiny_probabilities_are_a_limit() -> None:
    assert probability(1e-30) == "< 10⁻⁹"
    assert probability(0.25) == "0.25"
    assert probability(math.nan) == "-"


def test_labels_of_logarithmic_axes() -> None:
    assert power_of_ten(1e-5) == "10⁻⁵"
    assert power_of_ten(100.0) == "100"
    assert power_of_ten(2e-5) == ""
    assert power_of_ten(0.0) == ""


def test_fixed_decimals_of_nothing() -> None:
    assert fixed(math.nan, 2) == "-"
    assert fixed(1.005, 1) == "1.0"
