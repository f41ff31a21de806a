"""The stream of alarms: what its entries tell, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_fixture import RunningServer, running_server

from eigerwatch.errors import StoreError
from eigerwatch.store import alarms, keys
from eigerwatch.store.alarms import (
    KEPT,
    AlarmBook,
    Alarms,
    Reason,
    entry_acknowledge,
    entry_begin,
    entry_end,
    entry_reasons,
)

CV = Reason("CV", "CV 2 %, limit 1 %", 1000, 2.0, 1.0)
DRIFT = Reason("drift", "drift 3 %, limit 1 %", 2000, 3.0, 1.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


def test_what_was_written_is_read_in_order(server: RunningServer) -> None:
    stream = Alarms(server.client())
    assert stream.read() == []
    begin = entry_begin("live:1", "threshold_1", "no_go", [CV], 1000)
    alarm = begin["alarm"]
    stream.append(begin)
    stream.append(entry_acknowledge(alarm, "Eva", "Grüße \x00 <b>"))
    (first, entry), (second, _) = stream.read()
    assert entry == begin
    stream.append(entry_end(alarm, "over", {"CV": 5.0}, 9000))
    assert stream.read(first)[0][0] == second
    ((_, end),) = stream.read(second)
    assert end["kind"] == "end"

    book = AlarmBook()
    for _, entry in stream.read():
        book.take(entry)
    (known,) = book.newest_first
    assert (known.series, known.channel) == ("live:1", "threshold_1")
    assert (known.began_ms, known.ended_ms, known.ending) == (1000, 9000, "over")
    assert known.reasons[0].worst == 5.0
    assert known.acknowledged
    assert known.acknowledgements[0].comment == "Grüße \x00 <b>"
    assert book.lasting is None


def test_the_stream_is_bounded(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "LENGTH", 100)
    monkeypatch.setattr(alarms, "READ", 7)
    client = server.client()
    stream = Alarms(client)
    for number in range(500):
        stream.append(entry_begin("live:1", None, "no_go", [CV], number))
    length = client.xlen(keys.ALARMS)
    assert 100 <= length < 300  # trimmed by whole nodes
    assert len(stream.read()) == length
    assert stream.read()[-1][1]["ms"] == "499"


def test_a_server_that_is_gone_is_said(server: RunningServer) -> None:
    stream = Alarms(server.client())
    server.stop()
    with pytest.raises(StoreError, match="cannot be reached"):
        stream.append(entry_begin(None, None, "no_go", [CV], 1))
    with pytest.raises(StoreError):
        stream.read()


def test_entries_may_come_twice_and_make_no_sense() -> None:
    book = AlarmBook()
    begin = entry_begin("live:1", "c", "no_go", [CV], 1000)
    alarm = begin["alarm"]
    added = entry_reasons(alarm, [DRIFT], 2000)
    for entry in (begin, begin, added, added):
        book.take(entry)
    version = book.version
    nonsense = [
        {},
        {**begin, "id": "a", "ms": "soon"},
        {**begin, "id": "b", "reasons": "[1, {}]"},
        {**begin, "id": "c", "reasons": "{"},
        {**added, "id": "d", "alarm": "none such"},
        {**added, "id": "e", "kind": "dance"},
        {**added, "id": "f", "reasons": json.dumps([{"name": "x", "since_ms": "1"}])},
    ]
    for entry in nonsense:
        book.take(entry)
    assert book.version == version
    (known,) = book.newest_first
    assert [reason.name for reason in known.reasons] == ["CV", "drift"]


def test_after_the_end_nothing_is_added_but_who_has_seen_it() -> None:
    book = AlarmBook()
    begin = entry_begin("live:1", "c", "no_go", [CV], 1000)
    alarm = begin["alarm"]
    for entry in (
        begin,
        entry_end(alarm, "over", {}, 3000),
        entry_reasons(alarm, [DRIFT], 4000),
        entry_end(alarm, "again", {}, 5000),
        entry_acknowledge(alarm, "Eva", "late"),
    ):
        book.take(entry)
    (known,) = book.newest_first
    assert known.ended_ms == 3000
    assert len(known.reasons) == 1
    assert known.acknowledged


def test_numbers_that_json_cannot_say_are_unknown() -> None:
    book = AlarmBook()
    begin = entry_begin("live:1", "c", "no_go", [CV], 1000)
    begin["reasons"] = begin["reasons"].replace("2.0", "Infinity")
    book.take(begin)
    assert book.newest_first[0].reasons[0].value is None


def test_only_so_many_are_kept_at_hand() -> None:
    book = AlarmBook()
    for number in range(KEPT + 20):
        book.take(entry_begin("live:1", None, "no_go", [CV], number))
    assert len(book.newest_first) == KEPT
    assert book.newest_first[0].began_ms == KEPT + 19
