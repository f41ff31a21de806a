"""Detector modules: from the gaps of a pixel mask, or from the known geometries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.regions import Rectangle, Region


@dataclass(frozen=True, slots=True)
class _Grid:
    """Equal modules with equal gaps, (y, x) [pixels]."""

    module: tuple[int, int]
    gap: tuple[int, int]


_GRIDS = (
    _Grid((514, 1030), (37, 10)),  # EIGER, and EIGER2 of a single module
    _Grid((512, 1028), (38, 12)),  # EIGER2
)
_FEWEST_PIXELS = 16
"""A strip that is thinner is no module but a row of dead pixels beside a gap."""


def modules_of_shape(shape: tuple[int, int]) -> list[Region]:
    """Return the modules of a detector of this size; none if no EIGER has it.

    Parts that a detector reads out by itself count too: whole modules of a larger
    detector (4M of 9M or 16M), or some lines of one row of modules.
    """
    for grid in _GRIDS:
        columns = _spans(shape[1], grid.module[1], grid.gap[1])
        rows = _spans(shape[0], grid.module[0], grid.gap[0])
        if not rows and shape[0] < grid.module[0]:
            rows = [(0, shape[0])]
        if columns and rows:
            return _numbered(rows, columns)
    return []


def modules_of_mask(gaps: npt.NDArray[np.bool_]) -> list[Region]:
    """Return the modules that whole rows and columns of gap pixels separate.

    Parameters
    ----------
    gaps
        (y, x), true in the gaps between the modules.
    """
    rows = _solid(np.atleast_1d(~gaps.all(axis=1)))
    columns = _solid(np.atleast_1d(~gaps.all(axis=0)))
    return _numbered(rows, columns) if rows and columns else []


def modules_given(rectangles: tuple[tuple[int, int, int, int], ...]) -> list[Region]:
    """Return the modules that the settings list: y0, y1, x0, x1 of each."""
    return [
        Region(f"module_{n}", Rectangle(*rectangle), {"module": True})
        for n, rectangle in enumerate(rectangles, 1)
    ]


def _spans(length: int, module: int, gap: int) -> list[tuple[int, int]]:
    """Return first and last + 1 pixel of each module along one axis, if it fits."""
    n, rest = divmod(length + gap, module + gap)
    if rest or n == 0:
        return []
    return [(i * (module + gap), i * (module + gap) + module) for i in range(n)]


def _solid(used: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the spans of true values that are wide enough for a module."""
    edges = np.flatnonzero(np.diff(used, prepend=False, append=False))
    spans = zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)
    return [span for span in spans if span[1] - span[0] >= _FEWEST_PIXELS]


def _numbered(
    rows: list[tuple[int, int]], columns: list[tuple[int, int]]
) -> list[Region]:
    """Return the modules row by row from the top left."""
    return modules_given(tuple((*row, *column) for row in rows for column in columns))
