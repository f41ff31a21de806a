"""Statistics of the newest frames, kept up to date frame by frame."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.shot_noise import ShotNoise, split
from eigerwatch.analysis.statistics import finite_or_none

HALF = np.uint64(32)
LOW_HALF = np.uint64(2**32 - 1)
MOST_FRAMES_PER_BATCH = 4096
"""Halves of so few values add up within 64 bits, and a batch is soon looked through."""


@dataclass(frozen=True, slots=True)
class RollingStatistics:
    """What `statistics.describe` says of the same frames, without order statistics.

    NaN where too few frames define a field, as there.
    """

    n: int
    first: int | None
    """Smallest image_id; None without frames."""
    last: int | None
    mean: float
    """[counts]"""
    std: float
    """Raw, ddof 1 [counts]."""
    cv_percent: float
    """Raw [%]."""
    std_detrended: float
    """About the least-squares line on the true positions, ddof 1 [counts]."""
    cv_detrended_percent: float
    slope: float
    """Of that line [counts per frame]; 0 with fewer than two frames."""
    shot: ShotNoise
    """Split of the detrended fluctuation."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "first": self.first,
            "last": self.last,
            "mean": finite_or_none(self.mean),
            "std": finite_or_none(self.std),
            "cv_percent": finite_or_none(self.cv_percent),
            "std_detrended": finite_or_none(self.std_detrended),
            "cv_detrended_percent": finite_or_none(self.cv_detrended_percent),
            "slope": finite_or_none(self.slope),
            "shot": self.shot.as_dict(),
        }


@dataclass(slots=True)
class _Sums:
    """Sums of positions p and totals x as exact integers, which never drift."""

    n: int = 0
    p: int = 0
    x: int = 0
    pp: int = 0
    px: int = 0
    xx: int = 0

    @classmethod
    def of(cls, batch: _Batch) -> _Sums:
        # Positions count from where the batch begins: small squares.
        p = (batch.positions - batch.positions[0]).view(np.uint64)
        origin = int(batch.positions[0])
        sums = cls(
            p.size,
            _total(p),
            _total(batch.totals),
            _dot(p, p),
            _dot(p, batch.totals),
            _dot(batch.totals, batch.totals),
        )
        sums.pp += 2 * origin * sums.p + origin * origin * sums.n
        sums.p += origin * sums.n
        sums.px += origin * sums.x
        return sums

    def add(self, other: _Sums, sign: int = 1) -> None:
        self.n += sign * other.n
        self.p += sign * other.p
        self.x += sign * other.x
        self.pp += sign * other.pp
        self.px += sign * other.px
        self.xx += sign * other.xx


@dataclass(frozen=True, slots=True)
class _Batch:
    """Frames in ascending order; never empty."""

    positions: npt.NDArray[np.int64]
    totals: npt.NDArray[np.uint64]
    times: npt.NDArray[np.float64]
    """[s]; NaN where nothing tells."""

    def at(self, index: Any) -> _Batch:
        return _Batch(self.positions[index], self.totals[index], self.times[index])


