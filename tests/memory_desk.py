"""Commands in memory, carried out as a consumer would."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace

from eigerwatch.countable import plain
from eigerwatch.sections import FilterSettings, RegionSettings
from eigerwatch.store.commanded import NextSettings, ReplayState

FILE = {
    "filter": plain(FilterSettings()),
    "regions": plain(RegionSettings()),
}
_STATES = {
    "replay.pause": "paused",
    "replay.go": "playing",
    "replay.stop": "stopped",
}


class MemoryDesk:
    """Answers like `eigerwatch.store.desk.Desk`."""

    def __init__(self) -> None:
        self.given: list[tuple[str, dict[str, str]]] = []
        self.refusal: str | None = ""
        """What becomes of every command; None: nobody answers."""
        self.kept: NextSettings | None = NextSettings(FILE)
        self.state = ReplayState()
        self.beats = True

    def replay(self) -> ReplayState:
        now_ms = int(time.time() * 1000)
        return replace(self.state, beat_ms=now_ms) if self.beats else self.state

    def settings(self) -> NextSettings | None:
        return self.kept

    def play(self, **changes: object) -> None:
        """Let the replay go on to another state."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]

    def carry_out(
        self, command: str, fields: Mapping[str, str], wait_s: float
    ) -> str | None:
        self.given.append((command, dict(fields)))
        if self.refusal != "":
            return self.refusal
        now_ms = int(time.time() * 1000)
        if command == "replay.start":
            self.state = ReplayState(
                state="playing",
                file=fields["file"],
                name=fields["file"].rpartition("/")[2],
                speed=float(fields["speed"]),
                by=fields["by"],
                started_ms=now_ms,
            )
        elif command == "replay.speed":
            self.play(speed=float(fields["speed"]))
        elif command == "settings.change":
            changes = json.loads(fields["settings"])
            self.kept = NextSettings(FILE, changes, fields["by"], now_ms)
        elif command == "settings.reset":
            self.kept = NextSettings(FILE, None, fields["by"], now_ms)
        else:
            self.play(state=_STATES[command])
        return ""
