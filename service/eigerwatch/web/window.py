"""Statistics of the newest seconds of what is being watched, kept up to date."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from eigerwatch.analysis.exclusion import Interval, mask_of
from eigerwatch.analysis.measured import measured_of
from eigerwatch.analysis.rolling import Rolling
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.frames import Scope, SeriesFrames

WINDOW_S = 10.0
MOST_FRAMES = 200_000
"""Of the window, where frames tell no times."""
KEPT = 8


@dataclass(slots=True)
class _Window:
    frames: SeriesFrames
    rolling: Rolling
    version: int
    """Of the frames, when they were last looked at."""
    fed: int
    start: int
    """First frame with the newest settings, when it was made."""
    left_out: tuple[Interval, ...] = ()


class Windows:
    """The windows of the series looked at lately; not thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def figures(
        self,
        frames: SeriesFrames,
        frame_time_s: float | None,
        left_out: tuple[Interval, ...],
    ) -> dict[str, Any]:
        """Return the figures of the newest seconds, without frames that are left out.

        Costs time in proportion to the frames that are new, and to the window for
        looking up which are left out.
        """
        key = (frames.series, frames.channel)
        window = self._kept.pop(key, None)
        if (
            window is None
            or window.frames is not frames
            or frames.n < window.fed
            or window.start != frames.settings_start
            or set(window.left_out) - set(left_out)  # taken back: read them again
        ):
            first, _ = frames.bounds(Scope("seconds", last=WINDOW_S))
            rolling = Rolling(
                frames=MOST_FRAMES, seconds=WINDOW_S, frame_time_s=frame_time_s
            )
            fed = max(first, frames.n - MOST_FRAMES)
            start = frames.settings_start
            window = _Window(frames, rolling, frames.version, fed, start)
        self._kept[key] = window
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        # Late frames stand before those fed; the window knows which it has.
        window.version, changed = frames.changed_since(window.version)
        start = max(min(window.fed, changed), frames.n - MOST_FRAMES, window.start)
        records = frames.records(start, frames.n)
        new = measured_of(records, first=start)
        window.rolling.add(new.positions, new.totals, new.times_s)
        window.fed, window.left_out = start + len(records), left_out
        if left_out:
            positions, _ = window.rolling.frames()
            window.rolling.leave_out(positions[mask_of(positions, left_out)])
        found = window.rolling.statistics()
        return {
            "seconds": WINDOW_S,
            "n": found.n,
            "mean": finite_or_none(found.mean),
            "cv_percent": finite_or_none(found.cv_detrended_percent),
            **found.shot.as_dict(),
        }
