"""Long series are read beside the live view: one of them would hold up all clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from eigerwatch.framecache import FrameCache
from eigerwatch.frames import Region
from eigerwatch.store.info import SeriesInfo

LONG = 200_000
"""Frames that are not in memory yet and would take a second to read,"""
LONG_REGION = 20_000
"""and of a region: a row holds all regions."""


class Loads:
    """Readings of long series, one after the other; thread-safe."""

    def __init__(self, frames: FrameCache) -> None:
        self._frames = frames
        self._ready: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str, Region | None]] = set()
        self._failed: dict[tuple[str, str, Region | None], Exception] = {}
        self._pool: ThreadPoolExecutor | None = None

    def start(self, ready: Callable[[], object]) -> None:
        """Begin; `ready` is called when something was read, by another thread."""
        self._ready = ready
        self._pool = ThreadPoolExecutor(1, "loads")

    def stop(self) -> None:
        """End, without waiting for what is being read."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def under_way(self, info: SeriesInfo, channel: str, region: Region | None) -> bool:
        """Return whether frames are being read still, which takes a while.

        Raises
        ------
        Exception
            Whatever the last reading met; the next question has them read again.
        """
        what = (info.key, channel, region)
        with self._lock:
            if what in self._under_way:
                return True
            if (failure := self._failed.pop(what, None)) is not None:
                raise failure
            behind = self._frames.behind(info, channel, region)
            long = LONG if region is None else LONG_REGION
            if behind <= long or self._pool is None:
                return False
            self._under_way.add(what)
        self._pool.submit(self._load, info, channel, region)
        return True

    def _load(self, info: SeriesInfo, channel: str, region: Region | None) -> None:
        what = (info.key, channel, region)
        failure = None
        try:
            self._frames.get(info, channel, region)
        # Whatever it is, whoever wants the series is told.
        except Exception as exc:
            failure = exc
        with self._lock:
            self._under_way.discard(what)
            if failure is not None:
                self._failed[what] = failure
        self._ready()
