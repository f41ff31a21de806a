"""Redis that is away, frozen, full, emptied or misused: fault rows 48 to 58, 79."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import redis
from helpers import wait_until
from redis_fixture import running_server
from store_data import CHANNEL, KEY, append, assert_rows, open_series

from eigerwatch.errors import StoreError
from eigerwatch.model import EventKind
from eigerwatch.store import keys
from eigerwatch.store.client import check_server, connect
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def reader(server):
    return Reader(server.client())


def started(server, **changes):
    writer = Writer(server.url, server.settings(**changes))
    writer.start()
    return writer


def stored(reader):
    try:
        return reader.info(KEY).ledgers[CHANNEL].stored
    except (StoreError, KeyError):
        return 0


@pytest.mark.parametrize(
    "family", ["valkey", pytest.param("redis", marks=pytest.mark.redis)]
)
def test_a_server_killed_under_load_loses_nothing(tmp_path, family):
    """Rows 48 and 53: three kills, every frame is there in the end."""
    with running_server(tmp_path, family) as server:
        writer = started(server)
        reader = Reader(server.client())
        open_series(writer, number_of_images=60_000)
        sent = 0
        for _ in range(3):
            target = stored(reader) + 3000
            while stored(reader) < target:
                append(writer, np.arange(sent, sent + 100))
                sent += 100
                time.sleep(0.01)
            server.kill()
            for _ in range(20):
                append(writer, np.arange(sent, sent + 100))
                sent += 100
            wait_until(lambda: not writer.status().connected, what="noticed")
            assert "cannot be reached" in writer.status().last_error
            server.start()
            wait_until(lambda: writer.status().connected, what="connected again")
        assert writer.stop(20)
        assert_rows(reader.rows(KEY, CHANNEL), range(sent))
        assert writer.status().lost_records == 0
        assert_rows_are_marked(reader, sent)


def assert_rows_are_marked(reader, sent):
    ledger = reader.info(KEY).ledgers[CHANNEL]
    assert (ledger.stored, ledger.highest) == (sent, sent - 1)


def test_appending_never_waits_for_a_frozen_server(server, reader):
    """Row 49."""
    writer = started(server)
    open_series(writer)
    append(writer, range(100))
    wait_until(lambda: stored(reader) == 100, what="first frames")
    took = []
    sent = 100
    with server.frozen():
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            begin = time.perf_counter()
            append(writer, np.arange(sent, sent + 10))
            writer.ledger(KEY, CHANNEL, {"missing": 0})
            took.append(time.perf_counter() - begin)
            sent += 10
            time.sleep(0.005)
        status = writer.status()
        assert not status.connected
        assert "does not answer" in status.last_error
        assert status.last_flush_age_s > 2
        assert status.pending_bytes > 0
    # Stolen time slices cost milliseconds; waiting for Redis costs seconds.
    assert writer.stop(20)
    assert np.median(took) < 0.005
    assert np.percentile(took, 99) < 0.2
    assert max(took) < 1
    assert_rows(reader.rows(KEY, CHANNEL), range(sent))


def test_a_reader_of_a_frozen_server_gives_up_within_2_s(server):
    reader = Reader(server.client())
    assert reader.series() == []
    with server.frozen():
        begin = time.monotonic()
        with pytest.raises(StoreError, match="does not answer"):
            reader.series()
        assert time.monotonic() - begin < 2.5


def test_down_at_start_then_memory_then_spool_then_in_order(server, reader):
    """Row 48: more than the ring holds, nothing is lost, the ledger is the newest."""
    server.kill()
    writer = started(server, ring_mb=1, flush_ms=10)
    open_series(writer, number_of_images=100_000)
    for first in range(0, 60_000, 500):
        append(writer, np.arange(first, first + 500))
        writer.ledger(KEY, CHANNEL, {"missing": 0, "late": first})
        wait_until(lambda: writer._inbox.bytes < 200_000, what="inbox")
    wait_until(lambda: writer.status().spooled_bytes > 10**6, what="spooling")
    assert writer.status().pending_bytes < 1.3e6
    server.start()
    wait_until(lambda: stored(reader) == 60_000, what="replay")
    append(writer, range(60_000, 60_100))
    assert writer.stop(20)
    assert_rows(reader.rows(KEY, CHANNEL), range(60_100))
    assert reader.info(KEY).ledgers[CHANNEL].late == 59_500
    status = writer.status()
    assert (status.lost_records, status.spooled_bytes) == (0, 0)


def test_stopping_without_redis_keeps_everything_for_the_next_start(server, reader):
    server.kill()
    first = started(server)
    open_series(first)
    append(first, range(5000))
    assert not first.stop(0.5)
    server.start()
    second = started(server)
    append(second, range(5000, 6000))
    assert second.stop(10)
    assert_rows(reader.rows(KEY, CHANNEL), range(6000))
    assert reader.info(KEY).state == "collecting"


KILLED = """
import sys
from pathlib import Path
import numpy as np
from eigerwatch.sections import StoreSettings
from eigerwatch.log import configure_logging
from eigerwatch.store.write import Writer
configure_logging()
sys.path.insert(0, sys.argv[3])
from store_data import append, open_series
settings = StoreSettings(url=sys.argv[1], data_dir=Path(sys.argv[2]), ring_mb=1)
writer = Writer(sys.argv[1], settings)
writer.start()
open_series(writer, number_of_images=100_000)
for first in range(0, 40_000, 500):
    append(writer, np.arange(first, first + 500))
    while writer._inbox.bytes > 100_000:
        pass
