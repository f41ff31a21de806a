from __future__ import annotations

import time

import pytest
from memory_store import MemoryStore

from eigerwatch.model import SourceState
from eigerwatch.web.source import SourceWatch, duration, followed

KEY = "live:01J"


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    return store


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
