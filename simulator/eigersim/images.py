"""Synthetic frames, put together from compressed pieces with known sums.

Blocks of bslz4 are independent of each other, so runs of them can be compressed once
and joined at will. Every run of blocks of the image (a *piece*) is prepared in several
variants at several intensities; a frame picks one variant for each place. That costs
a copy of the compressed bytes, every frame is another one, and its total is known
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from eigersim import compress
from eigersim.detector import Detector, saturation_of, sentinel_of
from eigersim.errors import SimulatorError


class Encoding(StrEnum):
    """How the bytes of an image are packed."""

    BSLZ4 = "bslz4"
    BSZSTD = "bszstd"
    LZ4 = "lz4"
    """Framed as in HDF5."""
    LZ4_BLOCK = "lz4-block"
    """One raw LZ4 block: what stream v1 calls ``lz4<``."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ImageData:
    """One channel's compressed image, in pieces that are joined when sent."""

    encoding: Encoding
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    """(y, x) [pixels]."""
    pieces: list[bytes]

    @property
    def size(self) -> int:
        """Length of the joined pieces [bytes]."""
        return sum(map(len, self.pieces))


_PLACES = 64
"""Pieces per image, about: few enough to join fast, enough to vary each frame."""
_PREPARED = 48
"""Variants x intensities of each piece, about: decides start-up time and memory."""
_SPARSE = 2.0
"""Mean [counts per pixel] up to which photons are thrown one by one."""

# Steps between two levels are spread evenly over the image, so that no module gets
# more of the brighter pieces than its neighbours.
_GOLDEN = (5**0.5 - 1) / 2


