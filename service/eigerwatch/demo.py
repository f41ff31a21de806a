"""Everything at once on one machine: store, service, virtual detector and page."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Origin

from eigerwatch.accounting import Summary, account
from eigerwatch.app import (
    EXIT_FAILED,
    EXIT_OK,
    Service,
    StopRequest,
    running_store,
)
from eigerwatch.children import Child
from eigerwatch.config import Settings
from eigerwatch.errors import EigerwatchError
from eigerwatch.reading import open_reader
from eigerwatch.sandbox import (
    isolated,
    short_folder,
    what_was_sent,
    without_variables,
    write_settings,
)
from eigerwatch.web.listener import bind, url_of

log = structlog.get_logger()

SERIES_S = 60.0
"""Length of one simulated series, that of the published method [s]."""

_PAUSE_S = 3.0
_DETECTOR_BUFFER = 3000
"""Frames the virtual detector holds while this machine is busy otherwise: a browser
that opens the page takes both cores for seconds."""
_CONNECT_TIMEOUT_S = 20
_PAGE_TIMEOUT_S = 30.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo's command line says."""

    seconds: float | None = None
    """Stop by itself after so much beam [s]; None: when interrupted."""
    frame_rate_hz: float = 750.0
    detector: str = "4m"
    stream: str = "v2"
    series_s: float = SERIES_S
    """Beam of one series [s]."""


class LiveClient:
    """Takes the page's live updates as a browser does, and counts them."""

    def __init__(self, page: str) -> None:
        self._address = "ws" + page.removeprefix("http") + "api/v1/live"
        self._origin = page.rstrip("/")
        self._stop = threading.Event()
        self.ticks = 0
        self._thread = threading.Thread(target=self._run, name="live client")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Disconnect."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_S):
            try:
                self._receive()
            except (OSError, WebSocketException) as exc:
                log.debug("live client", problem=str(exc))

    def _receive(self) -> None:
        with connect_websocket(
            self._address, origin=Origin(self._origin), compression=None
        ) as socket:
            while not self._stop.is_set():
                try:
                    message = socket.recv(timeout=_POLL_S)
                except TimeoutError:
                    continue
                if isinstance(message, bytes):
                    self.ticks += 1
                    header_length = int.from_bytes(message[4:8], "little")
                    header = json.loads(message[8 : 8 + header_length])
                    acknowledgement = {"t": "ack", "seq": header["seq"], "draw_ms": 1}
                    socket.send(json.dumps(acknowledgement))


def run(settings: Settings, options: DemoOptions) -> int:
    """Run the demo until its time is over or a signal comes.

    Store and stream live in a temporary folder, whatever the settings say, so that
    a demo never touches a service.

    Returns
    -------
    int
        0, or 1 where a frame was lost or a total is wrong.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        folder = stack.enter_context(short_folder())
        settings = isolated(settings, folder)
        listener = stack.enter_context(closing(bind(settings.web)))
        store_url = stack.enter_context(running_store(settings))
        config = folder / "settings.yaml"
        write_settings(settings, config)
        with without_variables():
            service = Service(settings, store_url, listener, config)
        stack.callback(service.stop)
        service.start()
        page = url_of(listener)
        await_page(page, service, stop)
        client = stack.enter_context(LiveClient(page))
        print(f"page: {page}", flush=True)  # noqa: T201
        simulator = Child("eigersim", simulator_arguments(settings, options, folder))
        stack.callback(simulator.stop)
        began_ms = time.time_ns() // 1_000_000
        simulator.start()
        while not stop and simulator.poll() is None and service.poll(_POLL_S):
            pass
        simulator.stop()
        sent = what_was_sent(folder / "summary.json", simulator, interrupted=bool(stop))
        reader = open_reader(settings, store_url)
        summary = account(reader, "sim", sent, began_ms, folder / "truth")
        client.stop()
        service.stop()
        code = service.exit_code
    summary.ticks = client.ticks
    for line in lines(summary):
        print(line, flush=True)  # noqa: T201
    return code or (EXIT_OK if summary.good else EXIT_FAILED)


def lines(summary: Summary) -> list[str]:
    """Return what the demo says about itself, the fixed summary line last."""
    verdict = f"{summary.wrong} DIFFER" if summary.wrong else "all equal"
    return [
        f"totals compared with the simulator's truth: {summary.compared}, {verdict}",
        f"live updates received: {summary.ticks}; frames sent late: {summary.late}, "
        f"dropped by the virtual detector: {summary.dropped}",
        summary.line(),
    ]


def simulator_arguments(
    settings: Settings, options: DemoOptions, folder: Path
) -> list[str]:
    """Return the simulator's command line."""
    n_series = 0
    series_s = options.series_s
    if options.seconds is not None:
        n_series = math.ceil(options.seconds / series_s)
        series_s = options.seconds / n_series
    arguments = {
        "--endpoint": settings.stream.endpoint,
        "--stream": options.stream,
        "--detector": options.detector,
        "--dtype": "uint16",
        "--scenario": "demo",
        "--frame-rate": options.frame_rate_hz,
        "--frames": max(1, round(series_s * options.frame_rate_hz)),
        "--series": n_series,
        "--pause-s": _PAUSE_S,
        "--wait-s": _CONNECT_TIMEOUT_S,
        "--hwm": _DETECTOR_BUFFER,
        "--truth": folder / "truth",
        "--summary": folder / "summary.json",
    }
    return ["run", *(str(part) for pair in arguments.items() for part in pair)]


def await_page(page: str, service: Service, stop: StopRequest) -> None:
    """Wait until the web process answers.

    Raises
    ------
    EigerwatchError
        It does not.
    """
    deadline = time.monotonic() + _PAGE_TIMEOUT_S
    while service.poll(_POLL_S) and not stop:
        try:
            with urllib.request.urlopen(f"{page}healthz", timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise EigerwatchError(
                    f"{page} does not answer after {_PAGE_TIMEOUT_S:.0f} s; "
                    "see the messages above"
                ) from None
