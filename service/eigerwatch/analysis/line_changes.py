"""Which lines appeared, vanished, grew or shrank from one run to another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from eigerwatch.analysis.assessment import Frequencies
from eigerwatch.analysis.broad import LEAKAGE
from eigerwatch.analysis.line import Line
from eigerwatch.analysis.ratios import holm
from eigerwatch.analysis.residual import Residual
from eigerwatch.analysis.statistics import finite_or_none

LineFate = Literal["appeared", "vanished", "grew", "shrank", "unchanged", "undecided"]

LEVEL = 0.01
"""Chance that any line, of all of two equal runs, is said to have changed."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """One line, found in either run or in both."""

    fate: LineFate
    """"undecided": found in one run; the other may have it and hide it."""
    frequency_hz: float
    """Where it is seen [unit of the runs]."""
    name: str | None
    """As a harmonic of the mains."""
    amplitude_a: float
    """Peak, relative; at the line's frequency, where none was found. NaN: not seen."""
    amplitude_a_se: float
    found_a: bool
    amplitude_b: float
    amplitude_b_se: float
    found_b: bool
    p_value: float
    """Chance that two equal runs show a line as changed as this one (Holm)."""
    significant: bool | None
    """None: not judged."""
    text: str

    @property
    def power_change(self) -> float:
        """What the line adds to the variance of B [relative, squared]."""
        return (self.amplitude_b**2 - self.amplitude_a**2) / 2

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "fate": self.fate,
            "frequency_hz": finite_or_none(self.frequency_hz),
            "name": self.name,
            "amplitude_a": finite_or_none(self.amplitude_a),
            "amplitude_a_se": finite_or_none(self.amplitude_a_se),
            "found_a": self.found_a,
            "amplitude_b": finite_or_none(self.amplitude_b),
            "amplitude_b_se": finite_or_none(self.amplitude_b_se),
            "found_b": self.found_b,
            "p_value": finite_or_none(self.p_value),
            "significant": self.significant,
            "text": self.text,
        }


def line_changes(
    a: Frequencies,
    b: Frequencies,
    rest_a: Residual,
    rest_b: Residual,
    names: tuple[str, str] = ("A", "B"),
) -> tuple[LineChange, ...]:
    """Match the lines of two runs and judge what became of each.

    Lines match where they are nearer than the coarser resolution and their widths, or
    where they are the same harmonic of the mains. A line that only one run shows is
    looked for in the other where it should be, so that a line just below what counts
    as found is not said to have vanished.

    Parameters
    ----------
    rest_a, rest_b
        Their signals without the lines.

    Returns
    -------
    changes
        Significant ones first, of these those with most power. Empty where one run
        was not searched.
    """
    if not (a.lines.highest_hz > 0 and b.lines.highest_hz > 0):
        return ()
    pairs = _matched(a, b)
    # Amplitude and error of every line in both runs, looked up where not found.
    values = []
    for pair in pairs:
        strongest = _strongest(pair)
        width = strongest.width_hz
        if width > 0 and None in pair:
            # A broad line is told without what the window adds to it.
            owner = b if pair[0] is None else a
            width += 2 * LEAKAGE * owner.spectrum.step_hz
        values.append(
            [
                (line.amplitude, line.amplitude_se)
                if line is not None
                else rest.amplitude(strongest.frequency_hz, width)
                for line, rest in zip(pair, (rest_a, rest_b), strict=True)
            ]
        )
    adjusted = [
        max(p_value, _found_by_chance(pair))
        for pair, p_value in zip(
            pairs, holm([_chance(*both) for both in values]), strict=True
        )
    ]
    changes = [
        _change(pair, both, p_value, a.lines.unit, names)
        for pair, both, p_value in zip(pairs, values, adjusted, strict=True)
    ]
    changes.sort(key=lambda one: (not one.significant, -_size(one)))
    return tuple(changes)


