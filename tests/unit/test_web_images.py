from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from memory_store import MemoryStore
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from eigerwatch.model import REGION_ROW
from eigerwatch.sections import WebSettings
from eigerwatch.web.application import create_app

KEY = "live:01JABC"
URL = f"/api/v1/series/{KEY}"
LEFT = {"name": "left", "kind": "rectangle", "y": [0, 5], "x": [0, 3], "pixels": 15}
RIGHT = {"name": "<b>", "kind": "rectangle", "y": [0, 5], "x": [3, 8], "pixels": 25}


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    settings = [
        {"number": 0, "regions": [LEFT]},
        {"number": 1, "regions": [LEFT, RIGHT]},
    ]
    meta = {"settings": json.dumps(settings)}
    store.open(KEY, channels=("threshold_1",), meta=meta)
    store.append(KEY, range(3000))
    store.change_settings(KEY, 1000, 1)
    rows = np.zeros((3000, 2), REGION_ROW)
    rows["total"] = np.arange(3000)[:, None] * [1, 10]
    rows["kept"] = [15, 24]
    rows["sentinel"] = [0, 1]
    store.show(KEY, rows)
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    with TestClient(
        create_app(store, WebSettings()), base_url="http://127.0.0.1"
    ) as client:
        yield client


def get(client: TestClient, **query: Any) -> Any:
    response = client.get(f"{URL}/regions", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_regions_have_their_means_over_a_range(client: TestClient) -> None:
    answer = get(client, **{"from": 1000, "to": 1011})
    assert (answer["frames"], answer["settings"]) == (11, 1)
    left, right = answer["regions"]
    assert left["shape"] == {"kind": "rectangle", "y": [0, 5], "x": [0, 3]}
    assert (left["name"], left["pixels"], left["mean_total"]) == ("left", 15, 1005.0)
    assert (right["name"], right["mean_total"]) == ("<b>", 10_050.0)
    assert (right["mean_kept"], right["mean_sentinel"]) == (24.0, 1.0)


def test_the_last_thousand_frames_are_the_default(client: TestClient) -> None:
    answer = get(client)
    assert (answer["from"], answer["to"], answer["frames"]) == (2000, 3000, 1000)
    assert get(client, last=10)["regions"][0]["mean_total"] == 2994.5


def test_only_frames_of_one_settings_version_are_used(client: TestClient) -> None:
    """A change of the settings must not look like a step of the beam."""
    answer = get(client, **{"from": 990, "to": 1001})
    assert (answer["frames"], answer["settings"]) == (1, 1)
    assert len(get(client, **{"from": 0, "to": 10})["regions"]) == 1


def test_nothing_stored_has_regions_without_means(
    client: TestClient, store: MemoryStore
) -> None:
    store.open("live:new", channels=("image",))
    response = client.get("/api/v1/series/live:new/regions")
    assert response.status_code == 200
    assert response.json()["regions"] == []
    answer = get(client, **{"from": 5000})
    assert answer["frames"] == 0
    assert answer["regions"][0]["mean_total"] is None


@pytest.mark.parametrize(
    "settings",
    ["", "no json", "5", "[5]", '[{"number": "a"}]', '[{"number": 1, "regions": 5}]'],
)
def test_foreign_settings_are_no_regions(
    client: TestClient, store: MemoryStore, settings: str
) -> None:
    store.update(KEY, meta={"settings": settings})
    assert get(client)["regions"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"last": 5, "from": 1}, 400),
        ({"from": 9, "to": 3}, 400),
        ({"last": 0}, 422),
        ({"channel": "none"}, 404),
    ],
)
def test_contradictions_are_refused(
    client: TestClient, query: dict[str, Any], status: int
) -> None:
    assert client.get(f"{URL}/regions", params=query).status_code == status


def test_too_many_frames_at_once_are_refused(
    client: TestClient, store: MemoryStore
) -> None:
    store.append(KEY, range(100_000))
    response = client.get(f"{URL}/regions", params={"from": 0})
    assert response.status_code == 400
    assert "at most 100000" in response.json()["detail"]


