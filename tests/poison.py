"""Images that are the end of whoever reads them. Workers of a cluster import this."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from eigerwatch.model import FileChunk


@dataclass(frozen=True, slots=True)
class Raises(FileChunk):
    """Raises what nobody expects."""

    def read(self) -> bytes:
        raise MemoryError("no room")


@dataclass(frozen=True, slots=True)
class Kills(FileChunk):
    """Kills the process."""

    def read(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")
