from __future__ import annotations

import numpy as np
import pytest

from eigerwatch.modules import modules_given, modules_of_mask, modules_of_shape
from eigerwatch.regions import Rectangle, Region, region_set

EIGER1 = {
    (514, 1030): 1,
    (1065, 1030): 2,
    (2167, 2070): 8,
    (3269, 3110): 18,
    (4371, 4150): 32,
}
EIGER2 = {
    (512, 1028): 1,
    (1062, 1028): 2,
    (2162, 2068): 8,
    (3262, 3108): 18,
    (4362, 4148): 32,
}


def rectangles(modules: list[Region]) -> list[tuple[int, int, int, int]]:
    found = []
    for module in modules:
        assert isinstance(module.shape, Rectangle)
        shape = module.shape
        found.append((shape.y0, shape.y1, shape.x0, shape.x1))
    return found


@pytest.mark.parametrize(
    ("size", "module"),
    [(EIGER1, (514, 1030)), (EIGER2, (512, 1028))],
    ids=["EIGER", "EIGER2"],
)
def test_every_eiger_has_its_modules(
    size: dict[tuple[int, int], int], module: tuple[int, int]
) -> None:
    for shape, count in size.items():
        modules = modules_of_shape(shape)
        assert [m.name for m in modules] == [f"module_{n + 1}" for n in range(count)]
        for y0, y1, x0, x1 in rectangles(modules):
            assert (y1 - y0, x1 - x0) == module
        assert rectangles(modules)[-1][1::2] == shape
        members = region_set(modules, shape)
        assert sum(m["pixels"] for m in members.described) == count * np.prod(module)


def test_modules_are_numbered_row_by_row() -> None:
    found = rectangles(modules_of_shape((1062, 2068)))
    assert found == [
        (0, 512, 0, 1028),
        (0, 512, 1040, 2068),
        (550, 1062, 0, 1028),
        (550, 1062, 1040, 2068),
    ]


def test_some_lines_are_one_row_of_modules() -> None:
    """A detector that reads out a part of its rows only."""
    assert rectangles(modules_of_shape((64, 2068))) == [
        (0, 64, 0, 1028),
        (0, 64, 1040, 2068),
    ]


@pytest.mark.parametrize("shape", [(100, 100), (1000, 2068), (2162, 2000), (1, 1)])
def test_other_sizes_have_none(shape: tuple[int, int]) -> None:
    assert modules_of_shape(shape) == []


def test_gaps_of_a_mask_separate_modules() -> None:
    masked = np.zeros((230, 340), bool)
    masked[100:110] = True
    masked[:, 160:180] = True
    masked[220] = True  # a thin strip beyond it is no module
    masked[5, 7] = True
    assert rectangles(modules_of_mask(masked)) == [
        (0, 100, 0, 160),
        (0, 100, 180, 340),
        (110, 220, 0, 160),
        (110, 220, 180, 340),
    ]
    assert rectangles(modules_of_mask(np.zeros((50, 60), bool))) == [(0, 50, 0, 60)]
    assert modules_of_mask(np.ones((50, 60), bool)) == []


def test_modules_may_be_given() -> None:
    given = ((0, 10, 0, 20), (15, 25, 0, 20))
    modules = modules_given(given)
    assert rectangles(modules) == list(given)
    assert [m.name for m in modules] == ["module_1", "module_2"]
