from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers import wait_until
from unit.eigersim.sim_decode import SMALL, message_of

from eigersim.cli import main
from eigersim.dataset import DatasetPlan, make_dataset
from eigersim.pace import Pace
from eigersim.remote import Remote, speed_of
from eigersim.source import SyntheticSource

LONG_S = 3600.0


def waiting(pace: Pace, image_id: int, stop: threading.Event) -> tuple[Any, list[bool]]:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(pace.wait(image_id, stop)))
    thread.start()
    return thread, answers


def test_frames_are_due_at_the_recorded_rate_times_the_speed():
    pace, stop = Pace(0.02, speed=0.5), threading.Event()
    began = time.monotonic()
    assert all(pace.wait(image_id, stop) for image_id in range(6))
    assert time.monotonic() - began >= 5 * 0.04


@pytest.mark.parametrize(("frame_time_s", "speed"), [(LONG_S, 0.0), (0.0, 1.0)])
def test_as_fast_as_it_goes_never_waits(frame_time_s, speed):
    pace = Pace(frame_time_s, speed)
    assert all(pace.wait(n, threading.Event()) for n in range(1000))


def test_a_pause_holds_every_frame_until_it_goes_on():
    pace, stop = Pace(0.0), threading.Event()
    pace.pause()
    thread, answers = waiting(pace, 0, stop)
    thread.join(0.3)
    assert answers == []
    pace.go_on()
    thread.join(20)
    assert answers == [True]


def test_a_change_of_speed_acts_on_the_frame_that_waits():
    pace, stop = Pace(LONG_S), threading.Event()
    assert pace.wait(0, stop)
    thread, answers = waiting(pace, 1, stop)
    pace.set_speed(0)
    thread.join(20)
    assert answers == [True]


@pytest.mark.parametrize("paused", [True, False])
def test_stop_ends_a_wait(paused):
    pace, stop = Pace(LONG_S), threading.Event()
    assert pace.wait(0, stop)
    if paused:
        pace.pause()
    thread, answers = waiting(pace, 1, stop)
    stop.set()
    thread.join(20)
    assert answers == [False]


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("2.5", 2.5),
        ("0", 0.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("x", None),
        ("", None),
    ],
)
def test_speeds_are_checked(text, speed):
    assert speed_of(text) == speed


def test_the_end_of_the_commands_stops(tmp_path):
    read, write = os.pipe()
    stop = threading.Event()
    Remote(Pace(0.0), stop, read).start()
    os.write(write, b"nonsense\nspeed ten\n\xff\n")
    assert not stop.wait(0.2)
    os.close(write)
    assert stop.wait(20)
    os.close(read)


class Commanded:
    """The simulator as a program that this one commands."""

    def __init__(self, folder: Path, speed: float) -> None:
        self.master = folder / "x_master.h5"
        source = SyntheticSource(SMALL, np.dtype("u2"), frames=40, frame_time=0.01)
        make_dataset(DatasetPlan(self.master), source)
        self.context: Any = zmq.Context()
        self.socket = self.context.socket(zmq.PULL)
        self.socket.rcvtimeo = 20_000
        self.socket.connect(f"ipc://{folder}/s")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "eigersim", "run"),
                *("--endpoint", f"ipc://{folder}/s"),
                *("--master", str(self.master), "--speed", str(speed)),
                *("--wait-s", "20"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.told: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"{"):
                self.told.append(json.loads(line))

    def command(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        return message_of(self.socket.recv_multipart())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(20)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.context.destroy(0)


def test_a_replay_is_commanded_and_tells_of_its_progress(tmp_path):
    # The second frame would come after 100 s: only commands let it go out.
    run = Commanded(tmp_path, 0.0001)
    try:
        assert run.receive()["type"] == "start"
        assert run.receive()["image_id"] == 0
        run.command("speed 0")
        messages = [run.receive() for _ in range(40)]
        assert [m["image_id"] for m in messages[:-1]] == list(range(1, 40))
        assert messages[-1]["type"] == "end"
        assert run.process.wait(20) == 0
        wait_until(lambda: run.told and run.told[-1]["sent"] == 40, what="progress")
        first, last = run.told[0], run.told[-1]
        assert (first["sent"], first["image_id"], first["of"]) == (0, -1, 40)
        assert (last["image_id"], last["of"]) == (39, 40)
        assert last["unique_id"] == messages[-1]["series_unique_id"]
    finally:
        run.close()


def test_a_commanded_replay_ends_with_its_commander(tmp_path):
    run = Commanded(tmp_path, 0.0001)
    try:
        assert run.receive()["type"] == "start"
        assert run.process.stdin is not None
        run.process.stdin.close()
        while run.receive()["type"] != "end":
            pass
        assert run.process.wait(20) == 0
    finally:
        run.close()


def test_speed_wants_a_recording(tmp_path, capsys):
    assert main(["run", "--speed", "2", "--endpoint", f"ipc://{tmp_path}/s"]) == 2
    assert "--speed" in capsys.readouterr().err
