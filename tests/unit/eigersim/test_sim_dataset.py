from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from unit.eigersim.sim_decode import SMALL, total_of, unpack

from eigersim.dataset import DatasetPlan, Layout, make_dataset
from eigersim.errors import SimulatorError
from eigersim.images import Encoding
from eigersim.master import Recording
from eigersim.scenario import Scenario
from eigersim.source import SyntheticSource

FRAMES = 12
PER_FILE = 5


def make(folder: Path, dtype="u2", encoding=Encoding.BSLZ4, mean=1.5, **plan) -> Path:
    channels = plan.pop("channels", ("threshold_1",))
    source = SyntheticSource(
        SMALL,
        np.dtype(dtype),
        frames=FRAMES,
        frame_time=0.002,
        encoding=encoding,
        channels=channels,
        mean_counts=mean,
        scenario=Scenario.DEMO,
    )
    master = folder / "x_master.h5"
    make_dataset(DatasetPlan(master, frames_per_file=PER_FILE, **plan), source)
    return master


def truth_of(master: Path) -> dict[str, np.ndarray]:
    with np.load(master.with_suffix(".truth.npz")) as truth:
        return dict(truth)


def images_of(master: Path) -> np.ndarray:
    """Return all images as (frame, channel, y, x), read by HDF5 through every link."""
    assert hdf5plugin.FILTERS
    with h5py.File(master) as file:
        data = file["/entry/data"]
        if "data" in data:
            return data["data"][()]
        names = sorted(name for name in data if name.startswith("data_"))
        return np.concatenate([data[name][()] for name in names])[:, np.newaxis]


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_the_truth_is_what_hdf5_reads(tmp_path, layout, dtype):
    truth = truth_of(make(tmp_path, dtype, layout=layout, low=1, high=3))
    images = images_of(tmp_path / "x_master.h5")[:, 0]
    assert images.shape == (FRAMES, *SMALL.shape)
    sentinel = images == np.iinfo(dtype).max
    kept = (images >= 1) & (images <= 3)
    axes = (1, 2)
    assert np.array_equal(truth["sentinel"], sentinel.sum(axis=axes))
    assert np.array_equal(truth["kept"], kept.sum(axis=axes))
    assert np.array_equal(truth["below"], (images < 1).sum(axis=axes))
    assert np.array_equal(truth["above"], ((images > 3) & ~sentinel).sum(axis=axes))
    assert np.array_equal(truth["total"], np.where(kept, images, 0).sum(axis=axes))
    assert np.all(truth["max_kept"] == 3)
    assert truth["written"].all()
    counts = [truth[k] for k in ("kept", "below", "above", "sentinel")]
    assert np.all(np.sum(counts, axis=0) == SMALL.pixels)


@pytest.mark.parametrize("encoding", [Encoding.LZ4, Encoding.NONE])
def test_other_encodings_read_back(tmp_path, encoding):
    master = make(tmp_path, encoding=encoding)
    totals = [total_of(image) for image in images_of(master)]
    assert truth_of(master)["total"].tolist() == totals


def test_nxmx_holds_several_channels(tmp_path):
    channels = ("threshold_1", "threshold_2")
    master = make(tmp_path, layout=Layout.NXMX, channels=channels)
    images = images_of(master)
    assert images.shape == (FRAMES, 2, *SMALL.shape)
    totals = [[total_of(image) for image in frame] for frame in images]
    truth = truth_of(master)
    assert truth["total"].tolist() == totals
    assert truth["channels"].tolist() == list(channels)
    with h5py.File(master) as file:
        detector = file["/entry/instrument/detector"]
        assert detector["threshold_2_channel/pixel_mask"].shape == SMALL.shape


def test_the_master_tells_what_masters_tell(tmp_path):
    with h5py.File(make(tmp_path)) as file:
        detector = file["/entry/instrument/detector"]
        specific = detector["detectorSpecific"]
        assert specific["nimages"][()] == FRAMES
        assert specific["ntrigger"][()] == 1
        assert specific["countrate_correction_count_cutoff"][()] == 12_440
        assert specific["x_pixels_in_detector"][()] == 183
        assert detector["frame_time"][()] == 0.002
        assert np.array_equal(specific["pixel_mask"][()] == 0, SMALL.active)
        link = file["/entry/data"].get("data_000002", getlink=True)
        assert link.filename == "x_data_000002.h5"
        data = file["/entry/data/data_000002"]
        assert (data.attrs["image_nr_low"], data.attrs["image_nr_high"]) == (6, 10)
        code, _, values, _ = data.id.get_create_plist().get_filter(0)
        assert code == 32008
        assert values[2] == 2  # element size
        assert values[4] == 2  # LZ4


def test_what_is_left_out_is_missing(tmp_path):
    master = make(
        tmp_path, left_out_files=frozenset({2}), left_out_frames=frozenset({1})
    )
    assert not (tmp_path / "x_data_000002.h5").exists()
    truth = truth_of(master)
    expected = np.ones(FRAMES, bool)
    expected[[1, 5, 6, 7, 8, 9]] = False
    assert np.array_equal(truth["written"], expected)
    assert np.all((truth["total"] > 0) == expected)


