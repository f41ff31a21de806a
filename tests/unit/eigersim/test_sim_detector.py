from __future__ import annotations

import numpy as np
import pytest

from eigersim.detector import DETECTORS, find_detector, saturation_of, sentinel_of
from eigersim.errors import SimulatorError


@pytest.mark.parametrize(
    ("name", "shape", "modules"),
    [
        ("500k", (514, 1030), 1),
        ("1m", (1062, 1028), 2),
        ("4m", (2162, 2068), 8),
        ("9m", (3262, 3108), 18),
        ("16m", (4362, 4148), 32),
        ("eiger1-1m", (1065, 1030), 2),
        ("eiger1-4m", (2167, 2070), 8),
        ("eiger1-9m", (3269, 3110), 18),
        ("eiger1-16m", (4371, 4150), 32),
    ],
)
def test_sizes_are_those_of_the_real_detectors(name, shape, modules):
    detector = find_detector(name)
    assert detector.shape == shape
    assert len(detector.modules) == modules


def test_modules_and_gaps_fill_the_image():
    detector = DETECTORS["1m"]
    module_pixels = 2 * 512 * 1028
    assert np.count_nonzero(detector.active) == module_pixels
    mask = detector.pixel_mask()
    assert mask.dtype == np.uint32
    assert np.array_equal(np.unique(mask), [0, 1])
    assert np.count_nonzero(mask[512:550]) == detector.pixels - module_pixels


def test_damage_takes_one_module_or_half_of_a_single_one():
    def lost(name):
        image = np.zeros(DETECTORS[name].shape, bool)
        image[DETECTORS[name].damaged_module] = True
        return np.count_nonzero(image)

    assert lost("4m") == 512 * 1028
    assert lost("500k") == 257 * 1030


def test_a_size_makes_a_single_module():
    detector = find_detector("256x128")
    assert detector.shape == (128, 256)
    assert detector.active.all()


@pytest.mark.parametrize("name", ["5m", "0x10", "100000x100000", ""])
def test_an_unknown_detector_is_refused_with_the_choice(name):
    with pytest.raises(SimulatorError, match="16m"):
        find_detector(name)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4"])
def test_saturation_stays_below_both_bad_pixel_codes(kind):
    dtype = np.dtype(kind)
    assert saturation_of(dtype) < sentinel_of(dtype) == 2 ** (8 * dtype.itemsize) - 1
