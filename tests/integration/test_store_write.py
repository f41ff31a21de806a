from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from helpers import wait_until
from redis_fixture import running_server
from store_data import (
    CHANNEL,
    KEY,
    MASK,
    append,
    assert_rows,
    meta,
    open_series,
    records,
    regions,
)

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.model import EventKind, PixelMask
from eigerwatch.store import keys
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def server(request, tmp_path):
    with running_server(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def writer(server):
    writer = Writer(server.url, server.settings())
    writer.start()
    yield writer
    writer.stop(5)


@pytest.fixture
def reader(server):
    return Reader(server.client())


def test_frames_out_of_order_with_gaps_and_repeats(writer, reader):
    rng = np.random.default_rng(4)
    ids = np.setdiff1d(np.arange(25_000), np.arange(12_000, 12_100))
    sent = rng.permutation(np.concatenate([ids, rng.choice(ids, 700)]))
    open_series(writer)
    for part in np.array_split(sent, 200):
        append(writer, part)
    writer.ledger(KEY, CHANNEL, {"missing": 100, "duplicates": 700})
    writer.close_series(KEY, {"state": "finished", "end_seen": 1})
    assert writer.stop(20)
    assert_rows(reader.rows(KEY, CHANNEL), ids)
    info = reader.info(KEY)
    ledger = info.ledgers[CHANNEL]
    assert (ledger.stored, ledger.missing, ledger.outstanding) == (24_900, 100, 0)
    assert ledger.highest == 24_999
    assert ledger.duplicates == 700
    assert info.state == "finished"
    assert info.end_seen
    assert info.frame_time_s == 0.00134
    assert info.shape == (2167, 2070)
    assert [i.key for i in reader.series()] == [KEY]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 0),
        (9_990, 10_010),
        (10_000, 20_000),
        (24_000, 10**9),
        (30, 20),
        (5, 24_990),
        (99_999, None),
    ],
)
def test_any_part_can_be_read(writer, reader, start, stop):
    open_series(writer)
    append(writer, np.arange(25_000))
    assert writer.stop(20)
    rows = reader.rows(KEY, CHANNEL, start, stop)
    expected = range(25_000)[start:stop]
    assert rows.size == len(expected)
    assert_rows(rows, expected, start)


def test_every_frame_is_in_one_state_at_any_moment(server, writer):
    """Readers running beside the writer see the invariant hold each time."""
    reader = Reader(server.client())
    open_series(writer, number_of_images=400_000)
    stop = threading.Event()
    wrong: list[str] = []
    seen: list[int] = []

    def look() -> None:
        while not stop.is_set():
            try:
                ledger = reader.info(KEY).ledgers.get(CHANNEL)
            except UnknownSeriesError:
                continue
            if ledger is None:
                continue
            parts = ledger.stored + ledger.rejected + ledger.outstanding
            seen.append(ledger.stored)
            if parts + ledger.missing != ledger.highest + 1:
                wrong.append(str(ledger))
            # Every tenth frame is rejected, in the same transaction as the others.
            if ledger.outstanding or ledger.rejected * 9 != ledger.stored:
                wrong.append(str(ledger))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for thread in readers:
        thread.start()
    for first in range(0, 20_000, 10):
        batch = np.arange(first, first + 9)
        with _together(writer):
            append(writer, batch)
            writer.reject(KEY, CHANNEL, first + 9, "payload: corrupt")
        if first % 500 == 0:
            wait_until(lambda: writer.status().pending_bytes < 100_000, what="flush")
    assert writer.stop(20)
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert len(set(seen)) > 3


