"""Judges each frame of a block by itself, against what is usual in the series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.damage import damaged_frames
from eigerwatch.analysis.events.empty import empty_frames
from eigerwatch.analysis.events.model import DetectionOptions
from eigerwatch.analysis.events.record import CLEAN, DAMAGED, EMPTY, Screened
from eigerwatch.analysis.events.robust import FloatArray, runs_of
from eigerwatch.analysis.events.usual import FAINTEST, Usual, first_usual, next_usual
from eigerwatch.analysis.measured import Measured

_LOW = 0.985
"""Part of the usual sum below which the regions are asked whether they all dipped."""


def screen(
    block: Measured,
    usual: Usual | None,
    start: int,
    previous: int | None,
    options: DetectionOptions,
) -> tuple[Screened, npt.NDArray[np.int8], npt.NDArray[np.int16]]:
    """Judge a block; return what was found, (n,) states and (n,) dipped regions.

    Parameters
    ----------
    block
        Consecutive stored frames.
    usual
        What was usual before; None: not known yet.
    start
        Index of the first frame in the series.
    previous
        image_id of the stored frame before; None: there is none.
    """
    states = np.full(block.n, CLEAN, np.int8)
    dipped = np.full(block.n, -1, np.int16)
    usual = first_usual(block) if usual is None else usual
    empty = empty_frames(
        block, None if usual is None else usual.level, options.empty_fraction
    )
    states[empty] = EMPTY
    evidence = None
    regions = 0
    if usual is not None:
        damage = damaged_frames(
            block.at(~empty) if empty.any() else block, usual, options
        )
        found = np.flatnonzero(~empty)[damage.damaged]
        states[found] = DAMAGED
        evidence = damage.evidence
        ratios = damage.ratios
        clean = states == CLEAN
        if empty.any() and ratios is not None:
            every = np.zeros((block.n, ratios.shape[1]))
            every[~empty] = ratios
            ratios = every
        if ratios is not None and usual.regions is not None:
            bright = usual.regions >= FAINTEST
            regions = int(np.count_nonzero(bright))
            _count_dipped(block, usual, clean, ratios[:, bright], bright, dipped)
        usual = next_usual(usual, block, clean, ratios)
    found_runs = Screened(
        usual=usual,
        empty=runs_of(states == EMPTY) + start,
        damaged=runs_of(states == DAMAGED) + start,
        evidence=evidence,
        gaps=_gaps(block.positions, previous),
        regions=regions,
    )
    return found_runs, states, dipped


def _count_dipped(
    block: Measured,
    usual: Usual,
    clean: npt.NDArray[np.bool_],
    ratios: FloatArray,
    bright: npt.NDArray[np.bool_],
    dipped: npt.NDArray[np.int16],
) -> None:
    """Count for low frames the regions that fell at least half as deep as the sum."""
    part = block.totals * (1 / usual.level)
    low = np.flatnonzero(clean & (part < _LOW))
    if not low.size or not ratios.shape[1] or usual.regions_sigma is None:
        return
    depth = 1 - part[low]
    seen = ratios[low]
    along = seen < 1 - depth[:, None] / 2
    counts = np.count_nonzero(along, axis=1)
    # Single regions that are too noisy to be counted are asked together.
    noisy = float(np.median(usual.regions_sigma[bright])) > depth / 4
    together = np.median(seen, axis=1) < 1 - depth / 2
    dipped[low] = np.where(noisy, together * seen.shape[1], counts)


def _gaps(
    positions: npt.NDArray[np.int64], previous: int | None
) -> npt.NDArray[np.int64]:
    """Return (g, 2) image_id before and after each gap."""
    if previous is not None:
        positions = np.concatenate([[previous], positions])
    at = np.flatnonzero(np.diff(positions) > 1)
    return np.stack([positions[at], positions[at + 1]], axis=1)
