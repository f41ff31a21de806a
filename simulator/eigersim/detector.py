"""Geometries of the EIGER detectors: size, modules and the gaps between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from eigersim.errors import SimulatorError

Area = tuple[slice, slice]
"""Rows and columns of a rectangle of pixels."""


@dataclass(frozen=True)
class Detector:
    """A detector built of a grid of equal modules."""

    name: str
    description: str
    """As the DCU states it, e.g. ``Dectris EIGER2 Si 4M``."""
    serial: str
    module_shape: tuple[int, int]
    """(y, x) of one module [pixels]."""
    gaps: tuple[int, int]
    """(y, x) between two modules [pixels]."""
    grid: tuple[int, int]
    """Modules in (y, x)."""

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x) of the whole image [pixels]."""
        y, x = (
            n * size + (n - 1) * gap
            for n, size, gap in zip(
                self.grid, self.module_shape, self.gaps, strict=True
            )
        )
        return y, x

    @property
    def pixels(self) -> int:
        """Number of pixels, gaps included."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def modules(self) -> tuple[Area, ...]:
        """The modules' areas, row by row from the top left."""
        (height, width), (gap_y, gap_x) = self.module_shape, self.gaps
        return tuple(
            (
                slice(row * (height + gap_y), row * (height + gap_y) + height),
                slice(column * (width + gap_x), column * (width + gap_x) + width),
            )
            for row in range(self.grid[0])
            for column in range(self.grid[1])
        )

    @cached_property
    def active(self) -> npt.NDArray[np.bool_]:
        """(y, x), true where there is a pixel, false in the gaps."""
        image = np.zeros(self.shape, bool)
        for area in self.modules:
            image[area] = True
        return image

    @property
    def damaged_module(self) -> Area:
        """The area that dies in the demo: one module, or half of a single one."""
        rows, columns = self.modules[len(self.modules) // 2]
        if len(self.modules) > 1:
            return rows, columns
        return slice(rows.start, (rows.start + rows.stop) // 2), columns

    def pixel_mask(self) -> npt.NDArray[np.uint32]:
        """Return the DECTRIS pixel mask, (y, x): bit 0 set in the gaps."""
        return (~self.active).astype(np.uint32)


_GRIDS = {"500k": (1, 1), "1m": (2, 1), "4m": (4, 2), "9m": (6, 3), "16m": (8, 4)}


def _eiger2(size: str) -> Detector:
    # The single module is read out whole, 1030 x 514; in larger detectors the outer
    # rows and columns count as gap.
    single = size == "500k"
    return Detector(
        name=size,
        description=f"Dectris EIGER2 Si {size.upper()}",
        serial="E-00-0000",
        module_shape=(514, 1030) if single else (512, 1028),
        gaps=(38, 12),
        grid=_GRIDS[size],
    )


def _eiger1(size: str) -> Detector:
    return Detector(
        name=f"eiger1-{size}",
        description=f"Dectris Eiger {size.upper()}",
        serial="E-00-0001",
        module_shape=(514, 1030),
        gaps=(37, 10),
        grid=_GRIDS[size],
    )


DETECTORS: dict[str, Detector] = {
    **{size: _eiger2(size) for size in _GRIDS},
    **{f"eiger1-{size}": _eiger1(size) for size in _GRIDS},
}
"""The detectors by name; those without a prefix are EIGER2."""

_MAX_PIXELS = 2**26


def find_detector(name: str) -> Detector:
    """Return the detector called `name`, or one module of ``<x>x<y>`` pixels.

    Raises
    ------
    SimulatorError
        There is no such detector.
    """
    known = DETECTORS.get(name.lower())
    if known is not None:
        return known
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", name)
    if size is not None:
        x, y = int(size[1]), int(size[2])
        if 0 < x * y <= _MAX_PIXELS:
            return Detector(
                name=name,
                description=f"Dectris EIGER2 Si {x}x{y}",
                serial="E-00-0002",
                module_shape=(y, x),
                gaps=(38, 12),
                grid=(1, 1),
            )
    raise SimulatorError(
        f"there is no detector {name!r}; choose one of {', '.join(DETECTORS)} "
        f"or a size such as 256x128 (x by y, at most {_MAX_PIXELS} pixels)"
    )


def sentinel_of(dtype: np.dtype[Any]) -> int:
    """Return 2^n - 1, the value of pixels without data."""
    return int(np.iinfo(dtype).max)


_SATURATION = {1: 254, 2: 12_440, 4: 1_702_012}


def saturation_of(dtype: np.dtype[Any]) -> int:
    """Return the largest value the simulated counters deliver [counts]."""
    return _SATURATION[dtype.itemsize]
