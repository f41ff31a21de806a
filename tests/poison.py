"""Images that are the end of whoever reads them. Workers of a cluster import this."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from eigerwatch.model import Image


@dataclass(slots=True)
class Raises(Image):
    """Raises what nobody expects."""

    @property
    def pixels(self) -> int:
        raise MemoryError("no room")


@dataclass(slots=True)
class Kills(Image):
    """Kills the process."""

    @property
    def pixels(self) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")
