from __future__ import annotations

import numpy as np
import pytest
from unit.eigersim.sim_decode import SMALL, total_of, unpack

from eigersim.detector import DETECTORS
from eigersim.errors import SimulatorError
from eigersim.images import Encoding, ImagePool
from eigersim.scenario import Scenario, curve_of, damaged_levels_of, levels_of


def pool_of(detector, kind="u2", mean=0.36, scenario=Scenario.STEADY, **more):
    return ImagePool(
        detector,
        np.dtype(kind),
        mean,
        np.random.default_rng(1),
        levels=levels_of(scenario),
        damaged_levels=damaged_levels_of(scenario),
        **more,
    )


def pixels_of(image):
    payload = b"".join(image.pieces)
    assert len(payload) == image.size
    return unpack(payload, image.encoding.value, image.dtype, image.shape)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("kind", ["u1", "u2", "u4"])
@pytest.mark.parametrize("mean", [0.36, 9.0])
def test_totals_are_exact_and_gaps_hold_the_sentinel(encoding, kind, mean):
    pool = pool_of(SMALL, kind, mean, Scenario.DEMO, encoding=encoding)
    curve = curve_of(Scenario.DEMO, 100, 1e-3)
    choice, totals = pool.plan(curve.intensity, curve.damaged, np.random.default_rng(2))
    assert totals.dtype == np.uint64
    sentinel = np.iinfo(kind).max
    lost = SMALL.active.copy()
    lost[SMALL.damaged_module] = False
    for i in (0, 50, 97, 99):
        image = pixels_of(pool.image(choice[i]))
        expected = lost if curve.damaged[i] else SMALL.active
        assert np.array_equal(image != sentinel, expected)
        assert total_of(image) == totals[i]


def test_a_real_size_with_a_raw_tail_is_exact():
    detector = DETECTORS["500k"]
    assert detector.pixels % 8 == 4
    pool = pool_of(detector)
    choice, totals = pool.plan(np.ones(3), np.zeros(3, bool), np.random.default_rng(0))
    assert [total_of(pixels_of(pool.image(row))) for row in choice] == totals.tolist()


@pytest.mark.parametrize("mean", [0.36, 10.0])
def test_totals_fluctuate_like_poisson_variables(mean):
    pool = pool_of(DETECTORS["500k"], mean=mean)
    n = 20_000
    _, totals = pool.plan(np.ones(n), np.zeros(n, bool), np.random.default_rng(3))
    values = totals.astype(float)
    expected = mean * DETECTORS["500k"].pixels
    assert values.mean() == pytest.approx(expected, rel=2e-4)
    assert values.var() / values.mean() == pytest.approx(1.0, abs=0.1)
    # neighbours in time know nothing of each other
    lag = np.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(lag) < 4 / n**0.5


@pytest.mark.parametrize("mean", [0.36, 10.0])
def test_totals_follow_the_curve_finely(mean):
    detector = DETECTORS["500k"]
    pool = pool_of(detector, mean=mean, scenario=Scenario.DEMO)
    n = 20_000
    rng = np.random.default_rng(4)
    for intensity in (0.8953, 0.9931, 0.9952, 1.0003):
        _, totals = pool.plan(np.full(n, intensity), np.zeros(n, bool), rng)
        values = totals.astype(float)
        nominal = mean * detector.pixels
        # standard error of the mean: 1.6e-5 at 0.36 counts
        assert values.mean() / nominal == pytest.approx(intensity, abs=2e-4)
        if intensity > 0.9:  # coarser levels serve the few frames of the dip
            assert values.var() / values.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("mean", [0.36, 10.0])
def test_pixels_are_poisson_distributed(mean):
    detector = DETECTORS["500k"]
    pool = pool_of(detector, mean=mean)
    choice, _ = pool.plan(np.ones(1), np.zeros(1, bool), np.random.default_rng(5))
    image = pixels_of(pool.image(choice[0])).astype(float)
    assert image.mean() == pytest.approx(mean, rel=0.01)
    assert image.var() / image.mean() == pytest.approx(1.0, abs=0.02)
    third = ((image - image.mean()) ** 3).mean()
    assert third / mean == pytest.approx(1.0, abs=0.25)
    assert abs(np.corrcoef(image[:, :-1].ravel(), image[:, 1:].ravel())[0, 1]) < 0.01


def test_every_frame_is_another_one():
    pool = pool_of(SMALL)
    n = 300
    choice, _ = pool.plan(np.ones(n), np.zeros(n, bool), np.random.default_rng(6))
    payloads = {b"".join(pool.image(row).pieces) for row in choice}
    assert len(payloads) == n


@pytest.mark.parametrize("mean", [0.0, 0.001])
def test_no_beam_gives_empty_images(mean):
    pool = pool_of(SMALL, mean=mean)
    choice, totals = pool.plan(np.ones(5), np.zeros(5, bool), np.random.default_rng(7))
    for row, total in zip(choice, totals, strict=True):
        assert total_of(pixels_of(pool.image(row))) == total < 100


@pytest.mark.parametrize(("kind", "mean"), [("u1", 200.0), ("u2", 12e3), ("u1", -1.0)])
def test_a_mean_that_would_saturate_is_refused(kind, mean):
    with pytest.raises(SimulatorError, match="counts per pixel does not fit"):
        pool_of(SMALL, kind, mean)