class _together:  # noqa: N801
    """Let the writer take what is enqueued inside at once."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        self._writer._inbox._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._writer._inbox._lock.release()


def test_rejected_missing_and_sent_again(writer, reader):
    open_series(writer)
    append(writer, [0, 1, 3])
    writer.reject(KEY, CHANNEL, 2, "payload: block 3 is cut off")
    writer.extend(KEY, CHANNEL, 5)
    writer.extend(KEY, CHANNEL, 2)
    writer.ledger(KEY, CHANNEL, {"missing": 1, "late": 4})
    wait_until(lambda: _state(reader) == (3, 1, 1, 1, 5), what="first state")
    assert reader.rejected(KEY, CHANNEL) == {2: "payload: block 3 is cut off"}
    assert_rows(reader.rows(KEY, CHANNEL), [0, 1, 3])
    append(writer, [2])
    assert writer.stop(5)
    assert _state(reader) == (4, 0, 1, 1, 5)
    assert reader.rejected(KEY, CHANNEL) == {}
    assert_rows(reader.rows(KEY, CHANNEL), [0, 1, 2, 3])


def _state(reader):
    try:
        ledger = reader.info(KEY).ledgers[CHANNEL]
    except (UnknownSeriesError, KeyError):
        return None
    return (
        ledger.stored,
        ledger.rejected,
        ledger.outstanding,
        ledger.missing,
        ledger.highest,
    )


def test_a_second_process_goes_on_with_the_same_series(server, reader):
    """Nothing of the first process is overwritten, rejections are taken back."""
    first = Writer(server.url, server.settings())
    first.start()
    open_series(first, number_of_images=10)
    append(first, range(12))  # two more than announced: the pad byte's place
    first.reject(KEY, CHANNEL, 12, "payload")
    assert first.stop(5)
    second = Writer(server.url, server.settings())
    second.start()
    open_series(second, number_of_images=10)
    append(second, [0, 12])
    assert second.stop(5)
    assert_rows(reader.rows(KEY, CHANNEL), range(13))
    assert reader.rejected(KEY, CHANNEL) == {}


def test_region_rows_are_read_back(writer, reader):
    ids = np.arange(9_990, 10_020)
    open_series(writer)
    writer.append(KEY, CHANNEL, ids, records(ids), regions(ids))
    append(writer, [10_020])
    assert writer.stop(5)
    rows = reader.region_rows(KEY, CHANNEL, 9_980, 10_030)
    assert rows.shape == (41, 3)
    np.testing.assert_array_equal(rows[10:40], regions(ids))
    assert (rows["total"][:10] == 0).all()
    assert (rows["total"][40:] == 0).all()
    assert reader.region_rows(KEY, "other").shape == (0, 0)


def test_region_rows_keep_their_places_for_a_second_process(server, reader):
    """Even if it has more regions: what is stored must not be read another way."""
    first = Writer(server.url, server.settings())
    first.start()
    open_series(first)
    ids = np.arange(10)
    first.append(KEY, CHANNEL, ids, records(ids), regions(ids))
    assert first.stop(5)
    slots = {
        keys.slots_field(CHANNEL): reader.info(KEY).meta["region_slots:" + CHANNEL]
    }
    second = Writer(server.url, server.settings())
    second.start()
    open_series(second, **slots)
    ids = np.arange(10, 20)
    second.append(KEY, CHANNEL, ids, records(ids), regions(ids, width=5))
    assert second.stop(5)
    rows = reader.region_rows(KEY, CHANNEL)
    np.testing.assert_array_equal(rows, regions(np.arange(20)))


def test_a_mask_is_read_back(writer, reader):
    open_series(writer)
    wait_until(reader.series, what="series")
    writer.mask(KEY, CHANNEL, MASK)
    wait_until(lambda: reader.mask(KEY, CHANNEL) == MASK, what="mask")
    assert reader.mask(KEY, "other") is None
    other = PixelMask((1, 8), b"\x0f")
    writer.mask(KEY, CHANNEL, other)
    assert writer.stop(5)
    assert reader.mask(KEY, CHANNEL) == other


def test_a_flush_ends_the_wait_for_it(reader, writer):
    open_series(writer)
    append(writer, range(10))
    wait_until(lambda: reader.series() and reader.ticks(KEY), what="a flush")
    began = time.monotonic()
    reader.await_flush(KEY, 0.05)
    assert time.monotonic() - began >= 0.04  # what was before does not count
    later = threading.Timer(0.2, append, (writer, range(10, 20)))
    later.start()
    reader.await_flush(KEY, 30.0)
    assert time.monotonic() - began < 20
    assert len(reader.rows(KEY, CHANNEL)) == 20
    later.join()


def test_events_and_ticks_wake_a_reader_once(server, writer):
    reader = Reader(server.client())
    cursors = {keys.events(KEY): "$", keys.ticks(KEY): "0-0"}
    assert reader.wait(0.05, cursors) == {}
    open_series(writer)
    writer.event(KEY, EventKind.START, {"series_id": "7"})
    append(writer, range(100))
    new = wait_until(lambda: reader.wait(2.0, cursors), what="news")
    while len(new) < 2:
        new |= reader.wait(2.0, cursors)
    ((_, start),) = new[keys.events(KEY)]
    assert (start["kind"], start["series_id"]) == ("start", "7")
    ((_, tick),) = new[keys.ticks(KEY)]
    assert (tick["lo"], tick["hi"], tick["n"]) == ("0", "99", "100")
    assert tick["channel"] == CHANNEL
    assert reader.wait(0.05, cursors) == {}
    (event,) = reader.events(KEY)
    assert event.kind == "start"
    assert abs(event.ms - int(event.entry.partition("-")[0])) < 5000
    assert reader.events(KEY, after=event.entry) == []


def test_repeated_entries_are_dropped_by_their_id(server, writer, reader):
    open_series(writer)
    writer.event(KEY, "gap", {"first": "3"})
    assert writer.stop(5)
    client = server.client()
    ((_, fields),) = client.xrange(keys.events(KEY))
    client.xadd(keys.events(KEY), fields)
    assert len(reader.events(KEY)) == 1


def test_every_key_of_a_series_expires_unless_pinned(server, writer):
    client = server.client()
    for key, pinned in (("live:a", 0), ("live:b", 1)):
        open_series(writer, key, pinned=pinned)
        append(writer, range(10_100), key)
        writer.reject(key, CHANNEL, 10_100, "x")
        writer.event(key, "start", {})
        writer.preview(key, CHANNEL, b"image")
        writer.mask(key, CHANNEL, MASK)
        writer.close_series(key, {"state": "finished"})
    assert writer.stop(5)
    lives = {name: client.pttl(name) for name in client.scan_iter()}
    day_ms = 86_400_000
    mine = {n: ms for n, ms in lives.items() if b"{live:a}" in n}
    assert len(mine) == 9
    assert all(13.9 * day_ms < ms <= 14 * day_ms for ms in mine.values())
    kept = {n: ms for n, ms in lives.items() if b"{live:b}" in n and b"prev" not in n}
    assert len(kept) == 8
    assert set(kept.values()) == {-1}


def test_ttl_never_fires_on_a_live_series(server):
    """Fault row 58: an armed series that stays silent longer than its TTL."""
    writer = Writer(server.url, server.settings(ttl_days=1.5 / 86_400))
    writer.start()
    client = server.client()
    open_series(writer)
    append(writer, range(10))
    name = keys.rows(KEY, CHANNEL, 0)
    wait_until(lambda: client.exists(name), what="rows")
    left = [client.pttl(name)]
    renewals = []

    def lived_on() -> bool:
        left.append(client.pttl(name))
        renewals.extend([1] * (left[-1] > left[-2]))
        return len(renewals) > 4 or left[-1] < 0

    wait_until(lived_on, what="several renewals")
    assert client.exists(name)
    writer.close_series(KEY, {"state": "finished"})
    assert writer.stop(5)
    wait_until(lambda: not client.exists(name, keys.ok(KEY, CHANNEL)), what="expiry")


def test_hostile_channel_names_and_values_go_through(writer, reader):
    channel = "x}:ok\r\nFLUSHALL\0{"
    open_series(writer, channels="[]", detector="\ud800\0<script>")
    append(writer, range(10), channel=channel)
    writer.ledger(KEY, channel, {"missing": 0})
    assert writer.stop(5)
    assert_rows(reader.rows(KEY, channel), range(10))
    info = reader.info(KEY)
    assert info.ledgers[channel].stored == 10


def test_frames_beyond_max_frames_are_refused_and_counted(server, reader):
    writer = Writer(server.url, server.settings(max_frames=1000))
    writer.start()
    open_series(writer)
    append(writer, [1, 999, 1000, 2**40])
    wait_until(lambda: _state(reader), what="state")
    assert _state(reader)[0] == 2
    status = writer.status()
    assert status.lost_records == 2
    assert not writer.stop(5)


@pytest.mark.parametrize("none", [-1, -5])
def test_extending_to_no_frame_at_all_does_nothing(server, reader, none):
    writer = Writer(server.url, server.settings())
    writer.start()
    open_series(writer)
    writer.extend(KEY, CHANNEL, none)
    writer.ledger(KEY, CHANNEL, {"missing": 0})
    wait_until(lambda: _state(reader) == (0, 0, 0, 0, -1), what="counts")
    assert writer.stop(5)
    assert writer.status().last_error is None


def test_a_series_unknown_or_half_deleted(server, writer, reader):
    open_series(writer)
    append(writer, range(25_000))
    assert writer.stop(5)
    client = server.client()
    client.delete(keys.rows(KEY, CHANNEL, 1))
    assert_rows(reader.rows(KEY, CHANNEL), [*range(10_000), *range(20_000, 25_000)])
    client.delete(keys.meta(KEY))
    assert reader.series() == []
    for key in (KEY, "live:other", "../../etc", "", "live:*"):
        with pytest.raises(UnknownSeriesError):
            reader.info(key)


def test_foreign_garbage_does_not_break_the_list(server, writer, reader):
    open_series(writer)
    assert writer.stop(5)
    client = server.client()
    client.zadd(keys.SERIES, {"\xff": 1, "live:wrongtype": 2e300, "live:bad": 3})
    client.set(keys.meta("live:wrongtype"), "text")
    garbage = {"channels": "[" * 9000, "number_of_images": "9" * 5000, "state": "\0"}
    client.hset(keys.meta("live:bad"), mapping=garbage)
    client.set(keys.ok("live:bad", CHANNEL), b"\xff" * 10)
    client.hset(keys.meta("live:bad"), f"ledger:{CHANNEL}", '{"missing": 1e400}')
    listed = {i.key: i for i in reader.series()}
    assert set(listed) == {KEY, "live:bad"}
    assert listed["live:bad"].ledgers[CHANNEL].highest == 9
    assert not reader.rows("live:bad", CHANNEL)["flags"].any()


def test_huge_announced_numbers_cost_nothing(server, writer, reader):
    """Fault row 11."""
    open_series(writer, number_of_images=2**48)
    append(writer, [0])
    assert writer.stop(5)
    assert reader.info(KEY).number_of_images == 2**48
    client = server.client()
    assert sum(client.memory_usage(n) for n in client.scan_iter()) < 10**6


def test_short_series_take_little_memory(server, writer):
    for n in range(20):
        open_series(writer, f"live:{n}", number_of_images=10)
        append(writer, range(10), f"live:{n}")
        writer.close_series(f"live:{n}", meta(state="finished"))
    assert writer.stop(5)
    client = server.client()
    total = sum(client.memory_usage(n) for n in client.scan_iter())
    assert total / 20 < 12_000
