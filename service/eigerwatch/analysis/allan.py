"""Overlapping Allan deviation of the relative intensity against averaging time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.statistics import finite_or_none

IndexArray = npt.NDArray[np.int64]

PER_OCTAVE = 2
"""Averaging times per doubling."""
LEAST_MEASURED = 0.75
"""Share of an average's frames that must be there."""
LEAST_PAIRS = 2
"""Independent pairs of averages that a point needs."""


@dataclass(frozen=True, slots=True)
class AllanDeviation:
    """Rms difference of neighbouring averages / sqrt 2, by how long they are."""

    tau_s: FloatArray
    """(m,) averaging time [s]; in frames where no time is known."""
    frames: FloatArray
    """(m,) averaging time [frames]."""
    deviation: FloatArray
    """(m,) relative."""
    low: FloatArray
    """(m,) lower end of the 95 % interval."""
    high: FloatArray
    """(m,) upper end of the 95 % interval."""
    dof: FloatArray
    """(m,) equivalent degrees of freedom."""
    shot: FloatArray
    """(m,) of photon counting alone, 1/sqrt(mean x frames that were averaged)."""
    text: str
    """How gaps were dealt with, and why there is nothing."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return {
            "tau_s": self.tau_s.tolist(),
            "frames": self.frames.tolist(),
            "deviation": self.deviation.tolist(),
            "low": [finite_or_none(value) for value in self.low.tolist()],
            "high": [finite_or_none(value) for value in self.high.tolist()],
            "dof": self.dof.tolist(),
            "shot": [finite_or_none(value) for value in self.shot.tolist()],
            "text": self.text,
        }


def allan_deviation(
    signal: Signal, frames: Sequence[int] | None = None
) -> AllanDeviation:
    """Compute the overlapping Allan deviation, drift included.

    Riley and Howe, Handbook of Frequency Stability Analysis, NIST SP 1065 (2008),
    section 5.2.4, with the relative intensity in place of the fractional frequency.
    Both averages of a pair lie in one stretch, so that no step of a top-up is in it,
    and each is over the frames that it has. Degrees of freedom are the smallest of
    those of white, flicker and random-walk noise (section 5.4.1), hence cautious.

    Parameters
    ----------
    signal
        Relative intensity.
    frames
        Averaging times [frames]; None: two to an octave, as long as the record lets.
    """
    slots = signal.stretches[:, 1] - signal.stretches[:, 0]
    longest = int(slots.max(initial=0))
    sizes = _sizes(longest // 2) if frames is None else frames
    sums = np.concatenate([[0.0], np.cumsum(signal.values)])
    counts = None
    if signal.missing:
        counts = np.concatenate([[0], np.cumsum(signal.measured)])
    rows = []
    for size in sizes:
        square = inverse = 0.0
        pairs = points = 0
        freedom = 0.0
        for start, stop in signal.stretches:
            if stop - start < 2 * size:
                continue
            part = slice(int(start), int(stop) + 1)
            difference, per_frame = _differences(
                sums[part], None if counts is None else counts[part], size
            )
            square += float(difference @ difference)
            inverse += per_frame
            pairs += difference.size
            points += int(stop - start) + 1
            # Stretches are independent of each other, and each tells by itself.
            freedom += _dof(int(stop - start) + 1, size)
        # Overlap adds pairs, not information: what counts is how many are apart.
        if pairs and points >= (LEAST_PAIRS + 1) * size:
            deviation = math.sqrt(square / pairs / 2)
            rows.append((size, deviation, freedom, inverse / pairs))
    size_of, deviations, dof, averaged = np.array(rows, np.float64).reshape(-1, 4).T
    low, high = scipy.special.chdtri(dof, [[0.025], [0.975]])
    return AllanDeviation(
        tau_s=size_of / signal.rate_hz,
        frames=size_of,
        deviation=deviations,
        low=deviations * np.sqrt(dof / low),
        high=deviations * np.sqrt(dof / high),
        dof=dof,
        shot=np.sqrt(signal.shot_variance * averaged),
        text=_about(signal, bool(rows)),
    )


def _about(signal: Signal, any_rows: bool) -> str:
    if not any_rows:
        return signal.text or f"Not enough data (n = {signal.n})."
    sentences = [signal.text] if signal.text else []
    if len(signal.stretches) > 1:
        sentences.append("No pair of averages crosses an exclusion or a step.")
    if signal.missing:
        sentences.append(
            f"{signal.missing} frames are missing: averages are over those that are "
            f"there, at least {LEAST_MEASURED:.0%}."
        )
    return " ".join(sentences) or "No frame is missing."


def _sizes(largest: int) -> list[int]:
    """Return averaging times [frames], evenly spaced on a log scale."""
    if largest < 1:
        return []
    steps = np.arange(0, PER_OCTAVE * math.log2(largest) + 1e-9)
    return sorted({round(float(2 ** (step / PER_OCTAVE))) for step in steps})


def _differences(
    sums: FloatArray, counts: IndexArray | None, size: int
) -> tuple[FloatArray, float]:
    """Return the differences of all pairs of neighbouring averages of a stretch.

    And the sum over pairs of one over the frames that were averaged.
    """
    block = sums[size:] - sums[:-size]
    if counts is None:
        block /= size
        difference: FloatArray = block[size:] - block[:-size]
        return difference, difference.size / size
    number = counts[size:] - counts[:-size]
    enough = number >= LEAST_MEASURED * size
    inverse = 1 / np.maximum(number, 1)
    block *= inverse
    chosen = enough[size:] & enough[:-size]
    picked: FloatArray = (block[size:] - block[:-size])[chosen]
    both = float((inverse[size:] + inverse[:-size]) @ chosen)
    return picked, both / 2


def _dof(points: int, size: int) -> float:
    """Return the smallest equivalent degrees of freedom; `points` as of a phase."""
    if points < 5:
        return 1.0
    n, m = float(points), float(size)
    white = (3 * (n - 1) / (2 * m) - 2 * (n - 2) / n) * 4 * m**2 / (4 * m**2 + 5)
    flicker = 5 * n**2 / (4 * m * (n + 3 * m))
    if size == 1:
        flicker = 2 * (n - 2) / (2.3 * n - 4.9) * (n - 2)
    walk = (n - 2) / m * ((n - 1) ** 2 - 3 * m * (n - 1) + 4 * m**2) / (n - 3) ** 2
    return max(1.0, min(white, flicker, walk))
