from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from helpers import manifest, read_zcap
from masters import (
    BSLZ4,
    SHAPE,
    images,
    write_data,
    write_inside,
    write_master,
    write_series,
)

from eigerwatch.config import Settings, load_settings
from eigerwatch.errors import ConfigError, ReplayError
from eigerwatch.model import (
    MISSING_TOTAL,
    REASON_SHIFT,
    FrameFlag,
    RejectReason,
    cap_of,
    sentinel_of,
)
from eigerwatch.offline import FrameRange, MasterSums, sum_master
from eigerwatch.workers import Reducer


@pytest.fixture
def settings() -> Settings:
    return load_settings(filter={"low": 1, "high": 100}, reduce={"batch_frames": 3})


def expected(values: np.ndarray[Any, Any], low: int, high: int) -> dict[str, Any]:
    wide = values.reshape(len(values), -1).astype(np.int64)
    real = wide != sentinel_of(values.dtype)
    kept = real & (wide >= low) & (wide <= high)
    return {
        "total": np.where(kept, wide, 0).sum(1),
        "kept": kept.sum(1),
        "below": (real & (wide < low)).sum(1),
        "above": (real & (wide > high)).sum(1),
        "sentinel": (~real).sum(1),
        "masked": np.zeros(len(wide)),
        "max_kept": np.where(kept, wide, 0).max(1),
    }


def assert_sums(
    sums: MasterSums, values: np.ndarray[Any, Any], low: int, high: int
) -> None:
    for name, column in expected(values, low, high).items():
        np.testing.assert_array_equal(sums.records[name], column, name)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_all_frames(tmp_path: Path, settings: Settings, dtype: str) -> None:
    values = images(13, dtype)
    sums = sum_master(write_series(tmp_path, values, frame_time=0.001), settings)
    assert_sums(sums, values, 1, 100)
    assert (sums.first_frame, sums.last_frame, sums.n_frames) == (1, 13, 13)
    assert sums.states.tolist() == ["stored"] * 13
    counted = sums.selection
    assert (counted.low, counted.high, counted.high_from) == (1, 100, "settings")
    assert not sums.reasons
    assert not sums.problems
    flags = FrameFlag.STORED | FrameFlag.FROM_FILE | FrameFlag.TIME_COMPUTED
    if dtype == "uint8":
        flags |= FrameFlag.MAY_WRAP
    assert set(sums.records["flags"]) == {flags}
    assert sums.records["start_ns"].tolist() == [i * 1_000_000 for i in range(13)]


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (4, *SHAPE), "compression": "gzip"},
        {"chunks": (1, *SHAPE), **hdf5plugin.LZ4(nbytes=1024)},
        {"chunks": None},
    ],
    ids=["gzip", "lz4", "contiguous"],
)
def test_layouts_give_the_same_sums(
    tmp_path: Path, settings: Settings, options: dict[str, Any]
) -> None:
    values = images(10)
    assert_sums(
        sum_master(write_inside(tmp_path, values, **options), settings), values, 1, 100
    )


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(0, 0, 1, 13), (1, 13, 1, 13), (4, 9, 4, 9), (13, 0, 13, 13), (12, 99, 12, 13)],
)
def test_selection(
    tmp_path: Path, settings: Settings, start: int, end: int, first: int, last: int
) -> None:
    values = images(13)
    sums = sum_master(write_series(tmp_path, values), settings, FrameRange(start, end))
    assert sums.frames.tolist() == list(range(first, last + 1))
    assert_sums(sums, values[first - 1 : last], 1, 100)


