"""Runs of a beam whose truth is known, drawn at random from a seed.

Shares no code with the analysis: what is right here is right by construction. The
beam is mean x slow x (1 + lines + 1/f); every module counts its share of it, by
Poisson's law. `slow` holds drift and top-ups, which belong to no CV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FRAME_RATE_HZ = 746.0
MODULES = 32
MODULE_PIXELS = 1028 * 512
GUARD_FRAMES = 2
"""Frames excluded before and after those with a dip."""

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """A sinusoid common to all modules."""

    frequency_hz: float
    """Before aliasing."""
    seen_hz: float
    """Folded at the Nyquist frequency."""
    amplitude: float
    """Peak, relative to the intensity, as it stands in the frames' sums."""


@dataclass(frozen=True)
class Scenario:
    """The stored frames of a run, and the truth about it."""

    seed: int
    positions: npt.NDArray[np.int64]
    totals: npt.NDArray[np.uint64]
    times_s: FloatArray
    frame_time_s: float
    kept: npt.NDArray[np.uint32]
    sentinel: npt.NDArray[np.uint32]
    regions: npt.NDArray[np.uint64]
    """(n, 32); (n, 0) where modules were not asked for."""
    region_kept: npt.NDArray[np.uint32]
    region_sentinel: npt.NDArray[np.uint32]
    mean: float
    """Expected total, averaged over the frames that are not excluded [counts]."""
    lines: tuple[Line, ...]
    topups: tuple[int, ...]
    """image_id of each dip: of its deeper frame, where it is spread over two."""
    damage: int | None
    """image_id of the first damaged frame."""
    excluded: BoolArray
    """(n,) dips with their guard, and everything from the damage on."""
    drift_percent: float
    """Rise of the line under the whole run, without top-ups [% of the mean]."""
    one_over_f_percent: float
    """Ensemble rms [% of the intensity]."""
    cv_percent: float
    """Ensemble CV of the frames not excluded: lines, 1/f and counting."""
    cv_beam_percent: float
    """The same without counting."""


