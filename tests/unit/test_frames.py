from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_store import MemoryStore

from eigerwatch.errors import StoreError
from eigerwatch.framecache import FrameCache
from eigerwatch.frames import HOLE_BLOCK, Scope, SeriesFrames

KEY = "live:01J"


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.open(KEY)
    return store


def frames_of(store: MemoryStore) -> SeriesFrames:
    frames = SeriesFrames(store, KEY, "threshold_1")
    frames.refresh(store.info(KEY))
    return frames


def test_grows_with_the_series(store: MemoryStore) -> None:
    frames = frames_of(store)
    assert frames.n == 0
    for first in range(0, 130_000, 13_000):
        store.append(KEY, np.arange(first, first + 13_000))
        frames.refresh(store.info(KEY))

    selected = frames.select(Scope())
    np.testing.assert_array_equal(selected.totals, np.arange(130_000))
    np.testing.assert_array_equal(selected.positions, np.arange(130_000))


def test_sums_are_exact_beyond_2_to_the_53(store: MemoryStore) -> None:
    store.append(KEY, [2**53 + 1, 2**63 - 1])
    totals = frames_of(store).select(Scope()).totals
    assert totals.tolist() == [2**53 + 1, 2**63 - 1]


def test_version_changes_only_with_the_content(store: MemoryStore) -> None:
    store.append(KEY, [5, 6])
    frames = frames_of(store)
    version = frames.version
    frames.refresh(store.info(KEY))
    assert frames.version == version
    store.append(KEY, [7])
    frames.refresh(store.info(KEY))
    assert frames.version > version


@pytest.mark.parametrize("late", [3, HOLE_BLOCK - 1, HOLE_BLOCK, 2 * HOLE_BLOCK + 5])
def test_late_frames_fill_their_hole(store: MemoryStore, late: int) -> None:
    n = 3 * HOLE_BLOCK
    store.append(KEY, np.ones(late))
    store.append(KEY, np.ones(n - late - 1), skip=1)
    frames = frames_of(store)
    assert frames.holes(0, n)[0].tolist() == [late]

    store.fill(KEY, late, 77)
    frames.refresh(store.info(KEY))

    assert frames.holes(0, n)[0].tolist() == []
    assert frames.span(late, late + 1)[0].tolist() == [77]


def test_late_frames_are_told_as_runs(store: MemoryStore) -> None:
    store.append(KEY, np.ones(100))
    store.append(KEY, np.ones(100), skip=20)
    for late in (103, 104, 110):
        store.fill(KEY, late, 1)
    frames = frames_of(store)

    assert [part.tolist() for part in frames.late(0, 220)] == [[103, 110], [2, 1]]
    assert [part.tolist() for part in frames.late(104, 110)] == [[104], [1]]
    assert frames.ledger is not None
    assert frames.ledger.late == 3


def test_holes_tell_missing_from_rejected(store: MemoryStore) -> None:
    store.append(KEY, np.ones(100))
    store.append(KEY, np.ones(100), skip=20)
    store.reject(KEY, 50)
    first, length, rejected = frames_of(store).holes(0, 220)

    assert first.tolist() == [50, 100]
    assert length.tolist() == [1, 20]
    assert rejected.tolist() == [1, 0]


def test_outstanding_frames_are_no_holes(store: MemoryStore) -> None:
    store.append(KEY, np.ones(50))
    store.append(KEY, np.ones(50), skip=1)
    store.append(KEY, np.ones(50), skip=2)
    store.unsettle(KEY, below=60)
    frames = frames_of(store)

    assert frames.holes(0, frames.n)[0].tolist() == [50]
    assert frames.outstanding().tolist() == [101, 102]


def test_a_series_written_anew_replaces_the_old_one(store: MemoryStore) -> None:
    store.append(KEY, np.ones(100))
    frames = frames_of(store)
    store.open(KEY)
    store.append(KEY, [5, 6])
    frames.refresh(store.info(KEY))

    assert frames.select(Scope()).totals.tolist() == [5, 6]


def test_scopes(store: MemoryStore) -> None:
    store.append(KEY, np.arange(1000))
    frames = frames_of(store)

    def positions(scope: Scope) -> list[int]:
        return frames.select(scope).positions.tolist()

    assert positions(Scope("frames", last=3)) == [997, 998, 999]
    assert positions(Scope("range", start=10, stop=12)) == [10, 11]
    assert positions(Scope("range", start=998)) == [998, 999]
    assert positions(Scope("range", start=5000, stop=6000)) == []
    # 1.34 ms per frame: 4 ms hold the newest frame and two before it.
    assert positions(Scope("seconds", last=0.004)) == [997, 998, 999]


