from __future__ import annotations

import json

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from eigerwatch.errors import ConfigError, StoreError
from eigerwatch.store.client import connect, explain, translated, without_password
from eigerwatch.store.info import ledger_of, series_info, text_of
from eigerwatch.store.lifetime import MAX_CHANNELS, channels_of
from eigerwatch.store.timeseries import samples


@given(
    said=st.dictionaries(
        st.sampled_from(["missing", "late", "outstanding", "settled_below"]),
        st.one_of(
            st.integers(), st.text(), st.none(), st.floats(), st.lists(st.none())
        ),
    ),
    frames=st.integers(0, 2**29),
    stored=st.integers(0, 2**32),
    rejected=st.integers(0, 2**32),
)
def test_the_ledger_always_adds_up(said, frames, stored, rejected):
    meta = {"ledger:image": json.dumps(said)}
    ledger = ledger_of(meta, "image", stored, rejected, frames)
    parts = (ledger.stored, ledger.rejected, ledger.outstanding, ledger.missing)
    assert sum(parts) == ledger.highest + 1 == frames
    assert min(parts) >= 0


@pytest.mark.parametrize(
    "garbage", ["", "{", "[]", "[" * 100_000, "NaN", '"x"', "1" * 5000, "\0"]
)
def test_foreign_garbage_in_meta_reads_as_unknown(garbage):
    names = (
        "series_id number_of_images frame_time_s shape filter started_ms ended_ms state"
    )
    meta = {**dict.fromkeys(names.split(), garbage), "ledger:image": garbage}
    ledger = ledger_of(meta, "image", 1, 0, 2)
    info = series_info(
        "live:1", meta, ("image",), {"image": ledger}, last_write_ms=1, archived=False
    )
    assert info.number_of_images is None
    assert info.frame_time_s is None
    assert info.shape is None
    assert info.filter_high is None
    assert info.state == "no_data"


def test_meta_is_read_as_written():
    meta = text_of(
        {
            b"state": b"finished",
            b"number_of_images": b"%d" % 2**48,
            b"shape": b"[2167, 2070]",
            b"filter": b'{"low": 0, "high": 65532}',
            b"frame_time_s": b"0.00134",
            b"pinned": b"1",
            b"detector": b"\xff\xfe",
        }
    )
    info = series_info("sim:1", meta, (), {}, last_write_ms=None, archived=True)
    assert info.source == "sim"
    assert info.number_of_images == 2**48
    assert info.shape == (2167, 2070)
    assert (info.filter_low, info.filter_high) == (0, 65532)
    assert info.frame_time_s == 0.00134
    assert info.pinned
    assert info.archived
    assert info.detector == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'["a", "b", "a"]', ("a", "b")),
        (b'{"a": 1}', ()),
        (b"[1, null]", ()),
        (b"[" * 5000, ()),
    ],
)
def test_channels_come_from_meta_in_order(raw, expected):
    assert channels_of({b"channels": raw}) == expected
    assert channels_of({b"channels": raw, b"ledger:z": b""}) == (*expected, "z")


def test_the_number_of_channels_is_bounded():
    many = json.dumps([str(n) for n in range(10**5)]).encode()
    assert len(channels_of({b"channels": many})) == MAX_CHANNELS


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (redis.OutOfMemoryError("OOM command not allowed"), "raise its maxmemory"),
        (redis.ResponseError("MISCONF Errors writing to the AOF"), "free space"),
        (redis.BusyLoadingError("Redis is loading"), "wait"),
        (redis.ReadOnlyError("You can't write"), "replica"),
        (redis.AuthenticationError("NOAUTH Authentication required."), "password"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "delete that key"),
        (redis.exceptions.NoPermissionError("NOPERM this user"), "allow"),
        (redis.TimeoutError("Timeout reading"), "does not answer"),
        (redis.ConnectionError("Error 111"), "start it or correct store.url"),
    ],
)
def test_each_trouble_is_named_with_its_cure(error, cure):
    assert cure in explain(error)
    with pytest.raises(StoreError, match=cure), translated():
        raise error


def test_a_password_is_never_shown():
    url = "redis://user:secret@host:6379/0"
    assert without_password(url) == "redis://user:***@host:6379/0"
    assert without_password("unix:///run/x.sock") == "unix:///run/x.sock"
    with pytest.raises(ConfigError) as caught:
        connect("http://user:secret@host")
    assert "secret" not in str(caught.value)


def test_ticks_are_found_in_a_batch_for_the_mirror():
    tick = (b"XADD", b"eigerwatch:{live:1}:ticks", b"MAXLEN", b"~", b"20000", b"*")
    fields = (b"channel", b"image", b"mean", b"2.5")
    assert samples([(b"SETRANGE", b"k", b"0", b""), (*tick, *fields)]) == [
        ("live:1", "image", {"channel": "image", "mean": "2.5"})
    ]
