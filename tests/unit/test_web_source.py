from __future__ import annotations

import time
from typing import Any

import pytest
from memory_store import MemoryStore

from eigerwatch.framecache import FrameCache
from eigerwatch.model import SourceState
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.web import watch
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.source import SourceWatch, duration, followed

KEY = "live:01J"


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    return store


def watch_of(store: MemoryStore) -> watch.Watch:
    frames = FrameCache(store)
    assessor = Assessor(store, frames, None, AnalysisSettings(), TargetSettings())
    return watch.Watch(store, frames, assessor)


def judged(store: MemoryStore) -> tuple[SourceState, str]:
    watch = SourceWatch()
    info = followed(store.series())
    judgement = watch.judge(info, watch.consumer_age_s(store.owner()))
    return judgement.state, judgement.text


def test_no_series_is_no_data(store: MemoryStore) -> None:
    assert judged(store)[0] == SourceState.NO_DATA


@pytest.mark.parametrize("state", ["armed", "collecting", "settling"])
def test_a_dead_consumer_never_looks_live(store: MemoryStore, state: str) -> None:
    store.open(KEY, state=state)
    assert judged(store)[0] == SourceState(state)
    store.drop_lease()
    assert judged(store) == (
        SourceState.ERROR,
        "no consumer is running: nothing reads the detector",
    )


def test_a_frozen_consumer_is_found_by_its_beat(store: MemoryStore) -> None:
    store.open(KEY)
    owner = store.owner()
    assert owner is not None
    watch = SourceWatch()
    age_s = watch.consumer_age_s({**owner, "beat_ms": now_ms() - 9000})
    assert age_s == pytest.approx(9, abs=1)
    judgement = watch.judge(store.info(KEY), age_s)
    assert judgement.state == SourceState.ERROR
    assert "no sign of life from the consumer for 9 s" in judgement.text


def test_a_wrong_clock_elsewhere_does_not_kill_a_beating_consumer() -> None:
    watch = SourceWatch()
    watch.consumer_age_s({"owner": "a", "beat_ms": now_ms() - 3_600_000})
    age_s = watch.consumer_age_s({"owner": "a", "beat_ms": now_ms() - 3_599_000})
    assert age_s is not None
    assert age_s < 1


@pytest.mark.parametrize(
    ("frame_time_s", "silence_s", "expected"),
    [
        (0.00134, 1.0, SourceState.COLLECTING),
        (0.00134, 3.0, SourceState.STALLED),
        (None, 3.0, SourceState.STALLED),
        (1.0, 15.0, SourceState.COLLECTING),
        (1.0, 25.0, SourceState.STALLED),
    ],
)
def test_stalled_after_silence(
    store: MemoryStore,
    frame_time_s: float | None,
    silence_s: float,
    expected: SourceState,
) -> None:
    last = now_ms() - int(1000 * silence_s)
    store.open(KEY, frame_time_s=frame_time_s, last_write_ms=last)
    state, text = judged(store)
    assert state == expected
    assert ("no frame for" in text) == (expected == SourceState.STALLED)


def test_a_finished_series_stays_finished_without_consumer(store: MemoryStore) -> None:
    store.open(KEY, state="finished", last_write_ms=now_ms() - 60_000)
    store.drop_lease()
    assert judged(store)[0] == SourceState.FINISHED


def test_following_prefers_open_live_series(store: MemoryStore) -> None:
    store.open("live:old", state="finished", started_ms=1000)
    store.open("live:open", state="collecting", started_ms=2000)
    store.open("live:newer", state="finished", started_ms=3000)
    store.open("replay:newest", state="collecting", started_ms=4000)
    info = followed(store.series())
    assert info is not None
    assert info.key == "live:open"
    assert followed([]) is None
    only = followed([store.info("replay:newest")])
    assert only is not None


def test_durations_are_for_people() -> None:
    texts = [duration(s) for s in (3, 300, 3 * 3600, 3 * 86400)]
    assert texts == ["3 s", "5 min", "3 h", "3 days"]


def test_many_replays_do_not_hide_the_detector(store: MemoryStore) -> None:
    store.beat()
    store.open("live:own", state="armed", started_ms=1000)
    for number in range(watch.LOOK_BACK + 5):
        store.open(f"replay:{number}", state="finished", started_ms=2000 + number)
    reader = watch_of(store)
    found = reader.look().series
    assert found is not None
    assert found.key == "live:own"


def test_the_archive_is_looked_at_where_there_is_nothing_else(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be large and far away, and hang."""
    store.beat()
    asked: list[bool] = []
    series = MemoryStore.series

    def listed(self: MemoryStore, limit: int = 100, *, archived: bool = True) -> Any:
        asked.append(archived)
        return series(self, limit, archived=archived)

    monkeypatch.setattr(MemoryStore, "series", listed)
    monkeypatch.setattr(watch, "LIST_S", 0.0)
    reader = watch_of(store)
    store.open("live:old", state="finished", archived=True)
    found = reader.look().series
    assert found is not None
    assert found.key == "live:old"
    assert asked == [False, True]
    asked.clear()
    store.open("live:new")
    found = reader.look().series
    assert found is not None
    assert found.key == "live:new"
    assert asked == [False]
