"""Stability over time in the API: the figures of the functions, bounded, made once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from memory_store import MemoryNotes, MemoryStore
from scenarios import Scenario, scenario
from stored_scenario import store_scenario

from eigerwatch.analysis.allan import allan_deviation
from eigerwatch.analysis.assessment import assess
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.spectrogram import spectrogram
from eigerwatch.sections import WebSettings
from eigerwatch.web import stability
from eigerwatch.web.application import create_app

KEY = "live:01JABC"
URL = f"/api/v1/series/{KEY}/stability"
DRAWN = scenario(5, topups=3, damage=False, missing=0.0, frames=12_000)
N = len(DRAWN.totals)


def with_run(store: MemoryStore, drawn: Scenario = DRAWN, **fields: Any) -> None:
    store_scenario(store, KEY, drawn, **fields)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    with_run(store)
    return store


@pytest.fixture
def notes() -> MemoryNotes:
    return MemoryNotes()


@pytest.fixture
def client(store: MemoryStore, notes: MemoryNotes) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(), notes=notes)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def get(client: TestClient, **query: Any) -> Any:
    response = client.get(URL, params=query)
    assert response.status_code == 200, response.text

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(response.text, parse_constant=refuse)


def test_figures_are_those_of_the_functions(client: TestClient) -> None:
    told = get(client)
    measured = Measured(
        np.arange(N),
        DRAWN.totals,
        np.arange(N) * 1_340_000 / 1e9,
        DRAWN.frame_time_s,
    )
    events = client.get(f"/api/v1/series/{KEY}/analysis").json()["events"]
    assert [e["kind"] for e in events].count("topup") == 3
    found = assess(measured)
    assert found.frequencies is not None
    expected = allan_deviation(found.frequencies.signal)
    allan = told["allan"]
    assert allan["unit"] == "s"
    np.testing.assert_allclose(allan["tau"], expected.tau_s)
    np.testing.assert_allclose(allan["deviation"], 100 * expected.deviation)
    np.testing.assert_allclose(allan["shot"], 100 * expected.shot)
    assert "agree best" in allan["best"]

    picture = spectrogram(found.frequencies.signal, found.frequencies.lines.sines)
    shown = told["spectrogram"]
    level = np.array(shown["level"], np.float64)
    assert level.shape == (len(shown["frequencies"]), len(shown["times"]))
    assert level.shape[0] <= stability.ROWS
    assert level.shape[1] <= stability.COLUMNS
    assert shown["unit"] == picture.unit == "Hz"
    assert shown["low"] < shown["high"]
    # Where the mean level is, there it is also in the function's own picture.
    mean = np.nanmean(10**level)
    assert mean == pytest.approx(np.nanmean(picture.density), rel=0.05)


def test_position_in_a_sentence_and_in_shares(client: TestClient) -> None:
    told = get(client)["position"]
    same = client.get(f"/api/v1/series/{KEY}/position").json()["position"]
    assert told["verdict"] == same["verdict"]
    assert told["text"] == same["text"]
    common, apart, *_ = told["parts"]
    assert common["name"] == "in common"
    assert common["rms_percent"] == pytest.approx(100 * same["common_rms"])
    assert common["share_percent"] == pytest.approx(100 * same["common_share"])
    assert common["share_percent"] + apart["share_percent"] == pytest.approx(100)
    lines = client.get(f"/api/v1/series/{KEY}/spectrum").json()["search"]["lines"]
    strongest = max(lines, key=lambda line: line["amplitude"])
    assert common["peak_hz"] == strongest["frequency_hz"]


def test_only_the_newest_modules_are_looked_at(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stability, "POSITION_FRAMES", 5000)
    assert get(client)["position"]["text"].endswith("Of the newest 5000 frames.")


def test_without_modules_there_is_no_position(client: TestClient, store: Any) -> None:
    store.open(KEY, state="finished")
    store.append(KEY, DRAWN.totals)
    told = get(client)["position"]
    assert told == {
        "verdict": "unknown",
        "text": "This series has no sums of modules.",
        "parts": [],
    }


def test_the_next_topup_is_told_on_the_clock(client: TestClient) -> None:
    told = get(client)["topup"]
    firsts = np.array(DRAWN.topups)
    period_s = float(np.polyfit(np.arange(3), firsts, 1)[0]) * DRAWN.frame_time_s
    assert told["n"] == 3
    assert told["period_s"] == pytest.approx(period_s, rel=0.02)
    assert told["text"].startswith("Every ")
    ahead_s = told["due_ms"] / 1000 - time.time()
    assert 0 < ahead_s <= told["period_s"] + 1
    # All frames of the memory store came just now.
    assert told["due_spread_s"] > 0


def test_what_should_have_come_is_not_promised(
    client: TestClient, store: MemoryStore
) -> None:
    rows = store._series[KEY].channels["threshold_1"].rows
    rows["received_ns"] -= 3600 * 10**9
    told = get(client)["topup"]
    assert "should have come" in told["text"]
    assert time.time() - 5 < told["due_ms"] / 1000 < time.time() + told["period_s"] + 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"state": "finished"}, "Every "),
        ({"frame_time_s": None}, "The frame time is not known."),
    ],
)
def test_no_next_topup(
    client: TestClient, store: MemoryStore, fields: Any, text: str
) -> None:
    store.update(KEY, **fields)
    told = get(client)["topup"]
    assert told["due_ms"] is None
    assert told["text"].startswith(text)


@pytest.mark.parametrize("start", [0, DRAWN.topups[0] - 500])
def test_the_stable_stretch_and_the_rest(
    client: TestClient, store: MemoryStore, start: int
) -> None:
    store.open(KEY)
    store.append(KEY, DRAWN.totals[start:])
    told = get(client)["segment"]
    analysed = client.get(f"/api/v1/series/{KEY}/analysis").json()["proposed"]
    assert {name: told[name] for name in analysed} == analysed
    expected = []
    if start:  # the longest is another one than the first
        assert told["first"] > 0
        expected.append({"first": 0, "last": told["first"] - 1})
    if told["last"] < N - start - 1:
        expected.append({"first": told["last"] + 1, "last": None})
    assert told["rest"] == expected != []
    for one in told["rest"]:
        last = 2**40 - 1 if one["last"] is None else one["last"]
        body = {"first": one["first"], "last": last}
        made = client.post(f"/api/v1/series/{KEY}/exclusions", json=body)
        assert made.status_code == 201
    assert get(client)["segment"]["rest"] == []
    usage = client.get(f"/api/v1/series/{KEY}/analysis").json()["usage"]
    assert usage["used"] == analysed["n"]


def test_a_range_is_of_the_figures_not_of_the_stretch(client: TestClient) -> None:
    whole = get(client)
    part = get(client, **{"from": 100, "to": 1100})
    assert part["newest"] == 1099
    assert max(part["allan"]["tau"]) < max(whole["allan"]["tau"])
    assert part["segment"] == whole["segment"]


def test_few_frames_tell_nothing(client: TestClient, store: MemoryStore) -> None:
    store.open(KEY)
    store.append(KEY, [100, 101])
    told = get(client)
    assert told["allan"]["best"] == ""
    assert told["spectrogram"]["level"] == []
    assert told["spectrogram"]["low"] is None
    assert told["topup"]["due_ms"] is None
    assert told["segment"]["rest"] == []


def test_it_is_made_once_for_everyone(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = stability.allan_deviation
    monkeypatch.setattr(
        stability, "allan_deviation", lambda s: (made.append(1), original(s))[1]
    )
    for _ in range(3):
        get(client, recent=True)
    assert len(made) == 1
    store.append(KEY, DRAWN.totals[:500])
    get(client)
    assert len(made) == 2


def test_unknown_series_and_ranges_are_refused(client: TestClient) -> None:
    assert client.get("/api/v1/series/live:none/stability").status_code == 404
    assert client.get(URL, params={"from": 5, "to": 1}).status_code == 400
