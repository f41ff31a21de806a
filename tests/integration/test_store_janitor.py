from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from redis_fixture import running_server
from store_data import CHANNEL, KEY, MASK, open_series, records, regions

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.store import keys, lifetime
from eigerwatch.store.archive import file_name, write_archive
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer

OLD, NEW, PINNED, LIVE = "live:old", "live:new", "live:pinned", "live:live"


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def writer(server):
    writer = Writer(server.url, server.settings())
    writer.start()
    yield writer
    writer.stop(5)


def fill(writer, key, frames=12_000, state="finished"):
    ids = np.setdiff1d(np.arange(frames), [5, 6])
    open_series(writer, key)
    writer.append(key, CHANNEL, ids, records(ids), regions(ids))
    writer.mask(key, CHANNEL, MASK)
    writer.reject(key, CHANNEL, 5, "payload: corrupt")
    writer.ledger(key, CHANNEL, {"missing": 1, "late": 2})
    writer.event(key, "start", {"series_id": "7"})
    writer.event(key, "gap", {"first": "6", "last": "6"})
    if state != "collecting":
        writer.close_series(key, {"state": state, "ended_ms": 1})


def test_an_archived_series_reads_as_it_did(client, writer, tmp_path):
    fill(writer, KEY)
    assert writer.stop(10)
    Notes(client).add(KEY, "beam moved \x00 \ud83d\ude00".replace("\ud83d\ude00", "!"))
    Notes(client).exclude(KEY, 10, 20, reason="top-up")
    reader = Reader(client, tmp_path / "archive")
    said = Notes(client, tmp_path / "archive")
    noted, excluded = said.all(KEY), said.exclusions(KEY)
    assert (len(noted), len(excluded)) == (1, 1)
    before = {
        "info": reader.info(KEY),
        "rows": reader.rows(KEY, CHANNEL),
        "part": reader.rows(KEY, CHANNEL, 9_990, 10_010),
        "regions": reader.region_rows(KEY, CHANNEL, 1, 11_000),
        "rejected": reader.rejected(KEY, CHANNEL),
        "stored": reader.stored(KEY, CHANNEL),
        "mask": reader.mask(KEY, CHANNEL),
        "events": reader.events(KEY),
        "second": reader.events(KEY, after=reader.events(KEY)[0].entry),
    }
    path = Janitor(client, tmp_path / "archive").archive(KEY)
    assert path.name == file_name(KEY)
    assert list(client.scan_iter(match="*live*")) == []
    assert client.zscore(keys.SERIES, KEY) is None
    assert (said.all(KEY), said.exclusions(KEY)) == (noted, excluded)
    info = reader.info(KEY)
    assert info.archived
    assert dataclasses.replace(info, archived=False) == before["info"]
    for name, now in {
        "rows": reader.rows(KEY, CHANNEL),
        "part": reader.rows(KEY, CHANNEL, 9_990, 10_010),
        "regions": reader.region_rows(KEY, CHANNEL, 1, 11_000),
        "stored": reader.stored(KEY, CHANNEL),
    }.items():
        np.testing.assert_array_equal(now, before[name])
    assert reader.rejected(KEY, CHANNEL) == before["rejected"]
    assert reader.mask(KEY, CHANNEL) == before["mask"] == MASK
    assert reader.events(KEY) == before["events"]
    assert reader.events(KEY, after=before["events"][0].entry) == before["second"]
    assert [i.key for i in reader.series()] == [KEY]
    assert not list((tmp_path / "archive").glob("*.part"))


