from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_desk import FILE, MemoryDesk
from memory_store import MemoryStore
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from eigerwatch.recordings import Listing, locate
from eigerwatch.sections import ReplaySettings, WebSettings
from eigerwatch.store.commanded import NextSettings, ReplayState
from eigerwatch.web import ordering, replaying
from eigerwatch.web.application import create_app

BASE = "http://127.0.0.1:8000"
REPLAY = "/api/v1/replay"
SETTINGS = "/api/v1/settings/next"
KEY = "live:01JABC"
HOSTILE = "<img src=x onerror=alert(1)>_master.h5"
WANTED = {"low": 2, "high": 300, "rois": [], "rings": 0, "author": "Ann"}
SPOT = {"name": "spot", "disc": [10.0, 20.0, 5.0]}
WRITING = [
    ("POST", REPLAY, {"file": "/x_master.h5"}),
    ("PATCH", REPLAY, {"paused": True}),
    ("DELETE", REPLAY, None),
    ("PUT", SETTINGS, WANTED),
    ("DELETE", SETTINGS, None),
]


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    store.open(KEY, shape=(100, 200), meta={"stream": "v2"})
    return store


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer of these tests beats once; a slow machine must not matter."""
    monkeypatch.setattr(ordering, "BEAT_LIMIT_S", 300)


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def client(store: MemoryStore, desk: MemoryDesk, roots: Path) -> Iterator[TestClient]:
    replay = ReplaySettings(roots=(roots,))
    app = create_app(store, WebSettings(), commands=desk, replay=replay)
    with TestClient(app, base_url=BASE) as client:
        yield client


def put(folder: Path, name: str, modified_s: int) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, (modified_s, modified_s))


# ---- replays ----


def test_recordings_are_listed_searched_and_cut(client, roots, monkeypatch):
    monkeypatch.setattr(replaying, "LISTING_S", 0)
    put(roots, "first_master.h5", 1000)
    put(roots, HOSTILE, 3000)
    put(roots / "tuesday", "second_master.h5", 2000)

    def found(**query: Any) -> tuple[list[str], int]:
        told = client.get(f"{REPLAY}/recordings", params=query).json()
        assert told["complete"]
        assert told["problems"] == []
        return [one["name"] for one in told["recordings"]], told["matching"]

    everything = [HOSTILE, "second_master.h5", "first_master.h5"]
    assert found() == (everything, 3)
    assert found(limit=1) == ([HOSTILE], 3)
    assert found(search="TUES second") == (["second_master.h5"], 1)
    assert found(search="none") == ([], 0)


def test_what_is_listed_is_what_the_consumer_finds(client, roots, desk):
    put(roots, HOSTILE, 1000)
    (one,) = client.get(f"{REPLAY}/recordings").json()["recordings"]
    answer = client.post(REPLAY, json={"file": one["file"], "author": "Ann"})
    assert answer.status_code == 201
    assert answer.json()["state"] == "playing"
    fields = {"file": one["file"], "speed": "1.0", "by": "Ann"}
    assert desk.given == [("replay.start", fields)]
    assert locate(fields["file"], [roots]) == roots / HOSTILE


def test_folders_that_do_not_answer_hold_nobody(client, monkeypatch):
    monkeypatch.setattr(replaying, "LISTING_WAIT_S", 0.05)
    hang, over = threading.Event(), threading.Event()

    def hanging(_roots: Any) -> Listing:
        hang.set()
        over.wait(20)
        return Listing()

    monkeypatch.setattr(replaying, "listing", hanging)
    first = threading.Thread(target=lambda: client.get(f"{REPLAY}/recordings"))
    first.start()
    assert hang.wait(20)
    answer = client.get(f"{REPLAY}/recordings")
    over.set()
    first.join(20)
    assert answer.status_code == 503
    assert "do not answer" in answer.json()["detail"]


def test_the_replay_is_told(client, desk):
    told = client.get(REPLAY).json()
    assert (told["state"], told["active"], told["alive"]) == ("none", False, True)
    assert told["possible"]
    assert told["series"] is None
    desk.state = ReplayState(
        state="playing", name=HOSTILE, frame=5, frames=60, series="replay:X"
    )
    told = client.get(REPLAY).json()
    assert told["name"] == HOSTILE
    assert (told["frame"], told["frames"], told["series"]) == (5, 60, "replay:X")
    assert told["active"]
    assert told["alive"]


def test_a_replay_without_sign_of_life_is_not_alive(client, desk):
    desk.beats = False
    desk.state = ReplayState(state="playing", beat_ms=1)
    told = client.get(REPLAY).json()
    assert told["active"]
    assert not told["alive"]


def test_a_replay_is_commanded(client, desk):
    client.post(REPLAY, json={"file": "/x_master.h5", "speed": 0})
    assert client.patch(REPLAY, json={"paused": True}).json()["state"] == "paused"
    changed = client.patch(REPLAY, json={"paused": False, "speed": 2.5}).json()
    assert (changed["state"], changed["speed"]) == ("playing", 2.5)
    assert client.delete(REPLAY).json()["state"] == "stopped"
    assert [name for name, _ in desk.given] == [
        *("replay.start", "replay.pause", "replay.speed", "replay.go", "replay.stop")
    ]


@pytest.mark.parametrize("speed", [-1, 1001, "fast", None])
def test_speeds_are_checked(client, desk, speed):
    body = {"file": "/x_master.h5", "speed": speed}
    assert client.post(REPLAY, json=body).status_code == 422
    raw = '{"file": "/x_master.h5", "speed": NaN}'
    headers = {"content-type": "application/json"}
    assert client.post(REPLAY, content=raw, headers=headers).status_code == 422
    assert desk.given == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (ReplaySettings(), "replay.roots"),
        (ReplaySettings(enabled=False, roots=(Path("/"),)), "replay.enabled"),
    ],
)
def test_why_no_replay_is_possible_is_told(store, desk, settings, problem):
    app = create_app(store, WebSettings(), commands=desk, replay=settings)
    with TestClient(app, base_url=BASE) as client:
        told = client.get(REPLAY).json()
    assert not told["possible"]
    assert problem in told["problem"]


# ---- all that command ----


@pytest.mark.parametrize(("method", "path", "body"), WRITING)
def test_other_sites_command_nothing(client, desk, method, path, body):
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ):
        answer = client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403
    assert desk.given == []
    own = client.request(method, path, json=body, headers={"origin": BASE})
    assert own.status_code < 300


@pytest.mark.parametrize(("method", "path", "body"), WRITING)
def test_refusals_are_passed_on(client, desk, method, path, body):
    desk.refusal = "x_master.h5 is being replayed; stop it"
    answer = client.request(method, path, json=body)
    assert answer.status_code == 409
    assert answer.json() == {"detail": desk.refusal}
    desk.refusal = None
    answer = client.request(method, path, json=body)
    assert answer.status_code == 504
    assert "has not answered" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path", "body"), WRITING)
def test_without_a_consumer_nothing_is_commanded(
    client, store, desk, method, path, body
):
    store.drop_lease()
    answer = client.request(method, path, json=body)
    assert answer.status_code == 503
    assert "eigerwatch run" in answer.json()["detail"]
    assert desk.given == []


def test_a_web_without_commands_says_so(store):
    with TestClient(create_app(store, WebSettings()), base_url=BASE) as client:
        for method, path, body in WRITING:
            assert client.request(method, path, json=body).status_code == 404


def test_the_routes_are_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths[REPLAY]) == {"get", "post", "patch", "delete"}
    assert set(paths[SETTINGS]) == {"get", "put", "delete"}
    for path in (REPLAY, SETTINGS, f"{REPLAY}/recordings"):
        assert all(route["description"] for route in paths[path].values())


# ---- settings of the next series ----


def test_the_files_settings_are_told_first(client):
    told = client.get(SETTINGS).json()
    plain = {"low": 0, "high": "auto", "rois": [], "rings": 0}
    assert told["file"] == told["next"] == told["chosen"] == plain
    assert not told["changed"]
    assert told["changed_ms"] is None


def test_a_choice_is_sent_whole_and_told(client, desk):
    wanted = {**WANTED, "rois": [SPOT], "rings": [20, 5]}
    told = client.put(SETTINGS, json=wanted).json()
    ((command, fields),) = desk.given
    assert (command, fields["by"]) == ("settings.change", "Ann")
    assert json.loads(fields["settings"]) == {
        "filter": {"low": 2, "high": 300},
        "regions": {"rois": [SPOT], "rings": [20.0, 5.0]},
    }
    assert told["next"] == told["chosen"]
    assert told["next"]["rois"] == [SPOT]
    assert told["file"]["high"] == "auto"
    assert told["changed"]
    assert told["by"] == "Ann"
    told = client.delete(SETTINGS, params={"author": "Bob"}).json()
    assert desk.given[-1] == ("settings.reset", {"by": "Bob"})
    assert not told["changed"]
    assert told["by"] == "Bob"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"low": 9, "high": 3},
            "filter.high = 3: not below filter.low, which is 9",
        ),
        ({"rois": [{"name": "a"}]}, "needs one shape"),
        ({"rois": [SPOT, SPOT]}, "two regions are called 'spot'"),
        ({"rois": [{**SPOT, "name": "<b>"}]}, "regions.rois.0.name = '<b>'"),
        ({"rings": [3, 3]}, "a limit is given twice"),
        ({"low": ""}, "filter.low = ''"),
        ({"rois": [{**SPOT, "colour": 1}]}, "unknown key"),
        ({"rois": ["x" * 70_000]}, "64 kB"),
    ],
)
def test_what_is_wrong_is_said_as_on_the_command_line(client, desk, change, sentence):
    answer = client.put(SETTINGS, json=WANTED | change)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert desk.given == []


def test_choices_that_are_not_in_effect_are_told(client, desk):
    changes = {"filter": {"high": 100}}
    desk.kept = NextSettings(FILE, changes, "Ann", 5, "page: too high")
    told = client.get(SETTINGS).json()
    assert told["problem"] == "page: too high"
    assert told["chosen"]["high"] == 100
    assert told["next"]["high"] == "auto"


def test_before_any_service_said_its_settings(client, desk):
    desk.kept = None
    answer = client.get(SETTINGS)
    assert answer.status_code == 503
    assert "eigerwatch run" in answer.json()["detail"]


def test_the_running_series_is_told_apart(client, store, desk):
    versions = [
        {
            "number": 0,
            "regions": [
                {"name": "module_1", "module": True, "pixels": 9},
                {"name": "spot", "pixels": 9},
            ],
        }
    ]
    changes = {"filter": {"low": 2}}
    meta = {"settings": json.dumps(versions), "changes": json.dumps(changes)}
    store.open(KEY, shape=(100, 200), meta=meta, filter_low=2, filter_high=99)
    # What was read of the series a moment before may be told once more.
    wait_until(
        lambda: client.get(SETTINGS).json()["running"]["low"] == 2, what="the series"
    )
    running = client.get(SETTINGS).json()["running"]
    assert running["series"] == KEY
    assert (running["low"], running["high"]) == (2, 99)
    assert running["regions"] == ["spot"]
    assert not running["as_next"]
    desk.kept = NextSettings(FILE, changes, "Ann", 5)
    assert client.get(SETTINGS).json()["running"]["as_next"]


def test_what_a_preview_covers_is_told(client, store):
    def shown(png: bytes | None) -> Any:
        store.append(KEY, [1])
        store.show(KEY, store.region_rows(KEY, "threshold_1"), png)
        return client.get(SETTINGS).json()["running"]["picture"]

    assert shown(png_of({"factor": 3})) == [4 * 3, 8 * 3]
    assert shown(png_of({"factor": "x"})) is None
    assert shown(png_of(None)) is None
    assert shown(b"no picture") is None


def png_of(facts: dict[str, Any] | None) -> bytes:
    out, text = io.BytesIO(), PngInfo()
    if facts is not None:
        text.add_text("eigerwatch", json.dumps(facts))
    Picture.new("L", (8, 4), 90).save(out, "PNG", pnginfo=text)
    return out.getvalue()


def test_texts_that_are_none_are_refused(client, desk):
    """JSON can say half of a surrogate pair, which no store can keep."""
    for method, path, body in (
        ("POST", REPLAY, '{"file": "\\ud800"}'),
        ("POST", REPLAY, '{"file": "/x", "author": "\\ud800"}'),
        ("PUT", SETTINGS, '{"low": 0, "high": "\\ud800", "rois": [], "rings": 0}'),
        (
            "PUT",
            SETTINGS,
            '{"low": 0, "high": 9, "rois": [{"\\ud800": 1}], "rings": 0}',
        ),
        ("PUT", SETTINGS, '{"low": 0, "high": 9, "rois": NaN, "rings": Infinity}'),
        ("PUT", SETTINGS, '{"low": 0, "high": 9, "rois": 1' + "0" * 5000 + "}"),
        ("PUT", SETTINGS, "[" * 100_000),
    ):
        headers = {"content-type": "application/json"}
        answer = client.request(method, path, content=body, headers=headers)
        assert answer.status_code in (400, 422), body[:80]
    assert desk.given == []


def test_a_paused_replay_explains_why_its_series_stalls(client, store, desk):
    store.open("replay:X", state="stalled")

    def said() -> str:
        return client.get("/api/v1/series/replay:X").json()["state_text"]

    assert "no frame for" in said()
    desk.state = ReplayState(state="paused", series="replay:X")
    assert said() == "the replay is paused"
    desk.state = ReplayState(state="paused", series="replay:Y")
    assert "no frame for" in said()