@pytest.mark.parametrize(
    ("layout", "left_out_file"),
    [
        *((layout, None) for layout in Layout),
        *((layout, 2) for layout in Layout if layout is not Layout.INSIDE),
    ],
)
def test_a_replay_forwards_the_chunks_unchanged(tmp_path, layout, left_out_file):
    files = frozenset({left_out_file} if left_out_file else ())
    master = make(
        tmp_path,
        layout=layout,
        left_out_files=files,
        left_out_frames=frozenset({3}),
    )
    truth = truth_of(master)
    with Recording(master) as recording:
        series = recording.series(9)
        a = series.acquisition
        exposures = list(series.exposures)
    assert [e.image_id for e in exposures] == np.flatnonzero(truth["written"]).tolist()
    for exposure in exposures:
        image = exposure.images["threshold_1"]
        pixels = unpack(
            b"".join(image.pieces), image.encoding.value, image.dtype, image.shape
        )
        assert total_of(pixels) == truth["total"][exposure.image_id]
        assert exposure.start_ns == 2_000_000 * exposure.image_id
    assert a.series_id == 9
    assert a.nimages == FRAMES
    assert a.frame_time == 0.002
    assert a.detector_serial_number == "E-00-9999"
    assert a.countrate_cutoff == 12_440
    assert np.array_equal(a.pixel_masks["threshold_1"] == 0, SMALL.active)
    marker = a.user_data["eigersim"]
    assert marker["mode"] == "replay"
    assert marker["origin"]["file"] == "x_master.h5"
    assert marker["origin"]["serial"] == "E-00-9999"


def test_without_image_numbers_a_missing_file_still_keeps_its_place(tmp_path):
    master = make(tmp_path, left_out_files=frozenset({1}))
    for number in (2, 3):
        with h5py.File(tmp_path / f"x_data_{number:06d}.h5", "r+") as file:
            del file["/entry/data/data"].attrs["image_nr_low"]
    with Recording(master) as recording:
        ids = [exposure.image_id for exposure in recording.series(1).exposures]
        assert recording.skipped_files == 1
    assert ids == list(range(5, 12))


def test_links_stay_within_the_allowed_folders(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    master = make(inside)
    outside.mkdir()
    shutil.move(inside / "x_data_000001.h5", outside / "data.h5")
    (inside / "x_data_000001.h5").symlink_to(outside / "data.h5")
    with pytest.raises(SimulatorError, match=r"outside .*--root"):
        Recording(master)
    with Recording(master, [outside]) as recording:
        assert len(list(recording.series(1).exposures)) == FRAMES


def test_a_link_within_a_data_file_is_confined_too(tmp_path):
    inside = tmp_path / "in"
    master = make(inside)
    other = make(tmp_path / "other")
    with h5py.File(inside / "x_data_000001.h5", "r+") as file:
        del file["/entry"]
        file["entry"] = h5py.ExternalLink(
            str(other.with_name("x_data_000001.h5")), "/entry"
        )
    with pytest.raises(SimulatorError, match="outside"):
        Recording(master)


def test_links_that_turn_in_circles_lead_nowhere(tmp_path):
    master = tmp_path / "x_master.h5"
    with h5py.File(master, "w") as file:
        file["/entry/data/data_000001"] = h5py.SoftLink("/entry/data/data_000002")
        file["/entry/data/data_000002"] = h5py.SoftLink("/entry/data/data_000001")
    with pytest.raises(SimulatorError, match="holds no images"):
        Recording(master)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "gzip"}, "HDF5 filter 1"),
        (dict(hdf5plugin.Bitshuffle(cname="none")), "bitshuffled but not compressed"),
        ({"chunks": (2, 8, 8)}, "chunks"),
        ({"dtype": ">u2"}, "big-endian"),
        ({"dtype": "f4"}, "no stack of unsigned images"),
    ],
)
def test_data_that_no_stream_carries_is_refused(tmp_path, options, message):
    master = tmp_path / "x_master.h5"
    with h5py.File(master, "w") as file:
        options = {"dtype": "u2", "chunks": (1, 8, 8)} | options
        file.create_dataset("/entry/data/data_000001", (4, 8, 8), **options)
    with pytest.raises(SimulatorError, match=message):
        Recording(master)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"left_out_files": frozenset({4})}, "from 1 to 3"),
        (
            {"left_out_files": frozenset({1}), "layout": Layout.INSIDE},
            "inside the master",
        ),
        ({"left_out_frames": frozenset({FRAMES})}, "from 0 to 11"),
        ({"channels": ("threshold_1", "threshold_2")}, "--layout nxmx"),
    ],
)
def test_impossible_plans_are_refused(tmp_path, plan, message):
    with pytest.raises(SimulatorError, match=message):
        make(tmp_path, **plan)
