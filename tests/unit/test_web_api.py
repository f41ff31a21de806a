from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_store import MemoryStore
from structlog.testing import capture_logs

from eigerwatch.sections import TargetSettings, WebSettings
from eigerwatch.web.application import create_app
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.beam import BeamWatch
from eigerwatch.web.live import LiveHub
from eigerwatch.web.tick import decode

KEY = "live:01JABC"
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x00"
_SPAN = ("first", "len")
URL = f"/api/v1/series/{KEY}"
RNG = np.random.default_rng(7)
TOTALS = RNG.poisson(26_892, 20_000)
TOTALS[7777] = 24_000  # one frame's dip


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    store.open(KEY, channels=("threshold_1", "threshold_2"), detector=HOSTILE)
    store.append(KEY, TOTALS)
    store.append(KEY, [2**53 + 1, 2**63], channel="threshold_2")
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    app = create_app(store, WebSettings())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def get(client: TestClient, path: str, **query: Any) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(response.text, parse_constant=refuse)


def test_list_is_newest_first_and_paged(client: TestClient, store: MemoryStore) -> None:
    for number in range(5):
        store.open(f"sim:{number}", started_ms=number)
    page = get(client, "/api/v1/series", limit=2, offset=1)
    assert [s["series"] for s in page["series"]] == ["sim:4", "sim:3"]
    assert page["more"] is True
    assert get(client, "/api/v1/series", limit=2, offset=4)["more"] is False
    first = get(client, "/api/v1/series")["series"][0]
    assert first["state"] == "collecting"
    assert first["age_s"] < 60


def test_detail_has_the_ledger_and_foreign_text_as_it_is(client: TestClient) -> None:
    detail = get(client, URL)
    assert detail["detector"] == HOSTILE
    ledger = detail["ledgers"]["threshold_1"]
    parts = ("stored", "rejected", "outstanding", "missing")
    assert sum(ledger[name] for name in parts) == ledger["frames"] == 20_000
    assert client.get(URL).headers["content-type"] == "application/json"


def test_large_integers_are_strings(client: TestClient) -> None:
    answer = get(client, f"{URL}/frames", channel="threshold_2", columns="total,kept")
    assert answer["columns"]["total"] == ["9007199254740993", "9223372036854775808"]
    assert answer["columns"]["kept"] == [4_000_000, 4_000_000]
    assert answer["decimated"] is False


def test_decimated_frames_keep_a_single_dip(client: TestClient) -> None:
    answer = get(client, f"{URL}/frames", max_points=100)
    assert answer["decimated"] is True
    assert len(answer["frames"]) <= 100
    at = answer["frames"].index(7777)
    assert answer["columns"]["total"][at] == "24000"


def test_frames_of_a_range(client: TestClient, store: MemoryStore) -> None:
    store.reject(KEY, 101)
    answer = get(client, f"{URL}/frames", **{"from": 100, "to": 104})
    assert answer["frames"] == [100, 102, 103]
    assert answer["columns"]["total"] == [str(TOTALS[i]) for i in (100, 102, 103)]
    assert get(client, f"{URL}/frames", **{"from": 90_000})["frames"] == []


def test_the_newest_frames(client: TestClient) -> None:
    answer = get(client, f"{URL}/frames", last=3)
    n = len(TOTALS)
    assert answer["frames"] == [n - 3, n - 2, n - 1]
    assert answer["columns"]["total"] == [str(total) for total in TOTALS[-3:]]


def test_trace_is_a_tick_with_the_dip(client: TestClient) -> None:
    response = client.get(f"{URL}/trace", params={"px": 200})
    header, blocks = decode(response.content)
    assert header["bin"] > 1
    assert len(blocks["frame"]) <= 500
    at = blocks["frame"].tolist().index(7777)
    mean = TOTALS.mean()
    assert blocks["raw"][at] == pytest.approx(24_000 / mean, rel=1e-6)
    line = header["slope"] / mean * (7777 - header["x_mid"])
    assert blocks["det"][at] == pytest.approx(24_000 / mean - line, rel=1e-6)


