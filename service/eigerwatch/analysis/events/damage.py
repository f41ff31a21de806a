"""Damaged frames: modules or half-modules are missing, the others hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import (
    DetectionOptions,
    Event,
    EventKind,
    confidence,
    counted,
    percent,
)
from eigerwatch.analysis.events.robust import FloatArray
from eigerwatch.analysis.events.usual import FAINTEST, Usual
from eigerwatch.analysis.measured import Measured

BoolArray = npt.NDArray[np.bool_]

_FEWEST_PIXELS = 64
"""Smallest rise of a region's pixels without data."""
_HOLDS = 0.05
"""A region this close to its usual sum holds."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why the first damaged frame of a block is called so."""

    regions: tuple[int, ...]
    """Rows of the regions; none where only the whole image tells."""
    change: float
    """Of their counts, relative to the others'; NaN: not told by counts."""
    pixels: float
    """Rise of the pixels without data, relative to those concerned; NaN: unknown."""
    confidence: float


@dataclass(frozen=True, slots=True)
class Damage:
    """Damaged frames of a block."""

    damaged: BoolArray
    """(n,)"""
    ratios: FloatArray | None
    """(n, m) sums over usual sums; 0 where a region is usually too faint."""
    evidence: Evidence | None
    """None: no damaged frame."""


def damaged_frames(block: Measured, usual: Usual, options: DetectionOptions) -> Damage:
    """Find the damaged frames of a block by regions, else by the image's pixels."""
    ratios, by_sums, relative, sigmas = _by_sums(block, usual, options)
    by_pixels, rises = _by_region_pixels(block, usual, options)
    by_image, image_rise = _by_image(block, usual, options)
    damaged = by_image.copy()
    if by_sums is not None:
        damaged |= by_sums.any(axis=1)
    if by_pixels is not None:
        damaged |= by_pixels.any(axis=1)
    if not damaged.any():
        return Damage(damaged, ratios, None)
    first = int(np.argmax(damaged))
    rows: set[int] = set()
    change = pixels = math.nan
    sure = 0.0
    if by_sums is not None and by_sums[first].any():
        lost = np.flatnonzero(by_sums[first])
        rows = set(lost.tolist())
        # Other damaged frames of the block make the size surer, where they agree.
        same = damaged & by_sums[:, lost].all(axis=1)
        change = float(relative[np.ix_(same, lost)].mean())
        sure = confidence(float(sigmas[first]), options.damage_sigma)
    if by_pixels is not None and rises is not None and by_pixels[first].any():
        more = np.flatnonzero(by_pixels[first])
        rows |= set(more.tolist())
        pixels = float(rises[first, more].mean())
        sure = 1 - (1 - sure) * (1 - confidence(pixels, options.damage_loss))
        if math.isnan(change) and ratios is not None and usual.regions is not None:
            told = more[usual.regions[more] >= FAINTEST]
            if told.size:
                change = float(ratios[first, told].mean()) - 1
    if by_image[first]:
        share = float(image_rise[first])
        sure = 1 - (1 - sure) * (1 - confidence(share, options.damage_image))
        pixels = share if not rows else pixels
    return Damage(damaged, ratios, Evidence(tuple(sorted(rows)), change, pixels, sure))


def damage_event(
    first: int, last: int, frames: int, why: Evidence, options: DetectionOptions
) -> Event:
    """Return the event of damaged frames."""
    who = _named(why.regions, options)
    if not why.regions:
        what = f"{percent(why.pixels)} of the image's pixels lost their data"
    elif math.isnan(why.change) or abs(why.change) < options.damage_loss / 2:
        part = "" if math.isnan(why.pixels) else f"{percent(why.pixels)} of "
        its = "its" if len(why.regions) == 1 else "their"
        what = f"{who} lost the data of {part}{its} pixels"
    else:
        verb = "lost" if why.change < 0 else "gained"
        its = "its" if len(why.regions) == 1 else "their"
        how_much = f"{percent(why.change)} of {its} counts"
        what = f"{who} {verb} {how_much} while the others held"
    more = "" if frames == 1 else f", in {counted(frames)}"
    return Event(
        EventKind.DAMAGED, first, last, frames, why.change, "relative",
        why.confidence, f"{what}{more}.", regions=why.regions,
    )  # fmt: skip


