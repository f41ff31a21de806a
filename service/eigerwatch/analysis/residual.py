"""What a run holds at a given frequency once its lines are taken off."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from eigerwatch.analysis.floor import FIRST, noise_floor
from eigerwatch.analysis.lines import LineSearch
from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.sines import SineFit

PADDING = 4
"""Ordinates per 1/length: between two of them a line loses 3 % at most."""
AROUND_BINS = 32
"""Ordinates [1/length] on each side whose median is the noise at a broad line ..."""
AROUND_WIDTHS = 3
"""... and widths of it, where that is more."""


class Residual:
    """The signal without its lines, in time and by frequency."""

    def __init__(self, signal: Signal, search: LineSearch) -> None:
        self.signal = signal
        self.sines = search.sines
        self._fit = SineFit(signal)
        self.values = self._fit.rest(search.sines)
        """(m,) by slot."""
        slots = max(self.values.size, 1)
        length = scipy.fft.next_fast_len(PADDING * slots, real=True)
        transform = scipy.fft.rfft(self.values, length)
        self._power = (transform.real**2 + transform.imag**2) / max(signal.n, 1)
        self._length = length
        self._bin = length / slots
        self._range = (search.lowest_hz, search.highest_hz)
        # The noise that the search for lines went by: it follows 1/f, too.
        self._floor = noise_floor(self._power[::PADDING])

    def amplitude(
        self, frequency_hz: float, width_hz: float = 0
    ) -> tuple[float, float]:
        """Return the peak amplitude of what may be a line, and its standard error.

        Rather too large than too small: the largest within a bin, where noise alone
        has 1 to 2 errors. Of a broad line, from the power above its surroundings. NaN
        where lines cannot be seen.
        """
        lowest, highest = self._range
        if not lowest <= frequency_hz <= highest:
            return math.nan, math.nan
        if width_hz > 0:
            return self._broad(frequency_hz, width_hz)
        near = self._within(frequency_hz, self._bin)
        largest = 2 * math.sqrt(float(near.max()) / self.signal.n)
        return largest, self.amplitude_error(frequency_hz)

    def amplitude_error(self, frequency_hz: float) -> float:
        """Return the standard error of the amplitude of a steady line."""
        if self._floor is None:
            return math.nan
        at = round(frequency_hz * self._length / self.signal.rate_hz / PADDING)
        density = self._floor.density
        level = float(density[min(max(at, FIRST), density.size - 1)])
        return math.sqrt(2 * level / self.signal.n)

    def line_power(self, low_hz: float, high_hz: float) -> tuple[float, float]:
        """Return the variance of the sines of a band, and its standard error.

        Of their sum: sines that follow a line that wanders are not orthogonal.
        """
        frequencies = self.sines.omega * self.signal.rate_hz / (2 * math.pi)
        inside = (frequencies >= low_hz) & (frequencies < high_hz)
        if not inside.any():
            return 0.0, 0.0
        chosen = self.sines.at(inside)
        model = self._fit.model(chosen)[self.signal.measured]
        power = float(model @ model) / self.signal.n
        squares = np.abs(chosen.amplitude) ** 2
        errors = np.array([self.amplitude_error(one) for one in frequencies[inside]])
        # Of a^2/2: a times the error of a.
        mean_square = float(squares @ errors**2) / float(squares.sum())
        return power, math.sqrt(2 * power * mean_square)

    def _broad(self, frequency_hz: float, width_hz: float) -> tuple[float, float]:
        half = width_hz / 2 * self._length / self.signal.rate_hz
        part = self._within(frequency_hz, half + self._bin)
        around = max(AROUND_BINS * self._bin, AROUND_WIDTHS * 2 * half)
        level = self._level(frequency_hz, around)
        power = 2 * float((part - level).sum()) / self._length
        # Ordinates between those of 1/length are no news.
        squares = float(part @ part) / 2 * self._bin
        error = 2 * math.sqrt(squares) / self._length
        amplitude = math.sqrt(2 * max(power, error))
        return amplitude, error / amplitude if amplitude > 0 else 0.0

    def _level(self, frequency_hz: float, half: float) -> float:
        # Of exponential values, the median is ln 2 of the mean.
        return float(np.median(self._within(frequency_hz, half))) / math.log(2)

    def _within(self, frequency_hz: float, half: float) -> FloatArray:
        """Return the ordinates no farther than `half` of them from a frequency."""
        at = frequency_hz * self._length / self.signal.rate_hz
        first, last = math.floor(at - half), math.floor(at - half) + math.ceil(2 * half)
        part: FloatArray = self._power[max(0, first) : max(0, last) + 1]
        return part
