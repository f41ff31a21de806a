"""What is counted in a series: limits, mask and regions, from settings and header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from eigerwatch import masks
from eigerwatch.config import Settings
from eigerwatch.model import PixelFilter, PixelMask, SeriesStart, automatic_high
from eigerwatch.modules import modules_given, modules_of_mask, modules_of_shape
from eigerwatch.regions import (
    Annulus,
    Polygon,
    Rectangle,
    Region,
    RegionSet,
    region_set,
)
from eigerwatch.rings import BeamGeometry, beam_geometry, rings
from eigerwatch.sections import FilterSettings, RegionSettings, RoiSettings


@dataclass(frozen=True, slots=True)
class PixelSelection:
    """What is counted in the images of one channel, type and shape."""

    low: int
    high: int
    """Both inclusive [counts]."""
    high_from: str
    """Where `high` comes from: ``settings``, ``saturation_value``,
    ``countrate_correction_count_cutoff``, or ``dtype``."""
    mask: PixelMask | None
    mask_from: tuple[str, ...]
    """Whose masks are in it: ``detector``, ``user``."""
    regions: RegionSet
    notes: tuple[str, ...]
    """What was asked for and could not be done, one sentence each."""

    def pixel_filter(self, settings: int = 0) -> PixelFilter:
        """Return it as the workers take it, under a settings version."""
        return PixelFilter(
            self.low,
            self.high,
            settings,
            None if self.mask is None else self.mask.used,
            self.regions.edges or None,
            len(self.regions),
        )


class Selector:
    """Turns settings and the header of a series into a `PixelSelection`.

    Parameters
    ----------
    filter_settings, region_settings
        What the user asks for.
    user_mask
        A mask of the user's own, or None.
    changes
        Which of the settings people changed since the service began; None: none.
    """

    def __init__(
        self,
        filter_settings: FilterSettings,
        region_settings: RegionSettings | None = None,
        user_mask: PixelMask | None = None,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.filter_settings = filter_settings
        self._region_settings = region_settings or RegionSettings()
        self._user_mask = user_mask
        self.changes = changes

    @classmethod
    def of(cls, settings: Settings) -> Selector:
        """Return the one that the settings ask for.

        Raises
        ------
        ConfigError
            The user's mask cannot be read.
        """
        mask = None if settings.mask is None else masks.load_mask(settings.mask)
        return cls(settings.filter, settings.regions, mask)

    def changed(
        self,
        filter_settings: FilterSettings,
        region_settings: RegionSettings,
        changes: Mapping[str, Mapping[str, Any]],
    ) -> Selector:
        """Return one with the same masks and other settings."""
        return Selector(filter_settings, region_settings, self._user_mask, changes)

    def select(
        self,
        start: SeriesStart | None,
        channel: str,
        dtype: np.dtype[Any],
        shape: tuple[int, int],
    ) -> PixelSelection:
        """Return what is counted in a series' images.

        Parameters
        ----------
        start
            Header of the series; None: missed.
        channel, dtype, shape
            Of the images.
        """
        notes: list[str] = []
        low = self.filter_settings.low
        high, high_from = _high(self.filter_settings, start, dtype)
        if low > high:
            notes.append(
                f"filter.low = {low} is above the upper limit {high} ({high_from}): "
                f"only pixels of {low} counts are kept"
            )
            high = low
        mask, mask_from = self._mask(start, channel, shape, notes)
        geometry = None if start is None else beam_geometry(start.header)
        regions, region_notes = _regions(self._region_settings, geometry, mask, shape)
        return PixelSelection(
            low,
            high,
            high_from,
            mask,
            mask_from,
            regions,
            (*notes, *region_notes),
        )

    def _mask(
        self,
        start: SeriesStart | None,
        channel: str,
        shape: tuple[int, int],
        notes: list[str],
    ) -> tuple[PixelMask | None, tuple[str, ...]]:
        found: dict[str, PixelMask | None] = {
            "detector": _detector_mask(start.pixel_masks, channel) if start else None,
            "user": self._user_mask,
        }
        if not self.filter_settings.pixel_mask:
            found["detector"] = None
        mask: PixelMask | None = None
        mask_from: list[str] = []
        for owner, one in found.items():
            if one is None:
                continue
            if one.shape != shape:
                notes.append(
                    f"the {owner}'s mask of {one.shape[0]} x {one.shape[1]} pixels is "
                    f"not used: the images have {shape[0]} x {shape[1]}"
                )
                continue
            mask = one if mask is None else masks.joined(mask, one)
            mask_from.append(owner)
        return mask, tuple(mask_from)


def _high(
    settings: FilterSettings, start: SeriesStart | None, dtype: np.dtype[Any]
) -> tuple[int, str]:
    if settings.high != "auto":
        return settings.high, "settings"
    saturation = start.saturation_value if start else None
    cutoff = start.countrate_cutoff if start else None
    high = automatic_high(dtype, saturation, cutoff)
    origin = "dtype"
    if high == saturation:
        origin = "saturation_value"
    elif high == cutoff:
        origin = "countrate_correction_count_cutoff"
    return high, origin


def _detector_mask(found: Mapping[str, PixelMask], channel: str) -> PixelMask | None:
    """Return a channel's mask; a channel without one is made of the others."""
    if channel in found:
        return found[channel]
    mask: PixelMask | None = None
    for one in found.values():
        if mask is None:
            mask = one
        elif mask.shape == one.shape:
            mask = masks.joined(mask, one)
    return mask