def _named(regions: tuple[int, ...], options: DetectionOptions) -> str:
    """Return up to three names, and how many more there are."""
    names = [options.region_name(row) for row in regions[:3]]
    if len(regions) > 3:
        names.append(f"{len(regions) - 3} more")
    *others, last = names or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _by_sums(
    block: Measured, usual: Usual, options: DetectionOptions
) -> tuple[FloatArray | None, BoolArray | None, FloatArray, FloatArray]:
    """Return ratios, (n, m) damaged ones, (n, m) relative changes, (n,) sigmas."""
    nothing: FloatArray = np.empty((0, 0))
    if block.regions is None or usual.regions is None or usual.regions_sigma is None:
        return None, None, nothing, nothing
    bright = usual.regions >= FAINTEST
    inverse = np.where(bright, 1 / np.maximum(usual.regions, 1), 0)
    ratios = np.multiply(block.regions, inverse, dtype=np.float64)
    if np.count_nonzero(bright) < 2:
        return ratios, None, nothing, nothing
    seen = ratios if bright.all() else ratios[:, bright]
    # Cheap and far from sharp: nearly all frames are done with here.
    uneven = seen.min(axis=1) < (1 - options.damage_loss) * seen.max(axis=1)
    if not uneven.any():
        return ratios, None, nothing, nothing
    suspects = np.flatnonzero(uneven)
    part = seen[suspects]
    # Regions at their usual sum hold, however many others changed; where the whole
    # beam changed, their median stands for those that hold.
    near = np.abs(part - 1) < _HOLDS
    changed = np.flatnonzero(near.mean(axis=1) < 0.25)
    common = np.ones(len(part))
    if changed.size:
        middle = np.median(part[changed], axis=1)
        common[changed] = np.where(middle > 0, middle, part[changed].max(axis=1))
    lit = common > 0
    suspects, part, common = suspects[lit], part[lit], common[lit]
    change = part / common[:, None] - 1
    # Counting noise grows as the beam gets weaker.
    sigma = usual.regions_sigma[bright] / np.sqrt(np.minimum(common, 1))[:, None]
    z = np.abs(change) / sigma
    bad = (change < -options.damage_loss) & (z > options.damage_sigma)
    bad |= (change > options.damage_gain) & (z > 1.5 * options.damage_sigma)
    if not bad.any():
        return ratios, None, nothing, nothing
    damaged: BoolArray = np.zeros(ratios.shape, np.bool_)
    relative: FloatArray = np.zeros(ratios.shape)
    damaged[np.ix_(suspects, bright)] = bad
    relative[np.ix_(suspects, bright)] = change
    sigmas: FloatArray = np.zeros(block.n)
    sigmas[suspects] = np.where(bad, z, 0).max(axis=1)
    return ratios, damaged, relative, sigmas


def _by_region_pixels(
    block: Measured, usual: Usual, options: DetectionOptions
) -> tuple[BoolArray | None, FloatArray | None]:
    """Return (n, m) regions whose pixels lost their data, and by which part."""
    if block.region_sentinel is None or usual.region_sentinel is None:
        return None, None
    pixels = usual.region_pixels
    least = np.full(usual.region_sentinel.size, float(_FEWEST_PIXELS))
    if pixels is not None:
        least = np.maximum(least, options.damage_loss * pixels)
    limit = np.floor(usual.region_sentinel + least)
    damaged = block.region_sentinel > np.minimum(limit, 2**32 - 1).astype(np.uint32)
    if not damaged.any():
        return None, None
    rises = block.region_sentinel - usual.region_sentinel
    if pixels is None:
        return damaged, np.where(damaged, np.nan, rises)
    return damaged, rises / np.maximum(pixels, 1)


def _by_image(
    block: Measured, usual: Usual, options: DetectionOptions
) -> tuple[BoolArray, FloatArray]:
    """Return (n,) frames whose pixels lost their data, and by which part."""
    damaged = np.zeros(block.n, np.bool_)
    share = np.zeros(block.n)
    if block.sentinel is not None and usual.sentinel is not None:
        pixels = usual.sentinel + (usual.kept or 0)
        rise = (block.sentinel - usual.sentinel) / max(pixels, 1)
        least = options.damage_image if usual.kept else _FEWEST_PIXELS / max(pixels, 1)
        damaged |= rise > least
        share = np.maximum(share, rise)
    if block.kept is not None and usual.kept:
        # Where a `low` above 0 makes it follow the intensity it is no witness.
        steady = 8 * usual.kept_sigma < options.damage_image * usual.kept
        if steady:
            loss = (usual.kept - block.kept) / usual.kept
            damaged |= loss > options.damage_image
            share = np.maximum(share, loss)
    return damaged, share
