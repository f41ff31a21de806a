"""NeXus files read back by h5py: every value, every text, every unit."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fastapi.testclient import TestClient
from memory_store import MemoryNotes, MemoryStore

from eigerwatch.export import nexus_frames
from eigerwatch.export.nexus import Contents, write_nexus
from eigerwatch.export.nexus_frames import FrameState, Piece
from eigerwatch.model import FRAME_RECORD, REGION_ROW
from eigerwatch.sections import WebSettings
from eigerwatch.web import nexus as route
from eigerwatch.web.application import create_app

KEY = "live:01JABC"
URL = f"/api/v1/series/{KEY}/download.nxs"
HOSTILE = "Grüße \x00 <b>\ud800</b>"
TOLD = "Grüße \N{REPLACEMENT CHARACTER} <b>?</b>"
N = 25
MISSING, REJECTED, WAITING = 7, 9, 24


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few frames be several chunks, the last of them not full."""
    monkeypatch.setattr("eigerwatch.filing.PIECE", 10)
    monkeypatch.setattr(nexus_frames, "PIECE", 10)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    regions = [{"name": "module_1", "module": True}, {"name": HOSTILE}]
    store.open(
        KEY,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_060_000,
        meta={
            "settings": json.dumps([{"number": 0, "regions": regions}]),
            "header": json.dumps(
                {
                    "sensor_thickness": 0.00045,
                    "nimages": 25,
                    "a/b": "x",
                    "threshold_energy": {"threshold_1": 6000},
                    "flatfield": True,
                }
            ),
        },
    )
    rng = np.random.default_rng(1)
    store.append(KEY, rng.integers(2**50, 2**63, N, np.uint64))
    rows = store._series[KEY].channels["threshold_1"].rows
    for name in ("kept", "below", "above", "sentinel", "masked", "max_kept"):
        rows[name] = rng.integers(0, 2**32, N, np.uint64)
    rows["real_ns"] = 1_330_000 + np.arange(N)
    rows["start_ns"] += 5_000_000
    for gone in (MISSING, WAITING):
        rows[gone] = np.zeros((), FRAME_RECORD)
    store.reject(KEY, REJECTED, HOSTILE)
    store.unsettle(KEY, WAITING)
    region_rows = np.zeros((N - 2, 2), REGION_ROW)  # the last ones were not written
    for name in ("total", "kept", "sentinel"):
        region_rows[name] = rng.integers(0, 2**31, (N - 2, 2))
    store.show(KEY, region_rows)
    store.event(KEY, "start", text=HOSTILE)
    return store


@pytest.fixture
def notes() -> MemoryNotes:
    notes = MemoryNotes()
    notes.add(KEY, HOSTILE, "Eva")
    notes.exclude(KEY, 2, 3, author="Udo", reason="<b>\x00")
    notes.exclude(KEY, 20, 2**40 - 1, author="Udo")
    return notes


@pytest.fixture
def client(store: MemoryStore, notes: MemoryNotes) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(), notes=notes)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def file(client: TestClient) -> Iterator[h5py.File]:
    response = client.get(URL)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-hdf5"
    assert (
        "live_01JABC_threshold_1_series.nxs" in response.headers["content-disposition"]
    )
    assert int(response.headers["content-length"]) == len(response.content)
    with h5py.File(io.BytesIO(response.content)) as file:
        yield file


def texts(data: h5py.Dataset) -> list[str]:
    return [value.decode() for value in data[()]]


def text(data: h5py.Dataset) -> str:
    told: str = data[()].decode()
    return told


