"""Numbers as people read them: sensible digits, groups of three, a dash for nothing."""

from __future__ import annotations

import math

NOTHING = "-"
"""Where a figure is not defined."""
_GROUP = "\u202f"
_MINUS = "\u2212"
_SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b⁰¹²³⁴⁵⁶⁷⁸⁹")


def whole(value: int | None) -> str:
    """Return an integer with its digits in groups; every digit is exact."""
    if value is None:
        return NOTHING
    return f"{value:,}".replace(",", _GROUP).replace("-", _MINUS)


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits, all of those before the point.

    Very small and very large ones are written as powers of ten.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 15:
        return _grouped(f"{value:,.{max(0, digits - 1 - size)}f}")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{mantissa} \u00d7 10{power}".replace("-", _MINUS)


def fixed(value: float, decimals: int) -> str:
    """Return a number with so many digits after the point."""
    if not math.isfinite(value):
        return NOTHING
    return _grouped(f"{value:,.{decimals}f}")


def limits(low: float, high: float, digits: int = 4) -> str:
    """Return an interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOTHING
    return f"{number(low, digits)} to {number(high, digits)}"


def with_error(value: float, error: float) -> str:
    """Return a value and its standard error, to two digits of the error."""
    if not math.isfinite(value):
        return NOTHING
    if not (math.isfinite(error) and error > 0):
        return number(value)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    if decimals > 9:
        return f"{number(value)} ± {number(error, 2)}"
    return f"{fixed(value, decimals)} ± {fixed(error, decimals)}"


def probability(value: float) -> str:
    """Return a probability; tiny ones as an upper limit."""
    if not math.isfinite(value):
        return NOTHING
    return "< 10⁻⁹" if value < 1e-9 else number(value, 2)


def power_of_ten(value: float) -> str:
    """Return the label of a tick of a logarithmic axis."""
    if not value > 0:
        return ""
    exponent = math.log10(value)
    if -3 < exponent < 4:
        return f"{value:g}"
    if abs(exponent - round(exponent)) > 1e-9:
        return ""
    return f"10{str(round(exponent)).translate(_SUPERSCRIPTS)}"


def _grouped(text: str) -> str:
    return text.replace(",", _GROUP).replace("-", _MINUS)
