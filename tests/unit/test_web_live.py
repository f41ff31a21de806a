from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_store import MemoryStore
from starlette.testclient import WebSocketTestSession
from structlog.testing import capture_logs

from eigerwatch.errors import StoreError
from eigerwatch.sections import WebSettings
from eigerwatch.web import live, loads, ticks, watch
from eigerwatch.web.application import create_app
from eigerwatch.web.live import LiveHub
from eigerwatch.web.tick import decode
from eigerwatch.web.watch import Watch

KEY = "live:01JABC"
LIVE = "ws://127.0.0.1/api/v1/live"
LONGEST_WAIT = 200  # messages


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(tick_hz=20))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


class Page:
    """A client of the live protocol."""

    def __init__(self, socket: WebSocketTestSession) -> None:
        self.socket = socket
        self.hello = json.loads(socket.receive_text())

    def receive(self) -> dict[str, Any]:
        message = self.socket.receive()
        if message.get("bytes") is not None:
            header, blocks = decode(message["bytes"])
            return {"t": "tick", "header": header, "blocks": blocks}
        found: dict[str, Any] = json.loads(message["text"])
        return found

    def next(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """Return the next message of a kind, confirming ticks on the way."""
        for _ in range(LONGEST_WAIT):
            message = self.receive()
            if message["t"] == "tick":
                self.say(t="ack", seq=message["header"]["seq"], draw_ms=5)
            content = message.get("header", message)
            if message["t"] == kind and all(content[k] == v for k, v in wanted.items()):
                return message
        raise AssertionError(f"no {kind} with {wanted}")

    def say(self, **message: Any) -> None:
        self.socket.send_text(json.dumps(message))


@pytest.fixture
def page(client: TestClient) -> Iterator[Page]:
    with client.websocket_connect(LIVE) as socket:
        yield Page(socket)


def test_hello_comes_first(page: Page) -> None:
    assert page.hello["t"] == "hello"
    assert page.hello["v"] == 1
    assert page.hello["tick_hz"] == 20
    assert len(page.hello["epoch"]) == 36


def test_without_series_there_is_no_data(page: Page) -> None:
    state = page.next("state")
    assert state["source"] == "no_data"
    assert state["series"] is None


def test_the_newest_series_is_followed(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, np.full(100, 1000))
    tick = page.next("tick", series=KEY, n=100)
    assert tick["blocks"]["raw"].tolist() == [1.0] * 100

    store.append(KEY, np.full(50, 1000))
    page.next("tick", n=150)

    store.open("live:2", started_ms=10**14)
    store.append("live:2", [5, 6, 7])
    page.next("tick", series="live:2", n=3)


def test_state_is_repeated_as_heartbeat(page: Page) -> None:
    first = page.next("state")
    second = page.next("state")
    assert second["now"] > first["now"]


def test_state_changes_are_told_and_reach_the_ticks(
    page: Page, store: MemoryStore
) -> None:
    store.open(KEY)
    store.append(KEY, [1, 2, 3])
    page.next("tick", source="collecting")
    store.update(KEY, state="finished")
    page.next("tick", source="finished")
    page.next("state", source="finished")


def test_a_dead_consumer_is_told(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    page.next("state", source="collecting")
    store.drop_lease()
    state = page.next("state", source="error")
    assert "no consumer" in state["text"]
    assert state["consumer"]["alive"] is False


def test_store_trouble_is_told_and_survived(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, [1, 2])
    page.next("tick", n=2)
    store.away = "Redis does not answer"
    state = page.next("state", source="error")
    assert "Redis does not answer" in state["text"]
    store.away = None
    store.append(KEY, [3])
    page.next("tick", n=3)


def test_a_client_chooses_range_channel_and_scope(
    page: Page, store: MemoryStore
) -> None:
    store.open(KEY, channels=("a", "b"))
    store.append(KEY, np.arange(1, 5001), channel="a")
    store.append(KEY, np.arange(5001, 9001), channel="b")
    page.say(
        t="view", series=KEY, channel="b", **{"from": 100, "to": 200},
        scope="frames", window=10, px=800,
    )  # fmt: skip
    tick = page.next("tick", channel="b", **{"from": 100})
    header = tick["header"]
    assert header["to"] == 200
    assert header["bin"] == 1
    assert tick["blocks"]["frame"].tolist() == list(range(100, 200))
    assert header["stats"]["raw"][0] == 10
    assert header["stats"]["raw"][8] == 9000

    page.say(t="view", series=KEY, channel="b", scope="range", **{"from": 0, "to": 5})
    assert page.next("tick", **{"to": 5})["header"]["stats"]["raw"][0] == 5


def test_a_tick_waits_for_the_flush_that_is_due(
    page: Page, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open(KEY)
    store.append(KEY, [1, 2, 3])
    page.next("tick", n=3)
    waited = []

    def flush(key: str, timeout_s: float) -> None:
        waited.append((key, timeout_s))
        store.append(key, [4])

    monkeypatch.setattr(store, "await_flush", flush)
    while page.next("tick")["header"]["n"] < 5:
        pass
    assert set(waited) == {(KEY, watch.FLUSH_S)}

    store.update(KEY, state="finished")
    page.next("state", source="finished")
    rounds = len(waited)
    page.next("state")
    assert len(waited) == rounds


def test_events_come_once(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.event(KEY, "start")
    store.append(KEY, [1])
    header = page.next("tick", series=KEY, ev_seq=1)["header"]
    assert header["n"] == 1
    store.event(KEY, "gap", first="5", last="9")
    event = page.next("event")
    assert (event["kind"], event["series"]) == ("gap", KEY)
    assert event["fields"] == {"first": "5", "last": "9"}
    page.next("tick", ev_seq=2)


def test_only_two_ticks_are_unconfirmed_and_the_newest_wins(
    page: Page, store: MemoryStore
) -> None:
    store.open(KEY)
    store.append(KEY, [1000])
    while (message := page.receive())["t"] != "tick":
        pass  # a new series is noticed within a second
    unconfirmed = [message["header"]["seq"]]
    states = 0
    while states < 3:  # two seconds and more, 40 rounds
        store.append(KEY, [1000])
        message = page.receive()
        if message["t"] == "tick":
            unconfirmed.append(message["header"]["seq"])
        states += message["t"] == "state"
    assert len(unconfirmed) == 2

    n = store.info(KEY).ledgers["threshold_1"].highest + 1
    page.say(t="ack", seq=unconfirmed[0])
    page.say(t="ack", seq=unconfirmed[1])
    while (message := page.receive())["t"] != "tick":
        pass
    assert message["header"]["n"] == n


def test_equal_views_share_their_ticks(client: TestClient, store: MemoryStore) -> None:
    store.open(KEY, state="finished")
    store.append(KEY, np.arange(1, 1000))
    with (
        client.websocket_connect(LIVE) as one,
        client.websocket_connect(LIVE) as two,
    ):
        pages = [Page(one), Page(two)]
        seqs = set()
        for page in pages:
            while (header := page.next("tick", n=999)["header"])["assessment"] is None:
                pass
            seqs.add(header["seq"])
    assert len(seqs) == 1


def test_sleeping_source_sends_no_ticks(page: Page, store: MemoryStore) -> None:
    store.open(KEY, state="finished")
    store.append(KEY, [1, 2])
    while page.next("tick", n=2)["header"]["assessment"] is None:
        pass
    kinds = [page.receive()["t"] for _ in range(3)]
    assert kinds == ["state"] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        '{"t":"view","from":-5}',
        '{"t":"view","px":1e400}',
        '{"t":"view","window":NaN}',
        '{"t":"shout"}',
        "[" * 1000,
    ],
)
def test_nonsense_is_answered_and_survived(page: Page, text: str) -> None:
    page.socket.send_text(text)
    assert page.next("error")["text"]
    page.next("state")


def test_bytes_end_the_connection_only(client: TestClient) -> None:
    with client.websocket_connect(LIVE) as socket:
        socket.receive_text()
        socket.send_bytes(b"\x00")
    with client.websocket_connect(LIVE) as socket:
        assert Page(socket).hello["t"] == "hello"


def test_unknown_series_is_refused_in_words(page: Page) -> None:
    page.say(t="view", series="live:none")
    assert "live:none" in page.next("error")["text"]


def test_a_series_that_vanishes_is_told_once(page: Page, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, [1, 2])
    page.say(t="view", series=KEY)
    page.next("tick", n=2)
    store.forget(KEY)
    assert KEY in page.next("error")["text"]
    page.next("state")
    kinds = [page.receive()["t"] for _ in range(2)]
    assert kinds == ["state"] * 2

    store.open(KEY)
    store.append(KEY, [1, 2, 3])
    page.next("tick", n=3)
    store.forget(KEY)
    assert KEY in page.next("error")["text"]


def test_events_are_counted_beyond_those_kept(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVENTS_KEPT", 5)
    store.open(KEY)
    store.append(KEY, np.full(100, 1000))
    for n in range(8):
        store.event(KEY, "note", text=str(n))
    with client.websocket_connect(LIVE) as socket:
        page = Page(socket)
        page.next("tick", ev_seq=8)
        for n in range(8, 20):
            store.event(KEY, "note", text=str(n))
            assert page.next("event")["fields"]["text"] == str(n)
        store.append(KEY, np.full(100, 1000))
        page.next("tick", ev_seq=20)


def test_a_view_that_fails_is_refused_alone(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is told once, the log once; the others go on, and so does it."""
    bad, encode = "live:bad", ticks._encode
    failures: list[str] = []

    def encode_or_fail(*arguments: Any) -> bytes:
        if arguments[2].series == bad:
            failures.append(f"{len(failures)} is out of range")
            raise ValueError(failures[-1])
        return encode(*arguments)

    monkeypatch.setattr(live, "RETRY_S", 0.1)
    store.open(bad, started_ms=1)
    store.open(KEY)
    for key in (bad, KEY):
        store.append(key, np.full(10, 1000))
    with (
        capture_logs() as logs,
        client.websocket_connect(LIVE) as one,
        client.websocket_connect(LIVE) as two,
    ):
        refused, other = Page(one), Page(two)
        other.next("tick", series=KEY, n=10)
        with monkeypatch.context() as patch:
            patch.setattr(ticks, "_encode", encode_or_fail)
            refused.say(t="view", series=bad)
            text = refused.next("error")["text"]
            assert text.startswith("this view failed: ValueError in eigerwatch.web.")
            wait_until(lambda: len(failures) > 5, what="failures")
            store.append(KEY, [1000])
            other.next("tick", series=KEY, n=11)
            kinds = {refused.receive()["t"] for _ in range(3)}
            assert "error" not in kinds
            assert client.get("/healthz").status_code == 200
        refused.next("tick", series=bad)
    (told,) = [log for log in logs if log["event"] == "view failed"]
    assert isinstance(told["exc_info"], ValueError)
    assert told["series"] == bad


@pytest.mark.parametrize(
    ("part", "name"), [(LiveHub, "_collect"), (Watch, "state_message")]
)
def test_a_round_that_fails_is_survived(
    page: Page,
    client: TestClient,
    store: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
    part: type,
    name: str,
) -> None:
    failures: list[int] = []

    def fail(*_: object) -> None:
        failures.append(len(failures))
        raise MemoryError

    store.open(KEY)
    store.append(KEY, [1])
    page.next("tick", n=1)
    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(part, name, fail)
        wait_until(lambda: len(failures) > 5, what="failures")
        health = client.get("/healthz")
        assert health.status_code == 503
        assert "the live view fails: MemoryError" in health.json()["process"]
    assert [log["event"] for log in logs].count("round failed") == 1
    store.append(KEY, [2])
    page.next("tick", n=2)
    page.next("state")
    wait_until(lambda: client.get("/healthz").status_code == 200, what="health")


def test_who_asks_for_the_same_again_gets_it_again(
    page: Page, store: MemoryStore
) -> None:
    store.open(KEY, state="finished")
    store.append(KEY, [1, 2, 3])
    while (first := page.next("tick", n=3))["header"]["assessment"] is None:
        pass
    page.say(t="view", series="live")
    again = page.next("tick", n=3)
    assert again["header"]["seq"] == first["header"]["seq"]


def test_a_store_that_hangs_is_asked_once_a_round(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question waits for the time-out: for many clients it would be minutes."""
    store.open(KEY)
    store.append(KEY, [1])
    asked: list[str] = []

    def hang(self: MemoryStore, *_: Any, **__: Any) -> Any:
        asked.append("question")
        threading.Event().wait(0.2)
        raise StoreError("timed out")

    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(client.websocket_connect(LIVE)) for _ in "12345"]
        pages = [Page(socket) for socket in sockets]
        for page in pages:
            page.next("tick", n=1)
        with monkeypatch.context() as patch:
            for name in ("info", "series", "owner", "events"):
                patch.setattr(MemoryStore, name, hang)
            told = pages[0].next("state", source="error")
            assert "the store does not answer" in told["text"]
            pages[0].next("state", source="error")
            asked.clear()
            begin_s = time.monotonic()
            for _ in range(3):
                pages[0].next("state", source="error")
            spent_s = time.monotonic() - begin_s
            # The beam's watch asks too, once a second.
            assert len(asked) <= spent_s / 0.2 + 2
            assert spent_s < 3 * (live.HEARTBEAT_S + 0.6)
        store.append(KEY, [1])
        for page in pages:
            page.next("tick", n=2)


def test_who_asks_all_the_time_keeps_nobody_waiting(
    client: TestClient, store: MemoryStore
) -> None:
    store.open(KEY)
    store.append(KEY, [1000])
    over = threading.Event()
    with (
        client.websocket_connect(LIVE) as one,
        client.websocket_connect(LIVE) as two,
    ):
        eager, other = Page(one), Page(two)
        other.next("tick", n=1)

        def ask() -> None:
            to = 0
            while not over.wait(0.001):
                to += 1
                eager.say(t="view", series="live", to=to)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for n in range(2, 12):
                store.append(KEY, [1000])
                other.next("tick", n=n)
        finally:
            over.set()
            asking.join()


def test_a_view_chosen_while_a_round_is_made_is_the_next_answer(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one asked for before would be drawn after the new one was chosen."""
    store.open(KEY, state="finished")
    store.append(KEY, np.arange(1000))
    under_way, chosen = threading.Event(), threading.Event()
    build, receive = Watch.tick, LiveHub._receive

    def heard(self: LiveHub, client: Any, text: str) -> None:
        receive(self, client, text)
        if '"to": 400' in text:
            chosen.set()

    def slow(self: Watch, view: ticks.View, info: Any) -> ticks.Tick:
        built = build(self, view, info)
        if view.start == 100:
            under_way.set()
            assert chosen.wait(10)
        return built

    with client.websocket_connect(LIVE) as socket:
        page = Page(socket)
        page.next("tick", n=1000)
        monkeypatch.setattr(Watch, "tick", slow)
        monkeypatch.setattr(LiveHub, "_receive", heard)
        page.say(t="view", series="live", **{"from": 100, "to": 200})
        assert under_way.wait(10)
        page.say(t="view", series="live", **{"from": 300, "to": 400})
        while (message := page.receive())["t"] != "tick":
            pass
        assert message["header"]["from"] == 300


def test_a_long_series_is_read_beside_the_live_view(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "live:long"
    monkeypatch.setattr(loads, "LONG", 1000)
    store.open(long, state="finished", started_ms=1)
    store.append(long, np.full(5000, 1000))
    store.open(KEY)
    store.append(KEY, [1000])
    reading, go_on = threading.Event(), threading.Event()
    rows = MemoryStore.rows

    def slow(self: MemoryStore, key: str, *args: Any) -> np.ndarray:
        if key == long:
            reading.set()
            assert go_on.wait(20)
        return rows(self, key, *args)

    monkeypatch.setattr(MemoryStore, "rows", slow)
    with (
        client.websocket_connect(LIVE) as one,
        client.websocket_connect(LIVE) as two,
    ):
        patient, other = Page(one), Page(two)
        other.next("tick", series=KEY)
        patient.say(t="view", series=long)
        assert reading.wait(10)
        for n in (2, 3, 4):
            store.append(KEY, [1000])
            other.next("tick", series=KEY, n=n)
        go_on.set()
        patient.next("tick", series=long, n=5000)


def test_a_new_client_gets_what_it_asks_for_first(
    client: TestClient, store: MemoryStore
) -> None:
    store.open("live:old", state="finished", started_ms=1000)
    store.append("live:old", [1, 2, 3])
    store.open(KEY)
    store.append(KEY, [1000])
    with client.websocket_connect(LIVE) as socket:
        page = Page(socket)
        page.next("state")
        page.say(t="view", series="live:old")
        while (message := page.receive())["t"] != "tick":
            pass
        assert message["header"]["series"] == "live:old"


@pytest.mark.parametrize("limit", [10**6, 1000], ids=["short", "long"])
def test_a_damaged_series_is_told_and_costs_nobody_else(
    client: TestClient,
    store: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
) -> None:
    """As one whose file in the archive cannot be read: Redis answers all the same."""
    bad = "live:damaged"
    monkeypatch.setattr(loads, "LONG", limit)
    store.open(bad, state="finished", started_ms=1)
    store.append(bad, np.full(5000, 1000))
    store.open(KEY)
    store.append(KEY, [1000])
    tries: list[float] = []
    rows = MemoryStore.rows

    def damaged(self: MemoryStore, key: str, *args: Any) -> np.ndarray:
        if key == bad:
            tries.append(time.monotonic())
            raise StoreError("damaged archive")
        return rows(self, key, *args)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "rows", damaged)
        with (
            client.websocket_connect(LIVE) as one,
            client.websocket_connect(LIVE) as two,
        ):
            unlucky, other = Page(one), Page(two)
            unlucky.say(t="view", series=bad)
            assert unlucky.next("error")["text"] == "damaged archive"
            for n in range(2, 30):
                store.append(KEY, [1000])
                other.next("tick", series=KEY, n=n)
            wait_until(lambda: len(tries) > 2, what="tries")
            spent_s = time.monotonic() - tries[0]
            # Tried again now and then; told once.
            assert len(tries) <= 2 + 2 * spent_s / live.RETRY_S
            patch.undo()
            others = []
            while (message := unlucky.receive())["t"] != "tick":
                others.append(message)
            assert [m for m in others if m["t"] != "state"] == []
            assert message["header"]["n"] == 5000
