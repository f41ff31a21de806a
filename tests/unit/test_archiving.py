from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from masters import images, write_series

from eigerwatch.archiving import archive_sums
from eigerwatch.cli import main
from eigerwatch.config import Settings, load_settings
from eigerwatch.errors import ConfigError
from eigerwatch.offline import FrameRange, sum_master
from eigerwatch.store import keys
from eigerwatch.store.archive import Archive

BEGAN = "2026-05-04T03:02:01.500+02:00"
BEGAN_MS = round(datetime(2026, 5, 4, 1, 2, 1, 500_000, UTC).timestamp() * 1000)
CHANNEL = "image"


def settings_of(folder: Path, **more: object) -> Settings:
    return load_settings(
        reduce={"threads": 1}, archive={"dir": folder / "archive"}, **more
    )


def written(folder: Path, **facts: object) -> Path:
    """Write 14 frames: one of them corrupt, five in a file that is missing."""
    folder.mkdir(exist_ok=True)
    mask = np.zeros((40, 53), np.uint32)
    mask[3] = 1
    master = write_series(
        folder, images(14), nimages=14, frame_time=0.001, pixel_mask=mask, **facts
    )
    date = "instrument/detector/detectorSpecific/data_collection_date"
    with h5py.File(master, "a") as file:
        file[f"entry/{date}"] = BEGAN
    (folder / "x_data_000002.h5").unlink()
    with h5py.File(folder / "x_data_000001.h5", "a") as file:
        dataset = file["entry/data/data"]
        chunk = bytes(dataset.id.read_direct_chunk((2, 0, 0))[1])
        dataset.id.write_direct_chunk((2, 0, 0), chunk[:-9])
    return master


def test_a_recording_is_a_run_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, regions={"rois": [{"name": "top", "rectangle": (0, 20, 0, 53)}]}
    )
    sums = sum_master(written(tmp_path / "a"), settings)
    key = archive_sums(sums, settings.archive_dir)
    assert keys.is_series_key(key)
    assert key.startswith(f"file:x-{BEGAN_MS}-")

    archive = Archive(settings.archive_dir)
    (info,) = archive.series(10)
    assert (info.key, info.source, info.state) == (key, "file", "finished")
    assert info.archived
    assert info.channels == (CHANNEL,)
    assert info.shape == (40, 53)
    assert info.frame_time_s == 0.001
    assert (info.filter_low, info.filter_high) == (
        sums.selection.low,
        sums.selection.high,
    )
    assert info.started_ms == BEGAN_MS
    assert info.ended_ms == info.last_write_ms == BEGAN_MS + 14
    assert "x_master.h5" in (info.origin or "")
    (version,) = json.loads(info.meta["settings"])
    assert (version["number"], version["masked"]) == (0, 53)
    assert [region["name"] for region in version["regions"]] == ["module_1", "top"]
    ledger = info.ledgers[CHANNEL]
    assert (ledger.stored, ledger.rejected, ledger.missing) == (8, 1, 5)
    assert (ledger.outstanding, ledger.highest) == (0, 13)

    rows = archive.rows(key, CHANNEL)
    assert rows.tobytes() == sums.records.tobytes()
    assert archive.stored(key, CHANNEL).tolist() == sums.stored.tolist()
    assert archive.region_rows(key, CHANNEL).tobytes() == sums.regions.tobytes()
    ((image_id, reason),) = archive.rejected(key, CHANNEL).items()
    assert image_id == 2
    assert reason.startswith("payload: ")
    mask = archive.mask(key, CHANNEL)
    assert mask is not None
    used = np.unpackbits(
        np.frombuffer(mask.used, np.uint8), count=40 * 53, bitorder="little"
    ).reshape(40, 53)
    assert not used[3].any()
    assert used[4].all()


def test_the_same_sums_are_the_same_run_and_others_another(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    master = written(tmp_path / "a")
    first = archive_sums(sum_master(master, settings), settings.archive_dir)
    assert archive_sums(sum_master(master, settings), settings.archive_dir) == first
    other = settings_of(tmp_path, filter={"low": 2})
    second = archive_sums(sum_master(master, other), other.archive_dir)
    (tmp_path / "a" / "x_data_000003.h5").unlink()
    third = archive_sums(sum_master(master, settings), settings.archive_dir)
    archive = Archive(settings.archive_dir)
    assert {info.key for info in archive.series(10)} == {first, second, third}


@pytest.mark.parametrize("date", ["", "yesterday", "0001-01-01T00:00:00"])
def test_without_a_date_it_began_when_its_file_was_written(
    tmp_path: Path, date: str
) -> None:
    settings = settings_of(tmp_path)
    master = write_series(tmp_path, images(3))
    with h5py.File(master, "a") as file:
        name = "entry/instrument/detector/detectorSpecific/data_collection_date"
        file[name] = date
    key = archive_sums(sum_master(master, settings), settings.archive_dir)
    info = Archive(settings.archive_dir).find(key)
    assert info is not None
    assert info.started_ms == round(master.stat().st_mtime * 1000)


def test_a_part_of_a_recording_is_no_run(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    sums = sum_master(written(tmp_path / "a"), settings, FrameRange(2, 12))
    with pytest.raises(ConfigError, match="frames 2-12 of 14"):
        archive_sums(sums, settings.archive_dir)


def command(*words: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("EIGERWATCH_ARCHIVE__DIR", str(folder / "archive"))
    return main(["sum", *map(str, words), "--output", str(folder / "out")])


def test_the_command_says_where_the_run_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a").mkdir()
    master = write_series(tmp_path / "a", images(4), frame_time=0.01)
    given = {"folder": tmp_path, "monkeypatch": monkeypatch}
    assert command(master, "--archive", **given) == 0
    said = capsys.readouterr().out
    (info,) = Archive(tmp_path / "archive").series(10)
    assert f"archived: {info.key}" in said

    assert command(master, "--archive", "--start", 2, **given) == 2
    assert "--archive keeps whole runs" in capsys.readouterr().err


def test_an_archive_that_cannot_be_written_costs_only_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "archive").write_text("no folder")
    master = write_series(tmp_path / "a", images(4), frame_time=0.01)
    code = command(master, "--archive", folder=tmp_path, monkeypatch=monkeypatch)
    assert code == 3
    said = capsys.readouterr()
    assert "change archive.dir" in said.err
    assert "Traceback" not in said.err
    assert (tmp_path / "out" / "x_master.h5.csv").exists()