def test_selection_beyond_the_end(tmp_path: Path, settings: Settings) -> None:
    master = write_series(tmp_path, images(3))
    with pytest.raises(ReplayError, match="start = 4 is beyond the last frame, 3"):
        sum_master(master, settings, FrameRange(4, 0))


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [(5, 4, "start = 5 is beyond end = 4"), (-1, 0, "start = -1"), (0, -2, "end = -2")],
)
def test_impossible_selection(start: int, end: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        FrameRange(start, end)


def test_every_selected_frame_has_one_entry(tmp_path: Path, settings: Settings) -> None:
    values = images(14)
    master = write_series(tmp_path, values, nimages=14, frame_time=0.001)
    (tmp_path / "x_data_000002.h5").unlink()
    good = bytearray()
    with h5py.File(tmp_path / "x_data_000001.h5", "a") as file:
        dataset = file["entry/data/data"]
        good += dataset.id.read_direct_chunk((2, 0, 0))[1]
        good[40] ^= 0x55
        dataset.id.write_direct_chunk((2, 0, 0), bytes(good[:-9]))
    sums = sum_master(master, settings, FrameRange(2, 12))
    assert sums.states.tolist() == [
        "stored",
        "rejected",
        *["stored"] * 2,
        *["missing"] * 5,
        *["stored"] * 2,
    ]
    assert list(sums.reasons) == [3]
    assert sums.totals[1] == sums.totals[5] == MISSING_TOTAL
    assert sums.totals[0] == expected(values, 1, 100)["total"][1]
    bad, missing = sums.records[1], sums.records[4]
    assert bad["flags"] >> REASON_SHIFT == RejectReason.PAYLOAD
    assert bad["start_ns"] == 2_000_000
    assert bad["total"] == 0
    assert missing.tobytes() == bytes(64)
    assert "'x_data_000002.h5' is missing" in sums.problems[0]


def chunk_lies(honest: bytes) -> dict[str, bytes]:
    size, block = struct.unpack_from(">QI", honest)
    head = struct.Struct(">QI")
    return {
        "size half": head.pack(size // 2, block) + honest[12:],
        "size double": head.pack(size * 2, block) + honest[12:],
        "size huge": head.pack(2**60, block) + honest[12:],
        "block odd": head.pack(size, 1001) + honest[12:],
        "block huge": head.pack(size, 2**31 - 8) + honest[12:],
        "truncated": honest[:-7],
        "trailing bytes": honest + b"\0\0\0\0",
        "length huge": honest[:12] + b"\xff\xff\xff\xff" + honest[16:],
        "garbage": bytes(np.random.default_rng(3).bytes(len(honest))),
        "empty": b"\0",
    }


def test_lying_chunks_are_rejected(tmp_path: Path, settings: Settings) -> None:
    values = images(12, "uint32")
    master = write_inside(tmp_path, values)
    with h5py.File(master, "a") as file:
        dataset = file["entry/data/data"]
        lies = chunk_lies(dataset.id.read_direct_chunk((0, 0, 0))[1])
        for place, lie in enumerate(lies.values(), 1):
            dataset.id.write_direct_chunk((place, 0, 0), lie)
    sums = sum_master(master, settings)
    wrong = dict(zip(lies, sums.states[1:].tolist(), strict=False))
    assert wrong == dict.fromkeys(lies, "rejected")
    assert sums.states[[0, 11]].tolist() == ["stored"] * 2
    assert list(sums.reasons) == list(range(2, 12))


def test_file_cut_off_while_it_is_open(tmp_path: Path, settings: Settings) -> None:
    master = write_series(tmp_path, images(10))

    class CutsOff(Reducer):
        def submit(self, *args: Any) -> Any:
            (tmp_path / "x_data_000002.h5").write_bytes(b"")
            return super().submit(*args)

    reducer = CutsOff(settings.reduce)
    sums = sum_master(master, settings, reducer=reducer)
    reducer.close()
    assert sums.states.tolist() == ["stored"] * 5 + ["rejected"] * 5
    reasons = sums.records["flags"][5:] >> REASON_SHIFT
    assert set(reasons) == {RejectReason.READ}
    assert "was changed while it was read" in sums.problems[0]


@pytest.mark.parametrize(
    ("facts", "high", "text"),
    [
        ({}, cap_of(np.dtype("u2")), "dtype"),
        ({"saturation_value": 90}, 90, "saturation_value"),
        (
            {"saturation_value": 90, "countrate_correction_count_cutoff": 80},
            80,
            "countrate_correction_count_cutoff",
        ),
        ({"saturation_value": 0}, cap_of(np.dtype("u2")), "dtype"),
    ],
)
def test_automatic_upper_limit(
    tmp_path: Path, facts: dict[str, int], high: int, text: str
) -> None:
    values = images(2)
    sums = sum_master(write_series(tmp_path, values, **facts), Settings())
    assert (sums.selection.high, sums.selection.high_from) == (high, text)
    assert_sums(sums, values, 0, high)


def test_lower_limit_above_the_automatic_upper_one(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(2), saturation_value=90)
    with pytest.raises(ConfigError, match=r"filter.low = 91 .* 90 .*saturation_value"):
        sum_master(master, load_settings(filter={"low": 91}))


def test_limits_beyond_the_element_type(tmp_path: Path) -> None:
    values = images(3, "uint8")
    sums = sum_master(
        write_series(tmp_path, values), load_settings(filter={"high": 4500})
    )
    assert_sums(sums, values, 0, 4500)
    assert (sums.records["sentinel"] == 5).all()


def test_empty_frames_are_flagged(tmp_path: Path, settings: Settings) -> None:
    values = images(3)
    values[1] = 0
    sums = sum_master(write_series(tmp_path, values), settings)
    empty = sums.records["flags"] & FrameFlag.EMPTY != 0
    assert empty.tolist() == [False, True, False]
    assert not sums.records["flags"][0] & FrameFlag.TIME_COMPUTED


def test_channels(tmp_path: Path, settings: Settings) -> None:
    values = np.stack([images(5, seed=1), images(5, seed=2)], axis=1)
    master = write_inside(tmp_path, values, chunks=(1, 1, *SHAPE), **BSLZ4)
    assert_sums(sum_master(master, settings), values[:, 0], 1, 100)
    second = sum_master(master, settings, channel="threshold_2")
    assert_sums(second, values[:, 1], 1, 100)
    with pytest.raises(ReplayError, match="it has threshold_1, threshold_2"):
        sum_master(master, settings, channel="difference")


def test_progress_reaches_the_end(tmp_path: Path, settings: Settings) -> None:
    master = write_series(tmp_path, images(13), nimages=13)
    (tmp_path / "x_data_000003.h5").unlink()
    seen: list[tuple[int, int]] = []
    sum_master(master, settings, progress=lambda *state: seen.append(state))
    assert seen == sorted(seen)
    assert seen[-1] == (13, 13)


def test_pending_data_is_bounded(tmp_path: Path) -> None:
    values = images(40, shape=(100, 1000))
    master = write_series(tmp_path, values, per_file=40)
    settings = load_settings(
        filter={"high": 100},
        reduce={"max_pending_mb": 1, "batch_frames": 1, "threads": 2},
    )
    waiting: list[int] = []

    class Counts(Reducer):
        pending = 0

        def submit(self, pictures: Any, filters: Any) -> Any:
            self.pending += len(pictures)
            waiting.append(self.pending)
            future = super().submit(pictures, filters)
            future.add_done_callback(lambda _: self.done(len(pictures)))
            return future

        def done(self, count: int) -> None:
            self.pending -= count

    reducer = Counts(settings.reduce)
    assert_sums(sum_master(master, settings, reducer=reducer), values, 0, 100)
    reducer.close()
    assert max(waiting) <= 1 + 2 * 4


@pytest.mark.realdata
def test_real_detector_image_in_a_file(tmp_path: Path) -> None:
    name = "eiger1_4m_v1_bslz4_u16.zcap"
    entry = next(e for e in manifest()["entries"] if e["file"] == name)
    truth = entry["frames"][0]
    parts = list(read_zcap(name))[truth["message"]]
    payload = max(parts, key=len)
    shape = tuple(truth["shape"])
    path = tmp_path / "x_master.h5"
    write_master(path)
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset(
            "entry/data/data", (1, *shape), "u2", chunks=(1, *shape), **BSLZ4
        )
        dataset.id.write_direct_chunk((0, 0, 0), payload)
    for limits, figures in truth["ranges"].items():
        low, high = map(int, limits.split("-"))
        if high == sentinel_of(np.dtype("u2")):
            continue
        settings = load_settings(filter={"low": low, "high": high})
        record = sum_master(path, settings).records[0]
        assert (record["total"], record["kept"]) == (figures["sum"], figures["n_in"])


def test_data_file_by_itself(tmp_path: Path, settings: Settings) -> None:
    values = images(4)
    write_data(tmp_path / "x_data_000007.h5", values, low=61)
    sums = sum_master(tmp_path / "x_data_000007.h5", settings)
    assert_sums(sums, values, 1, 100)
