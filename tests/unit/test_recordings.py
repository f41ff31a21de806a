from __future__ import annotations

import os
from pathlib import Path

import pytest

from eigerwatch.errors import ReplayError
from eigerwatch.recordings import listing, locate


def put(path: Path, modified_s: int = 1_000_000_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10)
    os.utime(path, (modified_s, modified_s))
    return path


def names(root: Path, **bounds: float) -> list[str]:
    return [one.name for one in listing([root], **bounds).found]


def test_masters_of_all_folders_are_listed_newest_first(tmp_path):
    put(tmp_path / "a" / "old_master.h5", 1_000)
    put(tmp_path / "a" / "deep" / "new_master.h5", 3_000)
    put(tmp_path / "middle.nxs", 2_000)
    for other in ("x_data_000001.h5", "x_master.h5.csv", "master.txt", "x.h5"):
        put(tmp_path / other)
    told = listing([tmp_path])
    assert [one.name for one in told.found] == [
        "new_master.h5",
        "middle.nxs",
        "old_master.h5",
    ]
    assert told.complete
    assert told.problems == []
    newest = told.found[0]
    assert newest.folder == str(tmp_path / "a" / "deep")
    assert (newest.size, newest.modified_ms) == (10, 3_000_000)


def test_what_is_listed_can_be_located(tmp_path):
    hostile = [
        b"<img src=x onerror=alert(1)>_master.h5",
        b"line\nbreak_master.h5",
        b"\xff\xfe_master.h5",
        "größe \u202e_master.h5".encode(),
        b"100%41_master.h5",
    ]
    for name in hostile:
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    told = listing([tmp_path])
    assert len(told.found) == len(hostile)
    for one in told.found:
        assert one.file.isascii()
        assert one.name.isprintable()
        assert "\n" not in one.name
        real = locate(one.file, [tmp_path])
        assert os.fsencode(real.name) in hostile


def test_links_are_followed_within_the_roots_only(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(outside / "secret_master.h5")
    put(root / "a" / "own_master.h5")
    (root / "inside").symlink_to(root / "a")
    (root / "up").symlink_to(root)
    (root / "away").symlink_to(outside)
    (root / "link_master.h5").symlink_to(outside / "secret_master.h5")
    (root / "dangling_master.h5").symlink_to(root / "nothing")
    assert names(root) == ["own_master.h5"]


def test_a_link_to_another_root_is_inside(tmp_path):
    put(tmp_path / "two" / "x_master.h5")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "there").symlink_to(tmp_path / "two")
    told = listing([tmp_path / "one", tmp_path / "two"])
    assert [one.name for one in told.found] == ["x_master.h5"]


def test_only_plain_files_are_listed(tmp_path):
    os.mkfifo(tmp_path / "pipe_master.h5")
    (tmp_path / "folder_master.h5").mkdir()
    assert names(tmp_path) == []


def test_a_listing_is_bounded_and_says_so(tmp_path):
    for k in range(20):
        put(tmp_path / f"{k}_master.h5")
    told = listing([tmp_path], most_entries=7)
    assert len(told.found) == 7
    assert not told.complete
    assert not listing([tmp_path], longest_s=-1).complete


def test_folders_that_changed_last_are_looked_into_first(tmp_path):
    for k, changed in enumerate((5_000, 9_000, 7_000)):
        put(tmp_path / str(k) / f"{k}_master.h5", 1_000)
        os.utime(tmp_path / str(k), (changed, changed))
    # The root's three names, and one file of the first folder.
    assert names(tmp_path, most_entries=4) == ["1_master.h5"]


def test_a_root_that_is_missing_is_named(tmp_path):
    told = listing([tmp_path / "none"])
    assert told.found == []
    assert "none cannot be read: No such file" in told.problems[0]


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("/etc/passwd", "names no master file"),
        ("x_master.h5", "names no master file"),
        ("", "names no master file"),
        ("{root}/%00_master.h5", "names no master file"),
        ("{root}/none_master.h5", "is missing"),
        ("{root}/../outside_master.h5", "outside the folders"),
        ("{root}/%2E%2E/outside_master.h5", "outside the folders"),
        ("{root}/link_master.h5", "outside the folders"),
        ("{root}/pipe_master.h5", "no plain file"),
        ("{root}/folder_master.h5", "no plain file"),
        ("{root}" + "/x" * 5000 + "_master.h5", "names no master file"),
    ],
)
def test_what_may_not_be_replayed_is_refused(tmp_path, file, problem):
    root = tmp_path / "root"
    root.mkdir()
    outside = put(tmp_path / "outside_master.h5")
    (root / "link_master.h5").symlink_to(outside)
    os.mkfifo(root / "pipe_master.h5")
    (root / "folder_master.h5").mkdir()
    with pytest.raises(ReplayError, match=problem):
        locate(file.replace("{root}", str(root)), [root])


def test_without_roots_nothing_may_be_replayed(tmp_path):
    with pytest.raises(ReplayError, match=r"replay\.roots"):
        locate(str(put(tmp_path / "x_master.h5")), [])
