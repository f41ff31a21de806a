"""How fast records go into Redis and come out again; figures are printed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from redis_fixture import running_server
from store_data import CHANNEL, KEY, append, assert_rows, open_series, records

from eigerwatch.store.commands import Builder
from eigerwatch.store.operations import Append, Open
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer

FRAMES = 1_000_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("bench")) as server:
        writer = Writer(server.url, server.settings(ring_mb=512))
        writer.start()
        open_series(writer, number_of_images=FRAMES)
        for first in range(0, FRAMES, 5000):
            append(writer, np.arange(first, first + 5000))
        assert writer.stop(60)
        yield Reader(server.client())


def test_reading_a_million_frames(benchmark, filled, capsys):
    begin = time.perf_counter()
    rows = filled.rows(KEY, CHANNEL)
    took_ms = 1e3 * (time.perf_counter() - begin)
    assert_rows(rows, np.arange(FRAMES))
    with capsys.disabled():
        print(f"\n1e6 frames read in {took_ms:.0f} ms")
    benchmark(filled.rows, KEY, CHANNEL)


def test_reading_the_last_10_000_frames(benchmark, filled):
    rows = benchmark(filled.rows, KEY, CHANNEL, FRAMES - 10_000)
    assert_rows(rows, np.arange(FRAMES - 10_000, FRAMES), FRAMES - 10_000)


def test_counting_the_ledger_of_a_million_frames(benchmark, filled):
    info = benchmark(filled.info, KEY)
    assert info.ledgers[CHANNEL].stored == FRAMES


def test_building_a_flush_of_225_frames(benchmark):
    """One flush of 50 ms at 4500 Hz, in batches of eight as they are reduced."""
    builder = Builder("t", 1000, 2**26, 2**26)
    builder.build([Open(KEY, {"number_of_images": FRAMES}, 1)])
    parts = [np.arange(first, first + 8) for first in range(0, 225, 8)]
    tables = [records(part) for part in parts]

    def flush() -> None:
        batch = builder.build(
            Append(KEY, CHANNEL, ids, table, None)
            for ids, table in zip(parts, tables, strict=True)
        )
        assert batch.records == 232

    benchmark(flush)


def test_client_cpu_at_4500_frames_per_second(tmp_path, capsys):
    """CPU of append and writer thread together, redis-py included."""
    with running_server(tmp_path) as server:
        writer = Writer(server.url, server.settings())
        writer.start()
        open_series(writer, number_of_images=FRAMES)
        parts = [np.arange(n, n + 8) for n in range(0, 9000, 8)]
        tables = [records(part) for part in parts]
        begin_cpu, begin = time.process_time(), time.perf_counter()
        for n, (ids, table) in enumerate(zip(parts, tables, strict=True)):
            writer.append(KEY, CHANNEL, ids, table)
            pause = begin + n * 8 / 4500 - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
        assert writer.stop(10)
        cpu_us = 1e6 * (time.process_time() - begin_cpu) / 9000
        assert_rows(Reader(server.client()).rows(KEY, CHANNEL), np.arange(9000))
    with capsys.disabled():
        print(f"\nclient CPU at 4500 frames/s: {cpu_us:.1f} us/frame")
    assert cpu_us < 100
