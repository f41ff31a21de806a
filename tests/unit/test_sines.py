from __future__ import annotations

import numpy as np
import pytest
from beams import counted, sines

from eigerwatch.analysis.sines import NO_SINES, SineFit, Sines

RNG = np.random.default_rng(1)


def fitted(fit: SineFit, omega: list[float]) -> Sines:
    return fit.improved(NO_SINES.with_new(np.array(omega)), steps=5)


def test_the_model_is_the_sum_of_its_sines() -> None:
    fit = SineFit(counted(np.ones(1000), 1e6, RNG))
    many = Sines(np.array([0.1, 1.3, 3.1]), np.array([1, 2j, 0.3 - 0.4j]))
    slots = np.arange(1000)[:, None] - fit.centre
    expected = (many.amplitude * np.exp(1j * many.omega * slots)).real.sum(axis=1)
    np.testing.assert_allclose(fit.model(many), expected, atol=1e-11)


def test_amplitudes_are_those_of_least_squares_on_the_stored_frames() -> None:
    gone = RNG.random(3000) < 0.2
    excluded = np.zeros(3000, np.bool_)
    excluded[1000:1100] = True
    beam = sines(3000, [(30.0, 3e-3), (31.0, 1e-3)])
    signal = counted(beam, 1e5, RNG, missing=gone, excluded=excluded)
    fit = SineFit(signal)
    found = fitted(fit, [2 * np.pi * f / 746 for f in (30.0, 31.0)])
    # The same frequencies and a line to each stretch, all at once.
    slots = np.flatnonzero(signal.measured)
    columns = [
        f(w * (slots - fit.centre)) for w in found.omega for f in (np.cos, np.sin)
    ]
    for start, stop in signal.stretches:
        inside = ((slots >= start) & (slots < stop)).astype(float)
        columns += [inside, inside * slots]
    design = np.stack(columns, axis=1)
    solution, *_ = np.linalg.lstsq(design, signal.values[slots], rcond=None)
    expected = solution[0:4:2] - 1j * solution[1:4:2]
    np.testing.assert_allclose(found.amplitude, expected, atol=2e-7)


def test_frequencies_minimise_the_rest() -> None:
    signal = counted(sines(2000, [(100.2, 2e-3)]), 1e6, RNG)
    fit = SineFit(signal)
    found = fitted(fit, [2 * np.pi * 100 / 746])

    def squares(omega: float) -> float:
        moved = Sines(np.array([omega]), np.zeros(1, np.complex128))
        rest = fit.rest(moved)
        slots = np.arange(2000) - fit.centre
        design = np.stack([np.cos(omega * slots), np.sin(omega * slots)], axis=1)
        return float(np.linalg.lstsq(design, rest, rcond=None)[1][0])

    best = float(found.omega[0])
    assert squares(best) < min(squares(best - 1e-6), squares(best + 1e-6))


def test_errors_are_those_of_many_repetitions() -> None:
    beam = sines(2000, [(100.2, 1e-3)])
    amplitudes, frequencies = [], []
    for _ in range(200):
        fit = SineFit(counted(beam, 1e6, RNG))
        found = fitted(fit, [2 * np.pi * 100.2 / 746])
        amplitudes.append(abs(found.amplitude[0]))
        frequencies.append(found.omega[0])
    errors = fit.precision(found)
    # A standard deviation from 200 is good to 5 %; the noise is 0.001 per frame.
    assert np.std(amplitudes) == pytest.approx(1e-3 * errors.amplitude[0], rel=0.2)
    assert np.std(frequencies) == pytest.approx(1e-3 * errors.omega[0], rel=0.2)


def test_crowded_sines_keep_their_frequencies() -> None:
    fit = SineFit(counted(sines(2000, [(100.2, 1e-3)]), 1e6, RNG))
    crowd = [1.0, 1.0 + 2 * np.pi / 2000, 1.5]
    found = fitted(fit, crowd)
    assert found.omega[:2].tolist() == crowd[:2]
    assert found.omega[2] != crowd[2]


def test_what_neighbours_hold_fast_has_no_known_frequency() -> None:
    fit = SineFit(counted(sines(2000, [(100.2, 1e-3)]), 1e6, RNG))
    crowd = fitted(fit, [1.0, 1.0 + 2 * np.pi / 2000, 1.5])
    errors = fit.precision(crowd).omega
    assert np.isinf(errors[:2]).all()
    assert 0 < errors[2] < np.inf


@pytest.mark.parametrize("amplitude", [1e-6, 1e-3])
def test_the_error_of_a_frequency_is_that_of_theory(amplitude: float) -> None:
    """D. C. Rife and R. R. Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591."""
    n = 20_000
    fit = SineFit(counted(np.ones(n), 1e6, RNG))
    sine = Sines(np.array([1.0]), np.array([amplitude + 0j]))
    expected = np.sqrt(24 / n**3) / amplitude
    assert fit.precision(sine).omega[0] == pytest.approx(expected, rel=0.01)