def test_every_frame_reads_back(file: h5py.File, store: MemoryStore) -> None:
    rows = store._series[KEY].channels["threshold_1"].rows
    stored = (rows["flags"] & 1) == 1
    assert np.flatnonzero(~stored).tolist() == [MISSING, REJECTED, WAITING]
    data = file["entry/intensity"]
    for name, field in (
        *((one, one) for one in nexus_frames._COUNTS),
        ("total", "total"),
        ("max_kept", "max_kept"),
        ("start", "start_ns"),
        ("exposure", "real_ns"),
        ("received", "received_ns"),
        ("flags", "flags"),
        ("settings_version", "settings"),
    ):
        expected = np.where(stored, rows[field], 0)
        np.testing.assert_array_equal(data[name][()], expected, name)
        assert data[name].dtype == FRAME_RECORD[field]
    np.testing.assert_array_equal(data["frame"], np.arange(N))
    states = np.zeros(N, int)
    states[MISSING], states[REJECTED] = FrameState.MISSING, FrameState.REJECTED
    states[WAITING] = FrameState.OUTSTANDING
    np.testing.assert_array_equal(data["state"], states)
    assert data["state"].attrs["long_name"] == (
        "0 stored, 1 rejected, 2 outstanding, 3 missing"
    )
    # A missing frame has the time between its neighbours', the last its own.
    np.testing.assert_allclose(data["time"], 0.005 + np.arange(N) * 0.00134, atol=1e-9)


def test_what_counts_is_what_the_analysis_says(
    client: TestClient, store: MemoryStore
) -> None:
    store.open(KEY, state="finished")
    store.append(KEY, np.random.default_rng(2).normal(1e6, 1e3, N))
    store.reject(KEY, REJECTED)
    with h5py.File(io.BytesIO(client.get(URL).content)) as file:
        used = file["entry/intensity/used"][()].astype(bool)
    expected = np.ones(N, bool)
    expected[REJECTED] = expected[2:4] = expected[20:] = False
    np.testing.assert_array_equal(used, expected)
    usage = client.get(f"/api/v1/series/{KEY}/analysis").json()["usage"]
    assert usage["used"] == np.count_nonzero(used)


def test_frames_counted_otherwise_are_in_no_figure(
    client: TestClient, store: MemoryStore
) -> None:
    store.open(KEY)
    store.append(KEY, np.random.default_rng(2).normal(1e6, 1e3, N))
    store.change_settings(KEY, 6, 1)
    with h5py.File(io.BytesIO(client.get(URL).content)) as file:
        used = file["entry/intensity/used"][()].astype(bool)
    assert not used[:6].any()
    assert used[6:20].all()


def test_a_plotting_program_finds_its_way(file: h5py.File) -> None:
    entry = file[file.attrs["default"]]
    assert file.attrs["NX_class"] == "NXroot"
    assert entry.attrs["NX_class"] == "NXentry"
    data = entry[entry.attrs["default"]]
    assert data.attrs["NX_class"] == "NXdata"
    assert data.attrs["signal"] == "total"
    assert list(data.attrs["axes"]) == ["time"]
    assert data[data.attrs["signal"]].attrs["units"] == "counts"
    assert data["time"].attrs["units"] == "s"
    assert data["total"].shape == data["time"].shape == (N,)
    regions = entry["regions"]
    assert list(regions.attrs["axes"]) == ["time", "region"]
    assert regions["total"].shape == (N, 2)
    assert regions["time"] == data["time"]


def test_regions_read_back(file: h5py.File, store: MemoryStore) -> None:
    regions = file["entry/regions"]
    assert texts(regions["region_name"]) == ["module_1", TOLD]
    expected = store.region_rows(KEY, "threshold_1")
    for name in ("total", "kept", "sentinel"):
        np.testing.assert_array_equal(regions[name][()], expected[name])
        assert regions[name].dtype == REGION_ROW[name]


def test_who_took_it_and_how(file: h5py.File) -> None:
    entry = file["entry"]
    assert text(entry["start_time"]) == "2023-11-14T22:13:20.000+00:00"
    assert text(entry["end_time"]) == "2023-11-14T22:14:20.000+00:00"
    assert text(entry["entry_identifier"]) == KEY
    assert text(entry["process/program"]) == "eigerwatch"
    assert entry["process"].attrs["NX_class"] == "NXprocess"
    assert text(entry["process/version"])
    detector = entry["instrument/detector"]
    assert detector.attrs["NX_class"] == "NXdetector"
    assert text(detector["description"]) == "Dectris EIGER2 Si 4M"
    assert text(detector["serial_number"]) == "E-08-0115"
    assert detector["frame_time"][()] == 0.00134
    assert detector["frame_time"].attrs["units"] == "s"
    assert detector["image_shape"][()].tolist() == [2167, 2070]
    header = detector["header"]
    assert header["sensor_thickness"][()] == 0.00045
    assert header["nimages"][()] == 25
    assert header["flatfield"][()]
    assert text(header["a_b"]) == "x"
    assert json.loads(text(header["threshold_energy"])) == {"threshold_1": 6000}
    settings = entry["settings"]
    assert text(settings["low [counts]"]) == "0"
    assert text(settings["high [counts]"]) == "4500"
    assert "analysis.exclude" in settings
    assert "module_1" in text(settings["versions"])