def test_trace_shows_gaps(client: TestClient, store: MemoryStore) -> None:
    store.append(KEY, TOTALS[:100], skip=50)
    header, blocks = decode(
        client.get(f"{URL}/trace", params={"from": 19_900, "to": 20_150}).content
    )
    assert (header["from"], header["to"], header["bin"]) == (19_900, 20_150, 1)
    assert blocks["hole_first"].tolist() == [20_000]
    assert blocks["hole_len"].tolist() == [50]
    gap = np.flatnonzero(np.isnan(blocks["raw"]))
    assert blocks["frame"][gap].tolist() == [20_000]


def test_trace_of_many_gaps_stays_small_and_says_how_they_are_drawn(
    client: TestClient, store: MemoryStore
) -> None:
    stored = np.random.default_rng(5).random(45_000) >= 0.05
    store.open("live:gappy")
    store.append("live:gappy", np.full(stored.size, 1000))
    for frame in np.flatnonzero(~stored):
        store.reject("live:gappy", frame)
    url = "/api/v1/series/live:gappy/trace"
    content = client.get(url, params={"px": 2000}).content
    assert len(content) < 64_000
    header, blocks = decode(content)
    assert len(blocks["frame"]) <= 4000
    assert header["shortest_gap"] == header["bin"] > 1
    assert np.isnan(blocks["raw"]).sum() > 500
    part = client.get(url, params={"px": 2000, "from": 5000, "to": 6000}).content
    header, blocks = decode(part)
    assert (header["bin"], header["shortest_gap"]) == (1, 1)
    there = blocks["frame"][~np.isnan(blocks["raw"])]
    np.testing.assert_array_equal(there, 5000 + np.flatnonzero(stored[5000:6000]))


def test_joined_gaps_keep_their_counts(client: TestClient, store: MemoryStore) -> None:
    rng = np.random.default_rng(6)
    for skip in rng.integers(1, 6, 800):
        store.append(KEY, np.full(rng.integers(1, 30), 1000), skip=skip)
    absent = np.flatnonzero(store.rows(KEY, "threshold_1")["flags"] == 0)
    for frame in rng.choice(absent, 300, replace=False):
        store.fill(KEY, frame, 1000)
    absent = np.flatnonzero(store.rows(KEY, "threshold_1")["flags"] == 0)
    for frame in rng.choice(absent, 100, replace=False):
        store.reject(KEY, frame)

    def counted(**query: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return decode(client.get(f"{URL}/trace", params=query).content)

    header, blocks = counted()
    ledger = header["ledger"]
    assert ledger["missing"] > 1000
    assert ledger["late"] == 300
    assert blocks["hole_missing"].sum() == ledger["missing"]
    assert blocks["hole_rejected"].sum() == ledger["rejected"]
    assert blocks["late_frames"].sum() == ledger["late"]
    for kind, most, names in (
        ("hole", 400, ("missing", "rejected")),
        ("late", 100, ("frames",)),
    ):
        first, length = (blocks[f"{kind}_{name}"].astype(int) for name in _SPAN)
        count = sum(blocks[f"{kind}_{name}"].astype(int) for name in names)
        assert 0 < first.size <= most
        assert np.all(first[1:] > first[:-1] + length[:-1])
        assert np.all((count > 0) & (count <= length))
        assert np.any(count < length)

    # A part that needs no joining: every run is solid.
    header, blocks = counted(**{"from": 25_000, "to": 26_000})
    absent = store.rows(KEY, "threshold_1", 25_000, 26_000)["flags"] == 0
    solid = blocks["hole_missing"] + blocks["hole_rejected"]
    assert solid.tolist() == blocks["hole_len"].tolist()
    assert solid.sum() == np.count_nonzero(absent)


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({}, range(20_000)),
        ({"from": 100, "to": 300}, range(100, 300)),
        ({"from": 19_000}, range(19_000, 20_000)),
        ({"last": 500}, range(19_500, 20_000)),
        ({"seconds": 0.1339}, range(19_900, 20_000)),
    ],
)
def test_statistics_of_scopes(
    client: TestClient, query: dict[str, Any], positions: range
) -> None:
    answer = get(client, f"{URL}/statistics", **query)
    values = TOTALS[positions.start : positions.stop]
    assert answer["raw"]["count"] == len(values)
    assert answer["raw"]["mean"] == pytest.approx(values.mean())
    assert answer["raw"]["std"] == pytest.approx(values.std(ddof=1))
    assert answer["raw"]["minimum"] == values.min()
    fit = np.polyfit(np.asarray(positions), values, 1)
    detrended = values - np.polyval(fit, np.asarray(positions))
    assert answer["detrended"]["std"] == pytest.approx(detrended.std(ddof=1))
    assert answer["first"] == positions[0]
    assert answer["newest"] == positions[-1]
    limit = 100 / np.sqrt(values.mean())
    assert answer["shot_noise"]["cv_shot_percent"] == pytest.approx(limit)