def scenario(
    seed: int,
    *,
    topups: int | None = None,
    damage: bool | None = None,
    lines: int | None = None,
    mean: float | None = None,
    drift_percent: float | None = None,
    one_over_f_percent: float | None = None,
    missing: float | None = None,
    frames: int = 45_000,
    modules: bool = True,
) -> Scenario:
    """Draw the run of a seed; None: at random.

    What is given replaces what would have been drawn and leaves the rest alone.
    `missing` is a fraction. Without `modules` only totals are drawn, which is faster;
    events, lines and truth are those of the run with modules.
    """
    # A generator for each part: giving one part does not change the others.
    parts = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(9)]
    rng = parts[0]
    drawn_mean = 10 ** rng.uniform(6, 7)
    drawn_drift = rng.uniform(0, 2) * rng.choice([-1, 1])
    drawn_rms = rng.uniform(0, 0.15) * (rng.random() > 0.15)
    drawn_missing = rng.uniform(0, 0.01) * (rng.random() > 0.15)
    drawn_topups = int(rng.integers(0, 4))
    drawn_lines = int(rng.integers(0, 5))
    drawn_damage = bool(rng.random() < 0.4)
    counts = drawn_mean if mean is None else mean
    rms = drawn_rms if one_over_f_percent is None else one_over_f_percent
    fraction = drawn_missing if missing is None else missing
    n_topups = drawn_topups if topups is None else topups
    n_lines = drawn_lines if lines is None else lines
    # Between top-ups a beam only decays.
    drift = -abs(drawn_drift) if n_topups else drawn_drift
    drift = (drift if drift_percent is None else drift_percent) / 100

    onset = None
    if drawn_damage if damage is None else damage:
        onset = int(parts[1].integers(frames // 4, frames * 19 // 20))
    usable = frames if onset is None else onset
    slow, dips, guarded = _slow(parts[2], frames, usable, n_topups, drift)
    sinusoids = _lines(parts[3], n_lines, usable / FRAME_RATE_HZ)
    times = np.arange(frames) / FRAME_RATE_HZ + parts[4].normal(0, 2e-7, frames)
    fast = _one_over_f(parts[5], frames, rms / 100)
    for line, phase in zip(sinusoids, parts[3].uniform(0, 2 * np.pi, 9), strict=False):
        fast += line.amplitude * np.sin(2 * np.pi * line.frequency_hz * times + phase)
    protected = [*dips, *([] if onset is None else [onset])]
    stored = _stored(parts[6], frames, fraction, protected)
    lost = _lost(parts[7], frames, onset)
    shares = parts[7].lognormal(0, 0.7, MODULES)
    shares /= shares.sum()

    positions = np.flatnonzero(stored).astype(np.int64)
    excluded = (guarded | (np.arange(frames) >= usable))[stored]
    rate = (counts * slow * (1 + fast))[stored]
    lost = lost[stored]
    if modules:
        motion = _motion(parts[8], times, shares)[stored]
        expected = rate[:, None] * shares * (1 + motion) * (1 - lost)
        regions = parts[8].poisson(expected).astype(np.uint64)
        totals = regions.sum(axis=1, dtype=np.uint64)
    else:
        regions = np.zeros((positions.size, 0), np.uint64)
        totals = parts[8].poisson(rate * (1 - lost @ shares)).astype(np.uint64)
    gone = np.rint(lost * MODULE_PIXELS)
    usual = parts[7].integers(0, 30, MODULES)
    region_sentinel = np.maximum(usual, gone).astype(np.uint32)
    region_kept = (MODULE_PIXELS - 100 - region_sentinel.astype(np.int64)).clip(0)

    base = counts * slow[stored][~excluded]
    true_mean = float(base.mean())
    # Fluctuations are relative to the intensity of their moment, the CV to the mean.
    beam = sum(line.amplitude**2 / 2 for line in sinusoids) + (rms / 100) ** 2
    beam *= float(np.mean(base**2)) / true_mean**2
    return Scenario(
        seed=seed,
        positions=positions,
        totals=totals,
        times_s=times[stored],
        frame_time_s=1 / FRAME_RATE_HZ,
        kept=region_kept.sum(axis=1).astype(np.uint32),
        sentinel=region_sentinel.sum(axis=1).astype(np.uint32),
        regions=regions,
        region_kept=region_kept.astype(np.uint32)[:, : regions.shape[1]],
        region_sentinel=region_sentinel[:, : regions.shape[1]],
        mean=true_mean,
        lines=sinusoids,
        topups=tuple(dips),
        damage=onset,
        excluded=excluded,
        drift_percent=100 * drift * counts / true_mean,
        one_over_f_percent=rms,
        cv_percent=100 * float(np.sqrt(beam + 1 / true_mean)),
        cv_beam_percent=100 * float(np.sqrt(beam)),
    )


def folded(frequency_hz: float) -> float:
    """Return where a frequency is seen at the frame rate."""
    rest = frequency_hz % FRAME_RATE_HZ
    return min(rest, FRAME_RATE_HZ - rest)


def _slow(
    rng: np.random.Generator, frames: int, usable: int, n_topups: int, drift: float
) -> tuple[FloatArray, list[int], BoolArray]:
    """Return drift and top-ups (mean about 1), the dips, and the frames to exclude."""
    slow = 1 + drift * (np.arange(frames) / max(frames - 1, 1) - 0.5)
    guarded = np.zeros(frames, np.bool_)
    # Apart by at least a tenth of what is usable, and from both of its ends.
    apart = usable // 10
    room = usable - (n_topups + 1) * apart
    dips = []
    for k, start in enumerate(np.sort(rng.integers(0, room, n_topups))):
        first = int(start) + (k + 1) * apart
        depth, step = rng.uniform(0.08, 0.12), rng.uniform(0.003, 0.005)
        # A dip that falls on the border of two frames shows partly in each.
        parts = [1.0]
        if rng.random() < 0.3:
            share = rng.uniform(0.2, 0.8)
            parts = [share, 1 - share]
        after = first + len(parts)
        slow[after:] += step
        for offset, part in enumerate(parts):
            slow[first + offset] *= 1 - part * depth
        guarded[first - GUARD_FRAMES : after + GUARD_FRAMES] = True
        dips.append(first + int(np.argmax(parts)))
    return slow, dips, guarded


def _lines(rng: np.random.Generator, n: int, duration_s: float) -> tuple[Line, ...]:
    found: list[Line] = []
    while len(found) < n:
        frequency = float(np.exp(rng.uniform(np.log(1), np.log(1500))))
        seen = folded(frequency)
        amplitude = float(10 ** rng.uniform(-4, np.log10(5e-3)))
        near_edge = seen < 2 or seen > FRAME_RATE_HZ / 2 - 2
        near_other = any(abs(seen - o.seen_hz) * duration_s < 3 for o in found)
        if not near_edge and not near_other:
            found.append(Line(frequency, seen, amplitude))
    return tuple(found)


def _one_over_f(rng: np.random.Generator, frames: int, rms: float) -> FloatArray:
    """Return Gaussian noise of S ~ 1/f, flat below a corner, of ensemble rms `rms`."""
    corner_hz = rng.uniform(0.5, 2)
    # Longer than the run, so that its ends know nothing of each other.
    length = 1 << int(np.ceil(np.log2(2 * frames)))
    k = np.arange(1, length // 2)
    power = 1 / np.maximum(k * FRAME_RATE_HZ / length, corner_hz)
    power *= rms**2 / power.sum()
    amplitude = np.zeros(length // 2 + 1, np.complex128)
    amplitude[k] = rng.normal(size=k.size) + 1j * rng.normal(size=k.size)
    amplitude[k] *= np.sqrt(power) * length / 2
    noise: FloatArray = np.fft.irfft(amplitude, length)[:frames]
    return noise


def _stored(
    rng: np.random.Generator, frames: int, fraction: float, protected: list[int]
) -> BoolArray:
    """Return which frames arrived: some are missing singly, some in bursts."""
    stored = np.ones(frames, np.bool_)
    wanted = int(fraction * frames)
    while frames - np.count_nonzero(stored) < wanted:
        burst = 1 if rng.random() < 0.8 else int(rng.integers(2, 30))
        burst = min(burst, wanted - (frames - int(np.count_nonzero(stored))))
        start = int(rng.integers(0, frames))
        stored[start : start + burst] = False
        stored[protected] = True
    return stored


def _lost(rng: np.random.Generator, frames: int, onset: int | None) -> FloatArray:
    """Return (frames, 32) the part of each module that is missing."""
    lost = np.zeros((frames, MODULES))
    damaged = rng.random(frames) < rng.choice([1.0, rng.uniform(0.1, 0.9)])
    victims = rng.permutation(MODULES)[: int(rng.integers(1, 3))]
    part = rng.choice([0.5, 1.0])
    if onset is not None:
        damaged[:onset] = False
        damaged[onset] = True
        lost[np.ix_(damaged, victims)] = part
    return lost


def _motion(
    rng: np.random.Generator, times: FloatArray, shares: FloatArray
) -> FloatArray:
    """Return (frames, 32) small relative shifts between modules; their sum holds."""
    amplitude = rng.uniform(0, 5e-4) * (rng.random() < 0.5)
    pattern = rng.normal(size=MODULES)
    pattern -= pattern @ shares
    wave = np.sin(2 * np.pi * (rng.uniform(0.05, 20) * times + rng.random()))
    return amplitude * wave[:, None] * pattern
