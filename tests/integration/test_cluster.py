"""Images reduced by the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import dask
import numpy as np
import poison
import pytest
from distributed import LocalCluster
from kernel_cases import BSLZ4, answer, edges, encode
from kernel_cases import image as pixels

from eigerwatch import workers
from eigerwatch.errors import ConfigError
from eigerwatch.model import Encoding, Image, PixelFilter, RejectReason
from eigerwatch.reduce import Reduced
from eigerwatch.sections import ReduceSettings
from eigerwatch.workers import Reducer

SHAPE = (100, 90)
VALUES = [pixels("uint16", SHAPE, 2.0, seed=n) for n in range(6)]
FILTER = PixelFilter(0, 4500, settings=3)


def images() -> list[Image]:
    return [
        Image("image", Encoding.BSLZ4, v.dtype, SHAPE, memoryview(encode(v, BSLZ4)))
        for v in VALUES
    ]


def assert_reduced(reduced: Reduced, but: int | None = None) -> None:
    for n, values in enumerate(VALUES):
        if n != but:
            assert reduced.records[n]["total"] == answer(values, 0, 4500)[0]["total"]
            assert reduced.records[n]["settings"] == 3
            assert n not in reduced.errors


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    # A task that a worker dies of is tried once more, not four times.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as running,
    ):
        yield running


@pytest.fixture
def remote(cluster: LocalCluster) -> Iterator[Reducer]:
    made = Reducer(ReduceSettings(), cluster.scheduler_address)
    yield made
    made.close()


def test_a_cluster_reduces_the_same(remote: Reducer, cluster: LocalCluster) -> None:
    assert remote.threads == 2
    assert remote.where == cluster.scheduler_address
    futures = [remote.submit(images(), FILTER) for _ in range(8)]
    for future in futures:
        assert_reduced(future.result(20))


def test_regions_come_back_from_a_cluster(remote: Reducer) -> None:
    members = [np.arange(9000) < 4000, np.arange(9000) >= 4000]
    chosen = PixelFilter(0, 4500, edges=edges(members), regions=2)
    reduced = remote.submit(images(), chosen).result(20)
    for n, values in enumerate(VALUES):
        _, rows = answer(values, 0, 4500, regions=members)
        assert reduced.regions[n].tolist() == rows.tolist()


def test_a_worker_that_dies_costs_nothing(
    remote: Reducer, cluster: LocalCluster
) -> None:
    """Row 37: what it was working on is done again."""
    victim = next(iter(cluster.workers.values()))
    futures = [remote.submit(images(), FILTER) for _ in range(30)]
    os.kill(victim.pid, signal.SIGKILL)
    for future in futures:
        assert_reduced(future.result(30))


def test_an_image_that_kills_workers_is_rejected(remote: Reducer) -> None:
    batch = images()
    batch[4] = poison.Kills("image", Encoding.NONE, np.dtype("<u2"), SHAPE, b"")
    reduced = remote.submit(batch, FILTER).result(50)
    assert_reduced(reduced, but=4)
    (rejection,) = reduced.errors.values()
    assert rejection.reason is RejectReason.WORKER
    assert "KilledWorker" in rejection.detail


def test_when_the_scheduler_goes_our_threads_take_over() -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        reducer = Reducer(ReduceSettings(), cluster.scheduler_address)
        futures = [reducer.submit(images(), FILTER) for _ in range(30)]
    for future in futures:
        assert_reduced(future.result(30))
    assert_reduced(reducer.submit(images(), FILTER).result(30))
    assert reducer.where == "threads"
    reducer.close()


def test_no_scheduler_is_told_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_DASK_WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConfigError, match=r"no Dask scheduler answers.*leave"):
            Reducer(ReduceSettings(), f"tcp://127.0.0.1:{port}")


def test_a_cluster_without_workers_is_told_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_DASK_WAIT_S", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        pytest.raises(ConfigError, match=r"workers cannot do the work.*dask worker"),
    ):
        Reducer(ReduceSettings(), cluster.scheduler_address)


def test_the_service_does_without_dask() -> None:
    code = "import sys, eigerwatch.consumer; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
