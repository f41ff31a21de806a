"""Sums of a recorded dataset against the obvious way of computing them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import numpy as np
import pytest
from masters import BSLZ4, write_master

from eigerwatch.config import load_settings
from eigerwatch.offline import sum_master
from eigerwatch.reduce import kernel_name

SHAPE = (2167, 2070)
HIGH = 4500


def write_4m(folder: Path, n: int, distinct: int = 4) -> Path:
    """Write `n` frames of 0.36 counts per pixel, some of them repeated."""
    rng = np.random.default_rng(1)
    master = folder / "bench_master.h5"
    write_master(master, frame_time=0.00134)
    with h5py.File(master, "a") as file:
        dataset = file.create_dataset(
            "entry/data/data", (n, *SHAPE), "u2", chunks=(1, *SHAPE), **BSLZ4
        )
        for index in range(distinct):
            values = rng.poisson(0.36, SHAPE).astype("u2")
            values[514:551] = 65535
            dataset[index] = values
        for index in range(distinct, n):
            chunk = dataset.id.read_direct_chunk((index % distinct, 0, 0))[1]
            dataset.id.write_direct_chunk((index, 0, 0), chunk)
    return master


def obvious_sums(master: Path) -> list[int]:
    with h5py.File(master) as file:
        dataset = file["entry/data/data"]
        return [
            int(np.where(frame <= HIGH, frame, 0).sum(dtype=np.uint64))
            for frame in (dataset[i] for i in range(len(dataset)))
        ]


@pytest.mark.timeout(300)
def test_offline_sums_against_h5py(tmp_path: Path, benchmark: Any) -> None:
    n = 200 if benchmark.enabled else 6
    master = write_4m(tmp_path, n)
    settings = load_settings(filter={"high": HIGH})
    start = time.perf_counter()
    expected = obvious_sums(master)
    obvious_s = time.perf_counter() - start
    sums = benchmark.pedantic(sum_master, (master, settings), rounds=3)
    assert sums.totals.tolist() == expected
    if benchmark.enabled:
        ratio = obvious_s / benchmark.stats.stats.min
        benchmark.extra_info.update(ratio=round(ratio, 2), kernel=kernel_name())
        print(f"{kernel_name()}: {ratio:.1f} x h5py + hdf5plugin + numpy")
