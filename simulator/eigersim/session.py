"""One run of the virtual detector: series after series until told to stop."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any

from eigersim import stream1, stream2
from eigersim.acquisition import HeaderDetail
from eigersim.errors import SimulatorError
from eigersim.pace import Pace
from eigersim.push import PushSocket, push_series
from eigersim.remote import Remote
from eigersim.source import Series, Source
from eigersim.truth import write_truth


class Stream(StrEnum):
    """Versions of SIMPLON's stream interface."""

    V1 = "v1"
    V2 = "v2"


_ENCODERS: dict[Stream, type[stream1.Encoder] | type[stream2.Encoder]] = {
    Stream.V1: stream1.Encoder,
    Stream.V2: stream2.Encoder,
}


@dataclass(frozen=True)
class RunPlan:
    """How to send, whatever the frames are."""

    endpoint: str
    stream: Stream = Stream.V2
    series: int = 1
    """0: for ever."""
    first_series_id: int = 1
    pause_s: float = 0.0
    frame_time_s: float = 0.0
    """Pace; 0: as fast as it goes."""
    header_detail: HeaderDetail = HeaderDetail.BASIC
    image_appendix: str | None = None
    wait_s: float | None = None
    """How long to wait for a consumer before the first series; None: not at all."""
    hwm: int = 128
    truth: Path | None = None
    commanded: Pace | None = None
    """Pace that commands from standard input change, instead of `frame_time_s`."""


@dataclass
class Summary:
    """What was sent."""

    endpoint: str
    sent: int = 0
    late: int = 0
    dropped: int = 0
    series: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        """Return it as one line."""
        return (
            f"frames sent={self.sent} late={self.late} dropped={self.dropped} "
            f"series={len(self.series)} seconds={self.seconds:.3f}"
        )

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        facts = {
            "sent": self.sent,
            "late": self.late,
            "dropped": self.dropped,
            "series": self.series,
            "seconds": self.seconds,
            "endpoint": self.endpoint,
        }
        write_file(path, json.dumps(facts, indent=2) + "\n")


def run(
    plan: RunPlan, source: Source, announce: Callable[[str], None] = lambda _: None
) -> Summary:
    """Send `plan.series` series; a SIGINT or SIGTERM ends the current one early.

    Parameters
    ----------
    announce
        Told the endpoint once it is bound.
    """
    with _stop_on_signals() as stop, PushSocket(plan.endpoint, plan.hwm) as socket:
        summary = Summary(socket.endpoint)
        announce(socket.endpoint)
        remote = None
        if plan.commanded is not None:
            remote = Remote(plan.commanded, stop)
            remote.start()
        if plan.wait_s is not None:
            socket.wait_for_consumer(plan.wait_s, stop)
        started = time.monotonic()
        for n in _counter(plan.series):
            if stop.is_set() or (n and stop.wait(plan.pause_s)):
                break
            series = source.series(plan.first_series_id + n)
            _send(plan, socket, series, summary, stop, remote)
        summary.seconds = time.monotonic() - started
    return summary


def _send(
    plan: RunPlan,
    socket: PushSocket,
    series: Series,
    summary: Summary,
    stop: threading.Event,
    remote: Remote | None,
) -> None:
    encoder = _ENCODERS[plan.stream](
        series.acquisition, plan.header_detail, plan.image_appendix
    )
    if remote is None:
        outcome = push_series(
            socket, encoder, series.exposures, plan.frame_time_s, stop
        )
    else:
        outcome = remote.push(socket, encoder, series.exposures, _facts(series), stop)
    summary.sent += len(outcome.sent)
    summary.late += outcome.late
    summary.dropped += len(outcome.dropped)
    # What the stream has said: v1 knows nothing but the number.
    unique_id = (
        series.acquisition.series_unique_id if plan.stream is Stream.V2 else None
    )
    summary.series.append(
        {
            "series_id": series.acquisition.series_id,
            "unique_id": unique_id,
            "frames": len(outcome.sent),
        }
    )
    if plan.truth is not None:
        try:
            write_truth(plan.truth, series, outcome, plan.stream.value)
        except OSError as exc:
            raise SimulatorError(
                f"cannot write the truth to {plan.truth}: {exc}; "
                "name another folder with --truth"
            ) from exc


def _facts(series: Series) -> dict[str, Any]:
    """Return what tells the progress of a series from that of another."""
    acquisition = series.acquisition
    return {
        "series_id": acquisition.series_id,
        "unique_id": acquisition.series_unique_id,
        "of": acquisition.number_of_images,
        "files_missing": series.facts.get("files_missing", 0),
    }


def _counter(series: int) -> Iterator[int]:
    n = 0
    while series == 0 or n < series:
        yield n
        n += 1


def write_file(path: Path, text: str) -> None:
    """Write `text`, or say why not.

    Raises
    ------
    SimulatorError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as exc:
        raise SimulatorError(f"cannot write {path}: {exc}; name another file") from exc


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; put the old handlers back after."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread gets signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
