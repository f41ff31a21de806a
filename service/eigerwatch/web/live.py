"""The live WebSocket: one clock, shared ticks, at most two of them unconfirmed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from eigerwatch.errors import StoreError, UnknownRegionError, UnknownSeriesError
from eigerwatch.sections import WebSettings
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web import tick
from eigerwatch.web.alarms import AlarmWatch
from eigerwatch.web.beam import BeamWatch
from eigerwatch.web.failures import Failures
from eigerwatch.web.loads import Loads
from eigerwatch.web.messages import (
    CLIENT_MESSAGE,
    AckMessage,
    ViewMessage,
    error_message,
    event_message,
    software_version,
)
from eigerwatch.web.regional import region_of
from eigerwatch.web.ticks import PROTOCOL, Tick
from eigerwatch.web.watch import LIVE, Situation, Watch

log = structlog.get_logger(__name__)

CREDIT = 2
"""Ticks that a client may leave unconfirmed."""
HEARTBEAT_S = 1.0
EARLY = 0.7
"""Part of a client's period after which it gets a tick: rounds wait for frames, so that
they do not come evenly."""
RETRY_S = 1.0
"""Time after which a view that failed is tried again [s]: all wait while it fails."""
GREETING_S = 0.3
"""Time for a new client to say what it wants, before it gets the live view [s]."""
MAX_CLIENTS = 200
MAX_TEXTS = 1000
"""Events waiting for one client; beyond, the oldest go: it reads them by REST."""


@dataclass(eq=False)
class _Client:
    view: ViewMessage = field(default_factory=ViewMessage)
    view_changed: bool = False
    """Whether it has asked for a view and had no answer."""
    reading: bool = False
    """Whether its view waits for frames that are being read."""
    series: str | None = None
    """Key of the series whose events the client gets."""
    sent_seq: int = 0
    sent_s: float = 0.0
    unconfirmed: set[int] = field(default_factory=set)
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_TEXTS))
    refused: str | None = None
    """Why there is no such view, as last told."""
    retry_s: float = 0.0
    """Before that, it gets none unless it asks: of a view that failed; monotonic."""
    state: str | None = None
    tick: tuple[int, bytes] | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waits(self) -> bool:
        """Whether it gets its tick as soon as there is one."""
        return self.view_changed or self.reading

    def wants_tick(self, now_s: float) -> bool:
        if self.waits:
            return True
        due_s = max(self.sent_s + EARLY / self.view.hz, self.retry_s)
        return len(self.unconfirmed) < CREDIT and self.tick is None and now_s >= due_s


class LiveHub:
    """Serves all WebSocket clients from one clock.

    Parameters
    ----------
    watch
        What all clients share.
    settings
        Host names under which it may be used, and the rate of the clock.
    beam, alarms
        What is told of the beam with every state.
    files
        Folder of the page's scripts, so that an older page notices.
    """

    def __init__(
        self,
        watch: Watch,
        settings: WebSettings,
        beam: BeamWatch,
        alarms: AlarmWatch,
        files: str,
    ) -> None:
        self.allowed_hosts = settings.allowed_hosts
        self._watch = watch
        self._beam = beam
        self._alarms = alarms
        self._period_s = 1 / settings.tick_hz
        self._hello: dict[str, Any] = {
            "t": "hello",
            "v": PROTOCOL,
            "server": f"eigerwatch {software_version()}",
            "epoch": watch.ticks.epoch,
            "tick_hz": settings.tick_hz,
        }
        self._files = files
        self._clients: set[_Client] = set()
        self._told: dict[str, int] = {}
        """How many events of each series were sent."""
        self._hurry = asyncio.Event()
        self._clock: asyncio.Task[None] | None = None
        self._failing: str | None = None
        """What failed in the last round."""
        self._failures = Failures()
        self._state: object = None
        self._next_state_s = time.monotonic()
        self._loads = Loads(watch.ticks.frames)
        self._limiter: CapacityLimiter | None = None
        """Of a thread of its own: those of all requests may wait for each other."""

    @property
    def n_clients(self) -> int:
        """Open connections."""
        return len(self._clients)

    def state_message(self, situation: Situation) -> dict[str, Any]:
        """Return the ``state`` message of the live protocol."""
        return {
            **self._watch.state_message(situation),
            "beam": self._beam.brief,
            "alarms": self._alarms.brief,
            "files": self._files,
        }

    @property
    def problem(self) -> str | None:
        """Why clients get nothing any more; None: they do."""
        if self._clock is not None and self._clock.done():
            return "the live view has ended: restart the service, see its log"
        if self._failing is not None:
            return f"the live view fails: {self._failing}; see the service's log"
        return None

    def start(self) -> None:
        """Begin to serve, in the running event loop."""
        self._limiter = CapacityLimiter(1)
        loop = asyncio.get_running_loop()
        self._loads.start(lambda: loop.call_soon_threadsafe(self._hurry.set))
        self._clock = asyncio.create_task(self.run())
        self._clock.add_done_callback(_ended)

    async def stop(self) -> None:
        """End, also where the clock has ended by itself."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait([self._clock])
        self._loads.stop()

    async def run(self) -> None:
        """Read the store and hand out ticks until cancelled."""
        next_s = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                wait_s = max(0.0, next_s - time.monotonic())
                await asyncio.wait_for(self._hurry.wait(), wait_s)
            now_s = time.monotonic()
            # Who asks again and again must not keep the others waiting.
            hurried = self._hurry.is_set() and now_s < next_s
            self._hurry.clear()
            if not hurried:
                period_s = self._period_s if self._clients else HEARTBEAT_S
                next_s = max(next_s + period_s, now_s)
            try:
                if not hurried and self._clients:
                    await run_sync(self._watch.await_flush, limiter=self._limiter)
                clients = [c for c in self._clients if not hurried or c.waits]
                situation = await self._round(clients, now_s)
                self._tell_state(situation, now_s, hurried)
                self._failing = None
            # Whatever it is, the clock is everyone's: the next round may succeed.
            except Exception as exc:
                self._failing = self._failures.take("round failed", exc)

    def _tell_state(self, situation: Situation, now_s: float, hurried: bool) -> None:
        """Send everyone the state if it changed, or as heartbeat."""
        seen = (
            situation.judgement.state,
            situation.series and situation.series.key,
        )
        if now_s < self._next_state_s and seen == self._state and not hurried:
            return
        text = tick.dumps(self.state_message(situation))
        for client in self._clients:
            client.state = text
            client.wake.set()
        self._state, self._next_state_s = seen, now_s + HEARTBEAT_S

    async def _round(self, clients: list[_Client], now_s: float) -> Situation:
        wanting = [client for client in clients if client.wants_tick(now_s)]
        round_ = await run_sync(self._collect, wanting, limiter=self._limiter)
        for client, wanted, info, built in round_.ticks:
            if client.view is not wanted:
                continue  # it has asked for something else meanwhile
            client.series = info.key
            if built.seq != client.sent_seq:
                client.tick = (built.seq, built.data)
                client.wake.set()
        for client in self._clients:
            texts = [*round_.events.get(client.series or "", ())]
            if client in round_.refusals:
                texts.append(round_.refusals[client])
            if texts:
                client.texts.extend(texts)
                client.wake.set()
        return round_.situation

    def _collect(self, clients: list[_Client]) -> _Round:
        """Read the store for `clients`; runs in a thread."""
        found = _Round(self._watch.look(max_age_s=self._period_s / 2))
        if found.situation.store_error is not None:
            return found  # each question would wait for it in vain
        infos: dict[tuple[str, str | None], tuple[SeriesInfo, str]] = {}
        for client in clients:
            asked, client.view_changed = client.view_changed, False
            client.reading = False
            wanted = client.view  # after that: whoever asks meanwhile asks anew
            try:
                key = (wanted.series, wanted.channel)
                if key not in infos:
                    infos[key] = self._watch.resolve(*key)
                info, channel = infos[key]
                if info.key not in found.events:
                    events = self._watch.events(info.key)
                    # Who opens a series reads what was before by REST.
                    told = self._told.get(info.key, events.count)
                    self._told[info.key] = events.count
                    found.events[info.key] = [
                        tick.dumps(event_message(info.key, event))
                        for event in events.since(told)
                    ]
                region = region_of(info, wanted.region)
                client.reading = self._loads.under_way(info, channel, region)
                if client.reading:
                    client.view_changed |= asked
                    continue
                built = self._watch.tick(wanted.view(info.key, channel, region), info)
                found.ticks.append((client, wanted, info, built))
                client.refused = None
            except UnknownRegionError as exc:  # perhaps of the next series only
                found.refuse(client, str(exc), "region", again=asked)
            except (LookupError, UnknownSeriesError) as exc:
                text = str(exc.args[0]) if exc.args else str(exc)
                # That there is no live series yet, the state says.
                tell = wanted.series != LIVE
                found.refuse(client, text, again=asked, tell=tell)
            except StoreError as exc:
                if self._watch.look().store_error is not None:
                    client.view_changed |= asked
                    break  # the next state message says so
                # Of this series alone: its file in the archive may be damaged.
                found.refuse(client, str(exc), again=asked)
                client.retry_s = time.monotonic() + RETRY_S
            # Whatever it is, it is about one view: the other clients get theirs.
            except Exception as exc:
                what = self._failures.take("view failed", exc, series=wanted.series)
                text = f"this view failed: {what}; see the service's log"
                found.refuse(client, text, again=asked)
                client.retry_s = time.monotonic() + RETRY_S
        return found

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client until it leaves."""
        await websocket.accept()
        if len(self._clients) >= MAX_CLIENTS:
            await websocket.close(1013, "too many clients")
            return
        client = _Client(retry_s=time.monotonic() + GREETING_S)
        hello = {**self._hello, "now": time.time() * 1000}
        await websocket.send_text(tick.dumps(hello))
        self._clients.add(client)
        self._hurry.set()
        sender = asyncio.create_task(self._send(websocket, client))
        try:
            while True:
                self._receive(client, await websocket.receive_text())
        except (WebSocketDisconnect, KeyError):
            pass  # gone, or it sent bytes where text is expected
        finally:
            self._clients.discard(client)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender

    def _receive(self, client: _Client, text: str) -> None:
        try:
            message = CLIENT_MESSAGE.validate_json(text)
        except ValidationError as exc:
            client.texts.append(error_message(exc.errors()[0]["msg"]))
            client.wake.set()
            return
        if isinstance(message, AckMessage):
            client.unconfirmed.discard(message.seq)
            client.wake.set()
        else:
            client.view, client.view_changed, client.tick = message, True, None
            client.sent_seq = 0  # whoever asks gets an answer, also the same again
            self._hurry.set()

    async def _send(self, websocket: WebSocket, client: _Client) -> None:
        try:
            while True:
                await client.wake.wait()
                client.wake.clear()
                while client.texts:
                    await websocket.send_text(client.texts.popleft())
                if client.state is not None:
                    state, client.state = client.state, None
                    await websocket.send_text(state)
                if client.tick is not None and len(client.unconfirmed) < CREDIT:
                    (seq, data), client.tick = client.tick, None
                    client.unconfirmed.add(seq)
                    client.sent_seq, client.sent_s = seq, time.monotonic()
                    await websocket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError):
            return  # the receiving side notices, too


@dataclass
class _Round:
    situation: Situation
    ticks: list[tuple[_Client, ViewMessage, SeriesInfo, Tick]] = field(
        default_factory=list
    )
    events: dict[str, list[str]] = field(default_factory=dict)
    refusals: dict[_Client, str] = field(default_factory=dict)

    def refuse(
        self,
        client: _Client,
        text: str,
        about: str | None = None,
        *,
        again: bool,
        tell: bool = True,
    ) -> None:
        """Tell why there is no such view: once, or `again` to who has just asked."""
        if tell and (again or client.refused != text):
            self.refusals[client] = error_message(text, about)
        client.refused = text


def _ended(clock: asyncio.Task[None]) -> None:
    """Log an end of the clock that nobody asked for."""
    if not clock.cancelled():
        log.error("live view ended", exc_info=clock.exception())
