from __future__ import annotations

import json

import numpy as np
import pytest

from eigerwatch.model import FRAME_RECORD, REGION_ROW, FrameFlag
from eigerwatch.store import keys
from eigerwatch.store import operations as ops
from eigerwatch.store.commands import CLOSED_KEPT, Builder

KEY = "live:01JABC"


@pytest.fixture
def builder():
    return Builder("t", 1000, 2**20, 2**24)


def records(ids):
    table = np.zeros(len(ids), FRAME_RECORD)
    table["total"] = np.asarray(ids) * 10
    return table


def append(ids, regions=None, channel="image"):
    ids = np.asarray(ids, np.int64)
    return ops.Append(KEY, channel, ids, records(ids), regions)


def named(batch, *words):
    wanted = tuple(w if isinstance(w, bytes) else w.encode() for w in words)
    return [c for c in batch.commands if c[: len(wanted)] == wanted]


def opened(builder, **meta):
    builder.build([ops.Open(KEY, meta, 1)])
    return builder


def test_a_contiguous_flush_is_one_write_of_rows_and_one_of_ok(builder):
    opened(builder, number_of_images=50_000)
    batch = builder.build([append(range(0, 8)), append(range(8, 200))])
    rows = named(batch, "SETRANGE", keys.rows(KEY, "image", 0))
    assert len(rows) == 1
    assert rows[0][2] == b"0"
    written = np.frombuffer(rows[0][3], FRAME_RECORD)
    np.testing.assert_array_equal(written["total"], np.arange(200) * 10)
    assert (written["flags"] == FrameFlag.STORED).all()
    assert named(batch, "SETRANGE", keys.ok(KEY, "image")) == [
        (b"SETRANGE", keys.ok(KEY, "image").encode(), b"0", b"\x01" * 200)
    ]
    assert batch.records == 200


