"""The series and regions looked at lately, kept in memory within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict

from eigerwatch.frames import Region, RowReader, SeriesFrames
from eigerwatch.store.info import SeriesInfo

KEPT_SERIES = 64
"""Channels of series kept in memory,"""
KEPT_FRAMES = 8_000_000
"""and of so many frames, each 37 bytes, up to twice that where a series grows,"""
LEAST_SERIES = 8
"""but those used last always: who looks at them would read them anew each time."""
KEPT_REGIONS = 32
"""The same of regions,"""
KEPT_REGION_FRAMES = 4_000_000
"""whose frames take as much."""
LEAST_REGIONS = 4

_Kept = OrderedDict[tuple[str, str, str | None], SeriesFrames]
"""Frames by series, channel and region, those used last at the end."""


class FrameCache:
    """The series looked at lately, in memory as far as they fit.

    Regions are counted apart: however many are looked at, the whole images stay.
    """

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._series: _Kept = OrderedDict()
        self._regions: _Kept = OrderedDict()

    def behind(
        self, info: SeriesInfo, channel: str, region: Region | None = None
    ) -> int:
        """Return how many frames `get` would have to read, late ones apart."""
        kept = self._series if region is None else self._regions
        key = (info.key, channel, None if region is None else region.name)
        ledger = info.ledgers.get(channel)
        with self._lock:
            frames = kept.get(key)
        known = 0 if frames is None or frames.region != region else frames.n
        return 0 if ledger is None else ledger.highest + 1 - known

    def get(
        self, info: SeriesInfo, channel: str, region: Region | None = None
    ) -> SeriesFrames:
        """Return the frames of one channel, brought up to what `info` says.

        Parameters
        ----------
        region
            Whose counts are meant; None: those of the whole image.
        """
        kept = self._series if region is None else self._regions
        key = (info.key, channel, None if region is None else region.name)
        with self._lock:
            frames = kept.pop(key, None)
            if frames is None or frames.region != region:  # its place changed
                frames = SeriesFrames(self._reader, info.key, channel, region)
            kept[key] = frames
            _forget(self._series, KEPT_SERIES, KEPT_FRAMES, LEAST_SERIES)
            _forget(self._regions, KEPT_REGIONS, KEPT_REGION_FRAMES, LEAST_REGIONS)
        frames.refresh(info)
        return frames


def _forget(kept: _Kept, most: int, most_frames: int, least: int) -> None:
    """Drop what was not used for longest, until few enough are left."""
    known = sum(frames.n for frames in kept.values())
    while len(kept) > least and (len(kept) > most or known > most_frames):
        _, gone = kept.popitem(last=False)
        known -= gone.n
