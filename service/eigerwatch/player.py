"""Plays one recording at a time into the replay endpoint, as people command it.

The simulator sends it, as a process of its own: a file that crashes HDF5 costs the
replay and nothing else. It is tied to this process by its standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import structlog

from eigerwatch.errors import ReplayError
from eigerwatch.log import printable
from eigerwatch.model import SourceKind
from eigerwatch.recordings import locate
from eigerwatch.sections import ReplaySettings
from eigerwatch.series.identity import series_key
from eigerwatch.store.commanded import ReplayState

log = structlog.get_logger()

FASTEST = 1000.0
"""Largest factor of the recorded rate that may be asked for."""
_CONNECT_S = 15
_STOP_S = 5.0
"""How long the simulator may take to stop by itself [s]."""
_ERROR_BYTES = 4096
_SENTENCE = 500


class Player:
    """Runs the simulator; all but the reading of its progress is one thread's.

    Parameters
    ----------
    settings
        Where recordings are and where the simulator offers them.
    publish
        Takes every new state.
    """

    def __init__(
        self, settings: ReplaySettings, publish: Callable[[ReplayState], None]
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._progress: dict[str, Any] = {}
        self._stop_asked = False
        self._next_force = 0.0
        self.state = ReplayState()

    def start(self, file: str, speed: float, by: str) -> None:
        """Begin to play a recording.

        Raises
        ------
        ReplayError
            Another one is being played, or this one cannot be.
        """
        if not self._settings.enabled:
            raise ReplayError("this service takes no replays; set replay.enabled: true")
        if self.state.active:
            raise ReplayError(
                f"{self.state.name} is being replayed; stop it, or wait for its end"
            )
        speed = _checked(speed)
        master = locate(file, self._settings.roots)
        self._progress = {}
        self._stop_asked = False
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command_line(master, speed),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
        except OSError as exc:
            self._errors.close()
            raise ReplayError(f"the simulator cannot be started: {exc}") from exc
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True
        )
        self._listener.start()
        now_ms = _now_ms()
        self._say(
            ReplayState(
                state="starting",
                file=file,
                name=printable(master.name),
                speed=speed,
                by=by,
                started_ms=now_ms,
            )
        )
        log.info("replay began", file=master.name, speed=speed)

    def pause(self, *, paused: bool) -> None:
        """Hold the replay, or let it go on.

        Raises
        ------
        ReplayError
            None goes on, or it is being stopped.
        """
        self._require("paused" if paused else "gone on with")
        self._command("pause" if paused else "go")
        if paused:
            self._say(replace(self.state, state="paused"))
        else:
            started = self.state.frame > 0
            self._say(replace(self.state, state="playing" if started else "starting"))

    def set_speed(self, speed: float) -> None:
        """Change the pace.

        Raises
        ------
        ReplayError
            No replay goes on, or there is no such speed.
        """
        self._require("sped up")
        speed = _checked(speed)
        self._command(f"speed {speed!r}")
        self._say(replace(self.state, speed=speed))

    def stop(self) -> None:
        """End the replay; what was sent stays.

        Raises
        ------
        ReplayError
            None goes on.
        """
        self._require("stopped")
        self._stop_asked = True
        self._next_force = time.monotonic() + _STOP_S
        self._command("stop")
        self._say(replace(self.state, state="stopping"))

    def look(self) -> None:
        """Note what the simulator does; call now and then."""
        process = self._process
        if process is None:
            return
        code = process.poll()
        self._note_progress()
        if code is not None:
            self._ended(code)
        elif self._stop_asked and time.monotonic() > self._next_force:
            # It hangs, in HDF5 or in a file system: it has nothing to lose.
            process.kill()

    def close(self, why: str) -> None:
        """End the replay because the service ends."""
        process = self._process
        if process is None:
            return
        self._command("stop")
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._note_progress()
        self._tidy()
        self._say(replace(self.state, state="ended", text=why))

    # The simulator

    def _command_line(self, master: Path, speed: float) -> list[str]:
        arguments = [
            *(sys.executable, "-m", "eigersim", "run"),
            *("--master", str(master), "--speed", repr(speed)),
            *("--endpoint", self._settings.endpoint),
            *("--wait-s", str(_CONNECT_S)),
            *("--header-detail", "all"),  # for the pixel mask
        ]
        for root in self._settings.roots:
            arguments += ["--root", str(root)]
        return arguments

    def _command(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it has just ended; `look` finds out how
            log.debug("replay ended before a command", command=line)

    def _listen(self, output: IO[bytes]) -> None:
        for line in output:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict):
                self._progress = told

    def _note_progress(self) -> None:
        told = self._progress
        frame = _whole(told.get("image_id"), -1) + 1
        unique_id = told.get("unique_id")
        state = self.state.state
        if state == "starting" and frame > 0:
            state = "playing"
        series = ""
        if isinstance(unique_id, str) and unique_id:
            series = series_key(SourceKind.REPLAY, 0, unique_id, None, 0)
        missing = _whole(told.get("files_missing"), 0)
        changed = replace(
            self.state,
            state=state,
            frame=frame,
            frames=_whole(told.get("of"), 0),
            sent=_whole(told.get("sent"), 0),
            series=series,
            text=f"data files that are missing: {missing}" if missing else "",
        )
        if changed != self.state:
            self._say(changed)

    def _ended(self, code: int) -> None:
        assert self._listener is not None
        self._listener.join(_STOP_S)  # for the last words
        self._note_progress()
        reason = "" if code == 0 else self._reason(code)
        self._tidy()
        if self._stop_asked:
            self._say(replace(self.state, state="stopped"))
        elif reason:
            self._say(replace(self.state, state="failed", text=reason))
        else:
            self._say(replace(self.state, state="finished"))
        log.info(
            "replay ended",
            file=self.state.name,
            how=self.state.state,
            sent=self.state.sent,
            why=reason,
        )

    def _reason(self, code: int) -> str:
        """Return the simulator's last words, or how it died."""
        assert self._errors is not None
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - _ERROR_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if code < 0:
            return f"the file crashed its reader (signal {-code}); copy it again"
        said = lines[-1].removeprefix("eigersim: ") if lines else f"exit code {code}"
        return printable(said, _SENTENCE)

    def _tidy(self) -> None:
        assert self._process is not None
        assert self._errors is not None
        if self._listener is not None:
            self._listener.join(_STOP_S)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):  # a command that nobody took
                    pipe.close()
        self._process = self._listener = self._errors = None

    # The state

    def _require(self, what: str) -> None:
        if self._process is None or not self.state.active:
            raise ReplayError(f"no replay goes on that could be {what}")
        if self._stop_asked:
            raise ReplayError("the replay is being stopped already")

    def _say(self, state: ReplayState) -> None:
        self.state = replace(state, beat_ms=_now_ms())
        self._publish(self.state)

    def beat(self) -> None:
        """Give a sign of life of a replay that goes on."""
        if self.state.active:
            self._say(self.state)


def _checked(speed: float) -> float:
    if not 0 <= speed <= FASTEST:
        raise ReplayError(
            f"speed {speed:g}: a factor of the recorded rate, up to {FASTEST:g}, or 0: "
            "as fast as it goes"
        )
    return speed


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and -1 <= value < 2**53 else default