while writer._inbox.bytes:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_spool_of_a_killed_process_is_replayed_before_new_data(server, reader):
    server.kill()
    settings = server.settings()
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, server.url, settings.data_dir, tests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        spooled = list((settings.data_dir / "spool").glob("*.cborseq"))
        assert spooled
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    server.start()
    writer = started(server)
    append(writer, range(40_000, 40_010))
    assert writer.stop(20)
    rows = reader.rows(KEY, CHANNEL)
    # What the killed process still had in memory (1 MB) is the beginning; it is
    # gone with it, everything it had written down is there.
    first = int(np.flatnonzero(rows["flags"])[0])
    assert first * 64 < 1.1e6
    assert_rows(rows, range(first, 40_010))


def test_beyond_the_spool_the_newest_is_refused_and_declared(server, reader):
    """Row 79."""
    server.kill()
    writer = started(server, ring_mb=1, spool_mb=1, flush_ms=5)
    open_series(writer, number_of_images=100_000)
    for first in range(0, 60_000, 500):
        append(writer, np.arange(first, first + 500))
        wait_until(lambda: writer._inbox.bytes < 100_000, what="inbox")
    wait_until(lambda: writer._inbox.bytes == 0, what="inbox")
    lost = writer.status().lost_records
    assert lost > 10_000
    writer.close_series(KEY, {"state": "finished"})
    wait_until(lambda: writer._inbox.bytes == 0, what="inbox")
    server.start()
    wait_until(lambda: stored(reader) == 60_000 - lost, what="replay")
    wait_until(lambda: reader.events(KEY), what="the declaration")
    (event,) = reader.events(KEY)
    assert (event.kind, event.fields["reason"]) == ("alarm", "lost")
    assert str(lost) in event.fields["text"]
    ledger = reader.info(KEY).ledgers[CHANNEL]
    assert (ledger.highest, ledger.outstanding) == (59_999, lost)
    assert reader.info(KEY).state == "finished"
    append(writer, [60_000])
    assert not writer.stop(10)
    rows = reader.rows(KEY, CHANNEL)
    kept = np.flatnonzero(rows["flags"])
    assert_rows(rows, kept)
    # The oldest are kept, in one piece.
    np.testing.assert_array_equal(kept[:-1], np.arange(60_000 - lost))


def test_what_finds_no_room_in_memory_is_refused_and_declared(server, reader):
    """A thread that does not run stands for a disk that does not answer."""
    writer = Writer(server.url, server.settings(ring_mb=1))
    open_series(writer)
    for number in range(40):
        writer.update_series(f"live:{number}", {"header": "x" * 50_000})
    for _ in range(40):
        writer.event(KEY, EventKind.GAP, {"text": "x" * 50_000})
    append(writer, range(20_000))
    status = writer.status()
    assert status.pending_bytes <= 1_100_000
    assert status.lost_records == 20_000
    assert status.lost_entries >= 58
    assert "store.ring_mb" in status.last_error
    writer.start()
    client = server.client()
    wait_until(lambda: client.exists(keys.events(KEY)), what="the declaration")
    (event,) = reader.events(KEY)
    assert (event.kind, event.fields["reason"]) == ("alarm", "lost")
    assert event.fields["text"].startswith("20000 records and 40 events, states")
    assert not writer.stop(5)


def test_a_full_server_stops_nothing_and_all_is_stored_later(server, reader):
    """Row 51: OOM under noeviction."""
    client = server.client()
    writer = started(server)
    open_series(writer)
    append(writer, range(100))
    wait_until(lambda: stored(reader) == 100, what="first frames")
    client.config_set("maxmemory", 1)
    append(writer, range(100, 200))
    wait_until(lambda: writer.status().last_error, what="the trouble is said")
    assert "OOM" in writer.status().last_error
    assert "maxmemory" in writer.status().last_error
    client.config_set("maxmemory", 0)
    wait_until(lambda: stored(reader) == 200, what="stored later")
    wait_until(lambda: writer.status().last_error is None, what="all is well")
    assert writer.stop(5)


