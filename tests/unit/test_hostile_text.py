"""Whatever stands in a text comes back from the API as that text, or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hostile import HOSTILE
from memory_runs import memory_runs
from memory_store import MemoryNotes, MemoryStore

from eigerwatch.sections import WebSettings
from eigerwatch.store.labels import LabelError, tag_of
from eigerwatch.web.application import create_app

KEY = "live:01JABC"
SERIES = f"/api/v1/series/{KEY}"


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    store.open(KEY)
    store.append(KEY, [5, 6, 7])
    for number, text in enumerate(HOSTILE):
        header = json.dumps({"sample": {text: [text]}})
        meta = {"header": header, "user_data": text}
        store.open(f"live:{number}", detector=text, meta=meta)
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    notes = MemoryNotes()
    app = create_app(
        store, WebSettings(), notes=notes, run_store=memory_runs(store, notes)
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_there_are_a_hundred_different_ones() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) == 100


def test_notes_and_exclusions(client: TestClient) -> None:
    for text in HOSTILE:
        note = {"text": text[:4000], "author": text[:200]}
        assert client.post(f"{SERIES}/notes", json=note).status_code == 201
        edit = {"first": 0, "last": 0, "reason": text[:4000], "author": text[:200]}
        assert client.post(f"{SERIES}/exclusions", json=edit).status_code == 201
    said = client.get(f"{SERIES}/notes").json()
    assert [note["text"] for note in said["notes"]] == [t[:4000] for t in HOSTILE]
    assert [note["author"] for note in said["notes"]] == [t[:200] for t in HOSTILE]
    assert [one["reason"] for one in said["exclusions"]] == [t[:4000] for t in HOSTILE]


@pytest.mark.parametrize("field", ["text", "author"])
def test_half_a_character_is_refused(client: TestClient, field: str) -> None:
    """It cannot be sent out again: one would take the whole list away."""
    body = json.dumps({"text": "x", "author": "y", field: "\ud800"})
    headers = {"content-type": "application/json"}
    answer = client.post(f"{SERIES}/notes", content=body, headers=headers)
    assert answer.status_code == 422
    assert client.get(f"{SERIES}/notes").json()["notes"] == []


def test_tags(client: TestClient) -> None:
    for text in HOSTILE:
        try:
            meant = tag_of(text)
        except LabelError:
            meant = None
        # A longer text than any tag is not even looked at.
        status = 422 if len(text) > 200 else 409 if meant is None else 200
        answer = client.put(f"{SERIES}/tags", params={"tag": text})
        assert answer.status_code == status, text
        if meant is None:
            continue
        assert answer.json()["tags"] == [meant]
        found = client.get("/api/v1/runs", params={"tag": meant}).json()
        assert [run["tags"] for run in found["runs"]] == [[meant]]
        gone = client.delete(f"{SERIES}/tags", params={"tag": meant})
        assert gone.status_code == 204
        assert client.get("/api/v1/runs", params={"tag": meant}).json()["total"] == 0


@pytest.mark.parametrize(
    "name", ["q", "tag", "source", "from", "to", "sort", "order", "limit"]
)
def test_as_parameters(client: TestClient, name: str) -> None:
    for text in HOSTILE:
        answer = client.get("/api/v1/runs", params={name: text})
        assert answer.status_code in (200, 400, 422), text
        assert answer.headers["content-type"] == "application/json"


def test_in_headers_of_a_detector(client: TestClient) -> None:
    for number, text in enumerate(HOSTILE):
        key = f"live:{number}"
        assert client.get(f"/api/v1/series/{key}").json()["detector"] == text
        words = " ".join(text[:400].split())
        found = client.get("/api/v1/runs", params={"q": words, "limit": 1000}).json()
        assert key in [run["series"] for run in found["runs"]], text
