"""One owner of the stream: fault row 46."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from redis_fixture import running_server

from eigerwatch.errors import LeaseError, StoreError
from eigerwatch.store import keys
from eigerwatch.store.control import Control
from eigerwatch.store.lease import Lease
from eigerwatch.store.read import Reader


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def client(server):
    return server.client()


def test_the_second_owner_is_refused_by_name(client):
    first = Lease(client, owner="eigerwatch at beamline")
    first.acquire(0)
    first.beat({"link": "connected"})
    with pytest.raises(LeaseError) as caught:
        Lease(client).acquire(0)
    text = str(caught.value)
    assert "eigerwatch at beamline" in text
    assert socket.gethostname() in text
    assert f"pid {os.getpid()}" in text
    assert time.strftime("%Y-") in text
    owner = Reader(client).owner()
    assert owner["status"] == {"link": "connected"}
    assert owner["beat_ms"] >= owner["since_ms"]
    first.release()
    assert Reader(client).owner() is None
    Lease(client).acquire(0)


def test_a_silent_owner_is_waited_for(client):
    Lease(client, ttl_s=0.3).acquire(0)
    second = Lease(client)
    begin = time.monotonic()
    second.acquire(5)
    assert time.monotonic() - begin < 2
    second.beat({})


def test_an_owner_that_was_silent_too_long_learns_it(client):
    first = Lease(client, ttl_s=0.1)
    first.acquire(0)
    second = Lease(client)
    second.acquire(5)
    with pytest.raises(LeaseError, match="took over"):
        first.beat({})
    first.release()
    second.beat({})


def test_a_lease_nobody_wanted_is_taken_again(client):
    lease = Lease(client)
    lease.acquire(0)
    client.flushall()
    lease.beat({"n": 1})
    assert Reader(client).owner()["status"] == {"n": 1}


ACQUIRE = """
import sys
from eigerwatch.store.client import connect
from eigerwatch.store.lease import Lease
Lease(connect(sys.argv[1]), ttl_s=60).acquire(0)
"""


def test_a_dead_owner_of_this_host_is_replaced_at_once(server, client):
    command = [sys.executable, "-c", ACQUIRE, server.url]
    subprocess.run(command, check=True, timeout=30)
    assert client.pttl(keys.LEASE) > 30_000
    Lease(client).acquire(0)


@pytest.mark.parametrize(
    "changes",
    [{"host": "elsewhere"}, {"namespace": "pid:[1]"}, {"boot": None}, {"pid": "x"}],
)
def test_a_process_that_cannot_be_seen_is_not_called_dead(server, client, changes):
    subprocess.run([sys.executable, "-c", ACQUIRE, server.url], check=True, timeout=30)
    holder = json.loads(client.get(keys.LEASE)) | changes
    holder = {n: v for n, v in holder.items() if v is not None}
    client.set(keys.LEASE, json.dumps(holder), px=60_000)
    with pytest.raises(LeaseError):
        Lease(client).acquire(0)


@pytest.mark.parametrize("garbage", ["", "{", "[1]", '{"since_ms": 1e99}', "\xff"])
def test_garbage_in_the_lease_is_respected_until_it_expires(client, garbage):
    client.set(keys.LEASE, garbage, px=300)
    with pytest.raises(LeaseError):
        Lease(client).acquire(0)
    Lease(client).acquire(5)


def test_beating_without_redis_is_an_error_that_passes(server, client):
    lease = Lease(client)
    lease.acquire(0)
    server.kill()
    with pytest.raises(StoreError, match="cannot be reached"):
        lease.beat({})
    server.start()
    lease.beat({})


def test_commands_travel_from_page_to_consumer(client):
    control = Control(client)
    start = control.newest()
    control.append("pin", {"series": "live:1", "command": "x"})
    control.append("stop")
    first, second = control.read(start)
    assert (first.command, first.fields) == ("pin", {"series": "live:1"})
    assert second.command == "stop"
    assert control.read(second.id, wait_s=0.05) == []
    assert control.newest() == second.id
