"""The list of runs: figures, search, order, labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_runs import MemorySummaries, memory_runs
from memory_store import MemoryNotes, MemoryStore

from eigerwatch.sections import AnalysisSettings, TargetSettings, WebSettings
from eigerwatch.web import run_index, summarising
from eigerwatch.web.application import create_app
from eigerwatch.web.run_store import RunStore

BASE = "http://127.0.0.1"
RNG = np.random.default_rng(11)
DAY_MS = 86_400_000
FIRST_MS = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
OLD, MIDDLE, NEW, OPEN = "live:a", "sim:b", "replay:c", "live:d"
RUNS = "/api/v1/runs"


def add_run(
    store: MemoryStore,
    key: str,
    day: int,
    cv: float = 0.002,
    n: int = 4000,
    **more: Any,
) -> None:
    mean = 6.0e6
    store.open(
        key,
        state=more.pop("state", "finished"),
        started_ms=FIRST_MS + day * DAY_MS,
        **more,
    )
    store.append(key, RNG.normal(mean, mean * cv, n).astype(np.uint64))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs as fast as possible."""
    monkeypatch.setattr(summarising, "SHARE", 1.0)
    monkeypatch.setattr(summarising, "LOOK_S", 0.05)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    header = json.dumps({"user": {"sample": ["Polystyrene", 7]}})
    add_run(store, OLD, 0, cv=0.004, detector="EIGER2 4M", meta={"header": header})
    add_run(store, MIDDLE, 1, cv=0.001, number_of_images=5000)
    add_run(store, NEW, 2, cv=0.002)
    add_run(store, OPEN, 3, state="collecting")
    store.reject(OLD, 510)
    return store


@pytest.fixture
def notes() -> MemoryNotes:
    notes = MemoryNotes()
    notes.add(OLD, "Mirror re-aligned", "Jo")
    return notes


@pytest.fixture
def kept(store: MemoryStore, notes: MemoryNotes) -> RunStore:
    return memory_runs(store, notes)


@pytest.fixture
def client(
    store: MemoryStore, notes: MemoryNotes, kept: RunStore
) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(), notes=notes, run_store=kept)
    with TestClient(app, base_url=BASE) as client:
        yield client


