"""The whole service behind a virtual detector: the highest rate without a loss."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from eigerwatch.app import running_store
from eigerwatch.bench.frames import Case
from eigerwatch.bench.tasks import start_task
from eigerwatch.children import Child
from eigerwatch.config import Settings
from eigerwatch.decoding import BSLZ4
from eigerwatch.errors import EigerwatchError, UnknownSeriesError
from eigerwatch.model import FRAME_RECORD, cap_of
from eigerwatch.reading import open_reader
from eigerwatch.sandbox import (
    isolated,
    what_was_sent,
    write_settings,
)
from eigerwatch.store.read import Reader

STREAM = "v2"

_BLOCK_BYTES = 8192
_SEARCHED_BYTES = 4096
_UINT32_FOLLOWS = 0x5A
_UINT16 = struct.Struct(">H").unpack_from
_UINT32 = struct.Struct(">I").unpack_from

_CHANNEL = "threshold_1"
_SECONDS = 5.0
"""Length of a trial [s]."""
_STEP = 0.95
_LOWEST = 0.5
"""Rates are tried downwards in steps, as far as to this part of the unpaced one."""
_PIXELS_PER_S = 6e9
_FRAMES_PER_S = 6000
"""Rough limits of such a host, for the length of the first trial."""
_BUFFER_S = 0.25
_LEAST_BUFFER = 128
"""What the detector buffers, as real ones do: so much time, but so many frames."""
_BEHIND = 0.97
"""A receiver that takes less than this part of a rate is not keeping up with it."""
_WAIT_S = 60.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the frames that were sent at one rate."""

    frames: int
    lost: int
    """Dropped by the virtual detector, or not stored."""
    frames_per_s: float
    """From the first frame's arrival until all were done with."""

    def keeps_up(self, rate_hz: float) -> bool:
        """Tell whether nothing was lost, nor on the way of being lost."""
        return not self.lost and self.frames_per_s >= _BEHIND * rate_hz


Send = Callable[[Case, int, float], Trial]
"""Sends so many frames at a rate [Hz], 0: as fast as they are taken."""


def measure(case: Case, pixels: int, send: Send) -> dict[str, Any]:
    """Find the highest rate that a receiver keeps up with.

    First the detector waits for the receiver; then it does not, as no real one does,
    at that rate and at lower ones, until nothing is lost.

    Returns
    -------
    dict
        ``unpaced_frames_per_s``; ``frames_per_s``, None where frames were lost even
        at half of that; ``frames`` and ``lost`` of the last trial.
    """
    guess_hz = min(_FRAMES_PER_S, _PIXELS_PER_S / pixels)
    unpaced = send(case, round(_SECONDS * guess_hz), 0.0)
    rate_hz = unpaced.frames_per_s
    while True:
        paced = send(case, round(_SECONDS * rate_hz), rate_hz)
        kept_up = paced.keeps_up(rate_hz)
        if kept_up or rate_hz < _LOWEST * unpaced.frames_per_s:
            break
        rate_hz *= _STEP
    return {
        "frames_per_s": round(rate_hz, 1) if kept_up else None,
        "unpaced_frames_per_s": round(unpaced.frames_per_s, 1),
        "frames": paced.frames,
        "lost": paced.lost,
    }


@contextmanager
def service(folder: Path) -> Iterator[Send]:
    """Run store and consumer; yield what sends frames to them."""
    settings = isolated(Settings(), folder)
    stream = settings.stream.model_copy(update={"endpoint": _free_endpoint()})
    quiet = settings.log.model_copy(update={"level": "warning"})
    settings = settings.model_copy(update={"stream": stream, "log": quiet})
    config = folder / "settings.yaml"
    with ExitStack() as stack:
        store_url = stack.enter_context(running_store(settings))
        write_settings(
            settings.model_copy(
                update={"store": settings.store.model_copy(update={"url": store_url})}
            ),
            config,
        )
        arguments = ["run", "--only", "consumer", "--config", str(config)]
        consumer = Child("eigerwatch", arguments, quiet=True)
        stack.callback(consumer.stop)
        consumer.start()
        reader = open_reader(settings, store_url)
        _await_owner(reader)

        def send(case: Case, frames: int, rate_hz: float) -> Trial:
            sent = _simulate(stream.endpoint, case, frames, rate_hz, folder)
            return _stored(reader, sent, consumer)

        yield send


