"""What is usual in a series: the sums and pixel counts that frames are held against.

The first frames are measured against their own medians, all others against the
means of the undamaged frames just before them: what changes slowly is no event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.robust import MAD_TO_SIGMA, FloatArray
from eigerwatch.analysis.measured import Measured

FAINTEST = 20.0
"""Usual sum of a region [counts] below which nothing can be said of one frame."""
_FEWEST = 32
"""Undamaged frames that change what is usual."""
_GROUP = 8
"""Frames of which the first medians are taken."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Usual values, per frame."""

    level: float
    """Sum [counts], larger than 0."""
    sentinel: float | None
    """Pixels without data."""
    kept: float | None
    kept_sigma: float
    """Standard deviation of the number of kept pixels."""
    regions: FloatArray | None
    """(m,) sum by region [counts]."""
    regions_sigma: FloatArray | None
    """(m,) relative standard deviation, that of all regions together taken off."""
    region_sentinel: FloatArray | None
    """(m,)"""
    region_pixels: FloatArray | None
    """(m,) kept pixels and those without data."""


def first_usual(block: Measured) -> Usual | None:
    """Return what the first frames say of themselves; None: there is no beam.

    Part of them may be damaged. So the largest of the medians of a few frames is
    taken for sums, and the smallest for pixels without data.
    """
    if not block.n:
        return None
    totals = block.totals.astype(np.float64)
    best = float(_group_medians(totals[:, None]).max())
    if not best > 0:
        return None
    regions = sigma = None
    if block.regions is not None and block.regions.shape[1]:
        sums = block.regions.astype(np.float64)
        regions = _group_medians(sums).max(axis=0)
        sigma = _sigma(regions, _jump_sigma(sums) / np.maximum(regions, 1))
    kept = None if block.kept is None else _column(block.kept)
    return Usual(
        level=float(np.median(totals[totals > 0.5 * best])),
        sentinel=_smallest(block.sentinel),
        kept=None if kept is None else float(_group_medians(kept).max()),
        kept_sigma=0.0 if kept is None else float(_jump_sigma(kept)[0]),
        regions=regions,
        regions_sigma=sigma,
        region_sentinel=_smallest_by_region(block.region_sentinel),
        region_pixels=_pixels(block),
    )


def next_usual(
    usual: Usual,
    block: Measured,
    clean: npt.NDArray[np.bool_],
    ratios: FloatArray | None,
) -> Usual:
    """Return what is usual after a block; `ratios` are (n, m) sums over usual ones."""
    n = int(np.count_nonzero(clean))
    if n < _FEWEST:
        return usual
    if n < block.n:
        block = block.at(clean)
        ratios = None if ratios is None else ratios[clean]
    totals = block.totals * (1 / usual.level)
    mean = float(totals.mean())
    if not mean > 0:
        return usual
    regions, sigma = usual.regions, usual.regions_sigma
    if regions is not None and ratios is not None and block.regions is not None:
        means = np.ones(n) @ ratios / n
        spread = np.einsum("ij,ij->j", ratios, ratios) / n - means**2
        # Ratios tell nothing of faint regions, which may grow bright.
        faint = np.ones(n) @ block.regions / n
        regions = np.where(regions >= FAINTEST, regions * means, faint)
        together = float(totals.var()) / mean**2
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(means > 0, spread / means**2, 0)
        sigma = _sigma(regions, np.sqrt(np.maximum(own - together, 0)))
    kept = None if block.kept is None else block.kept.astype(np.float64)
    return Usual(
        level=usual.level * mean,
        sentinel=None if block.sentinel is None else float(block.sentinel.mean()),
        kept=None if kept is None else float(kept.mean()),
        kept_sigma=0.0 if kept is None else float(kept.std()),
        regions=regions,
        regions_sigma=sigma,
        region_sentinel=None
        if block.region_sentinel is None
        else np.ones(n) @ block.region_sentinel / n,
        region_pixels=usual.region_pixels,
    )


def _group_medians(columns: FloatArray) -> FloatArray:
    """Return (groups, m) medians of a few consecutive frames each."""
    n, m = columns.shape
    size = min(_GROUP, n)
    whole = n // size
    groups = columns[: whole * size].reshape(whole, size, m)
    medians: FloatArray = np.median(groups, axis=1)
    return medians


def _jump_sigma(columns: FloatArray) -> FloatArray:
    """Return (m,) standard deviations by the jumps between neighbours.

    A change of level adds one jump only.
    """
    if len(columns) < 3:
        return np.zeros(columns.shape[1])
    jumps = np.abs(np.diff(columns, axis=0))
    sigma: FloatArray = np.median(jumps, axis=0) * (MAD_TO_SIGMA / np.sqrt(2))
    return sigma


def _sigma(regions: FloatArray, found: FloatArray) -> FloatArray:
    """Return the relative standard deviation, at least that of counting photons."""
    return np.maximum(found, 1 / np.sqrt(np.maximum(regions, 1)))


def _column(values: npt.NDArray[np.uint32]) -> FloatArray:
    return values.astype(np.float64)[:, None]


def _smallest(values: npt.NDArray[np.uint32] | None) -> float | None:
    return None if values is None else float(_group_medians(_column(values)).min())


def _smallest_by_region(values: npt.NDArray[np.uint32] | None) -> FloatArray | None:
    if values is None or not values.shape[1]:
        return None
    smallest: FloatArray = _group_medians(values.astype(np.float64)).min(axis=0)
    return smallest


def _pixels(block: Measured) -> FloatArray | None:
    """Return (m,) pixels by region that are kept or without data."""
    if block.region_kept is None or block.region_sentinel is None:
        return None
    both: FloatArray = block.region_kept.astype(np.float64) + block.region_sentinel
    pixels: FloatArray = both.max(axis=0)
    return pixels
