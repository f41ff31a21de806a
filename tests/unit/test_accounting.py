from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_store import MemoryStore

from eigerwatch.accounting import Summary, account

BEGAN_MS = 1_700_000_000_000


class Store(MemoryStore):
    """Counts what it is asked for."""

    listings = 0

    def series(self, limit: int = 100) -> Any:
        self.listings += 1
        return super().series(limit)

    def stored(self, key: str, channel: str) -> np.ndarray:
        return (self.rows(key, channel)["flags"] != 0).astype(np.uint8)


@pytest.fixture
def store() -> Store:
    return Store()


def put(
    store: Store,
    key: str,
    totals: Any = (5, 6, 7),
    channels: tuple[str, ...] = ("threshold_1",),
    **fields: Any,
) -> None:
    known = {"state": "finished", "started_ms": BEGAN_MS + 5}
    store.open(key, channels, **{**known, **fields})
    for channel in channels:
        store.append(key, totals, channel=channel)
    store.update(key, last_write_ms=fields.get("last_write_ms", BEGAN_MS + 9))


def sent(*series: tuple[int, str | None], frames: int = 3) -> dict[str, Any]:
    return {
        "sent": frames * len(series),
        "late": 0,
        "dropped": 0,
        "series": [
            {"series_id": number, "unique_id": unique_id, "frames": frames}
            for number, unique_id in series
        ],
    }


def numbers(summary: Summary) -> tuple[int, int, int, int]:
    return summary.sent, summary.stored, summary.missing, summary.rejected


def test_every_series_is_found_however_many_there_are(store: Store) -> None:
    names = [(n, f"01J{n:03}") for n in range(130)]
    for number, unique_id in names:
        put(store, f"sim:{unique_id}", series_id=number, series_unique_id=unique_id)
    summary = account(store, "sim", sent(*names), BEGAN_MS, None, timeout_s=0)
    assert numbers(summary) == (390, 390, 0, 0)
    assert summary.good
    assert summary.series == [f"sim:{unique_id}" for _, unique_id in names]
    assert summary.line() == "frames sent=390 stored=390 missing=0 rejected=0"


def test_every_series_of_stream_v1_is_found(store: Store) -> None:
    for n in range(130):
        put(store, f"sim:E-{n}", series_id=n)
    series = sent(*((n, None) for n in range(130)))
    summary = account(store, "sim", series, BEGAN_MS, None, timeout_s=0)
    assert numbers(summary) == (390, 390, 0, 0)


def test_an_older_series_of_the_same_number_is_another_one(store: Store) -> None:
    put(store, "replay:E-1", series_id=1, started_ms=BEGAN_MS - 1)
    put(store, "sim:E-2", series_id=1)
    put(store, "replay:01J", series_id=1, series_unique_id="01J")
    summary = account(store, "replay", sent((1, None)), BEGAN_MS, None, timeout_s=0)
    assert numbers(summary) == (3, 0, 3, 0)
    assert not summary.good


def test_the_search_ends_where_the_series_are_older(store: Store) -> None:
    old = BEGAN_MS - 60_000
    for n in range(300):
        put(store, f"replay:E-{n}", (), started_ms=old + n, last_write_ms=old + n)
    account(store, "replay", sent((1, None)), BEGAN_MS, None, timeout_s=0)
    assert store.listings == 1


def test_all_series_share_one_deadline(store: Store) -> None:
    series = sent(*((n, f"01J{n}") for n in range(20)))
    began = time.monotonic()
    summary = account(store, "sim", series, BEGAN_MS, None, timeout_s=0.3)
    assert time.monotonic() - began < 3
    assert numbers(summary) == (60, 0, 60, 0)


def test_a_series_that_stays_open_is_counted_as_far_as_it_is(store: Store) -> None:
    put(store, "sim:01J", (5, 6), series_unique_id="01J", state="collecting")
    summary = account(store, "sim", sent((1, "01J")), BEGAN_MS, None, timeout_s=0)
    assert numbers(summary) == (3, 2, 1, 0)


def test_frames_of_several_channels_count_once(store: Store) -> None:
    both = ("threshold_1", "threshold_2")
    put(store, "sim:01J", (5, 6, 7), both, series_unique_id="01J")
    summary = account(store, "sim", sent((1, "01J")), BEGAN_MS, None, timeout_s=0)
    assert numbers(summary) == (3, 3, 0, 0)
    assert summary.good


def test_a_frame_lacks_what_one_of_its_channels_lacks(store: Store) -> None:
    put(store, "sim:01J", (5, 6, 7, 8), ("threshold_1",), series_unique_id="01J")
    store.open(
        "sim:01K",
        ("threshold_1", "threshold_2"),
        state="finished",
        series_unique_id="01K",
        started_ms=BEGAN_MS,
    )
    store.append("sim:01K", (1, 2, 3, 4), channel="threshold_1")
    store.append("sim:01K", (1, 2), channel="threshold_2", skip=1)
    store.reject("sim:01K", 2)
    series = sent((1, "01J"), (2, "01K"), frames=5)
    summary = account(store, "sim", series, BEGAN_MS, None, timeout_s=0)
    # Of the second: 0 and 3 miss a channel, 2 is rejected, 4 has never come.
    assert numbers(summary) == (10, 4 + 1, 1 + 3, 1)


def test_totals_are_compared_with_those_of_their_channel(
    store: Store, tmp_path: Path
) -> None:
    store.open(
        "sim:01J",
        ("threshold_1", "threshold_2"),
        state="finished",
        series_unique_id="01J",
    )
    store.append("sim:01J", (5, 6, 7), channel="threshold_1")
    store.append("sim:01J", (1, 2, 3), channel="threshold_2")
    np.save(tmp_path / "series_1.npy", np.array([5, 6, 7], np.uint64))
    np.save(tmp_path / "series_1.threshold_1.npy", np.array([5, 6, 7], np.uint64))
    np.save(tmp_path / "series_1.threshold_2.npy", np.array([1, 2, 9], np.uint64))
    summary = account(store, "sim", sent((1, "01J")), BEGAN_MS, tmp_path, timeout_s=0)
    assert (summary.compared, summary.wrong) == (6, 1)
    assert not summary.good


def test_a_frame_that_was_never_sent_is_wrong(store: Store, tmp_path: Path) -> None:
    put(store, "sim:01J", (5, 6, 7), series_unique_id="01J")
    np.save(tmp_path / "series_1.npy", np.array([5, 6], np.uint64))
    series = sent((1, "01J"), frames=2)
    summary = account(store, "sim", series, BEGAN_MS, tmp_path, timeout_s=0)
    assert (summary.compared, summary.wrong) == (3, 1)
