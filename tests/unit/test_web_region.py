"""One region's counts instead of the whole image's: frames, ticks, statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from memory_store import MemoryStore

from eigerwatch.errors import UnknownRegionError
from eigerwatch.framecache import FrameCache
from eigerwatch.frames import Region, Scope, SeriesFrames
from eigerwatch.model import REGION_ROW
from eigerwatch.sections import WebSettings
from eigerwatch.web.application import create_app
from eigerwatch.web.regional import region_names, region_of
from eigerwatch.web.tick import decode

KEY = "live:01JABC"
URL = f"/api/v1/series/{KEY}"
N = 3000


def described(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "kind": "rectangle", "pixels": 10} for name in names]


def meta(*versions: tuple[str, ...]) -> dict[str, str]:
    settings = [{"number": k, "regions": described(*v)} for k, v in enumerate(versions)]
    return {"settings": json.dumps(settings)}


def rows(n: int = N) -> np.ndarray:
    """Return three regions' sums: k, 1000 + 2k and 7 in frame k."""
    table = np.zeros((n, 3), REGION_ROW)
    k = np.arange(n)
    table["total"] = np.stack([k, 1000 + 2 * k, np.full(n, 7)], 1)
    return table


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.beat()
    store.open(KEY, meta=meta(("a", "b", "<b>c</b>")))
    store.append(KEY, 6_000_000 + np.arange(N) % 5)
    store.show(KEY, rows())
    return store


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    app = create_app(store, WebSettings(tick_hz=20))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def frames_of(store: MemoryStore, region: Region) -> SeriesFrames:
    frames = SeriesFrames(store, KEY, "threshold_1", region)
    frames.refresh(store.info(KEY))
    return frames


def test_table_and_plot_of_a_region_are_downloaded(client: TestClient) -> None:
    response = client.get(f"{URL}/download.csv", params={"region": "b"})
    mean = response.text.splitlines()[2].split(",")
    assert mean[0] == "mean"
    assert float(mean[1]) == pytest.approx(1000 + N - 1)
    name = 'attachment; filename="live_01JABC_threshold_1_b_table.csv"'
    assert response.headers["content-disposition"] == name
    page = client.get(f"{URL}/download.html", params={"region": "2"})
    assert page.headers["content-disposition"].endswith('_b_c_b__plot.html"')
    assert "<b>c</b>" not in page.text
    assert "&lt;b&gt;c&lt;/b&gt;" in page.text


def test_frames_of_a_region_are_downloaded(
    client: TestClient, store: MemoryStore
) -> None:
    store.append(KEY, [5], skip=1)
    store.show(KEY, rows(N + 2))
    store.reject(KEY, 1)
    store.update(KEY, meta=meta(("a",), ("a", "b")))
    store.change_settings(KEY, 2000, 1)
    query = {"region": "b", "content": "frames"}
    response = client.get(f"{URL}/download.csv", params=query)
    assert response.headers["content-disposition"].endswith('_b_frames.csv"')
    lines = response.text.splitlines()
    assert lines[0] == "frame,state,total,kept,sentinel"
    assert lines[1] == "1,uncounted,,,"  # the older settings lack the region
    assert lines[2] == "2,rejected,,,"
    assert lines[2000] == "2000,uncounted,,,"
    assert lines[2001] == "2001,stored,5000,0,0"
    last = 1000 + 2 * (N + 1)
    assert lines[N + 1 :] == [f"{N + 1},missing,,,", f"{N + 2},stored,{last},0,0"]

    part = client.get(f"{URL}/download.csv", params={**query, "from": 1998, "to": 2003})
    assert part.text.splitlines()[1:] == lines[1999:2004]
    query["region"] = "nowhere"
    assert client.get(f"{URL}/download.csv", params=query).status_code == 404


def test_a_region_is_named_or_counted_from_0(store: MemoryStore) -> None:
    info = store.info(KEY)
    assert region_names(info) == ["a", "b", "<b>c</b>"]
    assert region_of(info, None) is None
    assert region_of(info, "b") == region_of(info, "1") == Region("b", ((0, 1),))


@pytest.mark.parametrize("wanted", ["", "d", "3", "-1", "\N{SUPERSCRIPT TWO}"])
def test_an_unknown_region_is_refused_with_those_there_are(
    store: MemoryStore, wanted: str
) -> None:
    with pytest.raises(UnknownRegionError, match=f"no region .*{wanted}.*has a, b, <b"):
        region_of(store.info(KEY), wanted)