def _stored(reader: Reader, sent: dict[str, Any], consumer: Child) -> Trial:
    """Wait until all that was sent is stored, or no more comes.

    Raises
    ------
    EigerwatchError
        The consumer ended, or stores nothing any more.
    """
    key = f"sim:{sent['series'][0]['unique_id']}"
    frames: int = sent["sent"]
    stored = 0
    ended = False
    deadline = time.monotonic() + _WAIT_S
    while stored < frames and not ended:
        if consumer.poll() is not None or time.monotonic() > deadline:
            raise EigerwatchError(
                f"only {stored} of {frames} frames were stored in time; "
                "see the messages above"
            )
        time.sleep(_POLL_S)
        try:
            info = reader.info(key)
        except UnknownSeriesError:
            continue
        ledger = info.ledgers.get(_CHANNEL)
        stored = 0 if ledger is None else ledger.stored
        ended = info.ended_ms is not None
    end_ns = time.time_ns()
    first = reader.rows(key, _CHANNEL, 0, 1)
    seconds = (end_ns - int(first["received_ns"][0])) / 1e9
    return Trial(frames, sent["dropped"] + frames - stored, stored / seconds)


def bare(folder: Path, dtype: str, pixels: int) -> Send:
    """Return what sends frames to a loop that does nothing but reduce them."""

    def send(case: Case, frames: int, rate_hz: float) -> Trial:
        endpoint = _free_endpoint()
        loop = start_task(
            "bare_loop", one_cpu=False, endpoint=endpoint, dtype=dtype, pixels=pixels
        )
        try:
            sent = _simulate(endpoint, case, frames, rate_hz, folder)
            output, _ = loop.communicate(timeout=_WAIT_S)
        except subprocess.TimeoutExpired as exc:
            raise EigerwatchError("the bare loop did not come to an end") from exc
        finally:
            loop.kill()
            loop.wait()
        if loop.returncode:
            raise EigerwatchError("the bare loop failed; see the message above")
        done = json.loads(output)
        lost = sent["dropped"] + sent["sent"] - done["frames"]
        return Trial(sent["sent"], lost, done["frames"] / done["seconds"])

    return send


def bare_loop(endpoint: str, dtype: str, pixels: int) -> dict[str, Any]:
    """PULL and reduce until a message without an image comes after the first one."""
    from eigerwatch import _kernel

    kind = np.dtype(dtype)
    header = struct.pack(">QI", pixels * kind.itemsize, _BLOCK_BYTES)
    selection = _kernel.Selection(pixels, 0, cap_of(kind))
    record = bytearray(FRAME_RECORD.itemsize)
    scratch: bytearray | None = None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    pull = context.socket(zmq.PULL)
    pull.rcvhwm = Settings().stream.receive_hwm
    pull.connect(endpoint)
    frames, begin = 0, 0.0
    while True:
        message = pull.recv(copy=False).buffer
        start = message[:_SEARCHED_BYTES].tobytes().find(header)
        if start < 0:
            if frames:
                break
            continue  # the series' START
        # Before it stands the length of the byte string: 32 bits, or 16.
        (length,) = _UINT32(message, start - 4)
        if message[start - 5] != _UINT32_FOLLOWS:
            (length,) = _UINT16(message, start - 2)
        payload = message[start : start + length]
        if scratch is None:
            begin = time.perf_counter()
            size = _kernel.scratch_bytes((payload,), BSLZ4, kind.itemsize, pixels)
            scratch = bytearray(size)
        faults = _kernel.reduce(
            (payload,), BSLZ4, kind.itemsize, selection, record, None, scratch
        )
        if faults:
            raise EigerwatchError(f"frame {frames}: {faults[0][1]}")
        frames += 1
    seconds = time.perf_counter() - begin
    context.destroy(0)
    return {"frames": frames, "seconds": seconds}


def _simulate(
    endpoint: str, case: Case, frames: int, rate_hz: float, folder: Path
) -> dict[str, Any]:
    """Let the virtual detector send one series; return its summary.

    Raises
    ------
    EigerwatchError
        It failed.
    """
    summary = folder / "summary.json"
    summary.unlink(missing_ok=True)
    arguments = [
        *("run", "--endpoint", endpoint, "--stream", STREAM, *case.options()),
        *("--frames", str(frames), "--frame-rate", str(rate_hz)),
        *("--hwm", str(max(_LEAST_BUFFER, round(_BUFFER_S * rate_hz)))),
        *("--wait-s", str(_WAIT_S), "--summary", str(summary)),
    ]
    simulator = Child("eigersim", arguments, quiet=True)
    try:
        simulator.start()
        while simulator.wait(1.0) is None:
            pass
        return what_was_sent(summary, simulator, interrupted=False)
    finally:
        simulator.stop()


def _free_endpoint() -> str:
    """Return the address of a port that is free: TCP, as detectors speak it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _await_owner(reader: Reader) -> None:
    deadline = time.monotonic() + _WAIT_S
    while reader.owner() is None:
        if time.monotonic() > deadline:
            raise EigerwatchError("the consumer did not start; see the messages above")
        time.sleep(_POLL_S)