def runs(client: TestClient, **query: Any) -> Any:
    response = client.get(RUNS, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def keys_of(client: TestClient, **query: Any) -> list[str]:
    return [run["series"] for run in runs(client, **query)["runs"]]


def judged(client: TestClient) -> dict[str, Any]:
    """Wait until every run that is over is judged."""
    wait_until(lambda: runs(client)["pending"] == 0, what="figures")
    return {run["series"]: run for run in runs(client)["runs"]}


def test_figures_are_those_of_the_analysis(client: TestClient) -> None:
    run = judged(client)[OLD]
    said = client.get(f"/api/v1/series/{OLD}/analysis").json()
    assert run["judged"] == "done"
    assert run["channel"] == "threshold_1"
    assert run["mean"] == said["detrended"]["mean"]
    assert run["cv_percent"] == said["detrended"]["cv_percent"]
    assert run["cv_beam_percent"] == said["shot_noise"]["cv_beam_percent"]
    beam = said["uncertainty"]["cv_beam"]
    assert (run["cv_beam_low"], run["cv_beam_high"]) == (beam["low"], beam["high"])
    assert run["mean_low"] < run["mean"] < run["mean_high"]
    assert run["verdict"] == said["judgement"]["verdict"] == "beam_limited"
    kinds = [event["kind"] for event in said["events"]]
    assert run["events"] == {kind: kinds.count(kind) for kind in kinds}
    assert (run["stored"], run["rejected"], run["missing"]) == (3999, 1, 0)
    assert run["rejected_percent"] == pytest.approx(100 / 4000)
    assert run["duration_s"] == pytest.approx(4000 * 0.00134)
    assert (run["notes"], run["source"], run["archived"]) == (1, "live", False)


def test_sparkline_has_at_most_120_points_about_one(client: TestClient) -> None:
    run = judged(client)[OLD]
    line = run["sparkline"]
    values = [value for value in line["values"] if value is not None]
    assert 30 < len(line["frames"]) == len(line["values"]) <= 120
    assert min(values) < 1 < max(values)
    assert None in line["values"]  # where the rejected frame is
    assert all(
        one["sparkline"] is None for one in runs(client, sparkline=False)["runs"]
    )


def test_a_run_that_goes_on_is_not_judged(
    client: TestClient, store: MemoryStore
) -> None:
    run = judged(client)[OPEN]
    assert (run["judged"], run["cv_percent"], run["events"]) == ("open", None, {})
    store.update(OPEN, state="stopped_early")
    wait_until(lambda: judged(client)[OPEN]["judged"] == "done")


def test_figures_outlive_the_process(
    client: TestClient, store: MemoryStore, notes: MemoryNotes, kept: RunStore
) -> None:
    before = judged(client)
    summaries = kept.summaries
    assert isinstance(summaries, MemorySummaries)
    made = len(summaries.written)
    assert made == 3
    with TestClient(
        create_app(store, WebSettings(), notes=notes, run_store=kept), base_url=BASE
    ) as other:
        first = {run["series"]: run for run in runs(other)["runs"]}
        assert first[OLD] == before[OLD]
    assert len(summaries.written) == made


@pytest.mark.parametrize("changed", ["analysis", "targets", "exclusions", "software"])
def test_figures_made_otherwise_are_thrown_away(
    client: TestClient,
    store: MemoryStore,
    notes: MemoryNotes,
    kept: RunStore,
    changed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = judged(client)[OLD]
    analysis, targets = AnalysisSettings(), TargetSettings()
    if changed == "analysis":
        analysis = AnalysisSettings(resamples=200)
    elif changed == "targets":
        targets = TargetSettings(min_mean=1e9)
    elif changed == "software":
        monkeypatch.setattr("eigerwatch.web.run_figures.version", lambda _: "99")
    else:
        notes.exclude(OLD, 0, 1000)
    app = create_app(
        store,
        WebSettings(),
        notes=notes,
        analysis=analysis,
        targets=targets,
        run_store=kept,
    )
    summaries = kept.summaries
    assert isinstance(summaries, MemorySummaries)
    summaries.written.clear()
    with TestClient(app, base_url=BASE) as other:
        after = judged(other)[OLD]
    assert OLD in summaries.written
    if changed == "targets":
        assert (after["cv_percent"], after["verdict"]) == (None, "no_beam")
        assert after["verdict_text"].startswith("no beam")
    elif changed == "exclusions":
        assert after["excluded"] == 1000  # one of them was rejected
        assert after["cv_percent"] != before["cv_percent"]


def test_an_exclusion_makes_a_run_pending_again(
    client: TestClient, notes: MemoryNotes
) -> None:
    before = judged(client)[NEW]
    body = {"first": 0, "last": 499, "reason": "beam stop"}
    assert client.post(f"/api/v1/series/{NEW}/exclusions", json=body).status_code == 201
    wait_until(lambda: judged(client)[NEW]["excluded"] == 500)
    assert judged(client)[NEW]["cv_percent"] != before["cv_percent"]


def test_late_frames_make_a_run_pending_again(
    client: TestClient, store: MemoryStore
) -> None:
    judged(client)
    store.fill(OLD, 510, 6_000_000)
    wait_until(lambda: judged(client)[OLD]["stored"] == 4000)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [OPEN, NEW, MIDDLE, OLD]),
        ({"q": "polystyrene"}, [OLD]),
        ({"q": "  MIRROR jo "}, [OLD]),
        ({"q": "mirror nobody"}, []),
        ({"q": "live"}, [OPEN, OLD]),
        ({"q": "eiger2 4m"}, [OPEN, NEW, MIDDLE, OLD]),
        ({"q": "sim:b"}, [MIDDLE]),
        ({"source": "replay"}, [NEW]),
        ({"series": [OLD, NEW, "live:gone"]}, [NEW, OLD]),
        ({"series": [OLD], "q": "sim:b"}, []),
        ({"from": "2026-03-02", "to": "2026-03-04"}, [NEW, MIDDLE]),
        ({"from": "2026-03-02T13:00:00+01:00", "to": "2026-03-02T12:00:01Z"}, [MIDDLE]),
        ({"sort": "started", "order": "asc"}, [OLD, MIDDLE, NEW, OPEN]),
        ({"sort": "cv"}, [OLD, NEW, MIDDLE, OPEN]),
        ({"sort": "cv", "order": "asc"}, [MIDDLE, NEW, OLD, OPEN]),
        ({"sort": "rejected"}, [OLD, OPEN, NEW, MIDDLE]),
        ({"sort": "rejected", "order": "asc"}, [OPEN, NEW, MIDDLE, OLD]),
        ({"sort": "series", "order": "asc"}, [OLD, OPEN, NEW, MIDDLE]),
        ({"sort": "cv", "limit": 2, "offset": 1}, [NEW, MIDDLE]),
    ],
)
def test_search_filters_and_order(
    client: TestClient, query: dict[str, Any], found: list[str]
) -> None:
    judged(client)
    assert keys_of(client, **query) == found


def test_the_total_counts_what_the_filter_leaves(client: TestClient) -> None:
    page = runs(client, source="live", limit=1)
    assert (page["total"], page["all"], len(page["runs"])) == (2, 4, 1)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"sort": "colour"}, 400),
        ({"order": "up"}, 422),
        ({"source": "x"}, 422),
        ({"from": "yesterday"}, 422),
        ({"limit": 1001}, 422),
        ({"offset": -1}, 422),
        ({"q": "x" * 401}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: TestClient, query: dict[str, Any], status: int
) -> None:
    assert client.get(RUNS, params=query).status_code == status


def test_every_column_sorts_with_and_without_figures(client: TestClient) -> None:
    from eigerwatch.web.run_query import SORTS

    for name in SORTS:
        up, down = keys_of(client, sort=name, order="asc"), keys_of(client, sort=name)
        assert sorted(up) == sorted(down) == sorted([OLD, MIDDLE, NEW, OPEN])