def _matched(a: Frequencies, b: Frequencies) -> list[tuple[Line | None, Line | None]]:
    """Return pairs, the nearest first; then the lines that have no partner."""
    bin_hz = max(a.lines.resolution_hz, b.lines.resolution_hz)
    candidates = []
    for i, line in enumerate(a.lines.lines):
        for j, other in enumerate(b.lines.lines):
            apart = abs(line.frequency_hz - other.frequency_hz)
            near = bin_hz + (line.width_hz + other.width_hz) / 2
            if apart <= near:
                candidates.append((0, apart, i, j))
            elif _same_harmonic(line, other):
                candidates.append((1, apart, i, j))
    left_a, left_b = set(range(len(a.lines.lines))), set(range(len(b.lines.lines)))
    pairs: list[tuple[Line | None, Line | None]] = []
    for _, _, i, j in sorted(candidates):
        if i in left_a and j in left_b:
            left_a.remove(i)
            left_b.remove(j)
            pairs.append((a.lines.lines[i], b.lines.lines[j]))
    pairs += [(a.lines.lines[i], None) for i in sorted(left_a)]
    pairs += [(None, b.lines.lines[j]) for j in sorted(left_b)]
    return pairs


def _same_harmonic(a: Line, b: Line) -> bool:
    if a.naming is None or b.naming is None:
        return False
    same_order = a.naming.order == b.naming.order
    return same_order and a.naming.family_hz == b.naming.family_hz


def _strongest(pair: tuple[Line | None, Line | None]) -> Line:
    found = [line for line in pair if line is not None]
    return max(found, key=lambda line: line.amplitude)


def _chance(a: tuple[float, float], b: tuple[float, float]) -> float:
    error = math.hypot(a[1], b[1])
    if not error > 0:
        return math.nan
    return math.erfc(abs(b[0] - a[0]) / error / math.sqrt(2))


def _found_by_chance(pair: tuple[Line | None, Line | None]) -> float:
    """Return the chance that a line of one run alone is noise of either.

    The highest of many ordinates differs from the same one elsewhere by its choice.
    """
    alone = [line for line in pair if line is not None]
    if len(alone) == 2:
        return 0.0
    return min(1.0, 2 * alone[0].false_alarm_probability)


def _size(change: LineChange) -> float:
    size = abs(change.power_change)
    return size if math.isfinite(size) else 0.0


def _change(
    pair: tuple[Line | None, Line | None],
    values: list[tuple[float, float]],
    p_value: float,
    unit: str,
    names: tuple[str, str],
) -> LineChange:
    (amplitude_a, error_a), (amplitude_b, error_b) = values
    found_a, found_b = (line is not None for line in pair)
    significant = None if math.isnan(p_value) else p_value <= LEVEL
    fate: LineFate
    larger = amplitude_b > amplitude_a
    if not significant:
        fate = "unchanged" if found_a and found_b else "undecided"
    elif found_a and found_b:
        fate = "grew" if larger else "shrank"
    elif found_a == larger:
        # Not counted as a line where it is strongest: its frequency wandered.
        fate = "undecided"
    else:
        fate = "vanished" if found_a else "appeared"
    frequency = _strongest(pair).frequency_hz
    named = next((one.naming.name for one in pair if one and one.naming), None)
    # A line that was not found: what it may be at most.
    said = [
        f"{'' if found else 'at most '}"
        f"{100 * (value if found else value + 2 * error):.2g} % in {name}"
        if math.isfinite(value)
        else f"not seen in {name}"
        for found, (value, error), name in zip(
            (found_a, found_b), values, names, strict=True
        )
    ]
    return LineChange(
        fate=fate,
        frequency_hz=frequency,
        name=named,
        amplitude_a=amplitude_a,
        amplitude_a_se=error_a,
        found_a=found_a,
        amplitude_b=amplitude_b,
        amplitude_b_se=error_b,
        found_b=found_b,
        p_value=p_value,
        significant=significant,
        text=f"line at {frequency:.5g} {unit} {fate}: {said[0]}, {said[1]}",
    )