def test_rate_comes_from_the_arrivals(store: MemoryStore) -> None:
    frames = frames_of(store)
    assert frames.rate_hz() is None
    store.append(KEY, np.arange(1000))
    frames.refresh(store.info(KEY))
    assert frames.rate_hz() == pytest.approx(1e6, rel=1e-6)


@pytest.mark.parametrize(("frames", "kept"), [(10**9, 64), (100, 10), (1, 8)])
def test_the_cache_forgets_the_least_used(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, frames: int, kept: int
) -> None:
    monkeypatch.setattr("eigerwatch.framecache.KEPT_FRAMES", frames)
    cache = FrameCache(store)
    for number in range(70):
        store.open(f"live:{number}")
        store.append(f"live:{number}", np.arange(10))
        newest = cache.get(store.info(f"live:{number}"), "threshold_1")
        cache.get(store.info("live:0"), "threshold_1")
    assert [key for key, *_ in cache._series] == [
        *(f"live:{number}" for number in range(71 - kept, 70)),
        "live:0",
    ]
    assert cache.get(store.info("live:69"), "threshold_1") is newest


def test_series_looked_at_in_turn_are_read_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FrameCache(store)
    read: list[str] = []
    rows = store.rows

    def count(key: str, *more: Any) -> np.ndarray:
        read.append(key)
        return rows(key, *more)

    monkeypatch.setattr(store, "rows", count)
    keys = [f"live:{number}" for number in range(20)]
    for key in keys:
        store.open(key)
        store.append(key, np.arange(10))
    for _ in range(3):
        for key in keys:
            assert cache.get(store.info(key), "threshold_1").n == 10
    assert read == keys


def test_every_reader_is_told_all_that_changed_since_it_looked(
    store: MemoryStore,
) -> None:
    """Readers look at different rates: a change is not told to the first one alone."""
    store.append(KEY, np.arange(3000))
    store.append(KEY, np.arange(4000), skip=1)
    frames = frames_of(store)
    seen = frames.version
    store.fill(KEY, 3000, 5)
    frames.refresh(store.info(KEY))
    store.append(KEY, np.arange(100))
    frames.refresh(store.info(KEY))
    assert frames.changed_since(seen) == (frames.version, 0)
    assert frames.changed_since(frames.version - 1) == (frames.version, 7001)
    assert frames.changed_since(frames.version) == (frames.version, frames.n)


def test_a_change_outlives_a_reading_that_failed(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(KEY, np.arange(9000))
    store.append(KEY, np.arange(10), skip=2)
    frames = frames_of(store)
    seen = frames.version
    store.fill(KEY, 9000, 5)
    store.append(KEY, [1, 2])
    store.reject(KEY, 9001)

    def away(*_: object) -> dict[int, str]:
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "rejected", away)
        with pytest.raises(StoreError):
            frames.refresh(store.info(KEY))
    store.append(KEY, [3])
    frames.refresh(store.info(KEY))
    assert frames.changed_since(seen)[1] <= 9000


def test_what_was_read_before_something_newer_changes_nothing(
    store: MemoryStore,
) -> None:
    store.append(KEY, np.arange(1000))
    older = store.info(KEY)
    frames = frames_of(store)
    store.update(KEY, last_write_ms=(older.last_write_ms or 0) + 5)
    store.append(KEY, np.arange(500))
    store.update(KEY, last_write_ms=(older.last_write_ms or 0) + 10)
    frames.refresh(store.info(KEY))
    version = frames.version
    frames.refresh(older)
    assert (frames.n, frames.version) == (1500, version)


def test_a_series_of_which_the_store_lost_a_part_is_read_anew(
    store: MemoryStore,
) -> None:
    """As after FLUSHALL: a consumer writes on, and the newest frames again."""
    store.append(KEY, np.arange(1000))
    frames = frames_of(store)
    store.forget(KEY)
    store.open(KEY)
    store.append(KEY, np.arange(600, 1100), skip=600)
    frames.refresh(store.info(KEY))
    selected = frames.select(Scope())
    np.testing.assert_array_equal(selected.positions, np.arange(600, 1100))
    store.fill(KEY, 17, 5)
    frames.refresh(store.info(KEY))
    assert frames.select(Scope()).positions[0] == 17