class ImagePool:
    """The prepared pieces of one channel's images.

    Parameters
    ----------
    detector, dtype, encoding
        What the images look like.
    mean_counts
        Nominal mean [counts per active pixel].
    levels
        Relative intensities to prepare, ascending; those between are mixed.
    damaged_levels
        Subset of `levels` to prepare with a module missing as well.
    """

    def __init__(
        self,
        detector: Detector,
        dtype: np.dtype[Any],
        mean_counts: float,
        rng: np.random.Generator,
        *,
        encoding: Encoding = Encoding.BSLZ4,
        levels: tuple[float, ...] = (1.0,),
        damaged_levels: tuple[float, ...] = (),
    ) -> None:
        _check_mean(mean_counts, max(levels), dtype)
        self.detector = detector
        self.dtype = dtype
        self.encoding = encoding
        self.mean_counts = mean_counts
        self._levels = np.asarray(levels)
        self._pieces: list[bytes] = []
        self._bounds = _place_bounds(detector.pixels, dtype.itemsize)
        self._places = len(self._bounds)
        variants = _PREPARED // (len(levels) + len(damaged_levels) // 2)
        # Few places need more variants for the frames to differ.
        self._variants = max(variants, 6, min(128, 512 // self._places))
        rank = np.arange(self._places) * _GOLDEN % 1.0
        self._order = np.argsort(np.argsort(rank))
        self._first = np.zeros((2, len(levels), self._places), np.int64)
        self._prepare(damaged_levels, rng)

    def _prepare(
        self, damaged_levels: tuple[float, ...], rng: np.random.Generator
    ) -> None:
        active = self.detector.active.reshape(-1)
        damaged = self.detector.active.copy()
        damaged[self.detector.damaged_module] = False
        damaged = damaged.reshape(-1)
        jobs: list[tuple[npt.NDArray[np.bool_], float, np.random.Generator]] = []
        slots: list[tuple[int, int, int]] = []
        for place, bounds in enumerate(self._bounds):
            intact = active[slice(*bounds)]
            broken = damaged[slice(*bounds)]
            affected = bool((intact != broken).any())
            for level, intensity in enumerate(self._levels.tolist()):
                jobs.append((intact, intensity, rng.spawn(1)[0]))
                slots.append((0, level, place))
                if affected and intensity in damaged_levels:
                    jobs.append((broken, intensity, rng.spawn(1)[0]))
                    slots.append((1, level, place))
                else:
                    self._first[1, level, place] = -1
        sums: list[int] = []
        with ThreadPoolExecutor(2) as workers:
            for slot, (pieces, totals) in zip(
                slots, workers.map(lambda job: self._piece(*job), jobs), strict=True
            ):
                self._first[slot] = len(self._pieces)
                self._pieces += pieces
                sums += totals
        self._sums = np.array(sums, np.uint64)
        self._point_to_intact(damaged_levels)
        head = compress.FRAME_HEADER
        image_bytes = self.detector.pixels * self.dtype.itemsize
        self._header = {
            Encoding.BSLZ4: [head.pack(image_bytes, compress.BLOCK_BYTES)],
            Encoding.BSZSTD: [head.pack(image_bytes, compress.BLOCK_BYTES)],
            Encoding.LZ4: [
                head.pack(image_bytes, self._bounds[0][1] * self.dtype.itemsize)
            ],
        }.get(self.encoding, [])

    def _point_to_intact(self, damaged_levels: tuple[float, ...]) -> None:
        """Let damaged frames use intact pieces where the module does not reach."""
        prepared = [
            level for level, x in enumerate(self._levels) if x in damaged_levels
        ]
        for level in range(len(self._levels)):
            nearest = min(prepared, key=lambda p: abs(p - level), default=level)
            row = self._first[1, level]
            row[:] = np.where(row < 0, self._first[1, nearest], row)
            row[:] = np.where(row < 0, self._first[0, level], row)

    def _piece(
        self, active: npt.NDArray[np.bool_], intensity: float, rng: np.random.Generator
    ) -> tuple[list[bytes], list[int]]:
        """Return all variants of one piece and their sums."""
        arrays = []
        totals = []
        places = np.flatnonzero(active)
        mean = self.mean_counts * intensity
        sentinel = sentinel_of(self.dtype)
        ceiling = saturation_of(self.dtype)
        wanted = _piece_totals(mean * places.size, self._variants, rng).tolist()
        for thrown in _throw(wanted, mean, places, active.size, rng):
            counts = np.minimum(thrown, ceiling)
            totals.append(int(counts.sum()))
            array = counts.astype(self.dtype)
            array[~active] = sentinel
            arrays.append(array)
        return self._pack(arrays), totals

    def _pack(self, arrays: list[npt.NDArray[Any]]) -> list[bytes]:
        if self.encoding is Encoding.BSLZ4:
            return compress.pack_bslz4(arrays)
        if self.encoding is Encoding.BSZSTD:
            return compress.pack_bszstd(arrays)
        if self.encoding is Encoding.LZ4:
            return [compress.pack_lz4(array) for array in arrays]
        return [array.tobytes() for array in arrays]

    def plan(
        self,
        intensity: npt.NDArray[np.float64],
        damaged: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Choose the pieces of the frames with these intensities and states.

        Returns
        -------
        choice : (frames, places)
            For `image`.
        totals : (frames,)
            Exact sums of all pixels that hold data [counts].
        """
        level = self._choose_levels(intensity, rng)
        state = damaged.astype(np.int64)[:, np.newaxis]
        choice = self._first[state, level, np.arange(self._places)]
        choice += rng.integers(0, self._variants, choice.shape)
        return choice, self._sums[choice].sum(axis=1, dtype=np.uint64)

    def _choose_levels(
        self, intensity: npt.NDArray[np.float64], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Mix the two nearest levels so that the mean follows `intensity`."""
        n = intensity.size
        if self._levels.size == 1:
            return np.zeros((n, self._places), np.int64)
        lower = np.searchsorted(self._levels, intensity, "right") - 1
        lower = np.clip(lower, 0, self._levels.size - 2)
        below, above = self._levels[lower], self._levels[lower + 1]
        part = np.clip((intensity - below) / (above - below), 0.0, 1.0)
        brighter = np.floor(part * self._places + rng.random(n)).astype(np.int64)
        shift = rng.integers(0, self._places, (n, 1))
        rank = (self._order + shift) % self._places
        mixed: npt.NDArray[np.int64] = lower[:, np.newaxis] + (
            rank < brighter[:, np.newaxis]
        )
        return mixed

    def image(self, choice: npt.NDArray[np.int64]) -> ImageData:
        """Return the image made of the pieces `choice`, one row of `plan`."""
        pieces = self._pieces
        picked = [pieces[i] for i in choice.tolist()]
        if self.encoding is Encoding.LZ4_BLOCK:
            # One LZ4 block cannot be joined from others.
            picked = [compress.pack_lz4_block(b"".join(picked))]
        return ImageData(
            self.encoding, self.dtype, self.detector.shape, self._header + picked
        )

    @property
    def nbytes(self) -> int:
        """Memory the pieces take [bytes]."""
        return sum(map(len, self._pieces))


def _check_mean(mean: float, brightest: float, dtype: np.dtype[Any]) -> None:
    limit = saturation_of(dtype)
    peak = mean * brightest
    if not 0 <= peak or peak + 8 * peak**0.5 > limit:
        raise SimulatorError(
            f"a mean of {mean:g} counts per pixel does not fit {dtype.name} images, "
            f"which saturate at {limit}; choose a smaller --mean-counts or a wider "
            "--dtype"
        )


def _place_bounds(pixels: int, itemsize: int) -> list[tuple[int, int]]:
    """Cut the image's pixels into pieces of whole blocks, equal but for the last."""
    block = compress.BLOCK_BYTES // itemsize
    # What follows the last whole block is compressed with it.
    step = max(1, round(pixels / block / _PLACES)) * block
    starts = range(0, pixels, step)
    return [(start, min(start + step, pixels)) for start in starts]


def _piece_totals(
    expected: float, variants: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the sums that the variants of a piece shall have.

    Spread so that picking one at random has mean and variance `expected`, exactly
    but for rounding: a frame's total then fluctuates like a Poisson variable although
    the pool is small.
    """
    if expected < 25:
        return rng.poisson(expected, variants)
    spread = ndtri((np.arange(variants) + 0.5) / variants)
    spread /= spread.std()
    totals: npt.NDArray[np.int64] = np.rint(expected + spread * expected**0.5).astype(
        np.int64
    )
    return totals


def _throw(
    totals: list[int],
    mean: float,
    places: npt.NDArray[np.int64],
    size: int,
    rng: np.random.Generator,
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield arrays of `size` with photons at `places`, one for each of `totals`.

    Independent Poisson pixels whose sum is known are photons thrown one by one. At
    high mean one field is drawn, shifted for each array, and only what its sum is off
    is thrown.
    """
    if mean <= _SPARSE or not places.size:
        for n in totals:
            hits = places[rng.integers(0, places.size, n)] if n else places[:0]
            yield np.bincount(hits, minlength=size)
        return
    field = rng.poisson(mean, places.size)
    drawn = int(field.sum())
    for n in totals:
        counts = np.zeros(size, np.int64)
        counts[places] = np.roll(field, rng.integers(places.size))
        hits = places[rng.integers(0, places.size, max(0, n - drawn))]
        counts += np.bincount(hits, minlength=size)
        surplus = max(0, drawn - n)
        while surplus:
            chosen = rng.choice(places, min(surplus, places.size), replace=False)
            chosen = chosen[counts[chosen] > 0]
            counts[chosen] -= 1
            surplus -= chosen.size
        yield counts
