"""The pace of a replay, which others may change while it goes on."""

from __future__ import annotations

import threading
import time

_SLICE_S = 0.1
"""How long a wait lasts before the stop signal is looked at."""
_FARTHEST_BEHIND_S = 1.0
"""Further behind, the timetable begins anew instead of being caught up with."""


class Pace:
    """When each frame is due; thread-safe.

    Parameters
    ----------
    frame_time_s
        As recorded [s]; 0: not known, so every speed is as fast as it goes.
    speed
        Factor of the recorded rate; 0: as fast as it goes.
    """

    def __init__(self, frame_time_s: float, speed: float = 1.0) -> None:
        self._frame_time_s = frame_time_s
        self._changed = threading.Condition()
        self._speed = speed
        self._paused = False
        self._origin: tuple[float, int] | None = None
        """When which frame was due."""

    def pause(self) -> None:
        """Let no frame go out."""
        with self._changed:
            self._paused = True

    def go_on(self) -> None:
        """Let frames go out again, at the pace of before."""
        with self._changed:
            self._paused = False
            self._origin = None
            self._changed.notify_all()

    def set_speed(self, speed: float) -> None:
        """Change the factor of the recorded rate from the next frame on."""
        with self._changed:
            self._speed = speed
            self._origin = None
            self._changed.notify_all()

    def wait(self, image_id: int, stop: threading.Event) -> bool:
        """Return when a frame is due; false if `stop` was set meanwhile."""
        with self._changed:
            while not stop.is_set():
                left = _SLICE_S if self._paused else self._left(image_id)
                if left <= 0:
                    return True
                self._changed.wait(min(left, _SLICE_S))
        return False

    def _left(self, image_id: int) -> float:
        """Return the time until a frame is due [s]."""
        if not self._speed or not self._frame_time_s:
            return 0.0
        now = time.monotonic()
        if self._origin is None:
            self._origin = (now, image_id)
        began, first = self._origin
        left = began + (image_id - first) * self._frame_time_s / self._speed - now
        if left < -_FARTHEST_BEHIND_S:
            self._origin = (now, image_id)
        return left
