from __future__ import annotations

import resource
import signal
from contextlib import contextmanager

import cbor2
import pytest

from eigerwatch.errors import StoreError
from eigerwatch.store import spool as spool_module
from eigerwatch.store.backlog import Backlog, count_rows
from eigerwatch.store.commands import Batch
from eigerwatch.store.spool import Spool

LIMIT = 10**6


def command(n, size=10):
    return [
        (b"SETRANGE", b"key", b"%d" % n, bytes([n % 256]) * size),
        (b"X", b"\0\r\n"),
    ]


def drain(queue):
    found = []
    while (batch := queue.peek()) is not None:
        found.append(batch)
        queue.pop()
    return found


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 200)


@pytest.mark.usefixtures("small_segments")
def test_batches_come_back_in_order_and_the_same_bytes(tmp_path):
    spool = Spool(tmp_path / "s", LIMIT)
    for n in range(50):
        assert spool.append(command(n))
    assert spool
    assert spool.bytes == sum(p.stat().st_size for p in (tmp_path / "s").glob("*.cb*"))
    assert drain(spool) == [command(n) for n in range(50)]
    assert not spool
    assert spool.bytes == 0
    assert not list((tmp_path / "s").glob("*.cborseq"))
    spool.close()


@pytest.mark.usefixtures("small_segments")
def test_reading_and_writing_may_alternate(tmp_path):
    spool = Spool(tmp_path, LIMIT)
    found = []
    for n in range(60):
        spool.append(command(n))
        if n % 3 == 2:
            found.append(spool.peek())
            spool.pop()
    found += drain(spool)
    assert found == [command(n) for n in range(60)]
    spool.close()


@pytest.mark.usefixtures("small_segments")
def test_what_a_killed_process_left_comes_first(tmp_path):
    left = Spool(tmp_path, LIMIT)
    for n in range(10):
        left.append(command(n))
    left.peek()
    left.pop()  # replayed in part: what was not removed yet comes again
    left.close()
    spool = Spool(tmp_path, LIMIT)
    spool.append(command(99))
    found = drain(spool)
    assert found[-10:] == [command(n) for n in range(1, 10)] + [command(99)]
    spool.close()


def test_files_are_a_cbor_sequence_of_byte_strings(tmp_path):
    spool = Spool(tmp_path, LIMIT)
    spool.append(command(1))
    spool.close()
    (path,) = tmp_path.glob("*.cborseq")
    assert cbor2.loads(path.read_bytes()) == [list(c) for c in command(1)]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_end_costs_the_last_batch_only_and_is_said(tmp_path, cut):
    spool = Spool(tmp_path, LIMIT)
    for n in range(3):
        spool.append(command(n))
    spool.close()
    (path,) = tmp_path.glob("*.cborseq")
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    spool = Spool(tmp_path, LIMIT)
    lost = 1 + (cut - 1) // (len(data) // 3)
    assert drain(spool) == [command(n) for n in range(3 - lost)]
    assert len(spool.damaged) == 1
    assert path.name in spool.damaged[0]
    assert spool.bytes == 0
    spool.close()


@pytest.mark.parametrize("garbage", [b"\xff" * 40, cbor2.dumps([["text"]]), b"\x01"])
def test_garbage_in_the_folder_is_passed_over(tmp_path, garbage):
    (tmp_path / "000000000001.cborseq").write_bytes(garbage)
    spool = Spool(tmp_path, LIMIT)
    spool.append(command(1))
    assert drain(spool) == [command(1)]
    assert spool.damaged
    spool.close()


def test_beyond_the_limit_the_newest_is_refused(tmp_path):
    spool = Spool(tmp_path, 500)
    kept = [n for n in range(20) if spool.append(command(n))]
    assert kept == list(range(len(kept)))
    assert 3 < len(kept) < 20
    assert drain(spool) == [command(n) for n in kept]
    spool.close()


def test_a_second_process_cannot_use_the_folder(tmp_path):
    first = Spool(tmp_path, LIMIT)
    with pytest.raises(StoreError, match="another process spools here"):
        Spool(tmp_path, LIMIT)
    first.close()
    Spool(tmp_path, LIMIT).close()


@contextmanager
def file_size_limit(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_loses_the_newest_batch_and_nothing_else(tmp_path):
    """Fault row 79."""
    spool = Spool(tmp_path, LIMIT)
    spool.append(command(0, 400))
    with file_size_limit(700), pytest.raises(OSError, match="File too large"):
        spool.append(command(1, 400))
    assert spool.append(command(2, 400))
    assert drain(spool) == [command(0, 400), command(2, 400)]
    spool.close()


def batch(n, size=1000):
    return Batch(commands=command(n), bytes=size)


def test_memory_comes_first_then_the_spool_always_in_order(tmp_path):
    backlog = Backlog(3000, Spool(tmp_path, LIMIT))
    for n in range(6):
        assert backlog.put(batch(n))
    assert backlog.bytes == 3000
    assert backlog.spool
    found = []
    for n in range(6, 20):
        found.append(backlog.peek())
        backlog.pop()
        # There is room in memory now, but older batches are in the spool.
        backlog.put(batch(n))
    found += drain(backlog)
    assert found == [command(n) for n in range(20)]
    backlog.put(batch(20))
    assert backlog.bytes == 1000
    backlog.spool.close()


def test_what_is_in_memory_at_the_end_is_saved_before_the_spool(tmp_path):
    backlog = Backlog(3000, Spool(tmp_path, LIMIT))
    for n in range(6):
        backlog.put(batch(n))
    assert backlog.save()
    assert backlog.bytes == 0
    backlog.spool.close()
    spool = Spool(tmp_path, LIMIT)
    assert drain(spool) == [command(n) for n in range(6)]
    spool.close()


def test_saving_while_the_spool_is_replayed_keeps_the_order(tmp_path):
    backlog = Backlog(0, Spool(tmp_path, LIMIT))
    for n in range(4):
        backlog.put(batch(n))
    assert backlog.peek() == command(0)
    backlog.pop()
    backlog.put_back([command(0)])
    assert backlog.save()
    backlog.spool.close()
    spool = Spool(tmp_path, LIMIT)
    found = drain(spool)
    assert found[0] == command(0)
    assert found[-3:] == [command(n) for n in (1, 2, 3)]
    spool.close()


def test_rows_are_counted_by_their_ok_bytes():
    assert (
        count_rows(
            [
                (b"SETRANGE", b"a:ok", b"0", b"\x01" * 5),
                (b"SETRANGE", b"a:ok", b"9", b"\0"),
                (b"SETRANGE", b"a:rows:0", b"0", b"\x01" * 64),
            ]
        )
        == 5
    )
