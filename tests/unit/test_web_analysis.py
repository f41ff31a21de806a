"""The analysis in the API: the figures of the functions, and what people exclude."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_store import MemoryNotes, MemoryStore
from scenarios import scenario
from stored_scenario import store_scenario

from eigerwatch import framecache, runs
from eigerwatch.analysis.assessment import Assessment, assess
from eigerwatch.analysis.measured import Measured
from eigerwatch.errors import StoreError
from eigerwatch.framecache import FrameCache
from eigerwatch.frames import Scope
from eigerwatch.model import REGION_ROW
from eigerwatch.runs import StoredRun
from eigerwatch.sections import AnalysisSettings, TargetSettings, WebSettings
from eigerwatch.web import assessing
from eigerwatch.web import beam as beam_module
from eigerwatch.web.application import create_app
from eigerwatch.web.assessing import WHOLE, Assessor
from eigerwatch.web.beam import BeamWatch
from eigerwatch.web.tick import decode
from eigerwatch.web.ticks import Tick, View
from eigerwatch.web.watch import Watch

KEY = "live:01JABC"
URL = f"/api/v1/series/{KEY}"
DRAWN = scenario(5, topups=1, damage=False, missing=0.0, frames=12_000)
N = len(DRAWN.totals)


def with_run(
    store: MemoryStore, key: str = KEY, state: str = "finished", **fields: Any
) -> None:
    store_scenario(store, key, DRAWN, state=state, **fields)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    with_run(store)
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(), notes=MemoryNotes())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def get(client: TestClient, path: str, **query: Any) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(response.text, parse_constant=refuse)


def test_figures_are_those_of_the_functions(client: TestClient) -> None:
    """Stored times are those of the memory store: as many frames, equally spaced."""
    told = get(client, f"{URL}/analysis")
    measured = Measured(
        np.arange(N),
        DRAWN.totals,
        np.arange(N) * 1_340_000 / 1e9,
        DRAWN.frame_time_s,
        np.full(N, 4_000_000, np.uint32),
        np.zeros(N, np.uint32),
        DRAWN.regions,
        DRAWN.region_kept,
        DRAWN.region_sentinel,
    )
    expected = json.loads(json.dumps(assess(measured).as_dict()))
    for part in ("table", "detrended", "uncertainty", "judgement", "drift", "usage"):
        assert told[part] == expected[part], part
    assert [e["kind"] for e in told["events"]] == ["topup"]
    assert abs(told["events"][0]["first"] - DRAWN.topups[0]) <= 3
    assert told["frequencies"]["search"]["lines"]
    assert told["judged"]["decision"] == "unknown"
    statistics = get(client, f"{URL}/statistics")
    assert statistics["raw"] == expected["table"]["raw"]


def test_the_tick_shows_the_same_figures(client: TestClient) -> None:
    told = get(client, f"{URL}/analysis")

    def assessed() -> Any:
        header, _ = decode(client.get(f"/api/v1/tick?series={KEY}").content)
        return header["assessment"] and header

    wait_until(assessed, what="assessment")
    header = assessed()
    shown = header["assessment"]
    assert shown["cv_percent"] == told["detrended"]["cv_percent"]
    assert shown["cv_interval"] == told["uncertainty"]["cv_detrended"]
    assert shown["verdict"] == told["judgement"]["verdict"]
    assert shown["usage"]["used"] == told["usage"]["used"]
    assert header["stats"]["raw"][0] == told["usage"]["used"]


def test_kinds_can_be_switched_off(client: TestClient) -> None:
    assert get(client, f"{URL}/analysis", exclude="")["usage"]["used"] == N
    assert get(client, f"{URL}/analysis", exclude="topup")["usage"]["used"] < N
    assert client.get(f"{URL}/analysis?exclude=nonsense").status_code == 400


def test_frames_are_excluded_and_taken_back_by_hand(client: TestClient) -> None:
    before = get(client, f"{URL}/analysis")["usage"]["used"]
    gone = {"first": 100, "last": 299, "reason": "<b>shutter</b>", "author": "me"}
    assert client.post(f"{URL}/exclusions", json=gone).status_code == 201
    told = get(client, f"{URL}/analysis")
    assert told["usage"]["used"] == before - 200
    assert "<b>shutter</b>" in [one["reason"] for one in told["usage"]["intervals"]]
    assert get(client, f"{URL}/statistics")["raw"]["count"] == before - 200
    back = {"first": 100, "last": 299, "excluded": False}
    assert client.post(f"{URL}/exclusions", json=back).status_code == 201
    assert get(client, f"{URL}/analysis")["usage"]["used"] == before
    kept = get(client, f"{URL}/notes")["exclusions"]
    assert [one["excluded"] for one in kept] == [True, False]


@pytest.mark.parametrize(
    "body", [{"first": 5, "last": 2}, {"first": -1, "last": 2}, {"first": 1}, {}]
)
def test_nonsense_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post(f"{URL}/exclusions", json=body).status_code in (400, 422)


def test_other_sites_may_not_exclude(client: TestClient) -> None:
    answer = client.post(
        f"{URL}/exclusions",
        json={"first": 1, "last": 2},
        headers={"Origin": "http://evil.example"},
    )
    assert answer.status_code == 403


def test_a_decision_about_frames_can_be_withdrawn(client: TestClient) -> None:
    before = get(client, f"{URL}/analysis")["usage"]
    gone = {"first": 100, "last": 299}
    made = client.post(f"{URL}/exclusions", json=gone).json()
    again = client.post(f"{URL}/exclusions", json=gone).json()
    assert made["id"] != again["id"]
    for one in (made, again):
        assert get(client, f"{URL}/analysis")["usage"]["used"] == before["used"] - 200
        assert client.delete(f"{URL}/exclusions/{one['id']}").status_code == 204
    assert get(client, f"{URL}/analysis")["usage"] == before
    assert client.delete(f"{URL}/exclusions/{made['id']}").status_code == 204
    assert client.delete(f"{URL}/exclusions/all").status_code == 422


def test_events_say_what_excludes_their_frames(client: TestClient) -> None:
    (topup,) = get(client, f"{URL}/analysis")["events"]
    by = topup["excluded_by"]
    assert by["kind"] == "topup"
    assert by["first"] < topup["first"] <= topup["last"] < by["last"]
    back = {"first": by["first"], "last": by["last"], "excluded": False}
    client.post(f"{URL}/exclusions", json=back)
    (topup,) = get(client, f"{URL}/analysis")["events"]
    assert topup["excluded_by"] is None


def test_a_recent_answer_is_not_made_anew(
    client: TestClient, store: MemoryStore
) -> None:
    first = get(client, f"{URL}/analysis", recent=True)["newest"]
    store.append(KEY, DRAWN.totals[:10])
    assert get(client, f"{URL}/analysis", recent=True)["newest"] == first
    assert get(client, f"{URL}/analysis")["newest"] == first + 10


def test_a_brief_spectrum_leaves_the_long_parts_out(client: TestClient) -> None:
    brief = get(client, f"{URL}/spectrum", brief=True)
    told = get(client, f"{URL}/spectrum")
    assert told["spectrogram"]
    assert brief == {**told, "allan": None, "spectrogram": None}


def test_notes_are_kept_and_removed(client: TestClient) -> None:
    note = {"text": "new mirror <script>", "author": "me"}
    made = client.post(f"{URL}/notes", json=note).json()
    assert get(client, f"{URL}/notes")["notes"] == [made]
    page = client.get(f"{URL}/report.html").text
    assert "new mirror &lt;script&gt;" in page
    assert client.delete(f"{URL}/notes/{made['id']}").status_code == 204
    assert get(client, f"{URL}/notes")["notes"] == []


def test_spectrum_and_position(client: TestClient) -> None:
    told = get(client, f"{URL}/spectrum")
    density = told["spectrum"]["density"]
    assert len(density) == len(told["spectrum"]["frequencies_hz"]) > 100
    assert told["bands"]["bands"]
    assert told["allan"]["tau_s"]
    assert get(client, f"{URL}/position")["position"]["verdict"]


def test_reports_are_files(client: TestClient) -> None:
    page = client.get(f"{URL}/report.html")
    assert page.status_code == 200
    assert "attachment" in page.headers["content-disposition"]
    told = get(client, f"{URL}/analysis")
    assert str(told["detrended"]["cv_percent"]) in page.text
    document = client.get(f"{URL}/report.pdf")
    assert document.content.startswith(b"%PDF")
    assert client.get(f"{URL}/report.exe").status_code == 422


def test_two_series_are_compared(client: TestClient, store: MemoryStore) -> None:
    other = "live:01JXYZ"
    with_run(store, other)
    told = get(client, "/api/v1/compare", a=KEY, b=other)["comparison"]
    assert told["outcome"] == "no_change"
    assert told["cv"]["ratio"] == 1
    page = client.get("/api/v1/compare.html", params={"a": KEY, "b": other}).text
    assert told["verdict"].split(":")[0] in page
    assert client.get("/api/v1/compare?a=live:1&b=live:2").status_code == 404


def test_late_frames_are_judged_too(client: TestClient, store: MemoryStore) -> None:
    store.open("live:late", state="collecting", frame_time_s=0.00134)
    totals = np.random.default_rng(3).poisson(1e6, 3000).astype(np.uint64)
    store.append("live:late", totals[:1000])
    url = "/api/v1/series/live:late/analysis"
    assert get(client, url)["usage"]["used"] == 1000
    store.append("live:late", totals[1010:], skip=10)
    told = get(client, url)
    assert [(e["kind"], e["first"], e["last"]) for e in told["events"]] == [
        ("gap", 1000, 1009)
    ]
    for image_id in range(1000, 1010):
        store.fill("live:late", image_id, int(totals[image_id]))
    told = get(client, url)
    assert told["usage"]["used"] == 3000
    assert told["events"] == []


def test_new_settings_are_no_step(client: TestClient, store: MemoryStore) -> None:
    """Frames counted otherwise have other sums: judged are those of the newest."""
    store.open("live:two", state="finished", frame_time_s=0.00134)
    totals = np.random.default_rng(3).poisson(1e6, 4000).astype(np.uint64)
    totals[2000:] //= 2
    store.append("live:two", totals)
    store.change_settings("live:two", 2000, 1)
    told = get(client, "/api/v1/series/live:two/analysis")
    assert told["usage"]["used"] == 2000
    assert told["events"] == []


class _Hook(BaseHTTPRequestHandler):
    told: list[dict[str, Any]]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.told.append(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    _Hook.told = []
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def watching(targets: TargetSettings) -> tuple[MemoryStore, FastAPI]:
    """Return a store whose series is being taken, and the application on it."""
    store = MemoryStore()
    store.beat()
    with_run(store, state="collecting")
    return store, create_app(store, WebSettings(), targets=targets)


def test_a_limit_that_is_not_held_is_told(hook: HTTPServer) -> None:
    limits = TargetSettings(
        cv_percent=1e-3, webhooks=(f"http://127.0.0.1:{hook.server_port}/beam",)
    )
    store, app = watching(limits)

    def code() -> int:
        store.append(KEY, DRAWN.totals[:20])
        return client.get("/healthz/beam").status_code

    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until(lambda: code() == 503, what="no go")
        told = client.get("/api/v1/beam").json()
        assert told["judged"]["decision"] == "no_go"
        assert "limit 0.001 %" in told["judged"]["text"]
        assert told["made_ms"] >= told["since_ms"] - 60_000
        wait_until(lambda: _Hook.told, what="webhook")
        # Where no frames are coming, an old decision is not the present one.
        store.update(KEY, state="finished")
        wait_until(lambda: client.get("/healthz/beam").status_code == 200, what="end")
        told = client.get("/healthz/beam").json()["judged"]
        assert told["decision"] == "unknown"
        assert told["text"].startswith("no frames are coming (finished); before: CV")
    assert _Hook.told[0]["decision"] == "no_go"
    assert _Hook.told[0]["series"] == KEY


def test_without_beam_nothing_is_wrong() -> None:
    _, app = watching(TargetSettings(cv_percent=1e-3, min_mean=1e12))
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def decision() -> str:
            return str(client.get("/api/v1/beam").json()["judged"]["decision"])

        wait_until(lambda: decision() == "no_beam", what="no beam")
        assert client.get("/healthz/beam").status_code == 200


def test_an_address_that_answers_nonsense_is_told_again(hook: HTTPServer) -> None:
    """One bad answer does not end the telling: the next change is told too."""
    with socket.create_server(("127.0.0.1", 0)) as broken:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = broken.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b"nonsense\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        bad = f"http://127.0.0.1:{broken.getsockname()[1]}/"
        good = f"http://127.0.0.1:{hook.server_port}/"
        limits = TargetSettings(cv_percent=1e-3, webhooks=(bad, good))
        store, app = watching(limits)
        with TestClient(app, base_url="http://127.0.0.1"):
            wait_until(lambda: len(_Hook.told) == 1, what="first change")
            store.open("live:dark", state="collecting", started_ms=2**50)
            store.append("live:dark", [5, 6])
            wait_until(lambda: len(_Hook.told) == 2, what="second change")
        broken.shutdown(socket.SHUT_RDWR)
    assert [one["decision"] for one in _Hook.told] == ["no_go", "unknown"]


def test_the_beam_is_watched_on_after_the_store_was_away() -> None:
    store, app = watching(TargetSettings(cv_percent=50))
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def decision() -> str:
            store.append(KEY, DRAWN.totals[:20])
            return str(client.get("/api/v1/beam").json()["judged"]["decision"])

        wait_until(lambda: decision() == "go", what="go")
        store.away = "gone fishing"
        wait_until(lambda: decision() == "unknown", what="unknown")
        store.away = None
        wait_until(lambda: decision() == "go", what="go again")


def test_who_asks_at_the_same_time_gets_the_same_assessment(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def slowly(measured: Measured, *arguments: Any, **more: Any) -> Assessment:
        made.append(measured.n)
        time.sleep(0.2)
        return assess(measured, *arguments, **more)

    monkeypatch.setattr(assessing, "assess", slowly)
    cache = FrameCache(store)
    assessor = Assessor(store, cache, None, AnalysisSettings(), TargetSettings())
    info = store.info(KEY)
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(assessor.assess_live, info, "threshold_1", WHOLE)
            for _ in range(6)
        ]
        answers = {id(future.result()) for future in asked}
    assert len(answers) == len(made) == 1
    assert assessor.assess(info, "threshold_1", WHOLE).newest == N - 1
    assert len(made) == 1
    assessor.close()


def test_what_is_asked_for_all_the_time_is_kept(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the series is, and however many parts of it are looked at."""
    monkeypatch.setattr(assessing, "KEPT_FRAMES", 1000)
    cache = FrameCache(store)
    assessor = Assessor(store, cache, None, AnalysisSettings(), TargetSettings())
    info = store.info(KEY)
    whole = assessor.assess(info, "threshold_1", WHOLE)
    for start in range(0, 3000, 100):
        scope = Scope("range", start=start, stop=start + 2000)
        assessor.assess(info, "threshold_1", scope)
        assert assessor.assess_soon(info, "threshold_1") is whole
    assessor.close()


