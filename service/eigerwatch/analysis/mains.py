"""Which lines are harmonics of the mains, seen directly or folded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FAMILIES_HZ = (50.0, 60.0)
DEVIATION_HZ = 0.1
"""How far the mains' frequency may be off; harmonics are off in proportion."""
WANDER_HZ = 0.01
"""The same where low harmonics have shown what it was during the record."""
ORDERS = (1, 2, 3, 6, 12, 4, 5, 24, 18, *range(7, 12), *range(13, 18), *range(19, 24))
"""Harmonics, those first that rectifiers (2, 6, 12, 24 pulses) favour."""
MOST_BY_CHANCE = 0.05
"""Expected number of lines of a record that are named by mere coincidence."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A harmonic of the mains that lies where the line is."""

    name: str
    """Such as "12 x 50 Hz (600 Hz), seen at 146.3 Hz"; with "or" where two fit."""
    family_hz: float
    """50 or 60."""
    order: int
    true_hz: float
    """Before folding at the Nyquist frequency."""
    chance: float
    """That a line anywhere would fit some harmonic as well as this one does."""
    others: tuple[tuple[float, int], ...]
    """(family [Hz], order) of harmonics that fit too and cannot be ruled out."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "name": self.name,
            "family_hz": self.family_hz,
            "order": self.order,
            "true_hz": self.true_hz,
            "chance": self.chance,
            "others": [list(other) for other in self.others],
        }


@dataclass(frozen=True, slots=True)
class _Grid:
    """What is known of one mains family in a record."""

    family_hz: float
    fundamental_hz: float
    tolerance_hz: float
    """Of the fundamental."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """A harmonic near a line."""

    grid: _Grid
    order: int
    seen_hz: float
    chance: float

    @property
    def true_hz(self) -> float:
        return self.grid.family_hz * self.order


def folded(frequency_hz: float, rate_hz: float) -> float:
    """Return where a frequency is seen when sampled at `rate_hz`."""
    return abs(math.remainder(frequency_hz, rate_hz))


def name_lines(
    lines: list[tuple[float, float]],
    rate_hz: float,
    resolution_hz: float,
    mains_hz: float | None = None,
) -> list[Naming | None]:
    """Name the lines that are harmonics of 50 or 60 Hz; None: not by more than chance.

    A fit counts when a line at a random frequency would have less than a small
    chance to lie as near to any harmonic of the same or a lower order. What the fits
    show of the mains' frequency then narrows where the others must be.

    Parameters
    ----------
    lines
        Frequency and its standard error [Hz] of each.
    rate_hz
        Sampling rate; NaN: not known, and nothing is named.
    resolution_hz
        1/length of the record.
    mains_hz
        50 or 60: the only family to consider.
    """
    if not rate_hz > 0 or not lines:
        return [None] * len(lines)
    families = FAMILIES_HZ if mains_hz is None else (mains_hz,)
    grids = [_Grid(family, family, DEVIATION_HZ) for family in families]
    limit = MOST_BY_CHANCE / len(lines)
    alone = [_fits(line, grids, rate_hz, resolution_hz, limit) for line in lines]
    told = [_told(grid, lines, alone, rate_hz, resolution_hz) for grid in grids]
    votes = [_speaks(grid, grids, alone) for grid in grids]
    present = [grid for grid, vote in zip(told, votes, strict=True) if vote]
    # A family that nothing else speaks for does not contest what another explains.
    chosen = present or told
    fits = [_fits(line, chosen, rate_hz, resolution_hz, limit) for line in lines]
    if len(chosen) < len(told):
        lost = [grid for grid in told if grid not in chosen]
        spare = [_fits(line, lost, rate_hz, resolution_hz, limit) for line in lines]
        fits = [fit or other for fit, other in zip(fits, spare, strict=True)]
    return [
        _naming(line[0], fit, chosen, by_itself) if fit else None
        for line, fit, by_itself in zip(lines, fits, alone, strict=True)
    ]


def _fits(
    line: tuple[float, float],
    grids: list[_Grid],
    rate_hz: float,
    resolution_hz: float,
    limit: float,
) -> list[_Fit]:
    """Return the harmonics that fit a line by more than chance, the surest first."""
    frequency, error = line
    least = max(resolution_hz, 3 * error)
    found = []
    for grid in grids:
        for rank, order in enumerate(ORDERS):
            seen = folded(order * grid.fundamental_hz, rate_hz)
            off = abs(frequency - seen)
            if off > order * grid.tolerance_hz + least:
                continue
            # Off by this much of the fundamental, with any order up to this rank.
            relative = max(off - least, 0.0) / order
            width = least * (rank + 1) + relative * sum(ORDERS[: rank + 1])
            chance = _chance(width, least, grids, rate_hz / 2)
            if chance <= limit:
                found.append(_Fit(grid, order, seen, chance))
    return sorted(found, key=lambda fit: fit.chance)


def _chance(
    width_hz: float, least_hz: float, grids: list[_Grid], nyquist_hz: float
) -> float:
    """Return the chance of a line anywhere to fit with no more than this width.

    A low rank may be farther off than a high one: each order has its own window.
    """
    covered = 0.0
    for grid in grids:
        for rank, order in enumerate(ORDERS):
            spare = width_hz - least_hz * (rank + 1)
            if spare < 0:
                break
            relative = min(spare / sum(ORDERS[: rank + 1]), grid.tolerance_hz)
            covered += 2 * (least_hz + order * relative)
    return min(1.0, covered / nyquist_hz)


def _told(
    grid: _Grid,
    lines: list[tuple[float, float]],
    fits: list[list[_Fit]],
    rate_hz: float,
    resolution_hz: float,
) -> _Grid:
    """Return the family with the fundamental that its sure lines show."""
    weights = total = 0.0
    for (frequency, error), found in zip(lines, fits, strict=True):
        for fit in found[:1]:
            if fit.grid != grid:
                continue
            nearest = round(fit.true_hz / rate_hz) * rate_hz
            sign = 1 if fit.true_hz >= nearest else -1
            fundamental = (nearest + sign * frequency) / fit.order
            spread = max(resolution_hz / 2, error) / fit.order
            weights += spread**-2
            total += fundamental * spread**-2
    if not weights:
        return grid
    return _Grid(grid.family_hz, total / weights, WANDER_HZ + 2 * weights**-0.5)


def _speaks(grid: _Grid, grids: list[_Grid], fits: list[list[_Fit]]) -> bool:
    """Return whether some line fits this family, and can be of no other."""
    return any(
        found
        and all(fit.grid == grid for fit in found)
        and len(_coinciding(found[0], grids)) == 1
        for found in fits
    )


def _coinciding(fit: _Fit, grids: list[_Grid]) -> list[tuple[_Grid, int]]:
    """Return the harmonics of all families with the very frequency of this one."""
    orders = [(grid, fit.true_hz / grid.family_hz) for grid in grids]
    return [(grid, int(order)) for grid, order in orders if order in ORDERS]


def _naming(
    frequency_hz: float, fits: list[_Fit], grids: list[_Grid], alone: list[_Fit]
) -> Naming:
    best = fits[0]
    # What a line itself has told of the mains does not make it more likely.
    chances = [fit.chance for fit in alone if fit.true_hz == best.true_hz]
    rivals = [
        (grid.family_hz, order)
        for grid, order in _coinciding(best, grids)
        if grid.family_hz != best.grid.family_hz
    ]
    # Others are as good unless coincidence is far more likely with them.
    for fit in fits[1:]:
        rival = (fit.grid.family_hz, fit.order)
        if fit.chance < 5 * best.chance and rival not in rivals:
            rivals.append(rival)
    terms = [(best.grid.family_hz, best.order), *rivals]
    name = " or ".join(_term(*term) for term in terms)
    if best.order > 1 and len({family * order for family, order in terms}) == 1:
        name += f" ({best.true_hz:g} Hz)"
    if abs(best.seen_hz - best.true_hz) > best.order:
        name += f", seen at {frequency_hz:.1f} Hz"
    return Naming(
        name=name,
        family_hz=best.grid.family_hz,
        order=best.order,
        true_hz=best.true_hz,
        chance=min(chances, default=best.chance),
        others=tuple(rivals),
    )


def _term(family_hz: float, order: int) -> str:
    return f"{family_hz:g} Hz" if order == 1 else f"{order} x {family_hz:g} Hz"
