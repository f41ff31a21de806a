from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from eigerwatch.regions import Annulus, region_set
from eigerwatch.rings import BeamGeometry, beam_geometry, rings

SHAPE = (512, 1028)
GEOMETRY = BeamGeometry((250.2, 520.7), 0.2, (7.5e-5, 7.5e-5), 1.0)
V1 = {
    "beam_center_x": 520.7,
    "beam_center_y": 250.2,
    "detector_distance": 0.2,
    "x_pixel_size": 7.5e-5,
    "y_pixel_size": 7.5e-5,
    "wavelength": 1.0,
    "photon_energy": 12_398.42,
}
V2 = {
    "beam_center_x": 520.7,
    "beam_center_y": 250.2,
    "detector_translation": [0.03, 0.02, -0.2],
    "pixel_size_x": 7.5e-5,
    "pixel_size_y": 7.5e-5,
    "incident_energy": 12_398.419843,
}


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_headers_of_both_streams_tell_the_geometry(header: dict[str, Any]) -> None:
    found = beam_geometry(header)
    assert found is not None
    assert found.wavelength_a == pytest.approx(1.0, rel=1e-9)
    assert (found.center, found.distance_m, found.pixel_m) == (
        GEOMETRY.center,
        GEOMETRY.distance_m,
        GEOMETRY.pixel_m,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"detector_distance": 0},
        {"detector_distance": -1.0},
        {"detector_distance": math.inf},
        {"x_pixel_size": "75 um"},
        {"beam_center_y": None},
        {"beam_center_x": math.nan},
        {"beam_center_x": True},
        {"beam_center_x": 1e300},
        {"wavelength": 0, "photon_energy": 0},
    ],
)
def test_a_geometry_that_makes_no_sense_is_none(change: dict[str, Any]) -> None:
    assert beam_geometry({**V1, **change}) is None
    assert beam_geometry({}) is None


def test_resolution_is_braggs_law() -> None:
    """d = 1 A at 1 A: theta = 30 degrees, so 2 theta = 60, radius = D tan 60."""
    assert BeamGeometry((0, 0), 0.1, (1e-4, 1e-4), 1.0).radius(1.0) == pytest.approx(
        1000 * math.sqrt(3)
    )
    for d in (0.9, 1.5, 3.0, 50.0):
        assert GEOMETRY.resolution(GEOMETRY.radius(d)) == pytest.approx(d)
    assert GEOMETRY.radius(0.6) == math.inf
    assert GEOMETRY.resolution(0.0) is None


def test_rings_between_limits_in_angstrom() -> None:
    found = rings([6.0, 20.0, 9.0], GEOMETRY, SHAPE)
    assert [ring.facts["angstrom"] for ring in found] == [[20.0, 9.0], [9.0, 6.0]]
    assert [ring.name for ring in found] == ["ring_1", "ring_2"]
    described = region_set(found, SHAPE).described
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(y - 250.2, x - 520.7) * 7.5e-5
    d = 1.0 / (2 * np.sin(np.arctan(distance / 0.2) / 2))
    assert described[0]["pixels"] == ((d <= 20) & (d > 9)).sum()
    assert described[1]["pixels"] == ((d <= 9) & (d > 6)).sum()


def test_a_limit_beyond_the_detector_ends_there() -> None:
    """1 / 0.4 / 2 = sin theta > sin 45: the cone never meets the detector."""
    (ring,) = rings([5.0, 0.4], GEOMETRY, SHAPE)
    (described,) = region_set([ring], SHAPE).described
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    far = np.hypot(y - 250.2, x - 520.7) >= GEOMETRY.radius(5.0)
    assert described["pixels"] == far.sum()


@pytest.mark.parametrize("n", [1, 2, 16, 256])
@pytest.mark.parametrize("center", [(250.2, 520.7), (-40.0, -900.0), (511.0, 0.0)])
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_rings_of_equal_area_share_the_image(
    n: int, center: tuple[float, float], aspect: float
) -> None:
    geometry = BeamGeometry(center, 0.2, (aspect * 7.5e-5, 7.5e-5), 1.0)
    found = rings(n, geometry, SHAPE)
    assert len(found) == n
    counts = [r["pixels"] for r in region_set(found, SHAPE).described]
    assert sum(counts) == SHAPE[0] * SHAPE[1]
    share = SHAPE[0] * SHAPE[1] / n
    assert np.allclose(counts, share, rtol=0.05, atol=300)


def test_pixels_need_not_be_square() -> None:
    geometry = BeamGeometry((100.0, 200.0), 0.2, (1.5e-4, 7.5e-5), 1.0)
    (ring,) = rings([1e6, 10.0], geometry, SHAPE)
    assert isinstance(ring.shape, Annulus)
    assert ring.shape.aspect == 2.0
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot((y - 100) * 1.5e-4, (x - 200) * 7.5e-5)
    near = distance < 0.2 * math.tan(2 * math.asin(1 / 20))
    (described,) = region_set([ring], SHAPE).described
    assert described["pixels"] == pytest.approx(near.sum(), abs=1)