def test_a_region_keeps_its_name_when_settings_change(store: MemoryStore) -> None:
    store.update(KEY, meta=meta(("a", "b", "c"), ("new", "a"), ("a",)))
    assert region_of(store.info(KEY), "a") == Region("a", ((0, 0), (1, 1), (2, 0)))
    with pytest.raises(UnknownRegionError):
        region_of(store.info(KEY), "new")


def test_frames_have_the_regions_sums(store: MemoryStore) -> None:
    frames = frames_of(store, Region("b", ((0, 1),)))
    np.testing.assert_array_equal(
        frames.select(Scope()).totals, 1000 + 2 * np.arange(N)
    )
    store.append(KEY, [5, 6])
    grown = np.concatenate([rows(), rows(2)])
    store.show(KEY, grown)
    frames.refresh(store.info(KEY))
    assert frames.select(Scope()).totals[-2:].tolist() == [1000, 1002]


def test_late_frames_bring_their_regions_too(store: MemoryStore) -> None:
    store.append(KEY, [9, 9], skip=1)
    store.show(KEY, rows(N + 3))
    frames = frames_of(store, Region("a", ((0, 0),)))
    assert frames.select(Scope()).totals.size == N + 2
    store.fill(KEY, N, 9)
    frames.refresh(store.info(KEY))
    assert frames.select(Scope()).totals[N] == N


def test_frames_counted_without_the_region_are_no_frames_of_it(
    store: MemoryStore,
) -> None:
    store.change_settings(KEY, 2000, 1)
    frames = frames_of(store, Region("x", ((1, 2),)))
    selected = frames.select(Scope())
    assert selected.positions.tolist() == list(range(2000, N))
    assert set(selected.totals.tolist()) == {7}
    _, stored = frames.span(0, N)
    assert np.count_nonzero(stored) == N - 2000
    assert frames.holes(0, N)[0].size == 0  # nor are they missing


def test_rows_that_hold_no_such_column_are_no_frames_of_it(store: MemoryStore) -> None:
    frames = frames_of(store, Region("far", ((0, 9),)))
    assert frames.n == N
    assert frames.select(Scope()).totals.size == 0


def test_the_cache_reads_a_region_anew_when_its_place_changes(
    store: MemoryStore,
) -> None:
    cache = FrameCache(store)
    info = store.info(KEY)
    first = cache.get(info, "threshold_1", Region("a", ((0, 0),)))
    assert cache.get(info, "threshold_1", Region("a", ((0, 0),))) is first
    other = cache.get(info, "threshold_1", Region("a", ((0, 2),)))
    assert other.select(Scope()).totals[0] == 7
    assert cache.get(info, "threshold_1").select(Scope()).totals[0] == 6_000_000


@pytest.mark.parametrize(("frames", "kept"), [(10**9, 32), (5 * N, 5), (1, 4)])
def test_the_cache_is_bounded_over_regions(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, frames: int, kept: int
) -> None:
    monkeypatch.setattr("eigerwatch.framecache.KEPT_REGION_FRAMES", frames)
    cache = FrameCache(store)
    info = store.info(KEY)
    whole = cache.get(info, "threshold_1")
    regions = [Region(f"r{k}", ((0, 0),)) for k in range(40)]
    for region in regions:
        known = cache.get(info, "threshold_1", region)
    assert cache.get(info, "threshold_1") is whole
    assert cache.get(info, "threshold_1", regions[-1]) is known
    assert len(cache._regions) == kept


def tick_of(client: TestClient, path: str = f"{URL}/trace", **query: Any) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    return decode(response.content)


@pytest.mark.parametrize("region", ["b", "1"])
def test_a_trace_of_a_region(client: TestClient, region: str) -> None:
    header, blocks = tick_of(client, region=region, px=2000)
    sums = 1000 + 2 * np.arange(N)
    assert header["region"] == "b"
    assert header["regions"] == ["a", "b", "<b>c</b>"]
    assert header["mean"] == pytest.approx(sums.mean())
    np.testing.assert_allclose(blocks["raw"], sums / sums.mean(), rtol=1e-6)
    np.testing.assert_allclose(blocks["det"], 1, atol=1e-6)
    assert header["stats"]["raw"][1] == pytest.approx(sums.mean())
    # The tiles stay those of the whole image.
    assert header["tiles"]["mean"] == pytest.approx(6_000_002)


