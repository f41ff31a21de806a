"""Damaged, hostile and unfinished recordings (fault catalogue, rows 60 to 69)."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from masters import (
    BSLZ4,
    SHAPE,
    images,
    write_data,
    write_inside,
    write_master,
    write_series,
)
from recorded import Recorded, recorded

from eigerwatch.errors import ReplayError
from eigerwatch.model import RejectReason
from eigerwatch.replay.recording import Hole, Recording, Unusable, open_master


def outline(recording: Recording) -> list[Any]:
    """Return ids of frames and bad frames, and the holes as they are."""
    return [
        item if isinstance(item, Hole) else item.image_id
        for item in recorded(recording)
    ]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ReplayError) as caught:
        open_master(path, wait_s=0.2, **options)
    return str(caught.value)


# Row 60: data files that never came.


@pytest.mark.parametrize("attributes", [True, False])
def test_missing_file_in_the_middle(tmp_path: Path, attributes: bool) -> None:
    master = write_series(tmp_path, images(13), attributes=attributes, nimages=13)
    (tmp_path / "x_data_000002.h5").unlink()
    with open_master(master) as recording:
        assert recording.n_frames == 13
        assert outline(recording) == [0, 1, 2, 3, 4, Hole(5, 10), 10, 11, 12]
        assert len(recording.problems) == 1
        assert "'x_data_000002.h5' is missing" in recording.problems[0]


def test_missing_files_at_the_end_count_as_far_as_announced(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(13), nimages=6, ntrigger=2)
    (tmp_path / "x_data_000003.h5").unlink()
    with open_master(master) as recording:
        assert outline(recording) == [*range(10), Hole(10, 12)]


@pytest.mark.parametrize("attributes", [True, False])
def test_missing_files_add_nothing_unless_announced(
    tmp_path: Path, attributes: bool
) -> None:
    master = write_series(tmp_path, images(13), attributes=attributes)
    (tmp_path / "x_data_000003.h5").unlink()
    with open_master(master) as recording:
        assert outline(recording) == list(range(10))
        assert recording.problems


def test_all_files_missing(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(6), nimages=6)
    for path in tmp_path.glob("x_data_*"):
        path.unlink()
    text = refusal(master)
    assert "holds no image that can be read" in text
    assert "'x_data_000001.h5' is missing" in text


def test_truncated_file(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(10), nimages=10)
    os.truncate(tmp_path / "x_data_000002.h5", 9000)
    with open_master(master, wait_s=0.2) as recording:
        assert outline(recording) == [0, 1, 2, 3, 4, Hole(5, 10)]
        assert "x_data_000002.h5 is cut off" in recording.problems[0]


def test_lying_positions_are_not_believed(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(10), attributes=False)
    for number, low in ((1, 4_000_000_000), (2, 3)):
        with h5py.File(tmp_path / f"x_data_{number:06d}.h5", "a") as file:
            file["entry/data/data"].attrs["image_nr_low"] = np.uint32(low)
    with open_master(master) as recording:
        assert outline(recording) == list(range(10))
        assert "image_nr_low" in recording.problems[0]


# Row 61: images that were never written.


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, *SHAPE), **BSLZ4},
        {"chunks": (1, *SHAPE), "compression": "gzip"},
    ],
)
def test_unwritten_images_are_missing(tmp_path: Path, options: dict[str, Any]) -> None:
    values = images(9)
    master = tmp_path / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        dataset = file.create_dataset("entry/data/data", (9, *SHAPE), "u2", **options)
        for index in (0, 1, 4, 5):
            dataset[index] = values[index]
    with open_master(master) as recording:
        assert outline(recording) == [0, 1, Hole(2, 4), 4, 5, Hole(6, 9)]
        assert "never written: image_id 2-3, 6-8" in recording.problems[0]


def test_partly_written_image_is_rejected(tmp_path: Path) -> None:
    master = tmp_path / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        dataset = file.create_dataset(
            "entry/data/data", (2, *SHAPE), "u2", chunks=(1, 20, 53)
        )
        dataset[0] = 1
        dataset[1, :20] = 1
    with open_master(master) as recording:
        good, bad = recorded(recording)
        assert isinstance(good, Recorded)
        assert isinstance(bad, Unusable)
        assert (bad.image_id, bad.reason) == (1, RejectReason.READ)
        assert "only partly written" in bad.detail


def test_nothing_written(tmp_path: Path) -> None:
    for number, chunks in enumerate(((1, *SHAPE), None)):
        master = tmp_path / f"{number}_master.h5"
        with h5py.File(master, "w") as file:
            file.create_dataset("entry/data/data", (9, *SHAPE), "u2", chunks=chunks)
        assert "never written: image_id 0-8" in refusal(master)


# Row 62: lies about chunks. What a chunk holds is the kernel's to judge.


def test_impossible_chunk_size(tmp_path: Path) -> None:
    master = write_inside(tmp_path, images(2))
    with h5py.File(master, "a") as file:
        file["entry/data/data"].id.write_direct_chunk((1, 0, 0), bytes(50_000))
    with open_master(master) as recording:
        good, bad = recorded(recording)
        assert isinstance(good, Recorded)
        assert isinstance(bad, Unusable)
        assert bad.reason is RejectReason.READ


def test_damaged_chunk_in_the_filter_pipeline(tmp_path: Path) -> None:
    options = {"chunks": (1, *SHAPE), "compression": "gzip"}
    master = write_inside(tmp_path, images(3), **options)
    with h5py.File(master, "a") as file:
        file["entry/data/data"].id.write_direct_chunk((1, 0, 0), b"no deflate stream")
    with open_master(master) as recording:
        first, bad, last = recorded(recording)
        assert isinstance(first, Recorded)
        assert isinstance(last, Recorded)
        assert isinstance(bad, Unusable)
        assert "x_master.h5:/entry/data/data, image 1" in bad.detail


def test_damaged_data_file_is_named(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(10), nimages=10)
    victim = tmp_path / "x_data_000002.h5"
    content = victim.read_bytes()
    assert b"TREE" in content
    victim.write_bytes(content.replace(b"TREE", b"TREY"))
    with open_master(master) as recording:
        assert outline(recording) == [0, 1, 2, 3, 4, Hole(5, 10)]
        assert f"{victim} is damaged" in recording.problems[0]


def test_a_crash_of_the_library_costs_one_image(tmp_path: Path) -> None:
    options = {"chunks": (1, *SHAPE), "compression": "gzip"}
    master = write_inside(tmp_path, images(4), **options)
    with open_master(master) as recording:
        frames = recorded(recording)
        assert isinstance(next(frames), Recorded)
        assert recording.reader_pid is not None
        os.kill(recording.reader_pid, signal.SIGSEGV)
        bad = next(frames)
        assert isinstance(bad, Unusable)
        assert "signal 11" in bad.detail
        assert [type(frame) for frame in frames] == [Recorded, Recorded]


def test_garbage_in_the_structure_never_reaches_us(tmp_path: Path) -> None:
    good = write_inside(tmp_path, images(4)).read_bytes()
    rng = np.random.default_rng(5)
    victim = tmp_path / "victim_master.h5"
    sentences = []
    for _ in range(12):
        bad = bytearray(good)
        for place in rng.integers(8, 4000, 40):
            bad[place] = rng.integers(256)
        victim.write_bytes(bad)
        try:
            recording = open_master(victim, wait_s=0.0)
        except ReplayError as exc:
            sentences.append(str(exc))
            continue
        with recording:
            assert len(outline(recording)) <= recording.n_frames
    assert sentences
    assert all("victim_master.h5" in sentence for sentence in sentences)


# Row 63: files being written.


def test_locked_file_is_not_ready(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(3))
    with master.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is not ready: it is still being written" in refusal(master)
    open_master(master).close()


def test_lock_that_is_released_in_time(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(3))
    file = master.open("r+b")
    fcntl.flock(file, fcntl.LOCK_EX)
    timer = threading.Timer(0.6, file.close)
    timer.start()
    try:
        with open_master(master, wait_s=20.0) as recording:
            assert outline(recording) == [0, 1, 2]
    finally:
        timer.join()


def test_file_that_is_still_being_copied(tmp_path: Path) -> None:
    whole = write_series(tmp_path, images(3)).read_bytes()
    copy = tmp_path / "copy_master.h5"
    copy.write_bytes(whole[:500])

    def finish() -> None:
        for end in range(600, len(whole), 200):
            time.sleep(0.02)
            with copy.open("ab") as file:
                file.write(whole[end - 100 : end + 100])
        copy.write_bytes(whole)

    writer = threading.Thread(target=finish)
    writer.start()
    try:
        with open_master(copy, wait_s=20.0) as recording:
            assert outline(recording) == [0, 1, 2]
    finally:
        writer.join()


# Row 64: reaching other files.


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    write_data(folder / "secret.h5", images(3))
    return folder


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["../outside/secret.h5", "absolute", "symlink.h5"])
def test_link_to_the_outside(inside: Path, outside: Path, name: str) -> None:
    (inside / "symlink.h5").symlink_to(outside / "secret.h5")
    name = str(outside / "secret.h5") if name == "absolute" else name
    master = inside / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        link = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/data/data_000001"] = link
    text = refusal(master)
    assert f"refused: {name!r} lies outside" in text
    assert "replay.roots" in text
    with open_master(master, [outside]) as recording:
        assert outline(recording) == [0, 1, 2]


def test_group_on_the_way_is_a_link(inside: Path, outside: Path) -> None:
    with h5py.File(inside / "x_master.h5", "w") as file:
        file["entry"] = h5py.ExternalLink("../outside/secret.h5", "/entry")
    assert "lies outside" in refusal(inside / "x_master.h5")


def test_link_to_a_group_with_a_link(inside: Path, outside: Path) -> None:
    with h5py.File(inside / "b.h5", "w") as file:
        file["deep"] = h5py.ExternalLink("../outside/secret.h5", "/entry")
    master = inside / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        link = h5py.ExternalLink("b.h5", "/deep/data/data")
        file["entry/data/data_000001"] = link
    assert "lies outside" in refusal(master)


def test_soft_link_to_a_link(inside: Path, outside: Path) -> None:
    master = inside / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        file["far"] = h5py.ExternalLink("../outside/secret.h5", "/entry")
        file["entry/data/data_000001"] = h5py.SoftLink("/far/data/data")
    assert "lies outside" in refusal(master)


def test_links_in_a_circle(tmp_path: Path) -> None:
    master = tmp_path / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        file["entry/data/data_000001"] = h5py.SoftLink("/entry/data/data_000001")
    assert "round in circles" in refusal(master)


def test_soft_links_that_stay_inside(tmp_path: Path) -> None:
    master = write_inside(tmp_path, images(3))
    with h5py.File(master, "a") as file:
        file.move("entry/data/data", "hidden")
        file["entry/data/data_000001"] = h5py.SoftLink("../hidden")
        file["entry/data/data_000002"] = h5py.SoftLink("/hidden")
    with open_master(master) as recording:
        assert outline(recording) == [0, 1, 2]
        assert "/entry/data/data_000001" in recording.problems[0]


def test_external_storage(tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_bytes(bytes(range(256)) * 20)
    master = tmp_path / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        file.create_dataset(
            "entry/data/data", (1, 8, 8), "u2", external=[(str(secret), 0, 128)]
        )
    assert "external storage" in refusal(master)


def test_external_storage_in_the_header(tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_bytes(b"root:x:0:0:" * 20)
    master = write_series(tmp_path, images(2))
    with h5py.File(master, "a") as file:
        file.create_dataset(
            "entry/instrument/detector/description",
            (1,),
            "S32",
            external=[(str(secret), 0, 32)],
        )
    with open_master(master) as recording:
        assert recording.start.detector is None
        assert "root" not in str(recording.start.header)


def test_virtual_source_outside(inside: Path, outside: Path) -> None:
    write_data(inside / "a.h5", images(3))
    layout = h5py.VirtualLayout((6, *SHAPE), "uint16")
    layout[:3] = h5py.VirtualSource("a.h5", "entry/data/data", (3, *SHAPE))
    layout[3:] = h5py.VirtualSource(
        "../outside/secret.h5", "entry/data/data", (3, *SHAPE)
    )
    with h5py.File(inside / "x_master.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    text = refusal(inside / "x_master.h5")
    assert "refused: '../outside/secret.h5' lies outside" in text
    assert "virtual dataset" in text


def test_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    master = tmp_path / "x_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("pipe.h5", "/x")
    assert "is no plain file" in refusal(master)
    assert "is no plain file" in refusal(tmp_path / "pipe.h5")


def test_moved_recording_with_absolute_links(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(3))
    with h5py.File(master, "a") as file:
        del file["entry/data/data_000001"]
        link = h5py.ExternalLink("/gone/for/good/x_data_000001.h5", "/entry/data/data")
        file["entry/data/data_000001"] = link
    with open_master(master) as recording:
        assert outline(recording) == [0, 1, 2]


# Row 65: announcements.


@pytest.mark.parametrize("written", [0, 3])
def test_a_small_file_that_announces_much(tmp_path: Path, written: int) -> None:
    master = tmp_path / "huge_master.h5"
    write_master(master, nimages=2**40, ntrigger=2**20)
    with h5py.File(master, "a") as file:
        dataset = file.create_dataset(
            "entry/data/data", (10**12, 8, 8), "u2", chunks=(1, 8, 8), **BSLZ4
        )
        for index in range(written):
            dataset[index] = 1
    if not written:
        assert "only 0 exist" in refusal(master)
        return
    with open_master(master) as recording:
        assert recording.n_frames == written
        assert recording.start.number_of_images == 2**60
        assert f"only {written} exist" in recording.problems[0]


def test_a_late_chunk_of_a_huge_dataset(tmp_path: Path) -> None:
    master = tmp_path / "huge_master.h5"
    write_master(master)
    with h5py.File(master, "a") as file:
        dataset = file.create_dataset(
            "entry/data/data", (10**12, 8, 8), "u2", chunks=(1, 8, 8), **BSLZ4
        )
        dataset[0] = 1
        dataset[10**11] = 1
    with open_master(master) as recording:
        assert recording.n_frames == 1
        assert recording.problems


def test_contiguous_data_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    master = tmp_path / "x_master.h5"
    with h5py.File(master, "w") as file:
        dataset = file.create_dataset("entry/data/data", (5, *SHAPE), "u2")
        dataset[:] = 1
        offset = dataset.id.get_offset()
    with open_master(master) as recording:
        assert outline(recording) == list(range(5))
        (run,) = recording.runs(recording.channels[0])
        assert run.images.offsets[0] == offset  # type: ignore[union-attr]


# Row 66: what is no recording, or another kind.


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((3, 4, 5), "i4", "int32"),
        ((3, 4, 5), "f4", "float32"),
        ((3, 4, 5), "u8", "uint64"),
        ((3,), "u2", "1 dimensions"),
        ((3, 2, 1, 4, 5), "u2", "5 dimensions"),
        ((2, 20, 4, 5), "u2", "20 thresholds"),
        ((2, 0, 5), "u2", "0 x 5 pixels"),
        ((1, 1000, 1001), "u2", "1000 x 1001 pixels"),
    ],
)
def test_other_contents(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, text: str
) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.zeros(shape, dtype)
    found = refusal(path, max_pixels=1_000_000)
    assert text in found
    assert "/entry/data/data" in found


def test_no_such_file(tmp_path: Path) -> None:
    assert "is missing" in refusal(tmp_path / "none_master.h5")


@pytest.mark.parametrize("content", [b"", b"in:\n  master: x\n"])
def test_no_hdf5_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x_master.h5"
    path.write_bytes(content)
    text = refusal(path)
    assert f"{path} is no HDF5 file" in text
    assert "master" in text


def test_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["archive/rows"] = [1]
    text = refusal(path)
    assert str(path) in text
    assert "'archive'" in text


def test_no_images_in_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write_master(path)
    with h5py.File(path, "a") as file:
        file["entry/data/omega"] = [1.0]
    assert "it holds 'omega'" in refusal(path)


def test_another_set_behind_the_same_master(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(3))
    with h5py.File(master, "a") as file:
        file["entry/data_2/data_000001"] = images(3)
    with open_master(master) as recording:
        assert outline(recording) == [0, 1, 2]
        assert "/entry/data_2 is left out" in recording.problems[0]


def test_other_geometry_in_a_later_file(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(10))
    write_data(tmp_path / "x_data_000002.h5", images(5, "uint32"), low=6)
    with open_master(master) as recording:
        found = list(recorded(recording))
        assert [type(item) for item in found] == [Recorded] * 5 + [Unusable] * 5
        assert isinstance(found[7], Unusable)
        assert found[7].reason is RejectReason.CONTRADICTION
        assert "x_data_000002.h5" in recording.problems[0]


def test_element_size_of_the_filter_contradicts(tmp_path: Path) -> None:
    path = write_inside(tmp_path, images(2))
    content = path.read_bytes()
    honest, lie = (np.array([0, 4, n, 0, 2], "<u4").tobytes() for n in (2, 4))
    assert content.count(honest) == 1
    path.write_bytes(content.replace(honest, lie))
    assert "bitshuffled for elements of 4 bytes" in refusal(path)


def test_unknown_filter(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, *SHAPE))
        plist.set_filter(60_000, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((1, *SHAPE))
        group = file.create_group("entry/data")
        h5py.h5d.create(group.id, b"data", h5py.h5t.NATIVE_UINT16, space, plist)
    assert "filter 60000" in refusal(path)


# Rows 67 and 68: changes and silence.


def test_file_replaced_while_it_is_read(tmp_path: Path) -> None:
    master = write_series(tmp_path, images(10))
    with open_master(master) as recording:
        frames = recorded(recording)
        next(frames)
        write_data(tmp_path / "x_data_000002.h5", images(5, seed=9), low=6)
        assert len(list(frames)) == 9
        assert len(recording.problems) == 1
        assert "x_data_000002.h5 was changed" in recording.problems[0]


def test_reader_that_hangs_is_given_up(tmp_path: Path) -> None:
    options = {"chunks": (1, *SHAPE), "compression": "gzip"}
    master = write_inside(tmp_path, images(3), **options)
    with open_master(master, silence_s=1.5) as recording:
        frames = recorded(recording)
        next(frames)
        assert recording.reader_pid is not None
        os.kill(recording.reader_pid, signal.SIGSTOP)
        bad = next(frames)
        assert isinstance(bad, Unusable)
        assert "no answer within 1.5 s" in bad.detail
        assert isinstance(next(frames), Recorded)


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    with open_master(write_series(tmp_path, images(3))) as recording:
        pid = recording.reader_pid
    assert recording.reader_pid is None
    assert subprocess.run(["ps", "-p", str(pid)], check=False, stdout=-3).returncode


def test_plugins_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    monkeypatch.setenv("HDF5_PLUGIN_PRELOAD", str(tmp_path))
    with open_master(write_series(tmp_path, images(3))) as recording:
        environment = Path(f"/proc/{recording.reader_pid}/environ").read_bytes()
    assert b"HDF5_PLUGIN_PATH" not in environment
    assert b"HDF5_PLUGIN_PRELOAD=::" in environment
