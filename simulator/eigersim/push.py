"""Sends messages as a DCU does: in time, to whoever is connected, or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import zmq

from eigersim.acquisition import Exposure
from eigersim.errors import SimulatorError

_SLICE_S = 0.1
"""How long a wait lasts before the stop signal is looked at."""
_START_WAIT_S = 1.0
_END_WAIT_S = 2.0
_LINGER_MS = 3000


class MessageEncoder(Protocol):
    """What `stream1.Encoder` and `stream2.Encoder` have in common."""

    def start(self) -> list[bytes]:
        """Return the message that opens the series."""

    def image(self, exposure: Exposure) -> list[bytes]:
        """Return the message of one exposure."""

    def end(self) -> list[bytes]:
        """Return the message that closes the series."""


@dataclass(frozen=True)
class Schedule:
    """When each frame is due: an absolute timetable, so that delays never add up."""

    origin_s: float
    """When frame 0 is due, on the monotonic clock."""
    frame_time_s: float

    def due(self, image_id: int) -> float:
        """Return when `image_id` shall be sent."""
        return self.origin_s + image_id * self.frame_time_s

    def wait(self, image_id: int, now: float) -> float:
        """Return how long to sleep before `image_id`; 0 when behind."""
        return max(0.0, self.due(image_id) - now)

    def is_late(self, image_id: int, now: float) -> bool:
        """Tell whether more than one frame time has passed since it was due."""
        return now > self.due(image_id) + self.frame_time_s


class PushSocket:
    """A bound PUSH socket. A context manager.

    Parameters
    ----------
    endpoint
        ``tcp://…``, with port 0 for any free one, or ``ipc://…``.
    hwm
        Messages ZeroMQ holds for each consumer.
    """

    def __init__(self, endpoint: str, hwm: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.sndhwm = hwm
        self._socket.linger = _LINGER_MS
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as exc:
            self.close()
            raise SimulatorError(
                f"cannot bind {endpoint}: {exc}; choose another --endpoint, "
                "or stop the program that uses this one"
            ) from exc
        self.endpoint = str(self._socket.get_string(zmq.LAST_ENDPOINT))

    def wait_for_consumer(self, timeout_s: float, stop: threading.Event) -> None:
        """Return when a consumer is connected or `stop` is set.

        Raises
        ------
        SimulatorError
            Nobody came.
        """
        if not self._wait_until_writable(timeout_s, stop) and not stop.is_set():
            raise SimulatorError(
                f"no consumer connected to {self.endpoint} within {timeout_s:g} s; "
                "start one, or give it more time with --wait-s"
            )

    def _wait_until_writable(
        self, timeout_s: float | None, stop: threading.Event
    ) -> bool:
        """Wait while the pipes are full or absent; None: for ever."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _SLICE_S if deadline is None else deadline - time.monotonic()
            slice_ms = round(1000 * max(0.0, min(_SLICE_S, left)))
            if self._socket.poll(slice_ms, zmq.POLLOUT):
                return True
            if stop.is_set() or left <= 0:
                return False

    def try_send(self, parts: list[bytes]) -> bool:
        """Send now; false if every pipe is full or nobody is connected."""
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True

    def send(
        self, parts: list[bytes], timeout_s: float | None, stop: threading.Event
    ) -> bool:
        """Send, waiting for room up to `timeout_s` (None: for ever) or until `stop`."""
        while not self.try_send(parts):
            if not self._wait_until_writable(timeout_s, stop):
                return False
        return True

    def close(self) -> None:
        """Close, giving what is queued a moment to leave."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass
class Outcome:
    """What became of one series."""

    sent: list[int] = field(default_factory=list)
    """image_id of every frame that went out."""
    dropped: list[int] = field(default_factory=list)
    """image_id of every frame that found no room."""
    late: int = 0
    """Frames sent more than a frame time after they were due."""


def push_series(
    socket: PushSocket,
    encoder: MessageEncoder,
    exposures: Iterable[Exposure],
    frame_time_s: float,
    stop: threading.Event,
) -> Outcome:
    """Send one series, with its end even when `stop` is set on the way.

    Parameters
    ----------
    frame_time_s
        Time from frame to frame; a frame that finds no room is then dropped, as a DCU
        does. 0: as fast as it goes, waiting for room.
    """
    outcome = Outcome()
    paced = frame_time_s > 0
    socket.send(encoder.start(), _START_WAIT_S if paced else None, stop)
    schedule: Schedule | None = None
    for exposure in exposures:
        if stop.is_set():
            break
        parts = encoder.image(exposure)
        image_id = exposure.image_id
        if paced:
            if schedule is None:
                origin = time.monotonic() - image_id * frame_time_s
                schedule = Schedule(origin, frame_time_s)
            if not _sleep_until(schedule, image_id, stop):
                break
            sent = socket.try_send(parts)
            outcome.late += sent and schedule.is_late(image_id, time.monotonic())
        else:
            sent = socket.send(parts, None, stop)
            if not sent:  # told to stop while waiting
                break
        (outcome.sent if sent else outcome.dropped).append(image_id)
    # An unpaced sender waits for room; a stop then leaves the end a last moment.
    if paced or not socket.send(encoder.end(), None, stop):
        socket.send(encoder.end(), _END_WAIT_S, threading.Event())
    return outcome


def _sleep_until(schedule: Schedule, image_id: int, stop: threading.Event) -> bool:
    """Sleep until the frame is due; false if `stop` was set meanwhile."""
    while (left := schedule.wait(image_id, time.monotonic())) > 0:
        time.sleep(min(left, _SLICE_S))
        if stop.is_set():
            return False
    return True
