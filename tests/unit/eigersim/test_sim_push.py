from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq
from unit.eigersim.sim_decode import SMALL, message_of

from eigersim import stream2
from eigersim.errors import SimulatorError
from eigersim.push import PushSocket, Schedule, push_series
from eigersim.source import SyntheticSource


def series_of(frames=20):
    return SyntheticSource(
        SMALL, np.dtype("u2"), frames=frames, frame_time=1e-3
    ).series(1)


@contextmanager
def consumer_of(endpoint: str) -> Iterator[list[dict]]:
    """Collect messages until the end of a series."""
    received: list[dict] = []

    def pull() -> None:
        with zmq.Context() as context, context.socket(zmq.PULL) as socket:
            socket.rcvtimeo = 10_000
            socket.connect(endpoint)
            while not received or received[-1]["type"] != "end":
                received.append(message_of(socket.recv_multipart()))

    thread = threading.Thread(target=pull)
    thread.start()
    yield received
    thread.join()


def test_the_schedule_is_absolute():
    schedule = Schedule(origin_s=100.0, frame_time_s=0.5)
    assert schedule.due(0) == 100.0
    assert schedule.due(10) == 105.0
    assert schedule.wait(10, now=103.0) == 2.0
    assert schedule.wait(10, now=107.0) == 0.0
    # a delay of one frame does not move the next ones
    assert schedule.wait(11, now=105.2) == pytest.approx(0.3)


def test_a_frame_is_late_after_one_frame_time():
    schedule = Schedule(origin_s=0.0, frame_time_s=0.5)
    assert not schedule.is_late(4, now=2.0)
    assert not schedule.is_late(4, now=2.5)
    assert schedule.is_late(4, now=2.51)


@pytest.mark.parametrize("frame_time_s", [0.0, 0.002])
def test_a_consumer_gets_start_every_image_and_end(tmp_path, frame_time_s):
    stop = threading.Event()
    series = series_of()
    with PushSocket(f"ipc://{tmp_path}/s", hwm=100) as socket:
        with consumer_of(socket.endpoint) as received:
            socket.wait_for_consumer(10, stop)
            outcome = push_series(
                socket,
                stream2.Encoder(series.acquisition),
                series.exposures,
                frame_time_s,
                stop,
            )
    assert outcome.sent == list(range(20))
    assert outcome.dropped == []
    assert [message["type"] for message in received] == [
        "start",
        *["image"] * 20,
        "end",
    ]
    assert [message["image_id"] for message in received[1:-1]] == outcome.sent


def test_a_paced_sender_drops_what_nobody_fetches(tmp_path, monkeypatch):
    monkeypatch.setattr("eigersim.push._START_WAIT_S", 0.01)
    monkeypatch.setattr("eigersim.push._END_WAIT_S", 0.01)
    series = series_of()
    with PushSocket(f"ipc://{tmp_path}/s", hwm=10) as socket:
        outcome = push_series(
            socket,
            stream2.Encoder(series.acquisition),
            series.exposures,
            1e-4,
            threading.Event(),
        )
    assert outcome.sent == []
    assert outcome.dropped == list(range(20))
    assert outcome.late == 0


def test_a_stopped_series_still_ends(tmp_path):
    stop = threading.Event()
    series = series_of()

    def stopping():
        for exposure in series.exposures:
            if exposure.image_id == 5:
                stop.set()
            yield exposure

    with PushSocket(f"ipc://{tmp_path}/s", hwm=100) as socket:
        with consumer_of(socket.endpoint) as received:
            outcome = push_series(
                socket, stream2.Encoder(series.acquisition), stopping(), 0.0, stop
            )
    assert outcome.sent == [0, 1, 2, 3, 4]
    assert [m["type"] for m in received] == ["start", *["image"] * 5, "end"]


def test_waiting_in_vain_for_a_consumer_is_an_error(tmp_path):
    with (
        PushSocket(f"ipc://{tmp_path}/s", hwm=10) as socket,
        pytest.raises(SimulatorError, match="no consumer connected"),
    ):
        socket.wait_for_consumer(0.01, threading.Event())


def test_an_endpoint_in_use_is_an_error():
    with PushSocket("tcp://127.0.0.1:0", hwm=10) as socket:
        assert not socket.endpoint.endswith(":0")
        with pytest.raises(SimulatorError, match="cannot bind"):
            PushSocket(socket.endpoint, hwm=10)