class Rolling:
    """The last N frames, or the frames of the last T seconds, or what meets both.

    Adding costs time in proportion to the new frames, however long the window. Sums
    are exact integers and the results are rounded once, so that nothing accumulates
    over weeks. A late frame takes the place it would have had; that, and leaving
    frames out afterwards, costs time in proportion to the window.
    """

    def __init__(
        self,
        *,
        frames: int | None = None,
        seconds: float | None = None,
        frame_time_s: float | None = None,
    ) -> None:
        """Begin without frames.

        Parameters
        ----------
        frames
            Most frames in the window; None: no such limit.
        seconds
            Frames that begin this much earlier than the newest one, or more, leave;
            so do those at the old end whose time lies beyond that of the newest.
        frame_time_s
            Where a frame's time is not told it is image_id x this [s]. While the age
            of the newest frame is unknown nothing leaves by age.
        """
        if frames is not None and frames < 1:
            raise ValueError(f"a window of {frames} frames holds nothing")
        if seconds is not None and not seconds > 0:
            raise ValueError(f"a window of {seconds} s holds nothing")
        self._most = frames
        self._seconds = seconds
        self._frame_time_s = frame_time_s
        self._batches: deque[_Batch] = deque()
        self._sums = _Sums()

    def add(
        self,
        positions: npt.NDArray[np.int64],
        totals: npt.NDArray[np.uint64],
        times_s: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Take in new frames; those known already are ignored.

        Parameters
        ----------
        positions
            (n,) image_id.
        totals
            (n,) sum of the kept pixels [counts].
        times_s
            (n,) exposure start since the series' start [s]; NaN or None: not told.
        """
        positions = np.array(positions, np.int64)
        if not positions.size:
            return
        if np.any(positions[1:] <= positions[:-1]):
            positions, index = np.unique(positions, return_index=True)
            totals = np.asarray(totals)[index]
            times_s = None if times_s is None else np.asarray(times_s)[index]
        batch = _Batch(
            positions, np.array(totals, np.uint64), self._told(positions, times_s)
        )
        if self._batches and positions[0] <= self._batches[-1].positions[-1]:
            batch = self._merged(batch)
        for start in range(0, batch.positions.size, MOST_FRAMES_PER_BATCH):
            part = batch.at(slice(start, start + MOST_FRAMES_PER_BATCH))
            self._batches.append(part)
            self._sums.add(_Sums.of(part))
        self._shed()

    def leave_out(self, positions: npt.NDArray[np.int64]) -> None:
        """Take frames out of the window, such as those of a top-up found later."""
        kept = []
        for batch in self._batches:
            out = np.isin(batch.positions, positions)
            if out.any():
                self._sums.add(_Sums.of(batch.at(out)), -1)
                batch = batch.at(~out)
            if batch.positions.size:
                kept.append(batch)
        self._batches = deque(kept)

    def frames(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Return image_ids and totals of the window, ascending."""
        if not self._batches:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        window = _joined(list(self._batches))
        return window.positions, window.totals

    def statistics(self) -> RollingStatistics:
        """Return the statistics of the window; no matter how long it is."""
        sums, nan = self._sums, math.nan
        n = sums.n
        if not n:
            shot = split(nan, nan)
            return RollingStatistics(0, None, None, nan, nan, nan, nan, nan, 0.0, shot)
        mean = sums.x / n
        # n x the sums about the means: integers, so nothing cancels.
        pp = n * sums.pp - sums.p**2
        px = n * sums.px - sums.p * sums.x
        xx = n * sums.xx - sums.x**2
        std = std_detrended = nan
        if n > 1:
            std = math.sqrt(xx / (n * (n - 1)))
            std_detrended = math.sqrt((xx * pp - px * px) / (pp * n * (n - 1)))
        return RollingStatistics(
            n=n,
            first=int(self._batches[0].positions[0]),
            last=int(self._batches[-1].positions[-1]),
            mean=mean,
            std=std,
            cv_percent=100 * std / mean if mean else nan,
            std_detrended=std_detrended,
            cv_detrended_percent=100 * std_detrended / mean if mean else nan,
            slope=px / pp if pp else 0.0,
            shot=split(mean, std_detrended),
        )

    def _told(
        self,
        positions: npt.NDArray[np.int64],
        times_s: npt.NDArray[np.float64] | None,
    ) -> npt.NDArray[np.float64]:
        """Return a copy of the times, with the announced ones where none are told."""
        if times_s is None:
            times = np.full(positions.size, math.nan)
        else:
            times = np.array(times_s, np.float64)
        if self._frame_time_s is not None:
            silent = np.isnan(times)
            times[silent] = positions[silent] * self._frame_time_s
        return times

    def _merged(self, batch: _Batch) -> _Batch:
        """Take all batches that reach beyond the start of `batch`, and join them."""
        parts = [batch]
        while self._batches and self._batches[-1].positions[-1] >= batch.positions[0]:
            known = self._batches.pop()
            self._sums.add(_Sums.of(known), -1)
            parts.insert(0, known)
        # Of equal image_ids unique() keeps the first: the copy known already.
        window = _joined(parts)
        _, index = np.unique(window.positions, return_index=True)
        return window.at(index)

    def _shed(self) -> None:
        """Drop what has left the window."""
        newest = self._batches[-1].times[-1]
        while self._batches:
            oldest = self._batches[0]
            leaving = 0
            if self._most is not None:
                leaving = self._sums.n - self._most
            if self._seconds is not None and not math.isnan(newest):
                young = newest - self._seconds < oldest.times
                young &= oldest.times <= newest
                old = int(np.argmax(young)) if young.any() else young.size
                leaving = max(leaving, old)
            leaving = min(leaving, oldest.positions.size)
            if leaving <= 0:
                return
            self._sums.add(_Sums.of(oldest.at(slice(leaving))), -1)
            self._batches.popleft()
            if leaving < oldest.positions.size:
                self._batches.appendleft(oldest.at(slice(leaving, None)))
                return


def _joined(batches: list[_Batch]) -> _Batch:
    return _Batch(
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.totals for batch in batches]),
        np.concatenate([batch.times for batch in batches]),
    )


def _total(values: npt.NDArray[np.uint64]) -> int:
    """Return the exact sum of no more than a batch."""
    return (int((values >> HALF).sum()) << 32) + int((values & LOW_HALF).sum())


def _dot(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> int:
    """Return the exact sum of products, by halves whose products fit 64 bits."""
    a_low, b_low = a & LOW_HALF, b & LOW_HALF
    a_high, b_high = a >> HALF, b >> HALF
    total = _total(a_low * b_low)
    if a_high.any():
        total += _total(a_high * b_low) << 32
    if b_high.any():
        total += _total(a_low * b_high) << 32
        if a_high.any():
            total += _total(a_high * b_high) << 64
    return total