@lru_cache(maxsize=16)
def _regions(
    settings: RegionSettings,
    geometry: BeamGeometry | None,
    mask: PixelMask | None,
    shape: tuple[int, int],
) -> tuple[RegionSet, tuple[str, ...]]:
    """Return the regions, and what could not be done."""
    notes: list[str] = []
    found = [*_modules(settings, mask, shape)]
    found += [_roi(roi) for roi in settings.rois]
    found += _rings(settings, geometry, shape, notes)
    regions = region_set(found, shape)
    for region in regions.described:
        if region["pixels"] == 0 and "no_geometry" not in region:
            notes.append(f"region {region['name']} holds no pixel of the image")
    return regions, tuple(notes)


def _modules(
    settings: RegionSettings, mask: PixelMask | None, shape: tuple[int, int]
) -> list[Region]:
    if settings.modules == "none":
        return []
    if settings.modules != "auto":
        return modules_given(settings.modules)
    known = modules_of_shape(shape)
    if known or mask is None:
        return known
    return modules_of_mask(masks.unpacked(mask))


def _roi(roi: RoiSettings) -> Region:
    if roi.rectangle is not None:
        return Region(roi.name, Rectangle(*roi.rectangle))
    if roi.disc is not None:
        y, x, radius = roi.disc
        return Region(roi.name, Annulus((y, x), 0.0, radius))
    if roi.annulus is not None:
        y, x, inner, outer = roi.annulus
        return Region(roi.name, Annulus((y, x), inner, outer))
    assert roi.polygon is not None
    return Region(roi.name, Polygon(roi.polygon))


def _rings(
    settings: RegionSettings,
    geometry: BeamGeometry | None,
    shape: tuple[int, int],
    notes: list[str],
) -> list[Region]:
    wanted = settings.rings
    n = wanted if isinstance(wanted, int) else len(wanted) - 1
    if n == 0:
        return []
    if geometry is not None:
        return rings(wanted, geometry, shape)
    # Their rows stay empty, so that a header that comes later moves no other region.
    notes.append(
        "no resolution rings: the header tells no beam centre, distance, pixel size "
        "and wavelength"
    )
    return [
        Region(f"ring_{k}", Annulus((0.0, 0.0), 0.0, 0.0), {"no_geometry": True})
        for k in range(1, n + 1)
    ]