class Prompt(ThreadPoolExecutor):
    """A pool whose work is done before anybody can ask to be called back."""

    def submit(self, *work: Any, **words: Any) -> Any:
        future = super().submit(*work, **words)
        wait([future])
        return future


@pytest.mark.timeout(60)
def test_an_assessment_that_is_made_at_once_keeps_nobody_waiting(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FrameCache(store)
    assessor = Assessor(store, cache, None, AnalysisSettings(), TargetSettings())
    monkeypatch.setattr(assessor, "_worker", Prompt(1))
    info = store.info(KEY)
    assert assessor.assess_soon(info, "threshold_1") is None
    made = assessor.assess_soon(info, "threshold_1")
    assert made is not None
    assert made.newest == N - 1
    assessor.close()


def test_a_known_tick_of_a_finished_series_needs_no_frames(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that do not fit into memory together are not read at every look."""
    monkeypatch.setattr(framecache, "KEPT_FRAMES", 1)
    monkeypatch.setattr(framecache, "LEAST_SERIES", 1)
    store.open("live:other", state="finished")
    store.append("live:other", DRAWN.totals[:100])
    cache = FrameCache(store)
    assessor = Assessor(store, cache, None, AnalysisSettings(), TargetSettings())
    monkeypatch.setattr(assessor, "assess_soon", lambda *_: None)
    watch = Watch(store, cache, assessor)
    read: list[str] = []
    rows = store.rows

    def count(key: str, *more: Any) -> np.ndarray:
        read.append(key)
        return rows(key, *more)

    def look(key: str) -> Tick:
        return watch.tick(View(key, "threshold_1"), store.info(key))

    monkeypatch.setattr(store, "rows", count)
    keys = [KEY, "live:other"]
    first = [look(key) for key in keys]
    assert [look(key) for key in keys] == first
    assert read == keys

    store.append(KEY, [5])
    header, _ = decode(look(KEY).data)
    assert header["n"] == N + 1
    assert header["seq"] > first[1].seq
    assessor.close()


def test_frames_counted_otherwise_are_in_no_figure(
    client: TestClient, store: MemoryStore
) -> None:
    key = "live:mixed"
    store.open(key, state="collecting", frame_time_s=0.00134)
    totals = np.random.default_rng(3).poisson(1e6, 4000).astype(np.uint64)
    totals[2000:] //= 2
    store.append(key, totals)
    store.change_settings(key, 2000, 1)
    url = f"/api/v1/series/{key}"
    assert get(client, f"{url}/statistics")["raw"]["count"] == 2000
    header, _ = decode(client.get(f"/api/v1/tick?series={key}").content)
    assert header["stats"]["raw"][0] == 2000
    assert header["recent"]["n"] == 2000
    table = client.get(f"{url}/download.csv").text
    assert table.splitlines()[1].startswith("count,2000")


def test_text_that_is_none_is_refused_without_being_repeated(
    client: TestClient,
) -> None:
    body = b'{"text": "\\ud800"}'
    answer = client.post(
        f"{URL}/notes", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert "text" in answer.json()["detail"][0]["loc"]


def test_the_newest_seconds_are_kept_up_to_date(
    client: TestClient, store: MemoryStore
) -> None:
    """Late frames come in, excluded ones go; equal to a table of the same frames."""
    key = "live:growing"
    store.open(key, state="collecting", frame_time_s=0.00134)
    totals = np.random.default_rng(3).poisson(1e6, 12_000).astype(np.uint64)
    url = f"/api/v1/series/{key}"

    def recent() -> Any:
        # A frame that comes again keeps the series from being judged stalled.
        newest = store.info(key).ledgers["threshold_1"].highest
        store.fill(key, newest, int(totals[newest]))
        header, _ = decode(client.get(f"/api/v1/tick?series={key}").content)
        return header["recent"]

    def table(first: int, last: int) -> Any:
        return get(client, f"{url}/statistics", **{"from": first, "to": last})

    store.append(key, totals[:5000])
    assert recent()["n"] == 5000
    assert recent()["cv_percent"] == pytest.approx(
        table(0, 5000)["detrended"]["cv_percent"], rel=1e-9
    )
    store.append(key, totals[5010:], skip=10)
    window = round(10 / 0.00134)
    assert abs(recent()["n"] + 10 - window) <= 1
    for image_id in range(5000, 5010):
        store.fill(key, image_id, int(totals[image_id]))
    first = 12_000 - recent()["n"]
    assert recent()["cv_percent"] == pytest.approx(
        table(first, 12_000)["detrended"]["cv_percent"], rel=1e-9
    )
    gone = {"first": 11_000, "last": 11_499}
    client.post(f"{url}/exclusions", json=gone)
    wait_until(lambda: recent()["n"] == 12_000 - first - 500, what="exclusion")


def test_a_finished_series_has_no_newest_seconds(client: TestClient) -> None:
    header, _ = decode(client.get(f"/api/v1/tick?series={KEY}").content)
    assert header["recent"] is None


def test_a_store_that_fails_half_way_is_asked_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fed before it failed is not fed twice, and nothing is left out."""
    monkeypatch.setattr(runs, "PIECE", 1000)
    cache = FrameCache(store)
    run = StoredRun(store, cache.get(store.info(KEY), "threshold_1"))
    whole, asked = store.region_rows, []

    def failing(key: str, channel: str, start: int = 0, stop: int | None = None) -> Any:
        asked.append(start)
        if len(asked) == 3:
            raise StoreError("away")
        return whole(key, channel, start, stop)

    monkeypatch.setattr(store, "region_rows", failing)
    with pytest.raises(StoreError):
        run.events(store.info(KEY))
    events = run.events(store.info(KEY))
    assert [event.kind.value for event in events] == ["topup"]
    store.append(KEY, DRAWN.totals[-100:])
    cache.get(store.info(KEY), "threshold_1")
    assert run.events(store.info(KEY)) == events


def test_a_plot_to_take_along_tells_of_the_frames_that_count(
    client: TestClient,
) -> None:
    """As the page and the table beside it: without the top-up."""
    page = client.get(f"{URL}/download.html").text
    cv = get(client, f"{URL}/statistics")["raw"]["cv_percent"]
    assert f"{cv:.4f}" in page
    table = client.get(f"{URL}/download.csv", params={"content": "table"}).text
    (row,) = [line for line in table.splitlines() if line.startswith("CV%")]
    assert float(row.split(",")[1]) == pytest.approx(cv)


def test_a_report_has_the_regions_of_the_stored_frames(
    client: TestClient, store: MemoryStore
) -> None:
    random = np.random.default_rng(4)
    rows = np.zeros((N, 3), REGION_ROW)
    rows["total"] = random.poisson(200_000, (N, 3))
    store.show(KEY, rows)
    regions = [{"name": f"module_{n}", "module": True} for n in (1, 2, 3)]
    described = json.dumps([{"number": 0, "regions": regions}])
    store.update(KEY, meta={"settings": described})
    page = client.get(f"{URL}/report.html").text
    assert "Regions" in page
    assert page.count("module 3") >= 1


def test_what_cannot_be_judged_still_alarms_of_the_source(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = FrameCache(store)
    assessor = Assessor(store, frames, None, AnalysisSettings(), TargetSettings())
    beam = BeamWatch(Watch(store, frames, assessor), assessor, TargetSettings())
    monkeypatch.setattr(beam_module, "PERIOD_S", 0.01)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Assessor, "assess_live", fail)
    heard: list[str] = []

    def hear(found: Any) -> None:
        heard.append(found.judged.text)
        raise RuntimeError("a listener that fails, too")

    beam.listeners.append(hear)
    beam.start()
    try:
        wait_until(lambda: len(heard) > 3, what="decisions")
    finally:
        beam.stop()
    assert "cannot be judged: MemoryError" in heard[-1]
