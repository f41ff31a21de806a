"""The whole service in processes of its own: latency and memory, reported."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until
from redis_fixture import running_server

RATE_HZ = 750
LATENCY_LIMIT_MS = 150
SECONDS = float(os.environ.get("EIGERWATCH_BENCH_SECONDS", "20"))
"""Length of the run; 300 for the figure in the README."""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with running_server(tmp_path) as server:
        yield {
            **os.environ,
            "EIGERWATCH_STORE__URL": server.url,
            "EIGERWATCH_STORE__DATA_DIR": str(tmp_path / "data"),
            "EIGERWATCH_STREAM__ENDPOINT": f"ipc://{tmp_path}/stream",
            "EIGERWATCH_REPLAY__ENDPOINT": f"ipc://{tmp_path}/replay",
            "EIGERWATCH_WEB__PORT": "0",
        }


def page_of(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if line.startswith("{") and (entry := json.loads(line))["event"] == "page":
            return str(entry["address"]).rstrip("/")
    return None


def resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)


def newest_frame_age_ms(page: str) -> float | None:
    """Return how long ago the newest frame that the API has was received.

    The simulator is on this host: a frame is received within a millisecond of being
    sent, and by the same clock.
    """
    try:
        answer = get(f"{page}/api/v1/series/live/frames?last=1&columns=received_ns")
    except OSError:
        return None
    now_ns = time.time_ns()
    newest = answer["columns"]["received_ns"]
    return (now_ns - int(newest[-1])) / 1e6 if newest else None


@pytest.mark.timeout(SECONDS + 120)
def test_latency_and_memory(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    with log.open("w") as stderr:
        service = subprocess.Popen(
            [sys.executable, "-m", "eigerwatch", "run"], env=environment, stderr=stderr
        )
    try:
        page = wait_until(lambda: page_of(log), 30, "page")
        simulator = subprocess.Popen(
            [
                *(sys.executable, "-m", "eigersim", "run", "--detector", "500k"),
                *("--endpoint", environment["EIGERWATCH_STREAM__ENDPOINT"]),
                *("--frame-rate", str(RATE_HZ), "--wait-s", "20"),
                *("--frames", str(round(SECONDS * RATE_HZ))),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: newest_frame_age_ms(page), 30, "first frame")
        ages, memory = [], []
        while simulator.poll() is None:
            age = newest_frame_age_ms(page)
            if age is not None:
                ages.append(age)
            memory.append(resident_kb(service.pid))
            time.sleep(0.05)
    finally:
        service.terminate()
        service.wait(20)
    # The last answers may come after the last frame.
    ages = sorted(ages[:-5])
    median = statistics.median(ages)
    third = max(1, len(memory) // 3)
    growth_kb = statistics.median(memory[-third:]) - statistics.median(
        memory[third : 2 * third]
    )
    with capsys.disabled():
        print(
            f"\nframe to value in the API at {RATE_HZ} Hz: median {median:.0f} ms, "
            f"95 % {ages[int(0.95 * len(ages))]:.0f} ms; consumer's memory "
            f"{memory[-1] / 1024:.0f} MB, {growth_kb:+.0f} kB over the last third of "
            f"{SECONDS:.0f} s"
        )
    assert median < 3 * LATENCY_LIMIT_MS