def test_too_few_frames_give_null_not_nan(
    client: TestClient, store: MemoryStore
) -> None:
    store.open("live:empty", state="armed")
    answer = get(client, "/api/v1/series/live:empty/statistics")
    assert answer["raw"]["count"] == 0
    assert answer["raw"]["mean"] is None
    store.append("live:empty", [0])
    answer = get(client, "/api/v1/series/live:empty/statistics")
    assert answer["raw"]["std"] is None
    header, _ = decode(client.get("/api/v1/series/live:empty/trace").content)
    assert header["tiles"]["cv_percent"] is None


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/series/live:none", 404, "no series 'live:none'"),
        ("/series/live:none/statistics", 404, "no series"),
        ("/series/live:none/events", 404, "no series"),
        (f"/series/{KEY}/frames?channel=x", 404, "it has threshold_1, threshold_2"),
        (f"/series/{KEY}/frames?columns=x", 400, "no column 'x'"),
        (f"/series/{KEY}/frames?columns=", 400, "no column named"),
        (f"/series/{KEY}/frames?from=5&to=4", 400, "before its start"),
        (f"/series/{KEY}/statistics?last=5&seconds=1", 400, "give one of"),
        (f"/series/{KEY}/statistics?seconds=nan", 422, "finite"),
        (f"/series/{KEY}/statistics?last=0", 422, "greater"),
        (f"/series/{KEY}/frames?from=1&last=4", 400, "not both"),
        (f"/series/{KEY}/frames?from=-1", 422, "greater"),
        (f"/series/{KEY}/frames?from=99999999999999999999", 422, "less"),
        ("/series?limit=0", 422, "greater"),
        (f"/series/{KEY}/events?after=%2B%20x", 422, "pattern"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    client: TestClient, path: str, status: int, sentence: str
) -> None:
    response = client.get(f"/api/v1{path}")
    assert response.status_code == status
    assert sentence in response.text


@pytest.mark.parametrize(
    "path",
    ["/series", f"/series/{KEY}", f"/series/{KEY}/statistics", f"/series/{KEY}/events"],
)
def test_store_away_is_503_with_a_sentence(
    client: TestClient, store: MemoryStore, path: str
) -> None:
    store.away = "Redis does not answer: see whether its process is stopped"
    response = client.get(f"/api/v1{path}")
    assert response.status_code == 503
    assert "Redis does not answer" in response.json()["detail"]


def test_events_are_listed_and_continued(
    client: TestClient, store: MemoryStore
) -> None:
    store.event(KEY, "start")
    store.event(KEY, "note", text=HOSTILE, frame="12")
    found = get(client, f"{URL}/events")["events"]
    assert [event["kind"] for event in found] == ["start", "note"]
    assert found[1]["fields"] == {"text": HOSTILE, "frame": "12"}
    rest = get(client, f"{URL}/events", after=found[0]["entry"])["events"]
    assert rest == found[1:]


def test_table_download_is_the_origins(client: TestClient) -> None:
    response = client.get(f"{URL}/download.csv")
    rows = list(csv.reader(io.StringIO(response.text)))
    assert rows[0] == ["", "raw", "detrended"]
    labels = ["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"]
    assert [row[0] for row in rows[1:]] == labels
    assert float(rows[2][1]) == pytest.approx(TOTALS.mean())
    disposition = response.headers["content-disposition"]
    assert disposition == 'attachment; filename="live_01JABC_threshold_1_table.csv"'


def test_frames_download_has_a_line_per_frame(
    client: TestClient, store: MemoryStore
) -> None:
    store.append(KEY, [5], skip=2)
    store.reject(KEY, 3)
    store.unsettle(KEY, 20_001)
    response = client.get(f"{URL}/download.csv", params={"content": "frames"})
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert len(rows) == 20_003
    assert rows[0]["frame"] == "1"
    assert [int(row["total"]) for row in rows[:3]] == TOTALS[:3].tolist()
    assert (rows[3]["state"], rows[3]["total"]) == ("rejected", "")
    assert [row["state"] for row in rows[-3:]] == ["missing", "outstanding", "stored"]


