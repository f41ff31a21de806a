from __future__ import annotations

from pathlib import Path

import fabio
import h5py
import numpy as np
import pytest

from eigerwatch import masks
from eigerwatch.errors import ConfigError

MASKED = np.zeros((20, 33), bool)
MASKED[3, 5:9] = MASKED[19, 32] = MASKED[10] = True


def write(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".edf":
        fabio.edfimage.EdfImage(data=values.astype("u1")).write(str(path))
    elif path.suffix == ".tif":
        fabio.tifimage.TifImage(data=values.astype("u2")).write(str(path))
    elif path.suffix == ".cbf":
        fabio.cbfimage.CbfImage(data=values.astype("i4")).write(str(path))
    elif path.suffix == ".msk":
        fabio.fit2dmaskimage.Fit2dMaskImage(data=values.astype("u1")).write(str(path))
    else:
        with h5py.File(path, "w") as file:
            file["a/mask"] = values.astype("u4") << 3
        return Path(f"{path}::/a/mask")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".edf", ".tif", ".cbf", ".msk", ".h5"])
def test_masks_are_read_from_files_of_many_kinds(tmp_path: Path, suffix: str) -> None:
    mask = masks.load_mask(write(tmp_path / f"mask{suffix}", MASKED))
    assert mask.shape == MASKED.shape
    assert np.array_equal(masks.unpacked(mask), MASKED)


def test_an_hdf5_file_of_any_name_is_read_by_its_dataset(tmp_path: Path) -> None:
    write(tmp_path / "mask.h5", MASKED)
    (tmp_path / "mask.h5").rename(tmp_path / "x.dat")
    mask = masks.load_mask(Path(f"{tmp_path}/x.dat::/a/mask"))
    assert masks.n_masked(mask) == MASKED.sum()


def test_a_mask_of_numbers_masks_what_is_not_zero(tmp_path: Path) -> None:
    values = MASKED * np.float32(0.5)
    mask = masks.load_mask(write(tmp_path / "m.npy", values))
    assert np.array_equal(masks.unpacked(mask), MASKED)


def test_one_frame_of_a_stack_is_a_mask(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["mask"] = MASKED[np.newaxis]
    mask = masks.load_mask(Path(f"{tmp_path}/m.h5::mask"))
    assert mask.shape == MASKED.shape


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.npy", "no such file"),
        ("empty.npy", "cannot be read"),
        ("empty.edf", "cannot be read"),
        ("objects.npy", "cannot be read"),
        ("cube.npy", r"shape \(2, 3, 4\)"),
        ("none.npy", r"shape \(0, 4\)"),
        ("words.npy", "not numbers"),
        ("m.h5", "which dataset is not said"),
        ("m.h5::/absent", "cannot be read"),
        ("m.h5::/a", "is a group"),
        ("text.h5::/x", "cannot be read"),
        ("folder", "no such file"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_cure(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "empty.npy").touch()
    (tmp_path / "empty.edf").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.h5").write_text("no HDF5")
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    write(tmp_path / "m.h5", MASKED)
    with pytest.raises(ConfigError, match=said) as caught:
        masks.load_mask(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_two_masks_joined_leave_out_what_either_does() -> None:
    other = np.zeros_like(MASKED)
    other[:, 7] = True
    both = masks.joined(masks.packed(MASKED), masks.packed(other))
    assert np.array_equal(masks.unpacked(both), MASKED | other)
    assert masks.n_masked(both) == (MASKED | other).sum()


def test_masks_are_told_apart_by_their_digest() -> None:
    first, same = masks.packed(MASKED), masks.packed(MASKED.copy())
    other = masks.packed(~MASKED)
    assert masks.digest(first) == masks.digest(same) != masks.digest(other)