@pytest.mark.parametrize(
    ("break_it", "repair", "word"),
    [
        (
            lambda c: c.config_set("requirepass", "secret"),
            lambda c: c.config_set("requirepass", ""),
            "NOAUTH",
        ),
        (
            lambda c: c.replicaof("127.0.0.1", "1"),
            lambda c: c.replicaof("NO", "ONE"),
            "READONLY",
        ),
        (
            lambda c: c.execute_command("ACL", "SETUSER", "default", "-setrange"),
            lambda c: c.execute_command("ACL", "SETUSER", "default", "+@all"),
            "NOPERM",
        ),
    ],
)
def test_refusals_are_named_and_wait(server, reader, break_it, repair, word):
    """Row 56."""
    client = server.client()
    client.ping()
    writer = started(server)
    open_series(writer)
    append(writer, range(10))
    wait_until(lambda: stored(reader) == 10, what="first frames")
    break_it(client)
    client.client_kill_filter(_type="normal", skipme=True)
    append(writer, range(10, 20))
    wait_until(lambda: word in (writer.status().last_error or ""), what=word)
    repair(client)
    wait_until(lambda: stored(reader) == 20, what="stored later")
    assert writer.stop(5)
    assert writer.status().lost_records == 0


def test_a_key_of_another_kind_costs_that_key_only(server, reader):
    """Row 56: WRONGTYPE."""
    client = server.client()
    client.rpush(keys.rows(KEY, CHANNEL, 0), "not ours")
    writer = started(server)
    open_series(writer)
    append(writer, range(9_990, 10_010))
    wait_until(lambda: writer.status().warnings, what="warning")
    assert "WRONGTYPE" in writer.status().warnings[0]
    append(writer, range(10_010, 10_020))
    writer.stop(5)
    assert writer.status().lost_records == 10
    assert stored(reader) == 20
    client.delete(keys.rows(KEY, CHANNEL, 0))
    rows = reader.rows(KEY, CHANNEL)
    assert_rows(rows, range(10_000, 10_020))


def test_flushall_is_noticed_and_the_series_written_again(server, reader):
    """Row 57."""
    client = server.client()
    writer = started(server)
    open_series(writer)
    append(writer, range(12_000))
    writer.reject(KEY, CHANNEL, 12_000, "payload")
    writer.ledger(KEY, CHANNEL, {"missing": 0, "late": 3})
    wait_until(lambda: stored(reader) == 12_000, what="first frames")
    # The writer must have learned that the series exists.
    client.flushall()
    append(writer, range(12_001, 12_100))
    wait_until(lambda: stored(reader) == 12_099, what="written again")
    info = reader.info(KEY)
    assert info.state == "collecting"
    assert info.number_of_images == 25_000
    assert info.ledgers[CHANNEL].late == 3
    assert reader.rejected(KEY, CHANNEL) == {12_000: "payload"}
    assert [i.key for i in reader.series()] == [KEY]
    (event,) = wait_until(lambda: reader.events(KEY), what="the declaration")
    assert event.fields["reason"] == "store_lost"
    assert any("FLUSHALL" in text for text in writer.status().warnings)
    append(writer, [12_100])
    assert writer.stop(5)
    assert_rows(reader.rows(KEY, CHANNEL), [*range(12_000), *range(12_001, 12_101)])
    assert client.pttl(keys.rows(KEY, CHANNEL, 0)) > 0


def test_a_server_that_lost_its_last_seconds_is_sent_them_again(server, reader):
    """Row 54: the append-only file cut off at an earlier moment."""
    writer = started(server)
    client = server.client()
    open_series(writer)
    append(writer, range(100))
    wait_until(lambda: stored(reader) == 100, what="first frames")
    folder = server.folder / "appendonlydir"
    size = {p: p.stat().st_size for p in folder.glob("*.incr.aof")}
    assert size
    append(writer, range(100, 200))
    wait_until(lambda: stored(reader) == 200, what="more frames")
    client.close()
    server.kill()
    for path, bytes_ in size.items():
        os.truncate(path, bytes_)
    server.start()
    append(writer, range(200, 210))
    wait_until(lambda: stored(reader) == 210, what="all frames")
    assert writer.stop(5)
    assert_rows(reader.rows(KEY, CHANNEL), range(210))


def test_a_server_that_may_evict_is_refused(server):
    """Row 52."""
    client = server.client()
    assert check_server(client) == []
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreError, match="CONFIG SET maxmemory-policy noeviction"):
        check_server(client)


def test_a_server_without_aof_is_warned_about(server):
    """Row 53."""
    client = server.client()
    client.config_set("appendonly", "no")
    (warning,) = check_server(client)
    assert "CONFIG SET appendonly yes" in warning


def test_a_replica_is_refused(server):
    client = server.client()
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreError, match="replica"):
        check_server(client)


def test_a_cluster_is_refused(tmp_path):
    with running_server(tmp_path, "valkey", "--cluster-enabled", "yes") as server:
        with pytest.raises(StoreError, match="cluster"):
            check_server(server.client())


def test_no_server_at_all_is_said_with_the_cure(tmp_path):
    client = connect(f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(StoreError, match=r"start it or correct store\.url"):
        check_server(client)
    client.close()


def test_a_user_without_info_is_warned_about(server):
    client = server.client()
    client.acl_setuser("web", enabled=True, nopass=True, commands=["+@all", "-info"])
    limited = connect(server.url.replace("unix://", "unix://web:x@"))
    server.clients.append(limited)
    (warning,) = check_server(limited)
    assert "+info" in warning
    with pytest.raises(redis.ResponseError):
        limited.info()
