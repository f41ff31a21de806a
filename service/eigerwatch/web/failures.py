"""What goes wrong unexpectedly and again and again, told in the log once."""

from __future__ import annotations

import traceback

import structlog

log = structlog.get_logger(__name__)


class Failures:
    """Exceptions of something that is done many times a second."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def take(self, event: str, exc: Exception, **facts: str) -> str:
        """Log an exception unless one like it was; return its kind and place.

        Its own text may hold numbers that grow with the series: by that, it would be
        another one each time.
        """
        calls = traceback.walk_tb(exc.__traceback__)
        places = [(str(frame.f_globals.get("__name__")), line) for frame, line in calls]
        ours = [place for place in places if place[0].startswith("eigerwatch.")]
        module, line = (ours or places)[-1]
        text = f"{type(exc).__name__} in {module}, line {line}"
        if text not in self._logged:
            self._logged.add(text)
            log.error(event, **facts, exc_info=exc)
        return text