def test_beyond_the_limit_the_oldest_closed_unpinned_series_go(
    client, writer, tmp_path
):
    for key in (OLD, PINNED, NEW, LIVE):
        fill(writer, key, state="collecting" if key == LIVE else "finished")
    assert writer.stop(10)
    lifetime.pin(client, PINNED, True, 1000)
    for n, key in enumerate((OLD, PINNED, NEW, LIVE)):
        client.zadd(keys.SERIES, {key: time.time() * 1000 - 10_000 + n})
    used = client.info("memory")["used_memory"]
    one = sum(client.memory_usage(n) for n in client.scan_iter(keys.pattern(OLD)))
    folder = tmp_path / "archive"
    nothing = Janitor(client, folder, used + 10**6).run_once()
    assert nothing.archived == []
    report = Janitor(client, folder, used - one // 8).run_once()
    assert report.archived == [OLD]
    assert report.freed_bytes == pytest.approx(one, rel=0.2)
    reader = Reader(client, folder)
    assert {i.key: i.archived for i in reader.series()} == {
        OLD: True,
        PINNED: False,
        NEW: False,
        LIVE: False,
    }
    report = Janitor(client, folder, 1).run_once()
    assert report.archived == [NEW]
    assert "unpin series or raise store.memory_limit" in report.trouble


def test_a_series_its_consumer_never_closed_goes_after_a_silence(
    client, writer, tmp_path
):
    fill(writer, LIVE, state="collecting")
    assert writer.stop(10)
    client.zadd(keys.SERIES, {LIVE: time.time() * 1000 - 700_000})
    janitor = Janitor(client, tmp_path / "archive", 1)
    assert janitor.run_once(live=[LIVE]).archived == []
    assert janitor.run_once().archived == [LIVE]


def test_what_cannot_be_archived_stays(client, writer, tmp_path):
    fill(writer, OLD)
    assert writer.stop(10)
    (tmp_path / "file").write_text("in the way")
    report = Janitor(client, tmp_path / "file", 1).run_once()
    assert report.archived == []
    assert "archive.dir" in report.trouble
    assert Reader(client).info(OLD).ledgers[CHANNEL].stored == 11_998


def test_expired_series_leave_the_list(client, writer, tmp_path):
    fill(writer, OLD, 10)
    assert writer.stop(10)
    client.delete(keys.meta(OLD))
    report = Janitor(client, tmp_path / "archive").run_once()
    assert report.forgotten == [OLD]
    assert client.zcard(keys.SERIES) == 0


def test_a_damaged_archive_is_passed_over_and_named(client, writer, tmp_path):
    for key in (OLD, NEW):
        fill(writer, key, 100)
    assert writer.stop(10)
    janitor = Janitor(client, tmp_path)
    janitor.archive(NEW)
    path = janitor.archive(OLD)
    path.write_bytes(path.read_bytes()[:3000])
    reader = Reader(client, tmp_path)
    assert [i.key for i in reader.series()] == [NEW]
    with pytest.raises(StoreError, match="damaged archive"):
        reader.info(OLD)
    with pytest.raises(UnknownSeriesError):
        write_archive(Reader(client), "live:none", tmp_path)


def test_pinning_keeps_every_key_and_unpinning_lets_go(client, writer):
    fill(writer, OLD)
    assert writer.stop(10)
    lifetime.pin(client, OLD, True, 50_000)
    names = list(client.scan_iter(keys.pattern(OLD)))
    assert {client.pttl(n) for n in names} == {-1}
    assert Reader(client).info(OLD).pinned
    lifetime.pin(client, OLD, False, 50_000)
    assert all(0 < client.pttl(n) <= 50_000 for n in names)
    with pytest.raises(UnknownSeriesError):
        lifetime.pin(client, "live:none", True, 1)


def test_notes_and_exclusions(client, writer):
    fill(writer, KEY, 10)
    assert writer.stop(10)
    notes = Notes(client)
    first = notes.add(KEY, "<b>dark field</b>", "operator")
    second = notes.add(KEY, "x" * 10_000)
    assert [n.id for n in notes.all(KEY)] == sorted([first.id, second.id])
    assert {n.text for n in notes.all(KEY)} == {first.text, "x" * 4000}
    notes.remove(KEY, first.id)
    assert [n.id for n in notes.all(KEY)] == [second.id]
    notes.exclude(KEY, 3, 5, reason="damaged")
    notes.exclude(KEY, 4, 4, excluded=False)
    assert [(e.first, e.last, e.excluded) for e in notes.exclusions(KEY)] == [
        (3, 5, True),
        (4, 4, False),
    ]
    first, second = notes.exclusions(KEY)
    notes.withdraw(KEY, first.id)
    notes.withdraw(KEY, first.id)
    assert notes.exclusions(KEY) == [second]
    assert client.pttl(keys.notes(KEY)) > 0
    assert client.pttl(keys.exclusions(KEY)) > 0
    with pytest.raises(UnknownSeriesError):
        notes.add("live:none", "text")
