"""What people command, as the consumer tells it: the replay, and the next settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from eigerwatch.store import keys
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import json_of, text_of

ACTIVE = ("starting", "playing", "paused", "stopping")
"""States of a replay that goes on."""


@dataclass(frozen=True, slots=True)
class ReplayState:
    """The replay that goes on, or the last one."""

    state: str = "none"
    """none, starting, playing, paused, stopping; finished, stopped, failed, ended."""
    file: str = ""
    """As `recordings.Recorded.file`."""
    name: str = ""
    """Of the file, fit to be shown."""
    frame: int = 0
    """Number of the newest frame sent, from 1; 0: none yet."""
    frames: int = 0
    """Announced by the file; 0: not known yet."""
    sent: int = 0
    speed: float = 1.0
    """Factor of the recorded rate; 0: as fast as it goes."""
    text: str = ""
    """Why it failed or ended, or what is incomplete."""
    series: str = ""
    """Key of the series that it makes; empty: none yet."""
    by: str = ""
    """Who started it, as they call themselves."""
    started_ms: int = 0
    beat_ms: int = 0
    """Last sign of life, UTC epoch [ms]."""

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True)
class NextSettings:
    """What the next series is counted with."""

    file: dict[str, Any]
    """Sections `filter` and `regions` of the settings file."""
    changes: dict[str, dict[str, Any]] | None = None
    """Keys by section that people changed; None: the file holds."""
    by: str = ""
    """Who changed them, as they call themselves."""
    changed_ms: int = 0
    problem: str = ""
    """Why kept changes are not in effect; empty: they are."""


class Commanded:
    """Keeps both in Redis; written by the consumer alone, may be shared by threads.

    Every method raises `StoreError` where Redis is away or refuses.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def replay(self) -> ReplayState:
        """Return the state of the replay."""
        said = self._read(keys.REPLAY)
        known = {}
        for name, default in asdict(ReplayState()).items():
            try:
                value = type(default)(said[name])
            except (KeyError, ValueError):
                continue
            if value == value:  # not NaN
                known[name] = value
        return ReplayState(**known)

    def write_replay(self, state: ReplayState) -> None:
        """Keep the state of the replay."""
        fields: Any = {name: str(value) for name, value in asdict(state).items()}
        with translated():
            self._client.hset(keys.REPLAY, mapping=fields)

    def settings(self) -> NextSettings | None:
        """Return what the next series is counted with; None: nobody has said yet."""
        said = self._read(keys.NEXT_SETTINGS)
        file = json_of(said.get("file"), dict)
        if file is None:
            return None
        changed_ms = said.get("changed_ms", "")
        return NextSettings(
            file=file,
            changes=json_of(said.get("changes"), dict) or None,
            by=said.get("by", ""),
            changed_ms=int(changed_ms) if changed_ms.isdecimal() else 0,
            problem=said.get("problem", ""),
        )

    def write_settings(self, settings: NextSettings) -> None:
        """Keep what the next series is counted with."""
        fields: Any = {
            "file": _json(settings.file),
            "changes": _json(settings.changes or {}),
            "by": settings.by,
            "changed_ms": settings.changed_ms,
            "problem": settings.problem,
        }
        with translated():
            self._client.hset(keys.NEXT_SETTINGS, mapping=fields)

    def _read(self, key: str) -> dict[str, str]:
        with translated():
            return text_of(self._client.hgetall(key))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
