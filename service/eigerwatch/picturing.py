"""Which images are shown: now and then the newest one of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import structlog

from eigerwatch.preview import make_preview
from eigerwatch.series.instructions import FrameReady
from eigerwatch.store.write import Writer
from eigerwatch.workers import Reducer

log = structlog.get_logger()

Place = tuple[str, str]
"""Series key and channel."""


class PreviewMaker:
    """Lets the workers make preview images and hands them to the store.

    Parameters
    ----------
    reducer
        Workers.
    writer
        Takes the images.
    period_s
        Time between two images of a channel [s]; 0: none are made.
    """

    def __init__(self, reducer: Reducer, writer: Writer, period_s: float) -> None:
        self._reducer = reducer
        self._writer = writer
        self._period_s = period_s
        self._due: dict[Place, float] = {}
        self._under_way: set[Place] = set()

    def choose(self, frames: Sequence[FrameReady], now: float) -> None:
        """Begin a preview of the newest of these frames of each channel that is due.

        Parameters
        ----------
        now
            Monotonic time [s].
        """
        if not self._period_s:
            return
        newest = {(r.series.key, r.channel): r for r in frames if not r.duplicate}
        for place, ready in newest.items():
            if now < self._due.get(place, 0.0) or place in self._under_way:
                continue
            self._due[place] = now + self._period_s
            self._under_way.add(place)
            facts = {"image_id": ready.image_id, "received_ns": str(ready.received_ns)}
            future = self._reducer.run(
                make_preview, ready.image, ready.pixel_filter, facts
            )
            future.add_done_callback(partial(self._done, place))

    def forget(self, series: str) -> None:
        """Drop what is remembered of a series."""
        for place in [place for place in self._due if place[0] == series]:
            del self._due[place]

    def _done(self, place: Place, future: Future[bytes]) -> None:
        self._under_way.discard(place)
        if future.cancelled():
            return
        problem = future.exception()
        if problem is None:
            self._writer.preview(*place, future.result())
        else:  # a corrupt image, which is counted where it is reduced
            log.debug("no preview", series=place[0], problem=str(problem))