def test_tags_are_given_found_and_taken_away(client: TestClient) -> None:
    tags = f"/api/v1/series/{OLD}/tags"
    assert client.put(tags, params={"tag": "  new   optics "}).json() == {
        "series": OLD,
        "tags": ["new optics"],
        "pinned": False,
    }
    assert client.put(tags, params={"tag": "b/../c"}).status_code == 200
    assert runs(client)["tags"] == ["b/../c", "new optics"]
    assert keys_of(client, tag="b/../c") == keys_of(client, q="optics") == [OLD]
    assert keys_of(client, tag="optics") == []
    assert client.delete(tags, params={"tag": "b/../c"}).status_code == 204
    assert client.delete(tags, params={"tag": "b/../c"}).status_code == 204
    assert runs(client)["tags"] == ["new optics"]


@pytest.mark.parametrize("tag", ["x" * 41, " \t ", "\u200b\u202e", "a\x00b", "a\x1bb"])
def test_a_label_that_is_none_is_refused_with_a_sentence(
    client: TestClient, tag: str
) -> None:
    answer = client.put(f"/api/v1/series/{OLD}/tags", params={"tag": tag})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("a tag ")


def test_the_twenty_first_tag_is_refused(client: TestClient) -> None:
    tags = f"/api/v1/series/{OLD}/tags"
    for number in range(20):
        assert client.put(tags, params={"tag": f"t{number}"}).status_code == 200
    assert client.put(tags, params={"tag": "t3"}).status_code == 200
    assert client.put(tags, params={"tag": "t20"}).status_code == 409


def test_pin_and_unpin(client: TestClient) -> None:
    pin = f"/api/v1/series/{OLD}/pin"
    assert client.put(pin).json()["pinned"] is True
    assert client.get(f"/api/v1/series/{OLD}").json()["pinned"] is True
    assert client.delete(pin).status_code == 204
    assert judged(client)[OLD]["pinned"] is False


def test_archived_and_unknown_series_take_no_labels(
    client: TestClient, store: MemoryStore
) -> None:
    store.update(OLD, archived=True)
    for path in ("pin", "tags?tag=x"):
        answer = client.put(f"/api/v1/series/{OLD}/{path}")
        assert answer.status_code == 409
        assert "archived" in answer.json()["detail"]
        assert client.put(f"/api/v1/series/live:none/{path}").status_code == 404
    assert judged(client)[OLD]["archived"] is True


def test_another_site_may_not_label(client: TestClient) -> None:
    headers = {"origin": "http://evil.example"}
    for path in ("pin", "tags?tag=x"):
        url = f"/api/v1/series/{OLD}/{path}"
        assert client.put(url, headers=headers).status_code == 403
        assert client.delete(url, headers=headers).status_code == 403


def test_a_run_without_frames_and_one_that_fails_are_told(
    client: TestClient, store: MemoryStore
) -> None:
    store.open("live:empty", state="finished")
    store.open("live:none", channels=(), state="finished")
    wait_until(lambda: runs(client)["all"] == 6)
    found = judged(client)
    assert found["live:empty"]["judged"] == "done"
    assert found["live:empty"]["verdict"] is None
    assert found["live:empty"]["sparkline"] == {"frames": [], "values": []}
    assert found["live:none"]["judged"] == "failed"
    assert found["live:none"]["judged_text"] == "no frame of it is stored"


def test_a_failing_analysis_costs_that_run_alone(
    store: MemoryStore, kept: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures_of = summarising.figures_of

    def fail(answer: Any) -> Any:
        if answer.assessment.measured.n == 3999:  # OLD's
            raise ZeroDivisionError
        return figures_of(answer)

    monkeypatch.setattr(summarising, "figures_of", fail)
    app = create_app(store, WebSettings(), run_store=kept)
    with TestClient(app, base_url=BASE) as client:
        found = judged(client)
    assert found[OLD]["judged"] == "failed"
    assert found[NEW]["judged"] == "done"


def test_a_store_that_is_away_is_said_and_got_over(
    client: TestClient, store: MemoryStore
) -> None:
    judged(client)
    store.away = "Redis cannot be reached"
    wait_until(lambda: client.get(RUNS).status_code == 503)
    store.away = None
    assert len(runs(client)["runs"]) == 4


def test_without_a_run_store_there_is_no_list(store: MemoryStore) -> None:
    with TestClient(create_app(store, WebSettings()), base_url=BASE) as client:
        assert client.get(RUNS).status_code == 404
        assert client.put(f"/api/v1/series/{OLD}/pin").status_code == 404


def test_whatever_fails_runs_are_judged_on(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = run_index.RunIndex.refresh
    failed: list[int] = []

    def fail(self: Any) -> None:
        if len(failed) < 3:
            failed.append(1)
            raise MemoryError
        refresh(self)

    monkeypatch.setattr(run_index.RunIndex, "refresh", fail)
    monkeypatch.setattr(summarising, "RETRY_S", 0.01)
    wait_until(lambda: len(failed) == 3, what="failures")
    add_run(store, "live:late", 4)
    wait_until(lambda: "live:late" in keys_of(client), what="the run")
    assert judged(client)["live:late"]["cv_percent"] is not None
