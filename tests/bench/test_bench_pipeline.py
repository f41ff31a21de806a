"""What a small frame costs beside the kernel, at 4 500 frames a second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from redis_fixture import running_server

from eigerwatch import reduce
from eigerwatch.config import Settings
from eigerwatch.model import SourceKind
from eigerwatch.pipeline import Pipeline
from eigerwatch.receive import Receiver
from eigerwatch.selection import Selector
from eigerwatch.series.tracker import SeriesTracker
from eigerwatch.simplon.decoder import Decoder
from eigerwatch.store.write import Writer
from eigerwatch.workers import Reducer

RATE_HZ = 4500
FRAMES = 20_000
WARM_UP = 1000
LIMIT_US = 60
IO_THREAD = "ZMQbg/IO/0"
"""libzmq's own, which no Python code runs in."""


class _Kernel:
    """The compiled kernel, which keeps account of the time it takes."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.seconds = 0.0

    def reduce(self, *arguments: Any) -> Any:
        begin = time.thread_time()
        faults = self._kernel.reduce(*arguments)
        self.seconds += time.thread_time() - begin
        return faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)


def io_thread_s() -> float:
    """Return the CPU time of libzmq's I/O thread so far [s]."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().strip() == IO_THREAD:
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    raise AssertionError("libzmq has no I/O thread")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_overhead_of_a_small_frame(
    benchmark: Any, stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if benchmark.disabled:
        pytest.skip("benchmarks are disabled")
    kernel = _Kernel(reduce._backend)
    monkeypatch.setattr(reduce, "_backend", kernel)
    settings = Settings()
    endpoint = f"ipc://{tmp_path}/stream"
    options = (
        *("--endpoint", endpoint, "--stream", stream, "--frames", str(FRAMES)),
        *("--detector", "500k", "--dtype", "uint8", "--mean-counts", "0.03"),
        *("--frame-rate", str(RATE_HZ), "--hwm", str(FRAMES)),
    )
    with running_server(tmp_path) as server:
        writer = Writer(server.url, server.settings())
        writer.start()
        receiver = Receiver({SourceKind.LIVE: endpoint}, 1000, 10**9)
        reducer = Reducer(settings.reduce)
        pipeline = Pipeline(
            receiver,
            {SourceKind.LIVE: Decoder(10**8)},
            {
                SourceKind.LIVE: SeriesTracker(
                    SourceKind.LIVE, settings.series, Selector.of(settings), 2**26
                )
            },
            reducer,
            writer,
            settings.reduce.batch_frames,
            10**9,
            0,
        )
        sender = subprocess.Popen([sys.executable, "-m", "eigersim", "run", *options])

        def until(images: int) -> None:
            while pipeline.images_reduced < images:
                pipeline.step()

        until(WARM_UP)
        kernel.seconds = 0.0
        cpu_s, io_s = time.process_time(), io_thread_s()
        benchmark.pedantic(until, args=(FRAMES,), rounds=1)
        io_s = io_thread_s() - io_s
        cpu_s = time.process_time() - cpu_s - kernel.seconds
        assert sender.wait(30) == 0
        writer.stop(20)
        reducer.close()
        receiver.close()
    n = FRAMES - WARM_UP
    each_us, io_us = 1e6 * (cpu_s - io_s) / n, 1e6 * io_s / n
    benchmark.extra_info |= {"overhead_us": each_us, "libzmq_us": io_us}
    print(
        f"\nstream {stream} at {RATE_HZ} Hz: {each_us:.1f} us of CPU a frame beside "
        f"the kernel, {io_us:.1f} us in libzmq's thread; {os.cpu_count()} CPUs"
    )
    assert each_us < 3 * LIMIT_US
