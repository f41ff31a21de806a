"""Clients that are slow, stalled and many, over real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import wait_until
from memory_store import MemoryStore
from page_probe import header_of
from running_demo import RunningDemo
from running_web import RunningWeb
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect

from eigerwatch.web.live import CREDIT, MAX_CLIENTS

KEY = "live:01JABC"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    store.open(KEY)
    store.append(KEY, np.full(100, 1000))
    return store


@pytest.fixture
def growing(store: MemoryStore) -> Iterator[MemoryStore]:
    """Return a store to which frames come."""
    over = threading.Event()

    def grow() -> None:
        while not over.wait(0.02):
            store.append(KEY, np.full(15, 1000))

    thread = threading.Thread(target=grow)
    thread.start()
    yield store
    over.set()
    thread.join()


@pytest.fixture
def web(store: MemoryStore) -> Iterator[RunningWeb]:
    web = RunningWeb(store)
    yield web
    web.stop()


def address(web: RunningWeb | RunningDemo) -> str:
    return f"ws{web.url.removeprefix('http')}api/v1/live"


def say(socket: Socket, **message: Any) -> None:
    socket.send(json.dumps(message))


def ticks_in(socket: Socket, seconds: float) -> int:
    """Return how many ticks come, confirming each."""
    found = 0
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            message = socket.recv(timeout=left)
        except TimeoutError:
            break
        if isinstance(message, bytes):
            found += 1
            say(socket, t="ack", seq=header_of(message)["seq"], draw_ms=5)
    return found


def test_a_client_gets_the_rate_that_it_asks_for(
    web: RunningWeb, growing: MemoryStore
) -> None:
    with connect(address(web), compression=None) as socket:
        say(socket, t="view", hz=1)
        ticks_in(socket, 2)  # those under way before the wish was heard
        slow = ticks_in(socket, 6)
        say(socket, t="view", hz=4)
        quick = ticks_in(socket, 6)
    assert 3 <= slow <= 8
    assert quick > 1.5 * slow


def test_who_stalls_gets_two_stale_ticks_and_then_the_newest(
    web: RunningWeb, growing: MemoryStore
) -> None:
    # One message in the library's queue; all others wait in the connection.
    with connect(address(web), compression=None, max_queue=1) as socket:
        while not isinstance(message := socket.recv(timeout=20), bytes):
            pass
        say(socket, t="ack", seq=header_of(message)["seq"])
        threading.Event().wait(5)  # 20 ticks of 4 Hz
        n = growing.info(KEY).ledgers["threshold_1"].highest + 1
        stale = 0
        while True:
            message = socket.recv(timeout=20)
            if not isinstance(message, bytes):
                continue
            header = header_of(message)
            if header["n"] >= n:
                break
            stale += 1
            say(socket, t="ack", seq=header["seq"])
    assert stale <= CREDIT


def test_as_many_stalled_clients_as_there_may_be_cost_no_frame() -> None:
    demo = RunningDemo(
        *("--seconds", "20", "--frame-rate", "100", "--detector", "500k")
    )

    async def stall() -> int:
        """Connect, never read, and return how many were refused."""
        sockets: list[ClientConnection] = []
        refused = 0
        try:
            for _ in range(MAX_CLIENTS + 1):
                socket = await connect_async(
                    address(demo), compression=None, max_queue=1, open_timeout=20
                )
                sockets.append(socket)
                try:
                    assert "hello" in str(await socket.recv())
                except ConnectionClosed as closed:
                    refused += closed.rcvd is not None and closed.rcvd.code == 1013
            await asyncio.to_thread(wait_until, lambda: not demo.alive, 60, "the end")
        finally:
            # Not in order: who never reads answers no closing handshake.
            for socket in sockets:
                socket.transport.abort()
        return refused

    try:
        # The demo's own client is one of them.
        assert asyncio.run(asyncio.wait_for(stall(), 90)) >= 1
    finally:
        said = demo.stop()
    assert demo.exit_code == 0, said
    assert "2000 stored" in said or "stored 2000" in said, said
