"""The ZeroMQ PULL sockets, one owner each, and the untouched forward (tee)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import structlog
import zmq
from zmq.utils.monitor import recv_monitor_message

from eigerwatch.errors import ConfigError
from eigerwatch.model import SourceKind

log = structlog.get_logger()

_KEEPALIVE_IDLE_S = 30
_KEEPALIVE_INTERVAL_S = 10
_KEEPALIVE_PROBES = 3
BURST = 64
"""Messages taken from one socket before the other one gets its turn."""


@dataclass(slots=True)
class Link:
    """How a source's connection stands."""

    endpoint: str
    connected: bool = False
    connections: int = 0
    """How often a connection was made."""


class Source:
    """One PULL socket with its monitor.

    ZeroMQ never connects again after it has closed a link for an oversize message;
    the socket is then built anew.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: SourceKind,
        endpoint: str,
        hwm: int,
        max_message_bytes: int,
    ) -> None:
        self.kind = kind
        self.link = Link(endpoint)
        self._context = context
        self._hwm = hwm
        self._max_message_bytes = max_message_bytes
        self._open()

    def _open(self) -> None:
        socket = self._context.socket(zmq.PULL)
        socket.linger = 0
        socket.rcvhwm = self._hwm
        socket.setsockopt(zmq.MAXMSGSIZE, self._max_message_bytes)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTERVAL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_PROBES)
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_CONNECT_RETRIED
            | zmq.EVENT_CONNECT_DELAYED
        )
        try:
            socket.connect(self.link.endpoint)
        except zmq.ZMQError as exc:
            self._monitor.close(0)
            socket.close(0)
            raise ConfigError(
                f"{self.link.endpoint}: not an address ZeroMQ can connect to ({exc}); "
                "write tcp://HOST:PORT or ipc://PATH"
            ) from exc
        self.socket = socket
        self._deaf = False

    def watch(self) -> bool:
        """Take note of what the monitor says; rebuild a socket gone deaf.

        Returns
        -------
        bool
            The socket was rebuilt.
        """
        was_deaf = self._deaf
        heard = False
        while self._monitor.poll(0):
            heard = True
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.link.connected = True
                self.link.connections += 1
                self._deaf = False
            elif event == zmq.EVENT_DISCONNECTED:
                self.link.connected = False
                self._deaf = True
            else:
                self._deaf = False
        if was_deaf and not heard:
            log.warning(
                "stream link closed and not retried; connecting anew",
                source=self.kind.value,
                endpoint=self.link.endpoint,
            )
            self.close()
            self._open()
            return True
        return False

    def close(self) -> None:
        """Close the socket and its monitor."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)


class Receiver:
    """Takes raw multipart messages from every source, and forwards them untouched.

    Parameters
    ----------
    endpoints
        Address to connect to, per source.
    hwm
        Messages ZeroMQ holds per source before the sender must wait.
    max_message_bytes
        Larger messages make ZeroMQ close the link.
    tee
        Address to bind for an untouched copy of the live stream, or None. Copies
        that nobody takes in time are dropped and counted; they never hold us up.
    """

    def __init__(
        self,
        endpoints: dict[SourceKind, str],
        hwm: int,
        max_message_bytes: int,
        tee: str | None = None,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sources: dict[SourceKind, Source] = {}
        self.tee_dropped = 0
        self._tee: zmq.Socket[bytes] | None = None
        try:
            for kind, endpoint in endpoints.items():
                self.sources[kind] = Source(
                    self._context, kind, endpoint, hwm, max_message_bytes
                )
            if tee is not None:
                self._tee = self._bind_tee(tee, hwm)
        except BaseException:
            self.close()
            raise
        self._poller = self._register()

    def _register(self) -> zmq.Poller:
        poller = zmq.Poller()
        for source in self.sources.values():
            poller.register(source.socket, zmq.POLLIN)
        return poller

    def _bind_tee(self, endpoint: str, hwm: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PUSH)
        socket.linger = 0
        socket.sndhwm = hwm
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as exc:
            socket.close(0)
            raise ConfigError(
                f"stream.tee = {endpoint}: cannot be bound ({exc}); choose a free port"
            ) from exc
        return socket

    def messages(
        self, timeout_ms: int
    ) -> Iterator[tuple[SourceKind, list[memoryview]]]:
        """Yield what has arrived, waiting at most `timeout_ms` for the first.

        Yields
        ------
        source : SourceKind
        parts : list of memoryview
            The frames of one multipart message, in ZeroMQ's own memory.
        """
        ready = dict(self._poller.poll(timeout_ms))
        for source in self.sources.values():
            if source.socket not in ready:
                continue
            for _ in range(BURST):
                try:
                    frames = _receive(source.socket)
                except zmq.Again:
                    break
                if self._tee is not None and source.kind is not SourceKind.REPLAY:
                    self._forward(frames)
                yield source.kind, [frame.buffer for frame in frames]

    def _forward(self, frames: list[zmq.Frame]) -> None:
        assert self._tee is not None
        try:
            self._tee.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self.tee_dropped += 1

    def watch(self) -> None:
        """Follow the state of the links; call about once a second."""
        rebuilt = [source.watch() for source in self.sources.values()]
        if any(rebuilt):
            self._poller = self._register()

    def close(self) -> None:
        """Close every socket; what ZeroMQ still holds is lost to us."""
        for source in self.sources.values():
            source.close()
        if self._tee is not None:
            self._tee.close(0)
        self._context.destroy(0)


def _receive(socket: zmq.Socket[bytes]) -> list[zmq.Frame]:
    """Return the frames of one message: `recv_multipart` in less than half the time.

    Raises
    ------
    zmq.Again
        There is none.
    """
    frame = socket.recv(zmq.NOBLOCK, copy=False)
    frames = [frame]
    while frame.more:
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        frames.append(frame)
    return frames