def test_the_newest_preview_is_a_png(client: TestClient, store: MemoryStore) -> None:
    response = client.get(f"{URL}/preview")
    assert response.status_code == 404
    assert "no preview" in response.json()["detail"]
    store.show(KEY, preview=b"\x89PNG...")
    response = client.get(f"{URL}/preview")
    assert response.content == b"\x89PNG..."
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/v1/series/live:none/preview").status_code == 404


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"factor": 4, "image_id": 7, "received_ns": "1700000000123456789"},
         (7, 1_700_000_000_123, [8, 12])),
        ({"factor": 4}, (None, None, [8, 12])),
        ({"factor": 4, "image_id": "<b>", "received_ns": "9" * 400},
         (None, None, [8, 12])),
        ({"factor": 0, "image_id": 7}, (None, None, None)),
        (None, (None, None, None)),
    ],
)  # fmt: skip
def test_a_preview_says_which_frame_it_shows(
    client: TestClient, store: MemoryStore, facts: dict[str, Any] | None, expected: Any
) -> None:
    assert client.get(f"{URL}/preview/facts").json()["covers"] is None
    text, out = PngInfo(), io.BytesIO()
    if facts is not None:
        text.add_text("eigerwatch", json.dumps(facts))
    Picture.new("L", (3, 2)).save(out, "PNG", pnginfo=text)
    store.show(KEY, preview=out.getvalue() if facts is not None else b"no picture")
    found = client.get(f"{URL}/preview/facts").json()
    assert (found["image_id"], found["received_ms"], found["covers"]) == expected


MODULES = 6
FRAMES = 4000


@pytest.fixture
def modules() -> Iterator[TestClient]:
    """Modules of which the third loses 10 % from frame 2000 on, with the beam's 5 %."""
    described = [
        {"name": f"module_{k}", "module": True, "y": [0, 5], "x": [k, k + 1]}
        for k in range(MODULES)
    ]
    described.append({"name": "centre", "kind": "disc", "y": 2, "x": 3, "radius": 2})
    store = MemoryStore()
    store.beat()
    meta = {"settings": json.dumps([{"number": 0, "regions": described}])}
    store.open(KEY, meta=meta, shape=(5, 6))
    rows = np.zeros((FRAMES, MODULES + 1), REGION_ROW)
    rows["total"] = np.random.default_rng(4).poisson(10_000, rows.shape)
    rows["total"][2000:] = rows["total"][2000:] * 95 // 100
    rows["total"][2000:, 2] = rows["total"][2000:, 2] * 9 // 10
    store.append(KEY, rows["total"][:, :MODULES].sum(axis=1))
    store.show(KEY, rows)
    app = create_app(store, WebSettings())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_a_module_that_changes_stands_out(modules: TestClient) -> None:
    told = get(modules, last=1000, against=1500)
    assert told["image"] == [5, 6]
    assert told["compared"] == [0, 1499]
    assert [r["deviates"] for r in told["regions"]] == [k == 2 for k in range(7)]
    third, fourth = told["regions"][2:4]
    share = 0.9 / (5.9 / 6)
    assert third["change_percent"] == pytest.approx(100 * (share - 1), abs=0.2)
    assert fourth["change_percent"] == pytest.approx(100 * (6 / 5.9 - 1), abs=0.2)
    assert third["change_error_percent"] == pytest.approx(0.04, abs=0.01)


def test_without_change_no_module_stands_out(modules: TestClient) -> None:
    told = get(modules, **{"from": 1000, "to": 2000, "against": 1000})
    assert not any(r["deviates"] for r in told["regions"])
    assert max(abs(r["change_percent"]) for r in told["regions"]) < 0.3


def test_changes_are_told_where_asked_for_and_known(modules: TestClient) -> None:
    for told in (get(modules), get(modules, **{"from": 0, "to": 50, "against": 50})):
        assert told["compared"] is None
        assert {r["change_percent"] for r in told["regions"]} == {None}
        assert not any(r["deviates"] for r in told["regions"])


def test_changes_are_told_within_one_version(client: TestClient) -> None:
    told = get(client, last=100, against=500)
    assert told["settings"] == 1
    assert told["compared"] is None
