from __future__ import annotations

import json
import math

import numpy as np
import pytest

from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import describe

RNG = np.random.default_rng(7)


def test_pure_counting_leaves_nothing_for_the_beam() -> None:
    table = describe(RNG.poisson(26_892, 100_000)).raw
    noise = shot_noise(table)
    assert noise.cv_shot_percent == pytest.approx(100 / math.sqrt(table.mean))
    assert noise.fano == pytest.approx(1, abs=0.03)
    assert noise.cv_beam_percent < 0.2 * noise.cv_shot_percent


def test_known_beam_noise_is_found() -> None:
    beam = RNG.normal(1, 0.0014, 100_000)
    noise = shot_noise(describe(RNG.poisson(6_485_052 * beam)).raw)
    assert noise.cv_shot_percent == pytest.approx(0.0393, abs=1e-4)
    assert noise.cv_beam_percent == pytest.approx(0.14, rel=0.02)


def test_less_than_counting_is_no_beam_noise() -> None:
    noise = shot_noise(describe([100, 101, 100, 101]).raw)
    assert noise.cv_beam_percent == 0
    assert noise.fano < 1


@pytest.mark.parametrize("values", [[], [0, 0, 0], [5]])
def test_undefined_is_null_in_json(values: list[int]) -> None:
    noise = shot_noise(describe(np.array(values, np.uint64)).raw)
    found = json.loads(json.dumps(noise.as_dict(), allow_nan=False))
    assert found["cv_beam_percent"] is None
    assert found["fano"] is None