def test_values_in_counts(client: TestClient) -> None:
    parts, _ = tick_of(client, px=2000)
    header, blocks = tick_of(client, px=2000, unit="counts", **{"from": 10, "to": 20})
    sums = 6_000_000 + np.arange(10, 20) % 5
    np.testing.assert_allclose(blocks["raw"], sums, atol=0.5)
    assert (parts["unit"], header["unit"]) == ("normalised", "counts")
    assert header["quartiles"]["raw"] == [6_000_001, 6_000_002, 6_000_003]
    np.testing.assert_allclose(
        np.array(parts["quartiles"]["det"]) * parts["mean"],
        header["quartiles"]["det"],
    )
    slope, middle = header["slope"], header["x_mid"]
    line = [header["mean"] + slope * (at - middle) for at in (10, 19)]
    assert header["fit"] == pytest.approx(line, rel=1e-12)
    assert parts["fit"] == pytest.approx([1, 1], abs=1e-6)


def test_polling_knows_region_and_unit(client: TestClient) -> None:
    header, blocks = tick_of(client, "/api/v1/tick", region="b", unit="counts")
    assert header["region"] == "b"
    assert blocks["raw"].max() == 1000 + 2 * (N - 1)


def test_statistics_of_a_region(client: TestClient) -> None:
    query = {"region": "b", "from": 100, "to": 200}
    answer = client.get(f"{URL}/statistics", params=query).json()
    assert answer["region"] == "b"
    assert answer["raw"]["mean"] == pytest.approx(1000 + 2 * 149.5)
    assert client.get(f"{URL}/statistics").json()["region"] is None


@pytest.mark.parametrize("path", ["trace", "statistics", "histogram"])
def test_routes_refuse_an_unknown_region(client: TestClient, path: str) -> None:
    response = client.get(f"{URL}/{path}", params={"region": "nowhere"})
    assert response.status_code == 404
    assert response.headers["X-Refused"] == "region"
    assert "no region 'nowhere'; it has a, b," in response.json()["detail"]


def test_the_socket_tells_an_unknown_region_and_goes_on(client: TestClient) -> None:
    with client.websocket_connect("ws://127.0.0.1/api/v1/live") as socket:

        def next_of(kind: str) -> dict[str, Any]:
            for _ in range(100):
                message = socket.receive()
                if message.get("bytes") is not None:
                    header, _ = decode(message["bytes"])
                    socket.send_text(json.dumps({"t": "ack", "seq": header["seq"]}))
                    found = {"t": "tick", **header}
                else:
                    found = json.loads(message["text"])
                if found["t"] == kind:
                    return found
            raise AssertionError(kind)

        socket.send_text(json.dumps({"t": "view", "region": "nowhere"}))
        error = next_of("error")
        assert error["about"] == "region"
        assert "no region 'nowhere'" in error["text"]
        socket.send_text(json.dumps({"t": "view", "region": "b", "unit": "counts"}))
        while (tick := next_of("tick"))["region"] != "b":
            pass
        assert tick["unit"] == "counts"


def histogram_of(client: TestClient, **query: Any) -> Any:
    response = client.get(f"{URL}/histogram", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_histogram_of_a_scope_leaves_excluded_frames_out(
    client: TestClient, store: MemoryStore
) -> None:
    random = np.random.default_rng(1)
    totals = random.poisson(40_000, N)
    totals[500] = 0
    store.open(KEY, meta=meta(("a", "b", "c")))
    store.append(KEY, totals)
    store.show(KEY, rows())
    answer = histogram_of(client)
    assert (answer["n"], answer["excluded"]) == (N - 1, 1)
    assert "excluded: 1 empty" in answer["usage_text"]
    assert sum(answer["raw"]) + sum(answer["raw_outside"]) == N - 1
    assert answer["counting_width"] == pytest.approx(1 / 200, rel=1e-2)

    part = histogram_of(client, region="b", unit="counts", last=100)
    sums = 1000 + 2 * np.arange(N - 100, N)
    assert (part["scope"], part["region"], part["n"]) == ("frames", "b", 100)
    assert part["mean"] == pytest.approx(sums.mean())
    assert part["detrended_width"] == pytest.approx(0, abs=1e-6)
    assert part["edges"][0] < 1000 + 2 * (N - 100)


def test_a_recent_histogram_is_not_made_anew(
    client: TestClient, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigerwatch.web.distribution.LEAST_S", 3600)
    assert histogram_of(client, recent=True)["n"] == N
    store.append(KEY, [6_000_000] * 10)
    assert histogram_of(client, recent=True)["n"] == N
    assert histogram_of(client, recent=True, region="b")["n"] == N + 10
    assert histogram_of(client)["n"] == N + 10
    # Who has no time to wait for it is given the newest.
    assert histogram_of(client, recent=True)["n"] == N + 10