def test_html_download_escapes_foreign_text(client: TestClient) -> None:
    response = client.get(f"{URL}/download.html", params={"from": 10, "to": 500})
    assert response.headers["content-disposition"].startswith("attachment")
    assert "<img src=x" not in response.text
    assert "&lt;img src=x" in response.text


def test_status_tells_about_the_consumer(
    client: TestClient, store: MemoryStore
) -> None:
    store.beat(rejected_messages={"cbor": 3}, lag=float("nan"), big=2**60)
    status = get(client, "/api/v1/status")
    assert status["source"] == "collecting"
    assert status["series"] == KEY
    assert status["consumer"]["alive"] is True
    assert status["consumer"]["host"] == "daq"
    assert status["consumer"]["status"] == {
        "rejected_messages": {"cbor": 3},
        "lag": None,
        "big": str(2**60),
    }


@pytest.mark.parametrize("trouble", ["none", "consumer", "store"])
def test_health(client: TestClient, store: MemoryStore, trouble: str) -> None:
    if trouble == "consumer":
        store.drop_lease()
    if trouble == "store":
        store.away = "Redis is full"
    response = client.get("/healthz")
    assert response.status_code == (200 if trouble == "none" else 503)
    health = response.json()
    assert health["ok"] is (trouble == "none")
    assert health["process"] == "ok"
    assert (health["store"] == "ok") is (trouble != "store")


@pytest.mark.parametrize("part", ["the live view", "the beam"])
def test_a_part_that_has_ended_is_no_health(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async def crash(_hub: LiveHub) -> None:
        raise ValueError("of a kind that nobody thought of")

    if part == "the beam":
        monkeypatch.setattr(BeamWatch, "_run", lambda _beam: None)
    else:
        monkeypatch.setattr(LiveHub, "run", crash)
    app = create_app(store, WebSettings())
    with capture_logs() as logs, TestClient(app, base_url="http://127.0.0.1") as client:
        response = client.get("/healthz")
        assert response.status_code == 503
        health = response.json()
        assert health["ok"] is False
        assert health["process"].startswith(part)
        assert "restart the service" in health["process"]
    ended = [log for log in logs if log["event"] == "live view ended"]
    assert len(ended) == (part == "the live view")


def test_a_beam_that_cannot_be_judged_is_judged_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("of a kind that nobody thought of")

    monkeypatch.setattr("eigerwatch.web.beam.PERIOD_S", 0.05)
    app = create_app(store, WebSettings(), targets=TargetSettings(min_mean=1))
    with capture_logs() as logs, TestClient(app, base_url="http://127.0.0.1") as client:

        def text() -> str:
            return str(get(client, "/api/v1/status")["beam"]["text"])

        with monkeypatch.context() as broken:
            broken.setattr(Assessor, "assess_live", fail)
            wait_until(lambda: "judged: ValueError in" in text(), what="trouble")
            assert get(client, "/healthz")["ok"] is True
        wait_until(lambda: "there is beam" in text(), what="a decision")
    assert [log["event"] for log in logs].count("beam not judged") == 1


def test_polling_gives_the_same_bytes_until_nothing_is_new(
    client: TestClient, store: MemoryStore
) -> None:
    def poll() -> Any:
        return client.get("/api/v1/tick", params={"series": KEY, "px": 400})

    # The assessment is made meanwhile, and makes a new tick.
    wait_until(lambda: decode(poll().content)[0]["assessment"], what="assessment")
    first = poll()
    header, _ = decode(first.content)
    again = poll()
    assert again.content == first.content
    since = {"series": KEY, "px": 400, "since": header["seq"]}
    assert client.get("/api/v1/tick", params=since).status_code == 204
    store.append(KEY, [26_000])
    newer, _ = decode(client.get("/api/v1/tick", params=since).content)
    assert newer["seq"] > header["seq"]
    assert newer["n"] == 20_001


def test_reading_changes_nothing(client: TestClient, store: MemoryStore) -> None:
    before = get(client, URL)
    for path in ("frames", "trace", "statistics", "events", "download.csv"):
        client.get(f"{URL}/{path}")
    after = get(client, URL)
    for answer in (before, after):
        for key in ("age_s", "state", "state_text"):  # they follow the clock
            answer.pop(key)
    assert before == after
