"""Least-squares fit of many sines to a long signal with gaps, at little cost.

A phase w (j b + k) splits into w j b and w k: with the signal folded into rows of b
slots, sums over all slots against any set of frequencies are one small matrix product
and one sum over rows. All a Gauss-Newton step needs, right-hand sides, the normal
matrix (from the window's own transform at sums and differences of frequencies) and
the model, are such sums. Lines far apart are nearly orthogonal, so that only close
ones are solved for together, and the rest of the coupling goes with the next step
(Li and Stoica, Efficient mixed-spectrum estimation with applications to target
feature extraction, IEEE Trans. Signal Process. 44, 281, 1996).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal, detrend_stretches

ComplexArray = npt.NDArray[np.complex128]

CLOSE_BINS = 8
"""Neighbours nearer than this [1/length] are fitted together ..."""
MOST_TOGETHER = 6
"""... but not more than these at once."""
CROWDED_BINS = 2.0
"""Sines nearer than this keep their frequencies: together they follow a line that
wanders, and moved they would only trade amplitude."""


@dataclass(frozen=True, slots=True)
class Sines:
    """Sum of Re(amplitude exp(i omega (slot - centre)))."""

    omega: FloatArray
    """(k,) ascending angular frequencies [rad per slot]."""
    amplitude: ComplexArray
    """(k,) complex peak amplitudes at the centre."""

    @property
    def size(self) -> int:
        """Number of sines."""
        return int(self.omega.size)

    def with_new(self, omega: FloatArray) -> Sines:
        """Return these and sines of no amplitude yet at `omega`."""
        return Sines(
            np.concatenate([self.omega, omega]),
            np.concatenate([self.amplitude, np.zeros(omega.size)]),
        ).at(np.argsort(np.concatenate([self.omega, omega])))

    def at(self, index: npt.NDArray[np.bool_ | np.intp]) -> Sines:
        """Return the sines that `index` chooses."""
        return Sines(self.omega[index], self.amplitude[index])


NO_SINES = Sines(np.empty(0), np.empty(0, np.complex128))


@dataclass(frozen=True, slots=True)
class Precision:
    """Standard errors per unit of white noise (standard deviation 1 per slot)."""

    amplitude: FloatArray
    """(k,) of the peak amplitudes."""
    omega: FloatArray
    """(k,) of the angular frequencies [rad per slot]."""


class SineFit:
    """The signal's grid, folded for sums against sines."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        slots = signal.values.size
        self._width = max(16, 1 << (math.isqrt(max(slots, 1)).bit_length() - 1))
        self._rows = -(-slots // self._width)
        there = np.flatnonzero(signal.measured)
        self.centre = float(there.mean()) if there.size else 0.0
        # Distances from the centre of order 1 keep the normal matrix well scaled.
        self._half = max(slots / 2, 1.0)
        full = np.arange(self._rows * self._width, dtype=np.float64)
        self._distance = (full - self.centre) / self._half
        window = self._folded(signal.measured.astype(np.float64))
        first = window * self._distance.reshape(window.shape)
        second = first * self._distance.reshape(window.shape)
        self._window = np.stack([window, first, second])

    def model(self, sines: Sines) -> FloatArray:
        """Return (m,) the sum of the sines at every slot, measured or not."""
        if not sines.size:
            return np.zeros(self._signal.values.size)
        coarse, fine = self._phasors(sines.omega)
        left = coarse * sines.amplitude
        model: FloatArray = np.hstack([left.real, -left.imag]) @ fine.T
        return model.ravel()[: self._signal.values.size]

    def rest(self, sines: Sines) -> FloatArray:
        """Return (m,) signal minus sines, minus the line of each stretch."""
        values = self._signal.values
        if sines.size:
            values = values - self.model(sines)
        return detrend_stretches(values, self._signal)

    def improved(self, sines: Sines, steps: int = 1) -> Sines:
        """Return the sines after Gauss-Newton steps.

        The window's transform is taken once: frequencies move by little.
        """
        if not sines.size:
            return sines
        bin_width = 2 * math.pi / self._signal.values.size
        groups = self._groups(sines.omega)
        windows = [self._window_at(sines.omega[group]) for group in groups]
        omega, amplitude = sines.omega.copy(), sines.amplitude.copy()
        for _ in range(steps):
            folded = self._folded(self.rest(Sines(omega, amplitude)))
            with_distance = folded * self._distance.reshape(folded.shape)
            sums = self._sums(np.stack([folded, with_distance]), omega)
            # A derivative with respect to frequency needs an amplitude to begin with.
            start = 2 * sums[0] / max(self._signal.n, 1)
            slope_at = np.where(amplitude == 0, start, amplitude)
            for group, window in zip(groups, windows, strict=True):
                alpha, power = self._basis(omega[group], slope_at[group])
                right = (alpha * np.conj(sums[power, group[:, None]])).real.ravel()
                step = _solve(_normal(window, alpha, power), right).reshape(-1, 3)
                amplitude[group] += step[:, 0] + 1j * step[:, 1]
                omega[group] += np.clip(
                    step[:, 2] / self._half, -bin_width / 2, bin_width / 2
                )
            omega = np.clip(omega, bin_width / 2, math.pi - bin_width / 2)
        return Sines(omega, amplitude).at(np.argsort(omega))

    def precision(self, sines: Sines) -> Precision:
        """Return how well the sines are known, for white noise of variance 1."""
        errors = np.full((2, sines.size), math.inf)
        for group in self._groups(sines.omega):
            amplitude = sines.amplitude[group]
            alpha, power = self._basis(sines.omega[group], amplitude)
            normal = _normal(self._window_at(sines.omega[group]), alpha, power)
            scaled, scale = _scaled(normal)
            covariance = np.linalg.pinv(scaled, rcond=1e-9, hermitian=True)
            covariance /= scale * scale[:, None]
            along = np.stack([amplitude.real, amplitude.imag]) / np.abs(amplitude)
            for row, member in enumerate(group):
                block = covariance[3 * row : 3 * row + 3, 3 * row : 3 * row + 3]
                errors[0, member] = along[:, row] @ block[:2, :2] @ along[:, row]
                if normal[3 * row + 2, 3 * row + 2] > 0:  # not held fast by neighbours
                    errors[1, member] = block[2, 2] / self._half**2
        return Precision(*np.sqrt(np.maximum(errors, 0)))

    def _folded(self, values: npt.NDArray[np.float64]) -> FloatArray:
        padded = np.zeros(self._rows * self._width)
        padded[: values.size] = values
        return padded.reshape(self._rows, self._width)

    def _phasors(self, omega: FloatArray) -> tuple[ComplexArray, FloatArray]:
        """Return (rows, k) exp(i w (row start - centre)), (width, 2k) cos and sin."""
        starts = np.arange(self._rows) * self._width - self.centre
        within = np.outer(np.arange(self._width), omega)
        coarse = np.exp(1j * np.outer(starts, omega))
        return coarse, np.hstack([np.cos(within), np.sin(within)])

    def _sums(self, data: FloatArray, omega: FloatArray) -> ComplexArray:
        """Return (q, k) sums over slots of data (q, rows, width) exp(-i w slot)."""
        coarse, fine = self._phasors(omega)
        part = data.reshape(-1, self._width) @ fine
        cosine, sine = np.split(part.reshape(len(data), self._rows, -1), 2, axis=2)
        sums: ComplexArray = ((cosine + 1j * sine) * coarse).sum(axis=1)
        return np.conj(sums)

    def _window_at(self, omega: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Return (3, g, g) sums of u^p exp(i w t) at sums and differences of omega."""
        g = omega.size
        i, j = np.triu_indices(g)
        mixed = np.concatenate([omega[i] + omega[j], omega[i] - omega[j]])
        window = np.conj(self._sums(self._window, mixed))
        plus, minus = np.zeros((2, 3, g, g), np.complex128)
        plus[:, i, j], minus[:, i, j] = np.split(window, 2, axis=1)
        plus[:, j, i], minus[:, j, i] = plus[:, i, j], np.conj(minus[:, i, j])
        return plus, minus

    def _basis(
        self, omega: FloatArray, amplitude: ComplexArray
    ) -> tuple[ComplexArray, npt.NDArray[np.intp]]:
        """Return (g, 3) factor and power of distance of the derivatives of a sine.

        With respect to the real and the imaginary part of its amplitude and, in
        units of the half length, to its angular frequency.
        """
        crowded = np.zeros(omega.size, np.bool_)
        near = np.diff(omega) < CROWDED_BINS * 2 * math.pi / self._signal.values.size
        crowded[1:] |= near
        crowded[:-1] |= near
        one = np.ones_like(amplitude)
        alpha = np.stack([one, 1j * one, 1j * np.where(crowded, 0, amplitude)], axis=1)
        power = np.tile(np.array([0, 0, 1], np.intp), (amplitude.size, 1))
        return alpha, power

    def _groups(self, omega: FloatArray) -> list[npt.NDArray[np.intp]]:
        """Return the indices of lines that are close to each other."""
        near = CLOSE_BINS * 2 * math.pi / max(self._signal.values.size, 1)
        groups: list[list[int]] = []
        for index, value in enumerate(omega):
            last = groups[-1] if groups else []
            if last and value - omega[last[-1]] < near and len(last) < MOST_TOGETHER:
                last.append(index)
            else:
                groups.append([index])
        return [np.array(group, np.intp) for group in groups]


def _normal(
    window: tuple[ComplexArray, ComplexArray],
    alpha: ComplexArray,
    power: npt.NDArray[np.intp],
) -> FloatArray:
    """Return (3g, 3g) scalar products of the basis Re(alpha u^power exp(i w t))."""
    plus, minus = window
    g = len(alpha)
    a, p = alpha[:, :, None, None], power[:, :, None, None]
    b, q = alpha[None, None], power[None, None]
    i = np.arange(g)[:, None, None, None]
    j = np.arange(g)[None, None, :, None]
    product = a * b * plus[p + q, i, j] + a * np.conj(b) * minus[p + q, i, j]
    normal: FloatArray = 0.5 * product.real.reshape(3 * g, 3 * g)
    return normal


def _scaled(normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrix with a unit diagonal, and by what its rows were divided."""
    scale = np.sqrt(np.diag(normal))
    scale[scale == 0] = 1
    return normal / scale / scale[:, None], scale


def _solve(normal: FloatArray, right: FloatArray) -> FloatArray:
    """Solve, scaled; a direction that the data do not know stays where it is."""
    scaled, scale = _scaled(normal)
    step: FloatArray = (
        np.linalg.pinv(scaled, rcond=1e-9, hermitian=True) @ (right / scale) / scale
    )
    return step