def test_what_was_said_and_found(file: h5py.File, client: TestClient) -> None:
    entry = file["entry"]
    note = entry["notes/note_1"]
    assert note.attrs["NX_class"] == "NXnote"
    assert text(note["data"]) == TOLD
    assert text(note["author"]) == "Eva"
    by_hand = entry["exclusions/by_hand"]
    assert by_hand["first"][()].tolist() == [2, 20]
    assert by_hand["last"][()].tolist() == [3, 2**40 - 1]
    assert by_hand["excluded"][()].tolist() == [1, 1]
    assert texts(by_hand["reason"]) == ["<b>\N{REPLACEMENT CHARACTER}", ""]
    in_effect = entry["exclusions/in_effect"]
    assert 2 in in_effect["first"][()]
    assert "user" in texts(in_effect["kind"])
    assert texts(entry["rejected/reason"]) == [TOLD]
    assert entry["rejected/frame"][()].tolist() == [REJECTED]
    recorded = entry["events/recorded"]
    assert texts(recorded["kind"]) == ["start"]
    assert json.loads(texts(recorded["fields"])[0])["text"] == HOSTILE
    events = client.get(f"/api/v1/series/{KEY}/analysis").json()["events"]
    found = entry["events/found"]
    assert texts(found["kind"]) == [one["kind"] for one in events]
    assert found["first"][()].tolist() == [one["first"] for one in events]
    assert texts(found["reason"]) == [one["reason"] for one in events]


def test_a_series_without_frames_or_times(
    client: TestClient, store: MemoryStore
) -> None:
    store.open(KEY, frame_time_s=None, started_ms=None)
    for n in (0, 3):
        if n:
            store.append(KEY, [1, 2, 3])
        with h5py.File(io.BytesIO(client.get(URL).content)) as file:
            data = file["entry/intensity"]
            assert list(data.attrs["axes"]) == ["frame"]
            assert data["total"][()].tolist() == [1, 2, 3][:n]
            assert "regions" not in file["entry"]
            assert "start_time" not in file["entry"]


def test_only_so_many_at_a_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def again(*args: Any) -> Any:
        if len(told) < route.AT_ONCE:
            told.append(client.get(URL))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(route, "write_series", again)
    assert client.get(URL).status_code == 507
    assert [one.status_code for one in told] == [503, 507]
    assert "try again" in told[0].json()["detail"]
    # Every place is free again.
    monkeypatch.undo()
    assert client.get(URL).status_code == 200


def test_unknown_series_and_channels(client: TestClient, store: MemoryStore) -> None:
    assert client.get(URL.replace("ABC", "XYZ")).status_code == 404
    assert client.get(URL, params={"channel": "x"}).status_code == 404
    store.away = "gone"
    assert client.get(URL).status_code == 503


def test_frames_that_do_not_come_are_no_file(tmp_path: Path) -> None:
    piece = Piece(np.zeros(4, FRAME_RECORD), np.full(4, 3, np.uint8), np.zeros(4, bool))
    with pytest.raises(ValueError, match="4 frames were given, 5 announced"):
        write_nexus(tmp_path / "x.nxs", Contents(KEY, "c", 5, "1"), [piece])


def test_times_before_and_after_what_came() -> None:
    clock = nexus_frames._Clock(2.0)
    nothing = np.zeros(3, bool)
    none = clock.seconds(np.zeros(3, np.int64), nothing, 0)
    assert none.tolist() == [0, 2, 4]
    start = np.array([0, 10_000_000_000, 0], np.int64)
    seconds = clock.seconds(start, np.array([False, True, False]), 3)
    assert seconds.tolist() == [8, 10, 12]
    assert clock.seconds(np.zeros(2, np.int64), nothing[:2], 6).tolist() == [14, 16]
