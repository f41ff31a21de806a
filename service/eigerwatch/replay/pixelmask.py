"""The detector's pixel mask in a master, where there is one."""

from __future__ import annotations

import h5py
import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.masks import packed
from eigerwatch.model import PixelMask
from eigerwatch.replay.datasets import register_filters
from eigerwatch.replay.links import HDF5_ERRORS, Found, Walker

_PLACES = ("pixel_mask", "detectorSpecific/pixel_mask")


def read_masks(
    walker: Walker, entry: Found, channels: list[str], max_pixels: int
) -> tuple[dict[str, PixelMask], list[str]]:
    """Return the masks of the channels that have one, and what could not be read.

    A channel's own mask (``<channel>_channel/pixel_mask``) comes before the
    detector's.
    """
    detector = f"{entry.path}/instrument/detector"
    known: dict[str, PixelMask | None] = {}
    masks: dict[str, PixelMask] = {}
    problems: list[str] = []
    for channel in channels:
        places = [f"{detector}/{place}" for place in _PLACES]
        if channel:
            places.insert(0, f"{detector}/{channel}_channel/pixel_mask")
        for place in places:
            if place not in known:
                known[place] = _read(walker, entry.file, place, max_pixels, problems)
            mask = known[place]
            if mask is not None:
                masks[channel] = mask
                break
    return masks, problems


def _read(
    walker: Walker, file: h5py.File, place: str, max_pixels: int, problems: list[str]
) -> PixelMask | None:
    if not _exists(walker, file, place):
        return None
    try:
        with walker.scope():
            return _mask(walker.find(file, place), max_pixels)
    except ReplayError as exc:
        problems.append(f"the pixel mask is not used: {exc}")
    except HDF5_ERRORS as exc:
        problems.append(f"the pixel mask is not used: {place} is damaged: {exc!s:.300}")
    return None


def _exists(walker: Walker, file: h5py.File, place: str) -> bool:
    """Tell whether there is a link of that name, wherever it leads."""
    folder, _, name = place.rpartition("/")
    try:
        group = walker.find(file, folder)
    except ReplayError:
        return False
    return isinstance(group.node, h5py.Group) and walker.has(group.node, name)


def _mask(found: Found, max_pixels: int) -> PixelMask:
    dataset = found.node
    if not isinstance(dataset, h5py.Dataset):
        raise ReplayError(f"{found.name} is a group")
    plist = dataset.id.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count():
        raise ReplayError(f"refused: {found.name} keeps its data elsewhere")
    y, x = dataset.shape[-2:] if dataset.ndim >= 2 else (0, 0)
    if y * x != dataset.size or not 0 < y * x <= max_pixels:
        raise ReplayError(f"{found.name} has the shape {dataset.shape}, no image's")
    if dataset.dtype.kind not in "iub":
        raise ReplayError(f"{found.name} holds {dataset.dtype}, no mask")
    register_filters()
    values = np.asarray(dataset[()]).reshape(y, x)
    return packed(values != 0)
