"""What must not bring the consumer down, and how it goes down when it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until
from redis_fixture import RunningServer, running_server

from eigerwatch.config import load_settings
from eigerwatch.consumer import Consumer
from eigerwatch.errors import ConfigError, LeaseError
from eigerwatch.pipeline import Pipeline
from eigerwatch.receive import Receiver
from eigerwatch.store.lease import Lease
from eigerwatch.store.read import Reader
from eigerwatch.upkeep import Upkeep


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


def settings_of(server: RunningServer, tmp_path: Path, **more: Any) -> Any:
    return load_settings(
        store={"url": server.url, "data_dir": tmp_path / "data"},
        stream={"endpoint": f"ipc://{tmp_path}/stream"},
        replay={"endpoint": f"ipc://{tmp_path}/replay"},
        **more,
    )


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_crash_in_one_step_does_not_skip_the_others(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads()
    consumer = Consumer(settings_of(server, tmp_path), server.url)

    def crash(*_: object) -> None:
        raise OverflowError("as a defect would")

    monkeypatch.setattr(Pipeline, "step", crash)
    monkeypatch.setattr(Pipeline, "drain", crash)
    with pytest.raises(OverflowError):
        consumer.run()
    assert Reader(server.client()).owner() is None
    assert threads() == before


def test_a_consumer_that_cannot_be_built_leaves_nothing_behind(
    server: RunningServer, tmp_path: Path
) -> None:
    before = threads()
    settings = load_settings(
        store={"url": server.url, "data_dir": tmp_path / "data"},
        stream={"endpoint": "tcp://nonsense"},
    )
    with pytest.raises(ConfigError, match="tcp://HOST:PORT"):
        Consumer(settings, server.url)
    assert Reader(server.client()).owner() is None
    assert threads() == before


def test_a_tee_that_cannot_be_bound_is_named(tmp_path: Path) -> None:
    from eigerwatch.model import SourceKind

    with pytest.raises(ConfigError, match=r"stream\.tee"):
        Receiver(
            {SourceKind.LIVE: f"ipc://{tmp_path}/stream"}, 8, 10**6, "tcp://1.2.3.4:1"
        )


class SlowJanitor:
    """Tidies for longer than a lease lasts."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.finish = threading.Event()

    def run_once(self, _live: object) -> Any:
        self.began.set()
        self.finish.wait(30)
        raise OSError("disk full")


def test_tidying_never_costs_the_lease(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigerwatch.upkeep._TIDY_S", 0.01)
    monkeypatch.setattr("eigerwatch.upkeep._BEAT_S", 0.1)
    janitor = SlowJanitor()
    lease = Lease(server.client(), ttl_s=1.0)
    lease.acquire()
    lost: list[LeaseError] = []
    upkeep = Upkeep(lease, janitor, dict, list, lost.append)  # type: ignore[arg-type]
    upkeep.start()
    reader = Reader(server.client())
    janitor.began.wait(10)
    first = reader.owner()
    assert first is not None
    wait_until(
        lambda: (o := reader.owner()) and o["beat_ms"] > first["beat_ms"] + 1500,
        what="beats",
    )
    janitor.finish.set()
    upkeep.stop()
    assert lost == []


def test_a_heart_that_stops_stops_the_consumer(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigerwatch.upkeep._BEAT_S", 0.01)
    lease = Lease(server.client(), ttl_s=1.0)
    lease.acquire()
    other = Lease(server.client(), ttl_s=60.0)
    server.client().flushall()
    other.acquire()
    lost: list[LeaseError] = []
    upkeep = Upkeep(lease, SlowJanitor(), dict, list, lost.append)  # type: ignore[arg-type]
    upkeep.start()
    wait_until(lambda: lost, what="notice")
    upkeep.stop()
    assert "took over" in str(lost[0])
