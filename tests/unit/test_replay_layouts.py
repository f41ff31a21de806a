"""Every layout of a recording that is processed: its pixels come out as written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from masters import BSLZ4, SHAPE, images, write_data, write_inside, write_series
from recorded import Recorded, pixels_of, recorded

from eigerwatch.errors import ReplayError
from eigerwatch.model import Encoding
from eigerwatch.replay.recording import Hole, Recording, open_master


def assert_equal(recording: Recording, values: np.ndarray[Any, Any]) -> None:
    found = pixels_of(recording)
    assert list(found) == list(range(len(values)))
    np.testing.assert_array_equal(np.stack(list(found.values())), values)
    assert recording.problems == []


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("slash", [True, False])
@pytest.mark.parametrize("attributes", [True, False])
def test_external_links(
    tmp_path: Path, dtype: str, slash: bool, attributes: bool
) -> None:
    values = images(13, dtype)
    master = write_series(tmp_path, values, slash=slash, attributes=attributes)
    with open_master(master) as recording:
        assert_equal(recording, values)
        first = next(recorded(recording))
        assert isinstance(first, Recorded)
        assert first.image.encoding is Encoding.BSLZ4
        assert first.in_file


def test_many_small_files(tmp_path: Path) -> None:
    values = images(150, shape=(4, 6))
    with open_master(write_series(tmp_path, values, per_file=1)) as recording:
        assert_equal(recording, values)


def test_our_process_does_without_the_hdf5_library() -> None:
    code = "import sys, eigerwatch.replay.recording; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ({"chunks": (1, *SHAPE), **BSLZ4}, Encoding.BSLZ4),
        (
            {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="zstd")},
            Encoding.BSZSTD,
        ),
        ({"chunks": (1, *SHAPE), **hdf5plugin.LZ4(nbytes=512)}, Encoding.LZ4),
        ({"chunks": (1, *SHAPE)}, Encoding.NONE),
        ({"chunks": None}, Encoding.NONE),
    ],
    ids=["bslz4", "bszstd", "lz4", "chunked", "contiguous"],
)
@pytest.mark.parametrize("userblock", [0, 1024])
def test_straight_from_the_file(
    tmp_path: Path, options: dict[str, Any], encoding: Encoding, userblock: int
) -> None:
    values = images(6)
    path = tmp_path / "x.h5"
    write_data(path, values, userblock=userblock, **options)
    with open_master(path) as recording:
        assert_equal(recording, values)
        for item in recorded(recording):
            assert isinstance(item, Recorded)
            assert item.image.encoding is encoding
            assert item.in_file


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, *SHAPE), "compression": "gzip"},
        {"chunks": (1, *SHAPE), "compression": "gzip", "shuffle": True},
        {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="none")},
        {"chunks": (1, *SHAPE), "fletcher32": True, **BSLZ4},
        {"chunks": (4, *SHAPE), **BSLZ4},
        {"chunks": (2, 16, 16), **BSLZ4},
        {"chunks": (1, 20, 53)},
    ],
    ids=[
        "gzip",
        "shuffle-gzip",
        "bitshuffle",
        "bslz4-fletcher",
        "four-images",
        "tiles",
        "halves",
    ],
)
def test_through_the_filter_pipeline(tmp_path: Path, options: dict[str, Any]) -> None:
    values = images(11)
    with open_master(write_inside(tmp_path, values, **options)) as recording:
        assert_equal(recording, values)


@pytest.mark.parametrize("options", [{}, {"chunks": None}], ids=["bslz4", "contiguous"])
def test_big_endian(tmp_path: Path, options: dict[str, Any]) -> None:
    values = images(3)
    master = write_inside(tmp_path, values.astype(">u2"), **options)
    with open_master(master) as recording:
        assert recording.start.dtype == np.dtype("<u2")
        assert_equal(recording, values)


def test_two_dimensions(tmp_path: Path) -> None:
    values = images(1)
    for number, options in enumerate(
        ({"chunks": SHAPE, **BSLZ4}, {"chunks": None}, {"chunks": (20, 53)})
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with open_master(write_inside(folder, values[0], **options)) as recording:
            assert_equal(recording, values)


@pytest.mark.parametrize(
    "options", [{"chunks": (1, 1, *SHAPE), **BSLZ4}, {"chunks": (2, 2, *SHAPE)}]
)
def test_four_dimensions(tmp_path: Path, options: dict[str, Any]) -> None:
    values = np.stack([images(5, seed=1), images(5, seed=2)], axis=1)
    with open_master(write_inside(tmp_path, values, **options)) as recording:
        assert recording.channels == ("threshold_1", "threshold_2")
        for number, name in enumerate(recording.channels):
            found = np.stack(list(pixels_of(recording, name).values()))
            np.testing.assert_array_equal(found, values[:, number])


def test_skipped_filter(tmp_path: Path) -> None:
    values = images(2)
    master = write_inside(tmp_path, values)
    with h5py.File(master, "a") as file:
        dataset = file["entry/data/data"]
        dataset.id.write_direct_chunk((1, 0, 0), values[1].tobytes(), filter_mask=1)
    with open_master(master) as recording:
        assert_equal(recording, values)
        encodings = [item.image.encoding for item in recorded(recording)]  # type: ignore[union-attr]
        assert encodings == [Encoding.BSLZ4, Encoding.NONE]


def test_virtual_dataset_over_files(tmp_path: Path) -> None:
    values = images(10)
    layout = h5py.VirtualLayout((10, *SHAPE), "uint16")
    for number in range(2):
        name = f"part{number}.h5"
        write_data(tmp_path / name, values[5 * number : 5 * number + 5])
        layout[5 * number : 5 * number + 5] = h5py.VirtualSource(
            name, "entry/data/data", (5, *SHAPE)
        )
    with h5py.File(tmp_path / "x_master.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    with open_master(tmp_path / "x_master.h5") as recording:
        assert_equal(recording, values)


def test_virtual_dataset_of_thresholds(tmp_path: Path) -> None:
    values = np.stack([images(6, seed=1), images(6, seed=2)], axis=1)
    layout = h5py.VirtualLayout((4, 2, *SHAPE), "uint16")
    for channel in range(2):
        name = f"t{channel}.h5"
        write_data(tmp_path / name, values[:, channel])
        source = h5py.VirtualSource(name, "entry/data/data", (6, *SHAPE))
        layout[:, channel] = source[2:6]
    with h5py.File(tmp_path / "x_master.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    with open_master(tmp_path / "x_master.h5") as recording:
        assert recording.n_frames == 4
        for channel, name in enumerate(recording.channels):
            found = np.stack(list(pixels_of(recording, name).values()))
            np.testing.assert_array_equal(found, values[2:, channel])


def test_virtual_dataset_with_a_missing_source(tmp_path: Path) -> None:
    values = images(4)
    write_data(tmp_path / "a.h5", values)
    layout = h5py.VirtualLayout((8, *SHAPE), "uint16")
    layout[:4] = h5py.VirtualSource("a.h5", "entry/data/data", (4, *SHAPE))
    layout[4:] = h5py.VirtualSource("b.h5", "entry/data/data", (4, *SHAPE))
    with h5py.File(tmp_path / "x_master.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    with open_master(tmp_path / "x_master.h5") as recording:
        assert list(recorded(recording))[4:] == [Hole(4, 8)]
        assert "'b.h5' is missing" in recording.problems[0]


def test_virtual_dataset_of_pieces_is_refused(tmp_path: Path) -> None:
    write_data(tmp_path / "a.h5", images(4))
    layout = h5py.VirtualLayout((4, 20, 53), "uint16")
    source = h5py.VirtualSource("a.h5", "entry/data/data", (4, *SHAPE))
    layout[:] = source[:, :20]
    with h5py.File(tmp_path / "x_master.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    with pytest.raises(ReplayError, match="not made of whole images"):
        open_master(tmp_path / "x_master.h5")


def test_channels_in_groups_of_their_own(tmp_path: Path) -> None:
    first, second = images(3, seed=1), images(3, seed=2)
    path = tmp_path / "x_master.h5"
    write_data(path, first, name="entry/data/threshold_1/data_000001")
    with h5py.File(path, "a") as file:
        file.create_dataset("entry/data/threshold_2/data_000001", data=second)
    with open_master(path) as recording:
        assert recording.channels == ("threshold_1", "threshold_2")
        found = pixels_of(recording, "threshold_2")
        np.testing.assert_array_equal(np.stack(list(found.values())), second)


def test_facts_of_the_header(tmp_path: Path) -> None:
    master = write_series(
        tmp_path,
        images(7),
        frame_time=np.float32(0.00134),
        count_time=np.float32(0.00133),
        saturation_value=np.uint32(11_000),
        countrate_correction_count_cutoff=np.uint32(9_000),
        description="Dectris Eiger 4M",
        detector_number=b"E-08-0115",
        nimages=5,
        ntrigger=2,
        beam_center_x=float("nan"),
    )
    with open_master(master) as recording:
        start = recording.start
        assert (start.stream, start.shape, start.dtype) == ("file", SHAPE, np.uint16)
        assert start.number_of_images == 10
        assert start.frame_time_s == 0.00134
        assert (start.saturation_value, start.countrate_cutoff) == (11_000, 9_000)
        assert (start.detector, start.serial) == ("Dectris Eiger 4M", "E-08-0115")
        assert start.header["nimages"] == 5
        assert "beam_center_x" not in start.header
        starts = recording.starts_ns(np.arange(7))
        assert starts.tolist() == [1_340_000 * i for i in range(7)]
        assert recording.real_ns == 1_330_000


def test_times_in_milliseconds(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(2), frame_time=2.0)
    with h5py.File(master, "a") as file:
        file["entry/instrument/detector/frame_time"].attrs["units"] = "ms"
    with open_master(master) as recording:
        assert recording.start.frame_time_s == 0.002


def test_times_are_unknown_without_frame_time(tmp_path: Path) -> None:
    with open_master(write_series(tmp_path, images(2))) as recording:
        assert recording.starts_ns(np.arange(2)).tolist() == [0, 0]


def test_a_range_of_frames(tmp_path: Path) -> None:
    with open_master(write_series(tmp_path, images(12))) as recording:
        ids = [item.image_id for item in recorded(recording, 4, 9)]  # type: ignore[union-attr]
        assert ids == [4, 5, 6, 7, 8]
        assert list(recorded(recording, 12)) == []
