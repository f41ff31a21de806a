"""Regions of an image: shapes to runs of pixels, and those to the kernel's edges.

A pixel belongs to a shape when its centre does. Coordinates are (y, x) in pixels, and
whole numbers are the centres of pixels, as in an array's indices. Everything is
computed row by row from the shapes themselves, never pixel by pixel: the 32 modules
and 16 rings of a 16M image take some milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.model import REGION_EDGE

Runs = npt.NDArray[np.int64]
"""(n, 3) of row, first column, column after the last; by row, then column."""

Point = tuple[float, float]
"""(y, x) [pixels]."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows y0 to y1 and columns x0 to x1, the second of each excluded."""

    y0: int
    y1: int
    x0: int
    x1: int

    def runs(self, shape: tuple[int, int]) -> Runs:
        """Return the runs of its pixels in an image of (y, x) pixels."""
        rows = np.arange(max(0, self.y0), min(self.y1, shape[0]))
        return _clipped(rows, self.x0, self.x1, shape[1])

    def described(self) -> dict[str, Any]:
        """Return the shape ready for JSON."""
        return {"kind": "rectangle", "y": [self.y0, self.y1], "x": [self.x0, self.x1]}


@dataclass(frozen=True, slots=True)
class Annulus:
    """Pixels with inner <= distance from the centre < outer; inner 0: a disc.

    Distances are in columns; a row counts `aspect` columns.
    """

    center: Point
    inner: float
    outer: float
    aspect: float = 1.0

    def runs(self, shape: tuple[int, int]) -> Runs:
        """Return the runs of its pixels in an image of (y, x) pixels."""
        rows = np.arange(shape[0])
        start, stop = self._within(rows, self.outer)
        if self.inner <= 0:
            return _clipped(rows, start, stop, shape[1])
        hole_start, hole_stop = self._within(rows, self.inner)
        empty = hole_start >= hole_stop
        hole_start = np.where(empty, stop, hole_start)
        hole_stop = np.where(empty, stop, hole_stop)
        left = _clipped(rows, start, hole_start, shape[1])
        right = _clipped(rows, hole_stop, stop, shape[1])
        runs = np.concatenate([left, right])
        return runs[np.lexsort((runs[:, 1], runs[:, 0]))]

    def _within(
        self, rows: npt.NDArray[np.int64], radius: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return first and last + 1 column nearer than `radius`, per row."""
        y, x = self.center
        squared = ((rows - y) * self.aspect) ** 2
        half = np.sqrt(np.maximum(radius**2 - squared, 0.0))
        start = np.ceil(x - half).astype(np.int64)
        stop = np.floor(x + half).astype(np.int64) + 1

        def inside(column: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
            near: npt.NDArray[np.bool_] = (column - x) ** 2 + squared < radius**2
            return near

        # The root is rounded: the definition decides about the last pixel.
        start += ~inside(start)
        start -= inside(start - 1)
        stop -= ~inside(stop - 1)
        stop += inside(stop)
        return start, np.maximum(stop, start)

    def described(self) -> dict[str, Any]:
        """Return the shape ready for JSON."""
        shape: dict[str, Any] = {"kind": "annulus" if self.inner > 0 else "disc"}
        shape["center"] = list(self.center)
        shape["radius"] = [self.inner, self.outer] if self.inner > 0 else self.outer
        return shape if self.aspect == 1 else {**shape, "aspect": self.aspect}


@dataclass(frozen=True, slots=True)
class Polygon:
    """Pixels inside a closed line, by the even-odd rule."""

    corners: tuple[Point, ...]

    def runs(self, shape: tuple[int, int]) -> Runs:
        """Return the runs of its pixels in an image of (y, x) pixels."""
        crossed: list[npt.NDArray[np.float64]] = []
        for (y0, x0), (y1, x1) in zip(
            self.corners, [*self.corners[1:], self.corners[0]], strict=True
        ):
            low, high = min(y0, y1), max(y0, y1)
            rows = np.arange(
                max(0, math.ceil(low)), min(shape[0], math.ceil(high)), dtype=float
            )
            if rows.size:
                columns = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
                crossed.append(np.stack([rows, columns], axis=1))
        if not crossed:
            return np.empty((0, 3), np.int64)
        points = np.concatenate(crossed)
        points = points[np.lexsort((points[:, 1], points[:, 0]))]
        # Each row is crossed an even number of times: in, out, in, out.
        places = np.ceil(points).astype(np.int64)
        return _clipped(places[0::2, 0], places[0::2, 1], places[1::2, 1], shape[1])

    def described(self) -> dict[str, Any]:
        """Return the shape ready for JSON."""
        return {"kind": "polygon", "corners": [list(c) for c in self.corners]}


Shape = Rectangle | Annulus | Polygon


@dataclass(frozen=True, slots=True)
class Region:
    """A named shape, and what is to be said about it."""

    name: str
    shape: Shape
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Ready for JSON, e.g. a ring's limits in angstrom."""


@dataclass(frozen=True, slots=True)
class RegionSet:
    """Regions of one image geometry, as the kernel takes them."""

    described: tuple[dict[str, Any], ...] = ()
    """In order of their rows: name, kind, shape, number of pixels; for JSON."""
    edges: bytes = b""
    """(n,) of `REGION_EDGE`, by pixel."""

    def __len__(self) -> int:
        """Return the number of regions."""
        return len(self.described)


def region_set(regions: Sequence[Region], shape: tuple[int, int]) -> RegionSet:
    """Bring regions into the form that the kernel takes.

    Parameters
    ----------
    regions
        In the order of their rows.
    shape
        (y, x) of the image [pixels].
    """
    tables = []
    described = []
    for number, region in enumerate(regions):
        runs = region.shape.runs(shape)
        starts = runs[:, 0] * shape[1] + runs[:, 1]
        stops = runs[:, 0] * shape[1] + runs[:, 2]
        joined = np.flatnonzero(stops[:-1] == starts[1:])
        starts, stops = np.delete(starts, joined + 1), np.delete(stops, joined)
        table = np.empty(2 * starts.size, REGION_EDGE)
        table["pixel"][0::2], table["pixel"][1::2] = starts, stops
        table["region"] = number
        table["enters"][0::2], table["enters"][1::2] = 1, 0
        tables.append(table)
        described.append(
            {
                "name": region.name,
                **region.shape.described(),
                **region.facts,
                "pixels": int((stops - starts).sum()),
            }
        )
    if not tables:
        return RegionSet()
    edges = np.concatenate(tables)
    # Stable: what a region leaves and enters again at one pixel stays in order.
    order = np.argsort(edges["pixel"], kind="stable")
    return RegionSet(tuple(described), edges[order].tobytes())


def _clipped(
    rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | int,
    stops: npt.NDArray[np.int64] | int,
    width: int,
) -> Runs:
    """Return the parts of runs that lie in a row of `width` pixels, if any."""
    runs = np.empty((rows.size, 3), np.int64)
    runs[:, 0] = rows
    runs[:, 1] = np.clip(starts, 0, width)
    runs[:, 2] = np.clip(stops, 0, width)
    return runs[runs[:, 1] < runs[:, 2]]
