"""Resolution rings: from limits in angstrom, or with equal areas on the detector."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eigerwatch.regions import Annulus, Region

_HC_EV_A = 12_398.419843
"""Planck constant times speed of light [eV angstrom] (CODATA 2018)."""
_SAMPLED_PIXELS = 1 << 18
"""Pixels that stand for the image when its area is divided."""

_ANGSTROM = ("wavelength", "incident_wavelength")
_ELECTRONVOLT = ("incident_energy", "photon_energy")
_PIXEL_X = ("x_pixel_size", "pixel_size_x")
_PIXEL_Y = ("y_pixel_size", "pixel_size_y")


@dataclass(frozen=True, slots=True)
class BeamGeometry:
    """Where the beam meets the detector, whose plane it crosses at a right angle."""

    center: tuple[float, float]
    """(y, x) [pixels]."""
    distance_m: float
    """From the sample."""
    pixel_m: tuple[float, float]
    """(y, x) size of a pixel."""
    wavelength_a: float
    """[angstrom]."""

    @property
    def aspect(self) -> float:
        """Height of a pixel in its widths."""
        return self.pixel_m[0] / self.pixel_m[1]

    def radius(self, d_a: float) -> float:
        """Return the radius [pixels in x] of the resolution `d_a` [angstrom].

        Bragg's law: d = wavelength / (2 sin theta), scattered by 2 theta. Infinite
        where the cone never meets the detector's plane.
        """
        sine = self.wavelength_a / (2 * d_a)
        if sine >= math.sin(math.pi / 4):
            return math.inf
        return self.distance_m * math.tan(2 * math.asin(sine)) / self.pixel_m[1]

    def resolution(self, radius: float) -> float | None:
        """Return the resolution [angstrom] at a radius; None at the beam itself."""
        two_theta = math.atan(radius * self.pixel_m[1] / self.distance_m)
        sine = math.sin(two_theta / 2)
        return self.wavelength_a / (2 * sine) if sine > 0 else None


def beam_geometry(header: Mapping[str, Any]) -> BeamGeometry | None:
    """Return the geometry that a header states, in any version's names, or None."""
    wavelength = _positive(header, _ANGSTROM)
    energy = _positive(header, _ELECTRONVOLT)
    if wavelength is None and energy is not None:
        wavelength = _HC_EV_A / energy
    center_y = _number(header, ("beam_center_y",))
    center_x = _number(header, ("beam_center_x",))
    distance = _positive(header, ("detector_distance",)) or _last_translation(header)
    pixel_y, pixel_x = _positive(header, _PIXEL_Y), _positive(header, _PIXEL_X)
    if (
        wavelength is None
        or center_y is None
        or center_x is None
        or distance is None
        or pixel_y is None
        or pixel_x is None
    ):
        return None
    return BeamGeometry((center_y, center_x), distance, (pixel_y, pixel_x), wavelength)


def rings(
    wanted: int | Sequence[float], geometry: BeamGeometry, shape: tuple[int, int]
) -> list[Region]:
    """Return resolution rings.

    Parameters
    ----------
    wanted
        How many rings of equal area on the detector, or the limits of the rings
        [angstrom], two or more.
    geometry
        Of the series.
    shape
        (y, x) of the image [pixels].
    """
    if isinstance(wanted, int):
        radii = _equal_areas(wanted, geometry, shape)
    else:
        # The largest number is the innermost limit; a ring ends where the plane does.
        farthest = _farthest(geometry, shape)
        radii = [min(geometry.radius(d), farthest) for d in sorted(wanted)[::-1]]
    return [
        Region(
            f"ring_{n}",
            Annulus(geometry.center, inner, outer, geometry.aspect),
            {"angstrom": [_rounded(geometry.resolution(r)) for r in (inner, outer)]},
        )
        for n, (inner, outer) in enumerate(itertools.pairwise(radii), 1)
    ]


def _equal_areas(n: int, geometry: BeamGeometry, shape: tuple[int, int]) -> list[float]:
    """Return n + 1 radii between which equally many pixels of the image lie."""
    step = max(1, math.isqrt(shape[0] * shape[1] // _SAMPLED_PIXELS))
    y = (np.arange(0, shape[0], step) - geometry.center[0]) * geometry.aspect
    x = np.arange(0, shape[1], step) - geometry.center[1]
    squared = (y**2)[:, None] + x**2
    inner = np.sqrt(np.quantile(squared, np.arange(n) / n))
    inner[0] = 0.0
    return [*inner.tolist(), _farthest(geometry, shape)]


def _farthest(geometry: BeamGeometry, shape: tuple[int, int]) -> float:
    """Return a radius beyond the farthest pixel [pixels in x]."""
    y, x = (
        max(abs(center), abs(length - 1 - center))
        for center, length in zip(geometry.center, shape, strict=True)
    )
    return math.hypot(y * geometry.aspect, x) + 1.0


def _rounded(d_a: float | None) -> float | None:
    return None if d_a is None else float(f"{d_a:.5g}")


def _last_translation(header: Mapping[str, Any]) -> float | None:
    """Return stream v2's distance: the detector's translation along the beam [m].

    Which way the axis points is the site's choice; recordings have it negative.
    """
    translation = header.get("detector_translation")
    if not isinstance(translation, list) or len(translation) != 3:
        return None
    z = _number({"z": translation[2]}, ("z",))
    return abs(z) if z else None


def _number(header: Mapping[str, Any], names: Sequence[str]) -> float | None:
    for name in names:
        value = header.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number) and abs(number) < 1e9:
                return number
    return None


def _positive(header: Mapping[str, Any], names: Sequence[str]) -> float | None:
    known = [n for n in (_number(header, (name,)) for name in names) if n and n > 0]
    return known[0] if known else None