def test_runs_are_cut_at_holes_and_chunk_edges(builder):
    opened(builder)
    batch = builder.build([append([3, 1, 2, 9_998, 9_999, 10_000, 10_001, 7])])
    first = named(batch, "SETRANGE", keys.rows(KEY, "image", 0))
    second = named(batch, "SETRANGE", keys.rows(KEY, "image", 1))
    assert [(c[2], len(c[3]) // 64) for c in first] == [
        (b"64", 3),
        (b"448", 1),
        (b"639872", 2),
    ]
    assert [(c[2], len(c[3]) // 64) for c in second] == [(b"0", 2)]
    ok = named(batch, "SETRANGE", keys.ok(KEY, "image"))
    assert [(c[2], len(c[3])) for c in ok] == [(b"1", 3), (b"7", 1), (b"9998", 4)]


def test_the_last_of_several_copies_of_a_frame_wins(builder):
    opened(builder)
    again = append([5])
    again.records["total"] = 77
    batch = builder.build([append([5, 6]), again])
    (command,) = named(batch, "SETRANGE", keys.rows(KEY, "image", 0))
    np.testing.assert_array_equal(
        np.frombuffer(command[3], FRAME_RECORD)["total"], [77, 60]
    )


@pytest.mark.parametrize(
    ("announced", "chunk", "size"),
    [(10, 0, 10), (25_000, 0, 10_000), (25_000, 2, 5_000), (2**48, 1, 10_000)],
)
def test_chunks_are_made_at_their_final_size(builder, announced, chunk, size):
    opened(builder, number_of_images=announced)
    batch = builder.build([append([chunk * 10_000])])
    name = keys.rows(KEY, "image", chunk)
    assert named(batch, "BITFIELD", name) == [
        (b"BITFIELD", name.encode(), b"INCRBY", b"u8", b"#%d" % (size * 64), b"0")
    ]
    assert not named(builder.build([append([chunk * 10_000 + 1])]), "BITFIELD", name)


@pytest.mark.parametrize("announced", [None, "soon", 10])
def test_frames_beyond_the_announced_number_are_written_all_the_same(
    builder, announced
):
    opened(builder, **({} if announced is None else {"number_of_images": announced}))
    batch = builder.build([append([12_345])])
    assert named(batch, "SETRANGE", keys.rows(KEY, "image", 1))


def test_every_new_key_gets_its_ttl_in_the_same_transaction(builder):
    first = builder.build([ops.Open(KEY, {}, 1), append([0]), append([0], None, "b")])
    expiring = {c[1] for c in named(first, "PEXPIRE")}
    streams_and_strings = {
        c[1] for c in first.commands if c[0] in (b"SETRANGE", b"XADD", b"HSET")
    }
    assert expiring == streams_and_strings
    assert not named(builder.build([append([1])]), "PEXPIRE")


def test_a_pinned_series_gets_no_ttl(builder):
    batch = builder.build([ops.Open(KEY, {"pinned": True}, 1), append([0])])
    assert not named(batch, "PEXPIRE")


def test_a_frame_sent_again_after_its_rejection_is_taken_off_the_list(builder):
    opened(builder)
    name = keys.rejected(KEY, "image")
    batch = builder.build([ops.Reject(KEY, "image", 4, "corrupt", None), append([4])])
    words = [c[0] for c in batch.commands if c[1] == name.encode()]
    assert words.index(b"HSET") < words.index(b"HDEL")
    ok = named(batch, "SETRANGE", keys.ok(KEY, "image"))
    assert [c[3] for c in ok] == [b"\0", b"\x01"]


def test_a_rejected_record_never_says_stored(builder):
    opened(builder)
    record = records([4])
    record["flags"] = FrameFlag.STORED
    batch = builder.build([ops.Reject(KEY, "image", 4, "corrupt", record)])
    (command,) = named(batch, "SETRANGE", keys.rows(KEY, "image", 0))
    assert np.frombuffer(command[3], FRAME_RECORD)["flags"] == [FrameFlag.REJECTED]


def test_the_ledger_comes_after_the_rows_and_the_newest_wins(builder):
    opened(builder)
    batch = builder.build(
        [
            ops.Ledger(KEY, "image", {"missing": 1}),
            append([0]),
            ops.Ledger(KEY, "image", {"missing": 2}),
        ]
    )
    (command,) = named(batch, "HSET", keys.meta(KEY), "ledger:image")
    assert json.loads(command[3]) == {"missing": 2}
    rows = named(batch, "SETRANGE", keys.rows(KEY, "image", 0))
    assert batch.commands.index(rows[0]) < batch.commands.index(command)


def test_a_tick_carries_range_mean_and_cv_as_text(builder):
    opened(builder)
    batch = builder.build([append([1, 2, 4])])
    (command,) = named(batch, "XADD", keys.ticks(KEY))
    fields = dict(zip(command[6::2], command[7::2], strict=True))
    totals = np.array([10.0, 20.0, 40.0])
    assert command[2:6] == (b"MAXLEN", b"~", b"20000", b"*")
    assert (fields[b"lo"], fields[b"hi"], fields[b"n"]) == (b"1", b"4", b"3")
    assert float(fields[b"mean"]) == pytest.approx(totals.mean())
    assert float(fields[b"cv"]) == pytest.approx(
        100 * totals.std(ddof=1) / totals.mean()
    )
    single = named(builder.build([append([9])]), "XADD", keys.ticks(KEY))[0]
    assert dict(zip(single[6::2], single[7::2], strict=True))[b"cv"] == b"0.0"


@pytest.mark.parametrize("bad", [-1, 2**20, 2**62])
def test_frame_numbers_out_of_bounds_touch_no_key(builder, bad):
    opened(builder)
    batch = builder.build(
        [
            append([bad]),
            ops.Reject(KEY, "image", bad, "x", None),
            ops.Extend(KEY, "image", bad),
        ]
    )
    assert [c[0] for c in batch.commands] == [b"ZADD"]
    assert batch.refused == {KEY: 2}
    assert "max_frames" in builder.trouble


def test_region_rows_lie_beside_the_rows_in_fixed_slots(builder):
    opened(builder, number_of_images=100)
    regions = np.zeros((2, 3), REGION_ROW)
    regions["total"] = [[1, 2, 3], [4, 5, 6]]
    batch = builder.build([append([7, 8], regions)])
    name = keys.regions(KEY, "image", 0)
    assert named(batch, "HSET", keys.meta(KEY), "region_slots:image", "3")
    assert named(batch, "BITFIELD", name)[0][4] == b"#%d" % (100 * 3 * 16)
    (command,) = named(batch, "SETRANGE", name)
    assert command[2] == b"%d" % (7 * 48)
    np.testing.assert_array_equal(
        np.frombuffer(command[3], REGION_ROW)["total"], [1, 2, 3, 4, 5, 6]
    )
    # Fewer regions later: padded; more: the first ones only, and it is said.
    fewer = builder.build([append([9], regions[:1, :2])])
    row = np.frombuffer(named(fewer, "SETRANGE", name)[0][3], REGION_ROW)
    np.testing.assert_array_equal(row["total"], [1, 2, 0])
    builder.build([append([10], np.zeros((1, 4), REGION_ROW))])
    assert "3 of 4 regions" in builder.trouble


def test_a_series_in_memory_can_be_written_again(builder):
    opened(builder, number_of_images=100)
    original = builder.build([append(range(10)), append([20])])
    builder.build(
        [ops.Reject(KEY, "image", 15, "corrupt", None), ops.Extend(KEY, "image", 30)]
    )
    builder.build([ops.Mask(KEY, "image", b"bits")])
    assert builder.memory_of(KEY) == (11, 11)
    again = builder.build(builder.again(KEY))
    for word in ("SETRANGE", "PEXPIRE", "BITFIELD"):
        assert set(named(original, word)) - {
            c for c in named(original, word) if b"ticks" in c[1]
        } <= set(again.commands)
    assert named(again, "HSET", keys.rejected(KEY, "image"), "15", "corrupt")
    assert named(again, "BITFIELD", keys.ok(KEY, "image"))[0][4] == b"#30"
    assert named(again, "SET", keys.mask(KEY, "image"), "bits")
    assert builder.memory_of(KEY) == (11, 11)


def test_memory_is_bounded_oldest_first():
    builder = Builder("t", 1000, 2**24, 2_000_000)
    opened(builder)
    for start in range(0, 100_000, 5_000):
        builder.build([append(range(start, start + 5_000))])
    held, written = builder.memory_of(KEY)
    assert written == 100_000
    assert 10_000 <= held <= 30_000
    assert max(ids[-1] for ids, *_ in _stored(builder)) == 99_999


def _stored(builder):
    return list(builder.series[KEY].channels["image"].memory.stored())


def test_closed_series_are_forgotten_in_the_end(builder):
    for n in range(600):
        key = f"live:{n}"
        builder.build([ops.Open(key, {}, 1), ops.Close(key, {"state": "finished"})])
    assert len(builder.series) == CLOSED_KEPT


def test_hostile_text_stays_one_word(builder):
    opened(builder)
    reason = "x\r\nFLUSHALL\r\n" * 1000
    batch = builder.build(
        [
            ops.Reject(KEY, "image", 1, reason, None),
            ops.Update(KEY, {"detector": "\ud800\0\r\n*3"}),
        ]
    )
    (command,) = named(batch, "HSET", keys.rejected(KEY, "image"))
    assert len(command) == 4
    assert len(command[3]) < 400
    assert b"\r" not in command[3]
    assert named(batch, "HSET", keys.meta(KEY), "detector")
