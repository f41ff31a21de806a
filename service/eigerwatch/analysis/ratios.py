"""Ratios of two figures that each have an interval, and many tests at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import scipy.special

from eigerwatch.analysis.bootstrap import UNKNOWN, Interval
from eigerwatch.analysis.statistics import finite_or_none


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of run B over that of run A."""

    a: float
    b: float
    ratio: float
    """b/a; NaN where it is not defined."""
    interval: Interval
    """0 below or infinity above: one-sided; NaN: nothing is known."""
    significant: bool | None
    """Whether the interval leaves out 1; None: nothing is known."""
    text: str
    """In words, for the reader."""

    @property
    def change_percent(self) -> float:
        """100 (b/a - 1) [%]."""
        return 100 * (self.ratio - 1)

    @property
    def bounded(self) -> bool:
        """Whether the interval has both limits."""
        return self.interval.low > 0 and math.isfinite(self.interval.high)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN, infinity."""
        return {
            "a": finite_or_none(self.a),
            "b": finite_or_none(self.b),
            "ratio": finite_or_none(self.ratio),
            "low": finite_or_none(self.interval.low),
            "high": finite_or_none(self.interval.high),
            "change_percent": finite_or_none(self.change_percent),
            "significant": self.significant,
            "text": self.text,
        }


def ratio_of(a: float, b: float, interval_a: Interval, interval_b: Interval) -> Ratio:
    """Return b/a with the interval that follows from those of two independent runs.

    The distances from estimate to limit are added in quadrature on the scale of
    logarithms, each side by itself, so that skewed intervals stay skewed (G. Y. Zou
    and A. Donner, Stat. Med. 27 (2008) 1693). Where an interval reaches 0 that scale
    ends, and the limits are the quotients of the limits: a statement to one side,
    or none, that is safe rather than sharp.
    """
    if not (interval_a.low <= interval_a.high and interval_b.low <= interval_b.high):
        text = "not defined: no interval is known"
        return Ratio(a, b, _quotient(b, a), UNKNOWN, None, text)
    a_open, b_open = not interval_a.low > 0, not interval_b.low > 0
    if (a_open and b_open) or not interval_a.high > 0:
        text = "not defined: both may be 0"
        if not a_open or not b_open:
            text = "not defined: the first is 0"
        return Ratio(a, b, math.nan, UNKNOWN, None, text)
    ratio = _quotient(b, a if a > 0 else interval_a.low)
    if a_open or b_open:
        interval = Interval(
            max(interval_b.low, 0.0) / interval_a.high,
            math.inf if a_open else interval_b.high / interval_a.low,
        )
    else:
        interval = _in_quadrature(a, b, interval_a, interval_b)
    significant = not interval.low <= 1 <= interval.high
    return Ratio(a, b, ratio, interval, significant, _words(ratio, interval))


def variance_ratio(
    variance_a: float,
    variance_b: float,
    dof_a: float,
    dof_b: float,
    confidence: float = 0.95,
) -> tuple[float, Interval, float]:
    """Return b/a of two variances, its interval, and the chance of one as far from 1.

    Fisher's F with the equivalent degrees of freedom of both; NaN without them.
    """
    ratio = _quotient(variance_b, variance_a)
    if not (ratio > 0 and dof_a > 0 and dof_b > 0):
        return ratio, UNKNOWN, math.nan
    below, above = f_limits(dof_a, dof_b, confidence)
    lower = float(scipy.special.fdtr(dof_b, dof_a, ratio))
    upper = float(scipy.special.fdtrc(dof_b, dof_a, ratio))
    return (
        ratio,
        Interval(ratio * below, ratio * above),
        min(1.0, 2 * min(lower, upper)),
    )


def f_limits(dof_a: float, dof_b: float, confidence: float) -> tuple[float, float]:
    """Return by what a ratio b/a of variances is multiplied for its limits."""
    tail = (1 - confidence) / 2
    return (
        1 / float(scipy.special.fdtri(dof_b, dof_a, 1 - tail)),
        1 / float(scipy.special.fdtri(dof_b, dof_a, tail)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that hold for all of them together; NaN is no test.

    S. Holm, Scand. J. Statist. 6 (1979) 65.
    """
    order = sorted(
        (k for k, p in enumerate(p_values) if not math.isnan(p)),
        key=lambda k: p_values[k],
    )
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


def change_words(ratio: float, interval: Interval) -> str:
    """Return a change such as "down by 26 ± 2 %" or "up by 40 % (12 to 75 %)"."""
    change = 100 * (ratio - 1)
    low, high = 100 * (interval.low - 1), 100 * (interval.high - 1)
    direction = "down" if change < 0 else "up"
    up, down = high - change, change - low
    half = (high - low) / 2
    if not half > 0:
        return f"{direction} by {abs(change):.3g} %" if change else "the same"
    digits = _digits(half)
    if not low <= 0 <= high and round(abs(change) - half, digits) <= 0:
        # Or what is significant would not look so.
        digits += 1
    if abs(up - down) <= 0.4 * half:
        return f"{direction} by {abs(change):.{digits}f} ± {half:.{digits}f} %"
    limits = f"{low:+.{digits}f} to {high:+.{digits}f} %"
    return f"{direction} by {abs(change):.{digits}f} % ({limits})"


def _digits(error: float) -> int:
    """Return decimals that show one digit of an error, two below 2 of its unit."""
    exponent = math.floor(math.log10(error))
    return max(0, -exponent + int(error < 1.95 * 10.0**exponent))


def _in_quadrature(a: float, b: float, of_a: Interval, of_b: Interval) -> Interval:
    # An estimate outside of its own interval has no distance to that limit.
    a = min(max(a, of_a.low), of_a.high)
    b = min(max(b, of_b.low), of_b.high)
    down = math.hypot(math.log(b / of_b.low), math.log(of_a.high / a))
    up = math.hypot(math.log(of_b.high / b), math.log(a / of_a.low))
    return Interval(b / a * math.exp(-down), b / a * math.exp(up))


def _quotient(b: float, a: float) -> float:
    return b / a if a > 0 else math.nan


def _words(ratio: float, interval: Interval) -> str:
    if math.isinf(interval.high):
        return f"at least {interval.low:.2g} times as large"
    if not interval.low > 0:
        return f"at most {interval.high:.2g} times as large"
    return change_words(ratio, interval)
