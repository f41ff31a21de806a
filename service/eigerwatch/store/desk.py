"""Where the page gives commands and reads their effect."""

from __future__ import annotations

from collections.abc import Mapping

from eigerwatch.store.client import Client
from eigerwatch.store.commanded import Commanded, NextSettings, ReplayState
from eigerwatch.store.control import Control


class Desk:
    """Commands for the consumer; may be shared by threads.

    Every method raises `StoreError` where Redis is away or refuses.
    """

    def __init__(self, client: Client) -> None:
        self._control = Control(client)
        self._commanded = Commanded(client)

    def replay(self) -> ReplayState:
        """Return the state of the replay."""
        return self._commanded.replay()

    def settings(self) -> NextSettings | None:
        """Return what the next series is counted with; None: nobody has said yet."""
        return self._commanded.settings()

    def carry_out(
        self, command: str, fields: Mapping[str, str], wait_s: float
    ) -> str | None:
        """Give a command and return what became of it: a problem, or "" for done.

        None: not known within `wait_s` [s].
        """
        return self._control.answered(self._control.append(command, fields), wait_s)
