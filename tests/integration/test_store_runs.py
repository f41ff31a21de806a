"""Labels, summaries and the list of runs in a real server and in the archive."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from hostile import HOSTILE
from masters import images, write_series
from redis_fixture import running_server
from store_data import CHANNEL, KEY, open_series, records, regions

from eigerwatch.archiving import archive_sums
from eigerwatch.config import load_settings
from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.offline import sum_master
from eigerwatch.sections import WebSettings
from eigerwatch.store import keys, lifetime
from eigerwatch.store.archive import file_name
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.labels import MOST_TAGS, LabelError, Labels, tag_of
from eigerwatch.store.listing import Listing
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader
from eigerwatch.store.summaries import SUFFIX, Summaries, Summary
from eigerwatch.store.write import Writer
from eigerwatch.web.application import create_app
from eigerwatch.web.run_store import RunStore

OTHER = "sim:other"
DAYS = 14.0
LATER_MS = 60_000
"""More than passes between reading a time to live and giving it to another key."""
SUMMARY = Summary("stamp 1", {"mean": 6.5, "sparkline": {"frames": [0], "values": [1]}})


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def stored(server):
    """Store two finished series."""
    writer = Writer(server.url, server.settings())
    writer.start()
    ids = np.setdiff1d(np.arange(3000), [5, 6])
    for key in (KEY, OTHER):
        open_series(writer, key, detector="EIGER2 \x00 4M", header='{"a": "Mirror"}')
        writer.append(key, CHANNEL, ids, records(ids), regions(ids))
        writer.reject(key, CHANNEL, 5, "payload: corrupt")
        writer.ledger(key, CHANNEL, {"missing": 1})
        writer.close_series(key, {"state": "finished", "ended_ms": 1})
    assert writer.stop(10)


def lives_ms(client, name):
    return int(client.pttl(name))


def test_the_list_tells_what_the_reader_tells(client, stored, folder):
    listing, reader = Listing(client, folder), Reader(client, folder)
    listed = listing.listed()
    assert {one.key for one in listed} == {KEY, OTHER}
    infos = listing.infos(listed)
    for one in listed:
        assert infos[one.key] == reader.info(one.key)
        assert not one.archived


def test_new_frames_change_the_version(server, client, stored):
    listing = Listing(client)
    before = {one.key: one for one in listing.listed()}
    client.zincrby(keys.SERIES, 5, KEY)  # what a flush does to its score
    after = {one.key: one for one in listing.listed()}
    assert after[KEY] != before[KEY]
    assert after[OTHER] == before[OTHER]


def test_tags_keep_their_order_and_live_as_long_as_the_series(client, stored):
    labels, listing = Labels(client, DAYS), Listing(client)
    for tag in ("zeta", " new   optics ", "zeta", "\N{GREEK SMALL LETTER ALPHA}"):
        labels.tag(KEY, tag)
    said = listing.said(listing.listed())
    assert said[KEY].tags == ("zeta", "new optics", "\N{GREEK SMALL LETTER ALPHA}")
    assert said[OTHER].tags == ()
    left = lives_ms(client, keys.meta(KEY))
    assert 0 < lives_ms(client, keys.tags(KEY)) <= left + LATER_MS
    labels.untag(KEY, "zeta")
    assert listing.said(listing.listed())[KEY].tags[0] == "new optics"


def test_no_more_than_twenty_tags_whoever_gives_them(client, stored):
    labels = Labels(client, DAYS)
    for number in range(MOST_TAGS):
        labels.tag(KEY, f"t{number}")
    with pytest.raises(LabelError, match="20 tags already"):
        labels.tag(KEY, "one more")
    labels.tag(KEY, "t7")  # has it already
    assert client.hlen(keys.tags(KEY)) == MOST_TAGS


def test_labels_of_no_series_are_refused(client, stored):
    labels = Labels(client, DAYS)
    for act in (
        lambda: labels.tag("live:none", "x"),
        lambda: labels.untag("live:none", "x"),
        lambda: labels.pin("no key", True),
    ):
        with pytest.raises(UnknownSeriesError):
            act()


def test_a_pinned_series_keeps_its_labels_for_ever(client, stored):
    labels, summaries = Labels(client, DAYS), Summaries(client)
    labels.tag(KEY, "kept")
    summaries.write(KEY, SUMMARY)
    labels.pin(KEY, True)
    own = (keys.meta(KEY), keys.tags(KEY), keys.summary(KEY))
    assert [lives_ms(client, name) for name in own] == [-1, -1, -1]
    labels.tag(KEY, "later")
    summaries.write(KEY, SUMMARY)
    assert [lives_ms(client, name) for name in own] == [-1, -1, -1]
    labels.pin(KEY, False)
    assert all(lives_ms(client, name) > 0 for name in own)


def test_summaries_are_read_as_written_and_die_with_the_series(client, stored):
    summaries = Summaries(client)
    summaries.write(KEY, SUMMARY)
    assert summaries.read([KEY, OTHER]) == {KEY: SUMMARY}
    left = lives_ms(client, keys.meta(KEY))
    assert 0 < lives_ms(client, keys.summary(KEY)) <= left + LATER_MS
    lifetime.remove(client, KEY)
    assert summaries.read([KEY]) == {}
    summaries.write(KEY, SUMMARY)
    assert not client.exists(keys.summary(KEY))  # nothing is left of a dead series


def test_what_is_no_summary_is_none(client, stored):
    summaries = Summaries(client)
    client.hset(keys.summary(KEY), mapping={"stamp": "x", "content": "[1]"})
    client.set(keys.summary(OTHER), "not even a hash")
    assert summaries.read([KEY, OTHER]) == {}


def test_what_was_said_goes_along_into_the_archive(client, stored, folder):
    labels, notes = Labels(client, DAYS), Notes(client)
    labels.tag(KEY, "b")
    labels.tag(KEY, "a")
    notes.add(KEY, "mirror moved", "Jo")
    notes.exclude(KEY, 1, 2)
    Summaries(client).write(KEY, SUMMARY)
    listing = Listing(client, folder)
    before = listing.said(listing.listed())[KEY]
    assert before.tags == ("b", "a")
    Janitor(client, folder).archive(KEY)
    listed = {one.key: one for one in listing.listed()}
    assert listed[KEY].archived
    assert listing.said([listed[KEY]])[KEY] == before
    assert listing.infos([listed[KEY]])[KEY] == Reader(client, folder).info(KEY)
    assert Summaries(client, folder).read_archived(KEY) == SUMMARY


def test_a_newer_summary_lies_beside_the_archive(client, stored, folder):
    Janitor(client, folder).archive(KEY)
    summaries = Summaries(client, folder)
    assert summaries.read_archived(KEY) is None
    summaries.write_archived(KEY, SUMMARY)
    assert summaries.read_archived(KEY) == SUMMARY
    assert [one.key for one in Listing(client, folder).listed() if one.archived] == [
        KEY
    ]
    (folder / (file_name(KEY) + SUFFIX)).write_text('{"stamp": 1')
    assert summaries.read_archived(KEY) is None


def test_names_that_are_no_keys_are_left_out(client, stored, folder):
    folder.mkdir()
    for number, text in enumerate(HOSTILE):
        name = f"live:{text}"
        if keys.is_series_key(name):
            continue
        client.zadd(keys.SERIES, {name: number})
        if len(text) < 60:
            (folder / file_name(name)).write_bytes(b"")
    listing = Listing(client, folder)
    assert {one.key for one in listing.listed() if one.key in (KEY, OTHER)} == {
        KEY,
        OTHER,
    }
    assert all(keys.is_series_key(one.key) for one in listing.listed())
    assert all(keys.is_series_key(one.key) for one in Reader(client).series())


def test_any_text_comes_back_as_a_tag(client, stored):
    labels, listing = Labels(client, DAYS), Listing(client)
    for text in HOSTILE:
        try:
            tag = tag_of(text)
        except LabelError:
            continue
        labels.tag(KEY, text)
        assert listing.said(listing.listed())[KEY].tags == (tag,)
        labels.untag(KEY, tag)


def test_a_damaged_archive_costs_that_series_alone(client, stored, folder):
    Janitor(client, folder).archive(KEY)
    (folder / file_name("live:broken")).write_bytes(b"no HDF5")
    listing = Listing(client, folder)
    listed = listing.listed()
    assert len(listed) == 3
    assert set(listing.infos(listed)) == {KEY, OTHER}
    assert set(listing.said(listed)) == {KEY, OTHER, "live:broken"}


def test_a_server_that_is_away_is_a_store_error(server, client, stored):
    server.kill()
    for act in (
        lambda: Listing(client).listed(),
        lambda: Labels(client, DAYS).tag(KEY, "x"),
        lambda: Summaries(client).read([KEY]),
    ):
        with pytest.raises(StoreError):
            act()


def web(client, folder):
    app = create_app(
        Reader(client, folder),
        WebSettings(),
        notes=Notes(client, folder),
        run_store=RunStore(
            Listing(client, folder), Labels(client, DAYS), Summaries(client, folder)
        ),
    )
    return TestClient(app, base_url="http://127.0.0.1")


def runs(http):
    answer = http.get("/api/v1/runs").json()
    return answer, {run["series"]: run for run in answer["runs"]}


def test_figures_follow_a_series_into_the_archive(client, stored, folder):
    with web(client, folder) as http:
        wait_until(lambda: runs(http)[0]["pending"] == 0)
        http.put(f"/api/v1/series/{KEY}/tags?tag=kept").raise_for_status()
        before = runs(http)[1]
        assert before[KEY]["judged"] == "done"
        assert before[KEY]["stored"] == 2998
        Janitor(client, folder).archive(KEY)
        wait_until(lambda: runs(http)[1][KEY]["archived"])
        after = runs(http)[1]
        assert after[KEY] == {**before[KEY], "archived": True}
    with web(client, folder) as again:  # nothing needs to be judged anew
        assert runs(again)[1] == after


def test_archived_series_without_figures_get_them(client, stored, folder):
    Janitor(client, folder).archive(KEY)
    with web(client, folder) as http:
        wait_until(lambda: runs(http)[0]["pending"] == 0)
        found = runs(http)[1][KEY]
        assert (found["judged"], found["archived"]) == ("done", True)
        assert found["mean"] > 0
        assert http.put(f"/api/v1/series/{KEY}/tags?tag=x").status_code == 409
    assert (folder / (file_name(KEY) + SUFFIX)).exists()


def test_a_summed_recording_is_a_run_beside_the_others(
    client, stored, folder, tmp_path
):
    settings = load_settings(archive={"dir": folder}, reduce={"threads": 1})
    master = write_series(tmp_path, images(500), 100, frame_time=0.001)
    key = archive_sums(sum_master(master, settings), settings.archive_dir)
    with web(client, folder) as http:
        wait_until(lambda: runs(http)[0]["pending"] == 0)
        found = runs(http)[1][key]
        assert (found["source"], found["judged"]) == ("file", "done")
        assert found["stored"] == 500
        assert found["cv_percent"] > 0
        (only,) = http.get("/api/v1/runs?source=file").json()["runs"]
        assert only["series"] == key
        said = http.get(f"/api/v1/series/{key}").json()
        assert (said["state"], said["archived"]) == ("finished", True)
        assert "x_master.h5" in said["origin"]
        asked = {"a": KEY, "b": key}
        compared = http.get("/api/v1/compare", params=asked)
        assert compared.status_code == 200, compared.text
