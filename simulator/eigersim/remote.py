"""Run by another program: commands from standard input, progress to standard output.

Commands are lines: ``pause``, ``go``, ``speed FACTOR`` (of the recorded rate; 0: as
fast as it goes) and ``stop``. The end of the input means ``stop``, so that a run ends
with the program that commands it, however that ends. Progress is lines of JSON objects.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from eigersim.acquisition import Exposure
from eigersim.pace import Pace
from eigersim.push import MessageEncoder, Outcome, PushSocket

FASTEST = 10_000.0
"""Largest factor of the recorded rate."""
_END_WAIT_S = 2.0
_REPORT_S = 0.2
_MOST_BYTES = 4096


class Remote:
    """Takes commands and tells of progress.

    Parameters
    ----------
    pace
        What the commands change.
    stop
        Set by ``stop`` and at the end of the input.
    fd
        Where commands come from.
    """

    def __init__(self, pace: Pace, stop: threading.Event, fd: int = 0) -> None:
        self.pace = pace
        self._stop = stop
        self._fd = fd
        self._next_report = 0.0
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def _listen(self) -> None:
        # Not by sys.stdin, whose lock a thread at the end of the program would hold.
        waiting = b""
        while chunk := os.read(self._fd, _MOST_BYTES):
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                self.obey(line.decode("utf-8", "replace"))
            waiting = waiting[-_MOST_BYTES:]
        self._stop.set()

    def obey(self, line: str) -> None:
        """Carry out one command; nothing happens where it is none."""
        word, _, value = line.strip().partition(" ")
        if word == "pause":
            self.pace.pause()
        elif word == "go":
            self.pace.go_on()
        elif word == "stop":
            self._stop.set()
        elif word == "speed" and (speed := speed_of(value)) is not None:
            self.pace.set_speed(speed)

    def tell(self, facts: dict[str, Any], *, always: bool = False) -> None:
        """Tell of progress, now and then or `always`."""
        now = time.monotonic()
        if not always and now < self._next_report:
            return
        self._next_report = now + _REPORT_S
        try:
            sys.stdout.write(json.dumps(facts) + "\n")
            sys.stdout.flush()
        except OSError:  # nobody listens any more
            self._stop.set()

    def push(
        self,
        socket: PushSocket,
        encoder: MessageEncoder,
        exposures: Iterable[Exposure],
        facts: dict[str, Any],
        stop: threading.Event,
    ) -> Outcome:
        """Send one series at the pace commanded, with its end even when stopped.

        A recording can wait: no frame is dropped.
        """
        outcome = Outcome()
        self.tell({**facts, "sent": 0, "image_id": -1}, always=True)
        if not socket.send(encoder.start(), None, stop):
            return outcome
        for exposure in exposures:
            if not self.pace.wait(exposure.image_id, stop):
                break
            if not socket.send(encoder.image(exposure), None, stop):
                break
            outcome.sent.append(exposure.image_id)
            self.tell(_progress(facts, outcome))
        socket.send(encoder.end(), _END_WAIT_S, threading.Event())
        self.tell(_progress(facts, outcome), always=True)
        return outcome


def _progress(facts: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    newest = outcome.sent[-1] if outcome.sent else -1
    return {**facts, "sent": len(outcome.sent), "image_id": newest}


def speed_of(text: str) -> float | None:
    """Return a factor of the recorded rate; None where `text` is none."""
    try:
        speed = float(text)
    except ValueError:
        return None
    return speed if math.isfinite(speed) and 0 <= speed <= FASTEST else None
