"""The series and regions looked at lately, kept in memory within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict

from eigerwatch.frames import Region, RowReader, SeriesFrames
from eigerwatch.store.info import SeriesInfo

KEPT_REGIONS = 32
"""Regions kept in memory,"""
KEPT_REGION_FRAMES = 4_000_000
"""and of so many frames, each some 40 bytes,"""
LEAST_REGIONS = 4
"""but those used last always: who looks at them would read them anew each time."""


class FrameCache:
    """The series looked at lately, at most `limit` of them in memory.

    Regions are counted apart: however many are looked at, the whole images stay.
    """

    def __init__(self, reader: RowReader, limit: int = 8) -> None:
        self._reader = reader
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], SeriesFrames] = OrderedDict()
        self._regions: OrderedDict[tuple[str, str, str], SeriesFrames] = OrderedDict()

    def get(
        self, info: SeriesInfo, channel: str, region: Region | None = None
    ) -> SeriesFrames:
        """Return the frames of one channel, brought up to what `info` says.

        Parameters
        ----------
        region
            Whose counts are meant; None: those of the whole image.
        """
        if region is not None:
            return self._get_region(info, channel, region)
        key = (info.key, channel)
        with self._lock:
            frames = self._kept.pop(key, None)
            if frames is None:
                frames = SeriesFrames(self._reader, info.key, channel)
            self._kept[key] = frames
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        frames.refresh(info)
        return frames

    def _get_region(
        self, info: SeriesInfo, channel: str, region: Region
    ) -> SeriesFrames:
        key = (info.key, channel, region.name)
        with self._lock:
            frames = self._regions.pop(key, None)
            if frames is None or frames.region != region:  # its place changed
                frames = SeriesFrames(self._reader, info.key, channel, region)
            self._regions[key] = frames
            known = sum(one.n for one in self._regions.values())
            while len(self._regions) > LEAST_REGIONS and (
                len(self._regions) > KEPT_REGIONS or known > KEPT_REGION_FRAMES
            ):
                _, gone = self._regions.popitem(last=False)
                known -= gone.n
        frames.refresh(info)
        return frames
