"""Carries out what people command on the page."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from eigerwatch.chooser import Chooser
from eigerwatch.errors import ConfigError, ReplayError, StoreError
from eigerwatch.player import Player
from eigerwatch.sections import ReplaySettings
from eigerwatch.store.commanded import Commanded, NextSettings, ReplayState
from eigerwatch.store.control import Control, ControlCommand

log = structlog.get_logger()

_WAIT_S = 0.2
"""Between two looks at a replay [s]."""
_BEAT_S = 1.0
_AWAY_S = 0.5
"""Pause where the store does not answer [s]."""
_JOIN_S = 15.0
NAME_LENGTH = 200
"""Of who commands [characters]."""

_Fields = Mapping[str, str]


class Commands:
    """A thread that takes commands from the store and tells what became of them.

    Commands given before it began are not carried out: nobody waits for them.

    Parameters
    ----------
    control, commanded
        Where commands come from, and where the page reads their effect.
    chooser
        Settings of the next series.
    replay
        Where recordings are, and where the simulator offers them.
    """

    def __init__(
        self,
        control: Control,
        commanded: Commanded,
        chooser: Chooser,
        replay: ReplaySettings,
    ) -> None:
        self._control = control
        self._commanded = commanded
        self._chooser = chooser
        self._player = Player(replay, self._publish)
        self._after: str | None = None
        self._untold = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)
        self._actions: dict[str, Callable[[_Fields], None]] = {
            "replay.start": self._start,
            "replay.pause": lambda _: self._player.pause(paused=True),
            "replay.go": lambda _: self._player.pause(paused=False),
            "replay.speed": lambda said: self._player.set_speed(_number(said)),
            "replay.stop": lambda _: self._player.stop(),
            "settings.change": self._change,
            "settings.reset": self._reset,
        }

    def start(self) -> None:
        """Begin to take commands."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread, and with it a replay, has not ended yet."""
        return self._thread.is_alive()

    def stop_soon(self) -> None:
        """Ask the replay and the thread to end."""
        self._stop.set()

    def stop(self) -> None:
        """End the replay and the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        next_beat = 0.0
        try:
            while not self._stop.is_set():
                self._take()
                self._player.look()
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + _BEAT_S
                    self._player.beat()
                    if self._untold:
                        self._publish(self._player.state)
        finally:
            self._player.close("the service was stopped")

    def _begin(self) -> str:
        """Tell where things stand; return the place from which on commands count."""
        after = self._control.newest()
        self._commanded.write_settings(self._chooser.current)
        before = self._commanded.replay()
        if before.active:
            self._commanded.write_replay(_ended(before))
        return after

    def _take(self) -> None:
        try:
            if self._after is None:
                self._after = self._begin()
            for command in self._control.read(self._after, wait_s=_WAIT_S):
                self._after = command.id
                problem = self._carry_out(command)
                self._control.answer(command.id, problem)
        except StoreError as exc:
            log.debug("no commands", problem=str(exc))
            self._stop.wait(_AWAY_S)

    def _carry_out(self, command: ControlCommand) -> str:
        """Return why it was not done; empty: it was."""
        action = self._actions.get(command.command)
        if action is None:
            return f"this service knows no command {command.command!r:.80}"
        try:
            action(command.fields)
        except (ReplayError, ConfigError) as exc:
            log.info("command refused", command=command.command, why=str(exc))
            return str(exc)
        return ""

    def _start(self, said: _Fields) -> None:
        self._player.start(said.get("file", ""), _number(said), _name(said))

    def _change(self, said: _Fields) -> None:
        try:
            changes = json.loads(said.get("settings", ""))
        except (ValueError, RecursionError) as exc:
            raise ConfigError(f"page: settings that are no JSON ({exc})") from exc
        if not isinstance(changes, dict):
            raise ConfigError("page: settings that are no sections")
        before = self._chooser.current
        self._chooser.change(changes, _name(said))
        self._keep(before)

    def _reset(self, said: _Fields) -> None:
        before = self._chooser.current
        self._chooser.reset(_name(said))
        self._keep(before)

    def _keep(self, before: NextSettings) -> None:
        """Store what was chosen; what cannot be stored does not hold either."""
        try:
            self._commanded.write_settings(self._chooser.current)
        except StoreError:
            self._chooser.put_back(before)
            raise

    def _publish(self, state: ReplayState) -> None:
        """Tell the page; again later where the store is away."""
        try:
            self._commanded.write_replay(state)
            self._untold = False
        except StoreError:
            self._untold = True


def _ended(state: ReplayState) -> ReplayState:
    """Return the state of a replay whose service is gone."""
    return replace(state, state="ended", text="the service ended while it went on")


def _number(said: _Fields) -> float:
    try:
        return float(said.get("speed", ""))
    except ValueError:
        raise ReplayError("a speed is a number, or 0: as fast as it goes") from None


def _name(said: _Fields) -> str:
    return said.get("by", "")[:NAME_LENGTH]
