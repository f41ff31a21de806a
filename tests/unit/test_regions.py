"""Shapes against their definition, pixel by pixel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigerwatch.model import REGION_EDGE
from eigerwatch.regions import (
    Annulus,
    Polygon,
    Rectangle,
    Region,
    Shape,
    region_set,
)

SHAPE = (23, 37)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)


def pixels(shape: Shape, image: tuple[int, int] = SHAPE) -> np.ndarray[Any, Any]:
    """Return (y, x), true in the shape, from its runs."""
    inside = np.zeros(image, bool)
    before = (-1, 0)
    for row, start, stop in shape.runs(image).tolist():
        assert before <= (row, start), "runs overlap or are out of order"
        assert 0 <= start < stop <= image[1]
        inside[row, start:stop] = True
        before = (row, stop)
    return inside


def of_edges(edges: bytes, number: int, size: int) -> np.ndarray[Any, Any]:
    """Return (size,), true in a region, from the edges."""
    inside = np.zeros(size, bool)
    table = np.frombuffer(edges, REGION_EDGE)
    assert np.all(np.diff(table["pixel"].astype(int)) >= 0)
    mine = table[table["region"] == number]
    assert mine["enters"].tolist() == [1, 0] * (len(mine) // 2)
    for start, stop in mine["pixel"].reshape(-1, 2).tolist():
        inside[start:stop] = True
    return inside


@pytest.mark.parametrize(
    "corners", [(0, 23, 0, 37), (3, 5, 7, 11), (-5, 4, -9, 2), (20, 99, 30, 99)]
)
def test_a_rectangle_is_cut_at_the_image(corners: tuple[int, int, int, int]) -> None:
    y0, y1, x0, x1 = corners
    expected = (y0 <= Y) & (y1 > Y) & (x0 <= X) & (x1 > X)
    assert np.array_equal(pixels(Rectangle(*corners)), expected)


@pytest.mark.parametrize("corners", [(30, 40, 0, 9), (0, 9, 37, 99), (-9, 0, 0, 9)])
def test_a_rectangle_outside_has_no_pixels(
    corners: tuple[int, int, int, int],
) -> None:
    assert not pixels(Rectangle(*corners)).any()


CENTERS = [(11.0, 18.0), (11.3, 17.8), (0.0, 0.0), (-20.0, 50.0), (11.5, 18.5)]


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize(
    ("inner", "outer"),
    [(0, 5), (5, 13), (5, 5.0001), (0, 0.4), (0, 0), (3, 25), (13, 100), (0.1, 1)],
)
@pytest.mark.parametrize("aspect", [1.0, 2.0, 0.7])
def test_an_annulus_holds_what_is_near_enough(
    center: tuple[float, float], inner: float, outer: float, aspect: float
) -> None:
    """5 and 13 from (11, 18): whole-number triangles put pixels exactly on it."""
    squared = ((Y - center[0]) * aspect) ** 2 + (X - center[1]) ** 2
    expected = (inner**2 <= squared) & (squared < outer**2)
    shape = Annulus(center, inner, outer, aspect)
    assert np.array_equal(pixels(shape), expected)


def test_rings_that_share_a_radius_share_no_pixel() -> None:
    radii = [0, 3, 5, 13, 20, 100]
    together = sum(
        pixels(Annulus((11.0, 18.0), a, b)).astype(int)
        for a, b in itertools.pairwise(radii)
    )
    assert np.all(together == 1)


@given(
    st.lists(
        st.tuples(st.integers(-5, 30), st.integers(-5, 45)), min_size=3, max_size=9
    )
)
def test_a_polygon_follows_the_even_odd_rule(corners: list[tuple[int, int]]) -> None:
    """Corners at halves: no pixel's centre lies on a horizontal line or a corner."""
    shape = Polygon(tuple((y + 0.5, x + 0.25) for y, x in corners))
    inside = np.zeros(SHAPE, bool)
    points = list(shape.corners)
    for (y0, x0), (y1, x1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 == y1:
            continue
        crosses = (min(y0, y1) <= Y) & (max(y0, y1) > Y)
        where = x0 + (Y - y0) * ((x1 - x0) / (y1 - y0))
        inside ^= crosses & (where <= X)
    assert np.array_equal(pixels(shape), inside)


def test_neighbouring_polygons_share_no_pixel() -> None:
    """With a common line through the centres of pixels."""
    left = Polygon(((0, 0), (0, 10), (22, 20), (22, 0)))
    right = Polygon(((0, 10), (0, 37), (22, 37), (22, 20)))
    both = pixels(left).astype(int) + pixels(right)
    assert both[:22].max() == 1
    assert np.all(both[:22, :37] == 1)


def test_edges_say_what_the_runs_say() -> None:
    shapes: list[Shape] = [
        Rectangle(0, 23, 0, 37),
        Rectangle(2, 5, 0, 37),
        Annulus((11.0, 18.0), 4.0, 9.0),
        Polygon(((1, 1), (20, 5), (4, 30))),
        Rectangle(50, 60, 0, 9),
    ]
    found = region_set([Region(f"r{i}", s) for i, s in enumerate(shapes)], SHAPE)
    assert len(found) == len(shapes)
    for number, shape in enumerate(shapes):
        expected = pixels(shape)
        members = of_edges(found.edges, number, Y.size).reshape(SHAPE)
        assert np.array_equal(members, expected)
        assert found.described[number]["pixels"] == expected.sum()
    # Runs that follow each other without a gap are one.
    assert (np.frombuffer(found.edges, REGION_EDGE)["region"] == 0).sum() == 2


def test_regions_describe_themselves() -> None:
    found = region_set(
        [
            Region("a", Rectangle(1, 2, 3, 4), {"module": True}),
            Region("b", Annulus((1.0, 2.0), 0.0, 3.0)),
            Region("c", Annulus((1.0, 2.0), 1.0, 3.0, 2.0)),
            Region("d", Polygon(((0, 0), (0, 3), (3, 0)))),
        ],
        SHAPE,
    )
    assert list(found.described) == [
        {
            "name": "a",
            "kind": "rectangle",
            "y": [1, 2],
            "x": [3, 4],
            "module": True,
            "pixels": 1,
        },
        {
            "name": "b",
            "kind": "disc",
            "center": [1.0, 2.0],
            "radius": 3.0,
            "pixels": 20,
        },
        {
            "name": "c",
            "kind": "annulus",
            "center": [1.0, 2.0],
            "radius": [1.0, 3.0],
            "aspect": 2.0,
            "pixels": 14,
        },
        {
            "name": "d",
            "kind": "polygon",
            "corners": [[0, 0], [0, 3], [3, 0]],
            "pixels": 6,
        },
    ]


def test_no_regions() -> None:
    assert len(region_set([], SHAPE)) == 0
    assert region_set([], SHAPE).edges == b""
