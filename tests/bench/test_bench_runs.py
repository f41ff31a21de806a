"""The list of runs with a thousand series in a real server, all of them judged."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from redis_fixture import running_server

from eigerwatch.sections import WebSettings
from eigerwatch.store import keys
from eigerwatch.store.labels import Labels
from eigerwatch.store.listing import Listing
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader
from eigerwatch.store.summaries import Summaries, Summary
from eigerwatch.web.application import create_app
from eigerwatch.web.run_index import RunIndex
from eigerwatch.web.run_store import RunStore

N = 1000
LIMIT_S = 0.2
CHANNEL = "threshold_1"
HEADER = json.dumps({f"field_{k}": f"value {k} of a header" for k in range(120)})


def fill(client: Any) -> None:
    """Write series as the consumer leaves them, short ones, with notes and tags."""
    pipe = client.pipeline(transaction=False)
    now_ms = time.time_ns() // 1_000_000
    for k in range(N):
        key = f"live:{k:05d}"
        meta = {
            "source": "live",
            "state": "finished",
            "channels": json.dumps([CHANNEL]),
            "series_id": k,
            "started_ms": now_ms - k * 60_000,
            "ended_ms": now_ms - k * 60_000 + 60_000,
            "frame_time_s": 0.00134,
            "detector": "Dectris EIGER2 Si 4M",
            "header": HEADER,
        }
        pipe.hset(keys.meta(key), mapping=meta)
        pipe.zadd(keys.SERIES, {key: now_ms - k})
        pipe.set(keys.ok(key, CHANNEL), b"\x01" * 45_000)
        note = {"id": "1", "ms": 1, "author": "Jo", "text": f"note on run {k}"}
        pipe.hset(keys.notes(key), "1", json.dumps(note))
        pipe.hset(keys.tags(key), f"tag {k % 7}", 1)
        if k % 100 == 99:
            pipe.execute()
    pipe.execute()


def figures(k: int) -> dict[str, Any]:
    values = np.random.default_rng(k).normal(1, 0.001, 120).round(6).tolist()
    return {
        "mean": 6.4e6 + k,
        "mean_low": 6.3e6,
        "mean_high": 6.5e6,
        **{f"cv_{name}": 0.1 for name in ("percent", "low", "high", "shot_percent")},
        **{f"cv_beam_{name}": 0.1 for name in ("percent", "low", "high")},
        "verdict": "mixed",
        "verdict_text": "the interval of CV_beam holds the limit of counting",
        "events": {"topup": 2},
        "excluded": 40,
        "sparkline": {"frames": list(range(0, 45_000, 375)), "values": values},
    }


def test_a_thousand_runs(
    tmp_path: Any, benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path) as server:
        client = server.client()
        fill(client)
        store = RunStore(Listing(client), Labels(client, 14), Summaries(client))
        filler = RunIndex(store, "bench")
        for k, entry in enumerate(filler.entries()):
            summary = Summary(filler.stamp(entry), figures(k))
            store.summaries.write(entry.listed.key, summary)
        index = RunIndex(store, "bench")
        monkeypatch.setattr("eigerwatch.web.application.RunIndex", lambda *_: index)
        app = create_app(
            Reader(client), WebSettings(), notes=Notes(client), run_store=store
        )
        with TestClient(app, base_url="http://127.0.0.1") as http:
            begin_s = time.perf_counter()
            page = http.get("/api/v1/runs").json()
            print(
                f"\nfirst answer after a start: {time.perf_counter() - begin_s:.3f} s"
            )
            assert (page["total"], page["pending"]) == (N, 0)
            wait_until(lambda: http.get("/api/v1/runs").json()["pending"] == 0)
            for path in (
                "/api/v1/runs?limit=50",
                "/api/v1/runs?limit=50&q=note+7&sort=cv",
                f"/api/v1/runs?limit={N}&sparkline=false",
                f"/api/v1/runs?limit={N}",
            ):
                spent = []
                for _ in range(15):
                    begin_s = time.perf_counter()
                    assert http.get(path).status_code == 200
                    spent.append(time.perf_counter() - begin_s)
                median = float(np.median(spent))
                print(f"{path}: {1000 * median:.0f} ms, at most {max(spent):.3f} s")
                assert median < 3 * LIMIT_S
            benchmark(http.get, "/api/v1/runs?limit=50")
